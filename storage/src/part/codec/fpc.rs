//! FPC(level): each float is predicted from tables of 2^level words, by the values seen and by their
//! differences; what is stored is the better prediction's difference in bits, without leading zero
//! bytes.
//!
//! Layout: bytes behind the last whole word; a nibble per word (8: the second predictor; 0-7: 0 to 6 or
//! all bytes follow), low nibble first; the bytes of all words.

use super::bits::{put_word, word, word_width};
use super::declare::{Argument, refuse};
use super::{Codec, Parameters, Role, Settled};
use crate::error::Result;
use crate::part::layout::{Layout, Order};
use crate::part::wire::{Cursor, Decoded, Malformed};
use crate::types::DataType;

pub(super) struct Fpc;

const LEVEL_DEFAULT: u64 = 12;
const LEVEL_MAX: u64 = 28;
/// A granule has too few words for larger tables to be of use.
const LEVEL_USED_MAX: i8 = 16;

impl Codec for Fpc {
    fn name(&self) -> &'static str {
        "FPC"
    }

    fn id(&self) -> u8 {
        20
    }

    fn role(&self) -> Role {
        Role::FloatPacking
    }

    fn settle(&self, arguments: &[Argument], leaf: &DataType) -> Result<Settled> {
        if !matches!(leaf, DataType::Float32 | DataType::Float64) {
            let message = format!(
                "Codec 'FPC' is not applicable for {leaf} because the data type is not Float*"
            );
            return Err(refuse(36, message));
        }
        let level = match arguments.first() {
            None => LEVEL_DEFAULT,
            Some(Argument::Unsigned(level)) => *level,
            Some(_) => {
                let message = "1st argument of codec 'FPC' must be unsigned integer";
                return Err(refuse(433, message.into()));
            }
        };
        if !(1..=LEVEL_MAX).contains(&level) {
            return Err(refuse(433, "Codec 'FPC' level must be between 1 and 28".into()));
        }
        let used = (level as i8).min(LEVEL_USED_MAX);
        Ok(Settled { text: format!("({level})"), width: 0, level: used })
    }

    fn encode(&self, parameters: Parameters, bytes: &[u8], out: &mut Vec<u8>) {
        let width = (parameters.width as usize).clamp(1, 8);
        let (words, rest) = bytes.split_at(bytes.len() / width * width);
        out.extend_from_slice(rest);
        let nibbles = out.len();
        out.resize(nibbles + (words.len() / width).div_ceil(2), 0);
        let mut predictor = Predictor::new(parameters.level.clamp(1, LEVEL_USED_MAX), width);
        for (i, bytes) in words.chunks_exact(width).enumerate() {
            let value = word(bytes);
            let [a, b] = predictor.predictions().map(|p| p ^ value);
            predictor.learn(value);
            let (difference, second) = if a <= b { (a, 0) } else { (b, 8) };
            let (code, length) = code_of(difference, width);
            out[nibbles + i / 2] |= (code | second) << (4 * (i % 2));
            out.extend_from_slice(&difference.to_le_bytes()[..length]);
        }
    }

    fn decode(&self, parameters: Parameters, stored: &[u8], out: &mut [u8]) -> Decoded<()> {
        let width = word_width(parameters.width)?;
        if !(1..=LEVEL_USED_MAX).contains(&parameters.level) {
            return Err(Malformed("a level of FPC"));
        }
        let (words, rest) = out.split_at_mut(out.len() / width * width);
        let mut cursor = Cursor::new(stored);
        rest.copy_from_slice(cursor.take(rest.len())?);
        let nibbles = cursor.take((words.len() / width).div_ceil(2))?;
        let mut predictor = Predictor::new(parameters.level, width);
        for (i, bytes) in words.chunks_exact_mut(width).enumerate() {
            let nibble = nibbles[i / 2] >> (4 * (i % 2)) & 15;
            let length = length_of(nibble & 7, width);
            if length > width {
                return Err(Malformed("bytes of a word"));
            }
            let difference = word(cursor.take(length)?);
            let value = predictor.predictions()[usize::from(nibble >= 8)] ^ difference;
            predictor.learn(value);
            put_word(value, bytes);
        }
        if cursor.remaining() == 0 { Ok(()) } else { Err(Malformed("the last word")) }
    }
}

/// The least code that keeps all bytes of `difference`, and how many bytes that are.
fn code_of(difference: u64, width: usize) -> (u8, usize) {
    let needed = 8 - difference.leading_zeros() as usize / 8;
    let code = if needed > 6 || needed == width { 7 } else { needed as u8 };
    (code, length_of(code, width))
}

fn length_of(code: u8, width: usize) -> usize {
    if code == 7 { width } else { code as usize }
}

struct Predictor {
    by_value: Vec<u64>,
    by_step: Vec<u64>,
    value_slot: usize,
    step_slot: usize,
    last: u64,
    bits: u32,
    mask: u64,
}

impl Predictor {
    fn new(level: i8, width: usize) -> Predictor {
        let slots = 1 << level;
        let bits = width as u32 * 8;
        Predictor {
            by_value: vec![0; slots],
            by_step: vec![0; slots],
            value_slot: 0,
            step_slot: 0,
            last: 0,
            bits,
            mask: u64::MAX >> (64 - bits),
        }
    }

    fn predictions(&self) -> [u64; 2] {
        let step = self.by_step[self.step_slot];
        [self.by_value[self.value_slot], self.last.wrapping_add(step) & self.mask]
    }

    fn learn(&mut self, value: u64) {
        let slots = self.by_value.len() - 1;
        self.by_value[self.value_slot] = value;
        let top = |word: u64, kept: u32| (word >> self.bits.saturating_sub(kept)) as usize;
        self.value_slot = (self.value_slot << 6 ^ top(value, 16)) & slots;
        let step = value.wrapping_sub(self.last) & self.mask;
        self.by_step[self.step_slot] = step;
        self.step_slot = (self.step_slot << 2 ^ top(step, 24)) & slots;
        self.last = value;
    }
}

/// Whether values of the type are floats.
pub(super) fn is_float(leaf: &DataType) -> bool {
    matches!(Layout::of(leaf), Layout::Number { order: Order::Float, .. })
}
