//! What stands for several columns: `*`, `t.*`, COLUMNS(…) with EXCEPT, REPLACE and APPLY, and
//! `untuple`.

use pumphouse_storage::DataType;
use regex::Regex;

use super::Binder;
use super::expression::literal;
use super::names::error_in;
use super::scope::Scope;
use super::tree::Tree;
use crate::error::{Error, Result, codes};
use crate::sql;
use crate::sql::ast::*;

/// One result column.
pub(super) struct Item {
    /// As the result shows it.
    pub name: String,
    pub tree: Tree,
}

/// A column on its way through transformers.
struct Matched {
    /// The column's own name, which transformers and patterns mean.
    column: String,
    name: String,
    tree: Tree,
}

impl Binder<'_> {
    /// The columns of a SELECT list.
    pub(super) fn items(&self, exprs: &[Expr], scope: &Scope) -> Result<Vec<Item>> {
        let mut items = Vec::with_capacity(exprs.len());
        for expr in exprs {
            items.extend(self.expand(expr, scope)?);
        }
        if items.is_empty() {
            return Err(error_in(
                scope,
                codes::EMPTY_LIST_OF_COLUMNS_QUERIED,
                "Empty list of columns in projection.",
            ));
        }
        Ok(items)
    }

    /// The one or several columns that `expr` stands for.
    pub(super) fn expand(&self, expr: &Expr, scope: &Scope) -> Result<Vec<Item>> {
        let (matched, transformers) = match &expr.kind {
            ExprKind::Asterisk(transformers) => (self.all_columns(scope)?, transformers),
            ExprKind::QualifiedAsterisk { qualifier, transformers } => {
                (self.qualified_columns(qualifier, scope)?, transformers)
            }
            ExprKind::Columns { qualifier, pattern, names, transformers } => {
                let all = match qualifier.as_slice() {
                    [] => self.all_columns(scope)?,
                    qualifier => self.qualified_columns(qualifier, scope)?,
                };
                (self.chosen_columns(all, pattern.as_deref(), names, scope)?, transformers)
            }
            ExprKind::Call(call) if call.name == "untuple" && call.over.is_none() => {
                return self.untuple(expr, call, scope);
            }
            _ => {
                let tree = self.expression(expr, scope)?;
                return Ok(vec![Item { name: self.result_name(expr, scope), tree }]);
            }
        };
        let mut columns = matched;
        for transformer in transformers {
            columns = self.transform(columns, transformer, scope)?;
        }
        Ok(columns.into_iter().map(|m| Item { name: m.name, tree: m.tree }).collect())
    }

    /// `*`: merged USING columns first, then every table's in order.
    fn all_columns(&self, scope: &Scope) -> Result<Vec<Matched>> {
        let mut here = Some(scope);
        while let Some(at) = here {
            if !at.tables.is_empty() {
                return Ok(self.columns_of(at));
            }
            if at.select.is_some() {
                break;
            }
            here = at.parent;
        }
        Err(error_in(
            scope,
            codes::UNKNOWN_IDENTIFIER,
            "Unqualified matcher * cannot be resolved. There are no table sources.",
        ))
    }

    fn columns_of(&self, scope: &Scope) -> Vec<Matched> {
        let mut found: Vec<Matched> = scope
            .using
            .iter()
            .map(|merged| Matched {
                column: merged.name.clone(),
                name: merged.name.clone(),
                tree: merged.tree.clone(),
            })
            .collect();
        for table in &scope.tables {
            for column in &table.columns {
                let merged = scope.using.iter().any(|m| m.name == column.name);
                if column.hidden || merged {
                    continue;
                }
                let name = shown_name(scope, table.label(), &column.name, &column.tree);
                let column =
                    Matched { column: column.name.clone(), name, tree: column.tree.clone() };
                found.push(column);
            }
        }
        found
    }

    fn qualified_columns(&self, qualifier: &[String], scope: &Scope) -> Result<Vec<Matched>> {
        let mut here = Some(scope);
        while let Some(at) = here {
            for table in &at.tables {
                if table.qualifier_length(qualifier) == Some(qualifier.len()) {
                    let visible = table.columns.iter().filter(|c| !c.hidden);
                    return Ok(visible
                        .map(|c| Matched {
                            column: c.name.clone(),
                            name: shown_name(at, table.label(), &c.name, &c.tree),
                            tree: c.tree.clone(),
                        })
                        .collect());
                }
            }
            here = at.parent;
        }
        if let Some(tree) = self.resolve(qualifier, scope)?
            && matches!(tree.data_type.inner(), DataType::Tuple(_))
        {
            let prefix = qualifier.join(".");
            return self.tuple_elements(&tree, |name| format!("{prefix}.{name}"));
        }
        Err(error_in(
            scope,
            codes::UNKNOWN_IDENTIFIER,
            format!("Qualified matcher {}.* does not find table.", qualifier.join(".")),
        ))
    }

    fn tuple_elements(&self, tree: &Tree, name: impl Fn(&str) -> String) -> Result<Vec<Matched>> {
        let DataType::Tuple(elements) = tree.data_type.inner() else { return Ok(vec![]) };
        let mut found = vec![];
        for (i, element) in elements.iter().enumerate() {
            let index = literal(&pumphouse_storage::Value::UInt(i as u64 + 1));
            let tree = self.make_call("tupleElement", vec![tree.clone(), index])?;
            let own = element.name.clone().unwrap_or_else(|| (i + 1).to_string());
            found.push(Matched { name: name(&own), column: own, tree });
        }
        Ok(found)
    }

    fn untuple(&self, expr: &Expr, call: &Call, scope: &Scope) -> Result<Vec<Item>> {
        let [argument] = call.arguments.as_slice() else {
            return Err(error_in(
                scope,
                codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                "Function 'untuple' must have 1 argument.",
            ));
        };
        let tree = self.argument(argument, scope)?;
        if !matches!(tree.data_type.inner(), DataType::Tuple(_)) {
            return Err(error_in(
                scope,
                codes::ILLEGAL_TYPE_OF_ARGUMENT,
                format!(
                    "Function 'untuple' argument must have compound type. Actual type {}.",
                    tree.data_type
                ),
            ));
        }
        let inner = self.result_name(argument, scope);
        let elements = self.tuple_elements(&tree, |own| match &expr.alias {
            Some(alias) => format!("{alias}.{own}"),
            None => format!("tupleElement({inner}, '{own}')"),
        })?;
        Ok(elements.into_iter().map(|m| Item { name: m.name, tree: m.tree }).collect())
    }

    fn chosen_columns(
        &self,
        all: Vec<Matched>,
        pattern: Option<&str>,
        names: &[String],
        scope: &Scope,
    ) -> Result<Vec<Matched>> {
        if let Some(pattern) = pattern {
            let pattern = compile(pattern)?;
            return Ok(all.into_iter().filter(|m| pattern.is_match(&m.column)).collect());
        }
        let mut chosen = vec![];
        for name in names {
            let parts: Vec<String> = vec![name.clone()];
            let tree = match self.resolve(&parts, scope)? {
                Some(tree) => tree,
                None => {
                    let parts: Vec<String> = name.split('.').map(String::from).collect();
                    self.resolve(&parts, scope)?
                        .ok_or_else(|| super::names::unknown_identifier(scope, name, false))?
                }
            };
            chosen.push(Matched { column: name.clone(), name: name.clone(), tree });
        }
        Ok(chosen)
    }

    fn transform(
        &self,
        columns: Vec<Matched>,
        transformer: &ColumnTransformer,
        scope: &Scope,
    ) -> Result<Vec<Matched>> {
        match transformer {
            ColumnTransformer::Except { names, pattern, strict } => {
                if *strict {
                    check_strict("EXCEPT", names, &columns, scope)?;
                }
                let pattern = pattern.as_deref().map(compile).transpose()?;
                let drop = |m: &Matched| match &pattern {
                    Some(pattern) => pattern.is_match(&m.column),
                    None => names.contains(&m.column),
                };
                Ok(columns.into_iter().filter(|m| !drop(m)).collect())
            }
            ColumnTransformer::Replace { items, strict } => {
                if *strict {
                    let names: Vec<String> = items.iter().map(|(_, n)| n.clone()).collect();
                    check_strict("REPLACE", &names, &columns, scope)?;
                }
                let mut columns = columns;
                for column in &mut columns {
                    if let Some((expr, _)) = items.iter().find(|(_, n)| *n == column.column) {
                        column.tree = self.unaliased(expr, scope)?;
                        column.name = column.column.clone();
                    }
                }
                Ok(columns)
            }
            ColumnTransformer::Apply(function) => {
                columns.into_iter().map(|m| self.apply(m, function, scope)).collect()
            }
        }
    }

    fn apply(&self, column: Matched, function: &Expr, scope: &Scope) -> Result<Matched> {
        let input = Expr::new(ExprKind::Identifier(vec![column.name.clone()]));
        let expr = match &function.kind {
            ExprKind::Identifier(parts) => call_of(parts.join("."), None, input),
            ExprKind::Call(call) => {
                let parameters = match &call.parameters {
                    Some(parameters) => Some(parameters.clone()),
                    None if call.arguments.is_empty() => None,
                    None => Some(call.arguments.clone()),
                };
                call_of(call.name.clone(), parameters, input)
            }
            ExprKind::Lambda { parameters, body } if parameters.len() == 1 => {
                let mut body = (**body).clone();
                super::result_name::replace_identifiers(&mut body, &mut |parts| {
                    (parts.len() == 1 && parts[0] == parameters[0])
                        .then(|| ExprKind::Identifier(vec![column.name.clone()]))
                });
                body
            }
            _ => {
                return Err(Error::new(
                    codes::BAD_ARGUMENTS,
                    "APPLY expects a function or a lambda of one parameter",
                ));
            }
        };
        let locals = vec![(column.name.clone(), column.tree.clone())];
        let inner = Scope::nested(scope, locals, scope.lambda_level);
        let tree = self.expression(&expr, &inner)?;
        Ok(Matched { column: column.column, name: sql::column_name(&expr), tree })
    }
}

fn call_of(name: String, parameters: Option<Vec<Expr>>, argument: Expr) -> Expr {
    let call = Call { name, parameters, arguments: vec![argument], ..Call::default() };
    Expr::new(ExprKind::Call(Box::new(call)))
}

fn compile(pattern: &str) -> Result<Regex> {
    Regex::new(pattern).map_err(|e| {
        Error::new(codes::CANNOT_COMPILE_REGEXP, format!("Cannot compile regexp {pattern}: {e}"))
    })
}

fn check_strict(what: &str, names: &[String], columns: &[Matched], scope: &Scope) -> Result<()> {
    let missing: Vec<&str> = names
        .iter()
        .filter(|n| !columns.iter().any(|m| m.column == **n))
        .map(String::as_str)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(error_in(
        scope,
        codes::BAD_ARGUMENTS,
        format!(
            "Strict {what} column transformer {what} {} expects following column(s) : {}.",
            names.join(", "),
            missing.join(", ")
        ),
    ))
}

/// How a result shows a column: by its bare name where that means this column, else `t.name`.
pub(super) fn shown_name(scope: &Scope, label: Option<&str>, name: &str, tree: &Tree) -> String {
    let bare = match scope.using.iter().find(|m| m.name == name) {
        Some(merged) => scope.joins <= 1 && merged.shown == Some(tree.key),
        None => {
            let mut owners = scope.tables.iter().filter_map(|t| t.column(name));
            let first = owners.next();
            let alone = owners.next().is_none();
            alone || (scope.joins <= 1 && first.is_some_and(|c| c.tree.key == tree.key))
        }
    };
    match label {
        Some(label) if !bare => format!("{label}.{name}"),
        _ => name.to_string(),
    }
}
