//! JSONEachRowWithProgress and its kin: each line is an object that says what it carries: `meta`, `row`,
//! `totals`, `min`, `max`, `progress`. Progress is told once, at the end.

use pumphouse_query::error::Result;
use pumphouse_query::text::{JsonOptions, write_json, write_json_string};
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, DataType};

use super::json_rows::{json_options, write_as_string};
use super::{FormatOptions, FormatWriter, WriterStatistics};

pub struct JsonProgressWriter {
    compact: bool,
    strings: bool,
    options: JsonOptions,
    zone: TimeZone,
    keys: Vec<Vec<u8>>,
    /// A comma stands between rows.
    array_of_rows: bool,
    begun: bool,
}

impl JsonProgressWriter {
    pub fn boxed(
        options: &FormatOptions,
        compact: bool,
        strings: bool,
    ) -> Result<Box<dyn FormatWriter>> {
        let (json, zone) = (json_options(&options.settings), options.time_zone);
        let array = options.settings.bool("output_format_json_array_of_rows", false);
        Ok(Box::new(JsonProgressWriter {
            compact,
            strings,
            options: json,
            zone,
            keys: vec![],
            array_of_rows: array && !compact,
            begun: false,
        }))
    }

    fn line(&self, title: &str, block: &Block, row: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{{\"{title}\":").as_bytes());
        out.push(if self.compact { b'[' } else { b'{' });
        for (i, column) in block.columns.iter().enumerate() {
            if i > 0 {
                out.extend_from_slice(if self.compact { b", " } else { b"," });
            }
            if !self.compact {
                out.extend_from_slice(&self.keys[i]);
                out.push(b':');
            }
            if self.strings {
                write_as_string(column, row, self.zone, &self.options, out);
            } else {
                let (dt, array) = (&column.data_type, column.array.as_ref());
                write_json(dt, array, row, self.zone, &self.options, out);
            }
        }
        out.push(if self.compact { b']' } else { b'}' });
        out.extend_from_slice(b"}\n");
    }
}

impl FormatWriter for JsonProgressWriter {
    fn prefix(&mut self, schema: &[(String, DataType)], out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(b"{\"meta\":[");
        for (i, (name, data_type)) in schema.iter().enumerate() {
            let mut key = vec![];
            write_json_string(name.as_bytes(), &self.options, &mut key);
            out.extend_from_slice(if i > 0 { b",{\"name\":" } else { b"{\"name\":" });
            out.extend_from_slice(&key);
            out.extend_from_slice(b",\"type\":");
            write_json_string(data_type.to_string().as_bytes(), &self.options, out);
            out.push(b'}');
            self.keys.push(key);
        }
        out.extend_from_slice(b"]}\n");
        Ok(())
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        for row in 0..block.rows() {
            if std::mem::replace(&mut self.begun, true) && self.array_of_rows {
                out.extend_from_slice(b",\n");
            }
            self.line("row", block, row, out);
        }
        Ok(())
    }

    fn totals(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        (0..block.rows().min(1)).for_each(|row| self.line("totals", block, row, out));
        Ok(())
    }

    fn extremes(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        for (row, title) in (0..block.rows()).zip(["min", "max"]) {
            self.line(title, block, row, out);
        }
        Ok(())
    }

    fn suffix(&mut self, statistics: &WriterStatistics, out: &mut Vec<u8>) -> Result<()> {
        let (rows, bytes) = (statistics.rows_read, statistics.bytes_read);
        let elapsed = (statistics.elapsed_seconds * 1e9) as u64;
        out.extend_from_slice(
            format!("{{\"progress\":{{\"read_rows\":\"{rows}\",\"read_bytes\":\"{bytes}\",\"total_rows_to_read\":\"{rows}\",\"elapsed_ns\":\"{elapsed}\"}}}}\n").as_bytes(),
        );
        Ok(())
    }

    fn exception(&mut self, error: &str, _: &WriterStatistics, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(b"{\"exception\":");
        write_json_string(error.as_bytes(), &self.options, out);
        out.extend_from_slice(b"}\n");
        true
    }

    fn content_type(&self) -> &'static str {
        "application/json; charset=UTF-8"
    }
}
