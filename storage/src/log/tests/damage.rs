//! Bits flipped, pages zeroed and files cut off in one or both copies of the log: found, or without
//! effect. The one thing that cannot be told from a torn write is damage to the very last frame in
//! both copies at once.

use std::sync::Arc;

use super::fixture::*;
use super::workload::{Parts, Workload, projection};
use crate::disk::{FaultDisk, FaultPlan, Random};
use crate::error::Error;
use crate::log::frame::{HEADER_BYTES, decode_header};
use crate::store::StoreConfig;

const PATHS: [&str; 2] = ["MANIFEST-1.a", "MANIFEST-1.b"];

fn config() -> StoreConfig {
    StoreConfig { checkpoint_bytes: 1 << 30, ..small_config() }
}

/// A log of one generation, its bytes, and the offsets of its frames.
fn build() -> (FaultDisk, Vec<u8>, Vec<u64>) {
    let disk = FaultDisk::new(FaultPlan::default());
    let store = open_with(Arc::new(disk.clone()), config()).unwrap();
    let mut workload = Workload::new(&disk, store, Random::new(3), Parts::MadeUp);
    while workload.store.snapshot().version < 12 {
        workload.step().unwrap();
    }
    drop(workload);
    let bytes = disk.peek(PATHS[0]).unwrap();
    assert_eq!(Some(&bytes), disk.peek(PATHS[1]).as_ref());
    let mut frames = vec![];
    let mut at = 0;
    while let Ok(header) = decode_header(bytes[at..at + HEADER_BYTES].try_into().unwrap()) {
        frames.push(at as u64);
        at += header.frame_bytes() as usize;
    }
    assert_eq!(frames.len(), 13);
    (disk, bytes, frames)
}

enum Found {
    /// The state is what it was.
    Harmless,
    /// The last frame is not there.
    LastLost,
    Refused,
}

fn reopen(disk: &FaultDisk, whole: &[u8], damaged: [&[u8]; 2]) -> Found {
    let disk = disk.kill(FaultPlan::default());
    for (path, bytes) in PATHS.iter().zip(damaged) {
        if bytes != whole {
            disk.poke(path, bytes);
        }
    }
    match open_with(Arc::new(disk.clone()), config()) {
        Ok(store) => match store.snapshot().version {
            13 => {
                assert_eq!(projection(&store.snapshot()), *state_before(), "a wrong state");
                // Both copies are whole again.
                assert_eq!(disk.peek(PATHS[0]), disk.peek(PATHS[1]));
                Found::Harmless
            }
            12 => Found::LastLost,
            other => panic!("version {other}"),
        },
        Err(Error::Damaged { path, what, .. }) => {
            assert!(path.starts_with("MANIFEST-1") && !what.is_empty());
            Found::Refused
        }
        Err(other) => panic!("{other}"),
    }
}

fn state_before() -> &'static Vec<u8> {
    static STATE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    STATE.get_or_init(|| {
        let disk = build().0;
        projection(&open_with(Arc::new(disk), config()).unwrap().snapshot())
    })
}

/// All that may happen to one file, with the first byte it touches.
fn damages(whole: &[u8], frames: &[u64]) -> Vec<(usize, Vec<u8>)> {
    let mut random = Random::new(9);
    let mut all = vec![];
    for frame in frames {
        let frame = *frame as usize;
        let payload = u64::from_le_bytes(whole[frame + 8..frame + 16].try_into().unwrap()) as usize;
        let length = HEADER_BYTES + payload;
        for _ in 0..40 {
            let at = frame + random.below(length as u64) as usize;
            let mut flipped = whole.to_vec();
            flipped[at] ^= 1 << random.below(8);
            all.push((at, flipped));
        }
        let mut zeroed = whole.to_vec();
        zeroed[frame..frame + 4096].fill(0);
        all.push((frame, zeroed));
        for at in [frame, frame + 30, frame + length / 2, frame + length] {
            all.push((at, whole[..at].to_vec()));
        }
    }
    all
}

#[test]
fn damage_to_one_copy_does_no_harm() {
    let (disk, whole, frames) = build();
    for (at, bytes) in damages(&whole, &frames) {
        for copies in [[&bytes[..], &whole], [&whole[..], &bytes]] {
            let found = reopen(&disk, &whole, copies);
            assert!(matches!(found, Found::Harmless), "byte {at}, {} left", bytes.len());
        }
    }
    // A file that is gone counts as one copy, too.
    let gone = reopen(&disk, &whole, [&whole, &[]]);
    assert!(matches!(gone, Found::Harmless));
}

#[test]
fn damage_to_both_copies_is_found() {
    let (disk, whole, frames) = build();
    let last = *frames.last().unwrap() as usize;
    for (at, bytes) in damages(&whole, &frames) {
        let cut = bytes.len() < whole.len();
        match reopen(&disk, &whole, [&bytes, &bytes]) {
            Found::Refused => {}
            // A torn last frame looks the same.
            Found::LastLost if at >= last && !cut => {}
            Found::Harmless => panic!("byte {at} of both copies counts for nothing"),
            Found::LastLost => panic!("byte {at} of both copies: a frame was lost"),
        }
    }
}

#[test]
fn different_frames_damaged_in_the_two_copies_make_one_whole_log() {
    let (disk, whole, frames) = build();
    for (i, first) in frames.iter().enumerate() {
        for second in frames.iter().skip(i + 1) {
            let damaged = |at: u64| {
                let mut bytes = whole.clone();
                bytes[at as usize + 40] ^= 4;
                bytes
            };
            let (a, b) = (damaged(*first), damaged(*second));
            assert!(matches!(reopen(&disk, &whole, [&a, &b]), Found::Harmless));
        }
    }
}

#[test]
fn damage_to_current_is_found() {
    let (disk, _, _) = build();
    let current = disk.peek("CURRENT").unwrap();
    for bit in 0..current.len() * 8 {
        let disk = disk.kill(FaultPlan::default());
        let mut bytes = current.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        disk.poke("CURRENT", &bytes);
        let error = open_with(Arc::new(disk), config()).err().unwrap();
        assert!(matches!(&error, Error::Damaged { path, .. } if path == "CURRENT"), "{error}");
    }
}
