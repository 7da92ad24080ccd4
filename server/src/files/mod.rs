//! Files as tables: the table function `file(…)`, the engine `File(…)` and `url(…)`.
//!
//! All files are below one folder (`user_files_path`); a path that leaves it, by `..`, by being absolute or
//! by a link, is error 291. Files are read in a stream, in the order of their names. What is written is
//! synced before the insert is answered, but is no part of the commit log: an insert into a file is not
//! atomic with anything.

mod glob;
pub(crate) mod read;
mod source;
mod url;
mod write;

use std::path::{Component, Path, PathBuf};

use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::ExprKind;
use pumphouse_query::{Error, Result, sql};
use pumphouse_storage::Value;
use pumphouse_storage::log::TableDefinition;

use crate::compression::encodings::Encoding;
use crate::config::Config;

pub use self::read::RowStream;
pub use self::source::{file_function, file_table, structure};
pub use self::url::url_function;
pub use self::write::FileSink;

/// What names a file's rows.
#[derive(Debug, Clone)]
pub struct FileArguments {
    /// Below the folder of user files; may hold patterns.
    pub path: String,
    pub format: String,
    /// `auto` goes by the name.
    pub compression: String,
}

impl FileArguments {
    /// Of `File(Format[, 'path'[, 'compression']])`. Without a path the file is named by the table's id.
    pub fn of_table(definition: &TableDefinition) -> Result<FileArguments> {
        let mut words = vec![];
        for text in &definition.clauses.engine_arguments {
            words.push(match sql::parse_expression(text)?.kind {
                ExprKind::Identifier(parts) => parts.join("."),
                ExprKind::Literal { value: Value::String(bytes), .. } => {
                    String::from_utf8_lossy(&bytes).into_owned()
                }
                _ => {
                    return Err(Error::new(
                        codes::BAD_ARGUMENTS,
                        "Arguments of storage File must be names or strings",
                    ));
                }
            });
        }
        let mut words = words.into_iter();
        let Some(format) = words.next() else {
            return Err(Error::new(
                codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                "Storage File requires from 1 to 3 arguments: name of used format, source and compression_method.",
            ));
        };
        let own = || format!(".tables/{}/data.{format}", definition.uuid);
        let path = words.next().unwrap_or_else(own);
        let compression = words.next().unwrap_or_else(|| "auto".into());
        Ok(FileArguments { path, format, compression })
    }

    /// The content encoding that the compression is called in HTTP; error 48 for what we do not read.
    pub fn encoding(&self, path: &Path) -> Result<Option<&'static str>> {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let name = match self.compression.as_str() {
            "auto" | "" => extension,
            "none" => return Ok(None),
            other => other,
        };
        match Encoding::of_file(name) {
            None if name != extension => Err(Error::new(
                codes::NOT_IMPLEMENTED,
                format!("Unknown compression method '{name}'"),
            )),
            found => Ok(found),
        }
    }
}

/// The format that a file's name tells, compression aside.
pub fn format_of(path: &str) -> Option<&'static str> {
    let mut name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    for packed in [
        ".gz", ".gzip", ".zst", ".zstd", ".br", ".lz4", ".deflate", ".xz", ".lzma", ".bz2",
        ".snappy",
    ] {
        if let Some(plain) = name.strip_suffix(packed) {
            name = plain.to_string();
        }
    }
    let extension = name.rsplit_once('.').map(|(_, e)| e.to_string())?;
    Some(match extension.as_str() {
        "csv" => "CSV",
        "tsv" => "TSV",
        "json" => "JSON",
        "jsonl" | "ndjson" | "jsoneachrow" => "JSONEachRow",
        "parquet" => "Parquet",
        "arrow" | "feather" => "Arrow",
        "orc" => "ORC",
        "avro" => "Avro",
        "bson" => "BSONEachRow",
        "geojson" => "GeoJSON",
        "npy" => "Npy",
        "native" => "Native",
        "xml" => "XML",
        "bin" => "RowBinary",
        "msgpack" => "MsgPack",
        "csvwithnames" => "CSVWithNames",
        "tsvwithnames" => "TSVWithNames",
        _ => return None,
    })
}

/// The folder of user files, without links; made if it is not there.
pub fn root(config: &Config) -> Result<PathBuf> {
    let root = config.user_files_dir();
    let failed = |e: std::io::Error| {
        Error::new(codes::CANNOT_OPEN_FILE, format!("Cannot use {}: {e}", root.display()))
    };
    std::fs::create_dir_all(&root).map_err(failed)?;
    root.canonicalize().map_err(failed)
}

/// Where `text` is, relative to the folder; error 291 if that is outside.
fn relative(config: &Config, root: &Path, text: &str) -> Result<PathBuf> {
    let from_here = config.files_relative_to.as_ref().map(|here| here.join(text));
    let given = from_here.as_deref().unwrap_or(Path::new(text));
    let below = [root.to_path_buf(), config.user_files_dir()];
    let given = below.iter().find_map(|r| given.strip_prefix(r).ok()).unwrap_or(given);
    let mut clean = PathBuf::new();
    for component in given.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => clean.push(name),
            Component::ParentDir if clean.pop() => {}
            _ => return Err(outside(text, root)),
        }
    }
    Ok(clean)
}

/// The path of one file, which need not be there.
pub fn inside(config: &Config, text: &str) -> Result<PathBuf> {
    let root = root(config)?;
    let path = root.join(relative(config, &root, text)?);
    check_links(&root, &path, text)?;
    Ok(path)
}

/// What exists of `path` must be below `root`, links followed.
fn check_links(root: &Path, path: &Path, text: &str) -> Result<()> {
    let real = path.ancestors().find_map(|p| p.canonicalize().ok());
    match real {
        Some(real) if real.starts_with(root) => Ok(()),
        _ => Err(outside(text, root)),
    }
}

/// The files that a path with patterns means, in order.
pub fn matching(config: &Config, text: &str) -> Result<Vec<PathBuf>> {
    let root = root(config)?;
    let mut found = vec![];
    for pattern in glob::alternatives(text)? {
        let pattern = relative(config, &root, &pattern)?;
        glob::walk(&root, &pattern, &mut found)?;
    }
    found.sort();
    found.dedup();
    for path in &found {
        check_links(&root, path, text)?;
    }
    Ok(found)
}

/// Whether the path holds patterns.
pub fn has_pattern(text: &str) -> bool {
    text.contains(['*', '?', '{'])
}

fn outside(text: &str, root: &Path) -> Error {
    Error::new(
        codes::DATABASE_ACCESS_DENIED,
        format!("File `{text}` is not inside `{}`", root.display()),
    )
}
