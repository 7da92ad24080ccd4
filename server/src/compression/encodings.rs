//! HTTP content encodings: gzip, deflate (in zlib's wrapping), br, zstd, lz4 (frames), snappy (Hadoop's framing), xz,
//! and bz2, which is only read.
//!
//! A body may be several streams one behind the other, as clients that compress block by block send
//! it; all are read.

use std::io::{self, BufRead, BufReader, Read, Write};

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use flate2::Compression;
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use lzma_rust2::{XzOptions, XzReader, XzWriter};
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};

use super::lz4::Lz4Reader;
use super::snappy::{self, SnappyReader};

/// Bytes of packed input read at a time.
const INPUT_BYTES: usize = 64 << 10;
/// The largest window that a ZSTD stream may ask for, as a power of two.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// The most that an xz stream may ask for.
const XZ_MEMORY_KIB_MAX: u32 = 128 << 10;
/// Window of our own brotli streams, as a power of two.
const BROTLI_WINDOW_LOG: u32 = 22;

/// An encoding that we write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Zstd,
    Brotli,
    Lz4,
    Snappy,
    Gzip,
    Deflate,
    Xz,
}

impl Encoding {
    /// In the order of preference, whatever weights the client gives.
    pub(super) const ALL: [Encoding; 7] = [
        Encoding::Zstd,
        Encoding::Brotli,
        Encoding::Lz4,
        Encoding::Snappy,
        Encoding::Gzip,
        Encoding::Deflate,
        Encoding::Xz,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Encoding::Zstd => "zstd",
            Encoding::Brotli => "br",
            Encoding::Lz4 => "lz4",
            Encoding::Snappy => "snappy",
            Encoding::Xz => "xz",
            Encoding::Gzip => "gzip",
            Encoding::Deflate => "deflate",
        }
    }

    /// The encoding that a file's ending or a `COMPRESSION` clause means; `bz2` is only read.
    pub fn of_file(name: &str) -> Option<&'static str> {
        Some(match name.to_ascii_lowercase().as_str() {
            "gz" | "gzip" => "gzip",
            "zst" | "zstd" => "zstd",
            "br" | "brotli" => "br",
            "xz" | "lzma" => "xz",
            "lz4" => "lz4",
            "deflate" => "deflate",
            "snappy" => "snappy",
            "bz2" => "bz2",
            _ => return None,
        })
    }

    /// The one of this name, if it is written.
    pub fn named(name: &str) -> Option<Encoding> {
        Encoding::ALL.into_iter().find(|e| e.name() == name)
    }

    /// The encoding for a client that says `Accept-Encoding: accepted`.
    pub fn chosen(accepted: &str) -> Option<Encoding> {
        let names: Vec<&str> = accepted
            .split(',')
            .filter(|item| !item.replace(' ', "").ends_with(";q=0"))
            .map(|item| item.split(';').next().unwrap_or("").trim())
            .collect();
        Encoding::ALL
            .into_iter()
            .find(|e| names.iter().any(|name| name.eq_ignore_ascii_case(e.name())))
    }
}

/// A body in the encoding that `Content-Encoding` names, as plain bytes.
pub fn decoder(
    body: Box<dyn Read + Send>,
    content_encoding: Option<&str>,
) -> Result<Box<dyn Read + Send>> {
    let name = content_encoding.unwrap_or("").trim().to_ascii_lowercase();
    let source = |body| BufReader::with_capacity(INPUT_BYTES, body);
    Ok(match name.as_str() {
        "" | "identity" => body,
        "gzip" | "x-gzip" => Box::new(MultiGzDecoder::new(source(body))),
        "deflate" => Box::new(Members { inner: Some(ZlibDecoder::new(source(body))) }),
        "br" => Box::new(BrotliReader::new(source(body))),
        "zstd" => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(source(body))
                .map_err(|e| Error::new(codes::LOGICAL_ERROR, e.to_string()))?;
            decoder
                .window_log_max(ZSTD_WINDOW_LOG_MAX)
                .map_err(|e| Error::new(codes::LOGICAL_ERROR, e.to_string()))?;
            Box::new(decoder)
        }
        "lz4" => Box::new(Lz4Reader::new(source(body))),
        "snappy" => Box::new(SnappyReader::new(source(body))),
        "xz" => Box::new(XzReader::new_mem_limit(source(body), true, XZ_MEMORY_KIB_MAX)),
        "bz2" => Box::new(bzip2::bufread::MultiBzDecoder::new(source(body))),
        other => {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                format!("Unknown compression method: {other}"),
            ));
        }
    })
}

type Source = BufReader<Box<dyn Read + Send>>;

/// zlib streams one behind the other.
struct Members {
    inner: Option<ZlibDecoder<Source>>,
}

impl Read for Members {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(decoder) = &mut self.inner else { return Ok(0) };
            let n = decoder.read(buffer)?;
            if n > 0 || buffer.is_empty() {
                return Ok(n);
            }
            let Some(ended) = self.inner.take() else { return Ok(0) };
            let mut source = ended.into_inner();
            if !source.fill_buf()?.is_empty() {
                self.inner = Some(ZlibDecoder::new(source));
            }
        }
    }
}

/// Brotli streams one behind the other. The format knows no end but its own, so what is left of the
/// input begins the next stream.
struct BrotliReader {
    source: Source,
    state: Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
    /// Within a stream: the input must not end.
    open: bool,
}

fn brotli_state() -> Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>> {
    let alloc = StandardAlloc::default;
    Box::new(BrotliState::new_strict(alloc(), alloc(), alloc()))
}

impl BrotliReader {
    fn new(source: Source) -> BrotliReader {
        BrotliReader { source, state: brotli_state(), open: false }
    }
}

impl Read for BrotliReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let input = self.source.fill_buf()?;
            let ended = input.is_empty();
            if ended && !self.open {
                return Ok(0);
            }
            self.open = true;
            let (mut available_in, mut used) = (input.len(), 0);
            let (mut room, mut written, mut total) = (buffer.len(), 0, 0);
            let result = BrotliDecompressStream(
                &mut available_in,
                &mut used,
                input,
                &mut room,
                &mut written,
                buffer,
                &mut total,
                &mut self.state,
            );
            self.source.consume(used);
            match result {
                BrotliResult::ResultSuccess => {
                    self.state = brotli_state();
                    self.open = false;
                }
                BrotliResult::ResultFailure => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "Cannot decode a brotli stream",
                    ));
                }
                BrotliResult::NeedsMoreInput if ended && written == 0 => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                _ => {}
            }
            if written > 0 || buffer.is_empty() {
                return Ok(written);
            }
        }
    }
}

/// Packs a stream in one of the encodings.
pub struct Encoder {
    encoding: Encoding,
    stream: Stream,
}

enum Stream {
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Lz4(Box<lz4_flex::frame::FrameEncoder<Vec<u8>>>),
    Snappy(Vec<u8>),
    Xz(Box<XzWriter<Vec<u8>>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Ended,
}

impl Encoder {
    /// `level` is `http_zlib_compression_level`.
    pub fn new(encoding: Encoding, level: u32) -> io::Result<Encoder> {
        let stream = match encoding {
            Encoding::Gzip => Stream::Gzip(GzEncoder::new(vec![], Compression::new(level.min(9)))),
            Encoding::Deflate => {
                Stream::Deflate(ZlibEncoder::new(vec![], Compression::new(level.min(9))))
            }
            Encoding::Zstd => {
                let level = level.clamp(1, 19) as i32;
                Stream::Zstd(zstd::stream::write::Encoder::new(vec![], level)?)
            }
            Encoding::Lz4 => Stream::Lz4(Box::new(lz4_flex::frame::FrameEncoder::new(Vec::new()))),
            Encoding::Snappy => Stream::Snappy(vec![]),
            Encoding::Xz => {
                Stream::Xz(Box::new(XzWriter::new(vec![], XzOptions::with_preset(level.min(9)))?))
            }
            Encoding::Brotli => Stream::Brotli(Box::new(brotli::CompressorWriter::new(
                vec![],
                INPUT_BYTES,
                level.min(11),
                BROTLI_WINDOW_LOG,
            ))),
        };
        Ok(Encoder { encoding, stream })
    }

    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Packs `bytes`; returns what is ready. `last` ends the stream.
    pub fn encode(&mut self, bytes: &[u8], last: bool) -> io::Result<Vec<u8>> {
        match &mut self.stream {
            Stream::Gzip(e) => e.write_all(bytes)?,
            Stream::Deflate(e) => e.write_all(bytes)?,
            Stream::Zstd(e) => e.write_all(bytes)?,
            Stream::Lz4(e) => e.write_all(bytes)?,
            Stream::Brotli(e) => e.write_all(bytes)?,
            Stream::Snappy(out) => snappy::frame(bytes, out)?,
            Stream::Xz(e) => e.write_all(bytes)?,
            Stream::Ended => return Ok(vec![]),
        }
        if last {
            return match std::mem::replace(&mut self.stream, Stream::Ended) {
                Stream::Gzip(e) => e.finish(),
                Stream::Deflate(e) => e.finish(),
                Stream::Zstd(e) => e.finish(),
                Stream::Lz4(e) => e.finish().map_err(io::Error::other),
                Stream::Brotli(e) => Ok(e.into_inner()),
                Stream::Snappy(out) => Ok(out),
                Stream::Xz(e) => e.finish(),
                Stream::Ended => Ok(vec![]),
            };
        }
        Ok(std::mem::take(match &mut self.stream {
            Stream::Gzip(e) => e.get_mut(),
            Stream::Deflate(e) => e.get_mut(),
            Stream::Zstd(e) => e.get_mut(),
            Stream::Lz4(e) => e.get_mut(),
            Stream::Brotli(e) => e.get_mut(),
            Stream::Snappy(out) => out,
            Stream::Xz(e) => e.inner_mut(),
            Stream::Ended => return Ok(vec![]),
        }))
    }
}

/// Packs what is written into `inner`.
pub struct PackedWriter<W: Write> {
    encoder: Encoder,
    inner: W,
}

impl<W: Write> PackedWriter<W> {
    pub fn new(inner: W, encoding: Encoding, level: u32) -> io::Result<PackedWriter<W>> {
        Ok(PackedWriter { encoder: Encoder::new(encoding, level)?, inner })
    }

    /// Writes the stream's end.
    pub fn finish(mut self) -> io::Result<W> {
        let end = self.encoder.encode(&[], true)?;
        self.inner.write_all(&end)?;
        Ok(self.inner)
    }
}

impl<W: Write> Write for PackedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let packed = self.encoder.encode(bytes, false)?;
        self.inner.write_all(&packed)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
