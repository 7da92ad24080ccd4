//! Every n-th disk operation fails, with EIO or ENOSPC, once or from then on. Nothing is acknowledged
//! that is not durable; a log in doubt closes the store; a disk that works again opens clean.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::fixture::*;
use super::workload::{Journal, Parts, Workload, check_invariants, orphans, projection};
use crate::disk::{Disk, Failure, FailureKind, FaultDisk, FaultPlan, Random};
use crate::error::Error;
use crate::log::State;

const STEPS: u64 = 40;

#[derive(Default, Debug)]
struct Outcome {
    closed: usize,
    survived: usize,
    not_opened: usize,
}

/// Runs the workload with `failure`, then cuts the power; gives what was acknowledged.
fn run(seed: u64, failure: Option<Failure>, outcome: &mut Outcome) -> (FaultDisk, Journal) {
    let disk = FaultDisk::new(FaultPlan { seed, failure, ..FaultPlan::default() });
    let store = match open(Arc::new(disk.clone())) {
        Ok(store) => store,
        Err(_) => {
            outcome.not_opened += 1;
            return (disk, Journal::default());
        }
    };
    let hooked = Arc::new(AtomicUsize::new(0));
    let count = hooked.clone();
    store.set_failure_hook(Box::new(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    }));
    let mut workload = Workload::new(&disk, store, Random::new(seed), Parts::MadeUp);
    let mut closed = false;
    for _ in 0..STEPS {
        let version = workload.store.snapshot().version;
        // If what failed was not the log, the caller may try again.
        closed = matches!(workload.step(), Err(Error::Closed(_)));
        // A closed store takes nothing any more.
        if closed {
            let again = workload.store.commit(create_database("late"), vec![]);
            assert!(matches!(again, Err(Error::Closed(_))), "{again:?}");
            assert_eq!(workload.store.snapshot().version, version);
            break;
        }
    }
    // The log may also fail after the last acknowledgement, while it makes room.
    let hooked = hooked.load(Ordering::SeqCst);
    assert!(hooked == 1 || hooked == 0 && !closed, "{failure:?}: {hooked}");
    *(if closed { &mut outcome.closed } else { &mut outcome.survived }) += 1;
    (disk.clone(), workload.journal)
}

fn verify(disk: &FaultDisk, journal: &Journal, what: &str) {
    let store = open(Arc::new(disk.clone())).unwrap_or_else(|e| panic!("{what}: {e}"));
    let state: State = (*store.snapshot()).clone();
    let acknowledged = journal.acknowledged_at(u64::MAX);
    assert!(state.version > acknowledged, "{what}: {} after {acknowledged}", state.version);
    if state.version == acknowledged + 1 {
        let known = journal.states.get(&acknowledged);
        assert!(known.is_none_or(|s| *s == projection(&state)), "{what}");
    }
    check_invariants(disk, &store, Parts::MadeUp).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert!(orphans(disk.list("parts").unwrap(), &state).is_empty(), "{what}");
}

#[test]
fn no_acknowledgement_without_durability() {
    let seed = 11;
    let (disk, _) = run(seed, None, &mut Outcome::default());
    let operations = disk.operations();
    let mut outcome = Outcome::default();
    for (kind, for_ever) in [
        (FailureKind::Io, false),
        (FailureKind::Io, true),
        (FailureKind::NoSpace, false),
        (FailureKind::NoSpace, true),
    ] {
        for at in 0..operations {
            let failure = Failure { at, kind, for_ever };
            let what = format!("{failure:?}");
            let (disk, journal) = run(seed, Some(failure), &mut outcome);
            let crashed = disk.crash(at, FaultPlan::default());
            verify(&crashed, &journal, &format!("{what}, power cut"));
            let killed = disk.kill(FaultPlan::default());
            verify(&killed, &journal, &format!("{what}, kill"));
        }
    }
    println!("{operations} operations: {outcome:?}");
    assert!(outcome.closed > 100 && outcome.survived > 100, "{outcome:?}");
}
