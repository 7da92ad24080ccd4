//! Literals: what numbers and strings in the text are worth.
//!
//! Numbers that fit are UInt (Int with a minus), all others Float; as in ClickHouse, integers beyond
//! 64 bits are Float too. Strings are bytes: `\x41`, `\n`, doubled quotes; an unknown escape keeps its
//! backslash, so that `'\d'` is a regular expression.

use super::Parser;
use crate::error::Result;
use crate::sql::ast::{Expr, ExprKind};
use crate::sql::lexer::TokenKind;
use pumphouse_storage::Value;

impl Parser<'_> {
    /// A number token, with the minus before it if `negative`; `start` is where the literal begins.
    pub(super) fn number(&mut self, negative: bool, start: usize) -> Result<Expr> {
        let token = self.token();
        let digits = self.text_of(token);
        let Some(value) = number_value(digits, negative) else {
            self.want("number");
            return Err(self.unexpected());
        };
        self.index += 1;
        let text = format!("{}{digits}", if negative { "-" } else { "" });
        Ok(Expr { span: self.span_from(start), ..Expr::new(ExprKind::Literal { value, text }) })
    }

    /// A string or heredoc token.
    pub(super) fn string_literal(&mut self) -> Result<Expr> {
        let token = self.advance();
        let text = self.text_of(token).to_string();
        let value = Value::String(unescape(&text));
        Ok(Expr {
            span: self.span_from(token.start),
            ..Expr::new(ExprKind::Literal { value, text })
        })
    }

    /// NULL, TRUE, FALSE, INF, NAN.
    pub(super) fn word_literal(&mut self, negative: bool, start: usize) -> Option<Expr> {
        let token = self.token();
        if token.kind != TokenKind::Word {
            return None;
        }
        let word = self.text_of(token);
        let float = |v: f64| Value::Float(if negative { -v } else { v });
        let value = match () {
            _ if word.eq_ignore_ascii_case("inf") || word.eq_ignore_ascii_case("infinity") => {
                float(f64::INFINITY)
            }
            _ if word.eq_ignore_ascii_case("nan") => float(f64::NAN),
            _ if negative => return None,
            _ if word.eq_ignore_ascii_case("null") => Value::Null,
            _ if word.eq_ignore_ascii_case("true") => Value::Bool(true),
            _ if word.eq_ignore_ascii_case("false") => Value::Bool(false),
            _ => return None,
        };
        self.index += 1;
        let text = format!("{}{word}", if negative { "-" } else { "" });
        Some(Expr { span: self.span_from(start), ..Expr::new(ExprKind::Literal { value, text }) })
    }

    /// `name`-less value of a setting, codec or type argument: number, string or word literal.
    pub(super) fn plain_literal(&mut self) -> Result<Expr> {
        let start = self.token().start;
        let negative = self.symbol_ahead(0, "-");
        if negative || self.symbol_ahead(0, "+") {
            self.index += 1;
        }
        if let Some(literal) = self.word_literal(negative, start) {
            return Ok(literal);
        }
        match self.token().kind {
            TokenKind::Number => self.number(negative, start),
            TokenKind::String | TokenKind::Heredoc if !negative => self.string_literal(),
            _ => {
                self.want("literal");
                Err(self.unexpected())
            }
        }
    }

    /// An unsigned integer.
    pub(super) fn unsigned(&mut self) -> Result<u64> {
        let token = self.token();
        let value = match token.kind {
            TokenKind::Number => number_value(self.text_of(token), false),
            _ => None,
        };
        match value.and_then(|v| v.as_u64()) {
            Some(value) => {
                self.index += 1;
                Ok(value)
            }
            None => {
                self.want("unsigned integer");
                Err(self.unexpected())
            }
        }
    }
}

fn number_value(digits: &str, negative: bool) -> Option<Value> {
    let clean: String = digits.chars().filter(|c| *c != '_').collect();
    let lower = clean.to_ascii_lowercase();
    if let Some(hex) = lower.strip_prefix("0x") {
        return radix_value(hex, 16, negative);
    }
    if let Some(binary) = lower.strip_prefix("0b") {
        return radix_value(binary, 2, negative);
    }
    if lower.bytes().all(|b| b.is_ascii_digit())
        && let Some(value) = lower.parse().ok().and_then(|v| integer_value(v, negative))
    {
        return Some(value);
    }
    let float: f64 = lower.parse().ok()?;
    float.is_finite().then_some(Value::Float(if negative { -float } else { float }))
}

fn integer_value(magnitude: u128, negative: bool) -> Option<Value> {
    if !negative {
        return u64::try_from(magnitude).ok().map(Value::UInt);
    }
    if magnitude == 0 {
        return Some(Value::UInt(0));
    }
    let signed = i128::try_from(magnitude).ok()?;
    i64::try_from(-signed).ok().map(Value::Int)
}

/// `0xFF`, `0b101`, `0x1.8p4`.
fn radix_value(digits: &str, radix: u32, negative: bool) -> Option<Value> {
    let (mantissa, exponent) = match digits.split_once('p') {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if mantissa.len() == digits.len()
        && fraction.is_empty()
        && let Some(value) =
            u128::from_str_radix(whole, radix).ok().and_then(|v| integer_value(v, negative))
    {
        return Some(value);
    }
    let mut float = 0f64;
    for digit in whole.chars().chain(fraction.chars()) {
        float = float * radix as f64 + digit.to_digit(radix)? as f64;
    }
    float *= (radix as f64).powi(-(fraction.len() as i32)) * 2f64.powi(exponent);
    float.is_finite().then_some(Value::Float(if negative { -float } else { float }))
}

/// The bytes of a quoted token (string, name, heredoc, `x'…'`, `b'…'`).
pub fn unescape(token: &str) -> Vec<u8> {
    let bytes = token.as_bytes();
    match bytes {
        [b'$', ..] => return heredoc_bytes(token),
        [b'x' | b'X', b'\'', digits @ .., b'\''] => return packed_digits(digits, 2, 16),
        [b'b' | b'B', b'\'', digits @ .., b'\''] => return packed_digits(digits, 8, 2),
        _ => {}
    }
    let [quote, inner @ .., _] = bytes else { return Vec::new() };
    let mut out = Vec::with_capacity(inner.len());
    let mut at = 0;
    while at < inner.len() {
        match inner[at] {
            b'\\' => at += unescape_one(&inner[at..], &mut out),
            b if b == *quote => {
                out.push(b);
                at += 2;
            }
            b => {
                out.push(b);
                at += 1;
            }
        }
    }
    out
}

/// Appends what the escape at the start of `text` means; returns how many bytes it took.
fn unescape_one(text: &[u8], out: &mut Vec<u8>) -> usize {
    let Some(next) = text.get(1).copied() else {
        out.push(b'\\');
        return 1;
    };
    let plain = match next {
        b'a' => 0x07,
        b'b' => 0x08,
        b'e' => 0x1b,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'0' => 0,
        b'\\' | b'\'' | b'"' | b'`' | b'/' | b'=' => next,
        b'N' => return 2,
        b'x' => {
            let digit = |at: usize| text.get(at).and_then(|b| (*b as char).to_digit(16));
            if let (Some(high), Some(low)) = (digit(2), digit(3)) {
                out.push((high * 16 + low) as u8);
                return 4;
            }
            out.extend_from_slice(b"\\x");
            return 2;
        }
        _ => {
            out.push(b'\\');
            next
        }
    };
    out.push(plain);
    2
}

fn heredoc_bytes(token: &str) -> Vec<u8> {
    let tag = token[1..].find('$').map_or(token.len(), |at| at + 2);
    token.get(tag..token.len().saturating_sub(tag)).unwrap_or("").as_bytes().to_vec()
}

/// `x'4142'`: two digits a byte; `b'01000001'`: eight. Missing digits are zeros in front.
fn packed_digits(digits: &[u8], per_byte: usize, radix: u32) -> Vec<u8> {
    let lead = digits.len() % per_byte;
    let (head, tail) = digits.split_at(lead);
    let chunks = (lead > 0).then_some(head).into_iter().chain(tail.chunks(per_byte));
    chunks
        .map(|chunk| {
            chunk.iter().fold(0u8, |byte, digit| {
                let digit = (*digit as char).to_digit(radix).unwrap_or(0) as u8;
                byte.wrapping_mul(radix as u8).wrapping_add(digit)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let cases = [
            ("1", false, Value::UInt(1)),
            ("9223372036854775808", true, Value::Int(i64::MIN)),
            ("18446744073709551616", false, Value::Float(18446744073709551616.0)),
            ("0xFF", false, Value::UInt(255)),
            ("0x1p4", false, Value::Float(16.0)),
            ("0b101", true, Value::Int(-5)),
            ("1_000.5", false, Value::Float(1000.5)),
            (".5", false, Value::Float(0.5)),
        ];
        for (text, negative, expected) in cases {
            assert_eq!(number_value(text, negative), Some(expected), "{text}");
        }
        assert_eq!(number_value("1e400", false), None);
    }

    #[test]
    fn strings() {
        let cases: &[(&str, &[u8])] = &[
            ("'a''b'", b"a'b"),
            ("'\\x41\\n\\d\\%'", b"A\n\\d\\%"),
            ("`a``b`", b"a`b"),
            ("$t$x'y$t$", b"x'y"),
            ("x'4142'", b"AB"),
            ("b'01000001'", b"A"),
            ("''", b""),
        ];
        for (text, expected) in cases {
            assert_eq!(&unescape(text), expected, "{text}");
        }
    }
}
