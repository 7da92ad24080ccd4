//! A statement's side of a native connection: result blocks go out as they come, an INSERT's blocks come
//! in as Native text, and the last packet says how it ended.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use pumphouse_ingest::format::native::Mode;
use pumphouse_query::context::QueryContext;
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};
use pumphouse_storage::{Block, Column, DataType};

use super::packets::{self, Progress, server};
use super::wire::Writer;
use crate::compression::frames::Method;
use crate::statement::{BlockOutput, Output};

/// Rows of a block that goes out, at most: clients show rows as blocks come.
const BLOCK_ROWS_MAX: usize = 65_536;

/// What the connection's thread and the statement's thread share.
#[derive(Default)]
pub struct Exchange {
    /// The statement is an INSERT and waits for blocks.
    pub wants_data: AtomicBool,
    /// The client has said that it wants no more.
    pub cancelled: AtomicBool,
    /// The last packet of the answer is about to go out.
    pub answered: AtomicBool,
    /// What the client knows of the progress.
    pub told: Mutex<Progress>,
}

/// Sends one statement's result.
pub struct NativeOutput {
    pub writer: Arc<Writer>,
    pub exchange: Arc<Exchange>,
    pub revision: u64,
    /// Its settings say how blocks are written.
    pub context: Arc<OnceLock<Arc<QueryContext>>>,
    pub method: Option<Method>,
    pub has_result: bool,
    pub rows: u64,
    pub blocks: u64,
    pub bytes: u64,
}

impl NativeOutput {
    fn data(&mut self, kind: u8, block: &Block) -> Result<()> {
        let mode = match self.context.get() {
            Some(context) => Mode::of(self.revision, &context.settings),
            None => Mode { revision: self.revision, ..Mode::default() },
        };
        self.writer.send(&packets::data(kind, block, mode, self.method)?)
    }
}

impl Output for NativeOutput {
    fn begin(&mut self, _: &str, _: &'static str, _: &str) -> Result<()> {
        Ok(())
    }

    /// Never called: results go as blocks.
    fn write(&mut self, _: &[u8]) -> Result<()> {
        Err(Error::new(codes::LOGICAL_ERROR, "text on a native connection"))
    }

    fn blocks(&mut self) -> Option<&mut dyn BlockOutput> {
        Some(self)
    }
}

impl BlockOutput for NativeOutput {
    fn header(&mut self, schema: &[(String, DataType)]) -> Result<()> {
        self.has_result = true;
        self.data(server::DATA, &empty(schema))
    }

    fn block(&mut self, block: &Block) -> Result<()> {
        let mut from = 0;
        while from < block.rows() {
            let rows = BLOCK_ROWS_MAX.min(block.rows() - from);
            self.data(server::DATA, &block.slice(from, rows))?;
            self.blocks += 1;
            from += rows;
        }
        self.rows += block.rows() as u64;
        self.bytes += block.memory_bytes() as u64;
        Ok(())
    }

    fn totals(&mut self, block: &Block) -> Result<()> {
        self.data(server::TOTALS, block)
    }

    fn extremes(&mut self, block: &Block) -> Result<()> {
        self.data(server::EXTREMES, block)
    }

    fn expect(&mut self, columns: &[(String, DataType)]) -> Result<()> {
        self.exchange.wants_data.store(true, Ordering::SeqCst);
        // What comes is read plain, so it is asked for plain.
        let mode = Mode { revision: self.revision, ..Mode::default() };
        self.writer.send(&packets::data(server::DATA, &empty(columns), mode, self.method)?)
    }
}

fn empty(schema: &[(String, DataType)]) -> Block {
    let columns = schema
        .iter()
        .map(|(name, data_type)| (name.clone(), Column::default_values(data_type.clone(), 0)));
    Block::new(columns.collect())
}

/// What the connection's thread hands on of an INSERT.
pub enum Feed {
    /// A block in the Native format's plain layout.
    Bytes(Vec<u8>),
    End,
}

/// The INSERT's data as a stream. A connection that breaks is an error, not an end: half an INSERT must
/// not be taken for a whole one.
pub struct FeedReader {
    pub feed: Receiver<Feed>,
    pub current: Vec<u8>,
    pub at: usize,
    pub ended: bool,
}

impl FeedReader {
    pub fn new(feed: Receiver<Feed>) -> FeedReader {
        FeedReader { feed, current: vec![], at: 0, ended: false }
    }
}

impl Read for FeedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.current.len() {
            if self.ended {
                return Ok(0);
            }
            match self.feed.recv() {
                Ok(Feed::Bytes(bytes)) => (self.current, self.at) = (bytes, 0),
                Ok(Feed::End) => self.ended = true,
                Err(_) => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the client left before the end of its data",
                    ));
                }
            }
        }
        let n = buffer.len().min(self.current.len() - self.at);
        buffer[..n].copy_from_slice(&self.current[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}
