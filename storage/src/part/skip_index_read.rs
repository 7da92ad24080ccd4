//! Reading skip indexes: entries from the footer's section, summaries from their blob when first
//! asked for, and the question whether a run of granules can hold rows for which a leaf of a
//! predicate is true.

use std::sync::{Arc, OnceLock};

use super::content_hash::row_hashes;
use super::footer::{KeyColumn, read_key};
use super::layout::Layout;
use super::reader::PartReader;
use super::skip_index::{SkipKind, filter_may_hold};
use super::skip_index_write::TOO_MANY;
use super::statistics::{RangeKind, Ranges};
use super::wire::{Cursor, Decoded, Malformed, u32_at};
use crate::block::Column;
use crate::log::{IndexDefinition, TableDefinition};
use crate::scan::prune::{interval_may_match, range_may_match};
use crate::scan::{ColumnCondition, Predicate};
use crate::table::column_reader::ColumnReader;
use crate::types::{DataType, Value, parse_data_type};

/// An index as a part has it.
pub(crate) struct SkipEntry {
    name: String,
    expression: String,
    index_type: String,
    granularity: u32,
    inputs: Vec<(String, u32)>,
    pub(crate) blob: usize,
    pub(crate) kind: SkipKind,
    pub(crate) columns: Vec<(String, DataType)>,
    pub(crate) data: OnceLock<Arc<SkipData>>,
}

/// The summaries of an index.
pub(crate) struct SkipData {
    columns: Vec<Summary>,
    pub(crate) bytes: usize,
}

enum Summary {
    MinMax { ranges: Ranges, flags: Vec<u8> },
    Set { starts: Vec<Option<(u32, u32)>>, values: Option<Column> },
    Filter { offsets: Vec<u32>, bytes: Vec<u8> },
}

/// The entries of a section.
pub(crate) fn read_entries(section: &[u8]) -> Decoded<Vec<SkipEntry>> {
    let mut cursor = Cursor::new(section);
    let count = cursor.u32()? as usize;
    let mut entries = vec![];
    for _ in 0..count {
        let (name, expression, index_type) = (cursor.text()?, cursor.text()?, cursor.text()?);
        let granularity = cursor.u32()?.max(1);
        let mut inputs = vec![];
        for _ in 0..cursor.u32()? {
            inputs.push((cursor.text()?, cursor.u32()?));
        }
        let blob = cursor.u32()? as usize;
        let mut columns = vec![];
        for _ in 0..cursor.u32()? {
            let text = cursor.text()?;
            let data_type =
                parse_data_type(&cursor.text()?).map_err(|_| Malformed("a type name"))?;
            columns.push((text, data_type));
        }
        let kind = SkipKind::parse(&index_type).map_err(|_| Malformed("a type of skip index"))?;
        entries.push(SkipEntry {
            name,
            expression,
            index_type,
            granularity,
            inputs,
            blob,
            kind,
            columns,
            data: OnceLock::new(),
        });
    }
    Ok(entries)
}

impl SkipEntry {
    /// Whether this is what the table means by `index` today: same text over the same columns.
    pub(crate) fn is(
        &self,
        index: &IndexDefinition,
        part: &PartReader,
        definition: &TableDefinition,
    ) -> bool {
        self.name == index.name
            && self.expression == index.expression
            && self.index_type == index.index_type
            && self.inputs.iter().all(|(name, id)| {
                definition
                    .columns
                    .iter()
                    .any(|c| c.name == *name && c.id == *id && ColumnReader::is_as_defined(part, c))
            })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Granules of the part per run.
    pub(crate) fn granularity(&self) -> usize {
        self.granularity as usize
    }

    /// Whether the index can say anything about a leaf.
    pub(crate) fn usable(&self, leaf: &Predicate) -> bool {
        usable(self.kind, &self.columns, leaf)
    }

    pub(crate) fn parse(&self, blob: &[u8], granules: usize) -> Decoded<SkipData> {
        let runs = granules.div_ceil(self.granularity());
        let mut cursor = Cursor::new(blob);
        let columns = self
            .columns
            .iter()
            .map(|(_, data_type)| {
                read_summary(self.kind, data_type, &mut Cursor::new(cursor.bytes()?), runs)
            })
            .collect::<Decoded<Vec<_>>>()?;
        Ok(SkipData { columns, bytes: blob.len() })
    }

    /// Whether run `run` can hold a row for which `leaf` is true.
    pub(crate) fn may_match(&self, data: &SkipData, run: usize, leaf: &Predicate) -> bool {
        let Some(name) = leaf.column() else { return true };
        let at = self.columns.iter().position(|(text, _)| text == name);
        let Some(at) = at else { return true };
        if !self.usable(leaf) {
            return true;
        }
        let data_type = &self.columns[at].1;
        match &data.columns[at] {
            Summary::MinMax { ranges, flags } => min_max(ranges, flags, run, leaf),
            Summary::Set { starts, values } => set(starts, values.as_ref(), run, leaf),
            Summary::Filter { offsets, bytes } => {
                let piece = offsets.get(run).zip(offsets.get(run + 1));
                let filter = piece.and_then(|(a, b)| bytes.get(*a as usize..*b as usize));
                filter.is_none_or(|filter| self.filter_matches(filter, data_type, leaf))
            }
        }
    }

    fn filter_matches(&self, filter: &[u8], data_type: &DataType, leaf: &Predicate) -> bool {
        let item = match data_type.inner() {
            DataType::Array(item) => item.inner(),
            other => other,
        };
        let value_there = |value: &Value| match self.kind {
            SkipKind::Bloom(_) => {
                value_hash(item, value).is_none_or(|hash| filter_may_hold(filter, hash))
            }
            _ => value.as_bytes().is_none_or(|text| {
                let mut hashes = vec![];
                self.kind.text_hashes(text, &mut hashes);
                hashes.iter().all(|h| filter_may_hold(filter, *h))
            }),
        };
        match leaf {
            Predicate::Ranges(condition) => {
                points(condition).is_none_or(|points| points.into_iter().any(value_there))
            }
            Predicate::Holds { values, all: true, .. } => values.iter().all(value_there),
            Predicate::Holds { values, .. } => values.iter().any(value_there),
            Predicate::Contains { pieces, .. } => {
                let mut hashes = vec![];
                pieces.iter().for_each(|p| self.kind.piece_hashes(p, &mut hashes));
                hashes.iter().all(|h| filter_may_hold(filter, *h))
            }
            _ => true,
        }
    }
}

/// Whether an index of that kind over these columns can say anything about a leaf.
pub(crate) fn usable(kind: SkipKind, columns: &[(String, DataType)], leaf: &Predicate) -> bool {
    let data_type = columns.iter().find(|(text, _)| Some(text.as_str()) == leaf.column());
    let Some((_, data_type)) = data_type else { return false };
    let array = matches!(data_type.inner(), DataType::Array(_));
    match (kind, leaf) {
        (SkipKind::MinMax | SkipKind::Set(_), Predicate::Ranges(_)) => true,
        (SkipKind::Bloom(_), Predicate::Ranges(c)) => !array && points(c).is_some(),
        (SkipKind::Ngrams(..) | SkipKind::Words(_), Predicate::Ranges(c)) => {
            // A FixedString is longer than the text that it equals.
            let text = matches!(data_type.inner(), DataType::String);
            text && points(c).is_some_and(|points| points.iter().all(|v| has_hashes(kind, v)))
        }
        (SkipKind::Bloom(_), Predicate::Holds { values, .. }) => {
            array && values.iter().all(|v| !v.is_null())
        }
        (SkipKind::Ngrams(..) | SkipKind::Words(_), Predicate::Holds { values, .. }) => {
            array && values.iter().all(|v| has_hashes(kind, v))
        }
        (SkipKind::Ngrams(..) | SkipKind::Words(_), Predicate::Contains { pieces, .. }) => {
            let mut hashes = vec![];
            pieces.iter().for_each(|p| kind.piece_hashes(p, &mut hashes));
            !array && !hashes.is_empty()
        }
        _ => false,
    }
}

fn has_hashes(kind: SkipKind, value: &Value) -> bool {
    let mut hashes = vec![];
    value.as_bytes().is_some_and(|text| {
        kind.text_hashes(text, &mut hashes);
        !hashes.is_empty()
    })
}

/// The values of a condition that is made of points only.
fn points(condition: &ColumnCondition) -> Option<Vec<&Value>> {
    use std::ops::Bound::Included;
    if condition.may_be_null {
        return None;
    }
    let point = |range: &crate::scan::ValueRange| match (&range.lower, &range.upper) {
        (Included(a), Included(b)) if a == b => Some(()),
        _ => None,
    };
    condition
        .ranges
        .iter()
        .map(|range| {
            point(range)?;
            match &range.lower {
                Included(value) => Some(value),
                _ => None,
            }
        })
        .collect()
}

/// The hash that a value equal to `value` has in a column of that type; None if there may be several.
fn value_hash(data_type: &DataType, value: &Value) -> Option<u64> {
    if value.is_null() || matches!(value, Value::Float(v) if *v == 0.0) {
        return None;
    }
    let column = Column::from_values(data_type.clone(), std::slice::from_ref(value)).ok()?;
    if data_type.is_float() || column.value(0) != *value {
        return None;
    }
    let mut hashes = vec![];
    row_hashes(&Layout::of(data_type), column.array.as_ref(), &mut hashes);
    hashes.pop()
}

fn min_max(ranges: &Ranges, flags: &[u8], run: usize, leaf: &Predicate) -> bool {
    let Predicate::Ranges(condition) = leaf else { return true };
    let flags = flags.get(run).copied().unwrap_or(0);
    if condition.may_be_null && flags & 1 != 0 {
        return true;
    }
    if flags & 2 != 0 {
        return false;
    }
    ranges.get(run).is_none_or(|range| range_may_match(condition, &range))
}

fn set(
    starts: &[Option<(u32, u32)>],
    values: Option<&Column>,
    run: usize,
    leaf: &Predicate,
) -> bool {
    let (Predicate::Ranges(condition), Some(values)) = (leaf, values) else { return true };
    let Some(Some((from, to))) = starts.get(run) else { return true };
    (*from..*to).any(|row| {
        let value = values.value(row as usize);
        interval_may_match(condition, &value, &value)
    })
}

fn read_summary(
    kind: SkipKind,
    data_type: &DataType,
    cursor: &mut Cursor<'_>,
    runs: usize,
) -> Decoded<Summary> {
    match kind {
        SkipKind::MinMax => {
            let flags = cursor.bytes()?.to_vec();
            if flags.len() != runs {
                return Err(Malformed("a summary of every run of granules"));
            }
            let range_kind = RangeKind::from_byte(cursor.u8()?)?;
            let ranges = Ranges::read(cursor, range_kind, data_type, runs)?;
            Ok(Summary::MinMax { ranges, flags })
        }
        SkipKind::Set(_) => read_set(cursor, runs),
        _ => {
            if cursor.u32()? as usize != runs {
                return Err(Malformed("a summary of every run of granules"));
            }
            let table = cursor.take((runs + 1) * 4)?;
            let offsets: Vec<u32> = (0..=runs).map(|i| u32_at(table, i * 4)).collect();
            let bytes = cursor.take(cursor.remaining())?.to_vec();
            Ok(Summary::Filter { offsets, bytes })
        }
    }
}

fn read_set(cursor: &mut Cursor<'_>, runs: usize) -> Decoded<Summary> {
    if cursor.u32()? as usize != runs {
        return Err(Malformed("a summary of every run of granules"));
    }
    let mut starts = vec![];
    let mut next = 0u32;
    for _ in 0..runs {
        let count = cursor.u32()?;
        starts.push(match count {
            TOO_MANY => None,
            count => {
                let from = next;
                next = next.checked_add(count).ok_or(Malformed("a count"))?;
                Some((from, next))
            }
        });
    }
    let rows = cursor.u32()?;
    if rows != next {
        return Err(Malformed("the values of a set"));
    }
    let values = match rows {
        0 => None,
        rows => read_key(cursor, rows as usize)?.pop().map(|KeyColumn { column, .. }| column),
    };
    Ok(Summary::Set { starts, values })
}
