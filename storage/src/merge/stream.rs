//! The rows of several sorted parts as one sorted stream, a granule of output at a time.
//!
//! Holds one decoded granule per source. Rows move as runs: as long as one source's rows stay below
//! all others', they are one run, found by galloping. Equal keys come in the order of the sources.
//! An engine that combines rows of equal keys would stand between this and the writer.

use std::cmp::Ordering;
use std::rc::Rc;

use arrow_array::{Array, ArrayRef, make_array};
use arrow_data::ArrayData;
use arrow_data::transform::MutableArrayData;

use crate::block::{Block, Column};
use crate::error::{Error, Result};
use crate::log::ColumnDefinition;
use crate::scan::OpenPart;
use crate::table::column_reader::ColumnReader;
use crate::table::key::{TableKeys, evaluate};
use crate::table::order::SortKeys;

/// Estimated bytes after which an output ends before it is full.
const OUTPUT_BYTES_MAX: usize = 16 << 20;
/// Runs shorter than this on average are copied row by row.
const ROWS_PER_RUN_MIN: usize = 16;

/// A decoded granule of one source.
struct Batch {
    columns: Vec<Column>,
    keys: SortKeys,
    bytes_per_row: usize,
}

struct Source {
    part: OpenPart,
    next_granule: usize,
    batch: Option<Rc<Batch>>,
    /// The next row of the batch.
    row: usize,
}

/// Rows `from..to` of a batch.
struct Run {
    batch: Rc<Batch>,
    from: usize,
    to: usize,
}

/// Merged rows of several parts.
pub(super) struct MergeStream<'a> {
    columns: &'a [&'a ColumnDefinition],
    reader: ColumnReader,
    keys: &'a TableKeys,
    sources: Vec<Source>,
    /// Positions of the sources with rows left, a binary heap by key and position.
    heap: Vec<usize>,
    output_rows: usize,
}

impl<'a> MergeStream<'a> {
    /// Streams all rows that are left of `parts`, each sorted by `keys`; outputs have `output_rows` rows.
    pub(super) fn new(
        parts: Vec<OpenPart>,
        reader: ColumnReader,
        columns: &'a [&'a ColumnDefinition],
        keys: &'a TableKeys,
        output_rows: usize,
    ) -> Result<MergeStream<'a>> {
        let sources = parts
            .into_iter()
            .map(|part| Source { part, next_granule: 0, batch: None, row: 0 })
            .collect::<Vec<_>>();
        let mut stream = MergeStream { columns, reader, keys, sources, heap: vec![], output_rows };
        for i in 0..stream.sources.len() {
            if stream.load(i)? {
                stream.heap.push(i);
                stream.sift_up(stream.heap.len() - 1);
            }
        }
        Ok(stream)
    }

    /// The next rows in order, in the order of the columns; None at the end.
    pub(super) fn next(&mut self) -> Result<Option<Vec<Column>>> {
        let (mut runs, mut rows, mut bytes) = (vec![], 0, 0);
        while rows < self.output_rows && bytes < OUTPUT_BYTES_MAX && !self.heap.is_empty() {
            let run = self.next_run(self.output_rows - rows)?;
            rows += run.to - run.from;
            bytes += (run.to - run.from) * run.batch.bytes_per_row;
            runs.push(run);
        }
        if runs.is_empty() { Ok(None) } else { Ok(Some(join(&runs, rows)?)) }
    }

    /// The longest run, up to `rows_max` rows, that comes next.
    fn next_run(&mut self, rows_max: usize) -> Result<Run> {
        let top = self.heap[0];
        let source = &self.sources[top];
        let batch = source.batch.clone().ok_or_else(drained)?;
        let from = source.row;
        let limit = batch.keys.len().min(from + rows_max);
        let to = match self.runner_up() {
            None => limit,
            Some(other) => self.run_end(&batch, from, limit, top, other),
        };
        self.sources[top].row = to;
        if to == batch.keys.len() && !self.load(top)? {
            let last = self.heap.len() - 1;
            self.heap.swap(0, last);
            self.heap.pop();
        }
        if !self.heap.is_empty() {
            self.sift_down();
        }
        Ok(Run { batch, from, to })
    }

    /// Where the rows of source `top` stop coming before the next row of `other`.
    fn run_end(&self, batch: &Batch, from: usize, limit: usize, top: usize, other: usize) -> usize {
        let rival = &self.sources[other];
        let Some(rival_batch) = &rival.batch else { return limit };
        let before = |row: usize| match batch.keys.compare(row, &rival_batch.keys, rival.row) {
            Ordering::Less => true,
            Ordering::Equal => top < other,
            Ordering::Greater => false,
        };
        // The first row is known to come next; double the step while rows still do.
        let (mut low, mut step) = (from, 1);
        let mut high = loop {
            let probe = low + step;
            if probe >= limit {
                break limit;
            }
            if !before(probe) {
                break probe;
            }
            low = probe;
            step *= 2;
        };
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if before(middle) { low = middle } else { high = middle }
        }
        high
    }

    /// The source whose next row is the least but one.
    fn runner_up(&self) -> Option<usize> {
        match (self.heap.get(1), self.heap.get(2)) {
            (Some(a), Some(b)) => Some(if self.less(*b, *a) { *b } else { *a }),
            (Some(a), None) => Some(*a),
            _ => None,
        }
    }

    /// Whether the next row of source `a` comes before that of source `b`.
    fn less(&self, a: usize, b: usize) -> bool {
        let (x, y) = (&self.sources[a], &self.sources[b]);
        match (&x.batch, &y.batch) {
            (Some(p), Some(q)) => {
                p.keys.compare(x.row, &q.keys, y.row).then(a.cmp(&b)) == Ordering::Less
            }
            (p, _) => p.is_some(),
        }
    }

    fn sift_up(&mut self, mut at: usize) {
        while at > 0 {
            let parent = (at - 1) / 2;
            if !self.less(self.heap[at], self.heap[parent]) {
                return;
            }
            self.heap.swap(at, parent);
            at = parent;
        }
    }

    fn sift_down(&mut self) {
        let mut at = 0;
        loop {
            let mut least = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.heap.len() && self.less(self.heap[child], self.heap[least]) {
                    least = child;
                }
            }
            if least == at {
                return;
            }
            self.heap.swap(at, least);
            at = least;
        }
    }

    /// Decodes the source's next granule that has rows left; false at its end.
    fn load(&mut self, i: usize) -> Result<bool> {
        let source = &mut self.sources[i];
        source.batch = None;
        source.row = 0;
        loop {
            if source.next_granule == source.part.reader.granules() {
                return Ok(false);
            }
            let granule = source.next_granule;
            source.next_granule += 1;
            let live = source.part.live(granule);
            if live.as_ref().is_some_and(|live| live.true_count() == 0) {
                continue;
            }
            let columns = self
                .columns
                .iter()
                .map(|definition| {
                    let column = self.reader.read(&source.part.reader, definition, &[granule])?;
                    Ok(live.as_ref().map_or(column.clone(), |live| column.filter(live)))
                })
                .collect::<Result<Vec<_>>>()?;
            source.batch = Some(Rc::new(batch(self.columns, self.keys, columns, &source.part)?));
            return Ok(true);
        }
    }
}

/// Decoded rows with their keys; an error if they are not in order.
fn batch(
    definitions: &[&ColumnDefinition],
    keys: &TableKeys,
    columns: Vec<Column>,
    part: &OpenPart,
) -> Result<Batch> {
    let rows = columns.first().map_or(0, Column::len);
    let bytes: usize = columns.iter().map(Column::memory_bytes).sum();
    let names = definitions.iter().map(|c| c.name.clone());
    let block = Block::new(names.zip(columns.iter().cloned()).collect());
    let keys = SortKeys::encode(&evaluate(&keys.sorting, &block)?, rows);
    if !keys.is_sorted() {
        return Err(Error::Column(format!("part {} is not in key order", part.reader.id())));
    }
    Ok(Batch { columns, keys, bytes_per_row: bytes.div_ceil(rows.max(1)) })
}

fn drained() -> Error {
    Error::Column("a source of a merge has no rows left".into())
}

/// The rows of `runs` one after the other.
fn join(runs: &[Run], rows: usize) -> Result<Vec<Column>> {
    let width = runs[0].batch.columns.len();
    if let [run] = runs {
        return Ok(run.batch.columns.iter().map(|c| c.slice(run.from, rows)).collect());
    }
    // The batches that occur, and each run's place among them.
    let mut batches: Vec<&Rc<Batch>> = vec![];
    let places: Vec<usize> = runs
        .iter()
        .map(|run| {
            batches.iter().position(|b| Rc::ptr_eq(b, &run.batch)).unwrap_or_else(|| {
                batches.push(&run.batch);
                batches.len() - 1
            })
        })
        .collect();
    let row_by_row = rows < runs.len() * ROWS_PER_RUN_MIN;
    let picks: Vec<(usize, usize)> = if row_by_row {
        runs.iter()
            .zip(&places)
            .flat_map(|(run, place)| (run.from..run.to).map(|row| (*place, row)))
            .collect()
    } else {
        vec![]
    };
    (0..width)
        .map(|i| {
            let arrays: Vec<&dyn Array> =
                batches.iter().map(|b| b.columns[i].array.as_ref()).collect();
            let array = if row_by_row {
                arrow_select::interleave::interleave(&arrays, &picks)
                    .map_err(|e| Error::Column(format!("cannot merge rows: {e}")))?
            } else {
                copy_runs(&arrays, runs, &places, rows)?
            };
            Ok(Column { data_type: batches[0].columns[i].data_type.clone(), array })
        })
        .collect()
}

fn copy_runs(
    arrays: &[&dyn Array],
    runs: &[Run],
    places: &[usize],
    rows: usize,
) -> Result<ArrayRef> {
    let data: Vec<ArrayData> = arrays.iter().map(|a| a.to_data()).collect();
    let mut out = MutableArrayData::new(data.iter().collect(), false, rows);
    for (run, place) in runs.iter().zip(places) {
        out.try_extend(*place, run.from, run.to)
            .map_err(|e| Error::Column(format!("cannot merge rows: {e}")))?;
    }
    Ok(make_array(out.freeze()))
}
