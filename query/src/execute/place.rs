//! On which cores the threads of one piece of work run.
//!
//! A virtual machine gives a core that has been idle for some milliseconds back to its host, and Linux then takes it
//! for one that is not to be had (`vcpu_is_preempted`): it puts a thread that is woken behind the one that wakes
//! it, and the two take turns on one core while the other is idle; at first, and again whenever one of them has
//! waited for the other. So the thread that hands out work stays where it is until it is done, and those that
//! help it keep off that core.
//!
//! Audited unsafe code: system calls that are given sets of cores on the stack, and a thread that is known to wait.
//! Where they fail, or the system is another, nothing changes. The tests hold what they did against what the system says.

/// A thread that waits for work.
#[derive(Clone, Copy)]
pub(super) struct Waiting(i32);

/// The core of a thread that hands out work.
pub(super) struct Here(Option<usize>);

impl Waiting {
    /// The calling thread, before it waits.
    pub(super) fn this() -> Waiting {
        Waiting(linux::this_thread())
    }
}

/// Where a thread was let run before.
#[derive(Clone, Copy)]
pub(super) struct Before(linux::Cores);

impl Here {
    /// The core of the calling thread.
    pub(super) fn this() -> Here {
        Here(linux::this_core())
    }

    /// Keeps `waiting`, which does wait, off this core if there is another; it goes [`Before::back`] when it has done
    /// its share.
    pub(super) fn keep_off(&self, waiting: Waiting) -> Option<Before> {
        let (here, before) = (self.0?, linux::cores_of(waiting.0)?);
        let others = before.without(here);
        (!others.is_empty() && linux::bind(waiting.0, &others)).then_some(Before(before))
    }

    /// Keeps the calling thread on this core until it goes [`Before::back`].
    pub(super) fn stay(&self) -> Option<Before> {
        let (here, before) = (self.0?, linux::cores_of(0)?);
        linux::bind(0, &linux::Cores::one(here)).then_some(Before(before))
    }
}

impl Before {
    /// Where the process may run, as its first thread may. A new thread is where the one that starts it is, which may
    /// be staying on its core.
    pub(super) fn of_process() -> Option<Before> {
        linux::cores_of(i32::try_from(std::process::id()).ok()?).map(Before)
    }

    /// Lets the calling thread run wherever it could before.
    pub(super) fn back(&self) {
        linux::bind(0, &self.0);
    }
}

#[cfg(target_os = "linux")]
mod linux {
    /// A set of cores.
    #[derive(Clone, Copy)]
    pub(super) struct Cores(libc::cpu_set_t);

    const CORES_MAX: usize = 8 * size_of::<libc::cpu_set_t>();

    impl Cores {
        fn none() -> Cores {
            // SAFETY: a set of bits, of which none may be set.
            Cores(unsafe { std::mem::zeroed() })
        }

        pub(super) fn one(core: usize) -> Cores {
            let mut one = Cores::none();
            if core < CORES_MAX {
                // SAFETY: within the set.
                unsafe { libc::CPU_SET(core, &mut one.0) };
            }
            one
        }

        pub(super) fn without(&self, core: usize) -> Cores {
            let mut rest = *self;
            if core < CORES_MAX {
                // SAFETY: within the set.
                unsafe { libc::CPU_CLR(core, &mut rest.0) };
            }
            rest
        }

        pub(super) fn is_empty(&self) -> bool {
            self.count() == 0
        }

        pub(super) fn count(&self) -> usize {
            // SAFETY: it only counts.
            usize::try_from(unsafe { libc::CPU_COUNT(&self.0) }).unwrap_or(0)
        }
    }

    /// Where a thread may run (0: the calling one).
    pub(super) fn cores_of(thread: i32) -> Option<Cores> {
        let mut cores = Cores::none();
        // SAFETY: the set is as long as is said.
        let failed =
            unsafe { libc::sched_getaffinity(thread, size_of::<libc::cpu_set_t>(), &mut cores.0) };
        (failed == 0).then_some(cores)
    }

    /// Lets a thread of this process (0: the calling one) run on these cores only; whether it does.
    pub(super) fn bind(thread: i32, cores: &Cores) -> bool {
        // SAFETY: the set is as long as is said.
        unsafe { libc::sched_setaffinity(thread, size_of::<libc::cpu_set_t>(), &cores.0) == 0 }
    }

    pub(super) fn this_thread() -> i32 {
        // SAFETY: asks for a number.
        unsafe { libc::gettid() }
    }

    pub(super) fn this_core() -> Option<usize> {
        // SAFETY: asks for a number, -1 if there is none.
        usize::try_from(unsafe { libc::sched_getcpu() }).ok()
    }
}

#[cfg(not(target_os = "linux"))]
mod linux {
    /// Nothing is known of cores here.
    #[derive(Clone, Copy)]
    pub(super) struct Cores;

    impl Cores {
        pub(super) fn one(_core: usize) -> Cores {
            Cores
        }

        pub(super) fn without(&self, _core: usize) -> Cores {
            Cores
        }

        pub(super) fn is_empty(&self) -> bool {
            true
        }
    }

    pub(super) fn cores_of(_thread: i32) -> Option<Cores> {
        None
    }

    pub(super) fn bind(_thread: i32, _cores: &Cores) -> bool {
        false
    }

    pub(super) fn this_thread() -> i32 {
        0
    }

    pub(super) fn this_core() -> Option<usize> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    /// The cores where the calling thread may run.
    fn mine() -> Vec<usize> {
        let mine = linux::cores_of(0).unwrap();
        // A core is in the set if the set without it is another.
        (0..1024).filter(|core| mine.without(*core).count() < mine.count()).collect()
    }

    #[test]
    fn who_helps_keeps_off_and_all_may_go_anywhere_afterwards() {
        // On a thread of its own: others that test share this one.
        let test = || {
            let (say, said) = channel();
            let (wake, woken) = channel::<Option<Before>>();
            let helper = std::thread::spawn(move || {
                say.send(Waiting::this()).unwrap();
                let before = woken.recv().unwrap();
                let placed = mine();
                before.iter().for_each(Before::back);
                (before.is_some(), placed, mine())
            });
            let waiting = said.recv().unwrap();
            let all = mine();
            let here = Here::this();
            wake.send(here.keep_off(waiting)).unwrap();
            let before = here.stay().unwrap();
            let core = here.0.unwrap();
            assert_eq!((mine(), linux::this_core()), (vec![core], Some(core)));
            let born = || {
                let born = mine();
                Before::of_process().iter().for_each(Before::back);
                (born, mine())
            };
            assert_eq!(std::thread::spawn(born).join().unwrap(), (vec![core], all.clone()));
            before.back();
            assert_eq!(mine(), all);
            let (is_placed, placed, after) = helper.join().unwrap();
            let others: Vec<usize> = all.iter().copied().filter(|other| *other != core).collect();
            // With one core there is no other.
            assert_eq!(is_placed, !others.is_empty());
            assert_eq!(placed, if is_placed { others } else { all.clone() });
            assert_eq!(after, all);
        };
        std::thread::spawn(test).join().unwrap();
    }
}
