//! A token bucket.

use std::time::Instant;

/// Holds as many tokens as it gets in a minute. A limit of 0 is none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    limit: f64,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    pub(crate) fn per_minute(limit: u32, now: Instant) -> Self {
        Self { limit: f64::from(limit), tokens: f64::from(limit), filled: now }
    }

    /// Takes a token; false when there is none.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        if self.limit == 0.0 {
            return true;
        }
        let since = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + since * self.limit / 60.0).min(self.limit);
        self.filled = now;
        let has = self.tokens >= 1.0;
        if has {
            self.tokens -= 1.0;
        }
        has
    }

    /// Puts tokens back, up to what it holds.
    pub(crate) fn give(&mut self, tokens: usize) {
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        self.tokens = (self.tokens + f64::from(tokens)).min(self.limit);
    }

    /// Seconds until there is a token.
    pub(crate) fn wait_secs(&self) -> f64 {
        (1.0 - self.tokens).max(0.0) * 60.0 / self.limit
    }

    /// Whether it has been left alone long enough to be full again.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.filled).as_secs() >= 60
    }
}
