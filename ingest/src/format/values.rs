//! Values: `(1, 'x'), (2, 'y')`, read and written, and SQLInsert's output.
//!
//! Literals are read directly. Anything else in a field is an expression: its text goes to the
//! evaluator that the caller has set ([`FormatReader::set_evaluator`]); without one it is an error
//! that names the byte. `DEFAULT` leaves the column to its default.

use pumphouse_query::error::{Result, codes};
use pumphouse_query::text::read::read_string_literal;
use pumphouse_query::text::{parse_value, read_quoted_value, write_quoted};
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, DataType, Value};

use super::columns::RowBuilder;
use super::fields::row_error;
use super::json_each_row::{Framing, Next, full};
use super::json_value::{excerpt, skip_spaces};
use super::reading::ways;
use super::row_reader::{Piece, RowReader, rows_are_built_here};
use super::{
    Evaluator, FormatOptions, FormatReader, FormatWriter, InputColumn, ParseError, WriterStatistics,
};

pub struct ValuesWriter {
    zone: TimeZone,
    separator: &'static [u8],
    rows: u64,
    /// SQLInsert: the statement's beginning, and how many rows one statement has at most.
    insert: Option<(Vec<u8>, u64)>,
    /// Of the statement: its words, the table, and whether names of columns stand in it, in quotes.
    begin: String,
    names: bool,
    quote_names: bool,
}

impl ValuesWriter {
    pub fn boxed(options: &FormatOptions) -> Result<Box<dyn FormatWriter>> {
        let zone = options.time_zone;
        Ok(Box::new(ValuesWriter {
            zone,
            separator: b",",
            rows: 0,
            insert: None,
            begin: String::new(),
            names: false,
            quote_names: false,
        }))
    }

    pub fn sql_insert(options: &FormatOptions) -> Result<Box<dyn FormatWriter>> {
        let batch = options.settings.u64("output_format_sql_insert_max_batch_size", 65409).max(1);
        let table = options.settings.get("output_format_sql_insert_table_name").unwrap_or("table");
        Ok(Box::new(ValuesWriter {
            zone: options.time_zone,
            separator: b", ",
            rows: 0,
            insert: Some((vec![], batch)),
            begin: match options.settings.bool("output_format_sql_insert_use_replace", false) {
                true => format!("REPLACE INTO {table} "),
                false => format!("INSERT INTO {table} "),
            },
            names: options.settings.bool("output_format_sql_insert_include_column_names", true),
            quote_names: options.settings.bool("output_format_sql_insert_quote_names", true),
        }))
    }
}

impl FormatWriter for ValuesWriter {
    fn prefix(&mut self, schema: &[(String, DataType)], _out: &mut Vec<u8>) -> Result<()> {
        if let Some((beginning, _)) = &mut self.insert {
            let name = |name: &String| match self.quote_names {
                true => format!("`{}`", name.replace('`', "\\`")),
                false => name.clone(),
            };
            let names: Vec<String> = schema.iter().map(|(n, _)| name(n)).collect();
            let mut text = self.begin.clone();
            if self.names {
                text += &format!("({}) ", names.join(", "));
            }
            *beginning = (text + "VALUES ").into_bytes();
        }
        Ok(())
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        for row in 0..block.rows() {
            match &self.insert {
                Some((beginning, batch)) if self.rows.is_multiple_of(*batch) => {
                    if self.rows > 0 {
                        out.extend_from_slice(b";\n");
                    }
                    out.extend_from_slice(beginning);
                }
                _ if self.rows > 0 => out.extend_from_slice(self.separator),
                _ => {}
            }
            self.rows += 1;
            out.push(b'(');
            for (i, column) in block.columns.iter().enumerate() {
                if i > 0 {
                    out.extend_from_slice(self.separator);
                }
                write_quoted(&column.data_type, column.array.as_ref(), row, self.zone, out);
            }
            out.push(b')');
        }
        Ok(())
    }

    fn suffix(&mut self, _statistics: &WriterStatistics, out: &mut Vec<u8>) -> Result<()> {
        if self.insert.is_some() {
            out.extend_from_slice(b";\n");
        }
        Ok(())
    }

    fn content_type(&self) -> &'static str {
        "text/plain; charset=UTF-8"
    }
}

pub struct ValuesReader {
    rows: RowBuilder,
    zone: TimeZone,
    framing: Framing,
    evaluator: Option<Evaluator>,
}

type Parsed<T> = std::result::Result<T, ParseError>;

impl ValuesReader {
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
    ) -> Result<Box<dyn FormatReader>> {
        Ok(Box::new(ValuesReader {
            rows: RowBuilder::new(columns, options.time_zone),
            zone: options.time_zone,
            framing: Framing::default(),
            evaluator: None,
        }))
    }

    /// A literal at `at` that is followed by a comma or a parenthesis, appended; where it ends.
    fn literal(&mut self, column: usize, bytes: &[u8], at: usize) -> Option<usize> {
        let slot = &mut self.rows.slots[column];
        let dt = slot.builder.data_type.inner();
        let rest = &bytes[at..];
        let ends = |end: usize| {
            let end = skip_spaces(bytes, end);
            matches!(bytes.get(end), Some(b',' | b')')).then_some(end)
        };
        let word = |word: &str| {
            rest.get(..word.len())
                .filter(|w| w.eq_ignore_ascii_case(word.as_bytes()))
                .and_then(|_| ends(at + word.len()))
        };
        if let Some(end) = word("NULL") {
            if !slot.builder.nullable && !ways().null_as_default {
                return None;
            }
            slot.builder.push_null();
            if !slot.builder.nullable {
                self.rows.mark_absent(column);
            }
            return Some(end);
        }
        if let Some(end) = word("DEFAULT") {
            slot.builder.push_default();
            self.rows.mark_absent(column);
            return Some(end);
        }
        let plain = !slot.builder.data_type.inner().is_run_time();
        for (name, value) in [("true", true), ("false", false)].into_iter().filter(|_| plain) {
            if let Some(end) = word(name) {
                slot.builder.push_value(&Value::Bool(value)).ok()?;
                return Some(end);
            }
        }
        if rest.first() == Some(&b'\'') {
            let (string, used) = read_string_literal(rest).ok()?;
            let end = ends(at + used)?;
            if let super::columns::Values::String(b) = &mut slot.builder.values {
                b.push(&string);
                return Some(end);
            }
            let data_type = slot.builder.data_type.clone();
            if data_type.inner().is_run_time() {
                let (value, _) = read_quoted_value(data_type.inner(), rest, self.zone).ok()?;
                slot.builder.push_value(&value).ok()?;
                return Some(end);
            }
            let value = parse_value(&data_type, &string, self.zone).ok()?;
            slot.builder.push_value(&value).ok()?;
            return Some(end);
        }
        let (value, used) = read_quoted_value(dt, rest, self.zone).ok()?;
        let end = ends(at + used)?;
        slot.builder.push_value(&value).ok()?;
        Some(end)
    }

    /// The row whose parenthesis is at `at`. None: the input ends within it.
    fn read_row(&mut self, bytes: &[u8], at: usize, row: usize) -> Parsed<Option<usize>> {
        let mut at = skip_spaces(bytes, at + 1);
        let columns = self.rows.slots.len();
        for column in 0..columns {
            if column > 0 {
                match bytes.get(at) {
                    Some(b',') => at = skip_spaces(bytes, at + 1),
                    None => return Ok(None),
                    Some(_) => return Err(self.misplaced(column - 1, "','", bytes, at, row)),
                }
            }
            if at >= bytes.len() {
                return Ok(None);
            }
            let before = self.rows.rows();
            let end = match self.literal(column, bytes, at) {
                Some(end) => end,
                None => {
                    self.rows.slots[column].builder.truncate(before);
                    let Some(end) = expression_end(bytes, at) else { return Ok(None) };
                    self.expression(column, bytes, at, end, row)?;
                    end
                }
            };
            self.rows.slots[column].filled = before + 1;
            at = end;
        }
        match bytes.get(at) {
            Some(b')') => {
                self.rows.end_row(columns);
                Ok(Some(at + 1))
            }
            None => Ok(None),
            Some(_) => Err(self.misplaced(columns - 1, "')'", bytes, at, row)),
        }
    }

    #[cold]
    fn misplaced(
        &self,
        column: usize,
        wanted: &str,
        bytes: &[u8],
        at: usize,
        row: usize,
    ) -> ParseError {
        let slot = &self.rows.slots[column];
        let message = format!(
            "Expected {wanted} after the value of column `{}` of type {}",
            slot.name, slot.builder.data_type
        );
        row_error(codes::SYNTAX_ERROR, &message, bytes, at, row)
    }

    #[cold]
    fn expression(
        &mut self,
        column: usize,
        bytes: &[u8],
        at: usize,
        end: usize,
        row: usize,
    ) -> Parsed<()> {
        let slot = &mut self.rows.slots[column];
        let text = String::from_utf8_lossy(&bytes[at..end]);
        let text = text.trim_end();
        let place = |message: String, code: u32| ParseError {
            code,
            message: format!(
                "{message}: (while reading the value of column {}): (at row {}, byte {at}, near \
                 '{}')",
                slot.name,
                row + 1,
                excerpt(bytes, at)
            ),
        };
        let Some(evaluator) = &mut self.evaluator else {
            let message =
                format!("Cannot parse expression of type {} here", slot.builder.data_type);
            return Err(place(message, codes::SYNTAX_ERROR));
        };
        let value =
            evaluator(text, &slot.builder.data_type).map_err(|e| place(e.message, e.code))?;
        slot.builder.push_value(&value).map_err(|e| place(e.message, e.code))?;
        if value.is_null() && !slot.builder.nullable {
            self.rows.mark_absent(column);
        }
        Ok(())
    }

    fn read_rows(
        &mut self,
        bytes: &[u8],
        framing: &mut Framing,
        last: bool,
        rows_max: usize,
    ) -> Parsed<usize> {
        let mut at = 0;
        let first = self.rows.rows();
        while self.rows.rows() - first < rows_max {
            if self.rows.is_full() {
                return Err(full(&self.rows));
            }
            let row = self.rows.rows() - first;
            let before = *framing;
            let start = match framing.next(bytes, at, b'(') {
                Ok(Next::Row(start)) => start,
                Ok(Next::End(end)) => return Ok(end),
                Err(e) => return Err(row_error(e.code, "Cannot parse input", bytes, e.at, row)),
            };
            let rows = self.rows.rows();
            match self.read_row(bytes, start, row)? {
                Some(end) => at = end,
                None if !last => {
                    self.rows.rollback(rows);
                    *framing = before;
                    return Ok(at);
                }
                None => {
                    let message = "Cannot parse input: expected ')'";
                    return Err(row_error(codes::SYNTAX_ERROR, message, bytes, bytes.len(), row));
                }
            }
        }
        Ok(at)
    }
}

/// Where the expression at `at` ends: at a comma or parenthesis outside of brackets and quotes.
fn expression_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = at;
    loop {
        match bytes.get(at)? {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' if depth > 0 => depth -= 1,
            b')' | b',' if depth == 0 => return Some(at),
            quote @ (b'\'' | b'"' | b'`') => {
                let mut inside = at + 1;
                loop {
                    match bytes.get(inside)? {
                        b'\\' => inside += 2,
                        b if b == quote => break,
                        _ => inside += 1,
                    }
                }
                at = inside;
            }
            _ => {}
        }
        at += 1;
    }
}

impl RowReader for ValuesReader {
    rows_are_built_here!();

    fn read(&mut self, input: &[u8], piece: Piece) -> Parsed<usize> {
        let mut framing = if piece.is_message() { Framing::default() } else { self.framing };
        let used = self.read_rows(input, &mut framing, piece.is_last(), piece.rows_max())?;
        if !piece.is_message() {
            self.framing = framing;
        }
        Ok(used)
    }

    fn use_evaluator(&mut self, evaluator: Evaluator) {
        self.evaluator = Some(evaluator);
    }
}
