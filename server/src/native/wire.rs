//! The words of the protocol on a socket: numbers, texts, blocks. Reading takes anything: what makes no
//! sense is an error with a code, lengths are bounded, and nothing is allocated beyond what has come.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pumphouse_ingest::format::native::{Mode, read_block, write_block_as};
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};
use pumphouse_storage::Block;

use crate::compression::frames::{Method, is_damaged, parse_frame, write_frame};

/// A text that a client may send: a query, a value.
const TEXT_BYTES_MAX: u64 = 16 << 20;
/// A block, packed or not.
const BLOCK_BYTES_MAX: usize = 1 << 30;
/// A client that stops in the middle of a packet is given up; one that takes no more bytes, too.
const PACKET_WAIT: Duration = Duration::from_secs(300);
const READ_BYTES: usize = 64 << 10;
/// Bytes of a chunk that goes out.
const CHUNK_BYTES: usize = 1 << 20;
/// Bytes of a frame.
const FRAME_BYTES: usize = 1 << 20;

/// What is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    Bytes,
    Nothing,
    Closed,
}

/// The reading side; owned by the connection's thread.
pub struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
    at: usize,
    /// What came and is not taken out of its chunks yet; None: nothing comes in chunks.
    chunks: Option<Chunks>,
    /// When all that is to be read must have come; else each piece may take [`PACKET_WAIT`].
    pub deadline: Option<Instant>,
}

impl Reader {
    pub fn new(stream: TcpStream) -> Reader {
        Reader { stream, buffer: vec![], at: 0, chunks: None, deadline: None }
    }

    /// What comes from here on is in chunks.
    pub fn begin_chunks(&mut self) {
        let rest = self.buffer.split_off(self.at);
        self.buffer.clear();
        self.at = 0;
        self.chunks = Some(Chunks { rest, left: 0 });
        self.unpack();
    }

    /// Takes what there is out of its chunks.
    fn unpack(&mut self) {
        if let Some(chunks) = &mut self.chunks {
            chunks.unpack(&mut self.buffer);
        }
    }

    /// Waits up to `wait` for something to read.
    pub fn ready(&mut self, wait: Duration) -> io::Result<Ready> {
        if self.at < self.buffer.len() {
            return Ok(Ready::Bytes);
        }
        self.stream.set_read_timeout(Some(wait))?;
        match self.stream.peek(&mut [0]) {
            Ok(0) => Ok(Ready::Closed),
            Ok(_) if self.chunks.is_some() => self.ready_in_chunks(),
            Ok(_) => Ok(Ready::Bytes),
            Err(e) if is_timeout(&e) => Ok(Ready::Nothing),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(Ready::Nothing),
            Err(e) => Err(e),
        }
    }

    /// The same where bytes have come: they may only be the end of a packet's chunks.
    fn ready_in_chunks(&mut self) -> io::Result<Ready> {
        let mut piece = vec![0; READ_BYTES];
        let n = self.stream.read(&mut piece)?;
        if let Some(chunks) = &mut self.chunks {
            chunks.rest.extend_from_slice(&piece[..n]);
        }
        self.unpack();
        Ok(if self.at < self.buffer.len() { Ready::Bytes } else { Ready::Nothing })
    }

    /// The next byte, left where it is. Call when [`Ready::Bytes`].
    pub fn peek(&mut self) -> Result<u8> {
        self.need(1)?;
        Ok(self.buffer[self.at])
    }

    /// Makes sure that `count` bytes are in the buffer.
    fn need(&mut self, count: usize) -> Result<()> {
        while self.buffer.len() - self.at < count {
            self.fill()?;
        }
        Ok(())
    }

    /// Reads what there is, at least a byte.
    fn fill(&mut self) -> Result<()> {
        if self.at > 0 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        let old = self.buffer.len();
        // Reads grow with what is there already, so that a large block is looked at few times.
        let room = READ_BYTES.max(old / 2);
        self.buffer.resize(old + room, 0);
        let now = Instant::now();
        let until = self.deadline.unwrap_or(now + PACKET_WAIT);
        let wait = until.saturating_duration_since(now);
        if wait.is_zero() {
            self.buffer.truncate(old);
            return Err(broken(io::ErrorKind::TimedOut.into()));
        }
        self.stream.set_read_timeout(Some(wait)).map_err(broken)?;
        loop {
            match self.stream.read(&mut self.buffer[old..]) {
                Ok(0) => {
                    self.buffer.truncate(old);
                    return Err(broken(io::ErrorKind::UnexpectedEof.into()));
                }
                Ok(n) => {
                    self.buffer.truncate(old + n);
                    if let Some(chunks) = &mut self.chunks {
                        chunks.rest.extend(self.buffer.drain(old..));
                        self.unpack();
                    }
                    return Ok(());
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted && Instant::now() < until => {}
                Err(e) => {
                    self.buffer.truncate(old);
                    return Err(broken(e));
                }
            }
        }
    }

    pub fn u8(&mut self) -> Result<u8> {
        self.need(1)?;
        self.at += 1;
        Ok(self.buffer[self.at - 1])
    }

    pub fn bytes(&mut self, count: usize) -> Result<Vec<u8>> {
        self.need(count)?;
        self.at += count;
        Ok(self.buffer[self.at - count..self.at].to_vec())
    }

    /// LEB128: seven bits a byte, low ones first.
    pub fn varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(nonsense("a number of more than 64 bits"))
    }

    pub fn text(&mut self) -> Result<String> {
        let length = self.varint()?;
        if length > TEXT_BYTES_MAX {
            return Err(nonsense(&format!("a text of {length} bytes, more than {TEXT_BYTES_MAX}")));
        }
        let bytes = self.bytes(length as usize)?;
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into()))
    }

    /// A block as [`write_block`] writes it at `revision`, in frames if `compressed`.
    pub fn block(&mut self, revision: u64, compressed: bool) -> Result<Block> {
        if compressed {
            return self.framed_block(revision);
        }
        loop {
            let parsed = read_block(&self.buffer[self.at..], revision);
            match parsed.map_err(|e| Error::new(e.code, e.message))? {
                Some((block, used)) => {
                    self.at += used;
                    return Ok(block);
                }
                None if self.buffer.len() - self.at > BLOCK_BYTES_MAX => {
                    return Err(nonsense("a block of more than a gigabyte"));
                }
                None => self.fill()?,
            }
        }
    }

    fn framed_block(&mut self, revision: u64) -> Result<Block> {
        let mut unpacked: Vec<u8> = vec![];
        loop {
            let frame = loop {
                let parsed = parse_frame(&self.buffer[self.at..], true);
                match parsed.map_err(|e| bad_frame(&e))? {
                    Some((frame, used)) => {
                        self.at += used;
                        break frame;
                    }
                    None => self.fill()?,
                }
            };
            unpacked.extend_from_slice(&frame);
            if unpacked.len() > BLOCK_BYTES_MAX {
                return Err(nonsense("a block of more than a gigabyte"));
            }
            let parsed = read_block(&unpacked, revision);
            match parsed.map_err(|e| Error::new(e.code, e.message))? {
                Some((block, used)) if used == unpacked.len() => return Ok(block),
                Some(_) => return Err(nonsense("a frame holds more than its block")),
                None => {}
            }
        }
    }
}

/// Bytes in chunks: each begins with its length in four bytes, low ones first, and a packet ends with an empty one.
#[derive(Default)]
struct Chunks {
    rest: Vec<u8>,
    /// Bytes of the current chunk that have not come.
    left: usize,
}

impl Chunks {
    fn unpack(&mut self, into: &mut Vec<u8>) {
        let mut at = 0;
        loop {
            if self.left == 0 {
                let Some(length) = self.rest[at..].first_chunk::<4>() else { break };
                self.left = u32::from_le_bytes(*length) as usize;
                at += 4;
                continue;
            }
            let take = self.left.min(self.rest.len() - at);
            if take == 0 {
                break;
            }
            into.extend_from_slice(&self.rest[at..at + take]);
            self.left -= take;
            at += take;
        }
        self.rest.drain(..at);
    }
}

fn is_timeout(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn broken(e: io::Error) -> Error {
    Error::new(codes::NETWORK_ERROR, format!("the connection broke: {e}"))
}

fn bad_frame(e: &io::Error) -> Error {
    match is_damaged(e) {
        true => Error::new(codes::CHECKSUM_DOESNT_MATCH, e.to_string()),
        false => nonsense(&e.to_string()),
    }
}

/// The client said something that the protocol does not know.
pub fn nonsense(what: &str) -> Error {
    Error::new(
        codes::UNEXPECTED_PACKET_FROM_CLIENT,
        format!("Unexpected bytes from client: {what}"),
    )
}

/// The writing side; packets go out whole, whichever thread sends them.
pub struct Writer {
    stream: Mutex<TcpStream>,
    chunked: AtomicBool,
}

impl Writer {
    pub fn new(stream: TcpStream) -> io::Result<Writer> {
        stream.set_write_timeout(Some(PACKET_WAIT))?;
        Ok(Writer { stream: Mutex::new(stream), chunked: AtomicBool::new(false) })
    }

    /// What goes out from here on is in chunks.
    pub fn begin_chunks(&self) {
        self.chunked.store(true, Ordering::Relaxed);
    }

    /// Sends one packet.
    pub fn send(&self, packet: &[u8]) -> Result<()> {
        if !self.chunked.load(Ordering::Relaxed) {
            return self.stream.lock().write_all(packet).map_err(broken);
        }
        let mut framed = Vec::with_capacity(packet.len() + 8);
        for piece in packet.chunks(CHUNK_BYTES) {
            framed.extend_from_slice(&(piece.len() as u32).to_le_bytes());
            framed.extend_from_slice(piece);
        }
        framed.extend_from_slice(&[0; 4]);
        self.stream.lock().write_all(&framed).map_err(broken)
    }
}

/// Appends values to a packet.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Appends `block`, in frames of `method` if there is one.
pub fn put_block(
    out: &mut Vec<u8>,
    block: &Block,
    mode: Mode,
    method: Option<Method>,
) -> Result<()> {
    let Some(method) = method else { return write_block_as(block, mode, out) };
    let mut bytes = vec![];
    write_block_as(block, mode, &mut bytes)?;
    for piece in bytes.chunks(FRAME_BYTES) {
        write_frame(piece, method, out);
    }
    Ok(())
}
