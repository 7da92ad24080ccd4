//! Power cuts at every disk operation of a random workload, inside recovery too.
//!
//! An episode runs the workload on a disk that keeps an image before every change. From each image the
//! power is cut (unsynced pages and names lost at random, writes torn) or the process killed; the store
//! must open again, hold everything acknowledged and at most the one commit under way, whole or not at
//! all. The recovery itself is recorded and cut again, and some stores go on into further episodes.
//!
//! `PUMPHOUSE_SIMULATION_SEEDS=<count>` (and `_FIRST=<seed>`) runs more than the few of a normal run.

use std::sync::Arc;

use super::fixture::*;
use super::workload::{Journal, Parts, Workload, check_invariants, orphans, projection};
use crate::disk::{Disk, FaultDisk, FaultImage, FaultPlan, Random};
use crate::log::State;
use crate::store::Store;

const DEPTH_MAX: u32 = 3;

#[derive(Debug, Default)]
struct Figures {
    episodes: u64,
    crashes: u64,
    crashes_in_recovery: u64,
    kills: u64,
    commits: u64,
}

fn plan(random: &mut Random) -> FaultPlan {
    let (seed, writeback) = (random.next_u64(), random.one_in(2));
    FaultPlan { seed, record: true, writeback, ..FaultPlan::default() }
}

/// What a disk may hold after the crash: one of these states.
struct Expected {
    states: Vec<Vec<u8>>,
}

impl Expected {
    fn at(journal: &Journal, operation: u64, before: &[Vec<u8>]) -> Expected {
        let acknowledged = journal.acknowledged_at(operation);
        if acknowledged == 0 {
            return Expected { states: before.to_vec() };
        }
        // The one under way may have made it.
        let states = [acknowledged, acknowledged + 1];
        let states = states.iter().filter_map(|v| journal.states.get(v)).cloned().collect();
        Expected { states }
    }

    fn verify(&self, disk: &FaultDisk, parts: Parts, what: &str) -> Arc<Store> {
        let store = match open(Arc::new(disk.clone())) {
            Ok(store) => store,
            Err(e) => panic!("{what}: the store does not open: {e}"),
        };
        let state = store.snapshot();
        assert!(
            self.states.contains(&projection(&state)),
            "{what}: version {} is none of the states it may be",
            state.version
        );
        if let Err(e) = check_invariants(disk, &store, parts) {
            panic!("{what}: {e}");
        }
        let left = orphans(disk.list("parts").unwrap(), &state);
        assert!(left.is_empty(), "{what}: files left over: {left:?}");
        store
    }
}

struct Simulation {
    seed: u64,
    steps: u64,
    parts: Parts,
    random: Random,
    figures: Figures,
}

impl Simulation {
    fn run(seed: u64, steps: u64, parts: Parts, figures: Figures) -> Figures {
        let mut simulation = Simulation { seed, steps, parts, random: Random::new(seed), figures };
        let disk = FaultDisk::new(plan(&mut simulation.random));
        simulation.episode(disk, vec![projection(&State::default())], 0);
        simulation.figures
    }

    /// Runs the workload on `disk`, which holds one of the states `before`, then cuts at every image.
    fn episode(&mut self, disk: FaultDisk, before: Vec<Vec<u8>>, depth: u32) {
        self.figures.episodes += 1;
        let what = format!("seed {}, depth {depth}", self.seed);
        let store = open(Arc::new(disk.clone())).unwrap_or_else(|e| panic!("{what}: {e}"));
        let mut workload =
            Workload::new(&disk, store, Random::new(self.random.next_u64()), self.parts);
        for _ in 0..self.steps {
            if let Err(e) = workload.step() {
                panic!("{what}: {e}");
            }
            self.figures.commits += 1;
        }
        let journal = workload.journal;
        drop(workload.store);
        let mut images = disk.take_images();
        images.push(disk.image());
        for image in images {
            let expected = Expected::at(&journal, image.operation, &before);
            self.cut(&image, &expected, depth);
        }
    }

    fn cut(&mut self, image: &FaultImage, expected: &Expected, depth: u32) {
        let operation = image.operation;
        let what = format!("seed {}, depth {depth}, operation {operation}", self.seed);
        let killed = self.random.one_in(8);
        let disk = if killed {
            self.figures.kills += 1;
            image.kill(plan(&mut self.random))
        } else {
            self.figures.crashes += 1;
            image.crash(self.random.next_u64(), plan(&mut self.random))
        };
        let store = expected.verify(&disk, self.parts, &what);
        // A killed process leaves more unsynced behind, so its recovery is cut everywhere.
        let images = disk.take_images();
        let chosen: Vec<usize> = match images.len() {
            0 => vec![],
            count if killed => (0..count).collect(),
            count => (0..2).map(|_| self.random.below(count as u64) as usize).collect(),
        };
        for image in chosen.into_iter().map(|i| &images[i]) {
            self.figures.crashes_in_recovery += 1;
            let again = image.crash(self.random.next_u64(), plan(&mut self.random));
            expected.verify(
                &again,
                self.parts,
                &format!("{what}, then {} of recovery", image.operation),
            );
        }
        if self.random.one_in(4) {
            self.go_on(&disk, store, &what);
        }
        if depth + 1 < DEPTH_MAX && self.random.one_in(300) {
            let disk = image.crash(self.random.next_u64(), plan(&mut self.random));
            self.episode(disk, expected.states.clone(), depth + 1);
        }
    }

    /// Some commits after a recovery, then the power is cut: they must be there.
    fn go_on(&mut self, disk: &FaultDisk, store: Arc<Store>, what: &str) {
        let random = Random::new(self.random.next_u64());
        let mut workload = Workload::new(disk, store, random, self.parts);
        for _ in 0..3 {
            if let Err(e) = workload.step() {
                panic!("{what}, later: {e}");
            }
            self.figures.commits += 1;
        }
        let states = vec![projection(&workload.store.snapshot())];
        drop(workload);
        self.figures.crashes += 1;
        let again = disk.crash(self.random.next_u64(), plan(&mut self.random));
        Expected { states }.verify(&again, self.parts, &format!("{what}, later"));
    }
}

fn simulate(parts: Parts, seeds_usually: u64, steps_usually: u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let asked = number("PUMPHOUSE_SIMULATION_SEEDS");
    let (seeds, steps) = asked.map_or((seeds_usually, steps_usually), |seeds| (seeds, 30));
    let first = number("PUMPHOUSE_SIMULATION_FIRST").unwrap_or(1);
    let mut figures = Figures::default();
    for seed in first..first + seeds {
        figures = Simulation::run(seed, steps, parts, figures);
    }
    println!("{parts:?} parts, seeds {first}..{}: {figures:?}", first + seeds);
    assert!(figures.crashes + figures.crashes_in_recovery > seeds * 200);
}

#[test]
fn power_cuts_lose_nothing_and_double_nothing() {
    simulate(Parts::MadeUp, 2, 10);
}

#[test]
fn power_cuts_with_real_parts_and_merges() {
    simulate(Parts::Real, 1, 10);
}
