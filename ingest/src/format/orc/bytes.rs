//! Run lengths of bytes, and of bits in bytes (the first row is the highest bit).

use super::{Read, bad};

/// Shortest and longest run, and most literals in a row.
const RUN_MIN: usize = 3;
const RUN_MAX: usize = 130;
const LITERALS_MAX: usize = 128;

/// The first `count` bytes of a stream.
pub fn read_bytes(mut bytes: &[u8], count: usize) -> Read<Vec<u8>> {
    let mut out = vec![];
    while out.len() < count {
        let (head, rest) = bytes.split_first().ok_or_else(cut)?;
        let left = count - out.len();
        if *head < 0x80 {
            let (value, rest) = rest.split_first().ok_or_else(cut)?;
            out.resize(out.len() + left.min(*head as usize + RUN_MIN), *value);
            bytes = rest;
        } else {
            let literals = 256 - *head as usize;
            let (taken, rest) = rest.split_at_checked(literals).ok_or_else(cut)?;
            out.extend_from_slice(&taken[..left.min(literals)]);
            bytes = rest;
        }
    }
    Ok(out)
}

/// The first `count` bits of a stream, eight in a byte, the lowest bit first.
pub fn read_bits(bytes: &[u8], count: usize) -> Read<Vec<u8>> {
    let mut out = read_bytes(bytes, count.div_ceil(8))?;
    out.iter_mut().for_each(|b| *b = b.reverse_bits());
    Ok(out)
}

#[cold]
fn cut() -> crate::format::ParseError {
    bad("a stream of bytes ends too early")
}

/// How many bytes from the beginning are equal, up to the longest run.
fn run_length(bytes: &[u8]) -> usize {
    let first = bytes[0];
    bytes.iter().take(RUN_MAX).take_while(|b| **b == first).count()
}

/// All of `bytes` as runs and literals.
pub fn write_bytes(mut bytes: &[u8], out: &mut Vec<u8>) {
    while !bytes.is_empty() {
        let run = run_length(bytes);
        if run >= RUN_MIN {
            out.extend_from_slice(&[(run - RUN_MIN) as u8, bytes[0]]);
            bytes = &bytes[run..];
            continue;
        }
        let mut literals = run;
        while literals < bytes.len().min(LITERALS_MAX) && run_length(&bytes[literals..]) < RUN_MIN {
            literals += 1;
        }
        literals = literals.min(LITERALS_MAX);
        out.push((256 - literals) as u8);
        out.extend_from_slice(&bytes[..literals]);
        bytes = &bytes[literals..];
    }
}

/// Bits, the first row the highest of its byte, as runs.
pub fn write_bits(bits: impl Iterator<Item = bool>, out: &mut Vec<u8>) {
    let mut packed = vec![];
    let mut count = 0usize;
    for bit in bits {
        if count.is_multiple_of(8) {
            packed.push(0);
        }
        if let (true, Some(last)) = (bit, packed.last_mut()) {
            *last |= 0x80 >> (count % 8);
        }
        count += 1;
    }
    write_bytes(&packed, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_the_specification() {
        assert_eq!(read_bytes(&[0x61, 0x00], 100).unwrap(), vec![0; 100]);
        assert_eq!(read_bytes(&[0xfe, 0x44, 0x45], 2).unwrap(), [0x44, 0x45]);
        assert_eq!(read_bits(&[0xff, 0x80], 8).unwrap(), [1]);
        assert!(read_bytes(&[0x61], 1).is_err());
        assert!(read_bytes(&[0xfe, 0x44], 2).is_err());
        assert!(read_bytes(&[], 1).is_err());
    }

    #[test]
    fn written_bytes_are_read_again() {
        let mut state = 7u32;
        for length in [0, 1, 2, 3, 127, 128, 129, 130, 131, 132, 1000] {
            for spread in [1, 2, 3, 250] {
                let next = |_| {
                    state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
                    ((state >> 16) % spread) as u8
                };
                let bytes: Vec<u8> = (0..length).map(next).collect();
                let mut written = vec![];
                write_bytes(&bytes, &mut written);
                assert_eq!(read_bytes(&written, length as usize).unwrap(), bytes);
                let mut written = vec![];
                write_bits(bytes.iter().map(|b| *b == 0), &mut written);
                let bits = read_bits(&written, length as usize).unwrap();
                for (i, b) in bytes.iter().enumerate() {
                    assert_eq!(bits[i / 8] >> (i % 8) & 1 == 1, *b == 0);
                }
            }
        }
    }
}
