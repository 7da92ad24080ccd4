//! Growing delays between attempts, and the signal that cuts them short.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Longest delay between two attempts.
pub(crate) const DELAY_MAX: Duration = Duration::from_secs(60);

/// Delays that double from `first` up to [`DELAY_MAX`].
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(first: Duration) -> Backoff {
        Backoff { first, failures: 0 }
    }

    /// The delay after one more failure.
    pub(crate) fn next(&mut self) -> Duration {
        let delay = self.first.saturating_mul(1 << self.failures.min(16)).min(DELAY_MAX);
        self.failures += 1;
        delay
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

/// Stop, and "something changed, try again now".
#[derive(Default)]
pub(crate) struct Signal {
    state: Mutex<SignalState>,
    changed: Condvar,
}

#[derive(Default)]
struct SignalState {
    stopped: bool,
    wakes: u64,
    nudges: u64,
}

impl Signal {
    pub(crate) fn stop(&self) {
        self.state.lock().stopped = true;
        self.changed.notify_all();
    }

    pub(crate) fn stopped(&self) -> bool {
        self.state.lock().stopped
    }

    /// Ends all running waits.
    pub(crate) fn wake(&self) {
        self.state.lock().wakes += 1;
        self.changed.notify_all();
    }

    /// Ends all running waits, but is no news from outside (`wakes` stays).
    pub(crate) fn nudge(&self) {
        self.state.lock().nudges += 1;
        self.changed.notify_all();
    }

    /// Counts wakes and nudges.
    pub(crate) fn news(&self) -> u64 {
        let state = self.state.lock();
        state.wakes + state.nudges
    }

    /// Waits until there is more news than `news`, or the stop, for `time` at most.
    pub(crate) fn wait_past(&self, news: u64, time: Duration) {
        let mut state = self.state.lock();
        let end = std::time::Instant::now() + time;
        while !state.stopped && state.wakes + state.nudges == news {
            if self.changed.wait_until(&mut state, end).timed_out() {
                break;
            }
        }
    }

    /// How often something changed.
    pub(crate) fn wakes(&self) -> u64 {
        self.state.lock().wakes
    }

    /// Waits for `time`, a wake, a nudge or the stop; says whether it is the stop.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let mut state = self.state.lock();
        let (wakes, nudges) = (state.wakes, state.nudges);
        let end = std::time::Instant::now() + time;
        while !state.stopped && state.wakes == wakes && state.nudges == nudges {
            if self.changed.wait_until(&mut state, end).timed_out() {
                break;
            }
        }
        state.stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_limit() {
        let mut b = Backoff::new(Duration::from_millis(500));
        let delays: Vec<u128> = (0..9).map(|_| b.next().as_millis()).collect();
        assert_eq!(delays, [500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]);
        b.reset();
        assert_eq!(b.next().as_millis(), 500);
    }

    #[test]
    fn a_wake_ends_the_wait_and_a_stop_stays() {
        let signal = std::sync::Arc::new(Signal::default());
        let other = signal.clone();
        let waker = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            other.wake();
        });
        assert!(!signal.wait(Duration::from_secs(60)));
        waker.join().unwrap();
        let news = signal.news();
        signal.nudge();
        signal.wait_past(news, Duration::from_secs(60));
        signal.stop();
        assert!(signal.wait(Duration::from_secs(60)));
    }
}
