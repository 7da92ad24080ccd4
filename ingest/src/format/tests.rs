//! Formats against ClickHouse's own output and answers (`testdata`, made by its `generate.py`), round
//! trips from every writer to its reader, mutations and cuts of valid input.

use pumphouse_query::context::Settings;
use pumphouse_storage::types::{TimeZone, parse_data_type};
use pumphouse_storage::{Block, Column, DataType};
use serde_json::Value as Json;

use super::*;

fn options() -> FormatOptions {
    let mut settings = Settings::default();
    // What Regexp and Template cannot do without.
    settings.set("format_regexp", "(.*)");
    let places = (0..ROUND_TRIP.len()).map(|i| format!("${{c{i}:Quoted}}"));
    settings.set("format_template_row_format", places.collect::<Vec<_>>().join(" / "));
    FormatOptions { settings, time_zone: TimeZone::UTC }
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| c as u32 as u8).collect()
}

/// `a UInt8, b Tuple(x String)` as columns.
fn schema(text: &str) -> Vec<InputColumn> {
    let tuple = parse_data_type(&format!("Tuple({text})")).unwrap();
    let DataType::Tuple(elements) = tuple else { unreachable!() };
    elements
        .into_iter()
        .map(|e| InputColumn { name: e.name.unwrap(), data_type: e.data_type })
        .collect()
}

fn to_block(columns: &[InputColumn], rows: ParsedRows) -> Block {
    Block::new(columns.iter().map(|c| c.name.clone()).zip(rows.columns).collect())
}

fn write(name: &str, block: &Block) -> Vec<u8> {
    let mut writer = writer(name, &options()).unwrap();
    let mut out = vec![];
    writer.prefix(&block.schema(), &mut out).unwrap();
    writer.block(block, &mut out).unwrap();
    let statistics = WriterStatistics {
        rows_before_limit: None,
        elapsed_seconds: 0.25,
        rows_read: 7,
        bytes_read: 7,
    };
    writer.suffix(&statistics, &mut out).unwrap();
    out
}

/// The records of `writers.golden`.
fn golden() -> Vec<(String, String, Vec<u8>)> {
    let bytes = include_bytes!("testdata/writers.golden");
    let mut records = vec![];
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let end = rest.iter().position(|b| *b == b'\n').unwrap();
        let line = std::str::from_utf8(&rest[..end]).unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        let length: usize = words[3].parse().unwrap();
        let text = rest[end + 1..end + 1 + length].to_vec();
        records.push((words[1].to_string(), words[2].to_string(), text));
        rest = &rest[end + 2 + length..];
    }
    records
}

/// The block that a TSVWithNamesAndTypes record holds.
fn block_of(text: &[u8]) -> Block {
    let mut lines = text.split(|b| *b == b'\n');
    let mut words = || -> Vec<String> {
        let line = lines.next().unwrap();
        line.split(|b| *b == b'\t')
            .map(|w| String::from_utf8_lossy(w).replace("\\'", "'"))
            .collect()
    };
    let (names, types) = (words(), words());
    let columns: Vec<InputColumn> = names
        .into_iter()
        .zip(types)
        .map(|(name, t)| InputColumn { name, data_type: parse_data_type(&t).unwrap() })
        .collect();
    let mut reader = reader("TSVWithNamesAndTypes", &columns, &options()).unwrap();
    reader.read_stream(text, true, usize::MAX).unwrap();
    to_block(&columns, reader.take().unwrap())
}

fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn writers_write_what_clickhouse_writes() {
    let records = golden();
    let mut wrong = vec![];
    for (case, name, want) in &records {
        if case == "totals" {
            continue;
        }
        let input = records
            .iter()
            .find(|(c, n, _)| c == case && n == "TSVWithNamesAndTypes")
            .map(|(_, _, text)| text)
            .unwrap();
        let got = write(name, &block_of(input));
        if got != *want {
            wrong.push(format!("{case} {name}\n--- got\n{}\n--- want\n{}", show(&got), show(want)));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n=====\n"));
}

#[test]
fn totals_and_extremes() {
    let block = |rows: &[(u64, u64)]| {
        let column = |name: &str, values: Vec<pumphouse_storage::Value>| {
            let dt = parse_data_type(name).unwrap();
            Column::from_values(dt, &values).unwrap()
        };
        let value = pumphouse_storage::Value::UInt;
        Block::new(vec![
            ("k".into(), column("UInt8", rows.iter().map(|r| value(r.0)).collect())),
            ("c".into(), column("UInt64", rows.iter().map(|r| value(r.1)).collect())),
        ])
    };
    let mut wrong = vec![];
    for (case, name, want) in golden() {
        if case != "totals" {
            continue;
        }
        let mut writer = writer(&name, &options()).unwrap();
        let mut out = vec![];
        let data = block(&[(0, 3)]);
        writer.prefix(&data.schema(), &mut out).unwrap();
        writer.block(&data, &mut out).unwrap();
        writer.totals(&block(&[(0, 5)]), &mut out).unwrap();
        writer.extremes(&block(&[(0, 3), (0, 3)]), &mut out).unwrap();
        let statistics = WriterStatistics {
            rows_before_limit: Some(2),
            elapsed_seconds: 0.25,
            rows_read: 7,
            bytes_read: 7,
        };
        writer.suffix(&statistics, &mut out).unwrap();
        if out != want {
            wrong.push(format!("{name}\n--- got\n{}\n--- want\n{}", show(&out), show(&want)));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n=====\n"));
}

#[test]
fn readers_read_what_clickhouse_reads() {
    let mut wrong = vec![];
    for line in include_str!("testdata/readers.jsonl").lines() {
        let record: Json = serde_json::from_str(line).unwrap();
        let text = |key: &str| record[key].as_str().unwrap();
        let columns = schema(text("schema"));
        let mut reader = reader(text("format"), &columns, &options()).unwrap();
        let input = latin1(text("input"));
        let got = match reader.read_stream(&input, true, usize::MAX) {
            Ok(_) => {
                let block = to_block(&columns, reader.take().unwrap());
                show(&write("TSV", &block))
            }
            Err(e) => format!("E{} {}", e.code, e.message),
        };
        let want = match record["code"].as_u64() {
            Some(code) => format!("E{code}"),
            None => show(&latin1(text("output"))),
        };
        let same = match record["code"].as_u64() {
            Some(_) => got.starts_with(&format!("{want} ")),
            None => got == want,
        };
        if !same {
            let input: String = text("input").chars().take(120).collect();
            wrong.push(format!(
                "{} {}: {input:?}\n   got  {got:?}\n   want {want:?}",
                text("format"),
                text("schema")
            ));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Types for round trips, with texts of values that are hard in some format.
const ROUND_TRIP: [(&str, &[&str]); 29] = [
    ("UInt8", &["0", "255"]),
    ("Int16", &["-32768", "32767"]),
    ("UInt64", &["18446744073709551615", "1"]),
    ("Int64", &["-9223372036854775808", "0"]),
    ("Int128", &["-170141183460469231731687303715884105728", "7"]),
    (
        "UInt256",
        &["115792089237316195423570985008687907853269984665640564039457584007913129639935"],
    ),
    ("Float32", &["0.1", "-3.4e38", "1e-30"]),
    ("Float64", &["0.1", "1e21", "5e-324", "-0", "123456789.123"]),
    ("Bool", &["true", "false"]),
    ("String", &["", "a,b\tc\nd\"e'f\\g\r\u{0}é✓日本", "\\N", "NULL", " x ", "{}[]()"]),
    ("FixedString(4)", &["ab", "\"'\n,"]),
    ("Date", &["1970-01-01", "2149-06-06"]),
    ("Date32", &["1900-01-01", "2299-12-31"]),
    ("DateTime", &["1970-01-01 00:00:00", "2106-02-07 06:28:15"]),
    ("DateTime('Europe/Berlin')", &["2025-07-01 12:00:00"]),
    ("DateTime64(3)", &["1969-12-31 23:59:59.999", "2025-01-01 00:00:00.000"]),
    ("DateTime64(9, 'America/New_York')", &["2025-01-01 00:00:00.123456789"]),
    ("Enum8('a' = 1, 'b,\"\\'' = 2)", &["a", "b,\"'"]),
    ("UUID", &["00112233-4455-6677-8899-aabbccddeeff"]),
    ("IPv4", &["1.2.3.4"]),
    ("IPv6", &["::1", "::ffff:1.2.3.4"]),
    ("Decimal(9, 2)", &["-1234567.89", "0.5"]),
    ("Decimal(38, 10)", &["1234567890123456789012345678.0123456789"]),
    ("Decimal(76, 5)", &["-123.45"]),
    ("Nullable(Int32)", &["\\N", "-5"]),
    ("LowCardinality(Nullable(String))", &["x", "\\N", ""]),
    ("Array(Nullable(String))", &["[]", "['a\\'b','x,\\ty',NULL]"]),
    ("Tuple(a UInt8, b Array(Tuple(String, Date)))", &["(1,[('x\"y','2020-01-01')])", "(0,[])"]),
    ("Map(String, Array(UInt8))", &["{}", "{'k\\'\"':[1,2],'':[]}"]),
];

fn round_trip_block() -> (Vec<InputColumn>, Block) {
    let mut columns = vec![];
    let mut named = vec![];
    let rows = ROUND_TRIP.iter().map(|(_, texts)| texts.len()).max().unwrap();
    for (i, (name, texts)) in ROUND_TRIP.iter().enumerate() {
        let data_type = parse_data_type(name).unwrap();
        let values: Vec<_> = (0..rows)
            .map(|row| {
                let text = texts[row % texts.len()].as_bytes();
                pumphouse_query::text::parse_value(&data_type, text, TimeZone::UTC).unwrap()
            })
            .collect();
        let column = Column::from_values(data_type.clone(), &values).unwrap();
        columns.push(InputColumn { name: format!("c{i}"), data_type });
        named.push((format!("c{i}"), column));
    }
    (columns, Block::new(named))
}

const BOTH_WAYS: [&str; 32] = [
    "Arrow",
    "ArrowStream",
    "Parquet",
    "Native",
    "RowBinary",
    "RowBinaryWithNames",
    "RowBinaryWithNamesAndTypes",
    "TSV",
    "TSVWithNames",
    "TSVWithNamesAndTypes",
    "CSV",
    "CSVWithNames",
    "JSONEachRow",
    "JSONLines",
    "JSONCompactEachRow",
    "JSONCompactEachRowWithNames",
    "JSONCompactEachRowWithNamesAndTypes",
    "Values",
    "JSONStringsEachRow",
    "CSVWithNamesAndTypes",
    "TSKV",
    "CustomSeparated",
    "CustomSeparatedWithNames",
    "CustomSeparatedWithNamesAndTypes",
    "JSON",
    "JSONCompact",
    "JSONColumns",
    "JSONCompactColumns",
    "JSONColumnsWithMetadata",
    "JSONObjectEachRow",
    "Template",
    "MsgPack",
];

/// The formats of `BOTH_WAYS` that have a reader and read every type back.
fn readable() -> impl Iterator<Item = &'static str> {
    let reads = |n: &&str| lookup(n).unwrap().reader.is_some();
    BOTH_WAYS.into_iter().filter(reads).filter(|n| *n != "JSONStringsEachRow")
}

/// CSV spreads tuples, so their header names no column; the block without such columns.
fn without_tuples(columns: &[InputColumn], block: &Block) -> (Vec<InputColumn>, Block) {
    let keep = |i: &usize| !matches!(columns[*i].data_type, DataType::Tuple(_));
    let kept: Vec<usize> = (0..columns.len()).filter(keep).collect();
    let named = |i: &usize| (columns[*i].name.clone(), block.columns[*i].clone());
    (
        kept.iter().map(|i| columns[*i].clone()).collect(),
        Block::new(kept.iter().map(named).collect()),
    )
}

#[test]
fn what_is_written_reads_back() {
    let (all_columns, all) = round_trip_block();
    for name in readable() {
        let (columns, block) = match name {
            "CSVWithNames" | "CSVWithNamesAndTypes" => without_tuples(&all_columns, &all),
            _ => (all_columns.clone(), all.clone()),
        };
        let text = write(name, &block);
        // In pieces of growing size, as a stream comes; and in one piece as a message.
        for piece in [1, 7, 100, 100_000] {
            let mut reader = reader(name, &columns, &options()).unwrap();
            let (mut start, mut end) = (0, 0);
            loop {
                end = (end + piece).min(text.len());
                let last = end == text.len();
                start += reader.read_stream(&text[start..end], last, 3).unwrap();
                if last {
                    let rest = reader.read_stream(&text[start..], true, usize::MAX);
                    assert_eq!(rest.map(|n| start + n), Ok(text.len()), "{name}");
                    break;
                }
            }
            let back = to_block(&columns, reader.take().unwrap());
            assert_eq!(show(&write("TSV", &back)), show(&write("TSV", &block)), "{name} {piece}");
        }
        let mut reader = reader(name, &columns, &options()).unwrap();
        assert_eq!(reader.read_message(&text), Ok(block.rows()), "{name}");
        let back = to_block(&columns, reader.take().unwrap());
        assert_eq!(show(&write("TSV", &back)), show(&write("TSV", &block)), "{name}");
    }
}

#[test]
fn a_message_cut_anywhere_is_an_error_or_whole_rows() {
    let (columns, block) = round_trip_block();
    let block = block.slice(0, 2);
    for name in readable() {
        let text = write(name, &block);
        let mut reader = reader(name, &columns, &options()).unwrap();
        for cut in 0..text.len() {
            let before = reader.rows();
            match reader.read_message(&text[..cut]) {
                Ok(rows) => assert_eq!(reader.rows(), before + rows),
                Err(_) => assert_eq!(reader.rows(), before, "{name} {cut}"),
            }
        }
        let rows = reader.rows();
        let parsed = reader.take().unwrap();
        assert!(parsed.columns.iter().all(|c| c.len() == rows));
    }
}

#[test]
fn random_input_never_panics() {
    let (columns, block) = round_trip_block();
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below.max(1) as u64) as usize
    };
    let spice = b"\"\\{}[],:;'()\t\n\r\0 -+.eE0123456789nulltrue\xff\xef\xbb\xbf";
    // AvroConfluent needs a registry; its rows are those of Avro. ORC has no UUID; its own tests flip bytes.
    let elsewhere = ["AvroConfluent", "ORC"];
    let readable = names().filter(|f| f.reader.is_some() && !elsewhere.contains(&f.name));
    for name in readable.map(|f| f.name) {
        let fits =
            name.contains("String") && !name.contains("Each") || matches!(name, "RawBLOB" | "One");
        let object = name == "JSONAsObject";
        let data_type = parse_data_type(if object { "JSON" } else { "String" }).unwrap();
        let one = [InputColumn { name: "s".into(), data_type }];
        // Formats that take certain columns only.
        let own = match name {
            "GeoJSON" => schema("geometry Geometry"),
            "Npy" => schema("array Int64"),
            _ => vec![],
        };
        let columns = match own.is_empty() {
            _ if fits || object => &one[..],
            true => &columns[..],
            false => &own[..],
        };
        let valid = match name {
            "GeoJSON" => br#"{"type": "FeatureCollection", "features": [{"type": "Feature", "id": "a",
                "geometry": {"type": "Point", "coordinates": [1, 2.5]}, "properties": {"k": [1, null]}},
                {"type": "Feature", "geometry": {"type": "LineString", "coordinates": [[1, 2], [3, 4]]}}]}"#
                .to_vec(),
            _ if !own.is_empty() => {
                let column = |c: &InputColumn| Column::default_values(c.data_type.clone(), 3);
                let columns = own.iter().map(|c| (c.name.clone(), column(c)));
                write(name, &Block::new(columns.collect()))
            }
            "JSONAsString" | "JSONAsObject" => write("JSONEachRow", &block),
            "ProtobufSingle" => write(name, &block.slice(0, 1)),
            _ if lookup(name).unwrap().writer.is_none() => write("RowBinary", &block),
            _ => write(name, &block),
        };
        let mut reader = reader(name, columns, &options()).unwrap();
        for round in 0..200 {
            let mut text = valid.clone();
            for _ in 0..1 + random(6) {
                let at = random(text.len());
                match random(4) {
                    0 => text[at] = spice[random(spice.len())],
                    1 => text.insert(at, spice[random(spice.len())]),
                    2 => drop(text.remove(at)),
                    _ => {
                        let to = (at + random(40)).min(text.len());
                        let piece = text[at..to].to_vec();
                        let into = random(text.len());
                        text.splice(into..into, piece);
                    }
                }
            }
            let before = reader.rows();
            match reader.read_message(&text) {
                Ok(rows) => assert_eq!(reader.rows(), before + rows),
                Err(_) => assert_eq!(reader.rows(), before),
            }
            if round % 50 == 49 {
                let rows = reader.rows();
                let parsed = reader.take().unwrap();
                assert!(parsed.columns.iter().all(|c| c.len() == rows), "{name}");
            }
        }
    }
}

#[test]
fn hostile_depth_fails_for_its_message_only() {
    let columns = schema("a UInt8, s String, n Array(Array(UInt8))");
    let mut reader = reader("JSONEachRow", &columns, &options()).unwrap();
    for open in ["[", "{\"x\":", "[1,1,", "[{\"x\":"] {
        for key in ["zz", "s", "n"] {
            let text = format!("{{\"a\":1,\"{key}\":{}", open.repeat(100_000));
            let error = reader.read_message(text.as_bytes()).unwrap_err();
            assert!(matches!(error.code, 306 | 27 | 130 | 72), "{key} {}", error.code);
            assert!(error.message.len() < 600);
        }
    }
    assert_eq!(reader.read_message(b"{\"a\":7}\n{\"a\":8}"), Ok(2));
    let parsed = reader.take().unwrap();
    assert_eq!(parsed.rows, 2);
    assert_eq!(parsed.present[0], None);
    assert_eq!(parsed.present[1], Some(vec![false, false]));
}

#[test]
fn a_failed_message_takes_only_itself_back() {
    let columns = schema("a UInt32, s String, n Nullable(Int8), l Array(String)");
    let mut reader = reader("JSONEachRow", &columns, &options()).unwrap();
    assert_eq!(reader.read_message(b"{\"a\":1,\"s\":\"x\",\"n\":null,\"l\":[\"p\"]}"), Ok(1));
    let bad = b"{\"a\":2,\"s\":\"y\",\"n\":null,\"l\":[\"q\"]} {\"s\":\"z\",\"n\":null,\"l\":[\"r\",\"s\"],\"a\":-}";
    let error = reader.read_message(bad).unwrap_err();
    assert_eq!(error.code, 72);
    for part in ["key a", "at row 2", "byte 71", "near"] {
        assert!(error.message.contains(part), "{}", error.message);
    }
    assert_eq!(reader.read_message(b""), Ok(0));
    assert_eq!(reader.read_message(b"{\"l\":[\"t\"],\"unknown\":{\"a\":[1]},\"a\":3}"), Ok(1));
    let parsed = reader.take().unwrap();
    assert_eq!(parsed.present[1], Some(vec![true, false]));
    let block = to_block(&columns, parsed);
    assert_eq!(show(&write("TSV", &block)), "1\tx\t\\N\t['p']\n3\t\t\\N\t['t']\n");
}

#[test]
fn values_hand_expressions_to_the_evaluator() {
    let columns = schema("a UInt8, s String");
    let mut reader = reader("Values", &columns, &options()).unwrap();
    let error = reader.read_stream(b"(1+1, 'x')", true, usize::MAX).unwrap_err();
    assert!(error.message.contains("byte 1"), "{}", error.message);
    reader.set_evaluator(Box::new(|text, data_type| match (text, data_type) {
        ("1+f(',)', [2,3])", DataType::UInt8) => Ok(pumphouse_storage::Value::UInt(2)),
        other => Err(ParseError { code: 47, message: format!("{other:?}") }),
    }));
    let text = b"(1+f(',)', [2,3]) , 'x'), (1, concat('a'))";
    assert_eq!(reader.read_stream(text, true, 1), Ok(24));
    let error = reader.read_stream(&text[24..], true, usize::MAX).unwrap_err();
    assert_eq!(error.code, 47);
    assert_eq!(reader.rows(), 1);
}

#[test]
fn short_input_for_wide_types_is_bounded() {
    let wide = "FixedString(16777215)";
    let (nulls, quotes) = ("null,".repeat(500), "'',".repeat(2000));
    let array = schema(&format!("a Array(Tuple({wide}))"));
    let plain = schema(&format!("a Array({wide})"));
    let row = schema(&format!("a {wide}"));
    for (name, columns, text) in [
        ("JSONEachRow", &plain, format!("{{\"a\":[{nulls}]}}")),
        ("JSONEachRow", &array, format!("{{\"a\":[{nulls}]}}")),
        ("JSONEachRow", &row, "{}".repeat(500)),
        ("TSV", &plain, format!("[{quotes}]\n")),
        ("Values", &plain, format!("([{quotes}])")),
        ("CSV", &row, "\n,\n".repeat(1000)),
    ] {
        let mut reader = reader(name, columns, &options()).unwrap();
        let error = reader.read_message(text.as_bytes()).unwrap_err();
        assert!(matches!(error.code, 241 | 62 | 27), "{name} {}", error.message);
        assert_eq!(reader.rows(), 0);
    }
}

#[test]
fn schemas_are_inferred_as_clickhouse_does() {
    let mut wrong = vec![];
    for line in include_str!("testdata/infer.jsonl").lines() {
        let record: Json = serde_json::from_str(line).unwrap();
        let text = |key: &str| record[key].as_str().unwrap();
        let got = match infer(text("format"), text("input").as_bytes(), &options()) {
            Ok(columns) => {
                let column = |c: &InputColumn| format!("{} {}", c.name, c.data_type);
                columns.iter().map(column).collect::<Vec<_>>().join(", ")
            }
            Err(e) => e.to_string(),
        };
        if got != text("columns") {
            let (format, input, want) = (text("format"), text("input"), text("columns"));
            wrong.push(format!("{format} {input:?}\n   got  {got}\n   want {want}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    let (columns, block) = round_trip_block();
    for name in ["Native", "RowBinaryWithNamesAndTypes"] {
        let found = infer(name, &write(name, &block), &options()).unwrap();
        let types =
            |c: &[InputColumn]| c.iter().map(|c| c.data_type.to_string()).collect::<Vec<_>>();
        let mut wanted = types(&columns);
        if name == "Native" {
            // At revision 0 a DateTime does not name its zone.
            let zoned = wanted.iter_mut().find(|t| t.starts_with("DateTime('"));
            *zoned.unwrap() = "DateTime".into();
        }
        assert_eq!(types(&found), wanted, "{name}");
    }
    for name in ["Arrow", "ArrowStream", "Parquet"] {
        let found = infer(name, &write(name, &block), &options()).unwrap();
        assert!(found.iter().zip(&columns).all(|(f, c)| f.name == c.name), "{name}");
    }
}

/// Files that are read as a whole come batch by batch, with the columns that are wanted, and what is wrong with them
/// is told with its row.
#[test]
fn whole_files_come_in_batches() {
    let columns = schema("id UInt64, text String, maybe Nullable(Int32), list Array(UInt8)");
    let rows = 7000u64;
    let lines: Vec<String> = (0..rows)
        .map(|n| {
            let maybe = if n % 3 == 0 { "null".into() } else { n.to_string() };
            let n8 = n % 200;
            format!("{{\"id\":{n},\"text\":\"t{}\",\"maybe\":{maybe},\"list\":[{n8},1]}}", n * 7919)
        })
        .collect();
    let mut json = reader("JSONEachRow", &columns, &options()).unwrap();
    json.read_message(lines.join("\n").as_bytes()).unwrap();
    let block = to_block(&columns, json.take().unwrap());
    for (name, batches) in [("Parquet", 4), ("Arrow", 1)] {
        let file = write(name, &block);
        for threads in ["1", "2", "9"] {
            let mut options = options();
            options.settings.set("max_threads", threads);
            let wanted: Vec<InputColumn> =
                [3, 1, 0].iter().map(|i: &usize| columns[*i].clone()).collect();
            let mut whole = reader(name, &wanted, &options).unwrap();
            assert!(whole.wants_whole());
            whole.open_whole(file.clone().into()).unwrap();
            let mut seen = 0;
            while whole.read_whole().unwrap() {
                seen += 1;
            }
            assert_eq!(seen, batches);
            let read = whole.take().unwrap();
            for (column, wanted) in read.columns.iter().zip(&wanted) {
                let expected = block.column(&wanted.name).unwrap();
                assert!((0..rows as usize).all(|row| column.value(row) == expected.value(row)));
            }
            // Nothing is wanted: rows are counted.
            let mut none = reader(name, &[], &options).unwrap();
            none.open_whole(file.clone().into()).unwrap();
            while none.read_whole().unwrap() {}
            assert_eq!(none.take().unwrap().rows, rows as usize);
        }
        let mut cut = reader(name, &columns, &options()).unwrap();
        assert!(cut.open_whole(file[..file.len() - 9].to_vec().into()).is_err());
        // Damage somewhere among the values: an error, or other values, never a panic; what came before stays.
        for at in (file.len() / 10..file.len() / 2).step_by(file.len() / 40) {
            let mut damaged = file.clone();
            damaged[at..at + 8].iter_mut().for_each(|byte| *byte ^= 0xA5);
            let mut damaged_reader = reader(name, &columns, &options()).unwrap();
            if damaged_reader.open_whole(damaged.into()).is_ok() {
                while let Ok(true) = damaged_reader.read_whole() {}
                assert!(damaged_reader.rows() <= rows as usize);
            }
        }
    }
}
