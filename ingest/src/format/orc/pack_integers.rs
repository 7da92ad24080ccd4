//! Run lengths of integers, written in the second version: repeats, steps and packed bits.
//!
//! Patched runs are not written: what they save, the compression behind saves as well.

use super::integers::{closest_width, code_of};
use super::wire::{put_varint, zigzag};

/// Numbers of a run, at most.
const RUN_MAX: usize = 512;
/// From this length on repeats are a run of their own.
const REPEAT_MIN: usize = 3;
const SHORT_REPEAT_MAX: usize = 10;
/// Within packed numbers a run must be this long to be worth a head.
const STEPS_MIN: usize = 8;

/// Appends all of `numbers`; unsigned ones are their bits.
pub fn write(mut numbers: &[i64], signed: bool, out: &mut Vec<u8>) {
    while !numbers.is_empty() {
        let taken = write_run(numbers, signed, out);
        numbers = &numbers[taken..];
    }
}

fn write_run(numbers: &[i64], signed: bool, out: &mut Vec<u8>) -> usize {
    let window = &numbers[..numbers.len().min(RUN_MAX)];
    let steady = steady_length(window);
    let repeats = steady >= 2 && window[0] == window[1];
    if repeats && (REPEAT_MIN..=SHORT_REPEAT_MAX).contains(&steady) {
        short_repeat(window[0], steady, signed, out);
        return steady;
    }
    if steady >= STEPS_MIN || repeats && steady >= REPEAT_MIN {
        steps(&window[..steady], signed, out);
        return steady;
    }
    let length = until_steady(window);
    let window = &window[..length];
    match rising_or_falling(window, signed) {
        Some(width) => deltas(window, width, signed, out),
        None => direct(window, signed, out),
    }
    length
}

/// How many numbers from the beginning have one step between them.
fn steady_length(numbers: &[i64]) -> usize {
    let [first, second, ..] = numbers else { return numbers.len() };
    let Some(step) = second.checked_sub(*first) else { return 1 };
    let steps = numbers.windows(2).take_while(|w| w[1].checked_sub(w[0]) == Some(step));
    1 + steps.count()
}

/// Where the first long steady run begins behind the first number.
fn until_steady(numbers: &[i64]) -> usize {
    let (mut start, mut step) = (0, None);
    for (i, pair) in numbers.windows(2).enumerate() {
        let next = pair[1].checked_sub(pair[0]);
        if next.is_none() || next != step {
            (start, step) = (i, next);
        }
        if i + 2 - start >= STEPS_MIN && start > 0 {
            return start;
        }
    }
    numbers.len()
}

fn encoded(n: i64, signed: bool) -> u64 {
    if signed { zigzag(n) } else { n as u64 }
}

fn short_repeat(n: i64, count: usize, signed: bool, out: &mut Vec<u8>) {
    let value = encoded(n, signed);
    let width = (8 - value.leading_zeros() as usize / 8).max(1);
    out.push(((width - 1) << 3 | (count - REPEAT_MIN)) as u8);
    out.extend_from_slice(&value.to_be_bytes()[8 - width..]);
}

/// The two bytes before a run of a kind.
fn head(kind: u8, code: u8, length: usize, out: &mut Vec<u8>) {
    let length = length - 1;
    out.extend_from_slice(&[kind << 6 | code << 1 | (length >> 8) as u8, length as u8]);
}

/// Numbers with one step between them.
fn steps(numbers: &[i64], signed: bool, out: &mut Vec<u8>) {
    head(3, 0, numbers.len(), out);
    put_varint(encoded(numbers[0], signed), out);
    put_varint(zigzag(numbers[1].wrapping_sub(numbers[0])), out);
}

/// The width of the steps of numbers that only rise or only fall, if that is less than their own.
fn rising_or_falling(numbers: &[i64], signed: bool) -> Option<u32> {
    let [first, second, third, ..] = numbers else { return None };
    // A negative number among unsigned ones is a large one, whose steps overflow.
    if !signed && numbers.iter().any(|n| *n < 0) {
        return None;
    }
    let falls = second < first || second == first && third < second;
    // The sign of the first step says which way; no step cannot say that it falls.
    if falls && second == first {
        return None;
    }
    let mut widest = 0u64;
    for pair in numbers.windows(2) {
        let step = pair[1].checked_sub(pair[0])?;
        if step != 0 && (step < 0) != falls {
            return None;
        }
        widest |= step.unsigned_abs();
    }
    // One bit has no code for steps.
    let width = closest_width(64 - widest.leading_zeros()).max(2);
    let own = numbers.iter().fold(0, |all, n| all | encoded(*n, signed));
    (width < closest_width(64 - own.leading_zeros())).then_some(width)
}

fn deltas(numbers: &[i64], width: u32, signed: bool, out: &mut Vec<u8>) {
    head(3, code_of(width), numbers.len(), out);
    put_varint(encoded(numbers[0], signed), out);
    put_varint(zigzag(numbers[1].wrapping_sub(numbers[0])), out);
    let steps = numbers[1..].windows(2).map(|w| w[1].wrapping_sub(w[0]).unsigned_abs());
    pack(steps, width, out);
}

fn direct(numbers: &[i64], signed: bool, out: &mut Vec<u8>) {
    let own = numbers.iter().fold(0, |all, n| all | encoded(*n, signed));
    let width = closest_width(64 - own.leading_zeros());
    head(1, code_of(width), numbers.len(), out);
    pack(numbers.iter().map(|n| encoded(*n, signed)), width, out);
}

/// Numbers of `width` bits one after the other, the highest first, up to the next whole byte.
fn pack(numbers: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    // At most seven bits wait, so that 64 more always fit.
    let (mut waiting, mut bits) = (0u128, 0);
    for n in numbers {
        waiting = waiting << width | n as u128;
        bits += width;
        while bits >= 8 {
            bits -= 8;
            out.push((waiting >> bits) as u8);
        }
        waiting &= (1 << bits) - 1;
    }
    if bits > 0 {
        out.push((waiting << (8 - bits)) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::super::integers::{Version, read};
    use super::*;

    fn round(numbers: &[i64], signed: bool) -> usize {
        let mut out = vec![];
        write(numbers, signed, &mut out);
        let again = read(&out, numbers.len(), signed, Version::Two).unwrap();
        assert_eq!(again, numbers);
        out.len()
    }

    #[test]
    fn written_numbers_are_read_again() {
        for signed in [true, false] {
            assert!(round(&[7; 1000], signed) < 12);
            assert!(round(&(0..1000).collect::<Vec<i64>>(), signed) < 12);
            assert!(round(&(0..1000).rev().collect::<Vec<i64>>(), signed) < 14);
            round(&[i64::MIN, i64::MAX, 0, -1, 1], signed);
            round(&[i64::MAX; 5], signed);
            round(&[1, 1, 0, -5], signed);
            round(&[5, 5, 4, 4, 3, 1, 0, 0], signed);
            round(&[], signed);
            let primes = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41];
            assert!(round(&primes, signed) < 16);
        }
    }

    #[test]
    fn any_mixture_is_read_again() {
        let mut state = 3u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state >> 11
        };
        for _ in 0..3_000 {
            let mut numbers: Vec<i64> = vec![];
            for _ in 0..next() % 8 {
                let width = next() % 64;
                let one = (next() << 11) as i64 >> width;
                let (step, length) = (next() as i64 >> (next() % 53), next() % 700);
                match next() % 4 {
                    0 => numbers.resize(numbers.len() + length as usize % 14, one),
                    1 => numbers
                        .extend((0..length as i64).map(|i| one.wrapping_add(i.wrapping_mul(step)))),
                    2 => {
                        for _ in 0..length {
                            numbers.push((next() << 11) as i64 >> width);
                        }
                    }
                    _ => {
                        let mut n = one;
                        for _ in 0..length {
                            n = n.wrapping_add((next() % 100) as i64);
                            numbers.push(n);
                        }
                    }
                }
            }
            round(&numbers, true);
            round(&numbers, false);
        }
    }
}
