//! Building array columns by picking items: a pool of items and, per row, which of them to take.
//! Most array functions are a rule about indices, and this is the rest of them.

use arrow_array::UInt32Array;
use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::cast::cast_column;
use super::lists;
use crate::error::{Error, Result, codes};

/// Items of several sources in one column.
pub(super) struct Pool {
    parts: Vec<Column>,
    rows: u32,
    item: DataType,
}

impl Pool {
    pub fn new(item: &DataType) -> Pool {
        Pool { parts: vec![], rows: 0, item: item.clone() }
    }

    /// Adds items (converted to the pool's type); their indices begin at what is returned.
    pub fn add(&mut self, items: &Column, call: &FunctionCall) -> Result<u32> {
        let start = self.rows;
        let items = cast_column(items, &self.item, call.context)?;
        self.rows = u32::try_from(items.len())
            .ok()
            .and_then(|n| self.rows.checked_add(n))
            .ok_or_else(too_many)?;
        self.parts.push(items);
        Ok(start)
    }

    /// The type's default as one further item.
    pub fn add_default(&mut self) -> u32 {
        let start = self.rows;
        self.parts.push(Column::filler_values(self.item.clone(), 1));
        self.rows += 1;
        start
    }

    pub fn finish(self) -> Result<Column> {
        match self.parts.len() {
            0 => Ok(Column::empty(self.item)),
            1 => Ok(self.parts.into_iter().next().unwrap_or_else(|| Column::empty(self.item))),
            _ => Ok(Column::concat(&self.parts)?),
        }
    }
}

fn too_many() -> Error {
    Error::new(codes::TOO_LARGE_ARRAY_SIZE, "too many array elements in one block")
}

/// Indices row by row.
pub(super) struct Picks {
    pub indices: Vec<u32>,
    offsets: Vec<i32>,
}

impl Picks {
    pub fn with_capacity(rows: usize, items: usize) -> Picks {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Picks { indices: Vec::with_capacity(items), offsets }
    }

    pub fn push(&mut self, index: u32) {
        self.indices.push(index);
    }

    pub fn end_row(&mut self) -> Result<()> {
        self.offsets.push(i32::try_from(self.indices.len()).map_err(|_| too_many())?);
        Ok(())
    }

    /// The arrays: items taken from `pool`, as a column of the call's result type.
    pub fn finish(self, pool: &Column, call: &FunctionCall) -> Result<Column> {
        let items = pool.take(&UInt32Array::from(self.indices));
        call.finish(lists::list(&items.data_type, self.offsets, items.array))
    }
}

/// An array argument, ready to be walked.
pub(super) struct ArrayArgument {
    pub items: Column,
    pub offsets: Vec<i32>,
}

impl ArrayArgument {
    pub fn range(&self, row: usize) -> std::ops::Range<usize> {
        self.offsets[row] as usize..self.offsets[row + 1] as usize
    }
}

impl FunctionCall<'_> {
    /// Argument `index` as an array (a map is an array of pairs).
    pub(super) fn array(&self, index: usize) -> Result<ArrayArgument> {
        Ok(array_of(&self.column(index)?))
    }
}

pub(super) fn array_of(column: &Column) -> ArrayArgument {
    let column = lists::compact(column);
    ArrayArgument { items: lists::items(&column), offsets: lists::offsets(&column).to_vec() }
}
