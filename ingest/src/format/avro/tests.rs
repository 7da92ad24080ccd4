//! Bytes that ClickHouse writes, read and written; broken input; a registry over HTTP.

use std::io::{Read, Write};

use pumphouse_query::context::Settings;
use pumphouse_query::text;
use pumphouse_storage::types::{TimeZone, parse_data_type};
use pumphouse_storage::{Block, Column};

use super::super::{FormatOptions, FormatReader, InputColumn, WriterStatistics, reader, writer};
use super::encode::{long, sized};

/// Type, value, schema, bytes of the value.
#[rustfmt::skip]
const WRITTEN: &[(&str, &str, &str, &str)] = &[
    (r#"UInt8"#, r#"200"#, r#""int""#, "9003"),
    (r#"Int8"#, r#"-1"#, r#""int""#, "01"),
    (r#"UInt32"#, r#"4000000000"#, r#""int""#, "ffdfa69902"),
    (r#"Int64"#, r#"-5000000000"#, r#""long""#, "ffc7afa025"),
    (r#"UInt64"#, r#"18446744073709551615"#, r#""long""#, "01"),
    (r#"Float32"#, r#"1.5"#, r#""float""#, "0000c03f"),
    (r#"Float64"#, r#"-2.5"#, r#""double""#, "00000000000004c0"),
    (r#"Bool"#, r#"true"#, r#""boolean""#, "01"),
    (r#"String"#, r#"abc"#, r#""string""#, "06616263"),
    (r#"FixedString(3)"#, r#"ab"#, r#"{"type":"fixed","name":"fixed_1","size":3}"#, "616200"),
    (r#"Date"#, r#"2024-01-02"#, r#"{"type":"int","logicalType":"date"}"#, "98b402"),
    (r#"Date32"#, r#"1960-01-01"#, r#"{"type":"int","logicalType":"date"}"#, "8939"),
    (r#"DateTime('UTC')"#, r#"2024-01-02 03:04:05"#, r#""int""#, "caf49bd90c"),
    (r#"DateTime64(3, 'UTC')"#, r#"2024-01-02 03:04:05.678"#, r#"{"type":"long","logicalType":"timestamp-millis"}"#, "dcec86829963"),
    (r#"DateTime64(6, 'UTC')"#, r#"2024-01-02 03:04:05.678000"#, r#"{"type":"long","logicalType":"timestamp-micros"}"#, "e0aec185b8fb8606"),
    (r#"DateTime64(9, 'UTC')"#, r#"2024-01-02 03:04:05.678000000"#, r#"{"type":"bytes","logicalType":"decimal","precision":18,"scale":9}"#, "1017a668b7586aa780"),
    (r#"Decimal(9, 2)"#, r#"1.25"#, r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#, "080000007d"),
    (r#"Decimal(18, 4)"#, r#"-1.25"#, r#"{"type":"bytes","logicalType":"decimal","precision":18,"scale":4}"#, "10ffffffffffffcf2c"),
    (r#"Decimal(38, 4)"#, r#"-1.25"#, r#"{"type":"bytes","logicalType":"decimal","precision":38,"scale":4}"#, "20ffffffffffffffffffffffffffffcf2c"),
    (r#"Decimal(76, 4)"#, r#"1.25"#, r#"{"type":"bytes","logicalType":"decimal","precision":76,"scale":4}"#, "4000000000000000000000000000000000000000000000000000000000000030d4"),
    (r#"Enum8('a' = 1, 'b' = 2)"#, r#"b"#, r#"{"type":"enum","name":"enum8_1","symbols":["a","b"]}"#, "02"),
    (r#"UUID"#, r#"00112233-4455-6677-8899-aabbccddeeff"#, r#"{"type":"string","logicalType":"uuid"}"#, "4830303131323233332d343435352d363637372d383839392d616162626363646465656666"),
    (r#"IPv4"#, r#"255.1.2.3"#, r#""int""#, "f9f7f70f"),
    (r#"IPv6"#, r#"::1"#, r#"{"type":"fixed","name":"ipv6_1","size":16}"#, "00000000000000000000000000000001"),
    (r#"Int128"#, r#"-1"#, r#"{"type":"fixed","name":"int1281","size":16}"#, "ffffffffffffffffffffffffffffffff"),
    (r#"UInt256"#, r#"7"#, r#"{"type":"fixed","name":"uint2561","size":32}"#, "0700000000000000000000000000000000000000000000000000000000000000"),
    (r#"Nullable(Int32)"#, r#"5"#, r#"["null","int"]"#, "020a"),
    (r#"LowCardinality(String)"#, r#"x"#, r#""string""#, "0278"),
    (r#"Array(UInt16)"#, r#"[1,300]"#, r#"{"type":"array","items":"int"}"#, "0402d80400"),
    (r#"Array(Nullable(String))"#, r#"['a',NULL]"#, r#"{"type":"array","items":["null","string"]}"#, "040202610000"),
    (r#"Tuple(a UInt8, b String)"#, r#"(1,'x')"#, r#"{"type":"record","name":"c_1","fields":[{"name":"a","type":"int"},{"name":"b","type":"string"}]}"#, "020278"),
    (r#"Array(Tuple(a UInt8, b String))"#, r#"[(1,'x'),(2,'y')]"#, r#"{"type":"array","items":{"type":"record","name":"c_2","fields":[{"name":"a","type":"int"},{"name":"b","type":"string"}]}}"#, "0402027804027900"),
];

fn options(settings: &[(&str, &str)]) -> FormatOptions {
    let mut own = Settings::default();
    settings.iter().for_each(|(name, value)| own.set(*name, *value));
    FormatOptions { settings: own, time_zone: TimeZone::UTC }
}

fn columns(list: &[(&str, &str)]) -> Vec<InputColumn> {
    let column = |(name, t): &(&str, &str)| InputColumn {
        name: name.to_string(),
        data_type: parse_data_type(t).unwrap(),
    };
    list.iter().map(column).collect()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[i * 2..i * 2 + 2], 16).unwrap()).collect()
}

/// A container of rows that are already encoded.
fn container(schema: &str, rows: usize, body: &[u8]) -> Vec<u8> {
    let mut out = b"Obj\x01".to_vec();
    long(1, &mut out);
    sized(b"avro.schema", &mut out);
    sized(schema.as_bytes(), &mut out);
    long(0, &mut out);
    out.extend_from_slice(&[7; 16]);
    long(rows as i64, &mut out);
    sized(body, &mut out);
    out.extend_from_slice(&[7; 16]);
    out
}

fn write(name: &str, block: &Block, options: &FormatOptions) -> Vec<u8> {
    let (mut writer, mut out) = (writer(name, options).unwrap(), vec![]);
    writer.prefix(&block.schema(), &mut out).unwrap();
    writer.block(block, &mut out).unwrap();
    writer.suffix(&WriterStatistics::default(), &mut out).unwrap();
    out
}

fn shown(reader: &mut dyn FormatReader) -> String {
    let rows = reader.take().unwrap();
    let mut out = vec![];
    for row in 0..rows.rows {
        for column in &rows.columns {
            text::write_text(
                &column.data_type,
                column.array.as_ref(),
                row,
                TimeZone::UTC,
                &mut out,
            );
            out.push(b'|');
        }
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn bytes_are_those_of_clickhouse_and_read_back() {
    for (name, value, schema, bytes) in WRITTEN {
        let data_type = parse_data_type(name).unwrap();
        let value = text::parse_value(&data_type, value.as_bytes(), TimeZone::UTC).unwrap();
        let column = Column::from_values(data_type, std::slice::from_ref(&value)).unwrap();
        let block = Block::new(vec![("c".into(), column)]);
        let out = write("Avro", &block, &options(&[("output_format_avro_codec", "null")]));
        let text = String::from_utf8_lossy(&out);
        let whole = format!(
            "{{\"type\":\"record\",\"name\":\"row\",\"fields\":[{{\"name\":\"c\",\"type\":{schema}}}]}}"
        );
        assert!(text.contains(&whole), "{name}: {text}");
        let body = hex(bytes);
        assert_eq!(&out[out.len() - 16 - body.len()..out.len() - 16], body, "{name}");
        for codec in ["null", "deflate", "snappy", "zstd", ""] {
            let file = write("Avro", &block, &options(&[("output_format_avro_codec", codec)]));
            let mut reader = reader("Avro", &columns(&[("c", name)]), &options(&[])).unwrap();
            assert_eq!(reader.read_message(&file), Ok(1), "{name} {codec}");
            assert_eq!(reader.take().unwrap().columns[0].value(0), value, "{name} {codec}");
        }
    }
}

#[test]
fn records_are_looked_into_and_the_rest_is_passed_over() {
    let schema = r#"{"type":"record","name":"r","fields":[{"name":"skipped","type":{"type":"map","values":["null","string"]}},
        {"name":"t","type":{"type":"record","name":"inner","fields":[{"name":"a","type":"int"},{"name":"b","type":"string"}]}},
        {"name":"more","type":["null",{"type":"array","items":"inner"}]},{"name":"z","type":["null","long"]}]}"#;
    // {'k': null}, (5, 'x'), [(1, '')], null
    let row = hex("02026b00000a0278020202000000");
    let file = container(schema, 1, &row);
    let reader_of = |list: &[(&str, &str)], settings: &[(&str, &str)]| {
        let mut reader = reader("Avro", &columns(list), &options(settings)).unwrap();
        reader.read_message(&file).map(|_| shown(&mut *reader)).map_err(|e| e.code)
    };
    let wanted = [("t.b", "String"), ("z", "Nullable(Int8)"), ("t.a", "UInt64")];
    assert_eq!(reader_of(&wanted, &[]).as_deref(), Ok("x|NULL|5|"));
    assert_eq!(reader_of(&[("t", "Tuple(b String, a Int8)")], &[]).as_deref(), Ok("('x',5)|"));
    assert_eq!(reader_of(&[("z", "Int32")], &[]).as_deref(), Ok("0|"));
    assert_eq!(reader_of(&[("z", "Int32")], &[("input_format_null_as_default", "0")]), Err(36));
    assert_eq!(reader_of(&[("none", "Int32")], &[]), Err(8));
    let allowed = [("input_format_avro_allow_missing_fields", "1")];
    assert_eq!(reader_of(&[("none", "Int32")], &allowed).as_deref(), Ok("0|"));
    assert_eq!(reader_of(&[("z", "String")], &[]), Err(44));
    assert_eq!(reader_of(&[("t", "Tuple(a Int8)")], &[]), Err(117));
}

#[test]
fn a_stream_may_be_cut_anywhere_and_damage_is_an_error() {
    let column = Column::from_values(
        parse_data_type("UInt64").unwrap(),
        &(0..5000).map(pumphouse_storage::Value::UInt).collect::<Vec<_>>(),
    );
    let block = Block::new(vec![("c".into(), column.unwrap())]);
    let settings =
        [("output_format_avro_codec", "zstd"), ("output_format_avro_sync_interval", "100")];
    let file = write("Avro", &block, &options(&settings));
    let wanted = columns(&[("c", "UInt64")]);
    let reader_of = || reader("Avro", &wanted, &options(&[])).unwrap();
    let mut reader = reader_of();
    let (mut at, mut end) = (0, 0);
    while at < file.len() {
        end = (end + 777).min(file.len());
        at += reader.read_stream(&file[at..end], end == file.len(), 1000).unwrap();
    }
    assert_eq!(reader.rows(), 5000);
    for cut in [0, 3, 20, 60, file.len() / 2, file.len() - 1] {
        let mut reader = reader_of();
        if cut > 0 {
            assert!(reader.read_message(&file[..cut]).is_err(), "{cut}");
        }
        assert_eq!(reader.rows(), 0);
    }
    let mut random = 7u64;
    for _ in 0..2000 {
        let mut bad = file.clone();
        for _ in 0..3 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let at = (random >> 33) as usize % bad.len();
            bad[at] = (random >> 20) as u8;
        }
        let _ = reader_of().read_message(&bad);
    }
}

/// Answers each request by `answer(request line and body)`, and counts them.
fn registry(answers: Vec<(u16, String)>) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://me:p%40ss@{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let mut seen = vec![];
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![];
            let mut buffer = [0; 4096];
            loop {
                let n = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..n]);
                let text = String::from_utf8_lossy(&request).into_owned();
                let Some((head, rest)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: ")).unwrap();
                if rest.len() >= length.parse::<usize>().unwrap() {
                    seen.push(text);
                    break;
                }
            }
            let length = body.len();
            let _ = write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n\r\n{body}");
        }
        seen
    });
    (url, thread)
}

#[test]
fn a_registry_is_asked_once_and_is_no_messages_fault() {
    let schema = r#"{"type":"record","name":"r","fields":[{"name":"a","type":"int"}]}"#;
    let found = serde_json::json!({ "schema": schema }).to_string();
    let answers = vec![
        (200, r#"{"id":12}"#.to_string()),
        (503, String::new()),
        (200, found),
        (404, r#"{"error_code":40403}"#.to_string()),
    ];
    let (url, thread) = registry(answers);
    let settings = [
        ("format_avro_schema_registry_url", url.as_str()),
        ("output_format_avro_confluent_subject", "t-value"),
        ("format_avro_schema_registry_retry_initial_backoff_ms", "1"),
    ];
    let column = Column::from_values(
        parse_data_type("Int32").unwrap(),
        &[pumphouse_storage::Value::UInt(3), pumphouse_storage::Value::UInt(4)],
    );
    let block = Block::new(vec![("a".into(), column.unwrap())]);
    let bytes = write("AvroConfluent", &block, &options(&settings));
    assert_eq!(bytes, hex("000000000c06000000000c08"));
    let mut reader =
        reader("AvroConfluent", &columns(&[("a", "UInt8")]), &options(&settings)).unwrap();
    assert_eq!(reader.read_message(&bytes), Ok(2));
    assert_eq!(reader.read_message(&bytes), Ok(2), "known by now");
    assert_eq!(shown(&mut *reader), "3|4|3|4|");
    assert_eq!(reader.read_message(&hex("000000000d06")).unwrap_err().code, 117, "unknown");
    assert_eq!(reader.read_message(&hex("000000000d06")).unwrap_err().code, 117, "remembered");
    assert_eq!(reader.read_message(&hex("010000000c06")).unwrap_err().code, 117, "no magic");
    let seen = thread.join().unwrap();
    assert!(seen[0].starts_with("POST /subjects/t-value/versions HTTP/1.1"), "{}", seen[0]);
    assert!(seen[1].starts_with("GET /schemas/ids/12 "), "{}", seen[1]);
    assert!(seen.iter().all(|s| s.contains("Authorization: Basic bWU6cEBzcw==")));
    let nobody = [
        ("format_avro_schema_registry_url", "http://127.0.0.1:1"),
        ("format_avro_schema_registry_max_retries", "0"),
    ];
    let mut reader =
        super::super::reader("AvroConfluent", &columns(&[("a", "UInt8")]), &options(&nobody))
            .unwrap();
    assert_eq!(reader.read_message(&bytes).unwrap_err().code, 210);
}
