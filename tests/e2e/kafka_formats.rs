//! Binary formats through a real broker, both ways: what INSERT sends is what the views get. Schemas come
//! from files and from a registry over real HTTP, whose silence no message is blamed for.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::harness::kafka::Broker;
use crate::harness::server::Server;
use crate::harness::skipped;

const WAIT: Duration = Duration::from_secs(60);

/// A registry that knows what is registered with it, for as long as it is `up`.
fn registry(up: Arc<AtomicBool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut schemas: Vec<String> = vec![];
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = vec![];
            let mut buffer = [0; 8192];
            let text = loop {
                let n = stream.read(&mut buffer).unwrap_or(0);
                request.extend_from_slice(&buffer[..n]);
                let text = String::from_utf8_lossy(&request).into_owned();
                let length = text.lines().find_map(|l| l.strip_prefix("Content-Length: "));
                let wanted: usize = length.and_then(|l| l.parse().ok()).unwrap_or(0);
                let body = text.split_once("\r\n\r\n").map(|(_, body)| body.len());
                if n == 0 || body.is_some_and(|b| b >= wanted) {
                    break text;
                }
            };
            let body = text.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
            let id = text.split("/schemas/ids/").nth(1).and_then(|t| t.split(' ').next());
            let (status, answer) = match id.and_then(|id| id.parse::<usize>().ok()) {
                _ if !up.load(Ordering::SeqCst) => (503, String::new()),
                Some(id) if id < schemas.len() => (200, schemas[id].clone()),
                Some(_) => (404, "{}".into()),
                None => {
                    schemas.push(body.to_string());
                    (200, format!("{{\"id\":{}}}", schemas.len() - 1))
                }
            };
            let length = answer.len();
            let _ =
                write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n\r\n{answer}");
        }
    });
    format!("http://user:registry-secret@{address}")
}

#[test]
fn binary_formats_go_round() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("binary_formats_go_round", &why),
    };
    let server = Server::start("formats");
    let schemas = server.data_dir.join("format_schemas");
    std::fs::create_dir_all(&schemas).expect("a folder of schemas");
    let proto = "syntax = \"proto3\"; message Row { uint64 id = 1; string name = 2; repeated int32 list = 3; \
                 message Inner { double x = 1; } Inner inner = 4; map<string, uint32> tags = 5; } \
                 message Envelope { repeated Row row = 1; }";
    std::fs::write(schemas.join("rows.proto"), proto).expect("a schema");
    let capnp = "@0xdeadbeefdeadbeef; struct Row { id @0 :UInt64; name @1 :Text; list @2 :List(Int32); \
                 inner @3 :Inner; tags @4 :Tags; struct Inner { x @0 :Float64; } \
                 struct Tags { entries @0 :List(Entry); struct Entry { key @0 :Text; value @1 :UInt32; } } }";
    std::fs::write(schemas.join("rows.capnp"), capnp).expect("a schema");
    let up = Arc::new(AtomicBool::new(true));
    let url = registry(up.clone());
    let avro = format!(
        "format_avro_schema_registry_url = '{url}', output_format_avro_confluent_subject = 's', \
         format_avro_schema_registry_max_retries = 0"
    );
    let formats = [
        ("Avro", String::new()),
        ("ORC", String::new()),
        ("BSONEachRow", String::new()),
        ("AvroConfluent", avro),
        ("CapnProto", "kafka_schema = 'rows.capnp:Row'".to_string()),
        ("Protobuf", "kafka_schema = 'rows.proto:Row'".to_string()),
        ("ProtobufSingle", "kafka_schema = 'rows:Row'".to_string()),
        ("ProtobufList", "kafka_schema = 'rows:Row'".to_string()),
    ];
    let columns =
        "id UInt64, name String, list Array(Int32), `inner.x` Float64, tags Map(String, UInt32)";
    for (format, settings) in &formats {
        let columns = match format.contains("Proto") {
            false => columns.replace("`inner.x`", "x"),
            true => columns.to_string(),
        };
        let topic = format.to_ascii_lowercase();
        broker.create_topic(&topic, 1);
        let comma = if settings.is_empty() { "" } else { ", " };
        server.sql(&format!("CREATE TABLE to_{topic} ({columns}) ENGINE = MergeTree ORDER BY id"));
        server.sql(&format!(
            "CREATE TABLE {topic} ({columns}) ENGINE = Kafka('{}', '{topic}', 'g_{topic}', '{format}') \
             SETTINGS kafka_handle_error_mode = 'dead_letter_queue'{comma}{settings}",
            broker.address()
        ));
        let rows = "SELECT number AS id, concat('n', toString(number)), [toInt32(number), -1], number / 2, \
                    map('k', toUInt32(number)) FROM numbers(300)";
        if *format == "AvroConfluent" {
            // The registry knows nothing yet: the view waits and no message is set aside.
            server.sql(&format!("INSERT INTO {topic} {rows}"));
            up.store(false, Ordering::SeqCst);
            server.sql(&format!(
                "CREATE MATERIALIZED VIEW v_{topic} TO to_{topic} AS SELECT * FROM {topic}"
            ));
            let seen = "SELECT count() > 0 FROM system.kafka_consumers WHERE table = 'avroconfluent' \
                        AND position(last_error, 'registry cannot be asked') > 0";
            server.until(seen, "1", WAIT);
            up.store(true, Ordering::SeqCst);
        } else {
            server.sql(&format!(
                "CREATE MATERIALIZED VIEW v_{topic} TO to_{topic} AS SELECT * FROM {topic}"
            ));
            server.sql(&format!("INSERT INTO {topic} {rows}"));
        }
    }
    for (format, _) in &formats {
        let topic = format.to_ascii_lowercase();
        let x = if format.contains("Proto") { "inner.x" } else { "x" };
        server.until(
            &format!("SELECT count(), sum(id), uniqExact(name), sum(list[1]), sum(`{x}`), sum(tags['k']) FROM to_{topic}"),
            "300\t44850\t300\t44850\t22425\t44850",
            WAIT,
        );
    }
    assert_eq!(server.sql("SELECT count() FROM system.dead_letter_queue"), "0");
    let shown = server.sql("SHOW CREATE TABLE avroconfluent");
    assert!(!shown.contains("registry-secret") && shown.contains("user:[HIDDEN]@"), "{shown}");
    assert!(!server.log_text().contains("registry-secret"));
}

#[test]
fn json_columns_go_round() {
    let broker = match Broker::start() {
        Ok(broker) => broker,
        Err(why) => return skipped("json_columns_go_round", &why),
    };
    let server = Server::start("json_columns");
    broker.create_topic("docs", 1);
    server.sql(
        "CREATE TABLE to_docs (id UInt64, doc JSON, any Dynamic) ENGINE = MergeTree ORDER BY id",
    );
    server.sql(&format!(
        "CREATE TABLE docs (id UInt64, doc JSON, any Dynamic) ENGINE = Kafka('{}', 'docs', 'g', 'JSONEachRow') \
         SETTINGS kafka_handle_error_mode = 'dead_letter_queue'",
        broker.address()
    ));
    server.sql("CREATE MATERIALIZED VIEW v_docs TO to_docs AS SELECT * FROM docs");
    server.sql(
        "INSERT INTO docs SELECT number, concat('{\"n\":', toString(number), ',\"deep\":{\"s\":\"t', \
         toString(number), '\"},\"list\":[1,', toString(number), ']}')::JSON, \
         if(number % 2 = 0, number::Dynamic, concat('x', toString(number))::Dynamic) FROM numbers(100)",
    );
    server.until(
        "SELECT count(), sum(doc.n::UInt64), uniqExact(doc.deep.s::String), \
         sum(doc.list::Array(UInt64)[2]), countIf(dynamicType(any) = 'String') FROM to_docs",
        "100\t4950\t100\t4950\t50",
        WAIT,
    );
    assert_eq!(server.sql("SELECT count() FROM system.dead_letter_queue"), "0");
}
