//! One client: greeting, then queries one after the other until it leaves or the server stops.
//!
//! This thread alone reads the socket. While a statement runs elsewhere it hands on an INSERT's blocks,
//! tells the client of progress, and cancels when the client says so or is gone.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use pumphouse_ingest::format::native::write_block;
use pumphouse_query::context::{QueryContext, Settings};
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};
use uuid::Uuid;

use super::log::StatementLog;
use super::output::{Exchange, Feed, FeedReader, NativeOutput};
use super::packets::{self, Progress, Query, client, server};
use super::wire::{Reader, Ready, Writer, nonsense};
use crate::access::authentication::authenticate;
use crate::logs::Origin;
use crate::server::Server;
use crate::session::SessionState;
use crate::statement::{self, ExternalTables, Input, Request};

/// A client that has not begun to greet by then is cut off, and so is one that takes longer for it.
const HELLO_WAIT: Duration = Duration::from_secs(10);
/// A client that asks nothing for this long is cut off.
const IDLE_MAX: Duration = Duration::from_secs(3600);
/// Between looks at the server and at the running statement.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Statements are bound and run on these stacks; only what is touched is memory.
const STACK_BYTES: usize = 16 << 20;
/// Blocks of an INSERT between the socket and the statement.
const FEED_BLOCKS_MAX: usize = 2;

pub fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    server: &Arc<Server>,
    stop: &AtomicBool,
) -> Result<()> {
    let clone = stream.try_clone().and_then(Writer::new);
    let writer = clone.map_err(|e| Error::new(codes::NETWORK_ERROR, e.to_string()))?;
    let mut connection = Connection {
        reader: Reader::new(stream),
        writer: Arc::new(writer),
        server: server.clone(),
        session: SessionState::default(),
        user: String::new(),
        revision: 0,
        compressed: false,
        skip_data: false,
    };
    if !connection.wait(HELLO_WAIT, stop)? {
        return Ok(());
    }
    connection.reader.deadline = Some(Instant::now() + HELLO_WAIT);
    if connection.speaks_http()? {
        return Ok(());
    }
    let greeted = connection.greet(peer);
    connection.report(greeted)?;
    connection.reader.deadline = None;
    while connection.wait(IDLE_MAX, stop)? {
        let done = connection.packet();
        connection.report(done)?;
    }
    Ok(())
}

struct Connection {
    reader: Reader,
    writer: Arc<Writer>,
    server: Arc<Server>,
    session: SessionState,
    user: String,
    revision: u64,
    /// Whether the last query's blocks go in frames.
    compressed: bool,
    /// An INSERT failed while the client was still sending: its blocks are read and dropped.
    skip_data: bool,
}

impl Connection {
    /// Whether a packet begins within `limit`; false if the client left, or the server stops.
    fn wait(&mut self, limit: Duration, stop: &AtomicBool) -> Result<bool> {
        let until = Instant::now() + limit;
        while Instant::now() < until && !stop.load(Ordering::Relaxed) {
            let ready = self.reader.ready(LOOK_EVERY);
            match ready.map_err(|e| Error::new(codes::NETWORK_ERROR, e.to_string()))? {
                Ready::Bytes => return Ok(true),
                Ready::Closed => return Ok(false),
                Ready::Nothing => {}
            }
        }
        Ok(false)
    }

    /// Tells the client of an error outside a statement; the connection ends with it.
    fn report(&self, outcome: Result<()>) -> Result<()> {
        if let Err(e) = &outcome {
            self.writer.send(&packets::exception(e))?;
        }
        outcome
    }

    fn greet(&mut self, peer: SocketAddr) -> Result<()> {
        match self.reader.peek()? {
            client::HELLO => self.reader.u8()?,
            other => return Err(nonsense(&format!("packet {other} instead of a greeting"))),
        };
        let hello = packets::read_hello(&mut self.reader)?;
        let user = if hello.user.is_empty() { "default" } else { &hello.user };
        self.user = authenticate(&self.server, user, &hello.password, peer.ip())?;
        self.revision = hello.revision;
        self.session.database = Some(hello.database).filter(|d| !d.is_empty());
        self.writer.send(&packets::hello(self.revision))?;
        if self.revision >= packets::ADDENDUM {
            let (comes, goes) = packets::read_addendum(&mut self.reader, self.revision)?;
            if comes {
                self.reader.begin_chunks();
            }
            if goes {
                self.writer.begin_chunks();
            }
        }
        if let Some(database) = &self.session.database {
            statement::known_database(&self.server, database)?;
        }
        tracing::debug!("{} connected from {peer}, revision {}", hello.client, self.revision);
        Ok(())
    }

    /// Whether the client begins with `GET`, `POST`, …: then it is told where HTTP is spoken.
    fn speaks_http(&mut self) -> Result<bool> {
        if !self.reader.peek()?.is_ascii_uppercase() {
            return Ok(false);
        }
        let config = &self.server.config;
        self.writer.send(
            format!(
                "HTTP/1.0 400 Bad Request\r\n\r\nPort {} is for clickhouse-client program\r\nYou must use port {} for HTTP.\r\n",
                config.tcp_port, config.http_port
            )
            .as_bytes(),
        )?;
        Ok(true)
    }

    /// One packet between statements.
    fn packet(&mut self) -> Result<()> {
        match self.reader.u8()? {
            client::QUERY => {
                self.skip_data = false;
                let query = packets::read_query(&mut self.reader, self.revision)?;
                self.query(query)
            }
            client::PING => self.writer.send(&[server::PONG]),
            client::TABLES_STATUS => {
                let mut tables = packets::read_tables(&mut self.reader)?;
                let state = self.server.store.snapshot();
                tables.retain(|(database, table)| state.table(database, table).is_some());
                self.writer.send(&packets::tables_status(&tables))
            }
            // Too late for the statement that it meant.
            client::CANCEL => Ok(()),
            client::DATA if self.skip_data => {
                let table = self.reader.text()?;
                let block = self.reader.block(self.revision, self.compressed)?;
                self.skip_data = !(table.is_empty() && block.columns.is_empty());
                Ok(())
            }
            other => Err(nonsense(&format!("packet {other} between queries"))),
        }
    }

    /// The blocks behind a query, up to the empty one: tables that come with it.
    fn external_tables(&mut self, compressed: bool) -> Result<ExternalTables> {
        let mut tables = ExternalTables::default();
        loop {
            let kind = self.reader.u8()?;
            if kind != client::DATA {
                return Err(nonsense(&format!("packet {kind} behind a query")));
            }
            let table = self.reader.text()?;
            let block = self.reader.block(self.revision, compressed)?;
            if block.columns.is_empty() && table.is_empty() {
                return Ok(tables);
            }
            tables.push(if table.is_empty() { "_data" } else { &table }, block)?;
        }
    }

    fn query(&mut self, query: Query) -> Result<()> {
        self.compressed = query.compressed;
        let external = self.external_tables(query.compressed)?;
        if let Some(e) = &query.refused {
            return self.writer.send(&packets::exception(e));
        }
        let exchange = Arc::new(Exchange::default());
        let context = Arc::new(OnceLock::new());
        let (feed, fed) = sync_channel(FEED_BLOCKS_MAX);
        let output = NativeOutput {
            writer: self.writer.clone(),
            exchange: exchange.clone(),
            revision: self.revision,
            context: context.clone(),
            method: query.method(),
            has_result: false,
            rows: 0,
            blocks: 0,
            bytes: 0,
        };
        let query_id = match query.id.is_empty() {
            true => Uuid::new_v4().to_string(),
            false => query.id,
        };
        let level = |settings: &Settings| settings.get("send_logs_level").map(str::to_string);
        let level = level(&query.settings).or_else(|| level(&self.session.settings));
        let log = StatementLog::of(level.as_deref(), &self.writer, self.revision, &query_id);
        let work = Work {
            server: self.server.clone(),
            log,
            request: Request {
                query_id,
                user: self.user.clone(),
                settings: query.settings,
                parameters: query.parameters,
                external_tables: external.blocks()?,
                origin: Origin { interface: 1, trace: query.trace, ..Origin::default() },
                ..Request::default()
            },
            session: std::mem::take(&mut self.session),
            input: Input {
                text: query.text.into_bytes(),
                rest: Box::new(FeedReader::new(fed)),
                announced: None,
            },
            output,
            context: context.clone(),
        };
        let worker = std::thread::Builder::new()
            .name("native-query".into())
            .stack_size(STACK_BYTES)
            .spawn(move || work.run());
        let worker = worker.map_err(|e| {
            Error::new(codes::CANNOT_SCHEDULE_TASK, format!("Cannot start a thread: {e}"))
        })?;
        let watched = self.watch(&worker, &exchange, &context, feed, query.compressed);
        if watched.is_err()
            && let Some(context) = context.get()
        {
            context.cancelled.store(true, Ordering::Relaxed);
        }
        match worker.join() {
            Ok(session) => self.session = session,
            Err(_) => {
                return Err(Error::new(
                    codes::LOGICAL_ERROR,
                    "The query's thread ended by a fault",
                ));
            }
        }
        let ended = watched?;
        self.skip_data = exchange.wants_data.load(Ordering::SeqCst) && !ended;
        Ok(())
    }

    /// Serves the socket until the statement has answered. True if an INSERT's data came to its end.
    fn watch(
        &mut self,
        worker: &std::thread::JoinHandle<SessionState>,
        exchange: &Exchange,
        context: &OnceLock<Arc<QueryContext>>,
        feed: SyncSender<Feed>,
        compressed: bool,
    ) -> Result<bool> {
        let mut feed = Some(feed);
        let mut ended = false;
        loop {
            let ready = self.reader.ready(LOOK_EVERY);
            let ready = ready.map_err(|e| Error::new(codes::NETWORK_ERROR, e.to_string()))?;
            let answered = exchange.answered.load(Ordering::SeqCst);
            match ready {
                Ready::Nothing if answered || worker.is_finished() => return Ok(ended),
                Ready::Nothing => self.tell_progress(context.get(), exchange)?,
                Ready::Closed if answered => return Ok(ended),
                Ready::Closed => {
                    return Err(Error::new(codes::NETWORK_ERROR, "the client is gone"));
                }
                Ready::Bytes => match self.reader.peek()? {
                    client::CANCEL => {
                        self.reader.u8()?;
                        exchange.cancelled.store(true, Ordering::SeqCst);
                        if let Some(context) = context.get() {
                            context.cancelled.store(true, Ordering::Relaxed);
                        }
                    }
                    client::DATA if !ended && !answered => {
                        self.reader.u8()?;
                        self.reader.text()?;
                        let block = self.reader.block(self.revision, compressed)?;
                        ended = block.columns.is_empty();
                        let piece = if ended { Feed::End } else { Feed::Bytes(plain(&block)?) };
                        // Fails if the statement has failed: its answer says why.
                        let taken = feed.as_ref().is_some_and(|f| f.send(piece).is_ok());
                        if ended || !taken {
                            feed = None;
                        }
                        if self.revision >= packets::PROFILE_EVENTS_IN_INSERT && taken {
                            self.writer.send(&packets::profile_events(self.revision)?)?;
                        }
                    }
                    client::PING if !answered => {
                        self.reader.u8()?;
                        self.writer.send(&[server::PONG])?;
                    }
                    // The next query: this one is done, if it is.
                    _ if answered => return Ok(ended),
                    other => return Err(nonsense(&format!("packet {other} within a query"))),
                },
            }
        }
    }

    fn tell_progress(
        &self,
        context: Option<&Arc<QueryContext>>,
        exchange: &Exchange,
    ) -> Result<()> {
        let Some(context) = context else { return Ok(()) };
        // Clients take nothing but the end behind the data they send.
        if exchange.wants_data.load(Ordering::SeqCst) {
            return Ok(());
        }
        // Held while sending, so that the last delta comes last.
        let mut told = exchange.told.lock();
        if exchange.answered.load(Ordering::SeqCst) {
            return Ok(());
        }
        let mut now = *told;
        let delta = progress_since(context, &mut now);
        if (Progress { elapsed_ns: 0, ..delta }) == Progress::default() {
            return Ok(());
        }
        *told = now;
        self.writer.send(&packets::progress(&delta, self.revision))
    }
}

fn plain(block: &pumphouse_storage::Block) -> Result<Vec<u8>> {
    let mut bytes = vec![];
    write_block(block, 0, &mut bytes)?;
    Ok(bytes)
}

/// What was done since `told`, which is brought up to now.
fn progress_since(context: &QueryContext, told: &mut Progress) -> Progress {
    let p = &context.progress;
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let now = Progress {
        rows: load(&p.read_rows),
        bytes: load(&p.read_bytes),
        total_rows: load(&p.total_rows_to_read),
        written_rows: load(&p.written_rows),
        written_bytes: load(&p.written_bytes),
        elapsed_ns: context.elapsed().as_nanos() as u64,
    };
    let delta = Progress {
        rows: now.rows.saturating_sub(told.rows),
        bytes: now.bytes.saturating_sub(told.bytes),
        total_rows: now.total_rows.saturating_sub(told.total_rows),
        written_rows: now.written_rows.saturating_sub(told.written_rows),
        written_bytes: now.written_bytes.saturating_sub(told.written_bytes),
        elapsed_ns: now.elapsed_ns.saturating_sub(told.elapsed_ns),
    };
    *told = now;
    delta
}

/// A statement with all that its thread needs.
struct Work {
    server: Arc<Server>,
    log: Option<StatementLog>,
    request: Request,
    session: SessionState,
    input: Input,
    output: NativeOutput,
    context: Arc<OnceLock<Arc<QueryContext>>>,
}

impl Work {
    /// Runs the statement and sends the end of its answer. Gives the session back.
    fn run(mut self) -> SessionState {
        let started = self.context.clone();
        if let Some(log) = &self.log {
            let text = String::from_utf8_lossy(&self.input.text);
            log.began(&crate::process::shown_text(&text));
        }
        let outcome = statement::execute(
            &self.server,
            self.request,
            &mut self.session,
            self.input,
            &mut self.output,
            |context| {
                let _ = started.set(context.clone());
            },
        );
        let output = &self.output;
        let last = match outcome {
            Ok(()) => {
                // Only a result has a profile.
                let limit = self.context.get().and_then(|c| c.progress.before_limit.get());
                let mut last = vec![];
                if output.has_result {
                    let (rows, blocks, bytes) = (output.rows, output.blocks, output.bytes);
                    let revision = output.revision;
                    last.push(packets::profile_info(rows, blocks, bytes, limit, revision));
                }
                // Behind an INSERT with data clients take the end alone, old ones behind any.
                let sent = output.exchange.wants_data.load(Ordering::SeqCst);
                let told = output.has_result || output.revision >= packets::WRITTEN_IN_PROGRESS;
                let tell = told && !sent;
                if let (Some(log), Some(context), false) = (&self.log, self.context.get(), sent) {
                    log.ended(context);
                }
                if let Some(context) = self.context.get().filter(|_| tell) {
                    let delta = progress_since(context, &mut output.exchange.told.lock());
                    last.push(packets::progress(&delta, output.revision));
                }
                last.push(vec![server::END_OF_STREAM]);
                last
            }
            // The client knows why.
            Err(_) if output.exchange.cancelled.load(Ordering::SeqCst) => {
                vec![vec![server::END_OF_STREAM]]
            }
            Err(e) => {
                if let Some(log) = &self.log {
                    log.failed(&e);
                }
                vec![packets::exception(&e)]
            }
        };
        // First the flag: the client may ask again as soon as it has the answer.
        output.exchange.answered.store(true, Ordering::SeqCst);
        // A client that is gone needs no answer.
        let _ = last.iter().try_for_each(|packet| output.writer.send(packet));
        self.session
    }
}
