//! stderr lines that went through a syslog daemon or journald.

use std::borrow::Cow;

use pganalytics_core::Timestamp;
use serde::Deserialize;

use super::{
    json::Scalar,
    lines::{Join, WrapperFields},
    zone::{Zone, days},
};

/// What is inside.
#[derive(Debug)]
pub(super) struct Unwrapped<'a> {
    pub(super) outer: WrapperFields,
    pub(super) join: Join,
    pub(super) text: Cow<'a, str>,
}

/// `Nov 21 12:00:01 host postgres[123]: [5-1] …`, also with an RFC 3339 time and
/// with `<134>` before.
pub(super) fn syslog<'a>(line: &'a str, zone: &Zone, now: Timestamp) -> Option<Unwrapped<'a>> {
    let line = match line.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        Some((priority, rest)) if priority.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        _ => line,
    };
    let (time, rest) = old_time(line, zone, now).or_else(|| new_time(line))?;
    let (_host, rest) = rest.split_once(' ')?;
    let (program, rest) = rest.split_once("]: ")?;
    let (_name, pid) = program.rsplit_once('[')?;
    let pid = pid.parse().ok()?;
    let (join, text) = numbered(rest);
    Some(Unwrapped { outer: WrapperFields { time, pid: Some(pid) }, join, text: unescaped(text) })
}

/// `[5-2] `: second piece of the fifth entry of a process.
fn numbered(text: &str) -> (Join, &str) {
    let piece = || {
        let (numbers, rest) = text.strip_prefix('[')?.split_once("] ")?;
        let (entry, piece) = numbers.split_once('-')?;
        entry.parse::<u64>().ok()?;
        Some((piece.parse::<u64>().ok()?, rest))
    };
    match piece() {
        Some((1, rest)) => (Join::Foreign, rest),
        Some((_, rest)) => (Join::SameLine, rest),
        None => (Join::Foreign, text),
    }
}

/// Daemons write control characters as `#` and three octal digits.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('#') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut pieces = text.split('#');
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let control = piece.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(u8::is_ascii_control);
        match control.zip(piece.get(3..)) {
            Some((control, rest)) => {
                out.push(char::from(control));
                out.push_str(rest);
            }
            None => {
                out.push('#');
                out.push_str(piece);
            }
        }
    }
    Cow::Owned(out)
}

/// `Nov 21 12:00:01 `: the newest such time that is not after tomorrow; the
/// daemon's local time. Its zone is not said; it is most likely that of the server, which
/// takes it from the host when it is made.
fn old_time<'a>(line: &'a str, zone: &Zone, now: Timestamp) -> Option<(Option<Timestamp>, &'a str)> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let (time, rest) = line.split_at_checked(15)?;
    let rest = rest.strip_prefix(' ')?;
    let month = time.get(..3)?;
    let month = MONTHS.find(month).filter(|at| at % 3 == 0)? / 3 + 1;
    let number = |from: usize, to: usize| time.get(from..to)?.trim_start().parse::<i64>().ok();
    let (day, hour, minute, second) = (number(4, 6)?, number(7, 9)?, number(10, 12)?, number(13, 15)?);
    let this_year = jiff::Timestamp::from_microsecond(now.as_micros()).ok()?.to_zoned(jiff::tz::TimeZone::UTC).year();
    let at = |year: i64| {
        let days = days(year, i64::try_from(month).unwrap_or(1), day);
        let local = days * 86_400 + hour * 3_600 + minute * 60 + second;
        Timestamp::from_secs(local - zone.offset(local, b"").0)
    };
    let newest = at(i64::from(this_year) + 1);
    let tomorrow = now.plus_micros(86_400_000_000);
    let time =
        [newest, at(i64::from(this_year)), at(i64::from(this_year) - 1)].into_iter().find(|time| *time <= tomorrow);
    Some((time, rest))
}

/// `2026-11-21T12:00:01.123456+01:00 `
fn new_time(line: &str) -> Option<(Option<Timestamp>, &str)> {
    let (time, rest) = line.split_once(' ')?;
    Some((Some(time.parse().ok()?), rest))
}

#[derive(Debug, Deserialize)]
struct JournalLine<'a> {
    #[serde(rename = "MESSAGE", borrow)]
    message: Scalar<'a>,
    #[serde(rename = "_PID", borrow, default)]
    pid: Scalar<'a>,
    #[serde(rename = "SYSLOG_PID", borrow, default)]
    syslog_pid: Scalar<'a>,
    #[serde(rename = "__REALTIME_TIMESTAMP", borrow, default)]
    time: Scalar<'a>,
}

/// A line of `journalctl -o json`.
pub(super) fn journal(line: &str) -> Option<Unwrapped<'_>> {
    let JournalLine { message, pid, syslog_pid, time } = serde_json::from_str(line).ok()?;
    let Scalar::Text(text) = message else { return None };
    let pid = syslog_pid.number().or_else(|| pid.number()).and_then(|pid| pid.try_into().ok());
    let (join, start) = {
        let (join, rest) = numbered(&text);
        (join, text.len() - rest.len())
    };
    let text = match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(start..)?),
        Cow::Owned(text) => Cow::Owned(text.get(start..)?.to_owned()),
    };
    Some(Unwrapped { outer: WrapperFields { time: time.number().map(Timestamp::from_micros), pid }, join, text })
}
