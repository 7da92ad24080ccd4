//! ORDER BY an aggregate LIMIT n right above GROUP BY: of each partition only the groups that can be
//! among the first n are made into rows.
//!
//! The bar is shared by all threads and only rises. With further sort keys groups that tie with the
//! n-th stay; the sort above decides among them.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::plan::{BoundExpr, Plan, PlanNode, SortKey};

/// More rows than this are not worth a selection.
const KEEP_MAX: usize = 1 << 16;

/// See the file's head.
pub(in crate::execute) struct BestGroups {
    /// Number of the aggregate.
    aggregate: usize,
    descending: bool,
    keep: usize,
    /// Nothing else decides.
    alone: bool,
    /// The least score that is still wanted.
    bar: AtomicU64,
    /// Groups that were not picked.
    left_out: AtomicU64,
    /// Scores of groups that were picked, among them the best `keep`.
    scores: Mutex<Vec<u64>>,
}

impl BestGroups {
    /// What a sort of `input` with a limit wants, if it is of an aggregate's results.
    pub fn of(input: &Plan, keys: &[SortKey], keep: usize) -> Option<BestGroups> {
        let first = keys.first()?;
        if keep == 0 || keep > KEEP_MAX || first.fill.is_some() {
            return None;
        }
        let aggregate = aggregate_of(input, &first.expr)?;
        Some(BestGroups {
            aggregate,
            descending: first.descending,
            keep,
            alone: keys.len() == 1,
            bar: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
            scores: Mutex::new(vec![]),
        })
    }

    pub fn aggregate(&self) -> usize {
        self.aggregate
    }

    /// Which words of results may still be among the first, where words sort as results do; None as long as all may.
    pub fn wanted_words(&self) -> Option<RangeInclusive<u64>> {
        match (self.bar.load(Ordering::Relaxed), self.descending) {
            (0, _) => None,
            (bar, true) => Some(bar..=u64::MAX),
            (bar, false) => Some(0..=!bar),
        }
    }

    /// Takes note of groups that [`BestGroups::pick`] was not asked about.
    pub fn leave_out(&self, groups: usize) {
        self.left_out.fetch_add(groups as u64, Ordering::Relaxed);
    }

    /// How many groups have not been picked so far.
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// The groups that are wanted, by number, of groups whose results order like `words`.
    pub fn pick(&self, words: Vec<u64>) -> Vec<u32> {
        let groups = words.len();
        let picked = self.better(words);
        self.left_out.fetch_add((groups - picked.len()) as u64, Ordering::Relaxed);
        picked
    }

    fn better(&self, mut words: Vec<u64>) -> Vec<u32> {
        if !self.descending {
            words.iter_mut().for_each(|w| *w = !*w);
        }
        let bar = self.bar.load(Ordering::Relaxed);
        let scored = (0..).zip(&words).filter(|(_, w)| **w >= bar);
        let mut picked: Vec<u32> = scored.map(|(number, _)| number).collect();
        let score = |number: &u32| words[*number as usize];
        if picked.len() >= self.keep {
            let last = self.keep - 1;
            picked.select_nth_unstable_by(last, |a, b| score(b).cmp(&score(a)));
            let worst = score(&picked[last]);
            match self.alone {
                true => picked.truncate(self.keep),
                false => picked.retain(|n| score(n) >= worst),
            }
        }
        self.raise_bar(picked.iter().map(score));
        picked
    }

    /// Takes note of what was picked: once there are `keep` groups, no worse ones are wanted.
    fn raise_bar(&self, picked: impl Iterator<Item = u64>) {
        let mut scores = self.scores.lock();
        scores.extend(picked);
        let bar = self.bar.load(Ordering::Relaxed);
        // The first time soon, then whenever about as many have come again.
        if scores.len() < if bar == 0 { self.keep } else { self.keep * 2 } {
            return;
        }
        let (_, worst, _) = scores.select_nth_unstable_by(self.keep - 1, |a, b| b.cmp(a));
        // As many as are wanted are at least that good.
        let least = if self.alone { worst.saturating_add(1) } else { *worst };
        scores.truncate(self.keep);
        self.bar.fetch_max(least, Ordering::Relaxed);
    }
}

/// The number of the aggregate that `expr` over `input` is.
fn aggregate_of(input: &Plan, expr: &BoundExpr) -> Option<usize> {
    let BoundExpr::Column { index, .. } = expr else { return None };
    match &input.node {
        PlanNode::Project { input, exprs } => aggregate_of(input, exprs.get(*index)?),
        PlanNode::Aggregate { keys, aggregates, .. } => {
            index.checked_sub(keys.len()).filter(|i| *i < aggregates.len())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(descending: bool, keep: usize, alone: bool) -> BestGroups {
        let (bar, left_out) = (AtomicU64::new(0), AtomicU64::new(0));
        let scores = Mutex::new(vec![]);
        BestGroups { aggregate: 0, descending, keep, alone, bar, left_out, scores }
    }

    #[test]
    fn only_what_can_be_among_the_first_is_picked() {
        let desc = best(true, 2, true);
        let mut first = desc.pick(vec![5, 9, 1, 9, 9]);
        first.sort();
        assert_eq!(first.len(), 2);
        assert!(first.iter().all(|n| [1, 3, 4].contains(n)));
        assert_eq!(desc.pick(vec![8, 9, 7]), Vec::<u32>::new());
        assert_eq!(desc.pick(vec![10, 3]), vec![0]);
    }

    #[test]
    fn ties_stay_if_other_keys_decide() {
        let asc = best(false, 2, false);
        let mut first = asc.pick(vec![5, 3, 4, 4, 9]);
        first.sort();
        assert_eq!(first, vec![1, 2, 3]);
        let mut later = asc.pick(vec![4, 5, 0]);
        later.sort();
        assert_eq!(later, vec![0, 2]);
    }

    #[test]
    fn small_partitions_raise_the_bar_together() {
        let desc = best(true, 3, true);
        assert_eq!(desc.pick(vec![5]), vec![0]);
        assert_eq!(desc.pick(vec![1, 7]), vec![0, 1]);
        // Three are at least 1.
        assert_eq!(desc.pick(vec![1, 2, 9]), vec![1, 2]);
        // Of six picked, three are at least 6.
        assert_eq!(desc.pick(vec![6, 1]), vec![0]);
        assert_eq!(desc.pick(vec![7, 6]), vec![0]);
    }

    #[test]
    fn words_that_are_wanted_are_those_that_would_be_picked() {
        let (desc, asc) = (best(true, 2, true), best(false, 2, false));
        assert_eq!((desc.wanted_words(), asc.wanted_words()), (None, None));
        desc.pick(vec![5, 9, 1]);
        asc.pick(vec![5, 9, 1]);
        assert_eq!(desc.wanted_words(), Some(6..=u64::MAX));
        assert_eq!(asc.wanted_words(), Some(0..=5));
        assert_eq!(desc.pick(vec![6]), vec![0]);
        assert_eq!(asc.pick(vec![5]), vec![0]);
    }

    #[test]
    fn extremes_are_wanted_too() {
        let desc = best(true, 1, true);
        assert_eq!(desc.pick(vec![u64::MAX]), vec![0]);
        assert_eq!(best(false, 1, true).pick(vec![u64::MAX]), vec![0]);
    }
}
