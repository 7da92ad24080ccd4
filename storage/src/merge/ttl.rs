//! TTL: when rows and values of columns run out, and what a merge does with those that have.
//!
//! A rule is an expression of date or time over a row; 0 means never. Written parts carry the range
//! of seconds in which something of theirs runs out ([`TtlRules::seconds`]); a merge removes rows
//! and resets values whose time has come ([`TtlRules::apply`]). What was applied once does not count
//! for the next range, or a part would be written again for ever.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, BooleanArray};

use crate::block::{Block, Column};
use crate::error::{Error, Result};
use crate::expression::{CompiledExpression, CompiledGrouping, ExpressionCompiler};
use crate::log::{ColumnDefinition, TableDefinition, TtlRuleAction};
use crate::part::codec::Generic;
use crate::part::codec::declare::parse_default;
use crate::scan::OpenPart;
use crate::table::column_reader::ColumnReader;
use crate::table::key::{TableKeys, evaluate};
use crate::table::order::SortKeys;
use crate::table::stored_columns;
use crate::types::DataType;

/// Rows of one TTL group that are held, at most; a longer group becomes several rows.
const HELD_ROWS_MAX: usize = 1 << 20;

/// The TTL rules of a table, compiled.
#[derive(Default)]
pub(crate) struct TtlRules {
    rows: Vec<RowRule>,
    columns: Vec<ColumnRule>,
    groups: Vec<GroupRule>,
    codecs: Vec<CodecRule>,
}

/// Rows that are all this old are compressed so when they are next written.
struct CodecRule {
    when: Arc<dyn CompiledExpression>,
    codec: Generic,
}

struct RowRule {
    when: Arc<dyn CompiledExpression>,
    condition: Option<Arc<dyn CompiledExpression>>,
}

struct ColumnRule {
    name: String,
    when: Arc<dyn CompiledExpression>,
    /// What the column is reset to; the type's default without.
    default: Option<Arc<dyn CompiledExpression>>,
}

/// Rows that ran out become one per key.
struct GroupRule {
    when: Arc<dyn CompiledExpression>,
    /// How many expressions of the sorting key are the key.
    keys: usize,
    grouping: Arc<dyn CompiledGrouping>,
}

impl TtlRules {
    /// The rules of `definition`; none if it has no TTL.
    pub(crate) fn compile(
        definition: &TableDefinition,
        compiler: &dyn ExpressionCompiler,
    ) -> Result<TtlRules> {
        let mut rules = TtlRules::default();
        let schema = definition.schema();
        for rule in &definition.clauses.ttl {
            match &rule.action {
                TtlRuleAction::Delete { condition } => rules.rows.push(RowRule {
                    when: compiler.compile(&rule.expression, &schema)?,
                    condition: condition
                        .as_ref()
                        .map(|text| compiler.compile(text, &schema))
                        .transpose()?,
                }),
                TtlRuleAction::GroupBy { keys, set } => rules.groups.push(GroupRule {
                    when: compiler.compile(&rule.expression, &schema)?,
                    keys: keys.len(),
                    grouping: compiler.group(set, &schema)?,
                }),
                TtlRuleAction::Recompress { codec } => {
                    let inner = codec.strip_prefix("CODEC(").and_then(|c| c.strip_suffix(')'));
                    rules.codecs.push(CodecRule {
                        when: compiler.compile(&rule.expression, &schema)?,
                        codec: parse_default(inner.unwrap_or(codec))?,
                    });
                }
                // There is one disk.
                TtlRuleAction::Move { .. } => {}
            }
        }
        for column in stored_columns(definition).filter(|c| !c.ttl.is_empty()) {
            let default = column.default.as_ref().filter(|d| !d.expression.is_empty());
            rules.columns.push(ColumnRule {
                name: column.name.clone(),
                when: compiler.compile(&column.ttl, &schema)?,
                default: default
                    .map(|d| {
                        let text = cast_text(&d.expression, &column.data_type);
                        compiler.compile(&text, &schema)
                    })
                    .transpose()?,
            });
        }
        Ok(rules)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
            && self.columns.is_empty()
            && self.groups.is_empty()
            && self.codecs.is_empty()
    }

    /// The earliest second at which something of `block` runs out, and the one at which all of it
    /// has; None if nothing ever does. What ran out up to `applied` has been dealt with.
    pub(crate) fn seconds(
        &self,
        block: &Block,
        applied: Option<i64>,
    ) -> Result<Option<(i64, i64)>> {
        let mut earliest = i64::MAX;
        let mut all_by = i64::MAX;
        let whens = (self.rows.iter().map(|r| &r.when))
            .chain(self.columns.iter().map(|r| &r.when))
            .chain(self.groups.iter().map(|r| &r.when));
        for when in whens {
            let due = seconds_of(&when.evaluate(block)?)?;
            let ahead = due.iter().filter(|s| **s > 0 && applied.is_none_or(|now| **s > now));
            earliest = earliest.min(ahead.min().copied().unwrap_or(i64::MAX));
        }
        // A codec is due when all rows are.
        for rule in &self.codecs {
            let due = seconds_of(&rule.when.evaluate(block)?)?;
            let last = due.iter().max().copied().filter(|_| due.iter().all(|s| *s > 0));
            let ahead = last.filter(|last| applied.is_none_or(|now| *last > now));
            earliest = earliest.min(ahead.unwrap_or(i64::MAX));
        }
        for rule in self.rows.iter().filter(|r| r.condition.is_none()) {
            let due = seconds_of(&rule.when.evaluate(block)?)?;
            let never = due.iter().any(|s| *s <= 0);
            let last = due.iter().max().copied().filter(|_| !never).unwrap_or(i64::MAX);
            all_by = all_by.min(last);
        }
        Ok((earliest < i64::MAX).then_some((earliest, all_by)))
    }

    /// What the rows of `parts` are to be compressed with from now on, if anything: of the rules for
    /// which all are due, the one that came last.
    pub(crate) fn codec_due(
        &self,
        parts: &[OpenPart],
        reader: &ColumnReader,
        columns: &[&ColumnDefinition],
        now: i64,
    ) -> Result<Option<Generic>> {
        let mut best: Option<(i64, Generic)> = None;
        for rule in &self.codecs {
            let mut last = i64::MIN;
            for part in parts {
                for granule in 0..part.reader.granules() {
                    let mut block = Block::of_rows(part.reader.granule_rows(granule));
                    let read = columns.iter().filter(|c| rule.when.inputs().contains(&c.name));
                    for column in read {
                        let values = reader.read(&part.reader, column, &[granule])?;
                        block.push(column.name.clone(), values);
                    }
                    let due = seconds_of(&rule.when.evaluate(&block)?)?;
                    let never = due.iter().any(|s| *s <= 0);
                    last = last.max(due.into_iter().max().filter(|_| !never).unwrap_or(i64::MAX));
                }
            }
            if last <= now && best.as_ref().is_none_or(|(at, _)| last >= *at) {
                best = Some((last, rule.codec));
            }
        }
        Ok(best.map(|(_, codec)| codec))
    }

    /// What remains of `rows` (sorted; `keys` are their sorting key's values) at second `now`.
    pub(crate) fn apply(
        &self,
        columns: &[&ColumnDefinition],
        rows: Vec<Column>,
        keys: &dyn Fn(&Block) -> Result<Vec<Column>>,
        now: i64,
    ) -> Result<Vec<Column>> {
        let names = columns.iter().map(|c| c.name.clone());
        let mut block = Block::new(names.zip(rows).collect());
        if block.is_empty() {
            return Ok(block.columns);
        }
        for rule in &self.rows {
            let mut gone = expired(rule.when.as_ref(), &block, now)?;
            if let Some(condition) = &rule.condition {
                let holds = truths(&condition.evaluate(&block)?)?;
                gone.iter_mut().zip(holds).for_each(|(gone, holds)| *gone &= holds);
            }
            if gone.contains(&true) {
                let keep: Vec<bool> = gone.iter().map(|gone| !gone).collect();
                block = block.filter(&BooleanArray::from(keep));
            }
        }
        for rule in &self.groups {
            block = rule.apply(block, keys, now)?;
        }
        for rule in &self.columns {
            rule.apply(&mut block, now)?;
        }
        Ok(block.columns)
    }

    /// How many expressions of the sorting key the rows of a group share; None without groups.
    fn group_keys(&self) -> Option<usize> {
        self.groups.iter().map(|rule| rule.keys).min()
    }
}

/// Rows that may be of one TTL group are held until the group is whole, or is too long to hold.
pub(crate) struct Together<'a> {
    keys: &'a TableKeys,
    held: Vec<Vec<Column>>,
    count: usize,
}

impl<'a> Together<'a> {
    pub(crate) fn new(keys: &'a TableKeys) -> Together<'a> {
        Together { keys, held: vec![], count: 0 }
    }

    /// Adds rows in key order; gives those whose groups are whole.
    pub(crate) fn add(
        &mut self,
        columns: &[&ColumnDefinition],
        rows: Vec<Column>,
    ) -> Result<Option<Vec<Column>>> {
        let Some(shared) = self.keys.ttl.group_keys() else { return Ok(Some(rows)) };
        let count = rows.first().map_or(0, Column::len);
        if count == 0 {
            return Ok(None);
        }
        let names = columns.iter().map(|c| c.name.clone());
        let block = Block::new(names.zip(rows.iter().cloned()).collect());
        let mut key_columns = evaluate(&self.keys.sorting, &block)?;
        key_columns.truncate(shared);
        let key = SortKeys::encode(&key_columns, count);
        // Where the last group of these rows begins.
        let last = (0..count)
            .rev()
            .take_while(|row| key.compare(*row, &key, count - 1) == Ordering::Equal)
            .last()
            .unwrap_or(0);
        let slice = |from: usize, rows_: usize| -> Vec<Column> {
            rows.iter().map(|c| c.slice(from, rows_)).collect()
        };
        if last == 0 && self.count + count < HELD_ROWS_MAX {
            self.held.push(rows);
            self.count += count;
            return Ok(None);
        }
        // The first group may go on from what is held; it ends here.
        self.held.push(slice(0, last));
        let whole = self.take()?;
        self.held.push(slice(last, count - last));
        self.count = count - last;
        Ok(Some(whole))
    }

    /// What is held at the end.
    pub(crate) fn rest(&mut self) -> Result<Option<Vec<Column>>> {
        if self.count == 0 { Ok(None) } else { self.take().map(Some) }
    }

    fn take(&mut self) -> Result<Vec<Column>> {
        self.count = 0;
        let pieces = std::mem::take(&mut self.held);
        let width = pieces.first().map_or(0, Vec::len);
        (0..width)
            .map(|i| Column::concat(&pieces.iter().map(|p| p[i].clone()).collect::<Vec<_>>()))
            .collect()
    }
}

impl ColumnRule {
    fn apply(&self, block: &mut Block, now: i64) -> Result<()> {
        let gone = expired(self.when.as_ref(), block, now)?;
        let Some(at) = block.names.iter().position(|n| *n == self.name) else { return Ok(()) };
        if !gone.contains(&true) {
            return Ok(());
        }
        let column = &block.columns[at];
        let default = match &self.default {
            Some(default) => default.evaluate(block)?.array,
            None => Column::default_values(column.data_type.clone(), block.rows()).array,
        };
        let array = arrow_select::zip::zip(&BooleanArray::from(gone), &default, &column.array)
            .map_err(|e| Error::Column(format!("cannot reset {}: {e}", self.name)))?;
        block.columns[at] = Column { data_type: column.data_type.clone(), array };
        Ok(())
    }
}

impl GroupRule {
    /// Runs of rows that ran out and share the key become one row each, in the place of the first.
    fn apply(
        &self,
        block: Block,
        keys: &dyn Fn(&Block) -> Result<Vec<Column>>,
        now: i64,
    ) -> Result<Block> {
        let gone = expired(self.when.as_ref(), &block, now)?;
        if !gone.contains(&true) {
            return Ok(block);
        }
        let mut key_columns = keys(&block)?;
        key_columns.truncate(self.keys);
        let key = SortKeys::encode(&key_columns, block.rows());
        let (mut expired_rows, mut group_of_row, mut firsts) = (vec![], vec![], vec![]);
        for row in (0..block.rows()).filter(|row| gone[*row]) {
            let same = expired_rows.last().is_some_and(|last: &u32| {
                key.compare(*last as usize, &key, row) == Ordering::Equal
            });
            if !same {
                firsts.push(row as u32);
            }
            group_of_row.push(firsts.len() as u32 - 1);
            expired_rows.push(row as u32);
        }
        let taken = block.take(&expired_rows.into());
        let set = self.grouping.group(&taken, &group_of_row, firsts.len())?;
        let mut grouped = block.take(&firsts.clone().into());
        for (name, column) in set {
            if let Some(at) = grouped.names.iter().position(|n| *n == name) {
                grouped.columns[at] =
                    Column { data_type: grouped.columns[at].data_type.clone(), ..column };
            }
        }
        // Living rows and groups, in the order of their first rows.
        let both = Block::concat(&[block.clone(), grouped])?;
        let mut order: Vec<u32> = vec![];
        let mut next = 0;
        for (row, gone) in gone.iter().enumerate() {
            if firsts.get(next) == Some(&(row as u32)) {
                order.push((block.rows() + next) as u32);
                next += 1;
            } else if !gone {
                order.push(row as u32);
            }
        }
        Ok(both.take(&order.into()))
    }
}

fn expired(when: &dyn CompiledExpression, block: &Block, now: i64) -> Result<Vec<bool>> {
    let due = seconds_of(&when.evaluate(block)?)?;
    Ok(due.into_iter().map(|s| s > 0 && s <= now).collect())
}

/// Dates and times as seconds; NULL is never.
fn seconds_of(column: &Column) -> Result<Vec<i64>> {
    let array = column.array.as_ref();
    let mut seconds: Vec<i64> = match column.data_type.inner() {
        DataType::Date => {
            let days = array.as_primitive::<UInt16Type>().values();
            days.iter().map(|d| *d as i64 * 86_400).collect()
        }
        DataType::Date32 => {
            let days = array.as_primitive::<Int32Type>().values();
            days.iter().map(|d| *d as i64 * 86_400).collect()
        }
        DataType::DateTime(_) => {
            array.as_primitive::<UInt32Type>().values().iter().map(|s| *s as i64).collect()
        }
        DataType::DateTime64(precision, _) => {
            let ticks = 10i64.pow(u32::from((*precision).min(18)));
            let values = array.as_primitive::<Int64Type>().values();
            values.iter().map(|t| t.div_euclid(ticks)).collect()
        }
        other => return Err(Error::Column(format!("a TTL of type {other} is no time"))),
    };
    if let Some(nulls) = array.nulls() {
        for (row, second) in seconds.iter_mut().enumerate() {
            if nulls.is_null(row) {
                *second = 0;
            }
        }
    }
    Ok(seconds)
}

/// A condition's values; NULL is false.
fn truths(column: &Column) -> Result<Vec<bool>> {
    let array = column.array.as_ref();
    let Some(flags) = array.as_primitive_opt::<UInt8Type>() else {
        // Any other number is true unless it is zero.
        return Ok((0..column.len())
            .map(|row| column.value(row).as_f64().is_some_and(|v| v != 0.0))
            .collect());
    };
    Ok((0..flags.len()).map(|row| flags.is_valid(row) && flags.value(row) != 0).collect())
}

fn cast_text(expression: &str, data_type: &DataType) -> String {
    let name = data_type.to_string().replace('\\', "\\\\").replace('\'', "\\'");
    format!("CAST({expression}, '{name}')")
}
