//! Decoding LZ4 blocks in place of the library's decoder: literals and matches are copied in steps of
//! fixed size that may write past their end, as far as there is room. Two blocks at once take two thirds of the time
//! of one after the other: where a sequence begins is known only from the one before, so that the processor mostly waits.
//!
//! [`short`] decodes the sequences that are nearly all, far from every end; [`long`] decodes any, step by step.
//!
//! Audited unsafe code. Every read of the input is before its end, every write before `room`, every
//! match begins behind the first byte that was written; each copy says why next to it. The tests
//! compare with the library's decoder, on good and on broken blocks.

use std::ptr::copy_nonoverlapping;

/// Bytes of room behind the decoded ones that spare the careful way at the end.
const SLACK: usize = 2 * FAR;
/// Copies that begin this far from an end need not look where it is.
const FAR: usize = 64;

/// Sequences of each block between two looks at what they are like, and bytes of one on average from which on many are
/// long matches.
const ROUND: usize = 1024;
const MIXED_BYTES: usize = 11;

/// Fills `out` from one block; false if it is not one of this length.
pub(super) fn decode(stored: &[u8], out: &mut [u8]) -> bool {
    let job = Job::new(stored, out.as_mut_ptr(), out.len(), out.len());
    // SAFETY: `out` has as much room as its length.
    unsafe { run::<false>(job, Place::default()) }
}

/// Fills the first `length` bytes of `out` from one block that has at least as many; false if it has not,
/// or `out` is shorter. Bytes behind them may be overwritten.
pub(super) fn decode_head(stored: &[u8], out: &mut [u8], length: usize) -> bool {
    let job = Job::new(stored, out.as_mut_ptr(), length, out.len());
    // SAFETY: `out` has as much room as its length, and `length` is not more.
    length <= out.len() && unsafe { run::<true>(job, Place::default()) }
}

/// Appends the `length` bytes of one block to `out`; false if it is not one of this length.
pub(super) fn append(stored: &[u8], out: &mut Vec<u8>, length: usize) -> bool {
    out.reserve(length + SLACK);
    let room = out.spare_capacity_mut();
    let job = Job::new(stored, room.as_mut_ptr().cast(), length, room.len());
    // SAFETY: there is this room behind the bytes of `out`, and `length` is not more.
    if !unsafe { run::<false>(job, Place::default()) } {
        return false;
    }
    // SAFETY: `run` has written all `length` bytes.
    unsafe { out.set_len(out.len() + length) };
    true
}

/// Appends the bytes of two blocks, each with its length; false if they are none of these lengths.
pub(super) fn append_two(first: (&[u8], usize), second: (&[u8], usize), out: &mut Vec<u8>) -> bool {
    let length = first.1 + second.1;
    out.reserve(length + SLACK);
    let room = out.spare_capacity_mut();
    let start = room.as_mut_ptr().cast::<u8>();
    // The second begins where the first ends.
    let one = Job::new(first.0, start, first.1, first.1);
    let rest = room.len() - first.1;
    // SAFETY: as much room was reserved.
    let behind = unsafe { start.add(first.1) };
    let other = Job::new(second.0, behind, second.1, rest);
    // SAFETY: each has its room behind the bytes of `out`.
    if !unsafe { run_two(one, other) } {
        return false;
    }
    // SAFETY: `run_two` has written all `length` bytes.
    unsafe { out.set_len(out.len() + length) };
    true
}

/// A block, and where its `length` bytes go. Bytes up to `room` may be overwritten.
#[derive(Clone, Copy)]
struct Job<'a> {
    input: &'a [u8],
    out: *mut u8,
    length: usize,
    room: usize,
    /// Where [`short`] stops.
    near_in: usize,
    near_out: usize,
}

impl Job<'_> {
    fn new(input: &[u8], out: *mut u8, length: usize, room: usize) -> Job<'_> {
        let near_in = input.len().saturating_sub(FAR);
        let near_out = length.min(room).saturating_sub(2 * FAR);
        Job { input, out, length, room, near_in, near_out }
    }
}

/// Before a sequence: bytes read, bytes written.
#[derive(Clone, Copy, Default)]
struct Place {
    at: usize,
    done: usize,
}

enum Next {
    More(Place),
    /// And whether the block was one.
    Over(bool),
}

/// Decodes from `place` on; with `HEAD` there may be more bytes than `job.length`, which are left.
///
/// # Safety
/// `job.out` has room for `job.room` bytes, `job.length` is not more; `place` is one that this file gave.
unsafe fn run<const HEAD: bool>(job: Job<'_>, mut place: Place) -> bool {
    loop {
        // SAFETY: as the caller promises.
        unsafe {
            while short::<false>(job, &mut place) {}
            match long::<HEAD>(job, place) {
                Next::More(next) => place = next,
                Next::Over(good) => return good,
            }
        }
    }
}

/// Decodes two blocks, a sequence of each in turn.
///
/// # Safety
/// As of [`run`], for both; the rooms do not overlap.
unsafe fn run_two(one: Job<'_>, other: Job<'_>) -> bool {
    let mut places = [Place::default(); 2];
    let mut mixed = false;
    loop {
        // SAFETY: as the caller promises.
        unsafe {
            let before = places[0].done + places[1].done;
            let left;
            (places, left) = match mixed {
                true => in_turns::<true>(one, other, places),
                false => in_turns::<false>(one, other, places),
            };
            if left == 0 {
                // As the last were, the next will be.
                mixed = places[0].done + places[1].done - before > 2 * ROUND * MIXED_BYTES;
                continue;
            }
            match long::<false>(one, places[0]) {
                Next::More(next) => places[0] = next,
                Next::Over(good) => return good && run::<false>(other, places[1]),
            }
            match long::<false>(other, places[1]) {
                Next::More(next) => places[1] = next,
                Next::Over(good) => return good && run::<false>(one, places[0]),
            }
        }
    }
}

/// Passes [`ROUND`] sequences of both in turns, or fewer if one needs a closer look; how many are left. Not a part of
/// [`run_two`], whose calls would take registers from it.
///
/// # Safety
/// As of [`run_two`].
#[inline(never)]
unsafe fn in_turns<const MIXED: bool>(
    one: Job<'_>,
    other: Job<'_>,
    [mut at_one, mut at_other]: [Place; 2],
) -> ([Place; 2], usize) {
    let mut left = ROUND;
    // SAFETY: as the caller promises.
    while left > 0
        && unsafe { short::<MIXED>(one, &mut at_one) && short::<MIXED>(other, &mut at_other) }
    {
        left -= 1;
    }
    ([at_one, at_other], left)
}

/// Passes the sequence at `place`; false if that needs a closer look. `MIXED`: long matches and short ones come in
/// no order.
///
/// # Safety
/// As of [`run`].
#[inline(always)]
unsafe fn short<const MIXED: bool>(job: Job<'_>, place: &mut Place) -> bool {
    let Job { input, out, near_in, near_out, .. } = job;
    let Place { mut at, mut done } = *place;
    if at >= near_in || done >= near_out {
        return false;
    }
    let start = input.as_ptr();
    // SAFETY: `FAR` bytes of input are there from each `at` that is compared with `near_in`: token, literals, offset
    // and one more byte of length take less. Twice `FAR` bytes of room are there from each `done` that is compared
    // with `near_out`: 15 literals and a match of 18, or one of any length that ends before it, and what copies write
    // past their end take less. A match begins at or behind the first byte written.
    unsafe {
        let token = *start.add(at) as usize;
        at += 1;
        let mut literals = token >> 4;
        if literals == 15 {
            let more = *start.add(at) as usize;
            literals += more;
            at += 1;
            if more == 255 || at + literals >= near_in || done + literals >= near_out {
                return false;
            }
            let mut copied = 0;
            while copied < literals {
                copy_nonoverlapping(start.add(at + copied), out.add(done + copied), 32);
                copied += 32;
            }
        } else {
            copy_nonoverlapping(start.add(at), out.add(done), 16);
        }
        at += literals;
        done += literals;
        let offset = u16::from_le_bytes(start.add(at).cast::<[u8; 2]>().read_unaligned()) as usize;
        at += 2;
        // An offset of 0 is no offset.
        if offset.wrapping_sub(1) >= done {
            return false;
        }
        let mut matched = (token & 15) + 4;
        let (from, to) = (out.add(done - offset).cast_const(), out.add(done));
        if MIXED {
            // No branch, as nobody foresees which are long.
            let is_long = usize::from(matched == 19);
            let more = *start.add(at) as usize;
            matched += more & is_long.wrapping_neg();
            at += is_long;
            if done + matched >= near_out || matched == 19 + 255 {
                return false;
            }
        } else if matched < 19 && offset >= 8 {
            copy_nonoverlapping(from, to, 8);
            copy_nonoverlapping(from.add(8), to.add(8), 8);
            copy_nonoverlapping(from.add(16), to.add(16), 2);
            *place = Place { at, done: done + matched };
            return true;
        }
        if !MIXED && matched == 19 {
            let more = *start.add(at) as usize;
            matched += more;
            at += 1;
            if more == 255 || done + matched >= near_out {
                return false;
            }
        }
        if offset >= 16 {
            copy_nonoverlapping(from, to, 8);
            copy_nonoverlapping(from.add(8), to.add(8), 8);
            // One more without a look: most long matches are no longer.
            copy_nonoverlapping(from.add(16), to.add(16), 16);
            let mut copied = 32;
            while copied < matched {
                copy_nonoverlapping(from.add(copied), to.add(copied), 16);
                copied += 16;
            }
        } else {
            repeat(to, offset, matched);
        }
        *place = Place { at, done: done + matched };
        true
    }
}

/// What follows the sequence at `place`.
///
/// # Safety
/// As of [`run`].
#[inline(never)]
unsafe fn long<const HEAD: bool>(job: Job<'_>, place: Place) -> Next {
    let Job { input, out, length, room, .. } = job;
    let start = input.as_ptr();
    let far_in = input.len().saturating_sub(FAR);
    let far_out = room.saturating_sub(FAR);
    let Place { mut at, mut done } = place;
    let Some(token) = input.get(at) else { return Next::Over(false) };
    at += 1;
    let token = *token as usize;
    let mut literals = token >> 4;
    if literals == 15 && !extend(&mut literals, input, &mut at) {
        return Next::Over(false);
    }
    if HEAD && literals <= input.len() - at && literals >= length - done.min(length) {
        // SAFETY: fewer than the literals are left to be written, and so many are there; none if
        // `done` is past `length`.
        unsafe {
            let rest = length - done.min(length);
            copy_nonoverlapping(start.add(at), out.add(done), rest);
        }
        return Next::Over(true);
    }
    if literals > input.len() - at || done > length || literals > length - done {
        return Next::Over(false);
    }
    // SAFETY: as many bytes are there on both sides; in the first case `FAR` more.
    unsafe {
        if at + literals < far_in && done + literals < far_out {
            let mut copied = 0;
            while copied < literals {
                copy_nonoverlapping(start.add(at + copied), out.add(done + copied), 32);
                copied += 32;
            }
        } else {
            copy_nonoverlapping(start.add(at), out.add(done), literals);
        }
    }
    at += literals;
    done += literals;
    if at + 2 > input.len() {
        return Next::Over(at == input.len() && done == length);
    }
    // SAFETY: two bytes of input are left.
    let offset = unsafe { start.add(at).cast::<[u8; 2]>().read_unaligned() };
    let offset = u16::from_le_bytes(offset) as usize;
    at += 2;
    let mut matched = (token & 15) + 4;
    if matched == 19 && !extend(&mut matched, input, &mut at) {
        return Next::Over(false);
    }
    // An offset of 0 is no offset.
    if offset.wrapping_sub(1) >= done {
        return Next::Over(false);
    }
    if HEAD && matched >= length - done.min(length) {
        matched = length - done.min(length);
        if matched == 0 {
            return Next::Over(true);
        }
        // SAFETY: the match begins at or behind the first byte and ends at `length`.
        unsafe { repeat_to_end(out, done, offset, matched, room) };
        return Next::Over(true);
    }
    if done > length || matched > length - done {
        return Next::Over(false);
    }
    // SAFETY: the match begins at or behind the first byte; it ends before `length`, and in the
    // first case `FAR` bytes of room are behind it.
    unsafe {
        if done + matched < far_out {
            repeat(out.add(done), offset, matched);
        } else {
            repeat_to_end(out, done, offset, matched, room);
        }
    }
    Next::More(Place { at, done: done + matched })
}

/// Adds the bytes of a long length; false at the end of the input.
#[inline]
fn extend(length: &mut usize, input: &[u8], at: &mut usize) -> bool {
    while let Some(byte) = input.get(*at) {
        *at += 1;
        // Bounded by 255 times the input's length.
        *length += *byte as usize;
        if *byte != 255 {
            return true;
        }
    }
    false
}

/// By offsets below 8: from where the second four bytes are copied, and how far before that the place
/// is that lies a multiple of the offset, 8 or more, before the third four.
const SECOND: [usize; 8] = [0, 1, 2, 1, 0, 4, 4, 4];
const BACK: [isize; 8] = [0, 0, 0, -1, -4, 1, 2, 3];

/// Copies `length` bytes to `to` from `offset` before it; they may overlap.
///
/// # Safety
/// `offset` bytes before `to` are written, `offset` is not 0, and 16 bytes of room are behind the copy.
#[inline(always)]
unsafe fn repeat(to: *mut u8, offset: usize, length: usize) {
    // SAFETY: every copy reads bytes that are written by then, as it begins at least its size behind
    // them, and begins less than `length` behind `to`.
    unsafe {
        let mut from = to.sub(offset).cast_const();
        if offset >= 16 {
            copy_nonoverlapping(from, to, 16);
            let mut copied = 16;
            while copied < length {
                copy_nonoverlapping(from.add(copied), to.add(copied), 16);
                copied += 16;
            }
            return;
        }
        if offset >= 8 {
            let mut copied = 0;
            while copied < length {
                copy_nonoverlapping(from.add(copied), to.add(copied), 8);
                copied += 8;
            }
            return;
        }
        for i in 0..4 {
            *to.add(i) = *from.add(i);
        }
        from = from.add(SECOND[offset]);
        copy_nonoverlapping(from, to.add(4), 4);
        // From here on eight bytes at once: the bytes repeat every `offset`.
        from = from.offset(-BACK[offset]);
        let mut copied = 8;
        while copied < length {
            copy_nonoverlapping(from, to.add(copied), 8);
            from = from.add(8);
            copied += 8;
        }
    }
}

/// As [`repeat`] of `length` bytes to place `to` of `out`, with no room behind it but up to `room`.
///
/// # Safety
/// All bytes of `out` before `to` are written, `0 < offset <= to`, `to + length <= room`.
#[cold]
unsafe fn repeat_to_end(out: *mut u8, to: usize, offset: usize, length: usize, room: usize) {
    let safe = room.saturating_sub(to + FAR).min(length);
    // SAFETY: the first `safe` bytes have `FAR` behind them; the others are written one by one.
    unsafe {
        if safe > 0 {
            repeat(out.add(to), offset, safe);
        }
        for at in to + safe..to + length {
            *out.add(at) = *out.add(at - offset);
        }
    }
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

        /// Bytes with repeats of all distances.
        fn bytes(&mut self) -> Vec<u8> {
            let length = self.below(3000);
            let mut bytes: Vec<u8> = vec![];
            while bytes.len() < length {
                if bytes.is_empty() || self.below(3) == 0 {
                    let count = self.below(40);
                    bytes.extend((0..count).map(|i| (i * 97 + count) as u8));
                } else {
                    let distance = 1 + self.below(bytes.len().min([3, 20, 4000][count_of(length)]));
                    for _ in 0..self.below([6, 30, 400][length % 3]) {
                        bytes.push(bytes[bytes.len() - distance]);
                    }
                }
            }
            bytes
        }
    }

    fn count_of(length: usize) -> usize {
        length / 7 % 3
    }

    /// Decodes with bytes around that must stay, and as an append.
    fn both(stored: &[u8], length: usize) -> Option<Vec<u8>> {
        let mut guarded = vec![0xA5; length + 200];
        let done = decode(stored, &mut guarded[100..100 + length]);
        assert!(guarded[..100].iter().chain(&guarded[100 + length..]).all(|b| *b == 0xA5));
        let mut appended = b"before".to_vec();
        assert_eq!(append(stored, &mut appended, length), done);
        done.then(|| {
            assert_eq!(&appended[..6], b"before");
            assert!(appended[6..] == guarded[100..100 + length]);
            appended.split_off(6)
        })
    }

    #[test]
    fn agrees_with_the_library() {
        let mut random = Random(3);
        for _ in 0..3000 {
            let bytes = random.bytes();
            let stored = lz4_flex::block::compress(&bytes);
            assert!(both(&stored, bytes.len()).is_some_and(|b| b == bytes));
            assert_eq!(both(&stored, bytes.len() + 1), None);
            if !bytes.is_empty() {
                assert_eq!(both(&stored, bytes.len() - 1), None);
            }
        }
        let zeros = vec![0; 100_000];
        let stored = lz4_flex::block::compress(&zeros);
        assert!(both(&stored, zeros.len()).is_some_and(|b| b == zeros));
    }

    #[test]
    fn two_at_once_are_as_one_after_the_other() {
        let mut random = Random(7);
        for round in 0..6000 {
            let (one, other) = (random.bytes(), random.bytes());
            let mut stored = [&one, &other].map(|bytes| lz4_flex::block::compress(bytes));
            if round % 2 == 0 {
                let broken = &mut stored[random.below(2)];
                let at = random.below(broken.len());
                broken[at] = random.below(256) as u8;
            }
            let mut expected = b"before".to_vec();
            let good = append(&stored[0], &mut expected, one.len())
                && append(&stored[1], &mut expected, other.len());
            let mut found = b"before".to_vec();
            let pair = ((&stored[0][..], one.len()), (&stored[1][..], other.len()));
            assert_eq!(append_two(pair.0, pair.1, &mut found), good);
            assert!(if good { found == expected } else { found == b"before" });
        }
        assert!(!append_two((&[], 5), (&[], 5), &mut vec![]));
    }

    #[test]
    fn heads_are_the_beginning() {
        let mut random = Random(5);
        for _ in 0..3000 {
            let bytes = random.bytes();
            let stored = lz4_flex::block::compress(&bytes);
            let (until, room) = (random.below(bytes.len() + 1), random.below(100));
            let mut guarded = vec![0xA5; 200 + until + room];
            assert!(decode_head(&stored, &mut guarded[100..100 + until + room], until));
            assert!(guarded[100..100 + until] == bytes[..until]);
            assert!(
                guarded[..100].iter().chain(&guarded[100 + until + room..]).all(|b| *b == 0xA5)
            );
            assert!(!decode_head(&stored, &mut vec![0; bytes.len() + 50], bytes.len() + 1));
        }
    }

    #[test]
    fn broken_blocks_are_refused_or_decode_as_in_the_library() {
        let mut random = Random(11);
        for round in 0..20_000 {
            let bytes = random.bytes();
            let mut stored = lz4_flex::block::compress(&bytes);
            for _ in 0..1 + random.below(3) {
                let at = random.below(stored.len());
                stored[at] = random.below(256) as u8;
            }
            if round % 3 == 0 {
                stored.truncate(random.below(stored.len() + 1));
            }
            let found = both(&stored, bytes.len());
            let mut expected = vec![0; bytes.len()];
            let twin = lz4_flex::block::decompress_into(&stored, &mut expected);
            if twin.is_ok_and(|written| written == bytes.len()) {
                assert!(found.is_none_or(|f| f == expected));
            }
        }
    }
}
