//! The commands of mutations, compiled for one definition, on blocks of rows.

use std::sync::Arc;

use arrow_array::{Array, BooleanArray, UInt8Array};

use crate::block::{Block, Column};
use crate::error::{Error, Result};
use crate::expression::{CompiledExpression, ExpressionCompiler};
use crate::log::{MutationAction, MutationCommand, TableDefinition};
use crate::table::stored_columns;
use crate::types::DataType;

type Compiled = Arc<dyn CompiledExpression>;

/// Commands ready to run, in order.
pub(super) struct Commands {
    steps: Vec<Step>,
}

enum Step {
    Update {
        condition: Condition,
        values: Vec<(String, Compiled)>,
    },
    Delete {
        condition: Condition,
    },
    SetDefault {
        values: Vec<(String, Compiled)>,
    },
    Rewrite,
    /// What has run out goes.
    Ttl,
    /// The part gets a projection, or loses it.
    Projection {
        name: String,
        keep: bool,
    },
}

/// A WHERE clause.
pub(super) struct Condition {
    compiled: Compiled,
}

impl Condition {
    pub(super) fn compile(
        text: &str,
        definition: &TableDefinition,
        compiler: &dyn ExpressionCompiler,
    ) -> Result<Condition> {
        Ok(Condition { compiled: compiler.compile(text, &stored_schema(definition))? })
    }

    pub(super) fn inputs(&self) -> &[String] {
        self.compiled.inputs()
    }

    /// One flag per row; NULL is false.
    pub(super) fn rows(&self, block: &Block) -> Result<BooleanArray> {
        let column = self.compiled.evaluate(block)?;
        truth(&column)
    }
}

fn stored_schema(definition: &TableDefinition) -> Vec<(String, DataType)> {
    stored_columns(definition).map(|c| (c.name.clone(), c.data_type.clone())).collect()
}

/// The rows whose value is a number other than 0.
fn truth(column: &Column) -> Result<BooleanArray> {
    if let Some(flags) = column.array.as_any().downcast_ref::<BooleanArray>() {
        return Ok(flags.iter().map(|f| Some(f == Some(true))).collect());
    }
    if let Some(bytes) = column.array.as_any().downcast_ref::<UInt8Array>() {
        return Ok(bytes.iter().map(|b| Some(b.is_some_and(|b| b != 0))).collect());
    }
    (0..column.len())
        .map(|row| match column.value(row) {
            value if value.is_null() => Ok(Some(false)),
            value => value.as_f64().map(|v| Some(v != 0.0)).ok_or_else(|| Error::Expression {
                code: 59,
                message: format!("Illegal type {} of a condition", column.data_type),
            }),
        })
        .collect()
}

impl Commands {
    /// Compiles those that concern `partition_id`, whose steps run in this order.
    pub(super) fn compile<'c>(
        commands: impl Iterator<Item = &'c MutationCommand>,
        partition_id: &str,
        definition: &TableDefinition,
        compiler: &dyn ExpressionCompiler,
    ) -> Result<Commands> {
        let concerned =
            commands.filter(|c| c.partition_id.as_ref().is_none_or(|id| id == partition_id));
        let steps = concerned
            .map(|command| Step::compile(&command.action, definition, compiler))
            .collect::<Result<Vec<_>>>()?;
        Ok(Commands { steps })
    }

    /// Whether the part is to have the projection; None if the commands say nothing about it.
    pub(super) fn projection(&self, name: &str) -> Option<bool> {
        self.steps.iter().rev().find_map(|step| match step {
            Step::Projection { name: n, keep } if n == name => Some(*keep),
            _ => None,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Columns that tell whether any row is concerned; None if the part has to be written anyway.
    pub(super) fn condition_columns(&self) -> Option<Vec<String>> {
        let mut names: Vec<String> = vec![];
        for step in &self.steps {
            let (Step::Update { condition, .. } | Step::Delete { condition }) = step else {
                return None;
            };
            names.extend(condition.inputs().iter().cloned());
        }
        names.sort();
        names.dedup();
        Some(names)
    }

    /// Whether some command concerns a row of the block, which has the columns of its conditions.
    pub(super) fn concern(&self, block: &Block) -> Result<bool> {
        for step in &self.steps {
            match step {
                Step::Update { condition, .. } | Step::Delete { condition } => {
                    if condition.rows(block)?.true_count() > 0 {
                        return Ok(true);
                    }
                }
                Step::SetDefault { .. } | Step::Rewrite | Step::Ttl | Step::Projection { .. } => {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether rows and values that have run out go.
    pub(super) fn expire(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Ttl))
    }

    /// The rows after all commands.
    pub(super) fn apply(&self, mut block: Block) -> Result<Block> {
        for step in &self.steps {
            block = step.apply(block)?;
        }
        Ok(block)
    }
}

impl Step {
    fn compile(
        action: &MutationAction,
        definition: &TableDefinition,
        compiler: &dyn ExpressionCompiler,
    ) -> Result<Step> {
        let condition = |text: &str| Condition::compile(text, definition, compiler);
        Ok(match action {
            MutationAction::Update { assignments, condition: text } => Step::Update {
                condition: condition(text)?,
                values: assignments
                    .iter()
                    .map(|(name, value)| value_of(name, value, definition, compiler))
                    .collect::<Result<_>>()?,
            },
            MutationAction::Delete { condition: text } => {
                Step::Delete { condition: condition(text)? }
            }
            MutationAction::SetDefault { columns } => Step::SetDefault {
                values: columns
                    .iter()
                    .map(|name| {
                        let column = definition.columns.iter().find(|c| c.name == *name);
                        let default = column.and_then(|c| c.default.as_ref());
                        let text = default.map_or("", |d| d.expression.as_str());
                        match (text, column) {
                            ("", Some(column)) => {
                                let quoted = quote_type(&column.data_type);
                                let text = format!("defaultValueOfTypeName('{quoted}')");
                                value_of(name, &text, definition, compiler)
                            }
                            (text, _) => value_of(name, text, definition, compiler),
                        }
                    })
                    .collect::<Result<_>>()?,
            },
            MutationAction::Rewrite => Step::Rewrite,
            MutationAction::Ttl => Step::Ttl,
            MutationAction::Projection { name, keep } => {
                Step::Projection { name: name.clone(), keep: *keep }
            }
        })
    }

    fn apply(&self, mut block: Block) -> Result<Block> {
        match self {
            // The whole part's rows are needed for it: see the worker.
            Step::Rewrite | Step::Ttl | Step::Projection { .. } => Ok(block),
            Step::Delete { condition } => {
                let doomed = condition.rows(&block)?;
                if doomed.true_count() == 0 {
                    return Ok(block);
                }
                let left: BooleanArray = doomed.iter().map(|d| Some(d != Some(true))).collect();
                Ok(block.filter(&left))
            }
            Step::SetDefault { values } => {
                // One after the other: a default may use the one before.
                for (name, value) in values {
                    let column = value.evaluate(&block)?;
                    replace(&mut block, name, column)?;
                }
                Ok(block)
            }
            Step::Update { condition, values } => {
                let chosen = condition.rows(&block)?;
                if chosen.true_count() == 0 {
                    return Ok(block);
                }
                // All from the values before.
                let new = values
                    .iter()
                    .map(|(name, value)| Ok((name, value.evaluate(&block)?)))
                    .collect::<Result<Vec<_>>>()?;
                for (name, column) in new {
                    let old = block.column(name).ok_or_else(|| missing(name))?;
                    let array = arrow_select::zip::zip(&chosen, &column.array, &old.array)
                        .map_err(|e| Error::Column(format!("cannot update {name}: {e}")))?;
                    let column = Column::new(old.data_type.clone(), array);
                    replace(&mut block, name, column)?;
                }
                Ok(block)
            }
        }
    }
}

/// The new value of column `name`, in its type.
fn value_of(
    name: &str,
    text: &str,
    definition: &TableDefinition,
    compiler: &dyn ExpressionCompiler,
) -> Result<(String, Compiled)> {
    let column =
        stored_columns(definition).find(|c| c.name == name).ok_or_else(|| missing(name))?;
    let schema = stored_schema(definition);
    let compiled = compiler.compile(text, &schema)?;
    if compiled.result_type() == column.data_type {
        return Ok((name.to_string(), compiled));
    }
    let text = format!("CAST({text}, '{}')", quote_type(&column.data_type));
    Ok((name.to_string(), compiler.compile(&text, &schema)?))
}

fn quote_type(data_type: &DataType) -> String {
    data_type.to_string().replace('\\', "\\\\").replace('\'', "\\'")
}

fn replace(block: &mut Block, name: &str, column: Column) -> Result<()> {
    let at = block.names.iter().position(|n| n == name).ok_or_else(|| missing(name))?;
    block.columns[at] = column;
    Ok(())
}

fn missing(name: &str) -> Error {
    Error::Expression { code: 16, message: format!("There is no column {name} in table") }
}
