//! Bytes as text and back: hex, bin, base64, base58, URL and XML encoding.

use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::native::{As, values, with_native};
use super::registry::Registry;
use super::strings::{Strings, StringsBuilder};
use super::text_map::map_text;
use super::type_rule::Args;
use crate::error::{Error, Result, codes};

pub(super) fn add(r: &mut Registry) {
    r.add("hex", 1..=1, bytes_type, |c| digits(c, 16));
    r.add("bin", 1..=1, bytes_type, |c| digits(c, 2));
    r.coded("unhex", |text, out| undo_digits(text, out, 16));
    r.coded("unbin", |text, out| undo_digits(text, out, 2));
    r.coded("base64Encode", |text, out| base64(text, out, STANDARD, true));
    r.coded("base64URLEncode", |text, out| base64(text, out, URL_SAFE, false));
    for (name, url, quiet) in [
        ("base64Decode", false, false),
        ("tryBase64Decode", false, true),
        ("base64URLDecode", true, false),
        ("tryBase64URLDecode", true, true),
    ] {
        r.add(
            name,
            1..=1,
            |a| a.string(0).map(|_| DataType::String),
            move |c| decode(c, quiet, |text, out| undo_base64(text, out, url), "base64"),
        );
    }
    r.coded("base58Encode", base58);
    for (name, quiet) in [("base58Decode", false), ("tryBase58Decode", true)] {
        r.add(
            name,
            1..=1,
            |a| a.string(0).map(|_| DataType::String),
            move |c| decode(c, quiet, undo_base58, "base58"),
        );
    }
    r.text("encodeURLComponent", |text, out| percent(text, out, false));
    r.text("encodeURLFormComponent", |text, out| percent(text, out, true));
    r.text("decodeURLComponent", |text, out| undo_percent(text, out, false));
    r.text("decodeURLFormComponent", |text, out| undo_percent(text, out, true));
    r.text("encodeXMLComponent", |text, out| {
        for b in text {
            match b {
                b'<' => out.extend_from_slice(b"&lt;"),
                b'>' => out.extend_from_slice(b"&gt;"),
                b'&' => out.extend_from_slice(b"&amp;"),
                b'"' => out.extend_from_slice(b"&quot;"),
                b'\'' => out.extend_from_slice(b"&apos;"),
                b => out.push(*b),
            }
        }
    });
    r.text("decodeXMLComponent", |text, out| undo_entities(text, out, false));
    r.text("decodeHTMLComponent", |text, out| undo_entities(text, out, true));
}

fn bytes_type(a: &Args) -> Result<DataType> {
    a.require(0, |t| !matches!(t, DataType::Array(_) | DataType::Tuple(_) | DataType::Map(..)))?;
    Ok(DataType::String)
}

/// Bytes in a base; integers begin at their first byte that is not 0, most significant first, other
/// numbers show their memory.
fn digits(call: &FunctionCall, base: u32) -> Result<Column> {
    let column = call.column(0)?;
    let mut out = StringsBuilder::with_capacity(call.rows, call.rows * 8);
    let put = |bytes: &mut dyn Iterator<Item = u8>, out: &mut Vec<u8>| {
        for b in bytes {
            if base == 16 {
                out.extend_from_slice(&[HEX[(b >> 4) as usize], HEX[(b & 15) as usize]]);
            } else {
                out.extend((0..8).rev().map(|bit| b'0' + (b >> bit & 1)));
            }
        }
    };
    if let Ok(strings) = Strings::of(column.array.as_ref()) {
        out.bytes.reserve(strings.total(call.rows) * if base == 16 { 2 } else { 8 });
        for row in 0..call.rows {
            if base == 16 {
                let pairs = strings.get(row).iter();
                out.bytes
                    .extend(pairs.flat_map(|b| [HEX[(b >> 4) as usize], HEX[(b & 15) as usize]]));
                out.end_row();
                continue;
            }
            put(&mut strings.get(row).iter().copied(), &mut out.bytes);
            out.end_row();
        }
        return call.finish(out.finish()?);
    }
    let memory =
        column.data_type.is_float() || matches!(column.data_type, DataType::Decimal { .. });
    let width = column.data_type.arrow().primitive_width().unwrap_or(8);
    with_native!(column.data_type, T => {
        for v in values::<T>(&column) {
            let word = match (column.data_type.is_float(), width) {
                (true, 4) => (As::<f32>::to(*v)).to_bits() as u64,
                (true, _) => (As::<f64>::to(*v)).to_bits(),
                _ => As::<u64>::to(*v),
            };
            let bytes = &word.to_le_bytes()[..width];
            if memory {
                put(&mut bytes.iter().copied(), &mut out.bytes);
            } else {
                let top = bytes.iter().rposition(|b| *b != 0).unwrap_or(0);
                put(&mut bytes[..=top].iter().rev().copied(), &mut out.bytes);
            }
            out.end_row();
        }
    }, else {
        for word in super::wide::load_wide(&column)? {
            let bytes = &word.to_le_bytes()[..width];
            if memory {
                put(&mut bytes.iter().copied(), &mut out.bytes);
            } else {
                let top = bytes.iter().rposition(|b| *b != 0).unwrap_or(0);
                put(&mut bytes[..=top].iter().rev().copied(), &mut out.bytes);
            }
            out.end_row();
        }
    });
    call.finish(out.finish()?)
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Digits back to bytes; the first may be short, and what is no digit counts as 15 (or 1).
fn undo_digits(text: &[u8], out: &mut Vec<u8>, base: u8) {
    let per_byte = if base == 16 { 2 } else { 8 };
    let value = |b: u8| -> u8 {
        match b {
            b'0'..=b'9' => b - b'0',
            b'a'..=b'f' => b - b'a' + 10,
            b'A'..=b'F' => b - b'A' + 10,
            _ => 0xFF,
        }
    };
    let first = text.len() % per_byte;
    let mut add = |digits: &[u8]| {
        let byte = digits.iter().fold(0u8, |acc, d| {
            if base == 16 { (acc << 4) | (value(*d) & 0xF) } else { (acc << 1) | (value(*d) & 1) }
        });
        out.push(byte);
    };
    if first > 0 {
        add(&text[..first]);
    }
    text[first..].chunks(per_byte).for_each(add);
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn base64(text: &[u8], out: &mut Vec<u8>, alphabet: &[u8; 64], padded: bool) {
    for chunk in text.chunks(3) {
        let word = chunk.iter().fold(0u32, |w, b| w << 8 | *b as u32) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            if i <= chunk.len() {
                out.push(alphabet[(word >> (18 - 6 * i) & 63) as usize]);
            } else if padded {
                out.push(b'=');
            }
        }
    }
}

/// False if the text is no base64.
fn undo_base64(text: &[u8], out: &mut Vec<u8>, url: bool) -> bool {
    let trimmed = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    if !url && !text.len().is_multiple_of(4) || trimmed.len() % 4 == 1 {
        return false;
    }
    let alphabet = if url { URL_SAFE } else { STANDARD };
    for chunk in trimmed.chunks(4) {
        let mut word = 0u32;
        for b in chunk {
            match alphabet.iter().position(|a| a == b) {
                Some(v) => word = word << 6 | v as u32,
                None => return false,
            }
        }
        word <<= 6 * (4 - chunk.len());
        out.extend_from_slice(&word.to_be_bytes()[1..chunk.len()]);
    }
    true
}

/// Runs a decoder that may fail: then an error, or an empty text if `quiet`.
fn decode(
    call: &FunctionCall,
    quiet: bool,
    f: impl Fn(&[u8], &mut Vec<u8>) -> bool,
    what: &str,
) -> Result<Column> {
    let failed = std::cell::Cell::new(false);
    let column = map_text(call, |text, out| {
        let start = out.len();
        if !f(text, out) {
            out.truncate(start);
            failed.set(true);
        }
    })?;
    if failed.get() && !quiet {
        return Err(Error::new(codes::INCORRECT_DATA, format!("Failed to {what} decode input")));
    }
    Ok(column)
}

const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

fn base58(text: &[u8], out: &mut Vec<u8>) {
    let zeros = text.iter().take_while(|b| **b == 0).count();
    let mut digits: Vec<u8> = vec![];
    for b in &text[zeros..] {
        let mut carry = *b as u32;
        for d in &mut digits {
            carry += (*d as u32) << 8;
            *d = (carry % 58) as u8;
            carry /= 58;
        }
        while carry > 0 {
            digits.push((carry % 58) as u8);
            carry /= 58;
        }
    }
    out.extend(std::iter::repeat_n(b'1', zeros));
    out.extend(digits.iter().rev().map(|d| BASE58[*d as usize]));
}

fn undo_base58(text: &[u8], out: &mut Vec<u8>) -> bool {
    let ones = text.iter().take_while(|b| **b == b'1').count();
    let mut bytes: Vec<u8> = vec![];
    for c in &text[ones..] {
        let Some(v) = BASE58.iter().position(|a| a == c) else { return false };
        let mut carry = v as u32;
        for b in &mut bytes {
            carry += *b as u32 * 58;
            *b = carry as u8;
            carry >>= 8;
        }
        while carry > 0 {
            bytes.push(carry as u8);
            carry >>= 8;
        }
    }
    out.extend(std::iter::repeat_n(0, ones));
    out.extend(bytes.iter().rev());
    true
}

fn percent(text: &[u8], out: &mut Vec<u8>, form: bool) {
    for b in text {
        match b {
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(b) => out.push(*b),
            b' ' if form => out.push(b'+'),
            b => {
                let (high, low) = (HEX[(b >> 4) as usize], HEX[(b & 15) as usize]);
                out.extend_from_slice(&[b'%', high, low]);
            }
        }
    }
}

pub(super) fn undo_percent(text: &[u8], out: &mut Vec<u8>, form: bool) {
    let mut at = 0;
    while at < text.len() {
        let b = text[at];
        if b == b'%' && at + 2 < text.len() {
            let value = |b: u8| (b as char).to_digit(16);
            if let (Some(high), Some(low)) = (value(text[at + 1]), value(text[at + 2])) {
                out.push((high << 4 | low) as u8);
                at += 3;
                continue;
            }
        }
        out.push(if form && b == b'+' { b' ' } else { b });
        at += 1;
    }
}

/// Character references back to characters.
fn undo_entities(text: &[u8], out: &mut Vec<u8>, html: bool) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'&', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let end = memchr::memchr(b';', rest).filter(|e| *e <= 32);
        let decoded = end.and_then(|end| entity(&rest[1..end], html));
        match (decoded, end) {
            (Some(c), Some(end)) => {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[end + 1..];
            }
            _ => {
                out.push(b'&');
                rest = &rest[1..];
            }
        }
    }
    out.extend_from_slice(rest);
}

fn entity(name: &[u8], html: bool) -> Option<char> {
    let name = std::str::from_utf8(name).ok()?;
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code);
    }
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        _ if !html => return None,
        "nbsp" => '\u{A0}',
        "copy" => '©',
        "reg" => '®',
        "euro" => '€',
        "hellip" => '…',
        "mdash" => '—',
        "ndash" => '–',
        "laquo" => '«',
        "raquo" => '»',
        "auml" => 'ä',
        "ouml" => 'ö',
        "uuml" => 'ü',
        "szlig" => 'ß',
        _ => return None,
    })
}
