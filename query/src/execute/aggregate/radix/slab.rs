//! Memory of scattered rows: slabs of one huge page each, kept in a small pool, and the two processor hints
//! that scattering lives on: stores past the caches, and prefetching.
//!
//! A slab is always initialized memory of its full length, so that everything built on it is ordinary slices; that
//! it is a huge page is the process's allocator's doing. `unsafe` code only for the hints and for words seen as
//! bytes. Where the processor has none of this, plain copies take its place, and so they do in the tests' safe twin.

use std::ops::{Deref, DerefMut};

use parking_lot::Mutex;

/// Bytes of an ordinary slab: one huge page.
pub(super) const SLAB_BYTES: usize = 2 << 20;
/// Ordinary slabs that wait for the next query.
const POOLED_MAX: usize = 128;
/// For so many calls of [`let_idle_slabs_go`].
const ROUNDS_KEPT: usize = 5;

static POOL: Mutex<Pool> = Mutex::new(Pool { slabs: vec![], least: [0; ROUNDS_KEPT] });

/// Slabs that wait, the latest last.
struct Pool {
    slabs: Vec<Box<[u64]>>,
    /// How many waited at least in this round and in those before it: so many nobody needed.
    least: [usize; ROUNDS_KEPT],
}

/// Gives slabs back that waited in vain since [`ROUNDS_KEPT`] calls.
pub fn let_idle_slabs_go() {
    let idle = POOL.lock().take_idle();
    // Outside the lock, as the system needs a while for each.
    drop(idle);
}

impl Pool {
    fn take_idle(&mut self) -> Vec<Box<[u64]>> {
        let idle = self.least.into_iter().min().unwrap_or(0).min(self.slabs.len());
        let taken = self.slabs.drain(..idle).collect();
        self.least = self.least.map(|least| least - idle);
        self.least.rotate_right(1);
        self.least[0] = self.slabs.len();
        taken
    }

    fn pop(&mut self) -> Option<Box<[u64]>> {
        let slab = self.slabs.pop();
        self.least[0] = self.least[0].min(self.slabs.len());
        slab
    }
}

/// See the file's head. Content is what it is: zero when fresh, old words when it comes from the pool.
pub(super) struct Slab(Box<[u64]>);

impl Slab {
    /// An ordinary slab.
    pub fn take() -> Slab {
        let pooled = POOL.lock().pop();
        pooled.map_or_else(|| Slab::new(SLAB_BYTES), Slab)
    }

    /// A slab of at least `bytes`; an ordinary one if that is enough.
    pub fn of(bytes: usize) -> Slab {
        if bytes <= SLAB_BYTES { Slab::take() } else { Slab::new(bytes) }
    }

    fn new(bytes: usize) -> Slab {
        Slab(vec![0; bytes.next_multiple_of(SLAB_BYTES) / 8].into_boxed_slice())
    }

    pub fn bytes(&self) -> usize {
        self.len() * 8
    }
}

impl Deref for Slab {
    type Target = [u64];
    fn deref(&self) -> &[u64] {
        &self.0
    }
}

impl DerefMut for Slab {
    fn deref_mut(&mut self) -> &mut [u64] {
        &mut self.0
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        if self.bytes() == SLAB_BYTES {
            let mut pool = POOL.lock();
            if pool.slabs.len() < POOLED_MAX {
                pool.slabs.push(std::mem::take(&mut self.0));
            }
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
    fn what_streams_into_a_slab_is_what_a_copy_writes() {
        let mut slab = Slab::of(SLAB_BYTES + 1);
        let mut twin = vec![0; slab.len()];
        assert_eq!(slab.bytes(), 2 * SLAB_BYTES);
        assert!(slab.iter().all(|w| *w == 0));
        let line: Vec<u64> = (1..=24).collect();
        for at in [0usize, 24, 1001, slab.len() - 24] {
            stream(&mut slab[at..at + 24], &line);
            twin[at..at + 24].copy_from_slice(&line);
            prefetch(&slab, at);
        }
        stream(&mut slab[501..504], &line[..3]);
        twin[501..504].copy_from_slice(&line[..3]);
        stream_fence();
        assert!(slab[..] == *twin);
        prefetch(&slab, slab.len());
    }

    #[test]
    fn ordinary_slabs_come_back() {
        let mut slab = Slab::take();
        slab[0] = 7;
        drop(slab);
        assert_eq!(Slab::take().bytes(), SLAB_BYTES);
    }

    #[test]
    fn slabs_that_wait_in_vain_go() {
        let mut pool = Pool { slabs: vec![vec![0].into(); 5], least: [0; ROUNDS_KEPT] };
        for _ in 0..ROUNDS_KEPT {
            assert_eq!(pool.take_idle().len(), 0);
        }
        // Two are used in the last of the rounds.
        let two = [pool.pop(), pool.pop()];
        pool.slabs.extend(two.into_iter().flatten());
        assert_eq!(pool.take_idle().len(), 3);
        for _ in 0..ROUNDS_KEPT - 1 {
            assert_eq!(pool.take_idle().len(), 0);
        }
        assert_eq!((pool.take_idle().len(), pool.slabs.len()), (2, 0));
        assert!(pool.pop().is_none() && pool.take_idle().is_empty());
    }
}
