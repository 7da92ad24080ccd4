//! The blocks of one INSERT on their way into a table, whether they come from a request or from a
//! SELECT that runs meanwhile.
//!
//! A lone block is tried again when a table or view changes meanwhile; several are written one by
//! one and committed together, so that an INSERT of any size needs little memory and is one commit.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use pumphouse_ingest::format::{InputColumn, ParsedRows};
use pumphouse_ingest::insert::{InsertSession, complete_block, fill_defaults};
use pumphouse_query::catalog::TemporaryTable;
use pumphouse_query::context::{MemoryGuard, QueryContext};
use pumphouse_query::error::codes;
use pumphouse_query::execute::{self, ResultSink};
use pumphouse_query::functions::cast::cast_column;
use pumphouse_query::plan::Plan;
use pumphouse_query::{Error, Result};
use pumphouse_storage::Block;
use pumphouse_storage::log::{Commit, DefaultKind, TableDefinition};

use super::Run;
use crate::async_insert::{AsyncInsert, AsyncInserts};
use crate::files::{FileArguments, FileSink};
use crate::server::Server;

/// Rows of one inserted block (`max_insert_block_size`).
pub(super) const BLOCK_ROWS_MAX: u64 = 1_048_449;
/// Bytes of a block gathered from a SELECT, roughly.
const SELECTED_BYTES_MAX: usize = 128 << 20;
/// Blocks between the SELECT and the writing of parts.
const BLOCKS_BETWEEN_MAX: usize = 2;
/// The SELECT of an INSERT runs on such a stack; only what is touched is memory.
const STACK_BYTES: usize = 16 << 20;

/// The blocks of one INSERT.
pub(super) struct Blocks<'a> {
    server: &'a Arc<Server>,
    context: &'a Arc<QueryContext>,
    definition: Arc<TableDefinition>,
    first: Option<Block>,
    session: Option<InsertSession<'a>>,
    /// A temporary table, and what it gets at the end.
    temporary: Option<(Arc<TemporaryTable>, Vec<Block>, MemoryGuard)>,
    /// A file that takes the rows.
    file: Option<FileSink>,
    /// The format of data that may wait for other inserts' (`async_insert`).
    gathers: Option<String>,
    rows: u64,
    bytes: u64,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(run: &Run<'a>, definition: &Arc<TableDefinition>) -> Blocks<'a> {
        Blocks {
            server: run.server,
            context: run.context,
            definition: definition.clone(),
            first: None,
            session: None,
            temporary: run.temporary_of(definition),
            file: None,
            gathers: None,
            rows: 0,
            bytes: 0,
        }
    }

    /// Into a table that the commit of its rows makes: `creation` is committed with them.
    pub(super) fn into_new_table(
        run: &Run<'a>,
        definition: &Arc<TableDefinition>,
        creation: Commit,
    ) -> Blocks<'a> {
        let mut blocks = Blocks::new(run, definition);
        blocks.session = Some(run.server.inserter.begin_new(definition, creation));
        blocks
    }

    /// As [`Blocks::new`], for data in `format` that may go in together with other clients'.
    pub(super) fn of_data(
        run: &Run<'a>,
        definition: &Arc<TableDefinition>,
        format: &str,
    ) -> Blocks<'a> {
        Blocks { gathers: Some(format.to_string()), ..Blocks::new(run, definition) }
    }

    /// Completes rows of `columns` to whole rows of the table and takes them in.
    pub(super) fn push(&mut self, columns: &[InputColumn], rows: ParsedRows) -> Result<()> {
        if rows.rows == 0 {
            return Ok(());
        }
        let context = self.context;
        let block = fill_defaults(&self.definition, columns, rows, context)?;
        self.rows += block.rows() as u64;
        self.bytes += block.memory_bytes() as u64;
        if let Some((_, blocks, guard)) = &mut self.temporary {
            guard.grow_to(self.bytes as usize)?;
            blocks.push(complete_block(&self.definition, block, context)?);
            return Ok(());
        }
        if self.definition.engine == "File" {
            let sink = match &mut self.file {
                Some(sink) => sink,
                None => {
                    let arguments = FileArguments::of_table(&self.definition)?;
                    self.file.insert(FileSink::open(&self.server.config, &arguments, context)?)
                }
            };
            return sink.write(&complete_block(&self.definition, block, context)?);
        }
        if is_nowhere(&self.definition) {
            return Ok(());
        }
        if self.session.is_none() && self.first.is_none() {
            self.first = Some(block);
            return Ok(());
        }
        let session = match &mut self.session {
            Some(session) => session,
            None => {
                let (database, name) = (&self.definition.database, &self.definition.name);
                self.session.insert(self.server.inserter.begin(database, name)?)
            }
        };
        if let Some(first) = self.first.take() {
            session.add(&first, context)?;
        }
        session.add(&block, context)
    }

    /// Gives the block back unless it went in with others.
    fn gather(&self, block: Block) -> Result<Option<Block>> {
        let (definition, context) = (&self.definition, self.context);
        let bytes = block.memory_bytes();
        match &self.gathers {
            Some(format) if AsyncInserts::wanted(&context.settings, definition, bytes) => {
                self.server.async_inserts.push(AsyncInsert { definition, block, format, context })
            }
            _ => Ok(Some(block)),
        }
    }

    pub(super) fn finish(mut self) -> Result<()> {
        if self.session.is_none()
            && let Some(block) = self.first.take()
        {
            self.first = self.gather(block)?;
        }
        let (server, context) = (self.server, self.context);
        if let Some((table, blocks, guard)) = self.temporary {
            drop(guard);
            table.append(blocks)?;
            context.progress.written_rows.fetch_add(self.rows, Ordering::Relaxed);
            context.progress.written_bytes.fetch_add(self.bytes, Ordering::Relaxed);
            return Ok(());
        }
        if let Some(file) = self.file {
            file.finish()?;
        }
        let token = context.settings.get("insert_deduplication_token").filter(|t| !t.is_empty());
        match (self.session, self.first) {
            (Some(session), _) => {
                session.commit(token)?;
            }
            (None, Some(block)) => {
                let (database, name) = (&self.definition.database, &self.definition.name);
                server.inserter.insert(database, name, block, token, context)?;
            }
            // Nothing came, or it went in with others.
            (None, None) => {}
        }
        context.progress.written_rows.fetch_add(self.rows, Ordering::Relaxed);
        context.progress.written_bytes.fetch_add(self.bytes, Ordering::Relaxed);
        server.merges.wake();
        if self.definition.engine == "Kafka" {
            server.kafka.sync();
        }
        Ok(())
    }

    /// Takes in what `plan` gives while it runs. `columns` name, for each column of the result that
    /// is wanted, its place there and what it is in the table.
    pub(super) fn push_query(
        &mut self,
        plan: &Plan,
        columns: &[(usize, InputColumn)],
    ) -> Result<()> {
        let context = self.context;
        let (sender, receiver) = sync_channel(BLOCKS_BETWEEN_MAX);
        std::thread::scope(|scope| {
            // Views are run by this thread, whose stack is made for it, and the query by another.
            let query = std::thread::Builder::new()
                .name("insert-select".into())
                .stack_size(STACK_BYTES)
                .spawn_scoped(scope, move || execute::run(plan, context, &mut Sending(sender)))
                .map_err(|e| {
                    Error::new(codes::CANNOT_SCHEDULE_TASK, format!("Cannot start a thread: {e}"))
                })?;
            let taken = self.take_all(receiver, columns);
            let ran = query.join().unwrap_or_else(|_| {
                Err(Error::new(codes::LOGICAL_ERROR, "the query's thread ended by a fault"))
            });
            // If taking failed the query only says that nobody listens.
            taken.and(ran)?;
            Ok(())
        })
    }

    fn take_all(
        &mut self,
        blocks: Receiver<Block>,
        columns: &[(usize, InputColumn)],
    ) -> Result<()> {
        let targets: Vec<InputColumn> = columns.iter().map(|(_, c)| c.clone()).collect();
        let mut waiting = Waiting::new(self.context.memory.reserve(0)?);
        for block in blocks {
            waiting.push(block)?;
            if waiting.is_full() {
                self.push(&targets, waiting.take(columns, self.context)?)?;
            }
        }
        self.push(&targets, waiting.take(columns, self.context)?)
    }
}

/// Whether rows go nowhere: into the table function `null`.
fn is_nowhere(definition: &TableDefinition) -> bool {
    definition.engine == "Null" && definition.database.is_empty()
}

/// Small blocks that gather to one.
struct Waiting {
    blocks: Vec<Block>,
    rows: u64,
    memory: MemoryGuard,
}

impl Waiting {
    fn new(memory: MemoryGuard) -> Waiting {
        Waiting { blocks: vec![], rows: 0, memory }
    }

    fn push(&mut self, block: Block) -> Result<()> {
        // Blocks may be slices of one that is much larger.
        self.memory.grow_to(self.memory.bytes() + block.slice_bytes())?;
        self.rows += block.rows() as u64;
        self.blocks.push(block);
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.rows >= BLOCK_ROWS_MAX || self.memory.bytes() >= SELECTED_BYTES_MAX
    }

    /// All of them as rows of the given columns.
    fn take(
        &mut self,
        columns: &[(usize, InputColumn)],
        context: &Arc<QueryContext>,
    ) -> Result<ParsedRows> {
        let blocks = std::mem::take(&mut self.blocks);
        let rows = std::mem::take(&mut self.rows) as usize;
        if rows == 0 {
            return Ok(ParsedRows { rows: 0, present: vec![], columns: vec![] });
        }
        let block = Block::concat_owned(blocks)?;
        self.memory.grow_to(0)?;
        let columns = columns
            .iter()
            .map(|(at, to)| cast_column(&block.columns[*at], &to.data_type, context))
            .collect::<Result<Vec<_>>>()?;
        Ok(ParsedRows { rows, present: vec![None; columns.len()], columns })
    }
}

/// Hands a result's blocks to another thread.
struct Sending(SyncSender<Block>);

impl ResultSink for Sending {
    fn block(&mut self, block: Block) -> Result<()> {
        self.0
            .send(block)
            .map_err(|_| Error::new(codes::ABORTED, "The insert that this query fed has failed"))
    }
}

/// The columns of a result in their order, for as many columns of the table.
pub(super) fn columns_by_position(
    plan: &Plan,
    columns: Vec<InputColumn>,
) -> Result<Vec<(usize, InputColumn)>> {
    if plan.schema.len() != columns.len() {
        return Err(Error::new(
            codes::NUMBER_OF_COLUMNS_DOESNT_MATCH,
            format!(
                "Number of columns doesn't match (source: {} and result: {})",
                plan.schema.len(),
                columns.len()
            ),
        ));
    }
    Ok(columns.into_iter().enumerate().collect())
}

/// What a table takes if no columns are named.
pub(super) fn plain_columns(definition: &TableDefinition) -> Vec<InputColumn> {
    let given = definition
        .columns
        .iter()
        .filter(|c| c.default.as_ref().is_none_or(|default| default.kind == DefaultKind::Default));
    given.map(|c| InputColumn { name: c.name.clone(), data_type: c.data_type.clone() }).collect()
}

/// The columns of a result whose names the table has.
pub(super) fn columns_by_name(
    plan: &Plan,
    definition: &TableDefinition,
) -> Vec<(usize, InputColumn)> {
    let target = |name: &String| definition.columns.iter().find(|c| c.name == *name);
    let found = plan.schema.iter().enumerate().filter_map(|(at, (name, _))| {
        let data_type = target(name)?.data_type.clone();
        Some((at, InputColumn { name: name.clone(), data_type }))
    });
    found.collect()
}
