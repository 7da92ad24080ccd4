//! Files in the address space of the process: bytes that are in the page cache are looked at where they are
//! instead of being copied out of it.
//!
//! A page is asked for (`MADV_POPULATE_READ`) before it is looked at the first time, so that a disk's errors are
//! met there and told by the copying read that follows. Should the kernel have dropped a page since and fail to
//! bring it back, or somebody have cut the file, the process gets SIGBUS: a page of zeros is put there instead,
//! which no checksum fits, and the loss is counted. Without support for any of this files are not mapped.
//!
//! The unsafe code is here and nowhere else: mapping, asking, unmapping, slices of what is mapped (files of parts
//! are never written again, and the data directory is locked against other servers), and the signal's handler.
//! The safe twin is `read_at`; the tests compare both.

use std::fs::File;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::ptr::{NonNull, null_mut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// Smaller files are read instead: a mapping is a thing the kernel has to manage.
const BYTES_MIN: u64 = 1 << 20;
/// Mappings at a time; Linux has 65,530 for everything by default.
const MAPPINGS_MAX: usize = 16 << 10;
/// What is asked for at a time.
const CHUNK: usize = 128 << 10;

/// Where mappings begin and end; a free place begins at 0.
struct Place {
    start: AtomicUsize,
    end: AtomicUsize,
}

static PLACES: [Place; MAPPINGS_MAX] =
    [const { Place { start: AtomicUsize::new(0), end: AtomicUsize::new(0) } }; MAPPINGS_MAX];
static PAGE_BYTES: AtomicUsize = AtomicUsize::new(0);
static LOST_PAGES: AtomicU64 = AtomicU64::new(0);

/// Pages that could not be brought back. Bytes that were looked at while this changed are not to be trusted.
pub(crate) fn lost_pages() -> u64 {
    LOST_PAGES.load(Ordering::Acquire)
}

/// A whole file.
pub(super) struct Mapping {
    address: NonNull<u8>,
    length: usize,
    place: usize,
    /// One bit per chunk that was asked for.
    asked: Box<[AtomicU64]>,
    /// The kernel cannot be asked: it is older than 5.14.
    deaf: AtomicBool,
}

// SAFETY: the memory is only read, and is the mapping's own until it is dropped.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `length` bytes of `file`; None if that cannot be done, or is not worth it.
    pub(super) fn of(file: &File, length: u64) -> Option<Mapping> {
        if length < BYTES_MIN || !cfg!(all(target_os = "linux", target_pointer_width = "64")) {
            return None;
        }
        let length = usize::try_from(length).ok()?;
        if !handles_bus_errors() {
            return None;
        }
        // SAFETY: a new mapping at an address of the kernel's choice.
        let address = unsafe {
            libc::mmap(null_mut(), length, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        let address = NonNull::new(address.cast::<u8>()).filter(|_| address != libc::MAP_FAILED)?;
        let start = address.as_ptr() as usize;
        let free = |place: &Place| {
            let order = (Ordering::AcqRel, Ordering::Relaxed);
            place.start.load(Ordering::Relaxed) == 0
                && place.start.compare_exchange(0, start, order.0, order.1).is_ok()
        };
        let Some(place) = PLACES.iter().position(free) else {
            unmap(address, length);
            return None;
        };
        PLACES[place].end.store(start + length, Ordering::Release);
        let words = length.div_ceil(CHUNK).div_ceil(64);
        let asked = (0..words).map(|_| AtomicU64::new(0)).collect();
        Some(Mapping { address, length, place, asked, deaf: AtomicBool::new(false) })
    }

    /// The bytes from `offset` on; None if they are not there or cannot be brought, which `read_at` tells.
    pub(super) fn bytes(&self, offset: u64, length: usize) -> Option<&[u8]> {
        let from = usize::try_from(offset).ok()?;
        let to = from.checked_add(length).filter(|to| *to <= self.length)?;
        if self.deaf.load(Ordering::Relaxed) {
            return None;
        }
        self.ask(from, to)?;
        // SAFETY: inside the mapping, which lives as long as the slice; nobody writes to the file.
        Some(unsafe { std::slice::from_raw_parts(self.address.as_ptr().add(from), length) })
    }

    /// Tells the kernel to bring bytes, unless they were asked for before.
    pub(super) fn will_need(&self, offset: u64, length: u64) {
        let page = PAGE_BYTES.load(Ordering::Relaxed).max(1);
        let end = usize::try_from(offset.saturating_add(length)).unwrap_or(usize::MAX);
        let end = end.min(self.length);
        let from = usize::try_from(offset).unwrap_or(usize::MAX) / page * page;
        if from < end && !self.is_asked(from / CHUNK..end.div_ceil(CHUNK)) {
            self.advise(from, end, libc::MADV_WILLNEED);
        }
    }

    /// Asks for chunks that were not asked for before.
    fn ask(&self, from: usize, to: usize) -> Option<()> {
        let chunks = from / CHUNK..to.div_ceil(CHUNK);
        if self.is_asked(chunks.clone()) {
            return Some(());
        }
        let (from, to) = (chunks.start * CHUNK, (chunks.end * CHUNK).min(self.length));
        for advice in [libc::MADV_WILLNEED, libc::MADV_POPULATE_READ] {
            let code = self.advise(from, to, advice);
            if code != 0 {
                let unknown = std::io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL);
                self.deaf.store(unknown, Ordering::Relaxed);
                return None;
            }
        }
        for chunk in chunks {
            self.asked[chunk / 64].fetch_or(1 << (chunk % 64), Ordering::Relaxed);
        }
        Some(())
    }

    fn is_asked(&self, mut chunks: Range<usize>) -> bool {
        chunks.all(|chunk| {
            let word = self.asked[chunk / 64].load(Ordering::Relaxed);
            word >> (chunk % 64) & 1 == 1
        })
    }

    /// Advises the kernel about bytes of the mapping, from the beginning of a page on.
    fn advise(&self, from: usize, to: usize, advice: libc::c_int) -> libc::c_int {
        // SAFETY: whole pages inside the mapping; no advice that is given changes what they hold.
        unsafe {
            let at = self.address.as_ptr().add(from);
            libc::madvise(at.cast(), to - from, advice)
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // From here on a fault in it would be somebody else's.
        PLACES[self.place].end.store(0, Ordering::Release);
        unmap(self.address, self.length);
        PLACES[self.place].start.store(0, Ordering::Release);
    }
}

fn unmap(address: NonNull<u8>, length: usize) {
    // SAFETY: the whole of a mapping that nobody looks at any more.
    unsafe { libc::munmap(address.as_ptr().cast(), length) };
}

/// What handled SIGBUS before.
static BEFORE: OnceLock<Option<libc::sigaction>> = OnceLock::new();

/// Sees to it that a page that is lost is not the end of the process; false if that cannot be had.
fn handles_bus_errors() -> bool {
    let install = || {
        // SAFETY: a question to the system.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        PAGE_BYTES.store(usize::try_from(page).ok()?, Ordering::Release);
        // SAFETY: all zeros are a valid value of both structs, and the handler keeps to what signals allow.
        unsafe {
            let (mut action, mut before): (libc::sigaction, libc::sigaction) =
                (std::mem::zeroed(), std::mem::zeroed());
            action.sa_sigaction = on_bus_error as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
            libc::sigemptyset(&mut action.sa_mask);
            (libc::sigaction(libc::SIGBUS, &action, &mut before) == 0).then_some(before)
        }
    };
    BEFORE.get_or_init(install).is_some()
}

/// Puts zeros where a page of a mapping was lost. Anything else is left to what was there before.
extern "C" fn on_bus_error(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel hands a valid struct to handlers that were installed with SA_SIGINFO.
    let address = unsafe { (*info).si_addr() } as usize;
    let page = PAGE_BYTES.load(Ordering::Acquire);
    let is_ours = PLACES.iter().any(|place| {
        let start = place.start.load(Ordering::Acquire);
        start != 0 && address >= start && address < place.end.load(Ordering::Acquire)
    });
    if is_ours && page > 0 {
        let at = (address & !(page - 1)) as *mut libc::c_void;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // SAFETY: replaces a page of a mapping of ours that cannot be read; a system call may be made here.
        let put = unsafe { libc::mmap(at, page, libc::PROT_READ, flags, -1, 0) };
        if put != libc::MAP_FAILED {
            LOST_PAGES.fetch_add(1, Ordering::AcqRel);
            return;
        }
    }
    if let Some(Some(before)) = BEFORE.get() {
        // SAFETY: what the system gave us; the fault happens again and meets it.
        unsafe { libc::sigaction(libc::SIGBUS, before, null_mut()) };
    }
}
