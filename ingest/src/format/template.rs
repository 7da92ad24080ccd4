//! Template: rows and the result around them in texts with places, `${column:Rule}`.
//!
//! The texts stand in `format_template_row_format` and `format_template_resultset_format`, or in files below the
//! folder of schemas that `format_template_row` and `format_template_resultset` name. Reading takes the row's text
//! and `${data}` in the result's; TemplateIgnoreSpaces passes over space before each text and each value.

use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::{Block, DataType};

use super::columns::{ColumnBuilder, RowBuilder};
use super::fields::{field_error, row_error};
use super::header::find_column;
use super::row_layout::{LayoutReader, Parsed, RowLayout};
use super::rules::{Rule, Rules, write_number};
use super::schema_files;
use super::{FormatOptions, FormatReader, FormatWriter, InputColumn, WriterStatistics};

const INVALID_TEMPLATE_FORMAT: u32 = 474;

/// A text with places: `texts` stand around `places`, one more than those.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Template {
    texts: Vec<Vec<u8>>,
    places: Vec<(String, Rule)>,
}

fn invalid(why: impl std::fmt::Display) -> Error {
    Error::new(INVALID_TEMPLATE_FORMAT, format!("Invalid format string for Template: {why}"))
}

impl Template {
    fn parse(text: &str) -> Result<Template> {
        let mut template = Template { texts: vec![vec![]], places: vec![] };
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let last = template.texts.len() - 1;
            template.texts[last].extend_from_slice(&rest.as_bytes()[..at]);
            rest = &rest[at + 1..];
            if let Some(behind) = rest.strip_prefix('$') {
                template.texts[last].push(b'$');
                rest = behind;
                continue;
            }
            let place = rest.strip_prefix('{').and_then(|r| r.split_once('}'));
            let Some((place, behind)) = place else {
                return Err(invalid(format!(
                    "at pos {}: expected '{{' or '$' after '$'",
                    text.len() - rest.len()
                )));
            };
            let (name, rule) = place.split_once(':').unwrap_or((place, "None"));
            let rule = if rule.is_empty() { "None" } else { rule };
            let rule = Rule::parse(rule).ok_or_else(|| {
                Error::new(codes::BAD_ARGUMENTS, format!("Unknown escaping rule \"{rule}\""))
            })?;
            template.places.push((name.trim_matches('"').to_string(), rule));
            template.texts.push(vec![]);
            rest = behind;
        }
        let last = template.texts.len() - 1;
        template.texts[last].extend_from_slice(rest.as_bytes());
        Ok(template)
    }

    fn of_row(options: &FormatOptions) -> Result<Template> {
        let template = Template::parse(&text_of(options, "format_template_row")?)?;
        if template.places.is_empty() {
            return Err(invalid("No columns specified"));
        }
        if template.places.iter().any(|(_, rule)| *rule == Rule::None) {
            return Err(invalid("Serialization type for file column is not specified"));
        }
        Ok(template)
    }

    fn of_result(options: &FormatOptions) -> Result<Template> {
        let text = text_of(options, "format_template_resultset")?;
        let template = Template::parse(if text.is_empty() { "${data}" } else { &text })?;
        if !matches!(template.places.first(), Some((name, Rule::None)) if name == "data") {
            return Err(invalid("${data} must be the first output part"));
        }
        for (name, rule) in &template.places[1..] {
            let valued = ["rows", "rows_before_limit", "time", "rows_read", "bytes_read"]
                .contains(&name.as_str());
            match (name.as_str(), *rule) {
                ("totals" | "min" | "max", Rule::None) => {}
                _ if valued && *rule != Rule::None => {}
                _ if valued => {
                    return Err(invalid(
                        "Serialization type for output part rows, rows, time, rows_read or bytes_read is not specified",
                    ));
                }
                _ => return Err(invalid(format!("Unknown output part {name}"))),
            }
        }
        Ok(template)
    }
}

/// The text of the file that the setting `name` names, else what `<name>_format` says.
fn text_of(options: &FormatOptions, name: &str) -> Result<String> {
    match options.settings.get(name).filter(|file| !file.is_empty()) {
        Some(file) => schema_files::read(file, "").map_err(|why| {
            Error::new(codes::BAD_ARGUMENTS, format!("Cannot read the template '{file}': {why}"))
        }),
        None => Ok(options.settings.get(&format!("{name}_format")).unwrap_or("").to_string()),
    }
}

fn between(options: &FormatOptions) -> Vec<u8> {
    let text = options.settings.get("format_template_rows_between_delimiter");
    text.unwrap_or("\n").as_bytes().to_vec()
}

pub struct TemplateWriter {
    row: Template,
    result: Template,
    between: Vec<u8>,
    rules: Rules,
    /// The column of each place of a row.
    columns: Vec<usize>,
    rows: u64,
    totals: Vec<u8>,
    extremes: [Vec<u8>; 2],
}

impl TemplateWriter {
    pub fn boxed(options: &FormatOptions) -> Result<Box<dyn FormatWriter>> {
        Ok(Box::new(TemplateWriter {
            row: Template::of_row(options)?,
            result: Template::of_result(options)?,
            between: between(options),
            rules: Rules::new(options),
            columns: vec![],
            rows: 0,
            totals: vec![],
            extremes: [vec![], vec![]],
        }))
    }

    fn row(&self, block: &Block, row: usize, out: &mut Vec<u8>) {
        for ((text, (_, rule)), c) in self.row.texts.iter().zip(&self.row.places).zip(&self.columns)
        {
            out.extend_from_slice(text);
            self.rules.write(*rule, &block.columns[*c], row, out);
        }
        out.extend_from_slice(self.row.texts.last().map_or(&[][..], |t| t));
    }
}

impl FormatWriter for TemplateWriter {
    fn prefix(&mut self, schema: &[(String, DataType)], out: &mut Vec<u8>) -> Result<()> {
        for (name, _) in &self.row.places {
            let at = schema.iter().position(|(n, _)| n == name);
            self.columns.push(at.ok_or_else(|| {
                Error::new(
                    codes::NOT_FOUND_COLUMN_IN_BLOCK,
                    format!("Not found column {name} in block: while parsing the row's template"),
                )
            })?);
        }
        out.extend_from_slice(&self.result.texts[0]);
        Ok(())
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        for row in 0..block.rows() {
            if self.rows > 0 {
                out.extend_from_slice(&self.between);
            }
            self.rows += 1;
            self.row(block, row, out);
        }
        Ok(())
    }

    fn totals(&mut self, block: &Block, _out: &mut Vec<u8>) -> Result<()> {
        let mut text = vec![];
        if block.rows() > 0 {
            self.row(block, 0, &mut text);
        }
        self.totals = text;
        Ok(())
    }

    fn extremes(&mut self, block: &Block, _out: &mut Vec<u8>) -> Result<()> {
        for i in 0..block.rows().min(2) {
            let mut text = vec![];
            self.row(block, i, &mut text);
            self.extremes[i] = text;
        }
        Ok(())
    }

    fn suffix(&mut self, statistics: &WriterStatistics, out: &mut Vec<u8>) -> Result<()> {
        for (i, (name, rule)) in self.result.places.iter().enumerate() {
            let mut number = |text: String| write_number(&self.rules, *rule, &text, out);
            match name.as_str() {
                "rows" => number(self.rows.to_string()),
                "rows_before_limit" => {
                    number(statistics.rows_before_limit.unwrap_or(self.rows).to_string());
                }
                "time" => number(statistics.elapsed_seconds.to_string()),
                "rows_read" => number(statistics.rows_read.to_string()),
                "bytes_read" => number(statistics.bytes_read.to_string()),
                "totals" => out.extend_from_slice(&self.totals),
                "min" => out.extend_from_slice(&self.extremes[0]),
                "max" => out.extend_from_slice(&self.extremes[1]),
                _ => {}
            }
            out.extend_from_slice(&self.result.texts[i + 1]);
        }
        Ok(())
    }

    fn content_type(&self) -> &'static str {
        "text/plain; charset=UTF-8"
    }
}

pub struct TemplateLayout {
    row: Template,
    before: Vec<u8>,
    after: Vec<u8>,
    between: Vec<u8>,
    rules: Rules,
    columns: Vec<Option<usize>>,
    rows_seen: u64,
    nobody: ColumnBuilder,
    /// Space before texts and values does not count.
    spaces: bool,
}

impl TemplateLayout {
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
    ) -> Result<Box<dyn FormatReader>> {
        TemplateLayout::reader(columns, options, false)
    }

    /// TemplateIgnoreSpaces.
    pub fn without_spaces(
        columns: &[InputColumn],
        options: &FormatOptions,
    ) -> Result<Box<dyn FormatReader>> {
        TemplateLayout::reader(columns, options, true)
    }

    fn reader(
        columns: &[InputColumn],
        options: &FormatOptions,
        spaces: bool,
    ) -> Result<Box<dyn FormatReader>> {
        let rows = RowBuilder::new(columns, options.time_zone);
        let (row, result) = (Template::of_row(options)?, Template::of_result(options)?);
        if result.places.len() > 1 {
            return Err(invalid("only ${data} is read, other parts are not"));
        }
        let found: Vec<Option<usize>> =
            row.places.iter().map(|(name, _)| find_column(&rows, name)).collect();
        if let Some(at) =
            (0..found.len()).find(|i| found[*i].is_some() && found[..*i].contains(&found[*i]))
        {
            return Err(invalid(format!("Duplicate column {}", row.places[at].0)));
        }
        let layout = TemplateLayout {
            columns: found,
            row,
            before: result.texts[0].clone(),
            after: result.texts[1].clone(),
            between: between(options),
            rules: Rules::new(options),
            rows_seen: 0,
            nobody: ColumnBuilder::new(&DataType::String, options.time_zone),
            spaces,
        };
        Ok(Box::new(LayoutReader::new(rows, layout)))
    }

    /// Where what counts begins, from `at` on.
    fn start(&self, bytes: &[u8], at: usize) -> usize {
        let rest = bytes.get(at..).unwrap_or(&[]);
        match self.spaces {
            true => at + (rest.len() - rest.trim_ascii_start().len()),
            false => at,
        }
    }

    fn pass(&self, text: &[u8], bytes: &[u8], at: usize, row: usize) -> Parsed<Option<usize>> {
        pass(text, bytes, self.start(bytes, at), row)
    }
}

/// Passes over `text`, which must stand at `at`; None where the input ends within it.
fn pass(text: &[u8], bytes: &[u8], at: usize, row: usize) -> Parsed<Option<usize>> {
    let rest = bytes.get(at..).unwrap_or(&[]);
    if rest.starts_with(text) {
        return Ok(Some(at + text.len()));
    }
    if text.starts_with(rest) {
        return Ok(None);
    }
    let wanted = String::from_utf8_lossy(text).escape_debug().to_string();
    let message = format!("Cannot parse input: expected '{wanted}'");
    Err(row_error(codes::CANNOT_PARSE_INPUT_ASSERTION_FAILED, &message, bytes, at, row))
}

impl RowLayout for TemplateLayout {
    fn begin(&mut self, _rows: &RowBuilder, bytes: &[u8], _last: bool) -> Parsed<Option<usize>> {
        self.rows_seen = 0;
        self.pass(&self.before, bytes, 0, 0)
    }

    fn row(
        &mut self,
        rows: &mut RowBuilder,
        bytes: &[u8],
        at: usize,
        row: usize,
        last: bool,
    ) -> Parsed<Option<usize>> {
        // The end: the result's last text, and nothing but space behind it.
        if last
            && let Some(rest) = bytes[self.start(bytes, at)..].strip_prefix(&self.after[..])
            && rest.trim_ascii().is_empty()
        {
            return Ok(Some(bytes.len()));
        }
        let mut at = at;
        if self.rows_seen > 0 {
            match self.pass(&self.between, bytes, at, row)? {
                Some(end) => at = end,
                None => return Ok(None),
            }
        }
        let mut seen = 0;
        for (i, c) in self.columns.iter().enumerate() {
            match self.pass(&self.row.texts[i], bytes, at, row)? {
                Some(end) => at = self.start(bytes, end),
                None => return Ok(None),
            }
            let behind = &self.row.texts[i + 1];
            let last_place = i + 1 == self.columns.len() && behind.is_empty();
            let stop = match last_place {
                false => behind,
                true if memchr::memmem::find(&bytes[at..], &self.between).is_some() => {
                    &self.between
                }
                true => &self.after,
            };
            let (builder, name) = match c {
                Some(c) => {
                    let slot = &mut rows.slots[*c];
                    (&mut slot.builder, slot.name.clone())
                }
                None => (&mut self.nobody, String::new()),
            };
            let read = self.rules.read(self.row.places[i].1, builder, bytes, at, stop, last);
            let read = read.map_err(|e| {
                let separator = String::from_utf8_lossy(stop).escape_debug().to_string();
                field_error(e, &name, bytes, at, row, &separator)
            })?;
            let Some(read) = read else { return Ok(None) };
            at = read.end;
            match c {
                Some(c) => {
                    rows.slots[*c].filled = rows.rows() + 1;
                    seen += 1;
                    if read.absent {
                        rows.mark_absent(*c);
                    }
                }
                None => self.nobody.truncate(0),
            }
        }
        match self.pass(&self.row.texts[self.columns.len()], bytes, at, row)? {
            Some(end) => at = end,
            None => return Ok(None),
        }
        if at == bytes.len() && !last {
            return Ok(None);
        }
        rows.end_row(seen);
        self.rows_seen += 1;
        Ok(Some(at))
    }
}
