//! Escaping rules: how one value is written and read where a format lets the user choose
//! (CustomSeparated, Template, Regexp).
//!
//! A value ends where its rule says, or before the text that must follow it. Reading by XML is refused.

use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::text::read::{parse_value, read_quoted_value, read_string_literal};
use pumphouse_query::text::write::write_string_literal;
use pumphouse_query::text::{
    JsonOptions, TextError, TextResult, write_json, write_json_string, write_quoted,
};
use pumphouse_storage::Column;
use pumphouse_storage::types::TimeZone;

use super::FormatOptions;
use super::columns::{ColumnBuilder, Values};
use super::csv::{CsvFields, write_csv_value, write_double_quoted};
use super::fields::push_text;
use super::json_rows::json_options;
use super::json_value::read_value;
use super::tab_separated::{NULL_SETTING, unescape_into, write_tab_value};
use super::xml::write_xml_value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    None,
    Csv,
    Escaped,
    Quoted,
    Json,
    Xml,
    Raw,
}

impl Rule {
    pub fn parse(name: &str) -> Option<Rule> {
        Some(match name {
            "None" => Rule::None,
            "CSV" => Rule::Csv,
            "Escaped" => Rule::Escaped,
            "Quoted" => Rule::Quoted,
            "JSON" => Rule::Json,
            "XML" => Rule::Xml,
            "Raw" => Rule::Raw,
            _ => return None,
        })
    }

    /// The rule that a setting names.
    pub fn of_setting(options: &FormatOptions, setting: &str, default: Rule) -> Result<Rule> {
        match options.settings.get(setting) {
            None => Ok(default),
            Some(name) => Rule::parse(name).ok_or_else(|| {
                let message = format!("Unexpected value of {setting}: '{name}'. Must be one of ['None', 'Escaped', 'Quoted', 'CSV', 'JSON', 'XML', 'Raw']");
                Error::new(codes::BAD_ARGUMENTS, message)
            }),
        }
    }
}

/// What values are written and read with.
#[derive(Clone)]
pub struct Rules {
    pub json: JsonOptions,
    pub zone: TimeZone,
    pub csv: CsvFields,
    /// NULL where values are escaped or raw.
    tab_null: Vec<u8>,
}

/// Where a read value ended, and whether it was a real one (not an empty or NULL for a type without).
pub struct Read {
    pub end: usize,
    pub absent: bool,
}

impl Rules {
    pub fn new(options: &FormatOptions) -> Rules {
        let csv = CsvFields::of(options);
        let tab_null = options.null_text(NULL_SETTING);
        Rules { json: json_options(&options.settings), zone: options.time_zone, csv, tab_null }
    }

    pub fn write(&self, rule: Rule, column: &Column, row: usize, out: &mut Vec<u8>) {
        let (dt, array) = (&column.data_type, column.array.as_ref());
        match rule {
            Rule::None => {}
            Rule::Csv => write_csv_value(dt, array, row, &self.csv, out),
            Rule::Escaped | Rule::Raw if column.is_null(row) => {
                out.extend_from_slice(&self.tab_null)
            }
            Rule::Escaped => write_tab_value(column, row, false, self.zone, out),
            Rule::Raw => write_tab_value(column, row, true, self.zone, out),
            Rule::Quoted if column.is_null(row) => out.extend_from_slice(b"NULL"),
            Rule::Quoted => write_quoted(dt, array, row, self.zone, out),
            Rule::Json => write_json(dt, array, row, self.zone, &self.json, out),
            Rule::Xml => write_xml_value(dt, array, row, self.zone, out),
        }
    }

    /// A name, a type or a number as a string of this rule.
    pub fn write_string(&self, rule: Rule, text: &[u8], out: &mut Vec<u8>) {
        match rule {
            Rule::None => {}
            Rule::Csv => write_double_quoted(text, out),
            Rule::Escaped => pumphouse_query::text::write::write_escaped(text, out),
            Rule::Quoted => write_string_literal(text, out),
            Rule::Json => write_json_string(text, &self.json, out),
            Rule::Raw | Rule::Xml => out.extend_from_slice(text),
        }
    }

    /// Reads the value at `at`, which ends before `stop`. None: its end is not here.
    pub fn read(
        &self,
        rule: Rule,
        builder: &mut ColumnBuilder,
        bytes: &[u8],
        at: usize,
        stop: &[u8],
        last: bool,
    ) -> TextResult<Option<Read>> {
        let whole = |end: usize, absent: bool| Some(Read { end, absent });
        match rule {
            Rule::None => {
                builder.push_default();
                Ok(bare_end(bytes, at, stop, false, last).map(|end| Read { end, absent: true }))
            }
            Rule::Escaped | Rule::Raw | Rule::Xml => {
                let escaped = rule == Rule::Escaped;
                let Some(end) = bare_end(bytes, at, stop, escaped, last) else { return Ok(None) };
                let text = &bytes[at..end];
                let null =
                    if rule == Rule::Xml { b"\\N".as_slice() } else { self.tab_null.as_slice() };
                if text == null {
                    builder.push_null();
                    return Ok(whole(end, !builder.nullable));
                }
                let composite =
                    matches!(builder.values, Values::Array(_) | Values::Map(_) | Values::Tuple(..));
                if escaped && !composite && text.contains(&b'\\') {
                    let mut plain = vec![];
                    unescape_into(text, &mut plain);
                    push_text(builder, &plain, self.zone)?;
                } else {
                    push_text(builder, text, self.zone)?;
                }
                Ok(whole(end, false))
            }
            Rule::Csv => self.read_csv(builder, bytes, at, stop, last),
            Rule::Quoted => self.read_quoted(builder, bytes, at),
            Rule::Json => {
                let null = bytes.get(at) == Some(&b'n') && !builder.nullable;
                match read_value(builder, bytes, at) {
                    Ok(end) => Ok(whole(end, null)),
                    Err(e) => Err(TextError::new(e.code, e.message)),
                }
            }
        }
    }

    fn read_csv(
        &self,
        builder: &mut ColumnBuilder,
        bytes: &[u8],
        at: usize,
        stop: &[u8],
        last: bool,
    ) -> TextResult<Option<Read>> {
        if let Some(quote @ (b'"' | b'\'')) = bytes.get(at) {
            let (mut text, mut from) = (vec![], at + 1);
            loop {
                let Some(step) = memchr::memchr(*quote, &bytes[from..]) else { return Ok(None) };
                text.extend_from_slice(&bytes[from..from + step]);
                from += step + 1;
                if bytes.get(from) != Some(quote) {
                    break;
                }
                text.push(*quote);
                from += 1;
            }
            push_text(builder, &text, self.zone)?;
            return Ok(Some(Read { end: from, absent: false }));
        }
        let Some(end) = bare_end(bytes, at, stop, false, last) else { return Ok(None) };
        let text = bytes[at..end].trim_ascii();
        if text.is_empty() || text == self.csv.null {
            builder.push_null();
            return Ok(Some(Read { end, absent: text.is_empty() || !builder.nullable }));
        }
        push_text(builder, text, self.zone)?;
        Ok(Some(Read { end, absent: false }))
    }

    fn read_quoted(
        &self,
        builder: &mut ColumnBuilder,
        bytes: &[u8],
        at: usize,
    ) -> TextResult<Option<Read>> {
        let rest = &bytes[at..];
        if rest.get(..4).is_some_and(|w| w.eq_ignore_ascii_case(b"NULL")) {
            builder.push_null();
            return Ok(Some(Read { end: at + 4, absent: !builder.nullable }));
        }
        if rest.first() == Some(&b'\'') {
            let (string, used) = read_string_literal(rest)?;
            match &mut builder.values {
                Values::String(b) => b.push(&string),
                _ => {
                    let value = parse_value(&builder.data_type, &string, self.zone)?;
                    builder.push_value(&value)?;
                }
            }
            return Ok(Some(Read { end: at + used, absent: false }));
        }
        let (value, used) = read_quoted_value(builder.data_type.inner(), rest, self.zone)?;
        builder.push_value(&value)?;
        Ok(Some(Read { end: at + used, absent: false }))
    }

    /// A field's text without what the rule has around it, and whether it stood in quotes.
    pub fn plain(&self, rule: Rule, text: &[u8]) -> (Vec<u8>, bool) {
        let quoted = match rule {
            Rule::Csv | Rule::Json => text.first() == Some(&b'"'),
            Rule::Quoted => text.first() == Some(&b'\''),
            _ => false,
        };
        let nested = matches!(text.first(), Some(b'[' | b'(' | b'{'));
        if !quoted && (rule != Rule::Escaped || nested || text == b"\\N") {
            return (text.to_vec(), false);
        }
        match self.read_string(rule, text, 0, b"", true) {
            Ok(Some((plain, _))) => (plain, quoted),
            _ => (text.to_vec(), quoted),
        }
    }

    /// A string of this rule, as in a line of names.
    pub fn read_string(
        &self,
        rule: Rule,
        bytes: &[u8],
        at: usize,
        stop: &[u8],
        last: bool,
    ) -> TextResult<Option<(Vec<u8>, usize)>> {
        let mut builder = ColumnBuilder::new(&pumphouse_storage::DataType::String, self.zone);
        let Some(read) = self.read(rule, &mut builder, bytes, at, stop, last)? else {
            return Ok(None);
        };
        let Values::String(b) = builder.values else { return Ok(None) };
        Ok(Some((b.data, read.end)))
    }
}

/// Where a value without quotes ends: before `stop`, else at a line's end, else at the end of all.
fn bare_end(bytes: &[u8], at: usize, stop: &[u8], escaped: bool, last: bool) -> Option<usize> {
    let mut end = at;
    while end < bytes.len() {
        let b = bytes[end];
        if escaped && b == b'\\' {
            end += 2;
            continue;
        }
        if !stop.is_empty() && bytes[end..].starts_with(stop) || stop.is_empty() && b == b'\n' {
            return Some(end);
        }
        end += 1;
    }
    last.then_some(bytes.len())
}

/// A number as the rules write it.
pub fn write_number(rules: &Rules, rule: Rule, text: &str, out: &mut Vec<u8>) {
    match rule {
        Rule::Json if rules.json.quote_64bit_integers => {
            write_json_string(text.as_bytes(), &rules.json, out);
        }
        Rule::None => {}
        _ => out.extend_from_slice(text.as_bytes()),
    }
}
