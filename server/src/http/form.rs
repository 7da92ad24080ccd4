//! Requests as forms (`multipart/form-data`): the fields are parameters as in the URL, the files are
//! external tables, described by the parameters `NAME_structure` or `NAME_types` and `NAME_format`.
//!
//! The whole body is held, bounded, and cut at its boundary. Left out: transfer encodings of parts.

use std::io::Read;

use axum::http::{HeaderMap, header};
use pumphouse_ingest::format::{FormatOptions, InputColumn};
use pumphouse_query::catalog::parse_structure;
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};
use pumphouse_storage::types::{TimeZone, parse_data_type};

use super::parameters::Parameters;
use crate::statement::{EXTERNAL_BYTES_MAX, ExternalTables, Request};

/// Fields and files of a form (`http_max_fields`).
const PARTS_MAX: usize = 1000;
/// Headers of a part.
const PART_HEAD_BYTES_MAX: usize = 64 << 10;

/// What stands between the parts, if the request is a form.
pub fn boundary(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let (kind, rest) = text.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = rest.split(';').find_map(|p| {
        let (name, value) = p.trim().split_once('=')?;
        name.eq_ignore_ascii_case("boundary").then_some(value)
    })?;
    let value = value.trim().trim_matches('"');
    (!value.is_empty() && value.len() <= 200).then(|| value.to_string())
}

struct Part<'a> {
    name: String,
    is_file: bool,
    data: &'a [u8],
}

/// Reads the form into `request`; gives all parameters, those of the URL and the form's.
pub fn read(
    reader: &mut Box<dyn Read + Send>,
    boundary: &str,
    url: &Parameters,
    request: &mut Request,
) -> Result<Parameters> {
    let mut body = vec![];
    let limited = reader.take(EXTERNAL_BYTES_MAX as u64 + 1).read_to_end(&mut body);
    limited.map_err(|e| {
        Error::new(codes::CANNOT_READ_ALL_DATA, format!("Cannot read the request's body: {e}"))
    })?;
    if body.len() > EXTERNAL_BYTES_MAX {
        return Err(bad(&format!("it is longer than {EXTERNAL_BYTES_MAX} bytes")));
    }
    let parts = parts(&body, boundary)?;
    let mut all = url.clone();
    for part in parts.iter().filter(|p| !p.is_file) {
        all.push(&part.name, &String::from_utf8_lossy(part.data));
    }
    all.allow_tables(parts.iter().filter(|p| p.is_file).map(|p| p.name.clone()).collect());
    for (name, value) in all.settings()? {
        request.settings.set(name, value);
    }
    let parameters = all.query_parameters().map(|(n, v)| (n.to_string(), v.to_string()));
    request.parameters = parameters.collect();
    let given = |name: &str| all.get(name).filter(|v| !v.is_empty()).map(str::to_string);
    request.database = request.database.take().or_else(|| given("database"));
    request.default_format = request.default_format.take().or_else(|| given("default_format"));
    request.external_tables = tables(&parts, &all, request)?.blocks()?;
    Ok(all)
}

fn tables(parts: &[Part], all: &Parameters, request: &Request) -> Result<ExternalTables> {
    let zone = request.settings.get("session_timezone").and_then(TimeZone::parse);
    let options = FormatOptions {
        settings: request.settings.clone(),
        time_zone: zone.unwrap_or(TimeZone::UTC),
    };
    let mut tables = ExternalTables::default();
    for part in parts.iter().filter(|p| p.is_file) {
        let of = |what: &str| all.get(&format!("{}_{what}", part.name));
        let columns = match (of("structure"), of("types")) {
            (Some(structure), _) => parse_structure(structure)?
                .into_iter()
                .map(|c| InputColumn { name: c.name, data_type: c.data_type })
                .collect(),
            (None, Some(types)) => by_types(types)?,
            (None, None) => {
                return Err(Error::new(
                    codes::BAD_ARGUMENTS,
                    format!(
                        "Neither structure nor types have not been provided for external table {}. Use fields {0}_structure or {0}_types to do so",
                        part.name
                    ),
                ));
            }
        };
        let format = of("format").unwrap_or("TabSeparated");
        tables.parse(&part.name, &columns, format, part.data, &options)?;
    }
    Ok(tables)
}

/// `UInt8, Tuple(A, B)`: columns `_1`, `_2`.
fn by_types(text: &str) -> Result<Vec<InputColumn>> {
    let (mut depth, mut from, mut columns) = (0usize, 0, vec![]);
    for (i, b) in text.bytes().chain(*b",").enumerate() {
        match b {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b',' if depth == 0 || i == text.len() => {
                let name = format!("_{}", columns.len() + 1);
                let data_type = parse_data_type(text[from..i].trim())?;
                columns.push(InputColumn { name, data_type });
                from = i + 1;
            }
            _ => {}
        }
    }
    Ok(columns)
}

fn bad(why: &str) -> Error {
    Error::new(codes::INCORRECT_DATA, format!("The form of the request cannot be read: {why}"))
}

/// The form's parts. `--boundary` begins each; `--boundary--` ends the last.
fn parts<'a>(body: &'a [u8], boundary: &str) -> Result<Vec<Part<'a>>> {
    let line = format!("--{boundary}");
    let separator = format!("\r\n{line}");
    let find = memchr::memmem::Finder::new(separator.as_bytes());
    let mut rest = match body.strip_prefix(line.as_bytes()) {
        Some(rest) => rest,
        None => {
            let at = find.find(body).ok_or_else(|| bad("its boundary does not come"))?;
            &body[at + separator.len()..]
        }
    };
    let mut parts = vec![];
    loop {
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        if parts.len() >= PARTS_MAX {
            return Err(bad(&format!("it has more than {PARTS_MAX} parts")));
        }
        let end = memchr::memchr(b'\n', rest).ok_or_else(|| bad("it ends within a part"))?;
        rest = &rest[end + 1..];
        let end = find.find(rest).ok_or_else(|| bad("its last boundary is missing"))?;
        parts.push(part(&rest[..end])?);
        rest = &rest[end + separator.len()..];
    }
}

/// Header lines, an empty line, data.
fn part(bytes: &[u8]) -> Result<Part<'_>> {
    let (mut name, mut is_file, mut at) = (None, false, 0);
    loop {
        let rest = &bytes[at..];
        let end = memchr::memchr(b'\n', rest).ok_or_else(|| bad("a part has no data"))?;
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        at += end + 1;
        if at > PART_HEAD_BYTES_MAX {
            return Err(bad("a part's headers are too long"));
        }
        if line.is_empty() {
            break;
        }
        let line = String::from_utf8_lossy(line);
        let Some((header, value)) = line.split_once(':') else { continue };
        if header.trim().eq_ignore_ascii_case("content-disposition") {
            name = attribute(value, "name");
            is_file = attribute(value, "filename").is_some();
        }
    }
    let name = name.ok_or_else(|| bad("a part has no name"))?;
    Ok(Part { name, is_file, data: &bytes[at..] })
}

/// `attribute="value"` of a header's value.
fn attribute(value: &str, wanted: &str) -> Option<String> {
    value.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        let value = value.trim();
        let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
        name.trim().eq_ignore_ascii_case(wanted).then(|| value.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_in_parts() {
        let body = b"--x\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT 1\r\n--x\r\nContent-Disposition: form-data; name=\"t\"; filename=\"t\"\r\nContent-Type: a/b\r\n\r\n1\t2\r\n\r\n--x--\r\n";
        let found = parts(body, "x").unwrap();
        let shown: Vec<_> = found.iter().map(|p| (p.name.as_str(), p.is_file, p.data)).collect();
        assert_eq!(shown, [("query", false, &b"SELECT 1"[..]), ("t", true, &b"1\t2\r\n"[..])]);
        for cut in 0..body.len() - 5 {
            assert!(parts(&body[..cut], "x").is_err(), "{cut}");
        }
    }

    #[test]
    fn types_alone() {
        let columns = by_types("UInt8, Tuple(String, UInt8),String").unwrap();
        let shown: Vec<_> = columns.iter().map(|c| format!("{} {}", c.name, c.data_type)).collect();
        assert_eq!(shown, ["_1 UInt8", "_2 Tuple(String, UInt8)", "_3 String"]);
    }
}
