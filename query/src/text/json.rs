//! Prints one value as JSON, compactly or indented, as ClickHouse's JSON formats do.
//!
//! Numbers stay numbers (64 bit ones too, unless asked otherwise), NaN and infinities are null, named
//! tuples and maps are objects, everything else is a string. Invalid UTF-8 stays as it is unless
//! `valid_utf8`.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use pumphouse_storage::DataType;
use pumphouse_storage::run_time::{column_of, open};
use pumphouse_storage::types::{TimeZone, TupleElement};

use super::utf8;
use super::write::{bytes_at, list_range, write_bool, write_plain};
use crate::run_time::json as object_json;

/// How JSON is written; the defaults are ClickHouse's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonOptions {
    pub quote_64bit_integers: bool,
    pub quote_64bit_floats: bool,
    pub quote_decimals: bool,
    pub quote_denormals: bool,
    pub escape_forward_slashes: bool,
    pub named_tuples_as_objects: bool,
    pub map_as_array_of_tuples: bool,
    /// Elements of a named tuple that are NULL are left out.
    pub skip_null_elements: bool,
    /// Replaces invalid UTF-8 by U+FFFD.
    pub valid_utf8: bool,
    /// Bytes of indentation a level (tabs or spaces) when values are written indented.
    pub indent: &'static str,
    /// What else every indented line begins with.
    pub indent_more: &'static str,
}

impl Default for JsonOptions {
    fn default() -> JsonOptions {
        JsonOptions {
            quote_64bit_integers: false,
            quote_64bit_floats: false,
            quote_decimals: false,
            quote_denormals: false,
            escape_forward_slashes: true,
            named_tuples_as_objects: true,
            map_as_array_of_tuples: false,
            skip_null_elements: false,
            valid_utf8: false,
            indent: "\t",
            indent_more: "",
        }
    }
}

/// The value at `row` as compact JSON; NULL as `null`.
#[inline]
pub fn write_json(
    dt: &DataType,
    array: &dyn Array,
    row: usize,
    zone: TimeZone,
    options: &JsonOptions,
    out: &mut Vec<u8>,
) {
    JsonWriter { zone, options, indented: false }.value(dt, array, row, 0, out);
}

/// The value at `row` with maps and tuples spread over lines; `level` is the depth of the line that
/// the value begins on.
pub fn write_json_indented(
    dt: &DataType,
    array: &dyn Array,
    row: usize,
    zone: TimeZone,
    options: &JsonOptions,
    level: usize,
    out: &mut Vec<u8>,
) {
    JsonWriter { zone, options, indented: true }.value(dt, array, row, level, out);
}

/// A plain value; no point ends a number of JSON, whatever a style says.
fn write_number(dt: &DataType, array: &dyn Array, row: usize, zone: TimeZone, out: &mut Vec<u8>) {
    write_plain(dt, array, row, zone, out);
    if out.last() == Some(&b'.') {
        out.pop();
    }
}

struct JsonWriter<'a> {
    zone: TimeZone,
    options: &'a JsonOptions,
    indented: bool,
}

impl JsonWriter<'_> {
    fn value(&self, dt: &DataType, array: &dyn Array, row: usize, level: usize, out: &mut Vec<u8>) {
        use DataType::*;
        if array.is_null(row) {
            return out.extend_from_slice(b"null");
        }
        match dt {
            Nullable(t) | LowCardinality(t) => self.value(t, array, row, level, out),
            SimpleAggregateFunction { argument, .. } | Named { argument, .. } => {
                self.value(argument, array, row, level, out)
            }
            Variant(_) | Dynamic { .. } | Json(_) => self.self_typed(dt, array, row, level, out),
            String | FixedString(_) | AggregateFunction { .. } => {
                write_json_string(bytes_at(dt, array, row), self.options, out);
            }
            Enum8(values) | Enum16(values) => {
                let number = match dt {
                    Enum8(_) => array.as_primitive::<Int8Type>().value(row) as i16,
                    _ => array.as_primitive::<Int16Type>().value(row),
                };
                let name = values.name_of(number).unwrap_or("");
                write_json_string(name.as_bytes(), self.options, out);
            }
            Float32 | Float64 | BFloat16 => self.float(dt, array, row, out),
            Array(item) => {
                let (items, from, to) = list_range(array, row);
                let spread = to > from && matches!(item.inner(), Array(_) | Tuple(_) | Map(..));
                out.push(b'[');
                for i in from..to {
                    if i > from {
                        out.push(b',');
                    }
                    if spread {
                        self.line(level + 1, out);
                    }
                    self.value(item, items, i, level + 1, out);
                }
                if spread {
                    self.line(level, out);
                }
                out.push(b']');
            }
            Tuple(_) => self.tuple(dt, array, row, level, out),
            Map(key, value) => self.map(key, value, array, row, level, out),
            Bool => write_bool(array, row, out),
            _ => {
                let quote = self.quotes(dt);
                if quote {
                    out.push(b'"');
                }
                write_number(dt, array, row, self.zone, out);
                if quote {
                    out.push(b'"');
                }
            }
        }
    }

    /// Variant, Dynamic and JSON: as their values are written.
    fn self_typed(
        &self,
        dt: &DataType,
        array: &dyn Array,
        row: usize,
        level: usize,
        out: &mut Vec<u8>,
    ) {
        let bytes = array.as_binary::<i32>().value(row);
        let payload = |own: &DataType, rest: &[u8], level: usize, out: &mut Vec<u8>| match column_of(
            own,
            std::iter::once(Some(rest)),
        ) {
            Ok(column) => self.value(own, column.array.as_ref(), 0, level, out),
            Err(_) => out.extend_from_slice(b"null"),
        };
        if !matches!(dt, DataType::Json(_)) {
            return match open(dt, bytes) {
                Some((own, rest)) => payload(&own, rest, level, out),
                None => out.extend_from_slice(b"null"),
            };
        }
        let layout = object_json::Layout { options: self.options, indented: self.indented, level };
        let mut member = |own: &DataType, rest: &[u8], depth: usize, out: &mut Vec<u8>| {
            payload(own, rest, level + depth, out);
        };
        object_json::write(bytes, &mut member, &layout, out);
    }

    fn quotes(&self, dt: &DataType) -> bool {
        use DataType::*;
        match dt {
            Date | Date32 | DateTime(_) | DateTime64(..) | Time | Time64(_) | Uuid | Ipv4
            | Ipv6 => true,
            UInt64 | Int64 | UInt128 | Int128 | UInt256 | Int256 | Interval(_) => {
                self.options.quote_64bit_integers
            }
            Decimal { .. } => self.options.quote_decimals,
            _ => false,
        }
    }

    fn float(&self, dt: &DataType, array: &dyn Array, row: usize, out: &mut Vec<u8>) {
        let (finite, wide) = match dt {
            DataType::Float32 | DataType::BFloat16 => {
                (array.as_primitive::<Float32Type>().value(row).is_finite(), false)
            }
            _ => (array.as_primitive::<Float64Type>().value(row).is_finite(), true),
        };
        let quote = if finite {
            wide && self.options.quote_64bit_floats
        } else if self.options.quote_denormals {
            true
        } else {
            // ClickHouse quotes what it writes for a number that is none, too.
            let quoted = wide && self.options.quote_64bit_floats;
            return out.extend_from_slice(if quoted { b"\"null\"" } else { b"null" });
        };
        if quote {
            out.push(b'"');
        }
        write_number(dt, array, row, self.zone, out);
        if quote {
            out.push(b'"');
        }
    }

    fn line(&self, level: usize, out: &mut Vec<u8>) {
        if self.indented {
            out.push(b'\n');
            if level > 0 {
                out.extend_from_slice(self.options.indent_more.as_bytes());
            }
            for _ in 0..level {
                out.extend_from_slice(self.options.indent.as_bytes());
            }
        }
    }

    fn tuple(&self, dt: &DataType, array: &dyn Array, row: usize, level: usize, out: &mut Vec<u8>) {
        let DataType::Tuple(elements) = dt else { return };
        let fields = array.as_struct();
        let object = self.options.named_tuples_as_objects
            && !elements.is_empty()
            && elements.iter().all(|e| e.name.is_some());
        out.push(if object { b'{' } else { b'[' });
        let mut begun = false;
        for (i, e) in elements.iter().enumerate() {
            if object && self.options.skip_null_elements && fields.column(i).is_null(row) {
                continue;
            }
            if std::mem::replace(&mut begun, true) {
                out.push(b',');
            }
            self.line(level + 1, out);
            if object {
                let name = e.name.as_deref().unwrap_or("");
                write_json_string(name.as_bytes(), self.options, out);
                out.push(b':');
                if self.indented {
                    out.push(b' ');
                }
            }
            self.value(&e.data_type, fields.column(i).as_ref(), row, level + 1, out);
        }
        if elements.is_empty() && self.indented {
            out.push(b'\n');
        }
        self.line(level, out);
        out.push(if object { b'}' } else { b']' });
    }

    fn map(
        &self,
        key: &DataType,
        value: &DataType,
        array: &dyn Array,
        row: usize,
        level: usize,
        out: &mut Vec<u8>,
    ) {
        if self.options.map_as_array_of_tuples {
            let element = |name: &str, dt: &DataType| TupleElement {
                name: Some(name.into()),
                data_type: dt.clone(),
            };
            let pair = DataType::Tuple(vec![element("keys", key), element("values", value)]);
            return self.value(&DataType::Array(Box::new(pair)), array, row, level, out);
        }
        let (entries, from, to) = list_range(array, row);
        let entries = entries.as_struct();
        let (keys, values) = (entries.column(0).as_ref(), entries.column(1).as_ref());
        out.push(b'{');
        for i in from..to {
            if i > from {
                out.push(b',');
            }
            self.line(level + 1, out);
            self.key(key, keys, i, out);
            out.push(b':');
            if self.indented {
                out.push(b' ');
            }
            self.value(value, values, i, level + 1, out);
        }
        if to > from {
            self.line(level, out);
        }
        out.push(b'}');
    }

    /// Keys are strings whatever their type.
    fn key(&self, dt: &DataType, array: &dyn Array, row: usize, out: &mut Vec<u8>) {
        let inner = dt.inner();
        if inner.is_string() && !array.is_null(row) {
            return write_json_string(bytes_at(inner, array, row), self.options, out);
        }
        let mut text = vec![];
        super::write::write_text(dt, array, row, self.zone, &mut text);
        write_json_string(&text, self.options, out);
    }
}

/// Bytes as a JSON string in double quotes.
#[inline]
pub fn write_json_string(bytes: &[u8], options: &JsonOptions, out: &mut Vec<u8>) {
    out.push(b'"');
    match options.valid_utf8 {
        true => escape(&utf8::valid(bytes), options, out),
        false => escape(bytes, options, out),
    }
    out.push(b'"');
}

/// What a byte needs in a JSON string: nothing, a backslash before it, or something else.
const PLAIN: u8 = 0;
const BACKSLASH: u8 = 1;
const RARE: u8 = 2;

const fn needs(slashes: bool) -> [u8; 256] {
    let mut needs = [PLAIN; 256];
    let mut b = 0;
    while b < 0x20 {
        needs[b] = RARE;
        b += 1;
    }
    needs[b'"' as usize] = BACKSLASH;
    needs[b'\\' as usize] = BACKSLASH;
    if slashes {
        needs[b'/' as usize] = BACKSLASH;
    }
    // It may begin one of the two characters that end lines in JavaScript.
    needs[0xe2] = RARE;
    needs
}

static NEEDS: [[u8; 256]; 2] = [needs(false), needs(true)];
/// Bytes looked at together.
const CHUNK: usize = 16;

fn escape(bytes: &[u8], options: &JsonOptions, out: &mut Vec<u8>) {
    let needs = &NEEDS[options.escape_forward_slashes as usize];
    let (chunks, rest) = bytes.as_chunks::<CHUNK>();
    for (i, chunk) in chunks.iter().enumerate() {
        // Made of comparisons only, so that the compiler does it for all bytes at once.
        let special = |b: u8| (b < 0x20) | (b == b'"') | (b == b'\\') | (b == b'/') | (b == 0xe2);
        if !chunk.iter().fold(false, |any, b| any | special(*b)) {
            out.extend_from_slice(chunk);
        } else if !escape_few(chunk, needs, out) {
            return escape_any(&bytes[i * CHUNK..], options, out);
        }
    }
    if !rest.is_empty() && !escape_few(rest, needs, out) {
        escape_any(rest, options, out);
    }
}

/// Up to [`CHUNK`] bytes of which some get a backslash, without a branch on any; false (and nothing
/// appended) if one needs more.
#[inline(always)]
fn escape_few(bytes: &[u8], needs: &[u8; 256], out: &mut Vec<u8>) -> bool {
    // What is not written yet stays a backslash.
    let mut escaped = [b'\\'; 2 * CHUNK];
    let (mut length, mut all) = (0, PLAIN);
    for b in bytes {
        let need = needs[*b as usize];
        length += (need & BACKSLASH) as usize;
        escaped[length] = *b;
        length += 1;
        all |= need;
    }
    if all & RARE != 0 {
        return false;
    }
    let end = out.len() + length;
    out.extend_from_slice(&escaped);
    out.truncate(end);
    true
}

fn escape_any(bytes: &[u8], options: &JsonOptions, out: &mut Vec<u8>) {
    let mut from = 0;
    let mut i = 0;
    while i < bytes.len() {
        let b = bytes[i];
        let mut length = 1;
        let mut wide = [0u8; 6];
        let escaped: &[u8] = match b {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'/' if options.escape_forward_slashes => b"\\/",
            8 => b"\\b",
            12 => b"\\f",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..=0x1f => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                wide = [b'\\', b'u', b'0', b'0', b'0' + (b >> 4), HEX[(b & 15) as usize]];
                &wide
            }
            // U+2028 and U+2029 end lines in JavaScript.
            0xe2 if bytes[i..].starts_with(&[0xe2, 0x80, 0xa8]) => {
                length = 3;
                b"\\u2028"
            }
            0xe2 if bytes[i..].starts_with(&[0xe2, 0x80, 0xa9]) => {
                length = 3;
                b"\\u2029"
            }
            _ => {
                i += 1;
                continue;
            }
        };
        out.extend_from_slice(&bytes[from..i]);
        out.extend_from_slice(escaped);
        i += length;
        from = i;
        let _ = wide;
    }
    out.extend_from_slice(&bytes[from..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_in_chunks_as_byte_by_byte() {
        let pieces: [&[u8]; 7] =
            [b"plain text", b"/", b"\"", b"\\", b"\n", b"\xe2\x80\xa8", b"\xff"];
        for slashes in [false, true] {
            let options = JsonOptions { escape_forward_slashes: slashes, ..JsonOptions::default() };
            for n in 0..7usize.pow(4) {
                let mut text = vec![b'x'; n % 23];
                (0..4u32).for_each(|i| text.extend_from_slice(pieces[n / 7usize.pow(i) % 7]));
                let (mut fast, mut slow) = (vec![], vec![]);
                escape(&text, &options, &mut fast);
                escape_any(&text, &options, &mut slow);
                assert_eq!(fast, slow, "{text:?}");
            }
        }
    }

    #[test]
    fn strings() {
        let mut out = vec![];
        let options = JsonOptions { valid_utf8: true, ..JsonOptions::default() };
        write_json_string(b"a'b\\\n\0\"/\x0b\x1b\xff\xe2\x80\xa8", &options, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\"a'b\\\\\\n\\u0000\\\"\\/\\u000B\\u001B\u{fffd}\\u2028\""
        );
    }
}
