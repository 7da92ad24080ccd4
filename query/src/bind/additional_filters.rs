//! `additional_table_filters` and row policies: conditions by table that hold as if the table had no other rows. A table
//! is meant by its alias, by its name in the current database, or by `database.name`.

use pumphouse_storage::{DataType, Value};

use super::Binder;
use super::from::Source;
use super::join::filter_side;
use super::scope::Scope;
use crate::error::{Error, Result, codes};
use crate::sql;

impl Binder<'_> {
    /// Applies what row policies say of `database.name` to `source`.
    pub(super) fn row_policies(
        &self,
        source: &mut Source,
        database: &str,
        name: &str,
    ) -> Result<()> {
        // Which columns are read, and of what types, has nothing to do with it.
        let Some(filters) = self.ctx.row_filters.as_ref().filter(|_| !self.analyze_only) else {
            return Ok(());
        };
        let Some(condition) = filters.filter(database, name) else { return Ok(()) };
        let mut scope = Scope::select(None, None);
        scope.tables = source.tables.clone();
        let tree = self.expression(&condition, &scope)?;
        filter_side(source, vec![tree], self)
    }

    /// Applies the conditions for `database.name` to `source`.
    pub(super) fn additional_filters(
        &self,
        source: &mut Source,
        database: &str,
        name: &str,
    ) -> Result<()> {
        let text = self.setting(|s| s.get("additional_table_filters").map(str::to_string));
        let Some(text) = text else { return Ok(()) };
        if text.is_empty() || text == "{}" {
            return Ok(());
        }
        let alias = source.tables.first().and_then(|t| t.alias.clone());
        for (table, condition) in entries(&text, self)? {
            let meant = alias.as_deref() == Some(&*table)
                || (table == name && database == self.ctx.database)
                || table.split_once('.') == Some((database, name));
            if !meant {
                continue;
            }
            let mut scope = Scope::select(None, None);
            scope.tables = source.tables.clone();
            let tree = self.expression(&sql::parse_expression(&condition)?, &scope)?;
            filter_side(source, vec![tree], self)?;
        }
        Ok(())
    }
}

/// The pairs of the setting's text.
fn entries(text: &str, binder: &Binder) -> Result<Vec<(String, String)>> {
    let map = DataType::Map(Box::new(DataType::String), Box::new(DataType::String));
    let wrong = || {
        let message = format!("additional_table_filters is no map of strings: {text}");
        Error::new(codes::BAD_ARGUMENTS, message)
    };
    let parsed = crate::functions::cast::cast_value(
        &Value::string(text),
        &DataType::String,
        &map,
        binder.ctx,
    );
    let Value::Map(pairs) = parsed.map_err(|_| wrong())? else { return Err(wrong()) };
    let plain = |value: &Value| match value {
        Value::String(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        _ => Err(wrong()),
    };
    pairs.iter().map(|(k, v)| Ok((plain(k)?, plain(v)?))).collect()
}
