//! What type a text is of, and the type that holds several: for schema inference. Types are plain here; where
//! NULLs may stand is added at the end.

use pumphouse_query::context::Settings;
use pumphouse_query::error::{Error, Result};
use pumphouse_query::text;
use pumphouse_storage::DataType;
use pumphouse_storage::types::{TimeZone, TupleElement};

use super::json_skip::skip_value;
use super::json_value::{read_string, skip_spaces};

/// How deep types that are found may be.
const DEPTH_MAX: usize = 100;

/// What the settings let be found.
#[derive(Debug, Clone)]
pub struct Wanted {
    integers: bool,
    dates: bool,
    times: bool,
    times64_only: bool,
    exponents: bool,
    variants: bool,
    numbers_in_strings: bool,
    tuples_in_strings: bool,
    named_tuples: bool,
    mixed_arrays: bool,
    pub unknown_as_strings: bool,
    ambiguous_as_strings: bool,
    /// JSON, whose rules of what goes together are stricter.
    pub json: bool,
}

impl Wanted {
    pub fn of(format: &str, settings: &Settings) -> Wanted {
        let set =
            |name: &str, default: bool| settings.bool(&format!("input_format_{name}"), default);
        let json = format.contains("JSON");
        let numbers = match json {
            true => "json_try_infer_numbers_from_strings",
            false => "csv_try_infer_numbers_from_strings",
        };
        Wanted {
            integers: set("try_infer_integers", true),
            dates: set("try_infer_dates", true),
            times: set("try_infer_datetimes", true),
            times64_only: set("try_infer_datetimes_only_datetime64", false),
            exponents: json || set("try_infer_exponent_floats", false),
            variants: set("try_infer_variants", false),
            numbers_in_strings: set(numbers, false),
            tuples_in_strings: !set("csv_try_infer_strings_from_quoted_tuples", true),
            named_tuples: set("json_try_infer_named_tuples_from_objects", true),
            mixed_arrays: set("json_infer_array_of_dynamic_from_array_of_different_types", true),
            unknown_as_strings: !json || set("json_infer_incomplete_types_as_strings", true),
            ambiguous_as_strings: set(
                "json_use_string_type_for_ambiguous_paths_in_named_tuples_inference_from_objects",
                false,
            ),
            json,
        }
    }

    /// The type that holds both. None: nothing was said of one.
    pub fn joined(&self, a: Option<DataType>, b: Option<DataType>) -> Result<Option<DataType>> {
        let (a, b) = match (a, b) {
            (None, other) | (other, None) => return Ok(other),
            (Some(a), Some(b)) => (a, b),
        };
        self.of_both(a, b).map(Some)
    }

    fn of_both(&self, a: DataType, b: DataType) -> Result<DataType> {
        use DataType as T;
        if a == b {
            return Ok(a);
        }
        let simple = |t: &T| !matches!(t, T::Array(_) | T::Tuple(_) | T::Map(..) | T::Variant(_));
        Ok(match (a, b) {
            (T::Nothing, other) | (other, T::Nothing) => other,
            (T::Int64, T::UInt64) | (T::UInt64, T::Int64) => T::Int64,
            (T::Int64 | T::UInt64, T::Float64) | (T::Float64, T::Int64 | T::UInt64) => T::Float64,
            (T::Bool, n @ (T::Int64 | T::UInt64 | T::Float64))
            | (n @ (T::Int64 | T::UInt64 | T::Float64), T::Bool)
                if self.json =>
            {
                n
            }
            (T::Date, t @ (T::DateTime64(..) | T::DateTime(_)))
            | (t @ (T::DateTime64(..) | T::DateTime(_)), T::Date)
            | (T::DateTime(_), t @ T::DateTime64(..))
            | (t @ T::DateTime64(..), T::DateTime(_)) => t,
            (T::Array(a), T::Array(b)) => T::array(self.of_both(*a, *b)?),
            (T::Map(k, a), T::Map(_, b)) => T::Map(k, Box::new(self.of_both(*a, *b)?)),
            (T::Tuple(a), T::Tuple(b)) => T::Tuple(self.tuples(a, b)?),
            (a, b) if self.variants && !self.json => variant(vec![a, b]),
            (a, b) if simple(&a) && simple(&b) => T::String,
            (a, b) if self.json => {
                let why = format!(
                    "The table structure cannot be extracted: type {b} differs from type {a} of an earlier row"
                );
                return Err(Error::new(CANNOT_EXTRACT_TABLE_STRUCTURE, why));
            }
            _ => T::String,
        })
    }

    fn tuples(&self, a: Vec<TupleElement>, b: Vec<TupleElement>) -> Result<Vec<TupleElement>> {
        let mut all = a;
        for (i, element) in b.into_iter().enumerate() {
            let at = match &element.name {
                Some(name) => all.iter().position(|e| e.name.as_ref() == Some(name)),
                None => (i < all.len()).then_some(i),
            };
            let Some(at) = at else {
                all.push(element);
                continue;
            };
            let old = all[at].data_type.clone();
            all[at].data_type = match self.of_both(old, element.data_type) {
                Err(_) if self.ambiguous_as_strings => DataType::String,
                found => found?,
            };
        }
        Ok(all)
    }

    /// The type of a string's content.
    pub fn of_string(&self, value: &[u8]) -> DataType {
        if self.numbers_in_strings
            && let Some(number) = self.of_number(value)
        {
            return number;
        }
        let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
        let dated = value.len() >= 10
            && digits(&value[..4])
            && value[4] == b'-'
            && digits(&value[5..7])
            && value[7] == b'-'
            && digits(&value[8..10]);
        if !dated {
            return DataType::String;
        }
        if value.len() == 10 {
            let real = self.dates && text::parse_date(value).is_ok();
            return if real { DataType::Date } else { DataType::String };
        }
        if !self.times || text::parse_date_time64(value, 9, TimeZone::UTC).is_err() {
            return DataType::String;
        }
        match value.contains(&b'.') || self.times64_only {
            false => DataType::DateTime(None),
            true => DataType::DateTime64(9, None),
        }
    }

    /// The type of a number's whole text.
    fn of_number(&self, value: &[u8]) -> Option<DataType> {
        let number = std::str::from_utf8(value).ok()?;
        let body = number.strip_prefix('-').unwrap_or(number);
        if matches!(body.to_ascii_lowercase().as_str(), "nan" | "inf") && !self.json {
            return Some(DataType::Float64);
        }
        if !body.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return None;
        }
        if body.bytes().all(|b| b.is_ascii_digit()) && self.integers {
            if number.parse::<i64>().is_ok() {
                return Some(DataType::Int64);
            }
            if number.parse::<u64>().is_ok() {
                return Some(DataType::UInt64);
            }
            return self.json.then_some(DataType::Float64);
        }
        let exponent = body.contains(['e', 'E']);
        let real = (!exponent || self.exponents) && text::parse_float(value).is_ok();
        real.then_some(DataType::Float64)
    }

    /// The type of a field that stands without quotes; None where it says nothing.
    pub fn of_bare(&self, field: &[u8]) -> Option<DataType> {
        match field {
            b"" | b"\\N" | b"NULL" | b"null" => None,
            b"true" | b"false" => Some(DataType::Bool),
            [b'[' | b'(' | b'{', ..] => Some(self.of_nested(field)),
            _ => Some(self.of_number(field).unwrap_or_else(|| self.of_string(field))),
        }
    }

    /// The type of a field in quotes.
    pub fn of_quoted(&self, field: &[u8]) -> DataType {
        match field.first() {
            Some(b'[' | b'{') => self.of_nested(field),
            Some(b'(') if self.tuples_in_strings => self.of_nested(field),
            _ => self.of_string(field),
        }
    }

    /// An array, a tuple or a map if it is a whole one, else a string.
    fn of_nested(&self, field: &[u8]) -> DataType {
        match self.literal(field, 0, 0) {
            Some((Some(found), end)) if end == field.len() => found,
            _ => DataType::String,
        }
    }

    /// The type of the literal at `at` and where it ends; the type is None for NULL.
    pub fn literal(
        &self,
        bytes: &[u8],
        at: usize,
        depth: usize,
    ) -> Option<(Option<DataType>, usize)> {
        let rest = &bytes[at..];
        let close = match rest.first()? {
            _ if depth > DEPTH_MAX => return None,
            b'\'' => {
                let (string, used) = text::read::read_string_literal(rest).ok()?;
                return Some((Some(self.of_string(&string)), at + used));
            }
            b'[' => b']',
            b'(' => b')',
            b'{' => b'}',
            _ => {
                let ends = |b: &u8| matches!(b, b',' | b']' | b')' | b'}' | b':' | b' ');
                let end = at + rest.iter().position(ends).unwrap_or(rest.len());
                let word = &bytes[at..end];
                let found = match word {
                    b"NULL" => None,
                    b"true" | b"false" => Some(DataType::Bool),
                    word => Some(self.of_number(word)?),
                };
                return Some((found, end));
            }
        };
        let mut types = vec![];
        let mut at = skip_spaces(bytes, at + 1);
        while *bytes.get(at)? != close {
            if !types.is_empty() {
                at = skip_spaces(bytes, at + usize::from(bytes[at] == b',' || bytes[at] == b':'));
            }
            let (found, end) = self.literal(bytes, at, depth + 1)?;
            types.push(found);
            at = skip_spaces(bytes, end);
            match bytes.get(at)? {
                b',' | b':' => {}
                other if *other == close => {}
                _ => return None,
            }
        }
        let joined = |types: &mut dyn Iterator<Item = Option<DataType>>| {
            let mut all: Option<DataType> = None;
            for found in types {
                let (before, said) = (all.clone(), found.is_some());
                all = self.joined(all, found).ok()?;
                // A string beside something else is no type of both here.
                let mixed = said && all == Some(DataType::String);
                if mixed && before.is_some_and(|t| t != DataType::String) {
                    return None;
                }
            }
            Some(all.unwrap_or(DataType::Nothing))
        };
        let found = match close {
            b']' => DataType::array(joined(&mut types.into_iter())?),
            b'}' => {
                let values = joined(&mut types.iter().skip(1).step_by(2).cloned())?;
                DataType::Map(Box::new(DataType::String), Box::new(values))
            }
            _ => {
                let element = |t: Option<DataType>| TupleElement {
                    name: None,
                    data_type: t.unwrap_or(DataType::Nothing),
                };
                DataType::Tuple(types.into_iter().map(element).collect())
            }
        };
        Some((Some(found), at + 1))
    }

    /// The type of a JSON value; None for null, which says nothing. The text was skipped over before, so
    /// that its shape and depth are good.
    pub fn of_json(&self, text: &[u8]) -> Result<Option<DataType>> {
        Ok(Some(match text.first() {
            None | Some(b'n') => return Ok(None),
            Some(b't' | b'f') => DataType::Bool,
            Some(b'"') => {
                let mut value = vec![];
                match read_string(text, 1, &mut value) {
                    Ok(_) => self.of_string(&value),
                    Err(_) => return Ok(None),
                }
            }
            Some(b'[') => self.of_json_array(text)?,
            Some(b'{') if !self.named_tuples => DataType::String,
            Some(b'{') => {
                let mut elements = vec![];
                for (name, value) in entries(text) {
                    let data_type = self.of_json(value)?.unwrap_or(DataType::Nothing);
                    elements.push(TupleElement { name: Some(name), data_type });
                }
                if elements.is_empty() {
                    return Ok(None);
                }
                DataType::Tuple(elements)
            }
            _ => self.of_number(text).unwrap_or(DataType::Float64),
        }))
    }

    fn of_json_array(&self, text: &[u8]) -> Result<DataType> {
        let mut found = vec![];
        for item in items(text) {
            if let Some(t) = self.of_json(item)?
                && !found.contains(&t)
            {
                found.push(t);
            }
        }
        let text = |t: &DataType| matches!(t, DataType::String);
        let mut all = DataType::Nothing;
        for t in &found {
            let mixed = text(t) != text(&all) && all != DataType::Nothing;
            let temporal = t.is_date_or_time() || all.is_date_or_time();
            match self.of_both(all.clone(), t.clone()) {
                Ok(joined) if !mixed || temporal => all = joined,
                _ if self.variants => return Ok(DataType::array(variant(found))),
                _ if self.mixed_arrays => {
                    return Ok(DataType::array(DataType::Dynamic { types_max: None }));
                }
                Ok(joined) => all = joined,
                Err(e) => return Err(e),
            }
        }
        Ok(DataType::array(all))
    }
}

pub const CANNOT_EXTRACT_TABLE_STRUCTURE: u32 = 636;

/// A Variant of these, and of what those among them hold.
fn variant(types: Vec<DataType>) -> DataType {
    let mut all = vec![];
    for t in types {
        match t {
            DataType::Variant(types) => all.extend(types),
            other => all.push(other),
        }
    }
    all.sort_by_key(DataType::to_string);
    all.dedup();
    DataType::Variant(all)
}

/// Whether nothing in the type is left open.
pub fn is_known(t: &DataType) -> bool {
    match t {
        DataType::Nothing => false,
        DataType::Array(t) | DataType::Map(_, t) => is_known(t),
        DataType::Tuple(elements) => elements.iter().all(|e| is_known(&e.data_type)),
        _ => true,
    }
}

/// The type with String for what is left open, and NULLs allowed in all of it if `nullable`.
pub fn settled(t: DataType, nullable: bool) -> DataType {
    use DataType as T;
    match t {
        T::Array(t) => T::array(settled(*t, nullable)),
        T::Map(k, v) => T::Map(k, Box::new(settled(*v, nullable))),
        T::Tuple(mut elements) => {
            for e in &mut elements {
                e.data_type = settled(e.data_type.clone(), nullable);
            }
            T::Tuple(elements)
        }
        T::Variant(_) | T::Dynamic { .. } | T::Json(_) => t,
        T::Nothing if nullable => T::nullable(T::String),
        T::Nothing => T::String,
        leaf if nullable => T::nullable(leaf),
        leaf => leaf,
    }
}

/// The texts of an array's items.
pub fn items(text: &[u8]) -> Vec<&[u8]> {
    let mut found = vec![];
    let mut at = skip_spaces(text, 1);
    while let Some(b) = text.get(at).filter(|b| **b != b']') {
        if *b == b',' {
            at = skip_spaces(text, at + 1);
            continue;
        }
        let Ok(end) = skip_value(text, at) else { break };
        found.push(&text[at..end]);
        at = skip_spaces(text, end);
    }
    found
}

/// The keys of an object in their order, and the texts of their values.
pub fn entries(text: &[u8]) -> Vec<(String, &[u8])> {
    let mut found = vec![];
    let mut at = skip_spaces(text, 1);
    while let Some(b) = text.get(at).filter(|b| **b != b'}') {
        if *b == b',' {
            at = skip_spaces(text, at + 1);
            continue;
        }
        let mut name = vec![];
        let Ok(end) = read_string(text, at + 1, &mut name) else { break };
        let colon = skip_spaces(text, end);
        let start = skip_spaces(text, colon + 1);
        let Ok(end) = skip_value(text, start) else { break };
        found.push((String::from_utf8_lossy(&name).into_owned(), &text[start..end]));
        at = skip_spaces(text, end);
    }
    found
}
