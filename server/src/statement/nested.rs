//! `Nested(a A, b B)` in a column list: one array column per element, called `name.a`, `name.b`.

use pumphouse_query::sql::ast::ColumnDecl;

/// The columns with every Nested one taken apart.
pub(super) fn flattened(columns: Vec<ColumnDecl>) -> Vec<ColumnDecl> {
    let mut flat = Vec::with_capacity(columns.len());
    for column in columns {
        let elements = column.data_type.as_deref().and_then(elements);
        match elements {
            Some(elements) => {
                flat.extend(elements.into_iter().map(|(name, data_type)| ColumnDecl {
                    name: format!("{}.{name}", column.name),
                    data_type: Some(format!("Array({data_type})")),
                    ..column.clone()
                }))
            }
            None => flat.push(column),
        }
    }
    flat
}

/// Names and types inside `Nested(...)`; None if the text is something else.
fn elements(text: &str) -> Option<Vec<(String, String)>> {
    let inside = text.strip_prefix("Nested(")?.strip_suffix(')')?;
    let mut found = vec![];
    let (mut depth, mut quoted, mut from) = (0usize, None, 0);
    for (at, c) in inside.char_indices() {
        match (quoted, c) {
            (Some(q), c) if q == c => quoted = None,
            (Some(_), _) => {}
            (None, '\'' | '`' | '"') => quoted = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.checked_sub(1)?,
            (None, ',') if depth == 0 => {
                found.push(element(&inside[from..at])?);
                from = at + 1;
            }
            _ => {}
        }
    }
    found.push(element(&inside[from..])?);
    Some(found)
}

fn element(text: &str) -> Option<(String, String)> {
    let (name, data_type) = text.trim().split_once(' ')?;
    Some((name.trim_matches(['`', '"']).to_string(), data_type.trim().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_end_at_outer_commas() {
        let found = elements("Nested(a Map(String, UInt8), `b` Enum8('x,' = 1))").unwrap();
        assert_eq!(found[0], ("a".into(), "Map(String, UInt8)".into()));
        assert_eq!(found[1], ("b".into(), "Enum8('x,' = 1)".into()));
        assert_eq!(elements("Array(UInt8)"), None);
    }
}
