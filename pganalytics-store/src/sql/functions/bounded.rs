//! Functions whose results may be large, within what a query may hold.
//!
//! The engine counts what its operators hold, not what a function writes. So the
//! most that a call may write is taken from the query's memory before it is made,
//! what it did not need is given back at once, and the rest when the last that
//! holds the result lets go of it. A batch that could become too large is made
//! in parts, so that only what a single row may become has to be guessed.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use bytes::Bytes;
use datafusion::{
    arrow::{
        array::{
            Array as _, ArrayRef, AsArray as _, GenericListArray, GenericStringArray, OffsetSizeTrait, StringViewArray,
        },
        buffer::Buffer,
        compute::concat,
        datatypes::{DataType, FieldRef},
    },
    common::DataFusionError,
    execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation},
    logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature},
};

use super::{
    list::Size,
    size::{bytes_of, estimate},
};

/// What a call writes up to this is not counted: 8 bytes for each row of a batch.
const FREE: u64 = 64 << 10;

/// A call that may write more than this is made in parts.
const PART: u64 = 16 << 20;

/// The largest constant: it is copied for each row of a batch.
const CONSTANT: u64 = 32 << 10;

/// A function that takes what it writes from the query's memory.
#[derive(Debug)]
pub(super) struct Bounded {
    inner: Arc<ScalarUDF>,
    size: Size,
    pool: Arc<dyn MemoryPool>,
}

impl Bounded {
    pub(super) fn udf(inner: Arc<ScalarUDF>, size: Size, pool: &Arc<dyn MemoryPool>) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::new_from_impl(Self { inner, size, pool: Arc::clone(pool) }))
    }

    fn parts(&self, args: ScalarFunctionArgs, held: &MemoryReservation) -> Result<ArrayRef, DataFusionError> {
        let rows = args.number_rows;
        let most = estimate(self.size, &args.args, rows)?;
        let bytes = usize::try_from(most).unwrap_or(usize::MAX);
        let taken = if most > PART && rows > 1 { false } else { held.try_grow(bytes).is_ok() };
        if taken {
            let made = self.inner.invoke_with_args(args)?.into_array(rows)?;
            let written = usize::try_from(bytes_of(&ColumnarValue::Array(Arc::clone(&made)))).unwrap_or(usize::MAX);
            held.shrink(bytes.saturating_sub(written));
            return Ok(made);
        }
        if rows <= 1 {
            return Err(DataFusionError::ResourcesExhausted("a function writes too much".to_owned()));
        }
        let half = rows / 2;
        let first = self.parts(slice(&args, 0, half), held)?;
        let second = self.parts(slice(&args, half, rows - half), held)?;
        // Views go on pointing to the texts of the parts; all else is copied.
        let bytes = |part: &ArrayRef| match part.data_type() {
            DataType::Utf8View => 16 * part.len(),
            _ => part.get_array_memory_size(),
        };
        let copy = bytes(&first).saturating_add(bytes(&second));
        held.try_grow(copy)?;
        let both = concat(&[&first, &second])?;
        held.shrink(copy);
        Ok(both)
    }
}

fn slice(args: &ScalarFunctionArgs, at: usize, rows: usize) -> ScalarFunctionArgs {
    let part = |arg: &ColumnarValue| match arg {
        ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(at, rows)),
        ColumnarValue::Scalar(value) => ColumnarValue::Scalar(value.clone()),
    };
    ScalarFunctionArgs {
        args: args.args.iter().map(part).collect(),
        arg_fields: args.arg_fields.clone(),
        number_rows: rows,
        return_field: Arc::clone(&args.return_field),
        config_options: Arc::clone(&args.config_options),
    }
}

impl PartialEq for Bounded {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Bounded {}

impl Hash for Bounded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType, DataFusionError> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef, DataFusionError> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>, DataFusionError> {
        self.inner.coerce_types(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let one = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let most = estimate(self.size, &args.args, if one { 1 } else { args.number_rows })?;
        if one {
            // What a pattern may write is far from what it does write.
            let bound = if self.size == Size::Pattern { PART } else { CONSTANT };
            if most <= bound {
                let made = self.inner.invoke_with_args(args)?;
                if bytes_of(&made) <= CONSTANT {
                    return Ok(made);
                }
            }
            return Err(DataFusionError::ResourcesExhausted("a function makes too large a constant".to_owned()));
        }
        if most <= FREE {
            return self.inner.invoke_with_args(args);
        }
        let held = MemoryConsumer::new(self.name()).register(&self.pool);
        let made = self.parts(args, &held)?;
        Ok(ColumnarValue::Array(hold(made, &Arc::new(held))?))
    }
}

/// The same array, with its memory given back when nobody has it any more.
fn hold(array: ArrayRef, held: &Arc<MemoryReservation>) -> Result<ArrayRef, DataFusionError> {
    Ok(match array.data_type() {
        DataType::Utf8View => {
            let texts = array.as_string_view();
            let buffers: Vec<Buffer> = texts.data_buffers().iter().map(|buffer| guarded(buffer, held)).collect();
            Arc::new(StringViewArray::try_new(texts.views().clone(), buffers, texts.nulls().cloned())?)
        }
        DataType::Utf8 => texts_held::<i32>(&array, held)?,
        DataType::LargeUtf8 => texts_held::<i64>(&array, held)?,
        DataType::List(field) => {
            let lists = array.as_list::<i32>();
            let values = hold(Arc::clone(lists.values()), held)?;
            let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
            Arc::new(GenericListArray::<i32>::try_new(Arc::clone(field), offsets, values, nulls)?)
        }
        _ => array,
    })
}

fn texts_held<O: OffsetSizeTrait>(
    array: &ArrayRef,
    held: &Arc<MemoryReservation>,
) -> Result<ArrayRef, DataFusionError> {
    let texts = array.as_string::<O>();
    let values = guarded(texts.values(), held);
    Ok(Arc::new(GenericStringArray::<O>::try_new(texts.offsets().clone(), values, texts.nulls().cloned())?))
}

fn guarded(buffer: &Buffer, held: &Arc<MemoryReservation>) -> Buffer {
    Buffer::from(Bytes::from_owner(Guarded { buffer: buffer.clone(), _held: Arc::clone(held) }))
}

/// A buffer and its share of the query's memory.
struct Guarded {
    buffer: Buffer,
    _held: Arc<MemoryReservation>,
}

impl AsRef<[u8]> for Guarded {
    fn as_ref(&self) -> &[u8] {
        self.buffer.as_slice()
    }
}
