//! Bounds of Memory tables (`min_rows_to_keep`, `max_rows_to_keep`, and the same in bytes): an insert that
//! goes over a maximum takes the oldest parts away, as long as the minima stay met. Part by part, in the
//! commit that brings the new rows. Bytes are those of the rows in memory.

use pumphouse_storage::log::{Edit, Table, TableDefinition};
use pumphouse_storage::part::PendingPart;

/// What must go from `table` when `new` come.
pub(super) fn removals(table: &Table, new: &[PendingPart]) -> Vec<Edit> {
    let definition = &table.definition;
    let bound = |name: &str| bound(definition, name);
    let (rows_max, bytes_max) = (bound("max_rows_to_keep"), bound("max_bytes_to_keep"));
    if definition.engine != "Memory" || (rows_max == 0 && bytes_max == 0) {
        return vec![];
    }
    let (rows_min, bytes_min) = (bound("min_rows_to_keep"), bound("min_bytes_to_keep"));
    let own = new.iter().filter(|p| p.meta.table == definition.uuid);
    let (mut rows, mut bytes) = (0, 0);
    for (r, b) in table.parts.iter().map(|p| (p.rows_live(), p.bytes_uncompressed)) {
        rows += r;
        bytes += b;
    }
    for part in own {
        rows += part.meta.rows;
        bytes += part.meta.bytes_uncompressed;
    }
    let mut edits = vec![];
    for part in &table.parts {
        let over = (rows_max > 0 && rows > rows_max) || (bytes_max > 0 && bytes > bytes_max);
        let (less_rows, less_bytes) = (rows - part.rows_live(), bytes - part.bytes_uncompressed);
        if !over || less_rows < rows_min || less_bytes < bytes_min {
            break;
        }
        (rows, bytes) = (less_rows, less_bytes);
        edits.push(Edit::RemovePart { table: definition.uuid, part: part.id });
    }
    edits
}

/// Whether a Memory table's parts must stay as they were inserted.
pub(super) fn is_bounded(definition: &TableDefinition) -> bool {
    definition.engine == "Memory"
        && (bound(definition, "max_rows_to_keep") > 0 || bound(definition, "max_bytes_to_keep") > 0)
}

fn bound(definition: &TableDefinition, name: &str) -> u64 {
    definition.settings.get(name).and_then(|text| text.parse().ok()).unwrap_or(0)
}
