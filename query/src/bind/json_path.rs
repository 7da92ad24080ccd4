//! Subcolumns of Variant, Dynamic and JSON by name: which function call a path behind such a column means.
//!
//! Behind JSON come names (one path), `^name` (what is below a path) and `:Type` (the value if it is of that
//! type); behind a declared path or a type, whatever that type offers.

use pumphouse_storage::run_time::subcolumn::Subcolumn;
use pumphouse_storage::types::{JsonType, parse_data_type};
use pumphouse_storage::{DataType, Value};

use super::Binder;
use super::expression::literal;
use super::tree::Tree;
use crate::error::{Error, Result, codes};
use crate::functions::run_time::subcolumn_type;

/// The subcolumn at the beginning of `path`, and how many of its names that takes; None if there is none.
pub(super) fn leading(data_type: &DataType, path: &[String]) -> Option<(String, usize)> {
    match data_type.without_low_cardinality() {
        DataType::Json(json) => json_leading(json, path),
        DataType::Nullable(t) if matches!(**t, DataType::Json(_)) => leading(t, path),
        DataType::Named { argument, .. } if argument.is_run_time() => leading(argument, path),
        // Of arrays of objects the paths of the objects are those of the items.
        DataType::Array(item) if path.first().is_some_and(|name| name != "size0") => {
            leading(item, path)
        }
        DataType::Variant(_) | DataType::Dynamic { .. } => {
            let name = path.first()?;
            let name = name.strip_prefix(':').unwrap_or(name);
            subcolumn_type(data_type, name)?;
            Some((name.to_string(), 1))
        }
        _ => None,
    }
}

fn json_leading(json: &JsonType, path: &[String]) -> Option<(String, usize)> {
    if let Some(first) = path.first()?.strip_prefix('^') {
        let mut whole = first.to_string();
        path[1..].iter().for_each(|name| {
            whole.push('.');
            whole.push_str(name);
        });
        return Some((Subcolumn::Below(whole.into_bytes()).text(), path.len()));
    }
    let names = path.iter().take_while(|name| !name.starts_with(':')).count();
    if names == 0 {
        return None;
    }
    // A declared path ends there: what follows is for its type.
    let declared = (1..=names).rev().find(|n| json.typed_path(&path[..*n].join(".")).is_some());
    if let Some(n) = declared {
        return Some((path[..n].join("."), n));
    }
    let whole = path[..names].join(".");
    match path.get(names) {
        None => Some((whole, names)),
        Some(name) => {
            let data_type = of_objects(json, &parse_data_type(&name[1..]).ok()?);
            Some((Subcolumn::Typed(whole.into_bytes(), data_type).text(), names + 1))
        }
    }
}

/// `Array(JSON)` means arrays of the objects that such a column holds.
fn of_objects(json: &JsonType, data_type: &DataType) -> DataType {
    match data_type {
        DataType::Array(item) => DataType::array(of_objects(json, item)),
        DataType::Nullable(item) => DataType::nullable(of_objects(json, item)),
        DataType::Json(own) if **own == JsonType::default() => {
            DataType::Json(std::sync::Arc::new(json.nested()))
        }
        other => other.clone(),
    }
}

/// Whether values of a Variant or Dynamic are in values of this type.
fn holds_variant(data_type: &DataType) -> bool {
    match data_type.without_low_cardinality() {
        DataType::Variant(_) | DataType::Dynamic { .. } => true,
        DataType::Nullable(t) | DataType::Array(t) => holds_variant(t),
        DataType::Named { argument, .. } => holds_variant(argument),
        DataType::Tuple(elements) => elements.iter().any(|e| holds_variant(&e.data_type)),
        DataType::Map(k, v) => holds_variant(k) || holds_variant(v),
        _ => false,
    }
}

impl Binder<'_> {
    /// Error 44 for a key that is a Variant or Dynamic, unless the setting allows it.
    pub(super) fn check_key_type(
        &self,
        data_type: &DataType,
        clause: &str,
        setting: &str,
    ) -> Result<()> {
        if !holds_variant(data_type) || self.setting(|s| s.bool(setting, false)) {
            return Ok(());
        }
        Err(Error::new(
            codes::ILLEGAL_COLUMN,
            format!(
                "Data types Variant/Dynamic are not allowed in {clause} keys, because it can lead to unexpected results. Consider using a subcolumn with a specific data type instead (for example 'column.Int64' or 'json.some.path.:Int64' if its a JSON path subcolumn) or casting this column to a specific data type. Set setting {setting} = 1 in order to allow it"
            ),
        ))
    }

    /// The subcolumn that the first names of `path` mean, and the names behind it.
    pub(super) fn self_typed_subcolumn<'p>(
        &self,
        tree: &Tree,
        path: &'p [String],
    ) -> Result<Option<(Tree, &'p [String])>> {
        let Some((name, used)) = leading(&tree.data_type, path) else { return Ok(None) };
        if subcolumn_type(&tree.data_type, &name).is_none() {
            return Ok(None);
        }
        let name = literal(&Value::string(name));
        let made = self.make_call("getSubcolumn", vec![tree.clone(), name])?;
        Ok(Some((made, &path[used..])))
    }
}
