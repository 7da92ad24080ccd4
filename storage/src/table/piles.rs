//! Sorting rows that are in order but for a few jumps back, as streams of several partitions are.
//!
//! Each row goes on the pile whose last key is nearest below its own; few piles then hold all rows, each in order,
//! and are merged two by two. Where that is not so, [`merged`] finds out soon and gives up. Equal keys stay in the
//! order given.

/// More piles than this are no few.
const PILES_MAX: usize = 16;
/// Rows come in order this many at a time, or sorting them is better.
const ROWS_PER_JUMP_MIN: usize = 8;
/// Jumps back that are overlooked at the beginning.
const JUMPS_MIN: usize = 64;
/// Rows that are merged, or taken from one pile alone, between two looks.
const STEP: usize = 32;

/// The rows 0 to `count` in the order of their keys, if they are nearly so as they stand.
pub(super) fn merged<K: Ord>(count: usize, key: impl Fn(u32) -> K) -> Option<Vec<u32>> {
    let piles = piles(count, &key)?;
    let mut rows: Vec<u32> = Vec::with_capacity(count);
    let mut ends = Vec::with_capacity(piles.len());
    for pile in &piles {
        pile.iter().for_each(|(from, to)| rows.extend(*from..*to));
        ends.push(rows.len());
    }
    let mut merged = Vec::with_capacity(count);
    while ends.len() > 1 {
        let mut from = 0;
        for pair in ends.chunks(2) {
            match *pair {
                [middle, end] => merge(&rows[from..middle], &rows[middle..end], &key, &mut merged),
                [end] => merged.extend_from_slice(&rows[from..end]),
                _ => {}
            }
            from = merged.len();
        }
        ends = ends.chunks(2).filter_map(|pair| pair.last().copied()).collect();
        std::mem::swap(&mut rows, &mut merged);
        merged.clear();
    }
    Some(rows)
}

/// Stretches of rows per pile, in order: as few piles as there can be.
fn piles<K: Ord>(count: usize, key: &impl Fn(u32) -> K) -> Option<Vec<Vec<(u32, u32)>>> {
    let mut piles: Vec<Vec<(u32, u32)>> = vec![];
    let mut tails: Vec<K> = vec![];
    // The pile that rows go on, and the one whose last key is the next above that one's.
    let (mut current, mut above) = (0, None);
    let (mut from, mut jumps) = (0, 0);
    for row in 0..count as u32 {
        let own = key(row);
        let goes_on = tails.get(current).is_some_and(|tail| own >= *tail)
            && above.is_none_or(|pile: usize| own < tails[pile]);
        if goes_on {
            tails[current] = own;
            continue;
        }
        if row > 0 {
            piles[current].push((from, row));
            jumps += 1;
            if jumps > JUMPS_MIN + row as usize / ROWS_PER_JUMP_MIN {
                return None;
            }
        }
        let all = 0..tails.len();
        above = all.clone().filter(|p| tails[*p] > own).min_by(|a, b| tails[*a].cmp(&tails[*b]));
        match all.filter(|p| tails[*p] <= own).max_by(|a, b| tails[*a].cmp(&tails[*b])) {
            Some(pile) => {
                current = pile;
                tails[pile] = own;
            }
            None if tails.len() == PILES_MAX => return None,
            None => {
                current = tails.len();
                tails.push(own);
                piles.push(vec![]);
            }
        }
        from = row;
    }
    if count > 0 {
        piles[current].push((from, count as u32));
    }
    Some(piles)
}

/// Appends the rows of both piles in the order of their keys.
fn merge<K: Ord>(a: &[u32], b: &[u32], key: &impl Fn(u32) -> K, out: &mut Vec<u32>) {
    let is_first = |b: u32, a: u32| (key(b), b) < (key(a), a);
    let (mut at, mut bt) = (0, 0);
    while a.len() - at >= STEP && b.len() - bt >= STEP {
        let before = at;
        // Which is first cannot be foreseen: no branch depends on it.
        let mut step = [0; STEP];
        for slot in &mut step {
            let from_b = is_first(b[bt], a[at]);
            *slot = if from_b { b[bt] } else { a[at] };
            (at, bt) = (at + !from_b as usize, bt + from_b as usize);
        }
        out.extend_from_slice(&step);
        // One pile alone for a while: it may go on so.
        match at - before {
            STEP => at += alone(&a[at..], |last| !is_first(b[bt], last), out),
            0 => bt += alone(&b[bt..], |last| is_first(last, a[at]), out),
            _ => {}
        }
    }
    while let (Some(x), Some(y)) = (a.get(at), b.get(bt)) {
        let from_b = is_first(*y, *x);
        out.push(if from_b { *y } else { *x });
        (at, bt) = (at + !from_b as usize, bt + from_b as usize);
    }
    out.extend_from_slice(&a[at..]);
    out.extend_from_slice(&b[bt..]);
}

/// Appends steps of a pile for as long as their last rows come before all of the other; how many rows.
fn alone(pile: &[u32], before: impl Fn(u32) -> bool, out: &mut Vec<u32>) -> usize {
    let steps = pile.chunks_exact(STEP).take_while(|step| before(step[STEP - 1]));
    let rows = steps.count() * STEP;
    out.extend_from_slice(&pile[..rows]);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `is_merged`: whether it is not to give up, if that is sure.
    fn check(keys: &[u64], is_merged: Option<bool>) {
        let mut expected: Vec<u32> = (0..keys.len() as u32).collect();
        expected.sort_by_key(|row| keys[*row as usize]);
        let got = merged(keys.len(), |row| keys[row as usize]);
        assert!(is_merged.is_none_or(|sure| got.is_some() == sure), "{} keys", keys.len());
        assert!(got.is_none_or(|got| got == expected));
    }

    /// Keys of several partitions, each ascending in steps below `step`, in batches of `batch`.
    fn partitions(partitions: usize, batch: usize, step: u64, rows: usize) -> Vec<u64> {
        let (mut last, mut state) = (vec![0u64; partitions], 1u64);
        (0..rows)
            .map(|row| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let tail = &mut last[row / batch % partitions];
                *tail += (state >> 40) % step;
                *tail
            })
            .collect()
    }

    #[test]
    fn streams_of_partitions_are_merged() {
        for rows in [0, 1, 2, 31, 700, 20_000] {
            for count in [1, 2, 3, 4, 7, 16] {
                for (batch, step) in [(1000, 5), (37, 1), (37, 2), (250, 1000), (9, 3)] {
                    let sure = (batch >= 250 || step == 1).then_some(true);
                    check(&partitions(count, batch, step, rows), sure);
                }
            }
        }
        // One partition after the other: each step is of one pile alone.
        check(&partitions(4, 5_000, 7, 20_000), Some(true));
        // One partition is far ahead of the others.
        let ahead = |row: u64| if (row / 100).is_multiple_of(5) { 3 * row } else { row };
        check(&(0..20_000).map(ahead).collect::<Vec<_>>(), Some(true));
        let reversed: Vec<u64> = (0..10).rev().collect();
        check(&reversed, Some(true));
    }

    #[test]
    fn what_is_in_no_order_is_left() {
        check(&partitions(17, 1000, 5, 40_000), Some(false));
        check(&partitions(4, 3, 1000, 20_000), Some(false));
        let random: Vec<u64> =
            (0..5000u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
        check(&random, Some(false));
        check(&(0..100).rev().collect::<Vec<_>>(), Some(false));
    }

    #[test]
    fn strings_too() {
        let texts: Vec<String> =
            partitions(3, 50, 9, 4000).iter().map(|n| format!("{n:08}")).collect();
        let mut expected: Vec<u32> = (0..4000).collect();
        expected.sort_by_key(|row| &texts[*row as usize]);
        assert_eq!(merged(4000, |row| texts[row as usize].as_bytes()), Some(expected));
    }
}
