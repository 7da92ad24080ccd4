//! Engines without keys: Memory (empty again after a restart), Log, TinyLog and StripeLog (kept, in
//! insert order), Null, and Merge over other tables. What their clauses may say is checked here.
//!
//! The bounds that ClickHouse lets a Memory table have are refused: rows are never dropped silently.

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
        "Memory" | "Null" | "Log" | "TinyLog" | "StripeLog" if given > 0 => {
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
        "Dictionary" if given != 1 => {
            return Err(Error::new(
                codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                "Storage Dictionary requires single parameter: name of dictionary",
            ));
        }
        _ => {}
    }
    let bound = clause.settings.iter().find(|s| s.name.ends_with("_to_keep"));
    match bound {
        Some(setting) if engine == "Memory" => Err(Error::new(
            codes::NOT_IMPLEMENTED,
            format!("The setting {} of the engine Memory is not supported", setting.name),
        )),
        _ => Ok(()),
    }
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
        let source = self.server.catalog().table_function("merge", &words)?;
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
