//! Forms of FROM and of calls that mean a table: parameterized views, `loop`, tables of the engine Join
//! as the right side of a join and in `joinGet`.

use pumphouse_storage::{Block, Value};

use super::Binder;
use super::expression::literal;
use super::from::Source;
use super::scope::Scope;
use super::tree::{Kind, Tree};
use crate::catalog::{JoinRule, LoopSource};
use crate::error::{Error, Result, codes};
use crate::explained;
use crate::functions;
use crate::plan::{Plan, PlanNode};
use crate::sql::ast::*;
use crate::sql::{self, format};

/// `database.name` in pieces.
pub(super) fn split_name(name: &str) -> (Option<&str>, &str) {
    match name.split_once('.') {
        Some((database, name)) => (Some(database), name),
        None => (None, name),
    }
}

impl Binder<'_> {
    /// The plan of `view(parameter = value, …)`; None if it does not read like one or there is no such
    /// view.
    pub(super) fn parameterized_view(
        &self,
        name: &str,
        arguments: &[Expr],
        scope: &Scope,
    ) -> Result<Option<Plan>> {
        let mut given = vec![];
        for argument in arguments {
            let ExprKind::Call(call) = &argument.kind else { return Ok(None) };
            match call.arguments.as_slice() {
                [Expr { kind: ExprKind::Identifier(parts), .. }, value]
                    if call.name == "equals" && parts.len() == 1 =>
                {
                    given.push((parts[0].clone(), value));
                }
                _ => return Ok(None),
            }
        }
        let (database, view) = split_name(name);
        let database = database.unwrap_or(&self.ctx.database);
        let Ok(source) = self.catalog.table(database, view) else { return Ok(None) };
        let Some(query) = source.view_query() else { return Ok(None) };
        let mut parameters = self.ctx.parameters.clone();
        for (parameter, value) in given {
            let value = self.table_argument(name, value, scope)?;
            parameters.insert(parameter, parameter_text(&value));
        }
        let query = sql::parse_query_with(&format::query(query, false), &parameters)?;
        self.query(&query, None).map(Some)
    }

    /// `viewExplain('EXPLAIN …', 'settings', (SELECT …))`: the answer of that EXPLAIN.
    pub(super) fn view_explain(&self, arguments: &[Expr]) -> Result<Block> {
        let text = |e: &Expr| match &e.kind {
            ExprKind::Literal { value: Value::String(text), .. } => {
                Some(String::from_utf8_lossy(text).into_owned())
            }
            _ => None,
        };
        if let [kind, settings, Expr { kind: ExprKind::Subquery(query), .. }] = arguments
            && let (Some(kind), Some(settings)) = (text(kind), text(settings))
        {
            let statement = format!("{kind} {settings} {}", format::query(query, false));
            if let Statement::Explain(explain) = sql::parse_statement(&statement)?.statement {
                return explained::explain(&explain, None, self.catalog, self.ctx);
            }
        }
        Err(Error::new(
            codes::BAD_ARGUMENTS,
            "Table function 'viewExplain' requires a kind, settings and a query",
        ))
    }

    /// `loop(table)`, `loop(database, table)`, `loop(function(…))`.
    pub(super) fn looped(&self, arguments: &[Expr], scope: &Scope) -> Result<LoopSource> {
        let wrong = || {
            Error::new(
                codes::ILLEGAL_TYPE_OF_ARGUMENT,
                "Table function 'loop' must have 1 or 2 arguments: a table (with its database) or a table function",
            )
        };
        let word = |expr: &Expr| match &expr.kind {
            ExprKind::Identifier(parts) => Some(parts.join(".")),
            ExprKind::Literal { value: Value::String(text), .. } => {
                Some(String::from_utf8_lossy(text).into_owned())
            }
            _ => None,
        };
        let table = |database: Option<String>, name: String| TableExpr::Table {
            database,
            name,
            alias: None,
            final_: false,
            sample: None,
        };
        let inner = match arguments {
            [Expr { kind: ExprKind::Call(call), .. }] => TableExpr::Function {
                name: call.name.clone(),
                arguments: call.arguments.clone(),
                settings: vec![],
                alias: None,
                final_: false,
            },
            [one] => {
                let name = word(one).ok_or_else(wrong)?;
                let (database, name) = split_name(&name);
                table(database.map(String::from), name.to_string())
            }
            [database, name] => {
                let database = word(database).ok_or_else(wrong)?;
                table(Some(database), word(name).ok_or_else(wrong)?)
            }
            _ => return Err(wrong()),
        };
        let Source { mut plan, tables, .. } = self.from(&inner, scope)?;
        // Virtual columns are the table's own, not the loop's.
        let columns = tables.iter().flat_map(|t| &t.columns);
        let virtuals: Vec<&str> = columns
            .filter(|c| c.hidden && c.name.starts_with('_'))
            .map(|c| c.name.as_str())
            .collect();
        if let PlanNode::Scan { columns, .. } = &mut plan.node {
            columns.retain(|name| !virtuals.contains(&name.as_str()));
            plan.schema.retain(|(name, _)| !virtuals.contains(&name.as_str()));
        }
        Ok(LoopSource::new(plan, self.ctx))
    }

    /// A join with a Join table on its right must be what that table was made for.
    pub(super) fn check_join_table(
        &self,
        join: &Join,
        rule: &JoinRule,
        right_keys: &[Tree],
    ) -> Result<()> {
        let refuse = |text: String| Err(Error::new(codes::INCOMPATIBLE_TYPE_OF_JOIN, text));
        let kind = match join.kind {
            JoinKind::Left => "LEFT",
            JoinKind::Inner => "INNER",
            JoinKind::Right => "RIGHT",
            JoinKind::Full => "FULL",
            _ => "",
        };
        let default =
            self.setting(|s| s.get("join_default_strictness").unwrap_or("ALL").to_string());
        let strictness = match join.strictness {
            JoinStrictness::Unspecified => &default,
            JoinStrictness::All => "ALL",
            JoinStrictness::Any => "ANY",
            JoinStrictness::Semi => "SEMI",
            JoinStrictness::Anti => "ANTI",
            JoinStrictness::Asof => "ASOF",
        };
        if kind != rule.kind || strictness != rule.strictness {
            return refuse(format!(
                "Table has incompatible type of JOIN: it is Join({}, {}, …)",
                rule.strictness, rule.kind
            ));
        }
        let nulls = self.setting(|s| s.bool("join_use_nulls", false));
        if nulls != rule.use_nulls && matches!(join.kind, JoinKind::Left | JoinKind::Full) {
            return refuse(
                "Table needs the same join_use_nulls setting as present in LEFT or FULL JOIN"
                    .into(),
            );
        }
        let mut names: Vec<&str> = vec![];
        for key in right_keys {
            let name = match &key.kind {
                Kind::Column { name } => name.rsplit_once('.').map_or(name.as_str(), |(_, n)| n),
                _ => "",
            };
            names.push(name);
        }
        let listed = |list: &[&str], wanted: &str| list.contains(&wanted);
        let keys: Vec<&str> = rule.keys.iter().map(String::as_str).collect();
        if keys.iter().any(|k| !listed(&names, k)) || names.iter().any(|n| !listed(&keys, n)) {
            return refuse(format!(
                "JOIN with 'Join' table engine should be performed by storage keys [{}]",
                keys.join(", ")
            ));
        }
        Ok(())
    }

    /// `joinGet[OrNull]('table', 'column', keys…)`.
    pub(super) fn join_get(&self, call: &Call, scope: &Scope) -> Result<Tree> {
        let [table, column, keys @ ..] = call.arguments.as_slice() else {
            return Err(argument_count(call));
        };
        if keys.is_empty() {
            return Err(argument_count(call));
        }
        let name = self.dictionary_name(table, &call.name, scope)?;
        let column = self.expression(column, scope)?;
        let Some(Value::String(column)) = column.as_constant() else {
            return Err(Error::new(
                codes::ILLEGAL_TYPE_OF_ARGUMENT,
                format!("Illegal type of second argument of function {}", call.name),
            ));
        };
        let column = String::from_utf8_lossy(column).into_owned();
        let (database, table) = split_name(&name);
        let rows = self.catalog.join_table(database.unwrap_or(&self.ctx.database), table)?;
        let keys = self.arguments(keys, scope)?;
        let wanted = &rows.structure.keys;
        if rows.attribute(&column).is_err() {
            return Err(Error::new(
                codes::NO_SUCH_COLUMN_IN_TABLE,
                format!("StorageJoin doesn't contain column {column}"),
            ));
        }
        if keys.len() != wanted.len() {
            return Err(Error::new(
                codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                format!(
                    "Number of join_keys and number of right table key columns for function {} don't match: passed {}, should be equal to {}",
                    call.name,
                    keys.len(),
                    wanted.len()
                ),
            ));
        }
        for (i, (key, (_, needed))) in keys.iter().zip(wanted).enumerate() {
            let found = key.data_type.without_low_cardinality();
            if found != needed.without_low_cardinality() {
                return Err(Error::new(
                    codes::TYPE_MISMATCH,
                    format!(
                        "Type mismatch in joinGet key {i}: found type {found}, while the needed type is {needed}"
                    ),
                ));
            }
        }
        let get = if call.name == "joinGet" { "dictGet" } else { "dictGetOrNull" };
        let Some(function) = functions::dictionary_function(get, rows) else {
            return Err(Error::new(codes::LOGICAL_ERROR, "dictGet must be there"));
        };
        let mut keys = keys;
        let key = match keys.len() {
            1 => keys.remove(0),
            _ => self.make_call("tuple", keys)?,
        };
        let mut arguments = vec![literal(&Value::string(name)), literal(&Value::string(column))];
        arguments.push(key);
        self.make_function_call(function, arguments)
    }
}

fn argument_count(call: &Call) -> Error {
    Error::new(
        codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
        format!(
            "Number of arguments for function {} doesn't match: at least 3 are wanted",
            call.name
        ),
    )
}

/// The rule of the Join table that a plan reads as it is.
pub(super) fn join_rule(plan: &Plan) -> Option<&JoinRule> {
    match &plan.node {
        PlanNode::Scan { source, .. } => source.join_rule(),
        _ => None,
    }
}

/// A value in the escaped form that parameters are given in.
fn parameter_text(value: &Value) -> String {
    match value {
        Value::Null => "\\N".into(),
        Value::String(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n")
        }
        other => other.to_sql(),
    }
}
