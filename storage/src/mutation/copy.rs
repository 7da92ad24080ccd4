//! The rows of a part as a part of another table (or of the same, in another place), written anew
//! under the other's definition: what ATTACH, REPLACE and MOVE PARTITION between tables do.
//!
//! Columns go by name. Deleted rows stay behind. Nothing is visible before the caller commits.

use std::sync::Arc;

use super::worker::granule_rows;
use crate::block::Column;
use crate::error::{Error, Result};
use crate::log::{self, ColumnDefinition, PartMeta};
use crate::part::{PartIdentity, PendingPart};
use crate::scan::OpenPart;
use crate::store::Store;
use crate::table::column_reader::ColumnReader;
use crate::table::insert::{part_writer, push_rows};
use crate::table::key::TableKeys;
use crate::table::{index_granularity, stored_columns};

/// Writes the rows that are left of `meta`, a part of `from`, for `to`; None if there are none. The
/// tables must have the same columns and keys.
pub fn copy_part(
    store: &Arc<Store>,
    from: &log::Table,
    meta: &Arc<PartMeta>,
    to: &log::Table,
) -> Result<Option<PendingPart>> {
    let part = OpenPart::open(store, meta)?;
    let reader = ColumnReader::new(&from.definition, store.compiler());
    let keys = TableKeys::of(&to.definition, store.compiler().as_ref())?;
    let targets: Vec<&ColumnDefinition> = stored_columns(&to.definition).collect();
    let sources = targets
        .iter()
        .map(|target| {
            stored_columns(&from.definition)
                .find(|c| c.name == target.name && c.data_type == target.data_type)
                .ok_or_else(|| Error::Column(format!("column {} differs", target.name)))
        })
        .collect::<Result<Vec<_>>>()?;
    let identity = PartIdentity {
        id: store.new_part_id(),
        table: to.definition.uuid,
        partition_id: meta.partition_id.clone(),
        min_block: 0,
        max_block: 0,
        level: 0,
        created_us: store.clock().now_us(),
    };
    let partition = part.reader.partition().iter().map(|k| k.column.clone()).collect();
    let mut writer = part_writer(store.disk(), &to.definition, &keys, identity, partition);
    // Those that the part has, by what they say: the tables' columns are the same by name only.
    writer.retain_projections(&|name| {
        let wanted = to.definition.clauses.projections.iter().find(|p| p.name == name);
        let has = |select: &str| {
            let entries = part.reader.projections().iter();
            entries.map(|e| &e.described).any(|d| d.name == name && d.select == select)
        };
        wanted.is_some_and(|p| has(&p.select))
    });
    for granule in 0..part.reader.granules() {
        let block = granule_rows(&part, &reader, &sources, granule)?;
        if !block.is_empty() {
            let rows: Vec<Column> = block.columns;
            push_rows(&mut writer, &targets, &rows, &keys, index_granularity(&to.definition))?;
        }
    }
    if writer.rows() == 0 {
        return Ok(None);
    }
    let mut part = writer.finish()?;
    part.meta.ttl_seconds = part.meta.ttl_seconds.or(meta.ttl_seconds);
    Ok(Some(part))
}
