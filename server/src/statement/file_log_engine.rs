//! What `ENGINE = FileLog('folder', 'format')` says, as the settings of a definition. The folder is below
//! `user_files_path`, like every file that a statement may name.

use std::collections::BTreeMap;

use pumphouse_ingest::file_log::{FORMAT, FileLogSettings, PATH};
use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::{EngineClause, ExprKind};
use pumphouse_query::{Error, Result};
use pumphouse_storage::Value;

use crate::config::Config;
use crate::files;

/// Everything that CREATE says as one map, checked.
pub(super) fn file_log_settings(
    config: &Config,
    engine: &EngineClause,
    mut settings: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>> {
    let arguments = engine.arguments.as_deref().unwrap_or_default();
    let [path, format] = arguments else {
        return Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            "Arguments size of StorageFileLog should be 2, path and format name",
        ));
    };
    let text = |argument: &pumphouse_query::sql::ast::Expr, what: &str| match &argument.kind {
        ExprKind::Literal { value: Value::String(bytes), .. } => {
            Ok(String::from_utf8_lossy(bytes).into_owned())
        }
        ExprKind::Identifier(parts) => Ok(parts.join(".")),
        _ => {
            let message = format!("{what} of FileLog must be a name or a string");
            Err(Error::new(codes::BAD_ARGUMENTS, message))
        }
    };
    let (path, format) = (text(path, "The path")?, text(format, "The format")?);
    let place = files::inside(config, &path)?;
    let has_pattern =
        place.file_name().is_some_and(|name| name.to_string_lossy().contains(['*', '?']));
    let is_there = match has_pattern {
        true => place.parent().is_some_and(|folder| folder.is_dir()),
        false => place.is_dir() || place.is_file(),
    };
    if !is_there {
        return Err(Error::new(
            codes::BAD_ARGUMENTS,
            format!("The path {} neither a regular file, nor a directory", place.display()),
        ));
    }
    if pumphouse_ingest::format::lookup(&format).is_none() {
        return Err(Error::new(codes::UNKNOWN_FORMAT, format!("Unknown format {format}")));
    }
    for ours in [PATH, FORMAT] {
        if settings.contains_key(ours) {
            let message = format!("{ours} is set by ENGINE = FileLog(…)");
            return Err(Error::new(codes::BAD_ARGUMENTS, message));
        }
    }
    settings.insert(PATH.into(), place.to_string_lossy().into_owned());
    settings.insert(FORMAT.into(), format);
    FileLogSettings::from_settings(&settings)?;
    Ok(settings)
}
