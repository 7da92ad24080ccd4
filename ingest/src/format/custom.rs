//! CustomSeparated: the user's delimiters around rows and fields, and an escaping rule; with or without
//! rows of names and types.

use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::{Block, DataType};

use super::columns::{ColumnBuilder, RowBuilder};
use super::csv_reader::only_line_ends;
use super::fields::{field_error, row_error};
use super::header::{FieldColumns, Header, by_names, check_types, in_order};
use super::infer_types::CANNOT_EXTRACT_TABLE_STRUCTURE;
use super::row_layout::{LayoutReader, Parsed, RowLayout};
use super::rules::{Rule, Rules};
use super::tab_separated::looks_like_names;
use super::{FormatOptions, FormatReader, FormatWriter, InputColumn, WriterStatistics};

#[derive(Clone)]
struct Delimiters {
    rule: Rule,
    result_before: Vec<u8>,
    result_after: Vec<u8>,
    row_before: Vec<u8>,
    row_after: Vec<u8>,
    row_between: Vec<u8>,
    field: Vec<u8>,
}

impl Delimiters {
    fn new(options: &FormatOptions) -> Result<Delimiters> {
        let text = |name: &str, default: &str| {
            let name = format!("format_custom_{name}_delimiter");
            options.settings.get(&name).unwrap_or(default).as_bytes().to_vec()
        };
        let rule = Rule::of_setting(options, "format_custom_escaping_rule", Rule::Escaped)?;
        if rule == Rule::None {
            let message = "'None' is not a valid escaping rule for CustomSeparated format";
            return Err(Error::new(codes::BAD_ARGUMENTS, message));
        }
        Ok(Delimiters {
            rule,
            result_before: text("result_before", ""),
            result_after: text("result_after", ""),
            row_before: text("row_before", ""),
            row_after: text("row_after", "\n"),
            row_between: text("row_between", ""),
            field: text("field", "\t"),
        })
    }
}

pub struct CustomWriter {
    header: Header,
    delimiters: Delimiters,
    rules: Rules,
    rows: u64,
}

impl CustomWriter {
    pub fn boxed(options: &FormatOptions, header: Header) -> Result<Box<dyn FormatWriter>> {
        let (delimiters, mut rules) = (Delimiters::new(options)?, Rules::new(options));
        rules.csv.delimiter = b',';
        Ok(Box::new(CustomWriter { header, delimiters, rules, rows: 0 }))
    }

    /// One row whose fields `field` writes.
    fn row(
        &mut self,
        fields: usize,
        out: &mut Vec<u8>,
        field: impl Fn(&Rules, usize, &mut Vec<u8>),
    ) {
        let d = &self.delimiters;
        if self.rows > 0 {
            out.extend_from_slice(&d.row_between);
        }
        self.rows += 1;
        out.extend_from_slice(&d.row_before);
        for i in 0..fields {
            if i > 0 {
                out.extend_from_slice(&d.field);
            }
            field(&self.rules, i, out);
        }
        out.extend_from_slice(&d.row_after);
    }

    fn strings(&mut self, texts: &[String], out: &mut Vec<u8>) {
        let rule = self.delimiters.rule;
        self.row(texts.len(), out, |rules, i, out| {
            rules.write_string(rule, texts[i].as_bytes(), out);
        });
    }
}

impl FormatWriter for CustomWriter {
    fn prefix(&mut self, schema: &[(String, DataType)], out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(&self.delimiters.result_before);
        if self.header >= Header::Names {
            self.strings(&schema.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>(), out);
        }
        if self.header == Header::NamesAndTypes {
            self.strings(&schema.iter().map(|(_, t)| t.to_string()).collect::<Vec<_>>(), out);
        }
        Ok(())
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        let rule = self.delimiters.rule;
        for row in 0..block.rows() {
            self.row(block.columns.len(), out, |rules, i, out| {
                rules.write(rule, &block.columns[i], row, out);
            });
        }
        Ok(())
    }

    fn suffix(&mut self, _statistics: &WriterStatistics, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(&self.delimiters.result_after);
        Ok(())
    }

    fn content_type(&self) -> &'static str {
        "text/plain; charset=UTF-8"
    }
}

pub struct CustomLayout {
    header: Header,
    delimiters: Delimiters,
    rules: Rules,
    options: FormatOptions,
    fields: FieldColumns,
    rows_seen: u64,
    detect_header: bool,
    /// Rows may have fewer fields, or more.
    any_width: bool,
    skip_empty_end: bool,
    /// Takes fields that are of no column.
    nobody: ColumnBuilder,
}

impl CustomLayout {
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
        header: Header,
    ) -> Result<Box<dyn FormatReader>> {
        let rows = RowBuilder::new(columns, options.time_zone);
        let layout = CustomLayout {
            header,
            delimiters: Delimiters::new(options)?,
            rules: Rules::new(options),
            options: options.clone(),
            fields: in_order(&rows),
            rows_seen: 0,
            detect_header: options.settings.bool("input_format_custom_detect_header", true),
            any_width: options
                .settings
                .bool("input_format_custom_allow_variable_number_of_columns", false),
            skip_empty_end: options
                .settings
                .bool("input_format_custom_skip_trailing_empty_lines", false),
            nobody: ColumnBuilder::new(&DataType::String, options.time_zone),
        };
        Ok(Box::new(LayoutReader::new(rows, layout)))
    }

    /// What must follow field `i` of `count`.
    fn behind(&self, i: usize, count: usize) -> &[u8] {
        if i + 1 < count { &self.delimiters.field } else { &self.delimiters.row_after }
    }

    /// Which of the ends of a field comes first from `at` on.
    fn nearest(&self, bytes: &[u8], at: usize) -> Vec<u8> {
        let d = &self.delimiters;
        let rest = &bytes[at.min(bytes.len())..];
        let find = |what: &[u8]| memchr::memmem::find(rest, what).unwrap_or(usize::MAX);
        let row_ends = !d.row_after.is_empty() && find(&d.row_after) <= find(&d.field);
        if row_ends { d.row_after.clone() } else { d.field.clone() }
    }

    /// A row of strings; their number is not known before.
    fn strings(
        &self,
        bytes: &[u8],
        at: usize,
        last: bool,
    ) -> Parsed<Option<(Vec<Vec<u8>>, usize)>> {
        let d = &self.delimiters;
        let Some(mut at) = pass(&d.row_before, bytes, at, last, 0)? else { return Ok(None) };
        let mut texts = vec![];
        loop {
            let rest = &bytes[at.min(bytes.len())..];
            let find = |what: &[u8]| memchr::memmem::find(rest, what).unwrap_or(usize::MAX);
            let row_ends = !d.row_after.is_empty() && find(&d.row_after) < find(&d.field);
            let stop = if row_ends { &d.row_after } else { &d.field };
            let read = self.rules.read_string(d.rule, bytes, at, stop, last);
            let read = read.map_err(|e| row_error(e.code, &e.message, bytes, at, 0))?;
            let Some((text, end)) = read else { return Ok(None) };
            texts.push(text);
            let rest = &bytes[end..];
            if rest.starts_with(&d.field) && !rest.starts_with(&d.row_after) {
                at = end + d.field.len();
                continue;
            }
            return Ok(pass(&d.row_after, bytes, end, last, 0)?.map(|end| (texts, end)));
        }
    }
}

/// The fields of the first rows, each with whether it stood in quotes.
pub fn lines(
    text: &[u8],
    options: &FormatOptions,
    rows_max: usize,
) -> Result<Vec<Vec<(Vec<u8>, bool)>>> {
    let (d, rules) = (Delimiters::new(options)?, Rules::new(options));
    let cannot = || {
        let message =
            "The table structure cannot be extracted: the delimiters are not where they should be";
        Error::new(CANNOT_EXTRACT_TABLE_STRUCTURE, message)
    };
    let mut rest = text.strip_prefix(&d.result_before[..]).ok_or_else(cannot)?;
    let mut rows = vec![];
    while !rest.is_empty() && rest != d.result_after && rows.len() < rows_max {
        if !rows.is_empty() {
            rest = rest.strip_prefix(&d.row_between[..]).ok_or_else(cannot)?;
        }
        rest = rest.strip_prefix(&d.row_before[..]).ok_or_else(cannot)?;
        let mut fields = vec![];
        loop {
            let find = |what: &[u8]| match what.is_empty() {
                true => None,
                false => memchr::memmem::find(rest, what),
            };
            let (field, row) = (find(&d.field), find(&d.row_after));
            let ends = row.is_some_and(|row| field.is_none_or(|field| row <= field));
            let end = if ends { row } else { field }.unwrap_or(rest.len());
            fields.push(rules.plain(d.rule, &rest[..end]));
            rest = &rest[end..];
            if ends {
                rest = &rest[d.row_after.len()..];
                break;
            }
            if rest.is_empty() {
                break;
            }
            rest = &rest[d.field.len()..];
        }
        // An empty row at the end is none.
        let empty = rest.is_empty() && fields.len() == 1 && fields[0].0.is_empty();
        if !empty {
            rows.push(fields);
        }
    }
    Ok(rows)
}

/// Passes over `text`, which must stand at `at`.
fn pass(text: &[u8], bytes: &[u8], at: usize, last: bool, row: usize) -> Parsed<Option<usize>> {
    let rest = bytes.get(at..).unwrap_or(&[]);
    if rest.starts_with(text) {
        return Ok(Some(at + text.len()));
    }
    if text.starts_with(rest) && !last {
        return Ok(None);
    }
    let code = codes::CANNOT_PARSE_INPUT_ASSERTION_FAILED;
    let wanted = String::from_utf8_lossy(text);
    let message = format!("Cannot parse input: expected '{}'", wanted.escape_debug());
    Err(row_error(code, &message, bytes, at, row))
}

impl RowLayout for CustomLayout {
    fn begin(&mut self, rows: &RowBuilder, bytes: &[u8], last: bool) -> Parsed<Option<usize>> {
        self.rows_seen = 0;
        let before = self.delimiters.result_before.clone();
        let Some(mut at) = pass(&before, bytes, 0, last, 0)? else { return Ok(None) };
        if self.header == Header::None {
            self.fields = in_order(rows);
            // A first row of names is a header, though none was announced.
            if self.detect_header
                && let Ok(Some((names, end))) = self.strings(bytes, at, last)
                && looks_like_names(rows, &names)
            {
                self.fields = by_names(rows, &names, &self.options)?;
                self.rows_seen = 1;
                return Ok(Some(end));
            }
            return Ok(Some(at));
        }
        if at == bytes.len() {
            return Ok(last.then_some(at));
        }
        let Some((names, end)) = self.strings(bytes, at, last)? else { return Ok(None) };
        let fields = by_names(rows, &names, &self.options)?;
        at = end;
        self.rows_seen = 1;
        if self.header == Header::NamesAndTypes {
            let between = self.delimiters.row_between.clone();
            let Some(start) = pass(&between, bytes, at, last, 0)? else { return Ok(None) };
            let Some((types, end)) = self.strings(bytes, start, last)? else { return Ok(None) };
            check_types(rows, &fields, &types, &self.options)?;
            at = end;
        }
        self.fields = fields;
        Ok(Some(at))
    }

    fn row(
        &mut self,
        rows: &mut RowBuilder,
        bytes: &[u8],
        at: usize,
        row: usize,
        last: bool,
    ) -> Parsed<Option<usize>> {
        let d = self.delimiters.clone();
        // The end of the result, and nothing behind it.
        if last && !d.result_after.is_empty() && bytes[at..] == d.result_after {
            return Ok(Some(bytes.len()));
        }
        if last && self.skip_empty_end && only_line_ends(&bytes[at..]) {
            return Ok(Some(bytes.len()));
        }
        // An empty line at the end is no row of several fields.
        if last && self.fields.len() > 1 && self.rows_seen > 0 && bytes[at..] == d.row_after {
            return Ok(Some(bytes.len()));
        }
        let mut at = at;
        let between: &[u8] = if self.rows_seen > 0 { &d.row_between } else { b"" };
        for text in [between, &d.row_before] {
            match pass(text, bytes, at, last, row)? {
                Some(end) => at = end,
                None => return Ok(None),
            }
        }
        let mut seen = 0;
        let count = self.fields.len();
        for i in 0..count {
            let mut stop = self.behind(i, count).to_vec();
            if self.any_width {
                stop = self.nearest(bytes, at);
            }
            let (builder, name) = match self.fields[i] {
                Some(c) => {
                    let slot = &mut rows.slots[c];
                    (&mut slot.builder, slot.name.clone())
                }
                None => (&mut self.nobody, String::new()),
            };
            let read = self.rules.read(d.rule, builder, bytes, at, &stop, last);
            let read = read.map_err(|e| {
                let separator = String::from_utf8_lossy(&stop).escape_debug().to_string();
                field_error(e, &name, bytes, at, row, &separator)
            })?;
            let Some(read) = read else { return Ok(None) };
            match self.fields[i] {
                Some(c) => {
                    rows.slots[c].filled = rows.rows() + 1;
                    seen += 1;
                    if read.absent {
                        rows.mark_absent(c);
                    }
                }
                None => self.nobody.truncate(0),
            }
            if self.any_width && i + 1 == count {
                stop = self.nearest(bytes, read.end);
            }
            match pass(&stop, bytes, read.end, last, row)? {
                Some(end) => at = end,
                None => return Ok(None),
            }
            if self.any_width && stop == d.row_after {
                break;
            }
            while self.any_width && i + 1 == count && stop == d.field {
                stop = self.nearest(bytes, at);
                let read = self.rules.read_string(d.rule, bytes, at, &stop, last);
                let read = read.map_err(|e| row_error(e.code, &e.message, bytes, at, row))?;
                let Some((_, end)) = read else { return Ok(None) };
                match pass(&stop, bytes, end, last, row)? {
                    Some(end) => at = end,
                    None => return Ok(None),
                }
            }
        }
        rows.end_row(seen);
        self.rows_seen += 1;
        Ok(Some(at))
    }
}
