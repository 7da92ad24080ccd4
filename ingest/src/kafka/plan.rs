//! What the threads of one running Kafka table share: the table as it was when they started, checked
//! settings and limits. Immutable; a changed table gets new threads with a new plan.

use std::sync::Arc;
use std::time::Duration;

use pumphouse_query::catalog::SourceColumn;
use pumphouse_query::context::{MemoryTracker, Settings};
use pumphouse_query::error::Result;
use pumphouse_storage::clock::Clock;
use pumphouse_storage::log::{Commit, DefaultKind, Edit, Precondition, Table, TableDefinition};
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, DataType, Store};

use super::backoff::Signal;
use super::client::Polling;
use super::dead_letters::{self, DeadLetter};
use super::events::Events;
use super::settings::{ErrorMode, KafkaSettings};
use super::virtual_columns::{self, Virtual};
use crate::block_builder::FlushLimits;
use crate::format::{FormatOptions, FormatReader, InputColumn};
use crate::materialized_view;

/// Bytes of a block per consumer, and the share of the memory that the blocks of all consumers at work are
/// together: each has three under way, and their parts are sorted and packed beside them.
const BLOCK_BYTES_MAX: u64 = 64 << 20;
const BLOCK_BYTES_MIN: u64 = 1 << 20;
const BLOCK_SHARE: u64 = 32;

/// What the server gives to all Kafka tables.
#[derive(Clone)]
pub struct KafkaEngineConfig {
    /// `background_message_broker_schedule_pool_size`.
    pub pool_size: usize,
    /// The default profile: `max_insert_block_size`, `stream_flush_interval_ms`, format settings, ….
    pub settings: Settings,
    pub time_zone: TimeZone,
    /// Charged for the views' queries.
    pub memory: Option<Arc<MemoryTracker>>,
    /// What the process may use: blocks and the client's queues are smaller where it is little.
    pub memory_bytes: u64,
    pub polling: Polling,
    /// What consumers of this engine are called in their groups, before the table and their number;
    /// two engines on one store need two names.
    pub instance: String,
    /// Where consumers note what they have in work; None: nowhere.
    pub in_flight_folder: Option<std::path::PathBuf>,
    /// What happened, for `system.kafka_events`.
    pub events: Arc<Events>,
    /// Makes the reader of a format.
    pub reader: fn(&str, &[InputColumn], &FormatOptions) -> Result<Box<dyn FormatReader>>,
}

impl Default for KafkaEngineConfig {
    fn default() -> KafkaEngineConfig {
        KafkaEngineConfig {
            pool_size: 16,
            settings: Settings::default(),
            time_zone: TimeZone::UTC,
            memory: None,
            memory_bytes: u64::MAX,
            polling: Polling::default(),
            instance: "pumphouse".into(),
            in_flight_folder: None,
            events: Arc::default(),
            reader: crate::format::reader,
        }
    }
}

/// `stream_flush_interval_ms` unless set. ClickHouse's is 7500; ours is made for freshness.
const FLUSH_INTERVAL_MS: u64 = 500;
const POLL_TIMEOUT_MS: u64 = 500;
const MAX_INSERT_BLOCK_SIZE: u64 = 1_048_449;
const MAX_BLOCK_SIZE: u64 = 65_409;

/// One running table.
pub(super) struct TablePlan {
    pub(super) store: Arc<Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) table: Arc<Table>,
    pub(super) settings: KafkaSettings,
    pub(super) config: KafkaEngineConfig,
    /// Columns that messages are parsed into.
    pub(super) columns: Vec<(String, DataType)>,
    /// Virtual columns that views may ask for.
    pub(super) virtuals: Vec<Virtual>,
    /// All columns as views see them.
    pub(super) source_columns: Vec<SourceColumn>,
    pub(super) limits: FlushLimits,
    /// Blocks may go before they are old: nobody said for how long they are to gather.
    pub(super) settles: bool,
    pub(super) poll_timeout: Duration,
    pub(super) poll_messages_max: usize,
}

impl TablePlan {
    pub(super) fn new(
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        table: Arc<Table>,
        config: KafkaEngineConfig,
    ) -> Result<TablePlan> {
        let definition = &table.definition;
        let mut settings = KafkaSettings::from_settings(&definition.settings)?;
        settings.expand_macros(definition)?;
        let columns = parsed_columns(definition);
        let virtuals = virtual_columns::all(settings.error_mode == ErrorMode::Stream, &columns);
        let mut source_columns = materialized_view::source_columns(definition);
        source_columns.extend(virtual_columns::source_columns(&virtuals));
        let limits = limits(&settings, &config);
        let interval = config.settings.get("stream_flush_interval_ms");
        let settles = settings.flush_interval_ms == 0 && interval.is_none();
        let pick = |own: u64, name: &str, default| match own {
            0 => config.settings.u64(name, default),
            own => own,
        };
        let poll_timeout_ms =
            pick(settings.poll_timeout_ms, "stream_poll_timeout_ms", POLL_TIMEOUT_MS);
        let poll_max =
            pick(settings.poll_max_batch_size as u64, "max_block_size", MAX_BLOCK_SIZE) as usize;
        let plan = TablePlan {
            poll_messages_max: poll_max.clamp(1, limits.rows.max(1)),
            poll_timeout: Duration::from_millis(poll_timeout_ms.clamp(1, 10_000)),
            store,
            clock,
            table,
            settings,
            config,
            columns,
            virtuals,
            source_columns,
            limits,
            settles,
        };
        plan.reader()?;
        if plan.settings.error_mode != ErrorMode::Default
            && plan.settings.dead_letter_table.is_none()
        {
            dead_letters::ensure(&plan.store)?;
        }
        Ok(plan)
    }

    /// The table that takes dead letters: database and name.
    pub(super) fn letter_table(&self) -> (&str, &str) {
        match &self.settings.dead_letter_table {
            None => dead_letters::TABLE,
            Some((database, name)) if database.is_empty() => {
                (&self.table.definition.database, name)
            }
            Some((database, name)) => (database, name),
        }
    }

    pub(super) fn letter_rows(&self, letters: &[DeadLetter]) -> Result<Block> {
        let (format, now_us) = (&self.settings.format, self.clock.now_us());
        dead_letters::block(letters, &self.table.definition, format, now_us)
    }

    /// Pauses the table for good, for a reason that only an operator can judge. Its threads end.
    pub(super) fn stop_table(&self, signal: &Signal, reason: &str) {
        let table = self.table.definition.uuid;
        let commit = Commit {
            preconditions: vec![Precondition::TableExists { table }],
            edits: vec![Edit::StopStream { table, reason: reason.to_string() }],
        };
        if let Err(e) = self.store.commit(commit, vec![]) {
            tracing::warn!(table = %table, "the pause could not be recorded: {e}");
        }
        self.config.events.tell(
            self.clock.now_us(),
            &self.table.definition,
            "paused",
            &format!("{reason}. SYSTEM START {} goes on", self.table.definition.full_name()),
        );
        signal.stop();
    }

    /// A reader of the table's format.
    pub(super) fn reader(&self) -> Result<Box<dyn FormatReader>> {
        let columns: Vec<InputColumn> = self
            .columns
            .iter()
            .map(|(name, data_type)| InputColumn {
                name: name.clone(),
                data_type: data_type.clone(),
            })
            .collect();
        let mut options = FormatOptions {
            settings: self.config.settings.clone(),
            time_zone: self.config.time_zone,
        };
        for (name, value) in &self.settings.format_settings {
            options.settings.set(name.clone(), value.clone());
        }
        if !self.settings.schema.is_empty() {
            options.settings.set("format_schema", self.settings.schema.clone());
        }
        (self.config.reader)(&self.settings.format, &columns, &options)
    }

    /// Virtual columns that the views attached now may use.
    pub(super) fn wanted_virtuals(&self) -> Vec<Virtual> {
        let state = self.store.snapshot();
        let definition = &self.table.definition;
        let views = state.views_of(&definition.database, &definition.name);
        let texts = views.iter().filter_map(|v| v.definition.select.as_deref());
        virtual_columns::used_by(&self.virtuals, texts)
    }

    /// What consumer `number` of this table is called in its group, for as long as the table lives.
    pub(super) fn instance_id(&self, number: usize) -> String {
        format!("{}-{}-{number}", self.config.instance, self.table.definition.uuid)
    }

    /// The client's id of consumer `number`.
    pub(super) fn client_id(&self, number: usize) -> String {
        let definition = &self.table.definition;
        let base = match self.settings.client_id.as_str() {
            "" => format!("pumphouse-{}-{}", definition.database, definition.name),
            own => own.to_string(),
        };
        if self.settings.num_consumers > 1 { format!("{base}-{number}") } else { base }
    }
}

fn limits(settings: &KafkaSettings, config: &KafkaEngineConfig) -> FlushLimits {
    let profile = &config.settings;
    let rows = match settings.max_block_size {
        0 => {
            let all = profile.u64("max_insert_block_size", MAX_INSERT_BLOCK_SIZE) as usize;
            (all / settings.num_consumers).max(1)
        }
        own => own,
    };
    let age_ms = match settings.flush_interval_ms {
        0 => profile.u64("stream_flush_interval_ms", FLUSH_INTERVAL_MS),
        own => own,
    };
    FlushLimits {
        rows,
        bytes: block_bytes(config.memory_bytes, 1) as usize,
        age: Duration::from_millis(age_ms.clamp(1, 3_600_000)),
    }
}

/// Bytes of a block where the process may use so much and so many consumers are at work.
pub(super) fn block_bytes(memory_bytes: u64, consumers: usize) -> u64 {
    let share = memory_bytes / BLOCK_SHARE / consumers.max(1) as u64;
    share.clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX)
}

/// The columns that messages give: all but ALIAS.
fn parsed_columns(definition: &TableDefinition) -> Vec<(String, DataType)> {
    let is_alias = |d: &pumphouse_storage::log::ColumnDefault| d.kind == DefaultKind::Alias;
    definition
        .columns
        .iter()
        .filter(|c| !c.default.as_ref().is_some_and(is_alias))
        .map(|c| (c.name.clone(), c.data_type.clone()))
        .collect()
}
