//! Schema inference: the columns that input in a format has, as DESCRIBE of a file shows them.
//!
//! Self-describing formats say it themselves. Of texts a sample is looked at: numbers are Nullable(Int64)
//! or Nullable(Float64), dates and times are recognized, everything else is Nullable(String). Columns
//! without names are `c1`, `c2`, …. Settings: `schema_inference_make_columns_nullable`,
//! `input_format_max_rows_to_read_for_schema_inference`. Leaves out formats with schemas in files.

use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::text;
use pumphouse_storage::DataType;
use pumphouse_storage::types::{TimeZone, TupleElement, parse_data_type};

use super::arrow::{self, Container};
use super::avro;
use super::bson;
use super::capn_proto;
use super::geo_json;
use super::header::Header;
use super::json_each_row::{Framing, Next};
use super::json_skip::skip_value;
use super::json_value::{read_string, skip_spaces};
use super::native;
use super::npy;
use super::orc;
use super::{FormatOptions, InputColumn};

/// Bytes of text that are looked at.
const SAMPLE_BYTES_MAX: usize = 4 << 20;

/// The columns that `bytes`, the beginning of input (or for Arrow, Parquet all of it), show.
pub fn infer(format: &str, bytes: &[u8], options: &FormatOptions) -> Result<Vec<InputColumn>> {
    let name = super::lookup(format)
        .map(|f| f.name)
        .ok_or_else(|| Error::new(codes::UNKNOWN_FORMAT, format!("Unknown format {format}")))?;
    let rows_max =
        options.settings.u64("input_format_max_rows_to_read_for_schema_inference", 25_000);
    let sample = Sample { text: sample(bytes), rows_max: rows_max as usize };
    let header = match name {
        n if n.ends_with("WithNamesAndTypes") => Header::NamesAndTypes,
        n if n.ends_with("WithNames") => Header::Names,
        _ => Header::None,
    };
    let mut columns = match name {
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
            columns.map(|(name, data_type)| InputColumn { name, data_type }).collect()
        }
        "LineAsString" => return Ok(one("line", DataType::String)),
        "JSONAsString" => return Ok(one("json", DataType::String)),
        "JSONAsObject" => return Ok(one("json", DataType::Json(Default::default()))),
        "RawBLOB" => return Ok(one("raw_blob", DataType::String)),
        "JSONEachRow" | "JSONLines" | "JSONL" | "NDJSON" | "JSONStringsEachRow" => {
            json_objects(&sample)?
        }
        n if n.starts_with("JSONCompact") && n.contains("EachRow") => json_arrays(&sample, header)?,
        n if n.starts_with("CSV") => delimited(&sample, b',', header)?,
        n if n.starts_with("TSV") || n.starts_with("TabSeparated") || n.starts_with("Raw") => {
            delimited(&sample, b'\t', header)?
        }
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
    if columns.is_empty() {
        return Err(cannot("there are no rows"));
    }
    if options.settings.get("schema_inference_make_columns_nullable") == Some("0") {
        columns.iter_mut().for_each(|c| c.data_type = c.data_type.without_nullable());
    }
    Ok(columns)
}

fn one(name: &str, data_type: DataType) -> Vec<InputColumn> {
    vec![InputColumn { name: name.into(), data_type }]
}

fn cannot(why: &str) -> Error {
    // CANNOT_EXTRACT_TABLE_STRUCTURE
    Error::new(636, format!("The table structure cannot be extracted from the input: {why}"))
}

/// The beginning of a text, up to a line's end.
fn sample(bytes: &[u8]) -> &[u8] {
    if bytes.len() <= SAMPLE_BYTES_MAX {
        return bytes;
    }
    let cut = &bytes[..SAMPLE_BYTES_MAX];
    let end = memchr::memrchr(b'\n', cut).map_or(cut.len(), |i| i + 1);
    &cut[..end]
}

struct Sample<'a> {
    text: &'a [u8],
    rows_max: usize,
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

/// The type that holds both; None if neither said anything.
fn joined(a: Option<DataType>, b: Option<DataType>) -> Option<DataType> {
    use DataType as T;
    let (a, b) = match (a, b) {
        (None, other) | (other, None) => return other,
        (Some(a), Some(b)) if a == b => return Some(a),
        (Some(a), Some(b)) => (a, b),
    };
    Some(match (a, b) {
        (T::Int64, T::UInt64) | (T::UInt64, T::Int64) => T::Int64,
        (T::Int64 | T::UInt64, T::Float64) | (T::Float64, T::Int64 | T::UInt64) => T::Float64,
        (T::Bool, n @ (T::Int64 | T::UInt64 | T::Float64))
        | (n @ (T::Int64 | T::UInt64 | T::Float64), T::Bool) => n,
        (T::Date, t @ T::DateTime64(..)) | (t @ T::DateTime64(..), T::Date) => t,
        (T::DateTime(_), t @ T::DateTime64(..)) | (t @ T::DateTime64(..), T::DateTime(_)) => t,
        (T::Date, t @ T::DateTime(_)) | (t @ T::DateTime(_), T::Date) => t,
        (T::Array(a), T::Array(b)) => {
            let (a, b) = (a.without_nullable(), b.without_nullable());
            let some = |t: DataType| (t != T::Nothing).then_some(t);
            T::array(nullable(joined(some(a), some(b)).unwrap_or(T::Nothing)))
        }
        (T::Tuple(a), T::Tuple(b)) => T::Tuple(joined_tuples(a, b)),
        _ => T::String,
    })
}

fn joined_tuples(a: Vec<TupleElement>, b: Vec<TupleElement>) -> Vec<TupleElement> {
    let mut all = a;
    for (i, element) in b.into_iter().enumerate() {
        let at = match &element.name {
            Some(name) => all.iter().position(|e| e.name.as_ref() == Some(name)),
            None => (i < all.len()).then_some(i),
        };
        match at {
            None => all.push(element),
            Some(at) => {
                let old = all[at].data_type.without_nullable();
                let new = element.data_type.without_nullable();
                all[at].data_type =
                    nullable(joined(Some(old), Some(new)).unwrap_or(DataType::String));
            }
        }
    }
    all
}

/// Nullable of what may be inside Nullable.
fn nullable(data_type: DataType) -> DataType {
    match data_type {
        DataType::Array(_) | DataType::Tuple(_) | DataType::Map(..) => data_type,
        other => DataType::nullable(other),
    }
}

/// Texts that are dates or times.
fn of_text(value: &[u8]) -> DataType {
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    let dated = value.len() >= 10
        && digits(&value[..4])
        && value[4] == b'-'
        && digits(&value[5..7])
        && value[7] == b'-'
        && digits(&value[8..10]);
    if !dated {
        return DataType::String;
    }
    if value.len() == 10 {
        return match text::parse_date(value) {
            Ok(_) => DataType::Date,
            Err(_) => DataType::String,
        };
    }
    if text::parse_date_time64(value, 9, TimeZone::UTC).is_err() {
        return DataType::String;
    }
    if value.len() == 19 { DataType::DateTime(None) } else { DataType::DateTime64(9, None) }
}

/// The type of a JSON value; None for null, which says nothing. The text was skipped over before, so
/// that its shape and depth are good.
fn of_json(text: &[u8]) -> Option<DataType> {
    Some(match text.first()? {
        b'n' => return None,
        b't' | b'f' => DataType::Bool,
        b'"' => {
            let mut value = vec![];
            read_string(text, 1, &mut value).ok()?;
            of_text(&value)
        }
        b'[' => {
            let item = items(text).into_iter().fold(None, |t, item| joined(t, of_json(item)));
            DataType::array(nullable(item.unwrap_or(DataType::String)))
        }
        b'{' => {
            let element = |(name, value): (String, &[u8])| TupleElement {
                name: Some(name),
                data_type: nullable(of_json(value).unwrap_or(DataType::String)),
            };
            let elements: Vec<_> = entries(text).into_iter().map(element).collect();
            if elements.is_empty() { DataType::String } else { DataType::Tuple(elements) }
        }
        _ => of_number(text),
    })
}

fn of_number(text: &[u8]) -> DataType {
    let number = std::str::from_utf8(text).unwrap_or("");
    if number.parse::<i64>().is_ok() {
        return DataType::Int64;
    }
    if number.parse::<u64>().is_ok() { DataType::UInt64 } else { DataType::Float64 }
}

/// The texts of an array's items.
fn items(text: &[u8]) -> Vec<&[u8]> {
    let mut found = vec![];
    let mut at = skip_spaces(text, 1);
    while let Some(b) = text.get(at).filter(|b| **b != b']') {
        if *b == b',' {
            at = skip_spaces(text, at + 1);
            continue;
        }
        let Ok(end) = skip_value(text, at) else { break };
        found.push(&text[at..end]);
        at = skip_spaces(text, end);
    }
    found
}

/// The keys of an object in their order, and the texts of their values.
fn entries(text: &[u8]) -> Vec<(String, &[u8])> {
    let mut found = vec![];
    let mut at = skip_spaces(text, 1);
    while let Some(b) = text.get(at).filter(|b| **b != b'}') {
        if *b == b',' {
            at = skip_spaces(text, at + 1);
            continue;
        }
        let mut name = vec![];
        let Ok(end) = read_string(text, at + 1, &mut name) else { break };
        let colon = skip_spaces(text, end);
        let start = skip_spaces(text, colon + 1);
        let Ok(end) = skip_value(text, start) else { break };
        found.push((String::from_utf8_lossy(&name).into_owned(), &text[start..end]));
        at = skip_spaces(text, end);
    }
    found
}

/// The texts of the rows, which begin with `open`.
fn json_rows<'a>(sample: &Sample<'a>, open: u8) -> Result<Vec<&'a [u8]>> {
    let (mut framing, mut at, mut rows) = (Framing::default(), 0, vec![]);
    while rows.len() < sample.rows_max {
        let start = match framing.next(sample.text, at, open) {
            Ok(Next::Row(start)) => start,
            Ok(Next::End(_)) => break,
            Err(e) => return Err(cannot(&e.message)),
        };
        match skip_value(sample.text, start) {
            Ok(end) => at = end,
            // The sample may end within a row.
            Err(_) if !rows.is_empty() => break,
            Err(e) => return Err(cannot(&e.message)),
        }
        rows.push(&sample.text[start..at]);
    }
    Ok(rows)
}

type Found = Vec<(String, Option<DataType>)>;

fn finished(found: Found) -> Vec<InputColumn> {
    let column = |(name, t): (String, Option<DataType>)| InputColumn {
        name,
        data_type: nullable(t.unwrap_or(DataType::String)),
    };
    found.into_iter().map(column).collect()
}

fn json_objects(sample: &Sample) -> Result<Vec<InputColumn>> {
    let mut found: Found = vec![];
    for row in json_rows(sample, b'{')? {
        for (name, value) in entries(row) {
            let data_type = of_json(value);
            match found.iter_mut().find(|(n, _)| *n == name) {
                Some((_, known)) => *known = joined(known.take(), data_type),
                None => found.push((name, data_type)),
            }
        }
    }
    Ok(finished(found))
}

fn json_arrays(sample: &Sample, header: Header) -> Result<Vec<InputColumn>> {
    let mut rows = json_rows(sample, b'[')?.into_iter();
    let mut strings = || -> Result<Vec<String>> {
        let row = rows.next().ok_or_else(|| cannot("there is no header"))?;
        let text = |item: &[u8]| {
            let mut text = vec![];
            match read_string(item, 1, &mut text) {
                Ok(_) => Ok(String::from_utf8_lossy(&text).into_owned()),
                Err(e) => Err(cannot(&e.message)),
            }
        };
        items(row).into_iter().map(text).collect()
    };
    let mut names = if header >= Header::Names { strings()? } else { vec![] };
    if header == Header::NamesAndTypes {
        return with_types(names, strings()?);
    }
    let mut types: Vec<Option<DataType>> = vec![];
    for row in rows {
        let items = items(row);
        types.resize(types.len().max(items.len()), None);
        for (known, item) in types.iter_mut().zip(items) {
            *known = joined(known.take(), of_json(item));
        }
    }
    types.resize(types.len().max(names.len()), None);
    names.extend((names.len()..types.len()).map(|i| format!("c{}", i + 1)));
    Ok(finished(names.into_iter().zip(types).collect()))
}

fn with_types(names: Vec<String>, types: Vec<String>) -> Result<Vec<InputColumn>> {
    names
        .into_iter()
        .zip(types)
        .map(|(name, t)| Ok(InputColumn { name, data_type: parse_data_type(&t)? }))
        .collect()
}

/// The type of a field of a line; None where it says nothing.
fn of_field(field: &[u8], quoted: bool) -> Option<DataType> {
    if field == b"\\N" || field.is_empty() && !quoted {
        return None;
    }
    let integer = !field.is_empty()
        && field.strip_prefix(b"-").unwrap_or(field).iter().all(u8::is_ascii_digit);
    Some(match field {
        _ if quoted => of_text(field),
        b"true" | b"false" => DataType::Bool,
        _ if integer && text::parse_int::<i64>(field).is_ok() && field.len() <= 20 => {
            match std::str::from_utf8(field).ok().map(str::parse::<i64>) {
                Some(Ok(_)) => DataType::Int64,
                _ => DataType::UInt64,
            }
        }
        _ if starts_number(field) && text::parse_float(field).is_ok() => DataType::Float64,
        other => of_text(other),
    })
}

fn starts_number(field: &[u8]) -> bool {
    let rest = field.strip_prefix(b"-").unwrap_or(field);
    rest.first().is_some_and(|b| b.is_ascii_digit() || *b == b'.')
        || matches!(rest, b"nan" | b"inf")
}

/// The fields of the line at `at`, each with whether it was quoted, and where the next begins.
fn fields(text: &[u8], at: usize, separator: u8) -> (Vec<(Vec<u8>, bool)>, usize) {
    let mut at = at;
    let mut fields = vec![];
    loop {
        let (mut field, mut quoted) = (vec![], false);
        if separator == b',' && matches!(text.get(at), Some(b'"' | b'\'')) {
            let quote = text[at];
            quoted = true;
            at += 1;
            while let Some(b) = text.get(at) {
                at += 1;
                if *b == quote {
                    if text.get(at) != Some(&quote) {
                        break;
                    }
                    at += 1;
                }
                field.push(*b);
            }
        }
        while let Some(b) = text.get(at).filter(|b| **b != separator && **b != b'\n') {
            field.push(*b);
            at += 1;
        }
        if !quoted {
            let end = field.trim_ascii_end().len();
            if separator == b',' || text.get(at) != Some(&separator) {
                field.truncate(end.max(field.len() - usize::from(field.ends_with(b"\r"))));
            }
        }
        fields.push((field, quoted));
        match text.get(at) {
            Some(b) if *b == separator => at += 1,
            _ => return (fields, at + 1),
        }
    }
}

fn delimited(sample: &Sample, separator: u8, header: Header) -> Result<Vec<InputColumn>> {
    let text = sample.text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(sample.text);
    let mut at = 0;
    let texts = |at: &mut usize| -> Vec<String> {
        let (line, next) = fields(text, *at, separator);
        *at = next;
        line.into_iter().map(|(f, _)| String::from_utf8_lossy(&f).into_owned()).collect()
    };
    let mut names = if header >= Header::Names { texts(&mut at) } else { vec![] };
    if header == Header::NamesAndTypes {
        let types = texts(&mut at);
        return with_types(names, types);
    }
    let mut lines = vec![];
    while at < text.len() && lines.len() < sample.rows_max {
        let (line, next) = fields(text, at, separator);
        at = next;
        lines.push(line);
    }
    // A first line of texts above lines of other types is a line of names.
    let of_line = |line: &[(Vec<u8>, bool)]| -> Vec<Option<DataType>> {
        line.iter().map(|(f, quoted)| of_field(f, *quoted)).collect()
    };
    let join = |lines: &[Vec<(Vec<u8>, bool)>]| {
        let mut types: Vec<Option<DataType>> = vec![];
        for line in lines {
            let of = of_line(line);
            types.resize(types.len().max(of.len()), None);
            for (known, t) in types.iter_mut().zip(of) {
                *known = joined(known.take(), t);
            }
        }
        types
    };
    let mut from = 0;
    if header == Header::None && lines.len() > 1 {
        let texts =
            |types: &[Option<DataType>]| types.iter().all(|t| matches!(t, Some(DataType::String)));
        if texts(&of_line(&lines[0])) && !texts(&join(&lines[1..])) {
            from = 1;
            names = lines[0].iter().map(|(f, _)| String::from_utf8_lossy(f).into()).collect();
        }
    }
    let mut types = join(&lines[from..]);
    types.resize(types.len().max(names.len()), None);
    names.extend((names.len()..types.len()).map(|i| format!("c{}", i + 1)));
    Ok(finished(names.into_iter().zip(types).collect()))
}
