//! Expressions to trees: literals, identifiers (and their subcolumns), aliases, lambdas' parameters.
//! Calls are in `call`, subqueries in `subquery`.

use pumphouse_storage::Value;

use super::names::{error_in, unknown_identifier};
use super::scope::{InProgress, Remembered, Scope, ScopeKind, ScopeTable, Subcolumn, subcolumn};
use super::tree::{self, Tree};
use super::{Binder, Level};
use crate::error::{Result, codes};
use crate::functions::promote::literal_type;
use crate::sql::ast::{Expr, ExprKind};

impl Binder<'_> {
    /// The one value that `expr` stands for.
    pub(super) fn expression(&self, expr: &Expr, scope: &Scope) -> Result<Tree> {
        if let Some(name) = &expr.alias
            && let Some(defined) = scope.aliases.get(name.as_str())
            && std::ptr::eq::<Expr>(*defined, expr)
            && !matches!(expr.kind, ExprKind::Lambda { .. })
        {
            return self.definition(name, expr, scope);
        }
        self.unaliased(expr, scope)
    }

    /// `expr` without regard to its own alias.
    pub(super) fn unaliased(&self, expr: &Expr, scope: &Scope) -> Result<Tree> {
        let tree = self.plain(expr, scope)?;
        if self.nullable_constants.borrow().contains(&tree.key)
            && let Some(value) = tree.as_constant()
        {
            return Ok(tree::constant(value.clone(), tree.data_type.or_null()));
        }
        Ok(tree)
    }

    fn plain(&self, expr: &Expr, scope: &Scope) -> Result<Tree> {
        let _level: Level = self.enter()?;
        match &expr.kind {
            ExprKind::Literal { value, .. } => Ok(literal(value)),
            ExprKind::Identifier(parts) => self.identifier(parts, scope, false),
            ExprKind::Call(call) => self.call(expr, call, scope),
            ExprKind::Subquery(query) => self.scalar_subquery(query, scope),
            ExprKind::Parameter { name, data_type } => self.parameter(name, data_type),
            ExprKind::Lambda { .. } => Err(error_in(
                scope,
                codes::UNSUPPORTED_METHOD,
                "Lambda is allowed only as an argument of a higher-order function.",
            )),
            ExprKind::Asterisk(_)
            | ExprKind::QualifiedAsterisk { .. }
            | ExprKind::Columns { .. } => {
                let mut expanded = self.expand(expr, scope)?;
                if expanded.len() == 1 {
                    return Ok(expanded.remove(0).tree);
                }
                Err(error_in(
                    scope,
                    codes::BAD_ARGUMENTS,
                    "An asterisk or COLUMNS is not allowed in this place.",
                ))
            }
        }
    }

    /// An argument of a function, so that an unknown name gets the message for that.
    pub(super) fn argument(&self, expr: &Expr, scope: &Scope) -> Result<Tree> {
        match &expr.kind {
            ExprKind::Identifier(parts) if expr.alias.is_none() => {
                let _level = self.enter()?;
                self.identifier(parts, scope, true)
            }
            _ => self.expression(expr, scope),
        }
    }

    fn identifier(&self, parts: &[String], scope: &Scope, in_function: bool) -> Result<Tree> {
        match self.resolve(parts, scope)? {
            Some(tree) => Ok(tree),
            None => Err(unresolved(parts, scope, in_function)),
        }
    }

    /// What `parts` name in `scope` or around it.
    pub(super) fn resolve(&self, parts: &[String], scope: &Scope) -> Result<Option<Tree>> {
        let mut here = Some(scope);
        let mut outer = false;
        while let Some(at) = here {
            if let Some(tree) = self.resolve_here(parts, at)? {
                let foreign = tree.has.column || tree.has.aggregate || tree.has.lambda_parameter;
                if outer && foreign && !self.note_outer(&tree) {
                    return Err(error_in(
                        scope,
                        codes::NOT_IMPLEMENTED,
                        format!(
                            "Correlated subqueries are not supported: `{}` belongs to an outer query.",
                            parts.join(".")
                        ),
                    ));
                }
                return Ok(Some(tree));
            }
            outer |= at.kind == ScopeKind::Select;
            here = at.parent;
        }
        Ok(None)
    }

    fn resolve_here(&self, parts: &[String], scope: &Scope) -> Result<Option<Tree>> {
        if let Some(tree) = scope.local(&parts[0])
            && let Some(found) = self.subcolumns(tree.clone(), &parts[1..])?
        {
            return Ok(Some(found));
        }
        let columns_first = self.setting(|s| s.bool("prefer_column_name_to_alias", false));
        if columns_first && let Some(tree) = self.column_here(parts, scope)? {
            return Ok(Some(tree));
        }
        if let Some(tree) = self.alias(&parts[0], scope)?
            && let Some(found) = self.subcolumns(tree, &parts[1..])?
        {
            return Ok(Some(found));
        }
        if parts.len() > 1
            && let Some(tree) = self.alias(&parts.join("."), scope)?
        {
            return Ok(Some(tree));
        }
        if columns_first { Ok(None) } else { self.column_here(parts, scope) }
    }

    /// What the name of an alias of this very scope means, unless we are inside its own expression.
    pub(super) fn alias(&self, name: &str, scope: &Scope) -> Result<Option<Tree>> {
        let mut open = scope.in_progress.borrow_mut();
        if let Some(at) = open.iter().position(|a| a.name == name) {
            // Inside of its own expression alone, the name is a column whoever asks.
            if at + 1 < open.len() {
                open[at..].iter_mut().for_each(|a| a.cyclic = true);
            }
            return Ok(None);
        }
        drop(open);
        if let Some(known) = scope.memo.borrow().get(name) {
            return Ok(Some(known.tree.clone()));
        }
        let Some(expr) = scope.aliases.get(name) else { return Ok(None) };
        if matches!(expr.kind, ExprKind::Lambda { .. }) {
            return Ok(None);
        }
        let bound = self.alias_body(name, expr, scope)?;
        scope.memo.borrow_mut().insert(name.to_string(), bound.clone());
        Ok(Some(bound.tree))
    }

    /// The expression that defines an alias, at its own place. Of aliases that use each other, it is not
    /// what the name means elsewhere: there another one of them is taken for a column.
    fn definition(&self, name: &str, expr: &Expr, scope: &Scope) -> Result<Tree> {
        if scope.in_progress.borrow().iter().any(|a| a.name == name) {
            return self.unaliased(expr, scope);
        }
        let known = scope.memo.borrow().get(name).filter(|known| !known.cyclic).cloned();
        if let Some(known) = known {
            return Ok(known.tree);
        }
        let bound = self.alias_body(name, expr, scope)?;
        if !bound.cyclic {
            scope.memo.borrow_mut().entry(name.to_string()).or_insert_with(|| bound.clone());
        }
        Ok(bound.tree)
    }

    fn alias_body(&self, name: &str, expr: &Expr, scope: &Scope) -> Result<Remembered> {
        let opened = InProgress { name: name.to_string(), cyclic: false };
        scope.in_progress.borrow_mut().push(opened);
        let tree = self.unaliased(expr, scope);
        let closed = scope.in_progress.borrow_mut().pop();
        Ok(Remembered { tree: tree?, cyclic: closed.is_some_and(|a| a.cyclic) })
    }

    /// A column of this scope's FROM.
    fn column_here(&self, parts: &[String], scope: &Scope) -> Result<Option<Tree>> {
        for length in (1..=parts.len()).rev() {
            let name = parts[..length].join(".");
            let using = scope.using.iter().map(|m| (&m.name, &m.tree));
            let unfolded = scope.array_joined.iter().map(|(n, t)| (n, t));
            if let Some((_, tree)) = using.chain(unfolded).rev().find(|(n, _)| **n == name)
                && let Some(found) = self.subcolumns(tree.clone(), &parts[length..])?
            {
                return Ok(Some(found));
            }
        }
        let mut found: Vec<Tree> = vec![];
        for table in &scope.tables {
            if let Some(tree) = self.column_of(table, parts)?
                && !found.iter().any(|f| f.key == tree.key)
            {
                found.push(tree);
            }
        }
        let Some(first) = found.first().cloned() else { return Ok(None) };
        let equal = |other: &Tree| {
            scope.equal.contains(&(first.key, other.key))
                || scope.equal.contains(&(other.key, first.key))
        };
        if scope.joins > 1 && !found[1..].iter().all(equal) {
            return Err(error_in(
                scope,
                codes::AMBIGUOUS_IDENTIFIER,
                format!("JOIN ambiguous identifier '{}'.", parts.join(".")),
            ));
        }
        Ok(Some(first))
    }

    /// What `parts` name in one table.
    pub(super) fn column_of(&self, table: &ScopeTable, parts: &[String]) -> Result<Option<Tree>> {
        if let Some(length) = table.qualifier_length(parts)
            && parts.len() > length
            && let Some(tree) = self.path_of(table, &parts[length..])?
        {
            return Ok(Some(tree));
        }
        self.path_of(table, parts)
    }

    /// A column, then subcolumns; the longest column name wins (`n.x` of a Nested before `n`).
    fn path_of(&self, table: &ScopeTable, parts: &[String]) -> Result<Option<Tree>> {
        for length in (1..=parts.len()).rev() {
            let column = match length {
                1 => table.column(&parts[0]),
                _ => table.column(&parts[..length].join(".")),
            };
            if let Some(column) = column
                && let Some(tree) = self.subcolumns(column.tree.clone(), &parts[length..])?
            {
                return Ok(Some(tree));
            }
        }
        Ok(None)
    }

    /// `tree.path…`, or None if its type has no such subcolumn.
    pub(super) fn subcolumns(&self, tree: Tree, path: &[String]) -> Result<Option<Tree>> {
        let mut tree = tree;
        let mut path = path;
        while let Some((name, rest)) = path.split_first() {
            if let Some((made, behind)) = self.self_typed_subcolumn(&tree, path)? {
                (tree, path) = (made, behind);
                continue;
            }
            path = rest;
            // `.:Type` of a value that is declared so is the value.
            if name.strip_prefix(':').is_some_and(|t| tree.data_type.to_string() == t) {
                continue;
            }
            tree = match subcolumn(&tree.data_type, name) {
                None => return Ok(None),
                Some(Subcolumn::Function(function)) => self.make_call(function, vec![tree])?,
                Some(Subcolumn::TupleElement(name)) => {
                    let index = match name.parse::<u64>() {
                        Ok(number) => literal(&Value::UInt(number)),
                        Err(_) => literal(&Value::string(name)),
                    };
                    self.make_call("tupleElement", vec![tree, index])?
                }
            };
        }
        Ok(Some(tree))
    }
}

/// A literal as a constant of its smallest type.
pub(super) fn literal(value: &Value) -> Tree {
    tree::constant(value.clone(), literal_type(value))
}

fn unresolved(parts: &[String], scope: &Scope, in_function: bool) -> crate::Error {
    let name = parts.join(".");
    for table in &scope.tables {
        if let Some(length) = table.qualifier_length(parts)
            && parts.len() > length
        {
            let full = match (&table.database, &table.name) {
                (Some(database), Some(name)) => format!("table with name {database}.{name}"),
                _ => format!("subquery with name {}", table.label().unwrap_or("")),
            };
            let message = format!("Identifier '{name}' cannot be resolved from {full}.");
            return error_in(scope, codes::UNKNOWN_IDENTIFIER, message);
        }
    }
    unknown_identifier(scope, &name, in_function)
}
