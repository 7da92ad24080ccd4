//! CSV, with or without lines of names and types.
//!
//! Writing: strings, dates and the like in double quotes, a tuple spread over fields. Reading: fields
//! in double quotes (doubled inside) or bare and trimmed; an empty bare field is the default; `\N` is
//! NULL; rows end at LF or CRLF. A first row of column names is taken for a header.

use pumphouse_query::error::{Result, codes};
use pumphouse_query::text::write::{bytes_at, is_quoted, write_plain};
use pumphouse_query::text::write_text;
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, Column, DataType};

use arrow_array::Array;
use arrow_array::cast::AsArray;

use super::cells;
use super::columns::{ColumnBuilder, RowBuilder, Values};
use super::fields::{Marks, field_error, push_plain, push_text, row_error};
use super::grid::{self, Grid, Shape};
use super::header::{FieldColumns, Header, by_names, check_types, in_order};
use super::json_each_row::{check_room, full};
use super::tab_separated::looks_like_names;
use super::{
    FormatOptions, FormatReader, FormatWriter, InputColumn, ParseError, ParsedRows,
    WriterStatistics,
};

const NULL_SETTING: &str = "format_csv_null_representation";

pub struct CsvWriter {
    header: Header,
    fields: CsvFields,
    crlf: bool,
}

/// How values become fields.
#[derive(Debug, Clone)]
pub struct CsvFields {
    pub delimiter: u8,
    /// What stands for NULL.
    pub null: Vec<u8>,
    /// A tuple is several fields, not the text of one.
    pub spread_tuples: bool,
    pub zone: TimeZone,
}

impl CsvFields {
    pub fn of(options: &FormatOptions) -> CsvFields {
        let spread = "output_format_csv_serialize_tuple_into_separate_columns";
        CsvFields {
            delimiter: delimiter(options),
            null: options.null_text(NULL_SETTING),
            spread_tuples: options.settings.bool(spread, true),
            zone: options.time_zone,
        }
    }
}

fn delimiter(options: &FormatOptions) -> u8 {
    match options.settings.get("format_csv_delimiter").map(str::as_bytes) {
        Some([b]) => *b,
        _ => b',',
    }
}

impl CsvWriter {
    pub fn boxed(options: &FormatOptions, header: Header) -> Result<Box<dyn FormatWriter>> {
        Ok(Box::new(CsvWriter {
            header,
            fields: CsvFields::of(options),
            crlf: options.settings.bool("output_format_csv_crlf_end_of_line", false),
        }))
    }

    fn end_line(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.crlf { b"\r\n" } else { b"\n" });
    }

    fn rows(&self, block: &Block, out: &mut Vec<u8>) {
        let mut columns = cells::of_block(block, self.fields.zone);
        for row in 0..block.rows() {
            for (i, cells) in columns.iter_mut().enumerate() {
                if i > 0 {
                    out.push(self.fields.delimiter);
                }
                if cells.is_null(row) {
                    out.extend_from_slice(&self.fields.null);
                } else if !cells.plain(row, Some(b'"'), out) {
                    let Column { data_type, array } = cells.column;
                    let array = array.as_ref();
                    write_csv_value(data_type, array, row, &self.fields, out);
                }
            }
            self.end_line(out);
        }
    }

    fn line(&self, texts: &[String], out: &mut Vec<u8>) {
        for (i, text) in texts.iter().enumerate() {
            if i > 0 {
                out.push(self.fields.delimiter);
            }
            write_double_quoted(text.as_bytes(), out);
        }
        self.end_line(out);
    }
}

/// A value as a CSV field; a tuple as several.
pub fn write_csv_value(
    dt: &DataType,
    array: &dyn Array,
    row: usize,
    how: &CsvFields,
    out: &mut Vec<u8>,
) {
    if array.is_null(row) {
        return out.extend_from_slice(&how.null);
    }
    match dt.inner() {
        DataType::Variant(_) | DataType::Dynamic { .. } => {
            match pumphouse_query::run_time::own_value(dt, array, row) {
                Some(own) => {
                    let array = own.array.as_ref();
                    write_csv_value(&own.data_type, array, 0, how, out)
                }
                None => out.extend_from_slice(&how.null),
            }
        }
        dt @ (DataType::String | DataType::FixedString(_)) => {
            write_double_quoted(bytes_at(dt, array, row), out)
        }
        DataType::Tuple(elements) if how.spread_tuples => {
            let fields = array.as_struct();
            for (i, e) in elements.iter().enumerate() {
                if i > 0 {
                    out.push(how.delimiter);
                }
                write_csv_value(&e.data_type, fields.column(i).as_ref(), row, how, out);
            }
        }
        dt @ (DataType::Array(_)
        | DataType::Tuple(_)
        | DataType::Map(..)
        | DataType::Enum8(_)
        | DataType::Enum16(_)
        | DataType::Json(_)
        | DataType::AggregateFunction { .. }) => {
            let mut text = vec![];
            write_text(dt, array, row, how.zone, &mut text);
            write_double_quoted(&text, out);
        }
        dt if is_quoted(dt) => {
            out.push(b'"');
            write_plain(dt, array, row, how.zone, out);
            out.push(b'"');
        }
        dt => write_plain(dt, array, row, how.zone, out),
    }
}

pub fn write_double_quoted(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut from = 0;
    for at in memchr::memchr_iter(b'"', bytes) {
        out.extend_from_slice(&bytes[from..=at]);
        out.push(b'"');
        from = at + 1;
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

/// Names and types of the fields that a column is spread over.
fn spread(name: &str, dt: &DataType, into: &mut Vec<(String, String)>) {
    match dt.inner() {
        DataType::Tuple(elements) if !elements.is_empty() => {
            for (i, e) in elements.iter().enumerate() {
                let element = e.name.clone().unwrap_or_else(|| (i + 1).to_string());
                spread(&format!("{name}.{element}"), &e.data_type, into);
            }
        }
        _ => into.push((name.to_string(), dt.to_string())),
    }
}

impl FormatWriter for CsvWriter {
    fn prefix(&mut self, schema: &[(String, DataType)], out: &mut Vec<u8>) -> Result<()> {
        let mut fields = vec![];
        for (name, dt) in schema {
            match self.fields.spread_tuples {
                true => spread(name, dt, &mut fields),
                false => fields.push((name.clone(), dt.to_string())),
            }
        }
        let (names, types): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
        if self.header >= Header::Names {
            self.line(&names, out);
        }
        if self.header == Header::NamesAndTypes {
            self.line(&types, out);
        }
        Ok(())
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        self.rows(block, out);
        Ok(())
    }

    fn totals(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        self.end_line(out);
        self.rows(block, out);
        Ok(())
    }

    fn extremes(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        self.totals(block, out)
    }

    fn suffix(&mut self, _statistics: &WriterStatistics, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn content_type(&self) -> &'static str {
        match self.header {
            Header::None => "text/csv; charset=UTF-8; header=absent",
            _ => "text/csv; charset=UTF-8; header=present",
        }
    }
}

pub struct CsvReader {
    rows: RowBuilder,
    header: Header,
    delimiter: u8,
    /// A tuple is several fields, not the text of one.
    spread_tuples: bool,
    /// What stands for NULL.
    null: Vec<u8>,
    options: FormatOptions,
    fields: Option<FieldColumns>,
    scratch: Vec<u8>,
    grid: Grid,
}

/// A field's text and how it stood.
struct Field<'a> {
    /// None: the unquoted text is in `scratch`.
    text: Option<&'a [u8]>,
    quoted: bool,
    /// Position of the delimiter or line end behind it.
    end: usize,
}

type Parsed<T> = std::result::Result<T, ParseError>;

impl CsvReader {
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
        header: Header,
    ) -> Result<Box<dyn FormatReader>> {
        Ok(Box::new(CsvReader {
            rows: RowBuilder::new(columns, options.time_zone),
            header,
            delimiter: delimiter(options),
            null: options.null_text(NULL_SETTING),
            spread_tuples: options
                .settings
                .bool("input_format_csv_deserialize_separate_columns_into_tuple", true),
            options: options.clone(),
            fields: None,
            scratch: vec![],
            grid: Grid::default(),
        }))
    }

    fn spaces(&self, bytes: &[u8], mut at: usize) -> usize {
        while let Some(b) = bytes.get(at)
            && matches!(b, b' ' | b'\t')
            && *b != self.delimiter
        {
            at += 1;
        }
        at
    }

    /// The field at `at`; None when its end is not here.
    fn field<'a>(
        delimiter: u8,
        scratch: &mut Vec<u8>,
        bytes: &'a [u8],
        at: usize,
    ) -> Option<Field<'a>> {
        if bytes.get(at) != Some(&b'"') {
            let mut end =
                at + memchr::memchr2(delimiter, b'\n', &bytes[at..]).unwrap_or(bytes.len() - at);
            let stop = end;
            if bytes.get(end) != Some(&delimiter) && end > at && bytes[end - 1] == b'\r' {
                end -= 1;
            }
            while end > at && matches!(bytes[end - 1], b' ' | b'\t') {
                end -= 1;
            }
            return Some(Field { text: Some(&bytes[at..end]), quoted: false, end: stop });
        }
        scratch.clear();
        let mut from = at + 1;
        loop {
            let end = from + memchr::memchr(b'"', &bytes[from..])?;
            if bytes.get(end + 1) == Some(&b'"') {
                scratch.extend_from_slice(&bytes[from..=end]);
                from = end + 2;
                continue;
            }
            let plain = scratch.is_empty() && from == at + 1;
            if !plain {
                scratch.extend_from_slice(&bytes[from..end]);
            }
            let text = plain.then(|| &bytes[from..end]);
            return Some(Field { text, quoted: true, end: end + 1 });
        }
    }

    /// The texts of a line and the position behind it; None when it is not whole.
    fn line(&mut self, bytes: &[u8], at: usize, last: bool) -> Option<(Vec<Vec<u8>>, usize)> {
        let mut texts = vec![];
        let mut at = at;
        loop {
            at = self.spaces(bytes, at);
            let field = Self::field(self.delimiter, &mut self.scratch, bytes, at)?;
            let end = self.spaces(bytes, field.end);
            if end >= bytes.len() && !last {
                return None;
            }
            texts.push(field.text.unwrap_or(&self.scratch).to_vec());
            match bytes.get(end) {
                Some(b) if *b == self.delimiter => at = end + 1,
                _ => return line_end(bytes, end).map(|end| (texts, end)),
            }
        }
    }

    fn read_header(&mut self, bytes: &[u8], last: bool, detect: bool) -> Parsed<Option<usize>> {
        let mut at = if bytes.starts_with(&[0xef, 0xbb, 0xbf]) { 3 } else { 0 };
        let empty = at == bytes.len();
        if empty && !last {
            return Ok(None);
        }
        if self.header == Header::None || empty {
            if detect && !empty {
                match self.line(bytes, at, last) {
                    Some((texts, end)) if looks_like_names(&self.rows, &texts) => {
                        self.fields = Some(by_names(&self.rows, &texts, &self.options)?);
                        return Ok(Some(end));
                    }
                    None if !last => return Ok(None),
                    _ => {}
                }
            }
            self.fields = Some(in_order(&self.rows));
            return Ok(Some(at));
        }
        let cut = |this: &Self| {
            let code = codes::CANNOT_PARSE_INPUT_ASSERTION_FAILED;
            let message = "Cannot parse input: expected '\"'";
            if last {
                Err(row_error(code, message, bytes, bytes.len(), this.rows.rows()))
            } else {
                Ok(None)
            }
        };
        let Some((names, end)) = self.line(bytes, at, last) else { return cut(self) };
        at = end;
        let fields = by_names(&self.rows, &names, &self.options)?;
        if self.header == Header::NamesAndTypes {
            let Some((types, end)) = self.line(bytes, at, last) else { return cut(self) };
            check_types(&self.rows, &fields, &types, &self.options)?;
            at = end;
        }
        self.fields = Some(fields);
        Ok(Some(at))
    }

    fn read_row(
        &mut self,
        bytes: &[u8],
        at: usize,
        row: usize,
        last: bool,
        fields: &FieldColumns,
    ) -> Parsed<Option<usize>> {
        let current = self.rows.rows();
        let mut seen = 0;
        let mut at = at;
        let marks = Marks { delimiter: self.delimiter, special: b'"', bare: false };
        for (i, column) in fields.iter().enumerate() {
            if i > 0 {
                if bytes.get(at) != Some(&self.delimiter) {
                    let wanted = format!("expected '{}'", self.delimiter as char);
                    return self.cut_or(bytes, at, row, last, &wanted);
                }
                at += 1;
            }
            let Some(c) = column else {
                at = self.spaces(bytes, at);
                let field = Self::field(self.delimiter, &mut self.scratch, bytes, at);
                let Some(field) = field else {
                    return self.cut_or(bytes, bytes.len(), row, last, "expected '\"'");
                };
                at = self.spaces(bytes, field.end);
                continue;
            };
            seen += 1;
            let slot = &mut self.rows.slots[*c];
            slot.filled = current + 1;
            let end = if i + 1 == fields.len() { b'\n' } else { self.delimiter };
            if let Some(end) = push_plain(&mut slot.builder, bytes, at, end, marks) {
                at = end;
                continue;
            }
            let mut reading = FieldReading {
                bytes,
                delimiter: self.delimiter,
                null: &self.null,
                spread_tuples: self.spread_tuples,
                scratch: &mut self.scratch,
                zone: self.options.time_zone,
                absent: false,
            };
            match reading.value(&mut slot.builder, at) {
                Ok(Some(end)) => at = end,
                Ok(None) => return self.cut_or(bytes, bytes.len(), row, last, "expected '\"'"),
                Err((e, field_at)) => {
                    if !last && memchr::memchr(b'\n', &bytes[field_at..]).is_none() {
                        return Ok(None);
                    }
                    let separator = (self.delimiter as char).to_string();
                    return Err(field_error(e, &slot.name, bytes, field_at, row, &separator));
                }
            }
            if reading.absent {
                self.rows.mark_absent(*c);
            }
        }
        if at >= bytes.len() && !last {
            return Ok(None);
        }
        // A delimiter at the end of the line is let pass.
        if bytes.get(at) == Some(&self.delimiter)
            && matches!(bytes.get(at + 1), None | Some(b'\n' | b'\r'))
        {
            at += 1;
        }
        match line_end(bytes, at) {
            Some(end) => {
                self.rows.end_row(seen);
                Ok(Some(end))
            }
            None => {
                let found = "Expected end of line";
                Err(row_error(codes::INCORRECT_DATA, found, bytes, at, row))
            }
        }
    }

    /// The input ends within a row: more may come, or it is an error.
    fn cut_or(
        &self,
        bytes: &[u8],
        at: usize,
        row: usize,
        last: bool,
        wanted: &str,
    ) -> Parsed<Option<usize>> {
        if at >= bytes.len() && !last {
            return Ok(None);
        }
        let message = format!("Cannot parse input: {wanted}");
        Err(row_error(codes::CANNOT_PARSE_INPUT_ASSERTION_FAILED, &message, bytes, at, row))
    }

    fn read_rows(
        &mut self,
        bytes: &[u8],
        last: bool,
        rows_max: usize,
        detect: bool,
    ) -> Parsed<usize> {
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
        let shape = Shape { delimiter: self.delimiter, quotes: true };
        let usual = !matches!(self.delimiter, b'"' | b'\n' | b'\r')
            && self.null == b"\\N"
            && (0..self.rows.slots.len()).all(|c| fields.contains(&Some(c)));
        let mut grid_from = if usual && !fields.is_empty() { at } else { usize::MAX };
        while at < bytes.len() && self.rows.rows() - first < rows_max {
            if self.rows.is_full() {
                result = Err(full(&self.rows));
                break;
            }
            let before = self.rows.rows();
            if at >= grid_from && bytes.len() - at >= grid::INPUT_BYTES_MIN {
                let (rest, rows_max) = (&bytes[at..], rows_max - (before - first));
                let (rows, zone) = (&mut self.rows, self.options.time_zone);
                let input = grid::Input { bytes: rest, rows_max, fields: &fields, shape, zone };
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

/// The position behind a line end (or at the input's end); None when something else stands there.
fn line_end(bytes: &[u8], at: usize) -> Option<usize> {
    match (bytes.get(at), bytes.get(at + 1)) {
        (None, _) => Some(at),
        (Some(b'\n'), _) => Some(at + 1),
        (Some(b'\r'), Some(b'\n')) => Some(at + 2),
        (Some(b'\r'), None) => Some(at + 1),
        _ => None,
    }
}

/// One column's value out of one field, or, for a tuple, several.
struct FieldReading<'a, 'b> {
    bytes: &'a [u8],
    delimiter: u8,
    null: &'a [u8],
    spread_tuples: bool,
    scratch: &'b mut Vec<u8>,
    zone: TimeZone,
    /// The field was empty, or NULL for a type that has none.
    absent: bool,
}

impl FieldReading<'_, '_> {
    fn spaces(&self, mut at: usize) -> usize {
        while let Some(b) = self.bytes.get(at)
            && matches!(b, b' ' | b'\t')
            && *b != self.delimiter
        {
            at += 1;
        }
        at
    }

    /// The position behind the value; None when the input ends within it.
    fn value(
        &mut self,
        builder: &mut ColumnBuilder,
        at: usize,
    ) -> std::result::Result<Option<usize>, (pumphouse_query::text::TextError, usize)> {
        if self.spread_tuples
            && let Values::Tuple(children, rows) = &mut builder.values
        {
            let mut at = at;
            for (i, child) in children.iter_mut().enumerate() {
                if i > 0 {
                    if self.bytes.get(at) != Some(&self.delimiter) {
                        let e = pumphouse_query::text::TextError::new(
                            codes::CANNOT_PARSE_TEXT,
                            "the tuple has too few fields",
                        );
                        return Err((e, at));
                    }
                    at += 1;
                }
                match self.value(child, at)? {
                    Some(end) => at = end,
                    None => return Ok(None),
                }
            }
            self.absent = false;
            *rows += 1;
            return Ok(Some(at));
        }
        let at = self.spaces(at);
        let Some(field) = CsvReader::field(self.delimiter, self.scratch, self.bytes, at) else {
            return Ok(None);
        };
        let end = self.spaces(field.end);
        let text = field.text.unwrap_or(self.scratch);
        let missing = !field.quoted && text.is_empty();
        if missing || (!field.quoted && text == self.null) {
            builder.push_null();
            self.absent = missing || !builder.nullable;
            return Ok(Some(end));
        }
        push_text(builder, text, self.zone).map_err(|e| (e, at))?;
        Ok(Some(end))
    }
}

impl FormatReader for CsvReader {
    fn read_message(&mut self, message: &[u8]) -> Parsed<usize> {
        check_room(&self.rows, message.len())?;
        let before = self.rows.rows();
        self.fields = None;
        match self.read_rows(message, true, usize::MAX, false) {
            Ok(_) => {
                self.rows.add_bytes(message.len());
                Ok(self.rows.rows() - before)
            }
            Err(e) => {
                self.rows.rollback(before);
                Err(e)
            }
        }
    }

    fn read_stream(&mut self, input: &[u8], last: bool, rows_max: usize) -> Parsed<usize> {
        super::check_row_bytes(input, last)?;
        let before = self.rows.rows();
        let detect = self.options.settings.bool("input_format_csv_detect_header", true);
        match self.read_rows(input, last, rows_max, detect) {
            Ok(used) => {
                self.rows.add_bytes(used);
                Ok(used)
            }
            Err(e) => {
                self.rows.rollback(before);
                Err(e)
            }
        }
    }

    fn announce(&mut self, bytes: usize) {
        self.rows.announce(bytes);
    }

    fn rows(&self) -> usize {
        self.rows.rows()
    }

    fn bytes(&self) -> usize {
        self.rows.bytes()
    }

    fn take(&mut self) -> Result<ParsedRows> {
        self.rows.take()
    }
}
