//! Writing skip indexes: granules of the part come by, each index evaluates its expressions over them
//! and keeps one summary per run of granules. The summaries of an index are one blob of the part; a
//! section of the footer says which indexes there are and what they were computed from.
//!
//! Section: u32 indexes, then per index: name, expression, type (texts), u32 granularity, u32 inputs
//! (text, u32 column id), u32 blob, u32 columns (text, type). Blob: per column its bytes.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;

use super::content_hash::row_hashes;
use super::encode::Encoder;
use super::footer::{KeyColumn, put_key};
use super::layout::Layout;
use super::skip_index::{SkipKind, expressions_of, filter, filter_for_share};
use super::statistics::RangeWriter;
use super::wire::{put_bytes, put_u32};
use crate::block::{Block, Column};
use crate::error::{Error, Result};
use crate::expression::{CompiledExpression, ExpressionCompiler};
use crate::log::{IndexDefinition, TableDefinition};
use crate::scan::Predicate;
use crate::types::DataType;

/// Says that a set is too large to be kept.
pub(super) const TOO_MANY: u32 = u32::MAX;

/// An index of a table's definition, compiled.
pub(crate) struct SkipIndex {
    pub(crate) definition: IndexDefinition,
    kind: SkipKind,
    columns: Vec<(String, Arc<dyn CompiledExpression>)>,
    /// Columns that the expressions read, and their ids.
    inputs: Vec<(String, u32)>,
}

impl SkipIndex {
    /// Compiles `index` of a table; fails with ClickHouse's codes if it makes no sense.
    pub(crate) fn compile(
        definition: &TableDefinition,
        index: &IndexDefinition,
        compiler: &dyn ExpressionCompiler,
    ) -> Result<SkipIndex> {
        let validated = |e: Error| match e {
            Error::Expression { code, message } => Error::Expression {
                code,
                message: format!("{message}: When validating secondary index `{}`", index.name),
            },
            other => other,
        };
        let kind = SkipKind::parse(&index.index_type).map_err(validated)?;
        let schema = definition.schema();
        let (mut columns, mut inputs) = (vec![], vec![]);
        for text in expressions_of(&index.expression) {
            let compiled = compiler.compile(&text, &schema)?;
            kind.check_type(&compiled.result_type()).map_err(validated)?;
            for name in compiled.inputs() {
                let id = definition.columns.iter().find(|c| c.name == *name).map(|c| c.id);
                inputs.extend(id.map(|id| (name.clone(), id)));
            }
            columns.push((text, compiled));
        }
        inputs.sort();
        inputs.dedup();
        Ok(SkipIndex { definition: index.clone(), kind, columns, inputs })
    }

    /// Whether the index can say anything about a leaf.
    pub(crate) fn usable(&self, leaf: &Predicate) -> bool {
        let types: Vec<(String, DataType)> =
            self.columns.iter().map(|(text, c)| (text.clone(), c.result_type())).collect();
        super::skip_index_read::usable(self.kind, &types, leaf)
    }
}

/// Checks the skip indexes of a definition, with ClickHouse's codes.
pub fn check_skip_indexes(
    definition: &TableDefinition,
    compiler: &dyn ExpressionCompiler,
) -> Result<()> {
    let indexes = &definition.clauses.indexes;
    for (i, index) in indexes.iter().enumerate() {
        if indexes[..i].iter().any(|other| other.name == index.name) {
            return Err(Error::Expression {
                code: 127,
                message: format!(
                    "Duplicated index name {} is not allowed. Please use a different index name.",
                    index.name
                ),
            });
        }
        SkipIndex::compile(definition, index, compiler)?;
    }
    Ok(())
}

/// One index of a part being written.
pub(crate) struct SkipIndexWriter {
    index: Arc<SkipIndex>,
    /// Values of the granules of the run being gathered, per column.
    pending: Vec<Vec<Column>>,
    granules: usize,
    summaries: Vec<Summary>,
}

/// What is kept of one column, run after run.
enum Summary {
    MinMax { ranges: Box<RangeWriter>, flags: Vec<u8> },
    Set { max: usize, counts: Vec<u32>, values: Vec<Column> },
    Filter { offsets: Vec<u32>, bytes: Vec<u8> },
}

impl SkipIndexWriter {
    pub(crate) fn new(index: &Arc<SkipIndex>) -> SkipIndexWriter {
        let summary = |data_type: &DataType| match index.kind {
            SkipKind::MinMax => Summary::MinMax {
                ranges: Box::new(RangeWriter::new(&Layout::of(data_type))),
                flags: vec![],
            },
            SkipKind::Set(max) => Summary::Set {
                max: if max == 0 { usize::MAX } else { max },
                counts: vec![],
                values: vec![],
            },
            _ => Summary::Filter { offsets: vec![0], bytes: vec![] },
        };
        SkipIndexWriter {
            index: index.clone(),
            pending: vec![vec![]; index.columns.len()],
            granules: 0,
            summaries: index.columns.iter().map(|(_, c)| summary(&c.result_type())).collect(),
        }
    }

    /// Adds the next granule of the part.
    pub(crate) fn push(&mut self, granule: &Block) -> Result<()> {
        if self.index.kind == SkipKind::Nothing {
            return Ok(());
        }
        for ((_, compiled), pending) in self.index.columns.iter().zip(&mut self.pending) {
            pending.push(compiled.evaluate(granule)?);
        }
        self.granules += 1;
        if self.granules as u64 >= self.index.definition.granularity.max(1) {
            self.finish_run()?;
        }
        Ok(())
    }

    fn finish_run(&mut self) -> Result<()> {
        let kind = self.index.kind;
        for (summary, pending) in self.summaries.iter_mut().zip(&mut self.pending) {
            let values = Column::concat(&std::mem::take(pending))?;
            summary.push(kind, &values)?;
        }
        self.granules = 0;
        Ok(())
    }

    /// The blob with all summaries, and the index's entry in the section, lacking the blob's number.
    fn finish(mut self) -> Result<Vec<u8>> {
        if self.granules > 0 {
            self.finish_run()?;
        }
        let mut blob = vec![];
        for summary in self.summaries {
            put_bytes(&mut blob, &summary.finish()?);
        }
        Ok(blob)
    }
}

/// Ends the indexes of a part: gives each blob to `add_blob`, which numbers it; the section.
pub(crate) fn finish_indexes(
    writers: Vec<SkipIndexWriter>,
    add_blob: &mut dyn FnMut(Vec<u8>) -> u32,
) -> Result<Option<Vec<u8>>> {
    let writers: Vec<_> =
        writers.into_iter().filter(|w| w.index.kind != SkipKind::Nothing).collect();
    if writers.is_empty() {
        return Ok(None);
    }
    let mut out = vec![];
    put_u32(&mut out, writers.len() as u32);
    for writer in writers {
        let index = writer.index.clone();
        let blob = add_blob(writer.finish()?);
        put_bytes(&mut out, index.definition.name.as_bytes());
        put_bytes(&mut out, index.definition.expression.as_bytes());
        put_bytes(&mut out, index.definition.index_type.as_bytes());
        put_u32(&mut out, index.definition.granularity.clamp(1, u32::MAX as u64) as u32);
        put_u32(&mut out, index.inputs.len() as u32);
        for (name, id) in &index.inputs {
            put_bytes(&mut out, name.as_bytes());
            put_u32(&mut out, *id);
        }
        put_u32(&mut out, blob);
        put_u32(&mut out, index.columns.len() as u32);
        for (text, compiled) in &index.columns {
            put_bytes(&mut out, text.as_bytes());
            put_bytes(&mut out, compiled.result_type().to_string().as_bytes());
        }
    }
    Ok(Some(out))
}

impl Summary {
    fn push(&mut self, kind: SkipKind, column: &Column) -> Result<()> {
        match self {
            Summary::MinMax { ranges, flags } => {
                let nulls = column.array.null_count();
                flags.push((nulls > 0) as u8 | (((nulls == column.len()) as u8) << 1));
                ranges.push(&Layout::of(&column.data_type), column.array.as_ref(), None);
            }
            Summary::Set { max, counts, values } => match distinct(column, *max) {
                Some(found) => {
                    counts.push(found.len() as u32);
                    values.push(found);
                }
                None => counts.push(TOO_MANY),
            },
            Summary::Filter { offsets, bytes } => {
                let mut hashes = vec![];
                element_hashes(kind, column, &mut hashes);
                hashes.sort_unstable();
                hashes.dedup();
                bytes.extend(match kind {
                    SkipKind::Bloom(share) => filter_for_share(&hashes, share),
                    SkipKind::Ngrams(_, shape) | SkipKind::Words(shape) => {
                        filter(&hashes, shape.bytes, shape.hashes)
                    }
                    _ => vec![],
                });
                let end = u32::try_from(bytes.len()).map_err(|_| {
                    Error::LimitExceeded("a skip index takes more than 4 GiB".into())
                })?;
                offsets.push(end);
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<u8>> {
        let mut out = vec![];
        match self {
            Summary::MinMax { ranges, flags } => {
                put_bytes(&mut out, &flags);
                out.push(ranges.kind() as u8);
                ranges.finish(&mut out);
            }
            Summary::Set { counts, values, .. } => {
                put_u32(&mut out, counts.len() as u32);
                counts.iter().for_each(|n| put_u32(&mut out, *n));
                if !values.is_empty() {
                    let column = Column::concat(&values)?;
                    put_u32(&mut out, column.len() as u32);
                    let mut encoder = Encoder::take();
                    let key = KeyColumn { text: String::new(), column };
                    let encoded = put_key(&[key], &mut encoder, &mut out);
                    encoder.give_back();
                    encoded?;
                } else {
                    put_u32(&mut out, 0);
                }
            }
            Summary::Filter { offsets, bytes } => {
                put_u32(&mut out, offsets.len() as u32 - 1);
                offsets.iter().for_each(|at| put_u32(&mut out, *at));
                out.extend(bytes);
            }
        }
        Ok(out)
    }
}

/// The distinct values, NULL among them, unless they are more than `max`.
fn distinct(column: &Column, max: usize) -> Option<Column> {
    let mut hashes = vec![];
    row_hashes(&Layout::of(&column.data_type), column.array.as_ref(), &mut hashes);
    let mut seen: HashMap<u64, Vec<u32>> = HashMap::new();
    let mut rows: Vec<u32> = vec![];
    let mut last = None;
    for (row, hash) in hashes.iter().enumerate() {
        // Runs of one value are common in sorted parts.
        if last == Some(*hash) && column.value(row) == column.value(row - 1) {
            continue;
        }
        last = Some(*hash);
        let same = seen.entry(*hash).or_default();
        if same.iter().any(|r| column.value(*r as usize) == column.value(row)) {
            continue;
        }
        same.push(row as u32);
        rows.push(row as u32);
        if rows.len() > max {
            return None;
        }
    }
    Some(column.take(&rows.into()))
}

/// Hashes of what the index can be asked for: values, elements, runs of bytes, words.
fn element_hashes(kind: SkipKind, column: &Column, out: &mut Vec<u64>) {
    if let DataType::Array(item) = column.data_type.inner() {
        let list = column.array.as_list::<i32>();
        let offsets = list.value_offsets();
        let (from, to) = (offsets[0] as usize, offsets[list.len()] as usize);
        let items = list.values().slice(from, to - from);
        let items = Column { data_type: (**item).clone(), array: items };
        return element_hashes(kind, &items, out);
    }
    let layout = Layout::of(&column.data_type);
    let array = column.array.as_ref();
    match (kind, &layout) {
        (SkipKind::Bloom(_), _) => row_hashes(&layout, array, out),
        (_, Layout::Strings) => {
            let strings = array.as_binary::<i32>();
            (0..strings.len()).for_each(|row| kind.text_hashes(strings.value(row), out));
        }
        (_, Layout::FixedBytes(_)) => {
            let strings = array.as_fixed_size_binary();
            (0..strings.len()).for_each(|row| kind.text_hashes(strings.value(row), out));
        }
        _ => {}
    }
}
