//! Guessing passwords gets slower, and nobody is kept out by somebody else's
//! guesses.
//!
//! A failed log-in is counted under the narrowest thing that is known of who
//! tries:
//!
//! 1. a *browser* in which the account has logged in before (a signed cookie,
//!    [`Device`](super::device::Device)): alone, whatever else happens;
//! 2. an *address* from which the account has logged in before: for this
//!    account and this address;
//! 3. anything else: for this account and this address; for the address, over
//!    all accounts; and for the account, over all addresses that are new to it.
//!
//! After some failures each of these has to wait before the next attempt, each
//! time twice as long. Of an account the wait stays short: many addresses
//! together try a handful of passwords a minute, and its owner, at a new place
//! while that goes on, has to try some times. A stranger at a new address can
//! slow down who comes from new places, and nobody else.
//!
//! An attempt counts as failed from its beginning, so many at once gain
//! nothing. A success takes it back, and so does an attempt that the server
//! could not judge.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::random;

/// Failures are forgotten after this time without an attempt.
const MEMORY: Duration = Duration::from_secs(3600);
/// An address is known for this long after a log-in.
const KNOWN: Duration = Duration::from_secs(30 * 86_400);
const MOST_ENTRIES: usize = 50_000;

/// An account's name, of one size whatever somebody types.
type Account = [u8; 32];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    Device(Uuid),
    AccountAt(Account, Option<IpAddr>),
    Address(Option<IpAddr>),
    Account(Account),
}

impl Who {
    /// Failures that cost nothing.
    fn free(self) -> u32 {
        match self {
            Self::Device(_) | Self::AccountAt(..) => 5,
            // Many people may sit behind one address.
            Self::Address(_) => 20,
            Self::Account(_) => 50,
        }
    }

    fn longest_wait(self) -> Duration {
        match self {
            Self::Device(_) | Self::AccountAt(..) | Self::Address(_) => Duration::from_secs(900),
            Self::Account(_) => Duration::from_secs(8),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Failures {
    fn wait_until(&self, who: Who) -> Instant {
        let Some(over) = self.count.checked_sub(who.free()) else { return self.last };
        let delay = Duration::from_secs(1 << over.min(10)).min(who.longest_wait());
        self.last + delay
    }
}

#[derive(Debug, Default)]
struct Counts {
    failures: HashMap<Who, Failures>,
    /// Where accounts have logged in.
    known: HashMap<(Account, Option<IpAddr>), Instant>,
}

/// Counts failed attempts.
#[derive(Debug, Default)]
pub(crate) struct Lockout {
    counts: Mutex<Counts>,
}

/// An attempt whose outcome is not known yet. Dropped without one, as when the
/// server is too busy to look, it counts for nothing.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    lockout: &'a Lockout,
    counted: Vec<Who>,
    account: Account,
    address: Option<IpAddr>,
}

impl Lockout {
    /// Begins an attempt; an error says how long to wait before the next.
    pub(crate) fn attempt(
        &self,
        username: &str,
        address: Option<IpAddr>,
        device: Option<Uuid>,
    ) -> Result<Attempt<'_>, Duration> {
        self.attempt_at(username, address, device, Instant::now())
    }

    fn attempt_at(
        &self,
        username: &str,
        address: Option<IpAddr>,
        device: Option<Uuid>,
        now: Instant,
    ) -> Result<Attempt<'_>, Duration> {
        let account = account(username);
        let mut counts = self.counts();
        let is_known =
            counts.known.get(&(account, address)).is_some_and(|since| now.saturating_duration_since(*since) < KNOWN);
        let counted = match device {
            Some(device) => vec![Who::Device(device)],
            None if is_known => vec![Who::AccountAt(account, address)],
            None => vec![Who::AccountAt(account, address), Who::Address(address), Who::Account(account)],
        };
        let wait = counted.iter().filter_map(|who| {
            let until = counts.failures.get(who)?.wait_until(*who);
            until.checked_duration_since(now).filter(|wait| !wait.is_zero())
        });
        if let Some(wait) = wait.max() {
            return Err(wait);
        }
        make_room(&mut counts, now);
        for who in &counted {
            let entry = counts.failures.entry(*who).or_insert(Failures { count: 0, last: now });
            if now.saturating_duration_since(entry.last) > MEMORY {
                entry.count = 0;
            }
            entry.count = entry.count.saturating_add(1);
            entry.last = now;
        }
        drop(counts);
        Ok(Attempt { lockout: self, counted, account, address })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// The password was right.
    pub(crate) fn succeeded(self) {
        self.succeeded_at(Instant::now());
    }

    fn succeeded_at(self, now: Instant) {
        let mut counts = self.lockout.counts();
        for who in &self.counted {
            // Of an address and an account over all addresses only this attempt
            // is forgotten: one own account must not buy guesses at others.
            if matches!(who, Who::Device(_) | Who::AccountAt(..)) {
                counts.failures.remove(who);
            }
        }
        counts.known.insert((self.account, self.address), now);
    }

    /// The password was wrong.
    pub(crate) fn failed(mut self) {
        self.counted.clear();
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut counts = self.lockout.counts();
        for who in &self.counted {
            if let Some(entry) = counts.failures.get_mut(who) {
                entry.count = entry.count.saturating_sub(1);
            }
        }
    }
}

/// Forgets what is over; when that is too little, what is oldest.
fn make_room(counts: &mut Counts, now: Instant) {
    if counts.failures.len() >= MOST_ENTRIES {
        counts.failures.retain(|who, entry| now < entry.wait_until(*who));
        forget_older_half(&mut counts.failures, |entry| entry.last);
    }
    if counts.known.len() >= MOST_ENTRIES {
        forget_older_half(&mut counts.known, |since| *since);
    }
}

fn forget_older_half<K, V>(map: &mut HashMap<K, V>, last: impl Fn(&V) -> Instant) {
    if map.len() < MOST_ENTRIES {
        return;
    }
    let mut moments: Vec<Instant> = map.values().map(&last).collect();
    let middle = moments.len() / 2;
    let (_, middle, _) = moments.select_nth_unstable(middle);
    let middle = *middle;
    map.retain(|_, value| last(value) > middle);
}

fn account(username: &str) -> Account {
    let name: String = username.chars().take(128).flat_map(char::to_lowercase).collect();
    random::hash(name.as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HOME: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1)));

    fn address(number: u32) -> Option<IpAddr> {
        Some(IpAddr::from((0xC000_0000 + number).to_be_bytes()))
    }

    fn fails(
        lockout: &Lockout,
        who: &str,
        address: Option<IpAddr>,
        device: Option<Uuid>,
        now: Instant,
    ) -> Result<(), Duration> {
        lockout.attempt_at(who, address, device, now).map(Attempt::failed)
    }

    #[test]
    fn delays_grow_and_a_success_ends_them() {
        let lockout = Lockout::default();
        let mut now = Instant::now();
        for _ in 0..5 {
            fails(&lockout, "ada", HOME, None, now).unwrap();
        }
        let first = fails(&lockout, "Ada", HOME, None, now).unwrap_err();
        assert!(first <= Duration::from_secs(1));
        now += first;
        fails(&lockout, "ada", HOME, None, now).unwrap();
        let second = fails(&lockout, "ada", HOME, None, now).unwrap_err();
        assert!(second > first);
        fails(&lockout, "bob", HOME, None, now).unwrap();
        now += second;
        lockout.attempt_at("ada", HOME, None, now).unwrap().succeeded_at(now);
        for _ in 0..5 {
            fails(&lockout, "ada", HOME, None, now).unwrap();
        }
    }

    #[test]
    fn an_address_can_not_try_one_password_on_everybody() {
        let lockout = Lockout::default();
        let now = Instant::now();
        for n in 0..20 {
            fails(&lockout, &format!("user{n}"), address(1), None, now).unwrap();
        }
        fails(&lockout, "user99", address(1), None, now).unwrap_err();
        fails(&lockout, "user99", address(2), None, now).unwrap();
    }

    #[test]
    fn many_addresses_together_get_few_guesses_and_keep_nobody_out() {
        let lockout = Lockout::default();
        let (start, device) = (Instant::now(), Uuid::new_v4());
        lockout.attempt_at("ada", HOME, None, start).unwrap().succeeded_at(start);
        let mut guesses = 0;
        for number in 0..36_000 {
            // Ten new addresses a second, for an hour.
            let now = start + Duration::from_millis(100 * u64::from(number));
            guesses += u32::from(fails(&lockout, "ada", address(number), None, now).is_ok());
            if number % 600 == 599 {
                lockout.attempt_at("ada", HOME, None, now).unwrap().succeeded_at(now);
                lockout.attempt_at("ada", address(0), Some(device), now).unwrap().succeeded_at(now);
                lockout.attempt_at("bob", address(9_000_000 + number), None, now).unwrap().succeeded_at(now);
            }
        }
        assert!((400..600).contains(&guesses), "{guesses}");
    }

    #[test]
    fn a_stolen_browser_gets_no_more_guesses_than_anybody() {
        let lockout = Lockout::default();
        let (now, device) = (Instant::now(), Some(Uuid::new_v4()));
        for number in 0..5 {
            fails(&lockout, "ada", address(number), device, now).unwrap();
        }
        fails(&lockout, "ada", address(9), device, now).unwrap_err();
    }

    #[test]
    fn what_the_server_could_not_judge_is_no_failure() {
        let lockout = Lockout::default();
        let now = Instant::now();
        for _ in 0..100 {
            drop(lockout.attempt_at("ada", HOME, None, now).unwrap());
        }
        // But at once they count: else many at once were free.
        let held: Vec<_> = (0..5).map(|_| lockout.attempt_at("ada", HOME, None, now).unwrap()).collect();
        lockout.attempt_at("ada", HOME, None, now).unwrap_err();
        drop(held);
        fails(&lockout, "ada", HOME, None, now).unwrap();
    }

    #[test]
    fn memory_stays_bounded() {
        let lockout = Lockout::default();
        let now = Instant::now();
        for number in 0..80_000_u32 {
            let now = now + Duration::from_millis(u64::from(number));
            let name = format!("user{number}");
            if let Ok(attempt) = lockout.attempt_at(&name, address(number), None, now) {
                attempt.failed();
            }
        }
        assert!(lockout.counts().failures.len() <= MOST_ENTRIES + 3);
    }
}
