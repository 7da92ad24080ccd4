//! The one place where the state changes: group commit.
//!
//! Callers queue their commits; the first to find nobody at work leads: it takes all that is queued,
//! checks each entry against the state as the entries before it leave it, makes the parts' names
//! durable, appends one frame for all and syncs it (the commit point), publishes the new state and
//! answers everyone. A rejected entry is rejected alone.
//!
//! After any failure whose outcome is unknown nothing is committed again: the store is closed, its
//! hook is called, and recovery will decide. The queue is bounded; a full one makes callers wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};
use uuid::Uuid;

use super::codec::Payload;
use super::edit::{Commit, Edit, PartMeta, Rejection};
use super::removed::{Removed, collect_removed};
use super::state::State;
use super::{AppendFailure, CommitLog};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::part::PendingPart;

/// Commits waiting; further callers wait before they may queue.
const QUEUE_MAX: usize = 4096;
/// A group is closed when its frame reaches this size.
const GROUP_BYTES: usize = 8 << 20;
/// A single commit larger than this is refused.
const COMMIT_BYTES_MAX: usize = 256 << 20;

/// Called once, with the reason, when the log can take no more commits.
pub type FailureHook = Box<dyn Fn(&str) + Send + Sync>;

/// Counts since the store was opened.
#[derive(Debug, Default)]
pub struct CommitCounts {
    pub commits: AtomicU64,
    pub rejected: AtomicU64,
    pub frames: AtomicU64,
    pub checkpoints: AtomicU64,
    pub dir_syncs: AtomicU64,
    pub group_max: AtomicU64,
    pub log_bytes: AtomicU64,
    pub log_syncs: AtomicU64,
    pub generation: AtomicU64,
}

pub struct Committer {
    disk: Arc<dyn Disk>,
    queue: Mutex<Queue>,
    /// Some entry was answered, or the leader stepped down, or the queue has room again.
    changed: Condvar,
    log: Mutex<Box<dyn CommitLog>>,
    state: RwLock<Arc<State>>,
    /// A newer state is there.
    published: (Mutex<()>, Condvar),
    /// Who gets every state.
    watchers: Mutex<Vec<SyncSender<Arc<State>>>>,
    /// Parts no longer in the newest state, whose files are still there.
    removed: Mutex<Vec<Removed>>,
    hook: OnceLock<FailureHook>,
    pub counts: CommitCounts,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Entry>,
    leading: bool,
    closed: Option<String>,
}

struct Entry {
    commit: Commit,
    parts: Vec<PendingPart>,
    answer: Owed,
}

#[derive(Default)]
struct Answer(Mutex<Option<Result<u64>>>);

/// The committer's side of an answer: given in any case, also when a panic drops it.
struct Owed(Arc<Answer>);

impl Owed {
    fn give(self, result: Result<u64>) {
        *self.0.0.lock() = Some(result);
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        let closed = || Err(Error::Closed("a commit ended in a panic".into()));
        self.0.0.lock().get_or_insert_with(closed);
    }
}

/// A group on its way: what was accepted of it and what it amounts to.
struct Group {
    next: State,
    payload: Payload,
    accepted: Vec<Entry>,
    removed: Vec<Removed>,
    has_parts: bool,
}

impl Committer {
    pub fn new(disk: Arc<dyn Disk>, log: Box<dyn CommitLog>, state: State) -> Committer {
        let committer = Committer {
            disk,
            queue: Mutex::default(),
            changed: Condvar::new(),
            log: Mutex::new(log),
            state: RwLock::new(Arc::new(state)),
            published: Default::default(),
            watchers: Mutex::default(),
            removed: Mutex::default(),
            hook: OnceLock::new(),
            counts: CommitCounts::default(),
        };
        committer.count_log(&**committer.log.lock());
        committer
    }

    pub fn set_failure_hook(&self, hook: FailureHook) {
        // Only the first hook counts.
        let _ = self.hook.set(hook);
    }

    /// The newest durable state.
    pub fn snapshot(&self) -> Arc<State> {
        self.state.read().clone()
    }

    /// The newest durable state, as soon as it is newer than `version`, but after `time` in any case.
    pub fn wait_past(&self, version: u64, time: Duration) -> Arc<State> {
        let end = Instant::now() + time;
        let mut published = self.published.0.lock();
        while self.state.read().version <= version {
            if self.published.1.wait_until(&mut published, end).timed_out() {
                break;
            }
        }
        drop(published);
        self.snapshot()
    }

    /// Every state from now on, unless more than `count` wait to be taken.
    pub fn watch(&self, count: usize) -> Receiver<Arc<State>> {
        let (sender, receiver) = sync_channel(count);
        self.watchers.lock().push(sender);
        receiver
    }

    /// Blocks until the commit is durable and visible, or rejected. Gives the version it is in.
    pub fn commit(&self, commit: Commit, parts: Vec<PendingPart>) -> Result<u64> {
        let answer = Arc::new(Answer::default());
        let mut queue = self.queue.lock();
        while queue.closed.is_none() && queue.waiting.len() >= QUEUE_MAX {
            self.changed.wait(&mut queue);
        }
        if let Some(reason) = &queue.closed {
            return Err(Error::Closed(reason.clone()));
        }
        queue.waiting.push_back(Entry { commit, parts, answer: Owed(answer.clone()) });
        loop {
            if let Some(result) = answer.0.lock().take() {
                return result;
            }
            if queue.leading {
                self.changed.wait(&mut queue);
                continue;
            }
            queue.leading = true;
            let group = std::mem::take(&mut queue.waiting);
            drop(queue);
            let leadership = Leadership { committer: self };
            self.lead(group);
            drop(leadership);
            queue = self.queue.lock();
        }
    }

    /// No commit is accepted from now on; the one under way is finished.
    pub fn close(&self, reason: &str) {
        let mut queue = self.queue.lock();
        self.close_queue(&mut queue, reason);
        while queue.leading {
            self.changed.wait(&mut queue);
        }
    }

    fn close_queue(&self, queue: &mut Queue, reason: &str) {
        let reason = queue.closed.get_or_insert_with(|| reason.to_string()).clone();
        for entry in queue.waiting.drain(..) {
            entry.answer.give(Err(Error::Closed(reason.clone())));
        }
        self.changed.notify_all();
    }

    fn fail(&self, reason: &str) {
        tracing::error!("the commit log failed: {reason}");
        self.close_queue(&mut self.queue.lock(), reason);
        if let Some(hook) = self.hook.get() {
            hook(reason);
        }
    }

    /// Commits `entries` in groups, then does what the log needs done while nobody waits.
    fn lead(&self, mut entries: VecDeque<Entry>) {
        let mut log = self.log.lock();
        while !entries.is_empty() {
            let group = self.gather(&mut entries);
            if let Err(reason) = self.commit_group(&mut **log, group) {
                self.fail(&reason);
                for entry in entries {
                    entry.answer.give(Err(Error::Closed(reason.clone())));
                }
                self.notify();
                return;
            }
        }
        if let Err(reason) = self.tend(&mut **log) {
            self.fail(&reason);
        }
        self.count_log(&**log);
    }

    fn gather(&self, entries: &mut VecDeque<Entry>) -> Group {
        let state = self.snapshot();
        let version = state.version + 1;
        let mut group = Group {
            next: (*state).clone(),
            payload: Payload::new(),
            accepted: vec![],
            removed: vec![],
            has_parts: false,
        };
        while group.payload.len() < GROUP_BYTES
            && let Some(entry) = entries.pop_front()
        {
            match group.admit(version, &entry) {
                Ok(()) => group.accepted.push(entry),
                Err(e) => {
                    self.counts.rejected.fetch_add(1, Ordering::Relaxed);
                    let Entry { parts, answer, .. } = entry;
                    // Files go before the answer: a caller that was rejected leaves nothing behind.
                    drop(parts);
                    answer.give(Err(e));
                    self.notify();
                }
            }
        }
        group
    }

    fn commit_group(&self, log: &mut dyn CommitLog, group: Group) -> Result<(), String> {
        let Group { next, payload, accepted, removed, has_parts } = group;
        let version = next.version;
        // A frame that may be durable needs its files, whatever happens here.
        let (answers, parts): (Vec<Owed>, Vec<Vec<PartMeta>>) = accepted
            .into_iter()
            .map(|entry| (entry.answer, entry.parts.into_iter().map(PendingPart::keep).collect()))
            .unzip();
        if !payload.is_empty() {
            match self.make_durable(log, &next, payload, has_parts) {
                Ok(()) => {}
                Err(AppendFailure::Refused(e)) => {
                    self.remove_files(parts.iter().flatten());
                    let text = e.to_string();
                    self.give(answers, || Err(disk_full(&text)));
                    return Ok(());
                }
                Err(AppendFailure::Unknown(e)) => {
                    let reason = e.to_string();
                    self.give(answers, || Err(Error::Closed(reason.clone())));
                    return Err(reason);
                }
            }
            let next = Arc::new(next);
            *self.state.write() = next.clone();
            // One that is too far behind misses some; one that is gone is forgotten.
            self.watchers.lock().retain(|watcher| {
                !matches!(watcher.try_send(next.clone()), Err(TrySendError::Disconnected(_)))
            });
            // Under the lock, so that nobody misses it between its look and its wait.
            drop(self.published.0.lock());
            self.published.1.notify_all();
            self.counts.frames.fetch_add(1, Ordering::Relaxed);
        }
        self.removed.lock().extend(removed);
        let count = answers.len() as u64;
        self.counts.commits.fetch_add(count, Ordering::Relaxed);
        self.counts.group_max.fetch_max(count, Ordering::Relaxed);
        self.give(answers, || Ok(version));
        Ok(())
    }

    fn remove_files<'a>(&self, parts: impl Iterator<Item = &'a PartMeta>) {
        for part in parts {
            if let Err(e) = self.disk.remove(&part.path()) {
                // Recovery removes what the log does not list.
                tracing::warn!("cannot remove the refused part {}: {e}", part.path());
            }
        }
    }

    /// The order is the promise: names of the parts first (their bytes are synced already), then the
    /// frame that lists them.
    fn make_durable(
        &self,
        log: &mut dyn CommitLog,
        next: &State,
        payload: Payload,
        has_parts: bool,
    ) -> Result<(), AppendFailure> {
        if has_parts {
            self.counts.dir_syncs.fetch_add(1, Ordering::Relaxed);
            // Final even when the disk is full: a second sync could succeed without the first's names.
            self.disk.sync_dir("parts").map_err(AppendFailure::Unknown)?;
        }
        log.append(next.version, next.epoch, payload.bytes())
    }

    /// Checkpoint and fresh space; a full disk puts both off.
    fn tend(&self, log: &mut dyn CommitLog) -> Result<(), String> {
        let mut outcome = Ok(());
        if log.checkpoint_due() {
            outcome = log.checkpoint(&self.snapshot());
            if outcome.is_ok() {
                self.counts.checkpoints.fetch_add(1, Ordering::Relaxed);
            }
        }
        match outcome.and_then(|()| log.prepare()) {
            Ok(()) => Ok(()),
            Err(AppendFailure::Refused(e)) => {
                tracing::warn!("the commit log goes on without fresh space: {e}");
                Ok(())
            }
            Err(AppendFailure::Unknown(e)) => Err(e.to_string()),
        }
    }

    fn give(&self, answers: Vec<Owed>, result: impl Fn() -> Result<u64>) {
        answers.into_iter().for_each(|answer| answer.give(result()));
        self.notify();
    }

    fn notify(&self) {
        // Under the lock, so that nobody between its look at the answer and its wait misses it.
        let _queue = self.queue.lock();
        self.changed.notify_all();
    }

    fn count_log(&self, log: &dyn CommitLog) {
        self.counts.log_bytes.store(log.bytes(), Ordering::Relaxed);
        self.counts.log_syncs.store(log.syncs(), Ordering::Relaxed);
        self.counts.generation.store(log.generation(), Ordering::Relaxed);
    }

    /// Parts that left the state and that nobody reads any more; the caller removes their files.
    pub fn take_unpinned(&self) -> Vec<Removed> {
        super::removed::take_unpinned(&mut self.removed.lock())
    }

    /// Parts whose files could not be removed, for another try.
    pub fn put_back(&self, parts: Vec<Removed>) {
        self.removed.lock().extend(parts);
    }

    pub fn removed_count(&self) -> usize {
        self.removed.lock().len()
    }
}

/// Held while leading; a leader that panics closes the store instead of leaving it stuck.
struct Leadership<'a> {
    committer: &'a Committer,
}

impl Drop for Leadership<'_> {
    fn drop(&mut self) {
        let mut queue = self.committer.queue.lock();
        queue.leading = false;
        if std::thread::panicking() {
            self.committer.close_queue(&mut queue, "a commit ended in a panic");
        }
        self.committer.changed.notify_all();
    }
}

impl Group {
    /// Checks one entry against what the group amounts to so far, and takes it in.
    fn admit(&mut self, version: u64, entry: &Entry) -> Result<()> {
        for precondition in &entry.commit.preconditions {
            self.next.check(precondition)?;
        }
        let created: Vec<Uuid> = entry.commit.edits.iter().filter_map(created_table).collect();
        let mut edits = entry.commit.edits.clone();
        for part in &entry.parts {
            let table = part.meta.table;
            if !self.next.tables.contains_key(&table) && !created.contains(&table) {
                return Err(Rejection::UnknownTable(table.to_string()).into());
            }
            edits.push(Edit::AddPart { part: Arc::new(part.meta.clone()) });
        }
        self.payload.push(&edits, COMMIT_BYTES_MAX)?;
        for edit in &edits {
            collect_removed(&self.next, edit, &mut self.removed);
            self.has_parts |= super::removed::names_files(edit);
            self.next.apply(version, edit);
        }
        self.has_parts |= !entry.parts.is_empty();
        Ok(())
    }
}

fn created_table(edit: &Edit) -> Option<Uuid> {
    match edit {
        Edit::CreateTable { definition } => Some(definition.uuid),
        _ => None,
    }
}

fn disk_full(text: &str) -> Error {
    let source = std::io::Error::new(std::io::ErrorKind::StorageFull, text.to_string());
    Error::Io { operation: "extend", path: "the commit log".into(), source }
}
