//! `system.databases`, `tables`, `columns`: what the log says exists.

use std::collections::BTreeMap;

use pumphouse_query::{Result, sql};
use pumphouse_storage::log::{State, Table, TableDefinition};
use pumphouse_storage::{DataType, Value};

use super::rows::{Rows, flag, number, text, texts};
use super::storage;
use crate::server::Server;
use crate::statement::default_kind_name;

pub fn databases(_: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    let own = |name: &str| super::is_virtual_database(name);
    for database in state.databases.values().filter(|d| !own(&d.name)) {
        rows.push(&[
            ("name", text(&database.name)),
            ("engine", text(&database.engine)),
            ("engine_full", text(&database.engine)),
            ("comment", text(&database.comment)),
        ]);
    }
    let virtual_ones =
        [("system", "Atomic"), ("INFORMATION_SCHEMA", "Memory"), ("information_schema", "Memory")];
    for (name, engine) in virtual_ones {
        rows.push(&[("name", text(name)), ("engine", text(engine)), ("engine_full", text(engine))]);
    }
    Ok(())
}

pub(super) fn attached(state: &State) -> impl Iterator<Item = &std::sync::Arc<Table>> {
    state.databases.values().flat_map(|d| d.tables.values()).filter_map(|id| state.tables.get(id))
}

fn nullable(n: u64, has: bool) -> Value {
    if has { number(n) } else { Value::Null }
}

pub fn tables(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    for table in attached(state) {
        let d = &table.definition;
        let stores = d.engine.ends_with("MergeTree")
            || ["Memory", "Log", "TinyLog", "StripeLog", "Set", "Join"]
                .contains(&d.engine.as_str());
        let sum = |f: fn(&pumphouse_storage::log::PartMeta) -> u64| {
            table.parts.iter().map(|p| f(p)).sum::<u64>()
        };
        let dependents = state.views_of(&d.database, &d.name);
        let buffers = d.engine == "Buffer";
        let held = server.inserter.buffers().sizes(d.uuid);
        let (total_rows, total_bytes) = match buffers {
            true => (buffered_rows(server, d), number(held.bytes)),
            false => {
                let rows = nullable(sum(|p| p.rows_live()), stores);
                (rows, nullable(sum(|p| p.bytes), stores))
            }
        };
        rows.push(&[
            ("database", text(&d.database)),
            ("name", text(&d.name)),
            ("uuid", Value::String(d.uuid.as_bytes().to_vec())),
            ("engine", text(&d.engine)),
            (
                "create_table_query",
                text(d.create_query.split_whitespace().collect::<Vec<_>>().join(" ")),
            ),
            ("engine_full", text(engine_full(&d.create_query))),
            ("as_select", text(d.select.clone().unwrap_or_default())),
            ("partition_key", text(d.partition_key.join(", "))),
            ("sorting_key", text(d.sorting_key.join(", "))),
            ("primary_key", text(d.primary_key.join(", "))),
            ("total_rows", total_rows),
            ("total_bytes", total_bytes),
            ("lifetime_rows", nullable(held.rows_ever, buffers)),
            ("lifetime_bytes", nullable(held.bytes_ever, buffers)),
            ("total_bytes_uncompressed", nullable(sum(|p| p.bytes_uncompressed), stores)),
            ("parts", nullable(table.parts.len() as u64, stores)),
            ("active_parts", nullable(table.parts.len() as u64, stores)),
            ("sampling_key", text(d.clauses.sample_by.clone().unwrap_or_default())),
            ("storage_policy", text(if stores { "default" } else { "" })),
            ("target_database", text(d.target.as_ref().map_or("", |t| &t.0))),
            ("target_table", text(d.target.as_ref().map_or("", |t| &t.1))),
            ("comment", text(&d.comment)),
            ("has_own_data", flag(stores)),
            ("dependencies_database", texts(dependents.iter().map(|t| &t.definition.database))),
            ("dependencies_table", texts(dependents.iter().map(|t| &t.definition.name))),
        ]);
    }
    for name in super::virtual_names(state) {
        rows.push(&[
            ("database", text("system")),
            ("name", text(name)),
            ("engine", text(format!("System{name}"))),
        ]);
    }
    Ok(())
}

/// Rows in memory and in the destination of a Buffer table; NULL if that is not known.
fn buffered_rows(server: &Server, definition: &TableDefinition) -> Value {
    let source = crate::buffers::source(server, definition);
    source.ok().and_then(|s| s.row_count()).map_or(Value::Null, number)
}

/// The text behind `ENGINE = ` in one line.
fn engine_full(create_query: &str) -> String {
    match create_query.split_once("\nENGINE = ") {
        Some((_, clause)) => clause.split_whitespace().collect::<Vec<_>>().join(" "),
        None => String::new(),
    }
}

/// Bytes in files and decoded of each column of a table, by column id.
fn table_column_bytes(server: &Server, table: &Table) -> BTreeMap<u32, (u64, u64)> {
    let mut sums: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for part in &table.parts {
        for (id, (stored, decoded)) in storage::column_bytes(server, part).unwrap_or_default() {
            let sum = sums.entry(id).or_default();
            (sum.0, sum.1) = (sum.0 + stored, sum.1 + decoded);
        }
    }
    sums
}

/// The columns that a key's expressions read.
fn names_of(key: &[String]) -> Vec<String> {
    let parsed = key.iter().filter_map(|text| sql::parse_expression(text).ok());
    parsed.flat_map(|e| sql::names_in(&e)).collect()
}

/// Length, precision and scale of a type, as far as it has them.
fn precisions(data_type: &DataType) -> Vec<(&'static str, Value)> {
    let inner = match data_type {
        DataType::Nullable(inner) => inner,
        plain => plain,
    };
    let bits = |n: u64| {
        vec![
            ("numeric_precision", number(n)),
            ("numeric_precision_radix", number(2)),
            ("numeric_scale", number(0)),
        ]
    };
    match inner {
        DataType::Bool | DataType::UInt8 | DataType::Int8 => bits(8),
        DataType::UInt16 | DataType::Int16 => bits(16),
        DataType::UInt32 | DataType::Int32 => bits(32),
        DataType::UInt64 | DataType::Int64 => bits(64),
        DataType::UInt128 | DataType::Int128 => bits(128),
        DataType::UInt256 | DataType::Int256 => bits(256),
        DataType::Decimal { precision, scale } => vec![
            ("numeric_precision", number(u64::from(*precision))),
            ("numeric_precision_radix", number(10)),
            ("numeric_scale", number(u64::from(*scale))),
        ],
        DataType::FixedString(n) => vec![("character_octet_length", number(*n as u64))],
        DataType::Date | DataType::Date32 | DataType::DateTime(_) => {
            vec![("datetime_precision", number(0))]
        }
        DataType::DateTime64(precision, _) => {
            vec![("datetime_precision", number(u64::from(*precision)))]
        }
        _ => vec![],
    }
}

pub fn columns(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    for table in attached(state) {
        let d = &table.definition;
        let bytes = table_column_bytes(server, table);
        let [partition, sorting, primary] =
            [&d.partition_key, &d.sorting_key, &d.primary_key].map(|key| names_of(key));
        for (i, column) in d.columns.iter().enumerate() {
            let (kind, expression) = match &column.default {
                Some(default) => (default_kind_name(default.kind), default.expression.as_str()),
                None => ("", ""),
            };
            let mut row = vec![
                ("database", text(&d.database)),
                ("table", text(&d.name)),
                ("name", text(&column.name)),
                ("type", text(column.data_type.to_string())),
                ("position", number(i as u64 + 1)),
                ("data_compressed_bytes", number(bytes.get(&column.id).map_or(0, |b| b.0))),
                ("data_uncompressed_bytes", number(bytes.get(&column.id).map_or(0, |b| b.1))),
                ("default_kind", text(kind)),
                ("default_expression", text(expression)),
                ("comment", text(&column.comment)),
                ("compression_codec", text(&column.codec)),
                ("is_in_partition_key", flag(partition.contains(&column.name))),
                ("is_in_sorting_key", flag(sorting.contains(&column.name))),
                ("is_in_primary_key", flag(primary.contains(&column.name))),
            ];
            row.extend(precisions(&column.data_type));
            rows.push(&row);
        }
    }
    for table in super::virtual_names(state) {
        for (i, (name, data_type)) in super::schema_of(table).into_iter().enumerate() {
            let mut row = vec![
                ("database", text("system")),
                ("table", text(table)),
                ("name", text(name)),
                ("type", text(data_type.to_string())),
                ("position", number(i as u64 + 1)),
            ];
            row.extend(precisions(&data_type));
            rows.push(&row);
        }
    }
    Ok(())
}
