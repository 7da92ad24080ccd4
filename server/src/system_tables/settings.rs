//! `system.settings`: every setting as the query sees it.

use pumphouse_query::settings::{Known, Settings, all, is_harmless, known};
use pumphouse_storage::Value;

use super::rows::{Rows, flag, text};

/// A row for every setting, as a query with these settings sees it.
pub fn fill(settings: &Settings, rows: &mut Rows) {
    all().iter().for_each(|setting| push(rows, setting, settings));
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
