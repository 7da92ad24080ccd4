//! Readers of whole JSON documents: JSON, JSONCompact, JSONObjectEachRow, and the column-wise JSONColumns,
//! JSONCompactColumns and JSONColumnsWithMetadata.
//!
//! A document is read once all of it is there. Its rows go through the readers of single rows. The
//! types in `meta` must be the columns'.

use pumphouse_query::error::{Result, codes};
use pumphouse_query::text::{JsonOptions, write_json_string};
use pumphouse_storage::types::parse_data_type;

use super::columns::RowBuilder;
use super::header::{Header, find_column};
use super::json_compact::JsonCompactReader;
use super::json_document::Layout;
use super::json_each_row::{JsonEachRowReader, check_room, parse_error};
use super::json_rows::NAME_COLUMN;
use super::json_skip::skip_value;
use super::json_value::{Failure, expect, expected, fail, read_string, read_value, skip_spaces};
use super::{FormatOptions, FormatReader, InputColumn, ParseError, ParsedRows};

type Parsed<T> = std::result::Result<T, ParseError>;
type Step<T> = std::result::Result<T, Box<Failure>>;

/// What the document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    Rows(Layout),
    /// `{"any name": {row}, …}`
    NamedRows,
}

/// Of rows, read by another reader; or of columns.
enum Target {
    Rows(Box<dyn FormatReader>),
    Columns(RowBuilder),
}

pub struct JsonDocumentReader {
    document: Document,
    target: Target,
    skip_unknown: bool,
    /// The column that takes the names of rows.
    name_column: Option<String>,
    /// Columns whose types the document's must be, where it says them.
    checked: Vec<InputColumn>,
}

impl JsonDocumentReader {
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
        document: Document,
    ) -> Result<Box<dyn FormatReader>> {
        let target = match document {
            Document::NamedRows | Document::Rows(Layout::Objects) => {
                Target::Rows(JsonEachRowReader::boxed(columns, options, false)?)
            }
            Document::Rows(Layout::Arrays) => {
                Target::Rows(JsonCompactReader::boxed(columns, options, Header::Names, false)?)
            }
            Document::Rows(_) => Target::Columns(RowBuilder::new(columns, options.time_zone)),
        };
        let skip_unknown = options.settings.bool("input_format_skip_unknown_fields", true);
        let check = "input_format_json_validate_types_from_metadata";
        let checked = match document {
            Document::Rows(Layout::Columns | Layout::CompactColumns) | Document::NamedRows => {
                vec![]
            }
            _ if !options.settings.bool(check, true) => vec![],
            _ => columns.to_vec(),
        };
        let name_column = options.settings.get(NAME_COLUMN).filter(|name| !name.is_empty());
        let name_column = name_column.map(str::to_string);
        Ok(Box::new(JsonDocumentReader { document, target, skip_unknown, name_column, checked }))
    }

    fn read(&mut self, bytes: &[u8]) -> Parsed<usize> {
        let start = if bytes.starts_with(&[0xef, 0xbb, 0xbf]) { 3 } else { 0 };
        let at = skip_spaces(bytes, start);
        if at == bytes.len() {
            return Ok(0);
        }
        let failed = |e: Box<Failure>| parse_error(*e, bytes, 0);
        if !self.checked.is_empty() {
            check_types(&self.checked, bytes, at).map_err(failed)?;
        }
        match (&mut self.target, self.document) {
            (Target::Columns(rows), document) => {
                let before = rows.rows();
                let at = match document {
                    Document::Rows(Layout::ColumnsWithMetadata) => {
                        member(bytes, at, "data").map_err(failed)?
                    }
                    _ => at,
                };
                read_columns(rows, bytes, at, self.skip_unknown).map_err(|e| {
                    rows.rollback(before);
                    failed(e)
                })?;
                rows.add_bytes(bytes.len());
                Ok(rows.rows() - before)
            }
            (Target::Rows(reader), Document::NamedRows) => {
                let mut rows = vec![];
                for (name, from, to) in members(bytes, at).map_err(failed)? {
                    let mut from = from;
                    if let Some(column) = &self.name_column
                        && bytes[from] == b'{'
                    {
                        let options = JsonOptions::default();
                        rows.push(b'{');
                        write_json_string(column.as_bytes(), &options, &mut rows);
                        rows.push(b':');
                        write_json_string(&name, &options, &mut rows);
                        from = skip_spaces(bytes, from + 1);
                        if bytes[from] != b'}' {
                            rows.push(b',');
                        }
                    }
                    rows.extend_from_slice(&bytes[from..to]);
                    rows.push(b'\n');
                }
                reader.read_message(&rows)
            }
            (Target::Rows(reader), Document::Rows(Layout::Arrays)) => {
                let mut rows = names(bytes, at).map_err(failed)?;
                let from = member(bytes, at, "data").map_err(failed)?;
                let to = skip_value(bytes, from).map_err(failed)?;
                if bytes[from] != b'[' {
                    return Err(failed(expected(bytes, from, "[")));
                }
                rows.extend_from_slice(&bytes[from + 1..to - 1]);
                reader.read_message(&rows)
            }
            (Target::Rows(reader), _) => {
                let from = member(bytes, at, "data").map_err(failed)?;
                let to = skip_value(bytes, from).map_err(failed)?;
                reader.read_message(&bytes[from..to])
            }
        }
    }
}

/// Names, and extents of the values, of the object at `at`, which ends the document.
fn members(bytes: &[u8], at: usize) -> Step<Vec<(Vec<u8>, usize, usize)>> {
    let mut found = vec![];
    let mut at = skip_spaces(bytes, expect(bytes, at, b'{')?);
    while bytes.get(at) != Some(&b'}') {
        if !found.is_empty() {
            at = skip_spaces(bytes, expect(bytes, at, b',')?);
        }
        let mut name = vec![];
        at = skip_spaces(bytes, read_string(bytes, expect(bytes, at, b'"')?, &mut name)?);
        let from = skip_spaces(bytes, expect(bytes, at, b':')?);
        let to = skip_value(bytes, from)?;
        found.push((name, from, to));
        at = skip_spaces(bytes, to);
    }
    Ok(found)
}

/// Where the value of `name` begins in the object at `at`.
fn member(bytes: &[u8], at: usize, name: &str) -> Step<usize> {
    let found = members(bytes, at)?.into_iter().find(|(n, ..)| n == name.as_bytes());
    found.map(|(_, from, _)| from).ok_or_else(|| {
        fail(codes::INCORRECT_DATA, at, format!("Expected field \"{name}\" with table content"))
    })
}

/// Names and types in `meta`, if the document at `at` has it, against the columns.
fn check_types(columns: &[InputColumn], bytes: &[u8], at: usize) -> Step<()> {
    for (name, given) in described(bytes, at)? {
        let Some(column) = columns.iter().find(|c| c.name == name) else { continue };
        if parse_data_type(&given).ok().as_ref() != Some(&column.data_type) {
            let message = format!("Type of '{name}' must be {}, not {given}", column.data_type);
            return Err(fail(codes::INCORRECT_DATA, at, message));
        }
    }
    Ok(())
}

/// Names and types in `meta`; nothing where the document at `at` has none.
pub(super) fn described(bytes: &[u8], at: usize) -> Step<Vec<(String, String)>> {
    let all = members(bytes, at)?;
    let Some((_, from, _)) = all.into_iter().find(|(n, ..)| n == b"meta") else {
        return Ok(vec![]);
    };
    let mut found = vec![];
    let mut at = expect(bytes, from, b'[')?;
    loop {
        at = skip_spaces(bytes, at);
        match bytes.get(at) {
            Some(b']') => return Ok(found),
            Some(b',') => at += 1,
            _ => {
                let text = |name: &str| -> Step<String> {
                    let from = expect(bytes, member(bytes, at, name)?, b'"')?;
                    let mut text = vec![];
                    read_string(bytes, from, &mut text)?;
                    Ok(String::from_utf8_lossy(&text).into_owned())
                };
                found.push((text("name")?, text("type")?));
                at = skip_value(bytes, at)?;
            }
        }
    }
}

/// The names in `meta` as a line of JSON strings.
fn names(bytes: &[u8], at: usize) -> Step<Vec<u8>> {
    let mut line = b"[".to_vec();
    let mut at = expect(bytes, member(bytes, at, "meta")?, b'[')?;
    loop {
        at = skip_spaces(bytes, at);
        match bytes.get(at) {
            Some(b']') => break,
            Some(b',') => at += 1,
            _ => {
                let from = member(bytes, at, "name")?;
                let to = skip_value(bytes, from)?;
                if line.len() > 1 {
                    line.push(b',');
                }
                line.extend_from_slice(&bytes[from..to]);
                at = skip_value(bytes, at)?;
            }
        }
    }
    line.extend_from_slice(b"]\n");
    Ok(line)
}

/// The items of the array at `at` into column `c`; how many they are.
fn read_column(rows: &mut RowBuilder, c: usize, bytes: &[u8], at: usize) -> Step<usize> {
    let mut at = skip_spaces(bytes, expect(bytes, at, b'[')?);
    let mut count = 0;
    let slot = &mut rows.slots[c];
    while bytes.get(at) != Some(&b']') {
        if count > 0 {
            at = skip_spaces(bytes, expect(bytes, at, b',')?);
        }
        let end = read_value(&mut slot.builder, bytes, at).map_err(|mut e| {
            e.column = Some(slot.name.clone());
            e
        })?;
        at = skip_spaces(bytes, end);
        count += 1;
    }
    Ok(count)
}

/// An object of arrays by name, or an array of arrays in the columns' order.
fn read_columns(rows: &mut RowBuilder, bytes: &[u8], at: usize, skip_unknown: bool) -> Step<()> {
    let mut starts: Vec<(usize, usize)> = vec![];
    if bytes.get(at) == Some(&b'{') {
        for (name, from, _) in members(bytes, at)? {
            let name = String::from_utf8_lossy(&name).into_owned();
            match find_column(rows, &name) {
                Some(c) if starts.iter().any(|(known, _)| *known == c) => {
                    let message = format!("Duplicate field found while parsing: {name}");
                    return Err(fail(codes::INCORRECT_DATA, from, message));
                }
                Some(c) => starts.push((c, from)),
                None if skip_unknown => {}
                None => {
                    let message = format!("Unknown column found in input data: {name}");
                    return Err(fail(codes::INCORRECT_DATA, from, message));
                }
            }
        }
    } else {
        let mut next = skip_spaces(bytes, expect(bytes, at, b'[')?);
        while bytes.get(next) != Some(&b']') {
            if !starts.is_empty() {
                next = skip_spaces(bytes, expect(bytes, next, b',')?);
            }
            if starts.len() == rows.slots.len() {
                let message = "Input data has too many columns";
                return Err(fail(codes::INCORRECT_DATA, next, message));
            }
            starts.push((starts.len(), next));
            next = skip_spaces(bytes, skip_value(bytes, next)?);
        }
    }
    let mut rows_max = None;
    for (c, from) in &starts {
        let count = read_column(rows, *c, bytes, *from)?;
        if *rows_max.get_or_insert(count) != count {
            let message = format!("Number of rows differ in different columns: {count}");
            return Err(fail(codes::INCORRECT_DATA, *from, message));
        }
    }
    let first = rows.rows();
    for row in first..first + rows_max.unwrap_or(0) {
        starts.iter().for_each(|(c, _)| rows.slots[*c].filled = row + 1);
        rows.end_row(starts.len());
    }
    Ok(())
}

impl FormatReader for JsonDocumentReader {
    fn read_message(&mut self, message: &[u8]) -> Parsed<usize> {
        if let Target::Columns(rows) = &self.target {
            check_room(rows, message.len())?;
        }
        self.read(message)
    }

    fn read_stream(&mut self, input: &[u8], last: bool, _rows_max: usize) -> Parsed<usize> {
        if !last {
            return super::check_row_bytes(input, last).map(|()| 0);
        }
        self.read(input).map(|_| input.len())
    }

    fn rows(&self) -> usize {
        match &self.target {
            Target::Rows(reader) => reader.rows(),
            Target::Columns(rows) => rows.rows(),
        }
    }

    fn bytes(&self) -> usize {
        match &self.target {
            Target::Rows(reader) => reader.bytes(),
            Target::Columns(rows) => rows.bytes(),
        }
    }

    fn take(&mut self) -> Result<ParsedRows> {
        match &mut self.target {
            Target::Rows(reader) => reader.take(),
            Target::Columns(rows) => rows.take(),
        }
    }
}
