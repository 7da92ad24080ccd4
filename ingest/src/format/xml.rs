//! XML documents.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use pumphouse_query::error::Result;
use pumphouse_query::text::write::{list_range, write_bool, write_float64};
use pumphouse_query::text::{utf8, write_text};
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, DataType};

use super::{FormatOptions, FormatWriter, WriterStatistics};

pub struct XmlWriter {
    zone: TimeZone,
    tags: Vec<String>,
    rows: u64,
    statistics: bool,
    tail: Vec<u8>,
}

impl XmlWriter {
    pub fn boxed(options: &FormatOptions) -> Result<Box<dyn FormatWriter>> {
        Ok(Box::new(XmlWriter {
            zone: options.time_zone,
            tags: vec![],
            rows: 0,
            statistics: options.settings.bool("output_format_write_statistics", true),
            tail: vec![],
        }))
    }

    /// The end of the data, totals and extremes, and how many rows there are.
    fn counts(&self, statistics: &WriterStatistics, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\t</data>\n");
        out.extend_from_slice(&self.tail);
        let mut text = format!("\t<rows>{}</rows>\n", self.rows);
        if let Some(rows) = statistics.rows_before_limit {
            text += &format!("\t<rows_before_limit_at_least>{rows}</rows_before_limit_at_least>\n");
        }
        out.extend_from_slice(text.as_bytes());
    }

    fn row(&self, block: &Block, row: usize, title: &str, level: usize, out: &mut Vec<u8>) {
        let indent = "\t".repeat(level);
        out.extend_from_slice(format!("{indent}<{title}>\n").as_bytes());
        for (tag, column) in self.tags.iter().zip(&block.columns) {
            out.extend_from_slice(format!("{indent}\t<{tag}>").as_bytes());
            write_xml_value(&column.data_type, column.array.as_ref(), row, self.zone, out);
            out.extend_from_slice(format!("</{tag}>\n").as_bytes());
        }
        out.extend_from_slice(format!("{indent}</{title}>\n").as_bytes());
    }
}

/// A value as the content of an element.
pub fn write_xml_value(
    dt: &DataType,
    array: &dyn Array,
    row: usize,
    zone: TimeZone,
    out: &mut Vec<u8>,
) {
    if array.is_null(row) {
        return out.extend_from_slice(b"\\N");
    }
    match dt.inner() {
        DataType::Variant(_) | DataType::Dynamic { .. } => {
            match pumphouse_query::run_time::own_value(dt, array, row) {
                Some(own) => write_xml_value(&own.data_type, own.array.as_ref(), 0, zone, out),
                None => out.extend_from_slice(b"\\N"),
            }
        }
        DataType::Array(item) => {
            let (items, from, to) = list_range(array, row);
            out.extend_from_slice(b"<array>");
            for i in from..to {
                out.extend_from_slice(b"<elem>");
                write_xml_value(item, items, i, zone, out);
                out.extend_from_slice(b"</elem>");
            }
            out.extend_from_slice(b"</array>");
        }
        DataType::Tuple(elements) => {
            out.extend_from_slice(b"<tuple>");
            for (i, e) in elements.iter().enumerate() {
                out.extend_from_slice(b"<elem>");
                write_xml_value(&e.data_type, array.as_struct().column(i).as_ref(), row, zone, out);
                out.extend_from_slice(b"</elem>");
            }
            out.extend_from_slice(b"</tuple>");
        }
        DataType::Map(key, value) => {
            let (entries, from, to) = list_range(array, row);
            let entries = entries.as_struct();
            out.extend_from_slice(b"<map>");
            for i in from..to {
                out.extend_from_slice(b"<elem><key>");
                write_xml_value(key, entries.column(0).as_ref(), i, zone, out);
                out.extend_from_slice(b"</key><value>");
                write_xml_value(value, entries.column(1).as_ref(), i, zone, out);
                out.extend_from_slice(b"</value></elem>");
            }
            out.extend_from_slice(b"</map>");
        }
        DataType::Bool => write_bool(array, row, out),
        dt => {
            let mut text = vec![];
            write_text(dt, array, row, zone, &mut text);
            escape(&text, out);
        }
    }
}

fn escape(text: &[u8], out: &mut Vec<u8>) {
    for b in utf8::valid(text).iter() {
        match b {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b => out.push(*b),
        }
    }
}

impl FormatWriter for XmlWriter {
    fn prefix(&mut self, schema: &[(String, DataType)], out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(
            b"<?xml version='1.0' encoding='UTF-8' ?>\n<result>\n\t<meta>\n\t\t<columns>\n",
        );
        for (name, dt) in schema {
            out.extend_from_slice(b"\t\t\t<column>\n\t\t\t\t<name>");
            escape(name.as_bytes(), out);
            out.extend_from_slice(b"</name>\n\t\t\t\t<type>");
            escape(dt.to_string().as_bytes(), out);
            out.extend_from_slice(b"</type>\n\t\t\t</column>\n");
        }
        out.extend_from_slice(b"\t\t</columns>\n\t</meta>\n\t<data>\n");
        // A name that cannot be a tag is called "field".
        self.tags = schema
            .iter()
            .map(|(name, _)| {
                let first = |c: char| c.is_ascii_alphabetic() || c == '_';
                let plain = name.starts_with(first)
                    && name.chars().all(|c| first(c) || c.is_ascii_digit() || c == '-' || c == '.');
                if plain { name.clone() } else { "field".into() }
            })
            .collect();
        Ok(())
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        for row in 0..block.rows() {
            self.rows += 1;
            self.row(block, row, "row", 2, out);
        }
        Ok(())
    }

    fn totals(&mut self, block: &Block, _out: &mut Vec<u8>) -> Result<()> {
        if block.rows() > 0 {
            let mut text = vec![];
            self.row(block, 0, "totals", 1, &mut text);
            self.tail.extend_from_slice(&text);
        }
        Ok(())
    }

    fn extremes(&mut self, block: &Block, _out: &mut Vec<u8>) -> Result<()> {
        if block.rows() == 2 {
            let mut text = b"\t<extremes>\n".to_vec();
            self.row(block, 0, "min", 2, &mut text);
            self.row(block, 1, "max", 2, &mut text);
            text.extend_from_slice(b"\t</extremes>\n");
            self.tail.extend_from_slice(&text);
        }
        Ok(())
    }

    fn suffix(&mut self, statistics: &WriterStatistics, out: &mut Vec<u8>) -> Result<()> {
        self.counts(statistics, out);
        if self.statistics {
            out.extend_from_slice(b"\t<statistics>\n\t\t<elapsed>");
            write_float64(statistics.elapsed_seconds, out);
            let text = format!(
                "</elapsed>\n\t\t<rows_read>{}</rows_read>\n\t\t<bytes_read>{}</bytes_read>\n\
                 \t</statistics>\n",
                statistics.rows_read, statistics.bytes_read
            );
            out.extend_from_slice(text.as_bytes());
        }
        out.extend_from_slice(b"</result>\n");
        Ok(())
    }

    fn exception(&mut self, error: &str, statistics: &WriterStatistics, out: &mut Vec<u8>) -> bool {
        self.counts(statistics, out);
        out.extend_from_slice(b"\t<exception>");
        escape(error.as_bytes(), out);
        out.extend_from_slice(b"</exception>\n</result>\n");
        true
    }

    fn content_type(&self) -> &'static str {
        "application/xml; charset=UTF-8"
    }
}
