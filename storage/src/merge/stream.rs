//! The rows of several sorted parts as one sorted stream, a granule of output at a time.
//!
//! Holds one decoded granule per source. Rows move as runs: as long as one source's rows stay below
//! all others', they are one run, found by galloping. Equal keys come in the order of the sources.
//! For engines that combine rows of equal keys an output can end where a key does, and say where
//! keys begin. A granule that comes next with all its rows, nothing between them, can be had without
//! being decoded. A read of part of a table takes some granules, and of those the rows between two keys.

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use arrow_array::BooleanArray;

use super::combine::Groups;
use crate::block::{Block, Column};
use crate::error::{Error, Result};
use crate::log::ColumnDefinition;
use crate::part::PartReader;
use crate::part::splice::{Piece, splice};
use crate::scan::OpenPart;
use crate::table::column_reader::ColumnReader;
use crate::table::insert::one_row;
use crate::table::key::{KeyExpression, TableKeys, evaluate};
use crate::table::order::SortKeys;

/// Estimated bytes after which an output ends before it is full.
const OUTPUT_BYTES_MAX: usize = 16 << 20;

/// An output that ends where a key does may be longer by this factor.
const GROUP_FACTOR: usize = 4;

/// A granule of one source; only rows before `end` count.
struct Batch {
    /// Decoded when the first row is wanted.
    columns: OnceCell<Vec<Column>>,
    /// Those of them that are decoded already, and what the others are decoded from, of a granule that
    /// may be handed over whole.
    whole: Option<Undecoded>,
    keys: SortKeys,
    end: usize,
    bytes_per_row: usize,
}

/// A granule of which only the columns of the key are decoded.
struct Undecoded {
    part: Arc<PartReader>,
    granule: usize,
    decoded: Vec<Option<Column>>,
    primary: Vec<Column>,
}

/// A granule that comes next with all its rows.
pub(crate) struct WholeGranule {
    /// Which of the sources has it, and which of its granules it is.
    pub(crate) source: usize,
    pub(crate) granule: usize,
    pub(crate) part: Arc<PartReader>,
    /// The primary key at its first and at its last row.
    pub(crate) first: Vec<Column>,
    pub(crate) last: Vec<Column>,
    pub(crate) rows: usize,
}

/// A value of the primary key: row `row` of `keys`, which encode the key's expressions.
#[derive(Clone)]
pub(crate) struct KeyBound {
    pub(crate) keys: Arc<SortKeys>,
    pub(crate) row: usize,
}

/// Which rows of a block count; it gets the stream's columns.
pub(crate) type RowFilter<'a> = &'a dyn Fn(&Block) -> Result<BooleanArray>;

/// What of a part a stream reads: granules, and of those the rows from `from` to before `to`.
pub(crate) struct SourceRange {
    pub(crate) part: OpenPart,
    pub(crate) granules: Range<usize>,
    pub(crate) from: Option<KeyBound>,
    pub(crate) to: Option<KeyBound>,
}

impl SourceRange {
    pub(crate) fn whole(part: OpenPart) -> SourceRange {
        let granules = 0..part.reader.granules();
        SourceRange { part, granules, from: None, to: None }
    }
}

struct Source {
    range: SourceRange,
    /// Where its part has the columns, if its granules may be handed over whole.
    whole: Option<Vec<usize>>,
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

/// An output of the stream.
pub(crate) struct Merged {
    pub(crate) columns: Vec<Column>,
    pub(crate) groups: Groups,
    /// Whether the last group may go on in the next output.
    pub(crate) open: bool,
}

/// Merged rows of several parts.
pub(crate) struct MergeStream<'a> {
    columns: &'a [&'a ColumnDefinition],
    reader: Arc<ColumnReader>,
    keys: &'a TableKeys,
    sources: Vec<Source>,
    /// Positions of the sources with rows left, a binary heap by key and position.
    heap: Vec<usize>,
    output_rows: usize,
    filter: Option<RowFilter<'a>>,
}

impl<'a> MergeStream<'a> {
    /// Streams the rows that are left of `ranges`, each sorted by `keys`; outputs have `output_rows` rows.
    pub(crate) fn new(
        ranges: Vec<SourceRange>,
        reader: Arc<ColumnReader>,
        columns: &'a [&'a ColumnDefinition],
        keys: &'a TableKeys,
        output_rows: usize,
        filter: Option<RowFilter<'a>>,
    ) -> Result<MergeStream<'a>> {
        let whole = ranges.iter().map(|_| None).collect();
        MergeStream::copying(ranges, whole, reader, columns, keys, output_rows, filter)
    }

    /// The same; of sources that say in `whole` where their parts have the columns, granules of
    /// `output_rows` rows that come next as they are can be had by [`MergeStream::take_whole`].
    pub(crate) fn copying(
        ranges: Vec<SourceRange>,
        whole: Vec<Option<Vec<usize>>>,
        reader: Arc<ColumnReader>,
        columns: &'a [&'a ColumnDefinition],
        keys: &'a TableKeys,
        output_rows: usize,
        filter: Option<RowFilter<'a>>,
    ) -> Result<MergeStream<'a>> {
        let sources = ranges
            .into_iter()
            .zip(whole)
            .map(|(range, whole)| Source {
                next_granule: range.granules.start,
                range,
                whole,
                batch: None,
                row: 0,
            })
            .collect::<Vec<_>>();
        let mut stream =
            MergeStream { columns, reader, keys, sources, heap: vec![], output_rows, filter };
        for i in 0..stream.sources.len() {
            if stream.load(i)? {
                stream.heap.push(i);
                stream.sift_up(stream.heap.len() - 1);
            }
        }
        Ok(stream)
    }

    /// The next rows in order, in the order of the columns; None at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<Column>>> {
        let (runs, rows) = self.runs()?;
        if runs.is_empty() { Ok(None) } else { Ok(Some(self.join(&runs, rows)?)) }
    }

    /// The same in whole groups of equal keys, unless one is very long.
    pub(crate) fn next_groups(&mut self) -> Result<Option<Merged>> {
        let (mut runs, mut rows) = self.runs()?;
        let Some(last) = runs.last() else { return Ok(None) };
        let (batch, at) = (last.batch.clone(), last.to - 1);
        let mut open = false;
        while let Some(more) = self.equal_rows(&batch.keys, at) {
            if rows >= self.output_rows * GROUP_FACTOR {
                open = true;
                break;
            }
            let run = self.next_run(more)?;
            rows += run.to - run.from;
            runs.push(run);
        }
        let groups = groups_of(&runs, rows);
        Ok(Some(Merged { columns: self.join(&runs, rows)?, groups, open }))
    }

    /// Whether a granule that may be handed over whole comes next.
    pub(crate) fn next_is_whole(&self) -> bool {
        let Some(top) = self.heap.first() else { return false };
        let source = &self.sources[*top];
        let Some(batch) = &source.batch else { return false };
        if source.row > 0 || batch.whole.is_none() || batch.columns.get().is_some() {
            return false;
        }
        self.runner_up().is_none_or(|other| self.is_before(batch, batch.end - 1, *top, other))
    }

    /// That granule; then its rows are not part of any output.
    pub(crate) fn take_whole(&mut self) -> Result<Option<WholeGranule>> {
        if !self.next_is_whole() {
            return Ok(None);
        }
        let source = self.heap[0];
        let run = self.next_run(self.output_rows)?;
        let rows = run.to - run.from;
        let Some(whole) = run.batch.whole.as_ref().filter(|_| rows == run.batch.end) else {
            return Err(Error::Column("a granule of a merge is not whole".into()));
        };
        let key_at = |row| whole.primary.iter().map(|c| one_row(c, row)).collect();
        let (first, last) = (key_at(0), key_at(rows - 1));
        let (part, granule) = (whole.part.clone(), whole.granule);
        Ok(Some(WholeGranule { source, granule, part, first, last, rows }))
    }

    /// How many of the rows that come next, of one source, have the key of row `at`; None for none.
    fn equal_rows(&self, keys: &SortKeys, at: usize) -> Option<usize> {
        let source = &self.sources[*self.heap.first()?];
        let batch = source.batch.as_ref()?;
        let equal = |row: &usize| batch.keys.compare(*row, keys, at) == Ordering::Equal;
        let count = (source.row..batch.end).take_while(equal).take(self.output_rows).count();
        (count > 0).then_some(count)
    }

    fn runs(&mut self) -> Result<(Vec<Run>, usize)> {
        let (mut runs, mut rows, mut bytes) = (vec![], 0, 0);
        while rows < self.output_rows && bytes < OUTPUT_BYTES_MAX && !self.heap.is_empty() {
            if rows > 0 && self.next_is_whole() {
                break;
            }
            let run = self.next_run(self.output_rows - rows)?;
            rows += run.to - run.from;
            bytes += (run.to - run.from) * run.batch.bytes_per_row;
            runs.push(run);
        }
        Ok((runs, rows))
    }

    /// The longest run, up to `rows_max` rows, that comes next.
    fn next_run(&mut self, rows_max: usize) -> Result<Run> {
        let top = self.heap[0];
        let source = &self.sources[top];
        let batch = source.batch.clone().ok_or_else(drained)?;
        let from = source.row;
        let limit = batch.end.min(from + rows_max);
        let to = match self.runner_up() {
            None => limit,
            Some(other) => self.run_end(&batch, from, limit, top, other),
        };
        self.sources[top].row = to;
        if to == batch.end && !self.load(top)? {
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
        let before = |row: usize| self.is_before(batch, row, top, other);
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

    /// Whether a row of source `top` comes before the next row of `other`.
    fn is_before(&self, batch: &Batch, row: usize, top: usize, other: usize) -> bool {
        let rival = &self.sources[other];
        let Some(rival_batch) = &rival.batch else { return true };
        match batch.keys.compare(row, &rival_batch.keys, rival.row) {
            Ordering::Less => true,
            Ordering::Equal => top < other,
            Ordering::Greater => false,
        }
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

    /// Decodes the source's next granule with rows in range; false at its end.
    fn load(&mut self, i: usize) -> Result<bool> {
        while self.sources[i].next_granule < self.sources[i].range.granules.end {
            if self.load_granule(i)? {
                return Ok(true);
            }
        }
        self.sources[i].batch = None;
        Ok(false)
    }

    fn load_granule(&mut self, i: usize) -> Result<bool> {
        let source = &mut self.sources[i];
        source.batch = None;
        let granule = source.next_granule;
        source.next_granule += 1;
        let part = source.range.part.clone();
        let live = part.live(granule);
        if live.as_ref().is_some_and(|live| live.true_count() == 0) {
            return Ok(false);
        }
        if live.is_none()
            && let Some(places) = source.whole.clone()
            && part.reader.granule_rows(granule) == self.output_rows
        {
            return self.load_keys(i, part.reader, granule, &places);
        }
        let columns = self
            .columns
            .iter()
            .map(|definition| {
                let column = self.reader.read(&part.reader, definition, &[granule])?;
                Ok(live.as_ref().map_or(column.clone(), |live| column.filter(live)))
            })
            .collect::<Result<Vec<_>>>()?;
        let names = self.columns.iter().map(|c| c.name.clone());
        let mut block = Block::new(names.zip(columns).collect());
        if let Some(filter) = self.filter {
            block = block.filter(&filter(&block)?);
        }
        let rows = block.rows();
        if rows == 0 {
            return Ok(false);
        }
        let columns = block.columns.clone();
        let bytes: usize = columns.iter().map(Column::memory_bytes).sum();
        let (key_columns, keys) = self.sort_keys(&block, &part.reader)?;
        let primary = &key_columns[..self.keys.primary_length];
        let source = &mut self.sources[i];
        let within = source.range.rows_within(granule, primary, rows);
        source.row = within.start;
        if within.is_empty() {
            return Ok(false);
        }
        source.batch = Some(Rc::new(Batch {
            columns: OnceCell::from(columns),
            whole: None,
            keys,
            end: within.end,
            bytes_per_row: bytes.div_ceil(rows.max(1)),
        }));
        Ok(true)
    }

    /// The key of the rows of `block`, a granule of `part`, checked to be in order.
    fn sort_keys(&self, block: &Block, part: &PartReader) -> Result<(Vec<Column>, SortKeys)> {
        let key_columns = evaluate(&self.keys.sorting, block)?;
        let keys = SortKeys::encode(&key_columns, block.rows());
        if !keys.is_sorted() {
            return Err(Error::Column(format!("part {} is not in key order", part.id())));
        }
        Ok((key_columns, keys))
    }

    /// Loads a granule of which nothing but the key may ever be looked at.
    fn load_keys(
        &mut self,
        i: usize,
        part: Arc<PartReader>,
        granule: usize,
        places: &[usize],
    ) -> Result<bool> {
        let rows = part.granule_rows(granule);
        let mut block = Block::of_rows(rows);
        let mut decoded = Vec::with_capacity(self.columns.len());
        for definition in self.columns {
            let is_key = |e: &KeyExpression| e.inputs().contains(&definition.name);
            decoded.push(match self.keys.sorting.iter().any(is_key) {
                false => None,
                true => {
                    let column = self.reader.read(&part, definition, &[granule])?;
                    block.push(definition.name.clone(), column.clone());
                    Some(column)
                }
            });
        }
        let (mut primary, keys) = self.sort_keys(&block, &part)?;
        primary.truncate(self.keys.primary_length);
        let bytes_per_row = part.decoded_bytes(places, granule).div_ceil(rows.max(1));
        let whole = Some(Undecoded { part, granule, decoded, primary });
        let columns = OnceCell::new();
        let source = &mut self.sources[i];
        source.row = 0;
        source.batch = Some(Rc::new(Batch { columns, whole, keys, end: rows, bytes_per_row }));
        Ok(true)
    }

    /// The columns of a batch, decoded now if they were not before.
    fn columns_of<'b>(&self, batch: &'b Batch) -> Result<&'b [Column]> {
        if let Some(columns) = batch.columns.get() {
            return Ok(columns);
        }
        let whole = batch.whole.as_ref().ok_or_else(drained)?;
        let read = |(definition, decoded): (&&ColumnDefinition, &Option<Column>)| match decoded {
            Some(column) => Ok(column.clone()),
            None => self.reader.read(&whole.part, definition, &[whole.granule]),
        };
        let columns =
            self.columns.iter().zip(&whole.decoded).map(read).collect::<Result<Vec<_>>>()?;
        Ok(batch.columns.get_or_init(|| columns))
    }

    /// The rows of `runs` one after the other.
    fn join(&self, runs: &[Run], rows: usize) -> Result<Vec<Column>> {
        if let [run] = runs {
            let columns = self.columns_of(&run.batch)?;
            return Ok(columns.iter().map(|c| c.slice(run.from, rows)).collect());
        }
        // The batches that occur, and each run's place among them.
        let mut batches: Vec<&Rc<Batch>> = vec![];
        let mut pieces: Vec<Piece> = Vec::with_capacity(runs.len());
        for run in runs {
            let known = batches.iter().position(|b| Rc::ptr_eq(b, &run.batch));
            let place = known.unwrap_or_else(|| {
                batches.push(&run.batch);
                batches.len() - 1
            });
            let (from, to) = (run.from as u32, run.to as u32);
            pieces.push(Piece { place: place as u32, from, to });
        }
        let sources: Vec<&[Column]> =
            batches.iter().map(|b| self.columns_of(b)).collect::<Result<_>>()?;
        (0..sources[0].len())
            .map(|i| {
                let columns: Vec<&Column> = sources.iter().map(|columns| &columns[i]).collect();
                splice(&columns, &pieces, rows)
            })
            .collect()
    }
}

impl SourceRange {
    /// The rows of `granule`, whose primary key is `primary`, that lie between the bounds.
    pub(crate) fn rows_within(
        &self,
        granule: usize,
        primary: &[Column],
        rows: usize,
    ) -> Range<usize> {
        let first = granule == self.granules.start && self.from.is_some();
        if !first && self.to.is_none() {
            return 0..rows;
        }
        let keys = SortKeys::encode(primary, rows);
        let before = |bound: &KeyBound| {
            let (mut low, mut high) = (0, rows);
            while low < high {
                let middle = low + (high - low) / 2;
                match keys.compare(middle, &bound.keys, bound.row) {
                    Ordering::Less => low = middle + 1,
                    _ => high = middle,
                }
            }
            low
        };
        let from = self.from.as_ref().filter(|_| first).map_or(0, before);
        let to = self.to.as_ref().map_or(rows, before);
        from..to.max(from)
    }
}

/// Where keys begin among the rows of `runs`.
fn groups_of(runs: &[Run], rows: usize) -> Groups {
    let mut starts = Vec::with_capacity(rows);
    let mut row = 0u32;
    let mut before: Option<(&Batch, usize)> = None;
    for run in runs {
        for at in run.from..run.to {
            let same = before.is_some_and(|(batch, last)| {
                run.batch.keys.compare(at, &batch.keys, last) == Ordering::Equal
            });
            if !same {
                starts.push(row);
            }
            before = Some((&run.batch, at));
            row += 1;
        }
    }
    Groups::new(starts, rows)
}

fn drained() -> Error {
    Error::Column("a source of a merge has no rows left".into())
}
