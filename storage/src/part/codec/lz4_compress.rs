//! Compressing LZ4 blocks in place of the library's compressor: granules are many and small, so the table of
//! places is kept from one to the next without being cleared, and a block that saves too little is given up
//! on the way.
//!
//! Audited unsafe code. Places are looked at only where eight bytes are left; every write is within what
//! [`worst`] allows for; each block of code says why. The tests decode with the library.

use std::ptr::copy_nonoverlapping;

/// Places that are remembered, by the hash of the five bytes there.
const HASH_BITS: u32 = 12;
/// A match is at least this long, and begins this far before the end.
const MATCH_MIN: usize = 4;
const FAR_FROM_END: usize = 12;
/// The last bytes are no part of a match.
const LITERALS_AT_END: usize = 5;
const OFFSET_MAX: u32 = 65_535;
/// Steps grow by one after two to this power of places without a match.
const PATIENCE_BITS: usize = 4;
/// Bytes copied at once.
const STEP: usize = 16;
/// Longer blocks are the library's.
const BYTES_MAX: usize = 1 << 29;

/// A compressor with its memory.
pub(crate) struct Lz4Compressor {
    /// Each a place in a block and its `base`; what is below `base` is of blocks before.
    table: Box<[u32; 1 << HASH_BITS]>,
    base: u32,
}

impl Default for Lz4Compressor {
    fn default() -> Self {
        Lz4Compressor { table: Box::new([0; 1 << HASH_BITS]), base: 1 }
    }
}

/// Bytes that a block of that many may take, and room for copies that go past their end.
fn worst(length: usize) -> usize {
    length + length / 255 + 4 * STEP
}

impl Lz4Compressor {
    /// Puts one block of `bytes` into `out`, in place of what is there; false if that takes more than `most`,
    /// or seems to.
    pub(crate) fn compress(&mut self, bytes: &[u8], most: usize, out: &mut Vec<u8>) -> bool {
        out.clear();
        if bytes.len() > BYTES_MAX {
            *out = lz4_flex::block::compress(bytes);
            return out.len() <= most;
        }
        if self.base > u32::MAX - 2 * BYTES_MAX as u32 {
            self.table.fill(0);
            self.base = 1;
        }
        out.reserve(worst(bytes.len()));
        // SAFETY: as many bytes as `worst` says were reserved.
        let written = unsafe { self.run_any(bytes, most, out.as_mut_ptr()) };
        self.base += bytes.len() as u32;
        let Some(length) = written.filter(|length| *length <= most) else { return false };
        // SAFETY: `run` has written that many bytes of what was reserved.
        unsafe { out.set_len(length) };
        true
    }

    /// Remembers place `at`, where eight bytes are left; the place that was remembered for the same hash, if it
    /// is near enough.
    #[inline(always)]
    fn exchange(&mut self, bytes: &[u8], at: usize) -> Option<usize> {
        let hash = word(bytes, at) << 24;
        let slot = (hash.wrapping_mul(889_523_592_379) >> (64 - HASH_BITS)) as usize;
        let now = self.base + at as u32;
        let before = std::mem::replace(&mut self.table[slot & ((1 << HASH_BITS) - 1)], now);
        let near = before >= self.base && now - before <= OFFSET_MAX;
        near.then(|| (before - self.base) as usize)
    }

    /// [`Self::run`] with the instructions that the processor has.
    ///
    /// # Safety
    /// As of `run`.
    unsafe fn run_any(&mut self, bytes: &[u8], most: usize, to: *mut u8) -> Option<usize> {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("bmi1")
            && std::arch::is_x86_feature_detected!("bmi2")
        {
            #[target_feature(enable = "bmi1,bmi2")]
            unsafe fn with_bits(
                compressor: &mut Lz4Compressor,
                bytes: &[u8],
                most: usize,
                to: *mut u8,
            ) -> Option<usize> {
                // SAFETY: as the caller promises.
                unsafe { compressor.run(bytes, most, to) }
            }
            // SAFETY: the processor has what the function was compiled for; the rest as the caller promises.
            return unsafe { with_bits(self, bytes, most, to) };
        }
        // SAFETY: as the caller promises.
        unsafe { self.run(bytes, most, to) }
    }

    /// Writes a block to `to` and gives its length; None if it became more than `most` on the way.
    ///
    /// # Safety
    /// There is room for `worst(bytes.len())` bytes at `to`.
    #[inline(always)]
    unsafe fn run(&mut self, bytes: &[u8], most: usize, to: *mut u8) -> Option<usize> {
        let (mut at, mut anchor, mut done) = (0, 0, 0);
        // Where a match may begin and eight bytes are left; `checked_sub` as shorter blocks have none.
        let last = bytes.len().checked_sub(FAR_FROM_END);
        let limit = bytes.len().saturating_sub(LITERALS_AT_END);
        // Blocks are alike throughout: one whose beginning saves far too little is not read to its end.
        let (mut check, most_there) = (bytes.len() / 4, most / 4 + most / 16);
        'all: while let Some(last) = last {
            let mut tries = 1 << PATIENCE_BITS;
            let mut place = loop {
                if at > last {
                    break 'all;
                }
                match self.exchange(bytes, at) {
                    Some(place) if word(bytes, place) as u32 == word(bytes, at) as u32 => {
                        break place;
                    }
                    _ => at += tries >> PATIENCE_BITS,
                }
                tries += 1;
            };
            while at > anchor && place > 0 && bytes[at - 1] == bytes[place - 1] {
                (at, place) = (at - 1, place - 1);
            }
            let mut token = done;
            // SAFETY: what is written stands for the bytes before `at`, with lengths of 255 bytes each.
            done = unsafe { put_literals(bytes, anchor, at, to, done) };
            loop {
                let matched = same(bytes, place + MATCH_MIN, at + MATCH_MIN, limit);
                // SAFETY: a match is written in no more bytes than it stands for: two, and one per 255.
                done = unsafe { put_match(at - place, matched, to, token, done) };
                at += MATCH_MIN + matched;
                anchor = at;
                if at > check {
                    if done > most_there {
                        return None;
                    }
                    check = bytes.len();
                }
                if done > most {
                    return None;
                }
                if at > last {
                    break 'all;
                }
                self.exchange(bytes, at - 2);
                match self.exchange(bytes, at) {
                    Some(near) if word(bytes, near) as u32 == word(bytes, at) as u32 => {
                        place = near
                    }
                    _ => break,
                }
                token = done;
                // SAFETY: with the two bytes of the offset this is less than a match stands for.
                unsafe { *to.add(done) = 0 };
                done += 1;
            }
            at += 1;
        }
        if done + bytes.len() - anchor > most {
            return None;
        }
        // SAFETY: all bytes but for lengths of 255 bytes each.
        Some(unsafe { put_literals(bytes, anchor, bytes.len(), to, done) })
    }
}

/// The eight bytes at `at`, of which at least that many are there.
#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u64 {
    debug_assert!(at + 8 <= bytes.len());
    // SAFETY: callers look at places up to `FAR_FROM_END` before the end only, or before such.
    u64::from_le(unsafe { bytes.as_ptr().add(at).cast::<u64>().read_unaligned() })
}

/// How many bytes from `a` and from `b`, which is behind it, are the same, up to `limit`.
#[inline(always)]
fn same(bytes: &[u8], a: usize, b: usize, limit: usize) -> usize {
    let mut count = 0;
    while b + count + 8 <= limit {
        let different = word(bytes, a + count) ^ word(bytes, b + count);
        if different != 0 {
            return count + (different.trailing_zeros() / 8) as usize;
        }
        count += 8;
    }
    while b + count < limit && bytes[a + count] == bytes[b + count] {
        count += 1;
    }
    count
}

/// Writes a token without a match, and the literals of it; where the output ends.
///
/// # Safety
/// At `to` there is room for `done` bytes, the literals, one per 255 of them, and two steps.
#[inline(always)]
unsafe fn put_literals(bytes: &[u8], from: usize, end: usize, to: *mut u8, done: usize) -> usize {
    let count = end - from;
    // SAFETY: copies of whole steps are made where the input has as much; the room is promised.
    unsafe {
        *to.add(done) = (count.min(15) << 4) as u8;
        let done = if count < 15 { done + 1 } else { put_length(count - 15, to, done + 1) };
        let source = bytes.as_ptr().add(from);
        if end + STEP > bytes.len() {
            copy_nonoverlapping(source, to.add(done), count);
        } else {
            let mut copied = 0;
            while copied < count {
                copy_nonoverlapping(source.add(copied), to.add(done + copied), STEP);
                copied += STEP;
            }
        }
        done + count
    }
}

/// Writes a match of `matched` bytes more than the least, `offset` back, for the token at `token`; where the
/// output ends.
///
/// # Safety
/// At `to` there is room for `done` bytes, three more, and one per 255 of the match.
#[inline(always)]
unsafe fn put_match(
    offset: usize,
    matched: usize,
    to: *mut u8,
    token: usize,
    done: usize,
) -> usize {
    // SAFETY: `token` is before `done`; the rest is promised.
    unsafe {
        *to.add(token) |= matched.min(15) as u8;
        to.add(done).cast::<[u8; 2]>().write_unaligned((offset as u16).to_le_bytes());
        if matched < 15 { done + 2 } else { put_length(matched - 15, to, done + 2) }
    }
}

/// # Safety
/// At `to` there is room for `done` bytes, one more, and one per 255 of `length`.
#[inline(always)]
unsafe fn put_length(mut length: usize, to: *mut u8, mut done: usize) -> usize {
    // SAFETY: as promised.
    unsafe {
        while length >= 255 {
            *to.add(done) = 255;
            length -= 255;
            done += 1;
        }
        *to.add(done) = length as u8;
    }
    done + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Random(u64);

    impl Random {
        fn below(&mut self, n: usize) -> usize {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.0 >> 33) as usize % n
        }

        /// Bytes of repeats, of few kinds, or of all.
        fn bytes(&mut self, length: usize) -> Vec<u8> {
            let kinds = [1, 2, 4, 30, 256][self.below(5)];
            let mut bytes: Vec<u8> = vec![];
            while bytes.len() < length {
                if bytes.is_empty() || self.below(3) == 0 {
                    (0..1 + self.below(60)).for_each(|_| bytes.push(self.below(kinds) as u8));
                } else {
                    let (far, long) = (self.below(3), self.below(3));
                    let distance = 1 + self.below(bytes.len().min([3, 40, 70_000][far]));
                    for _ in 0..self.below([6, 30, 700][long]) {
                        bytes.push(bytes[bytes.len() - distance]);
                    }
                }
            }
            bytes.truncate(length);
            bytes
        }
    }

    fn round_trip(compressor: &mut Lz4Compressor, bytes: &[u8], out: &mut Vec<u8>) {
        assert!(compressor.compress(bytes, usize::MAX, out));
        let (mut plain, mut room) = (Lz4Compressor::default(), vec![0; worst(bytes.len())]);
        // SAFETY: there is as much room as `worst` says.
        let written = unsafe { plain.run(bytes, usize::MAX, room.as_mut_ptr()) };
        assert!(
            lz4_flex::block::decompress(&room[..written.unwrap()], bytes.len()).unwrap() == bytes
        );
        assert!(out.len() + 2 * STEP <= worst(bytes.len()));
        let back = lz4_flex::block::decompress(out, bytes.len()).unwrap();
        assert!(back == bytes, "{} bytes", bytes.len());
        let mut ours = vec![0; bytes.len()];
        assert!(super::super::lz4::decode(out, &mut ours).is_ok() && ours == bytes);
        let whole = out.clone();
        // It may be given up early, but then nothing is there.
        assert!(!compressor.compress(bytes, whole.len(), out) || *out == whole);
        assert!(!compressor.compress(bytes, whole.len() - 1, out) && out.is_empty());
    }

    #[test]
    fn the_library_reads_every_block() {
        let (mut random, mut compressor, mut out) = (Random(5), Lz4Compressor::default(), vec![]);
        for length in 0..300 {
            let bytes = random.bytes(length);
            round_trip(&mut compressor, &bytes, &mut out);
        }
        for _ in 0..1500 {
            let length = [100, 5000, 200_000][random.below(3)];
            let length = 1 + random.below(length);
            let bytes = random.bytes(length);
            round_trip(&mut compressor, &bytes, &mut out);
        }
        for bytes in [vec![7; 1 << 20], vec![0; 70_000]] {
            round_trip(&mut compressor, &bytes, &mut out);
            assert!(out.len() < bytes.len() / 200);
        }
    }

    #[test]
    fn places_of_blocks_before_are_forgotten() {
        let (mut random, mut compressor, mut out) = (Random(9), Lz4Compressor::default(), vec![]);
        let bytes = random.bytes(3000);
        for base in [1, u32::MAX - 2 * BYTES_MAX as u32 - 1500, u32::MAX - 2 * BYTES_MAX as u32 + 1]
        {
            compressor.base = base;
            (0..3).for_each(|_| round_trip(&mut compressor, &bytes, &mut out));
        }
    }
}
