//! JSON text walked without building a tree: values are slices of the text, found by skipping.
//!
//! A whole document is checked while it is walked ([`check`]); finding a path then looks only at what
//! lies on it. Depth is bounded.

/// Deepest nesting that counts as valid.
const DEPTH_MAX: usize = 512;

/// What a value is, by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

pub(crate) fn kind(value: &[u8]) -> Option<Kind> {
    Some(match value.first()? {
        b'{' => Kind::Object,
        b'[' => Kind::Array,
        b'"' => Kind::String,
        b't' => Kind::True,
        b'f' => Kind::False,
        b'n' => Kind::Null,
        b'-' | b'0'..=b'9' => Kind::Number,
        _ => return None,
    })
}

fn spaces(text: &[u8], mut at: usize) -> usize {
    while at < text.len() && matches!(text[at], b' ' | b'\t' | b'\n' | b'\r') {
        at += 1;
    }
    at
}

/// The end of the string that begins at `at` (a quote); None if it does not end or has raw controls.
fn string_end(text: &[u8], at: usize) -> Option<usize> {
    let mut i = at + 1;
    loop {
        let found = memchr::memchr2(b'"', b'\\', text.get(i..)?)?;
        let stop = i + found;
        if text[stop] == b'"' {
            return Some(stop + 1);
        }
        match text.get(stop + 1)? {
            b'u' => {
                let digits = text.get(stop + 2..stop + 6)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                i = stop + 6;
            }
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => i = stop + 2,
            _ => return None,
        }
    }
}

fn number_end(text: &[u8], at: usize) -> Option<usize> {
    let digits = |mut i: usize| {
        let start = i;
        while i < text.len() && text[i].is_ascii_digit() {
            i += 1;
        }
        (i > start).then_some(i)
    };
    let mut i = at + usize::from(text[at] == b'-');
    let first = *text.get(i)?;
    i = digits(i)?;
    if first == b'0' && i > at + 1 + usize::from(text[at] == b'-') {
        return None;
    }
    if text.get(i) == Some(&b'.') {
        i = digits(i + 1)?;
    }
    if matches!(text.get(i), Some(b'e' | b'E')) {
        i += 1;
        if matches!(text.get(i), Some(b'+' | b'-')) {
            i += 1;
        }
        i = digits(i)?;
    }
    Some(i)
}

/// The end of the value that begins at `at`, everything in it checked.
fn value_end(text: &[u8], at: usize, depth: usize) -> Option<usize> {
    if depth > DEPTH_MAX {
        return None;
    }
    let literal = |word: &[u8]| text[at..].starts_with(word).then_some(at + word.len());
    match text.get(at)? {
        b'"' => string_end(text, at),
        b'-' | b'0'..=b'9' => number_end(text, at),
        b't' => literal(b"true"),
        b'f' => literal(b"false"),
        b'n' => literal(b"null"),
        open @ (b'{' | b'[') => {
            let (object, close) = (*open == b'{', if *open == b'{' { b'}' } else { b']' });
            let mut i = spaces(text, at + 1);
            if text.get(i) == Some(&close) {
                return Some(i + 1);
            }
            loop {
                if object {
                    if text.get(i) != Some(&b'"') {
                        return None;
                    }
                    i = spaces(text, string_end(text, i)?);
                    if text.get(i) != Some(&b':') {
                        return None;
                    }
                    i = spaces(text, i + 1);
                }
                i = spaces(text, value_end(text, i, depth + 1)?);
                match text.get(i)? {
                    b',' => i = spaces(text, i + 1),
                    c if *c == close => return Some(i + 1),
                    _ => return None,
                }
            }
        }
        _ => None,
    }
}

/// The document's value, if the text is one valid document.
pub(crate) fn check(text: &[u8]) -> Option<&[u8]> {
    let start = spaces(text, 0);
    let end = value_end(text, start, 0)?;
    (spaces(text, end) == text.len()).then(|| &text[start..end])
}

/// Checks a whole document and finds the value at a path in the same pass. The outer None is an invalid
/// document.
pub(crate) fn check_and_find<'a>(
    text: &'a [u8],
    path: &[Step],
    any_case: bool,
) -> Option<Option<&'a [u8]>> {
    if path.iter().any(|s| matches!(s, Step::Index(n) if *n < 1)) {
        // Positions from the end need the count first.
        let document = check(text)?;
        return Some(find(document, path, any_case).map(|(_, value)| value));
    }
    let mut found = None;
    let start = spaces(text, 0);
    let end = walk(text, start, 0, path, any_case, &mut found)?;
    (spaces(text, end) == text.len()).then_some(found)
}

/// The end of the value at `at`, all checked; what lies on the path goes into `found`.
fn walk<'a>(
    text: &'a [u8],
    at: usize,
    depth: usize,
    path: &[Step],
    any_case: bool,
    found: &mut Option<&'a [u8]>,
) -> Option<usize> {
    let (Some(step), Some(b'{' | b'[')) = (path.first(), text.get(at)) else {
        let end = value_end(text, at, depth)?;
        if path.is_empty() {
            *found = Some(&text[at..end]);
        }
        return Some(end);
    };
    let object = text[at] == b'{';
    let close = if object { b'}' } else { b']' };
    let mut i = spaces(text, at + 1);
    if text.get(i) == Some(&close) {
        return Some(i + 1);
    }
    let mut position = 0;
    let mut taken = false;
    loop {
        let mut key: &[u8] = &[];
        if object {
            if text.get(i) != Some(&b'"') {
                return None;
            }
            let end = string_end(text, i)?;
            key = &text[i..end];
            i = spaces(text, end);
            if text.get(i) != Some(&b':') {
                return None;
            }
            i = spaces(text, i + 1);
        }
        position += 1;
        let wanted = !taken
            && match step {
                Step::Key(name) => object && key_is(key, name, any_case),
                Step::Index(n) => *n == position,
            };
        let end = if wanted {
            taken = true;
            walk(text, i, depth + 1, &path[1..], any_case, found)?
        } else {
            value_end(text, i, depth + 1)?
        };
        i = spaces(text, end);
        match text.get(i)? {
            b',' => i = spaces(text, i + 1),
            c if *c == close => return Some(i + 1),
            _ => return None,
        }
    }
}

/// The members of a checked object (raw keys with quotes) or the items of a checked array.
pub(crate) struct Parts<'a> {
    text: &'a [u8],
    at: usize,
    object: bool,
}

pub(crate) fn parts(value: &[u8]) -> Parts<'_> {
    let object = value.first() == Some(&b'{');
    let open = object || value.first() == Some(&b'[');
    let at = if open { spaces(value, 1) } else { value.len() };
    Parts { text: value, at, object }
}

impl<'a> Iterator for Parts<'a> {
    /// Key (empty for arrays) and value.
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if matches!(self.text.get(self.at)?, b'}' | b']') {
            return None;
        }
        let mut key: &[u8] = &[];
        if self.object {
            let end = string_end(self.text, self.at)?;
            key = &self.text[self.at..end];
            self.at = spaces(self.text, spaces(self.text, end) + 1);
        }
        let end = value_end(self.text, self.at, 0)?;
        let value = &self.text[self.at..end];
        self.at = spaces(self.text, end);
        if self.text.get(self.at) == Some(&b',') {
            self.at = spaces(self.text, self.at + 1);
        }
        Some((key, value))
    }
}

/// One step of a path.
#[derive(Debug, Clone)]
pub(crate) enum Step<'a> {
    Key(&'a [u8]),
    /// From 1, or from the end if negative; in objects the n-th member.
    Index(i64),
}

/// Whether a raw key is this name.
pub(crate) fn key_is(raw: &[u8], name: &[u8], any_case: bool) -> bool {
    let inner = &raw[1..raw.len() - 1];
    if memchr::memchr(b'\\', inner).is_some() {
        let plain = unescape(raw);
        return if any_case { plain.eq_ignore_ascii_case(name) } else { plain == name };
    }
    if any_case { inner.eq_ignore_ascii_case(name) } else { inner == name }
}

/// The value at a path in a checked value, with its raw key.
pub(crate) fn find<'a>(
    value: &'a [u8],
    path: &[Step],
    any_case: bool,
) -> Option<(&'a [u8], &'a [u8])> {
    let mut at: (&[u8], &[u8]) = (&[], value);
    for step in path {
        let inside = at.1;
        at = match step {
            Step::Key(name) if kind(inside)? == Kind::Object => {
                parts(inside).find(|(key, _)| key_is(key, name, any_case))?
            }
            Step::Key(_) => return None,
            Step::Index(n) if matches!(kind(inside)?, Kind::Object | Kind::Array) => {
                if *n > 0 {
                    parts(inside).nth(*n as usize - 1)?
                } else if *n < 0 {
                    let count = parts(inside).count() as i64;
                    parts(inside).nth(usize::try_from(count + n).ok()?)?
                } else {
                    at
                }
            }
            Step::Index(_) => return None,
        };
    }
    Some(at)
}

/// A raw string's bytes, without quotes and escapes.
pub(crate) fn unescape(raw: &[u8]) -> Vec<u8> {
    let inner = if raw.len() >= 2 { &raw[1..raw.len() - 1] } else { raw };
    let mut out = Vec::with_capacity(inner.len());
    let mut i = 0;
    while i < inner.len() {
        let Some(found) = memchr::memchr(b'\\', &inner[i..]) else {
            out.extend_from_slice(&inner[i..]);
            break;
        };
        out.extend_from_slice(&inner[i..i + found]);
        i += found + 2;
        match inner.get(i - 1) {
            Some(b'b') => out.push(8),
            Some(b'f') => out.push(12),
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b't') => out.push(b'\t'),
            Some(b'u') => {
                let unit = |at: usize| -> Option<u32> {
                    let digits = std::str::from_utf8(inner.get(at..at + 4)?).ok()?;
                    u32::from_str_radix(digits, 16).ok()
                };
                let first = unit(i).unwrap_or(0xFFFD);
                i += 4;
                let mut code = first;
                if (0xD800..0xDC00).contains(&first)
                    && inner.get(i..i + 2) == Some(b"\\u")
                    && let Some(second @ 0xDC00..0xE000) = unit(i + 2)
                {
                    code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                    i += 6;
                }
                let c = char::from_u32(code).unwrap_or('\u{FFFD}');
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            Some(c) => out.push(*c),
            None => {}
        }
    }
    out
}

/// A value without white space between tokens; numbers as shortest text.
pub(crate) fn compact(value: &[u8], out: &mut Vec<u8>) {
    match kind(value) {
        Some(Kind::Object) => {
            out.push(b'{');
            for (i, (key, inner)) in parts(value).enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(key);
                out.push(b':');
                compact(inner, out);
            }
            out.push(b'}');
        }
        Some(Kind::Array) => {
            out.push(b'[');
            for (i, (_, inner)) in parts(value).enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                compact(inner, out);
            }
            out.push(b']');
        }
        Some(Kind::Number) if !value.iter().all(|b| b.is_ascii_digit() || *b == b'-') => {
            match std::str::from_utf8(value).ok().and_then(|t| t.parse::<f64>().ok()) {
                Some(v) => crate::text::write::write_float64(v, out),
                None => out.extend_from_slice(value),
            }
        }
        _ => out.extend_from_slice(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_checked() {
        for good in ["{}", "[]", "1", "-0.5e+3", "\"a\\u00e4\"", " {\"a\" : [1, {\"b\":null}] } "] {
            assert!(check(good.as_bytes()).is_some(), "{good}");
        }
        for bad in ["", "{a}", "[1,]", "{\"a\":}", "01", "1.", "\"a", "[1] x", "tru", "{\"a\":1,}"]
        {
            assert!(check(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(check("[".repeat(100_000).as_bytes()).is_none());
    }

    #[test]
    fn paths_are_found() {
        let text = br#"{"a":{"b":[1,2,{"c":"d"}]},"e\u0041":5}"#;
        let path = [Step::Key(b"a"), Step::Key(b"b"), Step::Index(-1), Step::Key(b"c")];
        assert_eq!(find(text, &path, false).unwrap().1, b"\"d\"");
        assert_eq!(find(text, &[Step::Key(b"eA")], false).unwrap().1, b"5");
        assert_eq!(find(text, &[Step::Index(2)], false).unwrap().1, b"5");
        assert!(find(text, &[Step::Key(b"z")], false).is_none());
    }
}
