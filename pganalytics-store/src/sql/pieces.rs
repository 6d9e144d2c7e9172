//! Rows as an Arrow IPC stream: in pieces of bounded size, without what they only
//! point at.

use std::sync::Arc;

use datafusion::arrow::{
    array::{Array as _, ArrayRef, AsArray as _, ListArray, RecordBatch, RecordBatchOptions},
    buffer::OffsetBuffer,
    datatypes::{DataType, Schema},
    error::ArrowError,
    ipc::writer::StreamWriter,
};
#[cfg(target_os = "linux")]
use datafusion::arrow::{buffer::Buffer, datatypes::SchemaRef, ipc::reader::StreamDecoder};

/// Bytes that a piece should have; a single row may have more.
const PIECE: usize = 1 << 20;

/// Writes rows as an Arrow IPC stream, piece by piece.
///
/// ```
/// # fn main() -> Result<(), pganalytics_store::sql::ArrowError> {
/// # let answer = pganalytics_store::sql::RecordStream::of_batches(
/// #     pganalytics_store::sql::SchemaRef::new(pganalytics_store::sql::Schema::empty()), vec![], false);
/// # let batches: Vec<pganalytics_store::sql::RecordBatch> = vec![];
/// use pganalytics_store::sql::ArrowPieces;
/// let mut pieces = ArrowPieces::new(answer.schema())?;
/// let mut file = pieces.head();
/// for batch in &batches {
///     for piece in pieces.of(batch) {
///         file.extend(piece?);
///     }
/// }
/// file.extend(pieces.end()?);
/// # assert!(!file.is_empty());
/// # Ok(()) }
/// ```
pub struct ArrowPieces {
    writer: StreamWriter<Vec<u8>>,
}

impl std::fmt::Debug for ArrowPieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArrowPieces").finish_non_exhaustive()
    }
}

impl ArrowPieces {
    /// Begins a stream of rows with this schema.
    ///
    /// # Errors
    /// When the format has no word for one of its types.
    pub fn new(schema: &Schema) -> Result<Self, ArrowError> {
        Ok(Self { writer: StreamWriter::try_new(Vec::new(), schema)? })
    }

    /// The begin of the stream: its schema.
    pub fn head(&mut self) -> Vec<u8> {
        std::mem::take(self.writer.get_mut())
    }

    /// The end of the stream.
    ///
    /// # Errors
    /// When it ended before.
    pub fn end(&mut self) -> Result<Vec<u8>, ArrowError> {
        self.writer.finish()?;
        Ok(std::mem::take(self.writer.get_mut()))
    }

    /// Writes some rows; gives the piece.
    fn write(&mut self, rows: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        self.writer.write(rows)?;
        Ok(std::mem::take(self.writer.get_mut()))
    }

    /// The pieces of a batch, each made when it is asked for; about a megabyte, or
    /// one row where that has more.
    pub fn of<'a>(&'a mut self, batch: &'a RecordBatch) -> impl Iterator<Item = Result<Vec<u8>, ArrowError>> + 'a {
        let bytes = batch.columns().iter().map(size).sum::<usize>().max(1);
        let rows = (batch.num_rows() * PIECE / bytes).clamp(1, batch.num_rows().max(1));
        (0..batch.num_rows()).step_by(rows).map(move |from| {
            let rows = batch.slice(from, rows.min(batch.num_rows() - from));
            let columns = rows.columns().iter().map(compact).collect::<Result<_, _>>()?;
            // Rows may have no columns at all.
            let count = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
            self.write(&RecordBatch::try_new_with_options(rows.schema(), columns, &count)?)
        })
    }
}

/// Reads what [`ArrowPieces`] wrote, piece by piece.
#[cfg(target_os = "linux")]
#[derive(Debug, Default)]
pub(super) struct PieceReader {
    decoder: StreamDecoder,
    begun: bool,
}

#[cfg(target_os = "linux")]
impl PieceReader {
    /// What each message of a stream begins with.
    const MARKER: [u8; 4] = [255; 4];

    /// Known after the first piece.
    pub(super) fn schema(&self) -> Option<SchemaRef> {
        self.decoder.schema()
    }

    /// The rows of a piece; the first has none.
    pub(super) fn read(&mut self, piece: Vec<u8>) -> Result<Option<RecordBatch>, ArrowError> {
        let mut bytes = Buffer::from(piece);
        if std::mem::replace(&mut self.begun, true) {
            bytes.advance(bytes.len().min(Self::MARKER.len()));
        }
        let mut rows = self.decoder.decode(&mut bytes)?;
        // A message without a body counts as read only when the next one begins.
        let mut next = Buffer::from(&Self::MARKER);
        while !next.is_empty() {
            rows = self.decoder.decode(&mut next)?.or(rows);
        }
        Ok(rows)
    }
}

/// About the bytes of a column's values.
fn size(column: &ArrayRef) -> usize {
    match column.data_type() {
        // Views may share one text; written out they do not.
        DataType::Utf8View => column.as_string_view().lengths().map(|length| length as usize + 16).sum(),
        DataType::BinaryView => column.as_binary_view().lengths().map(|length| length as usize + 16).sum(),
        _ => column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size()),
    }
}

/// The same values without texts that no value points at: views are written with
/// all that is behind them.
fn compact(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    Ok(match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()),
        DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
        DataType::List(field) => {
            let list = column.as_list::<i32>();
            let offsets = list.offsets();
            let (from, to) = (offsets.first().copied().unwrap_or(0), offsets.last().copied().unwrap_or(0));
            let values = list.values().slice(place(from), place(to - from));
            let offsets = OffsetBuffer::from_lengths(offsets.lengths());
            Arc::new(ListArray::try_new(Arc::clone(field), offsets, compact(&values)?, list.nulls().cloned())?)
        }
        _ => Arc::clone(column),
    })
}

fn place(offset: i32) -> usize {
    usize::try_from(offset).unwrap_or_default()
}

#[cfg(all(test, target_os = "linux"))]
mod unit {
    #![allow(clippy::unwrap_used)]
    use datafusion::arrow::{
        array::{
            Int64Array, RecordBatchOptions, StringViewArray,
            builder::{ListBuilder, StringViewBuilder},
        },
        datatypes::Field,
    };

    use super::*;

    fn sent(batch: &RecordBatch) -> (Vec<usize>, Vec<RecordBatch>) {
        let mut pieces = ArrowPieces::new(&batch.schema()).unwrap();
        let mut all = vec![pieces.head()];
        all.extend(pieces.of(batch).map(Result::unwrap));
        all.push(pieces.end().unwrap());
        let sizes = all.iter().map(Vec::len).collect();
        let (mut reader, mut back) = (PieceReader::default(), Vec::new());
        // The end is for readers of files.
        all.pop();
        for piece in all {
            back.extend(reader.read(piece).unwrap());
            assert_eq!(reader.schema().unwrap(), batch.schema());
        }
        (sizes, back)
    }

    #[test]
    fn a_batch_arrives_in_pieces_that_hold_no_more_than_their_rows() {
        let texts: StringViewArray = (0..5_000).map(|n| Some(format!("{n:0>1000}"))).collect();
        let mut lists = ListBuilder::new(StringViewBuilder::new());
        for n in 0..5_000 {
            lists.values().append_value(format!("list {n:0>40}"));
            lists.append(n % 7 != 0);
        }
        let numbers = Int64Array::from_iter_values(0..5_000);
        let lists = lists.finish();
        let batch = RecordBatch::try_from_iter([
            ("n", Arc::new(numbers) as ArrayRef),
            ("text", Arc::new(texts)),
            ("list", Arc::new(lists)),
        ]);
        let batch = batch.unwrap();
        for batch in [batch.clone(), batch.slice(4_990, 10), batch.slice(10, 0)] {
            let (sizes, back) = sent(&batch);
            assert!(sizes.iter().all(|size| *size < 3 << 20), "{sizes:?}");
            let back = datafusion::arrow::compute::concat_batches(&batch.schema(), &back).unwrap();
            assert_eq!(back, batch);
        }
        assert!(sent(&batch.slice(4_990, 10)).0.iter().sum::<usize>() < 64 << 10);
    }

    #[test]
    fn an_answer_without_rows_or_columns_has_a_schema() {
        let schema = Schema::new(vec![Field::new("a", DataType::Int64, true)]);
        let (sizes, back) = sent(&RecordBatch::new_empty(Arc::new(schema)));
        assert_eq!((sizes.len(), back.len()), (2, 0));
        let options = RecordBatchOptions::new().with_row_count(Some(3));
        let rows = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options).unwrap();
        assert_eq!(sent(&rows).1.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
    }
}
