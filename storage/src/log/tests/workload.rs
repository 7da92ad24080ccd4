//! A random, repeatable workload for simulations, and what must hold of any state it leaves.
//!
//! One stream table feeds `raw` and `copy`, each block with its offset in one commit; besides there are
//! merges, tables made, altered, dropped and taken back, masks, mutations, parts taken out and put
//! back, tokens, rejected and abandoned commits, snapshots held for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::fixture::*;
use crate::Result;
use crate::block::{Block, Column};
use crate::disk::{FaultDisk, Random};
use crate::error::Error;
use crate::log::snapshot::encode_state;
use crate::log::{
    Change, Commit, Edit, Mutation, MutationAction, MutationCommand, PartMeta, Precondition, State,
    StreamPartition, TableClauses, TableDefinition, mask_path,
};
use crate::part::{PendingPart, RowMask};
use crate::store::Store;
use crate::table::insert::write_block;
use crate::types::{DataType, Value};

const STREAM: u128 = 1;
const RAW: u128 = 2;
const COPY: u128 = 3;

/// What was acknowledged, and what every state looked like.
#[derive(Default, Clone)]
pub struct Journal {
    /// States by version, without version and epoch.
    pub states: BTreeMap<u64, Vec<u8>>,
    /// `(operations so far, version)` at each acknowledgement.
    pub acknowledged: Vec<(u64, u64)>,
}

impl Journal {
    pub fn acknowledge(&mut self, operations: u64, state: &State) {
        self.states.insert(state.version, projection(state));
        self.acknowledged.push((operations, state.version));
    }

    /// The last version acknowledged before operation `operation`.
    pub fn acknowledged_at(&self, operation: u64) -> u64 {
        let before = self.acknowledged.iter().take_while(|(at, _)| *at <= operation);
        before.last().map_or(0, |(_, version)| *version)
    }
}

/// A state's bytes without what recovery itself changes.
pub fn projection(state: &State) -> Vec<u8> {
    let mut state = state.clone();
    (state.version, state.epoch) = (0, 0);
    encode_state(&state)
}

/// The workload over one open store.
pub struct Workload<'a> {
    pub disk: &'a FaultDisk,
    pub store: Arc<Store>,
    pub random: Random,
    pub journal: Journal,
    pub parts: Parts,
    held: Vec<Arc<State>>,
}

/// What parts the workload makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// Recognizable files; quick, and any byte of them is checked.
    MadeUp,
    /// Blocks written by the block writer and merged by the merge worker.
    Real,
}

impl<'a> Workload<'a> {
    pub fn new(
        disk: &'a FaultDisk,
        store: Arc<Store>,
        random: Random,
        parts: Parts,
    ) -> Workload<'a> {
        let mut journal = Journal::default();
        journal.acknowledge(disk.operations(), &store.snapshot());
        Workload { disk, store, random, journal, parts, held: vec![] }
    }

    /// One random commit, or what leads to none. Rejections are part of the game, other errors not.
    pub fn step(&mut self) -> Result<()> {
        let state = self.store.snapshot();
        let done = match state.tables.get(&table_id(RAW)) {
            _ if !state.databases.contains_key("d") => self.commit(create_database("d"), vec![]),
            None => self.create_tables(),
            Some(_) => match self.random.below(30) {
                0..=9 => self.insert_block(false),
                10..=12 if self.parts == Parts::Real => self.merge_for_real(),
                10..=12 => self.merge(),
                13 | 14 => self.side_table(),
                15 => self.token(),
                20..=27 => self.change_side_table(),
                16 => self.insert_block(true),
                17 => self.abandon(),
                18 => {
                    self.held.push(state);
                    Ok(())
                }
                _ => {
                    self.held.clear();
                    self.store.collect_garbage().map(|_| ())
                }
            },
        };
        match done {
            Err(Error::Rejected(_)) => Ok(()),
            other => other,
        }
    }

    fn commit(&mut self, commit: Commit, parts: Vec<PendingPart>) -> Result<()> {
        let version = self.store.commit(commit, parts)?;
        let state = self.store.snapshot();
        assert_eq!(state.version, version);
        self.journal.acknowledge(self.disk.operations(), &state);
        Ok(())
    }

    fn create_tables(&mut self) -> Result<()> {
        let mut all = edits(vec![]);
        for (id, name) in [(STREAM, "stream"), (RAW, "raw"), (COPY, "copy")] {
            let mut table = without_ttl(definition(id, "d", name));
            if id == COPY && self.parts == Parts::Real {
                // Small granules, of which nothing else is made: merges copy some of them.
                table.clauses = TableClauses::default();
                table.settings.insert("index_granularity".into(), "4".into());
            }
            let one = create_table(table);
            all.preconditions.extend(one.preconditions);
            all.edits.extend(one.edits);
        }
        self.commit(all, vec![])
    }

    fn insert_block(&mut self, stale: bool) -> Result<()> {
        let state = self.store.snapshot();
        let kafka_partition = self.random.below(2) as i32;
        let key = StreamPartition { topic: "t".into(), kafka_partition };
        let stored = state.tables[&table_id(STREAM)].offsets.get(&key).map(|o| o.next);
        let rows = 1 + self.random.below(50);
        let mut parts = vec![];
        for table in [RAW, COPY] {
            let table = &state.tables[&table_id(table)];
            for share in split(rows, &mut self.random) {
                match self.parts {
                    Parts::MadeUp => {
                        parts.push(write_part(&self.store, table.definition.uuid, share)?);
                    }
                    Parts::Real => {
                        parts.extend(write_block(&self.store, table, &block_of(share, rows))?);
                    }
                }
            }
        }
        let expected = if stale { stored.map_or(Some(5), |n| Some(n + 1)) } else { stored };
        let commit = Commit {
            preconditions: vec![
                Precondition::OffsetEquals {
                    table: table_id(STREAM),
                    topic: "t".into(),
                    kafka_partition,
                    expected,
                },
                Precondition::TableExists { table: table_id(RAW) },
            ],
            edits: vec![Edit::AdvanceOffset {
                table: table_id(STREAM),
                topic: "t".into(),
                kafka_partition,
                next: stored.unwrap_or(0) + rows as i64,
                wall_us: 7,
            }],
        };
        self.commit(commit, parts)
    }

    fn merge(&mut self) -> Result<()> {
        let state = self.store.snapshot();
        let table = table_id(if self.random.one_in(2) { RAW } else { COPY });
        let parts = &state.tables[&table].parts;
        if parts.len() < 2 {
            return Ok(());
        }
        let from = self.random.below(parts.len() as u64 - 1) as usize;
        let to = (from + 2 + self.random.below(3) as usize).min(parts.len());
        let sources = &parts[from..to];
        let mut merged = write_part(&self.store, table, sources.iter().map(|p| p.rows).sum())?;
        merged.meta.min_block = sources[0].min_block;
        merged.meta.max_block = sources[sources.len() - 1].max_block;
        merged.meta.level = 1 + sources.iter().map(|p| p.level).max().unwrap_or(0);
        let ids: Vec<_> = sources.iter().map(|p| p.id).collect();
        let removals = ids.iter().map(|part| Edit::RemovePart { table, part: *part }).collect();
        let preconditions = vec![Precondition::PartsLive { table, parts: ids }];
        self.commit(Commit { preconditions, edits: removals }, vec![merged])
    }

    fn merge_for_real(&mut self) -> Result<()> {
        let state = self.store.snapshot();
        let table = &state.tables[&table_id(if self.random.one_in(2) { RAW } else { COPY })];
        if table.parts.len() < 2 {
            return Ok(());
        }
        let from = self.random.below(table.parts.len() as u64 - 1) as usize;
        let ids: Vec<_> = table.parts.iter().skip(from).take(3).map(|p| p.id).collect();
        crate::merge::worker::merge(&self.store, table, &ids)?;
        self.journal.acknowledge(self.disk.operations(), &self.store.snapshot());
        Ok(())
    }

    fn side_table(&mut self) -> Result<()> {
        let number = 10 + u128::from(self.random.below(4));
        let table = table_id(number);
        if self.store.snapshot().tables.contains_key(&table) {
            let edit = match self.random.below(3) {
                0 => Edit::DetachTable { table },
                1 => Edit::AttachTable { table },
                _ => Edit::DropTable { table },
            };
            return self.commit(edits(vec![edit]), vec![]);
        }
        let parts = match self.parts {
            Parts::MadeUp => vec![write_part(&self.store, table, 3)?],
            Parts::Real => vec![],
        };
        self.commit(
            create_table(without_ttl(definition(number, "d", &format!("side{number}")))),
            parts,
        )
    }

    /// One of the changes that tables go through besides inserts and merges.
    fn change_side_table(&mut self) -> Result<()> {
        let state = self.store.snapshot();
        let id = table_id(10 + u128::from(self.random.below(4)));
        let change = |change| self::edits(vec![Edit::Change(change)]);
        if state.dropped.contains_key(&id) {
            return match self.random.below(3) {
                0 => self.commit(edits(vec![Edit::DropTable { table: id }]), vec![]),
                _ => self.commit(change(Change::RestoreTable { table: id }), vec![]),
            };
        }
        let Some(table) = state.tables.get(&id) else { return self.side_table() };
        let live = table.parts.first().cloned();
        let detached = table.changes.detached_parts.first().cloned();
        let choice = self.random.below(12);
        match (choice, live, detached) {
            (0, ..) => self.commit(change(Change::RetireTable { table: id, wall_us: 9 }), vec![]),
            (1, Some(part), _) => {
                self.commit(change(Change::DetachPart { table: id, part: part.id }), vec![])
            }
            (2 | 3, _, Some(part)) => {
                self.commit(change(Change::AttachPart { table: id, part: part.id }), vec![])
            }
            (4, _, Some(part)) => {
                self.commit(change(Change::DropDetachedPart { table: id, part: part.id }), vec![])
            }
            (5, ..) => {
                let detach = self.random.one_in(2);
                let partition_id = self.random.one_in(2).then(|| "all".to_string());
                let removal = Change::RemovePartition { table: id, partition_id, detach };
                self.commit(change(removal), vec![])
            }
            (6, ..) => {
                let command = MutationCommand {
                    action: MutationAction::Rewrite,
                    partition_id: None,
                    text: "MATERIALIZE COLUMN key".into(),
                };
                let mutation =
                    Arc::new(Mutation { id, number: 0, created_us: 3, commands: vec![command] });
                self.commit(change(Change::AddMutation { table: id, mutation }), vec![])
            }
            (7, ..) if !table.changes.mutations.is_empty() => {
                let number = table.changes.mutations[0].number;
                self.commit(change(Change::KillMutation { table: id, number }), vec![])
            }
            (8, Some(part), _) if part.data_version < table.changes.last_mutation => {
                self.mutate(table, &part)
            }
            (9, ..) => {
                let mut altered = (*table.definition).clone();
                let mut column = altered.columns[0].clone();
                column.id = table.changes.next_column_id;
                column.name = format!("added{}", column.id);
                altered.columns.truncate(2);
                altered.columns.push(column);
                let edit = Edit::AlterTable { definition: Arc::new(altered) };
                self.commit(edits(vec![edit]), vec![])
            }
            (10, ..) => self.insert_side(table),
            (_, Some(part), _) => self.mask(&part),
            _ => self.side_table(),
        }
    }

    fn insert_side(&mut self, table: &Arc<crate::log::Table>) -> Result<()> {
        let parts = match self.parts {
            Parts::MadeUp => vec![write_part(&self.store, table.definition.uuid, 5)?],
            // The columns of the first definition; altered ones would lack some.
            Parts::Real if table.definition.columns.len() == 2 => {
                write_block(&self.store, table, &block_of(5, 1))?
            }
            Parts::Real => vec![],
        };
        self.commit(Commit::default(), parts)
    }

    /// One more row of the part is deleted; at times the mask's file is left without a commit.
    fn mask(&mut self, part: &Arc<PartMeta>) -> Result<()> {
        let deleted = part.mask.as_ref().map_or(0, |m| m.deleted_rows as usize);
        let rows = part.rows as usize;
        let live: Vec<bool> = (0..rows).map(|row| row > deleted).collect();
        let mask = RowMask::new(live.into()).write(self.store.disk(), self.store.new_part_id())?;
        if self.random.one_in(8) {
            mask.keep();
            return Ok(());
        }
        let new = PartMeta { mask: Some(mask.meta.clone()), ..(**part).clone() };
        let commit = Commit {
            preconditions: vec![Precondition::PartsAs {
                table: part.table,
                parts: vec![part.clone()],
            }],
            edits: vec![Edit::Change(Change::UpdatePart { part: Arc::new(new) })],
        };
        let outcome = self.commit(commit, vec![]);
        if !matches!(outcome, Err(Error::Rejected(_))) {
            mask.keep();
        }
        outcome
    }

    fn mutate(&mut self, table: &Arc<crate::log::Table>, part: &Arc<PartMeta>) -> Result<()> {
        if self.parts == Parts::Real {
            let progress = crate::merge::worker::Progress::default();
            crate::mutation::worker::mutate(&self.store, table, part, &progress)?;
            self.journal.acknowledge(self.disk.operations(), &self.store.snapshot());
            return Ok(());
        }
        let mut new = write_part(&self.store, part.table, part.rows_live().max(1))?;
        new.meta.min_block = part.min_block;
        new.meta.max_block = part.max_block;
        new.meta.data_version = table.changes.last_mutation;
        let commit = Commit {
            preconditions: vec![Precondition::PartsAs {
                table: part.table,
                parts: vec![part.clone()],
            }],
            edits: vec![Edit::RemovePart { table: part.table, part: part.id }],
        };
        self.commit(commit, vec![new])
    }

    fn token(&mut self) -> Result<()> {
        let (table, token) = (table_id(COPY), format!("token{}", self.random.below(30)));
        let commit = Commit {
            preconditions: vec![Precondition::TokenAbsent { table, token: token.clone() }],
            edits: vec![Edit::Token { table, token }],
        };
        self.commit(commit, vec![])
    }

    /// A part that no commit will list: its writer gave up, or died.
    fn abandon(&mut self) -> Result<()> {
        let part = write_part(&self.store, table_id(RAW), 9)?;
        if self.random.one_in(2) {
            drop(part.keep());
        }
        Ok(())
    }
}

/// Parts are really written here, and their compiler knows column names only.
fn without_ttl(mut definition: TableDefinition) -> TableDefinition {
    definition.clauses.ttl.clear();
    definition
}

/// `rows` rows of the columns of [`definition`].
fn block_of(rows: u64, seed: u64) -> Block {
    let rows = rows as usize;
    let keys: Vec<Value> = (0..rows as u64).map(|i| Value::UInt(i * 7919 % 97 + seed)).collect();
    let schema = definition(RAW, "d", "raw").schema();
    let key = Column::from_values(DataType::UInt64, &keys).unwrap();
    let flag = Column::default_values(schema[1].1.clone(), rows);
    Block::new(vec![(schema[0].0.clone(), key), (schema[1].0.clone(), flag)])
}

fn split(rows: u64, random: &mut Random) -> Vec<u64> {
    let first = 1 + random.below(rows);
    if first == rows || random.one_in(2) { vec![rows] } else { vec![first, rows - first] }
}

/// What holds of every state, and of the files that go with it: each row of the stream is in both
/// tables once, live parts are on the disk as written, and nothing else is (unless a live store still
/// has to remove it).
pub fn check_invariants(
    disk: &FaultDisk,
    store: &Store,
    parts: Parts,
) -> std::result::Result<(), String> {
    let state = &*store.snapshot();
    let mut live = BTreeSet::new();
    for part in state.all_parts() {
        store.mask(part).map_err(|e| e.to_string())?;
        match parts {
            Parts::MadeUp => {
                if disk.peek(&part.path()).as_deref() != Some(&part_contents(part)) {
                    return Err(format!("part {} is not as written", part.id));
                }
            }
            Parts::Real => {
                let reader = store.part(part).map_err(|e| e.to_string())?;
                reader.verify_all().map_err(|e| e.to_string())?;
                if reader.rows() != part.rows {
                    return Err(format!("part {} has {} rows", part.id, reader.rows()));
                }
            }
        }
        if !live.insert(part.path()) {
            return Err(format!("part {} is there twice", part.id));
        }
    }
    let consumed: i64 = state
        .tables
        .get(&table_id(STREAM))
        .map_or(0, |t| t.offsets.values().map(|offset| offset.next).sum());
    for table in [RAW, COPY] {
        let rows = rows_of(state, table_id(table));
        if rows as i64 != consumed {
            return Err(format!("{consumed} rows consumed, {rows} in table {table}"));
        }
    }
    Ok(())
}

/// Files in `parts` that the state does not list.
pub fn orphans(names: Vec<String>, state: &State) -> Vec<String> {
    let masks = state.all_parts().filter_map(|p| p.mask.as_ref()).map(|m| mask_path(m.id));
    let live: BTreeSet<String> = state.all_parts().map(|p| p.path()).chain(masks).collect();
    names.into_iter().filter(|name| !live.contains(&format!("parts/{name}"))).collect()
}

fn rows_of(state: &State, table: Uuid) -> u64 {
    state.tables.get(&table).map_or(0, |t| t.parts.iter().map(|p: &Arc<PartMeta>| p.rows).sum())
}
