//! Writers of one JSON value a row: JSONEachRow, JSONCompactEachRow, JSONStringsEachRow and their
//! kin, with or without lines of names and types, and the indented PrettyJSONEachRow.

use pumphouse_query::context::Settings;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::text::json::write_json_indented;
use pumphouse_query::text::{JsonOptions, write_json, write_json_string, write_text};
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, Column, DataType};

use super::cells::{self, Cells, Label};
use super::header::Header;
use super::{FormatOptions, FormatWriter, WriterStatistics};

/// What a row looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// `{"a":1}`
    Object,
    /// `[1, 2]`
    Array,
    /// An object over many lines.
    Indented,
    /// `"row_1": {"a":1}` in one object.
    Named,
}

pub struct JsonRowsWriter {
    row: Row,
    header: Header,
    /// Every value as a string of its text.
    strings: bool,
    options: JsonOptions,
    zone: TimeZone,
    /// `"name":` of each column; for objects with the brace or comma in front.
    keys: Vec<Label>,
    array_of_rows: bool,
    rows: u64,
    /// The column whose texts name the rows, and its place.
    name_column: Option<(String, usize)>,
    content_type: &'static str,
}

/// The JSON settings of a query.
pub fn json_options(settings: &Settings) -> JsonOptions {
    let set = |name: &str, default: bool| settings.bool(name, default);
    JsonOptions {
        quote_64bit_integers: set("output_format_json_quote_64bit_integers", false),
        quote_64bit_floats: set("output_format_json_quote_64bit_floats", false),
        quote_decimals: set("output_format_json_quote_decimals", false),
        quote_denormals: set("output_format_json_quote_denormals", false),
        escape_forward_slashes: set("output_format_json_escape_forward_slashes", true),
        named_tuples_as_objects: set("output_format_json_named_tuples_as_objects", true),
        skip_null_elements: set("output_format_json_skip_null_value_in_named_tuples", false),
        map_as_array_of_tuples: set("output_format_json_map_as_array_of_tuples", false),
        valid_utf8: set("output_format_json_validate_utf8", false),
        indent: "\t",
        indent_more: "",
    }
}

/// Names the column of JSONObjectEachRow that holds the rows' names.
pub const NAME_COLUMN: &str = "format_json_object_each_row_column_for_object_name";

/// NULL in formats that print values as strings.
pub const NULL_TEXT: &str = "ᴺᵁᴸᴸ";

/// A value as a JSON string of its text.
pub fn write_as_string(
    column: &Column,
    row: usize,
    zone: TimeZone,
    options: &JsonOptions,
    out: &mut Vec<u8>,
) {
    let mut text = vec![];
    if column.is_null(row) {
        text.extend_from_slice(NULL_TEXT.as_bytes());
    } else {
        write_text(&column.data_type, column.array.as_ref(), row, zone, &mut text);
    }
    write_json_string(&text, options, out);
}

impl JsonRowsWriter {
    pub fn boxed(
        options: &FormatOptions,
        row: Row,
        header: Header,
        strings: bool,
    ) -> Result<Box<dyn FormatWriter>> {
        let mut json = json_options(&options.settings);
        if row == Row::Indented {
            json.indent = "    ";
        }
        let array_of_rows = matches!(row, Row::Object | Row::Indented)
            && options.settings.bool("output_format_json_array_of_rows", false);
        Ok(Box::new(JsonRowsWriter {
            row,
            header,
            strings,
            options: json,
            zone: options.time_zone,
            keys: vec![],
            array_of_rows,
            rows: 0,
            name_column: options
                .settings
                .get(NAME_COLUMN)
                .filter(|name| row == Row::Named && !name.is_empty())
                .map(|name| (name.to_string(), 0)),
            content_type: match row {
                Row::Array => "text/plain; charset=UTF-8",
                Row::Named => "application/json; charset=UTF-8",
                _ if array_of_rows => "application/json; charset=UTF-8",
                _ => "application/x-ndjson; charset=UTF-8",
            },
        }))
    }

    fn value(&self, column: &Column, row: usize, level: usize, out: &mut Vec<u8>) {
        let (dt, array) = (&column.data_type, column.array.as_ref());
        if self.strings {
            write_as_string(column, row, self.zone, &self.options, out);
        } else if self.row == Row::Indented {
            write_json_indented(dt, array, row, self.zone, &self.options, level, out);
        } else {
            write_json(dt, array, row, self.zone, &self.options, out);
        }
    }

    fn write_row(&self, block: &Block, row: usize, out: &mut Vec<u8>) {
        let array = self.row == Row::Array;
        out.push(if array { b'[' } else { b'{' });
        let named_by = self.name_column.as_ref().map(|(_, place)| *place);
        let mut begun = false;
        for (i, column) in block.columns.iter().enumerate() {
            if named_by == Some(i) {
                continue;
            }
            if std::mem::replace(&mut begun, true) {
                out.extend_from_slice(if array { b", " } else { b"," });
            }
            if !array {
                if self.row == Row::Indented {
                    out.extend_from_slice(b"\n    ");
                }
                // Behind what `objects` would begin it with.
                out.extend_from_slice(&self.keys[i].text()[1..]);
            }
            self.value(column, row, 1, out);
        }
        if self.row == Row::Indented {
            out.push(b'\n');
        }
        out.push(if array { b']' } else { b'}' });
    }

    /// The rows of a block as objects without frills, each on a line.
    fn objects(&self, block: &Block, out: &mut Vec<u8>) {
        let mut columns = cells::of_block(block, self.zone);
        let wide = self.options.quote_64bit_integers || self.options.quote_64bit_floats;
        for column in &mut columns {
            let changed = match column.cells {
                Cells::UInt64(_) | Cells::Int64(_) | Cells::Float64(_) => wide,
                // Not finite ones are no numbers in JSON.
                Cells::Float32(values) => !values.iter().all(|v| v.is_finite()),
                _ => false,
            };
            let odd =
                matches!(&column.cells, Cells::Float64(v) if !v.iter().all(|v| v.is_finite()));
            if changed || odd {
                column.cells = Cells::Other;
            }
        }
        for row in 0..block.rows() {
            for (column, key) in columns.iter_mut().zip(&self.keys) {
                key.put(out);
                if column.is_null(row) {
                    out.extend_from_slice(b"null");
                } else if let Cells::String(strings) = &column.cells {
                    write_json_string(strings.get(row), &self.options, out);
                } else if !column.plain(row, Some(b'"'), out) {
                    self.value(column.column, row, 1, out);
                }
            }
            out.extend_from_slice(if columns.is_empty() { b"{}\n" } else { b"}\n" });
        }
    }

    fn strings_line(&self, texts: impl Iterator<Item = String>, out: &mut Vec<u8>) {
        out.push(b'[');
        for (i, text) in texts.enumerate() {
            if i > 0 {
                out.extend_from_slice(b", ");
            }
            write_json_string(text.as_bytes(), &self.options, out);
        }
        out.extend_from_slice(b"]\n");
    }
}

impl FormatWriter for JsonRowsWriter {
    fn prefix(&mut self, schema: &[(String, DataType)], out: &mut Vec<u8>) -> Result<()> {
        self.keys = schema
            .iter()
            .enumerate()
            .map(|(i, (name, _))| {
                let mut key = vec![if i == 0 { b'{' } else { b',' }];
                write_json_string(name.as_bytes(), &self.options, &mut key);
                key.extend_from_slice(if self.row == Row::Indented { b": " } else { b":" });
                Label::new(key)
            })
            .collect();
        if let Some((name, place)) = &mut self.name_column {
            let found = schema.iter().position(|(n, t)| n == name && t.inner().is_string());
            *place = found.ok_or_else(|| {
                let message = format!("There is no column '{name}' of strings ({NAME_COLUMN})");
                Error::new(codes::BAD_ARGUMENTS, message)
            })?;
        }
        if self.header >= Header::Names {
            self.strings_line(schema.iter().map(|(name, _)| name.clone()), out);
        }
        if self.header == Header::NamesAndTypes {
            self.strings_line(schema.iter().map(|(_, dt)| dt.to_string()), out);
        }
        match self.row {
            Row::Named => out.extend_from_slice(b"{\n"),
            _ if self.array_of_rows => out.extend_from_slice(b"[\n"),
            _ => {}
        }
        Ok(())
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        if self.row == Row::Object && !self.strings && !self.array_of_rows {
            self.rows += block.rows() as u64;
            self.objects(block, out);
            return Ok(());
        }
        for row in 0..block.rows() {
            self.rows += 1;
            if (self.array_of_rows || self.row == Row::Named) && self.rows > 1 {
                out.extend_from_slice(b",\n");
            }
            match &self.name_column {
                Some((_, place)) => {
                    out.push(b'\t');
                    write_as_string(&block.columns[*place], row, self.zone, &self.options, out);
                    out.extend_from_slice(b": ");
                }
                None if self.row == Row::Named => {
                    out.extend_from_slice(format!("\t\"row_{}\": ", self.rows).as_bytes());
                }
                None => {}
            }
            self.write_row(block, row, out);
            if !self.array_of_rows && self.row != Row::Named {
                out.push(b'\n');
            }
        }
        Ok(())
    }

    fn suffix(&mut self, _statistics: &WriterStatistics, out: &mut Vec<u8>) -> Result<()> {
        match self.row {
            Row::Named => out.extend_from_slice(b"\n}\n"),
            _ if self.array_of_rows => out.extend_from_slice(b"\n]\n"),
            _ => {}
        }
        Ok(())
    }

    fn exception(&mut self, error: &str, statistics: &WriterStatistics, out: &mut Vec<u8>) -> bool {
        let in_list = self.array_of_rows || self.row == Row::Named;
        if in_list && self.rows > 0 {
            out.extend_from_slice(b",\n");
        }
        let (open, close): (&[u8], &[u8]) = match self.row {
            Row::Object => (b"{\"exception\": ", b"}"),
            Row::Array => (b"[", b"]"),
            Row::Indented => (b"{\n\t\"exception\": ", b"\n}"),
            Row::Named => (b"\t\"exception\": ", b""),
        };
        out.extend_from_slice(open);
        write_json_string(error.as_bytes(), &self.options, out);
        out.extend_from_slice(close);
        if !in_list {
            out.push(b'\n');
        }
        self.suffix(statistics, out).is_ok()
    }

    fn content_type(&self) -> &'static str {
        self.content_type
    }
}
