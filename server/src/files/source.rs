//! `file(…)` and the engine File as something to be read: which files, their columns, and their rows.
//!
//! `_path`, `_file`, `_size` and `_time` say where a row is from. Without a structure it is inferred from
//! the first file; a first line of names in CSV and TSV is noticed as ClickHouse does it.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use pumphouse_ingest::format::{self, FormatOptions, InputColumn};
use pumphouse_query::catalog::{MorselSource, SourceColumn, TableSource, parse_structure};
use pumphouse_query::context::{MemoryTracker, Settings};
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};
use pumphouse_storage::log::TableDefinition;
use pumphouse_storage::scan::{ColumnCondition, Predicate};
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, Column, DataType, Value};

use super::read::read_chunk;
use super::{FileArguments, RowStream, format_of, has_pattern, matching};
use crate::compression::encodings::decoder;
use crate::config::Config;

/// Bytes of a file that its structure is inferred from, in formats that need not be read whole.
const SAMPLE_BYTES: u64 = 4 << 20;
/// Bytes of a file that must be read whole for that.
const WHOLE_BYTES: u64 = format::WHOLE_BYTES_MAX as u64;

/// Opens the bytes of one piece of a source.
pub(super) type Open = dyn Fn() -> Result<Box<dyn Read + Send>> + Send + Sync;

/// One file, or what is read like one.
pub(super) struct Piece {
    pub path: String,
    pub size: Option<u64>,
    pub seconds: Option<u64>,
    pub open: Arc<Open>,
}

/// Texts of a table function's arguments.
fn words(arguments: &[Value]) -> Vec<String> {
    let word = |value: &Value| match value {
        Value::String(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    };
    arguments.iter().filter_map(word).collect()
}

/// `file(path[, format[, structure[, compression]]])`.
pub fn file_function(
    config: &Config,
    values: &[Value],
    settings: &Settings,
    memory: &Arc<MemoryTracker>,
) -> Result<Arc<dyn TableSource>> {
    let (arguments, structure) = read_arguments("file", values)?;
    let columns = match structure {
        Some(text) => Some(structure_columns(&text)?),
        None => None,
    };
    let pieces = pieces(config, &arguments)?;
    if pieces.is_empty() && (columns.is_none() || !has_pattern(&arguments.path)) {
        return Err(match has_pattern(&arguments.path) {
            true => Error::new(
                codes::CANNOT_EXTRACT_TABLE_STRUCTURE,
                "The table structure cannot be extracted: there are no files with the path, you must specify the structure",
            ),
            false => Error::new(
                codes::FILE_DOESNT_EXIST,
                format!("File {} doesn't exist", arguments.path),
            ),
        });
    }
    source("file", "File", arguments.format, columns, pieces, (settings, memory))
        .map(|s| s as Arc<dyn TableSource>)
}

/// Path, format and compression, and the structure if one is given.
pub(super) fn read_arguments(
    function: &str,
    values: &[Value],
) -> Result<(FileArguments, Option<String>)> {
    let words = words(values);
    if words.is_empty() || words.len() != values.len() || words.len() > 4 {
        return Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            format!(
                "Table function '{function}' requires from 1 to 4 arguments: source, [format, [structure, [compression_method]]]"
            ),
        ));
    }
    let path = words[0].clone();
    let format = match words.get(1).filter(|f| *f != "auto") {
        Some(format) => format.clone(),
        None => format_of(&path).map(str::to_string).ok_or_else(|| {
            Error::new(
                codes::CANNOT_EXTRACT_TABLE_STRUCTURE,
                format!("The data format cannot be told from the name {path}, give it as the second argument"),
            )
        })?,
    };
    let structure = words.get(2).filter(|s| *s != "auto").cloned();
    let compression = words.get(3).cloned().unwrap_or_else(|| "auto".into());
    Ok((FileArguments { path, format, compression }, structure))
}

pub(super) fn structure_columns(text: &str) -> Result<Vec<InputColumn>> {
    let columns = parse_structure(text)?.into_iter();
    Ok(columns.map(|c| InputColumn { name: c.name, data_type: c.data_type }).collect())
}

/// The arguments of `file(…)` and the columns that are written by it: given, or those of what exists.
pub fn structure(
    config: &Config,
    values: &[Value],
) -> Result<(FileArguments, Option<Vec<InputColumn>>)> {
    let (arguments, structure) = read_arguments("file", values)?;
    super::inside(config, &arguments.path)?;
    let columns = match structure {
        Some(text) => Some(structure_columns(&text)?),
        None => None,
    };
    Ok((arguments, columns))
}

/// A table of the engine File.
pub fn file_table(
    config: &Config,
    definition: &TableDefinition,
    memory: &Arc<MemoryTracker>,
) -> Result<Arc<dyn TableSource>> {
    let arguments = FileArguments::of_table(definition)?;
    let stored = definition.columns.iter();
    let columns = stored
        .map(|c| InputColumn { name: c.name.clone(), data_type: c.data_type.clone() })
        .collect();
    let pieces = pieces(config, &arguments)?;
    let name = definition.full_name();
    let settings = Settings::default();
    source(&name, "File", arguments.format, Some(columns), pieces, (&settings, memory))
        .map(|s| s as Arc<dyn TableSource>)
}

fn pieces(config: &Config, arguments: &FileArguments) -> Result<Vec<Piece>> {
    let paths = match has_pattern(&arguments.path) {
        true => matching(config, &arguments.path)?,
        false => vec![super::inside(config, &arguments.path)?],
    };
    let mut pieces = vec![];
    for path in paths {
        let Ok(about) = std::fs::metadata(&path) else { continue };
        if !about.is_file() {
            continue;
        }
        let modified = about.modified().ok();
        let since = modified.and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
        let encoding = arguments.encoding(&path)?;
        pieces.push(Piece {
            path: path.display().to_string(),
            size: Some(about.len()),
            seconds: since.map(|d| d.as_secs()),
            open: Arc::new(move || open_file(&path, encoding)),
        });
    }
    Ok(pieces)
}

fn open_file(path: &Path, encoding: Option<&str>) -> Result<Box<dyn Read + Send>> {
    let file = File::open(path).map_err(|e| {
        Error::new(codes::CANNOT_OPEN_FILE, format!("Cannot open file {}: {e}", path.display()))
    })?;
    decoder(Box::new(file), encoding)
}

/// A source of these pieces; columns are inferred as the settings say if none are given. What is read as a whole
/// is charged to `memory`.
pub(super) fn source(
    name: &str,
    engine: &'static str,
    format: String,
    columns: Option<Vec<InputColumn>>,
    pieces: Vec<Piece>,
    (settings, memory): (&Settings, &Arc<MemoryTracker>),
) -> Result<Arc<FileSource>> {
    let (format, stored) = match columns {
        Some(columns) => (format, columns),
        None => infer(&format, &pieces, settings, memory)?,
    };
    if format::lookup(&format).is_none() {
        return Err(Error::new(codes::UNKNOWN_FORMAT, format!("Unknown format {format}")));
    }
    let mut columns: Vec<SourceColumn> =
        stored.iter().map(|c| SourceColumn::plain(c.name.clone(), c.data_type.clone())).collect();
    for (name, data_type) in virtual_columns() {
        if !columns.iter().any(|c| c.name == name) {
            columns.push(SourceColumn { hidden: true, ..SourceColumn::plain(name, data_type) });
        }
    }
    Ok(Arc::new(FileSource {
        name: name.to_string(),
        engine,
        columns,
        stored,
        format,
        pieces: Arc::new(pieces),
        memory: memory.clone(),
    }))
}

fn virtual_columns() -> [(&'static str, DataType); 4] {
    let text = || DataType::LowCardinality(Box::new(DataType::String));
    [
        ("_path", text()),
        ("_file", text()),
        ("_size", DataType::nullable(DataType::UInt64)),
        ("_time", DataType::nullable(DataType::DateTime(None))),
    ]
}

fn infer(
    format: &str,
    pieces: &[Piece],
    settings: &Settings,
    memory: &Arc<MemoryTracker>,
) -> Result<(String, Vec<InputColumn>)> {
    let Some(first) = pieces.first() else {
        return Err(Error::new(codes::CANNOT_EXTRACT_TABLE_STRUCTURE, "There is nothing to read"));
    };
    let whole = ["Parquet", "Arrow", "ArrowStream", "ORC"].contains(&format);
    let limit = if whole { WHOLE_BYTES } else { SAMPLE_BYTES };
    let (mut bytes, mut held) = (vec![], memory.reserve(0)?);
    let mut rest = (first.open)()?.take(limit);
    let place = |e: Error| Error::new(e.code(), format!("{e}: (while reading {})", first.path));
    while read_chunk(&mut rest, &mut bytes).map_err(place)? {
        held.grow_to(bytes.len())?;
    }
    let options = options(settings);
    let plain = format::infer(format, &bytes, &options)?;
    let with_names = match format {
        "CSV" => "CSVWithNames",
        "TSV" | "TabSeparated" => "TSVWithNames",
        _ => return Ok((format.to_string(), plain)),
    };
    // A first line of texts over columns that are not all texts is a line of names.
    let is_text = |c: &InputColumn| *c.data_type.inner() == DataType::String;
    if plain.iter().all(is_text)
        && let Ok(named) = format::infer(with_names, &bytes, &options)
        && !named.iter().all(is_text)
    {
        return Ok((with_names.to_string(), named));
    }
    Ok((format.to_string(), plain))
}

fn options(settings: &Settings) -> FormatOptions {
    FormatOptions { settings: settings.clone(), time_zone: TimeZone::UTC }
}

/// Pieces read one behind the other.
pub(super) struct FileSource {
    name: String,
    engine: &'static str,
    columns: Vec<SourceColumn>,
    stored: Vec<InputColumn>,
    format: String,
    pieces: Arc<Vec<Piece>>,
    memory: Arc<MemoryTracker>,
}

impl TableSource for FileSource {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    fn scan(
        &self,
        columns: &[String],
        conditions: &[ColumnCondition],
    ) -> Result<Arc<dyn MorselSource>> {
        self.scan_where(columns, conditions, &Predicate::all(vec![]), &Settings::default())
    }

    fn scan_where(
        &self,
        columns: &[String],
        _: &[ColumnCondition],
        _: &Predicate,
        settings: &Settings,
    ) -> Result<Arc<dyn MorselSource>> {
        let wanted = columns
            .iter()
            .filter_map(|name| self.columns.iter().find(|c| c.name == *name))
            .map(|c| (c.name.clone(), c.data_type.clone()))
            .collect();
        Ok(Arc::new(FileScan {
            wanted,
            stored: self.stored.clone(),
            format: self.format.clone(),
            pieces: self.pieces.clone(),
            options: options(settings),
            memory: self.memory.clone(),
            state: Mutex::default(),
        }))
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn engine(&self) -> String {
        self.engine.into()
    }
}

#[derive(Default)]
struct ScanState {
    /// The piece after the one being read.
    next: usize,
    stream: Option<RowStream>,
    /// The morsel read last: it may be asked for in parts.
    last: Option<(usize, Option<Block>)>,
}

struct FileScan {
    wanted: Vec<(String, DataType)>,
    stored: Vec<InputColumn>,
    format: String,
    pieces: Arc<Vec<Piece>>,
    options: FormatOptions,
    memory: Arc<MemoryTracker>,
    state: Mutex<ScanState>,
}

/// Whether columns that nobody asks for may be passed over.
fn reads_some(options: &FormatOptions) -> bool {
    options.settings.bool("input_format_skip_unknown_fields", true)
}

impl FileScan {
    fn next(&self, state: &mut ScanState) -> Result<Option<Block>> {
        loop {
            if let Some(stream) = &mut state.stream {
                if let Some(block) = stream.next_block()? {
                    return self.picked(block, &self.pieces[state.next - 1]).map(Some);
                }
                state.stream = None;
            }
            let Some(piece) = self.pieces.get(state.next) else { return Ok(None) };
            state.next += 1;
            let bytes = (piece.open)()?;
            let mut columns = self.stored.clone();
            if self.format == "Parquet" && reads_some(&self.options) {
                columns.retain(|c| self.wanted.iter().any(|(name, _)| *name == c.name));
            }
            let memory = self.memory.reserve(0)?;
            let stream =
                RowStream::new(&self.format, columns, &self.options, (vec![], bytes), memory)?;
            state.stream = Some(stream);
        }
    }

    fn picked(&self, block: Block, piece: &Piece) -> Result<Block> {
        let rows = block.rows();
        let mut picked = Block::of_rows(rows);
        for (name, data_type) in &self.wanted {
            if let Some(column) = block.column(name) {
                picked.push(name.clone(), column.clone());
                continue;
            }
            let file = piece.path.rsplit('/').next().unwrap_or_default();
            let value = match name.as_str() {
                "_path" => Value::string(piece.path.clone()),
                "_file" => Value::string(file),
                "_size" => piece.size.map_or(Value::Null, Value::UInt),
                _ => piece.seconds.map_or(Value::Null, Value::UInt),
            };
            picked.push(name.clone(), Column::from_values(data_type.clone(), &vec![value; rows])?);
        }
        Ok(picked)
    }
}

impl MorselSource for FileScan {
    fn morsel_count(&self) -> Option<usize> {
        None
    }

    fn read(&self, index: usize) -> Result<Option<Block>> {
        let mut state = self.state.lock();
        if let Some((last, block)) = &state.last
            && *last == index
        {
            return Ok(block.clone());
        }
        let block = self.next(&mut state)?;
        state.last = Some((index, block.clone()));
        Ok(block)
    }
}
