//! Numbered strings one behind the other, which stay where they are: in pieces each as large as all before
//! it, so that a small arena is small and none is ever moved to grow.

use super::radix::prefetch;

/// Bytes of the first piece.
const FIRST: usize = 1 << FIRST_BITS;
const FIRST_BITS: u32 = 12;
/// Bytes of number and length.
const HEAD: usize = 2 * size_of::<u32>();
const LINE_BYTES: usize = 64;

/// See the file's head.
#[derive(Default)]
pub(super) struct TextArena {
    /// Piece `k` has room for `FIRST << k` bytes, or is one that no string fitted into, and has none.
    pieces: Vec<Vec<u8>>,
    bytes: usize,
}

/// Piece and offset there of a place.
#[inline]
fn piece_of(place: u32) -> (usize, usize) {
    let at = place as usize + FIRST;
    let piece = at.ilog2() - FIRST_BITS;
    (piece as usize, at - (FIRST << piece))
}

impl TextArena {
    /// Bytes taken.
    pub fn memory_bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps a string and its number; its place, or None if it would lie behind 4 GiB.
    pub fn push(&mut self, number: u32, text: &[u8]) -> Option<u32> {
        let length = u32::try_from(text.len()).ok()?;
        let bytes = HEAD + text.len();
        let left = match self.pieces.last() {
            Some(piece) => (FIRST << (self.pieces.len() - 1)) - piece.len(),
            None => 0,
        };
        if left < bytes {
            self.add_piece(bytes)?;
        }
        let first = (FIRST << (self.pieces.len() - 1)) - FIRST;
        let piece = self.pieces.last_mut()?;
        let place = first + piece.len();
        piece.extend_from_slice(&(u64::from(length) << 32 | u64::from(number)).to_le_bytes());
        piece.extend_from_slice(text);
        u32::try_from(place).ok()
    }

    /// A piece with room for `bytes`.
    fn add_piece(&mut self, bytes: usize) -> Option<()> {
        while FIRST << self.pieces.len() < bytes {
            self.pieces.push(vec![]);
        }
        let room = FIRST << self.pieces.len();
        if 2 * room - FIRST > u32::MAX as usize {
            return None;
        }
        self.pieces.push(Vec::with_capacity(room));
        self.bytes += room;
        Some(())
    }

    /// Number and bytes of the string at a place.
    #[inline]
    pub fn at(&self, place: u32) -> (u32, &[u8]) {
        let (piece, from) = piece_of(place);
        let rest = &self.pieces[piece][from..];
        let head = rest.first_chunk::<HEAD>().map_or(0, |head| u64::from_le_bytes(*head));
        (head as u32, &rest[HEAD..HEAD + (head >> 32) as usize])
    }

    /// Asks for the cache lines of a string of about `length` bytes at a place, the first two of them.
    #[inline]
    pub fn prefetch(&self, place: u32, length: usize) {
        let (piece, from) = piece_of(place);
        if let Some(piece) = self.pieces.get(piece) {
            prefetch(piece, from);
            // Pieces need not begin with a line, but most do, or nearly.
            if from % LINE_BYTES + HEAD + length > LINE_BYTES {
                prefetch(piece, from + LINE_BYTES);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_all_lengths_come_back() {
        let mut arena = TextArena::default();
        let lengths = (0..300).chain([FIRST, 70_000, 3, 4 * FIRST - HEAD, 1 << 20, 0]);
        let text = |number: u32, length: usize| vec![number as u8; length];
        let kept: Vec<(u32, usize, u32)> = (0u32..)
            .zip(lengths)
            .map(|(number, length)| {
                let place = arena.push(number, &text(number, length)).unwrap();
                arena.prefetch(place, length);
                (number, length, place)
            })
            .collect();
        for (number, length, place) in &kept {
            assert_eq!(arena.at(*place), (*number, &text(*number, *length)[..]));
        }
        let used: usize = kept.iter().map(|(_, length, _)| HEAD + length).sum();
        assert!((used..4 * used).contains(&arena.memory_bytes()), "{}", arena.memory_bytes());
    }

    #[test]
    fn places_are_found_in_their_pieces() {
        for piece in 0..20usize {
            let first = (FIRST << piece) - FIRST;
            assert_eq!(piece_of(first as u32), (piece, 0));
            let last = (FIRST << (piece + 1)) - FIRST - 1;
            assert_eq!(piece_of(last as u32), (piece, (FIRST << piece) - 1));
        }
    }
}
