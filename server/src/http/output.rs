//! The response side of a statement: holds back the first megabyte, so that nearly every error has
//! its true status and nearly every small result its true summary; then streams.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use pumphouse_query::context::QueryContext;
use pumphouse_query::error::codes;
use pumphouse_query::spill::BytesWriter;
use pumphouse_query::{Error, Result};
use tokio::sync::{mpsc, oneshot};

use super::body::ResponsePiece;
use super::error_text::{error_line, mid_stream_block};
use crate::compression::Packer;
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
    /// `Content-Encoding`, if the body is packed.
    pub encoding: Option<&'static str>,
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
    /// A result that ends with its error, in the result's format.
    FailedInFormat {
        head: ResultHead,
        bytes: Bytes,
        summary: String,
        error: Error,
    },
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
    /// What was held back beyond the first bytes, in a file.
    spooled: Option<BytesWriter>,
    /// The result ends with the statement's error.
    has_error: bool,
    tag: String,
    packer: Packer,
}

impl HttpOutput {
    pub fn new(
        begin: oneshot::Sender<Begin>,
        pieces: mpsc::Sender<ResponsePiece>,
        context: Arc<OnceLock<Arc<QueryContext>>>,
        hold_all: bool,
        tag: String,
        packer: Packer,
    ) -> HttpOutput {
        let begin = Some(begin);
        let (head, held, spooled, has_error) = (None, vec![], None, false);
        HttpOutput { head, held, begin, pieces, context, hold_all, spooled, has_error, tag, packer }
    }

    /// Ends the response with the statement's outcome.
    pub fn finish(mut self, outcome: Result<()>) {
        let summary = self.summary();
        match (self.begin.take(), outcome) {
            (Some(begin), Ok(())) if self.spooled.is_some() => self.send_spooled(begin, summary),
            (Some(begin), Ok(())) => {
                let held = std::mem::take(&mut self.held);
                let _ = begin.send(match self.packed(held, true) {
                    Ok(bytes) => Begin::Whole { head: self.head, bytes, summary },
                    Err(e) => Begin::Failed(e),
                });
            }
            (Some(begin), Err(error)) => {
                let held = std::mem::take(&mut self.held);
                let head = self.head.clone().filter(|_| self.has_error);
                let _ = begin.send(match (head, self.packed(held, true)) {
                    (Some(head), Ok(bytes)) => {
                        Begin::FailedInFormat { head, bytes, summary, error }
                    }
                    _ => Begin::Failed(error),
                });
            }
            // The error is in the result, whose end is a true one.
            (None, Err(_)) if self.has_error => {
                let _ = self.send_held(true);
            }
            (None, Ok(())) => {
                let _ = self.send_held(true);
            }
            (None, Err(e)) => {
                let _ = self.send_held(false);
                if let Ok(block) = self.packed(mid_stream_block(&e, &self.tag), true) {
                    let _ = self.pieces.blocking_send(ResponsePiece::Failed(block));
                }
            }
        }
    }

    /// Answers with what is in the file, now that its summary is known.
    fn send_spooled(&mut self, begin: oneshot::Sender<Begin>, summary: String) {
        let (Some(spooled), Some(head)) = (self.spooled.take(), self.head.clone()) else { return };
        let mut spooled = match self.spool_into(spooled).and_then(BytesWriter::finish) {
            Ok(spooled) => spooled,
            Err(e) => {
                let _ = begin.send(Begin::Failed(e));
                return;
            }
        };
        let _ = begin.send(Begin::Streaming { head, first: Bytes::new(), summary });
        let outcome = loop {
            match spooled.next(PIECE_BYTES) {
                Ok(bytes) if bytes.is_empty() => break self.send_held(true),
                Ok(bytes) => self.held = bytes,
                Err(e) => break Err(e),
            }
            if let Err(e) = self.send_held(false) {
                break Err(e);
            }
        };
        if let Err(e) = outcome
            && let Ok(block) = self.packed(mid_stream_block(&e, &self.tag), true)
        {
            let _ = self.pieces.blocking_send(ResponsePiece::Failed(block));
        }
    }

    /// Moves what is held to the file.
    fn spool_into(&mut self, mut file: BytesWriter) -> Result<BytesWriter> {
        file.append(&self.held)?;
        self.held.clear();
        Ok(file)
    }

    fn spool(&mut self) -> Result<()> {
        let file = match (self.spooled.take(), self.context.get()) {
            (Some(file), _) => file,
            (None, Some(context)) => BytesWriter::new(context)?,
            // Nothing is written before the query has begun.
            (None, None) => return Ok(()),
        };
        self.spooled = Some(self.spool_into(file)?);
        Ok(())
    }

    /// Bytes as the client wants them. A statement without a result has a body of no bytes at all.
    fn packed(&mut self, bytes: Vec<u8>, last: bool) -> Result<Bytes> {
        if self.packer.is_plain() || self.head.is_none() {
            return Ok(Bytes::from(bytes));
        }
        let packed = self.packer.pack(bytes, last).map_err(|e| {
            Error::new(codes::LOGICAL_ERROR, format!("Cannot compress the result: {e}"))
        })?;
        Ok(Bytes::from(packed))
    }

    fn send_held(&mut self, last: bool) -> Result<()> {
        let held = std::mem::take(&mut self.held);
        let mut rest = self.packed(held, last)?;
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
        let encoding = self.packer.encoding_name();
        let (format, time_zone) = (format.into(), time_zone.into());
        self.head = Some(ResultHead { format, content_type, time_zone, encoding });
        Ok(())
    }

    fn write_all(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        if self.begin.is_some() || !self.held.is_empty() || bytes.len() < PIECE_BYTES {
            self.write(bytes)?;
            bytes.clear();
            return Ok(());
        }
        // Streaming: the block's bytes go to the socket as they lie, and the next take as many.
        let next = Vec::with_capacity(bytes.len() + bytes.len() / 8);
        self.held = std::mem::replace(bytes, next);
        self.send_held(false)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.held.extend_from_slice(bytes);
        if self.begin.is_none() {
            return if self.held.len() >= PIECE_BYTES { self.send_held(false) } else { Ok(()) };
        }
        match self.held.len() < HELD_BYTES_MAX {
            true => Ok(()),
            false if self.hold_all => self.spool(),
            false => self.stream(),
        }
    }

    fn starts_over(&mut self) -> bool {
        if self.hold_all {
            (self.held, self.spooled) = (vec![], None);
        }
        self.hold_all
    }

    fn error_text(&self, error: &Error) -> Option<String> {
        Some(error_line(error).trim_end().to_string())
    }

    fn write_error(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        self.has_error = true;
    }

    fn flush(&mut self) -> Result<()> {
        match self.begin.is_some() {
            true => self.stream(),
            false => self.send_held(false),
        }
    }
}

impl HttpOutput {
    /// Begins to answer with what is there.
    fn stream(&mut self) -> Result<()> {
        let summary = self.summary();
        if let (Some(head), Some(begin)) = (self.head.clone(), self.begin.take()) {
            let held = std::mem::take(&mut self.held);
            match self.packed(held, false) {
                Ok(first) => {
                    let _ = begin.send(Begin::Streaming { head, first, summary });
                }
                Err(e) => {
                    self.begin = Some(begin);
                    return Err(e);
                }
            }
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
