//! Markdown tables.

use pumphouse_query::error::Result;
use pumphouse_query::text::write::write_escaped;
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, DataType};

use super::pretty::right_aligned;
use super::tab_separated::{NULL_SETTING, write_tab_value};
use super::{FormatOptions, FormatWriter, WriterStatistics};

pub struct MarkdownWriter {
    zone: TimeZone,
    /// What stands for NULL.
    null: Vec<u8>,
    /// Characters that mean something in Markdown are escaped, and no others.
    escape: bool,
}

impl MarkdownWriter {
    pub fn boxed(options: &FormatOptions) -> Result<Box<dyn FormatWriter>> {
        Ok(Box::new(MarkdownWriter {
            zone: options.time_zone,
            null: options.null_text(NULL_SETTING),
            escape: options
                .settings
                .bool("output_format_markdown_escape_special_characters", false),
        }))
    }
}

impl FormatWriter for MarkdownWriter {
    fn prefix(&mut self, schema: &[(String, DataType)], out: &mut Vec<u8>) -> Result<()> {
        for (name, _) in schema {
            out.extend_from_slice(b"| ");
            write_escaped(name.as_bytes(), out);
            out.push(b' ');
        }
        out.extend_from_slice(b"|\n|");
        for (_, dt) in schema {
            let number = right_aligned(dt);
            out.extend_from_slice(if number { b"-:|" } else { b":-|" });
        }
        out.push(b'\n');
        Ok(())
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        for row in 0..block.rows() {
            out.extend_from_slice(b"|");
            for column in &block.columns {
                out.push(b' ');
                match column.is_null(row) {
                    true => out.extend_from_slice(&self.null),
                    false if self.escape && column.data_type.inner().is_string() => {
                        let mut text = vec![];
                        write_tab_value(column, row, true, self.zone, &mut text);
                        for byte in text {
                            if byte.is_ascii_punctuation() {
                                out.push(b'\\');
                            }
                            out.push(byte);
                        }
                    }
                    false => write_tab_value(column, row, false, self.zone, out),
                }
                out.extend_from_slice(b" |");
            }
            out.push(b'\n');
        }
        Ok(())
    }

    fn suffix(&mut self, _statistics: &WriterStatistics, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn content_type(&self) -> &'static str {
        "text/plain; charset=UTF-8"
    }
}
