//! Parquet files read column by column: each has its own pages, so that several threads can each be at another.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;
use bytes::Bytes;
use parking_lot::Mutex;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use pumphouse_storage::borrowed_threads::BorrowedThreads;

use super::stream::guarded;
use super::{bad, parquet_text};
use crate::format::ParseError;

type Read<T> = Result<T, ParseError>;

/// Rows that are read at once: all of most files, so that their columns come in one piece,
const BATCH_ROWS_MAX: usize = if cfg!(test) { 2048 } else { 1 << 20 };
/// but no more than about so many bytes,
const BATCH_BYTES: usize = 256 << 20;
/// and however long they are so many.
const BATCH_ROWS_MIN: usize = 1 << 10;
/// Stored bytes that are work enough for one more thread.
const BYTES_PER_HELPER: i64 = if cfg!(test) { 1 << 10 } else { 2 << 20 };

/// A file's top-level columns, each with a reader of its own.
pub(super) struct ParquetColumns {
    schema: Arc<Schema>,
    /// Those with most bytes first.
    columns: Vec<Mutex<OneColumn>>,
    /// Rows of a file without columns, which were not handed over yet.
    bare_rows: usize,
    batch_rows: usize,
    helpers_max: usize,
}

struct OneColumn {
    /// Where it stands in the schema.
    place: usize,
    reader: ParquetRecordBatchReader,
    /// What it read last.
    read: Option<Read<ArrayRef>>,
}

impl ParquetColumns {
    /// The columns of `file` that `is_wanted`, by name; up to `threads` threads decode them.
    pub(super) fn open(
        file: Bytes,
        threads: usize,
        is_wanted: &dyn Fn(&str) -> bool,
    ) -> Read<ParquetColumns> {
        let metadata = parquet_text::metadata(&file).map_err(bad)?;
        let about = metadata.metadata().file_metadata();
        let rows = usize::try_from(about.num_rows()).map_err(|_| bad("fewer rows than none"))?;
        let batch_rows = batch_rows(&metadata, rows);
        let sizes = stored_bytes(&metadata);
        let size = |place: usize| sizes.get(place).copied().unwrap_or(0);
        let fields = metadata.schema().fields();
        let wanted: Vec<usize> =
            (0..fields.len()).filter(|place| is_wanted(fields[*place].name())).collect();
        let schema = metadata.schema().project(&wanted).map_err(bad)?;
        let mut columns = vec![];
        for (place, root) in wanted.iter().enumerate() {
            let only = ProjectionMask::roots(about.schema_descr(), [*root]);
            let builder =
                ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), metadata.clone());
            let reader = builder.with_batch_size(batch_rows).with_projection(only).build();
            let column = OneColumn { place, reader: reader.map_err(bad)?, read: None };
            columns.push((size(*root), Mutex::new(column)));
        }
        columns.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
        let bytes: i64 = columns.iter().map(|(size, _)| size).sum();
        let work = usize::try_from(bytes / BYTES_PER_HELPER).unwrap_or(0);
        Ok(ParquetColumns {
            schema: Arc::new(schema),
            bare_rows: if columns.is_empty() { rows } else { 0 },
            columns: columns.into_iter().map(|(_, column)| column).collect(),
            batch_rows,
            helpers_max: (threads.max(1) - 1).min(work),
        })
    }
}

/// Rows of a batch: about [`BATCH_BYTES`] of what is stored, unpacked.
fn batch_rows(metadata: &ArrowReaderMetadata, rows: usize) -> usize {
    let groups = metadata.metadata().row_groups();
    let bytes = groups.iter().fold(0i64, |sum, g| sum.saturating_add(g.total_byte_size().max(0)));
    let per_row = usize::try_from(bytes).unwrap_or(usize::MAX) / rows.max(1);
    (BATCH_BYTES / per_row.max(1)).clamp(BATCH_ROWS_MIN, BATCH_ROWS_MAX).min(rows.max(1))
}

/// Bytes that each top-level column takes in the file.
fn stored_bytes(metadata: &ArrowReaderMetadata) -> Vec<i64> {
    let descriptor = metadata.metadata().file_metadata().schema_descr();
    let mut sizes = vec![0i64; metadata.schema().fields().len()];
    for group in metadata.metadata().row_groups() {
        for (leaf, chunk) in group.columns().iter().enumerate().take(descriptor.num_columns()) {
            if let Some(size) = sizes.get_mut(descriptor.get_column_root_idx(leaf)) {
                *size = size.saturating_add(chunk.compressed_size().max(0));
            }
        }
    }
    sizes
}

impl ParquetColumns {
    /// The next rows of all columns; None at the end of them.
    pub(super) fn next(&mut self) -> Read<Option<RecordBatch>> {
        if self.columns.is_empty() {
            return self.next_bare();
        }
        // Whoever holds a column is at it, and what is read stays for the batch.
        let work = || {
            for column in &self.columns {
                if let Some(mut column) = column.try_lock().filter(|column| column.read.is_none()) {
                    column.read_next();
                }
            }
        };
        let helpers = BorrowedThreads::borrow(self.helpers_max);
        std::thread::scope(|scope| {
            for _ in 0..helpers.count() {
                let helper = std::thread::Builder::new().name("parquet".into());
                // Where no thread can be had, the others do its work.
                let _ = helper.spawn_scoped(scope, work);
            }
            work();
        });
        let mut arrays: Vec<Option<ArrayRef>> = vec![None; self.columns.len()];
        for column in &mut self.columns {
            let column = column.get_mut();
            arrays[column.place] = column.read.take().transpose()?;
        }
        if arrays.iter().all(Option::is_none) {
            return Ok(None);
        }
        let arrays: Option<Vec<ArrayRef>> = arrays.into_iter().collect();
        let arrays = arrays.ok_or_else(|| bad("a column of fewer rows than others"))?;
        RecordBatch::try_new(self.schema.clone(), arrays).map(Some).map_err(bad)
    }

    fn next_bare(&mut self) -> Read<Option<RecordBatch>> {
        let rows = self.bare_rows.min(self.batch_rows);
        self.bare_rows -= rows;
        if rows == 0 {
            return Ok(None);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), vec![], &options);
        batch.map(Some).map_err(bad)
    }
}

impl OneColumn {
    fn read_next(&mut self) {
        let reader = &mut self.reader;
        let read = guarded(|| match reader.next() {
            None => Ok(None),
            Some(batch) => Ok(batch.map_err(bad)?.columns().first().cloned()),
        });
        self.read = read.transpose();
    }
}
