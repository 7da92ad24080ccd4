//! What names mean at one place of a query: lambda parameters, aliases, the columns of FROM, common
//! table expressions, and whatever the scopes around offer.
//!
//! A scope never changes once expressions are bound in it; what it remembers (bound aliases) is only
//! a cache. Aliases win over columns, except inside the alias's own expression.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use pumphouse_storage::DataType;

use super::tree::Tree;
use crate::sql::ast::{Expr, Query, Select, WindowDefinition};

/// One column that a table expression offers.
#[derive(Clone)]
pub struct ScopeColumn {
    pub name: String,
    pub tree: Tree,
    /// Not part of `*`.
    pub hidden: bool,
}

/// One table expression of FROM.
#[derive(Clone, Default)]
pub struct ScopeTable {
    pub alias: Option<String>,
    pub database: Option<String>,
    pub name: Option<String>,
    pub columns: Vec<ScopeColumn>,
    index: HashMap<String, usize>,
}

impl ScopeTable {
    pub fn new(
        alias: Option<String>,
        database: Option<String>,
        name: Option<String>,
        columns: Vec<ScopeColumn>,
    ) -> ScopeTable {
        let mut index = HashMap::with_capacity(columns.len());
        for (i, column) in columns.iter().enumerate() {
            index.entry(column.name.clone()).or_insert(i);
        }
        ScopeTable { alias, database, name, columns, index }
    }

    pub fn column(&self, name: &str) -> Option<&ScopeColumn> {
        self.index.get(name).map(|i| &self.columns[*i])
    }

    /// How many leading `parts` name this table (`alias`, `name`, `database.name`), if any.
    pub fn qualifier_length(&self, parts: &[String]) -> Option<usize> {
        let is =
            |own: &Option<String>, part: Option<&String>| own.is_some() && own.as_ref() == part;
        if is(&self.database, parts.first()) && is(&self.name, parts.get(1)) {
            return Some(2);
        }
        (is(&self.alias, parts.first()) || is(&self.name, parts.first())).then_some(1)
    }

    /// The word that qualifies this table's columns in result names.
    pub fn label(&self) -> Option<&str> {
        self.alias.as_deref().or(self.name.as_deref())
    }
}

/// A column that USING made of one of each side.
#[derive(Clone)]
pub struct Merged {
    pub name: String,
    pub tree: Tree,
    /// The table column that results show under the bare name too.
    pub shown: Option<u128>,
}

/// A common table expression.
#[derive(Clone, Copy)]
pub struct Cte<'s> {
    pub name: &'s str,
    pub columns: &'s [String],
    pub query: &'s Query,
    pub recursive: bool,
}

/// What an alias was bound to.
#[derive(Clone)]
pub(super) struct Remembered {
    pub tree: Tree,
    /// It depends on which of several aliases that use each other was bound first.
    pub cyclic: bool,
}

/// An alias whose expression is being bound.
pub(super) struct InProgress {
    pub name: String,
    pub cyclic: bool,
}

/// What one scope is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScopeKind {
    Select,
    Lambda,
}

pub struct Scope<'s> {
    pub kind: ScopeKind,
    pub parent: Option<&'s Scope<'s>>,
    pub select: Option<&'s Select>,
    pub tables: Vec<ScopeTable>,
    /// Columns that USING merged; they win over the tables' own.
    pub using: Vec<Merged>,
    /// Columns that ARRAY JOIN named; they win over those of the tables.
    pub array_joined: Vec<(String, Tree)>,
    /// Columns known to be equal through inner joins: then either may stand for the name.
    pub equal: HashSet<(u128, u128)>,
    /// Joins in FROM: with one, an ambiguous name means the left table's column.
    pub joins: usize,
    pub aliases: HashMap<&'s str, &'s Expr>,
    pub ctes: Vec<Cte<'s>>,
    /// Named windows.
    pub windows: HashMap<&'s str, &'s WindowDefinition>,
    /// Lambda parameters and other names bound right here.
    pub locals: Vec<(String, Tree)>,
    /// Lambdas around this place.
    pub lambda_level: usize,
    /// What to call this scope in messages, when it is not a SELECT.
    pub text: Option<String>,
    pub(super) memo: RefCell<HashMap<String, Remembered>>,
    pub(super) in_progress: RefCell<Vec<InProgress>>,
}

impl<'s> Scope<'s> {
    pub fn select(parent: Option<&'s Scope<'s>>, select: Option<&'s Select>) -> Scope<'s> {
        Scope {
            kind: ScopeKind::Select,
            parent,
            select,
            tables: vec![],
            using: vec![],
            array_joined: vec![],
            equal: HashSet::new(),
            joins: 0,
            aliases: HashMap::new(),
            ctes: vec![],
            windows: HashMap::new(),
            locals: vec![],
            lambda_level: 0,
            text: None,
            memo: RefCell::default(),
            in_progress: RefCell::default(),
        }
    }

    /// A scope inside `parent` with a few more names.
    pub fn nested(parent: &'s Scope<'s>, locals: Vec<(String, Tree)>, level: usize) -> Scope<'s> {
        let mut scope = Scope::select(Some(parent), None);
        scope.kind = ScopeKind::Lambda;
        scope.locals = locals;
        scope.lambda_level = level;
        scope
    }

    /// A scope over bare columns, for expressions that stand alone. `columns` are in input order.
    pub fn of_columns(columns: Vec<ScopeColumn>) -> Scope<'s> {
        let mut scope = Scope::select(None, None);
        scope.tables = vec![ScopeTable::new(None, None, None, columns)];
        scope
    }

    pub fn local(&self, name: &str) -> Option<&Tree> {
        self.locals.iter().rev().find(|(n, _)| n == name).map(|(_, t)| t)
    }

    /// The nearest common table expression called `name`, and the scope that defines it.
    pub fn cte(&self, name: &str) -> Option<(&Scope<'s>, usize)> {
        if let Some(at) = self.ctes.iter().rposition(|c| c.name == name) {
            return Some((self, at));
        }
        self.parent.and_then(|p| p.cte(name))
    }

    /// The SELECT that this place belongs to.
    pub fn enclosing_select(&self) -> Option<&'s Select> {
        self.select.or_else(|| self.parent.and_then(|p| p.enclosing_select()))
    }

    /// Names that could have been meant, for hints.
    pub fn known_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.locals.iter().map(|(n, _)| n.clone()).collect();
        names.extend(self.aliases.keys().map(|n| n.to_string()));
        for table in &self.tables {
            names.extend(table.columns.iter().map(|c| c.name.clone()));
        }
        if let Some(parent) = self.parent {
            names.extend(parent.known_names());
        }
        names
    }
}

/// The subcolumns that a type offers by name, and the function that yields them: `t.x` of a named
/// tuple, `m.keys`, `a.size0`, `n.null`, `s.size`.
pub enum Subcolumn {
    TupleElement(String),
    Function(&'static str),
}

pub fn subcolumn(data_type: &DataType, name: &str) -> Option<Subcolumn> {
    match (data_type.without_low_cardinality(), name) {
        (DataType::Named { argument, .. }, _) => subcolumn(argument, name),
        (DataType::Nullable(_), "null") => Some(Subcolumn::Function("isNull")),
        (DataType::Nullable(t), _) if matches!(**t, DataType::Tuple(_)) => subcolumn(t, name),
        (DataType::Nullable(t), "size") if **t == DataType::String => {
            Some(Subcolumn::Function("length"))
        }
        (DataType::String, "size") if *data_type == DataType::String => {
            Some(Subcolumn::Function("length"))
        }
        (DataType::Array(_) | DataType::Map(..), "size0") => Some(Subcolumn::Function("length")),
        (DataType::Map(..), "keys") => Some(Subcolumn::Function("mapKeys")),
        (DataType::Map(..), "values") => Some(Subcolumn::Function("mapValues")),
        (DataType::Tuple(elements), _) => {
            let named = elements.iter().any(|e| e.name.as_deref() == Some(name));
            let numbered = name.parse::<usize>().is_ok_and(|n| n >= 1 && n <= elements.len());
            (named || numbered).then(|| Subcolumn::TupleElement(name.to_string()))
        }
        _ => None,
    }
}

/// Names and types of all subcolumns of a column, in the order that DESCRIBE shows them; those of a column's
/// array elements are left out.
pub fn subcolumns_of(data_type: &DataType) -> Vec<(String, DataType)> {
    let mut found = vec![];
    let mut below = |name: &str, of: &DataType| {
        found.push((name.to_string(), of.clone()));
        let inner = subcolumns_of(of).into_iter();
        found.extend(inner.map(|(inner, t)| (format!("{name}.{inner}"), t)));
    };
    match data_type {
        DataType::Nullable(inner) => {
            below("null", &DataType::UInt8);
            if **inner == DataType::String {
                found.push(("size".into(), DataType::nullable(DataType::UInt64)));
            }
            if let DataType::Tuple(_) = **inner {
                let elements = subcolumns_of(inner).into_iter();
                found.extend(elements.map(|(name, t)| (name, t.or_null())));
            }
        }
        DataType::String => below("size", &DataType::UInt64),
        DataType::Array(_) => below("size0", &DataType::UInt64),
        DataType::Map(key, value) => {
            below("size0", &DataType::UInt64);
            found.push(("keys".into(), DataType::array((**key).clone())));
            found.push(("values".into(), DataType::array((**value).clone())));
        }
        DataType::Tuple(elements) => {
            for (i, element) in elements.iter().enumerate() {
                let number = (i + 1).to_string();
                below(element.name.as_deref().unwrap_or(&number), &element.data_type);
            }
        }
        _ => {}
    }
    found
}
