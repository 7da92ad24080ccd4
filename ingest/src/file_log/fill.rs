//! POPULATE of a view on a FileLog table: what the files hold below the point at which the view came in.
//!
//! As for topics (`kafka/replay`): the commit that creates the view fixes how far the stream was in each file and
//! what file it was; lines below reach the view by this thread, with positions that are the view's own and move
//! in the commits of its rows, lines behind come with the stream's blocks. A file is found again by what it is,
//! whatever it is called by now. One that is gone leaves a gap that is told. Lines that cannot be parsed were set
//! aside by the stream already; in the mode `default` there are none below its position.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::log::{Commit, Edit, Precondition, Table, TableDefinition};
use pumphouse_storage::{Block, Store};

use super::folder::{self, FileId, Found};
use super::follower::{Follower, Session, Taken, is_full};
use super::{FileLogConfig, FileLogTable};
use crate::block_builder::OffsetRange;
use crate::insert::{StreamError, advance, offset_equals};
use crate::kafka::replay::{self, ReplayRange};
use crate::kafka::virtual_columns;
use crate::kafka::{Signal, StreamInput, background_context, room};
use crate::test_exit::TestExit;

/// For tests.
static EXIT: TestExit = TestExit::new("PUMPHOUSE_TEST_FILL_EXIT");

/// A look at a folder may miss a file that is being renamed: one is gone when it was missing for so long.
const GONE_AFTER: Duration = Duration::from_secs(5);
/// After a first failure.
const FIRST_DELAY: Duration = Duration::from_millis(500);
/// Between two looks for files that are missing.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Since when files are missing, by the names of their ranges.
type Missing = BTreeMap<String, Instant>;

/// Fills one view.
pub(super) struct Fill {
    pub(super) config: Arc<FileLogConfig>,
    pub(super) view: Arc<Table>,
    pub(super) signal: Arc<Signal>,
}

impl Fill {
    /// Runs until all is in or the signal says stop.
    pub(super) fn run(self) {
        let tell = |kind, text: &str| self.event(kind, text);
        replay::fill(&self.view, &self.signal, FIRST_DELAY, tell, || self.session());
    }

    fn view_now(&self) -> Option<Arc<Table>> {
        self.config.store.snapshot().tables.get(&self.view.definition.uuid).cloned()
    }

    /// Under one definition of the stream; true when all is in, false when there is another definition.
    fn session(&self) -> Result<bool> {
        let state = self.config.store.snapshot();
        let source = self.view.definition.source.as_ref();
        let Some(stream) = source.and_then(|(database, name)| state.table(database, name)) else {
            return Ok(true);
        };
        let status = Arc::new(Mutex::new(FileLogTable::default()));
        let (config, signal) = (self.config.clone(), self.signal.clone());
        let follower = Follower::new(config, stream.clone(), status, signal);
        let mut session = follower.begin()?;
        let text = self.view.definition.select.as_deref();
        let virtuals = virtual_columns::used_by(&session.all_virtuals, text.into_iter());
        follower.use_virtuals(&mut session, virtuals)?;
        let mut missing = Missing::new();
        while !self.signal.stopped() {
            let Some(view) = self.view_now() else { return Ok(true) };
            let left = replay::left(&view);
            if left.is_empty() {
                return Ok(true);
            }
            if !self.round(&follower, &mut session, &view, &left, &mut missing)? {
                self.signal.wait(Duration::from_millis(100));
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// One block at most; false: stream or view are not what they were.
    fn round(
        &self,
        follower: &Follower,
        session: &mut Session,
        view: &Table,
        left: &[ReplayRange],
        missing: &mut Missing,
    ) -> Result<bool> {
        let found = folder::scan(&session.folder, None).map_err(|e| {
            let place = session.folder.display();
            Error::new(codes::CANNOT_OPEN_FILE, format!("cannot read the folder {place}: {e}"))
        })?;
        if found.is_empty() {
            // It may be one that is not mounted.
            let place = session.folder.display();
            let message = format!("the folder {place} has no files");
            return Err(Error::new(codes::FILE_DOESNT_EXIST, message));
        }
        let mut taken: Vec<Taken> = vec![];
        for range in left {
            if is_full(session) || taken.len() >= session.settings.files_max {
                break;
            }
            let id = view.topic_ids.get(&range.topic).map(|id| FileId::from_uuid(*id));
            let span = (range.from as u64, range.to as u64);
            let part = match id.and_then(|id| find(session, &found, id, range)) {
                Some(file) => follower.read_part(session, file, &range.topic, span)?,
                None => None,
            };
            let Some(part) = part else {
                let since = missing.entry(range.topic.clone()).or_insert_with(Instant::now);
                if since.elapsed() > GONE_AFTER {
                    self.skip_gone(range)?;
                }
                continue;
            };
            missing.remove(&range.topic);
            taken.push(part);
        }
        let built = session.builder.take()?;
        let reason = session.blocked.values().next().map(|blocked| blocked.reason.clone());
        session.blocked.clear();
        let blocks: Vec<Block> =
            (!built.block.is_empty()).then_some(built.block).into_iter().collect();
        if !self.commit(follower, session, &blocks, &taken)? {
            return Ok(false);
        }
        if taken.is_empty() {
            self.signal.wait(LOOK_INTERVAL);
        }
        match reason {
            Some(reason) => Err(Error::new(codes::CANNOT_PARSE_INPUT_ASSERTION_FAILED, reason)),
            None => Ok(true),
        }
    }

    fn commit(
        &self,
        follower: &Follower,
        session: &Session,
        blocks: &[Block],
        taken: &[Taken],
    ) -> Result<bool> {
        let mut offsets = follower.ranges(taken);
        offsets.retain(|range| range.expected != Some(range.next));
        if offsets.is_empty() {
            // Gaps, or a line that cannot be passed.
            return Ok(true);
        }
        let (definition, config) = (&self.view.definition, &self.config);
        room(&config.store, &follower.table.definition, &self.signal)?;
        let ctx = background_context(
            &format!("populate:{}", definition.full_name()),
            &definition.database,
            config.clock.now_us(),
            &config.profile,
            config.time_zone,
            config.memory.as_ref(),
        );
        let input = StreamInput {
            columns: &session.source_columns,
            blocks,
            offsets: &offsets,
            letters: None,
            edits: &[],
        };
        EXIT.step("built");
        match config.sink.insert_into_view(&follower.table, definition.uuid, &input, &ctx) {
            Ok(_) => {
                EXIT.step("committed");
                Ok(true)
            }
            Err(StreamError::Failed(e)) => Err(e),
            Err(_) => Ok(false),
        }
    }

    /// The file is gone, or cut, before the view was filled with it.
    fn skip_gone(&self, range: &ReplayRange) -> Result<()> {
        let table = self.view.definition.uuid;
        let offsets = OffsetRange {
            topic: range.topic.as_str().into(),
            kafka_partition: range.kafka_partition,
            expected: Some(range.from),
            next: range.to,
            messages: 0,
        };
        let reason = "gone with their file before the view was filled with them";
        let gap = Edit::Gap {
            table,
            topic: range.topic.clone(),
            kafka_partition: range.kafka_partition,
            from: range.from,
            to: range.to,
            reason: reason.into(),
        };
        let commit = Commit {
            preconditions: vec![
                Precondition::TableExists { table },
                offset_equals(table, &offsets),
            ],
            edits: vec![gap, advance(table, &offsets, self.config.clock.now_us())],
        };
        self.config.store.commit(commit, vec![])?;
        let (from, to, name) = (range.from, range.to, &range.topic);
        self.event("gap", &format!("bytes {from}..{to} of {name} are {reason}"));
        Ok(())
    }

    fn event(&self, kind: &'static str, text: &str) {
        let definition = &self.view.definition;
        self.config.events.tell(self.config.clock.now_us(), definition, kind, text);
    }
}

/// The file of a range among those that are there.
fn find<'f>(
    session: &Session,
    found: &'f [Found],
    id: FileId,
    range: &ReplayRange,
) -> Option<&'f Found> {
    let file = found.iter().find(|f| f.inode == id.inode && f.size >= range.to as u64)?;
    let head = folder::head(&session.folder.join(&file.name), u64::from(id.head)).ok()?;
    (head.len() == usize::from(id.head) && FileId::of(file.inode, &head) == id).then_some(file)
}

/// Adds to the commit that creates `view` what its filling rests on: how far the stream is in each file at this
/// very commit, what files they are, and the view's own positions.
pub fn add_populate(
    store: &Store,
    stream: &Table,
    view: &mut TableDefinition,
    commit: &mut Commit,
) -> Result<()> {
    let starts: Vec<_> =
        stream.offsets.keys().map(|k| (k.topic.clone(), k.kafka_partition, 0)).collect();
    // What the stream has not looked into yet it will read from its start, for this view as well.
    let table = stream.definition.uuid;
    commit.preconditions.push(Precondition::OffsetCount { table, count: starts.len() });
    replay::add_populate(store, stream, view, &starts, false, commit)?;
    for range in replay::ranges_of(view) {
        if let Some(id) = stream.topic_ids.get(&range.topic) {
            let (table, topic, id) = (view.uuid, range.topic, *id);
            commit.edits.push(Edit::StreamTopic { table, topic, id });
        }
    }
    Ok(())
}
