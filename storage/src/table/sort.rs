//! Sorting rows by keys of up to 128 bits, or by such beginnings of longer ones.
//!
//! Bits in which all keys agree say nothing about the order, so the others are drawn together into one word,
//! which mostly holds all there is to compare. Words are sorted by digits: all of them where they are short,
//! else by the first one and then by comparing within each. Equal keys stay in the order given.

use std::cmp::Ordering;

/// Bits of a digit.
const DIGIT_BITS: u32 = 11;
const DIGITS: usize = 1 << DIGIT_BITS;
/// The most passes over all digits that beat comparing.
const PASSES_MAX: u32 = 3;
/// Fewer rows are compared.
const DIGIT_ROWS_MIN: usize = 4096;
/// So many bits that do not differ are left in a word rather than cut out of it.
const GAP_BITS_MIN: u32 = 4;

/// The rows by the key that each has; `rest` decides between rows whose keys are the same.
pub(super) fn sort_rows(
    rows: &[u32],
    key: impl Fn(u32) -> u128,
    rest: Option<&dyn Fn(u32, u32) -> Ordering>,
) -> Vec<u32> {
    let Some(first) = rows.first().map(|row| key(*row)) else { return vec![] };
    let (mut differing, mut low, mut high) = (0, first, first);
    for row in rows {
        let key = key(*row);
        (differing, low, high) = (differing | (key ^ first), low.min(key), high.max(key));
    }
    let (runs, bits) = differing_runs(differing);
    let span_bits = u128::BITS - (high - low).leading_zeros();
    if span_bits < bits {
        // Few keys on both sides of a power of two.
        let keyed = rows.iter().map(|row| ((key(*row) - low) as u64, *row)).collect();
        return by_word(keyed, span_bits, rest);
    }
    let word = |row: &u32| {
        let key = key(*row);
        let word = runs.iter().fold(0u128, |word, run| {
            (word << run.length) | ((key >> run.lowest) & lowest(run.length))
        });
        (word as u64, *row)
    };
    let keyed: Vec<(u64, u32)> = rows.iter().map(word).collect();
    let is_whole = runs.last().is_none_or(|run| differing & lowest(run.lowest) == 0);
    match rest {
        None if !is_whole => by_word(keyed, bits, Some(&|a, b| key(a).cmp(&key(b)))),
        _ => by_word(keyed, bits, rest),
    }
}

/// Neighbouring bits of a key.
struct Run {
    lowest: u32,
    length: u32,
}

/// The runs of set bits from the highest on, as far as they fit into a word, and how many bits they are.
fn differing_runs(bits: u128) -> (Vec<Run>, u32) {
    let (mut runs, mut total, mut rest) = (vec![], 0, bits);
    while rest != 0 && total < 64 {
        let end = u128::BITS - rest.leading_zeros();
        // Down to where a gap begins.
        let mut begin = end - 1;
        loop {
            let below = rest & lowest(begin);
            let highest = u128::BITS - below.leading_zeros();
            if below == 0 || begin - highest >= GAP_BITS_MIN {
                break;
            }
            begin = highest - 1;
        }
        let length = (end - begin).min(64 - total);
        runs.push(Run { lowest: end - length, length });
        total += length;
        rest &= lowest(begin);
    }
    (runs, total)
}

/// Rows by words of `bits` bits, those of equal words as `rest` says, else as they come.
fn by_word(
    mut keyed: Vec<(u64, u32)>,
    bits: u32,
    rest: Option<&dyn Fn(u32, u32) -> Ordering>,
) -> Vec<u32> {
    let compare = |a: &(u64, u32), b: &(u64, u32)| {
        let rest = || rest.map_or(Ordering::Equal, |rest| rest(a.1, b.1));
        a.0.cmp(&b.0).then_with(rest).then(a.1.cmp(&b.1))
    };
    let passes = bits.div_ceil(DIGIT_BITS);
    if keyed.len() < DIGIT_ROWS_MIN {
        keyed.sort_unstable_by(compare);
        return keyed.into_iter().map(|(_, row)| row).collect();
    }
    let mut sorted = vec![(0u64, 0u32); keyed.len()];
    if passes <= PASSES_MAX && rest.is_none() {
        for pass in 0..passes {
            spread(&keyed, pass * DIGIT_BITS, &mut sorted);
            std::mem::swap(&mut keyed, &mut sorted);
        }
        return keyed.into_iter().map(|(_, row)| row).collect();
    }
    let mut from = 0;
    for end in spread(&keyed, bits.saturating_sub(DIGIT_BITS), &mut sorted).iter() {
        sorted[from..*end as usize].sort_unstable_by(compare);
        from = *end as usize;
    }
    sorted.into_iter().map(|(_, row)| row).collect()
}

/// Puts the entries into the order of the digit of their words that begins at bit `shift`, those of one digit as
/// they come; where each digit's entries end.
fn spread(keyed: &[(u64, u32)], shift: u32, sorted: &mut [(u64, u32)]) -> Box<[u32; DIGITS]> {
    let digit = |word: u64| (word >> shift) as usize & (DIGITS - 1);
    let mut ends = Box::new([0u32; DIGITS]);
    keyed.iter().for_each(|(word, _)| ends[digit(*word)] += 1);
    let mut position = 0;
    for end in ends.iter_mut() {
        position += std::mem::replace(end, position);
    }
    for entry in keyed {
        let slot = &mut ends[digit(entry.0)];
        sorted[*slot as usize] = *entry;
        *slot += 1;
    }
    ends
}

/// The lowest `count` bits.
fn lowest(count: u32) -> u128 {
    1u128.checked_shl(count).map_or(u128::MAX, |bit| bit - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(keys: &[u128]) {
        let rows: Vec<u32> = (0..keys.len() as u32).collect();
        let mut expected = rows.clone();
        expected.sort_by_key(|row| keys[*row as usize]);
        assert_eq!(sort_rows(&rows, |row| keys[row as usize], None), expected);
        // The low half of a key only told by what decides the rest.
        let rest = |a: u32, b: u32| keys[a as usize].cmp(&keys[b as usize]);
        let high = |row: u32| keys[row as usize] & !lowest(64);
        assert_eq!(sort_rows(&rows, high, Some(&rest)), expected);
    }

    #[test]
    fn rows_in_the_order_of_their_keys() {
        let mut state = 7u128;
        let mut random = || {
            state = state.wrapping_mul(0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645).wrapping_add(11);
            state ^ state >> 61
        };
        let masks = [
            0,
            1,
            0x7FF,
            1 << 127,
            u128::MAX,
            lowest(33) << 90,
            lowest(20) << 108 | lowest(44),
            lowest(5) << 120 | lowest(3) << 100 | lowest(9) << 60 | lowest(30) << 1,
            0x5555_5555_5555_5555_5555_5555_5555_5555,
        ];
        check(&[(1 << 90) - 1, 1 << 90, (1 << 90) + 7, (1 << 90) - 1]);
        for mask in masks {
            for count in [0, 1, 2, 100, DIGIT_ROWS_MIN + 900] {
                let base = random() & !mask;
                let keys: Vec<u128> = (0..count).map(|_| random() & mask | base).collect();
                check(&keys);
            }
        }
    }

    #[test]
    fn runs_of_bits() {
        let runs = |bits| {
            let (runs, total) = differing_runs(bits);
            (runs.iter().map(|r| (r.lowest, r.length)).collect::<Vec<_>>(), total)
        };
        assert_eq!(runs(0), (vec![], 0));
        assert_eq!(runs(1 << 127 | 1), (vec![(127, 1), (0, 1)], 2));
        assert_eq!(runs(0b1_0000_0110_1100), (vec![(12, 1), (2, 5)], 6));
        assert_eq!(runs(u128::MAX), (vec![(64, 64)], 64));
        assert_eq!(runs(lowest(20) << 108 | lowest(60)), (vec![(108, 20), (16, 44)], 64));
    }
}
