//! Writers of one JSON document: JSON, JSONCompact, JSONStrings, JSONCompactStrings, and the
//! column-wise JSONColumns, JSONCompactColumns and JSONColumnsWithMetadata (which keep the result
//! until the end). The text of documents is made valid UTF-8, as ClickHouse does.

use pumphouse_query::error::Result;
use pumphouse_query::text::json::write_json_indented;
use pumphouse_query::text::write::{write_float64, write_integer};
use pumphouse_query::text::{JsonOptions, write_json, write_json_string};
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, Column, DataType};

use super::json_rows::{json_options, write_as_string};
use super::{FormatOptions, FormatWriter, WriterStatistics};

/// How the data is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// An object a row, over many lines.
    Objects,
    /// An array a row, on one line.
    Arrays,
    /// An array a column, without anything around.
    Columns,
    /// The same without names.
    CompactColumns,
    /// An array a column, in a document.
    ColumnsWithMetadata,
}

pub struct JsonDocumentWriter {
    layout: Layout,
    strings: bool,
    statistics: bool,
    options: JsonOptions,
    zone: TimeZone,
    names: Vec<Vec<u8>>,
    rows: u64,
    kept: Vec<Block>,
    /// Totals and extremes, as written.
    tail: Vec<u8>,
}

impl JsonDocumentWriter {
    pub fn boxed(
        options: &FormatOptions,
        layout: Layout,
        strings: bool,
    ) -> Result<Box<dyn FormatWriter>> {
        let mut json = json_options(&options.settings);
        json.valid_utf8 |= !matches!(layout, Layout::Columns | Layout::CompactColumns);
        Ok(Box::new(JsonDocumentWriter {
            layout,
            strings,
            statistics: options.settings.bool("output_format_write_statistics", true),
            options: json,
            zone: options.time_zone,
            names: vec![],
            rows: 0,
            kept: vec![],
            tail: vec![],
        }))
    }

    fn is_document(&self) -> bool {
        !matches!(self.layout, Layout::Columns | Layout::CompactColumns)
    }

    fn value(&self, column: &Column, row: usize, level: Option<usize>, out: &mut Vec<u8>) {
        let (dt, array) = (&column.data_type, column.array.as_ref());
        match level {
            _ if self.strings => write_as_string(column, row, self.zone, &self.options, out),
            Some(level) => {
                write_json_indented(dt, array, row, self.zone, &self.options, level, out)
            }
            None => write_json(dt, array, row, self.zone, &self.options, out),
        }
    }

    /// A row as it stands at `level`: over lines, or on one.
    fn row(&self, block: &Block, row: usize, level: usize, out: &mut Vec<u8>) {
        if self.layout == Layout::Arrays {
            out.push(b'[');
            for (i, column) in block.columns.iter().enumerate() {
                if i > 0 {
                    out.extend_from_slice(b", ");
                }
                self.value(column, row, None, out);
            }
            return out.push(b']');
        }
        indent(level, out);
        out.extend_from_slice(b"{\n");
        for (i, column) in block.columns.iter().enumerate() {
            if i > 0 {
                out.extend_from_slice(b",\n");
            }
            indent(level + 1, out);
            out.extend_from_slice(&self.names[i]);
            out.extend_from_slice(b": ");
            self.value(column, row, Some(level + 1), out);
        }
        out.push(b'\n');
        indent(level, out);
        out.push(b'}');
    }

    /// `"title":` and a row behind it.
    fn titled(&self, title: &str, block: &Block, row: usize, level: usize, out: &mut Vec<u8>) {
        indent(level, out);
        out.extend_from_slice(format!("\"{title}\":").as_bytes());
        out.push(if self.layout == Layout::Arrays { b' ' } else { b'\n' });
        self.row(block, row, level, out);
    }

    fn meta(&self, schema: &[(String, DataType)], out: &mut Vec<u8>) {
        out.extend_from_slice(b"\t\"meta\":\n\t[\n");
        for (i, (_, dt)) in schema.iter().enumerate() {
            if i > 0 {
                out.extend_from_slice(b",\n");
            }
            out.extend_from_slice(b"\t\t{\n\t\t\t\"name\": ");
            out.extend_from_slice(&self.names[i]);
            out.extend_from_slice(b",\n\t\t\t\"type\": ");
            write_json_string(dt.to_string().as_bytes(), &self.options, out);
            out.extend_from_slice(b"\n\t\t}");
        }
        out.extend_from_slice(b"\n\t],\n\n");
    }

    /// Totals and extremes, and how many rows there are.
    fn counts(&self, statistics: &WriterStatistics, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.tail);
        out.extend_from_slice(b"\t\"rows\": ");
        write_integer(self.rows, out);
        if let Some(rows) = statistics.rows_before_limit {
            out.extend_from_slice(b",\n\n\t\"rows_before_limit_at_least\": ");
            write_integer(rows, out);
        }
    }

    fn columns(&self, out: &mut Vec<u8>) {
        if self.rows == 0 && self.layout != Layout::Columns {
            return out.push(b'\n');
        }
        let compact = self.layout == Layout::CompactColumns;
        let level = if self.layout == Layout::ColumnsWithMetadata { 2 } else { 1 };
        for (i, name) in self.names.iter().enumerate() {
            if i > 0 {
                out.extend_from_slice(b",\n");
            }
            indent(level, out);
            if !compact {
                out.extend_from_slice(name);
                out.extend_from_slice(b": ");
            }
            out.push(b'[');
            let mut first = true;
            for block in &self.kept {
                for row in 0..block.rows() {
                    if !first {
                        out.extend_from_slice(b", ");
                    }
                    first = false;
                    self.value(&block.columns[i], row, None, out);
                }
            }
            out.push(b']');
        }
        out.push(b'\n');
    }
}

fn indent(level: usize, out: &mut Vec<u8>) {
    out.extend(std::iter::repeat_n(b'\t', level));
}

impl FormatWriter for JsonDocumentWriter {
    fn prefix(&mut self, schema: &[(String, DataType)], out: &mut Vec<u8>) -> Result<()> {
        self.names = schema
            .iter()
            .map(|(name, _)| {
                let mut text = vec![];
                write_json_string(name.as_bytes(), &self.options, &mut text);
                text
            })
            .collect();
        if self.layout == Layout::CompactColumns {
            out.extend_from_slice(b"[\n");
            return Ok(());
        }
        out.extend_from_slice(b"{\n");
        if !self.is_document() {
            return Ok(());
        }
        self.meta(schema, out);
        out.extend_from_slice(b"\t\"data\":\n");
        let columns = self.layout == Layout::ColumnsWithMetadata;
        out.extend_from_slice(if columns { b"\t{\n" } else { b"\t[\n" });
        Ok(())
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        if !matches!(self.layout, Layout::Objects | Layout::Arrays) {
            self.rows += block.rows() as u64;
            self.kept.push(block.clone());
            return Ok(());
        }
        for row in 0..block.rows() {
            if self.rows > 0 {
                out.extend_from_slice(b",\n");
            }
            self.rows += 1;
            if self.layout == Layout::Arrays {
                indent(2, out);
            }
            self.row(block, row, 2, out);
        }
        Ok(())
    }

    fn totals(&mut self, block: &Block, _out: &mut Vec<u8>) -> Result<()> {
        if block.rows() > 0 {
            let mut text = vec![];
            self.titled("totals", block, 0, 1, &mut text);
            text.extend_from_slice(b",\n\n");
            self.tail.extend_from_slice(&text);
        }
        Ok(())
    }

    fn extremes(&mut self, block: &Block, _out: &mut Vec<u8>) -> Result<()> {
        if block.rows() == 2 {
            let mut text = b"\t\"extremes\":\n\t{\n".to_vec();
            self.titled("min", block, 0, 2, &mut text);
            text.extend_from_slice(b",\n");
            self.titled("max", block, 1, 2, &mut text);
            text.extend_from_slice(b"\n\t},\n\n");
            self.tail.extend_from_slice(&text);
        }
        Ok(())
    }

    fn suffix(&mut self, statistics: &WriterStatistics, out: &mut Vec<u8>) -> Result<()> {
        match self.layout {
            Layout::Objects | Layout::Arrays => out.extend_from_slice(b"\n\t],\n\n"),
            Layout::ColumnsWithMetadata => {
                self.columns(out);
                out.extend_from_slice(b"\t},\n\n");
            }
            Layout::Columns | Layout::CompactColumns => {
                self.columns(out);
                let compact = self.layout == Layout::CompactColumns;
                out.extend_from_slice(if compact { b"]\n" } else { b"}\n" });
                return Ok(());
            }
        }
        self.counts(statistics, out);
        if self.statistics {
            out.extend_from_slice(b",\n\n\t\"statistics\":\n\t{\n\t\t\"elapsed\": ");
            write_float64(statistics.elapsed_seconds, out);
            out.extend_from_slice(b",\n\t\t\"rows_read\": ");
            write_integer(statistics.rows_read, out);
            out.extend_from_slice(b",\n\t\t\"bytes_read\": ");
            write_integer(statistics.bytes_read, out);
            out.extend_from_slice(b"\n\t}");
        }
        out.extend_from_slice(b"\n}\n");
        Ok(())
    }

    fn exception(&mut self, error: &str, statistics: &WriterStatistics, out: &mut Vec<u8>) -> bool {
        if !matches!(self.layout, Layout::Objects | Layout::Arrays) {
            return false;
        }
        out.extend_from_slice(b"\n\t],\n\n");
        self.counts(statistics, out);
        out.extend_from_slice(b",\n\n\t\"exception\": ");
        write_json_string(error.as_bytes(), &self.options, out);
        out.extend_from_slice(b"\n}\n");
        true
    }

    fn content_type(&self) -> &'static str {
        "application/json; charset=UTF-8"
    }
}
