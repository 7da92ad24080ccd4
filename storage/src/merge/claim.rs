//! Which parts are being merged, in the whole process: two merges of one part would waste the work
//! of the one that commits second.
//!
//! A background merge holds its parts so that it can be asked to give them up; whoever asks keeps them
//! [`Reserved`] meanwhile, so that no other background merge takes them. Mutations are never asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::worker::Progress;
use crate::log::PartId;
use crate::store::Store;

/// By the store's address, and the part.
static CLAIMED: Mutex<Option<HashMap<(usize, PartId), Holder>>> = Mutex::new(None);

/// Who has a part.
#[derive(Default)]
struct Holder {
    claimed: bool,
    /// How many wait for it, which background merges leave it to.
    reserved: usize,
    /// Of a claim that can be asked to end: how far it is, and its parts.
    yields: Option<Yielding>,
}

#[derive(Clone)]
struct Yielding {
    progress: Arc<Progress>,
    parts: Arc<[PartId]>,
    rows: u64,
}

/// Holds parts against other merges until dropped.
pub(crate) struct Claim {
    store: Arc<Store>,
    parts: Vec<PartId>,
}

/// Parts that somebody waits for, until dropped.
pub(super) struct Reserved {
    store: Arc<Store>,
    parts: Vec<PartId>,
}

fn address(store: &Arc<Store>) -> usize {
    Arc::as_ptr(store) as usize
}

impl Claim {
    /// Claims all `parts`, or None if another merge has one of them.
    pub(crate) fn take(store: &Arc<Store>, parts: &[PartId]) -> Option<Claim> {
        Claim::take_as(store, parts, None)
    }

    /// The same for a background merge of `rows` rows, which ends early if `progress` says so; also
    /// None if somebody waits for one of the parts.
    pub(super) fn take_yielding(
        store: &Arc<Store>,
        parts: &[PartId],
        rows: u64,
        progress: &Arc<Progress>,
    ) -> Option<Claim> {
        let yields = Yielding { progress: progress.clone(), parts: parts.into(), rows };
        Claim::take_as(store, parts, Some(yields))
    }

    fn take_as(store: &Arc<Store>, parts: &[PartId], yields: Option<Yielding>) -> Option<Claim> {
        let mut claimed = CLAIMED.lock();
        let claimed = claimed.get_or_insert_default();
        let at = address(store);
        let taken = |part: &PartId| {
            let holder = claimed.get(&(at, *part));
            holder.is_some_and(|h| h.claimed || (yields.is_some() && h.reserved > 0))
        };
        if parts.iter().any(taken) {
            return None;
        }
        for part in parts {
            let holder = claimed.entry((at, *part)).or_default();
            (holder.claimed, holder.yields) = (true, yields.clone());
        }
        // Holding the store keeps its address from being reused.
        Some(Claim { store: store.clone(), parts: parts.to_vec() })
    }

    /// The parts of `store` that are claimed or waited for, and those in quarantine: no merge may
    /// touch them.
    pub(crate) fn busy(store: &Arc<Store>) -> std::collections::HashSet<PartId> {
        let at = address(store);
        let quarantined = store.quarantined().into_iter().map(|(part, _)| part);
        let claimed = CLAIMED.lock();
        let claimed = claimed.iter().flatten();
        let claimed = claimed.filter(|((s, _), _)| *s == at).map(|((_, part), _)| *part);
        claimed.chain(quarantined).collect()
    }

    /// Keeps background merges from taking `parts`, and ends those that have some of them unless they
    /// are all but done: what they write would be written again. A merge whose parts make up `whole`
    /// does what is wanted and goes on.
    pub(super) fn reserve(store: &Arc<Store>, parts: &[PartId], whole: &[PartId]) -> Reserved {
        let at = address(store);
        let mut claimed = CLAIMED.lock();
        let claimed = claimed.get_or_insert_default();
        for part in parts {
            let holder = claimed.entry((at, *part)).or_default();
            holder.reserved += 1;
            if let Some(yields) = &holder.yields
                && yields.parts[..] != *whole
                && !yields.is_nearly_done()
            {
                yields.progress.yields.store(true, Ordering::Relaxed);
            }
        }
        Reserved { store: store.clone(), parts: parts.to_vec() }
    }
}

impl Yielding {
    /// Then waiting is cheaper than the rows that would be merged in vain.
    fn is_nearly_done(&self) -> bool {
        let done = self.progress.rows_done.load(Ordering::Relaxed);
        done.saturating_mul(10) >= self.rows.saturating_mul(9)
    }
}

/// Changes what is known of `parts`, and forgets those that nobody has.
fn release(store: &Arc<Store>, parts: &[PartId], change: impl Fn(&mut Holder)) {
    let at = address(store);
    if let Some(claimed) = CLAIMED.lock().as_mut() {
        for part in parts {
            let Some(holder) = claimed.get_mut(&(at, *part)) else { continue };
            change(holder);
            if !holder.claimed && holder.reserved == 0 {
                claimed.remove(&(at, *part));
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        release(&self.store, &self.parts, |holder| {
            (holder.claimed, holder.yields) = (false, None);
        });
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        release(&self.store, &self.parts, |holder| holder.reserved -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::{definition, store_with};

    #[test]
    fn what_is_waited_for_is_given_up() {
        let store = store_with(definition(&[("k", "UInt8")], &["k"], &[]));
        let id = |number| PartId { epoch: 1, number };
        let (some, all) = ([id(1), id(2)], [id(1), id(2), id(3)]);
        let asked = |progress: &Progress| progress.yields.load(Ordering::Relaxed);
        let progress = Arc::new(Progress::default());
        let claim = Claim::take_yielding(&store, &some, 100, &progress).unwrap();
        assert!(Claim::take(&store, &all).is_none());
        // A merge of all that is wanted goes on.
        drop(Claim::reserve(&store, &some, &some));
        assert!(!asked(&progress));
        progress.rows_done.store(95, Ordering::Relaxed);
        drop(Claim::reserve(&store, &all, &all));
        assert!(!asked(&progress), "nearly done");
        progress.rows_done.store(40, Ordering::Relaxed);
        let reserved = Claim::reserve(&store, &all, &all);
        assert!(asked(&progress));
        drop(claim);
        assert!(Claim::take_yielding(&store, &some, 100, &progress).is_none());
        assert!(Claim::busy(&store).contains(&id(3)));
        let mine = Claim::take(&store, &all).unwrap();
        drop(reserved);
        assert!(Claim::take_yielding(&store, &some, 100, &progress).is_none());
        drop(mine);
        assert!(Claim::busy(&store).is_empty());
        // Who cannot be asked is not.
        let mutation = Claim::take(&store, &some).unwrap();
        let _reserved = Claim::reserve(&store, &all, &all);
        assert!(Claim::take(&store, &all).is_none());
        drop(mutation);
    }
}
