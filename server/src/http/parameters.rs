//! The URL's parameters: what is a setting, what is a query parameter, what has its own meaning.

use pumphouse_query::Result;

use pumphouse_query::settings;

/// Decoded `name=value` pairs in order; for a repeated name the last counts.
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    pairs: Vec<(String, String)>,
    /// External tables: parameters that describe them are no settings.
    tables: Vec<String>,
}

/// Names with a meaning of their own, which are not settings.
const OWN_NAMES: [&str; 20] = [
    "cursor",
    "heartbeat_ms",
    "query",
    "database",
    "default_format",
    "user",
    "password",
    "quota_key",
    "query_id",
    "session_id",
    "session_timeout",
    "session_check",
    "close_session",
    "role",
    "compress",
    "decompress",
    "buffer_size",
    "wait_end_of_query",
    "client_protocol_version",
    "stacktrace",
];

impl Parameters {
    pub fn parse(query_string: &str) -> Parameters {
        let pairs = query_string
            .split('&')
            .filter_map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (!name.is_empty()).then(|| (decode(name), decode(value)))
            })
            .collect();
        Parameters { pairs, tables: vec![] }
    }

    /// Adds one that came otherwise than in the URL.
    pub fn push(&mut self, name: &str, value: &str) {
        self.pairs.push((name.into(), value.into()));
    }

    /// Lets `NAME_structure`, `NAME_types` and `NAME_format` of these tables be.
    pub fn allow_tables(&mut self, tables: Vec<String>) {
        self.tables = tables;
    }

    fn describes_table(&self, name: &str) -> bool {
        ["_structure", "_types", "_format"].iter().any(|end| {
            name.strip_suffix(end).is_some_and(|table| self.tables.iter().any(|t| t == table))
        })
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// All values of a name, but empty ones.
    pub fn all<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p str> {
        let named = self.pairs.iter().filter(move |(n, v)| n == name && !v.is_empty());
        named.map(|(_, v)| v.as_str())
    }

    pub fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some("1" | "true"))
    }

    /// `param_x=…` pairs, without the prefix.
    pub fn query_parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().filter_map(|(n, v)| Some((n.strip_prefix("param_")?, v.as_str())))
    }

    /// Everything that is a setting, checked; error 115 for a name that nothing knows.
    pub fn settings(&self) -> Result<Vec<(String, String)>> {
        let mut found = vec![];
        for (name, value) in &self.pairs {
            let own = OWN_NAMES.contains(&name.as_str()) || name.starts_with("param_");
            if own || self.describes_table(name) {
                continue;
            }
            found.push(settings::of_text(name, value)?);
        }
        Ok(found)
    }
}

/// Percent-decoding with `+` as a blank; bytes that are not UTF-8 become replacement characters.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'+' => out.push(b' '),
            b'%' => {
                let digit = |at: usize| bytes.get(at).and_then(|b| (*b as char).to_digit(16));
                match (digit(i + 1), digit(i + 2)) {
                    (Some(high), Some(low)) => {
                        out.push((high * 16 + low) as u8);
                        i += 2;
                    }
                    _ => out.push(b'%'),
                }
            }
            b => out.push(b),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_and_roles_of_names() {
        let p = Parameters::parse("&query=SELECT+1%2B1&param_x=%zz&max_threads=2&max_threads=3&&");
        assert_eq!(p.get("query"), Some("SELECT 1+1"));
        assert_eq!(p.query_parameters().collect::<Vec<_>>(), [("x", "%zz")]);
        assert_eq!(p.settings().unwrap().last(), Some(&("max_threads".into(), "3".into())));
        assert_eq!(Parameters::parse("no_such_setting=1").settings().unwrap_err().code(), 115);
    }
}
