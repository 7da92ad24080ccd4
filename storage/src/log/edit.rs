//! What a commit is made of: edits to the server's state, and the preconditions under which they
//! may be applied. One [`Commit`] is atomic over everything it touches.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::change::Change;
use crate::types::DataType;

/// One atomic change of the server's state.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    pub preconditions: Vec<Precondition>,
    pub edits: Vec<Edit>,
}

/// A change to the state. Applied by `state::State::apply`, which cannot fail once the
/// preconditions held.
#[derive(Debug, Clone)]
pub enum Edit {
    /// A server process began to serve; its number is part of every part id it creates.
    Epoch {
        epoch: u32,
        wall_us: u64,
    },
    CreateDatabase {
        name: String,
        engine: String,
        comment: String,
    },
    DropDatabase {
        name: String,
    },
    RenameDatabase {
        from: String,
        to: String,
    },
    /// A new table (of any engine, views included).
    CreateTable {
        definition: Arc<TableDefinition>,
    },
    /// Removes the table, its parts, offsets and tokens.
    DropTable {
        table: Uuid,
    },
    /// Replaces the definition (ALTER, RENAME, EXCHANGE); the uuid stays.
    AlterTable {
        definition: Arc<TableDefinition>,
    },
    /// Takes a table out of service but keeps everything it owns.
    DetachTable {
        table: Uuid,
    },
    AttachTable {
        table: Uuid,
    },
    AddPart {
        part: Arc<PartMeta>,
    },
    RemovePart {
        table: Uuid,
        part: PartId,
    },
    /// The stream table `table` has consumed `topic`/`kafka_partition` up to before `next`.
    AdvanceOffset {
        table: Uuid,
        topic: String,
        kafka_partition: i32,
        next: i64,
        wall_us: u64,
    },
    /// Offsets `from..to` are gone for good (retention, truncation), by policy, with the reason.
    Gap {
        table: Uuid,
        topic: String,
        kafka_partition: i32,
        from: i64,
        to: i64,
        reason: String,
    },
    /// An insert with this deduplication token is in; repeats of it are ignored.
    Token {
        table: Uuid,
        token: String,
    },
    /// Consumption of a stream table is paused by an operator (or resumed).
    PauseStream {
        table: Uuid,
        paused: bool,
    },
    /// A function written in SQL, as the canonical text of its lambda; replaces one of that name.
    CreateFunction {
        name: String,
        lambda: String,
    },
    DropFunction {
        name: String,
    },
    /// Values under a name, for definitions to refer to; replaces the collection of that name.
    PutNamedCollection {
        name: String,
        values: BTreeMap<String, NamedValue>,
    },
    DropNamedCollection {
        name: String,
    },
    /// A user, a role or what else says who may do what, as text that storage does not read; replaces the
    /// one of that identity.
    PutAccessEntity {
        id: Uuid,
        definition: String,
    },
    DropAccessEntity {
        id: Uuid,
    },
    /// Masks, mutations, partition operations, tables dropped and taken back.
    Change(Change),
    /// Consumption was paused by the server itself, for this reason. Ended like any pause.
    StopStream {
        table: Uuid,
        reason: String,
    },
    /// What the broker calls the topic that offsets are counted in; nil: not known. A topic that is
    /// deleted and created anew has another id.
    StreamTopic {
        table: Uuid,
        topic: String,
        id: Uuid,
    },
    /// An operator moved a stream: it goes on at `next`, whatever was consumed.
    SeekStream {
        table: Uuid,
        topic: String,
        kafka_partition: i32,
        next: i64,
        wall_us: u64,
    },
    /// What was consumed there is of no more use: the place (a file) is gone or has another name.
    ForgetOffset {
        table: Uuid,
        topic: String,
        kafka_partition: i32,
    },
}

/// One value of a named collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedValue {
    pub text: String,
    /// Whether a definition may give another value; None: as the server's default is.
    pub overridable: Option<bool>,
}

/// What must still hold when the committer reaches the commit; else the whole commit is rejected.
#[derive(Debug, Clone)]
pub enum Precondition {
    /// No table or view of that name.
    TableNameFree {
        database: String,
        name: String,
    },
    DatabaseNameFree {
        name: String,
    },
    DatabaseExists {
        name: String,
    },
    /// The database holds no tables.
    DatabaseEmpty {
        name: String,
    },
    /// The table is there, attached, and its definition has not changed since `definition_version`.
    TableUnchanged {
        table: Uuid,
        definition_version: u64,
    },
    TableExists {
        table: Uuid,
    },
    /// The set of views reading from `database.name` has not changed since `views_version`.
    ViewsUnchanged {
        database: String,
        name: String,
        views_version: u64,
    },
    /// Compare-and-swap on a stream offset; `None` means that none is stored yet.
    OffsetEquals {
        table: Uuid,
        topic: String,
        kafka_partition: i32,
        expected: Option<i64>,
    },
    /// A stream has offsets of so many partitions: none was taken up or forgotten.
    OffsetCount {
        table: Uuid,
        count: usize,
    },
    TokenAbsent {
        table: Uuid,
        token: String,
    },
    /// All these parts are live, whatever their masks.
    PartsLive {
        table: Uuid,
        parts: Vec<PartId>,
    },
    /// All these parts are live with these masks and data versions (merges, mutations, deletes).
    PartsAs {
        table: Uuid,
        parts: Vec<Arc<PartMeta>>,
    },
    /// Every part has been through every mutation.
    MutationsDone {
        table: Uuid,
    },
    /// The table was dropped and can still be taken back.
    TableDropped {
        table: Uuid,
    },
    /// The part is among the table's detached ones.
    PartDetached {
        table: Uuid,
        part: PartId,
    },
}

/// Why a commit was rejected. Nothing of it was applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("Table {database}.{name} already exists")]
    TableExists { database: String, name: String },
    #[error("Database {0} already exists")]
    DatabaseExists(String),
    #[error("Database {0} does not exist")]
    UnknownDatabase(String),
    #[error("Database {0} is not empty")]
    DatabaseNotEmpty(String),
    #[error("Table {0} does not exist")]
    UnknownTable(String),
    #[error("The definition of table {0} was changed meanwhile")]
    DefinitionChanged(String),
    #[error("The views of {0} were changed meanwhile")]
    ViewsChanged(String),
    #[error(
        "offset of {topic}[{kafka_partition}] is {stored:?}, this block begins at {expected:?}: \
         another consumer committed it"
    )]
    OffsetMoved { topic: String, kafka_partition: i32, stored: Option<i64>, expected: Option<i64> },
    #[error("partitions of a stream were taken up or forgotten meanwhile")]
    PartitionsChanged,
    #[error("an insert with token {0} is already in")]
    DuplicateToken(String),
    #[error("part {0} was replaced meanwhile")]
    PartGone(PartId),
    #[error("table {0} has mutations that are not done yet")]
    MutationsPending(String),
}

/// Identifies a part for ever: the epoch of the process that wrote it and a counter. Never reused,
/// also its file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartId {
    pub epoch: u32,
    pub number: u32,
}

impl std::fmt::Display for PartId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}{:08x}", self.epoch, self.number)
    }
}

/// What the log says about a part; everything else is in the part's own footer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartMeta {
    pub id: PartId,
    pub table: Uuid,
    /// ClickHouse's partition id: `all`, `202511`, or a hash of the partition key.
    pub partition_id: String,
    pub rows: u64,
    /// Size of the file.
    pub bytes: u64,
    pub bytes_uncompressed: u64,
    /// Hash of the footer (which holds checksums of all the rest): what recovery verifies.
    pub footer_hash: u64,
    /// Range of block numbers in it; assigned when the commit is applied if `level` is 0.
    pub min_block: u64,
    pub max_block: u64,
    /// How many merges deep.
    pub level: u32,
    pub created_us: u64,
    /// The newest mutation (by its number) that its rows have been through; 0 for none.
    pub data_version: u64,
    /// Rows deleted since the file was written, in an immutable file beside it.
    pub mask: Option<MaskMeta>,
    /// Earliest and latest second at which a TTL of its rows runs out; None without a TTL.
    pub ttl_seconds: Option<(i64, i64)>,
}

/// A file that says which rows of a part are deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskMeta {
    /// The file's name; drawn from the same numbers as parts.
    pub id: PartId,
    pub deleted_rows: u64,
    pub bytes: u64,
    /// Hash of the whole file.
    pub hash: u64,
}

impl PartMeta {
    /// The name ClickHouse would show: `<partition>_<min>_<max>_<level>`, and the number of the
    /// newest mutation where it is younger than the part's first block.
    pub fn name(&self) -> String {
        let name =
            format!("{}_{}_{}_{}", self.partition_id, self.min_block, self.max_block, self.level);
        if self.data_version > self.min_block {
            return format!("{name}_{}", self.data_version);
        }
        name
    }

    /// Rows that are not deleted.
    pub fn rows_live(&self) -> u64 {
        self.rows - self.mask.as_ref().map_or(0, |m| m.deleted_rows.min(self.rows))
    }

    /// Path below the data directory.
    pub fn path(&self) -> String {
        part_path(self.id)
    }
}

/// Path of a part's file below the data directory.
pub fn part_path(id: PartId) -> String {
    format!("parts/{id}.part")
}

/// Path of a mask's file below the data directory.
pub fn mask_path(id: PartId) -> String {
    format!("parts/{id}.mask")
}

/// A table's definition, whatever its engine. Immutable; a change is a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDefinition {
    pub uuid: Uuid,
    pub database: String,
    pub name: String,
    /// `MergeTree`, `Kafka`, `MaterializedView`, `View`, `Memory`, `Null` …
    pub engine: String,
    pub columns: Vec<ColumnDefinition>,
    /// Expression texts; empty for `ORDER BY tuple()`.
    pub sorting_key: Vec<String>,
    /// A prefix of the sorting key; equals it unless PRIMARY KEY was given.
    pub primary_key: Vec<String>,
    /// Expression texts; empty without PARTITION BY.
    pub partition_key: Vec<String>,
    /// Engine settings as given (`kafka_*`, `index_granularity`, …); secrets are in here.
    pub settings: BTreeMap<String, String>,
    /// The SELECT of a view, in canonical SQL.
    pub select: Option<String>,
    /// Where a materialized view writes: `(database, name)`.
    pub target: Option<(String, String)>,
    /// What a materialized view reads its blocks from: `(database, name)`.
    pub source: Option<(String, String)>,
    pub comment: String,
    /// The canonical CREATE statement, for SHOW CREATE (secrets hidden).
    pub create_query: String,
    /// What only some engines have.
    pub clauses: TableClauses,
}

/// The clauses of CREATE TABLE that only some engines have. Expressions are canonical texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableClauses {
    /// `ver, is_deleted` of `ReplacingMergeTree(ver, is_deleted)`.
    pub engine_arguments: Vec<String>,
    pub sample_by: Option<String>,
    pub ttl: Vec<TtlRule>,
    pub indexes: Vec<IndexDefinition>,
    pub projections: Vec<ProjectionDefinition>,
    pub constraints: Vec<ConstraintDefinition>,
}

/// One item of a table's TTL clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TtlRule {
    /// When: a Date or DateTime expression.
    pub expression: String,
    pub action: TtlRuleAction,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TtlRuleAction {
    Delete {
        condition: Option<String>,
    },
    /// `CODEC(...)`.
    Recompress {
        codec: String,
    },
    GroupBy {
        keys: Vec<String>,
        set: Vec<(String, String)>,
    },
    /// TO DISK or TO VOLUME, as written; kept, without effect on one disk.
    Move {
        target: String,
    },
}

/// A skip index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexDefinition {
    pub name: String,
    pub expression: String,
    /// `minmax`, `set(100)`, `bloom_filter(0.01)` …
    pub index_type: String,
    /// Granules of the table per granule of the index.
    pub granularity: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectionDefinition {
    pub name: String,
    /// The SELECT, canonical, without FROM.
    pub select: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConstraintDefinition {
    pub name: String,
    /// ASSUME (believed by the optimizer) rather than CHECK (tested on insert).
    pub assume: bool,
    pub expression: String,
}

impl TableDefinition {
    /// Names and types of the stored columns, in order.
    pub fn schema(&self) -> Vec<(String, DataType)> {
        self.columns.iter().map(|c| (c.name.clone(), c.data_type.clone())).collect()
    }

    pub fn full_name(&self) -> String {
        format!("{}.{}", self.database, self.name)
    }
}

/// One column of a table. `id` is what part files call it, so a rename touches no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnDefinition {
    pub id: u32,
    pub name: String,
    pub data_type: DataType,
    pub default: Option<ColumnDefault>,
    pub comment: String,
    /// `CODEC(...)` as canonical text, or empty.
    pub codec: String,
    /// TTL expression as canonical text, or empty.
    pub ttl: String,
}

/// How a column gets its value when an insert does not give it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnDefault {
    pub kind: DefaultKind,
    /// Canonical expression text.
    pub expression: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultKind {
    Default,
    Materialized,
    Alias,
    Ephemeral,
}
