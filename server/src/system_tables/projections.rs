//! `system.projections`, `projection_parts`, `projection_parts_columns`: what tables keep besides their
//! rows, and what of it lies in their parts. Parts with deleted rows show none: theirs are not read.

use std::sync::Arc;

use pumphouse_query::Result;
use pumphouse_storage::Value;
use pumphouse_storage::log::{PartMeta, State, TableDefinition};
use pumphouse_storage::part::PartReader;
use pumphouse_storage::scan;

use super::objects::attached;
use super::rows::{Rows, flag, number, seconds, text, texts};
use super::storage::partition_text;
use crate::server::Server;

pub fn projections(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    for table in attached(state).filter(|t| !t.definition.clauses.projections.is_empty()) {
        let d = &table.definition;
        let compiled = scan::projections(&server.store, table).unwrap_or_default();
        for projection in &d.clauses.projections {
            let found = compiled.iter().find(|(name, _)| *name == projection.name);
            let groups = found.is_some_and(|(_, p)| p.groups());
            let sorting: Vec<&str> = found
                .map(|(_, p)| p.sorting().iter().map(String::as_str).collect())
                .unwrap_or_default();
            rows.push(&[
                ("database", text(&d.database)),
                ("table", text(&d.name)),
                ("name", text(&projection.name)),
                ("type", Value::Int(groups.into())),
                ("sorting_key", texts(sorting)),
                ("query", text(&projection.select)),
            ]);
        }
    }
    Ok(())
}

/// The projections that a part has, of those that the table has.
fn of_part(
    server: &Server,
    definition: &TableDefinition,
    part: &Arc<PartMeta>,
) -> Vec<(String, Arc<PartReader>)> {
    if definition.clauses.projections.is_empty() || part.mask.is_some() {
        return vec![];
    }
    let found = server.store.part(part).and_then(|reader| reader.projection_parts());
    let known = |name: &String| definition.clauses.projections.iter().any(|p| p.name == *name);
    found.unwrap_or_default().into_iter().filter(|(name, _)| known(name)).collect()
}

/// Names of the projections that a part has.
pub(super) fn names(
    server: &Server,
    definition: &TableDefinition,
    part: &Arc<PartMeta>,
) -> Vec<String> {
    of_part(server, definition, part).into_iter().map(|(name, _)| name).collect()
}

type Cells<'a> = Vec<(&'a str, Value)>;

fn cells<'a>(d: &TableDefinition, part: &PartMeta, name: &str, reader: &PartReader) -> Cells<'a> {
    let decoded: u64 = reader.columns().map(|c| c.4).sum();
    vec![
        ("partition", text(partition_text(part))),
        ("partition_id", text(&part.partition_id)),
        ("name", text(name)),
        ("part_type", text("Compact")),
        ("parent_name", text(part.name())),
        ("parent_part_type", text("Compact")),
        ("active", flag(true)),
        ("marks", number(reader.granules() as u64)),
        ("marks_bytes", number(reader.marks_bytes())),
        ("marks_size", number(reader.marks_bytes())),
        ("part_name", text(name)),
        ("path", text(part.path())),
        ("rows", number(reader.rows())),
        ("bytes_on_disk", number(reader.file_bytes())),
        ("bytes", number(reader.file_bytes())),
        ("data_compressed_bytes", number(reader.file_bytes())),
        ("data_uncompressed_bytes", number(decoded)),
        ("parent_rows", number(part.rows)),
        ("parent_bytes_on_disk", number(part.bytes)),
        ("parent_data_compressed_bytes", number(part.bytes)),
        ("parent_data_uncompressed_bytes", number(part.bytes_uncompressed)),
        ("modification_time", seconds(part.created_us)),
        ("refcount", number(1)),
        ("min_block_number", Value::Int(part.min_block as i64)),
        ("max_block_number", Value::Int(part.max_block as i64)),
        ("level", number(part.level as u64)),
        ("data_version", number(part.data_version.max(part.min_block))),
        ("database", text(&d.database)),
        ("table", text(&d.name)),
        ("engine", text(&d.engine)),
        ("disk_name", text("default")),
    ]
}

pub fn projection_parts(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    for table in attached(state) {
        let d = &table.definition;
        for part in &table.parts {
            for (name, reader) in of_part(server, d, part) {
                let mut row = cells(d, part, &name, &reader);
                row.extend([
                    ("files", number(1)),
                    ("hash_of_all_files", text(format!("{:016x}", reader.footer_hash()))),
                    ("default_compression_codec", text("LZ4")),
                ]);
                rows.push(&row);
            }
        }
    }
    Ok(())
}

pub fn projection_parts_columns(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    for table in attached(state) {
        let d = &table.definition;
        for part in &table.parts {
            for (name, reader) in of_part(server, d, part) {
                let columns = reader.columns().zip(1..);
                for ((_, column, data_type, stored, decoded), position) in columns {
                    let mut row = cells(d, part, &name, &reader);
                    row.extend([
                        ("column", text(column)),
                        ("type", text(data_type.to_string())),
                        ("column_position", number(position)),
                        ("column_bytes_on_disk", number(stored)),
                        ("column_data_compressed_bytes", number(stored)),
                        ("column_data_uncompressed_bytes", number(decoded)),
                    ]);
                    rows.push(&row);
                }
            }
        }
    }
    Ok(())
}
