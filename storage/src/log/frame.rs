//! A frame: the bytes of one commit group, or of a checkpoint's state, in a manifest file.
//!
//! 64 bytes of header, then the payload, then zeros up to a multiple of [`ALIGNMENT`], so that writing
//! a frame never touches the page (or the sector) of an earlier one. Each frame holds the hash of the
//! one before it: frames cannot be lost, swapped or taken from another log without notice.
//!
//! Header, little-endian: magic u32 · format u8 · kind u8 · zero u16 · payload bytes u64 · version u64
//! · epoch u32 · allocated pages u32 · hash of the previous frame u128 · hash u128 (XXH3-128 of the 48 bytes
//! before it and the payload).

use xxhash_rust::xxh3::Xxh3;

/// Frames begin at multiples of this many bytes.
pub const ALIGNMENT: u64 = 4096;
pub const HEADER_BYTES: usize = 64;
/// A frame's payload is at most this long; more is damage (or a commit to refuse).
pub const PAYLOAD_BYTES_MAX: u64 = 1 << 30;

const MAGIC: u32 = u32::from_le_bytes(*b"PHfr");
const FORMAT: u8 = 1;
const HASHED: usize = 48;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// The payload is edits; the frame's version is one more than the one before.
    Edits,
    /// The payload is a whole state, of the same version as the frame before.
    Snapshot,
}

/// What a frame says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    pub kind: FrameKind,
    pub payload_bytes: u64,
    pub version: u64,
    pub epoch: u32,
    /// Length of the file, in units of [`ALIGNMENT`], when the frame was written: it can only grow.
    pub allocated_pages: u32,
    pub previous: u128,
    pub hash: u128,
}

impl FrameHeader {
    /// Bytes that the frame takes up in its file, padding included.
    pub fn frame_bytes(&self) -> u64 {
        padded(HEADER_BYTES as u64 + self.payload_bytes)
    }

    /// Whether `payload` is what was written under this header.
    pub fn matches(&self, payload: &[u8]) -> bool {
        self.payload_bytes == payload.len() as u64 && hash(&self.fields(), payload) == self.hash
    }

    fn fields(&self) -> [u8; HASHED] {
        let mut b = [0; HASHED];
        b[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        b[4] = FORMAT;
        b[5] = match self.kind {
            FrameKind::Edits => 0,
            FrameKind::Snapshot => 1,
        };
        b[8..16].copy_from_slice(&self.payload_bytes.to_le_bytes());
        b[16..24].copy_from_slice(&self.version.to_le_bytes());
        b[24..28].copy_from_slice(&self.epoch.to_le_bytes());
        b[28..32].copy_from_slice(&self.allocated_pages.to_le_bytes());
        b[32..48].copy_from_slice(&self.previous.to_le_bytes());
        b
    }
}

/// The next multiple of [`ALIGNMENT`].
pub fn padded(bytes: u64) -> u64 {
    bytes.next_multiple_of(ALIGNMENT)
}

/// A frame's bytes, padding included, and its hash. `header` says all but the length and the hash of
/// the payload, which are filled in.
pub fn encode_frame(header: FrameHeader, payload: &[u8]) -> (Vec<u8>, u128) {
    let header = FrameHeader { payload_bytes: payload.len() as u64, ..header };
    let fields = header.fields();
    let hash = hash(&fields, payload);
    let mut bytes = Vec::with_capacity(header.frame_bytes() as usize);
    bytes.extend_from_slice(&fields);
    bytes.extend_from_slice(&hash.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes.resize(header.frame_bytes() as usize, 0);
    (bytes, hash)
}

/// The header in the first [`HEADER_BYTES`] of `bytes`, or why there is none. Its hash is not
/// verified yet: that takes the payload.
pub fn decode_header(bytes: &[u8; HEADER_BYTES]) -> Result<FrameHeader, &'static str> {
    let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
    let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
    let u128_at = |at: usize| u128::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
    if u32_at(0) != MAGIC {
        return Err("no frame begins here");
    }
    let kind = match (bytes[4], bytes[5]) {
        (FORMAT, 0) => FrameKind::Edits,
        (FORMAT, 1) => FrameKind::Snapshot,
        _ => return Err("a frame of an unknown format or kind"),
    };
    if bytes[6..8] != [0; 2] {
        return Err("reserved bytes of a frame's header are not zero");
    }
    let payload_bytes = u64_at(8);
    if payload_bytes > PAYLOAD_BYTES_MAX {
        return Err("a frame longer than any that is written");
    }
    Ok(FrameHeader {
        kind,
        payload_bytes,
        version: u64_at(16),
        epoch: u32_at(24),
        allocated_pages: u32_at(28),
        previous: u128_at(32),
        hash: u128_at(48),
    })
}

/// Whether a frame's magic stands at the start of `bytes`.
pub fn has_magic(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC.to_le_bytes())
}

fn hash(fields: &[u8; HASHED], payload: &[u8]) -> u128 {
    let mut hasher = Xxh3::new();
    hasher.update(fields);
    hasher.update(payload);
    hasher.digest128()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_of_a_frame_counts() {
        let fields = FrameHeader {
            kind: FrameKind::Edits,
            payload_bytes: 0,
            version: 7,
            epoch: 3,
            allocated_pages: 5,
            previous: 99,
            hash: 0,
        };
        let (bytes, hash) = encode_frame(fields, b"payload");
        let header: [u8; HEADER_BYTES] = bytes[..HEADER_BYTES].try_into().unwrap();
        let read = decode_header(&header).unwrap();
        assert_eq!(read, FrameHeader { payload_bytes: 7, hash, ..fields });
        assert!(read.matches(b"payload"));
        assert_eq!(bytes.len() as u64, ALIGNMENT);
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = header;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!decode_header(&flipped).is_ok_and(|h| h.matches(b"payload")), "bit {bit}");
        }
        assert!(!read.matches(b"paylaod"));
        assert!(!read.matches(b"payload\0"));
    }
}
