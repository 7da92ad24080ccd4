//! Which parts are being merged, in the whole process: two merges of one part would waste the work
//! of the one that commits second.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::log::PartId;
use crate::store::Store;

/// The store's address, and the part.
static CLAIMED: Mutex<Option<HashSet<(usize, PartId)>>> = Mutex::new(None);

/// Holds parts against other merges until dropped.
pub(crate) struct Claim {
    store: Arc<Store>,
    parts: Vec<PartId>,
}

fn address(store: &Arc<Store>) -> usize {
    Arc::as_ptr(store) as usize
}

impl Claim {
    /// Claims all `parts`, or None if another merge has one of them.
    pub(crate) fn take(store: &Arc<Store>, parts: &[PartId]) -> Option<Claim> {
        let mut claimed = CLAIMED.lock();
        let claimed = claimed.get_or_insert_default();
        let at = address(store);
        if parts.iter().any(|part| claimed.contains(&(at, *part))) {
            return None;
        }
        claimed.extend(parts.iter().map(|part| (at, *part)));
        // Holding the store keeps its address from being reused.
        Some(Claim { store: store.clone(), parts: parts.to_vec() })
    }

    /// The parts of `store` that are claimed, and those in quarantine: no merge may touch them.
    pub(crate) fn busy(store: &Arc<Store>) -> HashSet<PartId> {
        let at = address(store);
        let quarantined = store.quarantined().into_iter().map(|(part, _)| part);
        let claimed = CLAIMED.lock();
        let claimed = claimed.iter().flatten().filter(|(s, _)| *s == at).map(|(_, part)| *part);
        claimed.chain(quarantined).collect()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let at = address(&self.store);
        if let Some(claimed) = CLAIMED.lock().as_mut() {
            for part in &self.parts {
                claimed.remove(&(at, *part));
            }
        }
    }
}
