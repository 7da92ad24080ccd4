//! Text that must be UTF-8: what is not becomes U+FFFD, one for a run of it, as ClickHouse does.

use std::borrow::Cow;

/// `bytes` as they are if they are UTF-8, else with replacements.
pub fn valid(bytes: &[u8]) -> Cow<'_, [u8]> {
    if std::str::from_utf8(bytes).is_ok() {
        return Cow::Borrowed(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len() + 8);
    let mut replaced = false;
    for chunk in bytes.utf8_chunks() {
        let text = chunk.valid().as_bytes();
        replaced &= text.is_empty();
        out.extend_from_slice(text);
        if !chunk.invalid().is_empty() && !replaced {
            out.extend_from_slice("\u{fffd}".as_bytes());
            replaced = true;
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::valid;

    #[test]
    fn a_run_of_invalid_bytes_is_one_replacement() {
        let cases: [(&[u8], &str); 5] = [
            (b"A\xff\xffB\xfe", "A\u{fffd}B\u{fffd}"),
            (b"\xed\xa0\x80", "\u{fffd}"),
            (b"\xc3(", "\u{fffd}("),
            (b"\xc3\xe2\x82", "\u{fffd}"),
            ("ü".as_bytes(), "ü"),
        ];
        for (bytes, text) in cases {
            assert_eq!(valid(bytes), text.as_bytes());
        }
    }
}
