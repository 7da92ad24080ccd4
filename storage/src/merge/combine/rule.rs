//! A table's engine and its arguments, read as a rule for rows of equal key.
//!
//! Whoever makes the definition has checked the arguments; here they are taken as they are.

use crate::log::TableDefinition;

/// What becomes of rows of equal sorting key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RowRule {
    /// All are kept.
    Ordinary,
    /// The newest stays.
    Replacing { version: Option<String>, deleted: Option<String> },
    /// One row of sums; of the listed columns, or of all numbers outside the keys.
    Summing { columns: Vec<String> },
    /// One row of merged states.
    Aggregating,
    /// A row and its cancellation vanish.
    Collapsing { sign: String },
    /// The same by version, in any order. The version is the last of the sorting key.
    VersionedCollapsing { sign: String, version: String },
    /// The last value that is not NULL, column by column.
    Coalescing { columns: Vec<String> },
}

impl RowRule {
    pub(crate) fn of(definition: &TableDefinition) -> RowRule {
        let arguments = &definition.clauses.engine_arguments;
        let at = |i: usize| arguments.get(i).map(|a| column_name(a));
        let all = || arguments.iter().map(|a| column_name(a)).collect();
        match definition.engine.as_str() {
            "ReplacingMergeTree" => RowRule::Replacing { version: at(0), deleted: at(1) },
            "SummingMergeTree" => RowRule::Summing { columns: all() },
            "AggregatingMergeTree" => RowRule::Aggregating,
            "CoalescingMergeTree" => RowRule::Coalescing { columns: all() },
            "CollapsingMergeTree" => RowRule::Collapsing { sign: at(0).unwrap_or_default() },
            "VersionedCollapsingMergeTree" => RowRule::VersionedCollapsing {
                sign: at(0).unwrap_or_default(),
                version: at(1).unwrap_or_default(),
            },
            _ => RowRule::Ordinary,
        }
    }
}

/// A name as written, without its quotes.
fn column_name(text: &str) -> String {
    match text.strip_prefix('`').and_then(|t| t.strip_suffix('`')) {
        Some(quoted) => quoted.replace("\\`", "`").replace("\\\\", "\\"),
        None => text.to_string(),
    }
}
