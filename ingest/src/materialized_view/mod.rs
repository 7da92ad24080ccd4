//! Materialized views: what an inserted block becomes in every table that its views feed.
//!
//! Takes the blocks that arrive at a source table and one snapshot of the state, runs each view's
//! SELECT with the source replaced by those blocks, and follows views on the target tables. Gives
//! complete blocks per destination and the preconditions under which they may be committed; touches
//! nothing itself. A result is matched to its target by name: what the target lacks is dropped, what
//! the result lacks takes the target's default.

mod rejoin;

use std::sync::Arc;

use pumphouse_query::catalog::{
    BlockSource, ExtraTables, OverlayCatalog, SourceColumn, StoreCatalog,
};
use pumphouse_query::context::QueryContext;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::log::{DefaultKind, Precondition, State, Table, TableDefinition};
use pumphouse_storage::{Block, Store};
use uuid::Uuid;

use crate::buffer;
use crate::insert::complete_block;

/// Views on views may be this deep.
pub const DEPTH_MAX: usize = 32;

/// What the views of a source made of its blocks.
#[derive(Default)]
pub struct ViewOutputs {
    /// Complete blocks per destination, in the order they arose; a table may occur more than once.
    pub blocks: Vec<(Arc<Table>, Block)>,
    /// Source, views and destinations unchanged.
    pub preconditions: Vec<Precondition>,
    /// Views that ran.
    pub views: usize,
}

/// One snapshot and what is needed to run queries on it.
pub struct ViewRunner<'a> {
    pub store: &'a Arc<Store>,
    pub state: &'a Arc<State>,
    pub extra: &'a Option<Arc<dyn ExtraTables>>,
    pub ctx: &'a Arc<QueryContext>,
}

/// Runs all views of `source`, and views on their targets, over `blocks`. `columns` are those of the
/// blocks, hidden (virtual, ALIAS) ones included. Without rows no view runs (an aggregate over nothing
/// would make one), but the preconditions are the same.
pub fn run_views(
    runner: &ViewRunner<'_>,
    source: &Arc<Table>,
    columns: &[SourceColumn],
    blocks: &[Block],
) -> Result<ViewOutputs> {
    let mut outputs = ViewOutputs::default();
    outputs.preconditions.push(unchanged(source));
    let mut path = vec![];
    runner.follow(source, columns, blocks, &mut path, &mut outputs)?;
    Ok(outputs)
}

/// Adds what `block`, complete rows of the Buffer table `table`, becomes behind it.
pub fn write_through(
    runner: &ViewRunner<'_>,
    table: &Arc<Table>,
    block: Block,
    outputs: &mut ViewOutputs,
) -> Result<()> {
    runner.pass_buffer(table, block, &mut vec![], outputs)
}

/// As [`run_views`], but runs one view of `source` (and what hangs on its target) alone.
pub fn run_one_view(
    runner: &ViewRunner<'_>,
    source: &Arc<Table>,
    view: &Arc<Table>,
    columns: &[SourceColumn],
    blocks: &[Block],
) -> Result<ViewOutputs> {
    let mut outputs = ViewOutputs::default();
    outputs.preconditions.push(unchanged(source));
    let mut path = vec![source.definition.uuid];
    runner.one_view(view, source, columns, blocks, &mut path, &mut outputs)?;
    Ok(outputs)
}

/// The destinations of all views of `source`, cascades included; an error names the first that is
/// missing. Used to see whether a stream can run at all, and for back-pressure.
pub fn destinations(state: &State, source: &TableDefinition) -> Result<Vec<Arc<Table>>> {
    let mut found: Vec<Arc<Table>> = vec![];
    let mut sources = vec![(source.database.clone(), source.name.clone())];
    while let Some((database, name)) = sources.pop() {
        for view in state.views_of(&database, &name) {
            let target = target_of(state, &view.definition)?;
            let mut next = Some(target);
            while let Some(target) = next.take() {
                let definition = &target.definition;
                if found.iter().all(|t| t.definition.uuid != definition.uuid) {
                    if definition.engine != "Kafka" {
                        sources.push((definition.database.clone(), definition.name.clone()));
                    }
                    found.push(target.clone());
                    if definition.engine == buffer::ENGINE {
                        next = buffer::destination(state, definition, true)?;
                    }
                }
            }
        }
    }
    Ok(found)
}

/// The columns of a table as a view's source sees them.
pub fn source_columns(definition: &TableDefinition) -> Vec<SourceColumn> {
    definition
        .columns
        .iter()
        .filter_map(|c| {
            let mut column = SourceColumn::plain(c.name.clone(), c.data_type.clone());
            match c.default.as_ref().map(|d| (d.kind, &d.expression)) {
                Some((DefaultKind::Ephemeral, _)) => return None,
                Some((DefaultKind::Materialized, _)) => column.hidden = true,
                Some((DefaultKind::Alias, expression)) => {
                    column.hidden = true;
                    column.alias_expression = Some(expression.clone());
                }
                _ => {}
            }
            Some(column)
        })
        .collect()
}

fn unchanged(table: &Table) -> Precondition {
    Precondition::TableUnchanged {
        table: table.definition.uuid,
        definition_version: table.definition_version,
    }
}

/// The table that a materialized view writes to.
fn target_of<'s>(state: &'s State, view: &TableDefinition) -> Result<&'s Arc<Table>> {
    let missing = |what: String| {
        Error::new(
            codes::UNKNOWN_TABLE,
            format!("Target table {what} of materialized view {} doesn't exist", view.full_name()),
        )
    };
    let Some((database, name)) = &view.target else { return Err(missing("(none)".into())) };
    state.table(database, name).ok_or_else(|| missing(format!("{database}.{name}")))
}

impl ViewRunner<'_> {
    fn follow(
        &self,
        source: &Arc<Table>,
        columns: &[SourceColumn],
        blocks: &[Block],
        path: &mut Vec<Uuid>,
        outputs: &mut ViewOutputs,
    ) -> Result<()> {
        let definition = &source.definition;
        outputs.preconditions.push(Precondition::ViewsUnchanged {
            database: definition.database.clone(),
            name: definition.name.clone(),
            views_version: self.state.views_version(&definition.database, &definition.name),
        });
        let views = self.state.views_of(&definition.database, &definition.name);
        if views.is_empty() {
            return Ok(());
        }
        if path.contains(&definition.uuid) || path.len() >= DEPTH_MAX {
            return Err(Error::new(
                codes::TOO_DEEP_RECURSION,
                format!(
                    "The views of {} feed the table that they read from",
                    definition.full_name()
                ),
            ));
        }
        path.push(definition.uuid);
        for view in views {
            self.one_view(view, source, columns, blocks, path, outputs)?;
        }
        path.pop();
        Ok(())
    }

    /// What one view makes of the blocks.
    fn one_view(
        &self,
        view: &Arc<Table>,
        source: &Arc<Table>,
        columns: &[SourceColumn],
        blocks: &[Block],
        path: &mut Vec<Uuid>,
        outputs: &mut ViewOutputs,
    ) -> Result<()> {
        let target = target_of(self.state, &view.definition)?;
        outputs.preconditions.extend([unchanged(view), unchanged(target)]);
        outputs.views += 1;
        if blocks.is_empty() {
            return Ok(());
        }
        let results = self
            .run_view(view, &source.definition, columns, blocks)
            .map_err(|e| while_pushing(&view.definition, e))?;
        let target_columns = source_columns(&target.definition);
        for result in rejoin::rejoined(results, blocks)? {
            let block = match_target(&target.definition, &view.definition, result, self.ctx)?;
            if !block.is_empty() {
                self.follow_result(target, &target_columns, block, path, outputs)?;
            }
        }
        Ok(())
    }

    fn follow_result(
        &self,
        target: &Arc<Table>,
        columns: &[SourceColumn],
        block: Block,
        path: &mut Vec<Uuid>,
        outputs: &mut ViewOutputs,
    ) -> Result<()> {
        // A topic's own views get its messages when they come back from the broker.
        if target.definition.engine != "Kafka" {
            self.follow(target, columns, std::slice::from_ref(&block), path, outputs)?;
        }
        if target.definition.engine == buffer::ENGINE {
            return self.pass_buffer(target, block, path, outputs);
        }
        outputs.blocks.push((target.clone(), block));
        Ok(())
    }

    /// What is written to a Buffer table in a commit goes on to its destination in the same commit.
    fn pass_buffer(
        &self,
        table: &Arc<Table>,
        block: Block,
        path: &mut Vec<Uuid>,
        outputs: &mut ViewOutputs,
    ) -> Result<()> {
        outputs.preconditions.push(unchanged(table));
        let Some(next) = buffer::destination(self.state, &table.definition, true)? else {
            return Ok(());
        };
        outputs.preconditions.push(unchanged(next));
        let block = buffer::for_destination(&next.definition, block, self.ctx)?;
        let columns = source_columns(&next.definition);
        self.follow_result(next, &columns, block, path, outputs)
    }

    /// The view's SELECT over `blocks` instead of its source.
    fn run_view(
        &self,
        view: &Table,
        source: &TableDefinition,
        columns: &[SourceColumn],
        blocks: &[Block],
    ) -> Result<Vec<Block>> {
        let Some(select) = &view.definition.select else {
            return Err(Error::new(codes::LOGICAL_ERROR, "a materialized view without a query"));
        };
        let query = pumphouse_query::sql::parse_query(select)?;
        let catalog = StoreCatalog {
            store: self.store.clone(),
            state: self.state.clone(),
            extra: self.extra.clone(),
        };
        let rows = BlockSource::new(source.full_name(), columns.to_vec(), blocks.to_vec());
        let catalog = OverlayCatalog::new(&catalog, &source.database, &source.name, Arc::new(rows));
        let ctx = view_context(self.ctx, &view.definition.database);
        let plan = pumphouse_query::prepare(&query, &catalog, &ctx)?;
        pumphouse_query::execute::collect(&plan, &ctx)
    }
}

/// Names without a database mean the view's own.
fn view_context(ctx: &Arc<QueryContext>, database: &str) -> Arc<QueryContext> {
    let mut view = QueryContext::new(ctx.query_id.clone(), ctx.now_us, 0);
    view.user = ctx.user.clone();
    view.database = database.to_string();
    view.settings = ctx.settings.clone();
    view.time_zone = ctx.time_zone;
    view.deadline = ctx.deadline;
    view.memory = ctx.memory.clone();
    view.spill = ctx.spill.clone();
    Arc::new(view)
}

fn match_target(
    target: &TableDefinition,
    view: &TableDefinition,
    result: Block,
    ctx: &Arc<QueryContext>,
) -> Result<Block> {
    if !target.columns.iter().any(|c| result.column(&c.name).is_some()) {
        return Err(Error::new(
            codes::THERE_IS_NO_COLUMN,
            format!(
                "No column of materialized view {} is in its target table {}",
                view.full_name(),
                target.full_name()
            ),
        ));
    }
    complete_block(target, result, ctx).map_err(|e| while_pushing(view, e))
}

fn while_pushing(view: &TableDefinition, e: Error) -> Error {
    let place = format!("while pushing to view {}", view.full_name());
    match e {
        Error::Coded { code, message } if message.contains("while pushing to view") => {
            Error::Coded { code, message }
        }
        e @ Error::Storage(_) => e,
        e => Error::new(e.code(), format!("{e}: {place}")),
    }
}
