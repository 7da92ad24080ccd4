//! ClickHouse's compressed frames: a CityHash128 of what follows, a method byte, two lengths, the data.
//!
//! [`FrameWriter`] writes LZ4 (the method that every client reads) or what it is told; [`FrameReader`]
//! reads LZ4, ZSTD and uncompressed frames, checks each before it is unpacked, and holds one frame at a
//! time. [`write_frame`] and [`parse_frame`] are the parts for one frame, for packets.

use std::io::{self, Read};

use pumphouse_query::functions::city::city_hash_128;

/// Uncompressed bytes of a frame that we write.
const FRAME_BYTES: usize = 1 << 20;
/// Bytes of a frame that we take, either way.
const FRAME_BYTES_MAX: usize = 128 << 20;
/// Checksum, method, two lengths.
const CHECKSUM_BYTES: usize = 16;
const HEADER_BYTES: usize = 9;
/// What marks an error as one of a checksum, for the error code.
const CHECKSUM_ERROR: &str = "Checksum doesn't match: corrupted data";

/// Whether reading failed because a frame is not what was sent: clients know that by its code, 40.
pub fn is_damaged(e: &io::Error) -> bool {
    e.to_string() == CHECKSUM_ERROR
}

/// How a frame's data is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    None,
    Lz4,
    Zstd,
}

impl Method {
    fn byte(self) -> u8 {
        match self {
            Method::None => 0x02,
            Method::Lz4 => 0x82,
            Method::Zstd => 0x90,
        }
    }
}

/// Appends `bytes` as one frame.
pub fn write_frame(bytes: &[u8], method: Method, out: &mut Vec<u8>) {
    let packed = match method {
        Method::Lz4 => Some(lz4_flex::block::compress(bytes)),
        Method::Zstd => zstd::bulk::compress(bytes, 1).ok(),
        Method::None => None,
    };
    // Should ZSTD fail, the bytes go as they are.
    let method = if packed.is_some() { method } else { Method::None };
    let data = packed.as_deref().unwrap_or(bytes);
    let start = out.len();
    out.extend_from_slice(&[0; CHECKSUM_BYTES]);
    out.push(method.byte());
    out.extend_from_slice(&((data.len() + HEADER_BYTES) as u32).to_le_bytes());
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(data);
    let (low, high) = city_hash_128(&out[start + CHECKSUM_BYTES..]);
    out[start..start + 8].copy_from_slice(&low.to_le_bytes());
    out[start + 8..start + CHECKSUM_BYTES].copy_from_slice(&high.to_le_bytes());
}

/// Gathers bytes to frames of about a megabyte.
pub struct FrameWriter {
    pending: Vec<u8>,
    method: Method,
}

impl Default for FrameWriter {
    fn default() -> FrameWriter {
        FrameWriter::new(Method::Lz4)
    }
}

impl FrameWriter {
    pub fn new(method: Method) -> FrameWriter {
        FrameWriter { pending: vec![], method }
    }

    /// Takes bytes in; whole frames are appended to `out`.
    pub fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut bytes = bytes;
        while self.pending.len() + bytes.len() >= FRAME_BYTES {
            let (now, rest) = bytes.split_at(FRAME_BYTES - self.pending.len());
            self.pending.extend_from_slice(now);
            self.flush(out);
            bytes = rest;
        }
        self.pending.extend_from_slice(bytes);
    }

    /// Appends what is left as a frame.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        if !self.pending.is_empty() {
            write_frame(&self.pending, self.method, out);
            self.pending.clear();
        }
    }
}

fn bad(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

/// The frame at the beginning of `bytes`, unpacked, and the bytes it takes; None if it is not whole.
pub fn parse_frame(bytes: &[u8], check: bool) -> io::Result<Option<(Vec<u8>, usize)>> {
    let Some(header) = bytes.get(CHECKSUM_BYTES..CHECKSUM_BYTES + HEADER_BYTES) else {
        return Ok(None);
    };
    let (packed, unpacked) = lengths(header)?;
    let Some(data) = bytes.get(CHECKSUM_BYTES..CHECKSUM_BYTES + packed) else { return Ok(None) };
    let frame = unpack(&bytes[..CHECKSUM_BYTES], data, unpacked, check)?;
    Ok(Some((frame, CHECKSUM_BYTES + packed)))
}

/// Of the packed data with its header, and of what it unpacks to.
fn lengths(header: &[u8]) -> io::Result<(usize, usize)> {
    let number = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize
    };
    let (packed, unpacked) = (number(1), number(5));
    if packed < HEADER_BYTES {
        return Err(bad(format!("a compressed frame of {packed} bytes")));
    }
    if packed > FRAME_BYTES_MAX || unpacked > FRAME_BYTES_MAX {
        return Err(bad(format!(
            "Too large compressed frame: {packed} bytes for {unpacked}, maximum: {FRAME_BYTES_MAX}"
        )));
    }
    Ok((packed, unpacked))
}

fn unpack(checksum: &[u8], data: &[u8], unpacked: usize, check: bool) -> io::Result<Vec<u8>> {
    if check {
        let (low, high) = city_hash_128(data);
        if checksum[..8] != low.to_le_bytes() || checksum[8..] != high.to_le_bytes() {
            return Err(bad(CHECKSUM_ERROR));
        }
    }
    let packed = &data[HEADER_BYTES..];
    let frame = match data[0] {
        0x02 => packed.to_vec(),
        0x82 => lz4_flex::block::decompress(packed, unpacked)
            .map_err(|e| bad(format!("Cannot decompress LZ4-encoded data: {e}")))?,
        0x90 => zstd::bulk::decompress(packed, unpacked)
            .map_err(|e| bad(format!("Cannot decompress ZSTD-encoded data: {e}")))?,
        other => return Err(bad(format!("Unknown compression method: 0x{other:02x}"))),
    };
    if frame.len() != unpacked {
        return Err(bad(format!("a frame of {unpacked} bytes unpacks to {}", frame.len())));
    }
    Ok(frame)
}

/// Reads frames as one stream of bytes.
pub struct FrameReader<R> {
    source: R,
    check: bool,
    frame: Vec<u8>,
    at: usize,
}

impl<R: Read> FrameReader<R> {
    /// `check` false: checksums are not looked at.
    pub fn new(source: R, check: bool) -> FrameReader<R> {
        FrameReader { source, check, frame: vec![], at: 0 }
    }

    /// The next frame; false at the end.
    fn next(&mut self) -> io::Result<bool> {
        let mut head = [0; CHECKSUM_BYTES + HEADER_BYTES];
        let mut got = 0;
        while got < head.len() {
            match self.source.read(&mut head[got..])? {
                0 if got == 0 => return Ok(false),
                0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a frame is cut")),
                n => got += n,
            }
        }
        let header = &head[CHECKSUM_BYTES..];
        let (packed, unpacked) = lengths(header)?;
        let mut data = header.to_vec();
        let rest = (packed - HEADER_BYTES) as u64;
        // Grows with what comes, not with what was announced.
        if self.source.by_ref().take(rest).read_to_end(&mut data)? as u64 != rest {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a frame is cut"));
        }
        self.frame = unpack(&head[..CHECKSUM_BYTES], &data, unpacked, self.check)?;
        self.at = 0;
        Ok(true)
    }
}

impl<R: Read> Read for FrameReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.frame.len() {
            if !self.next()? {
                return Ok(0);
            }
        }
        let n = buffer.len().min(self.frame.len() - self.at);
        buffer[..n].copy_from_slice(&self.frame[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}
