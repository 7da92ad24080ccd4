//! Container files: a header with the schema, then blocks of rows, each compressed on its own.
//!
//! Codecs: null, deflate, snappy, zstandard. A block is read when all of it is there; what it may grow to
//! is bounded.

use std::io::Read as _;

use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::{Block, DataType};
use xxhash_rust::xxh3::xxh3_128;

use super::super::columns::{BUFFERED_BYTES_MAX, RowBuilder};
use super::super::json_each_row::{check_room, full};
use super::super::{
    FormatOptions, FormatReader, FormatWriter, InputColumn, ParseError, ParsedRows,
    WriterStatistics, check_row_bytes,
};
use super::broken;
use super::decode::Cursor;
use super::encode::{Encoder, long, sized};
use super::plan::Plan;
use super::schema::Schema;

const MAGIC: &[u8] = b"Obj\x01";
const SYNC_BYTES: usize = 16;
/// Rows without bytes that a block may hold.
const EMPTY_ROWS_MAX: usize = 1 << 20;
/// A larger buffer is not kept for the next block.
const SCRATCH_KEPT_MAX: usize = 4 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codec {
    Null,
    Deflate,
    Snappy,
    Zstandard,
}

impl Codec {
    fn named(name: &[u8]) -> Option<Codec> {
        Some(match name {
            b"null" | b"" => Codec::Null,
            b"deflate" => Codec::Deflate,
            b"snappy" => Codec::Snappy,
            b"zstandard" | b"zstd" => Codec::Zstandard,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Codec::Null => "null",
            Codec::Deflate => "deflate",
            Codec::Snappy => "snappy",
            Codec::Zstandard => "zstandard",
        }
    }

    /// The bytes of a block; `out` is where they go if they are not in `bytes` as they are.
    fn decompress<'a>(
        self,
        bytes: &'a [u8],
        out: &'a mut Vec<u8>,
    ) -> std::result::Result<&'a [u8], ParseError> {
        let limit = BUFFERED_BYTES_MAX as u64;
        match self {
            Codec::Null if bytes.len() as u64 > limit => return Err(too_large()),
            Codec::Null => return Ok(bytes),
            Codec::Deflate => {
                out.clear();
                let mut reader = flate2::read::DeflateDecoder::new(bytes).take(limit + 1);
                reader.read_to_end(out).map_err(|e| broken(format!("deflate: {e}")))?;
            }
            Codec::Zstandard => {
                out.clear();
                let reader = zstd::Decoder::new(bytes).map_err(|e| broken(e.to_string()))?;
                let read = reader.take(limit + 1).read_to_end(out);
                read.map_err(|e| broken(format!("zstandard: {e}")))?;
            }
            Codec::Snappy => {
                let Some((body, sum)) = bytes.split_last_chunk::<4>() else {
                    let message = "Cannot read compressed data, expected at least 4 bytes";
                    return Err(broken(message));
                };
                let size = snap::raw::decompress_len(body).map_err(|e| broken(e.to_string()))?;
                if size as u64 > limit {
                    return Err(too_large());
                }
                out.resize(size, 0);
                let used = snap::raw::Decoder::new()
                    .decompress(body, out)
                    .map_err(|e| broken(format!("Snappy Compression reported an error: {e}")))?;
                out.truncate(used);
                if crc32(out) != u32::from_be_bytes(*sum) {
                    return Err(broken("Checksum did not match"));
                }
            }
        }
        if out.len() as u64 > limit { Err(too_large()) } else { Ok(out) }
    }

    fn compress(self, bytes: &[u8]) -> Result<Vec<u8>> {
        let failed = |e: std::io::Error| Error::new(codes::INCORRECT_DATA, format!("avro: {e}"));
        Ok(match self {
            Codec::Null => bytes.to_vec(),
            Codec::Deflate => {
                let level = flate2::Compression::default();
                let mut out = vec![];
                flate2::read::DeflateEncoder::new(bytes, level)
                    .read_to_end(&mut out)
                    .map_err(failed)?;
                out
            }
            Codec::Zstandard => zstd::encode_all(bytes, 3).map_err(failed)?,
            Codec::Snappy => {
                let mut out = snap::raw::Encoder::new()
                    .compress_vec(bytes)
                    .map_err(|e| Error::new(codes::INCORRECT_DATA, format!("avro: {e}")))?;
                out.extend_from_slice(&crc32(bytes).to_be_bytes());
                out
            }
        })
    }
}

fn too_large() -> ParseError {
    broken(format!("a block of more than {BUFFERED_BYTES_MAX} bytes"))
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// What the head of a file says.
struct Head {
    plan: Plan,
    codec: Codec,
    sync: [u8; SYNC_BYTES],
    /// Its bytes, without the mark.
    bytes: Vec<u8>,
}

pub struct AvroReader {
    rows: RowBuilder,
    options: FormatOptions,
    head: Option<Head>,
    /// The head of the message before: the next is mostly the same.
    last_head: Option<Head>,
    /// A block's rows, decompressed.
    scratch: Vec<u8>,
    /// A part shorter than this was seen to hold no whole block.
    retry_bytes: usize,
}

impl AvroReader {
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
    ) -> Result<Box<dyn FormatReader>> {
        Ok(Box::new(AvroReader {
            rows: RowBuilder::new(columns, options.time_zone),
            options: options.clone(),
            head: None,
            last_head: None,
            scratch: vec![],
            retry_bytes: 0,
        }))
    }

    fn read_head(&mut self, cursor: &mut Cursor<'_>) -> std::result::Result<Head, ParseError> {
        if let Some(mut head) = self.last_head.take()
            && cursor.bytes.starts_with(&head.bytes)
        {
            cursor.take(head.bytes.len())?;
            head.sync.copy_from_slice(cursor.take(SYNC_BYTES)?);
            return Ok(head);
        }
        let (schema, codec) = read_schema_and_codec(cursor)?;
        let bytes = cursor.bytes[..cursor.at].to_vec();
        let mut sync = [0; SYNC_BYTES];
        sync.copy_from_slice(cursor.take(SYNC_BYTES)?);
        Ok(Head { plan: Plan::new(schema, &self.rows, &self.options)?, codec, sync, bytes })
    }

    /// Reads whole blocks; gives how much of `input` they were.
    fn blocks(
        &mut self,
        input: &[u8],
        last: bool,
        rows_max: usize,
    ) -> std::result::Result<usize, ParseError> {
        let mut used = 0;
        let mut cursor = Cursor::new(input);
        if self.head.is_none() {
            match self.read_head(&mut cursor) {
                Ok(head) => self.head = Some(head),
                Err(_) if !last && cursor.at >= input.len().saturating_sub(1 << 20) => {
                    // Most likely cut; the end of the stream will tell.
                    return Ok(0);
                }
                Err(e) => return Err(e),
            }
            used = cursor.at;
        }
        let Some(head) = &self.head else { return Ok(used) };
        let first = self.rows.rows();
        while !cursor.is_at_end() && self.rows.rows() - first < rows_max {
            if self.rows.is_full() {
                return Err(full(&self.rows));
            }
            match whole_block(&mut cursor, &head.sync) {
                Ok((count, bytes)) => {
                    let bytes = head.codec.decompress(bytes, &mut self.scratch)?;
                    check_room(&self.rows, bytes.len())?;
                    rows_of(&head.plan, bytes, count, &mut self.rows)?;
                    self.rows.add_bytes(bytes.len());
                    if self.scratch.capacity() > SCRATCH_KEPT_MAX {
                        self.scratch = vec![];
                    }
                    used = cursor.at;
                }
                Err(e) if last => return Err(e),
                Err(_) => break,
            }
        }
        Ok(used)
    }
}

/// The schema of the file that begins with `bytes`.
pub fn read_schema(bytes: &[u8]) -> std::result::Result<Schema, ParseError> {
    read_schema_and_codec(&mut Cursor::new(bytes)).map(|(schema, _)| schema)
}

fn read_schema_and_codec(
    cursor: &mut Cursor<'_>,
) -> std::result::Result<(Schema, Codec), ParseError> {
    if cursor.take(MAGIC.len())? != MAGIC {
        return Err(broken("Invalid data file. Magic does not match"));
    }
    let (mut schema, mut codec) = (None, Codec::Null);
    loop {
        let count = cursor.long()?;
        if count == 0 {
            break;
        }
        if count < 0 {
            cursor.long()?;
        }
        for _ in 0..count.unsigned_abs() {
            let key = cursor.sized()?;
            let value = cursor.sized()?;
            match key {
                b"avro.schema" => schema = Some(Schema::parse(value)?),
                b"avro.codec" => {
                    codec = Codec::named(value).ok_or_else(|| {
                        let name = String::from_utf8_lossy(value);
                        broken(format!("Unknown codec in data file: {name}"))
                    })?;
                }
                _ => {}
            }
        }
    }
    Ok((schema.ok_or_else(|| broken("No schema in metadata"))?, codec))
}

/// The next block: its number of rows and its bytes as they are in the file.
fn whole_block<'a>(
    cursor: &mut Cursor<'a>,
    sync: &[u8; SYNC_BYTES],
) -> std::result::Result<(usize, &'a [u8]), ParseError> {
    let count = usize::try_from(cursor.long()?).map_err(|_| broken("a negative count"))?;
    let bytes = cursor.sized()?;
    if cursor.take(SYNC_BYTES)? != sync {
        return Err(broken("Sync mismatch"));
    }
    Ok((count, bytes))
}

fn rows_of(
    plan: &Plan,
    bytes: &[u8],
    count: usize,
    rows: &mut RowBuilder,
) -> std::result::Result<(), ParseError> {
    let mut cursor = Cursor::new(bytes);
    if plan.is_whole(rows) {
        plan.whole_rows(&mut cursor, rows, count)?;
        return match cursor.is_at_end() {
            true => Ok(()),
            false => Err(broken("a block is longer than its rows")),
        };
    }
    let mut empty = 0;
    for _ in 0..count {
        let before = cursor.at;
        plan.row(&mut cursor, rows)?;
        empty += (cursor.at == before) as usize;
        if empty > EMPTY_ROWS_MAX {
            return Err(broken("too many rows without bytes"));
        }
    }
    match cursor.is_at_end() {
        true => Ok(()),
        false => Err(broken("a block is longer than its rows")),
    }
}

impl FormatReader for AvroReader {
    fn read_message(&mut self, message: &[u8]) -> std::result::Result<usize, ParseError> {
        let before = self.rows.rows();
        if let Some(head) = self.head.take() {
            self.last_head = Some(head);
        }
        match self.blocks(message, true, usize::MAX) {
            Ok(_) => Ok(self.rows.rows() - before),
            Err(e) => {
                self.rows.rollback(before);
                Err(e)
            }
        }
    }

    fn read_stream(
        &mut self,
        input: &[u8],
        last: bool,
        rows_max: usize,
    ) -> std::result::Result<usize, ParseError> {
        if !last && input.len() < self.retry_bytes {
            return Ok(0);
        }
        check_row_bytes(input, last)?;
        let before = self.rows.rows();
        match self.blocks(input, last, rows_max) {
            Ok(used) => {
                self.retry_bytes = if used == 0 { input.len().saturating_mul(2) } else { 0 };
                Ok(used)
            }
            Err(e) => {
                self.rows.rollback(before);
                Err(e)
            }
        }
    }

    fn rows(&self) -> usize {
        self.rows.rows()
    }

    fn bytes(&self) -> usize {
        self.rows.bytes()
    }

    fn take(&mut self) -> Result<ParsedRows> {
        self.rows.take()
    }
}

pub struct AvroWriter {
    options: FormatOptions,
    codec: Codec,
    sync_interval: usize,
    encoder: Option<Encoder>,
    sync: [u8; SYNC_BYTES],
    /// The block being made.
    pending: Vec<u8>,
    pending_rows: usize,
}

impl AvroWriter {
    pub fn boxed(options: &FormatOptions) -> Result<Box<dyn FormatWriter>> {
        let name = options.settings.get("output_format_avro_codec").unwrap_or_default();
        let codec = match name {
            "" => Codec::Snappy,
            name => Codec::named(name.as_bytes()).ok_or_else(|| {
                Error::new(codes::BAD_ARGUMENTS, format!("Avro codec {name} is not available"))
            })?,
        };
        let sync_interval =
            options.settings.u64("output_format_avro_sync_interval", 16_384) as usize;
        Ok(Box::new(AvroWriter {
            options: options.clone(),
            codec,
            sync_interval: sync_interval.clamp(32, 1 << 30),
            encoder: None,
            sync: [0; SYNC_BYTES],
            pending: vec![],
            pending_rows: 0,
        }))
    }

    fn flush(&mut self, out: &mut Vec<u8>) -> Result<()> {
        if self.pending_rows > 0 {
            long(self.pending_rows as i64, out);
            sized(&self.codec.compress(&self.pending)?, out);
            out.extend_from_slice(&self.sync);
            self.pending.clear();
            self.pending_rows = 0;
        }
        Ok(())
    }
}

impl FormatWriter for AvroWriter {
    fn prefix(&mut self, schema: &[(String, DataType)], out: &mut Vec<u8>) -> Result<()> {
        let encoder = Encoder::new(schema, &self.options)?;
        // Any bytes that are not in the data by accident.
        self.sync = xxh3_128(encoder.schema.as_bytes()).to_le_bytes();
        out.extend_from_slice(MAGIC);
        long(2, out);
        sized(b"avro.codec", out);
        sized(self.codec.name().as_bytes(), out);
        sized(b"avro.schema", out);
        sized(encoder.schema.as_bytes(), out);
        long(0, out);
        out.extend_from_slice(&self.sync);
        self.encoder = Some(encoder);
        Ok(())
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        for row in 0..block.rows() {
            if self.pending.len() >= self.sync_interval {
                self.flush(out)?;
            }
            if let Some(encoder) = &self.encoder {
                encoder.row(block, row, &mut self.pending);
                self.pending_rows += 1;
            }
        }
        Ok(())
    }

    fn suffix(&mut self, _statistics: &WriterStatistics, out: &mut Vec<u8>) -> Result<()> {
        self.flush(out)
    }

    fn content_type(&self) -> &'static str {
        "application/octet-stream"
    }
}
