//! Values of a column that has another type now.
//!
//! A value stays where the new type can say the same; any other becomes NULL.

use std::sync::Arc;

use datafusion::arrow::{
    array::{
        ArrayRef, AsArray as _, BooleanArray, Float64Array, Int64Array, StringViewArray, TimestampMicrosecondArray,
        new_null_array,
    },
    datatypes::{Float64Type, Int64Type, TimestampMicrosecondType},
};
use pganalytics_core::{ColumnType, Timestamp};

use super::{shape::arrow_type, table::ZONE};

/// Whole floats up to here are exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The values of a column of type `from` as type `to` has them.
pub(super) fn convert(array: &ArrayRef, from: ColumnType, to: ColumnType) -> ArrayRef {
    use ColumnType::{Bool, Float, Int, Text, Timestamp as Time};
    let ints = || array.as_primitive::<Int64Type>().iter();
    let floats = || array.as_primitive::<Float64Type>().iter();
    let bools = || array.as_boolean().iter();
    let times = || array.as_primitive::<TimestampMicrosecondType>().iter();
    let texts = || array.as_string_view().iter();
    match (from, to) {
        (Int, Int) | (Float, Float) | (Bool, Bool) | (Time, Time) | (Text, Text) => Arc::clone(array),
        #[expect(clippy::cast_precision_loss, reason = "a column of floats holds rounded numbers")]
        (Int, Float) => Arc::new(Float64Array::from_iter(ints().map(|value| value.map(|value| value as f64)))),
        (Float, Int) => Arc::new(Int64Array::from_iter(floats().map(|value| value.and_then(whole)))),
        (Int, Text) => Arc::new(StringViewArray::from_iter(ints().map(|value| value.map(|value| value.to_string())))),
        (Float, Text) => {
            Arc::new(StringViewArray::from_iter(floats().map(|value| value.map(|value| value.to_string()))))
        }
        (Bool, Text) => Arc::new(StringViewArray::from_iter(bools().map(|value| value.map(|value| value.to_string())))),
        (Time, Text) => {
            let text = |micros| Timestamp::from_micros(micros).to_string();
            Arc::new(StringViewArray::from_iter(times().map(|value| value.map(text))))
        }
        (Text, Int) => Arc::new(Int64Array::from_iter(texts().map(|text| text?.parse().ok()))),
        (Text, Float) => Arc::new(Float64Array::from_iter(texts().map(|text| text?.parse().ok()))),
        (Text, Bool) => Arc::new(BooleanArray::from_iter(texts().map(|text| text?.parse().ok()))),
        (Text, Time) => {
            let time = |text: Option<&str>| text?.parse().ok().map(Timestamp::as_micros);
            Arc::new(TimestampMicrosecondArray::from_iter(texts().map(time)).with_timezone(ZONE))
        }
        (Int | Float, Bool | Time) | (Bool, Int | Float | Time) | (Time, Int | Float | Bool) => {
            new_null_array(&arrow_type(to), array.len())
        }
    }
}

fn whole(value: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "whole and small enough to be exact")]
    (value.fract() == 0.0 && value.abs() <= EXACT).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_where_the_new_type_can_say_it() {
        let texts: ArrayRef = Arc::new(StringViewArray::from_iter([Some("17"), Some("n/a"), None, Some("2.5")]));
        let ints: ArrayRef = Arc::new(Int64Array::from(vec![Some(17), None]));
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(2.5), Some(-3.0), Some(1e300), Some(f64::NAN)]));
        let to_int = convert(&texts, ColumnType::Text, ColumnType::Int);
        assert_eq!(to_int.as_primitive::<Int64Type>(), &Int64Array::from(vec![Some(17), None, None, None]));
        let to_float = convert(&texts, ColumnType::Text, ColumnType::Float);
        let wanted = Float64Array::from(vec![Some(17.0), None, None, Some(2.5)]);
        assert_eq!(to_float.as_primitive::<Float64Type>(), &wanted);
        let to_text = convert(&ints, ColumnType::Int, ColumnType::Text);
        assert_eq!(to_text.as_string_view(), &StringViewArray::from_iter([Some("17"), None]));
        let to_int = convert(&floats, ColumnType::Float, ColumnType::Int);
        assert_eq!(to_int.as_primitive::<Int64Type>(), &Int64Array::from(vec![None, Some(-3), None, None]));
        let to_text = convert(&floats, ColumnType::Float, ColumnType::Text);
        assert_eq!(to_text.as_string_view().value(1), "-3");
    }

    #[test]
    fn each_type_becomes_each_other_without_a_fault() {
        use ColumnType::{Bool, Float, Int, Text, Timestamp};
        for from in [Int, Float, Bool, Timestamp, Text] {
            let array = new_null_array(&arrow_type(from), 3);
            for to in [Int, Float, Bool, Timestamp, Text] {
                let converted = convert(&array, from, to);
                assert_eq!((converted.data_type(), converted.null_count()), (&arrow_type(to), 3), "{from} to {to}");
            }
        }
    }
}
