//! One hash per row of a column. Their wrapping sum is the column's content hash: it does not depend
//! on the order of rows, so a merge must conserve it.
//!
//! String hashes also serve the dictionary encoding, so that ingest hashes each string once.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_buffer::ToByteSlice;
use xxhash_rust::xxh3::xxh3_64;

use super::encode::number_buffer;
use super::layout::Layout;
use super::word::{Word, with_word};

const NULL_HASH: u64 = 0x7C15_9E37_4A7F_79B9;

#[inline(always)]
const fn spread(word: u64) -> u64 {
    let h = (word ^ 0x2545_F491_4F6C_DD1D).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (h ^ (h >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

/// What [`spread`] makes of each byte.
static BYTES_SPREAD: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = spread(byte as u64);
        byte += 1;
    }
    table
};

/// Appends one hash per row.
pub(crate) fn row_hashes(layout: &Layout, array: &dyn Array, out: &mut Vec<u64>) {
    let first = out.len();
    match layout {
        Layout::Number { width, .. } => with_word!(*width, T => {
            out.extend(number_buffer(array).typed_data::<T>().iter().map(|v| spread(v.fold())));
        }),
        Layout::FixedBytes(width) => {
            out.extend(array.as_fixed_size_binary().value_data().chunks_exact(*width).map(xxh3_64));
        }
        Layout::Strings | Layout::Objects { .. } => {
            let strings = array.as_binary::<i32>();
            let data = strings.value_data();
            let offsets = strings.value_offsets();
            out.extend(offsets.windows(2).map(|w| xxh3_64(&data[w[0] as usize..w[1] as usize])));
        }
        Layout::List(item) => {
            let list = array.as_list::<i32>();
            let offsets = list.value_offsets();
            let (from, to) = (offsets[0] as usize, offsets[list.len()] as usize);
            let mut items = Vec::with_capacity(to - from);
            row_hashes(item, list.values().slice(from, to - from).as_ref(), &mut items);
            out.extend(offsets.windows(2).map(|w| {
                items[w[0] as usize - from..w[1] as usize - from]
                    .iter()
                    .fold(spread((w[1] - w[0]) as u64), |h, item| spread(h.rotate_left(17) ^ item))
            }));
        }
        Layout::Struct(fields) => {
            out.resize(first + array.len(), 1);
            let mut hashes = Vec::with_capacity(array.len());
            for (layout, field) in fields.iter().zip(array.as_struct().columns()) {
                hashes.clear();
                row_hashes(layout, field.as_ref(), &mut hashes);
                for (h, item) in out[first..].iter_mut().zip(&hashes) {
                    *h = spread(h.rotate_left(17) ^ item);
                }
            }
        }
    }
    if let Some(nulls) = array.nulls().filter(|n| n.null_count() > 0) {
        for (h, valid) in out[first..].iter_mut().zip(nulls.iter()) {
            if !valid {
                *h = NULL_HASH;
            }
        }
    }
}

/// The content hash of a column of numbers without NULLs, and whether they are all the same; None for
/// other columns.
pub(crate) fn number_hash(layout: &Layout, array: &dyn Array) -> Option<(u64, bool)> {
    let Layout::Number { width, .. } = layout else { return None };
    if array.null_count() > 0 {
        return None;
    }
    Some(with_word!(*width, T => {
        let buffer = number_buffer(array);
        let words: &[T] = buffer.typed_data();
        let bytes = words.to_byte_slice();
        // Each word against the one before, as one comparison of bytes.
        let same = !words.is_empty() && bytes[..bytes.len() - width] == bytes[*width..];
        match same {
            true => (spread(words[0].fold()).wrapping_mul(words.len() as u64), true),
            false if *width == 1 => {
                (bytes.iter().fold(0, |sum, b| BYTES_SPREAD[*b as usize].wrapping_add(sum)), false)
            }
            false => (words.iter().fold(0, |sum, v| spread(v.fold()).wrapping_add(sum)), false),
        }
    }))
}

/// The content hash of rows with these hashes.
pub(crate) fn sum(hashes: &[u64]) -> u64 {
    hashes.iter().fold(0, |sum, h| sum.wrapping_add(*h))
}
