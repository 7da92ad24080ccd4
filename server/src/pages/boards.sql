-- The shipped boards: `-- board: title`, then the panel's query up to the next such line.
-- Ingestion: Rows inserted per second
SELECT toInt64(toUnixTimestamp(toStartOfInterval(event_time, INTERVAL {rounding:UInt32} SECOND))) AS t, sum(rows) / {rounding:UInt32} AS rows_per_second
FROM system.part_log
WHERE event_date >= toDate(now() - {seconds:UInt32}) AND event_time >= now() - {seconds:UInt32} AND event_type = 'NewPart'
GROUP BY t ORDER BY t
-- Ingestion: Messages behind the broker, by partition
SELECT concat(database, '.', table, ' ', topic, ' ', toString(partition)) AS partition, lag
FROM (SELECT database, table, `assignments.topic` AS topics, `assignments.partition_id` AS ids, `assignments.lag` AS lags FROM system.kafka_consumers)
ARRAY JOIN topics AS topic, ids AS partition, lags AS lag
ORDER BY lag DESC, partition LIMIT 20
-- Ingestion: Seconds since the last commit, by table
SELECT concat(database, '.', table) AS name, toInt64(dateDiff('second', max(last_commit_time), now())) AS seconds
FROM system.kafka_consumers WHERE num_commits > 0 GROUP BY name ORDER BY seconds DESC LIMIT 20
-- Ingestion: Consumers
SELECT database, table, consumer_id, state, lag, num_rows_read, num_commits, last_error FROM system.kafka_consumers ORDER BY database, table, consumer_id
-- Storage: Active parts by table
SELECT concat(database, '.', table) AS name, count() AS parts FROM system.parts WHERE active GROUP BY name ORDER BY parts DESC LIMIT 15
-- Storage: Bytes on disk by table
SELECT concat(database, '.', table) AS name, sum(bytes_on_disk) AS bytes FROM system.parts WHERE active GROUP BY name ORDER BY bytes DESC LIMIT 15
-- Storage: Rows merged per second
SELECT toInt64(toUnixTimestamp(toStartOfInterval(event_time, INTERVAL {rounding:UInt32} SECOND))) AS t, sum(rows) / {rounding:UInt32} AS rows_per_second
FROM system.part_log
WHERE event_date >= toDate(now() - {seconds:UInt32}) AND event_time >= now() - {seconds:UInt32} AND event_type = 'MergeParts'
GROUP BY t ORDER BY t
-- Storage: Merges now
SELECT database, table, elapsed, progress, num_parts, rows_read FROM system.merges ORDER BY elapsed DESC LIMIT 20
-- Storage: Disks
SELECT name, formatReadableSize(free_space) AS free, formatReadableSize(total_space) AS total FROM system.disks
-- Queries: Queries per second
SELECT toInt64(toUnixTimestamp(toStartOfInterval(event_time, INTERVAL {rounding:UInt32} SECOND))) AS t, count() / {rounding:UInt32} AS queries_per_second
FROM system.query_log
WHERE event_date >= toDate(now() - {seconds:UInt32}) AND event_time >= now() - {seconds:UInt32} AND type = 'QueryFinish'
GROUP BY t ORDER BY t
-- Queries: Latency, milliseconds
SELECT toInt64(toUnixTimestamp(toStartOfInterval(event_time, INTERVAL {rounding:UInt32} SECOND))) AS t, quantile(0.5)(query_duration_ms) AS p50, quantile(0.95)(query_duration_ms) AS p95, max(query_duration_ms) AS slowest
FROM system.query_log
WHERE event_date >= toDate(now() - {seconds:UInt32}) AND event_time >= now() - {seconds:UInt32} AND type = 'QueryFinish'
GROUP BY t ORDER BY t
-- Queries: Slowest
SELECT query_duration_ms, read_rows, formatReadableSize(memory_usage) AS memory, user, substring(query, 1, 120) AS query
FROM system.query_log
WHERE event_date >= toDate(now() - {seconds:UInt32}) AND event_time >= now() - {seconds:UInt32} AND type = 'QueryFinish'
ORDER BY query_duration_ms DESC LIMIT 12
-- Queries: Failed
SELECT event_time, exception_code, substring(exception, 1, 160) AS exception, substring(query, 1, 80) AS query
FROM system.query_log
WHERE event_date >= toDate(now() - {seconds:UInt32}) AND event_time >= now() - {seconds:UInt32} AND exception_code != 0
ORDER BY event_time DESC LIMIT 12
-- Queries: Running now
SELECT elapsed, read_rows, formatReadableSize(memory_usage) AS memory, user, substring(query, 1, 120) AS query FROM system.processes ORDER BY elapsed DESC LIMIT 12
-- Machine: Now
SELECT metric, value FROM system.asynchronous_metrics ORDER BY metric LIMIT 40
-- Machine: Counters now
SELECT metric, value FROM system.metrics WHERE value != 0 ORDER BY metric LIMIT 40
