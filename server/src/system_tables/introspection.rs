//! `system.settings`, `functions`, `formats`, `table_engines`, `build_options`, `disks`: what
//! this build knows.

use pumphouse_ingest::format;
use pumphouse_query::{Result, aggregates, functions};
use pumphouse_storage::log::State;

use super::rows::{Rows, flag, text};
use crate::CLICKHOUSE_VERSION;
use crate::server::Server;
use crate::statement::ENGINES;

pub fn functions(_: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    let scalar = functions::names().map(|f| (f.name, f.case_insensitive, f.alias_to, false));
    let aggregate =
        aggregates::names().map(|(name, any_case, alias)| (name, any_case, alias, true));
    for (name, case_insensitive, alias_to, is_aggregate) in scalar.chain(aggregate) {
        rows.push(&[
            ("name", text(name)),
            ("is_aggregate", flag(is_aggregate)),
            ("case_insensitive", flag(case_insensitive)),
            ("alias_to", text(alias_to.unwrap_or_default())),
        ]);
    }
    for (name, lambda) in &state.functions {
        let name_text = pumphouse_query::sql::format::quote_name(name);
        rows.push(&[
            ("name", text(name)),
            ("origin", pumphouse_storage::Value::Int(1)),
            ("create_query", text(format!("CREATE FUNCTION {name_text} AS {lambda}"))),
        ]);
    }
    Ok(())
}

pub fn formats(_: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for format in format::names() {
        rows.push(&[
            ("name", text(format.name)),
            ("is_input", flag(format.reader.is_some())),
            ("is_output", flag(format.writer.is_some())),
        ]);
    }
    Ok(())
}

pub fn table_engines(_: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for engine in ENGINES.iter().copied() {
        rows.push(&[
            ("name", text(engine)),
            ("supports_settings", flag(engine.ends_with("MergeTree") || engine == "Kafka")),
            ("supports_sort_order", flag(engine.ends_with("MergeTree"))),
        ]);
    }
    Ok(())
}

pub fn build_options(_: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for (name, value) in [
        (
            "VERSION_FULL",
            format!("Pumphouse {} (ClickHouse {CLICKHOUSE_VERSION})", env!("CARGO_PKG_VERSION")),
        ),
        ("VERSION_DESCRIBE", format!("v{CLICKHOUSE_VERSION}")),
        ("SYSTEM", "Linux".to_string()),
    ] {
        rows.push(&[("name", text(name)), ("value", text(value))]);
    }
    Ok(())
}

/// Lines of an embedded list, each split at tabs.
fn lines(list: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    list.lines().filter(|l| !l.is_empty()).map(|l| l.split('\t').collect())
}

pub fn data_type_families(_: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for fields in lines(include_str!("data_types.tsv")) {
        let [name, any_case, alias] = fields[..] else { continue };
        rows.push(&[
            ("name", text(name)),
            ("case_insensitive", flag(any_case == "1")),
            ("alias_to", text(alias)),
        ]);
    }
    Ok(())
}

pub fn combinators(_: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for fields in lines(include_str!("combinators.tsv")) {
        let [name, internal] = fields[..] else { continue };
        rows.push(&[("name", text(name)), ("is_internal", flag(internal == "1"))]);
    }
    Ok(())
}

pub fn keywords(_: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for keyword in include_str!("keywords.tsv").lines() {
        rows.push(&[("keyword", text(keyword))]);
    }
    Ok(())
}

pub fn merge_tree_settings(_: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for fields in lines(include_str!("merge_tree_settings.tsv")) {
        let [name, data_type, value, tier] = fields[..] else { continue };
        let tier = match tier {
            "Experimental" => 8,
            "Obsolete" => 4,
            "Beta" => 12,
            _ => 0,
        };
        rows.push(&[
            ("name", text(name)),
            ("type", text(data_type)),
            ("value", text(value)),
            ("default", text(value)),
            ("is_obsolete", flag(tier == 4)),
            ("tier", pumphouse_storage::Value::Int(tier)),
        ]);
    }
    Ok(())
}

pub fn time_zones(_: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for zone in chrono_tz::TZ_VARIANTS {
        rows.push(&[("time_zone", text(zone.name()))]);
    }
    Ok(())
}

pub fn table_functions(_: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for name in super::TABLE_FUNCTIONS {
        rows.push(&[("name", text(*name)), ("allow_readonly", flag(true))]);
    }
    Ok(())
}

pub fn database_engines(_: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for name in ["Atomic", "Memory"] {
        rows.push(&[("name", text(name))]);
    }
    Ok(())
}

pub fn contributors(_: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    rows.push(&[("name", text("The Pumphouse contributors"))]);
    Ok(())
}

pub fn licenses(_: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    rows.push(&[
        ("library_name", text("pumphouse")),
        ("license_type", text(env!("CARGO_PKG_LICENSE"))),
        ("license_path", text("/LICENSE")),
        ("license_text", text(include_str!("../../../LICENSE"))),
    ]);
    Ok(())
}
