//! Binding: a syntax tree becomes a plan in which every name is settled and every type known.
//!
//! [`bind_query`] is the door. One file a concern: [`scope`] (what names mean), `expression`, `call`,
//! `in_set`, `subquery` (expressions to [`tree`]s), `star` (`*`, COLUMNS), `from`, `join`,
//! `array_join` (table expressions), `select` with `aggregation`, `window`, `order` (one SELECT),
//! `set_operation`, `place` (trees onto a plan node's columns), `names` (messages and result names),
//! `compiled` (expressions for storage).
//!
//! Rules: aliases are visible anywhere in their SELECT and win over columns; constants are folded as
//! they appear; scalar subqueries are run while binding (unless only analysing), because their values
//! are constants to everything after. Depth and number of bound SELECTs are bounded.

mod additional_filters;
mod aggregation;
mod aliases;
mod array_join;
mod call;
mod compiled;
mod constant_branch;
mod correlated;
mod dictionary;
mod expression;
mod fold;
mod from;
mod grouping;
mod in_set;
mod interpolate;
mod join;
mod json_path;
pub(crate) mod names;
mod null_in;
mod order;
mod own_settings;
mod parameter;
mod place;
pub(crate) mod projection;
mod result_name;
mod sample;
mod scope;
mod select;
mod set_operation;
mod star;
mod subquery;
mod table_forms;
#[cfg(test)]
mod tests;
pub(crate) mod tree;
mod window;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

pub use call::RANKING as WINDOW_FUNCTIONS;
pub(crate) use compiled::to_storage;
pub use compiled::{SqlExpressions, bind_expression};
pub(crate) use fold::is_constant_call;
pub use from::unknown_table_function;
pub use scope::subcolumns_of;

use crate::catalog::Catalog;
use crate::context::QueryContext;
use crate::error::{Error, Result, codes};
use crate::plan::Plan;
use crate::settings::Settings;
use crate::sql::ast::Query;

/// Levels of nesting that fit a 2 MiB stack; deeper queries are bound on a thread of their own.
const DEPTH_SMALL: u32 = 60;
/// The most levels a query may nest.
const DEPTH_MAX: u32 = 1000;
const DEEP_STACK_BYTES: usize = 256 << 20;
/// SELECTs that one query may expand to, through views and common table expressions.
const SELECTS_MAX: u32 = 5000;

/// Names, types and constants of `query` settled, scalar subqueries run.
pub fn bind_query(query: &Query, catalog: &dyn Catalog, ctx: &Arc<QueryContext>) -> Result<Plan> {
    on_stack(|depth_max| {
        let binder = Binder::new(catalog, ctx, false, depth_max);
        binder.query(query, None)
    })
}

/// Like [`bind_query`] but runs nothing: for the result's names and types (DESCRIBE, CREATE VIEW).
pub fn analyze_query(
    query: &Query,
    catalog: &dyn Catalog,
    ctx: &Arc<QueryContext>,
) -> Result<Plan> {
    on_stack(|depth_max| {
        let binder = Binder::new(catalog, ctx, true, depth_max);
        binder.query(query, None)
    })
}

/// Runs `bind` here if that is shallow enough, else on a thread with a deep stack.
fn on_stack<T: Send>(bind: impl Fn(u32) -> Result<T> + Sync) -> Result<T> {
    match bind(DEPTH_SMALL) {
        Err(Error::Coded { code: codes::TOO_DEEP_RECURSION, .. }) => {}
        done => return done,
    }
    std::thread::scope(|threads| {
        std::thread::Builder::new()
            .name("bind".into())
            .stack_size(DEEP_STACK_BYTES)
            .spawn_scoped(threads, || bind(DEPTH_MAX))
            .map_err(|e| too_deep(&e.to_string()))?
            .join()
            .unwrap_or_else(|_| Err(Error::new(codes::LOGICAL_ERROR, "binding failed")))
    })
}

fn too_deep(reason: &str) -> Error {
    Error::new(codes::TOO_DEEP_RECURSION, format!("The query is nested too deeply: {reason}"))
}

/// Binds one query.
pub(crate) struct Binder<'a> {
    pub catalog: &'a dyn Catalog,
    pub ctx: &'a Arc<QueryContext>,
    /// Do not run scalar subqueries.
    pub analyze_only: bool,
    depth: Cell<u32>,
    depth_max: u32,
    selects: Cell<u32>,
    /// SELECTs that are being bound, one inside the other.
    open_selects: Cell<u32>,
    next_column: Cell<u32>,
    /// Scalar subqueries that were already run, by scope and text.
    scalars: RefCell<HashMap<(usize, String), tree::Tree>>,
    /// Subqueries being bound that may read outer columns, innermost last.
    correlations: RefCell<Vec<correlated::Correlation>>,
    /// Recursive common table expressions being evaluated: their rows so far.
    working: RefCell<Vec<subquery::WorkingTable>>,
    /// Calls that results show otherwise than they are written, by address, with their text.
    shown: RefCell<HashMap<usize, (String, constant_branch::Shown)>>,
    /// A table's bare name stands behind IN: tables of the engine Set may be read.
    in_set_name: Cell<bool>,
    /// Keys of the constants that the query groups by, while what reads its groups is bound and
    /// `group_by_use_nulls` makes them Nullable.
    nullable_constants: RefCell<Vec<u128>>,
    /// The settings that SETTINGS inside the query make hold, if any do.
    own_settings: RefCell<Option<Arc<Settings>>>,
}

/// Leaves one level of nesting when dropped.
pub(crate) struct Level<'b>(&'b Cell<u32>);

impl Drop for Level<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl<'a> Binder<'a> {
    pub fn new(
        catalog: &'a dyn Catalog,
        ctx: &'a Arc<QueryContext>,
        analyze_only: bool,
        depth_max: u32,
    ) -> Binder<'a> {
        Binder {
            catalog,
            ctx,
            analyze_only,
            depth: Cell::new(0),
            depth_max,
            selects: Cell::new(0),
            open_selects: Cell::new(0),
            next_column: Cell::new(0),
            scalars: RefCell::default(),
            correlations: RefCell::default(),
            working: RefCell::default(),
            shown: RefCell::default(),
            in_set_name: Cell::new(false),
            nullable_constants: RefCell::default(),
            own_settings: RefCell::default(),
        }
    }

    /// Enters `levels` levels of nesting.
    fn enter(&self) -> Result<Level<'_>> {
        self.depth.set(self.depth.get() + 1);
        let level = Level(&self.depth);
        if self.depth.get() > self.depth_max {
            return Err(too_deep(&format!("more than {} levels", self.depth_max)));
        }
        Ok(level)
    }

    fn count_select(&self) -> Result<()> {
        self.selects.set(self.selects.get() + 1);
        if self.selects.get() > SELECTS_MAX {
            return Err(Error::new(
                codes::TOO_BIG_AST,
                format!("The query expands to more than {SELECTS_MAX} SELECTs"),
            ));
        }
        self.ctx.check()
    }

    /// An identity for a new column.
    fn fresh(&self) -> u32 {
        self.next_column.set(self.next_column.get() + 1);
        self.next_column.get()
    }
}
