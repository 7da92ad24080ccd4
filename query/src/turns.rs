//! Turns at the processor: of the queries that go on for more than a moment, as many run as there are cores,
//! in the order in which they asked; the others wait until one ends or has had its time.
//!
//! Queries of dashboards take milliseconds. Ten at once on two cores would each take ten times as long, and of
//! the longest of them somebody would wait a second; one after the other each takes its own time and a short
//! wait. Queries of less than [`AT_ONCE`] ask nobody: to wake the next one costs as much as they do. One that
//! goes on longer than [`TURN`] gives its turn up and shares the cores with whoever comes, so that nobody waits
//! for long ones, for slow clients, or for a query that waits for another.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long a query goes on before it asks for a turn.
pub const AT_ONCE: Duration = Duration::from_millis(5);
/// How long a query keeps its turn at most.
const TURN: Duration = Duration::from_millis(100);

/// What all queries of a server share: see the file's head.
pub struct Turns {
    together: usize,
    turn: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Number of the next query.
    next: u64,
    /// Queries that have their turn, and until when.
    taken: Vec<(u64, Instant)>,
    /// Those that wait, in the order of arrival: not more than run at once.
    waiting: VecDeque<(u64, Thread)>,
}

impl Default for Turns {
    /// As many together as there are cores.
    fn default() -> Turns {
        Turns::new(std::thread::available_parallelism().map_or(1, usize::from), TURN)
    }
}

impl Turns {
    fn new(together: usize, turn: Duration) -> Turns {
        Turns { together, turn, state: Mutex::default() }
    }

    /// Waits for a turn, whose number comes back; not after `gives_up` says yes.
    fn take(&self, gives_up: &dyn Fn() -> bool) -> u64 {
        let mut state = self.state.lock();
        let number = state.next;
        state.next += 1;
        state.waiting.push_back((number, std::thread::current()));
        loop {
            let now = Instant::now();
            state.taken.retain(|(_, until)| *until > now);
            let first = state.waiting.front().is_some_and(|(first, _)| *first == number);
            if first && state.taken.len() < self.together || gives_up() {
                state.waiting.retain(|(waiting, _)| *waiting != number);
                state.taken.push((number, now + self.turn));
                self.call_next(&state);
                return number;
            }
            // Whoever is cancelled meanwhile sees it soon, too.
            let wait = state.taken.iter().map(|(_, until)| *until - now).min();
            drop(state);
            std::thread::park_timeout(wait.unwrap_or(TURN).min(TURN));
            state = self.state.lock();
        }
    }

    fn give_back(&self, number: u64) {
        let mut state = self.state.lock();
        state.taken.retain(|(taken, _)| *taken != number);
        self.call_next(&state);
    }

    /// Wakes the first that waits, if there is room for it.
    fn call_next(&self, state: &State) {
        if state.taken.len() < self.together
            && let Some((_, thread)) = state.waiting.front()
        {
            thread.unpark();
        }
    }
}

/// A query's turn, shared by its threads; given up when it drops.
pub struct QueryTurn {
    turns: Arc<Turns>,
    /// Whether it was had: once is enough.
    had: AtomicBool,
    number: Mutex<Option<u64>>,
}

impl QueryTurn {
    pub fn new(turns: Arc<Turns>) -> QueryTurn {
        QueryTurn { turns, had: AtomicBool::new(false), number: Mutex::default() }
    }

    /// Waits for the turn, if the query had none yet. Its other threads wait with it.
    pub fn take(&self, gives_up: &dyn Fn() -> bool) {
        if self.had.load(Ordering::Acquire) {
            return;
        }
        let mut number = self.number.lock();
        if !self.had.load(Ordering::Acquire) {
            *number = Some(self.turns.take(gives_up));
            self.had.store(true, Ordering::Release);
        }
    }

    /// Gives the turn up. Whatever is left to do is done without one.
    pub fn end(&self) {
        self.had.store(true, Ordering::Release);
        if let Some(number) = self.number.lock().take() {
            self.turns.give_back(number);
        }
    }
}

impl Drop for QueryTurn {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn of(turns: &Arc<Turns>) -> QueryTurn {
        QueryTurn::new(turns.clone())
    }

    #[test]
    fn one_after_the_other_in_the_order_of_arrival() {
        let turns = Arc::new(Turns::new(1, LONG));
        let order = Mutex::new(vec![]);
        std::thread::scope(|scope| {
            let held = of(&turns);
            held.take(&|| false);
            for i in 0..6 {
                let (turns, order) = (&turns, &order);
                scope.spawn(move || {
                    let turn = of(turns);
                    turn.take(&|| false);
                    order.lock().push(i);
                    assert_eq!(turns.state.lock().taken.len(), 1);
                });
                while turns.state.lock().waiting.len() <= i {
                    std::thread::yield_now();
                }
            }
            held.end();
        });
        assert_eq!(*order.lock(), [0, 1, 2, 3, 4, 5]);
        assert!(turns.state.lock().taken.is_empty());
    }

    #[test]
    fn nobody_waits_for_one_that_goes_on() {
        let turns = Arc::new(Turns::new(1, Duration::from_millis(1)));
        let (first, second) = (of(&turns), of(&turns));
        first.take(&|| false);
        second.take(&|| false);
        drop(first);
        assert_eq!(turns.state.lock().taken.len(), 1);
        drop(second);
        assert!(turns.state.lock().taken.is_empty());
    }

    #[test]
    fn the_threads_of_a_query_share_one() {
        let turns = Arc::new(Turns::new(1, LONG));
        let turn = of(&turns);
        std::thread::scope(|scope| {
            (0..4).for_each(|_| drop(scope.spawn(|| turn.take(&|| false))));
        });
        assert_eq!(turns.state.lock().next, 1);
        turn.end();
        turn.take(&|| panic!("it had its turn"));
        assert!(turns.state.lock().taken.is_empty());
    }

    #[test]
    fn what_gives_up_waits_no_longer() {
        let turns = Arc::new(Turns::new(1, LONG));
        let (held, other) = (of(&turns), of(&turns));
        held.take(&|| false);
        other.take(&|| true);
        assert!(turns.state.lock().waiting.is_empty());
    }
}
