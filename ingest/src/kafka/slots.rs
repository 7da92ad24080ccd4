//! A fair pool of slots: consumers that poll and parse hold one, and when there are more consumers
//! than slots they take turns in the order they came.
//!
//! This is what `background_message_broker_schedule_pool_size` bounds. The threads themselves are
//! cheap while they wait; a waiting one keeps serving its client (see `consumer`).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// The pool.
pub(super) struct Slots {
    state: Mutex<State>,
    changed: Condvar,
    /// Held slots, to be read at any time.
    held: AtomicUsize,
}

struct State {
    free: usize,
    next_ticket: u64,
    waiting: VecDeque<u64>,
}

/// A place in the queue; dropped, it is left.
pub(super) struct Ticket {
    slots: Arc<Slots>,
    number: u64,
}

/// A held slot; dropped, it is given to the next in line.
pub(super) struct Slot {
    slots: Arc<Slots>,
}

impl Slots {
    pub(super) fn new(size: usize) -> Arc<Slots> {
        let state = State { free: size.max(1), next_ticket: 0, waiting: VecDeque::new() };
        Arc::new(Slots {
            state: Mutex::new(state),
            changed: Condvar::new(),
            held: AtomicUsize::new(0),
        })
    }

    /// Gets in line.
    pub(super) fn queue(self: &Arc<Self>) -> Ticket {
        let mut state = self.state.lock();
        let number = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.push_back(number);
        Ticket { slots: self.clone(), number }
    }

    /// How many consumers work now.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether somebody waits: holders then give their slot up at the next good moment.
    pub(super) fn contended(&self) -> bool {
        !self.state.lock().waiting.is_empty()
    }
}

impl Ticket {
    /// The slot if it is this ticket's turn within `wait`.
    pub(super) fn try_take(&self, wait: Duration) -> Option<Slot> {
        let mut state = self.slots.state.lock();
        let mine = |s: &State| s.free > 0 && s.waiting.front() == Some(&self.number);
        if !mine(&state) {
            self.slots.changed.wait_for(&mut state, wait);
        }
        if !mine(&state) {
            return None;
        }
        state.free -= 1;
        self.slots.held.fetch_add(1, Ordering::Relaxed);
        state.waiting.pop_front();
        self.slots.changed.notify_all();
        Some(Slot { slots: self.slots.clone() })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.slots.state.lock();
        state.waiting.retain(|n| *n != self.number);
        self.slots.changed.notify_all();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.held.fetch_sub(1, Ordering::Relaxed);
        self.slots.state.lock().free += 1;
        self.slots.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_taken_in_order() {
        let slots = Slots::new(1);
        let now = Duration::ZERO;
        let (a, b, c) = (slots.queue(), slots.queue(), slots.queue());
        assert!(b.try_take(now).is_none(), "not yet");
        let first = a.try_take(now).unwrap();
        assert!(b.try_take(now).is_none(), "taken");
        assert!(slots.contended());
        drop(b);
        drop(first);
        let second = c.try_take(now);
        assert!(second.is_some(), "b has left the line");
        assert_eq!(slots.held(), 1);
        drop(second);
        assert_eq!(slots.held(), 0);
        drop(c);
        assert!(!slots.contended());
    }
}
