//! How often somebody may ask: token buckets by who and what.
//!
//! Who did not log in is counted by address, everybody else by principal, so
//! that agents behind one address do not hinder each other.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError, RwLock},
    time::Instant,
};

use uuid::Uuid;

use crate::{
    error::{ApiResult, Problem},
    peer::Relation,
    serve::bucket::Bucket,
};

/// Kinds of requests with a limit of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Class {
    /// What needs no login, and what was refused for want of one.
    Public,
    /// How the server is; apart from the rest, so that a balancer that looks is
    /// not held up by who else comes from its address.
    Health,
    /// Whether the process lives and is ready: answered from memory.
    Probe,
    /// Logging in, registering.
    Login,
    /// Reading.
    Read,
    /// SQL.
    Query,
    /// Changing.
    Write,
    /// Sending metrics.
    Push,
    /// The page and its files.
    Page,
}

impl Class {
    /// All classes.
    pub const EACH: [Self; 9] = [
        Self::Public,
        Self::Health,
        Self::Probe,
        Self::Login,
        Self::Read,
        Self::Query,
        Self::Write,
        Self::Push,
        Self::Page,
    ];

    /// The word for it in settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Health => "health",
            Self::Probe => "probe",
            Self::Login => "login",
            Self::Read => "read",
            Self::Query => "query",
            Self::Write => "write",
            Self::Push => "push",
            Self::Page => "page",
        }
    }
}

/// Requests a minute by class; as many may come at once. 0: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimits {
    /// [`Class::Public`].
    pub public: u32,
    /// [`Class::Health`].
    pub health: u32,
    /// [`Class::Probe`].
    pub probe: u32,
    /// [`Class::Login`].
    pub login: u32,
    /// [`Class::Read`].
    pub read: u32,
    /// [`Class::Query`].
    pub query: u32,
    /// [`Class::Write`].
    pub write: u32,
    /// [`Class::Push`]; bytes in flight are limited apart.
    pub push: u32,
    /// [`Class::Page`].
    pub page: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            public: 100,
            health: 100,
            probe: 0,
            login: 30,
            read: 1200,
            query: 600,
            write: 300,
            push: 60_000,
            page: 600,
        }
    }
}

impl RateLimits {
    /// The limit of a class.
    #[must_use]
    pub const fn of(&self, class: Class) -> u32 {
        match class {
            Class::Public => self.public,
            Class::Health => self.health,
            Class::Probe => self.probe,
            Class::Login => self.login,
            Class::Read => self.read,
            Class::Query => self.query,
            Class::Write => self.write,
            Class::Push => self.push,
            Class::Page => self.page,
        }
    }

    /// Sets the limit of a class.
    pub const fn set(&mut self, class: Class, per_minute: u32) {
        match class {
            Class::Public => self.public = per_minute,
            Class::Health => self.health = per_minute,
            Class::Probe => self.probe = per_minute,
            Class::Login => self.login = per_minute,
            Class::Read => self.read = per_minute,
            Class::Query => self.query = per_minute,
            Class::Write => self.write = per_minute,
            Class::Push => self.push = per_minute,
            Class::Page => self.page = per_minute,
        }
    }
}

/// Who is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum RateKey {
    /// Who did not log in: an address, and how it was reached.
    Address(Option<IpAddr>, Relation),
    /// A browser in which the account has logged in before.
    Device(Uuid),
    Principal(Uuid),
}

/// Counts.
pub(crate) struct Rates {
    limits: RwLock<RateLimits>,
    buckets: Mutex<HashMap<(RateKey, Class), Bucket>>,
}

/// More are not remembered; full buckets are forgotten first.
const MOST_BUCKETS: usize = 100_000;

impl Rates {
    pub(crate) fn new(limits: RateLimits) -> Self {
        Self { limits: RwLock::new(limits), buckets: Mutex::default() }
    }

    /// From now on these limits hold; everybody starts with a full minute's worth.
    pub(crate) fn set_limits(&self, limits: RateLimits) {
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn limit_of(&self, class: Class) -> u32 {
        self.limits.read().unwrap_or_else(PoisonError::into_inner).of(class)
    }

    /// Counts a request, or says when to come back.
    pub(crate) fn take(&self, key: RateKey, class: Class) -> ApiResult<()> {
        self.take_at(key, class, Instant::now()).map_err(|secs| {
            let per_minute = self.limit_of(class);
            let class = class.as_str();
            let detail = format!("more than {per_minute} requests of class {class} in a minute; wait {secs} s");
            Problem::too_many("rate_limited", detail, secs)
        })
    }

    /// Takes back what [`Rates::take`] counted.
    pub(crate) fn give_back(&self, key: RateKey, class: Class) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get_mut(&(key, class)) {
            bucket.give(1);
        }
    }

    fn take_at(&self, key: RateKey, class: Class, now: Instant) -> Result<(), u64> {
        let limit = self.limit_of(class);
        if limit == 0 {
            return Ok(());
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST_BUCKETS {
            buckets.retain(|_, bucket| !bucket.is_full(now));
            if buckets.len() >= MOST_BUCKETS {
                buckets.clear();
            }
        }
        let bucket = buckets.entry((key, class)).or_insert_with(|| Bucket::per_minute(limit, now));
        if bucket.take(now) {
            return Ok(());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 60, never negative")]
        let secs = bucket.wait_secs().ceil() as u64;
        Err(secs.max(1))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    const STRANGER: RateKey = RateKey::Address(None, Relation::Client);

    #[test]
    fn a_hundred_at_once_then_as_fast_as_the_limit() {
        let rates = Rates::new(RateLimits::default());
        let key = STRANGER;
        let now = Instant::now();
        for _ in 0..100 {
            rates.take_at(key, Class::Public, now).unwrap();
        }
        assert_eq!(rates.take_at(key, Class::Public, now), Err(1));
        rates.take_at(key, Class::Read, now).unwrap();
        rates.take_at(RateKey::Principal(Uuid::nil()), Class::Public, now).unwrap();
        rates.take_at(key, Class::Public, now + Duration::from_secs(1)).unwrap();
    }

    #[test]
    fn nought_is_no_limit() {
        let rates = Rates::new(RateLimits { public: 0, ..RateLimits::default() });
        for _ in 0..10_000 {
            rates.take(STRANGER, Class::Public).unwrap();
        }
    }

    #[test]
    fn new_limits_hold_at_once() {
        let rates = Rates::new(RateLimits { public: 1, ..RateLimits::default() });
        let now = Instant::now();
        rates.take_at(STRANGER, Class::Public, now).unwrap();
        rates.take_at(STRANGER, Class::Public, now).unwrap_err();
        rates.set_limits(RateLimits { public: 2, ..RateLimits::default() });
        rates.take_at(STRANGER, Class::Public, now).unwrap();
        rates.take_at(STRANGER, Class::Public, now).unwrap();
        rates.take_at(STRANGER, Class::Public, now).unwrap_err();
    }

    #[test]
    fn a_balancer_is_not_held_up_by_whom_it_sends() {
        let rates = Rates::new(RateLimits::default());
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        let (balancer, clients) =
            (RateKey::Address(address, Relation::Client), RateKey::Address(address, Relation::UnknownProxy));
        while rates.take(clients, Class::Health).is_ok() {}
        while rates.take(balancer, Class::Public).is_ok() {}
        rates.take(balancer, Class::Health).unwrap();
    }
}
