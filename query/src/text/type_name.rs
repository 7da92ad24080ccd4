//! Type names for people: as `toTypeName` and DESCRIBE print them, named tuples over several lines.

use pumphouse_storage::DataType;
use pumphouse_storage::types::back_quote_if_needed;

/// Names that are keywords and therefore quoted here.
const KEYWORDS: &[&str] = &["values"];

/// The name with a line for each element of a named tuple.
pub fn pretty_type_name(data_type: &DataType) -> String {
    let mut out = String::new();
    write(data_type, 0, &mut out);
    out
}

fn write(data_type: &DataType, level: usize, out: &mut String) {
    let mut wrapped = |name: &str, inner: &DataType| {
        out.push_str(name);
        out.push('(');
        write(inner, level, out);
        out.push(')');
    };
    match data_type {
        DataType::Nullable(_) => out.push_str(&data_type.to_string()),
        DataType::LowCardinality(t) => wrapped("LowCardinality", t),
        DataType::Array(t) => wrapped("Array", t),
        DataType::Map(k, v) => {
            out.push_str("Map(");
            write(k, level, out);
            out.push_str(", ");
            write(v, level, out);
            out.push(')');
        }
        DataType::Tuple(elements) if !elements.is_empty() => {
            let lines = elements.iter().all(|e| e.name.is_some());
            out.push_str("Tuple(");
            for (i, e) in elements.iter().enumerate() {
                if i > 0 {
                    out.push_str(if lines { "," } else { ", " });
                }
                if lines {
                    out.push('\n');
                    out.push_str(&"    ".repeat(level + 1));
                }
                if let Some(name) = &e.name {
                    if KEYWORDS.contains(&name.to_ascii_lowercase().as_str()) {
                        out.push_str(&format!("`{name}`"));
                    } else {
                        out.push_str(&back_quote_if_needed(name));
                    }
                    out.push(' ');
                }
                write(&e.data_type, level + usize::from(lines), out);
            }
            out.push(')');
        }
        other => out.push_str(&other.to_string()),
    }
}
