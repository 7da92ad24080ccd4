//! The formats by name. A new format is a file and a line here.

use super::Format;
use super::json_each_row::JsonEachRowReader;

/// All formats, sorted by name as ClickHouse spells it.
static FORMATS: &[Format] =
    &[Format { name: "JSONEachRow", reader: Some(JsonEachRowReader::boxed), writer: None }];

/// The format called `name`; its exact name, else in any case.
pub fn lookup(name: &str) -> Option<&'static Format> {
    FORMATS
        .iter()
        .find(|f| f.name == name)
        .or_else(|| FORMATS.iter().find(|f| f.name.eq_ignore_ascii_case(name)))
}

/// All formats, in the order of their names.
pub fn names() -> impl Iterator<Item = &'static Format> {
    FORMATS.iter()
}
