//! Cuts a script into statements at `;`, minding quotes and comments.

/// The statements of `text`, without their `;`, empty ones left out.
pub fn statements(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let (mut found, mut start, mut i) = (vec![], 0, 0);
    while i < bytes.len() {
        match bytes[i] {
            quote @ (b'\'' | b'"' | b'`') => {
                i += 1;
                while i < bytes.len() && bytes[i] != quote {
                    i += if bytes[i] == b'\\' { 2 } else { 1 };
                }
            }
            b'-' if bytes.get(i + 1) == Some(&b'-') => i = line_end(bytes, i),
            b'#' if bytes.get(i + 1).is_some_and(|b| *b == b' ' || *b == b'!') => {
                i = line_end(bytes, i);
            }
            b'/' if bytes.get(i + 1) == Some(&b'*') => {
                i += 2;
                while i < bytes.len() && !bytes[i..].starts_with(b"*/") {
                    i += 1;
                }
                i += 1;
            }
            b';' => {
                found.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
        i += 1;
    }
    found.push(&text[start.min(text.len())..]);
    found.into_iter().map(str::trim).filter(|s| has_content(s)).collect()
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    memchr(bytes, from).unwrap_or(bytes.len())
}

fn memchr(bytes: &[u8], from: usize) -> Option<usize> {
    bytes[from..].iter().position(|b| *b == b'\n').map(|i| from + i)
}

/// Whether anything but blanks and comments is in it.
fn has_content(statement: &str) -> bool {
    statement
        .lines()
        .map(str::trim)
        .any(|line| !line.is_empty() && !line.starts_with("--") && !line.starts_with("# "))
}

#[cfg(test)]
mod tests {
    use super::statements;

    #[test]
    fn quotes_and_comments_hide_semicolons() {
        let text = "SELECT ';' ; -- a;b\nSELECT \"x;\" /* ; */ ;; INSERT INTO t VALUES ('\\';');\n-- end\n";
        let cut = statements(text);
        assert_eq!(cut.len(), 3, "{cut:?}");
        assert_eq!(cut[0], "SELECT ';'");
        assert!(cut[2].starts_with("INSERT"));
        assert_eq!(statements("'open"), ["'open"]);
        assert!(statements(" ; -- x").is_empty());
    }
}
