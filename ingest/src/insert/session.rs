//! An insert of many blocks that becomes visible as one: parts are written block by block and committed
//! together at the end, so that memory stays bounded and a failure on the way leaves nothing behind.
//!
//! All blocks run on the snapshot of the beginning. If a table or view is changed meanwhile the commit
//! is refused: the blocks are gone by then, so the sender has to send them again.

use std::sync::Arc;

use pumphouse_query::context::QueryContext;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::Block;
use pumphouse_storage::log::{
    Commit, Edit, Precondition, Rejection, State, Table, TableDefinition,
};
use pumphouse_storage::part::PendingPart;

use super::{InsertOutcome, Inserter, is_change, is_held, not_enough_space, resolve};
use crate::buffer::BufferRule;
use crate::materialized_view::{ViewOutputs, ViewRunner, write_through};

/// Parts of one insert that wait for its commit.
const PENDING_PARTS_MAX: usize = 10_000;

/// Begun by [`Inserter::begin`]; dropped without [`InsertSession::commit`] it leaves nothing.
pub struct InsertSession<'i> {
    inserter: &'i Inserter,
    state: Arc<State>,
    target: Arc<Table>,
    creation: Option<Commit>,
    preconditions: Vec<Precondition>,
    parts: Vec<PendingPart>,
    /// Of a Buffer table: what its memory gets at the end, no more than it may hold.
    held: Vec<Block>,
    rows: u64,
}

impl Inserter {
    /// Begins an insert of several blocks into `database.table`.
    pub fn begin(&self, database: &str, table: &str) -> Result<InsertSession<'_>> {
        let state = self.store.snapshot();
        let target = resolve(&state, database, table)?;
        Ok(InsertSession {
            inserter: self,
            state,
            target,
            creation: None,
            preconditions: vec![],
            parts: vec![],
            held: vec![],
            rows: 0,
        })
    }

    /// Begins an insert into a table that is not there yet: `creation` makes it, in the commit that
    /// brings its rows.
    pub fn begin_new(
        &self,
        definition: &Arc<TableDefinition>,
        creation: Commit,
    ) -> InsertSession<'_> {
        InsertSession {
            inserter: self,
            state: self.store.snapshot(),
            target: Arc::new(Table::empty(definition.clone())),
            creation: Some(creation),
            preconditions: vec![],
            parts: vec![],
            held: vec![],
            rows: 0,
        }
    }
}

impl InsertSession<'_> {
    /// Writes the parts of `block` in the table and in all that its views feed.
    pub fn add(&mut self, block: &Block, ctx: &Arc<QueryContext>) -> Result<()> {
        ctx.check()?;
        if !self.inserter.store.has_free_space()? {
            return Err(not_enough_space());
        }
        if self.target.definition.engine == "Kafka" && !has_token(ctx) {
            let block = super::complete_block(&self.target.definition, block.clone(), ctx)?;
            self.rows += crate::kafka::produce::produce(&self.target, &block, ctx)?;
            return Ok(());
        }
        let outputs = self.inserter.run_block(&self.state, &self.target, block, ctx)?;
        if self.rows == 0 {
            super::refuse_when_too_many_parts(&outputs)?;
        }
        if self.preconditions.is_empty() {
            // The same for every block of one snapshot.
            self.preconditions = outputs.preconditions;
            if self.creation.is_some() {
                // Nothing can have changed a table that is not there.
                let made = self.target.definition.uuid;
                self.preconditions.retain(
                    |p| !matches!(p, Precondition::TableUnchanged { table, .. } if *table == made),
                );
            }
        }
        let (held, mut blocks): (Vec<_>, Vec<_>) = outputs.blocks.into_iter().partition(is_held);
        self.held.extend(held.into_iter().map(|(_, block)| block));
        blocks.extend(self.overflow(ctx)?);
        self.parts.extend(self.inserter.write_parts(blocks, ctx)?);
        self.rows += block.rows() as u64;
        if self.parts.len() > PENDING_PARTS_MAX {
            return Err(Error::new(
                codes::TOO_MANY_PARTS,
                format!("One insert may make {PENDING_PARTS_MAX} parts at most; send it in pieces"),
            ));
        }
        Ok(())
    }

    /// What is held goes past the memory when it becomes too much for it.
    fn overflow(&mut self, ctx: &Arc<QueryContext>) -> Result<Vec<(Arc<Table>, Block)>> {
        if self.held.len() < 2 {
            return Ok(vec![]);
        }
        let (rows, bytes) = self.held.iter().fold((0, 0), |(rows, bytes), b| {
            (rows + b.rows() as u64, bytes + b.memory_bytes() as u64)
        });
        if !BufferRule::of(&self.target.definition)?.is_large(rows, bytes) {
            return Ok(vec![]);
        }
        let block = Block::concat(&std::mem::take(&mut self.held))?;
        let Inserter { store, extra, .. } = self.inserter;
        let runner = ViewRunner { store, state: &self.state, extra, ctx };
        let mut outputs = ViewOutputs::default();
        write_through(&runner, &self.target, block, &mut outputs)?;
        self.preconditions.extend(outputs.preconditions);
        Ok(outputs.blocks)
    }

    /// Makes all of it visible at once. A `token` that is in already makes it a success of 0 rows.
    pub fn commit(self, token: Option<&str>) -> Result<InsertOutcome> {
        if self.target.definition.engine == "Kafka" && self.parts.is_empty() {
            // Sent block by block.
            return Ok(InsertOutcome { rows: self.rows, ..InsertOutcome::default() });
        }
        let mut outcome = InsertOutcome {
            rows: self.rows,
            rows_written: self.parts.iter().map(|p| p.meta.rows).sum(),
            bytes_written: self.parts.iter().map(|p| p.meta.bytes).sum(),
            parts: self.parts.len(),
            version: 0,
        };
        let mut commit = self.creation.unwrap_or_default();
        commit.edits.extend(super::memory_bounds::removals(&self.target, &self.parts));
        commit.preconditions.extend(self.preconditions);
        if let Some(token) = token {
            let (table, token) = (self.target.definition.uuid, token.to_string());
            commit.preconditions.push(Precondition::TokenAbsent { table, token: token.clone() });
            commit.edits.push(Edit::Token { table, token });
        }
        let admitted = match self.held.is_empty() {
            true => None,
            false => Some(self.inserter.buffers.admit(self.inserter, &self.target, self.held)?),
        };
        // Rows that only memory takes need no commit.
        let only_memory = admitted.is_some() && self.parts.is_empty() && commit.edits.is_empty();
        let committed = match only_memory {
            true => Ok(self.inserter.store.snapshot().version),
            false => self.inserter.store.commit(commit, self.parts),
        };
        match committed {
            Ok(version) => outcome.version = version,
            Err(pumphouse_storage::Error::Rejected(Rejection::DuplicateToken(_))) => {
                return Ok(InsertOutcome::default());
            }
            Err(pumphouse_storage::Error::Rejected(r)) if is_change(&r) => {
                return Err(Error::new(
                    codes::ABORTED,
                    format!("{r} while the insert ran; nothing of it is in, send it again"),
                ));
            }
            Err(e) => return Err(e.into()),
        }
        if let Some(admitted) = admitted {
            self.inserter.buffers.push(self.inserter, admitted)?;
        }
        Ok(outcome)
    }
}

fn has_token(ctx: &QueryContext) -> bool {
    ctx.settings.get("insert_deduplication_token").is_some_and(|token| !token.is_empty())
}
