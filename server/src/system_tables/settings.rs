//! `system.settings`: every setting as the query sees it.

use std::sync::Arc;

use pumphouse_query::Result;
use pumphouse_query::catalog::{BlockSource, MorselSource, SourceColumn, TableSource};
use pumphouse_query::settings::{Known, Settings, all, is_harmless, known};
use pumphouse_storage::scan::{ColumnCondition, Predicate};
use pumphouse_storage::{DataType, Value};

use super::rows::{Rows, flag, text};

/// The table; its rows depend on the query's settings.
pub struct SettingsTable {
    schema: Vec<(String, DataType)>,
    columns: Vec<SourceColumn>,
}

impl SettingsTable {
    pub fn new(schema: Vec<(String, DataType)>) -> SettingsTable {
        let columns =
            schema.iter().map(|(n, t)| SourceColumn::plain(n.clone(), t.clone())).collect();
        SettingsTable { schema, columns }
    }
}

impl TableSource for SettingsTable {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    fn scan(
        &self,
        columns: &[String],
        conditions: &[ColumnCondition],
    ) -> Result<Arc<dyn MorselSource>> {
        self.scan_where(columns, conditions, &Predicate::default(), &Settings::default())
    }

    fn scan_where(
        &self,
        columns: &[String],
        conditions: &[ColumnCondition],
        _predicate: &Predicate,
        settings: &Settings,
    ) -> Result<Arc<dyn MorselSource>> {
        let mut rows = Rows::new(self.schema.clone());
        all().iter().for_each(|setting| push(&mut rows, setting, settings));
        BlockSource::new(self.name(), self.columns.clone(), vec![rows.into_block()?])
            .scan(columns, conditions)
    }

    fn name(&self) -> String {
        "system.settings".into()
    }

    fn engine(&self) -> String {
        "SystemSettings".into()
    }
}

fn push(rows: &mut Rows, setting: &Known, settings: &Settings) {
    let name = known(setting.name).map_or(setting.name, |k| k.name);
    let set = settings.get(name);
    let fixed = match settings.u64("readonly", 0) {
        0 => false,
        1 => !is_harmless(name),
        _ => name == "readonly",
    };
    let tier = match setting.tier {
        "Obsolete" => 4,
        "Experimental" => 8,
        "Beta" => 12,
        "PrivatePreview" => 16,
        _ => 0,
    };
    rows.push(&[
        ("name", text(setting.name)),
        ("value", text(shown(setting, set.unwrap_or(&setting.default)))),
        ("changed", flag(set.is_some())),
        ("default", text(shown(setting, &setting.default))),
        ("readonly", flag(fixed)),
        ("type", text(setting.type_name)),
        ("alias_for", text(setting.alias_for)),
        ("is_obsolete", flag(setting.tier == "Obsolete")),
        ("tier", Value::Int(tier)),
    ]);
}

/// As many threads as there are cores is `auto(cores)`.
fn shown(setting: &Known, value: &str) -> String {
    if setting.type_name == "MaxThreads" && (value == "0" || value.starts_with("auto")) {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        return format!("auto({cores})");
    }
    value.to_string()
}
