//! Streams in `/metrics`, under our own names: how far each partition is, what each consumer has read and
//! what state it is in.

use std::fmt::Write;

use pumphouse_ingest::kafka::{ConsumerStatus, OutputStatus};

use crate::server::Server;

type Number = fn(&ConsumerStatus) -> u64;

/// Counters of a consumer: name, what it counts.
const COUNTERS: &[(&str, &str, Number)] = &[
    ("messages_total", "Messages read from the broker", |c| c.messages),
    ("rows_total", "Rows parsed from messages", |c| c.rows),
    ("bytes_total", "Bytes of rows parsed from messages", |c| c.bytes),
    ("commits_total", "Blocks committed", |c| c.blocks),
    ("dead_letters_total", "Messages set aside as dead letters", |c| c.dead_letters),
    ("bad_messages_total", "Messages that could not be taken as they are", |c| {
        c.skipped_messages + c.error_messages + c.dead_letters
    }),
];

pub(super) fn write(text: &mut String, server: &Server) {
    let consumers = server.kafka.consumers();
    head(text, "lag", "gauge", "Messages in the broker that are not committed here");
    partitions(text, "lag", &consumers, |a| a.lag);
    head(text, "committed_offset", "gauge", "The offset that the log holds");
    partitions(text, "committed_offset", &consumers, |a| a.committed_offset);
    head(text, "high_watermark", "gauge", "The broker's next offset");
    partitions(text, "high_watermark", &consumers, |a| a.high_watermark);
    head(text, "lag_seconds", "gauge", "Age of the oldest message that is read and not committed");
    let now_us = server.clock.now_us();
    for c in &consumers {
        let _ = writeln!(
            text,
            "pumphouse_kafka_lag_seconds{{{}}} {}",
            labels(c),
            c.lag_seconds(now_us)
        );
    }
    for (name, description, number) in COUNTERS {
        head(text, name, "counter", description);
        for c in &consumers {
            let _ = writeln!(text, "pumphouse_kafka_{name}{{{}}} {}", labels(c), number(c));
        }
    }
    head(text, "state", "gauge", "1 for the state that the consumer is in");
    for c in &consumers {
        let state = c.state.to_string();
        let _ = writeln!(text, "pumphouse_kafka_state{{{},state={state:?}}} 1", labels(c));
    }
    let outputs = server.kafka.outputs();
    let numbers: [(&str, &str, &str, fn(&OutputStatus) -> u64); 2] = [
        ("output_pending_rows", "gauge", "Rows that wait to be delivered to a topic", |o| {
            o.pending_rows
        }),
        ("output_delivered_rows_total", "counter", "Rows delivered to a topic", |o| {
            o.delivered_rows
        }),
    ];
    for (name, kind, description, number) in numbers {
        head(text, name, kind, description);
        for o in &outputs {
            let (database, table) = (&o.database, &o.table);
            let n = number(o);
            let _ = writeln!(
                text,
                "pumphouse_kafka_{name}{{database={database:?},table={table:?}}} {n}"
            );
        }
    }
}

fn head(text: &mut String, name: &str, kind: &str, description: &str) {
    let _ = writeln!(text, "# HELP pumphouse_kafka_{name} {description}");
    let _ = writeln!(text, "# TYPE pumphouse_kafka_{name} {kind}");
}

fn labels(c: &ConsumerStatus) -> String {
    format!("database={:?},table={:?},consumer={:?}", c.database, c.table, c.consumer_id)
}

/// What is not known is left out.
fn partitions(
    text: &mut String,
    name: &str,
    consumers: &[ConsumerStatus],
    number: fn(&pumphouse_ingest::kafka::AssignmentStatus) -> i64,
) {
    for c in consumers {
        for a in c.assignments.iter().filter(|a| number(a) >= 0) {
            let _ = writeln!(
                text,
                "pumphouse_kafka_{name}{{database={:?},table={:?},topic={:?},partition=\"{}\"}} {}",
                c.database,
                c.table,
                a.topic,
                a.kafka_partition,
                number(a)
            );
        }
    }
}
