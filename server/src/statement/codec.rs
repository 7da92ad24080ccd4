//! `CODEC(...)` of a column in CREATE and ALTER: checked against the column's type, and shown in the
//! form that SHOW CREATE has. What codecs there are is `storage/src/part/codec/`.

use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::{ColumnDecl, ExprKind};
use pumphouse_query::sql::{format, parse_expression};
use pumphouse_query::{Error, Result};
use pumphouse_storage::DataType;
use pumphouse_storage::log::DefaultKind;
use pumphouse_storage::part::codec::settle;

/// The text of the column's codec for its definition; empty if it has none. `suspicious` allows chains
/// that make no sense.
pub(super) fn settled(decl: &ColumnDecl, data_type: &DataType, suspicious: bool) -> Result<String> {
    let Some(list) = &decl.codec else { return Ok(String::new()) };
    if matches!(decl.default, Some((DefaultKind::Alias, _))) {
        return Err(Error::new(codes::BAD_ARGUMENTS, "Cannot specify codec for column type ALIAS"));
    }
    let items: Vec<String> = list.iter().map(format::expr).collect();
    Ok(settle(&format!("CODEC({})", items.join(", ")), data_type, suspicious)?)
}

/// Puts the settled text back into the declaration.
pub(super) fn show(decl: &mut ColumnDecl, text: &str) {
    if let Ok(expr) = parse_expression(text)
        && let ExprKind::Call(call) = expr.kind
    {
        decl.codec = Some(call.arguments);
    }
}
