//! The right side of IN: a table of keys, built once from constants or a subquery's rows, and the
//! test of a column against it.
//!
//! NULL on the left gives NULL (if the result can be NULL); NULLs in the set match nothing.

use std::any::Any;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, UInt8Array};
use pumphouse_storage::{Block, Column, DataType, Value};

use super::key_table::{ABSENT, KeyTable};
use super::row_codec::{Shape, fixed_bytes};
use crate::context::{MemoryGuard, QueryContext};
use crate::error::{Error, Result, codes};
use crate::functions::cast;
use crate::plan::{PlannedSet, SetSource};

/// Keys that are kept as values, at most: what scans can skip granules by.
const VALUES_MAX: usize = 20_000;
/// Up to so many numbers are compared with every value.
const COMPARED_MAX: usize = 4;

/// A built set.
pub(crate) struct BuiltSet {
    types: Vec<DataType>,
    table: KeyTable,
    /// The keys as values, unless there are many.
    values: Option<Vec<Vec<Value>>>,
    _memory: MemoryGuard,
}

impl BuiltSet {
    /// A set of the rows of `blocks`, converted to `types`.
    pub fn new(types: &[DataType], blocks: &[Block], ctx: &QueryContext) -> Result<BuiltSet> {
        let types: Vec<DataType> = types.iter().map(plain).collect();
        let mut table = KeyTable::new(&types);
        let mut memory = ctx.memory.reserve(0)?;
        let mut numbers = vec![];
        let mut values = Some(vec![]);
        for block in blocks {
            let mut keep = vec![true; block.rows()];
            let mut columns = vec![];
            for (column, to) in block.columns.iter().zip(&types) {
                let converted = convert(column, to, ctx)?;
                for (row, flag) in keep.iter_mut().enumerate() {
                    *flag &= !converted.is_null(row);
                }
                columns.push(Column { data_type: to.clone(), array: converted.array });
            }
            if columns.len() != types.len() {
                return Err(Error::new(
                    codes::INCORRECT_NUMBER_OF_COLUMNS,
                    format!(
                        "Number of columns in section IN doesn't match. {} at left, {} at right.",
                        types.len(),
                        columns.len()
                    ),
                ));
            }
            let mut rows = block.rows();
            if keep.contains(&false) {
                let mask = arrow_array::BooleanArray::from(keep);
                rows = mask.true_count();
                columns = columns.iter().map(|c| c.filter(&mask)).collect();
            }
            values = values.filter(|v: &Vec<_>| v.len() + rows <= VALUES_MAX);
            if let Some(values) = &mut values {
                values.extend(
                    (0..rows).map(|row| columns.iter().map(|c| c.value(row)).collect::<Vec<_>>()),
                );
            }
            table.insert(&columns, rows, &mut numbers)?;
            memory.grow_to(table.memory_bytes())?;
        }
        Ok(BuiltSet { types, table, values, _memory: memory })
    }

    /// 1 where the value is in the set, if that is a set of few numbers: each is compared with all values.
    fn flags_of_few(&self, columns: &[Column]) -> Option<Vec<u8>> {
        let ([data_type], [column]) = (self.types.as_slice(), columns) else { return None };
        let Shape::Fixed(width) = Shape::of(data_type) else { return None };
        let few = self.table.words().filter(|words| words.len() <= COMPARED_MAX)?;
        if column.data_type.inner() != data_type {
            return None;
        }
        let bytes = fixed_bytes(column.array.as_ref());
        let mut flags = vec![0u8; column.len()];
        macro_rules! compare {
            ($native:ty) => {{
                let values = bytes.as_chunks::<{ size_of::<$native>() }>().0;
                for word in few {
                    let wanted = *word as $native;
                    for (flag, value) in flags.iter_mut().zip(values) {
                        *flag |= u8::from(<$native>::from_le_bytes(*value) == wanted);
                    }
                }
            }};
        }
        match width {
            1 => compare!(u8),
            2 => compare!(u16),
            4 => compare!(u32),
            8 => compare!(u64),
            _ => return None,
        }
        Some(flags)
    }
}

/// The keys of a set that was filled from a subquery, if they are few.
pub(crate) fn values(planned: &PlannedSet) -> Option<&[Vec<Value>]> {
    let set = planned.built.get()?.downcast_ref::<BuiltSet>()?;
    set.values.as_deref()
}

/// Whether a set that was filled from a subquery has no keys.
pub(crate) fn is_empty(planned: &PlannedSet) -> bool {
    let set = planned.built.get().and_then(|set| set.downcast_ref::<BuiltSet>());
    set.is_some_and(|set| set.table.len() == 0)
}

/// The type keys are compared in: without LowCardinality and NULL.
fn plain(data_type: &DataType) -> DataType {
    data_type.inner().clone()
}

/// `column` as `to`; values that do not fit become NULL.
fn convert(column: &Column, to: &DataType, ctx: &QueryContext) -> Result<Column> {
    let from = column.data_type.inner();
    if from == to {
        return Ok(column.clone());
    }
    let target =
        if column.data_type.is_nullable() { DataType::nullable(to.clone()) } else { to.clone() };
    let converted = cast::cast_column(column, &target, ctx)?;
    if !(from.is_integer() && to.is_integer()) {
        return Ok(converted);
    }
    // A wrapped integer is not the one that was meant.
    let back = cast::cast_column(&converted, &column.data_type, ctx)?;
    let values: Vec<_> = (0..column.len())
        .map(|row| {
            let same = column.value(row) == back.value(row);
            if same { converted.value(row) } else { pumphouse_storage::Value::Null }
        })
        .collect();
    Ok(Column::from_values(DataType::nullable(to.clone()), &values)?)
}

/// The set behind `planned`, built now if it is one of constants.
fn built(planned: &PlannedSet, ctx: &QueryContext) -> Result<Arc<dyn Any + Send + Sync>> {
    if let Some(set) = planned.built.get() {
        return Ok(set.clone());
    }
    let SetSource::Values(rows) = &planned.source else {
        return Err(Error::new(codes::LOGICAL_ERROR, "the subquery of IN has not been run"));
    };
    let set = BuiltSet::new(&planned.element_types, &[values_block(planned, rows)?], ctx)?;
    let set: Arc<dyn Any + Send + Sync> = Arc::new(set);
    Ok(planned.built.get_or_init(|| set).clone())
}

fn values_block(planned: &PlannedSet, rows: &[Vec<pumphouse_storage::Value>]) -> Result<Block> {
    let mut block = Block::of_rows(rows.len());
    for (i, data_type) in planned.element_types.iter().enumerate() {
        let values: Vec<_> = rows
            .iter()
            .map(|r| r.get(i).cloned().unwrap_or(pumphouse_storage::Value::Null))
            .collect();
        let nullable = DataType::nullable(plain(data_type));
        block.push(format!("{i}"), Column::from_values(nullable, &values)?);
    }
    Ok(block)
}

/// 1 where `column` is in the set (0 if `negated`).
pub(crate) fn test(
    planned: &PlannedSet,
    column: &Column,
    negated: bool,
    result: &DataType,
    ctx: &QueryContext,
) -> Result<Column> {
    let any = built(planned, ctx)?;
    let set = any
        .downcast_ref::<BuiltSet>()
        .ok_or_else(|| Error::new(codes::LOGICAL_ERROR, "a set of another kind"))?;
    let tested = tested_columns(set, column)?;
    let rows = column.len();
    let mut flags = set.flags_of_few(&tested).unwrap_or_else(|| {
        let mut numbers = vec![];
        set.table.find(&tested, rows, &mut numbers);
        numbers.iter().map(|n| (*n != ABSENT) as u8).collect()
    });
    for nulls in tested.iter().filter_map(|c| c.array.nulls().filter(|n| n.null_count() > 0)) {
        flags.iter_mut().zip(nulls.iter()).for_each(|(flag, valid)| *flag &= valid as u8);
    }
    if negated {
        flags.iter_mut().for_each(|flag| *flag ^= 1);
    }
    let nulls = match column.array.nulls() {
        Some(n) if result.is_nullable() && n.null_count() > 0 => Some(n.clone()),
        _ => None,
    };
    let array = UInt8Array::new(flags.into(), nulls);
    Ok(Column { data_type: result.clone(), array: Arc::new(array) })
}

fn tested_columns(set: &BuiltSet, column: &Column) -> Result<Vec<Column>> {
    if set.types.len() == 1 {
        return Ok(vec![column.clone()]);
    }
    match column.data_type.inner() {
        DataType::Tuple(elements) if elements.len() == set.types.len() => {
            let fields = column.array.as_struct();
            Ok(elements
                .iter()
                .enumerate()
                .map(|(i, e)| Column {
                    data_type: e.data_type.clone(),
                    array: fields.column(i).clone(),
                })
                .collect())
        }
        other => Err(Error::new(
            codes::TYPE_MISMATCH,
            format!("{other} cannot be tested against a set of {}-tuples", set.types.len()),
        )),
    }
}
