//! How often somebody may ask: token buckets by who and what.
//!
//! Who did not log in is counted by address, everybody else by principal, so
//! that agents behind one address do not hinder each other.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use uuid::Uuid;

use crate::error::{ApiResult, Problem};

/// Kinds of requests with a limit of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Class {
    /// What needs no login, and what was refused for want of one.
    Public,
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
    pub const EACH: [Self; 7] =
        [Self::Public, Self::Login, Self::Read, Self::Query, Self::Write, Self::Push, Self::Page];

    /// The word for it in settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
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
        Self { public: 100, login: 30, read: 1200, query: 600, write: 300, push: 60_000, page: 600 }
    }
}

impl RateLimits {
    /// The limit of a class.
    #[must_use]
    pub const fn of(&self, class: Class) -> u32 {
        match class {
            Class::Public => self.public,
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
    Address(Option<IpAddr>),
    Principal(Uuid),
}

struct Bucket {
    tokens: f64,
    filled: Instant,
}

/// Counts.
pub(crate) struct Rates {
    limits: RateLimits,
    buckets: Mutex<HashMap<(RateKey, Class), Bucket>>,
}

/// More are not remembered; full buckets are forgotten first.
const MOST_BUCKETS: usize = 100_000;

impl Rates {
    pub(crate) fn new(limits: RateLimits) -> Self {
        Self { limits, buckets: Mutex::default() }
    }

    /// Counts a request, or says when to come back.
    pub(crate) fn take(&self, key: RateKey, class: Class) -> ApiResult<()> {
        self.take_at(key, class, Instant::now()).map_err(|secs| {
            let per_minute = self.limits.of(class);
            let class = class.as_str();
            let detail = format!("more than {per_minute} requests of class {class} in a minute; wait {secs} s");
            Problem::too_many("rate_limited", detail, secs)
        })
    }

    fn take_at(&self, key: RateKey, class: Class, now: Instant) -> Result<(), u64> {
        let limit = f64::from(self.limits.of(class));
        if limit == 0.0 {
            return Ok(());
        }
        let per_second = limit / 60.0;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST_BUCKETS {
            // After a minute every bucket is full again.
            buckets.retain(|_, bucket| now.duration_since(bucket.filled).as_secs() < 60);
            if buckets.len() >= MOST_BUCKETS {
                buckets.clear();
            }
        }
        let bucket = buckets.entry((key, class)).or_insert(Bucket { tokens: limit, filled: now });
        bucket.tokens = (bucket.tokens + now.duration_since(bucket.filled).as_secs_f64() * per_second).min(limit);
        bucket.filled = now;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 60, never negative")]
        let secs = ((1.0 - bucket.tokens) / per_second).ceil() as u64;
        Err(secs.max(1))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_hundred_at_once_then_as_fast_as_the_limit() {
        let rates = Rates::new(RateLimits::default());
        let key = RateKey::Address(None);
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
            rates.take(RateKey::Address(None), Class::Public).unwrap();
        }
    }
}
