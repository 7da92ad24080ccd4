//! What Nullable arguments do to an aggregate function: rows with a NULL are left out, and a group
//! that saw no other rows gives NULL (or, for count-like functions, the plain default).

use std::any::Any;
use std::sync::Arc;

use arrow_array::{Array, UInt32Array};
use arrow_buffer::NullBuffer;
use arrow_data::ArrayData;
use pumphouse_storage::{Column, DataType};

use super::combinators::prefixed_states;
use super::kernel::mismatch;
use super::{Accumulator, AggregateFunction};
use crate::error::Result;

/// `inner` was built for the same arguments without Nullable.
pub(crate) struct SkipNulls {
    pub inner: Arc<dyn AggregateFunction>,
    pub arguments: Vec<DataType>,
    /// Whether a tuple of no rows is NULL, not its type's default.
    pub null_tuples: bool,
}

impl SkipNulls {
    fn gives_null(&self) -> bool {
        let result = self.inner.return_type();
        let default = matches!(result, DataType::Tuple(_)) && !self.null_tuples;
        !self.inner.default_when_only_null() && !default && result.can_be_nullable()
    }
}

impl AggregateFunction for SkipNulls {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn return_type(&self) -> DataType {
        let inner = self.inner.return_type();
        if self.gives_null() { DataType::nullable(inner) } else { inner }
    }

    fn state_type(&self) -> DataType {
        match self.inner.state_type() {
            DataType::AggregateFunction { name, parameters, .. } => {
                DataType::AggregateFunction { name, parameters, arguments: self.arguments.clone() }
            }
            other => other,
        }
    }

    fn accumulator(&self) -> Box<dyn Accumulator> {
        Box::new(SkipNullsAccumulator {
            inner: self.inner.accumulator(),
            seen: self.gives_null().then(Vec::new),
            result: self.return_type(),
            state_type: self.state_type(),
        })
    }

    fn default_when_only_null(&self) -> bool {
        self.inner.default_when_only_null()
    }
}

struct SkipNullsAccumulator {
    inner: Box<dyn Accumulator>,
    /// Groups that saw a row, if that makes a difference.
    seen: Option<Vec<bool>>,
    result: DataType,
    state_type: DataType,
}

/// Rows where no argument is NULL; None if that is all rows.
fn valid_rows(arguments: &[Column], rows: usize) -> Option<Vec<u32>> {
    let mut all: Option<NullBuffer> = None;
    for column in arguments {
        if column.array.null_count() > 0 {
            all = NullBuffer::union(all.as_ref(), column.array.nulls());
        }
    }
    let all = all?;
    Some((0..rows as u32).filter(|row| all.is_valid(*row as usize)).collect())
}

/// Rows `rows` of `columns`.
pub(crate) fn take_all(columns: &[Column], rows: &[u32]) -> Vec<Column> {
    let indices = UInt32Array::from(rows.to_vec());
    columns.iter().map(|c| c.take(&indices)).collect()
}

/// `column` with its null buffer replaced.
pub(crate) fn with_nulls(column: Column, data_type: DataType, nulls: NullBuffer) -> Result<Column> {
    if nulls.null_count() == 0 {
        return Ok(Column { data_type, array: column.array });
    }
    let nulls = NullBuffer::union(Some(&nulls), column.array.nulls());
    let data: ArrayData = column.array.to_data();
    let data = data.into_builder().nulls(nulls).build().map_err(|e| {
        crate::Error::new(crate::error::codes::LOGICAL_ERROR, format!("cannot mask: {e}"))
    })?;
    Ok(Column { data_type, array: arrow_array::make_array(data) })
}

impl Accumulator for SkipNullsAccumulator {
    fn resize(&mut self, groups: usize) {
        self.inner.resize(groups);
        if let Some(seen) = &mut self.seen
            && groups > seen.len()
        {
            seen.resize(groups, false);
        }
    }

    fn update(&mut self, groups: &[u32], arguments: &[Column]) -> Result<()> {
        let Some(rows) = valid_rows(arguments, groups.len()) else {
            if let Some(seen) = &mut self.seen {
                groups.iter().for_each(|g| seen[*g as usize] = true);
            }
            return self.inner.update(groups, arguments);
        };
        let groups: Vec<u32> = rows.iter().map(|r| groups[*r as usize]).collect();
        if let Some(seen) = &mut self.seen {
            groups.iter().for_each(|g| seen[*g as usize] = true);
        }
        self.inner.update(&groups, &take_all(arguments, &rows))
    }

    fn update_single(&mut self, arguments: &[Column], rows: usize) -> Result<()> {
        self.resize(1);
        let valid = valid_rows(arguments, rows);
        let count = valid.as_ref().map_or(rows, Vec::len);
        if let Some(seen) = &mut self.seen {
            seen[0] |= count > 0;
        }
        match valid {
            None => self.inner.update_single(arguments, rows),
            Some(valid) => self.inner.update_single(&take_all(arguments, &valid), count),
        }
    }

    fn merge_rows(&mut self, other: &dyn Accumulator, rows: &[u32], groups: &[u32]) -> Result<()> {
        let other = other.as_any().downcast_ref::<Self>().ok_or_else(mismatch)?;
        if let (Some(seen), Some(theirs)) = (&mut self.seen, &other.seen) {
            for (row, group) in rows.iter().zip(groups) {
                seen[*group as usize] |= theirs[*row as usize];
            }
        }
        self.inner.merge_rows(other.inner.as_ref(), rows, groups)
    }

    fn merge_serialized(&mut self, groups: &[u32], states: &Column) -> Result<()> {
        let Some(seen) = &mut self.seen else {
            return self.inner.merge_serialized(groups, states);
        };
        let (flags, rest) = prefixed_states::split(states);
        for (flag, group) in flags.iter().zip(groups) {
            seen[*group as usize] |= *flag;
        }
        self.inner.merge_serialized(groups, &rest)
    }

    fn finish(&mut self) -> Result<Column> {
        let column = self.inner.finish()?;
        match &self.seen {
            None => Ok(Column { data_type: self.result.clone(), array: column.array }),
            Some(seen) => {
                with_nulls(column, self.result.clone(), NullBuffer::from(seen.as_slice()))
            }
        }
    }

    fn serialize(&mut self) -> Result<Column> {
        let states = self.inner.serialize()?;
        let array = match &self.seen {
            None => states.array,
            Some(seen) => prefixed_states::join(seen, &states),
        };
        Ok(Column { data_type: self.state_type.clone(), array })
    }

    fn memory_bytes(&self) -> usize {
        self.inner.memory_bytes() + self.seen.as_ref().map_or(0, Vec::capacity)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
