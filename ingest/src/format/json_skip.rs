//! Over JSON values that no column wants: checked for their shape, without recursion, to a bounded
//! depth, so that no message can overflow the stack.

use pumphouse_query::error::codes;

use super::json_value::{
    Failure, Step, ended, expect, expected, fail, literal, no_string, open_string, skip_spaces,
};
use super::scan::{digits, find_either};

/// Nesting of values that are skipped or kept as text.
pub const DEPTH_MAX: usize = 1000;

fn skip_string(bytes: &[u8], mut at: usize) -> Step {
    loop {
        let end = find_either(bytes, at, b'"', b'\\');
        match bytes.get(end) {
            Some(b'"') => return Ok(end + 1),
            Some(_) if end + 1 < bytes.len() => at = end + 2,
            _ => return Err(open_string(bytes.len())),
        }
    }
}

pub fn skip_number(bytes: &[u8], at: usize) -> Step {
    let mut end = at + usize::from(matches!(bytes.get(at), Some(b'-' | b'+')));
    let start = end;
    end = digits(bytes, end).1;
    let mut seen = end - start;
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits(bytes, end + 1).1;
        seen += fraction - end - 1;
        end = fraction;
    }
    if seen == 0 {
        let word = ["inf", "nan", "NaN", "Inf"]
            .iter()
            .find(|w| bytes.get(start..).is_some_and(|rest| rest.starts_with(w.as_bytes())));
        return match word {
            Some(word) => Ok(start + word.len()),
            None if end >= bytes.len() => Err(ended(end)),
            None => Err(fail(codes::INCORRECT_DATA, at, "Expected a number field")),
        };
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'-' | b'+')));
        end = digits(bytes, end + 1 + sign).1;
    }
    Ok(end)
}

/// One bit a level: whether it is an object.
struct Levels {
    bits: [u64; DEPTH_MAX.div_ceil(64)],
    depth: usize,
}

impl Levels {
    #[inline]
    fn push(&mut self, object: bool, at: usize) -> Result<(), Box<Failure>> {
        if self.depth == DEPTH_MAX {
            return Err(fail(codes::TOO_DEEP_RECURSION, at, "JSON is too deep"));
        }
        let (word, bit) = (self.depth / 64, self.depth % 64);
        self.bits[word] = self.bits[word] & !(1 << bit) | (object as u64) << bit;
        self.depth += 1;
        Ok(())
    }

    #[inline]
    fn in_object(&self) -> bool {
        let top = self.depth - 1;
        self.bits[top / 64] >> (top % 64) & 1 == 1
    }
}

/// The position behind the value at `at`, whatever it is. Deeper than `DEPTH_MAX` is error 306.
pub fn skip_value(bytes: &[u8], at: usize) -> Step {
    match bytes.get(at) {
        Some(b'"') => return skip_string(bytes, at + 1),
        Some(b'{' | b'[') => {}
        _ => return skip_scalar(bytes, at),
    }
    let mut levels = Levels { bits: [0; DEPTH_MAX.div_ceil(64)], depth: 0 };
    let mut at = at;
    loop {
        // A value begins here.
        at = match bytes.get(at) {
            Some(b'"') => skip_string(bytes, at + 1)?,
            Some(open @ (b'{' | b'[')) => {
                let object = *open == b'{';
                levels.push(object, at)?;
                at = skip_spaces(bytes, at + 1);
                let close = if object { b'}' } else { b']' };
                if bytes.get(at) == Some(&close) {
                    levels.depth -= 1;
                    at + 1
                } else {
                    if object {
                        at = skip_key(bytes, at)?;
                    }
                    continue;
                }
            }
            _ => skip_scalar(bytes, at)?,
        };
        // It has ended; so may the values around it.
        loop {
            if levels.depth == 0 {
                return Ok(at);
            }
            at = skip_spaces(bytes, at);
            let object = levels.in_object();
            match bytes.get(at) {
                Some(b',') => {
                    at = skip_spaces(bytes, at + 1);
                    if object {
                        at = skip_key(bytes, at)?;
                    }
                    break;
                }
                Some(b'}') if object => {}
                Some(b']') if !object => {}
                _ => return Err(expected(bytes, at, if object { "}" } else { "]" })),
            }
            levels.depth -= 1;
            at += 1;
        }
    }
}

fn skip_key(bytes: &[u8], at: usize) -> Step {
    if bytes.get(at) != Some(&b'"') {
        return Err(no_string(at));
    }
    let at = skip_spaces(bytes, skip_string(bytes, at + 1)?);
    Ok(skip_spaces(bytes, expect(bytes, at, b':')?))
}

fn skip_scalar(bytes: &[u8], at: usize) -> Step {
    match bytes.get(at) {
        None => Err(ended(at)),
        Some(b't') => literal(bytes, at, "true"),
        Some(b'f') => literal(bytes, at, "false"),
        Some(b'n') if bytes.get(at + 1) != Some(&b'a') => literal(bytes, at, "null"),
        Some(_) => skip_number(bytes, at),
    }
}
