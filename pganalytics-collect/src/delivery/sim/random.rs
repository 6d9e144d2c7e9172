//! Numbers that a seed decides.

#[derive(Debug, Clone)]
pub(super) struct SimRng(crate::rng::Rng);

impl Default for SimRng {
    fn default() -> Self {
        Self(crate::rng::Rng::seeded(0))
    }
}

impl SimRng {
    pub(super) fn new(seed: u64) -> Self {
        Self(crate::rng::Rng::seeded(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d))
    }

    /// A number less than `end`, 0 when that is 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0.next_u64().checked_rem(end).unwrap_or_default()
    }

    /// Whether something happens that does so in so many of a thousand cases.
    pub(super) fn chance(&mut self, thousandths: u64) -> bool {
        thousandths > 0 && self.below(1000) < thousandths
    }
}
