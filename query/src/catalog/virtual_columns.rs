//! Virtual columns of stored tables: `_part`, `_partition_id`, `_part_offset` and others, hidden from `*`.
//!
//! Most have one value for all rows of a part, so conditions on them choose parts before anything is opened.
//! Scans that ask for none of them do not come here. Left out: `_block_number` and `_block_offset` (numbers
//! that merges would have to keep), `_sample_factor`, `_distance`; FINAL with any of them is refused.

use std::sync::Arc;

use arrow_array::{BooleanArray, UInt64Array};
use pumphouse_storage::log::{PartMeta, Table};
use pumphouse_storage::scan::{self, ColumnCondition, Predicate, Scan};
use pumphouse_storage::types::TupleElement;
use pumphouse_storage::{Block, Column, DataType, Store, Value};

use super::{MorselSource, SourceColumn};
use crate::error::Result;

/// Those that a table of parts has, besides `_partition_value` of partitioned ones.
const OF_PARTS: [&str; 9] = [
    "_part",
    "_part_index",
    "_part_starting_offset",
    "_part_uuid",
    "_partition_id",
    "_part_offset",
    "_part_granule_offset",
    "_part_data_version",
    "_disk_name",
];
/// Those that every stored table has.
const OF_TABLES: [&str; 3] = ["_table", "_database", "_row_exists"];
const PARTITION_VALUE: &str = "_partition_value";

/// The virtual columns of `table`; a column of its own by the same name hides one.
pub(super) fn of_table(store: &Store, table: &Table) -> Vec<SourceColumn> {
    let definition = &table.definition;
    let mut found: Vec<(&str, DataType)> = vec![];
    if definition.engine.ends_with("MergeTree") {
        found.extend(OF_PARTS.map(|name| (name, type_of(name))));
        let key = scan::partition_types(store, table).unwrap_or_default();
        if !key.is_empty() {
            let element = |data_type| TupleElement { name: None, data_type };
            found.push((PARTITION_VALUE, DataType::Tuple(key.into_iter().map(element).collect())));
        }
    }
    found.extend(OF_TABLES.map(|name| (name, type_of(name))));
    found
        .into_iter()
        .filter(|(name, _)| definition.columns.iter().all(|c| c.name != *name))
        .map(|(name, data_type)| SourceColumn {
            hidden: true,
            ..SourceColumn::plain(name, data_type)
        })
        .collect()
}

/// Columns that conditions may be on before a part is opened.
pub(super) const CHOOSING_PARTS: [&str; 2] = ["_part", "_partition_id"];

fn type_of(name: &str) -> DataType {
    match name {
        "_part" | "_partition_id" | "_disk_name" | "_table" | "_database" => {
            DataType::LowCardinality(Box::new(DataType::String))
        }
        "_part_uuid" => DataType::Uuid,
        "_row_exists" => DataType::UInt8,
        _ => DataType::UInt64,
    }
}

/// `table` with those of its parts that may hold rows for which the conditions and the predicate hold.
pub(super) fn with_parts_chosen(
    table: &Arc<Table>,
    conditions: &[ColumnCondition],
    predicate: &Predicate,
) -> Arc<Table> {
    let mut chosen = (**table).clone();
    chosen.parts.retain(|part| {
        let may = |condition: &ColumnCondition| match name_of(&condition.column, part) {
            Some(value) => condition.ranges.iter().any(|r| r.overlaps(&value, &value)),
            None => true,
        };
        conditions.iter().all(may)
            && predicate.may_hold(&mut |leaf| match leaf {
                Predicate::Ranges(condition) => may(condition),
                _ => true,
            })
    });
    Arc::new(chosen)
}

/// What names a part or its partition.
fn name_of(column: &str, part: &PartMeta) -> Option<Value> {
    match column {
        "_part" => Some(Value::string(part.name())),
        "_partition_id" => Some(Value::string(part.partition_id.clone())),
        _ => None,
    }
}

/// A scan that also makes virtual columns.
pub(super) struct VirtualScan {
    pub scan: Scan,
    pub table: Arc<Table>,
    /// What was asked for, in order.
    pub columns: Vec<String>,
    /// Those of the source that are virtual.
    pub virtuals: Vec<SourceColumn>,
}

impl VirtualScan {
    fn is_virtual(&self, name: &str) -> bool {
        self.virtuals.iter().any(|c| c.name == name)
    }

    /// The value that all rows of morsel `i` have; None if they differ.
    fn value(&self, i: usize, name: &str) -> Option<Value> {
        let definition = &self.table.definition;
        let part = self.scan.part_of(i);
        match name {
            "_table" => Some(Value::string(definition.name.clone())),
            "_database" => Some(Value::string(definition.database.clone())),
            "_disk_name" => Some(Value::string("default")),
            "_row_exists" => Some(Value::UInt(1)),
            "_part_index" => Some(Value::UInt(self.scan.parts_before(i).0)),
            "_part_starting_offset" => Some(Value::UInt(self.scan.parts_before(i).1)),
            // The number of the newest mutation if it is younger than the part.
            "_part_data_version" => part.map(|p| Value::UInt(p.data_version.max(p.min_block))),
            PARTITION_VALUE => Some(Value::Tuple(self.scan.partition_value(i))),
            _ => name_of(name, part?),
        }
    }

    fn column(
        &self,
        i: usize,
        name: &str,
        keep: Option<&BooleanArray>,
        rows: usize,
    ) -> Result<Column> {
        let declared = self.virtuals.iter().find(|c| c.name == name);
        let data_type = declared.map_or_else(|| type_of(name), |c| c.data_type.clone());
        if name == "_part_uuid" {
            return Ok(Column::default_values(data_type, rows));
        }
        if let Some(value) = self.value(i, name) {
            return Ok(Column::constant(data_type, &value, rows)?);
        }
        let places = self.scan.row_places(i);
        let numbers: UInt64Array = match name {
            "_part_granule_offset" => places.iter().map(|p| p.1).collect(),
            _ => places.iter().map(|p| p.0).collect(),
        };
        let column = Column::new(data_type, Arc::new(numbers));
        Ok(keep.map_or_else(|| column.clone(), |mask| column.filter(mask)))
    }
}

impl MorselSource for VirtualScan {
    fn morsel_count(&self) -> Option<usize> {
        Some(self.scan.morsel_count())
    }

    fn read(&self, index: usize) -> Result<Option<Block>> {
        self.read_columns(index, &self.columns, None)
    }

    fn read_columns(
        &self,
        index: usize,
        columns: &[String],
        keep: Option<&BooleanArray>,
    ) -> Result<Option<Block>> {
        if index >= self.scan.morsel_count() {
            return Ok(None);
        }
        let stored: Vec<String> =
            columns.iter().filter(|name| !self.is_virtual(name)).cloned().collect();
        let read = self.scan.read(index, &stored, keep)?;
        let rows = read.rows();
        let mut block = Block::of_rows(rows);
        let mut stored = read.columns.into_iter();
        for name in columns {
            let column = match self.is_virtual(name) {
                true => Some(self.column(index, name, keep, rows)?),
                false => stored.next(),
            };
            if let Some(column) = column {
                block.push(name.clone(), column);
            }
        }
        Ok(Some(block))
    }

    fn rows_hint(&self, index: usize) -> Option<usize> {
        Some(self.scan.morsel_rows(index))
    }

    fn column_range(&self, index: usize, column: &str) -> Option<(Value, Option<Value>)> {
        if self.is_virtual(column) {
            return None;
        }
        self.scan.morsel_range(index, column)
    }

    fn key_bounds(&self, index: usize) -> Option<(Vec<Value>, Vec<Value>)> {
        self.scan.key_bounds(index)
    }

    fn explain(&self) -> Vec<String> {
        super::store::pruning_lines(&self.scan.report)
    }
}
