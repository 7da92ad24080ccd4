//! Vertical: a line a value, a title a row. Also what Pretty falls back to for wide results.

use pumphouse_query::error::Result;
use pumphouse_query::text::json::write_json_indented;
use pumphouse_query::text::{JsonOptions, style, write_text};
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, DataType};

use super::paint::Paint;
use super::pretty::{display_width, is_number, number_tip, tip_above, write_pretty_value};
use super::{FormatOptions, FormatWriter, WriterStatistics};

pub struct VerticalWriter {
    rows: u64,
    rows_max: u64,
    /// Totals or extremes were written: an empty line more stands before the first of them.
    tailed: bool,
    /// Names with a colon, padded to one width.
    labels: Vec<String>,
    looks: RowLooks,
}

/// How the values of a row look.
pub struct RowLooks {
    pub zone: TimeZone,
    /// Named tuples are written as indented JSON.
    pub pretty: bool,
    /// Numbers beyond it are also told in words; 0: none.
    pub tip_above: f64,
    pub paint: Paint,
}

impl VerticalWriter {
    pub fn boxed(options: &FormatOptions) -> Result<Box<dyn FormatWriter>> {
        Ok(Box::new(VerticalWriter {
            rows: 0,
            rows_max: options.settings.u64("output_format_pretty_max_rows", 1000),
            tailed: false,
            labels: vec![],
            looks: RowLooks {
                zone: options.time_zone,
                pretty: false,
                tip_above: tip_above(options),
                paint: Paint::of(options),
            },
        }))
    }

    fn titled(&mut self, title: &str, block: &Block, row: usize, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.tailed, true) {
            out.push(b'\n');
        }
        out.push(b'\n');
        write_title(title, out);
        write_rows(block, row, &self.labels, &self.looks, out);
    }
}

/// Labels of columns, padded so that the values stand in one column.
pub fn labels<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    let width = names.clone().map(|n| display_width(n.as_bytes())).max().unwrap_or(0);
    names
        .map(|name| {
            let padding = width - display_width(name.as_bytes());
            format!("{name}: {}", " ".repeat(padding))
        })
        .collect()
}

pub fn write_title(title: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(title.as_bytes());
    out.push(b'\n');
    out.extend_from_slice("─".repeat(title.chars().count()).as_bytes());
    out.push(b'\n');
}

/// The title of row `number`. ClickHouse draws the line as long as the next row's title.
pub fn write_row_title(number: u64, out: &mut Vec<u8>) {
    let width = format!("Row {}:", number + 1).len();
    out.extend_from_slice(format!("Row {number}:\n{}\n", "─".repeat(width)).as_bytes());
}

/// The values of one row, a line each.
pub fn write_rows(
    block: &Block,
    row: usize,
    labels: &[String],
    looks: &RowLooks,
    out: &mut Vec<u8>,
) {
    let (zone, pretty, paint) = (looks.zone, looks.pretty, &looks.paint);
    for (column, label) in block.columns.iter().zip(labels) {
        let name = label.trim_end();
        out.extend_from_slice(paint.name(name).as_bytes());
        out.extend_from_slice(&label.as_bytes()[name.len()..]);
        let mut text = vec![];
        if column.is_null(row) {
            text.extend_from_slice(paint.null().as_bytes());
        } else if matches!(column.data_type.inner(), DataType::Json(_)) {
            let indent = if pretty { " " } else { "    " };
            let options = JsonOptions { indent, ..style::json_options() };
            let array = column.array.as_ref();
            write_json_indented(&column.data_type, array, row, zone, &options, 0, &mut text);
        } else if pretty {
            write_pretty_value(column, row, zone, &mut text);
        } else {
            write_text(&column.data_type, column.array.as_ref(), row, zone, &mut text);
        }
        paint.value(&text, is_number(&column.data_type), out);
        if let Some(tip) = number_tip(column, row, looks.tip_above) {
            out.extend_from_slice(paint.aside(&format!(" -- {tip}")).as_bytes());
        }
        out.push(b'\n');
    }
}

impl FormatWriter for VerticalWriter {
    fn prefix(&mut self, schema: &[(String, DataType)], _out: &mut Vec<u8>) -> Result<()> {
        self.labels = labels(schema.iter().map(|(n, _)| n.as_str()));
        Ok(())
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        for row in 0..block.rows() {
            self.rows += 1;
            if self.rows > self.rows_max {
                continue;
            }
            if self.rows > 1 {
                out.push(b'\n');
            }
            write_row_title(self.rows, out);
            write_rows(block, row, &self.labels, &self.looks, out);
        }
        Ok(())
    }

    fn totals(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        if block.rows() > 0 {
            self.titled("Totals:", block, 0, out);
        }
        Ok(())
    }

    fn extremes(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        if block.rows() == 2 {
            self.titled("Min:", block, 0, out);
            self.titled("Max:", block, 1, out);
        }
        Ok(())
    }

    fn suffix(&mut self, _statistics: &WriterStatistics, out: &mut Vec<u8>) -> Result<()> {
        if self.rows > self.rows_max {
            let line = format!("\nShowed first {}.\n", self.rows_max);
            out.extend_from_slice(line.as_bytes());
        }
        Ok(())
    }

    fn content_type(&self) -> &'static str {
        "text/plain; charset=UTF-8"
    }
}
