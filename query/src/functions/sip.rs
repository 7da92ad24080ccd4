//! SipHash-2-4, 64 and 128 bit (the 128 bit one is ClickHouse's: both halves of the final state).

fn start(key: (u64, u64)) -> [u64; 4] {
    [
        0x736f_6d65_7073_6575 ^ key.0,
        0x646f_7261_6e64_6f6d ^ key.1,
        0x6c79_6765_6e65_7261 ^ key.0,
        0x7465_6462_7974_6573 ^ key.1,
    ]
}

/// The state after all bytes.
fn state(key: (u64, u64), bytes: &[u8]) -> [u64; 4] {
    let mut v = start(key);
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let word = chunk.iter().rev().fold(0u64, |w, b| w << 8 | *b as u64);
        absorb(&mut v, word);
    }
    let rest = chunks.remainder().iter().rev().fold(0u64, |w, b| w << 8 | *b as u64);
    absorb(&mut v, rest | (bytes.len() as u64) << 56);
    end(&mut v);
    v
}

fn end(v: &mut [u64; 4]) {
    v[2] ^= 0xff;
    (0..4).for_each(|_| round(v));
}

/// Both halves of the state that `v` ends in.
fn finished(mut v: [u64; 4]) -> [u8; 16] {
    end(&mut v);
    halves(v)
}

fn halves(v: [u64; 4]) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&(v[0] ^ v[1]).to_le_bytes());
    out[8..].copy_from_slice(&(v[2] ^ v[3]).to_le_bytes());
    out
}

fn absorb(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    round(v);
    round(v);
    v[0] ^= word;
}

#[inline(always)]
fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

/// A hash of bytes that come piece by piece.
pub struct SipStream {
    v: [u64; 4],
    /// Bytes that do not fill a word yet.
    waiting: u64,
    count: u64,
}

impl Default for SipStream {
    fn default() -> SipStream {
        SipStream { v: start((0, 0)), waiting: 0, count: 0 }
    }
}

impl SipStream {
    pub fn update(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.waiting |= (*b as u64) << (8 * (self.count % 8));
            self.count += 1;
            if self.count.is_multiple_of(8) {
                absorb(&mut self.v, std::mem::take(&mut self.waiting));
            }
        }
    }

    /// The 128 bits of all bytes so far.
    pub fn finish(&self) -> [u8; 16] {
        let mut v = self.v;
        absorb(&mut v, self.waiting | self.count << 56);
        finished(v)
    }
}

pub(super) fn sip_hash_64(bytes: &[u8]) -> u64 {
    sip_hash_64_keyed((0, 0), bytes)
}

pub(super) fn sip_hash_64_keyed(key: (u64, u64), bytes: &[u8]) -> u64 {
    let v = state(key, bytes);
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

pub(super) fn sip_hash_128(bytes: &[u8]) -> [u8; 16] {
    halves(state((0, 0), bytes))
}
