//! Turns at the processor: of the queries that come together, as many begin as there are cores, in the order
//! of their arrival; the others wait until one ends or has run for a moment.
//!
//! Queries of dashboards take milliseconds. Ten of them at once on two cores would each take ten times as
//! long, and the longest, which are always among them, more than a hundred; one after the other each
//! takes its own time and a short wait. A query that goes on longer than [`TURN`] gives its turn up and
//! shares the cores with whoever comes, so that nobody waits for long ones, for slow clients, or for a
//! query that waits for another.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long a query keeps its turn at most.
const TURN: Duration = Duration::from_millis(100);

/// See the file's head.
pub struct Turns {
    at_once: usize,
    turn: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Number of the next query.
    next: u64,
    /// Queries that have their turn, and until when.
    taken: Vec<(u64, Instant)>,
    /// Those that wait, in the order of arrival: not more than run at once (`Processes`).
    waiting: VecDeque<(u64, Thread)>,
}

/// A query's turn, given up when it drops.
pub struct Turn<'a> {
    turns: &'a Turns,
    number: u64,
}

impl Default for Turns {
    /// As many at once as there are cores.
    fn default() -> Turns {
        Turns::new(std::thread::available_parallelism().map_or(1, usize::from), TURN)
    }
}

impl Turns {
    fn new(at_once: usize, turn: Duration) -> Turns {
        Turns { at_once, turn, state: Mutex::default() }
    }

    /// Waits for the turn of the query that this thread runs; a query that is `cancelled` waits no longer.
    pub fn take(&self, cancelled: &AtomicBool) -> Turn<'_> {
        let mut state = self.state.lock();
        let number = state.next;
        state.next += 1;
        state.waiting.push_back((number, std::thread::current()));
        loop {
            let now = Instant::now();
            state.taken.retain(|(_, until)| *until > now);
            let first = state.waiting.front().is_some_and(|(first, _)| *first == number);
            if first && state.taken.len() < self.at_once || cancelled.load(Ordering::Relaxed) {
                state.waiting.retain(|(waiting, _)| *waiting != number);
                state.taken.push((number, now + self.turn));
                self.call_next(&state);
                return Turn { turns: self, number };
            }
            // Whoever is cancelled meanwhile sees it soon, too.
            let wait = state
                .taken
                .iter()
                .map(|(_, until)| *until - now)
                .min()
                .unwrap_or(self.turn)
                .min(TURN);
            drop(state);
            std::thread::park_timeout(wait);
            state = self.state.lock();
        }
    }

    /// Wakes the first that waits, if there is room for it.
    fn call_next(&self, state: &State) {
        if state.taken.len() < self.at_once
            && let Some((_, thread)) = state.waiting.front()
        {
            thread.unpark();
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.turns.state.lock();
        state.taken.retain(|(taken, _)| *taken != self.number);
        self.turns.call_next(&state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn one_after_the_other_in_the_order_of_arrival() {
        let turns = Turns::new(1, LONG);
        let order = Mutex::new(vec![]);
        std::thread::scope(|scope| {
            let held = turns.take(&AtomicBool::new(false));
            for i in 0..6 {
                let (turns, order) = (&turns, &order);
                scope.spawn(move || {
                    let _turn = turns.take(&AtomicBool::new(false));
                    order.lock().push(i);
                    assert_eq!(turns.state.lock().taken.len(), 1);
                });
                while turns.state.lock().waiting.len() <= i {
                    std::thread::yield_now();
                }
            }
            drop(held);
        });
        assert_eq!(*order.lock(), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn nobody_waits_for_one_that_goes_on() {
        let turns = Turns::new(1, Duration::from_millis(1));
        let first = turns.take(&AtomicBool::new(false));
        let second = turns.take(&AtomicBool::new(false));
        drop(first);
        assert_eq!(turns.state.lock().taken.len(), 1);
        drop(second);
        assert!(turns.state.lock().taken.is_empty());
    }

    #[test]
    fn what_is_cancelled_waits_no_longer() {
        let turns = Turns::new(1, LONG);
        let _held = turns.take(&AtomicBool::new(false));
        let _cancelled = turns.take(&AtomicBool::new(true));
        assert!(turns.state.lock().waiting.is_empty());
    }
}
