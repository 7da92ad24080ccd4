//! JSON in strings: JSONExtract*, JSONHas, JSONLength, JSONType, JSON_VALUE, isValidJSON, toJSONString
//! and the simpleJSON* family.
//!
//! A path is any number of keys (strings) and positions (numbers). What is not there, or not of the
//! wanted kind, yields the type's default.

use std::sync::Arc;

use pumphouse_storage::types::{EnumValues, TupleElement, parse_data_type};
use pumphouse_storage::{Column, DataType, Value};

use super::FunctionCall;
use super::json_text::{Kind, Step, check, check_and_find, compact, find, kind, parts, unescape};
use super::json_value::{extract, number};
use super::native::{Native, Numbers};
use super::regexp::StringLists;
use super::registry::Registry;
use super::strings::{Strings, StringsBuilder, Validity};
use super::type_rule::{Args, bad_argument};
use crate::error::{Error, Result};

pub(super) fn add(r: &mut Registry) {
    use DataType::*;
    for any_case in [false, true] {
        let name = |plain: &'static str, other: &'static str| if any_case { other } else { plain };
        macro_rules! both {
            ($n:literal) => {
                name($n, concat!($n, "CaseInsensitive"))
            };
        }
        path_function(r, both!("JSONExtractString"), String, any_case, |c, find| {
            let mut out = StringsBuilder::with_capacity(c.rows, c.rows * 8);
            for row in 0..c.rows {
                if let Some(value) = find(row) {
                    as_string(value, &mut out.bytes);
                }
                out.end_row();
            }
            c.finish(out.finish()?)
        });
        path_function(r, both!("JSONExtractRaw"), String, any_case, |c, find| {
            let mut out = StringsBuilder::with_capacity(c.rows, c.rows * 8);
            for row in 0..c.rows {
                if let Some(value) = find(row) {
                    compact(value, &mut out.bytes);
                }
                out.end_row();
            }
            c.finish(out.finish()?)
        });
        path_function(r, both!("JSONExtractInt"), Int64, any_case, |c, find| {
            numbers(c, |row| find(row).and_then(|v| i64::try_from(number(v)?.as_integer()?).ok()))
        });
        path_function(r, both!("JSONExtractUInt"), UInt64, any_case, |c, find| {
            numbers(c, |row| find(row).and_then(|v| u64::try_from(number(v)?.as_integer()?).ok()))
        });
        path_function(r, both!("JSONExtractFloat"), Float64, any_case, |c, find| {
            numbers(c, |row| find(row).and_then(number).map(|n| n.as_float()))
        });
        path_function(r, both!("JSONExtractBool"), UInt8, any_case, |c, find| {
            numbers(c, |row| {
                find(row).map(|v| match kind(v) {
                    Some(Kind::True) => 1,
                    Some(Kind::Number) => number(v).map_or(0, |n| u8::from(n.as_float() != 0.0)),
                    _ => 0,
                })
            })
        });
        path_function(
            r,
            both!("JSONExtractArrayRaw"),
            DataType::array(String),
            any_case,
            |c, find| {
                let mut out = StringLists::with_capacity(c.rows);
                let mut item = vec![];
                for row in 0..c.rows {
                    if let Some(value) = find(row).filter(|v| kind(v) == Some(Kind::Array)) {
                        for (_, inner) in parts(value) {
                            item.clear();
                            compact(inner, &mut item);
                            out.push(&item);
                        }
                    }
                    out.end_row();
                }
                out.finish(c)
            },
        );
        path_function(r, both!("JSONExtractKeys"), DataType::array(String), any_case, |c, find| {
            let mut out = StringLists::with_capacity(c.rows);
            for row in 0..c.rows {
                if let Some(value) = find(row).filter(|v| kind(v) == Some(Kind::Object)) {
                    parts(value).for_each(|(key, _)| out.push(&unescape(key)));
                }
                out.end_row();
            }
            out.finish(c)
        });
        path_function(
            r,
            both!("JSONExtractKeysAndValuesRaw"),
            pairs_of(String),
            any_case,
            |c, find| {
                let rows: Vec<Value> = (0..c.rows)
                    .map(|row| {
                        let members = find(row).filter(|v| kind(v) == Some(Kind::Object));
                        Value::Array(members.map_or(vec![], |value| {
                            parts(value)
                                .map(|(key, inner)| {
                                    let mut raw = vec![];
                                    compact(inner, &mut raw);
                                    Value::Tuple(vec![
                                        Value::String(unescape(key)),
                                        Value::String(raw),
                                    ])
                                })
                                .collect()
                        }))
                    })
                    .collect();
                Ok(Column::from_values(c.result.clone(), &rows)?)
            },
        );
        path_function(r, both!("JSONHas"), UInt8, any_case, |c, find| {
            numbers(c, |row| find(row).map(|_| 1u8))
        });
        path_function(r, both!("JSONLength"), UInt64, any_case, |c, find| {
            numbers(c, |row| find(row).map(|v| parts(v).count() as u64))
        });
        path_function(r, both!("JSONKey"), String, any_case, move |c, _| {
            let mut out = StringsBuilder::with_capacity(c.rows, c.rows * 8);
            let paths = Paths::of(c, 1, c.arguments.len())?;
            let texts = c.strings(0)?;
            for row in 0..c.rows {
                let path = paths.at(row);
                if let Some((key, _)) = check(texts.get(row)).and_then(|v| find(v, &path, any_case))
                    && !key.is_empty()
                {
                    out.bytes.extend_from_slice(&unescape(key));
                }
                out.end_row();
            }
            c.finish(out.finish()?)
        });
        path_function(r, both!("JSONType"), kinds(), any_case, |c, find| {
            numbers(c, |row| Some(find(row).map_or(0i8, kind_number)))
        });
        r.add(both!("JSONExtract"), 2..=usize::MAX, typed, move |c| extract_typed(c, any_case));
        r.add(
            both!("JSONExtractKeysAndValues"),
            2..=usize::MAX,
            |a| Ok(pairs_of(typed(a)?)),
            move |c| keys_and_values(c, any_case),
        );
    }
    r.measure("isValidJSON", UInt8, |t| u8::from(check(t).is_some()));
    r.add(
        "JSONArrayLength",
        1..=1,
        |a| a.string(0).map(|_| DataType::nullable(UInt64)),
        |c| {
            let texts = c.strings(0)?;
            let mut valid = Validity::with_capacity(c.rows);
            let lengths = (0..c.rows)
                .map(|row| {
                    let array = check(texts.get(row)).filter(|v| kind(v) == Some(Kind::Array));
                    valid.push(array.is_some());
                    array.map_or(0, |v| parts(v).count() as u64)
                })
                .collect();
            c.finish(super::invoke::set_nulls(&u64::array(lengths), valid.finish()))
        },
    );
    r.add("toJSONString", 1..=1, |_| Ok(String), to_json_string);
    super::json_path::add(r);
    simple(r);
}

fn pairs_of(value: DataType) -> DataType {
    let element = |data_type| TupleElement { name: None, data_type };
    DataType::array(DataType::Tuple(vec![element(DataType::String), element(value)]))
}

fn kinds() -> DataType {
    let values = [
        ("Null", 0),
        ("String", 34),
        ("Array", 91),
        ("Bool", 98),
        ("Double", 100),
        ("Int64", 105),
        ("UInt64", 117),
        ("Object", 123),
    ];
    let values = values.map(|(n, v)| (n.to_string(), v)).to_vec();
    DataType::Enum8(Arc::new(EnumValues { values }))
}

fn kind_number(value: &[u8]) -> i8 {
    match kind(value) {
        Some(Kind::Object) => 123,
        Some(Kind::Array) => 91,
        Some(Kind::String) => 34,
        Some(Kind::True | Kind::False) => 98,
        Some(Kind::Number) => match number(value).and_then(|n| n.exact()) {
            Some(v) if i64::try_from(v).is_ok() => 105,
            Some(_) => 117,
            None => 100,
        },
        _ => 0,
    }
}

/// The path arguments of every row.
struct Paths<'a> {
    steps: Vec<StepColumn<'a>>,
}

enum StepColumn<'a> {
    Keys(Strings<'a>),
    Positions(Numbers<i64>),
}

impl<'a> Paths<'a> {
    fn of(call: &FunctionCall<'a>, from: usize, to: usize) -> Result<Paths<'a>> {
        let steps = (from..to)
            .map(|i| {
                Ok(if call.data_type(i)?.is_string() {
                    StepColumn::Keys(call.strings(i)?)
                } else {
                    StepColumn::Positions(call.numbers(i)?)
                })
            })
            .collect::<Result<_>>()?;
        Ok(Paths { steps })
    }

    fn at(&self, row: usize) -> Vec<Step<'a>> {
        self.steps
            .iter()
            .map(|s| match s {
                StepColumn::Keys(keys) => Step::Key(keys.get(row)),
                StepColumn::Positions(numbers) => Step::Index(numbers.get(row)),
            })
            .collect()
    }
}

fn path_types(a: &Args, from: usize, to: usize) -> Result<()> {
    a.string(0)?;
    (from..to).try_for_each(|i| a.require(i, |t| t.is_string() || t.is_integer()))
}

/// A function of a document and a path; `run` gets a way to find the value of a row.
fn path_function(
    r: &mut Registry,
    name: &'static str,
    result: DataType,
    any_case: bool,
    run: impl for<'a> Fn(&FunctionCall<'a>, &dyn Fn(usize) -> Option<&'a [u8]>) -> Result<Column>
    + Send
    + Sync
    + 'static,
) {
    r.add(
        name,
        1..=usize::MAX,
        move |a| path_types(a, 1, a.len()).map(|_| result.clone()),
        move |c| {
            let texts = c.strings(0)?;
            let paths = Paths::of(c, 1, c.arguments.len())?;
            // A path of constants is the same for all rows.
            let constant = (1..c.arguments.len()).all(|i| c.is_constant(i)) && c.rows > 0;
            let fixed = if constant { paths.at(0) } else { vec![] };
            run(c, &|row| {
                if constant {
                    return check_and_find(texts.get(row), &fixed, any_case)?;
                }
                check_and_find(texts.get(row), &paths.at(row), any_case)?
            })
        },
    )
    .drops_low_cardinality();
}

fn numbers<T: Native>(call: &FunctionCall, f: impl Fn(usize) -> Option<T>) -> Result<Column> {
    call.finish_numbers((0..call.rows).map(|row| f(row).unwrap_or_default()).collect::<Vec<T>>())
}

/// A value as JSONExtractString shows it: strings plain, NULL empty, the rest as text.
pub(super) fn as_string(value: &[u8], out: &mut Vec<u8>) {
    match kind(value) {
        Some(Kind::String) => out.extend_from_slice(&unescape(value)),
        Some(Kind::Null) => {}
        _ => compact(value, out),
    }
}

/// The type that the last argument names.
fn typed(a: &Args) -> Result<DataType> {
    path_types(a, 1, a.len() - 1)?;
    Ok(parse_data_type(&a.constant_text(a.len() - 1)?)?)
}

fn extract_typed(call: &FunctionCall, any_case: bool) -> Result<Column> {
    let texts = call.strings(0)?;
    let paths = Paths::of(call, 1, call.arguments.len() - 1)?;
    let name = call.constant_text(call.arguments.len() - 1).unwrap_or_default();
    let wanted = parse_data_type(&name)?;
    let rows: Vec<Value> = (0..call.rows)
        .map(|row| {
            check(texts.get(row))
                .and_then(|v| find(v, &paths.at(row), any_case))
                .and_then(|(_, v)| extract(v, &wanted, call.context.time_zone, any_case))
                .unwrap_or_else(|| pumphouse_storage::block::default_value(&wanted))
        })
        .collect();
    let column = Column::from_values(wanted, &rows)?;
    call.finish(column.array)
}

fn keys_and_values(call: &FunctionCall, any_case: bool) -> Result<Column> {
    let texts = call.strings(0)?;
    let paths = Paths::of(call, 1, call.arguments.len() - 1)?;
    let name = call.constant_text(call.arguments.len() - 1).unwrap_or_default();
    let wanted = parse_data_type(&name)?;
    let rows: Vec<Value> = (0..call.rows)
        .map(|row| {
            let found = check(texts.get(row))
                .and_then(|v| find(v, &paths.at(row), any_case))
                .filter(|(_, v)| kind(v) == Some(Kind::Object));
            Value::Array(found.map_or(vec![], |(_, object)| {
                parts(object)
                    .filter_map(|(key, inner)| {
                        let value = extract(inner, &wanted, call.context.time_zone, any_case)?;
                        Some(Value::Tuple(vec![Value::String(unescape(key)), value]))
                    })
                    .collect()
            }))
        })
        .collect();
    Ok(Column::from_values(call.result.clone(), &rows)?)
}

fn to_json_string(call: &FunctionCall) -> Result<Column> {
    let column = call.column(0)?;
    let settings = &call.context.settings;
    let defaults = crate::text::JsonOptions::default();
    let options = crate::text::JsonOptions {
        quote_64bit_integers: settings
            .bool("output_format_json_quote_64bit_integers", defaults.quote_64bit_integers),
        ..defaults
    };
    let mut out = StringsBuilder::with_capacity(call.rows, call.rows * 12);
    for row in 0..call.rows {
        crate::text::write_json(
            &column.data_type,
            column.array.as_ref(),
            row,
            call.context.time_zone,
            &options,
            &mut out.bytes,
        );
        out.end_row();
    }
    call.finish(out.finish()?)
}

/// simpleJSON*: looks for `"name":` anywhere in the text, without checking the rest.
fn simple(r: &mut Registry) {
    use DataType::*;
    fn raw<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
        let mut wanted = Vec::with_capacity(name.len() + 3);
        wanted.push(b'"');
        wanted.extend_from_slice(name);
        wanted.extend_from_slice(b"\":");
        let at = memchr::memmem::find(text, &wanted)? + wanted.len();
        Some(&text[at..])
    }
    fn family<T: Native>(
        r: &mut Registry,
        name: &'static str,
        result: DataType,
        f: impl Fn(Option<&[u8]>) -> T + Send + Sync + 'static,
    ) {
        r.add(
            name,
            2..=2,
            move |a| a.strings(0).map(|_| result.clone()),
            move |c| {
                let (texts, names) = (c.strings(0)?, c.strings(1)?);
                c.finish_numbers(
                    (0..c.rows).map(|i| f(raw(texts.get(i), names.get(i)))).collect::<Vec<T>>(),
                )
            },
        );
    }
    /// The number's text, out of quotes if it stands in some.
    fn digits(rest: &[u8]) -> &str {
        let rest = rest.strip_prefix(b"\"").unwrap_or(rest);
        let end = rest
            .iter()
            .position(|b| !(b.is_ascii_digit() || b"+-.eE".contains(b)))
            .unwrap_or(rest.len());
        std::str::from_utf8(&rest[..end]).unwrap_or_default()
    }
    fn whole(rest: &[u8]) -> &str {
        let text = digits(rest);
        let end = text.find(|c: char| !(c.is_ascii_digit() || c == '-')).unwrap_or(text.len());
        &text[..end]
    }
    family(r, "simpleJSONHas", UInt8, |v| u8::from(v.is_some()));
    family(r, "simpleJSONExtractInt", Int64, |v| {
        v.and_then(|v| whole(v).parse().ok()).unwrap_or(0i64)
    });
    family(r, "simpleJSONExtractUInt", UInt64, |v| {
        v.and_then(|v| whole(v).parse().ok()).unwrap_or(0u64)
    });
    family(r, "simpleJSONExtractFloat", Float64, |v| {
        v.and_then(|v| digits(v).parse().ok()).unwrap_or(0f64)
    });
    family(r, "simpleJSONExtractBool", UInt8, |v| {
        u8::from(v.is_some_and(|v| v.starts_with(b"true")))
    });
    for (name, plain) in [("simpleJSONExtractString", true), ("simpleJSONExtractRaw", false)] {
        r.add(
            name,
            2..=2,
            |a| a.strings(0).map(|_| String),
            move |c| {
                let (texts, names) = (c.strings(0)?, c.strings(1)?);
                let mut out = StringsBuilder::with_capacity(c.rows, c.rows * 8);
                for row in 0..c.rows {
                    if let Some(rest) = raw(texts.get(row), names.get(row)) {
                        let end = simple_end(rest);
                        if !plain {
                            out.bytes.extend_from_slice(&rest[..end]);
                        } else if rest.first() == Some(&b'"') {
                            out.bytes.extend_from_slice(&unescape(&rest[..end]));
                        }
                    }
                    out.end_row();
                }
                c.finish(out.finish()?)
            },
        );
    }
}

/// The end of a value, by counting brackets and quotes.
fn simple_end(text: &[u8]) -> usize {
    let (mut depth, mut quoted, mut at) = (0usize, false, 0);
    while at < text.len() {
        match text[at] {
            b'\\' if quoted => at += 1,
            b'"' => {
                quoted = !quoted;
                if !quoted && depth == 0 {
                    return at + 1;
                }
            }
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            b',' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// Error 36 for a path that cannot be read.
pub(super) fn bad_path(path: &str) -> Error {
    bad_argument(format!("Unable to parse JSONPath: {path}"))
}
