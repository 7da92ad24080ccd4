//! Regexp: each line is matched by `format_regexp`, whose groups are the columns in their order, read by
//! `format_regexp_escaping_rule`. `format_regexp_skip_unmatched` lets other lines pass.

use pumphouse_query::error::{Error, Result, codes};
use regex::bytes::{Regex, RegexBuilder};

use super::columns::RowBuilder;
use super::fields::{field_error, row_error};
use super::infer_types::CANNOT_EXTRACT_TABLE_STRUCTURE;
use super::row_layout::{LayoutReader, Parsed, RowLayout};
use super::rules::{Rule, Rules};
use super::{FormatOptions, FormatReader, InputColumn};

/// A compiled pattern may take this much.
const PATTERN_BYTES_MAX: usize = 4 << 20;

pub struct RegexpLayout {
    pattern: Regex,
    rule: Rule,
    rules: Rules,
    skip_unmatched: bool,
}

/// The fields of the lines that match, as they stand, each with whether it is in quotes.
pub fn lines(
    text: &[u8],
    options: &FormatOptions,
    rows_max: usize,
) -> Result<Vec<Vec<(Vec<u8>, bool)>>> {
    let layout = RegexpLayout::new(options)?;
    let mut found = vec![];
    for line in text.split(|b| *b == b'\n').filter(|line| !line.is_empty()).take(rows_max) {
        match layout.pattern.captures(line.strip_suffix(b"\r").unwrap_or(line)) {
            Some(groups) => {
                let field = |group: Option<regex::bytes::Match>| {
                    layout.rules.plain(layout.rule, group.map_or(b"", |g| g.as_bytes()))
                };
                found.push(groups.iter().skip(1).map(field).collect());
            }
            None if layout.skip_unmatched => {}
            None => {
                let message = "The table structure cannot be extracted: a line does not match the regular expression";
                return Err(Error::new(CANNOT_EXTRACT_TABLE_STRUCTURE, message));
            }
        }
    }
    Ok(found)
}

impl RegexpLayout {
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
    ) -> Result<Box<dyn FormatReader>> {
        let layout = RegexpLayout::new(options)?;
        Ok(Box::new(LayoutReader::new(RowBuilder::new(columns, options.time_zone), layout)))
    }

    fn new(options: &FormatOptions) -> Result<RegexpLayout> {
        let text = options.settings.get("format_regexp").unwrap_or("");
        if text.is_empty() {
            let message = "The regular expression is not set for the `Regexp` format. It requires setting the value of the `format_regexp` setting.";
            return Err(Error::new(codes::BAD_ARGUMENTS, message));
        }
        // The whole line, as ClickHouse matches it.
        let pattern = RegexBuilder::new(&format!("^(?:{text})$"))
            .unicode(false)
            .size_limit(PATTERN_BYTES_MAX)
            .build()
            .map_err(|e| Error::new(codes::CANNOT_COMPILE_REGEXP, format!("format_regexp: {e}")))?;
        Ok(RegexpLayout {
            pattern,
            rule: Rule::of_setting(options, "format_regexp_escaping_rule", Rule::Raw)?,
            rules: Rules::new(options),
            skip_unmatched: options.settings.bool("format_regexp_skip_unmatched", false),
        })
    }
}

impl RowLayout for RegexpLayout {
    fn row(
        &mut self,
        rows: &mut RowBuilder,
        bytes: &[u8],
        at: usize,
        row: usize,
        last: bool,
    ) -> Parsed<Option<usize>> {
        let end = match memchr::memchr(b'\n', &bytes[at..]) {
            Some(step) => at + step,
            None if last => bytes.len(),
            None => return Ok(None),
        };
        let next = Ok(Some((end + 1).min(bytes.len())));
        let line = &bytes[at..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(groups) = self.pattern.captures(line) else {
            if self.skip_unmatched {
                return next;
            }
            let message =
                format!("Line \"{}\" doesn't match the regexp.", String::from_utf8_lossy(line));
            return Err(row_error(codes::INCORRECT_DATA, &message, bytes, at, row));
        };
        if groups.len() - 1 != rows.slots.len() {
            let message = "The number of groups in regexp is not equal to the number of columns.";
            return Err(row_error(codes::INCORRECT_DATA, message, bytes, at, row));
        }
        for c in 0..rows.slots.len() {
            let text = groups.get(c + 1).map_or(&b""[..], |m| m.as_bytes());
            let filled = rows.rows() + 1;
            let slot = &mut rows.slots[c];
            let read = self.rules.read(self.rule, &mut slot.builder, text, 0, b"", true);
            let failed = |e| field_error(e, &slot.name, bytes, at, row, "\\n");
            let absent = read.map_err(failed)?.is_none_or(|r| r.absent);
            slot.filled = filled;
            if absent {
                rows.mark_absent(c);
            }
        }
        rows.end_row(rows.slots.len());
        next
    }
}
