//! `to_char` of times and intervals, with PostgreSQL's patterns.

use jiff::civil::DateTime;

/// What a pattern takes its numbers from.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moment {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    pub(super) micros: i64,
    /// A time that has a place in the calendar; `None` for an interval.
    pub(super) date: Option<DateTime>,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const ROMAN: [&str; 12] = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

/// Longer patterns first where one begins another.
const PATTERNS: &[&str] = &[
    "Y,YYY", "A.D.", "B.C.", "a.d.", "b.c.", "A.M.", "P.M.", "a.m.", "p.m.", "HH24", "HH12", "HH", "IDDD", "IYYY",
    "IYY", "IY", "IW", "ID", "I", "SSSSS", "SSSS", "SS", "MONTH", "Month", "month", "MON", "Mon", "mon", "MI", "MS",
    "MM", "YYYY", "YYY", "YY", "Y", "DAY", "Day", "day", "DY", "Dy", "dy", "DDD", "DD", "D", "FF1", "FF2", "FF3",
    "FF4", "FF5", "FF6", "US", "WW", "W", "CC", "J", "Q", "RM", "rm", "TZH", "TZM", "TZ", "tz", "OF", "AM", "PM", "am",
    "pm", "AD", "BC", "ad", "bc",
];

/// The text of a moment.
pub(super) fn paint(at: Moment, picture: &str) -> Result<String, String> {
    let mut text = String::with_capacity(picture.len() * 2);
    let mut rest = picture;
    let mut tight = false;
    while let Some(letter) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("FM").or_else(|| rest.strip_prefix("fm")) {
            tight = true;
            rest = after;
        } else if let Some(after) = rest.strip_prefix("FX").or_else(|| rest.strip_prefix("TM")) {
            rest = after;
        } else if let Some(after) = rest.strip_prefix('"') {
            let (quoted, after) = after.split_once('"').unwrap_or((after, ""));
            text.push_str(quoted);
            rest = after;
        } else if let Some(pattern) = PATTERNS.iter().find(|pattern| begins(rest, pattern)) {
            let (_, after) = rest.split_at(pattern.len());
            let (ordinal, after) = match after.get(..2) {
                Some("TH") => (Some(true), after.get(2..).unwrap_or_default()),
                Some("th") => (Some(false), after.get(2..).unwrap_or_default()),
                _ => (None, after),
            };
            let value = field(at, pattern, tight)?;
            text.push_str(&value);
            if let Some(upper) = ordinal {
                text.push_str(&suffix(&value, upper));
            }
            tight = false;
            rest = after;
        } else {
            let after = rest.get(letter.len_utf8()..).unwrap_or_default();
            text.push(letter);
            rest = after;
        }
    }
    Ok(text)
}

/// Patterns of numbers may be written in small letters too.
fn begins(rest: &str, pattern: &str) -> bool {
    let Some(head) = rest.get(..pattern.len()) else { return false };
    let words = ["MONTH", "MON", "DAY", "DY", "AM", "PM", "A.M.", "P.M.", "AD", "BC", "A.D.", "B.C.", "RM", "TZ"];
    let is_word = words.iter().any(|word| word.eq_ignore_ascii_case(pattern));
    head == pattern || (!is_word && head == pattern.to_ascii_lowercase())
}

fn suffix(number: &str, upper: bool) -> String {
    let tens = number.len() > 1 && number.as_bytes().get(number.len() - 2) == Some(&b'1');
    let ending = match number.as_bytes().last() {
        Some(b'1') if !tens => "st".to_owned(),
        Some(b'2') if !tens => "nd".to_owned(),
        Some(b'3') if !tens => "rd".to_owned(),
        _ => "th".to_owned(),
    };
    if upper { ending.to_uppercase() } else { ending }
}

fn field(at: Moment, pattern: &str, tight: bool) -> Result<String, String> {
    let number = |value: i64, width: usize| {
        if tight {
            value.to_string()
        } else if value < 0 {
            format!("-{:0width$}", -value)
        } else {
            format!("{value:0width$}")
        }
    };
    let dated = || at.date.ok_or_else(|| format!("to_char: the pattern \"{pattern}\" says nothing of an interval"));
    let name = |names: &[&str], index: i64, width: usize, short: bool| {
        let name = usize::try_from(index).ok().and_then(|index| names.get(index)).copied().unwrap_or_default();
        let name = if short { name.get(..3).unwrap_or(name) } else { name };
        let name = match pattern.chars().nth(1) {
            _ if pattern.chars().next().is_some_and(char::is_lowercase) => name.to_lowercase(),
            Some(second) if second.is_uppercase() => name.to_uppercase(),
            _ => name.to_owned(),
        };
        if tight || short { name } else { format!("{name:width$}") }
    };
    let half = if at.hour % 12 == 0 { 12 } else { at.hour % 12 };
    let weekday = || dated().map(|date| i64::from(date.weekday().to_sunday_zero_offset()));
    let iso = || dated().map(|date| date.date().iso_week_date());
    Ok(match pattern {
        "HH24" => number(at.hour, 2),
        "HH12" | "HH" => number(half, 2),
        "MI" => number(at.minute, 2),
        "SS" => number(at.second, 2),
        "MS" | "FF3" => format!("{:03}", at.micros / 1_000),
        "US" | "FF6" => format!("{:06}", at.micros),
        "FF1" => format!("{}", at.micros / 100_000),
        "FF2" => format!("{:02}", at.micros / 10_000),
        "FF4" => format!("{:04}", at.micros / 100),
        "FF5" => format!("{:05}", at.micros / 10),
        "SSSSS" | "SSSS" => (at.hour * 3_600 + at.minute * 60 + at.second).to_string(),
        "AM" | "PM" => (if at.hour % 24 < 12 { "AM" } else { "PM" }).to_owned(),
        "am" | "pm" => (if at.hour % 24 < 12 { "am" } else { "pm" }).to_owned(),
        "A.M." | "P.M." => (if at.hour % 24 < 12 { "A.M." } else { "P.M." }).to_owned(),
        "a.m." | "p.m." => (if at.hour % 24 < 12 { "a.m." } else { "p.m." }).to_owned(),
        "AD" | "BC" => dated().map(|_| "AD".to_owned())?,
        "ad" | "bc" => dated().map(|_| "ad".to_owned())?,
        "A.D." | "B.C." => dated().map(|_| "A.D.".to_owned())?,
        "a.d." | "b.c." => dated().map(|_| "a.d.".to_owned())?,
        "YYYY" => number(at.year, 4),
        "Y,YYY" => format!("{},{:03}", at.year / 1_000, at.year % 1_000),
        "YYY" => number(at.year % 1_000, 3),
        "YY" => number(at.year % 100, 2),
        "Y" => number(at.year % 10, 1),
        "IYYY" => number(i64::from(iso()?.year()), 4),
        "IYY" => number(i64::from(iso()?.year()) % 1_000, 3),
        "IY" => number(i64::from(iso()?.year()) % 100, 2),
        "I" => number(i64::from(iso()?.year()) % 10, 1),
        "IW" => number(i64::from(iso()?.week()), 2),
        "ID" => i64::from(dated()?.weekday().to_monday_one_offset()).to_string(),
        "IDDD" => {
            let week = iso()?;
            number((i64::from(week.week()) - 1) * 7 + i64::from(week.weekday().to_monday_one_offset()), 3)
        }
        "MM" => number(at.month, 2),
        "MONTH" | "Month" | "month" => dated().map(|_| name(&MONTHS, at.month - 1, 9, false))?,
        "MON" | "Mon" | "mon" => dated().map(|_| name(&MONTHS, at.month - 1, 3, true))?,
        "DAY" | "Day" | "day" => name(&DAYS, weekday()?, 9, false),
        "DY" | "Dy" | "dy" => name(&DAYS, weekday()?, 3, true),
        "DDD" => number(i64::from(dated()?.day_of_year()), 3),
        "DD" => number(at.day, 2),
        "D" => (weekday()? + 1).to_string(),
        "WW" => number((i64::from(dated()?.day_of_year()) - 1) / 7 + 1, 2),
        "W" => ((dated()?.day() - 1) / 7 + 1).to_string(),
        "CC" => number((at.year + 99) / 100, 2),
        "Q" => ((dated()?.month() - 1) / 3 + 1).to_string(),
        "J" => {
            let epoch = jiff::civil::date(1970, 1, 1);
            let days = dated()?.date().since(epoch).map(|span| i64::from(span.get_days()));
            (days.map_err(|error| error.to_string())? + 2_440_588).to_string()
        }
        "RM" | "rm" => {
            let index = usize::try_from(at.month - 1).unwrap_or_default();
            let roman = ROMAN.get(index).copied().unwrap_or_default();
            let roman = if pattern == "rm" { roman.to_lowercase() } else { roman.to_owned() };
            if tight { roman } else { format!("{roman:4}") }
        }
        // Times without another zone are in UTC.
        "TZ" => dated().map(|_| "UTC".to_owned())?,
        "tz" => dated().map(|_| "utc".to_owned())?,
        "TZH" | "OF" => dated().map(|_| "+00".to_owned())?,
        "TZM" => dated().map(|_| "00".to_owned())?,
        other => return Err(format!("to_char: the pattern \"{other}\" is not supported")),
    })
}
