//! Types found in JSON and in text, objects there and back, and columns taken apart by type.

use std::sync::Arc;

use pumphouse_storage::run_time::object::Object;
use pumphouse_storage::run_time::open_dynamic;
use pumphouse_storage::types::{JsonType, TimeZone, parse_data_type};
use pumphouse_storage::{Column, DataType, Value};

use super::{groups, json, scatter, text, values_of, wrap};
use crate::text::JsonOptions;

fn json_type(name: &str) -> Arc<JsonType> {
    match parse_data_type(name).unwrap() {
        DataType::Json(json) => json,
        other => panic!("{other} is no JSON"),
    }
}

fn written(bytes: &[u8]) -> String {
    let mut out = vec![];
    json::write_compact(bytes, TimeZone::UTC, &JsonOptions::default(), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn values_of_paths_get_the_types_of_clickhouse() {
    for (value, name) in [
        ("[]", "Array(Nullable(String))"),
        ("[null]", "Array(Nullable(String))"),
        ("[1,\"a\"]", "Array(Dynamic)"),
        ("[1,2.5]", "Array(Nullable(Float64))"),
        ("[[],[1]]", "Array(Array(Nullable(Int64)))"),
        ("[{\"a\":1},5]", "Array(Dynamic)"),
        ("[{\"a\":1},null]", "Array(Nullable(JSON(max_dynamic_types=16, max_dynamic_paths=256)))"),
        ("\"2020-01-01\"", "Date"),
        ("\"2020-1-1\"", "Date"),
        ("\"2020-01-01 10:00:00\"", "DateTime"),
        ("\"2020-01-01T10:00:00Z\"", "DateTime"),
        ("\"2020-01-01 10:00:00.123\"", "DateTime64(9)"),
        ("\"1900-01-01\"", "DateTime64(9)"),
        ("\"2300-01-01\"", "String"),
        ("\"2020-13-01\"", "String"),
        ("18446744073709551615", "UInt64"),
        ("18446744073709551616", "String"),
        ("[true,1]", "Array(Nullable(Int64))"),
        ("[\"2020-01-01\",\"x\"]", "Array(Nullable(String))"),
        ("[1,18446744073709551615]", "Array(Nullable(UInt64))"),
        ("[-1,18446744073709551615]", "Array(Dynamic)"),
        ("[[1],[\"a\"]]", "Array(Dynamic)"),
    ] {
        let object =
            json::parse(&json_type("JSON"), format!("{{\"a\":{value}}}").as_bytes(), TimeZone::UTC);
        let object = object.unwrap();
        let (found, _) = open_dynamic(Object::of(&object).find(b"a").unwrap()).unwrap();
        assert_eq!(found.to_string(), name, "{value}");
    }
}

#[test]
fn objects_come_back_as_text() {
    for (name, given, back) in [
        (
            "JSON",
            r#"{"b":1,"a":{"c":"x","d":[1,null]},"e":null,"f":{}}"#,
            r#"{"a":{"c":"x","d":[1,null]},"b":1}"#,
        ),
        ("JSON", r#"{"a.b":1,"a":{"c":2}}"#, r#"{"a":{"b":1,"c":2}}"#),
        ("JSON(a UInt32, SKIP c)", r#"{"c":{"x":1},"b":2}"#, r#"{"a":0,"b":2}"#),
        ("JSON(SKIP REGEXP 's.*')", r#"{"s1":1,"b":2}"#, r#"{"b":2}"#),
        ("JSON(a Nullable(UInt8))", "{}", r#"{"a":null}"#),
    ] {
        let bytes = json::parse(&json_type(name), given.as_bytes(), TimeZone::UTC).unwrap();
        assert_eq!(written(&bytes), back);
    }
    for bad in [r#"{"a":1,"a":2}"#, r#"{"a":{"b":1},"a.b":2}"#, "[1]", "x", "{"] {
        assert!(json::parse(&json_type("JSON"), bad.as_bytes(), TimeZone::UTC).is_err(), "{bad}");
    }
}

#[test]
fn columns_are_taken_apart_by_type_and_put_together() {
    let dynamic = DataType::Dynamic { types_max: None };
    let read = |t: &str| text::parse(&dynamic, t.as_bytes(), true, TimeZone::UTC).unwrap();
    let values: Vec<Value> = ["1", "x", "\\N", "2", "[1,2]"].into_iter().map(read).collect();
    let column = Column::from_values(dynamic.clone(), &values).unwrap();
    let groups = groups(&column).unwrap();
    let names: Vec<String> = groups.iter().map(|g| g.data_type.to_string()).collect();
    assert_eq!(names, ["Int64", "String", "Array(Int64)"]);
    let mut parts = vec![];
    for group in groups {
        let own = values_of(&column, &group).unwrap();
        parts.push((group.rows, wrap(&own, &dynamic).unwrap()));
    }
    let back = scatter(&parts, &dynamic, column.len()).unwrap();
    let shown = |c: &Column| (0..c.len()).map(|i| format!("{:?}", c.value(i))).collect::<Vec<_>>();
    assert_eq!(shown(&back), shown(&column));
}
