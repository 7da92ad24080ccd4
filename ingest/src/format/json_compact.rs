//! The JSONCompactEachRow reader: `[1, "x"]`, with or without lines of names and types.

use pumphouse_query::error::{self, codes};

use super::columns::RowBuilder;
use super::header::{FieldColumns, Header, by_names, check_types, in_order};
use super::json_each_row::{Framing, Next, full_at, parse_error};
use super::json_skip::skip_value;
use super::json_strings::read_text_value;
use super::json_value::{
    Failure, Step, expect, expected, fail, read_string, read_value, skip_spaces,
};
use super::row_reader::{Piece, RowReader, rows_are_built_here};
use super::{FormatOptions, FormatReader, InputColumn, ParseError};

/// An error this close to the end of a part of a stream may be a cut, not an error.
const CUT_BYTES: usize = 64;

pub struct JsonCompactReader {
    rows: RowBuilder,
    header: Header,
    /// Every value is a string that holds its text.
    texts: bool,
    /// Rows may have fewer values, or more.
    any_width: bool,
    options: FormatOptions,
    fields: Option<FieldColumns>,
    framing: Framing,
}

enum Problem {
    /// At a byte; may be a cut.
    Value(Box<Failure>),
    Whole(ParseError),
}

impl JsonCompactReader {
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
        header: Header,
        texts: bool,
    ) -> error::Result<Box<dyn FormatReader>> {
        Ok(Box::new(JsonCompactReader {
            rows: RowBuilder::new(columns, options.time_zone),
            header,
            texts,
            any_width: options
                .settings
                .bool("input_format_json_compact_allow_variable_number_of_columns", false),
            options: options.clone(),
            fields: None,
            framing: Framing::default(),
        }))
    }

    /// A line of strings; `at` is its bracket.
    fn strings(bytes: &[u8], at: usize) -> Result<(Vec<Vec<u8>>, usize), Box<Failure>> {
        let mut texts = vec![];
        let mut at = skip_spaces(bytes, at + 1);
        while bytes.get(at) != Some(&b']') {
            if !texts.is_empty() {
                at = skip_spaces(bytes, expect(bytes, at, b',')?);
            }
            let mut text = vec![];
            at = expect(bytes, at, b'"')?;
            at = skip_spaces(bytes, read_string(bytes, at, &mut text)?);
            texts.push(text);
        }
        Ok((texts, at + 1))
    }

    fn read_row(&mut self, bytes: &[u8], at: usize, fields: &FieldColumns) -> Step {
        let row = self.rows.rows();
        let mut seen = 0;
        let mut at = skip_spaces(bytes, at + 1);
        for (i, column) in fields.iter().enumerate() {
            if self.any_width && bytes.get(at) == Some(&b']') {
                break;
            }
            if i > 0 {
                at = skip_spaces(bytes, expect(bytes, at, b',')?);
            }
            if self.any_width && bytes.get(at) == Some(&b']') {
                break;
            }
            at = match column {
                None => skip_value(bytes, at)?,
                Some(c) => {
                    let slot = &mut self.rows.slots[*c];
                    let null = bytes.get(at) == Some(&b'n');
                    let (end, null) = match self.texts {
                        false => read_value(&mut slot.builder, bytes, at).map(|end| (end, null)),
                        true => {
                            let zone = self.options.time_zone;
                            read_text_value(&mut slot.builder, bytes, at, zone)
                        }
                    }
                    .map_err(|mut e| {
                        e.column = Some(slot.name.clone());
                        e
                    })?;
                    slot.filled = row + 1;
                    seen += 1;
                    if null && !slot.builder.nullable {
                        self.rows.mark_absent(*c);
                    }
                    end
                }
            };
            at = skip_spaces(bytes, at);
        }
        while self.any_width && bytes.get(at) == Some(&b',') {
            at = skip_spaces(bytes, at + 1);
            if bytes.get(at) != Some(&b']') {
                at = skip_spaces(bytes, skip_value(bytes, at)?);
            }
        }
        if bytes.get(at) != Some(&b']') {
            return Err(expected(bytes, at, "]"));
        }
        self.rows.end_row(seen);
        Ok(at + 1)
    }

    /// The header lines, once.
    fn read_header(
        &mut self,
        bytes: &[u8],
        framing: &mut Framing,
    ) -> Result<Option<usize>, Problem> {
        if self.header == Header::None {
            self.fields = Some(in_order(&self.rows));
            return Ok(Some(0));
        }
        let mut next = |at: usize| match framing.next(bytes, at, b'[').map_err(Problem::Value)? {
            Next::Row(at) => Self::strings(bytes, at).map(Some).map_err(Problem::Value),
            Next::End(_) => Ok(None),
        };
        let Some((names, mut at)) = next(0)? else { return Ok(None) };
        let mut types = None;
        if self.header == Header::NamesAndTypes {
            let Some((found, end)) = next(at)? else { return Ok(None) };
            at = end;
            types = Some(found);
        }
        let fields = by_names(&self.rows, &names, &self.options).map_err(Problem::Whole)?;
        if let Some(types) = types {
            check_types(&self.rows, &fields, &types, &self.options).map_err(Problem::Whole)?;
        }
        self.fields = Some(fields);
        Ok(Some(at))
    }

    fn read_rows(
        &mut self,
        bytes: &[u8],
        framing: &mut Framing,
        last: bool,
        rows_max: usize,
    ) -> Result<usize, Problem> {
        let mut at = 0;
        if self.fields.is_none() {
            let before = *framing;
            match self.read_header(bytes, framing) {
                Ok(Some(end)) => at = end,
                Ok(None) if last => return Ok(bytes.len()),
                Ok(None) => {
                    *framing = before;
                    return Ok(0);
                }
                Err(Problem::Value(e)) if !last && e.at + CUT_BYTES >= bytes.len() => {
                    *framing = before;
                    return Ok(0);
                }
                Err(e) => return Err(e),
            }
        }
        let Some(fields) = self.fields.take() else { return Ok(0) };
        let result = self.read_body(bytes, at, framing, last, rows_max, &fields);
        self.fields = Some(fields);
        result.map_err(Problem::Value)
    }

    fn read_body(
        &mut self,
        bytes: &[u8],
        at: usize,
        framing: &mut Framing,
        last: bool,
        rows_max: usize,
        fields: &FieldColumns,
    ) -> Step {
        let mut at = at;
        let rows_end = self.rows.rows().saturating_add(rows_max);
        while self.rows.rows() < rows_end {
            let before = *framing;
            let start = match framing.next(bytes, at, b'[')? {
                Next::Row(start) => start,
                Next::End(end) => return Ok(end),
            };
            let rows = self.rows.rows();
            match self.read_row(bytes, start, fields) {
                Ok(end) if self.rows.is_full() => return Err(full_at(&self.rows, end)),
                Ok(end) => at = end,
                Err(e) if !last && e.at + CUT_BYTES >= bytes.len() => {
                    self.rows.rollback(rows);
                    *framing = before;
                    return Ok(at);
                }
                Err(e) if e.at >= bytes.len() && e.column.is_none() => {
                    let message =
                        "Unexpected end of stream while parsing JSONCompactEachRow format";
                    return Err(fail(codes::CANNOT_READ_ALL_DATA, e.at, message));
                }
                Err(e) => return Err(e),
            }
        }
        Ok(at)
    }
}

impl RowReader for JsonCompactReader {
    rows_are_built_here!();

    fn read(&mut self, input: &[u8], piece: Piece) -> Result<usize, ParseError> {
        let before = self.rows.rows();
        let mut framing = self.framing;
        if piece.is_message() {
            (self.fields, framing) = (None, Framing::default());
        }
        let used = self.read_rows(input, &mut framing, piece.is_last(), piece.rows_max()).map_err(
            |problem| match problem {
                Problem::Value(failure) => parse_error(*failure, input, self.rows.rows() - before),
                Problem::Whole(error) => error,
            },
        )?;
        if !piece.is_message() {
            self.framing = framing;
        }
        Ok(used)
    }
}
