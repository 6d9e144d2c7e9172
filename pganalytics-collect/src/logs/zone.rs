//! Times of logs: local times with the abbreviation of a zone.

use std::fmt;

use jiff::{civil, tz};
use pganalytics_core::Timestamp;

/// The server's `log_timezone`.
#[derive(Clone, PartialEq)]
pub struct Zone {
    zone: Option<tz::TimeZone>,
    /// The one before: sessions take a change over one by one.
    older: Option<tz::TimeZone>,
}

impl Default for Zone {
    fn default() -> Self {
        Self::unknown()
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.zone.as_ref().and_then(tz::TimeZone::iana_name).unwrap_or("unknown"))
    }
}

impl Zone {
    /// Not known: abbreviations are read as PostgreSQL's default list has them,
    /// others as UTC.
    #[must_use]
    pub const fn unknown() -> Self {
        Self { zone: None, older: None }
    }

    /// From the value of `log_timezone`: a name, or a rule as POSIX writes it (`<+05>-5`, `UTC+3`;
    /// there hours count to the west). [`Zone::unknown`] for what is neither.
    #[must_use]
    pub fn named(name: &str) -> Self {
        // A rule that names a daylight saving time but not when it is: PostgreSQL takes that of the
        // United States.
        let posix = || {
            let rule = |text: &str| tz::TimeZone::posix(text).ok();
            rule(name).or_else(|| rule(&format!("{name},M3.2.0,M11.1.0")))
        };
        Self { zone: tz::TimeZone::get(name).ok().or_else(posix), older: None }
    }

    /// The same after a change: times whose abbreviation is not of this zone may
    /// be of the other.
    #[must_use]
    pub(crate) fn with_older(self, older: Self) -> Self {
        Self { older: older.zone, ..self }
    }

    /// Seconds east of UTC at a local time, and whether that is certain.
    pub(super) fn offset(&self, local_seconds: i64, abbreviation: &[u8]) -> (i64, bool) {
        // First: in a zone called `UTC+3` what is written as UTC is three hours behind it.
        let of = |zone: &Option<tz::TimeZone>| {
            zone.as_ref().and_then(|zone| self::of_zone(zone, local_seconds, abbreviation))
        };
        let of_zone = of(&self.zone);
        if let Some((offset, true)) = of_zone {
            return (offset, true);
        }
        if let Some((offset, true)) = of(&self.older) {
            return (offset, true);
        }
        if matches!(abbreviation, b"UTC" | b"GMT" | b"Z" | b"UCT" | b"Zulu") {
            return (0, true);
        }
        match numeric(abbreviation) {
            Some(offset) => (offset, true),
            None => match ABBREVIATIONS.iter().find(|(name, _)| name.as_bytes() == abbreviation) {
                Some(&(_, minutes)) => (i64::from(minutes) * 60, true),
                None => (of_zone.map_or(0, |(offset, _)| offset), false),
            },
        }
    }
}

/// The offset of a zone at a local time. When the clock is put back a local time
/// comes twice: the abbreviation tells which it is. False when neither has it.
fn of_zone(zone: &tz::TimeZone, local_seconds: i64, abbreviation: &[u8]) -> Option<(i64, bool)> {
    let as_utc = jiff::Timestamp::from_second(local_seconds).ok()?;
    let local: civil::DateTime = tz::Offset::UTC.to_datetime(as_utc);
    let found = zone.to_ambiguous_timestamp(local);
    let (first, second) = match found.offset() {
        tz::AmbiguousOffset::Unambiguous { offset } => (offset, offset),
        tz::AmbiguousOffset::Gap { before, after } | tz::AmbiguousOffset::Fold { before, after } => (before, after),
    };
    for offset in [first, second] {
        let at = offset.to_timestamp(local).ok()?;
        if zone.to_offset_info(at).abbreviation().as_bytes() == abbreviation {
            return Some((i64::from(offset.seconds()), true));
        }
    }
    Some((i64::from(first.seconds()), false))
}

/// `+03`, `-0330`, `+05:30`
fn numeric(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text.split_first()? {
        (b'+', digits) => (1, digits),
        (b'-', digits) => (-1, digits),
        _ => return None,
    };
    let mut number = 0;
    let mut count = 0;
    for &byte in digits {
        match byte {
            b'0'..=b'9' if count < 6 => (number, count) = (number * 10 + i64::from(byte - b'0'), count + 1),
            b':' => {}
            _ => return None,
        }
    }
    Some(
        sign * match count {
            1 | 2 => number * 3_600,
            3 | 4 => number / 100 * 3_600 + number % 100 * 60,
            5 | 6 => number / 10_000 * 3_600 + number / 100 % 100 * 60 + number % 100,
            _ => return None,
        },
    )
}

/// What common abbreviations mean, minutes east of UTC, where the server's zone
/// does not say it: as in PostgreSQL's default list.
const ABBREVIATIONS: &[(&str, i16)] = &[
    ("ACDT", 630),
    ("ACST", 570),
    ("ADT", -180),
    ("AEDT", 660),
    ("AEST", 600),
    ("AKDT", -480),
    ("AKST", -540),
    ("AST", -240),
    ("AWST", 480),
    ("BRST", -120),
    ("BRT", -180),
    ("BST", 60),
    ("CDT", -300),
    ("CEST", 120),
    ("CET", 60),
    ("CST", -360),
    ("EAT", 180),
    ("EDT", -240),
    ("EEST", 180),
    ("EET", 120),
    ("EST", -300),
    ("HKT", 480),
    ("HST", -600),
    ("IDT", 180),
    ("IST", 120),
    ("JST", 540),
    ("KST", 540),
    ("MDT", -360),
    ("MSK", 180),
    ("MST", -420),
    ("NDT", -150),
    ("NST", -210),
    ("NZDT", 780),
    ("NZST", 720),
    ("PDT", -420),
    ("PKT", 300),
    ("PST", -480),
    ("SAST", 120),
    ("SGT", 480),
    ("WAT", 60),
    ("WEST", 60),
    ("WET", 0),
    ("WIB", 420),
];

/// Reads times. Entries that follow each other have mostly the same offset, so
/// the last one is kept.
#[derive(Debug)]
pub(super) struct TimeReader {
    zone: Zone,
    /// Offsets change at a quarter of an hour at most.
    quarter: i64,
    abbreviation: [u8; 8],
    offset: i64,
    certain: bool,
    /// Times whose offset was a guess.
    pub(super) guessed: u64,
}

/// Length of `2026-11-21 12:00:00`.
const SECONDS_LEN: usize = 19;

impl TimeReader {
    pub(super) fn new(zone: Zone) -> Self {
        Self { zone, quarter: i64::MIN, abbreviation: [0; 8], offset: 0, certain: true, guessed: 0 }
    }

    /// Goes on in another zone; false when it is not known.
    pub(super) fn follow(&mut self, zone: Zone) -> bool {
        if zone.zone.is_none() {
            return false;
        }
        self.zone = zone.with_older(std::mem::take(&mut self.zone));
        self.quarter = i64::MIN;
        true
    }

    /// A time as `%m`, `%t` and `%s` write it.
    pub(super) fn read(&mut self, text: &[u8]) -> Option<Timestamp> {
        let (micros, abbreviation) = local(text)?;
        let seconds = micros.div_euclid(1_000_000);
        let quarter = seconds.div_euclid(900);
        let mut key = [0; 8];
        for (to, from) in key.iter_mut().zip(abbreviation) {
            *to = *from;
        }
        if quarter != self.quarter || key != self.abbreviation || abbreviation.len() > 8 {
            (self.offset, self.certain) = self.zone.offset(seconds, abbreviation);
            (self.quarter, self.abbreviation) = (quarter, key);
        }
        self.guessed += u64::from(!self.certain);
        Some(Timestamp::from_micros(micros - self.offset * 1_000_000))
    }
}

/// Microseconds of a local time as if it were UTC, and the abbreviation behind it.
fn local(text: &[u8]) -> Option<(i64, &[u8])> {
    let (date, rest) = text.split_at_checked(SECONDS_LEN)?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b' ' | b'T', h1, h2, b':', i1, i2, b':', s1, s2] = *date else {
        return None;
    };
    let two = |a: u8, b: u8| -> Option<i64> {
        let (a, b) = (a.wrapping_sub(b'0'), b.wrapping_sub(b'0'));
        (a < 10 && b < 10).then(|| i64::from(a) * 10 + i64::from(b))
    };
    let year = two(y1, y2)? * 100 + two(y3, y4)?;
    let (month, day) = (two(m1, m2)?, two(d1, d2)?);
    let (hour, minute, second) = (two(h1, h2)?, two(i1, i2)?, two(s1, s2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 24 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    let (mut micros, mut rest) = (0, rest);
    if let Some((b'.', digits)) = rest.split_first() {
        let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (fraction, behind) = digits.split_at(count);
        let mut unit = 100_000;
        for byte in fraction.iter().take(6) {
            micros += i64::from(byte - b'0') * unit;
            unit /= 10;
        }
        rest = behind;
    }
    Some((seconds * 1_000_000 + micros, rest.strip_prefix(b" ").unwrap_or(rest)))
}

/// Days since 1970-01-01 of a date of the Gregorian calendar.
pub(super) fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March here, so that leap days come last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// How long the time at the begin of a text is, with its fraction and zone; 0 when there is none.
///
/// The second length is another that it may have: POSIX zones have names such as `GMT+3`, but what
/// follows a zone in a prefix may begin with a sign, too.
pub(super) fn time_len(text: &[u8]) -> (usize, Option<usize>) {
    if local(text).is_none() {
        return (0, None);
    }
    let rest = text.get(SECONDS_LEN..).unwrap_or_default();
    let fraction = match rest.split_first() {
        Some((b'.', digits)) => 1 + digits.iter().take_while(|byte| byte.is_ascii_digit()).count(),
        _ => 0,
    };
    let rest = rest.get(fraction..).unwrap_or_default();
    let Some((b' ', zone)) = rest.split_first() else { return (SECONDS_LEN + fraction, None) };
    let run = |text: &[u8], of: &dyn Fn(u8) -> bool| text.iter().take_while(|&&byte| of(byte)).count();
    let digits = |text: &[u8]| run(text, &|byte| byte.is_ascii_digit() || byte == b':');
    let signed = |text: &[u8]| match text.split_first() {
        Some((b'+' | b'-', number)) => Some(digits(number)).filter(|len| *len > 0).map(|len| 1 + len),
        _ => None,
    };
    let begin = SECONDS_LEN + fraction;
    if let Some(len) = signed(zone) {
        return (begin + 1 + len, None);
    }
    match run(zone, &|byte| byte.is_ascii_alphabetic()) {
        0 => (begin, None),
        letters => {
            let more = signed(zone.get(letters..).unwrap_or_default());
            (begin + 1 + letters, more.map(|more| begin + 1 + letters + more))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(zone: &str, text: &str) -> String {
        TimeReader::new(Zone::named(zone)).read(text.as_bytes()).unwrap().to_string()
    }

    #[test]
    fn times_are_read_in_their_zone() {
        assert_eq!(read("UTC", "2026-11-21 12:00:00.123 UTC"), "2026-11-21T12:00:00.123Z");
        assert_eq!(read("", "1999-12-31 23:59:59 GMT"), "1999-12-31T23:59:59Z");
        assert_eq!(read("Europe/Berlin", "2024-02-29 12:00:00 CET"), "2024-02-29T11:00:00Z");
        assert_eq!(read("America/Sao_Paulo", "2026-06-01 12:00:00 -03"), "2026-06-01T15:00:00Z");
        assert_eq!(read("Asia/Kolkata", "2026-06-01 12:00:00 IST"), "2026-06-01T06:30:00Z");
        assert_eq!(read("Asia/Shanghai", "2026-06-01 12:00:00 CST"), "2026-06-01T04:00:00Z");
        assert_eq!(read("", "2026-06-01 12:00:00 CST"), "2026-06-01T18:00:00Z");
    }

    #[test]
    fn the_abbreviation_tells_the_hour_that_comes_twice() {
        assert_eq!(read("Europe/Berlin", "2026-10-25 02:30:00 CEST"), "2026-10-25T00:30:00Z");
        assert_eq!(read("Europe/Berlin", "2026-10-25 02:30:00 CET"), "2026-10-25T01:30:00Z");
    }

    #[test]
    fn posix_zones_count_to_the_west() {
        assert_eq!(read("UTC+3", "2026-06-01 12:00:00 UTC"), "2026-06-01T15:00:00Z");
        assert_eq!(read("<GMT+3>3", "2026-06-01 12:00:00 GMT+3"), "2026-06-01T15:00:00Z");
        assert_eq!(read("<+05>-5", "2026-06-01 12:00:00 +05"), "2026-06-01T07:00:00Z");
        assert_eq!(read("<+0545>-5:45", "2026-06-01 12:00:00 +0545"), "2026-06-01T06:15:00Z");
        // A name that says the contrary of what it means.
        assert_eq!(read("<+05>5", "2026-06-01 12:00:00 +05"), "2026-06-01T17:00:00Z");
        assert_eq!(read("FOO-2", "2026-06-01 12:00:00 FOO"), "2026-06-01T10:00:00Z");
        // Daylight saving time as in the United States, where the rule does not say when it is.
        assert_eq!(read("AAA5BBB", "2026-06-01 12:00:00 BBB"), "2026-06-01T16:00:00Z");
        assert_eq!(read("AAA5BBB", "2026-12-01 12:00:00 AAA"), "2026-12-01T17:00:00Z");
    }

    #[test]
    fn an_unknown_zone_is_a_guess_and_counted() {
        let mut reader = TimeReader::new(Zone::unknown());
        assert_eq!(reader.read(b"2026-06-01 12:00:00 QQT").unwrap().to_string(), "2026-06-01T12:00:00Z");
        assert_eq!(reader.guessed, 1);
        let mut reader = TimeReader::new(Zone::named("Asia/Tokyo"));
        assert_eq!(reader.read(b"2026-06-01 12:00:00 QQT").unwrap().to_string(), "2026-06-01T03:00:00Z");
        assert_eq!(reader.guessed, 1);
    }

    #[test]
    fn no_time_is_no_time() {
        for text in ["", "2026", "2026-13-01 00:00:00 UTC", "2026-01-01 00:61:00 UTC", "abcd-01-01 00:00:00"] {
            assert_eq!(local(text.as_bytes()), None, "{text}");
            assert_eq!(time_len(text.as_bytes()), (0, None), "{text}");
        }
        assert_eq!(time_len(b"2026-11-21 12:00:00.123 UTC [1] LOG"), (27, None));
        assert_eq!(time_len(b"2026-11-21 12:00:00 -03 x"), (23, None));
        assert_eq!(time_len(b"2026-11-21 12:00:00 +05:45:30 x"), (29, None));
        assert_eq!(time_len(b"2026-11-21 12:00:00 [1]"), (19, None));
        assert_eq!(time_len(b"2026-11-21 12:00:00 GMT+3 [1]"), (23, Some(25)));
        assert_eq!(time_len(b"2026-11-21 12:00:00 UTC-bob"), (23, None));
    }
}
