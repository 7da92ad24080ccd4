//! ORDER BY an aggregate LIMIT n right above GROUP BY: of each partition only the groups that can be
//! among the first n are made into rows.
//!
//! The bar is shared by all threads and only rises. With further sort keys groups that tie with the
//! n-th stay; the sort above decides among them.

use std::sync::atomic::{AtomicU64, Ordering};

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
        })
    }

    pub fn aggregate(&self) -> usize {
        self.aggregate
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
        if picked.len() < self.keep {
            return picked;
        }
        let score = |number: &u32| words[*number as usize];
        let last = self.keep - 1;
        picked.select_nth_unstable_by(last, |a, b| score(b).cmp(&score(a)));
        let worst = score(&picked[last]);
        if self.alone {
            picked.truncate(self.keep);
            // As many as are wanted are at least that good.
            self.bar.fetch_max(worst.saturating_add(1), Ordering::Relaxed);
        } else {
            picked.retain(|n| score(n) >= worst);
            self.bar.fetch_max(worst, Ordering::Relaxed);
        }
        picked
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
        BestGroups {
            aggregate: 0,
            descending,
            keep,
            alone,
            bar: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
        }
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
    fn extremes_are_wanted_too() {
        let desc = best(true, 1, true);
        assert_eq!(desc.pick(vec![u64::MAX]), vec![0]);
        assert_eq!(best(false, 1, true).pick(vec![u64::MAX]), vec![0]);
    }
}
