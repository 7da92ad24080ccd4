//! Quoting: names in back quotes where they need it, strings in single quotes with escapes.

/// Words that cannot stand as a name without quotes.
const RESERVED: [&str; 11] = [
    "ALL", "DISTINCT", "FALSE", "FROM", "NULL", "SELECT", "SOME", "TABLE", "TOP", "TRUE", "VALUES",
];

/// A name, quoted if it is no plain word.
pub fn quote_name(name: &str) -> String {
    let mut out = String::new();
    push_name(name, &mut out);
    out
}

/// `'text'` with escapes.
pub fn quote_string(text: &[u8]) -> String {
    let mut out = String::new();
    push_string(text, &mut out);
    out
}

pub(super) fn push_name(name: &str, out: &mut String) {
    // `{name:Identifier}` whose value is not known yet.
    if name.starts_with('{') && name.ends_with(":Identifier}") {
        out.push_str(name);
        return;
    }
    let plain = !name.is_empty()
        && !name.as_bytes()[0].is_ascii_digit()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if plain && !RESERVED.iter().any(|word| name.eq_ignore_ascii_case(word)) {
        out.push_str(name);
        return;
    }
    push_quoted(name, out);
}

/// In back quotes whatever the name is: columns in CREATE.
pub fn always_quoted(name: &str) -> String {
    let mut out = String::new();
    push_quoted(name, &mut out);
    out
}

pub(super) fn push_quoted(name: &str, out: &mut String) {
    out.push('`');
    escape(name.as_bytes(), b'`', out);
    out.push('`');
}

pub(super) fn push_string(text: &[u8], out: &mut String) {
    out.push('\'');
    escape(text, b'\'', out);
    out.push('\'');
}

/// Escapes as ClickHouse does; bytes that are not UTF-8 become `\xNN`, so that the text can be read back.
fn escape(text: &[u8], quote: u8, out: &mut String) {
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\0' => out.push_str("\\0"),
                '\\' => out.push_str("\\\\"),
                c if c == quote as char => {
                    out.push('\\');
                    out.push(c);
                }
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02X}"));
        }
    }
}
