//! The server's whole state as a fold over edits: [`State::check`] and [`State::apply`] are pure.
//!
//! A state is a version: queries hold an `Arc<State>` and read it for as long as they like. Cloning
//! one is cheap (everything inside is shared), so a commit makes a new one.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::change::{DroppedTable, TableChanges};
use super::edit::{Edit, NamedValue, PartMeta, Precondition, Rejection, TableDefinition};
use super::tokens::Tokens;

/// Deduplication tokens kept per table; `non_replicated_deduplication_window` may make it fewer.
pub const TOKENS_MAX: usize = 10_000;

/// Everything the server knows, at one version.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Sequence number of the last frame applied.
    pub version: u64,
    pub epoch: u32,
    pub databases: BTreeMap<String, Arc<Database>>,
    pub tables: BTreeMap<Uuid, Arc<Table>>,
    /// Version at which the set of views reading from `(database, name)` last changed.
    pub views_versions: BTreeMap<(String, String), u64>,
    /// Tables that were dropped and are kept for a while, by uuid.
    pub dropped: BTreeMap<Uuid, Arc<DroppedTable>>,
    /// Functions written in SQL: name and lambda.
    pub functions: BTreeMap<String, Arc<str>>,
    /// Named collections by their names.
    pub named_collections: BTreeMap<String, Arc<BTreeMap<String, NamedValue>>>,
    /// Definitions of users, roles and the like by identity; another pointer means another content.
    pub access_entities: Arc<BTreeMap<Uuid, Arc<str>>>,
}

#[derive(Debug, Clone)]
pub struct Database {
    pub name: String,
    pub engine: String,
    pub comment: String,
    /// Attached tables by name.
    pub tables: BTreeMap<String, Uuid>,
}

/// A table at one version.
#[derive(Debug, Clone)]
pub struct Table {
    pub definition: Arc<TableDefinition>,
    /// Version at which the definition last changed.
    pub definition_version: u64,
    pub detached: bool,
    /// Live parts, in block order.
    pub parts: Vec<Arc<PartMeta>>,
    pub next_block: u64,
    /// Stream tables: what was consumed.
    pub offsets: BTreeMap<StreamPartition, StreamOffset>,
    pub gaps: Vec<StreamGap>,
    pub paused: bool,
    /// Why the server paused it; empty when an operator did.
    pub paused_reason: Arc<str>,
    /// Stream tables: the broker's ids of the topics that `offsets` count in, as far as known.
    pub topic_ids: BTreeMap<String, Uuid>,
    /// The newest insert tokens.
    pub tokens: Tokens,
    pub changes: TableChanges,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamPartition {
    pub topic: String,
    pub kafka_partition: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamOffset {
    /// The next offset to consume.
    pub next: i64,
    pub commits: u64,
    pub last_commit_us: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamGap {
    pub partition: StreamPartition,
    pub from: i64,
    pub to: i64,
    pub reason: String,
}

impl Table {
    /// A table as CREATE makes it, of version 0.
    pub fn empty(definition: Arc<TableDefinition>) -> Table {
        Table {
            definition_version: 0,
            changes: TableChanges {
                next_column_id: next_column_id(&definition),
                ..TableChanges::default()
            },
            definition,
            detached: false,
            parts: vec![],
            next_block: 1,
            offsets: BTreeMap::new(),
            gaps: vec![],
            paused: false,
            paused_reason: "".into(),
            topic_ids: BTreeMap::new(),
            tokens: Tokens::default(),
        }
    }
}

impl State {
    /// The attached table called `database.name`.
    pub fn table(&self, database: &str, name: &str) -> Option<&Arc<Table>> {
        let id = self.databases.get(database)?.tables.get(name)?;
        self.tables.get(id)
    }

    /// Materialized views that read from `database.name`, attached ones only, in name order.
    pub fn views_of(&self, database: &str, name: &str) -> Vec<&Arc<Table>> {
        let mut views: Vec<&Arc<Table>> = self
            .tables
            .values()
            .filter(|t| !t.detached)
            .filter(|t| {
                t.definition.source.as_ref().is_some_and(|(d, n)| d == database && n == name)
            })
            .collect();
        views.sort_by_key(|t| (&t.definition.database, &t.definition.name));
        views
    }

    /// The version to put into `Precondition::ViewsUnchanged`.
    pub fn views_version(&self, database: &str, name: &str) -> u64 {
        let key = (database.to_string(), name.to_string());
        self.views_versions.get(&key).copied().unwrap_or(0)
    }

    /// Whether `precondition` holds.
    pub fn check(&self, precondition: &Precondition) -> Result<(), Rejection> {
        let live = |table: &Uuid| match self.tables.get(table) {
            Some(t) if !t.detached => Ok(t),
            Some(t) => Err(Rejection::UnknownTable(t.definition.full_name())),
            None => Err(Rejection::UnknownTable(table.to_string())),
        };
        match precondition {
            Precondition::TableNameFree { database, name } => {
                let Some(db) = self.databases.get(database) else {
                    return Err(Rejection::UnknownDatabase(database.clone()));
                };
                // A detached table keeps its name.
                let detached = self.tables.values().any(|t| {
                    t.detached && t.definition.database == *database && t.definition.name == *name
                });
                if db.tables.contains_key(name) || detached {
                    return Err(Rejection::TableExists {
                        database: database.clone(),
                        name: name.clone(),
                    });
                }
            }
            Precondition::DatabaseNameFree { name } => {
                if self.databases.contains_key(name) {
                    return Err(Rejection::DatabaseExists(name.clone()));
                }
            }
            Precondition::DatabaseExists { name } => {
                if !self.databases.contains_key(name) {
                    return Err(Rejection::UnknownDatabase(name.clone()));
                }
            }
            Precondition::DatabaseEmpty { name } => match self.databases.get(name) {
                None => return Err(Rejection::UnknownDatabase(name.clone())),
                Some(db) if !db.tables.is_empty() => {
                    return Err(Rejection::DatabaseNotEmpty(name.clone()));
                }
                Some(_) => {}
            },
            Precondition::TableUnchanged { table, definition_version } => {
                let t = live(table)?;
                if t.definition_version != *definition_version {
                    return Err(Rejection::DefinitionChanged(t.definition.full_name()));
                }
            }
            Precondition::TableExists { table } => {
                if !self.tables.contains_key(table) {
                    return Err(Rejection::UnknownTable(table.to_string()));
                }
            }
            Precondition::ViewsUnchanged { database, name, views_version } => {
                if self.views_version(database, name) != *views_version {
                    return Err(Rejection::ViewsChanged(format!("{database}.{name}")));
                }
            }
            Precondition::OffsetEquals { table, topic, kafka_partition, expected } => {
                let key =
                    StreamPartition { topic: topic.clone(), kafka_partition: *kafka_partition };
                let stored = live(table)?.offsets.get(&key).map(|o| o.next);
                if stored != *expected {
                    return Err(Rejection::OffsetMoved {
                        topic: topic.clone(),
                        kafka_partition: *kafka_partition,
                        stored,
                        expected: *expected,
                    });
                }
            }
            Precondition::OffsetCount { table, count } => {
                if live(table)?.offsets.len() != *count {
                    return Err(Rejection::PartitionsChanged);
                }
            }
            Precondition::TokenAbsent { table, token } => {
                if live(table)?.tokens.contains(token) {
                    return Err(Rejection::DuplicateToken(token.clone()));
                }
            }
            Precondition::PartsLive { table, parts } => {
                let t = live(table)?;
                for part in parts {
                    if !t.parts.iter().any(|p| p.id == *part) {
                        return Err(Rejection::PartGone(*part));
                    }
                }
            }
            Precondition::PartsAs { table, parts } => live(table)?.check_parts(parts)?,
            Precondition::MutationsDone { table } => {
                let t = live(table)?;
                if !t.mutations_done() {
                    return Err(Rejection::MutationsPending(t.definition.full_name()));
                }
            }
            Precondition::TableDropped { table } => {
                if !self.dropped.contains_key(table) {
                    return Err(Rejection::UnknownTable(table.to_string()));
                }
            }
            Precondition::PartDetached { table, part } => {
                if !live(table)?.changes.detached_parts.iter().any(|p| p.id == *part) {
                    return Err(Rejection::PartGone(*part));
                }
            }
        }
        Ok(())
    }

    /// Applies `edit` as part of frame `version`. Edits that name what does not exist do nothing:
    /// preconditions are the place to refuse.
    pub fn apply(&mut self, version: u64, edit: &Edit) {
        self.version = version;
        match edit {
            Edit::Epoch { epoch, .. } => self.epoch = *epoch,
            Edit::CreateDatabase { name, engine, comment } => {
                let database = Database {
                    name: name.clone(),
                    engine: engine.clone(),
                    comment: comment.clone(),
                    tables: BTreeMap::new(),
                };
                self.databases.insert(name.clone(), Arc::new(database));
            }
            Edit::DropDatabase { name } => {
                let owned: Vec<Uuid> = self
                    .tables
                    .values()
                    .filter(|t| t.definition.database == *name)
                    .map(|t| t.definition.uuid)
                    .collect();
                for table in owned {
                    self.drop_table(version, table);
                }
                self.dropped.retain(|_, d| d.table.definition.database != *name);
                self.databases.remove(name);
            }
            Edit::RenameDatabase { from, to } => self.rename_database(version, from, to),
            Edit::CreateTable { definition } => {
                self.touch_views(version, definition);
                self.link(definition);
                let mut table = Table::empty(definition.clone());
                table.definition_version = version;
                self.tables.insert(definition.uuid, Arc::new(table));
            }
            Edit::DropTable { table } => {
                self.drop_table(version, *table);
                self.dropped.remove(table);
            }
            Edit::AlterTable { definition } => {
                if let Some(old) = self.tables.get(&definition.uuid).map(|t| t.definition.clone()) {
                    self.touch_views(version, &old);
                    self.touch_views(version, definition);
                    self.unlink(&old);
                    self.link(definition);
                }
                self.with_table(&definition.uuid, |t| {
                    t.changes.next_column_id =
                        t.changes.next_column_id.max(next_column_id(definition));
                    t.definition = definition.clone();
                    t.definition_version = version;
                });
            }
            Edit::DetachTable { table } => self.set_detached(version, *table, true),
            Edit::AttachTable { table } => self.set_detached(version, *table, false),
            Edit::AddPart { part } => {
                self.with_table(&part.table, |t| t.insert_part(part.clone()));
            }
            Edit::RemovePart { table, part } => {
                self.with_table(table, |t| t.parts.retain(|p| p.id != *part));
            }
            Edit::AdvanceOffset { table, topic, kafka_partition, next, wall_us } => {
                let key =
                    StreamPartition { topic: topic.clone(), kafka_partition: *kafka_partition };
                self.with_table(table, |t| {
                    let commits = t.offsets.get(&key).map_or(0, |o| o.commits) + 1;
                    let offset = StreamOffset { next: *next, commits, last_commit_us: *wall_us };
                    t.offsets.insert(key, offset);
                });
            }
            Edit::Gap { table, topic, kafka_partition, from, to, reason } => {
                self.with_table(table, |t| {
                    t.gaps.push(StreamGap {
                        partition: StreamPartition {
                            topic: topic.clone(),
                            kafka_partition: *kafka_partition,
                        },
                        from: *from,
                        to: *to,
                        reason: reason.clone(),
                    });
                });
            }
            Edit::Token { table, token } => self.with_table(table, |t| {
                let window = t.definition.settings.get("non_replicated_deduplication_window");
                let window = window.and_then(|text| text.parse().ok()).filter(|n| *n > 0);
                t.tokens.add(token, window.unwrap_or(TOKENS_MAX).min(TOKENS_MAX));
            }),
            Edit::CreateFunction { name, lambda } => {
                self.functions.insert(name.clone(), lambda.as_str().into());
            }
            Edit::DropFunction { name } => {
                self.functions.remove(name);
            }
            Edit::PutNamedCollection { name, values } => {
                self.named_collections.insert(name.clone(), Arc::new(values.clone()));
            }
            Edit::DropNamedCollection { name } => {
                self.named_collections.remove(name);
            }
            Edit::PutAccessEntity { id, definition } => {
                Arc::make_mut(&mut self.access_entities).insert(*id, definition.as_str().into());
            }
            Edit::DropAccessEntity { id } => {
                Arc::make_mut(&mut self.access_entities).remove(id);
            }
            Edit::Change(change) => self.apply_change(version, change),
            Edit::PauseStream { table, paused } => {
                self.with_table(table, |t| {
                    t.paused = *paused;
                    t.paused_reason = "".into();
                });
            }
            Edit::StopStream { table, reason } => self.with_table(table, |t| {
                t.paused = true;
                t.paused_reason = reason.as_str().into();
            }),
            Edit::StreamTopic { table, topic, id } => self.with_table(table, |t| {
                if id.is_nil() {
                    t.topic_ids.remove(topic);
                } else {
                    t.topic_ids.insert(topic.clone(), *id);
                }
            }),
            Edit::ForgetOffset { table, topic, kafka_partition } => {
                let key =
                    StreamPartition { topic: topic.clone(), kafka_partition: *kafka_partition };
                self.with_table(table, |t| {
                    t.offsets.remove(&key);
                    if !t.offsets.keys().any(|k| k.topic == *topic) {
                        t.topic_ids.remove(topic);
                    }
                });
            }
            Edit::SeekStream { table, topic, kafka_partition, next, wall_us } => {
                let key =
                    StreamPartition { topic: topic.clone(), kafka_partition: *kafka_partition };
                self.with_table(table, |t| {
                    let commits = t.offsets.get(&key).map_or(0, |o| o.commits);
                    let offset = StreamOffset { next: *next, commits, last_commit_us: *wall_us };
                    t.offsets.insert(key, offset);
                });
            }
        }
    }

    pub(super) fn with_table(&mut self, table: &Uuid, change: impl FnOnce(&mut Table)) {
        if let Some(t) = self.tables.get_mut(table) {
            change(Arc::make_mut(t));
        }
    }

    pub(super) fn touch_views(&mut self, version: u64, definition: &TableDefinition) {
        if let Some(source) = &definition.source {
            self.views_versions.insert(source.clone(), version);
        }
    }

    pub(super) fn link(&mut self, definition: &TableDefinition) {
        if let Some(db) = self.databases.get_mut(&definition.database) {
            Arc::make_mut(db).tables.insert(definition.name.clone(), definition.uuid);
        }
    }

    fn unlink(&mut self, definition: &TableDefinition) {
        if let Some(db) = self.databases.get_mut(&definition.database) {
            let tables = &mut Arc::make_mut(db).tables;
            if tables.get(&definition.name) == Some(&definition.uuid) {
                tables.remove(&definition.name);
            }
        }
    }

    pub(super) fn drop_table(&mut self, version: u64, table: Uuid) {
        if let Some(t) = self.tables.remove(&table) {
            self.touch_views(version, &t.definition);
            self.unlink(&t.definition);
        }
    }

    fn set_detached(&mut self, version: u64, table: Uuid, detached: bool) {
        let Some(definition) = self.tables.get(&table).map(|t| t.definition.clone()) else {
            return;
        };
        self.touch_views(version, &definition);
        if detached {
            self.unlink(&definition);
        } else {
            self.link(&definition);
        }
        self.with_table(&table, |t| {
            t.detached = detached;
            t.definition_version = version;
        });
    }

    fn rename_database(&mut self, version: u64, from: &str, to: &str) {
        let Some(db) = self.databases.remove(from) else { return };
        let mut db = (*db).clone();
        db.name = to.to_string();
        self.databases.insert(to.to_string(), Arc::new(db));
        let dropped = self.dropped.values_mut().map(|d| &mut Arc::make_mut(d).table);
        let all = self.tables.values_mut().chain(dropped);
        for table in all.filter(|t| t.definition.database == from) {
            let table = Arc::make_mut(table);
            let mut definition = (*table.definition).clone();
            definition.database = to.to_string();
            table.definition = Arc::new(definition);
            table.definition_version = version;
        }
    }
}

/// Larger than every id of the definition's columns.
fn next_column_id(definition: &TableDefinition) -> u32 {
    definition.columns.iter().map(|c| c.id.saturating_add(1)).max().unwrap_or(0)
}
