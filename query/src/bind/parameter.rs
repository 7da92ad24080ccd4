//! Query parameters `{name:Type}` that the parser left in place: their text, in the escaped form of
//! TabSeparated, read as a value of the type.

use pumphouse_storage::{DataType, Value};

use super::Binder;
use super::tree::{self, Tree};
use crate::error::{Error, Result, codes};
use crate::functions::cast::cast_value;
use crate::sql::unescaped;

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
