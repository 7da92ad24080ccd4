//! Regular expressions and LIKE patterns, compiled once and kept.
//!
//! Patterns are in RE2's syntax: `\d`, `\w`, `\s` and `\b` are ASCII, `.` matches newlines too, and
//! brackets inside a class are plain. They are rewritten for the `regex` crate, whose matching is as
//! linear as RE2's.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use regex::bytes::{Regex, RegexBuilder};

use super::simple_pattern::{Found, GROUPS_MAX, Groups, SimplePattern};
use crate::error::{Error, Result, codes};

/// Patterns kept; when full, all are dropped.
const CACHE_MAX: usize = 1024;
/// Bytes that one compiled pattern may take.
const PROGRAM_BYTES_MAX: usize = 32 << 20;

/// A compiled pattern: the full engine, and a simple form for what it can do.
pub(super) struct Compiled {
    regex: Regex,
    simple: Option<SimplePattern>,
    /// Groups, the whole match being one.
    pub groups: usize,
    /// Whether the pattern is the empty text.
    pub is_empty: bool,
}

impl std::ops::Deref for Compiled {
    type Target = Regex;
    fn deref(&self) -> &Regex {
        &self.regex
    }
}

impl Compiled {
    /// The search in one text, known to be UTF-8 if `is_utf8`; `groups` need not be cleared between texts.
    pub fn search<'a>(
        &'a self,
        text: &'a [u8],
        is_utf8: bool,
        groups: &'a mut Groups,
    ) -> Search<'a> {
        let simple = self.simple.as_ref().filter(|simple| {
            is_utf8 && simple.any_text
                || text.is_ascii()
                || simple.any_text && std::str::from_utf8(text).is_ok()
        });
        Search { pattern: self, simple, text, groups }
    }

    /// Whether it helps to know that texts are UTF-8.
    pub fn asks_for_utf8(&self) -> bool {
        self.simple.as_ref().is_some_and(|simple| simple.any_text)
    }

    /// Whether the text matches.
    pub fn matches(&self, text: &[u8]) -> bool {
        self.search(text, false, &mut [None; GROUPS_MAX]).find(0, false).is_some()
    }
}

/// Matches in one text, from place to place.
pub(super) struct Search<'a> {
    pattern: &'a Compiled,
    simple: Option<&'a SimplePattern>,
    text: &'a [u8],
    /// Of the last match, if they were asked for.
    groups: &'a mut Groups,
}

impl Search<'_> {
    /// The first match at or behind `from`; with its groups if `grouped`.
    pub fn find(&mut self, from: usize, grouped: bool) -> Option<Range<usize>> {
        if let Some(simple) = self.simple {
            match simple.find(self.text, from, self.groups) {
                Found::Match(range) => return Some(range),
                Found::None => return None,
                Found::Unknown => self.simple = None,
            }
        }
        if !grouped {
            let found = self.pattern.regex.find_at(self.text, from)?.range();
            self.groups[0] = Some((found.start, found.end));
            return Some(found);
        }
        let mut locations = self.pattern.regex.capture_locations();
        let found = self.pattern.regex.captures_read_at(&mut locations, self.text, from)?;
        for (group, slot) in self.groups.iter_mut().enumerate() {
            *slot = if group < locations.len() { locations.get(group) } else { None };
        }
        Some(found.range())
    }

    /// The text of a group of the last match.
    pub fn group(&self, group: usize) -> &[u8] {
        self.groups.get(group).copied().flatten().map_or(&[], |(a, b)| &self.text[a..b])
    }
}

type Cache = Mutex<HashMap<(String, bool), Arc<Compiled>>>;

fn cache() -> &'static Cache {
    static CACHE: std::sync::OnceLock<Cache> = std::sync::OnceLock::new();
    CACHE.get_or_init(Default::default)
}

/// The compiled pattern; error 427 if it is none.
pub(super) fn compile(pattern: &[u8], any_case: bool) -> Result<Arc<Compiled>> {
    let text = String::from_utf8_lossy(pattern).into_owned();
    if let Some(found) = cache().lock().get(&(text.clone(), any_case)) {
        return Ok(found.clone());
    }
    let compiled = RegexBuilder::new(&rewrite(&text))
        .dot_matches_new_line(true)
        .case_insensitive(any_case)
        .size_limit(PROGRAM_BYTES_MAX)
        .build()
        .map_err(|e| {
            Error::new(
                codes::CANNOT_COMPILE_REGEXP,
                format!("OptimizedRegularExpression: cannot compile re2: {text}, error: {e}"),
            )
        })?;
    let simple = if any_case { None } else { SimplePattern::parse(pattern) };
    let (groups, is_empty) = (compiled.captures_len(), compiled.as_str().is_empty());
    let compiled = Arc::new(Compiled { regex: compiled, simple, groups, is_empty });
    let mut cache = cache().lock();
    if cache.len() >= CACHE_MAX {
        cache.clear();
    }
    cache.insert((text, any_case), compiled.clone());
    Ok(compiled)
}

/// RE2's pattern as the regex crate reads it.
fn rewrite(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    let mut class_start = false;
    while let Some(c) = chars.next() {
        if in_class {
            match c {
                ']' if !class_start => {
                    in_class = false;
                    out.push(']');
                }
                '[' if chars.peek() == Some(&':') => out.push('['),
                '^' if class_start => {
                    out.push('^');
                    if chars.peek() == Some(&']') {
                        chars.next();
                        out.push_str("\\]");
                    }
                    class_start = false;
                    continue;
                }
                ']' => out.push_str("\\]"),
                '[' | '&' | '~' => {
                    out.push('\\');
                    out.push(c);
                }
                '\\' => escape(chars.next(), &mut out, true),
                ':' if out.ends_with('[') => {
                    // A POSIX class: copied up to its end.
                    out.push(':');
                    for c in chars.by_ref() {
                        out.push(c);
                        if c == ']' {
                            break;
                        }
                    }
                }
                c => out.push(c),
            }
            class_start = false;
            continue;
        }
        match c {
            '[' => {
                in_class = true;
                class_start = true;
                out.push('[');
            }
            '\\' if chars.peek() == Some(&'Q') => {
                chars.next();
                let rest: String = chars.clone().collect();
                let quoted = rest.split("\\E").next().unwrap_or_default().to_string();
                out.push_str(&regex::escape(&quoted));
                let skip = quoted.chars().count() + if rest.contains("\\E") { 2 } else { 0 };
                (0..skip).for_each(|_| {
                    chars.next();
                });
            }
            '\\' => escape(chars.next(), &mut out, false),
            c => out.push(c),
        }
    }
    out
}

fn escape(c: Option<char>, out: &mut String, in_class: bool) {
    let class = |out: &mut String, items: &str, negated: bool| match (in_class, negated) {
        (true, false) => out.push_str(items),
        (_, true) => out.push_str(&format!("[^{items}]")),
        (false, false) => out.push_str(&format!("[{items}]")),
    };
    match c {
        Some('d') => class(out, "0-9", false),
        Some('D') => class(out, "0-9", true),
        Some('w') => class(out, "0-9A-Za-z_", false),
        Some('W') => class(out, "0-9A-Za-z_", true),
        Some('s') => class(out, r"\t\n\x0C\r\x20", false),
        Some('S') => class(out, r"\t\n\x0C\r\x20", true),
        Some('b') if !in_class => out.push_str(r"(?-u:\b)"),
        Some('B') if !in_class => out.push_str(r"(?-u:\B)"),
        Some('C') => out.push_str("(?s-u:.)"),
        Some(c) if c.is_ascii_alphanumeric() || c.is_ascii_punctuation() => {
            out.push('\\');
            out.push(c);
        }
        Some(c) => out.push(c),
        None => out.push('\\'),
    }
}

/// What a LIKE pattern asks, as simple as it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Like {
    All,
    Equals(Vec<u8>),
    Prefix(Vec<u8>),
    Suffix(Vec<u8>),
    Contains(Vec<u8>),
    /// Texts in this order, whether the first is at the start and the last at the end.
    Sequence {
        parts: Vec<Vec<u8>>,
        anchored_start: bool,
        anchored_end: bool,
    },
    Regex(String),
}

/// Reads a LIKE pattern: `%` any text, `_` one character, backslash takes away their meaning.
pub(super) fn like(pattern: &[u8]) -> Result<Like> {
    let mut parts: Vec<Vec<u8>> = vec![vec![]];
    let mut single = false;
    let mut bytes = pattern.iter().copied();
    while let Some(b) = bytes.next() {
        let last = parts.len() - 1;
        match b {
            b'%' => parts.push(vec![]),
            b'_' => single = true,
            b'\\' => match bytes.next() {
                Some(c @ (b'%' | b'_' | b'\\')) => parts[last].push(c),
                Some(c) => parts[last].extend([b'\\', c]),
                None => {
                    return Err(Error::new(
                        codes::CANNOT_PARSE_ESCAPE_SEQUENCE,
                        "Invalid escape sequence at the end of LIKE pattern",
                    ));
                }
            },
            b => parts[last].push(b),
        }
    }
    if single {
        return Ok(Like::Regex(like_regex(pattern)));
    }
    if parts.len() == 1 {
        return Ok(Like::Equals(parts.remove(0)));
    }
    let anchored_start = !parts[0].is_empty();
    let anchored_end = !parts[parts.len() - 1].is_empty();
    parts.retain(|p| !p.is_empty());
    Ok(match (parts.len(), anchored_start, anchored_end) {
        (0, ..) => Like::All,
        (1, true, _) => Like::Prefix(parts.remove(0)),
        (1, _, true) => Like::Suffix(parts.remove(0)),
        (1, ..) => Like::Contains(parts.remove(0)),
        _ => Like::Sequence { parts, anchored_start, anchored_end },
    })
}

/// The pattern as an anchored regular expression.
pub(super) fn like_regex(pattern: &[u8]) -> String {
    let text = String::from_utf8_lossy(pattern);
    let mut out = String::from("^");
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            '\\' => match chars.next() {
                Some(c @ ('%' | '_' | '\\')) => out.push_str(&regex::escape(&c.to_string())),
                Some(c) => {
                    out.push_str("\\\\");
                    out.push_str(&regex::escape(&c.to_string()));
                }
                None => out.push_str("\\\\"),
            },
            c => out.push_str(&regex::escape(&c.to_string())),
        }
    }
    out.push('$');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_patterns_are_told_apart() {
        let bytes = |t: &str| t.as_bytes().to_vec();
        assert_eq!(like(b"%").unwrap(), Like::All);
        assert_eq!(like(b"abc").unwrap(), Like::Equals(bytes("abc")));
        assert_eq!(like(b"abc%").unwrap(), Like::Prefix(bytes("abc")));
        assert_eq!(like(b"%%abc").unwrap(), Like::Suffix(bytes("abc")));
        assert_eq!(like(b"%abc%").unwrap(), Like::Contains(bytes("abc")));
        assert_eq!(like(br"%a\%c%").unwrap(), Like::Contains(bytes("a%c")));
        assert!(matches!(like(b"a%b").unwrap(), Like::Sequence { .. }));
        assert!(matches!(like(b"a_b").unwrap(), Like::Regex(_)));
        assert_eq!(like(br"a\").unwrap_err().code(), 25);
    }

    #[test]
    fn re2_syntax_is_understood() {
        for (pattern, text, wanted) in [
            (r"^\d+$", "123", true),
            (r"^\d+$", "\u{0663}", false),
            (r"[\w-]+", "a-b", true),
            (r"^[[]$", "[", true),
            (r"^[]a]$", "]", true),
            (r"^[^]a]$", "]", false),
            (r"a.b", "a\nb", true),
            (r"^[[:alpha:]]+$", "abc", true),
            (r"\Qa.b\E+", "a.bbb", true),
            (r"\Qa.b\E", "axb", false),
            (r"\bfoo\b", "a foo b", true),
        ] {
            let found = compile(pattern.as_bytes(), false).unwrap().is_match(text.as_bytes());
            assert_eq!(found, wanted, "{pattern} on {text}");
        }
    }
}
