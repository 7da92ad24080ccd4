//! Inserts of streams: the rows of all views, dead letters and the new offsets in one commit.
//!
//! The offsets must be what the log holds (compare-and-swap), and the stream what its consumer knows;
//! else nothing is applied. [`Inserter::try_views`] runs the views and keeps nothing.

use std::sync::Arc;

use pumphouse_query::catalog::SourceColumn;
use pumphouse_query::context::QueryContext;
use pumphouse_query::error::{Error, codes};
use pumphouse_storage::Block;
use pumphouse_storage::log::{Edit, Rejection, State, Table};

use uuid::Uuid;

use super::{
    ATTEMPTS_MAX, InsertOutcome, Inserter, StreamError, advance, changed_too_often, complete_block,
    is_change, offset_equals,
};
use crate::block_builder::OffsetRange;
use crate::kafka::virtual_columns;
use crate::materialized_view::{self, ViewOutputs, ViewRunner, run_one_view, run_views};

/// What a stream gives to one commit.
pub struct StreamInput<'a> {
    /// Columns of the blocks, hidden ones included.
    pub columns: &'a [SourceColumn],
    pub blocks: &'a [Block],
    pub offsets: &'a [OffsetRange],
    pub letters: Option<Letters<'a>>,
    /// What else is to be in the commit.
    pub edits: &'a [Edit],
}

/// Dead letters and the table that takes them.
#[derive(Clone, Copy)]
pub struct Letters<'a> {
    pub database: &'a str,
    pub table: &'a str,
    pub block: &'a Block,
}

impl Inserter {
    /// Runs the views of a stream table over its blocks and commits their rows together with the
    /// offsets, which must be what the log holds. `stream` is the table as the consumer knows it.
    pub fn insert_from_stream(
        &self,
        stream: &Arc<Table>,
        input: &StreamInput<'_>,
        ctx: &Arc<QueryContext>,
    ) -> std::result::Result<InsertOutcome, StreamError> {
        for _ in 0..ATTEMPTS_MAX {
            let state = self.store.snapshot();
            let source = current(&state, stream)?;
            if lacks_columns(&state, source, input.columns, input.blocks) {
                return Err(StreamError::Stale);
            }
            let runner = ViewRunner { store: &self.store, state: &state, extra: &self.extra, ctx };
            let mut outputs = run_views(&runner, source, input.columns, input.blocks)?;
            if outputs.views == 0 {
                return Err(StreamError::SourceChanged);
            }
            if let Some(letters) = &input.letters {
                add_letters(&runner, letters, &mut outputs)?;
            }
            super::constraints::check(&outputs.blocks, ctx)?;
            let wall_us = self.clock.now_us();
            let mut edits = input.edits.to_vec();
            for range in input.offsets {
                outputs.preconditions.push(offset_equals(stream.definition.uuid, range));
                edits.push(advance(stream.definition.uuid, range, wall_us));
            }
            let mut outcome = match self.write_and_commit(outputs, edits, ctx) {
                Ok(outcome) => outcome,
                Err(Error::Storage(pumphouse_storage::Error::Rejected(r))) => match r {
                    Rejection::OffsetMoved { topic, kafka_partition, .. } => {
                        return Err(StreamError::OffsetMoved { topic, kafka_partition });
                    }
                    r if is_change(&r) => continue,
                    r => {
                        return Err(Error::from(pumphouse_storage::Error::Rejected(r)).into());
                    }
                },
                Err(e) => return Err(e.into()),
            };
            outcome.rows = input.blocks.iter().map(|b| b.rows() as u64).sum();
            return Ok(outcome);
        }
        Err(changed_too_often().into())
    }

    /// Runs one view of a stream over its blocks and commits its rows together with offsets of the view's
    /// own, which must be what the log holds.
    pub fn insert_into_view(
        &self,
        stream: &Arc<Table>,
        view: Uuid,
        input: &StreamInput<'_>,
        ctx: &Arc<QueryContext>,
    ) -> std::result::Result<InsertOutcome, StreamError> {
        for _ in 0..ATTEMPTS_MAX {
            let state = self.store.snapshot();
            let source = current(&state, stream)?;
            let Some(view) = state.tables.get(&view).filter(|v| !v.detached) else {
                return Err(StreamError::SourceChanged);
            };
            let runner = ViewRunner { store: &self.store, state: &state, extra: &self.extra, ctx };
            let mut outputs = run_one_view(&runner, source, view, input.columns, input.blocks)?;
            super::constraints::check(&outputs.blocks, ctx)?;
            let (mut edits, wall_us) = (input.edits.to_vec(), self.clock.now_us());
            for range in input.offsets {
                outputs.preconditions.push(offset_equals(view.definition.uuid, range));
                edits.push(advance(view.definition.uuid, range, wall_us));
            }
            match self.write_and_commit(outputs, edits, ctx) {
                Ok(outcome) => return Ok(outcome),
                Err(Error::Storage(pumphouse_storage::Error::Rejected(r))) => match r {
                    Rejection::OffsetMoved { topic, kafka_partition, .. } => {
                        return Err(StreamError::OffsetMoved { topic, kafka_partition });
                    }
                    r if is_change(&r) => {}
                    r => return Err(Error::from(pumphouse_storage::Error::Rejected(r)).into()),
                },
                Err(e) => return Err(e.into()),
            }
        }
        Err(changed_too_often().into())
    }

    /// Runs the views over `block` and throws the result away: does it pass?
    pub fn try_views(
        &self,
        stream: &Arc<Table>,
        columns: &[SourceColumn],
        block: &Block,
        ctx: &Arc<QueryContext>,
    ) -> std::result::Result<(), StreamError> {
        let state = self.store.snapshot();
        let source = current(&state, stream)?;
        let blocks = std::slice::from_ref(block);
        let runner = ViewRunner { store: &self.store, state: &state, extra: &self.extra, ctx };
        run_views(&runner, source, columns, if block.is_empty() { &[] } else { blocks })?;
        Ok(())
    }
}

/// The letters and what views on their table make of them.
fn add_letters(
    runner: &ViewRunner<'_>,
    letters: &Letters<'_>,
    outputs: &mut ViewOutputs,
) -> Result<(), Error> {
    let Some(table) = runner.state.table(letters.database, letters.table) else {
        return Err(Error::new(
            codes::UNKNOWN_TABLE,
            format!("The dead letter table {}.{} does not exist", letters.database, letters.table),
        ));
    };
    let definition = &table.definition;
    let known: Vec<(String, pumphouse_storage::Column)> = letters
        .block
        .names
        .iter()
        .zip(&letters.block.columns)
        .filter(|(name, _)| definition.columns.iter().any(|c| c.name == **name))
        .map(|(name, column)| (name.clone(), column.clone()))
        .collect();
    if known.is_empty() {
        return Err(Error::new(
            codes::THERE_IS_NO_COLUMN,
            format!(
                "The dead letter table {} has no column of a dead letter",
                definition.full_name()
            ),
        ));
    }
    let block = complete_block(definition, Block::new(known), runner.ctx)?;
    let columns = materialized_view::source_columns(definition);
    let mut made = run_views(runner, table, &columns, std::slice::from_ref(&block))?;
    outputs.preconditions.append(&mut made.preconditions);
    outputs.blocks.append(&mut made.blocks);
    outputs.blocks.push((table.clone(), block));
    Ok(())
}

/// The stream in `state` if it is still what the consumer knows.
fn current<'s>(
    state: &'s State,
    stream: &Table,
) -> std::result::Result<&'s Arc<Table>, StreamError> {
    state
        .tables
        .get(&stream.definition.uuid)
        .filter(|t| !t.detached && t.definition_version == stream.definition_version)
        // A table that is paused takes what SYSTEM REFRESH asked for, from who began while it was paused.
        .filter(|t| t.paused == stream.paused)
        .ok_or(StreamError::SourceChanged)
}

/// Whether a view of `source` may read a hidden column that the blocks do not have.
fn lacks_columns(
    state: &State,
    source: &Table,
    columns: &[SourceColumn],
    blocks: &[Block],
) -> bool {
    let Some(block) = blocks.first() else { return false };
    let definition = &source.definition;
    let views = state.views_of(&definition.database, &definition.name);
    let texts: Vec<&str> = views.iter().filter_map(|v| v.definition.select.as_deref()).collect();
    columns
        .iter()
        .filter(|c| c.hidden && c.alias_expression.is_none() && block.column(&c.name).is_none())
        .any(|c| texts.iter().any(|text| virtual_columns::may_use(text, &c.name)))
}
