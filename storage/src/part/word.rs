//! Words: the fixed-width values that number encodings work on, by width only. Signedness is a rank
//! (a flip of the top bit), so one piece of code serves all integer types.

use arrow_buffer::{ArrowNativeType, i256};

use super::layout::Order;

/// A little-endian value of `WIDTH` bytes.
pub(crate) trait Word: ArrowNativeType + Eq + Ord {
    const WIDTH: usize;
    /// Whether values may be stored as small distances from a base.
    const NARROWS: bool;
    /// Maps to a value whose own order is the order of the type. Its own inverse.
    fn rank(self, order: Order) -> Self;
    /// `self - low` for ranks with `low <= self`; `u64::MAX` if it needs more than 64 bits.
    fn span(self, low: Self) -> u64;
    /// The low 64 bits of `self - base`, wrapping.
    fn distance(self, base: Self) -> u64;
    /// `self + distance`, wrapping.
    fn plus(self, distance: u64) -> Self;
    /// The low bits, spread well: input of hashes.
    fn fold(self) -> u64;
    /// The bits of a rank, right-aligned, such that they compare as the rank does; of 256 bits only
    /// the low half.
    fn bits(self) -> u128;
    fn put(self, out: &mut Vec<u8>);
    /// Reads exactly `WIDTH` bytes.
    fn get(bytes: &[u8]) -> Self;
}

/// The bytes of `words` in memory, if words are stored as they lie there.
pub(crate) fn stored_bytes<T: Word>(words: &mut [T]) -> Option<&mut [u8]> {
    if cfg!(target_endian = "big") || T::WIDTH > 16 {
        return None;
    }
    debug_assert_eq!(size_of::<T>(), T::WIDTH);
    // SAFETY: words of up to 16 bytes are plain integers: no padding, every pattern of bytes is a
    // value. The bytes are those of `words`, which stay borrowed as long.
    Some(unsafe {
        std::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), size_of_val(words))
    })
}

macro_rules! unsigned_word {
    ($t:ty) => {
        impl Word for $t {
            const WIDTH: usize = size_of::<$t>();
            const NARROWS: bool = true;
            #[inline(always)]
            fn rank(self, order: Order) -> Self {
                if order == Order::Signed { self ^ (1 << (<$t>::BITS - 1)) } else { self }
            }
            #[inline(always)]
            fn span(self, low: Self) -> u64 {
                self.wrapping_sub(low) as u64
            }
            #[inline(always)]
            fn distance(self, base: Self) -> u64 {
                self.wrapping_sub(base) as u64
            }
            #[inline(always)]
            fn plus(self, distance: u64) -> Self {
                self.wrapping_add(distance as $t)
            }
            #[inline(always)]
            fn fold(self) -> u64 {
                self as u64
            }
            #[inline(always)]
            fn bits(self) -> u128 {
                self as u128
            }
            fn put(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            #[inline(always)]
            fn get(bytes: &[u8]) -> Self {
                <$t>::from_le_bytes(bytes.try_into().expect("a word's width"))
            }
        }
    };
}

unsigned_word!(u8);
unsigned_word!(u16);
unsigned_word!(u32);
unsigned_word!(u64);

impl Word for i128 {
    const WIDTH: usize = 16;
    const NARROWS: bool = true;

    fn rank(self, order: Order) -> Self {
        if order == Order::Unsigned { self ^ i128::MIN } else { self }
    }

    fn span(self, low: Self) -> u64 {
        u64::try_from(self.wrapping_sub(low) as u128).unwrap_or(u64::MAX)
    }

    fn distance(self, base: Self) -> u64 {
        self.wrapping_sub(base) as u64
    }

    fn plus(self, distance: u64) -> Self {
        self.wrapping_add(distance as i128)
    }

    fn fold(self) -> u64 {
        (self as u64) ^ ((self >> 64) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    fn bits(self) -> u128 {
        (self ^ i128::MIN) as u128
    }

    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn get(bytes: &[u8]) -> Self {
        i128::from_le_bytes(bytes.try_into().expect("a word's width"))
    }
}

impl Word for i256 {
    const WIDTH: usize = 32;
    const NARROWS: bool = false;

    fn rank(self, order: Order) -> Self {
        let (low, high) = self.to_parts();
        if order == Order::Unsigned { i256::from_parts(low, high ^ i128::MIN) } else { self }
    }

    fn span(self, _low: Self) -> u64 {
        u64::MAX
    }

    fn distance(self, base: Self) -> u64 {
        self.wrapping_sub(base).to_parts().0 as u64
    }

    fn plus(self, distance: u64) -> Self {
        self.wrapping_add(i256::from_parts(distance as u128, 0))
    }

    fn fold(self) -> u64 {
        let (low, high) = self.to_parts();
        (low as i128).fold() ^ high.fold().rotate_left(29)
    }

    fn bits(self) -> u128 {
        self.to_parts().0
    }

    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn get(bytes: &[u8]) -> Self {
        i256::from_le_bytes(bytes.try_into().expect("a word's width"))
    }
}

/// Runs `$body` with `$t` bound to the word type of `$width` bytes.
macro_rules! with_word {
    ($width:expr, $t:ident => $body:expr) => {
        match $width {
            1 => {
                type $t = u8;
                $body
            }
            2 => {
                type $t = u16;
                $body
            }
            4 => {
                type $t = u32;
                $body
            }
            8 => {
                type $t = u64;
                $body
            }
            16 => {
                type $t = i128;
                $body
            }
            _ => {
                type $t = arrow_buffer::i256;
                $body
            }
        }
    };
}
pub(crate) use with_word;
