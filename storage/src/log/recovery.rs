//! From what lies on the disk to a state and the log's end, at every start.
//!
//! `CURRENT` → both copies of that generation are read as one chain: at each place either copy's valid
//! frame will do, so a frame is lost only if both copies of it are. Where the chain ends there may be
//! one torn frame, never acknowledged: it is zeroed. A valid frame *after* the end is damage in the
//! middle: the server refuses to start and says where. Every step can be repeated: a crash in recovery
//! is followed by the same recovery.

use std::collections::HashSet;
use std::sync::Arc;

use super::codec::decode_edits;
use super::edit::{PartId, mask_path, part_path};
use super::frame::{ALIGNMENT, FrameHeader, FrameKind, HEADER_BYTES, decode_header, has_magic};
use super::manifest::{
    COPIES, CURRENT, CURRENT_NEXT, Position, current_text, manifest_generation, manifest_path,
    switch_current, write_current, write_generation,
};
use super::snapshot::decode_state;
use super::state::State;
use crate::disk::{Disk, ReadFile};
use crate::error::{Error, Result};

const PARTS: &str = "parts";
const CHUNK_BYTES: u64 = 64 * 1024;
const ZEROS: [u8; ALIGNMENT as usize] = [0; ALIGNMENT as usize];

/// What recovery found, with the log made whole.
#[derive(Debug)]
pub struct Recovered {
    pub state: State,
    pub position: Position,
    /// Frames read, the snapshot included.
    pub frames: u64,
    /// Damage that the other copy made good, for the server's log.
    pub repairs: Vec<String>,
}

/// Reads the log, repairs its copies and syncs them; makes an empty store where there is none. The
/// caller holds the lock of the directory.
pub fn recover(disk: &dyn Disk, preallocate_bytes: u64) -> Result<Recovered> {
    if !disk.exists(CURRENT)? {
        create(disk, preallocate_bytes)?;
    }
    disk.create_dir(PARTS)?;
    let generation = read_current(disk)?;
    let copies = Copy::open_both(disk, generation)?;
    let chain = read_chain(&copies)?;
    let torn = find_torn(&copies, &chain)?;
    let (allocated, repairs) = repair(disk, &copies, &chain, &torn)?;
    // Names first seen by a process that was killed may not be durable yet.
    disk.sync_dir("")?;
    remove_other_generations(disk, generation)?;
    let position = Position { generation, end: chain.end, allocated, hash: chain.hash };
    Ok(Recovered { state: chain.state, position, frames: chain.frames, repairs })
}

fn damaged(path: &str, file_offset: u64, what: impl Into<String>) -> Error {
    Error::Damaged { path: path.into(), file_offset, what: what.into() }
}

/// Makes the first generation, but only where nothing was ever committed.
fn create(disk: &dyn Disk, preallocate_bytes: u64) -> Result<()> {
    let without_current = |what: String| {
        damaged(CURRENT, 0, format!("the file is missing, yet there is {what}; not a new store"))
    };
    for name in disk.list("")? {
        let Some(generation) = manifest_generation(&name) else { continue };
        if generation != 1 {
            return Err(without_current(name));
        }
        let copy = Copy::open(disk, &name)?;
        for frame in copy.frames_from(0)? {
            if frame.header.version > 0 {
                return Err(without_current(format!("version {} in {name}", frame.header.version)));
            }
        }
    }
    if let Some(part) = disk.list(PARTS)?.first() {
        return Err(without_current(format!("{PARTS}/{part}")));
    }
    write_generation(disk, 1, &State::default(), 0, preallocate_bytes)?;
    write_current(disk, 1)?;
    switch_current(disk)
}

fn read_current(disk: &dyn Disk) -> Result<u64> {
    let file = disk.open(CURRENT)?;
    let bytes = read_bytes(&*file, 0, file.len().min(256))?;
    let text = String::from_utf8_lossy(&bytes);
    let number = text.split(' ').next().and_then(|name| name.strip_prefix("MANIFEST-"));
    match number.and_then(|n| n.parse().ok()) {
        Some(generation) if current_text(generation) == text => Ok(generation),
        _ => Err(damaged(CURRENT, 0, "it does not name a log generation with a right checksum")),
    }
}

fn read_bytes(file: &dyn ReadFile, file_offset: u64, count: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; count as usize];
    file.read_at(file_offset, &mut bytes)?;
    Ok(bytes)
}

/// One file of a generation; absent ones count as empty.
struct Copy {
    path: String,
    file: Option<Arc<dyn ReadFile>>,
    len: u64,
}

struct Frame {
    header: FrameHeader,
    payload: Vec<u8>,
}

struct FrameAt {
    header: FrameHeader,
    file_offset: u64,
}

/// Why there is no frame at a place.
enum NoFrame {
    Invalid(&'static str),
    /// The disk would not read it: what is there is not known.
    Unreadable(Error),
}

impl Copy {
    fn open_both(disk: &dyn Disk, generation: u64) -> Result<[Copy; 2]> {
        let copies = [0, 1].map(|copy| Copy::open(disk, &manifest_path(generation, copy)));
        let [first, second] = copies;
        Ok([first?, second?])
    }

    fn open(disk: &dyn Disk, path: &str) -> Result<Copy> {
        let path = path.to_string();
        if !disk.exists(&path)? {
            return Ok(Copy { path, file: None, len: 0 });
        }
        let file = disk.open(&path)?;
        Ok(Copy { path, len: file.len(), file: Some(file) })
    }

    fn frame(&self, file_offset: u64) -> Result<Frame, NoFrame> {
        let payload_at = file_offset + HEADER_BYTES as u64;
        let Some(file) = self.file.as_ref().filter(|_| payload_at <= self.len) else {
            return Err(NoFrame::Invalid("the file ends here"));
        };
        let mut bytes = [0; HEADER_BYTES];
        file.read_at(file_offset, &mut bytes).map_err(NoFrame::Unreadable)?;
        let header = decode_header(&bytes).map_err(NoFrame::Invalid)?;
        if header.payload_bytes > self.len - payload_at {
            return Err(NoFrame::Invalid("the frame is longer than its file"));
        }
        let payload =
            read_bytes(&**file, payload_at, header.payload_bytes).map_err(NoFrame::Unreadable)?;
        if !header.matches(&payload) {
            return Err(NoFrame::Invalid("the frame does not match its checksum"));
        }
        Ok(Frame { header, payload })
    }

    /// Calls `page` with every page from `start` on; the last may be short.
    fn pages_from(&self, start: u64, mut page: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut offset = start;
        while offset < self.len {
            let bytes = read_bytes(&**file, offset, CHUNK_BYTES.min(self.len - offset))?;
            for (i, bytes) in bytes.chunks(ALIGNMENT as usize).enumerate() {
                page(offset + i as u64 * ALIGNMENT, bytes)?;
            }
            offset += bytes.len() as u64;
        }
        Ok(())
    }

    /// All valid frames from `start` on, whatever stands between them.
    fn frames_from(&self, start: u64) -> Result<Vec<FrameAt>> {
        let mut found = vec![];
        self.pages_from(start, |file_offset, bytes| {
            if has_magic(bytes) {
                match self.frame(file_offset) {
                    Ok(Frame { header, .. }) => found.push(FrameAt { header, file_offset }),
                    Err(NoFrame::Invalid(_)) => {}
                    Err(NoFrame::Unreadable(e)) => return Err(e),
                }
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// The chain of frames that both copies together hold.
struct Chain {
    state: State,
    end: u64,
    hash: u128,
    frames: u64,
    /// What the files' length was, at least, when the last frame was written.
    allocated: u64,
    /// Frames that only one copy holds: `(copy without it, file offset, bytes)`.
    missing: Vec<(usize, u64, u64)>,
    /// Why the chain ends where it ends, by copy.
    ends: [&'static str; 2],
}

fn read_chain(copies: &[Copy; 2]) -> Result<Chain> {
    let mut chain = Chain {
        state: State::default(),
        end: 0,
        hash: 0,
        frames: 0,
        allocated: 0,
        missing: vec![],
        ends: [""; 2],
    };
    loop {
        let found = [0, 1].map(|copy| copies[copy].frame(chain.end));
        let fits = |frame: &Frame| chain.frames == 0 || chain.fits(&frame.header);
        let fitting = found.each_ref().map(|f| f.as_ref().ok().filter(|frame| fits(frame)));
        let frame = match fitting {
            [Some(a), Some(b)] if a.header.hash != b.header.hash => {
                return Err(damaged(
                    &copies[1].path,
                    chain.end,
                    format!("its frame of version {} is not the one of copy a", b.header.version),
                ));
            }
            [Some(frame), _] | [None, Some(frame)] => frame,
            [None, None] => {
                let [a, b] = found;
                chain.ends = [end_reason(a)?, end_reason(b)?];
                break;
            }
        };
        for (copy, fits) in fitting.iter().enumerate() {
            if fits.is_none() {
                chain.missing.push((copy, chain.end, frame.header.frame_bytes()));
            }
        }
        chain.apply(&copies[0].path, frame)?;
    }
    if chain.frames == 0 {
        return Err(damaged(&copies[0].path, 0, format!("{} (nor in copy b)", chain.ends[0])));
    }
    Ok(chain)
}

fn end_reason(found: Result<Frame, NoFrame>) -> Result<&'static str> {
    match found {
        Ok(_) => Ok("the frame does not follow the one before it"),
        Err(NoFrame::Invalid(why)) => Ok(why),
        // Unknown is not torn: it might be an acknowledged frame.
        Err(NoFrame::Unreadable(e)) => Err(e),
    }
}

impl Chain {
    fn fits(&self, header: &FrameHeader) -> bool {
        header.kind == FrameKind::Edits
            && header.version == self.state.version + 1
            && header.previous == self.hash
    }

    fn apply(&mut self, path: &str, frame: &Frame) -> Result<()> {
        let header = &frame.header;
        let payload_at = self.end + HEADER_BYTES as u64;
        let unreadable =
            |e: super::WireError| damaged(path, payload_at + e.position as u64, e.what);
        if self.frames == 0 {
            if header.kind != FrameKind::Snapshot {
                return Err(damaged(path, 0, "the log does not begin with a snapshot"));
            }
            self.state = decode_state(&frame.payload).map_err(unreadable)?;
        } else {
            for edit in decode_edits(&frame.payload).map_err(unreadable)? {
                self.state.apply(header.version, &edit);
            }
        }
        if (self.state.version, self.state.epoch) != (header.version, header.epoch) {
            return Err(damaged(
                path,
                self.end,
                "a frame and its contents differ in their version",
            ));
        }
        self.end += header.frame_bytes();
        self.hash = header.hash;
        self.frames += 1;
        self.allocated = u64::from(header.allocated_pages) * ALIGNMENT;
        Ok(())
    }
}

/// Pages after the end of the chain that are not zero, by copy. Fails if a whole frame is among them:
/// at most one frame is ever not synced, so a frame after a broken one was acknowledged.
fn find_torn(copies: &[Copy; 2], chain: &Chain) -> Result<[Vec<u64>; 2]> {
    for (copy, file) in copies.iter().enumerate() {
        if let Some(later) = file.frames_from(chain.end)?.first() {
            return Err(damaged(
                &file.path,
                chain.end,
                format!(
                    "{}, and after version {} there is version {} at byte {}: the log is damaged in \
                     the middle, in both copies",
                    chain.ends[copy], chain.state.version, later.header.version, later.file_offset
                ),
            ));
        }
    }
    if copies.iter().all(|copy| copy.len < chain.allocated) {
        return Err(damaged(
            &copies[0].path,
            copies[0].len,
            format!(
                "the file ends here, it was {} bytes long; copy b is cut off too",
                chain.allocated
            ),
        ));
    }
    let mut torn = [vec![], vec![]];
    for (copy, pages) in copies.iter().zip(&mut torn) {
        copy.pages_from(chain.end, |file_offset, bytes| {
            if bytes != &ZEROS[..bytes.len()] {
                pages.push(file_offset);
            }
            Ok(())
        })?;
    }
    Ok(torn)
}

/// Makes both copies whole, equal and durable. Gives the space allocated in both, and what was done.
fn repair(
    disk: &dyn Disk,
    copies: &[Copy; 2],
    chain: &Chain,
    torn: &[Vec<u64>; 2],
) -> Result<(u64, Vec<String>)> {
    let mut done = vec![];
    let mut allocated = u64::MAX;
    for (copy, this) in copies.iter().enumerate() {
        let mut file = match this.file {
            Some(_) => disk.open_write(&this.path)?,
            None => disk.create(&this.path)?,
        };
        for (_, file_offset, bytes) in chain.missing.iter().filter(|(c, _, _)| *c == copy) {
            let other = &copies[1 - copy];
            let Some(source) = &other.file else { continue };
            // The padding of the last frame may be beyond the other file's end.
            let count = (*bytes).min(other.len - file_offset);
            file.write_at(*file_offset, &read_bytes(&**source, *file_offset, count)?)?;
            done.push(format!(
                "frame at byte {file_offset} of {} from copy {}",
                this.path,
                COPIES[1 - copy]
            ));
        }
        for file_offset in &torn[copy] {
            let count = ALIGNMENT.min(file.len() - file_offset);
            file.write_at(*file_offset, &ZEROS[..count as usize])?;
        }
        if file.len() < chain.allocated {
            file.write_at(chain.allocated - 1, &[0])?;
        }
        // Also without repairs: a killed process may have left its last frame in the page cache only.
        file.sync()?;
        allocated = allocated.min(file.len());
    }
    Ok((allocated / ALIGNMENT * ALIGNMENT, done))
}

/// Keeps the generation in force and the one before it.
fn remove_other_generations(disk: &dyn Disk, current: u64) -> Result<()> {
    for name in disk.list("")? {
        let other = manifest_generation(&name).is_some_and(|g| g != current && g + 1 != current);
        if other || name == CURRENT_NEXT {
            disk.remove(&name)?;
        }
    }
    Ok(())
}

/// Removes part files that the state does not list: those of commits that never happened, and of
/// parts removed just before the end. Gives how many.
pub fn remove_orphans(disk: &dyn Disk, state: &State) -> Result<usize> {
    let live: HashSet<String> = state
        .all_parts()
        .flat_map(|p| [Some(part_path(p.id)), p.mask.as_ref().map(|m| mask_path(m.id))])
        .flatten()
        .collect();
    let mut orphans = vec![];
    for name in disk.list(PARTS)? {
        let Some(id) = part_id_of(&name) else {
            tracing::warn!("{PARTS}/{name} is not a part of this store; it stays");
            continue;
        };
        // Parts are written only after their epoch is in the log.
        if id.epoch > state.epoch {
            return Err(damaged(
                &format!("{PARTS}/{name}"),
                0,
                format!(
                    "it is of epoch {}, the log ends in epoch {}: the log lost its end",
                    id.epoch, state.epoch
                ),
            ));
        }
        if !live.contains(&format!("{PARTS}/{name}")) {
            orphans.push(name);
        }
    }
    for name in &orphans {
        disk.remove(&format!("{PARTS}/{name}"))?;
    }
    Ok(orphans.len())
}

fn part_id_of(name: &str) -> Option<PartId> {
    // What a part was being made of: its number, a dot, a number of its own.
    let run = || name.strip_suffix(".run")?.split_once('.').map(|(id, _)| id);
    let hex = name.strip_suffix(".part").or_else(|| name.strip_suffix(".mask")).or_else(run);
    let hex = hex.filter(|hex| hex.len() == 16)?;
    let epoch = u32::from_str_radix(hex.get(..8)?, 16).ok()?;
    let number = u32::from_str_radix(hex.get(8..)?, 16).ok()?;
    let id = PartId { epoch, number };
    (id.to_string() == hex).then_some(id)
}
