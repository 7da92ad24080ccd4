//! SYSTEM commands for streams: START, STOP, PAUSE, RESUME, CANCEL, REFRESH and SEEK, of one table or of all.
//!
//! START, STOP and PAUSE are edits of the log, so they outlive a restart. STOP voids blocks in flight,
//! PAUSE lets them finish first; CANCEL voids them and consumption goes on from what is committed. REFRESH
//! takes what is there now: at once where a table runs, as one block where it is stopped. SEEK
//! writes new offsets; whatever a consumer has in hand then fails its compare-and-swap and is dropped.

use std::sync::Arc;

use pumphouse_ingest::kafka::seek::{self, SeekTarget};
use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::SystemCommand;
use pumphouse_query::text::parse_date_time64;
use pumphouse_query::{Error, Result};
use pumphouse_storage::log::{Commit, Edit, Precondition, Table};

use super::Run;

const VERBS: [&str; 7] = ["START", "STOP", "PAUSE", "RESUME", "CANCEL", "REFRESH", "SEEK"];

impl Run<'_> {
    /// `SYSTEM STOP t`, `SYSTEM STOP`, `SYSTEM STOP ALL BACKGROUND`.
    pub(super) fn is_stream_command(&self, command: &SystemCommand) -> bool {
        let words: Vec<&str> = command.words.iter().map(String::as_str).collect();
        match words.as_slice() {
            [verb] | [verb, "ALL"] | [verb, "ALL", "BACKGROUND"] => VERBS.contains(verb),
            _ => false,
        }
    }

    pub(super) fn stream_command(&mut self, command: &SystemCommand) -> Result<()> {
        let verb = command.words.first().map(String::as_str).unwrap_or_default();
        let streams = self.streams(command)?;
        match verb {
            "SEEK" => self.seek(command, &streams),
            "CANCEL" => {
                streams.iter().for_each(|t| self.server.kafka.reposition(t.definition.uuid));
                Ok(())
            }
            "REFRESH" => {
                streams.iter().try_for_each(|t| self.server.kafka.refresh(t.definition.uuid))
            }
            "PAUSE" => {
                streams.iter().for_each(|t| self.server.kafka.quiesce(t.definition.uuid));
                self.pause(&streams, true)
            }
            verb => self.pause(&streams, verb == "STOP"),
        }
    }

    /// The table that the command names, or all streams.
    fn streams(&self, command: &SystemCommand) -> Result<Vec<Arc<Table>>> {
        let state = self.server.store.snapshot();
        let Some(name) = &command.table else {
            let all = state.tables.values();
            return Ok(all.filter(|t| is_stream(t) && !t.detached).cloned().collect());
        };
        let database = self.database(&name.database).to_string();
        let table = state
            .table(&database, &name.name)
            .ok_or_else(|| self.unknown_table(&database, &name.name))?;
        if !is_stream(table) {
            return Err(bad(format!("{} is not a stream", table.definition.full_name())));
        }
        Ok(vec![table.clone()])
    }

    fn pause(&self, streams: &[Arc<Table>], paused: bool) -> Result<()> {
        let mut commit = Commit::default();
        for table in streams {
            let table = table.definition.uuid;
            commit.preconditions.push(Precondition::TableExists { table });
            commit.edits.push(Edit::PauseStream { table, paused });
        }
        self.server.commit_ddl(commit)?;
        let text = if paused { "paused by an operator" } else { "started by an operator" };
        let kind = if paused { "paused" } else { "started" };
        streams.iter().for_each(|t| self.server.kafka.tell(&t.definition, kind, text));
        Ok(())
    }

    fn seek(&self, command: &SystemCommand, streams: &[Arc<Table>]) -> Result<()> {
        let [stream] = streams else {
            return Err(bad("SYSTEM SEEK moves one table; name it"));
        };
        if stream.definition.engine != "Kafka" {
            return Err(bad("SYSTEM SEEK moves Kafka tables only"));
        }
        let target = self.seek_target(&command.rest)?;
        let places = seek::resolve(stream, &target)?;
        let table = stream.definition.uuid;
        let wall_us = self.server.clock.now_us();
        // Whatever the topics were: the offsets now are of those that are there.
        let topics = stream.topic_ids.keys().cloned();
        let forget = topics.map(|topic| Edit::StreamTopic { table, topic, id: Default::default() });
        let seeks = places.iter().map(|(topic, kafka_partition, next)| Edit::SeekStream {
            table,
            topic: topic.clone(),
            kafka_partition: *kafka_partition,
            next: *next,
            wall_us,
        });
        let commit = Commit {
            preconditions: vec![Precondition::TableExists { table }],
            edits: forget.chain(seeks).collect(),
        };
        self.server.commit_ddl(commit)?;
        self.server.kafka.reposition(table);
        for (topic, partition, next) in &places {
            let text = format!("{topic}[{partition}] goes on at offset {next}, by an operator");
            self.server.kafka.tell(&stream.definition, "seek", &text);
        }
        Ok(())
    }

    /// `TO EARLIEST`, `TO LATEST`, `TO TIMESTAMP '…' | milliseconds`, `TO OFFSETS 'topic:0=5, …'`.
    fn seek_target(&self, rest: &[String]) -> Result<SeekTarget> {
        let words: Vec<String> = rest.iter().map(|w| w.to_ascii_uppercase()).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let literal = || rest.last().map(|w| w.trim_matches('\'')).unwrap_or_default();
        match words.as_slice() {
            ["TO", "EARLIEST"] => Ok(SeekTarget::Earliest),
            ["TO", "LATEST"] => Ok(SeekTarget::Latest),
            ["TO", "TIMESTAMP", _] => {
                let text = literal();
                let ms = match text.parse::<i64>() {
                    Ok(ms) => ms,
                    Err(_) => parse_date_time64(text.as_bytes(), 3, self.context.time_zone)
                        .map_err(|_| bad(format!("'{text}' is no point in time")))?,
                };
                Ok(SeekTarget::TimestampMs(ms))
            }
            ["TO", "OFFSETS", _] => seek::parse_offsets(literal()),
            _ => Err(Error::new(
                codes::SYNTAX_ERROR,
                "SYSTEM SEEK table TO EARLIEST | LATEST | TIMESTAMP '2026-01-31 10:00:00' | \
                 OFFSETS 'topic:partition=offset, …'",
            )),
        }
    }
}

fn is_stream(table: &Table) -> bool {
    pumphouse_ingest::kafka::is_stream(&table.definition.engine)
}

fn bad(message: impl Into<String>) -> Error {
    Error::new(codes::BAD_ARGUMENTS, message)
}
