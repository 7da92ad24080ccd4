//! Changes of tables beyond inserts and merges: masks, partitions taken out and put back, mutations,
//! tables dropped but kept for a while. What they are and what they do to a state.
//!
//! Rules: applying cannot fail, and what names nothing does nothing; a mutation's number comes from
//! the table's block numbers, so a part knows by its own number which mutations it is still to go
//! through; numbers and column ids are never given twice.

use std::sync::Arc;

use uuid::Uuid;

use super::edit::{PartId, PartMeta, Rejection};
use super::state::{State, Table};

/// Finished mutations that stay listed (`finished_mutations_to_keep`).
pub const MUTATIONS_KEPT: usize = 100;

/// One change, as part of a commit.
#[derive(Debug, Clone)]
pub enum Change {
    /// Replaces what the log says about a live part (its mask, its data version); the file stays.
    UpdatePart {
        part: Arc<PartMeta>,
    },
    /// Takes a part out of the table but keeps its file.
    DetachPart {
        table: Uuid,
        part: PartId,
    },
    /// Puts a detached part back, as the newest block; earlier mutations do not concern it.
    AttachPart {
        table: Uuid,
        part: PartId,
    },
    DropDetachedPart {
        table: Uuid,
        part: PartId,
    },
    /// All parts of a partition (of the table without one) that are live at this point of the log.
    RemovePartition {
        table: Uuid,
        partition_id: Option<String>,
        detach: bool,
    },
    /// A mutation; it is numbered here.
    AddMutation {
        table: Uuid,
        mutation: Arc<Mutation>,
    },
    /// What the mutation has not done yet is not done.
    KillMutation {
        table: Uuid,
        number: u64,
    },
    /// Drops the table but keeps all it owns until `DropTable`.
    RetireTable {
        table: Uuid,
        wall_us: u64,
    },
    /// Takes a dropped table back.
    RestoreTable {
        table: Uuid,
    },
}

/// A change of rows that a table's parts go through one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutation {
    pub id: Uuid,
    /// 0 until it is applied.
    pub number: u64,
    pub created_us: u64,
    pub commands: Vec<MutationCommand>,
}

/// One command of a mutation. Expressions are canonical texts over the table's columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MutationCommand {
    pub action: MutationAction,
    /// None: all partitions.
    pub partition_id: Option<String>,
    /// As ClickHouse shows it.
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MutationAction {
    Update {
        /// Columns and their new values.
        assignments: Vec<(String, String)>,
        condition: String,
    },
    Delete {
        condition: String,
    },
    /// Columns take the values of their DEFAULT or MATERIALIZED expressions.
    SetDefault {
        columns: Vec<String>,
    },
    /// The part is written anew, by the definition of the time (MATERIALIZE, conversions).
    Rewrite,
    /// Of the part's rows and values what has run out goes (MATERIALIZE TTL): the rules may be younger than it.
    Ttl,
    /// The part is written anew with the projection of that name, or without it.
    Projection {
        name: String,
        keep: bool,
    },
}

/// What a table keeps besides its live parts.
#[derive(Debug, Clone, Default)]
pub struct TableChanges {
    /// Larger than every column id that the table ever had.
    pub next_column_id: u32,
    /// By number; finished ones are forgotten in time.
    pub mutations: Vec<Arc<Mutation>>,
    /// Number of the newest mutation ever; 0 for none.
    pub last_mutation: u64,
    pub detached_parts: Vec<Arc<PartMeta>>,
}

/// A table that was dropped and can be taken back.
#[derive(Debug, Clone)]
pub struct DroppedTable {
    pub table: Arc<Table>,
    pub dropped_us: u64,
}

impl Table {
    /// The mutations that `part` has not been through, oldest first.
    pub fn mutations_of(&self, part: &PartMeta) -> Vec<&Arc<Mutation>> {
        let to_do = |m: &&Arc<Mutation>| m.number > part.data_version;
        self.changes.mutations.iter().filter(to_do).collect()
    }

    /// Live parts that the mutation of that number is still to go through.
    pub fn parts_to_do(&self, number: u64) -> Vec<&Arc<PartMeta>> {
        self.parts.iter().filter(|p| p.data_version < number).collect()
    }

    /// Whether every live part has been through every mutation.
    pub fn mutations_done(&self) -> bool {
        let newest = self.changes.mutations.last().map_or(0, |m| m.number);
        self.parts.iter().all(|p| p.data_version >= newest)
    }

    /// Whether these are live as they stand here, masks and versions included.
    pub(super) fn check_parts(&self, parts: &[Arc<PartMeta>]) -> Result<(), Rejection> {
        for part in parts {
            let live = self.parts.iter().find(|p| p.id == part.id);
            let same =
                live.is_some_and(|p| p.mask == part.mask && p.data_version == part.data_version);
            if !same {
                return Err(Rejection::PartGone(part.id));
            }
        }
        Ok(())
    }

    pub(super) fn insert_part(&mut self, mut part: Arc<PartMeta>) {
        if part.level == 0 && part.min_block == 0 {
            let numbered = Arc::make_mut(&mut part);
            numbered.min_block = self.next_block;
            numbered.max_block = self.next_block;
            numbered.data_version = self.changes.last_mutation;
            self.next_block += 1;
        }
        let at = self.parts.partition_point(|p| p.min_block < part.min_block);
        self.parts.insert(at, part);
    }

    fn take_part(&mut self, id: PartId) -> Option<Arc<PartMeta>> {
        let at = self.parts.iter().position(|p| p.id == id)?;
        Some(self.parts.remove(at))
    }

    fn add_mutation(&mut self, mutation: &Mutation) {
        let mut mutation = mutation.clone();
        mutation.number = self.next_block;
        self.next_block += 1;
        self.changes.last_mutation = mutation.number;
        self.changes.mutations.push(Arc::new(mutation));
        let oldest = self.parts.iter().map(|p| p.data_version).min().unwrap_or(u64::MAX);
        let done = self.changes.mutations.iter().filter(|m| m.number <= oldest).count();
        let surplus = done.saturating_sub(MUTATIONS_KEPT);
        self.changes.mutations.drain(..surplus);
    }

    fn attach_part(&mut self, id: PartId) {
        let detached = &mut self.changes.detached_parts;
        let Some(at) = detached.iter().position(|p| p.id == id) else { return };
        let mut part = (*detached.remove(at)).clone();
        (part.min_block, part.max_block, part.level) = (0, 0, 0);
        self.insert_part(Arc::new(part));
    }

    fn remove_partition(&mut self, partition_id: Option<&str>, detach: bool) {
        let (gone, stay) = std::mem::take(&mut self.parts)
            .into_iter()
            .partition(|p| partition_id.is_none_or(|id| p.partition_id == id));
        self.parts = stay;
        if detach {
            let gone: Vec<Arc<PartMeta>> = gone;
            self.changes.detached_parts.extend(gone);
        }
    }
}

impl State {
    pub(super) fn apply_change(&mut self, version: u64, change: &Change) {
        match change {
            Change::UpdatePart { part } => self.with_table(&part.table, |t| {
                if let Some(old) = t.parts.iter_mut().find(|p| p.id == part.id) {
                    *old = part.clone();
                }
            }),
            Change::DetachPart { table, part } => self.with_table(table, |t| {
                let part = t.take_part(*part);
                t.changes.detached_parts.extend(part);
            }),
            Change::AttachPart { table, part } => {
                self.with_table(table, |t| t.attach_part(*part));
            }
            Change::DropDetachedPart { table, part } => self.with_table(table, |t| {
                t.changes.detached_parts.retain(|p| p.id != *part);
            }),
            Change::RemovePartition { table, partition_id, detach } => {
                self.with_table(table, |t| t.remove_partition(partition_id.as_deref(), *detach));
            }
            Change::AddMutation { table, mutation } => {
                self.with_table(table, |t| t.add_mutation(mutation));
            }
            Change::KillMutation { table, number } => self.with_table(table, |t| {
                t.changes.mutations.retain(|m| m.number != *number);
            }),
            Change::RetireTable { table, wall_us } => {
                if let Some(kept) = self.tables.get(table).cloned() {
                    self.drop_table(version, *table);
                    let dropped = DroppedTable { table: kept, dropped_us: *wall_us };
                    self.dropped.insert(*table, Arc::new(dropped));
                }
            }
            Change::RestoreTable { table } => self.restore_table(version, *table),
        }
    }

    fn restore_table(&mut self, version: u64, id: Uuid) {
        let Some(dropped) = self.dropped.remove(&id) else { return };
        let definition = dropped.table.definition.clone();
        self.touch_views(version, &definition);
        self.link(&definition);
        let mut table = (*dropped.table).clone();
        table.detached = false;
        table.definition_version = version;
        self.tables.insert(id, Arc::new(table));
    }

    /// Every part whose file the state needs: live, detached, of dropped tables.
    pub fn all_parts(&self) -> impl Iterator<Item = &Arc<PartMeta>> {
        let dropped = self.dropped.values().map(|d| &d.table);
        self.tables
            .values()
            .chain(dropped)
            .flat_map(|t| t.parts.iter().chain(&t.changes.detached_parts))
    }
}
