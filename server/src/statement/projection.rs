//! What CREATE, ALTER and DELETE check about projections, and what MATERIALIZE and CLEAR PROJECTION do.

use pumphouse_query::bind::SqlExpressions;
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};
use pumphouse_storage::DataType;
use pumphouse_storage::expression::ExpressionCompiler;
use pumphouse_storage::log::{MutationAction, TableDefinition};
use pumphouse_storage::part::check_projections;
use pumphouse_storage::table::stored_columns;

/// The most projections of a table, unless it says otherwise.
const PROJECTIONS_MAX: usize = 25;

fn setting<'d>(definition: &'d TableDefinition, name: &str) -> Option<&'d str> {
    definition.settings.get(name).map(|text| text.trim_matches('\''))
}

/// Checks the projections of a table of the MergeTree family.
pub(super) fn check(definition: &TableDefinition, compiler: &dyn ExpressionCompiler) -> Result<()> {
    let projections = &definition.clauses.projections;
    let mode = setting(definition, "deduplicate_merge_projection_mode").unwrap_or("throw");
    if !["throw", "drop", "rebuild", "ignore"].contains(&mode) {
        return Err(Error::new(
            codes::BAD_ARGUMENTS,
            format!("Unexpected value of DeduplicateMergeProjectionMode: '{mode}'"),
        ));
    }
    if projections.is_empty() {
        return Ok(());
    }
    if definition.engine != "MergeTree" && mode == "throw" {
        return Err(Error::new(
            codes::SUPPORT_IS_DISABLED,
            format!(
                "Projections are not supported for {} with deduplicate_merge_projection_mode = throw. Please set setting 'deduplicate_merge_projection_mode' to 'drop' or 'rebuild'.",
                definition.engine
            ),
        ));
    }
    let most = setting(definition, "max_projections").and_then(|t| t.parse().ok());
    let most = most.unwrap_or(PROJECTIONS_MAX);
    if projections.len() > most {
        return Err(Error::new(
            codes::LIMIT_EXCEEDED,
            format!(
                "Maximum limit of {most} projection(s) exceeded. This limit can be adjusted by the setting 'max_projections'."
            ),
        ));
    }
    Ok(check_projections(definition, compiler)?)
}

/// States of aggregates do not become those of other types.
pub(super) fn check_states(old: &TableDefinition, new: &TableDefinition) -> Result<()> {
    for projection in &new.clauses.projections {
        if !old.clauses.projections.contains(projection) {
            continue;
        }
        let compiled = |definition: &TableDefinition| {
            let schema: Vec<(String, DataType)> =
                stored_columns(definition).map(|c| (c.name.clone(), c.data_type.clone())).collect();
            SqlExpressions.projection(&projection.select, &schema)
        };
        let (Ok(before), after) = (compiled(old), compiled(new)?) else { continue };
        for (a, b) in before.columns().iter().zip(after.columns()) {
            let state = matches!(a.data_type, DataType::AggregateFunction { .. });
            if state && a.data_type != b.data_type {
                return Err(Error::new(
                    codes::CANNOT_CONVERT_TYPE,
                    format!(
                        "Cannot apply ALTER because it breaks projection {}: Conversion from {} to {} is not supported",
                        projection.name, a.data_type, b.data_type
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// MATERIALIZE (`keep`) or CLEAR PROJECTION; nothing for one that the table has not.
pub(super) fn actions(definition: &TableDefinition, name: &str, keep: bool) -> Vec<MutationAction> {
    match definition.clauses.projections.iter().any(|p| p.name == name) {
        true => vec![MutationAction::Projection { name: name.into(), keep }],
        false => vec![],
    }
}

/// Whether DELETE writes parts anew, so that their projections are too. By masks alone a projection
/// of a part would be of no use any more.
pub(super) fn deletes_by_mutation(definition: &TableDefinition) -> Result<bool> {
    if definition.clauses.projections.is_empty() {
        return Ok(false);
    }
    match setting(definition, "lightweight_mutation_projection_mode") {
        Some("drop") => Ok(false),
        Some("rebuild") => Ok(true),
        _ => Err(Error::new(
            codes::SUPPORT_IS_DISABLED,
            format!(
                "DELETE query is not allowed for table {} because as it has projections and setting lightweight_mutation_projection_mode is set to THROW. User should change lightweight_mutation_projection_mode OR drop all the projections manually before running the query.",
                definition.full_name()
            ),
        )),
    }
}
