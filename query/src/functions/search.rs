//! Finding one text in many: over the whole value buffer at once where the needle is constant, which
//! is what makes LIKE '%x%' and position fast.

use memchr::memmem::Finder;

use super::strings::Strings;

/// Calls `found(row, position)` with the first place of `needle` in every row that has it.
pub(super) fn first_in_rows(
    strings: &Strings,
    rows: usize,
    needle: &[u8],
    mut found: impl FnMut(usize, usize),
) {
    if needle.is_empty() {
        (0..rows).for_each(|row| found(row, 0));
        return;
    }
    let finder = Finder::new(needle);
    let Strings::Variable { offsets, bytes } = strings else {
        for row in 0..rows {
            if let Some(at) = finder.find(strings.get(row)) {
                found(row, at);
            }
        }
        return;
    };
    let mut row = 0;
    let mut from = offsets[0] as usize;
    let last = offsets[rows] as usize;
    while from < last {
        let Some(at) = finder.find(&bytes[from..last]) else { return };
        let at = from + at;
        while offsets[row + 1] as usize <= at {
            row += 1;
        }
        let end = offsets[row + 1] as usize;
        if at + needle.len() <= end {
            found(row, at - offsets[row] as usize);
            // The rest of this row does not matter.
            from = end;
        } else {
            // It lies across two rows: look again from the next byte on.
            from = at + 1;
        }
    }
}

/// A copy with ASCII letters in lower case.
pub(super) fn lower(text: &[u8]) -> Vec<u8> {
    text.to_ascii_lowercase()
}

/// A copy in lower case by Unicode; bytes that are no text stay.
pub(super) fn lower_utf8(text: &[u8]) -> Vec<u8> {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut out = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            let mut folded = c.to_lowercase();
            // One code point stays one, so that positions keep their meaning.
            let first = folded.next().unwrap_or(c);
            let kept = if folded.next().is_none() { first } else { c };
            out.extend_from_slice(kept.encode_utf8(&mut [0; 4]).as_bytes());
        }
        out.extend_from_slice(chunk.invalid());
    }
    out
}
