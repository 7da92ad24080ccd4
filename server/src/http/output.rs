//! The response side of a statement: holds back the first megabyte, so that nearly every error has
//! its true status and nearly every small result its true summary; then streams.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use pumphouse_query::context::QueryContext;
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};
use tokio::sync::{mpsc, oneshot};

use super::body::ResponsePiece;
use super::error_text::mid_stream_block;
use crate::statement::Output;

/// Bytes held back before streaming begins.
const HELD_BYTES_MAX: usize = 1 << 20;
/// Largest piece handed to the socket at once.
const PIECE_BYTES: usize = 256 << 10;

/// What a response says about its result.
#[derive(Debug, Clone)]
pub struct ResultHead {
    pub format: String,
    pub content_type: &'static str,
    pub time_zone: String,
}

/// How a statement's response begins.
pub enum Begin {
    /// All of it: the head if there was a result, the bytes, the summary.
    Whole {
        head: Option<ResultHead>,
        bytes: Bytes,
        summary: String,
    },
    /// The first bytes; more follow through the channel.
    Streaming {
        head: ResultHead,
        first: Bytes,
        summary: String,
    },
    Failed(Error),
}

/// Collects or streams one statement's result.
pub struct HttpOutput {
    head: Option<ResultHead>,
    held: Vec<u8>,
    begin: Option<oneshot::Sender<Begin>>,
    pieces: mpsc::Sender<ResponsePiece>,
    context: Arc<OnceLock<Arc<QueryContext>>>,
    /// Hold everything back until the end (`wait_end_of_query`).
    hold_all: bool,
    tag: String,
}

impl HttpOutput {
    pub fn new(
        begin: oneshot::Sender<Begin>,
        pieces: mpsc::Sender<ResponsePiece>,
        context: Arc<OnceLock<Arc<QueryContext>>>,
        hold_all: bool,
        tag: String,
    ) -> HttpOutput {
        let begin = Some(begin);
        HttpOutput { head: None, held: vec![], begin, pieces, context, hold_all, tag }
    }

    /// Ends the response with the statement's outcome.
    pub fn finish(mut self, outcome: Result<()>) {
        let summary = self.summary();
        match (self.begin.take(), outcome) {
            (Some(begin), Ok(())) => {
                let bytes = Bytes::from(std::mem::take(&mut self.held));
                let _ = begin.send(Begin::Whole { head: self.head, bytes, summary });
            }
            (Some(begin), Err(e)) => {
                let _ = begin.send(Begin::Failed(e));
            }
            (None, Ok(())) => {
                let _ = self.send_held();
            }
            (None, Err(e)) => {
                let _ = self.send_held();
                let block = Bytes::from(mid_stream_block(&e, &self.tag));
                let _ = self.pieces.blocking_send(ResponsePiece::Failed(block));
            }
        }
    }

    fn send_held(&mut self) -> Result<()> {
        let mut rest = Bytes::from(std::mem::take(&mut self.held));
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(PIECE_BYTES));
            self.pieces.blocking_send(ResponsePiece::Data(piece)).map_err(|_| {
                Error::new(codes::QUERY_WAS_CANCELLED, "The client closed the connection")
            })?;
        }
        Ok(())
    }

    fn summary(&self) -> String {
        match self.context.get() {
            Some(context) => summary_json(context),
            None => String::from("{}"),
        }
    }
}

impl Output for HttpOutput {
    fn begin(&mut self, format: &str, content_type: &'static str, time_zone: &str) -> Result<()> {
        self.head =
            Some(ResultHead { format: format.into(), content_type, time_zone: time_zone.into() });
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.held.extend_from_slice(bytes);
        if self.begin.is_none() {
            return if self.held.len() >= PIECE_BYTES { self.send_held() } else { Ok(()) };
        }
        if self.held.len() < HELD_BYTES_MAX || self.hold_all {
            return Ok(());
        }
        let summary = self.summary();
        if let (Some(head), Some(begin)) = (self.head.clone(), self.begin.take()) {
            let first = Bytes::from(std::mem::take(&mut self.held));
            let _ = begin.send(Begin::Streaming { head, first, summary });
        }
        Ok(())
    }
}

/// `X-ClickHouse-Summary`: one JSON object, every value a string of digits.
pub fn summary_json(context: &QueryContext) -> String {
    let p = &context.progress;
    let n = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    format!(
        "{{\"read_rows\":\"{}\",\"read_bytes\":\"{}\",\"written_rows\":\"{}\",\"written_bytes\":\"{}\",\
         \"total_rows_to_read\":\"{}\",\"result_rows\":\"{}\",\"result_bytes\":\"{}\",\"elapsed_ns\":\"{}\",\
         \"memory_usage\":\"{}\"}}",
        n(&p.read_rows),
        n(&p.read_bytes),
        n(&p.written_rows),
        n(&p.written_bytes),
        n(&p.total_rows_to_read),
        n(&p.result_rows),
        n(&p.result_bytes),
        context.elapsed().as_nanos(),
        context.memory.peak_bytes(),
    )
}
