//! Gorilla: the first word, then each word's difference in bits (XOR) from the one before: `0` none,
//! `10` the bits of the window used last, `11` a new window (6 bits leading zeros, 6 bits its length
//! less one) and its bits. Bytes behind the last whole word come first, as they are.

use super::bits::{BitReader, BitWriter, put_word, word, word_width};
use super::declare::{Argument, at_most, fixed_width, width_argument};
use super::{Codec, Parameters, Role, Settled};
use crate::error::Result;
use crate::part::wire::{Cursor, Decoded, Malformed};
use crate::types::DataType;

pub(super) struct Gorilla;

/// Where the bits that differ lie.
#[derive(Clone, Copy)]
struct Window {
    leading: u32,
    length: u32,
}

impl Codec for Gorilla {
    fn name(&self) -> &'static str {
        "Gorilla"
    }

    fn id(&self) -> u8 {
        18
    }

    fn role(&self) -> Role {
        Role::FloatPacking
    }

    fn settle(&self, arguments: &[Argument], leaf: &DataType) -> Result<Settled> {
        at_most(self.name(), 1, arguments)?;
        let width = match arguments.first() {
            Some(a) => width_argument(self.name(), "Argument value for Gorilla codec", a)?,
            None => fixed_width(self.name(), leaf)?,
        };
        Ok(Settled { text: format!("({width})"), width, level: 0 })
    }

    fn encode(&self, parameters: Parameters, bytes: &[u8], out: &mut Vec<u8>) {
        let width = (parameters.width as usize).clamp(1, 8);
        let bits = width as u32 * 8;
        let words = bytes.len() / width * width;
        out.extend_from_slice(&bytes[words..]);
        let mut words = bytes[..words].chunks_exact(width);
        let Some(first) = words.next() else { return };
        out.extend_from_slice(first);
        let mut last = word(first);
        let mut window: Option<Window> = None;
        let mut writer = BitWriter::new(out);
        for bytes in words {
            let value = word(bytes);
            let difference = value ^ last;
            last = value;
            if difference == 0 {
                writer.put(0, 1);
                continue;
            }
            let leading = difference.leading_zeros() - (64 - bits);
            let trailing = difference.trailing_zeros();
            if let Some(w) = window
                && w.leading <= leading
                && bits - w.leading - w.length <= trailing
                // A window that has grown much too wide is left.
                && w.length <= bits - leading - trailing + 12
            {
                writer.put(0b10, 2);
                writer.put(difference >> (bits - w.leading - w.length), w.length);
                continue;
            }
            let length = bits - leading - trailing;
            writer.put(0b11, 2);
            writer.put(leading as u64, 6);
            writer.put(length as u64 - 1, 6);
            writer.put(difference >> trailing, length);
            window = Some(Window { leading, length });
        }
        writer.finish();
    }

    fn decode(&self, parameters: Parameters, stored: &[u8], out: &mut [u8]) -> Decoded<()> {
        let width = word_width(parameters.width)?;
        let bits = width as u32 * 8;
        let (words, rest) = out.split_at_mut(out.len() / width * width);
        let mut cursor = Cursor::new(stored);
        rest.copy_from_slice(cursor.take(rest.len())?);
        let mut words = words.chunks_exact_mut(width);
        let Some(first) = words.next() else {
            return BitReader::new(cursor.take(cursor.remaining())?).finish();
        };
        first.copy_from_slice(cursor.take(width)?);
        let mut last = word(first);
        let mut window: Option<Window> = None;
        let mut reader = BitReader::new(cursor.take(cursor.remaining())?);
        for bytes in words {
            last ^= take_difference(bits, &mut window, &mut reader)?;
            put_word(last, bytes);
        }
        reader.finish()
    }
}

fn take_difference(
    bits: u32,
    window: &mut Option<Window>,
    reader: &mut BitReader<'_>,
) -> Decoded<u64> {
    let current = match reader.ones(2)? {
        0 => return Ok(0),
        1 => window.ok_or(Malformed("a window"))?,
        _ => {
            let leading = reader.take(6)? as u32;
            let length = reader.take(6)? as u32 + 1;
            if leading + length > bits {
                return Err(Malformed("a window inside the word"));
            }
            *window.insert(Window { leading, length })
        }
    };
    Ok(reader.take(current.length)? << (bits - current.leading - current.length))
}
