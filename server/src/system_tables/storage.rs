//! `system.parts`, `parts_columns`, `detached_parts`, `data_skipping_indices`, `disks`,
//! `storage_policies`: what lies on the disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use pumphouse_query::Result;
use pumphouse_storage::log::{ColumnDefinition, PartId, PartMeta, State, Table, TableDefinition};
use pumphouse_storage::{DataType, Value};

use super::objects::attached;
use super::rows::{Rows, flag, number, seconds, text, texts};
use crate::server::Server;
use crate::statement::default_kind_name;

/// What ClickHouse shows as the partition's value.
pub(super) fn partition_text(part: &PartMeta) -> &str {
    if part.partition_id == "all" { "tuple()" } else { &part.partition_id }
}

fn marks(table: &Table, rows: u64) -> u64 {
    let granularity = pumphouse_storage::table::index_granularity(&table.definition) as u64;
    rows.div_ceil(granularity.max(1))
}

/// The only Date and the only DateTime column that the partition key reads, by id.
fn time_columns(server: &Server, definition: &TableDefinition) -> [Option<u32>; 2] {
    let schema = definition.schema();
    let compiled =
        definition.partition_key.iter().map(|text| server.store.compiler().compile(text, &schema));
    let names: Vec<String> = compiled.flatten().flat_map(|c| c.inputs().to_vec()).collect();
    let only = |wanted: fn(&DataType) -> bool| {
        let fits = |c: &&ColumnDefinition| names.contains(&c.name) && wanted(&c.data_type);
        let mut found = definition.columns.iter().filter(fits);
        let first = found.next()?.id;
        found.next().is_none().then_some(first)
    };
    [only(|t| *t == DataType::Date), only(|t| matches!(t, DataType::DateTime(_)))]
}

/// `min_date`, `max_date`, `min_time` and `max_time`, as far as the partition key tells.
fn time_bounds(
    server: &Server,
    columns: [Option<u32>; 2],
    part: &Arc<PartMeta>,
) -> Vec<(&'static str, Value)> {
    const NAMES: [(&str, &str); 2] = [("min_date", "max_date"), ("min_time", "max_time")];
    let mut found = vec![];
    for (column, (min, max)) in columns.into_iter().zip(NAMES) {
        let Some(id) = column else { continue };
        let reader = server.store.part(part).ok();
        if let Some((low, high)) = reader.and_then(|reader| reader.column_bounds(id)) {
            found.extend([(min, low), (max, high)]);
        }
    }
    found
}

pub fn parts(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    for table in attached(state) {
        let d = &table.definition;
        let times = time_columns(server, d);
        for part in &table.parts {
            let mask_bytes = part.mask.as_ref().map_or(0, |m| m.bytes);
            let (ttl_min, ttl_max) = part.ttl_seconds.unwrap_or((0, 0));
            let ttl = |s: i64| number(u64::try_from(s).unwrap_or(0).min(u32::MAX.into()));
            let mut row = time_bounds(server, times, part);
            row.extend([
                ("partition", text(partition_text(part))),
                ("partition_id", text(&part.partition_id)),
                ("name", text(part.name())),
                ("part_type", text("Compact")),
                ("part_storage_type", text("Full")),
                ("active", flag(true)),
                ("visible", flag(true)),
                ("rows", number(part.rows_live())),
                ("marks", number(marks(table, part.rows))),
                ("files", number(1 + u64::from(part.mask.is_some()))),
                ("bytes_on_disk", number(part.bytes + mask_bytes)),
                ("bytes", number(part.bytes + mask_bytes)),
                ("data_compressed_bytes", number(part.bytes)),
                ("data_uncompressed_bytes", number(part.bytes_uncompressed)),
                ("modification_time", seconds(part.created_us)),
                ("refcount", number(1)),
                ("min_block_number", Value::Int(part.min_block as i64)),
                ("max_block_number", Value::Int(part.max_block as i64)),
                ("level", number(part.level as u64)),
                ("data_version", number(part.data_version.max(part.min_block))),
                ("delete_ttl_info_min", ttl(ttl_min)),
                ("delete_ttl_info_max", ttl(ttl_max)),
                ("has_lightweight_delete", flag(part.mask.is_some())),
                ("projections", texts(super::projections::names(server, d, part))),
                ("database", text(&d.database)),
                ("table", text(&d.name)),
                ("engine", text(&d.engine)),
                ("disk_name", text("default")),
                ("path", text(server.config.data_dir.join(part.path()).display().to_string())),
                ("hash_of_all_files", text(format!("{:016x}", part.footer_hash))),
                ("default_compression_codec", text("LZ4")),
                // Our own: why queries that need it fail.
                ("part_name", text(part.name())),
                ("quarantined", text(server.store.quarantine_reason(part.id).unwrap_or_default())),
            ]);
            rows.push(&row);
        }
    }
    Ok(())
}

/// Bytes in the file and decoded, by column id, of one part. None if it cannot be opened; whoever
/// reads its rows hears why.
pub(super) fn column_bytes(
    server: &Server,
    part: &Arc<PartMeta>,
) -> Option<BTreeMap<u32, (u64, u64)>> {
    let reader = server.store.part(part).ok()?;
    Some(reader.columns().map(|(id, _, _, stored, decoded)| (id, (stored, decoded))).collect())
}

pub fn parts_columns(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    for table in attached(state) {
        let d = &table.definition;
        let times = time_columns(server, d);
        for part in &table.parts {
            let bounds = time_bounds(server, times, part);
            let Some(bytes) = column_bytes(server, part) else { continue };
            for (i, column) in d.columns.iter().enumerate() {
                let Some((stored, decoded)) = bytes.get(&column.id) else { continue };
                let (kind, expression) = match &column.default {
                    Some(default) => (default_kind_name(default.kind), default.expression.as_str()),
                    None => ("", ""),
                };
                let mut row = bounds.clone();
                row.extend([
                    ("partition", text(partition_text(part))),
                    ("partition_id", text(&part.partition_id)),
                    ("name", text(part.name())),
                    ("part_type", text("Compact")),
                    ("active", flag(true)),
                    ("rows", number(part.rows)),
                    ("marks", number(marks(table, part.rows))),
                    ("bytes_on_disk", number(part.bytes)),
                    ("data_compressed_bytes", number(part.bytes)),
                    ("data_uncompressed_bytes", number(part.bytes_uncompressed)),
                    ("modification_time", seconds(part.created_us)),
                    ("min_block_number", Value::Int(part.min_block as i64)),
                    ("max_block_number", Value::Int(part.max_block as i64)),
                    ("level", number(part.level as u64)),
                    ("database", text(&d.database)),
                    ("table", text(&d.name)),
                    ("engine", text(&d.engine)),
                    ("disk_name", text("default")),
                    ("refcount", number(1)),
                    ("data_version", number(part.data_version.max(part.min_block))),
                    ("bytes", number(part.bytes)),
                    ("part_name", text(part.name())),
                    ("path", text(server.config.data_dir.join(part.path()).display().to_string())),
                    ("column_modification_time", seconds(part.created_us)),
                    ("serialization_kind", text("Default")),
                    ("column", text(&column.name)),
                    ("type", text(column.data_type.to_string())),
                    ("column_position", number(i as u64 + 1)),
                    ("default_kind", text(kind)),
                    ("default_expression", text(expression)),
                    ("column_bytes_on_disk", number(*stored)),
                    ("column_data_compressed_bytes", number(*stored)),
                    ("column_data_uncompressed_bytes", number(*decoded)),
                ]);
                rows.push(&row);
            }
        }
    }
    Ok(())
}

/// Parts that are detached, and those in quarantine: out of service, not gone.
pub fn detached_parts(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    let quarantined: BTreeMap<PartId, String> = server.store.quarantined().into_iter().collect();
    for table in attached(state) {
        let d = &table.definition;
        let detached = table.changes.detached_parts.iter();
        let broken = table.parts.iter().filter(|p| quarantined.contains_key(&p.id));
        for (part, is_detached) in detached.map(|p| (p, true)).chain(broken.map(|p| (p, false))) {
            let what = quarantined.get(&part.id).map_or("", String::as_str);
            let reason = if is_detached { what.to_string() } else { format!("broken: {what}") };
            rows.push(&[
                ("database", text(&d.database)),
                ("table", text(&d.name)),
                ("partition_id", text(&part.partition_id)),
                ("name", text(part.name())),
                ("bytes_on_disk", number(part.bytes)),
                ("modification_time", seconds(part.created_us)),
                ("disk", text("default")),
                ("path", text(server.config.data_dir.join(part.path()).display().to_string())),
                ("reason", text(reason)),
                ("min_block_number", Value::Int(part.min_block as i64)),
                ("max_block_number", Value::Int(part.max_block as i64)),
                ("level", number(part.level.into())),
            ]);
        }
    }
    Ok(())
}

/// An index's expressions without the parentheses around several.
fn listed(expression: &str) -> String {
    use pumphouse_query::sql::{self, ast::ExprKind, format};
    match sql::parse_expression(expression).map(|e| e.kind) {
        Ok(ExprKind::Call(call)) if call.name == "tuple" => {
            call.arguments.iter().map(format::expr).collect::<Vec<_>>().join(", ")
        }
        _ => expression.into(),
    }
}

pub fn data_skipping_indices(_: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    for table in attached(state) {
        let d = &table.definition;
        for index in &d.clauses.indexes {
            let name = index.index_type.split('(').next().unwrap_or_default();
            rows.push(&[
                ("database", text(&d.database)),
                ("table", text(&d.name)),
                ("name", text(&index.name)),
                ("type", text(name)),
                ("type_full", text(&index.index_type)),
                ("expr", text(listed(&index.expression))),
                ("granularity", number(index.granularity)),
            ]);
        }
    }
    Ok(())
}

pub fn disks(server: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    let free = server.store.disk().free_bytes()?.unwrap_or(0);
    let mut path = server.config.data_dir.display().to_string();
    if !path.ends_with('/') {
        path.push('/');
    }
    rows.push(&[
        ("name", text("default")),
        ("path", text(path)),
        ("free_space", number(free)),
        ("total_space", number(server.store.disk().total_bytes()?.unwrap_or(free))),
        ("unreserved_space", number(free)),
        ("keep_free_space", number(server.config.keep_free_space_bytes)),
        ("type", text("Local")),
        ("object_storage_type", text("None")),
        ("metadata_type", text("None")),
    ]);
    Ok(())
}

pub fn storage_policies(_: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    rows.push(&[
        ("policy_name", text("default")),
        ("volume_name", text("default")),
        ("volume_priority", number(1)),
        ("disks", texts(["default"])),
        ("volume_type", Value::Int(0)),
        ("perform_ttl_move_on_insert", flag(true)),
        ("load_balancing", Value::Int(0)),
    ]);
    Ok(())
}
