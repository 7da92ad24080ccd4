//! Memory of scattered rows: slabs of one huge page each, mapped directly and kept in a small pool, and
//! the two processor hints that scattering lives on: stores past the caches, and prefetching.
//!
//! `unsafe` code, as little as there can be. A slab is always initialized memory of its full length, so
//! that everything built on it is ordinary slices. Where the system or the processor has none of this,
//! plain allocations and copies take its place, and so they do in the tests' safe twin.

use std::ops::{Deref, DerefMut};

use parking_lot::Mutex;

use crate::error::{Error, Result, codes};

/// Bytes of an ordinary slab: one huge page.
pub(super) const SLAB_BYTES: usize = 2 << 20;
/// Ordinary slabs that wait for the next query.
const POOLED_MAX: usize = 128;

static POOL: Mutex<Vec<Slab>> = Mutex::new(vec![]);

/// See the file's head. Content is what it is: zero when fresh, old words when it comes from the pool.
pub(super) struct Slab(Option<Mapping>);

impl Slab {
    /// An ordinary slab.
    pub fn take() -> Result<Slab> {
        match POOL.lock().pop() {
            Some(slab) => Ok(slab),
            None => Slab::map(SLAB_BYTES),
        }
    }

    /// A slab of at least `bytes`; an ordinary one if that is enough.
    pub fn of(bytes: usize) -> Result<Slab> {
        if bytes <= SLAB_BYTES { Slab::take() } else { Slab::map(bytes) }
    }

    fn map(bytes: usize) -> Result<Slab> {
        let bytes = bytes.max(1).next_multiple_of(SLAB_BYTES);
        let no_memory =
            || Error::new(codes::MEMORY_LIMIT_EXCEEDED, format!("Cannot map {bytes} bytes"));
        Mapping::new(bytes).map(|m| Slab(Some(m))).ok_or_else(no_memory)
    }

    pub fn bytes(&self) -> usize {
        self.len() * 8
    }
}

impl Deref for Slab {
    type Target = [u64];
    fn deref(&self) -> &[u64] {
        self.0.as_ref().map_or(&[], Mapping::words)
    }
}

impl DerefMut for Slab {
    fn deref_mut(&mut self) -> &mut [u64] {
        self.0.as_mut().map_or(&mut [], Mapping::words_mut)
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        let Some(mapping) = self.0.take() else { return };
        if mapping.words().len() * 8 == SLAB_BYTES {
            let mut pool = POOL.lock();
            if pool.len() < POOLED_MAX {
                pool.push(Slab(Some(mapping)));
            }
        }
    }
}

#[cfg(target_os = "linux")]
use linux::Mapping;
#[cfg(not(target_os = "linux"))]
use plain::Mapping;

#[cfg(target_os = "linux")]
mod linux {
    use super::SLAB_BYTES;
    use std::ptr::NonNull;

    /// Private anonymous pages, aligned to huge pages, owned by this value alone.
    pub(super) struct Mapping {
        start: NonNull<u64>,
        words: usize,
    }

    // SAFETY: the pages belong to the value; access goes through `&self` and `&mut self` only.
    unsafe impl Send for Mapping {}
    // SAFETY: as above; `&Mapping` allows only reading.
    unsafe impl Sync for Mapping {}

    impl Mapping {
        /// `bytes` is a multiple of [`SLAB_BYTES`] and not 0.
        pub(super) fn new(bytes: usize) -> Option<Mapping> {
            let mapped = bytes.checked_add(SLAB_BYTES)?;
            // SAFETY: an anonymous mapping at an address of the system's choice touches no memory
            // in use; the parts cut off are inside it and unused; what is left is readable and
            // writable, zeroed, `bytes` long, and aligned beyond what u64 needs.
            unsafe {
                let protection = libc::PROT_READ | libc::PROT_WRITE;
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                let base = libc::mmap(std::ptr::null_mut(), mapped, protection, flags, -1, 0);
                if base == libc::MAP_FAILED {
                    return None;
                }
                let head = base.align_offset(SLAB_BYTES);
                let start = base.byte_add(head);
                if head > 0 {
                    libc::munmap(base, head);
                }
                if head < SLAB_BYTES {
                    libc::munmap(start.byte_add(bytes), SLAB_BYTES - head);
                }
                // Only advice: without huge pages it is slower.
                libc::madvise(start, bytes, libc::MADV_HUGEPAGE);
                Some(Mapping { start: NonNull::new(start.cast())?, words: bytes / 8 })
            }
        }

        pub(super) fn words(&self) -> &[u64] {
            // SAFETY: `start` points to `words` initialized words for as long as `self` lives.
            unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.words) }
        }

        pub(super) fn words_mut(&mut self) -> &mut [u64] {
            // SAFETY: as above, and `&mut self` makes it the only access.
            unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.words) }
        }
    }

    impl Drop for Mapping {
        fn drop(&mut self) {
            // SAFETY: exactly the pages that `new` left mapped; nobody refers to them any more.
            unsafe { libc::munmap(self.start.as_ptr().cast(), self.words * 8) };
        }
    }
}

#[cfg(any(test, not(target_os = "linux")))]
mod plain {
    /// The safe twin.
    pub(super) struct Mapping(Box<[u64]>);

    impl Mapping {
        pub(super) fn new(bytes: usize) -> Option<Mapping> {
            Some(Mapping(vec![0; bytes / 8].into_boxed_slice()))
        }

        pub(super) fn words(&self) -> &[u64] {
            &self.0
        }

        pub(super) fn words_mut(&mut self) -> &mut [u64] {
            &mut self.0
        }
    }
}

/// Copies `from` to `to`, of equal length, past the caches if the processor can.
#[inline]
pub(super) fn stream(to: &mut [u64], from: &[u64]) {
    #[cfg(target_arch = "x86_64")]
    if to.as_ptr().addr().is_multiple_of(16)
        && from.len().is_multiple_of(2)
        && to.len() == from.len()
    {
        use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};
        for (to, from) in to.as_chunks_mut::<2>().0.iter_mut().zip(from.as_chunks::<2>().0) {
            // SAFETY: both point to 16 bytes of their slices; `to` is aligned to 16, as its slice
            // begins so and chunks are 16 bytes; SSE2 is part of x86-64.
            unsafe {
                let value = _mm_loadu_si128(from.as_ptr().cast::<__m128i>());
                _mm_stream_si128(to.as_mut_ptr().cast::<__m128i>(), value);
            }
        }
        return;
    }
    to.copy_from_slice(from);
}

/// Orders all [`stream`]s of this thread before what it publishes next.
pub(super) fn stream_fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a fence touches no memory; SSE is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

/// Asks for the cache line of `words[at]`, if there is one.
#[inline]
pub(in crate::execute::aggregate) fn prefetch<T>(values: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(value) = values.get(at) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint about an address inside the slice; SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast::<i8>()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, at);
}

/// Asks for the cache lines of `count` words from `from` on, as far as they are there.
#[inline]
pub(super) fn ask_for(words: &[u64], from: usize, count: usize) {
    for at in (from..(from + count).min(words.len())).step_by(8) {
        prefetch(words, at);
    }
}

/// The bytes of words.
#[inline]
pub(super) fn as_bytes(words: &[u64]) -> &[u8] {
    // SAFETY: every byte of a word is initialized; the length is that of the same memory.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), words.len() * 8) }
}

/// The bytes of words, to be written.
#[inline]
pub(super) fn as_bytes_mut(words: &mut [u64]) -> &mut [u8] {
    // SAFETY: as above; any bytes make a word, and the borrow is unique.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len() * 8) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slabs_and_their_safe_twin_hold_the_same() {
        let mut slab = Slab::of(SLAB_BYTES + 1).unwrap();
        let mut twin = plain::Mapping::new(slab.bytes()).unwrap();
        assert_eq!(slab.len(), 2 * SLAB_BYTES / 8);
        assert_eq!(slab.as_ptr().addr() % SLAB_BYTES, 0);
        assert!(slab.iter().all(|w| *w == 0));
        let line: Vec<u64> = (1..=24).collect();
        for at in [0usize, 24, 1001, slab.len() - 24] {
            stream(&mut slab[at..at + 24], &line);
            twin.words_mut()[at..at + 24].copy_from_slice(&line);
            prefetch(&slab, at);
        }
        stream(&mut slab[501..504], &line[..3]);
        twin.words_mut()[501..504].copy_from_slice(&line[..3]);
        stream_fence();
        assert!(slab[..] == *twin.words());
        prefetch(&slab, slab.len());
    }

    #[test]
    fn ordinary_slabs_come_back() {
        let mut slab = Slab::take().unwrap();
        slab[0] = 7;
        drop(slab);
        assert_eq!(Slab::take().unwrap().len() * 8, SLAB_BYTES);
    }
}
