//! Reads a type's name, as it stands in CREATE TABLE, into a [`DataType`].
//!
//! Accepts ClickHouse's names and its aliases (INT, VARCHAR, TIMESTAMP …, which are case-insensitive;
//! own names are case-sensitive). Depth is bounded, so a hostile name cannot overflow the stack.

use std::sync::Arc;

use super::data_type::{EnumValues, TupleElement};
use super::{DataType, TimeZone, Value};
use crate::error::{Error, Result};

const TYPE_DEPTH_MAX: usize = 64;
/// ClickHouse's codes of what is refused here.
const BAD_ARGUMENTS: u32 = 36;
const ILLEGAL_TYPE_OF_ARGUMENT: u32 = 43;
const UNEXPECTED_AST_STRUCTURE: u32 = 223;
/// Types of one Variant.
const VARIANT_TYPES_MAX: usize = 255;

/// The type called `text`. Errors say what was not understood.
pub fn parse_data_type(text: &str) -> Result<DataType> {
    let mut p = Parser { text, position: 0, depth: 0 };
    let data_type = p.data_type()?;
    p.spaces();
    if p.position != text.len() {
        return Err(p.error("unexpected text after the type"));
    }
    Ok(data_type)
}

struct Parser<'a> {
    text: &'a str,
    position: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn error(&self, what: &str) -> Error {
        Error::UnknownType(format!("{what} at byte {} of `{}`", self.position, self.text))
    }

    /// An error with ClickHouse's own code: the name is known, but such a type is not allowed.
    fn refused(code: u32, message: impl Into<String>) -> Error {
        Error::Expression { code, message: message.into() }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    fn spaces(&mut self) {
        let rest = self.rest();
        self.position += rest.len() - rest.trim_start().len();
    }

    fn eat(&mut self, c: char) -> bool {
        self.spaces();
        if self.rest().starts_with(c) {
            self.position += c.len_utf8();
            true
        } else {
            false
        }
    }

    fn expect(&mut self, c: char) -> Result<()> {
        if self.eat(c) { Ok(()) } else { Err(self.error(&format!("expected '{c}'"))) }
    }

    fn word(&mut self) -> Result<&'a str> {
        self.spaces();
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        if end == 0 {
            return Err(self.error("expected a name"));
        }
        self.position += end;
        Ok(&rest[..end])
    }

    fn number(&mut self) -> Result<i64> {
        self.spaces();
        let rest = self.rest();
        let sign = usize::from(rest.starts_with('-'));
        let end = rest[sign..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |i| i + sign);
        let number = rest[..end].parse().map_err(|_| self.error("expected a number"))?;
        self.position += end;
        Ok(number)
    }

    fn quoted(&mut self, quote: char) -> Result<String> {
        self.expect(quote)?;
        let mut out = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((i, c)) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some((_, 'n')) => out.push('\n'),
                    Some((_, 't')) => out.push('\t'),
                    Some((_, 'r')) => out.push('\r'),
                    Some((_, '0')) => out.push('\0'),
                    Some((_, c)) => out.push(c),
                    None => break,
                },
                c if c == quote => {
                    self.position += i + c.len_utf8();
                    return Ok(out);
                }
                c => out.push(c),
            }
        }
        Err(self.error("the quote is not closed"))
    }

    fn peek(&mut self) -> Option<char> {
        self.spaces();
        self.rest().chars().next()
    }

    fn data_type(&mut self) -> Result<DataType> {
        self.depth += 1;
        if self.depth > TYPE_DEPTH_MAX {
            return Err(self.error("the type is nested too deeply"));
        }
        let name = self.word()?;
        let data_type = self.named(name)?;
        self.depth -= 1;
        Ok(data_type)
    }

    fn wrapped(&mut self) -> Result<Box<DataType>> {
        self.expect('(')?;
        let inner = self.data_type()?;
        self.expect(')')?;
        Ok(Box::new(inner))
    }

    fn zone(&mut self) -> Result<TimeZone> {
        let name = self.quoted('\'')?;
        TimeZone::parse(&name).ok_or_else(|| self.error(&format!("unknown time zone {name}")))
    }

    fn optional_zone(&mut self) -> Result<Option<TimeZone>> {
        if !self.eat('(') {
            return Ok(None);
        }
        let zone = self.zone()?;
        self.expect(')')?;
        Ok(Some(zone))
    }

    /// `Decimal(p, s)`, `Decimal(p)`, `Decimal`.
    fn decimal(&mut self, fixed_precision: Option<u8>) -> Result<DataType> {
        let (precision, scale) = match fixed_precision {
            Some(p) => {
                self.expect('(')?;
                let scale = self.number()?;
                self.expect(')')?;
                (p as i64, scale)
            }
            None if self.eat('(') => {
                let precision = self.number()?;
                let scale = if self.eat(',') { self.number()? } else { 0 };
                self.expect(')')?;
                (precision, scale)
            }
            None => (10, 0),
        };
        if !(1..=76).contains(&precision) || scale < 0 || scale > precision {
            return Err(self.error("decimal precision is 1 to 76 and scale 0 to precision"));
        }
        Ok(DataType::Decimal { precision: precision as u8, scale: scale as u8 })
    }

    fn enumeration(&mut self, bits: Option<u8>) -> Result<DataType> {
        self.expect('(')?;
        let mut values: Vec<(String, i16)> = vec![];
        loop {
            let name = self.quoted('\'')?;
            let number = if self.eat('=') {
                let n = self.number()?;
                i16::try_from(n).map_err(|_| self.error("enum value is beyond 16 bit"))?
            } else {
                values.last().map_or(1, |(_, n)| n.saturating_add(1))
            };
            if values.iter().any(|(n, v)| *n == name || *v == number) {
                return Err(self.error("enum name or value stands twice"));
            }
            values.push((name, number));
            if !self.eat(',') {
                break;
            }
        }
        self.expect(')')?;
        values.sort_by_key(|(_, v)| *v);
        let fits = values.iter().all(|(_, v)| i8::try_from(*v).is_ok());
        let values = Arc::new(EnumValues { values });
        match bits {
            Some(8) | None if fits => Ok(DataType::Enum8(values)),
            Some(8) => Err(self.error("enum value is beyond 8 bit")),
            _ => Ok(DataType::Enum16(values)),
        }
    }

    fn tuple(&mut self) -> Result<DataType> {
        let mut elements = vec![];
        self.expect('(')?;
        if self.eat(')') {
            return Ok(DataType::Tuple(elements));
        }
        loop {
            let start = self.position;
            let name = if self.peek() == Some('`') {
                Some(self.quoted('`')?)
            } else {
                let word = self.word()?.to_string();
                // A word followed by another word is `name Type`.
                match self.peek() {
                    Some(c) if c.is_ascii_alphabetic() => Some(word),
                    _ => {
                        self.position = start;
                        None
                    }
                }
            };
            elements.push(TupleElement { name, data_type: self.data_type()? });
            if !self.eat(',') {
                break;
            }
        }
        self.expect(')')?;
        Ok(DataType::Tuple(elements))
    }

    fn literal(&mut self) -> Result<Value> {
        match self.peek() {
            Some('\'') => Ok(Value::string(self.quoted('\'')?)),
            _ => {
                let rest = self.rest();
                let end = rest.find([',', ')']).unwrap_or(rest.len());
                let text = rest[..end].trim();
                let value = if let Ok(v) = text.parse::<u64>() {
                    Value::UInt(v)
                } else if let Ok(v) = text.parse::<i64>() {
                    Value::Int(v)
                } else if let Ok(v) = text.parse::<f64>() {
                    Value::Float(v)
                } else {
                    return Err(self.error("expected a literal"));
                };
                self.position += end;
                Ok(value)
            }
        }
    }

    fn aggregate_function(&mut self) -> Result<DataType> {
        self.expect('(')?;
        let name = self.word()?.to_string();
        let mut parameters = vec![];
        if self.eat('(') {
            loop {
                parameters.push(self.literal()?);
                if !self.eat(',') {
                    break;
                }
            }
            self.expect(')')?;
        }
        let mut arguments = vec![];
        while self.eat(',') {
            arguments.push(self.data_type()?);
        }
        self.expect(')')?;
        Ok(DataType::AggregateFunction { name, parameters, arguments })
    }

    /// `Variant(T, …)`: each type once, in the order of names.
    fn variant(&mut self) -> Result<DataType> {
        let mut types: Vec<DataType> = vec![];
        self.expect('(')?;
        while !self.eat(')') {
            if !types.is_empty() {
                self.expect(',')?;
            }
            let data_type = self.data_type()?;
            if data_type.is_nullable() || matches!(data_type, DataType::Nothing) {
                return Err(Self::refused(
                    BAD_ARGUMENTS,
                    "Nullable/LowCardinality(Nullable) types are not allowed inside Variant type",
                ));
            }
            if !types.contains(&data_type) {
                types.push(data_type);
            }
        }
        if types.len() > VARIANT_TYPES_MAX {
            return Err(self.error("Variant holds at most 255 types"));
        }
        types.sort_by_key(|t| t.to_string());
        Ok(DataType::Variant(types))
    }

    fn dynamic(&mut self) -> Result<DataType> {
        if !self.eat('(') {
            return Ok(DataType::Dynamic { types_max: None });
        }
        if self.word()? != "max_types" {
            return Err(self.error("Dynamic takes max_types"));
        }
        self.expect('=')?;
        let n = self.number()?;
        self.expect(')')?;
        match u8::try_from(n) {
            Ok(n) if n < 255 => Ok(DataType::Dynamic { types_max: Some(n) }),
            _ => Err(Self::refused(
                UNEXPECTED_AST_STRUCTURE,
                "'max_types' argument for Dynamic type should be a positive integer between 0 and 254",
            )),
        }
    }

    /// `JSON(max_dynamic_paths=n, path Type, SKIP path, SKIP REGEXP 'pattern')`.
    fn json(&mut self) -> Result<DataType> {
        let mut json = super::JsonType::default();
        if !self.eat('(') {
            return Ok(DataType::Json(Arc::new(json)));
        }
        let mut first = true;
        while !self.eat(')') {
            if !first {
                self.expect(',')?;
            }
            first = false;
            let path = self.path()?;
            if path == "SKIP" {
                let start = self.position;
                if self.peek() != Some('`') && self.word()? == "REGEXP" && self.peek() == Some('\'')
                {
                    json.skipped_patterns.push(self.quoted('\'')?);
                    continue;
                }
                self.position = start;
                json.skipped.push(self.path()?);
            } else if self.eat('=') {
                let n = self.number()?;
                let n = u64::try_from(n).map_err(|_| self.error("expected a count"))?;
                match path.as_str() {
                    "max_dynamic_paths" if n <= 10_000 => json.paths_max = Some(n),
                    "max_dynamic_types" if n < 255 => json.types_max = Some(n),
                    "max_dynamic_paths" | "max_dynamic_types" => {
                        let most = if path == "max_dynamic_paths" { 10_000 } else { 254 };
                        return Err(Self::refused(
                            UNEXPECTED_AST_STRUCTURE,
                            format!(
                                "'{path}' parameter for JSON type should be a positive integer between 0 and {most}. Got {n}"
                            ),
                        ));
                    }
                    _ => {
                        return Err(Self::refused(
                            UNEXPECTED_AST_STRUCTURE,
                            format!("Unexpected parameter '{path}' for JSON type"),
                        ));
                    }
                }
            } else {
                let data_type = self.data_type()?;
                json.typed.push((path, data_type));
            }
        }
        json.typed.sort_by(|a, b| a.0.cmp(&b.0));
        json.skipped.sort();
        if let Some(twice) = json.typed.windows(2).find(|w| w[0].0 == w[1].0) {
            let message = format!("Found duplicated path with type: {}", twice[0].0);
            return Err(Self::refused(BAD_ARGUMENTS, message));
        }
        for (path, data_type) in &json.typed {
            let below = |skipped: &&String| {
                path.strip_prefix(skipped.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            if let Some(skipped) = json.skipped.iter().find(below) {
                return Err(Self::refused(
                    BAD_ARGUMENTS,
                    format!(
                        "Path '{path}' is specified with the data type ('{data_type}') and matches the SKIP path prefix '{skipped}'"
                    ),
                ));
            }
        }
        Ok(DataType::Json(Arc::new(json)))
    }

    /// Names with points between them; back quotes may stand around one or all.
    fn path(&mut self) -> Result<String> {
        let mut path = String::new();
        loop {
            let part =
                if self.peek() == Some('`') { self.quoted('`')? } else { self.word()?.to_string() };
            path.push_str(&part);
            if !self.rest().starts_with('.') {
                return Ok(path);
            }
            self.position += 1;
            path.push('.');
        }
    }

    fn named(&mut self, name: &str) -> Result<DataType> {
        use DataType::*;
        Ok(match name {
            "Nothing" => Nothing,
            "UInt8" => UInt8,
            "UInt16" => UInt16,
            "UInt32" => UInt32,
            "UInt64" => UInt64,
            "UInt128" => UInt128,
            "UInt256" => UInt256,
            "Int8" => Int8,
            "Int16" => Int16,
            "Int32" => Int32,
            "Int64" => Int64,
            "Int128" => Int128,
            "Int256" => Int256,
            "Float32" => Float32,
            "BFloat16" => BFloat16,
            "Float64" => Float64,
            "String" => String,
            "UUID" => Uuid,
            "IPv4" => Ipv4,
            "IPv6" => Ipv6,
            "FixedString" => {
                self.expect('(')?;
                let n = self.number()?;
                self.expect(')')?;
                if !(1..=0xFF_FFFF).contains(&n) {
                    return Err(self.error("FixedString needs a length of 1 to 16777215"));
                }
                FixedString(n as usize)
            }
            "DateTime64" => {
                let (mut precision, mut zone) = (3, None);
                if self.eat('(') {
                    precision = self.number()?;
                    if self.eat(',') {
                        zone = Some(self.zone()?);
                    }
                    self.expect(')')?;
                }
                if !(0..=9).contains(&precision) {
                    return Err(self.error("DateTime64 precision is 0 to 9"));
                }
                DateTime64(precision as u8, zone)
            }
            "Enum8" => self.enumeration(Some(8))?,
            "Enum16" => self.enumeration(Some(16))?,
            "Nullable" => {
                let inner = self.wrapped()?;
                let unnamed = match &*inner {
                    Named { argument, .. } => argument,
                    _ => &inner,
                };
                if matches!(**unnamed, Variant(_) | Dynamic { .. }) {
                    return Err(Self::refused(
                        ILLEGAL_TYPE_OF_ARGUMENT,
                        format!("Nested type {inner} cannot be inside Nullable type"),
                    ));
                }
                if matches!(**unnamed, Nullable(_) | LowCardinality(_) | Array(_) | Map(..)) {
                    return Err(self.error(&format!("Nullable cannot hold {inner}")));
                }
                Nullable(inner)
            }
            "LowCardinality" => LowCardinality(self.wrapped()?),
            "Array" => Array(self.wrapped()?),
            "Tuple" => self.tuple()?,
            "Map" => {
                self.expect('(')?;
                let key = self.data_type()?;
                self.expect(',')?;
                let value = self.data_type()?;
                self.expect(')')?;
                Map(Box::new(key), Box::new(value))
            }
            "AggregateFunction" => self.aggregate_function()?,
            "Variant" => self.variant()?,
            "Dynamic" => self.dynamic()?,
            "JSON" => self.json()?,
            "Time64" => {
                let mut precision = 3;
                if self.eat('(') {
                    precision = self.number()?;
                    self.expect(')')?;
                }
                if !(0..=9).contains(&precision) {
                    return Err(self.error("Time64 precision is 0 to 9"));
                }
                Time64(precision as u8)
            }
            "SimpleAggregateFunction" => {
                self.expect('(')?;
                let name = self.word()?.to_string();
                self.expect(',')?;
                let argument = Box::new(self.data_type()?);
                self.expect(')')?;
                SimpleAggregateFunction { name, argument }
            }
            other if other.starts_with("Interval") => {
                const UNITS: [&str; 11] = [
                    "Nanosecond",
                    "Microsecond",
                    "Millisecond",
                    "Second",
                    "Minute",
                    "Hour",
                    "Day",
                    "Week",
                    "Month",
                    "Quarter",
                    "Year",
                ];
                match UNITS.iter().find(|u| **u == &other["Interval".len()..]) {
                    Some(unit) => Interval(unit),
                    None => return Err(self.error(&format!("unknown type {other}"))),
                }
            }
            other => match DataType::geometric(other) {
                Some(geometric) => geometric,
                None => return self.alias(other),
            },
        })
    }

    /// Names that ClickHouse takes in any case.
    fn alias(&mut self, name: &str) -> Result<DataType> {
        use DataType::*;
        let data_type = match name.to_ascii_lowercase().as_str() {
            "bool" | "boolean" => Bool,
            "tinyint" | "int1" | "byte" => Int8,
            "smallint" => Int16,
            "int" | "integer" | "mediumint" => Int32,
            "bigint" | "signed" => Int64,
            "unsigned" => UInt64,
            "float" | "real" => Float32,
            "double" => Float64,
            "text" | "varchar" | "char" | "blob" | "tinytext" | "mediumtext" | "longtext"
            | "character" | "clob" | "bytea" | "varbinary" | "nvarchar" => {
                if self.eat('(') {
                    self.number()?;
                    self.expect(')')?;
                }
                String
            }
            "date" => Date,
            "date32" => Date32,
            "time" => Time,
            "json" => self.json()?,
            "datetime" | "timestamp" => {
                if self.eat('(') {
                    self.spaces();
                    if self.rest().starts_with('\'') {
                        let zone = self.zone()?;
                        self.expect(')')?;
                        DateTime(Some(zone))
                    } else {
                        let precision = self.number()?;
                        let zone = if self.eat(',') { Some(self.zone()?) } else { None };
                        self.expect(')')?;
                        match precision {
                            0 => DateTime(zone),
                            p @ 1..=9 => DateTime64(p as u8, zone),
                            _ => return Err(self.error("DateTime precision is 0 to 9")),
                        }
                    }
                } else {
                    DateTime(None)
                }
            }
            "datetime32" => DateTime(self.optional_zone()?),
            "decimal" | "dec" | "numeric" | "fixed" => self.decimal(None)?,
            "decimal32" => self.decimal(Some(9))?,
            "decimal64" => self.decimal(Some(18))?,
            "decimal128" => self.decimal(Some(38))?,
            "decimal256" => self.decimal(Some(76))?,
            "enum" => self.enumeration(None)?,
            _ => return Err(self.error(&format!("unknown type {name}"))),
        };
        Ok(data_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_names_read_back() {
        for name in [
            "UInt8",
            "Int64",
            "Bool",
            "Float32",
            "String",
            "FixedString(16)",
            "Date",
            "Date32",
            "DateTime",
            "DateTime('Europe/Berlin')",
            "DateTime64(3)",
            "DateTime64(6, 'UTC')",
            "Enum8('a' = -1, 'b' = 2)",
            "Enum16('x' = 300)",
            "UUID",
            "IPv4",
            "IPv6",
            "Decimal(9, 2)",
            "Decimal(38, 10)",
            "Nullable(String)",
            "LowCardinality(Nullable(String))",
            "Array(Array(UInt8))",
            "Tuple(UInt8, String)",
            "Tuple(a UInt8, `b c` String)",
            "Map(String, Array(UInt64))",
            "IntervalDay",
            "AggregateFunction(quantiles(0.5, 0.9), Float64)",
            "AggregateFunction(count)",
            "SimpleAggregateFunction(sum, UInt64)",
            "Variant(Array(UInt64), String)",
            "Dynamic",
            "Dynamic(max_types=3)",
            "JSON",
            "JSON(max_dynamic_types=3, max_dynamic_paths=2, a UInt32, SKIP `d.e`, SKIP REGEXP 'x.*')",
            "Time",
            "Time64(6)",
            "Point",
            "MultiPolygon",
        ] {
            assert_eq!(parse_data_type(name).unwrap().to_string(), name);
        }
    }

    #[test]
    fn aliases_and_errors() {
        assert_eq!(parse_data_type("varchar(20)").unwrap(), DataType::String);
        assert_eq!(parse_data_type("Decimal64(3)").unwrap().to_string(), "Decimal(18, 3)");
        assert_eq!(
            parse_data_type("DateTime(3, 'UTC')").unwrap().to_string(),
            "DateTime64(3, 'UTC')"
        );
        for bad in [
            "",
            "string",
            "Nullable(Array(UInt8))",
            "Array(",
            "Decimal(80, 2)",
            "Uint8",
            "UInt8 x",
            "DateTime('Mars/Base')",
            "Enum8('a' = 300)",
        ] {
            assert!(parse_data_type(bad).is_err(), "{bad}");
        }
        assert!(parse_data_type(&"Array(".repeat(100_000)).is_err());
    }
}
