//! `count(DISTINCT x)` by grouping: without GROUP BY, by x, and the groups are counted; with GROUP BY k,
//! by (k, x), and the pairs are counted per k, beside the other aggregates.
//!
//! Grouping partitions, spreads and merges on all threads what sets of values could not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{Array, UInt64Array};
use parking_lot::Mutex;
use pumphouse_storage::{Block, Column, DataType};

use super::{AggregateNode, Collect, Emit, pairs};
use crate::aggregates;
use crate::context::MemoryGuard;
use crate::error::Result;
use crate::execute::Env;
use crate::execute::key_table::{ABSENT, KeyTable};
use crate::execute::pipeline::{Consumer, Driven, Flow, Worker, emit_in_order};
use crate::execute::transform::Mapped;
use crate::plan::{BoundAggregate, BoundExpr, Plan};

/// The counted expressions if `node` is nothing but one exact distinct count.
pub(super) fn counted<'a>(node: &'a AggregateNode) -> Option<&'a [BoundExpr]> {
    match node.aggregates {
        [BoundAggregate { function, arguments }]
            if node.keys.is_empty()
                && !node.with_totals
                && node.grouping_sets.is_empty()
                && function.name() == "uniqExact" =>
        {
            Some(arguments)
        }
        _ => None,
    }
}

pub(super) fn drive(
    node: &AggregateNode,
    keys: &[BoundExpr],
    input: &Plan,
    env: &Env,
    base: usize,
    consumer: &dyn Consumer,
) -> Result<Driven> {
    let schema: Vec<(String, DataType)> =
        keys.iter().enumerate().map(|(i, k)| (i.to_string(), k.data_type())).collect();
    let counted = AtomicU64::new(0);
    let groups = AggregateNode {
        schema: &schema,
        keys,
        aggregates: &[],
        grouping_sets: &[],
        rows_of_nothing: false,
        with_totals: false,
        groups_max: None,
        having: None,
        emit: Emit::Count(&counted),
        best: None,
    };
    let count = Count(&counted);
    groups.drive(input, env, 0, &count)?;
    let array = UInt64Array::from(vec![counted.load(Ordering::Relaxed)]);
    let (name, data_type) = node.schema[0].clone();
    let column = Column { data_type, array: Arc::new(array) };
    let block = Block::new(vec![(name, column)]);
    let morsels = emit_in_order(&env.ctx, [Ok(block)], base, consumer)?;
    Ok(Driven { morsels, totals: None })
}

/// Counts rows without a NULL.
struct Count<'a>(&'a AtomicU64);

impl Consumer for Count<'_> {
    fn worker(&self) -> Result<Box<dyn Worker + '_>> {
        Ok(Box::new(CountWorker(self.0)))
    }
}

struct CountWorker<'a>(&'a AtomicU64);

impl Worker for CountWorker<'_> {
    fn push(&mut self, block: Block) -> Result<Flow> {
        let nullable = block.columns.iter().any(|c| c.array.null_count() > 0);
        let counted = if nullable {
            let valid = |row: &usize| block.columns.iter().all(|c| c.array.is_valid(*row));
            (0..block.rows()).filter(valid).count()
        } else {
            block.rows()
        };
        self.0.fetch_add(counted as u64, Ordering::Relaxed);
        Ok(Flow::More)
    }
}

/// Places of the exact distinct counts among the aggregates, if `node` can be split by them.
pub(super) fn grouped(node: &AggregateNode) -> Option<Vec<usize>> {
    let plain = !node.keys.is_empty()
        && node.grouping_sets.is_empty()
        && !node.with_totals
        && node.having.is_none();
    let distinct: Vec<usize> = (0..node.aggregates.len())
        .filter(|i| node.aggregates[*i].function.name() == "uniqExact")
        .collect();
    (plain && !distinct.is_empty()).then_some(distinct)
}

/// Aggregates the pairs of each distinct count and the other aggregates in one pass over the input,
/// then puts the counts beside the groups.
pub(super) fn drive_grouped(
    node: &AggregateNode,
    distinct: &[usize],
    input: &Plan,
    env: &Env,
    base: usize,
    consumer: &dyn Consumer,
) -> Result<Driven> {
    let keys = node.keys.len();
    let nullable =
        |i: &usize| node.aggregates[*i].arguments.iter().any(|a| a.data_type().is_nullable());
    // A group of NULLs only has no pairs.
    let emit = if distinct.iter().any(nullable) { Emit::Rows } else { Emit::Keys(keys) };
    let others: Vec<usize> = (0..node.aggregates.len()).filter(|i| !distinct.contains(i)).collect();
    let kept: Vec<BoundAggregate> = others.iter().map(|i| node.aggregates[*i].clone()).collect();
    let mut schema = node.schema[..keys].to_vec();
    schema.extend(others.iter().map(|i| node.schema[keys + i].clone()));
    let main = AggregateNode { schema: &schema, aggregates: &kept, best: None, ..*node };
    let pair_keys: Vec<Vec<BoundExpr>> = distinct
        .iter()
        .map(|i| node.keys.iter().chain(&node.aggregates[*i].arguments).cloned().collect())
        .collect();
    let pair_schemas: Vec<Vec<(String, DataType)>> = pair_keys
        .iter()
        .map(|k| k.iter().map(|e| (String::new(), e.data_type())).collect())
        .collect();
    let pairs: Vec<AggregateNode> = pair_keys
        .iter()
        .zip(&pair_schemas)
        .map(|(keys, schema)| AggregateNode {
            schema,
            keys,
            aggregates: &[],
            emit,
            best: None,
            ..*node
        })
        .collect();
    if let ([pair], true, Emit::Keys(_)) = (pairs.as_slice(), others.is_empty(), emit) {
        return drive_counted(node, pair, input, env, base, consumer);
    }
    let all = std::iter::once(&main).chain(&pairs);
    let tee = Tee(all.map(|n| n.collect(env)).collect::<Result<_>>()?);
    crate::execute::drive(input, env, 0, &tee)?;
    let mut collected = tee.0.into_iter();
    let main_collected = collected.next();
    let mut counts = vec![];
    for (pair, collected) in pairs.iter().zip(collected) {
        let types: Vec<DataType> = node.keys.iter().map(BoundExpr::data_type).collect();
        let counter = PairCounts::new(types, env)?;
        pair.finish(collected, env, 0, &counter)?;
        counts.push(counter.whole.into_inner());
    }
    let step = |block: Block| -> Result<Option<Block>> {
        Ok(Some(with_counts(node, distinct, &others, &block, &counts)))
    };
    match main_collected {
        Some(collected) => {
            main.finish(collected, env, base, &Mapped { step: &step, next: consumer })
        }
        None => Ok(Driven::default()),
    }
}

/// With nothing but one distinct count: the pairs are grouped by the keys alone and counted.
fn drive_counted(
    node: &AggregateNode,
    pair: &AggregateNode,
    input: &Plan,
    env: &Env,
    base: usize,
    consumer: &dyn Consumer,
) -> Result<Driven> {
    let columns = node.keys.iter().enumerate();
    let keys: Vec<BoundExpr> = columns
        .map(|(index, key)| BoundExpr::Column { index, data_type: key.data_type() })
        .collect();
    let function = aggregates::lookup("count", &[], &[])?;
    let count = [BoundAggregate { function, arguments: vec![] }];
    let outer = AggregateNode { keys: &keys, aggregates: &count, ..*node };
    let found = pair.gather(input, env)?;
    if found.is_numbered(0) {
        let texts = found.numbered[0].as_ref().map(|set| set.texts[..keys.len()].to_vec());
        let sets = outer.sets();
        let own = |set| outer.numbered_by(set, texts.clone().unwrap_or_default());
        let numbered = sets.iter().map(own).collect();
        let sink = outer.collect_by(env, sets, numbered);
        let packed = AggregateNode { emit: Emit::PackedKeys(keys.len()), ..*pair };
        packed.finish(Collect { node: &packed, ..found }, env, 0, &sink)?;
        return outer.finish(sink, env, base, consumer);
    }
    found.settle_all()?;
    if pairs::are_packed(&outer, &found) {
        return pairs::count(&outer, found, env, base, consumer);
    }
    let sink = outer.collect(env)?;
    pair.finish(found, env, 0, &sink)?;
    outer.finish(sink, env, base, consumer)
}

/// A block of the main aggregation with the counts at their places.
fn with_counts(
    node: &AggregateNode,
    distinct: &[usize],
    others: &[usize],
    block: &Block,
    counts: &[Counts],
) -> Block {
    let keys = node.keys.len();
    let mut columns: Vec<Option<Column>> = vec![None; node.schema.len()];
    for (i, column) in block.columns.iter().enumerate() {
        let place = if i < keys { i } else { keys + others[i - keys] };
        columns[place] = Some(column.clone());
    }
    let mut numbers = vec![];
    for (i, counts) in distinct.iter().zip(counts) {
        counts.table.find(&block.columns[..keys], block.rows(), &mut numbers);
        let of = |n: &u32| if *n == ABSENT { 0 } else { counts.counts[*n as usize] };
        let array = UInt64Array::from_iter_values(numbers.iter().map(of));
        let column = Column { data_type: DataType::UInt64, array: Arc::new(array) };
        columns[keys + i] = Some(column);
    }
    let mut out = Block::of_rows(block.rows());
    for ((name, data_type), column) in node.schema.iter().zip(columns) {
        let column =
            column.unwrap_or_else(|| Column::default_values(data_type.clone(), block.rows()));
        out.push(name.clone(), Column { data_type: data_type.clone(), ..column });
    }
    out
}

/// Gives every block to several aggregations.
struct Tee<'a>(Vec<Collect<'a>>);

impl Consumer for Tee<'_> {
    fn worker(&self) -> Result<Box<dyn Worker + '_>> {
        let workers = self.0.iter().map(Consumer::worker).collect::<Result<Vec<_>>>()?;
        Ok(Box::new(TeeWorker(workers)))
    }
}

struct TeeWorker<'a>(Vec<Box<dyn Worker + 'a>>);

impl Worker for TeeWorker<'_> {
    fn push(&mut self, block: Block) -> Result<Flow> {
        for worker in &mut self.0 {
            worker.push(block.clone())?;
        }
        Ok(Flow::More)
    }

    fn finish(&mut self) -> Result<()> {
        self.0.iter_mut().try_for_each(|w| w.finish())
    }
}

/// Pairs per key.
struct Counts {
    table: KeyTable,
    counts: Vec<u64>,
    memory: MemoryGuard,
}

impl Counts {
    fn new(types: &[DataType], env: &Env) -> Result<Counts> {
        let memory = env.ctx.memory.reserve(0)?;
        Ok(Counts { table: KeyTable::new(types), counts: vec![], memory })
    }

    fn grow(&mut self) -> Result<()> {
        self.counts.resize(self.table.len(), 0);
        self.memory.grow_to(self.table.memory_bytes() + self.counts.capacity() * 8)
    }
}

/// Counts the rows (pairs) it is given by their first columns, the keys.
struct PairCounts<'a> {
    types: Vec<DataType>,
    env: &'a Env,
    whole: Mutex<Counts>,
}

impl<'a> PairCounts<'a> {
    fn new(types: Vec<DataType>, env: &'a Env) -> Result<PairCounts<'a>> {
        let whole = Mutex::new(Counts::new(&types, env)?);
        Ok(PairCounts { types, env, whole })
    }
}

impl Consumer for PairCounts<'_> {
    fn worker(&self) -> Result<Box<dyn Worker + '_>> {
        let own = Counts::new(&self.types, self.env)?;
        Ok(Box::new(PairWorker { shared: self, own, numbers: vec![] }))
    }
}

struct PairWorker<'a> {
    shared: &'a PairCounts<'a>,
    own: Counts,
    numbers: Vec<u32>,
}

impl Worker for PairWorker<'_> {
    fn push(&mut self, block: Block) -> Result<Flow> {
        let keys = self.shared.types.len();
        self.own.table.insert(&block.columns[..keys], block.rows(), &mut self.numbers)?;
        self.own.grow()?;
        let values = &block.columns[keys..];
        let nullable = values.iter().any(|c| c.array.null_count() > 0);
        for (row, number) in self.numbers.iter().enumerate() {
            if !nullable || values.iter().all(|c| c.array.is_valid(row)) {
                self.own.counts[*number as usize] += 1;
            }
        }
        Ok(Flow::More)
    }

    fn finish(&mut self) -> Result<()> {
        let rows: Vec<u32> = (0..self.own.table.len() as u32).collect();
        let mut whole = self.shared.whole.lock();
        whole.table.insert_from(&self.own.table, &rows, &mut self.numbers);
        whole.grow()?;
        for (count, number) in self.own.counts.iter().zip(&self.numbers) {
            whole.counts[*number as usize] += count;
        }
        Ok(())
    }
}
