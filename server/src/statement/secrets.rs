//! Hides the values of secret settings in a statement's text, for logs and system tables.
//!
//! By the text alone, so that it works on statements that do not parse: a quoted value behind a word
//! that names a secret and `=` or a comma (`SETTINGS kafka_sasl_password = '…'`). Of statements with passwords of users no
//! string is shown.

use pumphouse_ingest::kafka::hidden_value;
use pumphouse_query::sql::lexer::{Lexer, TokenKind};

/// Nothing is secret in a text without one of these.
const WORDS: &[&str] = &[
    "password",
    "secret",
    "token",
    "kafka_properties",
    "_pem",
    "jaas",
    "oauthbearer",
    "private_key",
    "_url",
    "identified",
];

/// Whether the text may be of a user with a password: then none of its strings is shown.
pub fn names_password(query: &str) -> bool {
    let lower = query.to_ascii_lowercase();
    lower.contains("identified")
        && lower.contains("user")
        && (lower.contains("create") || lower.contains("alter"))
}

/// `query` with secrets replaced by `[HIDDEN]`.
pub fn hide_secrets(query: &str) -> String {
    let lower = query.to_ascii_lowercase();
    if !WORDS.iter().any(|w| lower.contains(w)) {
        return query.to_string();
    }
    if names_password(query) {
        return hide_strings(query);
    }
    let bytes = query.as_bytes();
    let mut out = String::with_capacity(query.len());
    let (mut at, mut kept) = (0, 0);
    while at < bytes.len() {
        if bytes[at] != b'\'' {
            at += 1;
            continue;
        }
        let end = closing_quote(bytes, at);
        let value = &query[at + 1..end.min(query.len())];
        if let Some(shown) = shown_value(&lower[..at], value) {
            out.push_str(&query[kept..at + 1]);
            out.push_str(&shown);
            kept = end;
        }
        at = end + 1;
    }
    out.push_str(&query[kept.min(query.len())..]);
    out
}

/// The text without its strings, and without what no lexer can read.
pub fn hide_strings(text: &str) -> String {
    let mut lexer = Lexer::new(text);
    let (mut out, mut kept) = (String::with_capacity(text.len()), 0);
    loop {
        let token = lexer.next_token();
        match token.kind {
            TokenKind::String | TokenKind::Heredoc => {
                out.push_str(&text[kept..token.start]);
                out.push_str("'[HIDDEN]'");
                kept = token.end;
            }
            TokenKind::Invalid(_) => return out + &text[kept..token.start] + "[HIDDEN]",
            TokenKind::End => return out + &text[kept..],
            _ => {}
        }
    }
}

/// Where the string that opens at `at` ends.
fn closing_quote(bytes: &[u8], at: usize) -> usize {
    let mut i = at + 1;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            b'\'' if bytes.get(i + 1) == Some(&b'\'') => i += 2,
            b'\'' => return i,
            _ => i += 1,
        }
    }
    bytes.len()
}

/// What to show for a value, by the name before it; None: as it is.
fn shown_value(before: &str, value: &str) -> Option<String> {
    let name = before.trim_end().strip_suffix('=')?.trim_end().trim_end_matches(['`', '"']);
    let start =
        name.rfind(|c: char| !c.is_alphanumeric() && !"_.".contains(c)).map_or(0, |i| i + 1);
    // The character before the word may be longer than a byte.
    let name = name.get(start..).unwrap_or(name);
    hidden_value(name, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secrets_are_hidden() {
        let query = "CREATE TABLE t SETTINGS kafka_sasl_password = 'it''s \\' me', a = 'b', \
                     kafka_properties='x=1;ssl.key.password=2'";
        assert_eq!(
            hide_secrets(query),
            "CREATE TABLE t SETTINGS kafka_sasl_password = '[HIDDEN]', a = 'b', \
             kafka_properties='x=1;ssl.key.password=[HIDDEN]'"
        );
        assert_eq!(
            hide_secrets("CREATE USER u IDENTIFIED WITH sha256_password BY /* ' */ 'x' HOST LOCAL"),
            "CREATE USER u IDENTIFIED WITH sha256_password BY /* ' */ '[HIDDEN]' HOST LOCAL"
        );
        assert_eq!(
            hide_secrets("alter user u identified by 'x''y'"),
            "alter user u identified by '[HIDDEN]'"
        );
        assert_eq!(
            hide_secrets("CREATE USER u IDENTIFIED BY 'open"),
            "CREATE USER u IDENTIFIED BY [HIDDEN]"
        );
        assert_eq!(hide_secrets("SETTINGS `a_password`= 'x'"), "SETTINGS `a_password`= '[HIDDEN]'");
        for same in ["SELECT 1", "SELECT 'password'", "SELECT 'ü' = 'secret", "password = '"] {
            assert!(hide_secrets(same).starts_with(&same[..5]), "{same}");
        }
    }
}
