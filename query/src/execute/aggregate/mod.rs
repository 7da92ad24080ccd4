//! GROUP BY. Every thread aggregates what it is given into its own tables (`local`); at the end the
//! tables are merged: small ones one after the other, large ones in parallel by partitions of the
//! key's hash. Grouping sets are separate aggregations over the same rows.
//!
//! WITH TOTALS merges the states of the groups that pass HAVING (of the first set, which has all keys).
//! Output: keys, then aggregates, then (if the schema has a column more) the number of the grouping set.

mod best;
mod capped;
mod coded;
mod distinct_count;
mod in_order;
mod local;
mod numbered;
mod numbers;
mod pairs;
mod picked;
mod radix;
mod runs;
mod spilled;
mod text_arena;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::BooleanArray;
use parking_lot::Mutex;
use pumphouse_storage::{Block, Column, DataType, Value};

pub(super) use self::best::BestGroups;
use self::capped::{CAPPED_GROUPS_MAX, Capped};
use self::local::{Local, PARTITIONS, Sealed, Table};
use self::numbers::{Lookup, TextNumbers};
pub use self::radix::let_idle_slabs_go;
use self::radix::{Groups, Layout, Scatter};
use super::expression::evaluate_mask;
use super::pipeline::{CHUNK_ROWS, Consumer, Driven, Flow, Worker, emit_in_order, supply};
use super::{Env, drive};
use crate::aggregates::Accumulator;
use crate::context::MemoryGuard;
use crate::error::Result;
use crate::optimize::shape::is_volatile;
use crate::plan::{BoundAggregate, BoundExpr, Plan, PlanNode};
use crate::spill::{SpilledPartitions, Threshold, external_group_by};

/// From so many groups on tables are merged in partitions.
const PARTITIONED_GROUPS_MIN: usize = 1 << 15;

/// Up to so many groups, whose keys say where they lie in a table, are merged as a whole.
const NUMBERED_GROUPS_MAX: usize = 1 << 22;

/// Groups that a partition's table is made for at once when it has as many rows.
const RESERVED_GROUPS_MAX: usize = 1 << 16;

/// An `Aggregate` node, with the HAVING above it if there are totals.
pub(super) struct AggregateNode<'a> {
    pub schema: &'a [(String, DataType)],
    pub keys: &'a [BoundExpr],
    pub aggregates: &'a [BoundAggregate],
    pub grouping_sets: &'a [Vec<usize>],
    pub rows_of_nothing: bool,
    pub with_totals: bool,
    /// No more groups than this are needed, any of them.
    pub groups_max: Option<u64>,
    pub having: Option<&'a BoundExpr>,
    pub emit: Emit<'a>,
    /// What a sort with a limit wants of the groups.
    pub best: Option<&'a BestGroups>,
}

/// What becomes of the groups.
#[derive(Clone, Copy)]
pub(super) enum Emit<'a> {
    /// All columns.
    Rows,
    /// Only so many keys are looked at.
    Keys(usize),
    /// The same; numbers of strings stay numbers.
    PackedKeys(usize),
    /// Groups none of whose keys is NULL are counted; only those that were not counted come out.
    Count(&'a AtomicU64),
}

/// Which keys a set groups by.
struct GroupingSet {
    number: u64,
    keys: Vec<usize>,
    types: Vec<DataType>,
    /// For scattering, if the keys and functions can be packed.
    radix: Option<radix::Plan>,
    /// Of each key that is the number of a string: the strings. Empty if none is.
    texts: Vec<Option<Arc<TextNumbers>>>,
}

impl AggregateNode<'_> {
    fn sets(&self) -> Vec<GroupingSet> {
        let all: Vec<usize> = (0..self.keys.len()).collect();
        let picked =
            if self.grouping_sets.is_empty() { vec![all] } else { self.grouping_sets.to_vec() };
        picked
            .into_iter()
            .zip(0..)
            .map(|(keys, number)| {
                let types: Vec<DataType> = keys.iter().map(|k| self.keys[*k].data_type()).collect();
                let packs = !self.with_totals && !keys.is_empty();
                let layout = packs.then(|| Layout::of(&types, self.aggregates)).flatten();
                let radix = layout.map(radix::Plan::new);
                GroupingSet { number, keys, types, radix, texts: vec![] }
            })
            .collect()
    }

    fn table(&self, set: &GroupingSet) -> Table {
        // Without GROUP BY there is one group even of no rows, also for an empty one of GROUPING SETS;
        // the last one of ROLLUP and CUBE needs rows.
        let grouped = !self.keys.is_empty() && !(self.rows_of_nothing && set.keys.is_empty());
        if set.is_one_number() {
            return Table::of_numbers(&set.types, self.aggregates);
        }
        Table::new(&set.types, grouped, self.aggregates)
    }

    /// Runs the node over `input` and pushes its rows into `consumer`.
    pub fn drive(
        &self,
        input: &Plan,
        env: &Env,
        base: usize,
        consumer: &dyn Consumer,
    ) -> Result<Driven> {
        if let Some(keys) = distinct_count::counted(self) {
            return distinct_count::drive(self, keys, input, env, base, consumer);
        }
        if let Some(most) = self.groups_max.filter(|n| *n <= CAPPED_GROUPS_MAX)
            && !self.keys.is_empty()
            && self.grouping_sets.is_empty()
            && !self.with_totals
            && self.having.is_none()
        {
            return self.drive_capped(most as usize, input, env, base, consumer);
        }
        if let Some(distinct) = distinct_count::grouped(self) {
            return distinct_count::drive_grouped(self, &distinct, input, env, base, consumer);
        }
        let sink = self.gather(input, env)?;
        self.finish(sink, env, base, consumer)
    }

    /// Aggregates `input` on all threads.
    fn gather<'b>(&'b self, input: &Plan, env: &'b Env) -> Result<Collect<'b>> {
        let sink = self.collect(env)?;
        let coded = self.coded_columns(&sink, input);
        let below = Env { coded, once: self.wants_once(input), ..env.clone() };
        drive(input, &below, 0, &sink)?;
        Ok(sink)
    }

    /// Scanned strings that may come as dictionaries.
    fn coded_columns(&self, sink: &Collect, input: &Plan) -> Option<Arc<[String]>> {
        let [set] = sink.sets.as_slice() else { return None };
        let packed = set.radix.is_some() || sink.numbered[0].is_some();
        let found = coded::candidates(self.keys, self.aggregates, &input.schema, packed);
        let names: Vec<String> =
            found.iter().filter_map(|i| coded::scanned(input, *i)).cloned().collect();
        (!names.is_empty()).then(|| names.into())
    }

    /// Whether rows of the only column that is scanned may be left out if others are equal.
    fn wants_once(&self, input: &Plan) -> bool {
        let PlanNode::Scan { columns, final_: false, .. } = &input.node else { return false };
        let arguments = self.aggregates.iter().flat_map(|a| &a.arguments);
        columns.len() == 1
            && self.aggregates.iter().all(local::is_repeatable)
            && !self.keys.iter().chain(arguments).any(is_volatile)
    }

    fn collect<'b>(&'b self, env: &'b Env) -> Result<Collect<'b>> {
        let sets = self.sets();
        let numbered = sets.iter().map(|set| self.numbered(set, env)).collect::<Result<_>>()?;
        Ok(self.collect_by(env, sets, numbered))
    }

    fn collect_by<'b>(
        &'b self,
        env: &'b Env,
        sets: Vec<GroupingSet>,
        numbered: Vec<Option<GroupingSet>>,
    ) -> Collect<'b> {
        Collect { node: self, env, sets, numbered, done: Mutex::new(vec![]) }
    }

    /// Pushes the groups of what was collected.
    fn finish(
        &self,
        collected: Collect,
        env: &Env,
        base: usize,
        consumer: &dyn Consumer,
    ) -> Result<Driven> {
        let mut threads = std::mem::take(&mut *collected.done.lock());
        collected.settle(&mut threads)?;
        let shared = collected;
        let totals = self.with_totals.then(|| Mutex::new(self.accumulators()));
        let mut morsels = 0;
        for i in 0..shared.sets.len() {
            let totals = totals.as_ref().filter(|_| i == 0);
            let plain = threads.first().is_some_and(|share| share.plain[i]);
            if threads.iter().any(|share| share.spilled[i].is_some()) {
                let mut spilled = vec![];
                for share in &mut threads {
                    let mut own = share.spilled[i].take();
                    if let Some((local, _guard)) = std::mem::take(&mut share.sets[i]) {
                        shared.spill(i, plain, local, &mut own)?;
                    }
                    spilled.extend(own);
                }
                let set = &shared.sets[i];
                morsels +=
                    self.emit_spilled(set, spilled, env, base + morsels, consumer, totals)?;
                continue;
            }
            if let (Some(texts), Emit::Count(count)) = (shared.counted_texts(i), self.emit)
                && !plain
            {
                count.fetch_add(texts.count() as u64, Ordering::Relaxed);
                morsels += emit_in_order(&env.ctx, [], base + morsels, consumer)?;
                continue;
            }
            let set = shared.form(i, plain);
            let (mut locals, mut guards) = (vec![], vec![]);
            for share in &mut threads {
                let (local, guard) = std::mem::take(&mut share.sets[i]).expect("taken once");
                locals.push(local);
                guards.push(guard);
            }
            if locals.is_empty() {
                locals.push(Local::new(self.table(set)));
            }
            morsels += self.emit(set, locals, env, base + morsels, consumer, totals)?;
            drop(guards);
        }
        let totals = match totals {
            Some(totals) => Some(self.totals_block(totals.into_inner())?),
            None => None,
        };
        Ok(Driven { morsels, totals })
    }

    fn drive_capped(
        &self,
        most: usize,
        input: &Plan,
        env: &Env,
        base: usize,
        consumer: &dyn Consumer,
    ) -> Result<Driven> {
        let sets = self.sets();
        let capped = Capped::new(self, env, &sets[0].types, most)?;
        drive(input, env, 0, &capped)?;
        let (table, groups, memory) = capped.into_table()?;
        let blocks = self.blocks(&sets[0], table, Some(groups), env, None)?;
        let morsels = emit_in_order(&env.ctx, blocks.into_iter().map(Ok), base, consumer)?;
        drop(memory);
        Ok(Driven { morsels, totals: None })
    }

    fn accumulators(&self) -> Vec<Box<dyn Accumulator>> {
        self.aggregates
            .iter()
            .map(|a| {
                let mut states = a.function.accumulator();
                states.resize(1);
                states
            })
            .collect()
    }

    fn totals_block(&self, mut totals: Vec<Box<dyn Accumulator>>) -> Result<Block> {
        let mut block = Block::of_rows(1);
        for ((name, data_type), key) in self.schema[..self.keys.len()].iter().zip(self.keys) {
            // With group_by_use_nulls too, a total's key is the default of the key's own type.
            let own = match key.data_type() {
                DataType::Date32 => Value::Int(0),
                other => pumphouse_storage::block::default_value(&other),
            };
            let column = match Column::constant(data_type.clone(), &own, 1) {
                Ok(column) => column,
                Err(_) => Column::default_values(data_type.clone(), 1),
            };
            block.push(name.clone(), column);
        }
        for ((name, data_type), states) in
            self.schema[self.keys.len()..].iter().zip(totals.iter_mut())
        {
            let column = states.finish()?;
            block.push(name.clone(), Column { data_type: data_type.clone(), ..column });
        }
        for (name, data_type) in &self.schema[block.columns.len()..] {
            block.push(name.clone(), Column::default_values(data_type.clone(), 1));
        }
        Ok(block)
    }

    /// Merges the threads' tables of one set and pushes the groups.
    fn emit(
        &self,
        set: &GroupingSet,
        mut locals: Vec<Local>,
        env: &Env,
        base: usize,
        consumer: &dyn Consumer,
        totals: Option<&Mutex<Vec<Box<dyn Accumulator>>>>,
    ) -> Result<usize> {
        let single: Option<Vec<&Table>> = locals.iter().map(Local::single).collect();
        let groups: Option<usize> = single.map(|t| t.iter().map(|t| t.groups()).sum());
        let most = if set.is_one_number() { NUMBERED_GROUPS_MAX } else { PARTITIONED_GROUPS_MIN };
        let few = |groups: usize| locals.len() == 1 || groups < most;
        if groups.is_some_and(few) {
            let mut tables = locals.drain(..).map(Local::into_single);
            let Some(mut first) = tables.next() else { return Ok(0) };
            let mut numbers = vec![];
            for other in tables {
                first.merge_all(&other, &mut numbers)?;
            }
            if let Emit::Count(count) = self.emit
                && set.is_one_number()
            {
                // Strings that are numbered are never NULL.
                count.fetch_add(first.shown().len() as u64, Ordering::Relaxed);
                return emit_in_order(&env.ctx, [], base, consumer);
            }
            let blocks = match self.picked_block(set, &mut first, totals)? {
                Some(block) => vec![block],
                None => self.blocks(set, first, None, env, totals)?,
            };
            return emit_in_order(&env.ctx, blocks.into_iter().map(Ok), base, consumer);
        }
        if let Some(plan) = &set.radix {
            let scattered = locals.into_iter().map(|l| l.into_scatter(plan));
            let scattered = scattered.collect::<Result<Vec<Scatter>>>()?;
            return self.emit_scattered(set, plan, scattered, env, base, consumer);
        }
        let sealed: Vec<Sealed> = locals.into_iter().map(Local::seal).collect();
        let memory = Mutex::new(env.ctx.memory.reserve(0)?);
        supply(&env.ctx, Some(PARTITIONS), env.threads, base, consumer, &|p, push| {
            let mut table = self.table(set);
            let mut numbers = vec![];
            let rows: usize = sealed.iter().map(|s| s.partition_rows(p)).sum();
            table.reserve(rows.min(RESERVED_GROUPS_MAX));
            for share in &sealed {
                share.add_partition(p, &mut table, &mut numbers)?;
            }
            let bytes = table.memory_bytes();
            {
                let mut memory = memory.lock();
                let used = memory.bytes();
                memory.grow_to(used + bytes)?;
            }
            for block in self.blocks(set, table, None, env, totals)? {
                if push(block)? == Flow::Enough {
                    break;
                }
            }
            let mut memory = memory.lock();
            let used = memory.bytes();
            memory.grow_to(used - bytes)?;
            Ok(true)
        })
    }

    /// Groups the partitions of scattered rows and pushes the groups.
    fn emit_scattered(
        &self,
        set: &GroupingSet,
        plan: &radix::Plan,
        scattered: Vec<Scatter>,
        env: &Env,
        base: usize,
        consumer: &dyn Consumer,
    ) -> Result<usize> {
        let sealed = radix::Sealed::of(plan, scattered)?;
        self.emit_sealed(set, plan, &sealed, env, base, consumer)
    }

    fn emit_sealed(
        &self,
        set: &GroupingSet,
        plan: &radix::Plan,
        sealed: &radix::Sealed,
        env: &Env,
        base: usize,
        consumer: &dyn Consumer,
    ) -> Result<usize> {
        let memory = Mutex::new(env.ctx.memory.reserve(0)?);
        let spare: Mutex<Vec<Groups>> = Mutex::new(vec![]);
        supply(&env.ctx, Some(plan.layout.partitions()), env.threads, base, consumer, &|p, push| {
            let taken = spare.lock().pop();
            let mut groups = taken.unwrap_or_else(|| Groups::new(&plan.layout));
            let before = groups.memory_bytes();
            sealed.group(p, &mut groups)?;
            {
                let mut memory = memory.lock();
                let used = memory.bytes();
                memory.grow_to(used + groups.memory_bytes() - before)?;
            }
            self.push_groups(set, sealed, &mut groups, push)?;
            spare.lock().push(groups);
            Ok(true)
        })
    }

    fn push_groups(
        &self,
        set: &GroupingSet,
        sealed: &radix::Sealed,
        groups: &mut Groups,
        push: &mut dyn FnMut(Block) -> Result<Flow>,
    ) -> Result<()> {
        if let Emit::Count(count) = self.emit {
            count.fetch_add(sealed.count_valid(groups) as u64, Ordering::Relaxed);
            return Ok(());
        }
        let width = sealed.layout.width();
        let bar = self.best.and_then(|best| {
            let range = best.wanted_words()?;
            Some((best, sealed.layout.ordered_word(best.aggregate())?, range))
        });
        let mut rows = match bar {
            Some((best, at, range)) => {
                let all = groups.len();
                let near = groups.rows_within(at, &range);
                best.leave_out(all - near.len() / width);
                near
            }
            None => groups.rows(),
        };
        let best: Vec<u64>;
        if let Some(wanted) = self.best
            && let Some(order) = sealed.layout.order(wanted.aggregate(), rows)
        {
            let picked = wanted.pick(order).into_iter();
            best = picked.flat_map(|n| &rows[n as usize * width..][..width]).copied().collect();
            rows = &best;
        }
        for rows in rows.chunks(CHUNK_ROWS * width) {
            let block = if let Emit::Keys(keys) | Emit::PackedKeys(keys) = self.emit {
                let mut columns = sealed.key_columns(rows, keys)?;
                if let Emit::Keys(_) = self.emit {
                    columns = set.decoded(columns)?;
                }
                Block::new(columns.into_iter().map(|c| (String::new(), c)).collect())
            } else {
                let keys = sealed.key_columns(rows, set.keys.len())?;
                self.block(set, keys, sealed.results(rows)?, rows.len() / width)?
            };
            if push(block)? == Flow::Enough {
                break;
            }
        }
        Ok(())
    }

    /// A block of the output: keys of the set, results of all functions.
    fn block(
        &self,
        set: &GroupingSet,
        key_columns: Vec<Column>,
        results: Vec<Column>,
        rows: usize,
    ) -> Result<Block> {
        let mut keys: Vec<Option<Column>> = vec![None; self.keys.len()];
        let key_columns = match self.emit {
            Emit::PackedKeys(_) => key_columns,
            _ => set.decoded(key_columns)?,
        };
        for (k, column) in set.keys.iter().zip(key_columns) {
            keys[*k] = Some(column);
        }
        let mut block = Block::of_rows(rows);
        for ((name, data_type), key) in self.schema.iter().zip(keys) {
            let column = match key {
                Some(key) if matches!(self.emit, Emit::PackedKeys(_)) => key,
                Some(key) => Column { data_type: data_type.clone(), ..key },
                None => Column::filler_values(data_type.clone(), rows),
            };
            block.push(name.clone(), column);
        }
        for ((name, data_type), column) in self.schema[self.keys.len()..].iter().zip(results) {
            block.push(name.clone(), Column { data_type: data_type.clone(), ..column });
        }
        if let Some((name, data_type)) = self.schema.get(block.columns.len()) {
            let number = Value::UInt(set.number);
            block.push(name.clone(), Column::constant(data_type.clone(), &number, rows)?);
        }
        Ok(block)
    }

    /// The groups of a merged table, or the first `most` of them; HAVING applied if it is ours.
    fn blocks(
        &self,
        set: &GroupingSet,
        mut table: Table,
        most: Option<usize>,
        env: &Env,
        totals: Option<&Mutex<Vec<Box<dyn Accumulator>>>>,
    ) -> Result<Vec<Block>> {
        let shown = table.shown();
        let groups = most.map_or(shown.len(), |most| most.min(shown.len()));
        let results = table.results(&shown)?;
        let numbers = totals.map(|_| shown.numbers()).unwrap_or_default();
        let mut blocks = vec![];
        let mut from = 0;
        while from < groups {
            let rows = CHUNK_ROWS.min(groups - from);
            let keys = match &table.keys {
                Some(keys) => shown.keys(keys, from..from + rows)?,
                None => vec![],
            };
            let results = results.iter().map(|r| r.slice(from, rows)).collect();
            let block = self.block(set, keys, results, rows)?;
            let mask = match self.having {
                Some(having) => Some(evaluate_mask(having, &block, &env.ctx)?),
                None => None,
            };
            if let Some(totals) = totals {
                add_to_totals(totals, &table, &numbers[from..from + rows], mask.as_ref())?;
            }
            blocks.push(match mask {
                Some(mask) => block.filter(&mask),
                None => block,
            });
            from += rows;
        }
        Ok(blocks)
    }
}

fn add_to_totals(
    totals: &Mutex<Vec<Box<dyn Accumulator>>>,
    table: &Table,
    numbers: &[u32],
    mask: Option<&BooleanArray>,
) -> Result<()> {
    let passed: Vec<u32> = numbers
        .iter()
        .enumerate()
        .filter(|(row, _)| mask.is_none_or(|m| m.value(*row)))
        .map(|(_, number)| *number)
        .collect();
    let groups = vec![0; passed.len()];
    for (total, states) in totals.lock().iter_mut().zip(&table.states) {
        total.merge_rows(states.as_ref(), &passed, &groups)?;
    }
    Ok(())
}

/// Gathers the input on every thread.
struct Collect<'a> {
    node: &'a AggregateNode<'a>,
    env: &'a Env,
    sets: Vec<GroupingSet>,
    /// Their forms with numbers for strings.
    numbered: Vec<Option<GroupingSet>>,
    done: Mutex<Vec<Share>>,
}

/// What one thread hands over: its tables, one per set, with the memory they hold.
struct Share {
    sets: Vec<Option<(Local, MemoryGuard)>>,
    /// What of each set is on disk.
    spilled: Vec<Option<SpilledPartitions>>,
    /// Of each set: whether its groups are in the set's own form.
    plain: Vec<bool>,
}

impl Consumer for Collect<'_> {
    fn worker(&self) -> Result<Box<dyn Worker + '_>> {
        let plain: Vec<bool> = self.numbered.iter().map(Option::is_none).collect();
        let rows = self.env.ctx.progress.total_rows_to_read.load(Ordering::Relaxed);
        let local = |(i, plain): (usize, &bool)| {
            let table = self.node.table(self.form(i, *plain));
            Ok((Local::new(table).expecting(rows), self.env.ctx.memory.reserve(0)?))
        };
        let sets = plain.iter().enumerate().map(local).collect::<Result<Vec<_>>>()?;
        let spilled = self.sets.iter().map(|_| None).collect();
        let external = external_group_by(&self.env.ctx);
        Ok(Box::new(CollectWorker {
            shared: self,
            sets,
            spilled,
            plain,
            external,
            groups: vec![],
            lookup: Lookup::default(),
        }))
    }
}

struct CollectWorker<'a> {
    shared: &'a Collect<'a>,
    sets: Vec<(Local, MemoryGuard)>,
    spilled: Vec<Option<SpilledPartitions>>,
    plain: Vec<bool>,
    external: Option<Threshold>,
    groups: Vec<u32>,
    lookup: Lookup,
}

impl Worker for CollectWorker<'_> {
    fn push(&mut self, block: Block) -> Result<Flow> {
        let (node, ctx) = (self.shared.node, &self.shared.env.ctx);
        let keys = coded::evaluate_all(node.keys, &block, ctx)?;
        let arguments = node
            .aggregates
            .iter()
            .map(|a| coded::evaluate_all(&a.arguments, &block, ctx))
            .collect::<Result<Vec<_>>>()?;
        let threads = self.shared.env.threads;
        for i in 0..self.sets.len() {
            self.update(i, &keys, &arguments, block.rows())?;
            let (local, guard) = &mut self.sets[i];
            let bytes = local.memory_bytes();
            let set = self.shared.form(i, self.plain[i]);
            // Strings that are only counted are in no table yet.
            let noted = !self.plain[i] && self.shared.counted_texts(i).is_some();
            if let Some(external) = self.external
                && !noted
                && !set.types.is_empty()
                && external.is_passed(bytes * threads, ctx)
            {
                let full = std::mem::replace(local, Local::new(node.table(set)));
                self.shared.spill(i, self.plain[i], full, &mut self.spilled[i])?;
            }
            guard.grow_to(local.memory_bytes())?;
        }
        Ok(Flow::More)
    }

    fn finish(&mut self) -> Result<()> {
        let sets = std::mem::take(&mut self.sets).into_iter().map(Some).collect();
        let spilled = std::mem::take(&mut self.spilled);
        let plain = std::mem::take(&mut self.plain);
        self.shared.done.lock().push(Share { sets, spilled, plain });
        Ok(())
    }
}

impl CollectWorker<'_> {
    /// Adds rows to set `i`, by the numbers of strings as long as that pays.
    fn update(
        &mut self,
        i: usize,
        keys: &[Column],
        arguments: &[Vec<Column>],
        rows: usize,
    ) -> Result<()> {
        let (shared, node) = (self.shared, self.shared.node);
        let own = &shared.sets[i];
        let picked: Vec<Column> = own.keys.iter().map(|k| keys[*k].clone()).collect();
        let (local, _) = &mut self.sets[i];
        if !self.plain[i]
            && let Some(texts) = shared.counted_texts(i)
        {
            if texts.note(&picked[0], &mut self.lookup)? {
                return Ok(());
            }
            *local = Local::new(node.table(own));
            self.plain[i] = true;
        }
        if !self.plain[i]
            && let Some(form) = &shared.numbered[i]
        {
            let keys_only = arguments.is_empty();
            if let Some((keys, rows)) = form.number(&picked, rows, keys_only, &mut self.lookup)? {
                let fresh = || node.table(form);
                let plan = form.radix.as_ref();
                return local.update(&keys, arguments, rows, &mut self.groups, &fresh, plan);
            }
            shared.unnumber(i, local)?;
            self.plain[i] = true;
        }
        let fresh = || node.table(own);
        local.update(&picked, arguments, rows, &mut self.groups, &fresh, own.radix.as_ref())
    }
}
