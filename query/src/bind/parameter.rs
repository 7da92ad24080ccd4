//! Query parameters `{name:Type}` that the parser left in place: their text, in the escaped form of
//! TabSeparated, read as a value of the type.

use pumphouse_storage::{DataType, Value};

use super::Binder;
use super::tree::{self, Tree};
use crate::error::{Error, Result, codes};
use crate::functions::cast::cast_value;

impl Binder<'_> {
    pub(super) fn parameter(&self, name: &str, data_type: &str) -> Result<Tree> {
        let text = self.parameter_text(name)?;
        let data_type = self.data_type(data_type)?;
        if text == "\\N" && data_type.is_nullable() {
            return Ok(tree::constant(Value::Null, data_type));
        }
        let bytes = unescaped(&text);
        let value = Value::String(bytes);
        let value = cast_value(&value, &DataType::String, &data_type, self.ctx).map_err(|e| {
            Error::new(
                codes::BAD_QUERY_PARAMETER,
                format!(
                    "Value {} cannot be parsed as {data_type} for query parameter '{name}': {e}",
                    value.to_sql()
                ),
            )
        })?;
        Ok(tree::constant(value, data_type))
    }

    /// The table that `{name:Identifier}` stands for, if `text` is that.
    pub(super) fn identifier_parameter(&self, text: &str) -> Result<Option<String>> {
        let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
        match inner.and_then(|t| t.split_once(':')) {
            Some((name, kind)) if kind.trim() == "Identifier" => {
                self.parameter_text(name.trim()).map(Some)
            }
            _ => Ok(None),
        }
    }

    pub(super) fn parameter_text(&self, name: &str) -> Result<String> {
        self.ctx.parameters.get(name).cloned().ok_or_else(|| {
            Error::new(codes::UNKNOWN_QUERY_PARAMETER, format!("Substitution `{name}` is not set."))
        })
    }
}

/// The bytes behind the escapes of TabSeparated.
pub(super) fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'n') => out.push(b'\n'),
            Some(b't') => out.push(b'\t'),
            Some(b'r') => out.push(b'\r'),
            Some(b'b') => out.push(8),
            Some(b'f') => out.push(12),
            Some(b'0') => out.push(0),
            Some(other) => out.push(other),
            None => out.push(b'\\'),
        }
    }
    out
}
