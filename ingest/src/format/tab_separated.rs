//! TabSeparated (TSV), plain and Raw, with or without lines of names and types; also LineAsString's
//! output, and TSKV's (`name=value`).
//!
//! Reading: a field ends at a tab, a row at a line feed; a backslash escapes (not in Raw); `\N` is
//! NULL. A first row that only repeats column names is taken for a header, as ClickHouse does.

use pumphouse_query::error::{Result, codes};
use pumphouse_query::text::TextError;
use pumphouse_query::text::read::unescape;
use pumphouse_query::text::write::{bytes_at, write_escaped, write_plain};
use pumphouse_query::text::write_text;
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, Column, DataType};

use super::cells;
use super::columns::RowBuilder;
use super::csv_reader::{only_line_ends, skip_lines};
use super::fields::{Marks, field_error, push_plain, push_text, row_error};
use super::grid::{self, Grid, Shape};
use super::header::{FieldColumns, Header, by_names, check_types, find_column, in_order};
use super::json_each_row::full;
use super::reading::ways;
use super::row_reader::{Piece, RowReader, rows_are_built_here};
use super::scan::find_three;
use super::{FormatOptions, FormatReader, FormatWriter, InputColumn, ParseError, WriterStatistics};

pub const NULL_SETTING: &str = "format_tsv_null_representation";

pub struct TabSeparatedWriter {
    header: Header,
    raw: bool,
    /// Names before values: TSKV.
    keyed: bool,
    zone: TimeZone,
    /// What stands for NULL.
    null: Vec<u8>,
    crlf: bool,
    names: Vec<String>,
}

impl TabSeparatedWriter {
    pub fn boxed(
        options: &FormatOptions,
        header: Header,
        raw: bool,
    ) -> Result<Box<dyn FormatWriter>> {
        Ok(Box::new(Self::new(options, header, raw)))
    }

    pub fn keyed(options: &FormatOptions) -> Result<Box<dyn FormatWriter>> {
        Ok(Box::new(TabSeparatedWriter {
            keyed: true,
            crlf: false,
            ..Self::new(options, Header::None, false)
        }))
    }

    fn new(options: &FormatOptions, header: Header, raw: bool) -> TabSeparatedWriter {
        TabSeparatedWriter {
            header,
            raw,
            keyed: false,
            zone: options.time_zone,
            null: options.null_text(NULL_SETTING),
            crlf: options.settings.bool("output_format_tsv_crlf_end_of_line", false),
            names: vec![],
        }
    }

    fn end_line(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.crlf { b"\r\n" } else { b"\n" });
    }

    fn line<'a>(&self, texts: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
        for (i, text) in texts.enumerate() {
            if i > 0 {
                out.push(b'\t');
            }
            if self.raw { out.extend_from_slice(text) } else { write_escaped(text, out) }
        }
        self.end_line(out);
    }

    fn rows(&self, block: &Block, out: &mut Vec<u8>) {
        let mut columns = cells::of_block(block, self.zone);
        for row in 0..block.rows() {
            for (i, cells) in columns.iter_mut().enumerate() {
                if i > 0 {
                    out.push(b'\t');
                }
                if self.keyed {
                    write_escaped(self.names[i].as_bytes(), out);
                    out.push(b'=');
                }
                if cells.is_null(row) {
                    out.extend_from_slice(&self.null);
                } else if !cells.plain(row, None, out) {
                    write_tab_value(cells.column, row, self.raw, self.zone, out);
                }
            }
            self.end_line(out);
        }
    }
}

/// A value as a TSV field.
#[inline]
pub fn write_tab_value(column: &Column, row: usize, raw: bool, zone: TimeZone, out: &mut Vec<u8>) {
    let array = column.array.as_ref();
    if column.is_null(row) {
        return out.extend_from_slice(b"\\N");
    }
    match column.data_type.inner() {
        dt @ (DataType::String | DataType::FixedString(_) | DataType::AggregateFunction { .. }) => {
            let bytes = bytes_at(dt, array, row);
            if raw { out.extend_from_slice(bytes) } else { write_escaped(bytes, out) }
        }
        dt @ (DataType::Variant(_) | DataType::Dynamic { .. }) => {
            match pumphouse_query::run_time::own_value(dt, array, row) {
                Some(own) => write_tab_value(&own, 0, raw, zone, out),
                None => out.extend_from_slice(b"\\N"),
            }
        }
        dt @ (DataType::Enum8(_) | DataType::Enum16(_) | DataType::Json(_)) if !raw => {
            let mut name = vec![];
            write_text(dt, array, row, zone, &mut name);
            write_escaped(&name, out);
        }
        // Composite types escape their strings themselves.
        dt => write_plain(dt, array, row, zone, out),
    }
}

impl FormatWriter for TabSeparatedWriter {
    fn prefix(&mut self, schema: &[(String, DataType)], out: &mut Vec<u8>) -> Result<()> {
        self.names = schema.iter().map(|(name, _)| name.clone()).collect();
        if self.header >= Header::Names {
            self.line(schema.iter().map(|(name, _)| name.as_bytes()), out);
        }
        if self.header == Header::NamesAndTypes {
            let types: Vec<String> = schema.iter().map(|(_, dt)| dt.to_string()).collect();
            self.line(types.iter().map(|t| t.as_bytes()), out);
        }
        Ok(())
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        self.rows(block, out);
        Ok(())
    }

    fn totals(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        if !self.keyed {
            out.push(b'\n');
            self.rows(block, out);
        }
        Ok(())
    }

    fn extremes(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        self.totals(block, out)
    }

    fn suffix(&mut self, _statistics: &WriterStatistics, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn content_type(&self) -> &'static str {
        "text/tab-separated-values; charset=UTF-8"
    }
}

const PLAIN: Shape = Shape { delimiter: b'\t', quotes: false };

pub struct TabSeparatedReader {
    rows: RowBuilder,
    header: Header,
    raw: bool,
    /// What stands for NULL.
    null: Vec<u8>,
    options: FormatOptions,
    /// Known once the header is read.
    fields: Option<FieldColumns>,
    crlf: bool,
    /// Rows may have fewer fields, or more.
    any_width: bool,
    /// An empty field is the column's default.
    empty_as_default: bool,
    skip_empty_end: bool,
    scratch: Vec<u8>,
    grid: Grid,
}

/// A field's extent: the bytes of it, whether it has escapes, and how it ended.
struct Field {
    end: usize,
    escaped: bool,
}

impl TabSeparatedReader {
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
        header: Header,
        raw: bool,
    ) -> Result<Box<dyn FormatReader>> {
        Ok(Box::new(TabSeparatedReader {
            rows: RowBuilder::new(columns, options.time_zone),
            header,
            raw,
            null: options.null_text(NULL_SETTING),
            crlf: options.settings.bool("input_format_tsv_crlf_end_of_line", false),
            any_width: options
                .settings
                .bool("input_format_tsv_allow_variable_number_of_columns", false),
            empty_as_default: options.settings.bool("input_format_tsv_empty_as_default", false),
            skip_empty_end: options
                .settings
                .bool("input_format_tsv_skip_trailing_empty_lines", false),
            options: options.clone(),
            fields: None,
            scratch: vec![],
            grid: Grid::default(),
        }))
    }

    fn field(&self, bytes: &[u8], at: usize) -> Field {
        let mut end = at;
        let mut escaped = false;
        loop {
            let third = if self.raw { b'\n' } else { b'\\' };
            end = find_three(bytes, end, b'\t', b'\n', third);
            match bytes.get(end) {
                Some(b'\\') if !self.raw => {
                    escaped = true;
                    end = (end + 2).min(bytes.len());
                }
                _ => return Field { end, escaped },
            }
        }
    }

    /// The texts of a line; None when it is not whole. The position behind it.
    fn line(&self, bytes: &[u8], at: usize, last: bool) -> Option<(Vec<Vec<u8>>, usize)> {
        let mut texts = vec![];
        let mut at = at;
        loop {
            let field = self.field(bytes, at);
            if field.end == bytes.len() && !last {
                return None;
            }
            let raw = &bytes[at..field.end];
            let raw = if bytes.get(field.end) == Some(&b'\t') {
                raw
            } else {
                raw.strip_suffix(b"\r").unwrap_or(raw)
            };
            texts.push(if field.escaped { unescape_field(raw) } else { raw.to_vec() });
            match bytes.get(field.end) {
                Some(b'\t') => at = field.end + 1,
                Some(_) => return Some((texts, field.end + 1)),
                None => return Some((texts, field.end)),
            }
        }
    }

    /// Reads the header, or what looks like one. None: not all of it is here.
    fn read_header(
        &mut self,
        bytes: &[u8],
        last: bool,
        detect: bool,
    ) -> std::result::Result<Option<usize>, ParseError> {
        let start = if bytes.starts_with(&[0xef, 0xbb, 0xbf]) { 3 } else { 0 };
        let skip = self.options.settings.u64("input_format_tsv_skip_first_lines", 0);
        let Some(mut at) = skip_lines(bytes, start, skip, last) else { return Ok(None) };
        let empty = at == bytes.len();
        if self.header == Header::None {
            if detect && !empty {
                let Some((texts, end)) = self.line(bytes, at, last) else { return Ok(None) };
                if looks_like_names(&self.rows, &texts) {
                    self.fields = Some(by_names(&self.rows, &texts, &self.options)?);
                    return Ok(Some(end));
                }
            }
            if empty && !last {
                return Ok(None);
            }
            self.fields = Some(in_order(&self.rows));
            return Ok(Some(at));
        }
        if empty && last {
            self.fields = Some(in_order(&self.rows));
            return Ok(Some(at));
        }
        let Some((names, end)) = self.line(bytes, at, last) else { return Ok(None) };
        at = end;
        let fields = by_names(&self.rows, &names, &self.options)?;
        if self.header == Header::NamesAndTypes {
            let Some((types, end)) = self.line(bytes, at, last) else { return Ok(None) };
            check_types(&self.rows, &fields, &types, &self.options)?;
            at = end;
        }
        self.fields = Some(fields);
        Ok(Some(at))
    }

    /// One row at `at`; None when the input ends within it.
    fn read_row(
        &mut self,
        bytes: &[u8],
        at: usize,
        row: usize,
        last: bool,
        fields: &FieldColumns,
    ) -> std::result::Result<Option<usize>, ParseError> {
        let current = self.rows.rows();
        let mut seen = 0;
        let mut at = at;
        // Also in Raw, where `\N` is NULL all the same.
        let marks = Marks { delimiter: b'\t', special: b'\\', bare: true };
        let usual = !self.any_width && !self.empty_as_default && self.null == b"\\N";
        for (i, column) in fields.iter().enumerate() {
            if let Some(c) = column {
                let slot = &mut self.rows.slots[*c];
                let end = if i + 1 == fields.len() { b'\n' } else { b'\t' };
                if usual && let Some(end) = push_plain(&mut slot.builder, bytes, at, end, marks) {
                    slot.filled = current + 1;
                    seen += 1;
                    at = end + 1;
                    continue;
                }
            }
            let field = self.field(bytes, at);
            if field.end == bytes.len() && !last {
                return Ok(None);
            }
            let short = self.any_width && bytes.get(field.end) != Some(&b'\t');
            let last_field = i + 1 == fields.len() || short;
            let mut text = &bytes[at..field.end];
            if last_field && text.last() == Some(&b'\r') {
                if !self.crlf && row == 0 && !self.raw {
                    return Err(row_error(
                        codes::INCORRECT_DATA,
                        "You have carriage return (\\r, 0x0D, ASCII 13) at end of first row",
                        bytes,
                        field.end,
                        row,
                    ));
                }
                text = &text[..text.len() - 1];
            }
            if let Some(c) = column {
                seen += 1;
                let slot = &mut self.rows.slots[*c];
                slot.filled = current + 1;
                let null = text == self.null && (slot.builder.nullable || ways().null_as_default);
                let empty = text.is_empty() && self.empty_as_default;
                if null || empty {
                    slot.builder.push_null();
                    if empty || !slot.builder.nullable {
                        self.rows.mark_absent(*c);
                    }
                } else {
                    let is_string = slot.builder.data_type.inner().is_string();
                    if text == b"\\N" && !is_string {
                        // NULL is no value here, and no text of one.
                        let e = TextError::new(codes::CANNOT_PARSE_TEXT, "Cannot parse NULL");
                        let separator = if last_field { "\\n" } else { "\\t" };
                        return Err(field_error(e, &slot.name, bytes, at, row, separator));
                    }
                    if field.escaped && !self.raw {
                        self.scratch.clear();
                        let composite = matches!(
                            slot.builder.data_type.inner(),
                            DataType::Array(_) | DataType::Tuple(_) | DataType::Map(..)
                        );
                        // Composite types have escapes of their own.
                        if !composite {
                            unescape_into(text, &mut self.scratch);
                            text = &self.scratch;
                        }
                    }
                    push_text(&mut slot.builder, text, self.options.time_zone).map_err(|e| {
                        let separator = if last_field { "\\n" } else { "\\t" };
                        field_error(e, &slot.name, bytes, at, row, separator)
                    })?;
                }
            }
            at = field.end;
            while self.any_width && i + 1 == fields.len() && bytes.get(at) == Some(&b'\t') {
                at = self.field(bytes, at + 1).end;
                if at == bytes.len() && !last {
                    return Ok(None);
                }
            }
            match bytes.get(at) {
                Some(b'\t') if !last_field => at += 1,
                Some(b'\n') if last_field => at += 1,
                None if last_field => {}
                _ => {
                    let wanted = if last_field { "\\n" } else { "\\t" };
                    return Err(row_error(
                        codes::CANNOT_PARSE_INPUT_ASSERTION_FAILED,
                        &format!("Cannot parse input: expected '{wanted}'"),
                        bytes,
                        at,
                        row,
                    ));
                }
            }
            if short {
                break;
            }
        }
        self.rows.end_row(seen);
        Ok(Some(at))
    }

    fn read_rows(
        &mut self,
        bytes: &[u8],
        last: bool,
        rows_max: usize,
        detect: bool,
    ) -> std::result::Result<usize, ParseError> {
        let mut at = 0;
        if self.fields.is_none() {
            match self.read_header(bytes, last, detect)? {
                Some(end) => at = end,
                None => return Ok(0),
            }
        }
        let Some(fields) = self.fields.take() else { return Ok(0) };
        let first = self.rows.rows();
        let mut result = Ok(());
        let all = (0..self.rows.slots.len()).all(|c| fields.contains(&Some(c)));
        let all = all && self.null == b"\\N" && !self.any_width && !self.empty_as_default;
        let mut grid_from = if all && !fields.is_empty() { at } else { usize::MAX };
        while at < bytes.len() && self.rows.rows() - first < rows_max {
            if self.rows.is_full() {
                result = Err(full(&self.rows));
                break;
            }
            if self.skip_empty_end && only_line_ends(&bytes[at..]) {
                at = if last { bytes.len() } else { at };
                break;
            }
            let before = self.rows.rows();
            if at >= grid_from && bytes.len() - at >= grid::INPUT_BYTES_MIN {
                let (rest, rows_max) = (&bytes[at..], rows_max - (before - first));
                let zone = self.options.time_zone;
                let rows = &mut self.rows;
                let input =
                    grid::Input { bytes: rest, rows_max, fields: &fields, shape: PLAIN, zone };
                if let Some(used) = self.grid.read(rows, input) {
                    at += used;
                    continue;
                }
                grid_from = at + self.grid.pause_bytes();
            }
            match self.read_row(bytes, at, before - first, last, &fields) {
                Ok(Some(end)) => at = end,
                Ok(None) => {
                    self.rows.rollback(before);
                    break;
                }
                Err(e) => {
                    result = Err(e);
                    break;
                }
            }
        }
        self.fields = Some(fields);
        self.rows.make_room(at, rows_max);
        result.map(|()| at)
    }
}

/// Whether a row is a header though none was announced: every field names a column, and some column
/// is no string.
pub fn looks_like_names(rows: &RowBuilder, texts: &[Vec<u8>]) -> bool {
    let mut other_than_string = false;
    let all = texts.iter().all(|text| {
        let found = std::str::from_utf8(text).ok().and_then(|name| find_column(rows, name));
        if let Some(i) = found {
            other_than_string |= !rows.slots[i].builder.data_type.inner().is_string();
        }
        found.is_some()
    });
    all && other_than_string && !texts.is_empty()
}

fn unescape_field(text: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    unescape_into(text, &mut out);
    out
}

pub fn unescape_into(text: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while let Some(step) = memchr::memchr(b'\\', &text[at..]) {
        out.extend_from_slice(&text[at..at + step]);
        at += step;
        if text.get(at + 1) == Some(&b'\n') {
            out.push(b'\n');
            at += 2;
            continue;
        }
        match unescape(&text[at..], out) {
            Some(used) => at += used,
            None => {
                out.push(b'\\');
                at += 1;
            }
        }
    }
    out.extend_from_slice(&text[at..]);
}

impl RowReader for TabSeparatedReader {
    rows_are_built_here!();

    fn read(&mut self, input: &[u8], piece: Piece) -> std::result::Result<usize, ParseError> {
        if piece.is_message() {
            self.fields = None;
        }
        let setting = "input_format_tsv_detect_header";
        let detect = !piece.is_message() && self.options.settings.bool(setting, true);
        self.read_rows(input, piece.is_last(), piece.rows_max(), detect)
    }
}
