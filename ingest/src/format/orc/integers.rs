//! Run lengths of integers, read: both versions of ORC's, the second with its four kinds of runs.
//!
//! Unsigned numbers come as their bits in an i64. A stream that ends before the wanted count is damage;
//! what is behind the count is not looked at.

use super::wire::{unzigzag, varint};
use super::{Read, bad};

/// Which encoding a stream has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    One,
    Two,
}

/// The first `count` numbers of a stream.
pub fn read(mut bytes: &[u8], count: usize, signed: bool, version: Version) -> Read<Vec<i64>> {
    let mut out = vec![];
    while out.len() < count {
        match version {
            Version::One => run_of_one(&mut bytes, signed, count - out.len(), &mut out)?,
            Version::Two => run_of_two(&mut bytes, signed, &mut out)?,
        }
    }
    out.truncate(count);
    Ok(out)
}

#[cold]
fn cut() -> crate::format::ParseError {
    bad("a stream of integers ends too early")
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Read<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or_else(cut)?;
    *bytes = rest;
    Ok(taken)
}

fn byte(bytes: &mut &[u8]) -> Read<u8> {
    take(bytes, 1).map(|b| b[0])
}

fn number(bytes: &mut &[u8], signed: bool) -> Read<i64> {
    let n = varint(bytes)?;
    Ok(if signed { unzigzag(n) } else { n as i64 })
}

fn run_of_one(bytes: &mut &[u8], signed: bool, left: usize, out: &mut Vec<i64>) -> Read<()> {
    let head = byte(bytes)?;
    if head < 0x80 {
        let step = byte(bytes)? as i8 as i64;
        let base = number(bytes, signed)?;
        let length = (head as usize + 3).min(left);
        out.extend((0..length as i64).map(|i| base.wrapping_add(i.wrapping_mul(step))));
        return Ok(());
    }
    for _ in 0..(256 - head as usize).min(left) {
        out.push(number(bytes, signed)?);
    }
    Ok(())
}

fn run_of_two(bytes: &mut &[u8], signed: bool, out: &mut Vec<i64>) -> Read<()> {
    let head = byte(bytes)?;
    if head >> 6 == 0 {
        let value = big_endian(take(bytes, (head as usize >> 3 & 7) + 1)?);
        let value = if signed { unzigzag(value) } else { value as i64 };
        out.resize(out.len() + (head as usize & 7) + 3, value);
        return Ok(());
    }
    let code = head >> 1 & 31;
    let length = ((head as usize & 1) << 8 | byte(bytes)? as usize) + 1;
    match head >> 6 {
        1 => {
            let first = out.len();
            unpack(bytes, width_of(code), length, out)?;
            if signed {
                out[first..].iter_mut().for_each(|n| *n = unzigzag(*n as u64));
            }
            Ok(())
        }
        2 => patched(bytes, width_of(code), length, out),
        _ => delta(bytes, code, length, signed, out),
    }
}

/// Offsets to a base, of which a list says the upper bits of the few large ones.
fn patched(bytes: &mut &[u8], width: u32, length: usize, out: &mut Vec<i64>) -> Read<()> {
    let (third, fourth) = (byte(bytes)?, byte(bytes)?);
    let base_bytes = (third as usize >> 5) + 1;
    let patch_width = width_of(third & 31);
    let gap_width = (fourth as u32 >> 5) + 1;
    let patches = fourth as usize & 31;
    let base = big_endian(take(bytes, base_bytes)?);
    let sign = 1u64 << (base_bytes * 8 - 1);
    let base = match base & sign {
        0 => base as i64,
        _ => ((base & !sign) as i64).wrapping_neg(),
    };
    let first = out.len();
    unpack(bytes, width, length, out)?;
    if width + patch_width > 64 || patch_width + gap_width > 64 {
        return Err(bad("a patch is wider than a number"));
    }
    let mut list = vec![];
    unpack(bytes, closest_width(patch_width + gap_width), patches, &mut list)?;
    let mut at = first;
    for entry in list {
        let (gap, patch) = (entry as u64 >> patch_width, entry as u64 & ((1 << patch_width) - 1));
        at += gap as usize;
        match out.get_mut(at) {
            Some(n) => *n |= (patch << width) as i64,
            None if patch == 0 => {}
            None => return Err(bad("a patch lies behind its run")),
        }
    }
    out[first..].iter_mut().for_each(|n| *n = n.wrapping_add(base));
    Ok(())
}

fn delta(bytes: &mut &[u8], code: u8, length: usize, signed: bool, out: &mut Vec<i64>) -> Read<()> {
    let base = number(bytes, signed)?;
    let step = number(bytes, true)?;
    if code == 0 {
        out.extend((0..length as i64).map(|i| base.wrapping_add(i.wrapping_mul(step))));
        return Ok(());
    }
    out.push(base);
    if length == 1 {
        return Ok(());
    }
    let mut last = base.wrapping_add(step);
    out.push(last);
    let first = out.len();
    unpack(bytes, width_of(code), length - 2, out)?;
    for n in &mut out[first..] {
        last = if step < 0 { last.wrapping_sub(*n) } else { last.wrapping_add(*n) };
        *n = last;
    }
    Ok(())
}

fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, b| n << 8 | *b as u64)
}

/// The width that five bits stand for.
fn width_of(code: u8) -> u32 {
    match code {
        0..=23 => code as u32 + 1,
        24 => 26,
        25 => 28,
        26 => 30,
        27 => 32,
        28 => 40,
        29 => 48,
        30 => 56,
        _ => 64,
    }
}

/// The narrowest width with a code that holds `width` bits.
pub fn closest_width(width: u32) -> u32 {
    match width {
        0 => 1,
        1..=24 => width,
        25..=32 => width.next_multiple_of(2),
        _ => width.next_multiple_of(8),
    }
}

/// The five bits that stand for a width that has some.
pub fn code_of(width: u32) -> u8 {
    match width {
        ..=24 => width.max(1) as u8 - 1,
        25..=32 => (24 + (width - 26) / 2) as u8,
        _ => (28 + (width - 40) / 8) as u8,
    }
}

/// `count` numbers of `width` bits, the highest first, up to the next whole byte.
fn unpack(bytes: &mut &[u8], width: u32, count: usize, out: &mut Vec<i64>) -> Read<()> {
    let packed = take(bytes, (count * width as usize).div_ceil(8))?;
    if width.is_multiple_of(8) {
        out.extend(packed.chunks_exact(width as usize / 8).map(|b| big_endian(b) as i64));
        return Ok(());
    }
    // All that are left are below 57 bits, so that each lies within eight bytes from its first.
    for i in 0..count {
        let bit = i * width as usize;
        let word = match packed.get(bit / 8..).and_then(|b| b.first_chunk::<8>()) {
            Some(word) => u64::from_be_bytes(*word),
            None => {
                let mut word = [0; 8];
                let rest = &packed[bit / 8..];
                word[..rest.len()].copy_from_slice(rest);
                u64::from_be_bytes(word)
            }
        };
        out.push((word << (bit % 8) >> (64 - width)) as i64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_the_specification() {
        let two = |bytes: &[u8], count, signed| read(bytes, count, signed, Version::Two).unwrap();
        assert_eq!(two(&[0x0a, 0x27, 0x10], 5, false), [10_000; 5]);
        let direct = [0x5e, 0x03, 0x5c, 0xa1, 0xab, 0x1e, 0xde, 0xad, 0xbe, 0xef];
        assert_eq!(two(&direct, 4, false), [23_713, 43_806, 57_005, 48_879]);
        let patched = [
            0x8e, 0x13, 0x2b, 0x21, 0x07, 0xd0, 0x1e, 0x00, 0x14, 0x70, 0x28, 0x32, 0x3c, 0x46,
            0x50, 0x5a, 0x64, 0x6e, 0x78, 0x82, 0x8c, 0x96, 0xa0, 0xaa, 0xb4, 0xbe, 0xfc, 0xe8,
        ];
        let expected = [
            2030, 2000, 2020, 1_000_000, 2040, 2050, 2060, 2070, 2080, 2090, 2100, 2110, 2120,
            2130, 2140, 2150, 2160, 2170, 2180, 2190,
        ];
        assert_eq!(two(&patched, 20, false), expected);
        let delta = [0xc6, 0x09, 0x02, 0x02, 0x22, 0x42, 0x42, 0x46];
        assert_eq!(two(&delta, 10, false), [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
        let one = |bytes: &[u8], count| read(bytes, count, false, Version::One).unwrap();
        assert_eq!(one(&[0x61, 0x00, 0x07], 100), [7; 100]);
        let falling: Vec<i64> = (1..=100).rev().collect();
        assert_eq!(one(&[0x61, 0xff, 0x64], 100), falling);
        assert_eq!(one(&[0xfb, 0x02, 0x03, 0x06, 0x07, 0x0b], 5), [2, 3, 6, 7, 11]);
    }

    #[test]
    fn cut_runs_are_errors() {
        for bytes in
            [&[0x0a, 0x27][..], &[0x5e, 0x03, 0x5c], &[0x8e, 0x13, 0x2b], &[0xc6, 0x09], &[]]
        {
            assert!(read(bytes, 3, true, Version::Two).is_err());
        }
        assert!(read(&[0x61, 0x00], 3, true, Version::One).is_err());
    }

    #[test]
    fn any_bytes_are_read_or_refused() {
        let mut state = 1u64;
        for _ in 0..20_000 {
            let mut bytes = vec![];
            for _ in 0..40 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                bytes.push((state >> 56) as u8);
            }
            for version in [Version::One, Version::Two] {
                let _ = read(&bytes, 600, state & 1 == 0, version);
            }
        }
    }
}
