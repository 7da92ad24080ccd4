//! Settings by which a query refuses to run without its indexes: `force_primary_key`,
//! `force_index_by_date`, `force_data_skipping_indices`; and what it says about projections.

use pumphouse_storage::log::Table;
use pumphouse_storage::scan::{Predicate, ProjectionUse, index_columns};

use crate::context::Settings;
use crate::error::{Error, Result, codes};

/// Fails with INDEX_NOT_USED if the predicate leaves an index unused that the settings ask for.
pub(super) fn check(table: &Table, predicate: &Predicate, settings: &Settings) -> Result<()> {
    let definition = &table.definition;
    let restricts = |names: &[String]| {
        predicate.restricts(&|leaf| {
            matches!(leaf, Predicate::Ranges(_))
                && leaf.column().is_some_and(|c| names.iter().any(|n| n == c))
        })
    };
    if settings.bool("force_primary_key", false) && !restricts(&definition.primary_key) {
        return Err(unused(format!(
            "Primary key ({}) is not used and setting 'force_primary_key' is set",
            definition.primary_key.join(", ")
        )));
    }
    if settings.bool("force_index_by_date", false) && !definition.partition_key.is_empty() {
        let columns: Vec<String> = definition
            .columns
            .iter()
            .map(|c| c.name.clone())
            .filter(|name| definition.partition_key.iter().any(|key| mentions(key, name)))
            .collect();
        if !restricts(&columns) && !restricts(&definition.partition_key) {
            return Err(unused(format!(
                "Neither MinMax index by columns ({}) nor partition expr is used and setting \
                 'force_index_by_date' is set",
                columns.join(", ")
            )));
        }
    }
    if settings.bool("use_skip_indexes", true) {
        for name in names(settings, "force_data_skipping_indices") {
            let index = definition.clauses.indexes.iter().find(|i| i.name == name);
            let used = index.is_some_and(|index| {
                let columns = index_columns(index);
                predicate.restricts(&|leaf| {
                    leaf.column().is_some_and(|c| columns.iter().any(|n| n == c))
                })
            });
            if !used {
                return Err(unused(format!(
                    "Index `{name}` is not used and setting 'force_data_skipping_indices' contains it"
                )));
            }
        }
    }
    Ok(())
}

fn unused(message: String) -> Error {
    Error::new(codes::INDEX_NOT_USED, message)
}

/// Whether the word `name` stands in an expression's text.
fn mentions(text: &str, name: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name)
}

/// A setting that lists names.
pub(super) fn names(settings: &Settings, setting: &str) -> Vec<String> {
    let text = settings.get(setting).unwrap_or_default();
    text.split(',')
        .map(|name| name.trim().trim_matches(['`', '"']).to_string())
        .filter(|name| !name.is_empty())
        .collect()
}

/// What the settings say about projections.
pub(super) fn projections(settings: &Settings) -> ProjectionUse {
    ProjectionUse {
        allowed: settings.bool("optimize_use_projections", true),
        preferred: settings.get("preferred_optimize_projection_name").unwrap_or_default().into(),
    }
}
