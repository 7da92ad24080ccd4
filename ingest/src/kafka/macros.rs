//! Macros in a table's texts: `{database}`, `{table}`, `{uuid}`, and those of the server's `[macros]`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::log::TableDefinition;

const NO_ELEMENTS_IN_CONFIG: u32 = 139;
/// Macros in the values of macros are expanded this deep.
const DEPTH_MAX: usize = 10;

static MACROS: OnceLock<BTreeMap<String, String>> = OnceLock::new();

/// Sets the server's macros; the first call counts.
pub fn set_macros(macros: BTreeMap<String, String>) {
    let _ = MACROS.set(macros);
}

/// The server's macros.
pub fn macros() -> &'static BTreeMap<String, String> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    MACROS.get().unwrap_or(&NONE)
}

/// `text` with its macros replaced; one that nobody knows is an error.
pub fn expand(text: &str, definition: &TableDefinition) -> Result<String> {
    let uuid = definition.uuid.to_string();
    let own = [
        ("database", definition.database.as_str()),
        ("table", definition.name.as_str()),
        ("uuid", uuid.as_str()),
    ];
    expand_with(text, &own, macros(), 0)
}

fn expand_with(
    text: &str,
    own: &[(&str, &str)],
    macros: &BTreeMap<String, String>,
    depth: usize,
) -> Result<String> {
    if !text.contains('{') {
        return Ok(text.to_string());
    }
    if depth > DEPTH_MAX {
        return Err(Error::new(codes::SYNTAX_ERROR, "Too deep recursion while expanding macros"));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        let Some(length) = rest[open..].find('}') else {
            // A brace that is none of a macro's: repetition in a pattern, for example.
            out.push_str(&rest[open..]);
            return Ok(out);
        };
        let name = &rest[open + 1..open + length];
        match own.iter().find(|(n, _)| *n == name).map(|(_, v)| *v) {
            Some(value) => out.push_str(value),
            None if name.is_empty() || name.bytes().all(|b| b.is_ascii_digit() || b == b',') => {
                out.push_str(&rest[open..=open + length]);
            }
            None => match macros.get(name) {
                Some(value) => out.push_str(&expand_with(value, own, macros, depth + 1)?),
                None => {
                    return Err(Error::new(
                        NO_ELEMENTS_IN_CONFIG,
                        format!(
                            "No macro '{name}' in config while processing substitutions in '{text}'"
                        ),
                    ));
                }
            },
        }
        rest = &rest[open + length + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macros_are_replaced() {
        let own = [("database", "d"), ("table", "t")];
        let macros = BTreeMap::from([
            ("shard".to_string(), "02".to_string()),
            ("place".to_string(), "{shard}-{table}".to_string()),
            ("loop".to_string(), "{loop}".to_string()),
        ]);
        let expand = |text| expand_with(text, &own, &macros, 0).map_err(|e| e.code());
        assert_eq!(expand("{database}_{table}_{shard}").as_deref(), Ok("d_t_02"));
        assert_eq!(expand("{place}!").as_deref(), Ok("02-t!"));
        assert_eq!(expand("^a{2,3}$").as_deref(), Ok("^a{2,3}$"));
        assert_eq!(expand("{nobody}"), Err(NO_ELEMENTS_IN_CONFIG));
        assert_eq!(expand("{loop}"), Err(codes::SYNTAX_ERROR));
        assert_eq!(expand("plain").as_deref(), Ok("plain"));
    }
}
