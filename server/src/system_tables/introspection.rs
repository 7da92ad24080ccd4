//! `system.settings`, `functions`, `formats`, `table_engines`, `build_options`, `disks`, `users`: what
//! this build knows.

use std::collections::HashSet;
use std::sync::OnceLock;

use pumphouse_ingest::format;
use pumphouse_query::{Result, aggregates, functions};
use pumphouse_storage::log::State;

use super::rows::{Rows, flag, number, text};
use crate::CLICKHOUSE_VERSION;
use crate::server::Server;
use crate::statement::ENGINES;

/// `(name, type, default)` of every setting of the ClickHouse release that we follow.
fn settings_file() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    include_str!("settings.tsv").lines().filter_map(|line| {
        let mut fields = line.split('\t');
        Some((fields.next()?, fields.next()?, fields.next().unwrap_or("")))
    })
}

/// Whether some ClickHouse setting has this name. All are accepted; those that mean something here
/// have effect.
pub fn is_setting(name: &str) -> bool {
    static NAMES: OnceLock<HashSet<&'static str>> = OnceLock::new();
    NAMES.get_or_init(|| settings_file().map(|(name, _, _)| name).collect()).contains(name)
        || name.starts_with("SQL_")
}

/// The type of a setting, as `system.settings` shows it.
pub fn setting_type(name: &str) -> Option<&'static str> {
    settings_file().find(|(n, _, _)| *n == name).map(|(_, data_type, _)| data_type)
}

pub fn settings(_: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for (name, data_type, default) in settings_file() {
        rows.push(&[
            ("name", text(name)),
            ("value", text(default)),
            ("default", text(default)),
            ("type", text(data_type)),
        ]);
    }
    Ok(())
}

pub fn functions(_: &Server, _: &State, rows: &mut Rows) -> Result<()> {
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
            ("supports_settings", flag(engine == "MergeTree" || engine == "Kafka")),
            ("supports_sort_order", flag(engine == "MergeTree")),
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

pub fn disks(server: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    let free = server.store.disk().free_bytes()?.unwrap_or(0);
    rows.push(&[
        ("name", text("default")),
        ("path", text(server.config.data_dir.display().to_string())),
        ("free_space", number(free)),
        ("unreserved_space", number(free)),
        ("keep_free_space", number(server.config.keep_free_space_bytes)),
        ("type", text("Local")),
    ]);
    Ok(())
}

pub fn users(_: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    rows.push(&[("name", text("default")), ("storage", text("config"))]);
    Ok(())
}
