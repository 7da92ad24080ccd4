//! `/follow`: a SELECT over what comes into its table, commit by commit, for as long as the client stays.
//!
//! The answer is a stream of lines, each a JSON object: `{"cursor":"…","rows":n,"data":"…"}` with the
//! rows of one commit in the format asked for, or `{"cursor":"…","rows":0}` when nothing came for a
//! while (so that both sides notice when the other is gone). Who comes back with the cursor of the last
//! line goes on behind it. The cursor moves with the last line of a commit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pumphouse_ingest::format::{self, WriterStatistics};
use pumphouse_query::catalog::StoreCatalog;
use pumphouse_query::error::codes;
use pumphouse_query::execute::{self, ResultSink};
use pumphouse_query::sql::ast::Query;
use pumphouse_query::{Error, Result, prepare};
use pumphouse_storage::Block;
use pumphouse_storage::log::{State, Table};
use uuid::Uuid;

use super::Run;
use super::create::{qualify, source_of};
use crate::follow::Fresh;

/// Text of one line's data, roughly.
const DATA_BYTES_MAX: usize = 1 << 20;
/// How long a wait for a commit lasts before it is seen whether the client is still there.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// What the request says.
#[derive(Debug, Clone)]
pub struct FollowWish {
    /// Of the last line that was seen; None: only what comes from now on.
    pub cursor: Option<String>,
    pub heartbeat: Duration,
}

/// `<table's uuid>:<next block>`.
fn parse_cursor(text: &str, table: Uuid) -> Result<u64> {
    let parsed = text
        .split_once(':')
        .and_then(|(uuid, next)| Some((uuid.parse::<Uuid>().ok()?, next.parse::<u64>().ok()?)));
    match parsed {
        Some((uuid, next)) if uuid == table => Ok(next),
        Some(_) => Err(Error::new(codes::BAD_ARGUMENTS, "The cursor is of another table")),
        None => Err(Error::new(codes::BAD_ARGUMENTS, format!("'{text}' is no cursor"))),
    }
}

impl Run<'_> {
    pub(super) fn follow(
        &mut self,
        query: &Query,
        format: Option<&str>,
        wish: &FollowWish,
    ) -> Result<()> {
        let mut query = query.clone();
        qualify(&mut query, &self.context.database);
        let state = self.server.store.snapshot();
        let table = followed(&state, &query)?.definition.uuid;
        let format =
            format.or(self.request.default_format.as_deref()).unwrap_or("JSONEachRow").to_string();
        // Errors of the text and the format come before anything is sent.
        prepare(&query, &self.select_catalog(), self.context)?;
        format::writer(&format, &self.format_options())?;
        let (_place, newest) = self.server.follows.join(&self.server.store, table)?;
        let mut next = match &wish.cursor {
            Some(cursor) => parse_cursor(cursor, table)?,
            None => newest,
        };
        drop(state);
        let mut fresh = self.server.follows.fresh(table, next, Duration::ZERO)?;
        self.output.begin("JSONEachRow", "application/x-ndjson", self.context.time_zone.name())?;
        self.say(&format!("{{\"cursor\":\"{table}:{next}\",\"rows\":0}}\n"))?;
        let mut said = Instant::now();
        loop {
            self.context.check()?;
            if self.server.stopping.load(std::sync::atomic::Ordering::Relaxed) {
                return Ok(());
            }
            if let Some(fresh) = fresh.take() {
                let before = next;
                next = fresh.next;
                let state = self.server.store.snapshot();
                let lines = self.new_rows(&query, &format, &state, table, &fresh)?;
                let count = lines.len();
                for (i, (rows, data)) in lines.into_iter().enumerate() {
                    let at = if i + 1 == count { next } else { before };
                    let data = json_text(&data)?;
                    self.say(&format!(
                        "{{\"cursor\":\"{table}:{at}\",\"rows\":{rows},\"data\":{data}}}\n"
                    ))?;
                    said = Instant::now();
                }
            }
            if said.elapsed() >= wish.heartbeat {
                said = Instant::now();
                self.say(&format!("{{\"cursor\":\"{table}:{next}\",\"rows\":0}}\n"))?;
            }
            fresh = self.server.follows.fresh(table, next, LOOK_INTERVAL)?;
        }
    }

    fn say(&mut self, line: &str) -> Result<()> {
        self.output.write(line.as_bytes())?;
        self.output.flush()
    }

    /// The query over these parts alone, as pieces of text and their numbers of rows.
    fn new_rows(
        &self,
        query: &Query,
        format: &str,
        state: &Arc<State>,
        table: Uuid,
        fresh: &Fresh,
    ) -> Result<Vec<(u64, Vec<u8>)>> {
        let mut alone = (**state).clone();
        if let Some(followed) = alone.tables.get_mut(&table) {
            Arc::make_mut(followed).parts = fresh.parts.clone();
        }
        let catalog: StoreCatalog = self.select_catalog();
        let catalog = StoreCatalog { state: Arc::new(alone), ..catalog };
        let plan = prepare(query, &catalog, self.context)?;
        let writer = format::writer(format, &self.format_options())?;
        let mut pieces = Pieces { writer, done: vec![], rows: 0, text: vec![] };
        pieces.writer.prefix(&plan.schema, &mut pieces.text)?;
        execute::run(&plan, self.context, &mut pieces)?;
        pieces.writer.suffix(&WriterStatistics::default(), &mut pieces.text)?;
        if pieces.rows > 0 {
            pieces.done.push((pieces.rows, pieces.text));
        }
        Ok(pieces.done)
    }
}

/// Results as text, cut now and then.
struct Pieces {
    writer: Box<dyn format::FormatWriter>,
    done: Vec<(u64, Vec<u8>)>,
    rows: u64,
    text: Vec<u8>,
}

impl ResultSink for Pieces {
    fn block(&mut self, block: Block) -> Result<()> {
        self.writer.block(&block, &mut self.text)?;
        self.rows += block.rows() as u64;
        if self.text.len() >= DATA_BYTES_MAX {
            self.done.push((std::mem::take(&mut self.rows), std::mem::take(&mut self.text)));
        }
        Ok(())
    }
}

/// The table whose inserts are followed: the first in FROM, of a materialized view its target.
fn followed<'s>(state: &'s State, query: &Query) -> Result<&'s Arc<Table>> {
    let Some((mut database, mut name)) = source_of(query) else {
        return Err(Error::new(
            codes::BAD_ARGUMENTS,
            "A query can be followed if it reads from a table in its FROM clause",
        ));
    };
    for _ in 0..8 {
        let Some(table) = state.table(&database, &name) else {
            let message = format!("Table {database}.{name} does not exist or cannot be followed");
            return Err(Error::new(codes::UNKNOWN_TABLE, message));
        };
        match &table.definition.target {
            Some(target) => (database, name) = target.clone(),
            None if table.definition.engine.ends_with("MergeTree") => return Ok(table),
            None => {
                let engine = &table.definition.engine;
                return Err(Error::new(
                    codes::NOT_IMPLEMENTED,
                    format!("Only tables of the MergeTree family can be followed, not of {engine}"),
                ));
            }
        }
    }
    Err(Error::new(codes::TOO_DEEP_RECURSION, "materialized views that write to each other"))
}

/// The text as a JSON string.
fn json_text(data: &[u8]) -> Result<String> {
    let Ok(text) = std::str::from_utf8(data) else {
        return Err(Error::new(
            codes::BAD_ARGUMENTS,
            "The result is not text: follow it in a text format",
        ));
    };
    let mut out = String::with_capacity(text.len() + 16);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_strictly() {
        let table = Uuid::from_u128(7);
        assert_eq!(parse_cursor(&format!("{table}:12"), table).unwrap(), 12);
        for wrong in ["", "12", "x:12", &format!("{table}:x"), &format!("{}:1", Uuid::nil())] {
            assert_eq!(parse_cursor(wrong, table).unwrap_err().code(), codes::BAD_ARGUMENTS);
        }
        assert_eq!(json_text(b"a\"b\n\x01").unwrap(), "\"a\\\"b\\n\\u0001\"");
    }
}
