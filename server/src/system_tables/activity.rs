//! `system.processes`, `merges`, `metrics`, `events`, `errors`, `backups`, `warnings`,
//! `asynchronous_metrics`: what goes on. `/metrics` shows the same values.

use std::sync::atomic::{AtomicU64, Ordering};

use pumphouse_query::Result;
use pumphouse_storage::Value;
use pumphouse_storage::log::State;

use super::rows::{Rows, flag, micros, number, seconds, text, texts};
use crate::server::Server;

fn n(counter: &AtomicU64) -> Value {
    number(counter.load(Ordering::Relaxed))
}

pub fn processes(server: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for process in server.processes.running() {
        let context = &process.context;
        rows.push(&[
            ("is_initial_query", flag(true)),
            ("user", text(&context.user)),
            ("query_id", text(&context.query_id)),
            ("initial_query_id", text(&context.query_id)),
            ("elapsed", Value::Float(context.elapsed().as_secs_f64())),
            ("is_cancelled", flag(context.cancelled.load(Ordering::Relaxed))),
            ("read_rows", n(&context.progress.read_rows)),
            ("read_bytes", n(&context.progress.read_bytes)),
            ("total_rows_approx", n(&context.progress.total_rows_to_read)),
            ("written_rows", n(&context.progress.written_rows)),
            ("written_bytes", n(&context.progress.written_bytes)),
            ("memory_usage", Value::Int(context.memory.used_bytes() as i64)),
            ("peak_memory_usage", Value::Int(context.memory.peak_bytes() as i64)),
            ("query", text(&process.query)),
            ("current_database", text(&context.database)),
        ]);
    }
    Ok(())
}

pub fn merges(server: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for merge in server.merges.running() {
        let elapsed_us = server.clock.now_us().saturating_sub(merge.started_us);
        rows.push(&[
            ("database", text(merge.database)),
            ("table", text(merge.table)),
            ("elapsed", Value::Float(elapsed_us as f64 / 1e6)),
            ("progress", Value::Float(merge.rows_done as f64 / merge.rows_total.max(1) as f64)),
            ("num_parts", number(merge.parts.len() as u64)),
            ("source_part_names", texts(merge.part_names)),
            ("partition_id", text(merge.partition_id)),
            ("total_size_bytes_compressed", number(merge.bytes)),
            ("rows_read", number(merge.rows_done)),
        ]);
    }
    Ok(())
}

/// ClickHouse's names of what goes on right now, with values and descriptions.
pub fn metric_values(server: &Server, state: &State) -> Vec<(&'static str, i64, &'static str)> {
    let consumers = server.kafka.consumers();
    let count = |n: usize| n as i64;
    let parts = state.tables.values().map(|t| t.parts.len()).sum();
    let in_use = consumers.iter().filter(|c| c.is_inserting).count();
    let running_merges = server.merges.running();
    let mutations = state.tables.values().filter(|t| !t.mutations_done()).count();
    let with_assignment = consumers.iter().filter(|c| !c.assignments.is_empty()).count();
    let stats = server.store.stats();
    let conditions = server.store.condition_cache().stats();
    let (buffer_rows, buffer_bytes) = server.inserter.buffers().totals();
    let mut list = vec![
        (
            "QueryConditionCacheBytes",
            conditions.bytes as i64,
            "Total size of the query condition cache in bytes",
        ),
        (
            "QueryConditionCacheEntries",
            conditions.entries as i64,
            "Total entries in the query condition cache",
        ),
        ("Query", count(server.processes.running().len()), "Number of executing queries"),
        ("Merge", count(running_merges.len()), "Number of executing background merges"),
        (
            "MergeParts",
            count(running_merges.iter().map(|m| m.parts.len()).sum()),
            "Number of source parts participating in current background merges",
        ),
        ("PartMutation", count(mutations), "Number of tables with unfinished mutations"),
        ("KafkaConsumers", count(consumers.len()), "Number of active Kafka consumers"),
        ("KafkaConsumersInUse", count(in_use), "Number of consumers whose block is being inserted"),
        (
            "KafkaConsumersWithAssignment",
            count(with_assignment),
            "Number of active Kafka consumers which have some partitions assigned.",
        ),
        ("KafkaBackgroundReads", count(in_use), "Number of background reads of Kafka tables"),
        ("PartsActive", count(parts), "Active data parts, used by current and upcoming SELECTs"),
        (
            "PartsOutdated",
            stats.parts_to_remove as i64,
            "Not active data parts, used only by current SELECTs, removed after they finish.",
        ),
        ("StorageBufferRows", buffer_rows as i64, "Number of rows in buffers of Buffer tables"),
        ("StorageBufferBytes", buffer_bytes as i64, "Number of bytes in buffers of Buffer tables"),
        ("PartsPreActive", 0, "The part is in data_parts, but not used for SELECTs."),
        ("DelayedInserts", 0, "Number of INSERT queries that are throttled"),
        ("OpenFileForRead", stats.parts_open as i64, "Number of files open for reading"),
        ("MemoryTracking", server.memory.used_bytes() as i64, "Bytes charged to queries"),
        (
            "QuarantinedParts",
            count(server.store.quarantined().len()),
            "Parts that are missing or damaged and out of service",
        ),
        ("BackupsThreads", 0, "Number of threads in the thread pool for BACKUP"),
    ];
    list.extend(super::caches::metrics(server));
    list
}

pub fn metrics(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    for (name, value, description) in metric_values(server, state) {
        rows.push(&[
            ("metric", text(name)),
            ("name", text(name)),
            ("value", Value::Int(value)),
            ("description", text(description)),
        ]);
    }
    Ok(())
}

/// What was counted since the start.
pub fn event_values(server: &Server) -> Vec<(&'static str, u64, &'static str)> {
    let mut list = server.processes.counters.list();
    let consumers = server.kafka.consumers();
    let sum =
        |f: fn(&pumphouse_ingest::kafka::ConsumerStatus) -> u64| consumers.iter().map(f).sum();
    let (stats, scrub) = (server.store.stats(), server.scrub.counts());
    let lost = server.logs.dropped();
    let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
    let conditions = server.store.condition_cache().stats();
    let buffers = &server.inserter.buffers().counts;
    list.extend(super::caches::events(server));
    list.extend([
        (
            "QueryConditionCacheHits",
            conditions.hits,
            "Number of times an entry has been found in the query condition cache",
        ),
        (
            "QueryConditionCacheMisses",
            conditions.misses,
            "Number of times an entry has not been found in the query condition cache",
        ),
        ("KafkaMessagesRead", sum(|c| c.messages), "Number of Kafka messages already processed"),
        ("KafkaRowsRead", sum(|c| c.rows), "Number of rows parsed from Kafka messages"),
        (
            "KafkaMessagesFailed",
            sum(|c| c.skipped_messages + c.error_messages),
            "Number of Kafka messages that could not be parsed",
        ),
        ("KafkaCommits", sum(|c| c.blocks), "Number of commits of consumed offsets"),
        (
            "KafkaRebalanceAssignments",
            sum(|c| c.rebalance_assignments),
            "Number of partition assignments (the final stage of consumer group rebalance)",
        ),
        (
            "KafkaRebalanceRevocations",
            sum(|c| c.rebalance_revocations),
            "Number of partition revocations (the first stage of consumer group rebalance)",
        ),
        ("StorageBufferFlush", load(&buffers.flushes), "Number of times a buffer was flushed."),
        (
            "StorageBufferErrorOnFlush",
            load(&buffers.failed),
            "Number of times a flush of a buffer failed and its rows stayed.",
        ),
        ("SystemLogErrorOnFlush", lost, "Entries of system logs that were dropped."),
        ("FileSync", stats.log_syncs, "Number of syncs of the commit log"),
        ("DirectorySync", stats.dir_syncs, "Number of syncs of the folder of parts"),
        ("LogCommits", stats.commits, "Number of commits"),
        ("LogCommitsRejected", stats.rejected, "Number of commits that were rejected"),
        ("LogFrames", stats.frames, "Number of groups of commits made durable"),
        ("LogCheckpoints", stats.checkpoints, "Number of checkpoints of the commit log"),
        ("PartsRemoved", stats.parts_removed, "Number of files of parts removed"),
        ("ScrubbedParts", load(&scrub.parts), "Parts checked by the background scrub"),
        ("ScrubbedBytes", load(&scrub.bytes), "Bytes checked by the background scrub"),
        ("ScrubDamagedParts", load(&scrub.damaged), "Damaged parts that the scrub found"),
    ]);
    let spilled = server.spill.total.events().into_iter();
    list.extend(
        spilled.map(|(name, value)| (name, value, "What operators wrote to temporary files")),
    );
    list
}

/// As in ClickHouse, only what has happened is listed.
pub fn events(server: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for (name, value, description) in event_values(server) {
        if value > 0 {
            rows.push(&[
                ("event", text(name)),
                ("name", text(name)),
                ("value", number(value)),
                ("description", text(description)),
            ]);
        }
    }
    Ok(())
}

pub fn errors(server: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for (code, error) in server.processes.counters.errors() {
        rows.push(&[
            ("name", text(pumphouse_query::error::codes::name_of(code))),
            ("code", Value::Int(code.into())),
            ("value", number(error.count)),
            ("last_error_time", seconds(error.last_us)),
            ("last_error_message", text(error.last_message)),
            ("query_id", text(error.query_id)),
        ]);
    }
    Ok(())
}

pub fn backups(server: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for entry in server.backups.list() {
        rows.push(&[
            ("id", text(entry.id)),
            ("name", text(entry.name)),
            ("query_id", text(entry.query_id)),
            ("status", Value::Int(entry.status as i64)),
            ("error", text(entry.error)),
            ("start_time", micros(entry.start_us)),
            ("end_time", micros(entry.end_us)),
            ("num_files", n(&entry.progress.files)),
            ("num_entries", n(&entry.progress.files)),
            ("total_size", n(&entry.progress.bytes)),
            ("uncompressed_size", n(&entry.progress.bytes)),
            ("compressed_size", n(&entry.progress.bytes)),
            ("files_read", n(&entry.progress.files)),
            ("bytes_read", n(&entry.progress.bytes)),
        ]);
    }
    Ok(())
}

/// What an operator should know at once.
pub fn warnings(server: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    let mut say = |message: String| {
        rows.push(&[("message", text(&message)), ("message_format_string", text(&message))]);
    };
    for (part, what) in server.store.quarantined().into_iter().take(10) {
        say(format!("Part {part} is quarantined: {what}"));
    }
    for repair in server.store.log_repairs() {
        say(format!("The commit log was repaired at start: {repair}"));
    }
    if !server.store.has_free_space()? {
        say("Less disk space than keep_free_space_bytes is left: inserts are refused".into());
    }
    Ok(())
}

/// Gauges that are read rather than kept.
pub fn asynchronous_values(server: &Server, state: &State) -> Vec<(String, f64, &'static str)> {
    let parts = || state.tables.values().flat_map(|t| &t.parts);
    let fullest = state.tables.values().map(|t| t.parts.len()).max().unwrap_or(0);
    let mut list: Vec<(&str, f64, &str)> = vec![
        ("Uptime", server.started.elapsed().as_secs_f64(), "The server uptime in seconds."),
        ("NumberOfDatabases", state.databases.len() as f64 + 1.0, "Total number of databases."),
        ("NumberOfTables", state.tables.len() as f64, "Total number of tables."),
        (
            "TotalRowsOfMergeTreeTables",
            parts().map(|p| p.rows).sum::<u64>() as f64,
            "Total amount of rows stored in all tables of MergeTree family.",
        ),
        (
            "TotalBytesOfMergeTreeTables",
            parts().map(|p| p.bytes).sum::<u64>() as f64,
            "Total amount of bytes stored in all tables of MergeTree family.",
        ),
        (
            "TotalPartsOfMergeTreeTables",
            parts().count() as f64,
            "Total amount of data parts in all tables of MergeTree family.",
        ),
        ("MaxPartCountForPartition", fullest as f64, "Maximum number of parts per table."),
        ("CommitLogBytes", server.store.stats().log_bytes as f64, "Length of the commit log."),
    ];
    let disk = server.store.disk();
    if let (Ok(Some(free)), Ok(Some(total))) = (disk.free_bytes(), disk.total_bytes()) {
        list.extend([
            ("DiskAvailable_default", free as f64, "Available bytes on the disk."),
            ("DiskTotal_default", total as f64, "The total size in bytes of the disk."),
            ("DiskUsed_default", total.saturating_sub(free) as f64, "Used bytes on the disk."),
        ]);
    }
    let mut list: Vec<(String, f64, &str)> =
        list.into_iter().map(|(name, value, what)| (name.to_string(), value, what)).collect();
    machine_values(&mut list);
    list
}

/// Memory and load, as the kernel tells.
fn machine_values(list: &mut Vec<(String, f64, &'static str)>) {
    const PAGE_BYTES: f64 = 4096.0;
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let statm = read("/proc/self/statm");
    let pages: Vec<f64> = statm.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    if let [size, resident, shared, ..] = pages[..] {
        list.push(("MemoryVirtual".into(), size * PAGE_BYTES, "Virtual memory of the process."));
        list.push((
            "MemoryResident".into(),
            resident * PAGE_BYTES,
            "Resident memory of the process, pages of mapped files with it.",
        ));
        list.push((
            "MemoryShared".into(),
            shared * PAGE_BYTES,
            "What of it are pages of files, which the kernel drops when it needs them.",
        ));
    }
    let load = read("/proc/loadavg");
    for (minutes, value) in ["1", "5", "15"].iter().zip(load.split_whitespace()) {
        if let Ok(value) = value.parse() {
            list.push((format!("LoadAverage{minutes}"), value, "The whole system load."));
        }
    }
    for line in read("/proc/meminfo").lines() {
        let mut fields = line.split_whitespace();
        let name = match fields.next() {
            Some("MemTotal:") => "OSMemoryTotal",
            Some("MemAvailable:") => "OSMemoryAvailable",
            _ => continue,
        };
        if let Some(kib) = fields.next().and_then(|n| n.parse::<f64>().ok()) {
            list.push((name.into(), kib * 1024.0, "Memory of the host, in bytes."));
        }
    }
}

pub fn asynchronous_metrics(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    for (name, value, description) in asynchronous_values(server, state) {
        rows.push(&[
            ("metric", text(&name)),
            ("name", text(&name)),
            ("value", Value::Float(value)),
            ("description", text(description)),
        ]);
    }
    Ok(())
}
