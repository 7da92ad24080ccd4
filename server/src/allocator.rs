//! The memory allocator: mimalloc for small pieces (`docs/decisions/0023-small-pieces-from-mimalloc.md`), and a store
//! of large pieces that were given back lately.
//!
//! Columns of an insert or of a query take megabytes for a moment. Given back to the kernel each time, every
//! page of the next one is faulted in and zeroed anew, which costs more than filling it. So pieces of
//! [`LARGE`] bytes and more are mapped by this file in a few sizes, and some of those given back are kept for
//! the next taker.
//!
//! Rules: what is kept is bounded ([`keep`]; nothing is kept before it is called) and goes back to the kernel
//! when nobody took it for about ten seconds, or for two while others had to be mapped; a piece grows by moving
//! its pages, not its bytes. Who takes one gets first what its own core gave back, which that core's cache may
//! still hold. The kernel is asked for huge pages. All `unsafe` of it is here: a piece is a private mapping of the size that its layout's class says, for its whole life.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use mimalloc::MiMalloc;

/// Pieces of this size are mapped.
pub const LARGE: usize = 1 << LARGE_BITS;
const LARGE_BITS: u32 = 18;
/// Pieces of twice this power and more are mapped, but not kept.
const KEPT_BITS_MAX: u32 = 29;
/// Sizes between one power of two and the next.
const STEPS_BITS: u32 = 2;
const CLASSES: usize = ((KEPT_BITS_MAX - LARGE_BITS + 1) << STEPS_BITS) as usize + 1;
/// Lists of kept pieces; cores share one where there are more of them.
const SHELVES: usize = 16;
const PAGE: usize = 4096;
/// What large pieces are asked for in: a look at memory costs a virtual machine two walks through page tables, and
/// with small pages most looks at a large table need them.
const HUGE_PAGE: usize = 2 << 20;
/// Kept pieces are looked at this often, and go when they were passed over a few times.
const ROUND: Duration = Duration::from_secs(2);
const ROUNDS_KEPT: u32 = 5;
/// Pieces passed over so often go also when others are needed, so that one query's are not held beside another's.
const ROUNDS_SAFE: u32 = 1;
/// The number of mimalloc's option (`mi_option_purge_delay`) for how long it keeps free pages, in milliseconds: two
/// rounds, since those of one query are faulted in again by the next.
const PURGE_DELAY: i32 = 15;
const PURGE_DELAY_MS: libc::c_long = 2 * ROUND.as_millis() as libc::c_long;

// Of mimalloc's C interface what its crate does not show.
unsafe extern "C" {
    fn mi_option_set_default(option: libc::c_int, value: libc::c_long);
    #[cfg(test)]
    fn mi_option_get(option: libc::c_int) -> libc::c_long;
    fn mi_collect(force: bool);
}

/// The process's allocator.
pub struct Recycling;

/// How many bytes are kept at most.
static KEPT_MAX: AtomicUsize = AtomicUsize::new(0);
static KEPT: Mutex<Kept> = Mutex::new(Kept::new());
/// Whether pieces wait that were passed over more than [`ROUNDS_SAFE`] times.
static ANY_PASSED: AtomicBool = AtomicBool::new(false);

/// Written over the first bytes of a piece that is kept.
struct Node {
    next: *mut Node,
    round: u32,
}

/// Pieces that were given back, by who gave them and by class, the latest first.
struct Kept {
    heads: [[*mut Node; CLASSES]; SHELVES],
    bytes: usize,
    /// Those of them that were passed over more than [`ROUNDS_SAFE`] times.
    passed_bytes: usize,
    round: u32,
}

// SAFETY: the pieces listed belong to nobody else, and the list is only touched under its lock.
unsafe impl Send for Kept {}

/// Lets some large pieces be kept, as many as become a process that may use `machine` bytes, and starts the
/// thread that lets idle ones go, and with `let_others_go` those that others keep.
pub fn keep(machine: u64, let_others_go: fn()) -> std::io::Result<()> {
    // SAFETY: sets a number, which each use reads anew; what the environment says (`MIMALLOC_PURGE_DELAY`) stays.
    unsafe { mi_option_set_default(PURGE_DELAY, PURGE_DELAY_MS) };
    #[cfg(target_env = "gnu")]
    {
        // What libraries in C ask the system for; its own guesses would shrink its heap to and fro.
        let trim_bytes = (machine / 64).clamp(1 << 20, 64 << 20) as i32;
        // Each arena keeps its own free pages; few of them where memory is short.
        let arenas_max = (machine >> 27).clamp(2, 256) as i32;
        // SAFETY: mallopt sets numbers and may be called at any time.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, 4 * LARGE as i32);
            libc::mallopt(libc::M_TRIM_THRESHOLD, trim_bytes);
            if machine < 4 << 30 {
                libc::mallopt(libc::M_ARENA_MAX, arenas_max);
            }
        }
    }
    std::thread::Builder::new().name("memory".into()).spawn(move || {
        loop {
            std::thread::sleep(ROUND);
            let_others_go();
            let_idle_go();
            // SAFETY: may be called at any time; gives free pages back whose time has come, which else waits for
            // somebody to allocate.
            unsafe { mi_collect(false) };
        }
    })?;
    KEPT_MAX.store(kept_bytes_max(machine), Ordering::Relaxed);
    Ok(())
}

/// What a server keeps: little of the machine's memory.
fn kept_bytes_max(machine: u64) -> usize {
    const MOST: u64 = 512 << 20;
    (machine / 16).min(MOST) as usize
}

/// One round: pieces that nobody took for some rounds go back to the kernel.
fn let_idle_go() {
    give_to_kernel(with_kept(Kept::take_idle));
}

/// Before `bytes` are mapped: about as many that wait, and were passed over, go back to the kernel.
fn make_room(bytes: usize) {
    if ANY_PASSED.load(Ordering::Relaxed) {
        give_to_kernel(with_kept(|kept| kept.take_passed(bytes)));
    }
}

/// Unmaps a chain of [`Idle`].
fn give_to_kernel(mut node: *mut Node) {
    while !node.is_null() {
        // SAFETY: these pieces were unlinked; each node is the start of one, of the size it says.
        unsafe {
            let Idle { next, bytes } = ptr::read(node.cast::<Idle>());
            unmap(node.cast(), bytes);
            node = next.cast();
        }
    }
}

/// Written over a piece that is about to go.
struct Idle {
    next: *mut Node,
    bytes: usize,
}

fn with_kept<T>(act: impl FnOnce(&mut Kept) -> T) -> T {
    let mut kept = KEPT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    act(&mut kept)
}

impl Kept {
    const fn new() -> Kept {
        Kept { heads: [[ptr::null_mut(); CLASSES]; SHELVES], bytes: 0, passed_bytes: 0, round: 0 }
    }

    /// A piece of that class, one of `shelf` if there is.
    fn pop(&mut self, class: usize, shelf: usize) -> Option<*mut u8> {
        for shelf in (shelf..shelf + SHELVES).map(|shelf| shelf % SHELVES) {
            let head = self.heads[shelf].get_mut(class)?;
            let node = *head;
            if !node.is_null() {
                // SAFETY: listed pieces are mapped, and their first bytes are a node.
                let Node { next, round } = unsafe { ptr::read(node) };
                *head = next;
                self.bytes -= class_bytes(class);
                if self.round.wrapping_sub(round) > ROUNDS_SAFE {
                    self.passed_bytes -= class_bytes(class);
                }
                return Some(node.cast());
            }
        }
        None
    }

    /// Keeps the piece on `shelf`; false if there is no room.
    fn push(&mut self, class: usize, shelf: usize, piece: *mut u8) -> bool {
        let bytes = class_bytes(class);
        if class >= CLASSES || self.bytes + bytes > KEPT_MAX.load(Ordering::Relaxed) {
            return false;
        }
        let node = piece.cast::<Node>();
        // SAFETY: the piece was given back, so it is ours; it is page-aligned and larger than a node.
        unsafe { node.write(Node { next: self.heads[shelf][class], round: self.round }) };
        self.heads[shelf][class] = node;
        self.bytes += bytes;
        true
    }

    /// Begins a round and unlinks what is idle; the first of a chain of [`Idle`].
    fn take_idle(&mut self) -> *mut Node {
        self.round = self.round.wrapping_add(1);
        let idle = self.unlink(ROUNDS_KEPT, usize::MAX);
        self.passed_bytes = 0;
        for (shelf, class) in lists() {
            let mut node = self.heads[shelf][class];
            while !node.is_null() {
                // SAFETY: listed pieces are mapped, and their first bytes are a node.
                let Node { next, round } = unsafe { ptr::read(node) };
                if self.round.wrapping_sub(round) > ROUNDS_SAFE {
                    self.passed_bytes += class_bytes(class);
                }
                node = next;
            }
        }
        ANY_PASSED.store(self.passed_bytes > 0, Ordering::Relaxed);
        idle
    }

    /// Unlinks pieces of about `bytes` that were passed over; the first of a chain of [`Idle`].
    fn take_passed(&mut self, bytes: usize) -> *mut Node {
        let before = self.bytes;
        let passed = self.unlink(ROUNDS_SAFE, bytes.min(self.passed_bytes));
        self.passed_bytes -= before - self.bytes;
        ANY_PASSED.store(self.passed_bytes > 0, Ordering::Relaxed);
        passed
    }

    /// Unlinks what was passed over more than `rounds` times until it is `bytes`; the first of a chain of [`Idle`].
    fn unlink(&mut self, rounds: u32, bytes: usize) -> *mut Node {
        let mut chain: *mut Node = ptr::null_mut();
        let mut left = bytes;
        for (shelf, class) in lists() {
            if left == 0 {
                break;
            }
            let mut link: *mut *mut Node = &mut self.heads[shelf][class];
            // SAFETY: `link` is the head or the `next` of a listed node; pieces are mapped while listed,
            // and those behind an old one are older.
            unsafe {
                while !(*link).is_null() && self.round.wrapping_sub((**link).round) <= rounds {
                    link = &mut (**link).next;
                }
                while !(*link).is_null() && left > 0 {
                    let node = *link;
                    *link = (*node).next;
                    let bytes = class_bytes(class);
                    self.bytes -= bytes;
                    left = left.saturating_sub(bytes);
                    node.cast::<Idle>().write(Idle { next: chain, bytes });
                    chain = node;
                }
            }
        }
        chain
    }
}

/// Every shelf's every class.
fn lists() -> impl Iterator<Item = (usize, usize)> {
    (0..SHELVES).flat_map(|shelf| (0..CLASSES).map(move |class| (shelf, class)))
}

/// The list of the core that this thread is on at the moment.
fn own_shelf() -> usize {
    #[cfg(target_os = "linux")]
    // SAFETY: asks for a number, which the kernel keeps where the thread can read it; -1 if there is none.
    let core = unsafe { libc::sched_getcpu() };
    #[cfg(not(target_os = "linux"))]
    let core = 0;
    usize::try_from(core).unwrap_or(0) % SHELVES
}

/// The class of a size: a power of two and quarters between, or one past the last for what is not kept.
fn class_of(size: usize) -> usize {
    if size <= LARGE {
        return 0;
    }
    let last = size - 1;
    let bits = usize::BITS - 1 - last.leading_zeros();
    let step = (last >> (bits - STEPS_BITS)) & ((1 << STEPS_BITS) - 1);
    let class = (((bits - LARGE_BITS) as usize) << STEPS_BITS) + step + 1;
    class.min(CLASSES)
}

/// Bytes of pieces of that class; 0 for what is not kept.
fn class_bytes(class: usize) -> usize {
    if class >= CLASSES {
        return 0;
    }
    let (power, step) = (class >> STEPS_BITS, class & ((1 << STEPS_BITS) - 1));
    (LARGE << power) + ((LARGE << power) >> STEPS_BITS) * step
}

/// Bytes mapped for a piece of `size`.
fn mapped_bytes(size: usize) -> usize {
    match class_bytes(class_of(size)) {
        0 => size.next_multiple_of(PAGE),
        bytes => bytes,
    }
}

fn is_large(layout: &Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= PAGE && layout.size() <= isize::MAX as usize - PAGE
}

/// Fresh zeroed pages, or null; as huge ones where the system gives such to who asks for them.
fn map(bytes: usize) -> *mut u8 {
    // So much more that a huge page can begin where the piece does.
    let spare = if bytes < HUGE_PAGE { 0 } else { HUGE_PAGE - PAGE };
    // SAFETY: a new private mapping touches nothing that exists.
    let mapped = unsafe {
        libc::mmap(
            ptr::null_mut(),
            bytes + spare,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if mapped == libc::MAP_FAILED {
        return ptr::null_mut();
    }
    let before = match spare {
        0 => 0,
        _ => (mapped as usize).next_multiple_of(HUGE_PAGE) - mapped as usize,
    };
    let piece = mapped.cast::<u8>().wrapping_add(before);
    // SAFETY: what is cut off at both ends is whole pages of the new mapping, and advice changes no content.
    unsafe {
        if before > 0 {
            unmap(mapped.cast(), before);
        }
        if spare > before {
            unmap(piece.add(bytes), spare - before);
        }
        libc::madvise(piece.cast(), bytes, libc::MADV_HUGEPAGE);
    }
    piece
}

/// Moves the pages of a piece to where `to` bytes are, at the start of a huge page if it is so large; null if
/// that fails, and the piece is as it was.
///
/// # Safety
/// `piece` is a mapping of `from` bytes; it is given up for the one that comes back.
unsafe fn move_pages(piece: *mut u8, from: usize, to: usize) -> *mut u8 {
    if to <= from || to < HUGE_PAGE {
        // SAFETY: as said above.
        let moved = unsafe { libc::mremap(piece.cast(), from, to, libc::MREMAP_MAYMOVE) };
        return if moved == libc::MAP_FAILED { ptr::null_mut() } else { moved.cast() };
    }
    let place = map(to);
    if place.is_null() {
        return place;
    }
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    // SAFETY: `place` is a mapping of our own that nobody has seen; what moves there takes its place.
    unsafe {
        if libc::mremap(piece.cast(), from, to, flags, place) == libc::MAP_FAILED {
            unmap(place, to);
            return ptr::null_mut();
        }
    }
    place
}

/// # Safety
/// `piece` is a mapping of `bytes` that nobody uses any more.
unsafe fn unmap(piece: *mut u8, bytes: usize) {
    // SAFETY: as said above.
    unsafe { libc::munmap(piece.cast(), bytes) };
}

fn take(layout: &Layout) -> Option<*mut u8> {
    let class = class_of(layout.size());
    if KEPT_MAX.load(Ordering::Relaxed) == 0 || class >= CLASSES {
        return None;
    }
    let shelf = own_shelf();
    with_kept(|kept| kept.pop(class, shelf))
}

/// As [`map`], instead of what others left.
fn map_anew(layout: &Layout) -> *mut u8 {
    let bytes = mapped_bytes(layout.size());
    make_room(bytes);
    map(bytes)
}

/// # Safety
/// `piece` is a piece of `size` that nobody uses any more.
unsafe fn give_back(piece: *mut u8, size: usize) {
    let (class, shelf) = (class_of(size), own_shelf());
    let kept = KEPT_MAX.load(Ordering::Relaxed) > 0
        && class < CLASSES
        && with_kept(|kept| kept.push(class, shelf, piece));
    if !kept {
        // SAFETY: as said above; pieces are as long as their size's class.
        unsafe { unmap(piece, mapped_bytes(size)) };
    }
}

/// # Safety
/// As [`GlobalAlloc::realloc`], for a large piece that stays large.
unsafe fn resize(piece: *mut u8, size: usize, new: &Layout) -> *mut u8 {
    let (from, to) = (mapped_bytes(size), mapped_bytes(new.size()));
    if from == to {
        return piece;
    }
    if to > from
        && let Some(larger) = take(new)
    {
        // SAFETY: two different pieces, both of at least `size` bytes; the old one is given up by the caller.
        unsafe {
            ptr::copy_nonoverlapping(piece, larger, size);
            give_back(piece, size);
        }
        return larger;
    }
    if to > from {
        make_room(to - from);
    }
    // SAFETY: `piece` is a mapping of `from` bytes that the caller gives up for the one that comes back.
    unsafe { move_pages(piece, from, to) }
}

// SAFETY: large layouts are mappings of their own, at least as long as asked for and aligned to a page; the
// others are mimalloc's. Which it is depends on the layout alone, which callers give back as it was.
unsafe impl GlobalAlloc for Recycling {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !is_large(&layout) {
            // SAFETY: the caller's promises are those that `MiMalloc` asks for.
            return unsafe { MiMalloc.alloc(layout) };
        }
        take(&layout).unwrap_or_else(|| map_anew(&layout))
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !is_large(&layout) {
            // SAFETY: as in `alloc`.
            return unsafe { MiMalloc.alloc_zeroed(layout) };
        }
        match take(&layout) {
            Some(piece) => {
                // SAFETY: a piece is at least as long as its layout.
                unsafe { ptr::write_bytes(piece, 0, layout.size()) };
                piece
            }
            None => map_anew(&layout),
        }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        if !is_large(&layout) {
            // SAFETY: as in `alloc`.
            return unsafe { MiMalloc.dealloc(piece, layout) };
        }
        // SAFETY: the caller gives the piece up.
        unsafe { give_back(piece, layout.size()) };
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that `new_size` makes a layout with this alignment.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: as in `alloc`; between the two allocators the bytes are copied.
        unsafe {
            match (is_large(&layout), is_large(&new)) {
                (false, false) => MiMalloc.realloc(piece, layout, new_size),
                (true, true) => resize(piece, layout.size(), &new),
                _ => {
                    let moved = self.alloc(new);
                    if !moved.is_null() {
                        ptr::copy_nonoverlapping(piece, moved, layout.size().min(new_size));
                        self.dealloc(piece, layout);
                    }
                    moved
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests share what is kept.
    static ONE: Mutex<()> = Mutex::new(());

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 8).unwrap()
    }

    #[test]
    fn the_option_that_is_set_is_the_one_meant() {
        // SAFETY: reads a number. No test calls `keep`.
        assert_eq!(unsafe { mi_option_get(PURGE_DELAY) }, 1000, "mimalloc's default");
    }

    #[test]
    fn classes_hold_their_sizes() {
        let mut before = 0;
        for class in 0..CLASSES {
            let bytes = class_bytes(class);
            assert!(bytes > before && bytes.is_multiple_of(PAGE));
            assert_eq!(class_of(bytes), class);
            assert_eq!(class_of(before + 1), class, "{bytes}");
            before = bytes;
        }
        assert_eq!(class_of(before + 1), CLASSES);
        assert_eq!(mapped_bytes(before + 1), before + PAGE);
    }

    #[test]
    fn pieces_come_again_and_idle_ones_go() {
        let _one = ONE.lock().unwrap_or_else(|e| e.into_inner());
        KEPT_MAX.store(4 << 20, Ordering::Relaxed);
        // SAFETY: layouts are given back as they were asked for, pointers used within them.
        unsafe {
            let first = Recycling.alloc(layout(LARGE + 1));
            first.write_bytes(7, LARGE + 1);
            Recycling.dealloc(first, layout(LARGE + 1));
            let second = Recycling.alloc_zeroed(layout(LARGE + 9));
            assert_eq!(second, first);
            assert!((0..LARGE + 9).all(|i| *second.add(i) == 0));
            Recycling.dealloc(second, layout(LARGE + 9));
            // More than the limit is not kept.
            let large = Recycling.alloc(layout(8 << 20));
            Recycling.dealloc(large, layout(8 << 20));
        }
        assert_eq!(with_kept(|k| k.bytes), class_bytes(1));
        for _ in 0..=ROUNDS_KEPT {
            assert_eq!(with_kept(|k| k.bytes), class_bytes(1));
            let_idle_go();
        }
        assert_eq!(with_kept(|k| k.bytes), 0);
        assert!(with_kept(|k| k.heads.iter().flatten().all(|h| h.is_null())));
        KEPT_MAX.store(0, Ordering::Relaxed);
    }

    #[test]
    fn what_was_passed_over_makes_room() {
        let _one = ONE.lock().unwrap_or_else(|e| e.into_inner());
        KEPT_MAX.store(8 << 20, Ordering::Relaxed);
        // SAFETY: layouts are given back as they were asked for.
        let use_for_a_moment = |sizes: &[usize]| unsafe {
            let pieces: Vec<_> = sizes.iter().map(|s| (Recycling.alloc(layout(*s)), *s)).collect();
            pieces.into_iter().for_each(|(piece, size)| Recycling.dealloc(piece, layout(size)));
        };
        let kept = || with_kept(|k| (k.bytes, k.passed_bytes));
        use_for_a_moment(&[LARGE, LARGE, 2 * LARGE]);
        for _ in 0..=ROUNDS_SAFE {
            assert_eq!(kept(), (4 * LARGE, 0));
            let_idle_go();
        }
        assert_eq!(kept(), (4 * LARGE, 4 * LARGE));
        use_for_a_moment(&[LARGE]);
        assert_eq!(kept(), (4 * LARGE, 3 * LARGE), "taken, and kept anew");
        use_for_a_moment(&[8 * LARGE]);
        assert_eq!(kept(), (9 * LARGE, 0), "mapped instead of the three");
        use_for_a_moment(&[16 * LARGE]);
        assert_eq!(kept(), (25 * LARGE, 0), "what was used lately stays");
        while kept().0 > 0 {
            let_idle_go();
        }
        KEPT_MAX.store(0, Ordering::Relaxed);
    }

    #[test]
    fn a_core_has_its_own_pieces_first_and_then_others() {
        let _one = ONE.lock().unwrap_or_else(|e| e.into_inner());
        let mut kept = Kept::new();
        KEPT_MAX.store(usize::MAX, Ordering::Relaxed);
        let mut memory = [[0u64; 8]; 3];
        let [a, b, c] = memory.each_mut().map(|m| m.as_mut_ptr().cast::<u8>());
        assert!(kept.push(0, 2, a) && kept.push(0, 5, b) && kept.push(1, 2, c));
        assert_eq!(kept.pop(0, 5), Some(b));
        assert_eq!(kept.pop(0, 5), Some(a));
        assert_eq!((kept.pop(0, 5), kept.pop(1, 5)), (None, Some(c)));
        KEPT_MAX.store(0, Ordering::Relaxed);
    }

    #[test]
    fn bytes_stay_through_every_change_of_size() {
        let _one = ONE.lock().unwrap_or_else(|e| e.into_inner());
        for kept_max in [0, 64 << 20] {
            KEPT_MAX.store(kept_max, Ordering::Relaxed);
            let sizes =
                [100, LARGE - 1, LARGE, 3 * LARGE, 40 << 20, 39 << 20, LARGE + 5, 10, 9 << 20];
            // SAFETY: as above.
            unsafe {
                let mut size = 64;
                let mut piece = Recycling.alloc(layout(size));
                (0..64).for_each(|i| piece.add(i).write(i as u8));
                for next in sizes {
                    piece = Recycling.realloc(piece, layout(size), next);
                    size = next;
                    assert!((0..next.min(9)).all(|i| *piece.add(i) == i as u8), "{next}");
                    piece.add(size - 1).write(1);
                }
                Recycling.dealloc(piece, layout(size));
            }
        }
        while with_kept(|k| k.bytes) > 0 {
            let_idle_go();
        }
        KEPT_MAX.store(0, Ordering::Relaxed);
    }
}
