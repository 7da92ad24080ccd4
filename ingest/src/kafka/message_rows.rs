//! Cuts a message of several rows into its rows, so that one bad row does not condemn the others.
//!
//! Only for formats whose rows are lines, and only where a line break cannot be part of a value: else
//! a piece of a broken row could pass for a whole one. What cannot be cut safely stays whole.

/// The rows of `body`; None if the format or the text does not allow to tell them apart.
pub fn split<'m>(format: &str, body: &'m [u8]) -> Option<Vec<&'m [u8]>> {
    let safe: fn(&[u8]) -> bool = match format {
        "JSONEachRow" | "JSONLines" | "NDJSON" | "JSONStringsEachRow" => {
            |line| is_framed(line, b'{', b'}')
        }
        "JSONCompactEachRow" | "JSONCompactStringsEachRow" => |line| is_framed(line, b'[', b']'),
        "TabSeparated" | "TSV" | "TabSeparatedRaw" | "TSVRaw" | "TSKV" => |_| true,
        "CSV" => |line| !line.contains(&b'"') && !line.contains(&b'\''),
        _ => return None,
    };
    let lines: Vec<&[u8]> = body
        .split(|b| *b == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.trim_ascii().is_empty())
        .collect();
    (lines.len() > 1 && lines.iter().all(|line| safe(line))).then_some(lines)
}

/// Whether the line looks like one whole value: a line that is cut off in the middle does not.
fn is_framed(line: &[u8], open: u8, close: u8) -> bool {
    let line = line.trim_ascii();
    let line = line.strip_suffix(b",").unwrap_or(line);
    line.first() == Some(&open) && line.last() == Some(&close)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_safe_is_cut() {
        let two: &[u8] = b"{\"a\":1}\r\n{\"a\":x}\n";
        assert_eq!(split("JSONEachRow", two).map(|l| l.len()), Some(2));
        assert_eq!(split("JSONEachRow", b"{\n\"a\": 1}\n{\n\"a\": x}"), None, "printed over lines");
        assert_eq!(split("JSONEachRow", b"{\"a\":x}"), None, "one row");
        assert_eq!(split("TSV", b"1\ta\nx\tb").map(|l| l.len()), Some(2));
        assert_eq!(split("CSV", b"1,a\nx,b").map(|l| l.len()), Some(2));
        assert_eq!(split("CSV", b"1,\"a\n2,b\""), None, "a quoted line break");
        assert_eq!(split("RowBinary", b"1\n2"), None);
    }
}
