//! Ranges of PostgreSQL's major versions.

use std::{fmt, str::FromStr};

/// Oldest major version that pgAnalytics watches.
pub(crate) const OLDEST: u32 = 14;
/// Newest major version that every catalog file must speak of.
pub(crate) const NEWEST: u32 = 18;

/// A range of major versions: `>=14`, `>=14, <17`, `16`.
///
/// ```
/// use pganalytics_core::catalog::VersionRange;
/// let range: VersionRange = ">=14, <17".parse().unwrap();
/// assert!(range.contains(160_004) && !range.contains(170_000));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VersionRange {
    /// First major version in the range.
    from: u32,
    /// First major version after it.
    until: u32,
}

impl VersionRange {
    /// Every version.
    pub const ALL: Self = Self { from: 0, until: u32::MAX };

    /// Whether a server with this `server_version_num` (`160004`) is in it.
    #[must_use]
    pub fn contains(&self, server_version_num: u32) -> bool {
        self.contains_major(server_version_num / 10_000)
    }

    /// Whether a major version is in it.
    #[must_use]
    pub fn contains_major(&self, major: u32) -> bool {
        (self.from..self.until).contains(&major)
    }

    /// Whether some version is in both.
    #[must_use]
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.from.max(other.from) < self.until.min(other.until)
    }
}

impl FromStr for VersionRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut range = Self::ALL;
        for part in text.split(',').map(str::trim) {
            let digits = part.trim_start_matches(['<', '>', '=']);
            let sign = part.strip_suffix(digits).unwrap_or_default();
            let major: u32 = digits.trim().parse().ok().filter(|major| (1..1000).contains(major)).ok_or_else(|| {
                format!("{part:?} is not a bound on the major version; write as \">=14, <17\" or \"16\"")
            })?;
            let (from, until) = match sign {
                ">=" => (major, u32::MAX),
                ">" => (major + 1, u32::MAX),
                "<" => (0, major),
                "<=" => (0, major + 1),
                "" | "=" => (major, major + 1),
                _ => return Err(format!("{sign:?} compares nothing; use >=, >, <, <= or =")),
            };
            range = Self { from: range.from.max(from), until: range.until.min(until) };
        }
        if range.from >= range.until {
            return Err(format!("no version is in the range {text:?}"));
        }
        Ok(range)
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, self.until) {
            (0, u32::MAX) => f.write_str("every version"),
            (from, u32::MAX) => write!(f, ">={from}"),
            (0, until) => write!(f, "<{until}"),
            (from, until) if until == from + 1 => write!(f, "{from}"),
            (from, until) => write!(f, ">={from}, <{until}"),
        }
    }
}
