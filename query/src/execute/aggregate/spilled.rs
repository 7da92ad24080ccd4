//! Groups on disk. A thread whose groups outgrow their share of memory writes them, keys and serialized
//! states, to partitions by the hash of the key and begins anew; at the end every partition is merged
//! by itself.
//!
//! If one thread has spilled a set's groups, all do at the end. A partition must fit into memory.

use parking_lot::Mutex;
use pumphouse_storage::{Block, Column, DataType};

use super::local::Local;
use super::{AggregateNode, Collect, GroupingSet};
use crate::aggregates::Accumulator;
use crate::error::Result;
use crate::execute::Env;
use crate::execute::pipeline::{CHUNK_ROWS, Consumer, Flow, supply};
use crate::plan::BoundAggregate;
use crate::spill::{Purpose, SPILL_PARTITIONS, SealedPartitions, SpilledPartitions, share};

/// Types of the columns on disk: keys, then states.
fn schema(types: &[DataType], aggregates: &[BoundAggregate]) -> Vec<(String, DataType)> {
    let states = aggregates.iter().map(|_| (String::new(), DataType::String));
    types.iter().map(|t| (String::new(), t.clone())).chain(states).collect()
}

impl Collect<'_> {
    /// Whether any thread has groups on disk.
    pub(super) fn has_spilled(&self) -> bool {
        self.done.lock().iter().any(|share| share.spilled.iter().any(Option::is_some))
    }

    /// Writes a thread's groups of set `i` out, in the set's own form whatever they are in now.
    pub(super) fn spill(
        &self,
        i: usize,
        plain: bool,
        local: Local,
        spilled: &mut Option<SpilledPartitions>,
    ) -> Result<()> {
        let ctx = &self.env.ctx;
        let types = &self.sets[i].types;
        let into = match spilled {
            Some(into) => into,
            none => {
                let schema = schema(types, self.node.aggregates);
                none.insert(SpilledPartitions::new(schema, types, Purpose::Aggregation, ctx)?)
            }
        };
        let form = self.form(i, plain);
        self.each_group(form, local, &mut |keys, states, rows| {
            let keys = form.decoded(keys)?;
            let mut block = Block::of_rows(rows);
            keys.iter().for_each(|k| block.push("", k.clone()));
            for state in states {
                block.push("", Column { data_type: DataType::String, array: state.array });
            }
            into.push(&block, &keys, ctx)
        })
    }
}

impl AggregateNode<'_> {
    /// Merges what was spilled, partition by partition, and pushes the groups.
    pub(super) fn emit_spilled(
        &self,
        set: &GroupingSet,
        spilled: Vec<SpilledPartitions>,
        env: &Env,
        base: usize,
        consumer: &dyn Consumer,
        totals: Option<&Mutex<Vec<Box<dyn Accumulator>>>>,
    ) -> Result<usize> {
        let sealed = spilled.into_iter().map(|s| s.seal(&env.ctx));
        let spilled = sealed.collect::<Result<Vec<SealedPartitions>>>()?;
        share(&env.ctx)?.count_merge(Purpose::Aggregation);
        let width = set.keys.len();
        supply(&env.ctx, Some(SPILL_PARTITIONS), env.threads, base, consumer, &|p, push| {
            let mut table = self.table(set);
            let mut memory = env.ctx.memory.reserve(0)?;
            let mut numbers = vec![];
            for block in spilled.iter().flat_map(|s| s.read(p)) {
                env.ctx.check()?;
                let block = block?;
                let (keys, states) = block.columns.split_at(width);
                table.add_states(keys, states, block.rows(), &mut numbers)?;
                memory.grow_to(table.memory_bytes())?;
            }
            for block in self.blocks(set, table, None, env, totals)? {
                debug_assert!(block.rows() <= CHUNK_ROWS);
                if push(block)? == Flow::Enough {
                    break;
                }
            }
            Ok(true)
        })
    }
}
