//! How blocks flow: a source hands out morsels from an atomic counter, every worker thread owns a
//! chain of [`Worker`]s, and blocks are pushed down that chain in chunks of at most [`CHUNK_ROWS`].
//!
//! Rules: one small input runs on the calling thread; a worker that fails stops the others; order is
//! kept where it is asked for ([`Ordered`]) by morsel number, with a bounded wait queue. What the
//! chains compute is in the operators' own files.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use pumphouse_storage::Block;

use super::crew;
use crate::context::QueryContext;
use crate::error::Result;

/// Rows per block pushed through a chain.
pub(crate) const CHUNK_ROWS: usize = 65_536;
/// Below this many rows a source is read by one thread: starting threads would cost more.
pub(crate) const PARALLEL_ROWS_MIN: usize = 200_000;

/// Whether a consumer wants more blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    More,
    Enough,
}

/// Where the blocks of a plan node go; makes one worker per thread.
pub(crate) trait Consumer: Sync {
    fn worker(&self) -> Result<Box<dyn Worker + '_>>;
    /// True when more input can change nothing (LIMIT reached).
    fn satisfied(&self) -> bool {
        false
    }
}

/// One thread's end of a consumer.
pub(crate) trait Worker: Send {
    /// The blocks that follow belong to morsel `index`.
    fn morsel_begin(&mut self, _index: usize) -> Result<()> {
        Ok(())
    }
    fn push(&mut self, block: Block) -> Result<Flow>;
    /// All blocks of morsel `index` were pushed.
    fn morsel_done(&mut self, _index: usize) -> Result<()> {
        Ok(())
    }
    /// No more input; not called after an error.
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

/// What driving a plan node reports to the node above.
#[derive(Default)]
pub(crate) struct Driven {
    /// Morsel numbers used, from the base given.
    pub morsels: usize,
    /// The WITH TOTALS row, in the node's own schema.
    pub totals: Option<Block>,
}

/// Gives `push` the blocks of morsel `index`; false if there is no such morsel.
pub(crate) type ReadMorsel<'a> =
    dyn Fn(usize, &mut dyn FnMut(Block) -> Result<Flow>) -> Result<bool> + Sync + 'a;

/// Reads morsels `0..count` (until `read` says false if unknown) and pushes them into `consumer`'s
/// workers on up to `threads` threads. Returns the number of morsels.
pub(crate) fn supply(
    ctx: &QueryContext,
    count: Option<usize>,
    threads: usize,
    base: usize,
    consumer: &dyn Consumer,
    read: &ReadMorsel,
) -> Result<usize> {
    let shared = Supply { next: AtomicUsize::new(0), stop: AtomicBool::new(false) };
    let threads = match count {
        Some(n) => threads.min(n).max(1),
        None => 1,
    };
    let work = || {
        let result = shared.work(ctx, count, base, consumer, read);
        if result.is_err() {
            shared.stop.store(true, Ordering::Relaxed);
        }
        result
    };
    on_threads(threads, &work)?;
    let taken = shared.next.load(Ordering::Relaxed);
    // None at all is 0: a number that is counted but never done would hold back all that follow.
    Ok(count.map_or(taken.saturating_sub(1), |n| n.min(taken)))
}

struct Supply {
    next: AtomicUsize,
    stop: AtomicBool,
}

impl Supply {
    fn work(
        &self,
        ctx: &QueryContext,
        count: Option<usize>,
        base: usize,
        consumer: &dyn Consumer,
        read: &ReadMorsel,
    ) -> Result<()> {
        let mut worker = consumer.worker()?;
        while !self.stop.load(Ordering::Relaxed) {
            ctx.check()?;
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if count.is_some_and(|n| index >= n) {
                break;
            }
            worker.morsel_begin(base + index)?;
            let mut flow = Flow::More;
            let there = read(index, &mut |block| {
                flow = push_chunks(worker.as_mut(), block)?;
                if self.stop.load(Ordering::Relaxed) {
                    flow = Flow::Enough;
                }
                Ok(flow)
            })?;
            if !there {
                self.stop.store(true, Ordering::Relaxed);
                break;
            }
            worker.morsel_done(base + index)?;
            if flow == Flow::Enough || consumer.satisfied() {
                self.stop.store(true, Ordering::Relaxed);
            }
        }
        worker.finish()
    }
}

/// Pushes `block` in slices of at most [`CHUNK_ROWS`].
pub(crate) fn push_chunks(worker: &mut dyn Worker, block: Block) -> Result<Flow> {
    if block.rows() <= CHUNK_ROWS {
        return if block.is_empty() { Ok(Flow::More) } else { worker.push(block) };
    }
    let mut from = 0;
    while from < block.rows() {
        let rows = CHUNK_ROWS.min(block.rows() - from);
        if worker.push(block.slice(from, rows))? == Flow::Enough {
            return Ok(Flow::Enough);
        }
        from += rows;
    }
    Ok(Flow::More)
}

/// Runs `work` on `threads` threads, the calling one included; the first error wins.
pub(crate) fn on_threads(threads: usize, work: &(dyn Fn() -> Result<()> + Sync)) -> Result<()> {
    if threads <= 1 {
        return work();
    }
    crew::run(threads, work)
}

/// Runs `task(0..count)` over `threads` threads, each index once, in increasing order of start.
pub(crate) fn for_each_index(
    ctx: &QueryContext,
    count: usize,
    threads: usize,
    task: &(dyn Fn(usize) -> Result<()> + Sync),
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    on_threads(threads.min(count), &|| {
        while !failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                break;
            }
            let result = ctx.check().and_then(|()| task(index));
            if result.is_err() {
                failed.store(true, Ordering::Relaxed);
                return result;
            }
        }
        Ok(())
    })
}

/// Something that takes blocks one at a time, in order.
pub(crate) trait Serial: Send {
    fn block(&mut self, block: Block) -> Result<Flow>;
}

/// Brings the blocks of parallel workers back into morsel order and gives them to one [`Serial`].
pub(crate) struct Ordered<S> {
    state: Mutex<OrderedState<S>>,
    turned: Condvar,
    enough: AtomicBool,
    pending_max: usize,
}

struct OrderedState<S> {
    next: usize,
    pending: BTreeMap<usize, Vec<Block>>,
    failed: bool,
    serial: S,
}

impl<S: Serial> Ordered<S> {
    pub fn new(serial: S, base: usize, threads: usize) -> Ordered<S> {
        Ordered {
            state: Mutex::new(OrderedState {
                next: base,
                pending: BTreeMap::new(),
                failed: false,
                serial,
            }),
            turned: Condvar::new(),
            enough: AtomicBool::new(false),
            pending_max: threads * 2,
        }
    }

    pub fn into_inner(self) -> S {
        self.state.into_inner().serial
    }

    fn deliver(&self, state: &mut OrderedState<S>, blocks: Vec<Block>) -> Result<()> {
        for block in blocks {
            if self.enough.load(Ordering::Relaxed) {
                break;
            }
            match state.serial.block(block) {
                Ok(Flow::More) => {}
                Ok(Flow::Enough) => self.enough.store(true, Ordering::Relaxed),
                Err(e) => {
                    state.failed = true;
                    return Err(e);
                }
            }
        }
        Ok(())
    }
}

impl<S: Serial> Consumer for Ordered<S> {
    fn worker(&self) -> Result<Box<dyn Worker + '_>> {
        Ok(Box::new(OrderedWorker { shared: self, morsel: 0, blocks: vec![], finished: false }))
    }

    fn satisfied(&self) -> bool {
        self.enough.load(Ordering::Relaxed)
    }
}

struct OrderedWorker<'a, S: Serial> {
    shared: &'a Ordered<S>,
    morsel: usize,
    blocks: Vec<Block>,
    finished: bool,
}

impl<S: Serial> Worker for OrderedWorker<'_, S> {
    fn morsel_begin(&mut self, index: usize) -> Result<()> {
        self.morsel = index;
        Ok(())
    }

    fn push(&mut self, block: Block) -> Result<Flow> {
        self.blocks.push(block);
        let mut state = self.shared.state.lock();
        if state.next == self.morsel {
            self.shared.deliver(&mut state, std::mem::take(&mut self.blocks))?;
        }
        Ok(if self.shared.satisfied() { Flow::Enough } else { Flow::More })
    }

    fn morsel_done(&mut self, index: usize) -> Result<()> {
        let mut state = self.shared.state.lock();
        loop {
            if state.failed || self.shared.satisfied() {
                self.blocks.clear();
                return Ok(());
            }
            if state.next == index {
                self.shared.deliver(&mut state, std::mem::take(&mut self.blocks))?;
                state.next += 1;
                while let Some(blocks) = {
                    let next = state.next;
                    state.pending.remove(&next)
                } {
                    self.shared.deliver(&mut state, blocks)?;
                    state.next += 1;
                }
                self.shared.turned.notify_all();
                return Ok(());
            }
            if state.pending.len() < self.shared.pending_max {
                state.pending.insert(index, std::mem::take(&mut self.blocks));
                return Ok(());
            }
            self.shared.turned.wait_for(&mut state, Duration::from_millis(100));
        }
    }

    fn finish(&mut self) -> Result<()> {
        self.finished = true;
        Ok(())
    }
}

impl<S: Serial> Drop for OrderedWorker<'_, S> {
    fn drop(&mut self) {
        if !self.finished {
            // Its morsel will never be done: those that wait for their turn must give up.
            self.shared.state.lock().failed = true;
            self.shared.turned.notify_all();
        }
    }
}

/// The single worker that a serial operator pushes its output into, as one morsel.
pub(crate) struct Forward<'a> {
    worker: Box<dyn Worker + 'a>,
    base: usize,
}

impl<'a> Forward<'a> {
    pub fn new(consumer: &'a dyn Consumer, base: usize) -> Result<Forward<'a>> {
        let mut worker = consumer.worker()?;
        worker.morsel_begin(base)?;
        Ok(Forward { worker, base })
    }

    pub fn push(&mut self, block: Block) -> Result<Flow> {
        push_chunks(self.worker.as_mut(), block)
    }

    pub fn close(mut self) -> Result<()> {
        self.worker.morsel_done(self.base)?;
        self.worker.finish()
    }
}

/// Pushes `blocks` as one morsel from the calling thread.
pub(crate) fn emit_in_order(
    ctx: &QueryContext,
    blocks: impl IntoIterator<Item = Result<Block>>,
    base: usize,
    consumer: &dyn Consumer,
) -> Result<usize> {
    let mut forward = Forward::new(consumer, base)?;
    for block in blocks {
        ctx.check()?;
        if forward.push(block?)? == Flow::Enough {
            break;
        }
    }
    forward.close()?;
    Ok(1)
}
