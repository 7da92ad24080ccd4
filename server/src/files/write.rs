//! Rows into a file: `INSERT INTO FUNCTION file(…)` and the engine File. The file grows, if its format can;
//! what fails leaves it as long as it was.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;

use pumphouse_ingest::format::{self, FormatOptions, FormatWriter, WriterStatistics};
use pumphouse_query::context::QueryContext;
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};
use pumphouse_storage::Block;

use super::{FileArguments, has_pattern, inside};
use crate::compression::encodings::{Encoding, PackedWriter};
use crate::config::Config;

/// How hard files are packed (`output_format_compression_level`).
const LEVEL: u32 = 3;
/// Formats whose end or beginning stands once a file.
const CLOSED: &[&str] = &[
    "Arrow",
    "ArrowStream",
    "GeoJSON",
    "Npy",
    "ORC",
    "Parquet",
    "JSON",
    "JSONStrings",
    "JSONCompact",
    "JSONCompactStrings",
    "JSONColumns",
    "JSONCompactColumns",
    "JSONColumnsWithMetadata",
    "JSONObjectEachRow",
    "XML",
];

enum Packed {
    Plain(File),
    Packed(Box<PackedWriter<File>>),
}

impl Packed {
    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Packed::Plain(file) => file.write_all(bytes),
            Packed::Packed(writer) => writer.write_all(bytes),
        }
    }

    fn finish(self) -> std::io::Result<()> {
        let file = match self {
            Packed::Plain(file) => file,
            Packed::Packed(writer) => writer.finish()?,
        };
        file.sync_all()
    }
}

/// A file being written.
pub struct FileSink {
    path: PathBuf,
    /// Its length before.
    before: u64,
    file: Option<Packed>,
    writer: Box<dyn FormatWriter>,
    begun: bool,
    done: bool,
}

impl FileSink {
    /// Opens the file for more rows; error 641 if it is there and cannot grow.
    pub fn open(
        config: &Config,
        arguments: &FileArguments,
        ctx: &QueryContext,
    ) -> Result<FileSink> {
        if has_pattern(&arguments.path) {
            return Err(Error::new(
                codes::DATABASE_ACCESS_DENIED,
                format!("File {} is read-only: its path holds patterns", arguments.path),
            ));
        }
        let path = inside(config, &arguments.path)?;
        let failed = |e: std::io::Error| {
            Error::new(codes::CANNOT_OPEN_FILE, format!("Cannot open file {}: {e}", path.display()))
        };
        let encoding = arguments.encoding(&path)?;
        let truncate = ctx.settings.bool("engine_file_truncate_on_insert", false);
        let length = std::fs::metadata(&path).map_or(0, |m| m.len());
        if length > 0 && !truncate && CLOSED.contains(&arguments.format.as_str()) {
            return Err(Error::new(
                codes::CANNOT_APPEND_TO_FILE,
                format!(
                    "Cannot append data in format {} to file, because this format doesn't support appends. You can allow to overwrite it with the setting engine_file_truncate_on_insert",
                    arguments.format
                ),
            ));
        }
        let options = FormatOptions { settings: ctx.settings.clone(), time_zone: ctx.time_zone };
        let writer = format::writer(&arguments.format, &options)?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut file = File::options()
            .create(true)
            .write(true)
            .truncate(truncate)
            .open(&path)
            .map_err(failed)?;
        let before = file.seek(SeekFrom::End(0)).map_err(failed)?;
        let packed = match encoding.map(|name| (name, Encoding::named(name))) {
            None => Packed::Plain(file),
            Some((_, Some(encoding))) => {
                let writer = PackedWriter::new(file, encoding, LEVEL).map_err(failed)?;
                Packed::Packed(Box::new(writer))
            }
            Some((name, None)) => {
                return Err(Error::new(
                    codes::NOT_IMPLEMENTED,
                    format!("Files are not written with the compression {name}"),
                ));
            }
        };
        // A file that is not empty has its names already.
        let begun = before > 0;
        Ok(FileSink { path, before, file: Some(packed), writer, begun, done: false })
    }

    pub fn write(&mut self, block: &Block) -> Result<()> {
        let mut bytes = vec![];
        let mut prefix = vec![];
        // Writers learn the columns from the prefix, wanted or not.
        if !self.done {
            self.writer.prefix(&block.schema(), &mut prefix)?;
            self.done = true;
            if !self.begun {
                bytes.append(&mut prefix);
            }
        }
        self.writer.block(block, &mut bytes)?;
        self.put(&bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all(bytes).map_err(|e| self.failed(e))
    }

    fn failed(&self, e: std::io::Error) -> Error {
        Error::new(
            codes::CANNOT_WRITE_TO_FILE_DESCRIPTOR,
            format!("Cannot write to file {}: {e}", self.path.display()),
        )
    }

    /// Writes the format's end and syncs.
    pub fn finish(mut self) -> Result<()> {
        if self.done {
            let mut bytes = vec![];
            self.writer.suffix(&WriterStatistics::default(), &mut bytes)?;
            self.put(&bytes)?;
        }
        match self.file.take().map(Packed::finish) {
            Some(Err(e)) => Err(self.failed(e)),
            _ => Ok(()),
        }
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        // Not finished: what was written so far must not be found.
        if self.file.take().is_some()
            && let Ok(file) = File::options().write(true).open(&self.path)
        {
            let _ = file.set_len(self.before);
        }
    }
}
