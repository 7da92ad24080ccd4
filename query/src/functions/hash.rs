//! Hash functions: cityHash64, sipHash64 and others over any arguments, digests of texts, integer
//! hashes, consistent hashing.
//!
//! Several arguments combine from left to right; arrays hash their length and then their items, tuples
//! their elements, as ClickHouse does, so that stored hashes stay comparable.

use std::sync::Arc;

use arrow_array::FixedSizeBinaryArray;
use arrow_array::cast::AsArray;
use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::city::{city_hash_64, fold, int_hash_32, int_hash_64};
use super::digest::*;
use super::gather::array_of;
use super::native::{As, Native, values, with_native};
use super::registry::Registry;
use super::sip::{sip_hash_64, sip_hash_64_keyed, sip_hash_128};
use super::strings::Strings;
use super::wide::load_wide;
use crate::error::Result;

/// A hash over any columns.
#[derive(Clone, Copy)]
struct Algorithm {
    bytes: fn(&[u8]) -> u64,
    /// Plain numbers go through intHash64 (or intHash32) instead of their bytes.
    numbers_by_int_hash: bool,
    combine: fn(u64, u64) -> u64,
    /// 32 bit results.
    narrow: bool,
}

fn combine_int_hash(a: u64, b: u64) -> u64 {
    int_hash_64(a) ^ b
}

fn combine_int_hash_32(a: u64, b: u64) -> u64 {
    (int_hash_32(a) ^ b as u32) as u64
}

fn combine_sip(a: u64, b: u64) -> u64 {
    let mut both = [0; 16];
    both[..8].copy_from_slice(&a.to_le_bytes());
    both[8..].copy_from_slice(&b.to_le_bytes());
    sip_hash_64(&both)
}

fn half_md5(text: &[u8]) -> u64 {
    let digest = md5(text);
    digest[..8].iter().fold(0, |w, b| w << 8 | *b as u64)
}

pub(super) fn add(r: &mut Registry) {
    let wide = |bytes: fn(&[u8]) -> u64, numbers_by_int_hash, combine| Algorithm {
        bytes,
        numbers_by_int_hash,
        combine,
        narrow: false,
    };
    let narrow = |bytes: fn(&[u8]) -> u64| Algorithm {
        bytes,
        numbers_by_int_hash: false,
        combine: combine_int_hash_32,
        narrow: true,
    };
    for (name, algorithm) in [
        ("cityHash64", wide(city_hash_64, true, fold as fn(u64, u64) -> u64)),
        ("sipHash64", wide(sip_hash_64, false, combine_sip)),
        ("xxHash64", wide(xx_hash_64, false, fold)),
        ("xxh3", wide(xxhash_rust::xxh3::xxh3_64, false, fold)),
        ("halfMD5", wide(half_md5, false, combine_int_hash)),
        ("murmurHash2_64", wide(murmur2_64, false, combine_int_hash)),
        (
            "murmurHash3_64",
            wide(
                |t| {
                    let (a, b) = murmur3_128(t);
                    a ^ b
                },
                false,
                combine_int_hash,
            ),
        ),
        ("xxHash32", narrow(|t| xx_hash_32(t) as u64)),
        ("murmurHash2_32", narrow(|t| murmur2_32(t) as u64)),
        ("murmurHash3_32", narrow(|t| murmur3_32(t) as u64)),
    ] {
        let result = if algorithm.narrow { DataType::UInt32 } else { DataType::UInt64 };
        r.add(name, 0..=usize::MAX, move |_| Ok(result.clone()), move |c| hash(c, algorithm));
    }
    r.add(
        "intHash64",
        1..=1,
        |a| a.integer_like(0).map(|_| DataType::UInt64),
        |c| {
            let words = c.numbers::<u64>(0)?;
            c.finish_numbers((0..c.rows).map(|i| int_hash_64(words.get(i))).collect::<Vec<_>>())
        },
    );
    r.add(
        "intHash32",
        1..=1,
        |a| a.integer_like(0).map(|_| DataType::UInt32),
        |c| {
            let words = c.numbers::<u64>(0)?;
            c.finish_numbers((0..c.rows).map(|i| int_hash_32(words.get(i))).collect::<Vec<_>>())
        },
    );
    r.add("sipHash64Keyed", 2..=usize::MAX, |_| Ok(DataType::UInt64), keyed);
    digests(r);
    r.measure("CRC32", DataType::UInt32, crc32);
    r.measure("javaHash", DataType::Int32, |t| {
        t.iter().fold(0i32, |h, b| h.wrapping_mul(31).wrapping_add(*b as i8 as i32))
    });
    r.measure("hiveHash", DataType::Int32, |t| {
        t.iter().fold(0i32, |h, b| h.wrapping_mul(31).wrapping_add(*b as i8 as i32)) & i32::MAX
    });
    r.add(
        "jumpConsistentHash",
        2..=2,
        |a| {
            a.integer(0)?;
            a.integer(1)?;
            Ok(DataType::Int32)
        },
        |c| {
            let (keys, buckets) = (c.numbers::<u64>(0)?, c.numbers::<i64>(1)?);
            c.finish_numbers(
                (0..c.rows).map(|i| jump(keys.get(i), buckets.get(i))).collect::<Vec<_>>(),
            )
        },
    );
}

/// Lamping and Veach's jump hash.
fn jump(mut key: u64, buckets: i64) -> i32 {
    let (mut bucket, mut next) = (-1i64, 0i64);
    while next < buckets {
        bucket = next;
        key = key.wrapping_mul(2862933555777941757).wrapping_add(1);
        next = ((bucket + 1) as f64 * ((1i64 << 31) as f64 / ((key >> 33) + 1) as f64)) as i64;
    }
    bucket as i32
}

fn digests(r: &mut Registry) {
    for (name, width, f) in [
        ("MD5", 16usize, (|t: &[u8]| md5(t).to_vec()) as fn(&[u8]) -> Vec<u8>),
        ("SHA1", 20, sha1),
        ("SHA224", 28, |t| sha256(t, true)),
        ("SHA256", 32, |t| sha256(t, false)),
        ("SHA384", 48, |t| sha512(t, true)),
        ("SHA512", 64, |t| sha512(t, false)),
        ("sipHash128", 16, |t| sip_hash_128(t).to_vec()),
        ("murmurHash3_128", 16, |t| {
            let (a, b) = murmur3_128(t);
            [a.to_le_bytes(), b.to_le_bytes()].concat()
        }),
    ] {
        r.add(
            name,
            1..=1,
            move |a| {
                a.require(0, |t| t.is_string() || matches!(t, DataType::Ipv6 | DataType::Nothing))?;
                Ok(DataType::FixedString(width))
            },
            move |c| {
                let texts = c.strings(0)?;
                let mut out = Vec::with_capacity(c.rows * width);
                for row in 0..c.rows {
                    out.extend(f(texts.get(row)));
                }
                c.finish(Arc::new(FixedSizeBinaryArray::new(
                    width as i32,
                    arrow_buffer::Buffer::from_vec(out),
                    None,
                )))
            },
        );
    }
}

fn keyed(call: &FunctionCall) -> Result<Column> {
    let key = super::elementwise::elements(&call.column(0)?);
    let [first, second] = &key[..] else {
        return Err(super::type_rule::bad_argument("the key must be a tuple of two UInt64"));
    };
    let (k0, k1) = (super::native::load::<u64>(first)?, super::native::load::<u64>(second)?);
    let texts = call.strings(1)?;
    call.finish_numbers(
        (0..call.rows).map(|i| sip_hash_64_keyed((k0[i], k1[i]), texts.get(i))).collect::<Vec<_>>(),
    )
}

fn hash(call: &FunctionCall, algorithm: Algorithm) -> Result<Column> {
    let mut hashes = vec![0u64; call.rows];
    let mut first = true;
    for i in 0..call.arguments.len() {
        absorb(algorithm, &call.column(i)?, &mut hashes, &mut first)?;
    }
    if algorithm.narrow {
        return call.finish_numbers(hashes.into_iter().map(|h| h as u32).collect::<Vec<_>>());
    }
    call.finish_numbers(hashes)
}

/// Takes one more column into the hashes of its rows.
fn absorb(
    algorithm: Algorithm,
    column: &Column,
    hashes: &mut [u64],
    first: &mut bool,
) -> Result<()> {
    if let DataType::Tuple(_) = column.data_type {
        for element in super::elementwise::elements(column) {
            absorb(algorithm, &element, hashes, first)?;
        }
        return Ok(());
    }
    let fresh = *first;
    *first = false;
    let put =
        |slot: &mut u64, h: u64| *slot = if fresh { h } else { (algorithm.combine)(*slot, h) };
    if let DataType::Array(_) | DataType::Map(..) = column.data_type {
        let array = array_of(column);
        let mut items = vec![0u64; array.items.len()];
        absorb(algorithm, &array.items, &mut items, &mut true)?;
        for (row, slot) in hashes.iter_mut().enumerate() {
            let range = array.range(row);
            let size = range.len() as u64;
            let of_size =
                if algorithm.narrow { int_hash_32(size) as u64 } else { int_hash_64(size) };
            put(slot, of_size);
            for h in &items[range] {
                *slot = (algorithm.combine)(*slot, *h);
            }
        }
        return Ok(());
    }
    if let DataType::Uuid | DataType::Ipv6 = column.data_type {
        let uuid = column.data_type == DataType::Uuid;
        let array = column.array.as_fixed_size_binary();
        for (row, slot) in hashes.iter_mut().enumerate() {
            let mut bytes = array.value(row).to_vec();
            if uuid {
                // In memory a UUID is two little-endian words, the upper first.
                bytes[..8].reverse();
                bytes[8..].reverse();
            }
            put(slot, (algorithm.bytes)(&bytes));
        }
        return Ok(());
    }
    if let Ok(strings) = Strings::of(column.array.as_ref()) {
        for (row, slot) in hashes.iter_mut().enumerate() {
            put(slot, (algorithm.bytes)(strings.get(row)));
        }
        return Ok(());
    }
    let width = column.data_type.arrow().primitive_width().unwrap_or(8);
    with_native!(column.data_type, T => {
        let plain = algorithm.numbers_by_int_hash
            && !matches!(column.data_type, DataType::Decimal { .. } | DataType::DateTime64(..));
        for (slot, v) in hashes.iter_mut().zip(values::<T>(column)) {
            let word = word_of_memory::<T>(*v, width);
            let h = if plain { int_hash_64(word) } else { (algorithm.bytes)(&word.to_le_bytes()[..width]) };
            put(slot, h);
        }
    }, else {
        for (slot, word) in hashes.iter_mut().zip(load_wide(column)?) {
            put(slot, (algorithm.bytes)(&word.to_le_bytes()[..width]));
        }
    });
    Ok(())
}

/// The value's bytes, zero-extended.
fn word_of_memory<T: Native>(v: T, width: usize) -> u64 {
    if T::IS_FLOAT {
        return if width == 4 {
            As::<f32>::to(v).to_bits() as u64
        } else {
            As::<f64>::to(v).to_bits()
        };
    }
    let word = As::<u64>::to(v);
    if width == 8 { word } else { word & ((1 << (width * 8)) - 1) }
}
