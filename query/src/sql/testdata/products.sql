SELECT timezone(), version(), uptime()
SELECT version() AS version FORMAT JSON
SELECT name, value, changed, description, type, readonly FROM system.settings LIMIT 10000 FORMAT Native
SELECT database, name, engine FROM system.tables WHERE database NOT IN ('system', 'INFORMATION_SCHEMA') AND is_temporary = 0
SELECT name FROM system.databases WHERE name NOT IN ('system') UNION ALL SELECT 'x' AS name
SELECT toStartOfInterval(toDateTime(Timestamp), INTERVAL 60 second) AS time, count(*) AS c FROM otel.logs WHERE (Timestamp >= toDateTime(1700000000)) AND (Timestamp <= toDateTime(1700003600)) GROUP BY time ORDER BY time ASC
SELECT toStartOfInterval(toDateTime64(ts, 3), INTERVAL 500 millisecond) AS "time", avg("value") AS "avg" FROM "db"."metrics" WHERE ( ts >= fromUnixTimestamp64Milli(1700000000000) AND ts <= fromUnixTimestamp64Milli(1700003600000) ) GROUP BY "time" ORDER BY "time" ASC LIMIT 1000
SELECT uniq(user_id) * any(_sample_factor) AS visitors, sum(sign * pageviews) AS pv FROM sessions_v2 SAMPLE 1/10 WHERE site_id = {site:UInt64} AND start >= '2024-01-01 00:00:00' AND start < toDateTime('2024-02-01', 'Europe/Berlin') HAVING sum(sign) > 0
SELECT toDate(toTimeZone(timestamp, 'UTC')) AS date, countIf(name = 'pageview') AS p FROM events_v2 ARRAY JOIN meta.key AS k, meta.value AS v WHERE has(meta.key, 'x') AND v[indexOf(k, 'x')] = 'y' GROUP BY date
WITH toIntervalMinute(5) AS step SELECT toStartOfInterval(ts, step) AS t, quantileTDigest(0.99)(duration) FROM spans GROUP BY t WITH TOTALS
WITH errors AS (SELECT serviceName, count() AS e FROM signoz_traces.distributed_index WHERE statusCode = 2 GROUP BY serviceName), total AS (SELECT serviceName, count() AS t FROM signoz_traces.distributed_index GROUP BY serviceName) SELECT total.serviceName, e / t * 100 AS rate FROM total LEFT JOIN errors ON total.serviceName = errors.serviceName ORDER BY rate DESC LIMIT 10
SELECT fingerprint, toStartOfInterval(toDateTime(intDiv(unix_milli, 1000)), toIntervalSecond(60)) AS ts, max(value) AS per_series_value FROM distributed_samples_v4 INNER JOIN (SELECT DISTINCT fingerprint FROM time_series_v4 WHERE metric_name IN ('x') AND JSONExtractString(labels, 'env') = 'prod') AS filtered_time_series USING fingerprint WHERE metric_name IN ['x'] AND unix_milli >= 1 GROUP BY fingerprint, ts ORDER BY fingerprint, ts
SELECT If((per_series_value - lagInFrame(per_series_value, 1, 0) OVER rate_window) < 0, nan, (per_series_value - lagInFrame(per_series_value, 1, 0) OVER rate_window) / (ts - lagInFrame(ts, 1, toDate('1970-01-01')) OVER rate_window)) AS v FROM t WINDOW rate_window AS (PARTITION BY fingerprint ORDER BY fingerprint, ts)
SELECT t.id AS id, t.name, ifNull(sumMap(o.usage_details)['total'], 0) AS tokens FROM traces t FINAL LEFT JOIN observations o FINAL ON o.trace_id = t.id AND o.project_id = t.project_id WHERE t.project_id = {projectId: String} AND t.timestamp >= {from: DateTime64(3)} GROUP BY t.id, t.name ORDER BY t.timestamp DESC LIMIT {limit: Int32} OFFSET {offset: Int32}
SELECT * FROM traces t FINAL WHERE project_id = {projectId:String} AND hasAny(tags, {tags:Array(String)}) LIMIT 1 BY id, project_id
SELECT toStartOfHour(ts) AS h, groupArray((name, value)) AS pairs, arrayMap(p -> p.1, pairs) AS names, arraySort((x, y) -> y, names, arrayMap(p -> -p.2, pairs)) AS sorted FROM t GROUP BY h ORDER BY h WITH FILL FROM toStartOfHour(toDateTime('2024-01-01')) TO toDateTime('2024-01-02') STEP toIntervalHour(1)
SELECT ServiceName, quantile(0.5)(Duration), quantile(0.95)(Duration) AS p95, mapKeys(SpanAttributes) AS ks, SpanAttributes['http.method'] AS method FROM otel_traces WHERE SpanAttributes['http.status_code'] >= '500' AND Timestamp > now() - INTERVAL 1 HOUR GROUP BY ServiceName, ks, method
CREATE TABLE IF NOT EXISTS otel_logs (`Timestamp` DateTime64(9) CODEC(Delta(8), ZSTD(1)), `TraceId` String CODEC(ZSTD(1)), `ServiceName` LowCardinality(String) CODEC(ZSTD(1)), `Body` String CODEC(ZSTD(1)), `ResourceAttributes` Map(LowCardinality(String), String) CODEC(ZSTD(1)), TimestampTime DateTime DEFAULT toDateTime(Timestamp), INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1, INDEX idx_res_attr_key mapKeys(ResourceAttributes) TYPE bloom_filter(0.01) GRANULARITY 1, INDEX idx_body Body TYPE tokenbf_v1(32768, 3, 0) GRANULARITY 8) ENGINE = MergeTree PARTITION BY toDate(TimestampTime) PRIMARY KEY (ServiceName, TimestampTime) ORDER BY (ServiceName, TimestampTime, Timestamp) TTL TimestampTime + toIntervalDay(30) SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1
CREATE TABLE queue (timestamp UInt64, level String, message String) ENGINE = Kafka('localhost:9092', 'topic', 'group1', 'JSONEachRow') SETTINGS kafka_num_consumers = 4, kafka_thread_per_consumer = 1, kafka_skip_broken_messages = 10
CREATE TABLE queue2 (`id` UInt64, `raw` String) ENGINE = Kafka SETTINGS kafka_broker_list = 'a:9092,b:9092', kafka_topic_list = 'x,y', kafka_group_name = 'g', kafka_format = 'JSONAsString', kafka_handle_error_mode = 'stream', kafka_flush_interval_ms = 500
CREATE MATERIALIZED VIEW consumer TO daily AS SELECT toDate(toDateTime(timestamp)) AS day, level, count() AS total FROM queue GROUP BY day, level
CREATE MATERIALIZED VIEW errors_mv TO errors AS SELECT _topic AS topic, _partition AS partition, _offset AS offset, _raw_message AS raw, _error AS error FROM queue2 WHERE length(_error) > 0
CREATE MATERIALIZED VIEW agg (day Date, u AggregateFunction(uniq, UInt64)) ENGINE = AggregatingMergeTree PARTITION BY toYYYYMM(day) ORDER BY day AS SELECT toDate(ts) AS day, uniqState(user_id) AS u FROM events GROUP BY day
INSERT INTO daily SELECT day, level, sumMerge(total) FROM agg GROUP BY day, level
SELECT uniqMerge(u) FROM agg WHERE day BETWEEN '2024-01-01' AND '2024-01-31'
SELECT windowFunnel(86400)(timestamp, event = 'view', event = 'cart', event = 'buy') AS level, user_id FROM events WHERE event IN ('view', 'cart', 'buy') GROUP BY user_id
SELECT retention(date = '2020-01-01', date = '2020-01-02') AS r FROM retention_test WHERE date IN ('2020-01-01', '2020-01-02') GROUP BY uid ORDER BY uid ASC
SELECT sequenceMatch('(?1).*(?2)(?t<3600)(?3)')(ts, e = 1, e = 2, e = 3) FROM t
SELECT topK(10)(url), topKWeighted(5, 3)(url, w), histogram(10)(x), quantilesTDigest(0.5, 0.9, 0.99)(x)[2] FROM t
SELECT arrayJoin(splitByChar(',', s)) AS w, count() AS c FROM t GROUP BY w HAVING c > 1 ORDER BY c DESC, w ASC LIMIT 20
SELECT sum(number) AS s, s * 2 AS d, if(d > 10, 'big', 'small') AS k FROM numbers(10)
SELECT EventDate, count() FROM hits WHERE CounterID = 62 AND EventDate >= '2013-07-01' AND DontCountHits = 0 AND URL <> '' GROUP BY URL, EventDate ORDER BY count() DESC LIMIT 10 OFFSET 1000
SELECT REGEXP_REPLACE(Referer, '^https?://(?:www\.)?([^/]+)/.*$', '\1') AS k, AVG(length(Referer)) AS l, COUNT(*) AS c, MIN(Referer) FROM hits WHERE Referer <> '' GROUP BY k HAVING COUNT(*) > 100000 ORDER BY l DESC LIMIT 25
SELECT SUM(ResolutionWidth), SUM(ResolutionWidth + 1), SUM(ResolutionWidth + 2) FROM hits
SELECT TraficSourceID, CASE WHEN (SearchEngineID = 0 AND AdvEngineID = 0) THEN Referer ELSE '' END AS Src, URL AS Dst, COUNT(*) AS PageViews FROM hits GROUP BY TraficSourceID, Src, Dst ORDER BY PageViews DESC LIMIT 10 OFFSET 1000
SELECT DATE_TRUNC('minute', EventTime) AS M, COUNT(*) AS PageViews FROM hits GROUP BY DATE_TRUNC('minute', EventTime) ORDER BY DATE_TRUNC('minute', EventTime) LIMIT 10
SELECT extract(minute FROM EventTime) AS m, UserID FROM hits WHERE URL LIKE '%google%' GROUP BY m, UserID
SELECT a.id, b.id FROM a ASOF LEFT JOIN b ON a.k = b.k AND a.t >= b.t WHERE a.x GLOBAL IN (SELECT x FROM d) SETTINGS join_algorithm = 'hash'
SELECT * FROM system.parts WHERE active AND database = 'default' AND table ILIKE '%x%' ORDER BY modification_time DESC NULLS LAST LIMIT 5 BY table
SELECT query_id, query, elapsed, formatReadableSize(memory_usage) AS mem FROM system.processes WHERE is_cancelled = 0
SELECT normalizeQuery(query) AS q, any(query), count() AS c, quantiles(0.5, 0.9)(query_duration_ms) FROM system.query_log WHERE type = 'QueryFinish' AND event_time > now() - 3600 GROUP BY q ORDER BY c DESC
SELECT column, sum(column_data_compressed_bytes) AS size FROM system.parts_columns WHERE table = 't' GROUP BY column ORDER BY size DESC
SELECT sumIf(a, b) / nullIf(countIf(b), 0) AS r, round(100 * avg(a), 2) || '%' AS pct, coalesce(x, y, 'z') FROM t
SELECT a, b, rank() OVER (PARTITION BY a ORDER BY b DESC) AS rk, sum(c) OVER (PARTITION BY a ORDER BY b RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS cum FROM t QUALIFY rk <= 3 ORDER BY a, rk
SELECT groupBitmapMerge(s), bitmapCardinality(bitmapAnd(a, b)) FROM t
SELECT j.a.b AS x, j.c[1].d, j.^e, JSONExtract(s, 'Tuple(a UInt8, b String)').1 FROM t
SELECT (a, b) = (1, 2), (a, b) IN (SELECT c, d FROM u), tuple(a, b).1, untuple((1, 2)) FROM t
SELECT [1, 2, 3][-1], [[1], [2, 3]][2][1], arr[1:2]
SELECT arr[1].x, (arr[1]).y.z, f(x).1.2 FROM t
SELECT m['a']['b'], m['x'] AS x, mapFromArrays(['a'], [1])['a'] FROM t
SELECT 1 AS `a.b`, `a.b` + 1, t.`a.b` FROM t
SELECT "quoted"."name", "a""b" FROM "my db"."t"
SELECT * FROM t WHERE NOT (a = 1 OR b = 2) AND NOT c IS NULL AND d IS NOT NULL AND NOT e IN (1)
SELECT * FROM t WHERE a = 1 OR (b = 2 AND (c = 3 OR d = 4)) AND e
SELECT a + b * c - d / e % f, -(a + b), - a * - b, (a + b) * (c - d), a - (b - c) - d
SELECT a < b AND b <= c OR NOT d > e, a = b AND c != d, NOT a = b, NOT (a AND b)
SELECT a IS NULL OR b IS NOT NULL AND c, (a IS NULL) = 1, a + 1 IS NULL
SELECT not a, not not a, not(a), not (a, b).1
SELECT toDate('2024-01-01') + INTERVAL 1 MONTH - INTERVAL 2 DAY, now() - INTERVAL '1 hour 30 minutes', INTERVAL (a + 1) MINUTE
SELECT CASE x WHEN 1 THEN 'a' WHEN 2 THEN 'b' ELSE 'c' END AS y, CASE WHEN x > 1 AND y THEN CASE WHEN z THEN 1 ELSE 2 END END
SELECT x::UInt8, (x + 1)::String, [1, 2]::Array(UInt8), '{"a":1}'::JSON, 'x'::LowCardinality(String), a::Array(Nullable(String))[1], x::Int8 + y::Int8 * 2
SELECT 'a' || 'b' || c, a || b = c, concat(a, b) || c, (a || b) || c
SELECT count() c, sum(x) total, max(y) AS m FROM t u
SELECT DISTINCT ON (a) a, b FROM t ORDER BY a LIMIT 5
SELECT * FROM (SELECT a FROM t LIMIT 10) x INNER JOIN (SELECT b FROM u) y ON x.a = y.b LEFT ARRAY JOIN z AS w WHERE w
SELECT * FROM t1, t2 AS x, (SELECT 1) AS y, numbers(3) n WHERE t1.a = x.a
SELECT * FROM a LEFT JOIN b ON a.id = b.id AND b.x > 1 OR a.y IS NULL
SELECT * FROM a JOIN b USING (id, ts) JOIN c USING id ORDER BY a.id
SELECT a FROM t ORDER BY a LIMIT 10 WITH TIES SETTINGS max_threads = 2
SELECT a FROM t LIMIT 10 OFFSET 5 SETTINGS max_threads = 2 FORMAT Pretty
SELECT any(x), anyLast(x), argMin(a, b), argMaxIf(a, b, c > 1), groupUniqArray(5)(x), sumMap(k, v), avgWeighted(a, b), uniqCombined(12)(x), quantileIf(0.5)(x, y) FROM t
SELECT formatDateTime(ts, '%Y-%m-%d %H:%i:%S'), parseDateTimeBestEffort('2024'), dateDiff('day', a, b), date_diff(hour, a, b), toStartOfWeek(d, 1), toYearWeek(d)
SELECT if(a, b, c), a ? b : c, multiIf(a, b, c, d, e), ifNull(a, b), a ?: b
SELECT cityHash64(a, b) % 10 AS shard, sipHash64(*), xxHash32(a) FROM t
SELECT * FROM s3('https://b.s3.amazonaws.com/*.csv', 'CSVWithNames') LIMIT 5
SELECT * FROM url('http://x/y.json', 'JSONEachRow', 'a UInt8, b String') WHERE a
SELECT * FROM generate_series(1, 10, 2)
SELECT * FROM VALUES('a UInt8', 1, 2, 3)
SELECT * FROM format(JSONEachRow, '{"a": 1}')
SELECT * FROM merge(REGEXP('^db'), '^t')
SELECT * FROM cluster('default', system.one)
SELECT * FROM t WHERE x IN (SELECT arrayJoin([1, 2, 3])) AND (y, z) NOT IN ((1, 2), (3, 4))
SELECT * FROM t WHERE ts BETWEEN toDateTime('2024-01-01 00:00:00') AND now() AND level IN ['a', 'b']
SELECT * FROM t WHERE match(url, '^/a') AND url NOT ILIKE '%b%' AND hasToken(body, 'err') AND position(body, 'x') > 0
SELECT formatReadableSize(sum(bytes)) AS size, count() AS parts, uniq(partition) FROM system.parts GROUP BY database, table WITH ROLLUP ORDER BY sum(bytes) DESC
SELECT (SELECT max(x) FROM t) - (SELECT min(x) FROM t) AS diff, exists(SELECT 1 FROM t) AS e
SELECT number % 3 AS k, groupArray(number) AS arr, arraySum(arr) FROM numbers(10) GROUP BY k ORDER BY k
SELECT a FROM t FINAL PREWHERE b = 1 WHERE c = 2 GROUP BY a HAVING count() > 1 ORDER BY a LIMIT 1 BY a LIMIT 5 SETTINGS optimize_read_in_order = 1
select 1 as a union all select 2 union all select 3 order by a limit 2
select sum(a), sum(b) from t group by grouping sets ((a), (b)) having sum(a) > 1
SELECT {a:UInt8} + {b:Int64}, {s:String} AS x, {arr:Array(UInt8)}[1], {m:Map(String, UInt8)}
SELECT * FROM {db:Identifier}.{tbl:Identifier} WHERE {col:Identifier} = {v:UInt8}
WITH x AS (SELECT 1 AS a), y AS (SELECT a + 1 AS b FROM x) SELECT * FROM x CROSS JOIN y
WITH now() AS t, toDate(t) AS d SELECT t, d
WITH (SELECT count() FROM t) AS total, arr -> arraySum(arr) / total AS f SELECT f([1, 2])
WITH RECURSIVE tree AS (SELECT id, parent, 0 AS depth FROM nodes WHERE parent = 0 UNION ALL SELECT n.id, n.parent, depth + 1 FROM nodes AS n INNER JOIN tree AS t ON n.parent = t.id) SELECT * FROM tree
SHOW TABLES FROM system LIKE '%log%'
SHOW CREATE TABLE otel.logs
DESCRIBE TABLE (SELECT a, b FROM t)
DESCRIBE TABLE url('http://x', 'CSV')
EXPLAIN indexes = 1, projections = 1 SELECT a FROM t WHERE b = 1
EXPLAIN SYNTAX SELECT * FROM a JOIN b USING id WHERE a.x = 1 AND b.y IN (1, 2)
ALTER TABLE t ADD COLUMN IF NOT EXISTS `x` LowCardinality(String) DEFAULT '' CODEC(ZSTD(1)) AFTER `y`, MODIFY TTL ts + INTERVAL 30 DAY, DROP INDEX IF EXISTS i
ALTER TABLE events UPDATE properties = replaceAll(properties, 'a', 'b'), x = x + 1 WHERE date < '2024-01-01' AND id IN (SELECT id FROM bad)
ALTER TABLE events DELETE WHERE user_id = 5
ALTER TABLE t MODIFY COLUMN a Nullable(String) DEFAULT 'x' COMMENT 'c' CODEC(ZSTD(3)) TTL d + INTERVAL 1 DAY
ALTER TABLE t MODIFY SETTING parts_to_delay_insert = 100, merge_with_ttl_timeout = 3600
DELETE FROM hits WHERE Title LIKE '%hello%' AND d < today() - 30
OPTIMIZE TABLE t PARTITION '2024-01-01' FINAL DEDUPLICATE BY a, b
SET max_memory_usage = 10000000000, join_use_nulls = 1, output_format_json_quote_64bit_integers = 0
CREATE TABLE users (id UInt64, name String, created DateTime DEFAULT now(), email String MATERIALIZED lower(name) || '@x.com', full ALIAS concat(name, ' ', email), INDEX n name TYPE ngrambf_v1(3, 256, 2, 0) GRANULARITY 4, PROJECTION by_name (SELECT name, count() GROUP BY name), CONSTRAINT c CHECK id > 0) ENGINE = ReplacingMergeTree(created) PARTITION BY toYYYYMM(created) ORDER BY (id, name) TTL created + INTERVAL 1 YEAR DELETE, created + INTERVAL 1 MONTH TO VOLUME 'slow' SETTINGS index_granularity = 1024
CREATE TABLE agg (d Date, k LowCardinality(String), s SimpleAggregateFunction(sum, UInt64), u AggregateFunction(uniqCombined(14), String), q AggregateFunction(quantiles(0.5, 0.9), Float32)) ENGINE = AggregatingMergeTree() PARTITION BY tuple() ORDER BY (d, k)
CREATE TABLE t2 AS t ENGINE = MergeTree ORDER BY id PARTITION BY d
CREATE TABLE t3 ENGINE = MergeTree ORDER BY a AS WITH x AS (SELECT 1 AS a) SELECT a, a + 1 AS b FROM x
CREATE VIEW v AS SELECT a, sum(b) AS s FROM t GROUP BY a HAVING s > 10 ORDER BY s DESC
CREATE VIEW pv AS SELECT * FROM t WHERE a = {a:UInt8} AND b IN {b:Array(String)}
CREATE MATERIALIZED VIEW mv ENGINE = SummingMergeTree((a, b)) PARTITION BY toYYYYMM(d) ORDER BY (d, k) SETTINGS index_granularity = 8192 POPULATE AS SELECT d, k, sum(a) AS a, sum(b) AS b FROM t GROUP BY d, k
INSERT INTO t (a, b, c) SETTINGS async_insert = 1 VALUES (1, 'x', [1, 2])
INSERT INTO t (* EXCEPT (id)) SELECT * EXCEPT id FROM u WHERE NOT (a IN (SELECT a FROM t))
INSERT INTO FUNCTION s3('http://x/y.parquet', 'Parquet') SELECT * FROM t
SELECT a b c FROM t
SELECT * FROM t WHERE a = = 1
SELECT * FROM t GROUP BY a ORDER BY b WHERE c
SELECT count( FROM t
SELECT a FROM t WHERE (a = 1 AND (b = 2)
SELECT a FROM t WHERE a IN (1, 2
SELECT * FROM t JOIN u USING
CREATE TABLE t (a UInt8 b String) ENGINE = Memory
CREATE TABLE t (a UInt8) ENGINE = MergeTree PARTITION BY ORDER BY a
INSERT INTO t (a b) VALUES (1)
ALTER TABLE t ADD COLUMN a UInt8 BEFORE b
SELECT sum(x) OVER (PARTITION a) FROM t
SELECT arrayMap(x -> , a)
SELECT {a UInt8}
SELECT 1 +
SELECT * EXCEPT FROM t
