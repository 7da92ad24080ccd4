//! Refreshes of materialized views: the SYSTEM commands on them, and the refresh itself.

use std::sync::Arc;

use pumphouse_ingest::format::ParsedRows;
use pumphouse_ingest::insert::{complete_block, fill_defaults};
use pumphouse_query::context::QueryContext;
use pumphouse_query::error::codes;
use pumphouse_query::execute::{self, ResultSink};
use pumphouse_query::functions::cast::cast_column;
use pumphouse_query::plan::Plan;
use pumphouse_query::sql::ast::SystemCommand;
use pumphouse_query::{Error, Result, prepare, sql};
use pumphouse_storage::Block;
use pumphouse_storage::log::{Change, Commit, Edit, Table};
use pumphouse_storage::part::PendingPart;
use pumphouse_storage::table::insert::write_block;

use super::Run;
use super::drop::unchanged;
use super::insert_blocks::columns_by_name;
use crate::process::Process;
use crate::refresh::clause_of;
use crate::server::Server;

/// Parts that one refresh may write.
const PARTS_MAX: usize = 10_000;
/// Rows of a part that a refresh writes, at least, if there are so many.
const PART_ROWS: usize = 1 << 20;

impl Run<'_> {
    /// `SYSTEM REFRESH|STOP|START|CANCEL|WAIT VIEW name`, `SYSTEM STOP|START VIEWS`.
    pub(super) fn view_command(&mut self, verb: &str, command: &SystemCommand) -> Result<()> {
        let refreshes = &self.server.refreshes;
        let Some(name) = &command.table else {
            return match verb {
                "STOP" | "START" => {
                    refreshes.set_all_stopped(verb == "STOP");
                    Ok(())
                }
                _ => Err(Error::new(codes::SYNTAX_ERROR, format!("SYSTEM {verb} VIEW of which?"))),
            };
        };
        let database = self.database(&name.database).to_string();
        let table = self.table_now(&database, &name.name)?;
        let id = table.definition.uuid;
        let cancel = |running: &Option<Arc<QueryContext>>| {
            if let Some(context) = running {
                context.cancelled.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        };
        refreshes.change(self.server, id, |refresh| match verb {
            "REFRESH" => refresh.force(),
            "STOP" => {
                refresh.stopped = true;
                cancel(&refresh.running);
            }
            "START" => refresh.stopped = false,
            "CANCEL" => cancel(&refresh.running),
            _ => {}
        })?;
        match verb {
            "WAIT" => refreshes.wait(self.context, id),
            _ => Ok(()),
        }
    }
}

/// Runs the view's query and puts its rows into the target; gives how many.
pub(crate) fn refresh_view(
    server: &Arc<Server>,
    view: &Arc<Table>,
    context: &Arc<QueryContext>,
) -> Result<u64> {
    let text = view.definition.select.clone().unwrap_or_default();
    let process = Process {
        context: context.clone(),
        query: crate::process::shown_text(&text),
        origin: crate::logs::Origin { interface: 9, ..Default::default() },
        kind: "Insert",
        names: Default::default(),
        start_logged: Default::default(),
    };
    let guard = server.processes.enter(process, Some(crate::process::TURN_WAIT))?;
    let outcome = refreshed(server, view, context, &text);
    guard.finish(outcome.as_ref().err());
    outcome
}

fn refreshed(
    server: &Arc<Server>,
    view: &Arc<Table>,
    context: &Arc<QueryContext>,
    text: &str,
) -> Result<u64> {
    let plan = prepare(&sql::parse_query(text)?, &server.catalog(), context)?;
    let state = server.store.snapshot();
    let target = view.definition.target.as_ref().and_then(|(d, n)| state.table(d, n));
    let Some(target) = target else {
        return Err(Error::new(
            codes::UNKNOWN_TABLE,
            format!("The target table of {} does not exist", view.definition.full_name()),
        ));
    };
    let appends = clause_of(view).is_some_and(|c| c.split_whitespace().any(|w| w == "APPEND"));
    let mut rows = Gathering {
        server,
        target,
        context,
        plan: &plan,
        blocks: vec![],
        waiting: 0,
        parts: vec![],
        rows: 0,
    };
    if appends {
        return append(server, target, context, &plan);
    }
    execute::run(&plan, context, &mut rows)?;
    rows.write()?;
    context.check()?;
    let (parts, count) = (rows.parts, rows.rows);
    let table = target.definition.uuid;
    let all = Change::RemovePartition { table, partition_id: None, detach: false };
    let commit = Commit {
        preconditions: vec![unchanged(view), unchanged(target)],
        edits: vec![Edit::Change(all)],
    };
    server.store.commit(commit, parts)?;
    server.merges.wake();
    Ok(count)
}

/// New rows beside the old ones, through the views of the target.
fn append(
    server: &Arc<Server>,
    target: &Arc<Table>,
    context: &Arc<QueryContext>,
    plan: &Plan,
) -> Result<u64> {
    let definition = &target.definition;
    let mut session = server.inserter.begin(&definition.database, &definition.name)?;
    let mut count = 0;
    for block in execute::collect(plan, context)? {
        if block.rows() > 0 {
            session.add(&filled(target, plan, block, context)?, context)?;
        }
    }
    count += session.commit(None)?.rows;
    server.merges.wake();
    Ok(count)
}

/// Whole rows of the target.
fn filled(target: &Table, plan: &Plan, block: Block, context: &Arc<QueryContext>) -> Result<Block> {
    let definition = &target.definition;
    let named = columns_by_name(plan, definition);
    let columns = named
        .iter()
        .map(|(at, to)| cast_column(&block.columns[*at], &to.data_type, context))
        .collect::<Result<Vec<_>>>()?;
    let rows = ParsedRows { rows: block.rows(), present: vec![None; columns.len()], columns };
    let inputs: Vec<_> = named.into_iter().map(|(_, column)| column).collect();
    let block = fill_defaults(definition, &inputs, rows, context)?;
    complete_block(definition, block, context)
}

/// Result blocks on their way into parts that no commit lists yet.
struct Gathering<'a> {
    server: &'a Arc<Server>,
    target: &'a Arc<Table>,
    context: &'a Arc<QueryContext>,
    plan: &'a Plan,
    blocks: Vec<Block>,
    waiting: usize,
    parts: Vec<PendingPart>,
    rows: u64,
}

impl Gathering<'_> {
    fn write(&mut self) -> Result<()> {
        let blocks = std::mem::take(&mut self.blocks);
        if std::mem::take(&mut self.waiting) == 0 {
            return Ok(());
        }
        let block = filled(self.target, self.plan, Block::concat(&blocks)?, self.context)?;
        self.rows += block.rows() as u64;
        self.parts.extend(write_block(&self.server.store, self.target, &block)?);
        match self.parts.len() > PARTS_MAX {
            true => Err(Error::new(codes::TOO_MANY_PARTS, "A refresh makes too many parts")),
            false => Ok(()),
        }
    }
}

impl ResultSink for Gathering<'_> {
    fn block(&mut self, block: Block) -> Result<()> {
        self.waiting += block.rows();
        self.blocks.push(block);
        if self.waiting >= PART_ROWS {
            self.write()?;
        }
        Ok(())
    }
}
