//! Adding rows to few groups: four sums a group take turns, so that rows of one group that follow each
//! other need not wait for each other's addition.
//!
//! Only for additions whose order does not matter, which those of floats does.

use super::sum::{Addend, Widen};

/// Groups up to which all the sums stay in the nearest cache.
const GROUPS_MAX: usize = 64;
/// Rows from which on it pays, per group.
const ROWS_PER_GROUP_MIN: usize = 8;
const LANES: usize = 4;

/// Whether so many rows are few groups' rows.
pub(crate) fn are_few(groups: usize, rows: usize) -> bool {
    groups <= GROUPS_MAX && rows >= groups * ROWS_PER_GROUP_MIN
}

/// The sum of the values of each group.
pub(crate) fn sums<N: Copy + Widen<S>, S: Addend>(
    count: usize,
    groups: &[u32],
    values: &[N],
) -> Vec<S> {
    let mut lanes = [[S::default(); GROUPS_MAX]; LANES];
    let (group_chunks, group_rest) = groups.as_chunks::<LANES>();
    let (value_chunks, value_rest) = values.as_chunks::<LANES>();
    for (groups, values) in group_chunks.iter().zip(value_chunks) {
        for ((lane, group), value) in lanes.iter_mut().zip(groups).zip(values) {
            let sum = &mut lane[*group as usize % GROUPS_MAX];
            *sum = sum.add(value.widen());
        }
    }
    for (group, value) in group_rest.iter().zip(value_rest) {
        let sum = &mut lanes[0][*group as usize % GROUPS_MAX];
        *sum = sum.add(value.widen());
    }
    (0..count)
        .map(|group| lanes.iter().fold(S::default(), |sum, lane| sum.add(lane[group % GROUPS_MAX])))
        .collect()
}

/// The rows of each group.
pub(crate) fn counts(count: usize, groups: &[u32]) -> Vec<u64> {
    let mut lanes = [[0u64; GROUPS_MAX]; LANES];
    let (chunks, rest) = groups.as_chunks::<LANES>();
    for groups in chunks {
        for (lane, group) in lanes.iter_mut().zip(groups) {
            lane[*group as usize % GROUPS_MAX] += 1;
        }
    }
    rest.iter().for_each(|group| lanes[0][*group as usize % GROUPS_MAX] += 1);
    (0..count).map(|group| lanes.iter().map(|lane| lane[group % GROUPS_MAX]).sum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_added_to_its_group() {
        for rows in [0usize, 1, 3, 4, 5, 1000] {
            let groups: Vec<u32> = (0..rows as u32).map(|i| i * i % 7).collect();
            let values: Vec<i64> = (0..rows as i64).map(|i| i * 31 - 500).collect();
            let mut expected = vec![0i128; 7];
            let mut rows_of = vec![0u64; 7];
            for (group, value) in groups.iter().zip(&values) {
                expected[*group as usize] += *value as i128;
                rows_of[*group as usize] += 1;
            }
            assert_eq!(sums::<i64, i128>(7, &groups, &values), expected);
            assert_eq!(counts(7, &groups), rows_of);
        }
    }
}
