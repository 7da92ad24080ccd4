//! The thread of one FileLog table: looks at the folder, reads whole lines, commits them through the
//! views together with the new positions.
//!
//! Every round begins at what the log holds, so a block that did not get in is simply read again. A line
//! that cannot be parsed holds its own file up (mode `default`), visibly and with growing delays; the
//! others go on. An error of a view holds the table up.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use pumphouse_query::catalog::SourceColumn;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::log::{Commit, Edit, State, StreamPartition, Table};
use pumphouse_storage::{Block, DataType};

use super::folder::{self, Choice, FileId, Found, HEAD_BYTES, Known, Was};
use super::settings::FileLogSettings;
use super::{FileLogConfig, FileLogStatus, FileLogTable};
use crate::block_builder::{
    BlockBuilder, BuilderOptions, BuiltBlock, IncomingMessage, OffsetRange,
};
use crate::format::{self, FormatOptions, InputColumn, ParseError};
use crate::insert::{Letters, StreamError, offset_equals, stored_schema};
use crate::kafka::dead_letters::{self, DeadLetter};
use crate::kafka::settings::ErrorMode;
use crate::kafka::virtual_columns::{self, Virtual, VirtualBuilder};
use crate::kafka::{Backoff, Signal, StreamInput, background_context, room};
use crate::materialized_view;
use crate::test_exit::TestExit;

/// For tests.
static EXIT: TestExit = TestExit::new("PUMPHOUSE_TEST_FILE_LOG_EXIT");

/// Bytes read from a file at a time.
const CHUNK_BYTES: u64 = 1 << 20;
/// Bytes of a block.
const BLOCK_BYTES_MAX: usize = 64 << 20;
/// A line may be this long.
const LINE_BYTES_MAX: usize = 64 << 20;
/// Files that the status lists.
const STATUS_FILES_MAX: usize = 10_000;
/// A file that is gone is remembered for so long: it may come back under another name.
const GONE_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Looks for a file that may have been missed; then it is taken as gone.
const LOOKS_MORE: usize = 3;
/// How often gone files are looked for.
const FORGET_INTERVAL: Duration = Duration::from_secs(60);

pub(super) struct Follower {
    pub(super) config: Arc<FileLogConfig>,
    pub(super) table: Arc<Table>,
    status: Arc<Mutex<FileLogTable>>,
    signal: Arc<Signal>,
}

/// A file that waits at a line.
pub(super) struct Blocked {
    at: u64,
    until: Instant,
    backoff: Backoff,
    pub(super) reason: String,
    retry_us: u64,
}

/// What one life of the follower works with.
pub(super) struct Session {
    pub(super) settings: FileLogSettings,
    pub(super) folder: PathBuf,
    pattern: Option<String>,
    columns: Vec<(String, DataType)>,
    pub(super) all_virtuals: Vec<Virtual>,
    virtuals: Vec<Virtual>,
    pub(super) source_columns: Vec<SourceColumn>,
    pub(super) builder: BlockBuilder,
    pub(super) blocked: BTreeMap<String, Blocked>,
    /// Files whose head was compared, as they were then.
    verified: BTreeMap<String, Found>,
    next_forget: Instant,
}

/// What one look at the folder gave.
pub(super) enum Gathered {
    /// Nothing new; not the table's to work for any more.
    Nothing,
    /// Positions were moved to other names: look again.
    Again,
    Lines(BuiltBlock, Vec<Taken>),
}

/// What a block takes of one file.
pub(super) struct Taken {
    name: Arc<str>,
    expected: Option<i64>,
    pub(super) next: u64,
    lines: u64,
    /// What the file is, of the bytes at its head that were read, if the log does not know it as well yet.
    seen: Option<FileId>,
}

/// How far to read.
#[derive(Clone, Copy)]
struct End {
    /// Not beyond this byte.
    at: u64,
    /// What stands there without a newline is a line, too.
    closes_line: bool,
}

/// A line as the block builder sees it.
struct Line<'a> {
    offset: u64,
    text: &'a [u8],
}

impl IncomingMessage for Line<'_> {
    fn kafka_partition(&self) -> i32 {
        0
    }
    fn kafka_offset(&self) -> i64 {
        self.offset as i64
    }
    fn payload(&self) -> Option<&[u8]> {
        Some(self.text)
    }
    fn key(&self) -> Option<&[u8]> {
        None
    }
    fn timestamp_ms(&self) -> Option<i64> {
        None
    }
    fn each_header(&self, _: &mut dyn FnMut(&[u8], &[u8])) {}
}

impl Follower {
    pub(super) fn new(
        config: Arc<FileLogConfig>,
        table: Arc<Table>,
        status: Arc<Mutex<FileLogTable>>,
        signal: Arc<Signal>,
    ) -> Follower {
        Follower { config, table, status, signal }
    }

    /// Runs until the signal says stop.
    pub(super) fn run(self) {
        let mut backoff = Backoff::new(Duration::from_millis(500));
        while !self.signal.stopped() {
            let began = Instant::now();
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.session()));
            let error = match outcome {
                Ok(Ok(())) => return,
                Ok(Err(e)) => e.to_string(),
                Err(panic) => crate::kafka::panic_text(&panic),
            };
            if began.elapsed() > crate::kafka::DELAY_MAX {
                backoff.reset();
            }
            let delay = backoff.next();
            if self.status.lock().error != error {
                self.event("failed", &error);
            }
            let mut status = self.status.lock();
            status.error = error;
            status.next_retry_us = self.config.clock.now_us() + delay.as_micros() as u64;
            drop(status);
            self.signal.wait(delay);
        }
    }

    /// Blocks until the files have nothing more; for a table whose own thread does not run.
    pub(super) fn take_what_is_there(&self) -> Result<()> {
        let mut session = self.begin()?;
        while self.round(&mut session)? {}
        Ok(())
    }

    fn session(&self) -> Result<()> {
        let mut session = self.begin()?;
        let mut rest = session.settings.rest.0;
        while !self.signal.stopped() {
            let began = Instant::now();
            if self.round(&mut session)? {
                rest = session.settings.rest.0;
                let mut status = self.status.lock();
                status.error.clear();
                status.next_retry_us = 0;
                drop(status);
                self.signal.wait(session.settings.flush_interval.saturating_sub(began.elapsed()));
            } else {
                self.signal.wait(rest);
                rest = (rest * session.settings.rest.2).min(session.settings.rest.1);
            }
        }
        Ok(())
    }

    pub(super) fn begin(&self) -> Result<Session> {
        let definition = &self.table.definition;
        let settings = FileLogSettings::from_settings(&definition.settings)?;
        if settings.error_mode != ErrorMode::Default {
            dead_letters::ensure(&self.config.store)?;
        }
        let columns = stored_schema(definition);
        let stream_mode = settings.error_mode == ErrorMode::Stream;
        let all_virtuals = virtual_columns::of_files(stream_mode, &columns);
        let mut source_columns = materialized_view::source_columns(definition);
        source_columns.extend(virtual_columns::source_columns(&all_virtuals));
        let (folder, pattern) = folder::split_path(&settings.path);
        let virtuals = self.wanted_virtuals(&all_virtuals);
        let builder = self.builder(&settings, &columns, &virtuals)?;
        Ok(Session {
            folder,
            pattern,
            columns,
            all_virtuals,
            virtuals,
            source_columns,
            builder,
            blocked: BTreeMap::new(),
            verified: BTreeMap::new(),
            next_forget: Instant::now() + FORGET_INTERVAL,
            settings,
        })
    }

    fn wanted_virtuals(&self, all: &[Virtual]) -> Vec<Virtual> {
        let state = self.config.store.snapshot();
        let definition = &self.table.definition;
        let views = state.views_of(&definition.database, &definition.name);
        virtual_columns::used_by(all, views.iter().filter_map(|v| v.definition.select.as_deref()))
    }

    fn builder(
        &self,
        settings: &FileLogSettings,
        columns: &[(String, DataType)],
        virtuals: &[Virtual],
    ) -> Result<BlockBuilder> {
        let wanted: Vec<InputColumn> = columns
            .iter()
            .map(|(name, t)| InputColumn { name: name.clone(), data_type: t.clone() })
            .collect();
        let mut options = FormatOptions {
            settings: self.config.profile.clone(),
            time_zone: self.config.time_zone,
        };
        for (name, value) in &settings.format_settings {
            options.settings.set(name.clone(), value.clone());
        }
        let reader = format::reader(&settings.format, &wanted, &options)?;
        let options = BuilderOptions {
            columns: columns.to_vec(),
            virtuals: VirtualBuilder::new(virtuals.to_vec(), &self.table.definition.name),
            error_mode: settings.error_mode,
            skip_broken_messages: 0,
            skip_bytes: 0,
            format: settings.format.clone(),
        };
        Ok(BlockBuilder::new(reader, options))
    }

    /// One look at the folder and one block at most; whether anything was committed.
    fn round(&self, session: &mut Session) -> Result<bool> {
        let virtuals = self.wanted_virtuals(&session.all_virtuals);
        self.use_virtuals(session, virtuals)?;
        match self.gather(session)? {
            Gathered::Nothing => Ok(false),
            // On to the round that knows the new names.
            Gathered::Again => Ok(true),
            Gathered::Lines(built, taken) => self.commit(session, built, &taken),
        }
    }

    /// From now on blocks have these virtual columns.
    pub(super) fn use_virtuals(&self, session: &mut Session, virtuals: Vec<Virtual>) -> Result<()> {
        if virtuals != session.virtuals {
            session.builder = self.builder(&session.settings, &session.columns, &virtuals)?;
            session.virtuals = virtuals;
        }
        Ok(())
    }

    /// One look at the folder, and lines of one block at most.
    pub(super) fn gather(&self, session: &mut Session) -> Result<Gathered> {
        let state = self.config.store.snapshot();
        let Some(known) = self.known(&state) else { return Ok(Gathered::Nothing) };
        let look = || {
            folder::scan(&session.folder, session.pattern.as_deref()).map_err(|e| {
                let place = session.folder.display();
                Error::new(codes::CANNOT_OPEN_FILE, format!("cannot read the folder {place}: {e}"))
            })
        };
        let mut found = look()?;
        for _ in 0..LOOKS_MORE {
            if !folder::may_be_missed(&found, &known) {
                break;
            }
            found = look()?;
        }
        let choices = choose(session, &found, &known);
        if self.follow_renames(&choices, &known)? {
            return Ok(Gathered::Again);
        }
        self.show(session, &choices);
        let mut taken = vec![];
        for choice in &choices {
            if taken.len() >= session.settings.files_max
                || is_full(session)
                || self.signal.stopped()
            {
                break;
            }
            if let Some(some) = self.read(session, choice, &known)? {
                if choice.was == Was::Truncated {
                    self.event(
                        "truncated",
                        &format!(
                            "{} has other content than before; it is read from its start",
                            choice.file.name
                        ),
                    );
                }
                taken.push(some);
            }
        }
        let built = session.builder.take()?;
        if taken.is_empty() {
            self.forget_gone(session, &state, &found)?;
            return Ok(Gathered::Nothing);
        }
        Ok(Gathered::Lines(built, taken))
    }

    /// What the log remembers, by name; None if the table is not ours to work for any more.
    fn known(&self, state: &State) -> Option<BTreeMap<String, Known>> {
        let table = state.tables.get(&self.table.definition.uuid)?;
        let known = table.offsets.iter().map(|(place, offset)| {
            let id = table.topic_ids.get(&place.topic).map(|id| FileId::from_uuid(*id));
            (place.topic.clone(), Known { next: offset.next, id })
        });
        Some(known.collect())
    }

    /// Moves positions to the new names of files; true if there were any.
    fn follow_renames(&self, choices: &[Choice], known: &BTreeMap<String, Known>) -> Result<bool> {
        let table = self.table.definition.uuid;
        let (mut commit, wall_us) = (Commit::default(), self.config.clock.now_us());
        let mut moved: Vec<(&str, &str)> = vec![];
        for choice in choices {
            if let Was::Renamed(before) = &choice.was {
                moved.push((before, &choice.file.name));
            }
        }
        if moved.is_empty() {
            return Ok(false);
        }
        let mut touched: Vec<&str> = moved.iter().flat_map(|(a, b)| [*a, *b]).collect();
        touched.sort_unstable();
        touched.dedup();
        for name in &touched {
            let range = OffsetRange {
                topic: (*name).into(),
                kafka_partition: 0,
                expected: known.get(*name).map(|k| k.next),
                next: 0,
                messages: 0,
            };
            commit.preconditions.push(offset_equals(table, &range));
            if !moved.iter().any(|(_, new)| new == name) {
                let topic = name.to_string();
                commit.edits.push(Edit::ForgetOffset { table, topic, kafka_partition: 0 });
            }
        }
        for (before, name) in &moved {
            let Some(k) = known.get(*before) else { continue };
            commit.edits.push(Edit::SeekStream {
                table,
                topic: name.to_string(),
                kafka_partition: 0,
                next: k.next,
                wall_us,
            });
            let id = k.id.map(FileId::to_uuid).unwrap_or_default();
            commit.edits.push(Edit::StreamTopic { table, topic: name.to_string(), id });
        }
        self.config.store.commit(commit, vec![])?;
        for (before, name) in &moved {
            self.event("renamed", &format!("{before} is now {name}; it goes on where it stood"));
        }
        Ok(true)
    }

    /// Reads whole lines into the block. None: nothing to read here now.
    fn read(
        &self,
        session: &mut Session,
        choice: &Choice,
        known: &BTreeMap<String, Known>,
    ) -> Result<Option<Taken>> {
        let found = &choice.file;
        if choice.from >= found.size && choice.was != Was::Truncated {
            return Ok(None);
        }
        if session.blocked.get(&found.name).is_some_and(|b| Instant::now() < b.until) {
            return Ok(None);
        }
        let Some(mut file) = folder::open(&session.folder, found) else {
            // Gone, renamed or not readable: the next look tells.
            return Ok(None);
        };
        let stored = known.get(&found.name);
        let mut taken = Taken {
            name: found.name.as_str().into(),
            expected: stored.map(|k| k.next),
            next: choice.from,
            lines: 0,
            seen: None,
        };
        let wait = session.settings.last_line_wait;
        let quiet = found.modified.elapsed().unwrap_or_default() >= wait;
        let end = End { at: u64::MAX, closes_line: quiet };
        if !self.read_on(session, &mut file, end, &mut taken)? {
            return Ok(None);
        }
        if taken.next == choice.from && choice.was != Was::Truncated {
            return Ok(None);
        }
        let known = stored.and_then(|k| k.id).filter(|_| choice.was == Was::Same);
        let wanted = taken.next.min(HEAD_BYTES);
        if known.is_none_or(|id| u64::from(id.head) < wanted || id.inode != found.inode) {
            // Of the file that was read: when the block is committed the name may be another's.
            let head = folder::read_at(&mut file, 0, wanted).map_err(unreadable)?;
            taken.seen = Some(FileId::of(found.inode, &head));
        }
        Ok(Some(taken))
    }

    /// Reads from `taken.next` on; false: its header is not whole yet.
    fn read_on(
        &self,
        session: &mut Session,
        file: &mut std::fs::File,
        end: End,
        taken: &mut Taken,
    ) -> Result<bool> {
        let header_lines = session.settings.header_lines();
        let mut header = vec![];
        if header_lines > 0 {
            let start = folder::read_at(file, 0, CHUNK_BYTES).map_err(unreadable)?;
            let Some(end) = memchr::memchr_iter(b'\n', &start).nth(header_lines - 1) else {
                return Ok(false);
            };
            header = start[..=end].to_vec();
            taken.next = taken.next.max(header.len() as u64);
        }
        self.read_lines(session, file, &header, end, taken)?;
        Ok(true)
    }

    /// A part of a file that is known, up to the byte `to`; for a view that is filled. None: its name is no longer its
    /// own.
    pub(super) fn read_part(
        &self,
        session: &mut Session,
        found: &Found,
        name: &str,
        (from, to): (u64, u64),
    ) -> Result<Option<Taken>> {
        let Some(mut file) = folder::open(&session.folder, found) else { return Ok(None) };
        let mut taken = Taken {
            name: name.into(),
            expected: Some(from as i64),
            next: from,
            lines: 0,
            seen: None,
        };
        let end = End { at: to, closes_line: true };
        self.read_on(session, &mut file, end, &mut taken)?;
        Ok(Some(taken))
    }

    fn read_lines(
        &self,
        session: &mut Session,
        file: &mut std::fs::File,
        header: &[u8],
        end: End,
        taken: &mut Taken,
    ) -> Result<()> {
        let mut carry: Vec<u8> = vec![];
        loop {
            let from = taken.next + carry.len() as u64;
            let bytes = CHUNK_BYTES.min(end.at.saturating_sub(from));
            let chunk = folder::read_at(file, from, bytes).map_err(unreadable)?;
            let ended = chunk.is_empty();
            carry.extend_from_slice(&chunk);
            let mut start = 0;
            while let Some(length) = memchr::memchr(b'\n', &carry[start..]) {
                let line = &carry[start..start + length];
                if !self.line(session, header, line, taken)? {
                    return Ok(());
                }
                start += length + 1;
                taken.next += length as u64 + 1;
                if is_full(session) {
                    return Ok(());
                }
            }
            carry.drain(..start);
            if ended {
                if !carry.is_empty()
                    && end.closes_line
                    && self.line(session, header, &carry, taken)?
                {
                    taken.next += carry.len() as u64;
                }
                return Ok(());
            }
            if carry.len() > LINE_BYTES_MAX {
                let error = format!("a line has more than {LINE_BYTES_MAX} bytes");
                let name = taken.name.to_string();
                self.block(session, &name, taken.next, &error);
                return Ok(());
            }
        }
    }

    /// One line; false if the file waits at it.
    fn line(
        &self,
        session: &mut Session,
        header: &[u8],
        line: &[u8],
        taken: &mut Taken,
    ) -> Result<bool> {
        let joined;
        let text = match header {
            [] => line,
            _ if line.is_empty() => line,
            _ => {
                joined = [header, line].concat();
                &joined
            }
        };
        let message = Line { offset: taken.next, text };
        let now = Duration::ZERO;
        match session.builder.append(&taken.name, taken.expected, &message, now) {
            Ok(()) => {
                taken.lines += 1;
                session.blocked.remove(&*taken.name);
                Ok(true)
            }
            Err(ParseError { message, .. }) => {
                let name = taken.name.to_string();
                self.block(session, &name, taken.next, &message);
                Ok(false)
            }
        }
    }

    /// The file waits at byte `at`, for longer each time.
    fn block(&self, session: &mut Session, name: &str, at: u64, error: &str) {
        let reason = format!("Error while parsing file {name} at byte {at}: {error}");
        let before = session.blocked.remove(name).filter(|b| b.at == at);
        if before.as_ref().is_none_or(|b| b.reason != reason) {
            self.event("bad message", &reason);
        }
        let mut backoff = match before {
            Some(b) => b.backoff,
            None => Backoff::new(Duration::from_millis(500)),
        };
        let delay = backoff.next();
        let retry_us = self.config.clock.now_us() + delay.as_micros() as u64;
        let until = Instant::now() + delay;
        session.blocked.insert(name.to_string(), Blocked { at, until, backoff, reason, retry_us });
    }

    /// What a block takes, as the log has it.
    pub(super) fn ranges(&self, taken: &[Taken]) -> Vec<OffsetRange> {
        let range = |t: &Taken| OffsetRange {
            topic: t.name.clone(),
            kafka_partition: 0,
            expected: t.expected,
            next: t.next as i64,
            messages: t.lines,
        };
        taken.iter().map(range).collect()
    }

    fn commit(&self, session: &Session, built: BuiltBlock, taken: &[Taken]) -> Result<bool> {
        let definition = &self.table.definition;
        room(&self.config.store, definition, &self.signal)?;
        let offsets = self.ranges(taken);
        let mut edits = vec![];
        for t in taken {
            edits.extend(self.identity(t));
        }
        let blocks: Vec<Block> =
            (!built.block.is_empty()).then_some(built.block).into_iter().collect();
        let now_us = self.config.clock.now_us();
        let letters: &[DeadLetter] = &built.letters;
        let letter_rows = match letters.is_empty() {
            true => None,
            false => {
                Some(dead_letters::block(letters, definition, &session.settings.format, now_us)?)
            }
        };
        let (database, table) = dead_letters::TABLE;
        let input = StreamInput {
            columns: &session.source_columns,
            blocks: &blocks,
            offsets: &offsets,
            letters: letter_rows.as_ref().map(|block| Letters { database, table, block }),
            edits: &edits,
        };
        let ctx = background_context(
            &format!("file_log:{}", definition.full_name()),
            &definition.database,
            now_us,
            &self.config.profile,
            self.config.time_zone,
            self.config.memory.as_ref(),
        );
        EXIT.step("built");
        match self.config.sink.insert_from_stream(&self.table, &input, &ctx) {
            Ok(_) => {
                EXIT.step("committed");
                Ok(true)
            }
            // Read again from what the log holds then.
            Err(StreamError::OffsetMoved { .. } | StreamError::Stale) => Ok(false),
            Err(StreamError::SourceChanged) => Ok(false),
            Err(StreamError::Failed(e)) => Err(e),
        }
    }

    /// What the file is, if the log does not know it as well yet.
    pub(super) fn identity(&self, taken: &Taken) -> Option<Edit> {
        let id = taken.seen?.to_uuid();
        let topic = taken.name.to_string();
        Some(Edit::StreamTopic { table: self.table.definition.uuid, topic, id })
    }

    /// Forgets files that have been gone for long.
    fn forget_gone(&self, session: &mut Session, state: &State, found: &[Found]) -> Result<()> {
        // An empty folder may be one that is not mounted.
        if Instant::now() < session.next_forget || found.is_empty() {
            return Ok(());
        }
        session.next_forget = Instant::now() + FORGET_INTERVAL;
        session.verified.retain(|name, _| found.iter().any(|f| f.name == *name));
        session.blocked.retain(|name, _| found.iter().any(|f| f.name == *name));
        let table = self.table.definition.uuid;
        let Some(now) = state.tables.get(&table) else { return Ok(()) };
        let since = self.config.clock.now_us().saturating_sub(GONE_KEPT.as_micros() as u64);
        let names: std::collections::BTreeSet<&str> =
            found.iter().map(|f| f.name.as_str()).collect();
        let gone = now.offsets.iter().filter(|(place, offset)| {
            !names.contains(place.topic.as_str()) && offset.last_commit_us < since
        });
        let edits: Vec<Edit> = gone
            .map(|(StreamPartition { topic, kafka_partition }, _)| Edit::ForgetOffset {
                table,
                topic: topic.clone(),
                kafka_partition: *kafka_partition,
            })
            .collect();
        if !edits.is_empty() {
            self.config.store.commit(Commit { preconditions: vec![], edits }, vec![])?;
        }
        Ok(())
    }

    fn show(&self, session: &Session, choices: &[Choice]) {
        let files = choices.iter().take(STATUS_FILES_MAX).map(|choice| {
            let blocked = session.blocked.get(&choice.file.name);
            let at_end = choice.from >= choice.file.size;
            FileLogStatus {
                file: choice.file.name.clone(),
                position: choice.from,
                size: choice.file.size,
                state: match (blocked, at_end) {
                    (Some(_), _) => "waiting",
                    (None, true) => "at the end",
                    (None, false) => "reading",
                },
                error: blocked.map(|b| b.reason.clone()).unwrap_or_default(),
                next_retry_us: blocked.map_or(0, |b| b.retry_us),
            }
        });
        self.status.lock().files = files.collect();
    }

    fn event(&self, kind: &'static str, text: &str) {
        let definition = &self.table.definition;
        self.config.events.tell(self.config.clock.now_us(), definition, kind, text);
    }
}

pub(super) fn is_full(session: &Session) -> bool {
    session.builder.rows() >= session.settings.rows_max
        || session.builder.bytes() >= BLOCK_BYTES_MAX
}

/// What to read where; heads are only compared of files that have changed since.
fn choose(session: &mut Session, found: &[Found], known: &BTreeMap<String, Known>) -> Vec<Choice> {
    let (folder, verified) = (session.folder.clone(), &mut session.verified);
    folder::choose(found, known, &mut |file, id| {
        if verified.get(&file.name) == Some(file) {
            return true;
        }
        let head = folder::head(&folder.join(&file.name), u64::from(id.head));
        let same = head.is_ok_and(|bytes| {
            bytes.len() == usize::from(id.head) && FileId::of(file.inode, &bytes) == id
        });
        // A file that was written a moment ago may be written again in the same tick of its clock.
        let settled = SystemTime::now()
            .duration_since(file.modified)
            .is_ok_and(|age| age > Duration::from_secs(2));
        match same && settled {
            true => verified.insert(file.name.clone(), file.clone()),
            false => verified.remove(&file.name),
        };
        same
    })
}

fn unreadable(e: std::io::Error) -> Error {
    Error::new(codes::CANNOT_OPEN_FILE, format!("cannot read a file: {e}"))
}
