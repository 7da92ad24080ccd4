//! Threads that wait for work: a query hands them what it would start threads for, since starting one
//! costs more than many a query's share of work, and a fresh thread has no memory of its own yet.
//!
//! Audited unsafe code: work is borrowed by threads that outlive it. [`run`] does not return, and does not
//! unwind, before every thread that got the work has said that it is done with it. The tests have the
//! safe twin, scoped threads. As many threads as are needed are there at once; of those that are idle
//! a bounded number waits, for a while.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use parking_lot::Mutex;

use super::place::{Before, Here, Waiting};
use crate::error::{Error, Result, codes};

/// What the threads of one query do, each on its own.
pub(super) type Work<'a> = dyn Fn() -> Result<()> + Sync + 'a;

/// Idle threads that wait for the next query, at most.
const IDLE_MAX: usize = 8;
/// How long one waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// The idle threads, the last one to become idle last: its memory is still in the cache.
static IDLE: Mutex<Vec<Idle>> = Mutex::new(vec![]);

struct Idle {
    thread: std::thread::ThreadId,
    waiting: Waiting,
    tasks: Sender<Task>,
}

/// A share of some work, and where to say that it is done.
struct Task {
    work: Borrowed,
    done: Sender<Result<()>>,
    /// Where its thread could run before it was told where to be.
    before: Option<Before>,
}

/// Work that somebody waits for.
struct Borrowed(*const Work<'static>);

// SAFETY: what it points to may be shared between threads (`Work` is `Sync`), and outlives the task: see
// the file's head.
unsafe impl Send for Borrowed {}

/// Runs `work` on `threads` threads, the calling one included; the first error wins.
pub(super) fn run(threads: usize, work: &Work<'_>) -> Result<()> {
    let (done, results) = channel();
    let mut others = Others { results, left: 0, result: Ok(()), before: None };
    let here = Here::this();
    for _ in 1..threads {
        // SAFETY: only the lifetime changes. `others` waits, also while unwinding, until every thread that
        // took the work has sent its result, which is after its last look at the work.
        let work = unsafe {
            std::mem::transmute::<*const Work<'_>, *const Work<'static>>(std::ptr::from_ref(work))
        };
        let task = Task { work: Borrowed(work), done: done.clone(), before: None };
        if hand_over(task, &here) {
            others.left += 1;
        }
    }
    drop(done);
    if others.left > 0 {
        others.before = here.stay();
    }
    let own = work();
    others.wait();
    own.and(std::mem::replace(&mut others.result, Ok(())))
}

/// Threads that have not said yet that they are done.
struct Others {
    results: Receiver<Result<()>>,
    left: usize,
    result: Result<()>,
    /// Where this thread could run before it stayed on its core for them.
    before: Option<Before>,
}

impl Others {
    fn wait(&mut self) {
        while self.left > 0 {
            // No sender is left: then nobody has the work any more.
            let Ok(result) = self.results.recv() else { break };
            self.left -= 1;
            if self.result.is_ok() {
                self.result = result;
            }
        }
        self.left = 0;
        if let Some(before) = self.before.take() {
            before.back();
        }
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        self.wait();
    }
}

/// Gives a task to a thread; false if there is none, and none can be started.
fn hand_over(mut task: Task, here: &Here) -> bool {
    loop {
        let Some(idle) = IDLE.lock().pop() else { break };
        // Taken off the list, it waits until it gets a task.
        task.before = here.keep_off(idle.waiting);
        match idle.tasks.send(task) {
            Ok(()) => return true,
            // It has gone: the next one.
            Err(returned) => task = Task { before: None, ..returned.0 },
        }
    }
    let life = move || {
        Before::of_process().iter().for_each(Before::back);
        serve(task)
    };
    std::thread::Builder::new().spawn(life).is_ok()
}

/// A thread's life: tasks, one after the other.
fn serve(first: Task) {
    let (sender, tasks) = channel();
    let thread = std::thread::current().id();
    let mut task = first;
    loop {
        let Task { work, done, before } = task;
        // SAFETY: the giver of the task waits for its result, which has not been sent yet.
        let work = unsafe { &*work.0 };
        let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
            Err(Error::new(codes::LOGICAL_ERROR, "a worker thread of the query panicked"))
        });
        if let Some(before) = before {
            before.back();
        }
        let waits = {
            let mut idle = IDLE.lock();
            let room = idle.len() < IDLE_MAX;
            if room {
                idle.push(Idle { thread, waiting: Waiting::this(), tasks: sender.clone() });
            }
            room
        };
        // From here on the work may be gone. The giver may be, too, if it is unwinding.
        let _ = done.send(result);
        drop(done);
        if !waits {
            return;
        }
        task = match next(&tasks, thread) {
            Some(next) => next,
            None => return,
        };
    }
}

/// The next task of a thread that has said that it is idle; None if none comes for a while.
fn next(tasks: &Receiver<Task>, thread: std::thread::ThreadId) -> Option<Task> {
    match tasks.recv_timeout(PATIENCE) {
        Ok(task) => Some(task),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => {
            let mut idle = IDLE.lock();
            let known = idle.len();
            idle.retain(|i| i.thread != thread);
            let gave_up = idle.len() < known;
            drop(idle);
            // If somebody has taken it off the list, a task is on its way.
            if gave_up { None } else { tasks.recv().ok() }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// The safe twin.
    fn run_scoped(threads: usize, work: &Work<'_>) -> Result<()> {
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let own = work();
            others.into_iter().fold(own, |result, other| {
                result.and(other.join().unwrap_or_else(|_| {
                    Err(Error::new(codes::LOGICAL_ERROR, "a worker thread of the query panicked"))
                }))
            })
        })
    }

    #[test]
    fn all_shares_are_done_when_it_returns_as_with_scoped_threads() {
        for run in [run, run_scoped] {
            for round in 0..200usize {
                let threads = 1 + round % 5;
                let (shares, next) = (AtomicUsize::new(0), AtomicUsize::new(0));
                let numbers: Vec<usize> = (0..1000).collect();
                let sum = AtomicUsize::new(0);
                let result = run(threads, &|| {
                    shares.fetch_add(1, Ordering::Relaxed);
                    while let Some(n) = numbers.get(next.fetch_add(1, Ordering::Relaxed)) {
                        sum.fetch_add(*n, Ordering::Relaxed);
                    }
                    Ok(())
                });
                assert!(result.is_ok());
                let done = (shares.into_inner(), sum.into_inner());
                assert_eq!(done, (threads, 999 * 1000 / 2));
            }
        }
    }

    #[test]
    fn errors_panics_and_work_inside_of_work() {
        for run in [run, run_scoped] {
            let count = AtomicUsize::new(0);
            let failed = run(4, &|| match count.fetch_add(1, Ordering::Relaxed) {
                2 => Err(Error::new(codes::BAD_ARGUMENTS, "the third")),
                _ => Ok(()),
            });
            assert_eq!(failed.map_err(|e| e.code()), Err(codes::BAD_ARGUMENTS));
            let caller = std::thread::current().id();
            let panicked = run(3, &|| match std::thread::current().id() == caller {
                true => Ok(()),
                false => panic!("a worker"),
            });
            assert_eq!(panicked.map_err(|e| e.code()), Err(codes::LOGICAL_ERROR));
            let inner = AtomicUsize::new(0);
            let nested = run(3, &|| {
                run(3, &|| {
                    inner.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                })
            });
            assert_eq!((nested.is_ok(), inner.into_inner()), (true, 9));
        }
    }
}
