//! How tables are drawn: in which characters, with which spaces, and (as on a terminal) in which colours. The
//! Pretty formats and Vertical share it.

use std::borrow::Cow;

use super::FormatOptions;
use super::json_rows::NULL_TEXT;

#[derive(Debug, Clone, Copy, Default)]
pub struct Paint {
    ascii: bool,
    /// Padding in spaces that no tool folds.
    wide_spaces: bool,
    pub colors: bool,
    digit_groups: bool,
    trailing_spaces: bool,
}

const GREY: &str = "\x1b[90m";
const BOLD: &str = "\x1b[1m";
const LINE_BELOW: &[u8] = b"\x1b[4m";
const RED_LINE_BELOW: &[u8] = b"\x1b[31m\x1b[4m";
const RESET: &str = "\x1b[0m";

impl Paint {
    pub fn of(options: &FormatOptions) -> Paint {
        let set = |name: &str, default: bool| options.settings.bool(name, default);
        let charset = options.settings.get("output_format_pretty_grid_charset");
        let ascii = charset.is_some_and(|name| name.eq_ignore_ascii_case("ASCII"));
        Paint {
            ascii,
            wide_spaces: !ascii && set("output_format_pretty_use_nbsp_for_padding", false),
            colors: set("output_format_pretty_color", false),
            digit_groups: set("output_format_pretty_highlight_digit_groups", true),
            trailing_spaces: set("output_format_pretty_highlight_trailing_spaces", true),
        }
    }

    /// Lines, corners and marks in the characters that there are.
    pub fn lines<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !self.ascii {
            return text.into();
        }
        let plain = |c| match c {
            '─' | '━' => '-',
            '│' | '┃' => '|',
            '↳' => '>',
            '↴' => '\\',
            '⋯' => '~',
            ' ' => ' ',
            _ => '+',
        };
        text.chars().map(plain).collect::<String>().into()
    }

    /// NULL.
    pub fn null(&self) -> &'static str {
        if self.ascii { "NULL" } else { NULL_TEXT }
    }

    /// So many spaces.
    pub fn spaces(&self, count: usize) -> String {
        if self.wide_spaces { "\u{a0}".repeat(count) } else { " ".repeat(count) }
    }

    /// A name.
    pub fn name<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.within(BOLD, text)
    }

    /// What is no value: numbers of rows, marks, tips.
    pub fn aside<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.within(GREY, text)
    }

    fn within<'a>(&self, begin: &str, text: &'a str) -> Cow<'a, str> {
        if self.colors && !text.is_empty() {
            format!("{begin}{text}{RESET}").into()
        } else {
            text.into()
        }
    }

    /// A line of a value, of a number or of something else.
    pub fn value(&self, text: &[u8], number: bool, out: &mut Vec<u8>) {
        if !self.colors {
            return out.extend_from_slice(text);
        }
        if number && self.digit_groups {
            return grouped(text, out);
        }
        let kept = text.iter().rposition(|b| *b != b' ').map_or(0, |at| at + 1);
        out.extend_from_slice(&text[..kept]);
        if kept < text.len() && self.trailing_spaces {
            out.extend_from_slice(RED_LINE_BELOW);
            out.extend_from_slice(&text[kept..]);
            out.extend_from_slice(RESET.as_bytes());
        } else {
            out.extend_from_slice(&text[kept..]);
        }
    }
}

/// The digits that stand for thousands, millions and so on underlined.
fn grouped(text: &[u8], out: &mut Vec<u8>) {
    let from = text.iter().take_while(|b| **b == b'-').count();
    let digits = text[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    for (at, byte) in text.iter().enumerate() {
        let left = (from + digits).checked_sub(at + 1).filter(|_| at >= from);
        match left {
            Some(left) if left > 0 && left % 3 == 0 => {
                out.extend_from_slice(LINE_BELOW);
                out.push(*byte);
                out.extend_from_slice(RESET.as_bytes());
            }
            _ => out.push(*byte),
        }
    }
}
