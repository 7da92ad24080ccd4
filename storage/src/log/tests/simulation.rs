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
use super::workload::{Journal, Workload, check_invariants, orphans, projection};
use crate::disk::{Disk, FaultDisk, FaultImage, FaultPlan, Random};
use crate::log::State;

const STEPS: u64 = 30;
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
    FaultPlan { seed: random.next(), record: true, writeback: true, ..FaultPlan::default() }
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

    fn verify(&self, disk: &FaultDisk, what: &str) -> State {
        let store = match open(Arc::new(disk.clone())) {
            Ok(store) => store,
            Err(e) => panic!("{what}: the store does not open: {e}"),
        };
        let state = (*store.snapshot()).clone();
        assert!(
            self.states.contains(&projection(&state)),
            "{what}: version {} is none of the states it may be",
            state.version
        );
        if let Err(e) = check_invariants(disk, &state) {
            panic!("{what}: {e}");
        }
        let left = orphans(disk.list("parts").unwrap(), &state);
        assert!(left.is_empty(), "{what}: files left over: {left:?}");
        state
    }
}

struct Simulation {
    seed: u64,
    random: Random,
    figures: Figures,
}

impl Simulation {
    fn run(seed: u64, figures: Figures) -> Figures {
        let mut simulation = Simulation { seed, random: Random::new(seed), figures };
        let disk = FaultDisk::new(plan(&mut simulation.random));
        simulation.episode(disk, vec![projection(&State::default())], 0);
        simulation.figures
    }

    /// Runs the workload on `disk`, which holds one of the states `before`, then cuts at every image.
    fn episode(&mut self, disk: FaultDisk, before: Vec<Vec<u8>>, depth: u32) {
        self.figures.episodes += 1;
        let what = format!("seed {}, depth {depth}", self.seed);
        let store = open(Arc::new(disk.clone())).unwrap_or_else(|e| panic!("{what}: {e}"));
        let mut workload = Workload::new(&disk, store, Random::new(self.random.next()));
        for _ in 0..STEPS {
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
        let disk = if self.random.one_in(8) {
            self.figures.kills += 1;
            image.kill(plan(&mut self.random))
        } else {
            self.figures.crashes += 1;
            image.crash(self.random.next(), plan(&mut self.random))
        };
        expected.verify(&disk, &what);
        let images = disk.take_images();
        for _ in 0..2 {
            if images.is_empty() {
                break;
            }
            let image = &images[self.random.below(images.len() as u64) as usize];
            self.figures.crashes_in_recovery += 1;
            let again = image.crash(self.random.next(), plan(&mut self.random));
            expected.verify(&again, &format!("{what}, then {} of recovery", image.operation));
        }
        if depth + 1 < DEPTH_MAX && self.random.one_in(300) {
            let disk = image.crash(self.random.next(), plan(&mut self.random));
            self.episode(disk, expected.states.clone(), depth + 1);
        }
    }
}

#[test]
fn power_cuts_lose_nothing_and_double_nothing() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = number("PUMPHOUSE_SIMULATION_SEEDS").unwrap_or(3);
    let first = number("PUMPHOUSE_SIMULATION_FIRST").unwrap_or(1);
    let mut figures = Figures::default();
    for seed in first..first + seeds {
        figures = Simulation::run(seed, figures);
    }
    println!("seeds {first}..{}: {figures:?}", first + seeds);
    assert!(figures.crashes + figures.crashes_in_recovery >= seeds * 300);
}
