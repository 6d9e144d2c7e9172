//! Values that PostgreSQL refuses, rounds or writes otherwise than the engine.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array as _, ArrayRef, AsArray as _, Float64Array, Int64Array, StringViewBuilder},
        compute::kernels::numeric,
        datatypes::{
            DataType, DurationMicrosecondType, Float32Type, Float64Type, Int64Type, IntervalMonthDayNanoType,
            IntervalUnit, TimeUnit, TimestampMicrosecondType,
        },
    },
    common::{DataFusionError, plan_err},
};

use super::{
    plain::wrong,
    times::{elapsed_text, interval_text, time_text},
};

type Typed = Result<(Vec<DataType>, DataType), DataFusionError>;

pub(super) fn float_types(types: &[DataType]) -> Typed {
    match types {
        [_] => Ok((vec![DataType::Float64], DataType::Float64)),
        _ => plan_err!("it has one argument"),
    }
}

fn refused(args: &[ArrayRef], bad: fn(f64) -> bool, message: &str) -> Result<ArrayRef, DataFusionError> {
    let [values] = args else { return plan_err!("it has one argument") };
    if values.as_primitive::<Float64Type>().iter().flatten().any(bad) {
        return Err(wrong(message));
    }
    Ok(Arc::clone(values))
}

pub(super) fn nonzero(args: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    refused(args, |value| value == 0.0, "division by zero")
}

pub(super) fn positive(args: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    refused(args, |value| value == 0.0, "cannot take logarithm of zero")?;
    refused(args, |value| value < 0.0, "cannot take logarithm of a negative number")
}

pub(super) fn nonnegative(args: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    refused(args, |value| value < 0.0, "cannot take square root of a negative number")
}

/// To the nearest whole number, halves to the even one.
pub(super) fn rint(args: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let [values] = args else { return plan_err!("it has one argument") };
    let rounded: Float64Array = values.as_primitive::<Float64Type>().unary(f64::round_ties_even);
    Ok(Arc::new(rounded))
}

pub(super) fn integer_types(types: &[DataType]) -> Typed {
    match types {
        [_, _] => Ok((vec![DataType::Int64; 2], DataType::Int64)),
        _ => plan_err!("it has two arguments"),
    }
}

macro_rules! checked {
    ($name:ident, $kernel:path) => {
        pub(super) fn $name(args: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
            let [left, right] = args else { return plan_err!("it has two arguments") };
            $kernel(left, right).map_err(|_| wrong("bigint out of range"))
        }
    };
}

checked!(plus, numeric::add);
checked!(minus, numeric::sub);
checked!(times, numeric::mul);

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

pub(super) fn text_types(types: &[DataType]) -> Typed {
    let [value] = types else { return plan_err!("it has one argument") };
    let value = match value {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Interval(_) => INTERVAL,
        DataType::Duration(_) => DataType::Duration(TimeUnit::Microsecond),
        DataType::Float16 | DataType::Float32 => DataType::Float32,
        other => other.clone(),
    };
    Ok((vec![value], DataType::Utf8View))
}

/// Whether the engine writes such values otherwise than PostgreSQL.
pub(super) fn has_own_text(ty: &DataType) -> bool {
    matches!(ty, DataType::Timestamp(..) | DataType::Interval(_) | DataType::Duration(_)) || ty.is_floating()
}

pub(super) fn text(args: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let [values] = args else { return plan_err!("it has one argument") };
    let mut texts = StringViewBuilder::with_capacity(values.len());
    for row in 0..values.len() {
        if values.is_null(row) {
            texts.append_null();
            continue;
        }
        texts.append_value(match values.data_type() {
            DataType::Timestamp(_, zone) => {
                time_text(values.as_primitive::<TimestampMicrosecondType>().value(row), zone.is_some())?
            }
            DataType::Interval(_) => interval_text(values.as_primitive::<IntervalMonthDayNanoType>().value(row)),
            DataType::Duration(_) => elapsed_text(values.as_primitive::<DurationMicrosecondType>().value(row)),
            // As `concat` and `format` write it; a cast writes the whole word.
            DataType::Boolean => (if values.as_boolean().value(row) { "t" } else { "f" }).to_owned(),
            DataType::Float32 => {
                let value = values.as_primitive::<Float32Type>().value(row);
                float_text(value.into(), &format!("{value:e}"), &value.to_string(), 6)
            }
            DataType::Float64 => {
                let value = values.as_primitive::<Float64Type>().value(row);
                float_text(value, &format!("{value:e}"), &value.to_string(), 15)
            }
            other => return Err(wrong(format!("no text of {other}"))),
        });
    }
    Ok(Arc::new(texts.finish()))
}

fn float_text(value: f64, scientific: &str, plain: &str, digits: i32) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return (if value > 0.0 { "Infinity" } else { "-Infinity" }).to_owned();
    }
    match scientific.split_once('e').map(|(mantissa, exponent)| (mantissa, exponent.parse::<i32>())) {
        Some((mantissa, Ok(exponent))) if exponent < -4 || exponent >= digits => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => plain.to_owned(),
    }
}

pub(super) fn bucket_types(types: &[DataType]) -> Typed {
    match types {
        [_, _, _, _] => {
            let float = DataType::Float64;
            Ok((vec![float.clone(), float.clone(), float, DataType::Int64], DataType::Int64))
        }
        _ => plan_err!("width_bucket has four arguments: value, low, high, count"),
    }
}

pub(super) fn bucket(args: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let [values, lows, highs, counts] = args else { return plan_err!("width_bucket has four arguments") };
    let floats = |array: &ArrayRef| array.as_primitive::<Float64Type>().clone();
    let (values, lows, highs) = (floats(values), floats(lows), floats(highs));
    let rows = values.iter().zip(lows.iter()).zip(highs.iter()).zip(counts.as_primitive::<Int64Type>());
    let buckets = rows.map(|(((value, low), high), count)| {
        let (Some(value), Some(low), Some(high), Some(count)) = (value, low, high, count) else { return Ok(None) };
        if count <= 0 {
            return Err(wrong("count must be greater than zero"));
        }
        if value.is_nan() || low.is_nan() || high.is_nan() {
            return Err(wrong("operand, lower bound, and upper bound cannot be NaN"));
        }
        if !low.is_finite() || !high.is_finite() {
            return Err(wrong("lower and upper bounds must be finite"));
        }
        if low == high {
            return Err(wrong("lower bound cannot equal upper bound"));
        }
        let (far, span) = if low < high { (value - low, high - low) } else { (low - value, low - high) };
        Ok(Some(if far < 0.0 {
            0
        } else if far >= span {
            count.saturating_add(1)
        } else {
            // The share is below 1, so this is at most the count.
            #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
            let bucket = (far / span * count as f64).floor() as i64;
            bucket.min(count - 1) + 1
        }))
    });
    Ok(Arc::new(buckets.collect::<Result<Int64Array, DataFusionError>>()?))
}

pub(super) fn format_types(types: &[DataType]) -> Typed {
    if types.is_empty() {
        return plan_err!("format has a template and values: format('%s of %s', a, b)");
    }
    Ok((vec![DataType::Utf8View; types.len()], DataType::Utf8View))
}

/// `format` with `%s`, `%I`, `%L`, `%%` and places as `%2$s`.
pub(super) fn format_text(args: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let Some((templates, values)) = args.split_first() else { return plan_err!("format has a template") };
    let templates = templates.as_string_view();
    let mut texts = StringViewBuilder::with_capacity(templates.len());
    for row in 0..templates.len() {
        if templates.is_null(row) {
            texts.append_null();
            continue;
        }
        let value = |at: usize| {
            let array = values.get(at).ok_or_else(|| wrong("too few arguments for format()"))?;
            let array = array.as_string_view();
            Ok::<_, DataFusionError>(array.is_valid(row).then(|| array.value(row).to_owned()))
        };
        texts.append_value(filled(templates.value(row), value)?);
    }
    Ok(Arc::new(texts.finish()))
}

fn filled(
    template: &str,
    value: impl Fn(usize) -> Result<Option<String>, DataFusionError>,
) -> Result<String, DataFusionError> {
    let mut text = String::new();
    let mut next = 0;
    let mut rest = template;
    while let Some((plain, after)) = rest.split_once('%') {
        text.push_str(plain);
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let (place, after) = match after.split_at_checked(digits) {
            Some((place, after)) if digits > 0 && after.starts_with('$') => {
                let place = place.parse::<usize>().ok().filter(|place| *place > 0);
                let place =
                    place.ok_or_else(|| wrong("format specifies argument 0, but arguments are numbered from 1"))?;
                (Some(place - 1), after.get(1..).unwrap_or_default())
            }
            _ => (None, after),
        };
        let mut letters = after.chars();
        let letter = letters.next();
        if letter == Some('%') {
            text.push('%');
            rest = letters.as_str();
            continue;
        }
        let at = place.unwrap_or(next);
        next = at + 1;
        match letter {
            Some('s') => text.push_str(&value(at)?.unwrap_or_default()),
            Some('I') => {
                let name = value(at)?.ok_or_else(|| wrong("null values cannot be formatted as an SQL identifier"))?;
                text.push_str(&identifier(&name));
            }
            Some('L') => match value(at)? {
                Some(literal) if literal.contains('\\') => {
                    text.push_str(&format!("E'{}'", literal.replace('\\', "\\\\").replace('\'', "''")));
                }
                Some(literal) => text.push_str(&format!("'{}'", literal.replace('\'', "''"))),
                None => text.push_str("NULL"),
            },
            Some(other) => return Err(wrong(format!("unrecognized format() type specifier \"{other}\""))),
            None => return Err(wrong("unterminated format() type specifier")),
        }
        rest = letters.as_str();
    }
    text.push_str(rest);
    Ok(text)
}

fn identifier(name: &str) -> String {
    let plain =
        |at: usize, letter: char| letter.is_ascii_lowercase() || letter == '_' || (at > 0 && letter.is_ascii_digit());
    let reserved = ["select", "table", "user", "order", "group", "from", "where", "all", "and", "or", "not", "end"];
    if !name.is_empty() && name.char_indices().all(|(at, letter)| plain(at, letter)) && !reserved.contains(&name) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(super) fn sign(args: &[ArrayRef]) -> Result<ArrayRef, DataFusionError> {
    let [values] = args else { return plan_err!("it has one argument") };
    let signs: Float64Array =
        values.as_primitive::<Float64Type>().unary(|value| if value == 0.0 { 0.0 } else { value.signum() });
    Ok(Arc::new(signs))
}
