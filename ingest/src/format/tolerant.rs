//! `input_format_allow_errors_num` and `…_ratio`: rows that cannot be read are left out of a stream, up
//! to so many or such a share. For formats with a row a line: reading goes on behind the next line's end.
//!
//! Messages of Kafka are not touched: their table says what becomes of a bad one.

use pumphouse_query::error::{Result, codes};

use super::row_layout::Parsed;
use super::{FormatOptions, FormatReader, ParseError, ParsedRows};

/// Lets bad rows of `inner` pass within the limits.
struct Tolerant {
    inner: Box<dyn FormatReader>,
    errors_max: u64,
    ratio_max: f64,
    ends_stay: bool,
    errors: u64,
    /// All rows so far, bad ones too.
    seen: u64,
}

/// `inner` itself, or with patience if the settings ask for it and the format has a row a line.
pub(super) fn patient(
    name: &str,
    inner: Box<dyn FormatReader>,
    options: &FormatOptions,
) -> Box<dyn FormatReader> {
    let errors_max = options.settings.u64("input_format_allow_errors_num", 0);
    let ratio = options.settings.get("input_format_allow_errors_ratio");
    let ratio_max = ratio.and_then(|r| r.parse().ok()).unwrap_or(0.0);
    if (errors_max == 0 && ratio_max <= 0.0) || !has_a_row_a_line(name) {
        return inner;
    }
    Box::new(Tolerant {
        inner,
        errors_max,
        ratio_max,
        ends_stay: name.contains("JSON"),
        errors: 0,
        seen: 0,
    })
}

fn has_a_row_a_line(name: &str) -> bool {
    let families = ["CSV", "TSV", "TabSeparated", "TSKV", "CustomSeparated"];
    families.iter().any(|family| name.starts_with(family))
        || matches!(name, "JSONL" | "JSONLines" | "NDJSON")
        || (name.starts_with("JSON") && name.contains("EachRow") && name != "JSONObjectEachRow")
}

impl Tolerant {
    /// Row by row from the beginning of `input`, past those that fail.
    fn row_by_row(&mut self, input: &[u8], last: bool, rows_max: usize) -> Parsed<usize> {
        let (mut at, mut rows) = (0, 0);
        while at < input.len() && rows < rows_max {
            let before = self.inner.rows();
            match self.inner.read_stream(&input[at..], last, 1) {
                Ok(0) if self.inner.rows() == before => break,
                Ok(used) => {
                    at += used;
                    rows += self.inner.rows() - before;
                    self.seen += (self.inner.rows() - before) as u64;
                }
                // What ends before its time is not bad, but cut.
                Err(e) if e.code == codes::ATTEMPT_TO_READ_AFTER_EOF => return Err(e),
                Err(e) => {
                    // The end of the line before may still be there.
                    let rest = &input[at..];
                    // JSON's rows leave the line's end behind them.
                    let ends = match rest {
                        _ if !self.ends_stay => 0,
                        [b'\r', b'\n', ..] => 2,
                        [b'\n', ..] => 1,
                        _ => 0,
                    };
                    let line = memchr::memchr(b'\n', &input[at + ends..]).map(|step| ends + step);
                    if line.is_none() && !last {
                        break;
                    }
                    self.forgive(e)?;
                    at = line.map_or(input.len(), |step| at + step + 1);
                }
            }
        }
        Ok(at)
    }

    fn forgive(&mut self, e: ParseError) -> Parsed<()> {
        self.errors += 1;
        self.seen += 1;
        let ratio = self.errors as f64 / self.seen as f64;
        if self.errors <= self.errors_max || ratio <= self.ratio_max {
            return Ok(());
        }
        let (errors, seen) = (self.errors, self.seen);
        let already = format!(
            "(Already have {errors} errors out of {seen} rows, which is {ratio} of all rows)"
        );
        Err(ParseError { code: e.code, message: format!("{}: {already}", e.message) })
    }
}

impl FormatReader for Tolerant {
    fn read_message(&mut self, message: &[u8]) -> Parsed<usize> {
        self.inner.read_message(message)
    }

    fn read_stream(&mut self, input: &[u8], last: bool, rows_max: usize) -> Parsed<usize> {
        let before = self.inner.rows();
        match self.inner.read_stream(input, last, rows_max) {
            Ok(used) => {
                self.seen += (self.inner.rows() - before) as u64;
                Ok(used)
            }
            Err(_) => self.row_by_row(input, last, rows_max),
        }
    }

    fn set_evaluator(&mut self, evaluator: super::Evaluator) {
        self.inner.set_evaluator(evaluator);
    }

    fn rows(&self) -> usize {
        self.inner.rows()
    }

    fn bytes(&self) -> usize {
        self.inner.bytes()
    }

    fn take(&mut self) -> Result<ParsedRows> {
        self.inner.take()
    }
}

#[cfg(test)]
mod tests {
    use pumphouse_query::context::Settings;
    use pumphouse_storage::types::TimeZone;
    use pumphouse_storage::{DataType, Value};

    use super::super::{FormatOptions, InputColumn, ParseError, reader};

    fn read(name: &str, text: &str, errors: u64, ratio: &str) -> Result<Vec<u64>, ParseError> {
        let mut options = FormatOptions {
            settings: Settings::default(),
            time_zone: TimeZone::parse("UTC").unwrap(),
        };
        options.settings.set("input_format_allow_errors_num", errors.to_string());
        options.settings.set("input_format_allow_errors_ratio", ratio);
        let column = |name: &str, data_type| InputColumn { name: name.into(), data_type };
        let columns = [column("n", DataType::UInt8), column("s", DataType::String)];
        let mut reader = reader(name, &columns, &options).unwrap();
        // In pieces: a row that is cut is no error.
        let (mut start, mut end) = (0, 0);
        while start < text.len() {
            end = (end + 5).min(text.len());
            let last = end == text.len();
            let used = reader.read_stream(&text.as_bytes()[start..end], last, 2)?;
            start += used;
            assert!(used > 0 || !last);
        }
        let column = &reader.take().unwrap().columns[0];
        let value = |row| match column.value(row) {
            Value::UInt(n) => n,
            other => panic!("{other:?}"),
        };
        Ok((0..column.len()).map(value).collect())
    }

    #[test]
    fn bad_rows_are_left_out_up_to_the_limit() {
        let cases = [
            ("CSV", "1,a\nx,b\n3,c\n4\n5,e,f\n6,g\n", 3, vec![1, 3, 6]),
            ("TSV", "1\ta\nx\tb\n3\tc\n4\n5\te\tf\n6\tg\n", 3, vec![1, 3, 6]),
            (
                "JSONEachRow",
                "{\"n\":1,\"s\":\"a\"}\n{\"n\":\"x\"}\n{\"n\":3}\n{bad\n{\"n\":6,\"s\":\"g\"}\n",
                2,
                vec![1, 3, 6],
            ),
        ];
        for (name, text, errors, rows) in cases {
            assert_eq!(read(name, text, errors, "0").unwrap(), rows, "{name}");
            assert_eq!(read(name, text, 0, "0.9").unwrap(), rows, "{name}");
            let error = read(name, text, errors - 1, "0").unwrap_err();
            assert!(error.message.contains(&format!("Already have {errors} errors")), "{error:?}");
        }
    }
}
