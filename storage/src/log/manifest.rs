//! The commit log on disk: two identical files per generation, appended to in step.
//!
//! `MANIFEST-<n>.a` and `.b` begin with a snapshot of the state and go on with one frame per commit
//! group, in space that was zeroed and synced beforehand, so that a sync of a frame changes no sizes.
//! `CURRENT` names the generation in force. A checkpoint writes generation n+1, then switches; n
//! stays until n+2.
//!
//! Rules: at most one frame is not synced at any time; an error after the first byte of a frame, or
//! around the switch, is final ([`AppendFailure::Unknown`]) and nothing is ever tried again.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use xxhash_rust::xxh3::xxh3_64;

use super::frame::{
    ALIGNMENT, FrameHeader, FrameKind, HEADER_BYTES, PAYLOAD_BYTES_MAX, encode_frame, padded,
};
use super::snapshot::encode_state;
use super::state::State;
use super::{AppendFailure, CommitLog};
use crate::disk::{Disk, WriteFile};
use crate::error::{Error, Result};

pub const CURRENT: &str = "CURRENT";
pub const CURRENT_NEXT: &str = "CURRENT.tmp";
/// Endings of the two copies.
pub const COPIES: [&str; 2] = ["a", "b"];

const ZEROS_BYTES: usize = 1 << 20;

/// Path of one copy of a generation.
pub fn manifest_path(generation: u64, copy: usize) -> String {
    format!("MANIFEST-{generation}.{}", COPIES[copy])
}

/// The generation whose file is called `name`, if that is a manifest.
pub fn manifest_generation(name: &str) -> Option<u64> {
    let (number, copy) = name.strip_prefix("MANIFEST-")?.split_once('.')?;
    if COPIES.contains(&copy) { number.parse().ok() } else { None }
}

/// What `CURRENT` holds for `generation`: its name and a checksum, as text.
pub fn current_text(generation: u64) -> String {
    let name = format!("MANIFEST-{generation}");
    format!("{name} {:016x}\n", xxh3_64(name.as_bytes()))
}

/// Where the log stands: what the next frame follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub generation: u64,
    /// Where the next frame begins.
    pub end: u64,
    /// Bytes of zeroed, synced space, from the start of the file.
    pub allocated: u64,
    /// Hash of the last frame.
    pub hash: u128,
}

/// How the log uses its disk.
#[derive(Debug, Clone, Copy)]
pub struct ManifestOptions {
    /// Space is zeroed this much at a time.
    pub preallocate_bytes: u64,
    /// A generation longer than this is followed by a checkpoint.
    pub checkpoint_bytes: u64,
    /// Write and sync the two copies at the same time, on two threads.
    pub parallel: bool,
}

/// The open log.
pub struct Manifest {
    disk: Arc<dyn Disk>,
    options: ManifestOptions,
    position: Position,
    checkpoint_at: u64,
    first: Box<dyn WriteFile>,
    second: SecondCopy,
    syncs: u64,
}

impl Manifest {
    /// Goes on where recovery found the log to end.
    pub fn resume(
        disk: Arc<dyn Disk>,
        options: ManifestOptions,
        position: Position,
    ) -> Result<Manifest> {
        let first = disk.open_write(&manifest_path(position.generation, 0))?;
        let second = disk.open_write(&manifest_path(position.generation, 1))?;
        let second = SecondCopy::new(second, options.parallel)?;
        let checkpoint_at = options.checkpoint_bytes;
        Ok(Manifest { disk, options, position, checkpoint_at, first, second, syncs: 0 })
    }

    pub fn position(&self) -> Position {
        self.position
    }

    /// Writes `bytes` to both copies and syncs both.
    fn write(&mut self, file_offset: u64, bytes: Vec<u8>) -> Result<()> {
        let bytes = Arc::new(bytes);
        self.syncs += 2;
        let second = self.second.begin(file_offset, bytes.clone());
        let first = write_synced(&mut *self.first, file_offset, &bytes);
        // The second copy's answer is taken in any case, so that none is left over.
        let second = second.and_then(|()| self.second.finish());
        first.and(second)
    }

    /// Zeroes space after what is allocated, at least `bytes` of it.
    fn extend(&mut self, bytes: u64) -> Result<(), AppendFailure> {
        let target = self.position.allocated + padded(bytes.max(self.options.preallocate_bytes));
        while self.position.allocated < target {
            let count = (target - self.position.allocated).min(ZEROS_BYTES as u64);
            // Zeros beyond the last frame mean nothing, so a full disk does no harm here.
            self.write(self.position.allocated, vec![0; count as usize]).map_err(full_or_final)?;
            self.position.allocated += count;
        }
        Ok(())
    }

    fn write_next_generation(&mut self, state: &State) -> Result<Position, AppendFailure> {
        let next = self.position.generation + 1;
        let written = write_generation(
            &*self.disk,
            next,
            state,
            self.position.hash,
            self.options.preallocate_bytes,
        )
        .and_then(|position| write_current(&*self.disk, next).map(|()| position));
        written.map_err(|e| {
            let failure = full_or_final(e);
            if matches!(failure, AppendFailure::Refused(_)) {
                // Leftovers are also removed by the next try and by recovery.
                for path in [manifest_path(next, 0), manifest_path(next, 1), CURRENT_NEXT.into()] {
                    let _ = self.disk.remove(&path);
                }
            }
            failure
        })
    }
}

impl CommitLog for Manifest {
    fn append(&mut self, version: u64, epoch: u32, payload: &[u8]) -> Result<(), AppendFailure> {
        let frame_bytes = padded((HEADER_BYTES + payload.len()) as u64);
        let room = self.position.allocated - self.position.end;
        if room < frame_bytes {
            self.extend(frame_bytes - room)?;
        }
        let header = FrameHeader {
            kind: FrameKind::Edits,
            payload_bytes: 0,
            version,
            epoch,
            allocated_pages: pages(self.position.allocated),
            previous: self.position.hash,
            hash: 0,
        };
        let (bytes, hash) = encode_frame(header, payload);
        self.write(self.position.end, bytes).map_err(AppendFailure::Unknown)?;
        self.position.end += frame_bytes;
        self.position.hash = hash;
        Ok(())
    }

    fn prepare(&mut self) -> Result<(), AppendFailure> {
        let room = self.position.allocated - self.position.end;
        if room < self.options.preallocate_bytes / 2 { self.extend(1) } else { Ok(()) }
    }

    fn checkpoint_due(&self) -> bool {
        self.position.end > self.checkpoint_at
    }

    fn checkpoint(&mut self, state: &State) -> Result<(), AppendFailure> {
        // Should this one be refused, the next is tried after some more frames.
        self.checkpoint_at = self.position.end + self.options.checkpoint_bytes / 4;
        let position = self.write_next_generation(state)?;
        let switched = switch_current(&*self.disk)
            .and_then(|()| Manifest::resume(self.disk.clone(), self.options, position));
        let old = self.position.generation;
        let syncs = self.syncs;
        *self = switched.map_err(AppendFailure::Unknown)?;
        self.syncs = syncs + 2;
        // A snapshot that is itself longer must not cause checkpoint after checkpoint.
        self.checkpoint_at = position.end + self.options.checkpoint_bytes;
        if let Some(older) = old.checked_sub(1) {
            for copy in 0..COPIES.len() {
                if let Err(e) = self.disk.remove(&manifest_path(older, copy)) {
                    tracing::warn!("cannot remove an old log generation: {e}");
                }
            }
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.position.end
    }

    fn generation(&self) -> u64 {
        self.position.generation
    }

    fn syncs(&self) -> u64 {
        self.syncs
    }
}

fn pages(bytes: u64) -> u32 {
    // Sixteen terabytes of log are beyond any checkpoint.
    u32::try_from(bytes / ALIGNMENT).unwrap_or(u32::MAX)
}

/// A limit or a full disk before anything that matters was written is no catastrophe; all else is.
fn full_or_final(error: Error) -> AppendFailure {
    let harmless = error.is_disk_full() || matches!(error, Error::LimitExceeded(_));
    if harmless { AppendFailure::Refused(error) } else { AppendFailure::Unknown(error) }
}

fn write_synced(file: &mut dyn WriteFile, file_offset: u64, bytes: &[u8]) -> Result<()> {
    file.write_at(file_offset, bytes)?;
    file.sync()
}

/// Writes both files of `generation`, durably, beginning with a snapshot of `state`; `CURRENT` does
/// not name it yet.
pub fn write_generation(
    disk: &dyn Disk,
    generation: u64,
    state: &State,
    previous: u128,
    preallocate_bytes: u64,
) -> Result<Position> {
    let payload = encode_state(state);
    if payload.len() as u64 > PAYLOAD_BYTES_MAX {
        return Err(Error::LimitExceeded("the state is too large for a checkpoint".into()));
    }
    let end = padded((HEADER_BYTES + payload.len()) as u64);
    let allocated = end + padded(preallocate_bytes);
    let header = FrameHeader {
        kind: FrameKind::Snapshot,
        payload_bytes: 0,
        version: state.version,
        epoch: state.epoch,
        allocated_pages: pages(allocated),
        previous,
        hash: 0,
    };
    let (bytes, hash) = encode_frame(header, &payload);
    let zeros = vec![0; ZEROS_BYTES.min(padded(preallocate_bytes) as usize)];
    for copy in 0..COPIES.len() {
        let path = manifest_path(generation, copy);
        disk.remove(&path)?;
        let mut file = disk.create(&path)?;
        file.append(&bytes)?;
        while file.len() < allocated {
            let count = (allocated - file.len()).min(zeros.len() as u64);
            file.append(&zeros[..count as usize])?;
        }
        file.sync()?;
    }
    disk.sync_dir("")?;
    Ok(Position { generation, end, allocated, hash })
}

/// Writes what `CURRENT` is to become, under another name.
pub fn write_current(disk: &dyn Disk, generation: u64) -> Result<()> {
    disk.remove(CURRENT_NEXT)?;
    let mut file = disk.create(CURRENT_NEXT)?;
    file.append(current_text(generation).as_bytes())?;
    file.sync()
}

/// Puts it in force.
pub fn switch_current(disk: &dyn Disk) -> Result<()> {
    disk.rename(CURRENT_NEXT, CURRENT)?;
    disk.sync_dir("")
}

/// The second file: written on the caller's thread, or on one of its own beside the first.
enum SecondCopy {
    /// Written before the first copy and synced after it: at worst neither is durable, as with threads.
    Inline { file: Box<dyn WriteFile>, written: Result<()> },
    Thread {
        jobs: Option<Sender<Job>>,
        outcomes: Receiver<Result<()>>,
        thread: Option<JoinHandle<()>>,
    },
}

struct Job {
    file_offset: u64,
    bytes: Arc<Vec<u8>>,
}

impl SecondCopy {
    fn new(mut file: Box<dyn WriteFile>, parallel: bool) -> Result<SecondCopy> {
        if !parallel {
            return Ok(SecondCopy::Inline { file, written: Ok(()) });
        }
        let (jobs, todo) = bounded::<Job>(1);
        let (done, outcomes) = bounded(1);
        let work = move || {
            for job in todo {
                if done.send(write_synced(&mut *file, job.file_offset, &job.bytes)).is_err() {
                    return;
                }
            }
        };
        let thread =
            std::thread::Builder::new().name("log-copy".into()).spawn(work).map_err(|source| {
                Error::Io { operation: "start a thread for", path: "the log".into(), source }
            })?;
        Ok(SecondCopy::Thread { jobs: Some(jobs), outcomes, thread: Some(thread) })
    }

    fn begin(&mut self, file_offset: u64, bytes: Arc<Vec<u8>>) -> Result<()> {
        match self {
            SecondCopy::Inline { file, written } => {
                *written = file.write_at(file_offset, &bytes);
                Ok(())
            }
            SecondCopy::Thread { jobs, .. } => {
                let sent = jobs.as_ref().map(|j| j.send(Job { file_offset, bytes }));
                if matches!(sent, Some(Ok(()))) { Ok(()) } else { Err(thread_gone()) }
            }
        }
    }

    fn finish(&mut self) -> Result<()> {
        match self {
            SecondCopy::Inline { file, written } => {
                std::mem::replace(written, Ok(())).and_then(|()| file.sync())
            }
            SecondCopy::Thread { outcomes, .. } => {
                outcomes.recv().unwrap_or_else(|_| Err(thread_gone()))
            }
        }
    }
}

fn thread_gone() -> Error {
    Error::Closed("the log's second writer has ended".into())
}

impl Drop for SecondCopy {
    fn drop(&mut self) {
        if let SecondCopy::Thread { jobs, thread, .. } = self {
            jobs.take();
            // Joined, so that no write of this process can follow the release of the lock.
            if let Some(thread) = thread.take() {
                let _ = thread.join();
            }
        }
    }
}
