//! How many bytes a call may write, before it writes them.

use datafusion::{
    arrow::{
        array::{Array as _, ArrayRef, AsArray as _},
        compute::cast,
        datatypes::{DataType, Int64Type},
    },
    common::{DataFusionError, ScalarValue},
    logical_expr::ColumnarValue,
};

use super::list::Size;

/// Most bytes that a call may write.
pub(super) fn estimate(size: Size, args: &[ColumnarValue], rows: usize) -> Result<u64, DataFusionError> {
    let one = args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
    let rows = if one { 1 } else { rows };
    let total = |arg: &ColumnarValue| match arg {
        ColumnarValue::Scalar(_) => bytes_of(arg).saturating_mul(rows as u64),
        ColumnarValue::Array(_) => bytes_of(arg),
    };
    let sum = args.iter().map(total).fold(0, u64::saturating_add);
    let lengths = |at: usize| args.get(at).map_or_else(|| Ok(Numbers::All(0)), lengths);
    let numbers = |at: usize| args.get(at).map_or_else(|| Ok(Numbers::All(0)), numbers);
    let each = |bytes: &dyn Fn(usize) -> u64| (0..rows).map(bytes).fold(0, u64::saturating_add);
    Ok(match size {
        Size::Fixed | Size::Counted => 0,
        Size::Sum => sum,
        // Some letters get longer in the other case.
        Size::Letters => sum.saturating_mul(3),
        Size::Template => {
            let all = (0..args.len()).map(lengths).collect::<Result<Vec<_>, _>>()?;
            let filled = |row| all.iter().map(|text| text.at(row)).fold(1, u64::saturating_add);
            each(&|row| all.first().map_or(0, |template| template.at(row)).saturating_mul(filled(row)))
        }
        Size::Picture => {
            let picture = lengths(1)?;
            each(&|row| picture.at(row).saturating_mul(12).saturating_add(64))
        }
        Size::Separated => {
            let between = args.first().map_or(0, total);
            sum.saturating_add(between.saturating_mul(args.len() as u64))
        }
        Size::Repeat => {
            let (text, times) = (lengths(0)?, numbers(1)?);
            each(&|row| text.at(row).saturating_mul(times.at(row)))
        }
        Size::Pad => {
            let (text, letters) = (lengths(0)?, numbers(1)?);
            each(&|row| text.at(row).max(letters.at(row).saturating_mul(4)))
        }
        Size::Replace => {
            let (text, from, to) = (lengths(0)?, lengths(1)?, lengths(2)?);
            each(&|row| {
                let places = text.at(row).checked_div(from.at(row)).unwrap_or(text.at(row) + 1);
                text.at(row).saturating_add(places.saturating_mul(to.at(row)))
            })
        }
        Size::Pattern => {
            let (text, to) = (lengths(0)?, lengths(2)?);
            each(&|row| {
                let (text, to) = (text.at(row), to.at(row));
                text.saturating_add(to.saturating_mul(text.saturating_mul(2).saturating_add(1)))
            })
        }
        Size::Join => {
            let elements = args.first().map_or(0, elements);
            let between = args.get(1).map_or(0, lengths_at_most).saturating_add(24);
            sum.saturating_add(elements.saturating_mul(rows as u64).saturating_mul(between))
        }
    })
}

/// A number for each row.
enum Numbers {
    All(u64),
    Each(Vec<u64>),
}

impl Numbers {
    fn at(&self, row: usize) -> u64 {
        match self {
            Self::All(number) => *number,
            Self::Each(numbers) => numbers.get(row).copied().unwrap_or_default(),
        }
    }
}

/// Lengths of texts in bytes.
fn lengths(arg: &ColumnarValue) -> Result<Numbers, DataFusionError> {
    match arg {
        ColumnarValue::Scalar(_) => Ok(Numbers::All(bytes_of(arg))),
        ColumnarValue::Array(array) => {
            let texts = cast(array, &DataType::Utf8View)?;
            Ok(Numbers::Each(texts.as_string_view().lengths().map(u64::from).collect()))
        }
    }
}

fn lengths_at_most(arg: &ColumnarValue) -> u64 {
    match lengths(arg) {
        Ok(Numbers::All(length)) => length,
        Ok(Numbers::Each(lengths)) => lengths.into_iter().max().unwrap_or_default(),
        Err(_) => bytes_of(arg),
    }
}

/// Whole numbers; negative ones and NULL are 0.
fn numbers(arg: &ColumnarValue) -> Result<Numbers, DataFusionError> {
    let number = |value: Option<i64>| u64::try_from(value.unwrap_or_default()).unwrap_or_default();
    match arg {
        ColumnarValue::Scalar(value) => match value.cast_to(&DataType::Int64)? {
            ScalarValue::Int64(value) => Ok(Numbers::All(number(value))),
            _ => Ok(Numbers::All(0)),
        },
        ColumnarValue::Array(array) => {
            let values = cast(array, &DataType::Int64)?;
            Ok(Numbers::Each(values.as_primitive::<Int64Type>().iter().map(number).collect()))
        }
    }
}

/// Elements of lists, those of all rows together.
fn elements(arg: &ColumnarValue) -> u64 {
    let of_array = |array: &ArrayRef| match array.as_list_opt::<i32>() {
        Some(lists) => {
            let ends = (lists.offsets().first(), lists.offsets().last());
            match ends {
                (Some(first), Some(last)) => u64::try_from(last - first).unwrap_or_default(),
                _ => 0,
            }
        }
        // Each takes some byte.
        None => array.get_array_memory_size() as u64,
    };
    match arg {
        ColumnarValue::Array(array) => of_array(array),
        ColumnarValue::Scalar(value) => value.to_array().map_or(0, |array| of_array(&array)),
    }
}

/// Bytes of a value, or of all values of an array.
pub(super) fn bytes_of(value: &ColumnarValue) -> u64 {
    match value {
        ColumnarValue::Scalar(scalar) => match scalar.try_as_str() {
            Some(text) => text.map_or(0, str::len) as u64,
            None => scalar.size() as u64,
        },
        ColumnarValue::Array(array) => match array.as_string_view_opt() {
            // Views may share one text; written out they do not.
            Some(texts) => texts.lengths().map(u64::from).sum(),
            // A part of an array shares the buffers of the whole.
            None => array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size()) as u64,
        },
    }
}
