//! What the log's tests share: stores over a given disk, small definitions, made-up parts.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::Result;
use crate::clock::ManualClock;
use crate::disk::Disk;
use crate::expression::ColumnNames;
use crate::log::{
    ColumnDefault, ColumnDefinition, Commit, ConstraintDefinition, DefaultKind, Edit,
    IndexDefinition, PartMeta, Precondition, ProjectionDefinition, TableClauses, TableDefinition,
    TtlRule, TtlRuleAction,
};
use crate::part::PendingPart;
use crate::store::{Store, StoreConfig, StoreOptions};
use crate::types::DataType;

/// A small log that checkpoints often, without threads.
pub fn small_config() -> StoreConfig {
    StoreConfig {
        log_preallocate_bytes: 16 << 10,
        checkpoint_bytes: 32 << 10,
        parallel: false,
        ..StoreConfig::default()
    }
}

pub fn open_with(disk: Arc<dyn Disk>, config: StoreConfig) -> Result<Arc<Store>> {
    Store::open(StoreOptions {
        disk,
        clock: Arc::new(ManualClock::default()),
        compiler: Arc::new(ColumnNames),
        config,
    })
}

pub fn open(disk: Arc<dyn Disk>) -> Result<Arc<Store>> {
    open_with(disk, small_config())
}

pub fn table_id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub fn definition(number: u128, database: &str, name: &str) -> TableDefinition {
    let column = |id: u32, name: &str, data_type: DataType| ColumnDefinition {
        id,
        name: name.into(),
        data_type,
        default: None,
        comment: String::new(),
        codec: String::new(),
        ttl: String::new(),
    };
    let mut flag = column(2, "flag", DataType::array(DataType::nullable(DataType::Bool)));
    flag.default =
        Some(ColumnDefault { kind: DefaultKind::Materialized, expression: "[key = 1]".into() });
    TableDefinition {
        uuid: table_id(number),
        database: database.into(),
        name: name.into(),
        engine: "MergeTree".into(),
        columns: vec![column(1, "key", DataType::UInt64), flag],
        sorting_key: vec!["key".into()],
        primary_key: vec!["key".into()],
        partition_key: vec![],
        settings: BTreeMap::from([("index_granularity".into(), "8192".into())]),
        select: None,
        target: None,
        source: None,
        comment: "a \u{2192} b".into(),
        create_query: format!("CREATE TABLE {database}.{name}"),
        clauses: clauses(),
    }
}

/// One of each.
fn clauses() -> TableClauses {
    let rule = |action| TtlRule { expression: "time + 1".into(), action };
    TableClauses {
        engine_arguments: vec!["version".into()],
        sample_by: Some("key".into()),
        ttl: vec![
            rule(TtlRuleAction::Delete { condition: Some("key = 2".into()) }),
            rule(TtlRuleAction::Recompress { codec: "CODEC(ZSTD(3))".into() }),
            rule(TtlRuleAction::Move { target: "DISK 'cold'".into() }),
            rule(TtlRuleAction::GroupBy {
                keys: vec!["key".into()],
                set: vec![("flag".into(), "any(flag)".into())],
            }),
        ],
        indexes: vec![IndexDefinition {
            name: "i".into(),
            expression: "flag".into(),
            index_type: "bloom_filter(0.01)".into(),
            granularity: 4,
        }],
        projections: vec![ProjectionDefinition {
            name: "p".into(),
            select: "SELECT key ORDER BY flag".into(),
        }],
        constraints: vec![ConstraintDefinition {
            name: "c".into(),
            assume: true,
            expression: "key > 0".into(),
        }],
    }
}

pub fn create_database(name: &str) -> Commit {
    Commit {
        preconditions: vec![Precondition::DatabaseNameFree { name: name.into() }],
        edits: vec![Edit::CreateDatabase {
            name: name.into(),
            engine: "Atomic".into(),
            comment: String::new(),
        }],
    }
}

pub fn create_table(definition: TableDefinition) -> Commit {
    Commit {
        preconditions: vec![Precondition::TableNameFree {
            database: definition.database.clone(),
            name: definition.name.clone(),
        }],
        edits: vec![Edit::CreateTable { definition: Arc::new(definition) }],
    }
}

pub fn edits(edits: Vec<Edit>) -> Commit {
    Commit { preconditions: vec![], edits }
}

/// The contents of a made-up part: not a real part file, but recognizable.
pub fn part_contents(meta: &PartMeta) -> Vec<u8> {
    format!("{} of {} rows {}\n", meta.id, meta.table, meta.rows).repeat(40).into_bytes()
}

/// A made-up part, written and synced.
pub fn write_part(store: &Store, table: Uuid, rows: u64) -> Result<PendingPart> {
    let mut meta = part_meta(table, rows);
    meta.id = store.new_part_id();
    let contents = part_contents(&meta);
    meta.bytes = contents.len() as u64;
    let mut file = store.disk().create(&meta.path())?;
    let part = PendingPart::new(meta, store.disk().clone());
    file.append(&contents)?;
    file.sync()?;
    Ok(part)
}

pub fn part_meta(table: Uuid, rows: u64) -> PartMeta {
    PartMeta {
        id: crate::log::PartId { epoch: 1, number: 1 },
        table,
        partition_id: "all".into(),
        rows,
        bytes: 100,
        bytes_uncompressed: 300,
        footer_hash: 0x0123_4567_89ab_cdef,
        min_block: 0,
        max_block: 0,
        level: 0,
        created_us: 1_700_000_000_000_000,
        data_version: 0,
        mask: None,
        ttl_seconds: None,
    }
}
