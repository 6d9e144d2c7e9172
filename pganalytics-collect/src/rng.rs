//! Random numbers for pauses and moments: good enough to spread, not to hide.

use uuid::Uuid;

/// A source of random numbers, seeded anew in each process (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new() -> Self {
        Self(Uuid::new_v4().as_u64_pair().0)
    }

    /// The source that this one has for a number: the same each time.
    #[cfg(feature = "postgres")]
    pub(crate) fn derive(&self, number: u64) -> Self {
        Self(self.0 ^ number.wrapping_mul(0xff51_afd7_ed55_8ccd))
    }

    /// The source that begins in this state.
    #[cfg(test)]
    pub(crate) fn seeded(state: u64) -> Self {
        Self(state)
    }

    /// A number of 64 bits.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to 1.
    pub(crate) fn next_f64(&mut self) -> f64 {
        f64::from(u32::try_from(self.next_u64() >> 32).unwrap_or_default()) / f64::from(u32::MAX)
    }
}
