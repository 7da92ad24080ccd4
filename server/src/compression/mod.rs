//! Compressed bodies, both ways: HTTP's content encodings ([`encodings`]) and ClickHouse's own frames
//! ([`frames`], asked for by `compress=1` and `decompress=1`, which the native protocol uses, too).
//!
//! Everything streams with bounded memory: a small body that unpacks to a huge one costs time, never
//! memory, and what it becomes is bounded by those who read it.

pub mod encodings;
pub mod frames;
mod lz4;
mod snappy;

use std::io::{self, Read};

use pumphouse_query::Result;

use encodings::{Encoder, Encoding};
use frames::{FrameReader, FrameWriter};

/// How the request's body comes.
pub fn unpacked(
    body: Box<dyn Read + Send>,
    content_encoding: Option<&str>,
    frames: bool,
    check: bool,
) -> Result<Box<dyn Read + Send>> {
    let body = encodings::decoder(body, content_encoding)?;
    Ok(if frames { Box::new(FrameReader::new(body, check)) } else { body })
}

/// What packs a response: frames first, the encoding around them.
#[derive(Default)]
pub struct Packer {
    frames: Option<FrameWriter>,
    encoder: Option<Encoder>,
}

impl Packer {
    pub fn new(frames: bool, encoding: Option<Encoding>, level: u32) -> io::Result<Packer> {
        Ok(Packer {
            frames: frames.then(FrameWriter::default),
            encoder: encoding.map(|e| Encoder::new(e, level)).transpose()?,
        })
    }

    /// Whether bytes go out as they are.
    pub fn is_plain(&self) -> bool {
        self.frames.is_none() && self.encoder.is_none()
    }

    /// The name for `Content-Encoding`.
    pub fn encoding_name(&self) -> Option<&'static str> {
        self.encoder.as_ref().map(|e| e.encoding().name())
    }

    /// Packs `bytes`; what is ready comes back, the rest with a later call. `last` ends the stream.
    pub fn pack(&mut self, bytes: Vec<u8>, last: bool) -> io::Result<Vec<u8>> {
        let mut bytes = bytes;
        if let Some(frames) = &mut self.frames {
            let mut out = vec![];
            frames.write(&bytes, &mut out);
            if last {
                frames.flush(&mut out);
            }
            bytes = out;
        }
        match &mut self.encoder {
            Some(encoder) => encoder.encode(&bytes, last),
            None => Ok(bytes),
        }
    }
}

#[cfg(test)]
mod tests;
