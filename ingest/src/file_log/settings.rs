//! The settings of `ENGINE = FileLog`: ClickHouse's, and those that only we have. What is none of them
//! is a format setting and is passed on. Errors are BAD_ARGUMENTS.

use std::collections::BTreeMap;
use std::time::Duration;

use pumphouse_query::error::{Error, Result, codes};

use crate::kafka::settings::ErrorMode;

/// Where a definition keeps the engine's two arguments.
pub const PATH: &str = "file_log_path";
pub const FORMAT: &str = "file_log_format";

/// Every setting but those of formats.
pub const NAMES: &[&str] = &[
    PATH,
    FORMAT,
    "poll_timeout_ms",
    "poll_max_batch_size",
    "max_block_size",
    "max_threads",
    "poll_directory_watch_events_backoff_init",
    "poll_directory_watch_events_backoff_max",
    "poll_directory_watch_events_backoff_factor",
    "handle_error_mode",
    // Ours.
    "max_files_per_trigger",
    "last_line_wait_ms",
    "flush_interval_ms",
];

/// Rows of a block unless set.
const BLOCK_ROWS: u64 = 1_048_449;

/// Checked settings of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileLogSettings {
    /// A folder, a file, or a folder and a pattern of names (`*`, `?`).
    pub path: String,
    pub format: String,
    pub rows_max: usize,
    pub error_mode: ErrorMode,
    /// Files of one block.
    pub files_max: usize,
    /// A last line without a newline counts as whole when its file has not changed for so long.
    pub last_line_wait: Duration,
    /// Greatest age of a block.
    pub flush_interval: Duration,
    /// Rests between two looks at a folder in which nothing happens: first, longest, growth.
    pub rest: (Duration, Duration, u32),
    pub format_settings: BTreeMap<String, String>,
}

impl FileLogSettings {
    pub fn from_settings(settings: &BTreeMap<String, String>) -> Result<FileLogSettings> {
        let number =
            |name: &str, default: u64| -> Result<u64> {
                match settings.get(name) {
                    None => Ok(default),
                    Some(text) => text.trim().trim_matches('\'').parse().map_err(|_| {
                        bad(format!("Setting '{name}' must be a number, got '{text}'"))
                    }),
                }
            };
        let text = |name: &str| settings.get(name).cloned().unwrap_or_default();
        // Zero is what ClickHouse calls its own default.
        let or = |n: u64, default: u64| if n == 0 { default } else { n };
        let error_mode = match text("handle_error_mode").to_ascii_lowercase().as_str() {
            "" | "default" => ErrorMode::Default,
            "stream" => ErrorMode::Stream,
            "dead_letter_queue" => ErrorMode::DeadLetter,
            other => {
                return Err(bad(format!(
                    "Unexpected value of handle_error_mode: '{other}'. Must be one of ['default', \
                     'stream', 'dead_letter_queue']"
                )));
            }
        };
        for accepted in ["poll_timeout_ms", "max_threads"] {
            number(accepted, 0)?;
        }
        let poll_max = number("poll_max_batch_size", 0)?;
        let rows_max = or(number("max_block_size", 0)?, or(poll_max, BLOCK_ROWS));
        let parsed = FileLogSettings {
            path: text(PATH),
            format: text(FORMAT),
            rows_max: rows_max.min(1 << 32) as usize,
            error_mode,
            files_max: or(number("max_files_per_trigger", 0)?, 1000) as usize,
            last_line_wait: Duration::from_millis(number("last_line_wait_ms", 10_000)?),
            flush_interval: Duration::from_millis(or(number("flush_interval_ms", 0)?, 500)),
            rest: (
                Duration::from_millis(or(
                    number("poll_directory_watch_events_backoff_init", 0)?,
                    100,
                )),
                Duration::from_millis(or(
                    number("poll_directory_watch_events_backoff_max", 0)?,
                    1000,
                )),
                or(number("poll_directory_watch_events_backoff_factor", 0)?, 2).min(100) as u32,
            ),
            format_settings: settings
                .iter()
                .filter(|(name, _)| !NAMES.contains(&name.as_str()))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        };
        if !is_by_lines(&parsed.format) {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                format!(
                    "FileLog reads files line by line; rows in the format {} are not lines",
                    parsed.format
                ),
            ));
        }
        Ok(parsed)
    }

    /// Lines at the head of each file that name its columns, and the format of a file without them.
    pub fn header_lines(&self) -> usize {
        match self.format.as_str() {
            f if f.ends_with("WithNamesAndTypes") => 2,
            f if f.ends_with("WithNames") => 1,
            _ => 0,
        }
    }
}

/// Whether a row of the format is a line.
fn is_by_lines(format: &str) -> bool {
    const WHOLE: [&str; 5] =
        ["LineAsString", "LineAsStringWithNames", "Regexp", "TSKV", "CustomSeparated"];
    let family = |stem: &str| format.starts_with(stem);
    WHOLE.contains(&format)
        || family("CSV")
        || family("TSV")
        || family("TabSeparated")
        || ["JSONEachRow", "JSONLines", "NDJSON", "JSONCompactEachRow", "JSONStringsEachRow"]
            .contains(&format)
        || family("JSONCompactEachRowWith")
        || family("JSONCompactStringsEachRow")
        || ["JSONAsString", "JSONAsObject", "RawBLOB", "Values"].contains(&format)
}

fn bad(message: impl Into<String>) -> Error {
    Error::new(codes::BAD_ARGUMENTS, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Result<FileLogSettings> {
        let pairs = [(PATH, "/x"), (FORMAT, "CSV")];
        let all = pairs.iter().chain(settings);
        FileLogSettings::from_settings(&all.map(|(n, v)| (n.to_string(), v.to_string())).collect())
    }

    #[test]
    fn settings_are_checked() {
        let plain = read(&[]).unwrap();
        assert_eq!((plain.rows_max, plain.files_max), (1_048_449, 1000));
        let set = read(&[
            ("max_block_size", "500"),
            ("max_files_per_trigger", "3"),
            ("handle_error_mode", "stream"),
            ("format_csv_delimiter", ";"),
            ("poll_timeout_ms", "10"),
            ("max_threads", "4"),
        ])
        .unwrap();
        assert_eq!((set.rows_max, set.files_max, set.error_mode), (500, 3, ErrorMode::Stream));
        assert_eq!(set.format_settings.len(), 1);
        for wrong in [("max_block_size", "many"), ("handle_error_mode", "ignore")] {
            assert_eq!(read(&[wrong]).unwrap_err().code(), codes::BAD_ARGUMENTS, "{wrong:?}");
        }
        assert_eq!(read(&[(FORMAT, "Parquet")]).unwrap_err().code(), codes::NOT_IMPLEMENTED);
        assert_eq!(read(&[(FORMAT, "CSVWithNames")]).unwrap().header_lines(), 1);
    }
}
