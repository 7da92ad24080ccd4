"""What log shippers and collectors send, by their documentation: Vector's sink, the OpenTelemetry exporter's tables and
batches, Fluent Bit's HTTP output, Telegraf's and rsyslog's plain posts. Requests as they write them, answers as they expect."""
import gzip, json, sys, urllib.error, urllib.parse, urllib.request

PORT = sys.argv[1]


def send(path, body=b"", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", data=body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode(), e.headers


def sql(text):
    status, body, _ = send("/", text.encode())
    assert status == 200, f"{text[:200]}: {body}"
    return body.rstrip("\n")


def check(name, found, expected):
    assert found == expected, f"{name}: {found!r} instead of {expected!r}"


def vector():
    sql("CREATE TABLE vector_logs (timestamp DateTime64(3, 'UTC'), host LowCardinality(String), message String, "
        "`http.status` UInt16, tags Array(String), extra Map(String, String)) ENGINE = MergeTree ORDER BY timestamp")
    # Its health check.
    check("health", urllib.request.urlopen(f"http://127.0.0.1:{PORT}/?query=SELECT%201").read(), b"1\n")
    events = [{"timestamp": "2024-05-01T10:00:%02d.250Z" % (i % 60), "host": "h%d" % (i % 3), "message": "line \"%d\"\twith tab" % i,
               "http": {"status": 200 + i % 2}, "tags": ["a", "b"][: i % 3], "extra": {"k": str(i)}, "unknown_field": i}
              for i in range(1000)]
    body = gzip.compress("".join(json.dumps(e, separators=(",", ":")) + "\n" for e in events).encode())
    query = urllib.parse.quote_plus('INSERT INTO "default"."vector_logs" FORMAT JSONEachRow')
    options = "input_format_import_nested_json=1&input_format_skip_unknown_fields=1&date_time_input_format=best_effort"
    path = f"/?{options}&query={query}"
    status, answer, _ = send(path, body, Content_Type="application/x-ndjson", Content_Encoding="gzip")
    check("insert", (status, answer), (200, ""))
    check("rows", sql("SELECT count(), sum(length(tags)), countIf(`http.status` = 201), uniqExact(extra['k']), min(timestamp) FROM vector_logs"),
          "1000\t999\t500\t1000\t2024-05-01 10:00:00.250")
    # Without leave to skip them unknown fields are an error of the whole batch, which is 4xx or 5xx and not retried as sent.
    status, answer, headers = send(path.replace("skip_unknown_fields=1", "skip_unknown_fields=0"), body, Content_Encoding="gzip")
    check("unknown field", (status >= 400, headers.get("X-ClickHouse-Exception-Code")), (True, "117"))
    check("nothing of it", sql("SELECT count() FROM vector_logs"), "1000")
    # Acknowledged asynchronous inserts, as its settings for them ask.
    path = f"/?{options}&async_insert=1&wait_for_async_insert=1&async_insert_deduplicate=0&query={query}"
    check("async", send(path, body, Content_Encoding="gzip")[:2], (200, ""))
    check("rows again", sql("SELECT count() FROM vector_logs"), "2000")
    # Arrow instead of JSON is its newer encoding; an empty batch is no error.
    check("empty", send(path, gzip.compress(b""), Content_Encoding="gzip")[:2], (200, ""))


ATTRIBUTES = "Map(LowCardinality(String), String) CODEC(ZSTD(1))"
OTEL = [
    """CREATE TABLE IF NOT EXISTS "otel"."otel_logs" (
        Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)), TimestampTime DateTime DEFAULT toDateTime(Timestamp),
        TraceId String CODEC(ZSTD(1)), SpanId String CODEC(ZSTD(1)), TraceFlags UInt8,
        SeverityText LowCardinality(String) CODEC(ZSTD(1)), SeverityNumber UInt8, ServiceName LowCardinality(String) CODEC(ZSTD(1)),
        Body String CODEC(ZSTD(1)), ResourceSchemaUrl LowCardinality(String) CODEC(ZSTD(1)), ResourceAttributes %(a)s,
        ScopeName String CODEC(ZSTD(1)), ScopeAttributes %(a)s, LogAttributes %(a)s, EventName String CODEC(ZSTD(1)),
        INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
        INDEX idx_res_attr_key mapKeys(ResourceAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
        INDEX idx_log_attr_value mapValues(LogAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
        INDEX idx_body Body TYPE tokenbf_v1(32768, 3, 0) GRANULARITY 8
    ) ENGINE = MergeTree() PARTITION BY toDate(TimestampTime) PRIMARY KEY (ServiceName, TimestampTime)
    ORDER BY (ServiceName, TimestampTime, Timestamp) TTL TimestampTime + toIntervalDay(20000)
    SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1""",
    """CREATE TABLE IF NOT EXISTS "otel"."otel_traces" (
        Timestamp DateTime64(9) CODEC(Delta, ZSTD(1)), TraceId String CODEC(ZSTD(1)), SpanId String CODEC(ZSTD(1)),
        ParentSpanId String CODEC(ZSTD(1)), TraceState String CODEC(ZSTD(1)), SpanName LowCardinality(String) CODEC(ZSTD(1)),
        SpanKind LowCardinality(String) CODEC(ZSTD(1)), ServiceName LowCardinality(String) CODEC(ZSTD(1)), ResourceAttributes %(a)s,
        SpanAttributes %(a)s, Duration UInt64 CODEC(ZSTD(1)), StatusCode LowCardinality(String) CODEC(ZSTD(1)), StatusMessage String CODEC(ZSTD(1)),
        Events Nested (Timestamp DateTime64(9), Name LowCardinality(String), Attributes Map(LowCardinality(String), String)) CODEC(ZSTD(1)),
        Links Nested (TraceId String, SpanId String, TraceState String, Attributes Map(LowCardinality(String), String)) CODEC(ZSTD(1)),
        INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
        INDEX idx_span_attr_key mapKeys(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1, INDEX idx_duration Duration TYPE minmax GRANULARITY 1
    ) ENGINE MergeTree() PARTITION BY toDate(Timestamp) ORDER BY (ServiceName, SpanName, toDateTime(Timestamp))
    TTL toDate(Timestamp) + toIntervalDay(36500) SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1""",
    """CREATE TABLE IF NOT EXISTS "otel"."otel_traces_trace_id_ts" (TraceId String CODEC(ZSTD(1)), Start DateTime CODEC(Delta, ZSTD(1)),
        End DateTime CODEC(Delta, ZSTD(1)), INDEX idx_trace_id TraceId TYPE bloom_filter(0.01) GRANULARITY 1)
    ENGINE MergeTree() PARTITION BY toDate(Start) ORDER BY (TraceId, Start) SETTINGS index_granularity = 8192""",
    """CREATE MATERIALIZED VIEW IF NOT EXISTS "otel"."otel_traces_trace_id_ts_mv" TO "otel"."otel_traces_trace_id_ts" AS
    SELECT TraceId, min(Timestamp) AS Start, max(Timestamp) AS End FROM "otel"."otel_traces" WHERE TraceId != '' GROUP BY TraceId""",
    """CREATE TABLE IF NOT EXISTS "otel"."otel_metrics_sum" (
        ResourceAttributes %(a)s, ScopeName String CODEC(ZSTD(1)), ServiceName LowCardinality(String) CODEC(ZSTD(1)),
        MetricName String CODEC(ZSTD(1)), MetricUnit String CODEC(ZSTD(1)), Attributes %(a)s,
        StartTimeUnix DateTime64(9) CODEC(Delta, ZSTD(1)), TimeUnix DateTime64(9) CODEC(Delta, ZSTD(1)), Value Float64 CODEC(ZSTD(1)), Flags UInt32 CODEC(ZSTD(1)),
        Exemplars Nested (FilteredAttributes Map(LowCardinality(String), String), TimeUnix DateTime64(9), Value Float64, SpanId String, TraceId String) CODEC(ZSTD(1)),
        AggregationTemporality Int32 CODEC(ZSTD(1)), IsMonotonic Boolean CODEC(Delta, ZSTD(1)),
        INDEX idx_attr_key mapKeys(Attributes) TYPE bloom_filter(0.01) GRANULARITY 1
    ) ENGINE MergeTree() PARTITION BY toDate(TimeUnix) ORDER BY (ServiceName, MetricName, Attributes, toUnixTimestamp64Nano(TimeUnix))
    SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1""",
]


def opentelemetry():
    sql("CREATE DATABASE IF NOT EXISTS otel")
    for statement in OTEL + OTEL:  # Every start of the collector creates what is there already.
        sql(statement % {"a": ATTRIBUTES})
    settings = "database=otel&async_insert=1&wait_for_async_insert=1&date_time_input_format=best_effort"

    def batch(table, rows):
        columns = ", ".join(f"`{name}`" for name in rows[0])
        query = urllib.parse.quote(f'INSERT INTO "otel"."{table}" ({columns}) FORMAT JSONEachRow')
        check(table, send(f"/?{settings}&query={query}", "\n".join(map(json.dumps, rows)).encode())[:2], (200, ""))

    at = lambda i: "2024-05-01T10:%02d:%02d.%09dZ" % (i // 60 % 60, i % 60, i)
    batch("otel_logs", [{"Timestamp": at(i), "TraceId": "%032x" % (i // 5), "SpanId": "%016x" % i, "TraceFlags": 1, "SeverityText": "INFO",
                         "SeverityNumber": 9, "ServiceName": "shop", "Body": "order %d done" % i, "ResourceSchemaUrl": "",
                         "ResourceAttributes": {"host.name": "n%d" % (i % 2)}, "ScopeName": "s", "ScopeAttributes": {}, "LogAttributes": {"user": str(i)},
                         "EventName": ""} for i in range(500)])
    batch("otel_traces", [{"Timestamp": at(i), "TraceId": "%032x" % (i // 4), "SpanId": "%016x" % i, "ParentSpanId": "", "TraceState": "", "SpanName": "GET /",
                           "SpanKind": "Server", "ServiceName": "shop", "ResourceAttributes": {}, "SpanAttributes": {"http.route": "/"}, "Duration": i * 1000,
                           "StatusCode": "Ok", "StatusMessage": "", "Events.Timestamp": [at(i)], "Events.Name": ["e"], "Events.Attributes": [{"a": "b"}],
                           "Links.TraceId": [], "Links.SpanId": [], "Links.TraceState": [], "Links.Attributes": []} for i in range(400)])
    batch("otel_metrics_sum", [{"ResourceAttributes": {}, "ScopeName": "", "ServiceName": "shop", "MetricName": "requests", "MetricUnit": "1",
                                "Attributes": {"code": str(200 + i % 3)}, "StartTimeUnix": at(0), "TimeUnix": at(i), "Value": float(i), "Flags": 0,
                                "Exemplars.FilteredAttributes": [], "Exemplars.TimeUnix": [], "Exemplars.Value": [], "Exemplars.SpanId": [],
                                "Exemplars.TraceId": [], "AggregationTemporality": 2, "IsMonotonic": True} for i in range(300)])
    check("logs", sql("SELECT count(), uniqExact(TraceId), countIf(ResourceAttributes['host.name'] = 'n1'), min(TimestampTime) = toDateTime('2024-05-01 10:00:00') "
                      "FROM otel.otel_logs"), "500\t100\t250\t1")
    check("traces", sql("SELECT count(), sum(Duration), any(Events.Name), any(Events.Attributes) FROM otel.otel_traces"), "400\t79800000\t['e']\t[{'a':'b'}]")
    check("view", sql("SELECT count(), max(End) >= min(Start) FROM otel.otel_traces_trace_id_ts"), "100\t1")
    check("metrics", sql("SELECT Attributes['code'], max(Value) FROM otel.otel_metrics_sum GROUP BY 1 ORDER BY 1"), "200\t297\n201\t298\n202\t299")
    check("by trace", sql("WITH '%032x' AS id, (SELECT min(Start) FROM otel.otel_traces_trace_id_ts WHERE TraceId = id) AS start, "
                          "(SELECT max(End) + 1 FROM otel.otel_traces_trace_id_ts WHERE TraceId = id) AS end "
                          "SELECT count() FROM otel.otel_traces WHERE TraceId = id AND Timestamp >= start AND Timestamp <= end" % 7), "4")


def plain_posts():
    sql("CREATE TABLE fluent (date Float64, log String, kubernetes Map(String, String)) ENGINE = MergeTree ORDER BY date")
    rows = [{"date": 1714557600.5 + i, "log": "l%d" % i, "kubernetes": {"pod": "p"}} for i in range(50)]
    # Fluent Bit: lines of JSON, or one array of objects, with the header of its own.
    lines = "\n".join(map(json.dumps, rows)).encode()
    path = "/?query=INSERT%20INTO%20fluent%20FORMAT%20JSONEachRow"
    check("lines", send(path, lines, Content_Type="application/json", User_Agent="Fluent-Bit")[0], 200)
    check("array", send(path, json.dumps(rows).encode(), Content_Type="application/json")[0], 200)
    check("fluent", sql("SELECT count(), uniqExact(log), max(date) FROM fluent"), "100\t50\t1714557649.5")
    # rsyslog: the statement with its values in the body.
    sql("CREATE TABLE syslog (severity UInt8, facility UInt8, at DateTime, host String, tag String, message String) ENGINE = MergeTree ORDER BY at")
    body = "INSERT INTO syslog (severity, facility, at, host, tag, message) VALUES (6, 3, '2024-05-01 10:00:00', 'web', 'sshd:', 'it\\'s a \\\\ path') "
    check("syslog", send("/", body.encode(), Content_Type="application/json")[0], 200)
    check("message", sql("SELECT message FROM syslog FORMAT TSVRaw"), "it's a \\ path")


vector()
opentelemetry()
plain_posts()
print("Vector, OpenTelemetry, Fluent Bit and rsyslog requests are taken")
