//! CONSTRAINT … CHECK: every row of an insert, whatever table it goes to, must make the expression
//! true. The first that does not fails the whole insert. ASSUME is believed.

use std::sync::Arc;

use arrow_array::{Array, BooleanArray, UInt8Array};
use pumphouse_query::context::QueryContext;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::{bind, execute, sql};
use pumphouse_storage::log::{ConstraintDefinition, Table, TableDefinition};
use pumphouse_storage::{Block, Column};

/// Checks complete rows of several tables.
pub(super) fn check(blocks: &[(Arc<Table>, Block)], ctx: &Arc<QueryContext>) -> Result<()> {
    for (table, block) in blocks.iter().filter(|(_, block)| !block.is_empty()) {
        let constraints = table.definition.clauses.constraints.iter();
        for constraint in constraints.filter(|c| !c.assume) {
            check_one(&table.definition, constraint, block, ctx)?;
        }
    }
    Ok(())
}

fn check_one(
    definition: &TableDefinition,
    constraint: &ConstraintDefinition,
    block: &Block,
    ctx: &Arc<QueryContext>,
) -> Result<()> {
    let expr = sql::parse_expression(&constraint.expression)?;
    let bound = bind::bind_expression(&expr, &block.schema(), ctx)?;
    let values = execute::evaluate(&bound, block, ctx)?;
    let what = || {
        format!(
            "Constraint `{}` for table {} ({})",
            constraint.name,
            definition.full_name(),
            definition.uuid
        )
    };
    let shown = format!("Expression: ({}).", constraint.expression);
    if values.array.null_count() > 0 {
        return Err(Error::new(
            codes::VIOLATED_CONSTRAINT,
            format!(
                "{} is violated. {shown}Constraint expression returns nullable column that contains null value.",
                what()
            ),
        ));
    }
    let Some(row) = first_false(&values).map_err(|()| {
        Error::new(
            codes::UNSUPPORTED_METHOD,
            format!("Constraint `{}` does not return a value of type UInt8.", constraint.name),
        )
    })?
    else {
        return Ok(());
    };
    let names = sql::names_in(&expr);
    let columns: Vec<String> = block
        .names
        .iter()
        .zip(&block.columns)
        .filter(|(name, _)| names.contains(name))
        .map(|(name, column)| format!("{name} = {}", column.value(row).to_sql()))
        .collect();
    Err(Error::new(
        codes::VIOLATED_CONSTRAINT,
        format!(
            "{} is violated at row {}. {shown} Column values: {}.",
            what(),
            row + 1,
            columns.join(", ")
        ),
    ))
}

/// The first row that is 0; an error if the column is none of flags.
fn first_false(values: &Column) -> std::result::Result<Option<usize>, ()> {
    let array = values.array.as_any();
    if let Some(flags) = array.downcast_ref::<BooleanArray>() {
        return Ok((0..flags.len()).find(|row| !flags.value(*row)));
    }
    let bytes = array.downcast_ref::<UInt8Array>().ok_or(())?;
    Ok(bytes.values().iter().position(|byte| *byte == 0))
}
