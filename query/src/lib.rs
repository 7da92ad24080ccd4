//! Query: SQL text to result blocks, in ClickHouse's dialect and semantics.
//!
//! Reads in the order a query meets it: [`sql`] (text → tree) → [`bind`] (names and types settled) →
//! [`plan`] → [`optimize`] → [`execute`] (pipelines over morsels). [`functions`] and [`aggregates`]
//! are what expressions call; [`catalog`] is how tables are found; [`context`] is what one query may
//! use and is told (settings, limits, progress, cancellation).
//!
//! Rules: depends on storage only; synchronous on its own threads; nothing after `bind` knows a name.

pub mod aggregates;
pub mod bind;
pub mod catalog;
pub mod context;
pub mod coverage;
pub mod dictionary;
pub mod error;
pub mod execute;
pub mod explained;
pub mod functions;
pub mod optimize;
pub mod plan;
pub mod privileges;
pub mod reads;
pub mod run_time;
pub mod settings;
pub mod spill;
pub mod sql;
pub mod text;
pub mod turns;

pub use error::{Error, Result};

use std::sync::Arc;

/// The plan of a query, ready to run: names bound, scalar subqueries run, rules applied.
pub fn prepare(
    query: &sql::ast::Query,
    catalog: &dyn catalog::Catalog,
    ctx: &Arc<context::QueryContext>,
) -> Result<plan::Plan> {
    let bound = bind::bind_query(query, catalog, ctx)?;
    optimize::optimize_in(bound, ctx)
}
