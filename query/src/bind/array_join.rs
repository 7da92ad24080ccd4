//! ARRAY JOIN: one row per element. An item without alias takes the place of its column; one with an
//! alias adds a name; a Nested column stands for all its arrays.

use super::Binder;
use super::call::element_type;
use super::from::Source;
use super::names::error_in;
use super::place::place;
use super::scope::Scope;
use super::tree::{self, Tree};
use crate::error::{Error, Result, codes};
use crate::plan::{Plan, PlanNode};
use crate::sql::ast::{ArrayJoin, Expr, ExprKind};

/// One array to unfold and how its elements are named.
struct Unfolded {
    array: Tree,
    name: Option<String>,
    /// The column whose place the elements take.
    replaces: Option<u128>,
}

impl Binder<'_> {
    /// Adds the node to `source`; the names go into `scope`.
    pub(super) fn array_join(
        &self,
        clause: &ArrayJoin,
        source: &mut Source,
        scope: &mut Scope,
    ) -> Result<()> {
        let mut unfolded = vec![];
        for item in &clause.items {
            self.array_join_item(item, scope, &mut unfolded)?;
        }
        let width = source.plan.schema.len();
        let mut schema = source.plan.schema.clone();
        let mut exprs = vec![];
        for (i, item) in unfolded.iter().enumerate() {
            let Some(data_type) = element_type(&item.array.data_type) else {
                return Err(error_in(
                    scope,
                    codes::TYPE_MISMATCH,
                    "ARRAY JOIN requires array argument.",
                ));
            };
            exprs.push(place(&item.array, &source.available).map_err(|_| {
                Error::new(codes::ILLEGAL_AGGREGATION, "ARRAY JOIN may use columns of FROM only")
            })?);
            let name = item.name.clone().unwrap_or_else(|| format!("array_join_{i}"));
            let element = tree::column(self.fresh(), name.clone(), data_type.clone());
            source.available.add(&element, width + i);
            schema.push((name.clone(), data_type));
            match item.replaces {
                Some(key) => scope
                    .tables
                    .iter_mut()
                    .flat_map(|t| &mut t.columns)
                    .filter(|c| c.tree.key == key && c.name == name)
                    .for_each(|c| c.tree = element.clone()),
                None if item.name.is_some() => scope.array_joined.push((name, element)),
                None => {}
            }
        }
        scope.memo.borrow_mut().clear();
        let nothing = Plan { node: PlanNode::OneRow, schema: vec![] };
        let input = Box::new(std::mem::replace(&mut source.plan, nothing));
        source.plan =
            Plan { node: PlanNode::ArrayJoin { input, exprs, left: clause.left }, schema };
        Ok(())
    }

    fn array_join_item(
        &self,
        item: &Expr,
        scope: &Scope,
        unfolded: &mut Vec<Unfolded>,
    ) -> Result<()> {
        if let ExprKind::Identifier(parts) = &item.kind {
            if self.nested_item(item, parts, scope, unfolded) {
                return Ok(());
            }
            let array = self.unaliased(item, scope)?;
            let column = scope
                .tables
                .iter()
                .flat_map(|t| &t.columns)
                .find(|c| c.tree.key == array.key)
                .map(|c| (c.name.clone(), c.tree.key));
            match (&item.alias, column) {
                (None, Some((name, key))) => {
                    unfolded.push(Unfolded { array, name: Some(name), replaces: Some(key) });
                }
                (alias, _) => {
                    let name = alias.clone().unwrap_or_else(|| parts.join("."));
                    unfolded.push(Unfolded { array, name: Some(name), replaces: None });
                }
            }
            return Ok(());
        }
        let array = self.unaliased(item, scope)?;
        unfolded.push(Unfolded { array, name: item.alias.clone(), replaces: None });
        Ok(())
    }

    /// `ARRAY JOIN n [AS q]` where `n` is a Nested column, stored as `n.x`, `n.y` …
    fn nested_item(
        &self,
        item: &Expr,
        parts: &[String],
        scope: &Scope,
        unfolded: &mut Vec<Unfolded>,
    ) -> bool {
        let mut any = false;
        for table in &scope.tables {
            let own = match table.qualifier_length(parts) {
                Some(length) if parts.len() > length => &parts[length..],
                _ => parts,
            };
            let name = own.join(".");
            if table.column(&name).is_some() {
                return false;
            }
            let prefix = format!("{name}.");
            for column in &table.columns {
                let Some(field) = column.name.strip_prefix(&prefix) else { continue };
                if element_type(&column.tree.data_type).is_none() {
                    continue;
                }
                any = true;
                unfolded.push(match &item.alias {
                    None => Unfolded {
                        array: column.tree.clone(),
                        name: Some(column.name.clone()),
                        replaces: Some(column.tree.key),
                    },
                    Some(alias) => Unfolded {
                        array: column.tree.clone(),
                        name: Some(format!("{alias}.{field}")),
                        replaces: None,
                    },
                });
            }
        }
        any
    }
}
