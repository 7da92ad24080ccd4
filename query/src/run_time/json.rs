//! JSON objects: from text to the bytes of [`object`](pumphouse_storage::run_time::object) and back.
//!
//! Objects are flattened: every path that ends in something else than an object stands once, with a value
//! of a type of its own ([`infer`](super::infer)) or of its declared type. NULLs and empty objects leave
//! nothing behind.

use std::sync::Arc;

use pumphouse_storage::block::default_value;
use pumphouse_storage::run_time::object::{Object, ObjectBuilder};
use pumphouse_storage::run_time::{column_of, declared_of, open, open_dynamic};
use pumphouse_storage::types::{JsonType, TimeZone};
use pumphouse_storage::{DataType, Value};

use super::infer::{Rules, of_json, settle};
use crate::error::codes;
use crate::functions::json_text::{Kind, check, kind, parts, unescape};
use crate::functions::json_value::extract;
use crate::text::{JsonOptions, TextError, TextResult, excerpt, write_json, write_json_string};

/// Paths of one object at most.
const PATHS_MAX: usize = 100_000;

fn incorrect(what: impl Into<String>) -> TextError {
    TextError::new(codes::INCORRECT_DATA, what)
}

/// The bytes of the object that `text` is.
pub fn parse(json: &Arc<JsonType>, text: &[u8], zone: TimeZone) -> TextResult<Vec<u8>> {
    ObjectParser::new(json, zone)?.text(text)
}

/// Parses objects of one type.
pub struct ObjectParser<'a> {
    json: &'a JsonType,
    nested: Arc<JsonType>,
    patterns: Vec<regex::bytes::Regex>,
    zone: TimeZone,
}

impl<'a> ObjectParser<'a> {
    pub fn new(json: &'a Arc<JsonType>, zone: TimeZone) -> TextResult<ObjectParser<'a>> {
        let patterns = json
            .skipped_patterns
            .iter()
            .map(|p| regex::bytes::Regex::new(p))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| TextError::new(codes::CANNOT_COMPILE_REGEXP, e.to_string()))?;
        Ok(ObjectParser { json, nested: Arc::new(json.nested()), patterns, zone })
    }

    /// The bytes of the object that a whole text is.
    pub fn text(&self, text: &[u8]) -> TextResult<Vec<u8>> {
        let value = check(text).ok_or_else(|| {
            incorrect(format!("Cannot parse JSON object here: {}", excerpt(text)))
        })?;
        if kind(value) != Some(Kind::Object) {
            return Err(incorrect(format!(
                "Cannot insert data into JSON column: Cannot read JSON object from JSON element: {}",
                excerpt(value)
            )));
        }
        self.object(value)
    }

    /// The bytes of a checked object.
    pub fn object(&self, object: &[u8]) -> TextResult<Vec<u8>> {
        let mut found = ObjectBuilder::new();
        self.members(object, &mut vec![], &mut found)?;
        found.sort().map_err(|twice| {
            incorrect(format!(
                "Cannot insert data into JSON column: Duplicate path found during parsing JSON object: {}. You can enable setting type_json_skip_duplicated_paths to skip duplicated paths during insert",
                String::from_utf8_lossy(&twice)
            ))
        })?;
        found.add_declared(self.json);
        Ok(found.finish())
    }

    fn members(
        &self,
        object: &[u8],
        path: &mut Vec<u8>,
        out: &mut ObjectBuilder,
    ) -> TextResult<()> {
        let length = path.len();
        for (key, value) in parts(object) {
            if length > 0 {
                path.push(b'.');
            }
            path.extend_from_slice(&unescape(key));
            if !self.skips(path) {
                self.member(value, path, out)?;
            }
            path.truncate(length);
        }
        Ok(())
    }

    fn skips(&self, path: &[u8]) -> bool {
        let below = |skipped: &String| {
            path.strip_prefix(skipped.as_bytes())
                .is_some_and(|rest| rest.is_empty() || rest[0] == b'.')
        };
        self.json.skipped.iter().any(below) || self.patterns.iter().any(|p| p.is_match(path))
    }

    fn member(&self, value: &[u8], path: &mut Vec<u8>, out: &mut ObjectBuilder) -> TextResult<()> {
        let declared = std::str::from_utf8(path).ok().and_then(|p| self.json.typed_path(p));
        let bytes = match declared {
            Some(data_type) => self.declared(data_type, value, path)?,
            None if kind(value) == Some(Kind::Object) => return self.members(value, path, out),
            None => {
                let rules = Rules { zone: self.zone, objects: Some(&self.nested) };
                match settle(of_json(value, &rules)?).dynamic() {
                    Some(bytes) => bytes,
                    None => return Ok(()),
                }
            }
        };
        if out.len() >= PATHS_MAX {
            return Err(incorrect("an object of a JSON column has too many paths"));
        }
        out.push(path.clone(), bytes);
        Ok(())
    }

    /// A value of a declared path.
    fn declared(&self, data_type: &DataType, value: &[u8], path: &[u8]) -> TextResult<Vec<u8>> {
        let bad = || {
            incorrect(format!(
                "Cannot insert data into JSON column: cannot parse {data_type} value here: {} (while reading path {})",
                excerpt(value),
                String::from_utf8_lossy(path)
            ))
        };
        if kind(value) == Some(Kind::Null) {
            return Ok(declared_of(data_type, &default_value(data_type)));
        }
        let inner = data_type.inner();
        let parsed = match kind(value) {
            _ if inner.is_run_time() => {
                super::text::from_json(inner, value, self.zone).map_err(|_| bad())?
            }
            Some(Kind::String) if !inner.holds_run_time() => {
                crate::text::parse_value(data_type, &unescape(value), self.zone)
                    .map_err(|_| bad())?
            }
            Some(Kind::Object) if inner.is_string() => Value::string(value),
            _ => extract(value, data_type, self.zone, false)
                .filter(|v| !v.is_null())
                .ok_or_else(bad)?,
        };
        Ok(declared_of(data_type, &parsed))
    }
}

/// The object as text: paths put back into objects.
pub fn write(
    bytes: &[u8],
    writer: &mut dyn FnMut(&DataType, &[u8], usize, &mut Vec<u8>),
    layout: &Layout<'_>,
    out: &mut Vec<u8>,
) {
    let object = Object::of(bytes);
    let mut open_names: Vec<&[u8]> = vec![];
    let mut first = true;
    out.push(b'{');
    for (path, value) in object.iter() {
        let names: Vec<&[u8]> = path.split(|b| *b == b'.').collect();
        let Some((last, parents)) = names.split_last() else { continue };
        let same = open_names.iter().zip(parents).take_while(|(a, b)| a == b).count();
        while open_names.len() > same {
            open_names.pop();
            layout.line(open_names.len() + 1, out);
            out.push(b'}');
            first = false;
        }
        for name in &parents[same..] {
            layout.key(name, first, open_names.len() + 1, out);
            out.push(b'{');
            open_names.push(name);
            first = true;
        }
        layout.key(last, first, open_names.len() + 1, out);
        first = false;
        match open_dynamic(value) {
            Some((data_type, rest)) => writer(&data_type, rest, open_names.len() + 1, out),
            None => out.extend_from_slice(b"null"),
        }
    }
    for depth in (0..=open_names.len()).rev() {
        if !object.is_empty() {
            layout.line(depth, out);
        }
        out.push(b'}');
    }
}

/// Lines and indents of a JSON text.
pub struct Layout<'a> {
    pub options: &'a JsonOptions,
    pub indented: bool,
    /// Depth of the line that the object begins on.
    pub level: usize,
}

impl Layout<'_> {
    fn line(&self, depth: usize, out: &mut Vec<u8>) {
        if self.indented {
            out.push(b'\n');
            let level = self.level + depth;
            if level > 0 {
                out.extend_from_slice(self.options.indent_more.as_bytes());
            }
            (0..level).for_each(|_| out.extend_from_slice(self.options.indent.as_bytes()));
        }
    }

    fn key(&self, name: &[u8], first: bool, depth: usize, out: &mut Vec<u8>) {
        if !first {
            out.push(b',');
        }
        self.line(depth, out);
        write_json_string(name, self.options, out);
        out.push(b':');
        if self.indented {
            out.push(b' ');
        }
    }
}

/// The object as compact text.
pub fn write_compact(bytes: &[u8], zone: TimeZone, options: &JsonOptions, out: &mut Vec<u8>) {
    let layout = Layout { options, indented: false, level: 0 };
    let mut value = |t: &DataType, rest: &[u8], _: usize, out: &mut Vec<u8>| {
        write_payload(t, rest, zone, options, out);
    };
    write(bytes, &mut value, &layout, out);
}

/// A value of a known type as JSON.
pub fn write_payload(
    data_type: &DataType,
    payload: &[u8],
    zone: TimeZone,
    options: &JsonOptions,
    out: &mut Vec<u8>,
) {
    match column_of(data_type, std::iter::once(Some(payload))) {
        Ok(column) => write_json(data_type, column.array.as_ref(), 0, zone, options, out),
        Err(_) => out.extend_from_slice(b"null"),
    }
}

/// A Variant's or Dynamic's value as JSON.
pub fn write_self_typed(
    data_type: &DataType,
    bytes: &[u8],
    zone: TimeZone,
    options: &JsonOptions,
    out: &mut Vec<u8>,
) {
    match open(data_type, bytes) {
        Some((own, payload)) => write_payload(&own, payload, zone, options, out),
        None => out.extend_from_slice(b"null"),
    }
}
