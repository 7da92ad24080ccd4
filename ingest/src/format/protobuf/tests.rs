//! Bytes that ClickHouse writes, read and written; schemas; broken input.

use pumphouse_query::context::Settings;
use pumphouse_query::text;
use pumphouse_storage::types::{TimeZone, parse_data_type};
use pumphouse_storage::{Block, Column};

use super::super::{FormatOptions, InputColumn, WriterStatistics, reader, writer};

/// Type, value, bytes of a row whose schema is made from the column.
#[rustfmt::skip]
const WRITTEN: &[(&str, &str, &str)] = &[
    (r#"UInt8"#, r#"200"#, "0308c801"),
    (r#"Int8"#, r#"-1"#, "0b08ffffffffffffffffff01"),
    (r#"UInt32"#, r#"4000000000"#, "060880d0acf30e"),
    (r#"Int64"#, r#"-5000000000"#, "0b08809ce8afedffffffff01"),
    (r#"UInt64"#, r#"18446744073709551615"#, "0b08ffffffffffffffffff01"),
    (r#"Float32"#, r#"1.5"#, "050d0000c03f"),
    (r#"Float64"#, r#"-2.5"#, "090900000000000004c0"),
    (r#"Bool"#, r#"true"#, "020801"),
    (r#"String"#, r#"abc"#, "050a03616263"),
    (r#"FixedString(3)"#, r#"ab"#, "050a03616200"),
    (r#"Date"#, r#"2024-01-02"#, "04088c9a01"),
    (r#"Date32"#, r#"1960-01-01"#, "0b08bbe3ffffffffffffff01"),
    (r#"DateTime('UTC')"#, r#"2024-01-02 03:04:05"#, "0608a5facdac06"),
    (r#"DateTime64(3, 'UTC')"#, r#"2024-01-02 03:04:05.678"#, "0608a5facdac06"),
    (r#"DateTime64(6, 'UTC')"#, r#"2024-01-02 03:04:05.678000"#, "0608a5facdac06"),
    (r#"DateTime64(9, 'UTC')"#, r#"2024-01-02 03:04:05.678000000"#, "0608a5facdac06"),
    (r#"Decimal(9, 2)"#, r#"1.25"#, "060a04312e3235"),
    (r#"Decimal(18, 4)"#, r#"-1.25"#, "070a052d312e3235"),
    (r#"Decimal(38, 4)"#, r#"-1.25"#, "070a052d312e3235"),
    (r#"Decimal(76, 4)"#, r#"1.25"#, "060a04312e3235"),
    (r#"Enum8('a' = 1, 'b' = 2)"#, r#"b"#, "020801"),
    (r#"UUID"#, r#"00112233-4455-6677-8899-aabbccddeeff"#, "260a2430303131323233332d343435352d363637372d383839392d616162626363646465656666"),
    (r#"IPv4"#, r#"255.1.2.3"#, "0608838484f80f"),
    (r#"IPv6"#, r#"::1"#, "120a1000000000000000000000000000000001"),
    (r#"Int128"#, r#"-1"#, "040a022d31"),
    (r#"UInt256"#, r#"7"#, "030a0137"),
    (r#"Nullable(Int32)"#, r#"5"#, "020805"),
    (r#"LowCardinality(String)"#, r#"x"#, "030a0178"),
    (r#"Array(UInt16)"#, r#"[1,300]"#, "050a0301ac02"),
    (r#"Array(Nullable(String))"#, r#"['a',NULL]"#, "030a0161"),
    (r#"Tuple(a UInt8, b String)"#, r#"(1,'x')"#, "070a050801120178"),
    (r#"Array(Tuple(a UInt8, b String))"#, r#"[(1,'x'),(2,'y')]"#, "0e0a0508011201780a050802120179"),
];

fn options(settings: &[(&str, &str)]) -> FormatOptions {
    let mut own = Settings::default();
    settings.iter().for_each(|(name, value)| own.set(*name, *value));
    FormatOptions { settings: own, time_zone: TimeZone::UTC }
}

/// Options with a schema and the message `M`.
fn with_schema(text: &str) -> FormatOptions {
    let text = format!("syntax = \"proto3\"; {text}");
    options(&[
        ("format_schema_source", "string"),
        ("format_schema", &text),
        ("format_schema_message_name", "M"),
        ("input_format_protobuf_oneof_presence", "1"),
    ])
}

fn hex(text: &str) -> Vec<u8> {
    let text = text.replace(' ', "");
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[i * 2..i * 2 + 2], 16).unwrap()).collect()
}

fn columns(list: &[(&str, &str)]) -> Vec<InputColumn> {
    let column = |(name, t): &(&str, &str)| InputColumn {
        name: name.to_string(),
        data_type: parse_data_type(t).unwrap(),
    };
    list.iter().map(column).collect()
}

/// What is read of one message, as text; or the error's code.
fn read(
    bytes: &str,
    list: &[(&str, &str)],
    options: &FormatOptions,
    name: &str,
) -> Result<String, u32> {
    let mut reader = reader(name, &columns(list), options).map_err(|e| e.code())?;
    reader.read_message(&hex(bytes)).map_err(|e| e.code)?;
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
    Ok(String::from_utf8(out).unwrap())
}

fn block(list: &[(&str, &str, &str)]) -> Block {
    let column = |(name, t, value): &(&str, &str, &str)| {
        let data_type = parse_data_type(t).unwrap();
        let value = text::parse_value(&data_type, value.as_bytes(), TimeZone::UTC).unwrap();
        (name.to_string(), Column::from_values(data_type, &[value]).unwrap())
    };
    Block::new(list.iter().map(column).collect())
}

fn write(name: &str, block: &Block, options: &FormatOptions) -> Result<Vec<u8>, u32> {
    let (mut writer, mut out) = (writer(name, options).unwrap(), vec![]);
    writer.prefix(&block.schema(), &mut out).map_err(|e| e.code())?;
    writer.block(block, &mut out).map_err(|e| e.code())?;
    writer.suffix(&WriterStatistics::default(), &mut out).map_err(|e| e.code())?;
    Ok(out)
}

#[test]
fn bytes_are_those_of_clickhouse_and_read_back() {
    let none = options(&[]);
    for (name, value, bytes) in WRITTEN {
        let block = block(&[("c", name, value)]);
        assert_eq!(write("Protobuf", &block, &none), Ok(hex(bytes)), "{name}");
        // Parts of a second and what is NULL in a list are lost, there as here.
        if name.contains("DateTime64") || value.contains("NULL") {
            continue;
        }
        for framing in ["Protobuf", "ProtobufSingle", "ProtobufList"] {
            let out = write(framing, &block, &none).unwrap();
            let mut reader = reader(framing, &columns(&[("c", name)]), &none).unwrap();
            assert_eq!(reader.read_message(&out), Ok(1), "{name} {framing}");
            let read = reader.take().unwrap().columns[0].value(0);
            assert_eq!(read, block.columns[0].value(0), "{name} {framing}");
            assert!(reader.read_message(&out[..out.len() - 1]).is_err(), "{name} {framing}");
        }
    }
}

#[test]
fn fields_find_their_columns() {
    let nested = with_schema(
        "message M { message A { int32 b = 1; string c = 2; } A a = 3; \
         message N { int32 x = 1; string y = 2; } repeated N n = 4; }",
    );
    let bytes = "15 1a 05 08 01 12 01 78 22 05 08 01 12 01 70 22 05 08 02 12 01 71";
    let flat = block(&[
        ("a.b", "UInt8", "1"),
        ("A_C", "String", "x"),
        ("n.x", "Array(UInt8)", "[1,2]"),
        ("n.y", "Array(String)", "['p','q']"),
    ]);
    assert_eq!(write("Protobuf", &flat, &nested), Ok(hex(bytes)));
    let wanted = [("n.y", "Array(String)"), ("A.c", "String"), ("n_x", "Array(UInt8)")];
    assert_eq!(read(bytes, &wanted, &nested, "Protobuf").as_deref(), Ok("['p','q']|x|[1,2]|"));
    let tuples = [("n", "Array(Tuple(y String, x Int8))"), ("a", "Tuple(b Int32)")];
    assert_eq!(read(bytes, &tuples, &nested, "Protobuf").as_deref(), Ok("[('p',1),('q',2)]|(1)|"));
    assert_eq!(read(bytes, &[("q", "Int8")], &nested, "Protobuf"), Err(443));
    assert_eq!(read(bytes, &[("a", "Int8")], &nested, "Protobuf"), Err(570));
}

#[test]
fn values_are_converted_as_clickhouse_does() {
    let numbers = with_schema(
        "enum E { A = 0; B = 1; } message M { int32 c = 1; double d = 2; E e = 3; string s = 4; \
         oneof o { int32 x = 5; int32 y = 6; } map<string, uint32> m = 7; repeated int32 r = 8; bool f = 9; }",
    );
    let cases: &[(&str, &str, &str, Result<&str, u32>)] = &[
        ("03 08 ac 02", "c", "UInt8", Err(436)),
        ("03 08 ac 02", "c", "String", Ok("300|")),
        ("03 08 ac 02", "c", "DateTime64(3, 'UTC')", Ok("1970-01-01 00:05:00.000|")),
        ("03 08 ac 02", "c", "Decimal(9, 2)", Ok("300|")),
        (
            "09 11 00 00 00 00 00 00 04 40",
            "d",
            "DateTime64(3, 'UTC')",
            Ok("1970-01-01 00:00:02.500|"),
        ),
        ("02 18 01", "e", "String", Ok("B|")),
        ("02 18 05", "e", "String", Err(436)),
        ("02 18 01", "e", "Enum8('B' = 7)", Ok("B|")),
        ("02 18 01", "e", "UInt8", Ok("1|")),
        ("00", "e", "Enum8('B' = 7)", Err(436)),
        ("04 22 02 31 35", "s", "Int32", Ok("15|")),
        ("02 30 05", "o", "Enum8('no' = 0, 'x' = 5, 'y' = 6)", Ok("y|")),
        ("00", "o", "Enum8('no' = 0, 'x' = 5, 'y' = 6)", Ok("no|")),
        ("07 3a 05 0a 01 61 10 01", "m", "Map(String, UInt8)", Ok("{'a':1}|")),
        ("04 42 02 01 02", "r", "Int32", Ok("2|")),
        ("06 40 05 42 02 01 02", "r", "Array(Int8)", Ok("[5,1,2]|")),
        ("04 08 01 08 02", "c", "Int8", Ok("2|")),
        ("04 08 01 7a 00", "c", "Nullable(Int8)", Ok("1|")),
        ("00", "c", "Nullable(Int8)", Ok("NULL|")),
        ("02 08 01", "r", "Array(Int8)", Ok("[]|")),
        ("02 22 05", "s", "String", Err(33)),
        ("02 48 01", "f", "Bool", Ok("true|")),
    ];
    for (bytes, column, data_type, wanted) in cases {
        let found = read(bytes, &[(column, data_type)], &numbers, "Protobuf");
        assert_eq!(found.as_deref().map_err(|e| *e), *wanted, "{column} {data_type}");
    }
    let list = block(&[("c", "Array(UInt8)", "[1]")]);
    assert_eq!(write("Protobuf", &list, &numbers), Err(437));
    let wrong = block(&[("e", "String", "Q")]);
    assert_eq!(write("Protobuf", &wrong, &numbers), Err(436));
}

#[test]
fn schemas_are_read_and_refused() {
    let text = r#"
        syntax = "proto2"; package a.b; /* a comment */ option java_package = "x";
        import "google/protobuf/timestamp.proto";
        message Outer { option deprecated = true; reserved 2, 15, 9 to 11; reserved "foo";
          enum Kind { option allow_alias = true; NONE = 0; SOME = 1 [deprecated = true]; }
          optional int32 c = 1 [default = 7, deprecated = true]; // behind
          optional string d = 3 [default = "dd"]; optional Kind k = 4 [default = SOME];
          required .a.b.Outer.Inner i = 5; repeated int32 p = 6 [packed = true];
          optional google.protobuf.Timestamp t = 7; extensions 100 to 199;
          message Inner { optional Outer up = 1; } }
        service S { rpc F (Outer) returns (Outer) { option x = {a: 1}; } }"#;
    let options = options(&[
        ("format_schema_source", "string"),
        ("format_schema", text),
        ("format_schema_message_name", "Outer"),
    ]);
    let wanted = [("c", "Int32"), ("d", "String"), ("k", "String"), ("t.seconds", "Int64")];
    assert_eq!(read("00", &wanted, &options, "Protobuf").as_deref(), Ok("7|dd|SOME|0|"));
    let packed = block(&[("p", "Array(UInt8)", "[1,2]"), ("c", "Int8", "0")]);
    assert_eq!(write("Protobuf", &packed, &options), Ok(hex("06 08 00 32 02 01 02")));
    for (bad, code) in [
        ("messag M { bool a = 1; }", 434),
        ("message M { bool a = ; }", 434),
        ("message M { nosuch a = 1; }", 434),
        ("message M { bool a = 1;", 434),
        ("message Q { bool a = 1; }", 36),
        ("import \"../../etc/passwd\"; message M { bool a = 1; }", 434),
    ] {
        assert_eq!(read("00", &[("a", "Bool")], &with_schema(bad), "Protobuf"), Err(code), "{bad}");
    }
    // Envelopes.
    for text in [
        "message M { int32 a = 1; } message Envelope { repeated M row = 3; }",
        "message Envelope { message M { int32 a = 1; } repeated M row = 3; }",
    ] {
        let list = with_schema(text);
        let rows = "08 1a 02 08 01 1a 02 08 02";
        assert_eq!(read(rows, &[("a", "Int8")], &list, "ProtobufList").as_deref(), Ok("1|2|"));
    }
}

#[test]
fn broken_bytes_are_errors_and_never_more() {
    let options = with_schema(
        "message M { message A { int32 b = 1; A a = 2; } A a = 3; repeated A n = 4; map<string, A> m = 5; string s = 6; }",
    );
    let wanted = columns(&[
        ("a.b", "UInt64"),
        ("n", "Array(Tuple(b Int32))"),
        ("m", "Map(String, Tuple(b Int8))"),
        ("s", "FixedString(4)"),
    ]);
    let mut reader = reader("Protobuf", &wanted, &options).unwrap();
    let mut random = 99u64;
    let mut next = || {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize
    };
    let sound =
        hex("1b 1a 02 08 05 22 02 08 01 2a 07 0a 01 61 12 02 08 03 32 02 61 62 22 02 08 07");
    assert_eq!(reader.read_message(&sound[..1]).map_err(|e| e.code), Err(33));
    let mut good = 0;
    for _ in 0..20_000 {
        let mut bad = sound.clone();
        for _ in 0..=next() % 3 {
            let at = next() % bad.len();
            bad[at] = next() as u8;
        }
        match reader.read_message(&bad) {
            Ok(rows) => good += rows,
            Err(_) => assert_eq!(reader.rows(), good),
        }
    }
    reader.take().unwrap();
}
