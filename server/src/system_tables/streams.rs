//! `system.kafka_consumers`, `kafka_offsets`, `kafka_gaps`, `kafka_events`: `kafka_outputs`, `file_logs`:
//! how far the streams are and what happened to them.

use pumphouse_query::Result;
use pumphouse_storage::Value;
use pumphouse_storage::log::State;

use super::rows::{Rows, flag, micros, number, seconds, text, texts};
use crate::server::Server;

pub fn kafka_consumers(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    for c in server.kafka.consumers() {
        let ints = |f: fn(&pumphouse_ingest::kafka::AssignmentStatus) -> i64| {
            Value::Array(c.assignments.iter().map(|a| Value::Int(f(a))).collect())
        };
        let known: Vec<i64> = c.assignments.iter().map(|a| a.lag).filter(|l| *l >= 0).collect();
        let views = state.views_of(&c.database, &c.table);
        let dependencies = views.iter().filter_map(|v| {
            let (database, name) = v.definition.target.as_ref()?;
            Some(texts([v.definition.full_name(), format!("{database}.{name}")]))
        });
        rows.push(&[
            ("database", text(&c.database)),
            ("table", text(&c.table)),
            ("consumer_id", text(&c.consumer_id)),
            ("assignments.topic", texts(c.assignments.iter().map(|a| a.topic.clone()))),
            ("assignments.partition_id", ints(|a| a.kafka_partition.into())),
            ("assignments.current_offset", ints(|a| a.current_offset)),
            ("assignments.committed_offset", ints(|a| a.committed_offset)),
            ("assignments.high_watermark", ints(|a| a.high_watermark)),
            ("assignments.lag", ints(|a| a.lag)),
            ("lag", Value::Int(known.iter().sum())),
            ("lag_seconds", Value::Int(c.lag_seconds(server.clock.now_us()))),
            (
                "exceptions.time",
                Value::Array(c.exceptions.iter().map(|e| seconds(e.time_us)).collect()),
            ),
            ("exceptions.text", texts(c.exceptions.iter().map(|e| e.text.clone()))),
            ("last_error", text(c.exceptions.back().map(|e| e.text.clone()).unwrap_or_default())),
            ("last_poll_time", seconds(c.last_poll_us)),
            ("num_messages_read", number(c.messages)),
            ("num_rows_read", number(c.rows)),
            ("num_bytes_read", number(c.bytes)),
            ("last_commit_time", seconds(c.last_commit_us)),
            ("num_commits", number(c.blocks)),
            ("last_rebalance_time", seconds(c.last_rebalance_us)),
            ("num_rebalance_revocations", number(c.rebalance_revocations)),
            ("num_rebalance_assignments", number(c.rebalance_assignments)),
            ("is_currently_used", flag(true)),
            ("last_used", micros(c.last_poll_us)),
            ("rdkafka_stat", text(c.rdkafka_stat.clone())),
            ("dependencies", Value::Array(dependencies.collect())),
            ("state", text(c.state.to_string())),
            ("paused_reason", text(c.paused_reason.clone())),
            ("next_retry", seconds(c.next_retry_us)),
            ("is_inserting", flag(c.is_inserting)),
            ("num_bad_messages", number(c.skipped_messages + c.error_messages + c.dead_letters)),
            ("num_dead_letters", number(c.dead_letters)),
        ]);
    }
    Ok(())
}

pub fn kafka_offsets(_: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    for table in state.tables.values() {
        for (partition, offset) in &table.offsets {
            rows.push(&[
                ("database", text(&table.definition.database)),
                ("table", text(&table.definition.name)),
                ("topic", text(&partition.topic)),
                ("partition", Value::Int(partition.kafka_partition.into())),
                ("next_offset", Value::Int(offset.next)),
                ("commits", number(offset.commits)),
                ("last_commit_time", micros(offset.last_commit_us)),
            ]);
        }
    }
    Ok(())
}

pub fn kafka_outputs(server: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for output in server.kafka.outputs() {
        rows.push(&[
            ("database", text(&output.database)),
            ("table", text(&output.table)),
            ("topic", text(&output.topic)),
            ("guarantee", text(output.guarantee)),
            ("state", text(output.state)),
            ("pending_parts", number(output.pending_parts)),
            ("pending_rows", number(output.pending_rows)),
            ("delivered_rows", number(output.delivered_rows)),
            ("transactions", number(output.transactions)),
            ("last_delivery_time", micros(output.last_delivery_us)),
            ("last_error", text(output.last_error)),
            ("next_retry", seconds(output.next_retry_us)),
        ]);
    }
    Ok(())
}

/// One row a file, and one without a name for a table that cannot read at all.
pub fn file_logs(server: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for table in server.kafka.file_logs() {
        let mut row = |file: &str, position: u64, size: u64, state: &str, error: &str, retry| {
            rows.push(&[
                ("database", text(&table.database)),
                ("table", text(&table.table)),
                ("file", text(file)),
                ("position", number(position)),
                ("size", number(size)),
                ("lag_bytes", number(size.saturating_sub(position))),
                ("state", text(state)),
                ("error", text(error)),
                ("next_retry", seconds(retry)),
            ]);
        };
        if !table.error.is_empty() {
            row("", 0, 0, "waiting", &table.error, table.next_retry_us);
        }
        for f in &table.files {
            row(&f.file, f.position, f.size, f.state, &f.error, f.next_retry_us);
        }
    }
    Ok(())
}

pub fn kafka_gaps(_: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    for table in state.tables.values() {
        for gap in &table.gaps {
            rows.push(&[
                ("database", text(&table.definition.database)),
                ("table", text(&table.definition.name)),
                ("topic", text(&gap.partition.topic)),
                ("partition", Value::Int(gap.partition.kafka_partition.into())),
                ("from_offset", Value::Int(gap.from)),
                ("to_offset", Value::Int(gap.to)),
                ("reason", text(&gap.reason)),
            ]);
        }
    }
    Ok(())
}

pub fn kafka_events(server: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for event in server.kafka.events() {
        rows.push(&[
            ("event_time", micros(event.time_us)),
            ("database", text(event.database)),
            ("table", text(event.table)),
            ("consumer_id", text(event.consumer_id)),
            ("event", text(event.kind)),
            ("topic", text(event.topic)),
            ("partition", Value::Int(event.kafka_partition.into())),
            ("offset", Value::Int(event.kafka_offset)),
            ("message", text(event.text)),
        ]);
    }
    Ok(())
}

/// Values are for those who use them, not for those who look.
pub fn named_collections(_: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    for (name, values) in &state.named_collections {
        let hidden = || Value::string("[HIDDEN]");
        let shown = values.keys().map(|key| (Value::string(key.as_str()), hidden()));
        let parts = values.iter().map(|(key, value)| match value.overridable {
            None => format!("{key} = '[HIDDEN]'"),
            Some(true) => format!("{key} = '[HIDDEN]' OVERRIDABLE"),
            Some(false) => format!("{key} = '[HIDDEN]' NOT OVERRIDABLE"),
        });
        let query = parts.collect::<Vec<_>>().join(", ");
        rows.push(&[
            ("name", text(name)),
            ("collection", Value::Map(shown.collect())),
            ("source", text("SQL")),
            ("create_query", text(format!("CREATE NAMED COLLECTION {name} AS {query}"))),
        ]);
    }
    Ok(())
}

pub fn macros(server: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for (name, value) in &server.config.macros {
        rows.push(&[("macro", text(name)), ("substitution", text(value))]);
    }
    Ok(())
}
