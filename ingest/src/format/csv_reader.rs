//! CSV read, with or without lines of names and types. What a field is stands in `csv_rules`; here rows end at
//! LF or CRLF, and a first row of column names is taken for a header.
//!
//! Plain lines go by the quick ways of `grid` and `fields`, as long as no setting asks for another reading.

use pumphouse_query::error::{Result, codes};

use super::columns::RowBuilder;
use super::csv_rules::{CsvRules, FieldReading};
use super::fields::{Marks, field_error, push_plain, row_error};
use super::grid::{self, Grid, Shape};
use super::header::{FieldColumns, Header, by_names, check_types, in_order};
use super::json_each_row::full;
use super::row_reader::{Piece, RowReader, rows_are_built_here};
use super::tab_separated::looks_like_names;
use super::{FormatOptions, FormatReader, InputColumn, ParseError};

pub struct CsvReader {
    rows: RowBuilder,
    header: Header,
    rules: CsvRules,
    options: FormatOptions,
    fields: Option<FieldColumns>,
    scratch: Vec<u8>,
    grid: Grid,
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
            rules: CsvRules::of(options),
            options: options.clone(),
            fields: None,
            scratch: vec![],
            grid: Grid::default(),
        }))
    }

    /// The texts of a line and the position behind it; None when it is not whole.
    fn line(&mut self, bytes: &[u8], at: usize, last: bool) -> Option<(Vec<Vec<u8>>, usize)> {
        let mut texts = vec![];
        let mut at = at;
        loop {
            at = self.rules.spaces(bytes, at);
            let field = self.rules.field(&mut self.scratch, bytes, at)?;
            let end = self.rules.spaces(bytes, field.end);
            if end >= bytes.len() && !last {
                return None;
            }
            texts.push(field.text.unwrap_or(&self.scratch).to_vec());
            match bytes.get(end) {
                Some(b) if *b == self.rules.delimiter => at = end + 1,
                _ => return self.rules.line_end(bytes, end).map(|end| (texts, end)),
            }
        }
    }

    fn read_header(&mut self, bytes: &[u8], last: bool, detect: bool) -> Parsed<Option<usize>> {
        let start = if bytes.starts_with(&[0xef, 0xbb, 0xbf]) { 3 } else { 0 };
        let Some(mut at) = skip_lines(bytes, start, self.rules.skip_lines, last) else {
            return Ok(None);
        };
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
        let usual = self.rules.usual();
        let marks = Marks { delimiter: self.rules.delimiter, special: b'"', bare: false };
        for (i, column) in fields.iter().enumerate() {
            if i > 0 {
                if bytes.get(at) != Some(&self.rules.delimiter) {
                    if self.rules.any_width && self.rules.line_end(bytes, at).is_some() {
                        break;
                    }
                    let wanted = format!("expected '{}'", self.rules.delimiter as char);
                    return self.cut_or(bytes, at, row, last, &wanted);
                }
                at += 1;
            }
            let Some(c) = column else {
                match self.skip_field(bytes, at) {
                    Some(end) => at = end,
                    None => return self.cut_or(bytes, bytes.len(), row, last, "expected '\"'"),
                }
                continue;
            };
            seen += 1;
            let slot = &mut self.rows.slots[*c];
            slot.filled = current + 1;
            let last_field = i + 1 == fields.len();
            let end = if last_field { b'\n' } else { self.rules.delimiter };
            if usual && let Some(end) = push_plain(&mut slot.builder, bytes, at, end, marks) {
                at = end;
                continue;
            }
            let (rules, scratch) = (&self.rules, &mut self.scratch);
            let mut reading = FieldReading { rules, bytes, scratch, absent: false };
            match reading.value(&mut slot.builder, at) {
                Ok(Some(end)) => at = end,
                Ok(None) => return self.cut_or(bytes, bytes.len(), row, last, "expected '\"'"),
                Err((e, field_at)) => {
                    if !last && memchr::memchr(b'\n', &bytes[field_at..]).is_none() {
                        return Ok(None);
                    }
                    if rules.bad_as_default {
                        slot.builder.truncate(current);
                        slot.builder.push_default();
                        self.rows.mark_absent(*c);
                        match self.skip_field(bytes, at) {
                            Some(end) => at = end,
                            None => at = bytes.len(),
                        }
                        continue;
                    }
                    let separator = (rules.delimiter as char).to_string();
                    // In quotes, what is missing is the closing one.
                    let bare = !matches!(bytes.get(field_at), Some(b'"' | b'\''));
                    let garbage = last_field
                        && bare
                        && !rules.any_width
                        && e.code == codes::CANNOT_PARSE_TEXT;
                    let mut error = field_error(e, &slot.name, bytes, field_at, row, &separator);
                    if garbage {
                        // What is behind a value that is none is told of first.
                        error.code = codes::INCORRECT_DATA;
                    }
                    return Err(error);
                }
            }
            if reading.absent {
                self.rows.mark_absent(*c);
            }
        }
        let behind = at + usize::from(bytes.get(at) == Some(&b'\r'));
        if behind >= bytes.len() && !last {
            return Ok(None);
        }
        while self.rules.any_width && bytes.get(at) == Some(&self.rules.delimiter) {
            match self.skip_field(bytes, at + 1) {
                Some(end) if end < bytes.len() || last => at = end,
                _ => return self.cut_or(bytes, bytes.len(), row, last, "expected '\"'"),
            }
        }
        // A delimiter at the end of the line is let pass.
        if bytes.get(at) == Some(&self.rules.delimiter)
            && matches!(bytes.get(at + 1), None | Some(b'\n' | b'\r'))
        {
            at += 1;
        }
        match self.rules.line_end(bytes, at) {
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

    /// Behind the field at `at` and the spaces after it.
    fn skip_field(&mut self, bytes: &[u8], at: usize) -> Option<usize> {
        let at = self.rules.spaces(bytes, at);
        let field = self.rules.field(&mut self.scratch, bytes, at)?;
        Some(self.rules.spaces(bytes, field.end))
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
        let shape = Shape { delimiter: self.rules.delimiter, quotes: true };
        let usual = !matches!(self.rules.delimiter, b'"' | b'\n' | b'\r')
            && self.rules.usual()
            && (0..self.rows.slots.len()).all(|c| fields.contains(&Some(c)));
        let mut grid_from = if usual && !fields.is_empty() { at } else { usize::MAX };
        while at < bytes.len() && self.rows.rows() - first < rows_max {
            if self.rows.is_full() {
                result = Err(full(&self.rows));
                break;
            }
            if self.rules.skip_empty_end && only_line_ends(&bytes[at..]) {
                at = if last { bytes.len() } else { at };
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

/// Behind `count` lines from `at` on; None if they are not all here and more may come.
pub fn skip_lines(bytes: &[u8], at: usize, count: u64, last: bool) -> Option<usize> {
    let mut at = at;
    for _ in 0..count {
        match memchr::memchr(b'\n', &bytes[at..]) {
            Some(step) => at += step + 1,
            None if last => return Some(bytes.len()),
            None => return None,
        }
    }
    Some(at)
}

/// Whether nothing else stands here.
pub fn only_line_ends(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| matches!(b, b'\n' | b'\r'))
}

impl RowReader for CsvReader {
    rows_are_built_here!();

    fn read(&mut self, input: &[u8], piece: Piece) -> Parsed<usize> {
        if piece.is_message() {
            self.fields = None;
        }
        let setting = "input_format_csv_detect_header";
        let detect = !piece.is_message() && self.options.settings.bool(setting, true);
        self.read_rows(input, piece.is_last(), piece.rows_max(), detect)
    }
}
