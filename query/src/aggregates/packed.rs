//! Aggregates whose whole state is a word or two: kept beside the key in the rows of a group table,
//! updated from words, without a column or a virtual call per value.
//!
//! The accumulator of such a function says the same thing; its serialized state can be read here, so
//! that groups move from one form to the other. Arguments are numbers of up to 8 bytes, never NULL.

use arrow_buffer::Buffer;

use super::kernel::wire;
use crate::error::{Error, Result, codes};

/// How the words of an argument are to be read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    Unsigned,
    Signed,
    Float,
}

/// A function whose states are packed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Packed {
    Count,
    /// Sums in 64 bits.
    Sum(Number),
    /// A sum and a count; the sum is divided by the number given, too.
    Average(Number, f64),
    /// Of an argument of so many bytes.
    Min(Number, u8),
    Max(Number, u8),
}

/// Some bits of the words of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field {
    pub word: usize,
    pub shift: u32,
    pub bits: u32,
}

impl Field {
    #[inline]
    pub fn get(self, row: &[u64]) -> u64 {
        row[self.word] << (64 - self.bits - self.shift) >> (64 - self.bits)
    }

    pub fn mask(self) -> u64 {
        u64::MAX >> (64 - self.bits) << self.shift
    }
}

/// Rows of groups: `width` words each.
pub struct States<'a> {
    pub rows: &'a mut [u64],
    pub width: usize,
    /// The first word of the state.
    pub at: usize,
}

/// Rows of input: `stride` words each.
#[derive(Clone, Copy)]
pub struct Entries<'a> {
    pub rows: &'a [u64],
    pub stride: usize,
}

const SIGN: u64 = 1 << 63;

impl Packed {
    /// Whether the number of rows is part of the state.
    pub fn counts(self) -> bool {
        matches!(self, Packed::Count | Packed::Average(..))
    }

    pub fn takes_argument(self) -> bool {
        self != Packed::Count
    }

    /// The state of no rows; the count of rows is kept apart, once for all functions.
    pub fn empty(self) -> u64 {
        if let Packed::Min(..) = self { u64::MAX } else { 0 }
    }

    /// Adds the arguments in `field` of `entries` to the groups `numbers`; counting is done apart.
    pub fn update(self, states: States<'_>, numbers: &[u32], entries: Entries<'_>, field: Field) {
        let States { rows, width, at } = states;
        let pairs = numbers.iter().zip(entries.rows.chunks_exact(entries.stride));
        macro_rules! each {
            (|$state:ident, $entry:ident| $body:expr) => {
                for (number, $entry) in pairs {
                    let $state = &mut rows[*number as usize * width + at..];
                    $body
                }
            };
        }
        let signed = |v: u64| (v << (64 - field.bits)).cast_signed() >> (64 - field.bits);
        let float = |v: u64| match field.bits {
            32 => f32::from_bits(v as u32) as f64,
            _ => f64::from_bits(v),
        };
        match self {
            Packed::Count => {}
            Packed::Sum(Number::Unsigned) | Packed::Average(Number::Unsigned, _) => {
                each!(|s, e| s[0] = s[0].wrapping_add(field.get(e)))
            }
            Packed::Sum(Number::Signed) | Packed::Average(Number::Signed, _) => {
                each!(|s, e| s[0] = s[0].wrapping_add(signed(field.get(e)).cast_unsigned()))
            }
            Packed::Sum(Number::Float) | Packed::Average(Number::Float, _) => {
                each!(|s, e| s[0] = add_float(s[0], float(field.get(e))))
            }
            Packed::Min(Number::Signed, _) => {
                each!(|s, e| s[0] = s[0].min(signed(field.get(e)).cast_unsigned() ^ SIGN))
            }
            Packed::Max(Number::Signed, _) => {
                each!(|s, e| s[0] = s[0].max(signed(field.get(e)).cast_unsigned() ^ SIGN))
            }
            Packed::Min(..) => each!(|s, e| s[0] = s[0].min(field.get(e))),
            Packed::Max(..) => each!(|s, e| s[0] = s[0].max(field.get(e))),
        }
    }

    /// Adds states to the groups `numbers`; in the entries they lie at the same place.
    pub fn merge(self, states: States<'_>, numbers: &[u32], entries: Entries<'_>) {
        let States { rows, width, at } = states;
        for (number, entry) in numbers.iter().zip(entries.rows.chunks_exact(entries.stride)) {
            let (state, other) = (&mut rows[*number as usize * width + at..], &entry[at..]);
            match self {
                Packed::Sum(Number::Float) | Packed::Average(Number::Float, _) => {
                    state[0] = add_float(state[0], f64::from_bits(other[0]));
                }
                Packed::Min(..) => state[0] = state[0].min(other[0]),
                Packed::Max(..) => state[0] = state[0].max(other[0]),
                _ => state[0] = state[0].wrapping_add(other[0]),
            }
        }
    }

    /// The state that the function's accumulator wrote, and the count.
    pub fn read(self, mut input: &[u8]) -> Result<(u64, u64)> {
        if input.is_empty() {
            return Ok((self.empty(), 0));
        }
        let input = &mut input;
        Ok(match self {
            Packed::Count => (0, wire::read_varint(input)?),
            Packed::Sum(_) => (wire::read_u64(input)?, 0),
            Packed::Average(..) => (wire::read_u64(input)?, wire::read_varint(input)?),
            Packed::Min(number, bytes) | Packed::Max(number, bytes) => {
                if wire::array::<1>(input)?[0] == 0 {
                    return Ok((self.empty(), 0));
                }
                let bits = bytes as u32 * 8;
                if bits == 0 || bits > 64 {
                    return Err(Error::new(codes::LOGICAL_ERROR, "a state of no such width"));
                }
                let mut word = [0; 8];
                word[..bytes as usize].copy_from_slice(wire::bytes(input, bytes as usize)?);
                let word = u64::from_le_bytes(word);
                match number {
                    Number::Signed => {
                        let wide = (word << (64 - bits)).cast_signed() >> (64 - bits);
                        (wide.cast_unsigned() ^ SIGN, 0)
                    }
                    _ => (word, 0),
                }
            }
        })
    }

    /// Writes a state of at least one row as the function's accumulator does.
    pub fn write(self, (state, count): (u64, u64), out: &mut Vec<u8>) {
        match self {
            Packed::Count => wire::write_varint(count, out),
            Packed::Sum(_) => out.extend_from_slice(&state.to_le_bytes()),
            Packed::Average(..) => {
                out.extend_from_slice(&state.to_le_bytes());
                wire::write_varint(count, out);
            }
            Packed::Min(number, bytes) | Packed::Max(number, bytes) => {
                let flip = if number == Number::Signed { SIGN } else { 0 };
                let word = (state ^ flip).to_le_bytes();
                out.push(1);
                out.extend_from_slice(&word[..(bytes as usize).min(8)]);
            }
        }
    }

    /// The results of `rows` (`width` words each, state and count at these places), as the bytes of an
    /// array.
    pub fn finish(self, rows: &[u64], width: usize, (at, count_at): (usize, usize)) -> Buffer {
        let at = if self == Packed::Count { count_at } else { at };
        let states = rows.chunks_exact(width).map(|row| (row[at], row[count_at]));
        match self {
            Packed::Count | Packed::Sum(_) => {
                Buffer::from_vec(states.map(|s| s.0).collect::<Vec<u64>>())
            }
            Packed::Average(number, divisor) => {
                let sum = |word: u64| match number {
                    Number::Unsigned => word as f64,
                    Number::Signed => word.cast_signed() as f64,
                    Number::Float => f64::from_bits(word),
                };
                let averages = states.map(|s| sum(s.0) / divisor / s.1 as f64);
                Buffer::from_vec(averages.collect::<Vec<f64>>())
            }
            Packed::Min(number, bytes) | Packed::Max(number, bytes) => {
                let flip = if number == Number::Signed { SIGN } else { 0 };
                let words = states.map(|s| s.0 ^ flip);
                match bytes {
                    1 => Buffer::from_vec(words.map(|w| w as u8).collect::<Vec<_>>()),
                    2 => Buffer::from_vec(words.map(|w| w as u16).collect::<Vec<_>>()),
                    4 => Buffer::from_vec(words.map(|w| w as u32).collect::<Vec<_>>()),
                    _ => Buffer::from_vec(words.collect::<Vec<_>>()),
                }
            }
        }
    }

    /// Whether states sort as results do, as unsigned words.
    pub fn is_ordered(self) -> bool {
        use Packed::{Count, Max, Min, Sum};
        matches!(self, Count | Sum(Number::Unsigned) | Min(..) | Max(..))
    }

    /// A word per state that sorts as the results do; None where NaN has a place of its own.
    pub fn order(self, rows: &[u64], width: usize, places: (usize, usize)) -> Option<Vec<u64>> {
        let at = if self == Packed::Count { places.1 } else { places.0 };
        let states = rows.chunks_exact(width).map(|row| row[at]);
        match self {
            _ if self.is_ordered() => Some(states.collect()),
            Packed::Sum(Number::Signed) => Some(states.map(|s| s ^ SIGN).collect()),
            Packed::Sum(Number::Float) | Packed::Average(..) => {
                let results = self.finish(rows, width, places);
                results.typed_data::<f64>().iter().map(|v| ordered_float(*v)).collect()
            }
            _ => None,
        }
    }
}

#[inline]
fn add_float(word: u64, value: f64) -> u64 {
    (f64::from_bits(word) + value).to_bits()
}

fn ordered_float(value: f64) -> Option<u64> {
    if value.is_nan() {
        return None;
    }
    // Both zeros are equal.
    let bits = (value + 0.0).to_bits();
    Some(if bits & SIGN == 0 { bits | SIGN } else { !bits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_order_as_floats_do() {
        let sorted = [f64::NEG_INFINITY, -2.5, -0.0, 0.0, 1e-300, 7.0, f64::INFINITY];
        let words: Vec<u64> = sorted.iter().map(|v| ordered_float(*v).unwrap()).collect();
        assert!(words.windows(2).all(|w| w[0] <= w[1]), "{words:?}");
        assert_eq!(words[2], words[3]);
        assert_eq!(ordered_float(f64::NAN), None);
    }

    #[test]
    fn fields_are_cut_out_of_words() {
        let row = [0, 0xABCD_EF01_2345_6789];
        assert_eq!(Field { word: 1, shift: 0, bits: 64 }.get(&row), row[1]);
        assert_eq!(Field { word: 1, shift: 8, bits: 16 }.get(&row), 0x4567);
        assert_eq!(Field { word: 1, shift: 56, bits: 8 }.get(&row), 0xAB);
        assert_eq!(Field { word: 1, shift: 8, bits: 16 }.mask(), 0xFF_FF00);
    }
}
