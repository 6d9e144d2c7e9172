//! The time zone of a log.

use std::fmt;

/// The server's `log_timezone`.
#[derive(Clone, PartialEq)]
pub struct Zone {
    zone: Option<jiff::tz::TimeZone>,
}

impl Default for Zone {
    fn default() -> Self {
        Self::unknown()
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.zone.as_ref().and_then(jiff::tz::TimeZone::iana_name).unwrap_or("unknown"))
    }
}

impl Zone {
    /// Not known: abbreviations are read as PostgreSQL's default list has them,
    /// others as UTC.
    #[must_use]
    pub const fn unknown() -> Self {
        Self { zone: None }
    }

    /// From the value of `log_timezone`; [`Zone::unknown`] for a name that no
    /// time zone has.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { zone: jiff::tz::TimeZone::get(name).ok() }
    }
}
