//! Times and intervals with PostgreSQL's meaning.

use std::{fmt::Write as _, sync::Arc};

use datafusion::{
    arrow::{
        array::{
            Array as _, ArrayRef, AsArray as _, IntervalMonthDayNanoArray, StringViewBuilder, TimestampMicrosecondArray,
        },
        datatypes::{
            DataType, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit, TimestampMicrosecondType,
        },
    },
    common::{DataFusionError, plan_err},
};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::{
    picture::{Moment, paint},
    plain::wrong,
};
use crate::sql::table::ZONE;

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
const LOCAL: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

fn zoned() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(ZONE.into()))
}

fn is_time(ty: &DataType) -> bool {
    matches!(ty, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Null) || is_text(ty)
}

fn is_text(ty: &DataType) -> bool {
    matches!(ty, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

type Typed = Result<(Vec<DataType>, DataType), DataFusionError>;

pub(super) fn char_types(types: &[DataType]) -> Typed {
    let [value, picture] = types else { return plan_err!("to_char has two arguments, a value and a pattern") };
    if !is_text(picture) && !picture.is_null() {
        return plan_err!("to_char: the pattern is a text, not {picture}");
    }
    let value = match value {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => LOCAL,
        DataType::Interval(_) | DataType::Duration(_) => INTERVAL,
        ty if ty.is_integer() => DataType::Int64,
        ty if ty.is_numeric() => DataType::Float64,
        DataType::Null => DataType::Int64,
        other => return plan_err!("to_char takes a time, an interval or a number, not {other}; cast it"),
    };
    Ok((vec![value, DataType::Utf8View], DataType::Utf8View))
}

pub(super) fn to_char(args: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let [values, pictures] = args else { return plan_err!("to_char has two arguments") };
    let pictures = pictures.as_string_view();
    let mut texts = StringViewBuilder::with_capacity(values.len());
    for row in 0..values.len() {
        if values.is_null(row) || pictures.is_null(row) {
            texts.append_null();
            continue;
        }
        let picture = pictures.value(row);
        if picture.is_empty() && !values.data_type().is_numeric() {
            texts.append_null();
            continue;
        }
        let text = match values.data_type() {
            DataType::Int64 => super::number::paint(
                &values.as_primitive::<datafusion::arrow::datatypes::Int64Type>().value(row).to_string(),
                picture,
            ),
            DataType::Float64 => {
                let value = values.as_primitive::<datafusion::arrow::datatypes::Float64Type>().value(row);
                // All digits that it has, so that it is rounded as what it is.
                super::number::paint(&format!("{value:.40}"), picture)
            }
            DataType::Interval(_) => {
                paint(of_interval(values.as_primitive::<IntervalMonthDayNanoType>().value(row)), picture)
            }
            _ => paint(of_time(civil(values.as_primitive::<TimestampMicrosecondType>().value(row))?), picture),
        };
        texts.append_value(text.map_err(wrong)?);
    }
    Ok(Arc::new(texts.finish()))
}

fn civil(micros: i64) -> Result<DateTime, DataFusionError> {
    let at = Timestamp::from_microsecond(micros).map_err(|_| wrong("timestamp out of range"))?;
    Ok(TimeZone::UTC.to_datetime(at))
}

fn micros(at: DateTime) -> Result<i64, DataFusionError> {
    let at = TimeZone::UTC.to_timestamp(at).map_err(|_| wrong("timestamp out of range"))?;
    Ok(at.as_microsecond())
}

fn of_time(at: DateTime) -> Moment {
    Moment {
        year: at.year().into(),
        month: at.month().into(),
        day: at.day().into(),
        hour: at.hour().into(),
        minute: at.minute().into(),
        second: at.second().into(),
        micros: i64::from(at.subsec_nanosecond()) / 1_000,
        date: Some(at),
    }
}

fn of_interval(value: IntervalMonthDayNano) -> Moment {
    let micros = value.nanoseconds / 1_000;
    let seconds = micros / 1_000_000;
    Moment {
        year: i64::from(value.months / 12),
        month: i64::from(value.months % 12),
        day: value.days.into(),
        hour: seconds / 3_600,
        minute: seconds / 60 % 60,
        second: seconds % 60,
        micros: micros % 1_000_000,
        date: None,
    }
}

/// An interval as PostgreSQL writes it.
pub(in crate::sql) fn interval_text(value: IntervalMonthDayNano) -> String {
    let mut text = String::new();
    let mut negative = false;
    let parts = [(value.months / 12, "year"), (value.months % 12, "mon"), (value.days, "day")];
    for (count, unit) in parts.into_iter().filter(|(count, _)| *count != 0) {
        let sign = if negative && count > 0 { "+" } else { "" };
        let plural = if count == 1 { "" } else { "s" };
        let space = if text.is_empty() { "" } else { " " };
        // Writing to a text does not fail.
        let _ = write!(text, "{space}{sign}{count} {unit}{plural}");
        negative = count < 0;
    }
    let micros = value.nanoseconds / 1_000;
    if micros != 0 || text.is_empty() {
        let sign = if micros < 0 {
            "-"
        } else if negative {
            "+"
        } else {
            ""
        };
        let space = if text.is_empty() { "" } else { " " };
        let all = micros.unsigned_abs();
        let (seconds, fraction) = (all / 1_000_000, all % 1_000_000);
        let _ = write!(text, "{space}{sign}{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
        if fraction > 0 {
            text.push_str(format!(".{fraction:06}").trim_end_matches('0'));
        }
    }
    text
}

/// The difference of two times, which PostgreSQL writes with days.
pub(in crate::sql) fn elapsed_text(micros: i64) -> String {
    const DAY: i64 = 86_400_000_000;
    let days = i32::try_from(micros / DAY).unwrap_or(if micros < 0 { i32::MIN } else { i32::MAX });
    interval_text(IntervalMonthDayNano::new(0, days, micros % DAY * 1_000))
}

pub(super) fn age_types(types: &[DataType]) -> Typed {
    match types {
        [until, since] if is_time(until) && is_time(since) => Ok((vec![LOCAL; 2], INTERVAL)),
        [_] => plan_err!("age has two arguments here: age(later, earlier); use age(now(), time)"),
        _ => plan_err!("age takes two times: age(later, earlier)"),
    }
}

pub(super) fn age(args: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let [until, since] = args else { return plan_err!("age has two arguments") };
    let (until, since) =
        (until.as_primitive::<TimestampMicrosecondType>(), since.as_primitive::<TimestampMicrosecondType>());
    let ages = until.iter().zip(since.iter()).map(|pair| match pair {
        (Some(until), Some(since)) => between(civil(until)?, civil(since)?).map(Some),
        _ => Ok(None),
    });
    Ok(Arc::new(ages.collect::<Result<IntervalMonthDayNanoArray, DataFusionError>>()?))
}

/// Years, months, days and the rest. Days are borrowed from the month of the
/// earlier time, as PostgreSQL does.
fn between(until: DateTime, since: DateTime) -> Result<IntervalMonthDayNano, DataFusionError> {
    let backwards = until < since;
    let (late, early) = if backwards { (since, until) } else { (until, since) };
    let nanos = |at: DateTime| {
        (i64::from(at.hour()) * 3_600 + i64::from(at.minute()) * 60 + i64::from(at.second())) * 1_000_000_000
            + i64::from(at.subsec_nanosecond())
    };
    let mut rest = nanos(late) - nanos(early);
    let mut days = i32::from(late.day()) - i32::from(early.day());
    let mut months =
        (i32::from(late.year()) - i32::from(early.year())) * 12 + i32::from(late.month()) - i32::from(early.month());
    if rest < 0 {
        rest += 86_400_000_000_000;
        days -= 1;
    }
    if days < 0 {
        days += i32::from(early.days_in_month());
        months -= 1;
    }
    let sign = if backwards { -1 } else { 1 };
    Ok(IntervalMonthDayNano::new(months * sign, days * sign, rest * i64::from(sign)))
}

pub(super) fn timezone_types(types: &[DataType]) -> Typed {
    match types {
        [zone, DataType::Timestamp(_, Some(_))] if is_text(zone) => Ok((vec![DataType::Utf8View, zoned()], LOCAL)),
        [zone, time] if is_text(zone) && is_time(time) => Ok((vec![DataType::Utf8View, LOCAL], zoned())),
        _ => plan_err!("at time zone takes a time and the name of a zone"),
    }
}

fn zone(name: &str) -> Result<TimeZone, DataFusionError> {
    if name.eq_ignore_ascii_case("utc") || name.eq_ignore_ascii_case("gmt") {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name).map_err(|_| wrong(format!("time zone \"{name}\" not recognized; use a name as Europe/Berlin")))
}

pub(super) fn timezone(args: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let [zones, times] = args else { return plan_err!("timezone has two arguments") };
    let to_local = matches!(times.data_type(), DataType::Timestamp(_, Some(_)));
    let rows = zones.as_string_view().iter().zip(times.as_primitive::<TimestampMicrosecondType>());
    let mut known = Zones::default();
    let moved = rows.map(|row| match row {
        (Some(name), Some(time)) => {
            let zone = known.get(name)?;
            if to_local { local(zone, time).and_then(micros).map(Some) } else { instant(zone, civil(time)?).map(Some) }
        }
        _ => Ok(None),
    });
    let moved = moved.collect::<Result<TimestampMicrosecondArray, DataFusionError>>()?;
    Ok(Arc::new(if to_local { moved } else { moved.with_timezone(ZONE) }))
}

/// The zone of the row before, which is mostly that of the next.
#[derive(Default)]
struct Zones(Option<(String, TimeZone)>);

impl Zones {
    fn get(&mut self, name: &str) -> Result<&TimeZone, DataFusionError> {
        if self.0.as_ref().is_none_or(|(known, _)| known != name) {
            self.0 = Some((name.to_owned(), zone(name)?));
        }
        self.0.as_ref().map(|(_, zone)| zone).ok_or_else(|| wrong("time zone not recognized"))
    }
}

fn local(zone: &TimeZone, time: i64) -> Result<DateTime, DataFusionError> {
    let at = Timestamp::from_microsecond(time).map_err(|_| wrong("timestamp out of range"))?;
    Ok(zone.to_datetime(at))
}

fn instant(zone: &TimeZone, at: DateTime) -> Result<i64, DataFusionError> {
    let at = zone.to_timestamp(at).map_err(|_| wrong("timestamp out of range"))?;
    Ok(at.as_microsecond())
}

pub(super) fn trunc_types(types: &[DataType]) -> Typed {
    match types {
        [unit, time, zone] if is_text(unit) && is_text(zone) && is_time(time) => {
            Ok((vec![DataType::Utf8View, zoned(), DataType::Utf8View], zoned()))
        }
        _ => plan_err!("date_trunc takes a unit, a time and the name of a zone"),
    }
}

/// `date_trunc` in a zone.
pub(super) fn trunc(args: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let [units, times, zones] = args else { return plan_err!("date_trunc has three arguments") };
    let (units, zones) = (units.as_string_view(), zones.as_string_view());
    let mut known = Zones::default();
    let cut = times.as_primitive::<TimestampMicrosecondType>().iter().enumerate().map(|(row, time)| {
        let Some(time) = time else { return Ok(None) };
        if units.is_null(row) || zones.is_null(row) {
            return Ok(None);
        }
        let zone = known.get(zones.value(row))?;
        let at = local(zone, time)?;
        let first = |month: i8| jiff::civil::date(at.year(), month, 1).to_datetime(jiff::civil::Time::midnight());
        let unit = units.value(row);
        let begin = match unit.to_ascii_lowercase().as_str() {
            "second" => return Ok(Some(time - time.rem_euclid(1_000_000))),
            "minute" => return Ok(Some(time - time.rem_euclid(60_000_000))),
            "hour" => at.with().minute(0).second(0).subsec_nanosecond(0).build(),
            "day" => Ok(at.date().to_datetime(jiff::civil::Time::midnight())),
            "week" => {
                let days = i64::from(at.weekday().to_monday_zero_offset());
                at.date()
                    .checked_sub(jiff::Span::new().days(days))
                    .map(|date| date.to_datetime(jiff::civil::Time::midnight()))
            }
            "month" => Ok(first(at.month())),
            "quarter" => Ok(first((at.month() - 1) / 3 * 3 + 1)),
            "year" => Ok(first(1)),
            _ => return Err(wrong(format!("date_trunc: \"{unit}\" is no unit; use second to year"))),
        };
        instant(zone, begin.map_err(|_| wrong("timestamp out of range"))?).map(Some)
    });
    let cut = cut.collect::<Result<TimestampMicrosecondArray, DataFusionError>>()?;
    Ok(Arc::new(cut.with_timezone(ZONE)))
}

/// A time as PostgreSQL writes it.
pub(super) fn time_text(micros: i64, with_zone: bool) -> Result<String, DataFusionError> {
    let at = civil(micros)?;
    let mut text = format!("{} {:02}:{:02}:{:02}", at.date(), at.hour(), at.minute(), at.second());
    let fraction = at.subsec_nanosecond() / 1_000;
    if fraction > 0 {
        text.push_str(format!(".{fraction:06}").trim_end_matches('0'));
    }
    if with_zone {
        text.push_str("+00");
    }
    Ok(text)
}
