//! Engines without keys: Memory (empty again after a restart), Log, TinyLog, StripeLog, Set and Join
//! (kept, in insert order), Null, GenerateRandom, and Merge over other tables. What their clauses may say is checked here.
//! A Memory table may have bounds on what it keeps.

use pumphouse_query::catalog::Catalog;
use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::{ColumnDecl, CreateTable, EngineClause, Expr, ExprKind};
use pumphouse_query::{Error, Result};
use pumphouse_storage::Value;

use super::Run;

/// Refuses arguments and settings that `engine` has no use for.
pub(super) fn check(engine: &str, clause: &EngineClause) -> Result<()> {
    let given = clause.arguments.as_ref().map_or(0, Vec::len);
    match engine {
        "Memory" | "Null" | "Log" | "TinyLog" | "StripeLog" | "Set" if given > 0 => {
            return Err(Error::new(
                codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                format!("Engine {engine} doesn't support any arguments ({given} given)"),
            ));
        }
        "Merge" if given != 2 => {
            return Err(Error::new(
                codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                "Storage Merge requires exactly 2 parameters - name of source database and regexp for table names.",
            ));
        }
        "GenerateRandom" => check_random(clause)?,
        "Dictionary" if given != 1 => {
            return Err(Error::new(
                codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                "Storage Dictionary requires single parameter: name of dictionary",
            ));
        }
        _ => {}
    }
    match engine {
        "Memory" => check_memory_bounds(clause),
        _ => Ok(()),
    }
}

/// Minima are not above maxima.
fn check_memory_bounds(clause: &EngineClause) -> Result<()> {
    let number =
        |name: &str| clause.settings.iter().find(|s| s.name == name).and_then(|s| s.value.as_u64());
    for unit in ["rows", "bytes"] {
        let (min, max) = (format!("min_{unit}_to_keep"), format!("max_{unit}_to_keep"));
        let (least, most) = (number(&min).unwrap_or(0), number(&max).unwrap_or(0));
        if least > most {
            return Err(Error::new(
                codes::SETTING_CONSTRAINT_VIOLATION,
                format!(
                    "Setting `{min}` cannot be higher than the `{max}`. `{min}`: {least}, `{max}`: {most}"
                ),
            ));
        }
    }
    let known = |name: &str| name.ends_with("_to_keep") || name == "compress";
    match clause.settings.iter().find(|s| !known(&s.name)) {
        Some(setting) => Err(Error::new(
            codes::UNKNOWN_SETTING,
            format!("Unknown setting '{}': for storage Memory", setting.name),
        )),
        None => Ok(()),
    }
}

/// `GenerateRandom([seed[, max_string_length[, max_array_length]]])`.
fn check_random(clause: &EngineClause) -> Result<()> {
    let names = ["random_seed", "max_string_length", "max_array_length"];
    let arguments = clause.arguments.as_deref().unwrap_or_default();
    if arguments.len() > names.len() {
        return Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            "Storage GenerateRandom requires at most three arguments: random_seed, max_string_length, max_array_length.",
        ));
    }
    for (argument, name) in arguments.iter().zip(names) {
        let number = match &argument.kind {
            ExprKind::Literal { value, .. } => value.is_null() || value.as_u64().is_some(),
            _ => false,
        };
        if !number {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                format!("Argument '{name}' must be a literal with type UInt64"),
            ));
        }
    }
    Ok(())
}

impl Run<'_> {
    /// A Merge table without columns has those of the tables it reads.
    pub(super) fn merge_columns(&self, create: &mut CreateTable) -> Result<()> {
        let wanted = create.engine.name.as_deref() == Some("Merge")
            && create.columns.is_empty()
            && create.as_query.is_none();
        if !wanted {
            return Ok(());
        }
        check("Merge", &create.engine)?;
        let own = create.name.database.clone().unwrap_or_default();
        let words: Vec<Value> =
            create.engine.arguments.iter().flatten().map(|e| word(e, &own)).collect();
        let source = self.catalog().table_function("merge", &words, self.context)?;
        let columns = source.columns().iter().filter(|c| !c.hidden);
        create.columns = columns
            .map(|c| ColumnDecl {
                name: c.name.clone(),
                data_type: Some(c.data_type.to_string()),
                ..ColumnDecl::default()
            })
            .collect();
        Ok(())
    }
}

/// A name, a string or `currentDatabase()` as the text that it stands for.
fn word(expr: &Expr, database: &str) -> Value {
    match &expr.kind {
        ExprKind::Literal { value, .. } => value.clone(),
        ExprKind::Identifier(parts) => Value::string(parts.join(".")),
        ExprKind::Call(call) if call.name == "currentDatabase" => Value::string(database),
        _ => Value::Null,
    }
}
