//! `CREATE MATERIALIZED VIEW … POPULATE [FROM TIMESTAMP '…']` on a stream: the view gets what the topic (or
//! the files) of the stream hold from the beginning, or that time, on: every offset once.
//!
//! The commit that creates the view also says where the stream stood in it; if the stream moved
//! meanwhile it is tried again.

use std::sync::Arc;

use pumphouse_ingest::file_log;
use pumphouse_ingest::kafka::replay::add_populate;
use pumphouse_ingest::kafka::seek::{self, SeekTarget};
use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::CreateView;
use pumphouse_query::text::parse_date_time64;
use pumphouse_query::{Error, Result};
use pumphouse_storage::log::{Commit, Rejection, TableDefinition};

use super::Run;

/// A busy stream moves some times a second.
const ATTEMPTS_MAX: usize = 100;

impl Run<'_> {
    /// Creates the view and says what it is to be filled with. `inner` makes its own target, if it has one.
    pub(super) fn create_populated(
        &mut self,
        create: &CreateView,
        definition: TableDefinition,
        source: &(String, String),
        inner: Commit,
    ) -> Result<()> {
        let target = match &create.populate_from {
            None => SeekTarget::Earliest,
            Some(text) => {
                let zone = self.context.time_zone;
                let ms = match text.parse::<i64>() {
                    Ok(ms) => ms,
                    Err(_) => parse_date_time64(text.as_bytes(), 3, zone).map_err(|_| {
                        let message = format!("'{text}' is no point in time");
                        Error::new(codes::BAD_ARGUMENTS, message)
                    })?,
                };
                SeekTarget::TimestampMs(ms)
            }
        };
        let mut starts = None;
        for _ in 0..ATTEMPTS_MAX {
            let state = self.server.store.snapshot();
            let Some(stream) = state.table(&source.0, &source.1) else {
                return Err(self.unknown_table(&source.0, &source.1));
            };
            let mut view = definition.clone();
            let mut added = Commit::default();
            match stream.definition.engine.as_str() {
                "Kafka" => {
                    let starts = match &starts {
                        Some(starts) => starts,
                        None => starts.insert(seek::resolve(stream, &target)?),
                    };
                    let others = !state.views_of(&source.0, &source.1).is_empty();
                    let store = &self.server.store;
                    add_populate(store, stream, &mut view, starts, others, &mut added)?;
                }
                "FileLog" if create.populate_from.is_some() => {
                    return Err(Error::new(
                        codes::BAD_ARGUMENTS,
                        "Lines of files have no time: POPULATE of a view on FileLog is from their beginning",
                    ));
                }
                "FileLog" => {
                    file_log::add_populate(&self.server.store, stream, &mut view, &mut added)?;
                }
                engine => {
                    let message = format!("POPULATE of a view on {engine} is not there");
                    return Err(Error::new(codes::NOT_IMPLEMENTED, message));
                }
            }
            let mut commit = self.creation(&Arc::new(view), create.or_replace);
            commit.preconditions.extend(inner.preconditions.iter().cloned());
            commit.edits.extend(inner.edits.iter().cloned());
            commit.preconditions.extend(added.preconditions);
            commit.edits.extend(added.edits);
            match self.server.commit_ddl(commit) {
                Err(Error::Storage(pumphouse_storage::Error::Rejected(
                    Rejection::OffsetMoved { .. } | Rejection::PartitionsChanged,
                ))) => {}
                outcome => return self.created(outcome.map(|_| ()), create.if_not_exists),
            }
        }
        Err(Error::new(
            codes::ABORTED,
            "The stream moved on at every attempt; try again, or SYSTEM PAUSE it for a moment",
        ))
    }
}
