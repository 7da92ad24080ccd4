//! GCD: the greatest common divisor of all words, then each word divided by it. Bytes behind the last
//! whole word come first, as they are.

use arrow_buffer::i256;

use super::declare::{Argument, refuse};
use super::{Codec, Parameters, Role, Settled};
use crate::error::Result;
use crate::part::wire::{Cursor, Decoded, Malformed};
use crate::types::DataType;

pub(super) struct Gcd;

impl Codec for Gcd {
    fn name(&self) -> &'static str {
        "GCD"
    }

    fn id(&self) -> u8 {
        21
    }

    fn role(&self) -> Role {
        Role::Transform
    }

    fn settle(&self, arguments: &[Argument], leaf: &DataType) -> Result<Settled> {
        use DataType::*;
        if !arguments.is_empty() {
            let given = arguments.len();
            return Err(refuse(431, format!("GCD codec must have 0 parameters, given {given}")));
        }
        match leaf {
            UInt8
            | UInt16
            | UInt32
            | UInt64
            | UInt128
            | UInt256
            | Int8
            | Int16
            | Int32
            | Int64
            | Int128
            | Int256
            | Bool
            | Decimal { .. }
            | Date
            | Date32
            | DateTime(_)
            | DateTime64(..) => Ok(Settled::plain()),
            SimpleAggregateFunction { argument, .. } => self.settle(arguments, argument),
            _ => Err(refuse(
                36,
                format!(
                    "Codec GCD cannot be applied to column {leaf} because it can only be used with \
                     Int*, UInt*, Decimal*, Date* or DateTime* types."
                ),
            )),
        }
    }

    fn encode(&self, parameters: Parameters, bytes: &[u8], out: &mut Vec<u8>) {
        let width = (parameters.width as usize).max(1);
        let (words, rest) = bytes.split_at(bytes.len() / width * width);
        out.extend_from_slice(rest);
        if width == 32 {
            return encode_wide(words, out);
        }
        let get = |bytes: &[u8]| word(bytes, parameters.signed);
        let divisor = words.chunks_exact(width).try_fold(0u128, |gcd, bytes| {
            let gcd = common(gcd, get(bytes).unsigned_abs());
            // A divisor of one cannot grow again.
            if gcd == 1 { None } else { Some(gcd) }
        });
        let divisor = divisor.unwrap_or(1).max(1);
        out.extend_from_slice(&divisor.to_le_bytes()[..width]);
        for bytes in words.chunks_exact(width) {
            let value = get(bytes);
            let quotient = match i128::try_from(divisor) {
                Ok(1) => value,
                Ok(divisor) => value / divisor,
                // Only the least i128 has a divisor that large, and zero.
                Err(_) => -((value != 0) as i128),
            };
            out.extend_from_slice(&quotient.to_le_bytes()[..width]);
        }
    }

    fn decode(&self, parameters: Parameters, stored: &[u8], out: &mut [u8]) -> Decoded<()> {
        let width = parameters.width as usize;
        if !matches!(width, 1 | 2 | 4 | 8 | 16 | 32) {
            return Err(Malformed("a width of words"));
        }
        let (words, rest) = out.split_at_mut(out.len() / width * width);
        let mut cursor = Cursor::new(stored);
        rest.copy_from_slice(cursor.take(rest.len())?);
        let divisor = cursor.take(width)?;
        let quotients = cursor.take(words.len())?;
        if cursor.remaining() > 0 {
            return Err(Malformed("the last quotient"));
        }
        let pairs = words.chunks_exact_mut(width).zip(quotients.chunks_exact(width));
        if width == 32 {
            let divisor = wide(divisor);
            pairs.for_each(|(word, q)| {
                word.copy_from_slice(&wide(q).wrapping_mul(divisor).to_le_bytes());
            });
        } else {
            // Multiplication wraps the same way for signed words.
            let divisor = word(divisor, false);
            pairs.for_each(|(slot, q)| {
                let value = word(q, false).wrapping_mul(divisor);
                slot.copy_from_slice(&value.to_le_bytes()[..width]);
            });
        }
        Ok(())
    }
}

/// The word of up to 16 bytes; one of 16 bytes counts as signed.
fn word(bytes: &[u8], signed: bool) -> i128 {
    let mut all = [0; 16];
    all[..bytes.len()].copy_from_slice(bytes);
    let unused = 128 - 8 * bytes.len() as u32;
    let value = i128::from_le_bytes(all);
    if signed && unused > 0 { (value << unused) >> unused } else { value }
}

fn common(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        // Division of 64 bits is much the faster one.
        let rest = match (u64::try_from(a), u64::try_from(b)) {
            (Ok(a), Ok(b)) => (a % b) as u128,
            _ => a % b,
        };
        (a, b) = (b, rest);
    }
    a
}

fn wide(bytes: &[u8]) -> i256 {
    let mut all = [0; 32];
    all.copy_from_slice(&bytes[..32]);
    i256::from_le_bytes(all)
}

fn encode_wide(words: &[u8], out: &mut Vec<u8>) {
    let mut divisor = i256::ZERO;
    for bytes in words.chunks_exact(32) {
        let value = wide(bytes);
        if value == i256::MIN || divisor == i256::ONE {
            divisor = i256::ONE;
            break;
        }
        let mut b = value.wrapping_abs();
        while b != i256::ZERO {
            let rest = divisor.checked_rem(b).unwrap_or(i256::ZERO);
            (divisor, b) = (b, rest);
        }
    }
    if divisor == i256::ZERO {
        divisor = i256::ONE;
    }
    out.extend_from_slice(&divisor.to_le_bytes());
    for bytes in words.chunks_exact(32) {
        let quotient = wide(bytes).checked_div(divisor).unwrap_or(i256::ZERO);
        out.extend_from_slice(&quotient.to_le_bytes());
    }
}
