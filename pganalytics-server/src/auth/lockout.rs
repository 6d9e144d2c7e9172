//! Guessing passwords gets slower: after some failures an account, and an
//! address, has to wait before the next attempt, each time twice as long.
//!
//! An attempt counts as failed from its beginning, so many at once gain
//! nothing; a success takes it back.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const LONGEST: Duration = Duration::from_secs(900);
/// Failures are forgotten after this time without an attempt.
const MEMORY: Duration = Duration::from_secs(3600);
const MOST_ENTRIES: usize = 50_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Account(String),
    Address(Option<IpAddr>),
}

impl Who {
    /// Failures that cost nothing.
    fn free(&self) -> u32 {
        match self {
            Self::Account(_) => 5,
            // Many people may sit behind one address.
            Self::Address(_) => 20,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Failures {
    fn wait_until(&self, free: u32) -> Instant {
        let Some(over) = self.count.checked_sub(free) else { return self.last };
        let delay = Duration::from_secs(1 << over.min(10)).min(LONGEST);
        self.last + delay
    }
}

/// Counts failed attempts.
#[derive(Debug, Default)]
pub(crate) struct Lockout {
    failures: Mutex<HashMap<Who, Failures>>,
}

impl Lockout {
    /// Notes an attempt; an error says how long to wait before the next.
    pub(crate) fn attempt(&self, username: &str, address: Option<IpAddr>) -> Result<(), Duration> {
        self.attempt_at(username, address, Instant::now())
    }

    fn attempt_at(&self, username: &str, address: Option<IpAddr>, now: Instant) -> Result<(), Duration> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let both = [Who::Account(account(username)), Who::Address(address)];
        let wait = both.iter().filter_map(|who| {
            let until = failures.get(who)?.wait_until(who.free());
            until.checked_duration_since(now).filter(|wait| !wait.is_zero())
        });
        if let Some(wait) = wait.max() {
            return Err(wait);
        }
        if failures.len() >= MOST_ENTRIES {
            failures.retain(|who, entry| now < entry.wait_until(who.free()));
        }
        for who in both {
            let entry = failures.entry(who).or_insert(Failures { count: 0, last: now });
            if now.duration_since(entry.last) > MEMORY {
                entry.count = 0;
            }
            entry.count = entry.count.saturating_add(1);
            entry.last = now;
        }
        Ok(())
    }

    /// The attempt was right after all.
    pub(crate) fn succeeded(&self, username: &str, address: Option<IpAddr>) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.remove(&Who::Account(account(username)));
        // Not forgotten for the address: one own account must not buy guesses at others.
        if let Some(entry) = failures.get_mut(&Who::Address(address)) {
            entry.count = entry.count.saturating_sub(1);
        }
    }
}

fn account(username: &str) -> String {
    username.chars().take(128).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn delays_grow_and_a_success_ends_them() {
        let lockout = Lockout::default();
        let mut now = Instant::now();
        for _ in 0..5 {
            lockout.attempt_at("ada", None, now).unwrap();
        }
        let first = lockout.attempt_at("Ada", None, now).unwrap_err();
        assert!(first <= Duration::from_secs(1));
        now += first;
        lockout.attempt_at("ada", None, now).unwrap();
        let second = lockout.attempt_at("ada", None, now).unwrap_err();
        assert!(second > first);
        lockout.attempt_at("bob", None, now).unwrap();
        lockout.succeeded("ada", None);
        lockout.attempt_at("ada", None, now).unwrap();
    }

    #[test]
    fn an_address_can_not_try_one_password_on_everybody() {
        let lockout = Lockout::default();
        let now = Instant::now();
        let address = Some(IpAddr::from([192, 0, 2, 7]));
        for n in 0..20 {
            lockout.attempt_at(&format!("user{n}"), address, now).unwrap();
        }
        assert!(lockout.attempt_at("user99", address, now).is_err());
        lockout.attempt_at("user99", Some(IpAddr::from([192, 0, 2, 8])), now).unwrap();
    }
}
