//! Schema inference: the columns that input in a format has, as DESCRIBE of a file shows them.
//!
//! Self-describing formats say it themselves. Of texts a sample is looked at: numbers are Nullable(Int64)
//! or Nullable(Float64), dates and times are recognized, everything else is Nullable(String) (`infer_types`).
//! Columns without names are `c1`, `c2`, …. Leaves out formats with schemas in files.

use pumphouse_query::catalog::parse_structure;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::DataType;
use pumphouse_storage::types::parse_data_type;

use super::arrow::{self, Container};
use super::avro;
use super::bson;
use super::capn_proto;
use super::csv_reader::skip_lines;
use super::csv_rules::CsvRules;
use super::geo_json;
use super::header::Header;
use super::infer_types::{
    CANNOT_EXTRACT_TABLE_STRUCTURE, Wanted, entries, is_known, items, settled,
};
use super::json_each_row::{Framing, Next};
use super::json_input::described;
use super::json_rows::NAME_COLUMN;
use super::json_skip::skip_value;
use super::json_value::{read_string, skip_spaces};
use super::native;
use super::npy;
use super::orc;
use super::regexp;
use super::tab_separated::unescape_into;
use super::{FormatOptions, InputColumn};

/// Bytes of text that are looked at, if the settings do not want fewer.
const SAMPLE_BYTES_MAX: u64 = 4 << 20;

/// The columns that `bytes`, the beginning of input (or for Arrow, Parquet all of it), show.
pub fn infer(format: &str, bytes: &[u8], options: &FormatOptions) -> Result<Vec<InputColumn>> {
    let name = super::lookup(format)
        .map(|f| f.name)
        .ok_or_else(|| Error::new(codes::UNKNOWN_FORMAT, format!("Unknown format {format}")))?;
    let number = |name: &str, default: u64| options.settings.u64(name, default);
    let rows_max = number("input_format_max_rows_to_read_for_schema_inference", 25_000);
    let bytes_max = number("input_format_max_bytes_to_read_for_schema_inference", SAMPLE_BYTES_MAX);
    let sample = Sample {
        text: beginning(bytes, bytes_max.min(SAMPLE_BYTES_MAX) as usize),
        rows_max: rows_max as usize,
        wanted: Wanted::of(name, &options.settings),
        options,
    };
    let header = match name {
        n if n.ends_with("WithNamesAndTypes") => Header::NamesAndTypes,
        n if n.ends_with("WithNames") => Header::Names,
        _ => Header::None,
    };
    let tabs = ["TSV", "TabSeparated", "Raw"].iter().any(|family| name.starts_with(family));
    let found = match name {
        "Arrow" => return arrow::infer(Container::File, bytes),
        "ArrowStream" => return arrow::infer(Container::Stream, bytes),
        "Parquet" => return arrow::infer(Container::Parquet, bytes),
        "Avro" => return avro::infer(bytes),
        "CapnProto" => return capn_proto::infer(options),
        "GeoJSON" => return Ok(geo_json::infer()),
        "Npy" => return npy::infer(bytes),
        "ORC" => return orc::infer(bytes, options),
        "Native" => return native_columns(bytes),
        "BSONEachRow" => {
            let columns = bson::infer(bytes, rows_max as usize)?.into_iter();
            let column = |(name, data_type)| InputColumn { name, data_type };
            return Ok(columns.map(column).collect());
        }
        "LineAsString" => return Ok(one("line", DataType::String)),
        "JSONAsString" => return Ok(one("json", DataType::String)),
        "JSONAsObject" => return Ok(one("json", DataType::Json(Default::default()))),
        "RawBLOB" => return Ok(one("raw_blob", DataType::String)),
        "JSONEachRow" | "JSONLines" | "JSONL" | "NDJSON" | "JSONStringsEachRow" => {
            sample.json_objects(&sample.json_rows(b'{')?)?
        }
        "JSONObjectEachRow" => sample.json_named_objects()?,
        "JSONColumns" | "JSONCompactColumns" => sample.json_columns(sample.text.trim_ascii())?,
        "JSON" | "JSONCompact" | "JSONColumnsWithMetadata" => {
            let at = skip_spaces(sample.text, 0);
            let columns = described(sample.text, at).map_err(|e| cannot(&e.message))?;
            return columns
                .into_iter()
                .map(|(name, t)| Ok(InputColumn { name, data_type: parse_data_type(&t)? }))
                .collect();
        }
        n if n.starts_with("JSONCompact") && n.contains("EachRow") => match header {
            Header::NamesAndTypes => return sample.json_typed(),
            _ => sample.json_arrays(header)?,
        },
        n if n.starts_with("CSV") || tabs => {
            let mut lines = if tabs { sample.tab_lines() } else { sample.csv_lines() };
            let width = match tabs {
                true => "input_format_tsv_allow_variable_number_of_columns",
                false => "input_format_csv_allow_variable_number_of_columns",
            };
            if header == Header::NamesAndTypes && lines.len() >= 2 {
                let texts = |line: &Line| line.iter().map(Cell::name).collect::<Vec<_>>();
                let (names, types) = (texts(&lines[0]), texts(&lines[1]));
                return with_types(names, types);
            }
            let detect = match tabs {
                true => "input_format_tsv_detect_header",
                false => "input_format_csv_detect_header",
            };
            let detect = options.settings.bool(detect, true);
            sample.lines(&mut lines, header, detect, options.settings.bool(width, false))?
        }
        "CustomSeparated" | "CustomSeparatedWithNames" => {
            let mut lines = super::custom::lines(sample.text, options, sample.rows_max)?
                .into_iter()
                .map(|line| sample.line(line))
                .collect();
            let set = |name: &str, default: bool| options.settings.bool(name, default);
            let detect = set("input_format_custom_detect_header", true);
            let width = set("input_format_custom_allow_variable_number_of_columns", false);
            sample.lines(&mut lines, header, detect, width)?
        }
        "Regexp" => {
            let mut lines = regexp::lines(sample.text, options, sample.rows_max)?
                .into_iter()
                .map(|line| sample.line(line))
                .collect();
            sample.lines(&mut lines, Header::None, false, false)?
        }
        "TSKV" => sample.keyed(b'\t', b'\n'),
        "Form" => sample.keyed(b'&', b'\n'),
        "Values" => sample.values()?,
        "RowBinaryWithNamesAndTypes" | "RowBinaryWithNamesAndTypesAndDefaults" => {
            return row_binary_columns(bytes);
        }
        other => {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                format!("Format {other} does not say its columns, give them in the structure"),
            ));
        }
    };
    sample.finished(found)
}

/// What was found of a column.
struct Found {
    /// None: it has none of its own.
    name: Option<String>,
    data_type: Option<DataType>,
    null: bool,
}

/// A field as it stands, unescaped, and whether in quotes.
struct Cell {
    text: Vec<u8>,
    quoted: bool,
    data_type: Option<DataType>,
}

type Line = Vec<Cell>;

impl Cell {
    fn name(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }
}

struct Sample<'a> {
    text: &'a [u8],
    rows_max: usize,
    wanted: Wanted,
    options: &'a FormatOptions,
}

impl<'a> Sample<'a> {
    /// Names, NULLs and hints as the settings want them.
    fn finished(&self, found: Vec<Found>) -> Result<Vec<InputColumn>> {
        if found.is_empty() {
            return Err(cannot("there are no rows"));
        }
        let settings = &self.options.settings;
        let nullable = settings.get("schema_inference_make_columns_nullable").unwrap_or("3");
        let hints = settings.get("schema_inference_hints").filter(|h| !h.trim().is_empty());
        let hints = hints.map(parse_structure).transpose()?.unwrap_or_default();
        let names = settings.get("column_names_for_schema_inference").unwrap_or_default();
        let names: Vec<&str> = names.split(',').map(str::trim).filter(|n| !n.is_empty()).collect();
        let mut columns = vec![];
        for (i, column) in found.into_iter().enumerate() {
            let name = match (column.name, names.get(i)) {
                (Some(name), _) => name,
                (None, Some(name)) => name.to_string(),
                (None, None) => format!("c{}", i + 1),
            };
            if let Some(hint) = hints.iter().find(|h| h.name == name) {
                columns.push(InputColumn { name, data_type: hint.data_type.clone() });
                continue;
            }
            if column.data_type.is_none() && !self.wanted.unknown_as_strings {
                return Err(cannot(&format!("nothing says the type of column '{name}'")));
            }
            let nullable = match nullable {
                "0" => false,
                "2" | "auto" => column.null,
                _ => true,
            };
            let open = |t: &DataType| !self.wanted.json && !is_known(t);
            let data_type = column.data_type.filter(|t| !open(t)).unwrap_or(DataType::Nothing);
            let data_type = settled(data_type, nullable);
            columns.push(InputColumn { name, data_type });
        }
        Ok(columns)
    }

    fn add(&self, to: &mut Found, data_type: Option<DataType>) -> Result<()> {
        to.null |= data_type.is_none();
        to.data_type = self.wanted.joined(to.data_type.take(), data_type)?;
        Ok(())
    }

    fn add_named(
        &self,
        to: &mut Vec<Found>,
        name: String,
        data_type: Option<DataType>,
    ) -> Result<()> {
        let at = to.iter().position(|f| f.name.as_ref() == Some(&name)).unwrap_or_else(|| {
            to.push(Found { name: Some(name), data_type: None, null: false });
            to.len() - 1
        });
        self.add(&mut to[at], data_type)
    }

    /// The texts of the rows, which begin with `open`.
    fn json_rows(&self, open: u8) -> Result<Vec<&'a [u8]>> {
        let (mut framing, mut at, mut rows) = (Framing::default(), 0, vec![]);
        while rows.len() < self.rows_max {
            let start = match framing.next(self.text, at, open) {
                Ok(Next::Row(start)) => start,
                Ok(Next::End(_)) => break,
                Err(e) => return Err(cannot(&e.message)),
            };
            match skip_value(self.text, start) {
                Ok(end) => at = end,
                // The sample may end within a row.
                Err(_) if !rows.is_empty() => break,
                Err(e) => return Err(cannot(&e.message)),
            }
            rows.push(&self.text[start..at]);
        }
        Ok(rows)
    }

    fn json_objects(&self, rows: &[&[u8]]) -> Result<Vec<Found>> {
        let mut found = vec![];
        for row in rows {
            let mut seen: Vec<String> = vec![];
            for (name, value) in entries(row) {
                if seen.contains(&name) {
                    return Err(cannot(&format!("the key '{name}' comes twice in a row")));
                }
                self.add_named(&mut found, name.clone(), self.wanted.of_json(value)?)?;
                seen.push(name);
            }
        }
        Ok(found)
    }

    fn json_named_objects(&self) -> Result<Vec<Found>> {
        let text = self.text.trim_ascii();
        if skip_value(text, 0).is_err() || text.first() != Some(&b'{') {
            return Err(cannot("it is no object of rows"));
        }
        let rows: Vec<&[u8]> = entries(text).into_iter().map(|(_, row)| row).collect();
        let mut found = self.json_objects(&rows[..rows.len().min(self.rows_max)])?;
        if let Some(name) = self.options.settings.get(NAME_COLUMN).filter(|n| !n.is_empty()) {
            let data_type = Some(DataType::String);
            found.insert(0, Found { name: Some(name.to_string()), data_type, null: false });
        }
        Ok(found)
    }

    fn json_columns(&self, text: &[u8]) -> Result<Vec<Found>> {
        if let Err(e) = skip_value(text, 0) {
            return Err(cannot(&e.message));
        }
        let columns: Vec<(Option<String>, &[u8])> = match text.first() {
            Some(b'{') => entries(text).into_iter().map(|(n, v)| (Some(n), v)).collect(),
            _ => items(text).into_iter().map(|v| (None, v)).collect(),
        };
        let mut found = vec![];
        for (name, values) in columns {
            let mut column = Found { name, data_type: None, null: false };
            for value in items(values).into_iter().take(self.rows_max) {
                self.add(&mut column, self.wanted.of_json(value)?)?;
            }
            found.push(column);
        }
        Ok(found)
    }

    /// The strings of a row.
    fn json_strings(row: &[u8]) -> Result<Vec<String>> {
        let text = |item: &[u8]| {
            let mut text = vec![];
            match read_string(item, 1, &mut text) {
                Ok(_) => Ok(String::from_utf8_lossy(&text).into_owned()),
                Err(e) => Err(cannot(&e.message)),
            }
        };
        items(row).into_iter().map(text).collect()
    }

    fn json_typed(&self) -> Result<Vec<InputColumn>> {
        match self.json_rows(b'[')?.as_slice() {
            [names, types, ..] => {
                with_types(Self::json_strings(names)?, Self::json_strings(types)?)
            }
            _ => Err(cannot("there is no header")),
        }
    }

    fn json_arrays(&self, header: Header) -> Result<Vec<Found>> {
        let rows = self.json_rows(b'[')?;
        let mut rows = rows.iter();
        let mut found: Vec<Found> = vec![];
        if header >= Header::Names {
            let row = rows.next().ok_or_else(|| cannot("there is no header"))?;
            let column = |name| Found { name: Some(name), data_type: None, null: false };
            found.extend(Self::json_strings(row)?.into_iter().map(column));
        }
        let width = "input_format_json_compact_allow_variable_number_of_columns";
        let any_width = self.options.settings.bool(width, false);
        for (number, row) in rows.enumerate() {
            let items = items(row);
            if number == 0 && header == Header::None {
                found.extend(items.iter().map(|_| Found {
                    name: None,
                    data_type: None,
                    null: false,
                }));
            }
            if items.len() != found.len() && !any_width {
                return Err(cannot("rows have different numbers of values"));
            }
            for (column, item) in found.iter_mut().zip(items) {
                self.add(column, self.wanted.of_json(item)?)?;
            }
        }
        Ok(found)
    }

    fn line(&self, fields: Vec<(Vec<u8>, bool)>) -> Line {
        let cell = |(text, quoted): (Vec<u8>, bool)| {
            let data_type = match quoted {
                true => Some(self.wanted.of_quoted(&text)),
                false => self.wanted.of_bare(&text),
            };
            Cell { text, quoted, data_type }
        };
        fields.into_iter().map(cell).collect()
    }

    fn csv_lines(&self) -> Vec<Line> {
        let rules = CsvRules::of(self.options);
        let text = self.text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(self.text);
        let mut at = skip_lines(text, 0, rules.skip_lines, true).unwrap_or(text.len());
        let (mut lines, mut scratch) = (vec![], vec![]);
        while at < text.len() && lines.len() < self.rows_max {
            let mut fields = vec![];
            loop {
                at = rules.spaces(text, at);
                let quoted = rules.quotes(text, at);
                let Some(field) = rules.field(&mut scratch, text, at) else {
                    at = text.len();
                    break;
                };
                let value = field.text.unwrap_or(&scratch).to_vec();
                fields.push((value, quoted));
                at = rules.spaces(text, field.end);
                if text.get(at) != Some(&rules.delimiter) {
                    break;
                }
                at += 1;
            }
            at = rules.line_end(text, at).unwrap_or(at + 1);
            lines.push(self.line(fields));
        }
        if rules.skip_empty_end {
            while lines.last().is_some_and(|l| l.len() == 1 && l[0].text.is_empty()) {
                lines.pop();
            }
        }
        for cell in lines.iter_mut().flatten().filter(|c| !c.quoted) {
            // Bare fields hold no brackets: their commas would be the line's.
            if matches!(cell.text.first(), Some(b'[' | b'(' | b'{')) {
                cell.data_type = Some(DataType::String);
            }
        }
        lines
    }

    fn tab_lines(&self) -> Vec<Line> {
        let text = self.text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(self.text);
        let skip = self.options.settings.u64("input_format_tsv_skip_first_lines", 0);
        let mut at = skip_lines(text, 0, skip, true).unwrap_or(text.len());
        let crlf = self.options.settings.bool("input_format_tsv_crlf_end_of_line", false);
        let mut lines = vec![];
        while at < text.len() && lines.len() < self.rows_max {
            let mut fields = vec![];
            loop {
                let mut end = at;
                while let Some(b) = text.get(end).filter(|b| !matches!(b, b'\t' | b'\n')) {
                    end += if *b == b'\\' { 2 } else { 1 };
                }
                let end = end.min(text.len());
                let mut raw = &text[at..end];
                if text.get(end) != Some(&b'\t') && crlf {
                    raw = raw.strip_suffix(b"\r").unwrap_or(raw);
                }
                let nested = matches!(raw.first(), Some(b'[' | b'(' | b'{'));
                let mut value = vec![];
                match raw == b"\\N" || nested {
                    true => value.extend_from_slice(raw),
                    false => unescape_into(raw, &mut value),
                }
                fields.push((value, false));
                at = end + 1;
                if text.get(end) != Some(&b'\t') {
                    break;
                }
            }
            lines.push(self.line(fields));
        }
        if self.options.settings.bool("input_format_tsv_skip_trailing_empty_lines", false) {
            while lines.last().is_some_and(|l| l.len() == 1 && l[0].text.is_empty()) {
                lines.pop();
            }
        }
        lines
    }

    /// Columns of lines of fields; a first line of texts above lines of other types is a line of names.
    fn lines(
        &self,
        lines: &mut Vec<Line>,
        header: Header,
        detect: bool,
        any_width: bool,
    ) -> Result<Vec<Found>> {
        let is_text = |c: &Cell| c.data_type == Some(DataType::String);
        let mut names: Vec<String> = vec![];
        let announced = header == Header::Names && !lines.is_empty();
        let titled = header == Header::None && detect && lines.len() > 1 && {
            let width = lines[0].len();
            let mut others = lines[1..].iter().flatten();
            lines[0].iter().all(|c| is_text(c) && !c.text.is_empty())
                && (others.any(|c| c.data_type.is_some() && !is_text(c))
                    || lines[1..].iter().any(|l| l.len() != width))
        };
        if announced || titled {
            names = lines.remove(0).iter().map(Cell::name).collect();
        }
        let width = if names.is_empty() { lines.first().map_or(0, Vec::len) } else { names.len() };
        let mut found: Vec<Found> = (0..width)
            .map(|i| Found { name: names.get(i).cloned(), data_type: None, null: false })
            .collect();
        for line in lines.iter() {
            if line.len() != width && !any_width {
                return Err(cannot("rows have different numbers of values"));
            }
            for (column, cell) in found.iter_mut().zip(line) {
                self.add(column, cell.data_type.clone())?;
            }
        }
        Ok(found)
    }

    /// `name=value`, with `between` them.
    fn keyed(&self, between: u8, end: u8) -> Vec<Found> {
        let mut found = vec![];
        for line in self.text.split(|b| *b == end).take(self.rows_max) {
            for field in line.split(|b| *b == between) {
                let Some(at) = memchr::memchr(b'=', field) else { continue };
                let name = String::from_utf8_lossy(&field[..at]).into_owned();
                let value = field[at + 1..].strip_suffix(b"\r").unwrap_or(&field[at + 1..]);
                // Of texts anything goes together.
                let _ = self.add_named(&mut found, name, self.wanted.of_bare(value));
            }
        }
        found
    }

    fn values(&self) -> Result<Vec<Found>> {
        let (text, mut at) = (self.text, 0);
        let mut found: Vec<Found> = vec![];
        for row in 0..self.rows_max {
            at = skip_spaces(text, at);
            while matches!(text.get(at), Some(b',')) {
                at = skip_spaces(text, at + 1);
            }
            if at == text.len() || text[at] == b';' {
                break;
            }
            let Some((Some(DataType::Tuple(elements)), end)) = self.wanted.literal(text, at, 0)
            else {
                return Err(cannot("there is something else than literals"));
            };
            if row == 0 {
                let none = || Found { name: None, data_type: None, null: false };
                found.extend(elements.iter().map(|_| none()));
            }
            for (column, element) in found.iter_mut().zip(elements) {
                let known = (element.data_type != DataType::Nothing).then_some(element.data_type);
                self.add(column, known)?;
            }
            at = end;
        }
        if found.iter().any(|column| column.data_type.is_none()) {
            return Err(cannot("a column has only NULLs"));
        }
        Ok(found)
    }
}

fn one(name: &str, data_type: DataType) -> Vec<InputColumn> {
    vec![InputColumn { name: name.into(), data_type }]
}

fn cannot(why: &str) -> Error {
    let text = format!("The table structure cannot be extracted from the input: {why}");
    Error::new(CANNOT_EXTRACT_TABLE_STRUCTURE, text)
}

/// The beginning of a text, up to a line's end.
fn beginning(bytes: &[u8], bytes_max: usize) -> &[u8] {
    if bytes.len() <= bytes_max {
        return bytes;
    }
    let cut = &bytes[..bytes_max];
    // At least a line, whatever the limit is.
    let first = || memchr::memchr(b'\n', bytes).map_or(bytes.len(), |i| i + 1);
    &bytes[..memchr::memrchr(b'\n', cut).map_or_else(first, |i| i + 1)]
}

fn with_types(names: Vec<String>, types: Vec<String>) -> Result<Vec<InputColumn>> {
    names
        .into_iter()
        .zip(types)
        .map(|(name, t)| Ok(InputColumn { name, data_type: parse_data_type(&t)? }))
        .collect()
}

fn native_columns(bytes: &[u8]) -> Result<Vec<InputColumn>> {
    let block = native::read_block(bytes, 0).map_err(|e| Error::new(e.code, e.message))?;
    let Some((block, _)) = block else { return Err(cannot("the first block is not whole")) };
    let column = |(name, data_type)| InputColumn { name, data_type };
    Ok(block.schema().into_iter().map(column).collect())
}

fn row_binary_columns(bytes: &[u8]) -> Result<Vec<InputColumn>> {
    super::row_binary::header_of(bytes)
        .ok_or_else(|| cannot("the header is not whole"))?
        .into_iter()
        .map(|(name, type_name)| Ok(InputColumn { name, data_type: parse_data_type(&type_name)? }))
        .collect()
}
