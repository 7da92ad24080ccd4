//! Row policies: which rows of a table one user sees. Those that are permissive for it are joined by OR, restrictive
//! ones by AND; of a table without a permissive policy for the user all rows are seen, as ClickHouse does by default.
//! The binder puts the condition behind each table that is read by its name.

use std::collections::BTreeMap;
use std::sync::Arc;

use pumphouse_query::context::RowFilters;
use pumphouse_query::sql::access::{AccessStatement, EntityKind};
use pumphouse_query::sql::ast::{Call, CallForm, Expr, ExprKind};

use super::{Entities, Granted, means};

#[derive(Debug, Default)]
struct OfTable {
    permissive: Vec<Expr>,
    restrictive: Vec<Expr>,
}

/// The policies that mean one user, by database and table (None: all of the database).
#[derive(Debug)]
pub struct Policies {
    tables: BTreeMap<(String, Option<String>), OfTable>,
}

impl Policies {
    /// None if no policy means the user.
    pub fn of(entities: &Entities, access: &Granted) -> Option<Arc<dyn RowFilters>> {
        let ids = access.ids();
        let mut tables: BTreeMap<(String, Option<String>), OfTable> = BTreeMap::new();
        for entity in entities.all(EntityKind::RowPolicy) {
            let AccessStatement::Policy(policy) = &entity.definition else { continue };
            let Some(Some(using)) = &policy.using else { continue };
            if !policy.to.as_ref().is_some_and(|to| means(to, &ids)) {
                continue;
            }
            let (database, table) = policy.tables.first().cloned().unwrap_or_default();
            let of = tables.entry((database.unwrap_or_default(), table)).or_default();
            match policy.restrictive {
                Some(true) => of.restrictive.push(using.clone()),
                _ => of.permissive.push(using.clone()),
            }
        }
        (!tables.is_empty()).then(|| Arc::new(Policies { tables }) as Arc<dyn RowFilters>)
    }
}

impl RowFilters for Policies {
    fn filter(&self, database: &str, table: &str) -> Option<Expr> {
        let of = |table: Option<&str>| {
            self.tables.get(&(database.to_string(), table.map(str::to_string)))
        };
        let found: Vec<&OfTable> = of(Some(table)).into_iter().chain(of(None)).collect();
        let permissive: Vec<Expr> = found.iter().flat_map(|t| t.permissive.clone()).collect();
        let mut all: Vec<Expr> = found.iter().flat_map(|t| t.restrictive.clone()).collect();
        all.extend(joined("or", permissive));
        joined("and", all)
    }
}

fn joined(name: &str, mut parts: Vec<Expr>) -> Option<Expr> {
    match parts.len() {
        0 | 1 => parts.pop(),
        _ => Some(Expr::new(ExprKind::Call(Box::new(Call {
            name: name.into(),
            arguments: parts,
            form: CallForm::Operator,
            ..Call::default()
        })))),
    }
}
