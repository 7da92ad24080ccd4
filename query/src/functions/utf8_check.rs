//! Whether bytes are UTF-8, in a form that compilers turn into vector instructions: every byte is
//! compared with what the three bytes before it ask for, with no branch on the text.
//!
//! Whole columns are checked at once: then each of their rows is UTF-8 if it begins where a letter does.

use super::multiversion::multiversion;
use super::strings::Strings;

/// Bytes looked at together.
const CHUNK: usize = 64;

multiversion! {
    /// Whether `text` is UTF-8. As `std::str::from_utf8(text).is_ok()`, sooner for long texts.
    pub(super) fn is_utf8(text: &[u8]) -> bool = check;
}

#[inline(always)]
fn check(text: &[u8]) -> bool {
    let mut at = 0;
    // Three bytes of what lies before go along; before the first there is nothing.
    let mut padded = [0u8; CHUNK + 3];
    while at + CHUNK <= text.len() {
        let chunk = &text[at..at + CHUNK];
        let eights = chunk.as_chunks::<8>().0;
        let wide = eights.iter().fold(0, |all, eight| all | u64::from_le_bytes(*eight));
        let pending = || asks_for_more(&text[at.saturating_sub(3)..at]);
        if wide & 0x8080_8080_8080_8080 != 0 || pending() {
            let before = at.min(3);
            padded[3 - before..].copy_from_slice(&text[at - before..at + CHUNK]);
            if has_error(&padded) {
                return false;
            }
        }
        at += CHUNK;
    }
    // The rest, with the letter that the chunks ended in.
    let tail = &text[at.saturating_sub(3)..at];
    let open = tail.iter().rposition(|b| *b >= 0xC0).filter(|_| asks_for_more(tail));
    let from = open.map_or(at, |i| at - tail.len() + i);
    std::str::from_utf8(&text[from..]).is_ok()
}

/// Whether a letter that begins in the last three bytes is not complete.
fn asks_for_more(tail: &[u8]) -> bool {
    let n = tail.len();
    tail.iter().enumerate().any(|(i, b)| match *b {
        0xC0..=0xDF => i + 1 >= n,
        0xE0..=0xEF => i + 2 >= n,
        0xF0..=0xFF => i + 3 >= n,
        _ => false,
    })
}

/// Whether some byte behind the first three of `window` is not what those before it ask for.
#[inline(always)]
fn has_error(window: &[u8; CHUNK + 3]) -> bool {
    let mut wrong = 0u8;
    for i in 0..CHUNK {
        let (c, p1, p2, p3) = (window[i + 3], window[i + 2], window[i + 1], window[i]);
        let wanted = (p1 >= 0xC0) | (p2 >= 0xE0) | (p3 >= 0xF0);
        let there = (c & 0xC0) == 0x80;
        let bad = (wanted != there)
            | (c == 0xC0)
            | (c == 0xC1)
            | (c >= 0xF5)
            | ((p1 == 0xE0) & (c < 0xA0))
            | ((p1 == 0xED) & (c > 0x9F))
            | ((p1 == 0xF0) & (c < 0x90))
            | ((p1 == 0xF4) & (c > 0x8F));
        wrong |= u8::from(bad);
    }
    wrong != 0
}

/// Whether every one of the first `rows` rows is known to be UTF-8.
pub(super) fn rows_are_utf8(strings: &Strings, rows: usize) -> bool {
    match strings {
        Strings::Variable { offsets, bytes } => {
            let all = &bytes[offsets[0] as usize..offsets[rows] as usize];
            let begins =
                |offset: &i32| bytes.get(*offset as usize).is_none_or(|b| b & 0xC0 != 0x80);
            // All of them: rows of good text have no reason to stop.
            let begun = offsets[..rows].iter().fold(true, |all, offset| all & begins(offset));
            begun && is_utf8(all)
        }
        Strings::Fixed { .. } => false,
        Strings::One(text) => std::str::from_utf8(text).is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_standard_library() {
        let letters: Vec<Vec<u8>> = [
            "a",
            "/",
            "é",
            "ж",
            "東",
            "\u{7FF}",
            "\u{800}",
            "\u{FFFF}",
            "\u{10000}",
            "\u{10FFFF}",
            "😀",
        ]
        .iter()
        .map(|l| l.as_bytes().to_vec())
        .collect();
        let mut seed = 7u64;
        let mut next = |n: usize| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as usize % n
        };
        for round in 0..20_000 {
            let mut text = vec![];
            let length = next(300);
            while text.len() < length {
                if next(4) == 0 {
                    text.extend_from_slice(&letters[next(letters.len())]);
                } else {
                    text.extend(std::iter::repeat_n(b'x', next(70)));
                }
            }
            if round % 2 == 0 && !text.is_empty() {
                let at = next(text.len());
                text[at] = next(256) as u8;
                if round % 4 == 0 {
                    text.truncate(next(text.len() + 1));
                }
            }
            assert_eq!(is_utf8(&text), std::str::from_utf8(&text).is_ok(), "{text:?}");
        }
    }
}
