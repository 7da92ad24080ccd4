//! OPTIMIZE TABLE: which partition, and which of equal rows to drop, read from the statement; the
//! merging itself is storage's.

use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::{ColumnTransformer, Expr, ExprKind, TableName};
use pumphouse_query::sql::format;
use pumphouse_query::{Error, Result};
use pumphouse_storage::expression::ExpressionCompiler;
use pumphouse_storage::log::{DefaultKind, TableDefinition};
use pumphouse_storage::merge::{self, Optimize};

use super::Run;

/// The statement.
pub(super) struct Request {
    pub name: TableName,
    pub partition: Option<Expr>,
    pub final_: bool,
    /// The columns behind DEDUPLICATE BY; empty for all.
    pub deduplicate: Option<Vec<Expr>>,
    pub cleanup: bool,
}

impl Run<'_> {
    pub(super) fn optimize(&mut self, request: &Request) -> Result<()> {
        let database = self.database(&request.name.database).to_string();
        let state = self.server.store.snapshot();
        let Some(mut table) = state.table(&database, &request.name.name) else {
            return Err(self.unknown_table(&database, &request.name.name));
        };
        if let Some((database, name)) = &table.definition.target
            && let Some(target) = state.table(database, name)
        {
            table = target;
        }
        let definition = &table.definition;
        if definition.engine == "Buffer" {
            return self.optimize_buffer(table, request);
        }
        if !definition.engine.ends_with("MergeTree") {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                format!("Method optimize is not supported by storage {}", definition.engine),
            ));
        }
        if request.cleanup {
            self.check_cleanup(definition)?;
        }
        if self.server.merges.is_paused(definition.uuid) && table.parts.len() > 1 {
            return Err(Error::new(codes::ABORTED, "Cancelled merging parts"));
        }
        let options = Optimize {
            final_: request.final_,
            partition: match &request.partition {
                Some(value) => self.partition_id(definition, value)?,
                None => None,
            },
            deduplicate: match &request.deduplicate {
                Some(columns) => Some(deduplicated(definition, columns)?),
                None => None,
            },
            cleanup: request.cleanup,
        };
        let (database, name) = (&definition.database, &definition.name);
        Ok(merge::optimize_with(&self.server.store, database, name, &options)?)
    }

    fn check_cleanup(&self, definition: &TableDefinition) -> Result<()> {
        if definition.engine != "ReplacingMergeTree" {
            return Err(Error::new(
                codes::CANNOT_ASSIGN_OPTIMIZE,
                "Cannot OPTIMIZE with CLEANUP table: only ReplacingMergeTree can be CLEANUP.",
            ));
        }
        let allowed = definition
            .settings
            .get("allow_experimental_replacing_merge_with_cleanup")
            .is_some_and(|v| v == "1" || v == "true");
        if !allowed {
            return Err(Error::new(
                codes::SUPPORT_IS_DISABLED,
                "Experimental merges with CLEANUP are not allowed",
            ));
        }
        Ok(())
    }
}

/// The columns that DEDUPLICATE BY lists, which must include those of the keys.
fn deduplicated(definition: &TableDefinition, listed: &[Expr]) -> Result<Vec<String>> {
    if listed.is_empty() {
        return Ok(vec![]);
    }
    let all: Vec<&str> = definition
        .columns
        .iter()
        .filter(|c| {
            let kind = c.default.as_ref().map(|d| d.kind);
            !matches!(kind, Some(DefaultKind::Alias | DefaultKind::Ephemeral))
        })
        .map(|c| c.name.as_str())
        .collect();
    let mut names: Vec<String> = vec![];
    for expr in listed {
        match &expr.kind {
            ExprKind::Identifier(parts) => {
                let name = parts.join(".");
                if !all.contains(&name.as_str()) {
                    return Err(Error::new(
                        codes::NO_SUCH_COLUMN_IN_TABLE,
                        format!(
                            "There is no column with name `{name}` in table {}. There are columns: {}",
                            definition.full_name(),
                            all.join(", ")
                        ),
                    ));
                }
                names.push(name);
            }
            ExprKind::Asterisk(transformers) => {
                names.extend(without(&all, transformers)?.iter().map(|n| n.to_string()));
            }
            ExprKind::Columns { pattern: None, names: chosen, .. } => names.extend(chosen.clone()),
            _ => {
                return Err(Error::new(
                    codes::NOT_IMPLEMENTED,
                    format!("DEDUPLICATE BY {} is not supported", format::expr(expr)),
                ));
            }
        }
    }
    check_keys(definition, &names)?;
    Ok(names)
}

fn without<'n>(all: &[&'n str], transformers: &[ColumnTransformer]) -> Result<Vec<&'n str>> {
    let mut left = all.to_vec();
    for transformer in transformers {
        match transformer {
            ColumnTransformer::Except { names, pattern: None, .. } => {
                left.retain(|name| !names.iter().any(|n| n == name));
            }
            _ => {
                return Err(Error::new(
                    codes::NOT_IMPLEMENTED,
                    "DEDUPLICATE BY takes names, * and EXCEPT of names",
                ));
            }
        }
    }
    Ok(left)
}

fn check_keys(definition: &TableDefinition, names: &[String]) -> Result<()> {
    let schema = definition.schema();
    let keys = definition.sorting_key.iter().chain(&definition.partition_key);
    for text in keys {
        for input in pumphouse_query::bind::SqlExpressions.compile(text, &schema)?.inputs() {
            if !names.contains(input) {
                return Err(Error::new(
                    codes::THERE_IS_NO_COLUMN,
                    format!(
                        "DEDUPLICATE BY expression must include all columns used in table's ORDER BY, PRIMARY KEY, or PARTITION BY but '{input}' is missing."
                    ),
                ));
            }
        }
    }
    Ok(())
}
