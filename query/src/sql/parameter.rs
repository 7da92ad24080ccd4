//! The text of a query parameter: the escaped form of TabSeparated.

use crate::text::read::unescape;

/// The bytes behind the escapes of TabSeparated.
pub(crate) fn unescaped(text: &str) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut out = Vec::with_capacity(rest.len());
    while let Some(next) = rest.iter().position(|b| *b == b'\\') {
        out.extend_from_slice(&rest[..next]);
        rest = &rest[next..];
        // What ends within an escape stays as it is.
        let Some(used) = unescape(rest, &mut out) else { break };
        rest = &rest[used..];
    }
    out.extend_from_slice(rest);
    out
}
