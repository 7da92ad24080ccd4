//! One running instance: the store, the merges, the Kafka engine and the registries that requests
//! use. Starts in that order, stops in the reverse one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pumphouse_ingest::insert::Inserter;
use pumphouse_ingest::kafka::{KafkaEngine, KafkaEngineConfig};
use pumphouse_query::Result;
use pumphouse_query::bind::SqlExpressions;
use pumphouse_query::catalog::{ExtraTables, StoreCatalog};
use pumphouse_query::context::MemoryTracker;
use pumphouse_query::spill::SpillSpace;
use pumphouse_query::turns::Turns;
use pumphouse_storage::Store;
use pumphouse_storage::clock::{Clock, SystemClock};
use pumphouse_storage::disk::{Disk, MemoryDisk, RealDisk};
use pumphouse_storage::health::scrub::{Scrub, ScrubConfig};
use pumphouse_storage::log::{Commit, Edit, Precondition};
use pumphouse_storage::merge::MergePool;
use pumphouse_storage::mutation::MutationPool;
use pumphouse_storage::store::{StoreConfig, StoreOptions};

use crate::access::AccessControl;
use crate::async_insert::AsyncInserts;
use crate::backups::Backups;
use crate::buffers;
use crate::config::Config;
use crate::dictionaries::{self, Dictionaries};
use crate::follow::Follows;
use crate::logs::{self, SystemLogs};
use crate::process::Processes;
use crate::query_cache::{QueryCache, QueryCacheLimits};
use crate::refresh::{self, Refreshes};
use crate::session::Sessions;
use crate::system_tables::SystemTables;

/// How long a dropped table can be taken back (`database_atomic_delay_before_drop_table_sec`).
const DROPPED_TABLES_KEPT: Duration = Duration::from_secs(480);
/// How long a stop waits for streams: what they have not committed by then is read again. A broker that is gone
/// would hold them up much longer.
const STREAMS_WAIT: Duration = Duration::from_secs(8);

/// Rest between two rounds of the check of all parts.
const SCRUB_PAUSE: Duration = Duration::from_secs(3600);

/// A running instance, shared by all requests.
pub struct Server {
    pub config: Config,
    pub store: Arc<Store>,
    pub clock: Arc<dyn Clock>,
    pub inserter: Arc<Inserter>,
    pub async_inserts: AsyncInserts,
    pub kafka: Arc<KafkaEngine>,
    pub merges: MergePool,
    pub mutations: MutationPool,
    pub scrub: Scrub,
    pub backups: Backups,
    pub dictionaries: Dictionaries,
    pub logs: Arc<SystemLogs>,
    pub refreshes: Refreshes,
    pub query_cache: QueryCache,
    pub follows: Follows,
    pub processes: Arc<Processes>,
    /// Queries that go on for more than a moment wait in line.
    pub turns: Arc<Turns>,
    pub sessions: Arc<Sessions>,
    pub access: AccessControl,
    pub memory: Arc<MemoryTracker>,
    /// Temporary files of queries.
    pub spill: Arc<SpillSpace>,
    pub started: Instant,
    pub stopping: AtomicBool,
    system_tables: Arc<SystemTables>,
}

impl Server {
    /// Opens the data directory, recovers, and starts merges and consumers.
    pub fn start(config: Config) -> Result<Arc<Server>> {
        pumphouse_ingest::format::install_row_writer();
        let folder = Arc::new(RealDisk::open(&config.data_dir)?);
        let disk: Arc<dyn Disk> = match config.in_memory {
            true => Arc::new(MemoryDisk::default()),
            false => folder.clone(),
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let store = Store::open(StoreOptions {
            disk,
            clock: clock.clone(),
            compiler: Arc::new(SqlExpressions),
            config: StoreConfig {
                keep_free_bytes: config.keep_free_space_bytes,
                mark_cache_bytes: config.mark_cache_size,
                uncompressed_cache_bytes: config.uncompressed_cache_size,
                ..StoreConfig::default()
            },
        })?;
        // What was not acknowledged is for recovery to decide; nothing may go on without the log.
        store.set_failure_hook(Box::new(|reason| {
            eprintln!("pumphouse: the commit log failed, ending at once: {reason}");
            std::process::abort();
        }));
        pumphouse_ingest::format::schema_files::set_folder(&config.format_schemas_dir());
        pumphouse_ingest::kafka::macros::set_macros(config.macros.clone());
        let spill = SpillSpace::open(folder)?;
        create_default_database(&store)?;
        forget_memory_tables(&store)?;
        let memory = MemoryTracker::new(config.server_memory_bytes());
        if let Err(e) = crate::process_memory::watch(&memory) {
            tracing::warn!("queries do not see what else the server holds: {e}");
        }
        let system_tables = Arc::new(SystemTables::default());
        let extra: Arc<dyn ExtraTables> = system_tables.clone();
        let inserter = Arc::new(Inserter::new(store.clone(), Some(extra), clock.clone()));
        let merges = MergePool::start(store.clone(), config.background_pool_size);
        let mutations = MutationPool::start(store.clone(), DROPPED_TABLES_KEPT);
        let kafka = KafkaEngine::start(
            store.clone(),
            inserter.clone(),
            KafkaEngineConfig {
                pool_size: config.background_message_broker_schedule_pool_size,
                memory: Some(memory.clone()),
                in_flight_folder: Some(config.data_dir.join("in_flight")),
                memory_bytes: config.server_memory_bytes(),
                ..KafkaEngineConfig::default()
            },
        );
        let scrub = Scrub::start(
            store.clone(),
            ScrubConfig { bytes_per_second: config.scrub_bytes_per_second, pause: SCRUB_PAUSE },
        );
        let async_inserts = AsyncInserts::start(inserter.clone(), memory.clone(), clock.clone())?;
        let logs = Arc::new(SystemLogs::new(config.kept_logs().unwrap_or_default()));
        if logs.keeps(logs::Log::Text) {
            logs::text::want();
        }
        let server = Arc::new(Server {
            async_inserts,
            scrub,
            backups: Backups::default(),
            dictionaries: Dictionaries::default(),
            logs: logs.clone(),
            refreshes: Refreshes::default(),
            query_cache: QueryCache::new(QueryCacheLimits {
                bytes: config.query_cache_max_size_in_bytes,
                entries: config.query_cache_max_entries,
                entry_bytes: config.query_cache_max_entry_size_in_bytes,
                entry_rows: config.query_cache_max_entry_size_in_rows,
            }),
            follows: Follows::default(),
            processes: Arc::new(Processes::new(config.max_concurrent_queries, logs.clone())),
            turns: Arc::default(),
            sessions: Arc::default(),
            access: AccessControl::default(),
            started: Instant::now(),
            stopping: AtomicBool::new(false),
            config,
            store,
            clock,
            inserter,
            kafka,
            merges,
            mutations,
            memory,
            spill,
            system_tables: system_tables.clone(),
        });
        system_tables.attach(&server);
        dictionaries::start_reloading(&server)?;
        logs::start(&server)?;
        refresh::start(&server)?;
        server.inserter.buffers().set_memory(server.memory.clone());
        buffers::start(&server)?;
        Ok(server)
    }

    /// The catalog at the newest version.
    pub fn catalog(&self) -> StoreCatalog {
        StoreCatalog {
            store: self.store.clone(),
            state: self.store.snapshot(),
            extra: Some(self.system_tables.clone()),
        }
    }

    /// Commits a change of definitions and lets consumers follow it.
    pub fn commit_ddl(&self, commit: Commit) -> Result<u64> {
        let version = self.store.commit(commit, vec![])?;
        self.follow_ddl()?;
        Ok(version)
    }

    /// Lets consumers and garbage follow a committed change of definitions.
    pub fn follow_ddl(&self) -> Result<()> {
        self.kafka.sync();
        self.store.collect_garbage()?;
        Ok(())
    }

    /// Stops consumers (finishing or abandoning their blocks), merges and queries, and closes the
    /// store. Safe to call twice.
    pub fn stop(self: &Arc<Self>) {
        if self.stopping.swap(true, Ordering::SeqCst) {
            return;
        }
        // Their clients wait for a commit, not for an error.
        self.async_inserts.close();
        self.processes.kill_all();
        self.kafka.shutdown(STREAMS_WAIT);
        self.refreshes.cancel_all();
        self.backups.cancel_all();
        self.scrub.stop();
        buffers::stop(self);
        self.merges.stop();
        self.mutations.stop();
        self.logs.stop(self);
        self.store.close();
    }
}

/// What Memory tables held is gone when a new process begins, as their users expect.
fn forget_memory_tables(store: &Store) -> Result<()> {
    let state = store.snapshot();
    let full = state.tables.values().filter(|t| t.definition.engine == "Memory");
    let edits: Vec<Edit> = full
        .flat_map(|t| {
            let table = t.definition.uuid;
            t.parts.iter().map(move |p| Edit::RemovePart { table, part: p.id })
        })
        .collect();
    if !edits.is_empty() {
        store.commit(Commit { preconditions: vec![], edits }, vec![])?;
    }
    Ok(())
}

/// A new data directory begins with the database `default`.
fn create_default_database(store: &Store) -> Result<()> {
    if store.snapshot().databases.contains_key("default") {
        return Ok(());
    }
    store.commit(
        Commit {
            preconditions: vec![Precondition::DatabaseNameFree { name: "default".into() }],
            edits: vec![Edit::CreateDatabase {
                name: "default".into(),
                engine: "Atomic".into(),
                comment: String::new(),
            }],
        },
        vec![],
    )?;
    Ok(())
}
