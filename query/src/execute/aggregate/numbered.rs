//! Grouping by the numbers of strings instead of strings (`numbers`): a set of keys has a numbered form
//! beside its own, and each thread groups in that until strings turn out not to repeat. Then its groups
//! become groups of strings, and so it goes on. The threads' forms agree at the end.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, UInt32Array};
use arrow_schema::DataType as ArrowType;
use pumphouse_storage::{Column, DataType};

use super::local::{Local, PARTITIONS, Table};
use super::numbers::{Lookup, TextNumbers};
use super::radix::{self, Groups, Layout};
use super::{AggregateNode, Collect, Emit, GroupingSet, Share};
use crate::error::Result;
use crate::execute::Env;

/// Rows of a block of groups that change their form.
const BLOCK_ROWS: usize = 16_384;

impl GroupingSet {
    /// Whether keys are numbers of strings.
    pub(super) fn is_numbered(&self) -> bool {
        self.texts.iter().any(Option::is_some)
    }

    /// Whether the key is the number of one string.
    pub(super) fn is_one_number(&self) -> bool {
        matches!(self.texts.as_slice(), [Some(_)])
    }

    /// Keys with numbers for strings, and how many rows that is (fewer than before only if nothing but
    /// the keys matters); None if strings are no longer numbered.
    pub(super) fn number(
        &self,
        keys: &[Column],
        rows: usize,
        keys_only: bool,
        lookup: &mut Lookup,
    ) -> Result<Option<(Vec<Column>, usize)>> {
        let (mut columns, mut rows) = (Vec::with_capacity(keys.len()), rows);
        let once = keys_only && self.is_one_number();
        for (key, texts) in keys.iter().zip(&self.texts) {
            // Keys of pairs come as numbers.
            let is_number = matches!(key.array.data_type(), ArrowType::UInt32);
            let Some(texts) = texts.as_ref().filter(|_| !is_number) else {
                columns.push(key.clone());
                continue;
            };
            let Some(numbers) = texts.number(key, once, lookup)? else { return Ok(None) };
            rows = numbers.len();
            columns.push(numbers_column(numbers));
        }
        Ok(Some((columns, rows)))
    }

    /// The keys as they are called outside.
    pub(super) fn decoded(&self, keys: Vec<Column>) -> Result<Vec<Column>> {
        if !self.is_numbered() {
            return Ok(keys);
        }
        let texts = self.texts.iter().map(Option::as_deref);
        debug_assert!(keys.len() <= self.texts.len());
        keys.into_iter().zip(texts).map(|(key, texts)| decode(key, texts)).collect()
    }
}

fn numbers_column(numbers: Vec<u32>) -> Column {
    Column { data_type: DataType::UInt32, array: Arc::new(UInt32Array::from(numbers)) }
}

fn decode(key: Column, texts: Option<&TextNumbers>) -> Result<Column> {
    let Some(texts) = texts else { return Ok(key) };
    let numbers = key.array.as_primitive::<UInt32Type>();
    let array = texts.texts(numbers.values())?;
    Ok(Column { data_type: DataType::String, array: Arc::new(array) })
}

/// One in so many bytes of the memory limit may be a column's numbered strings.
const MEMORY_SHARE: u64 = 16;
/// With less than this strings get no numbers.
const BYTES_LEAST: u64 = 4 << 20;

impl AggregateNode<'_> {
    /// The form of `set` with numbers for strings, if that may pay.
    pub(super) fn numbered(&self, set: &GroupingSet, env: &Env) -> Result<Option<GroupingSet>> {
        // What one string decides, and is not packed, is updated by its dictionary.
        if set.keys.len() < 2 && set.radix.is_none() {
            return Ok(None);
        }
        // What has a number stays in memory when groups go to disk: no more than a small share of it.
        let most = env.ctx.memory.limit_bytes().unwrap_or(u64::MAX) / MEMORY_SHARE;
        if most < BYTES_LEAST {
            return Ok(None);
        }
        let mut texts = vec![];
        for data_type in &set.types {
            texts.push(match data_type {
                DataType::String => {
                    let memory = env.ctx.memory.reserve(0)?;
                    Some(Arc::new(TextNumbers::new(memory, most)))
                }
                _ => None,
            });
        }
        Ok(self.numbered_by(set, texts))
    }

    /// The form of `set` with the numbers of `texts`.
    pub(super) fn numbered_by(
        &self,
        set: &GroupingSet,
        texts: Vec<Option<Arc<TextNumbers>>>,
    ) -> Option<GroupingSet> {
        if texts.iter().all(Option::is_none) {
            return None;
        }
        let types: Vec<DataType> = set
            .types
            .iter()
            .zip(&texts)
            .map(|(own, texts)| if texts.is_some() { DataType::UInt32 } else { own.clone() })
            .collect();
        let layout = (!self.with_totals).then(|| Layout::of(&types, self.aggregates)).flatten();
        let radix = layout.map(radix::Plan::new);
        Some(GroupingSet { number: set.number, keys: set.keys.clone(), types, radix, texts })
    }
}

impl Collect<'_> {
    /// The form that a thread groups set `i` in.
    pub(super) fn form(&self, i: usize, plain: bool) -> &GroupingSet {
        self.numbered[i].as_ref().filter(|_| !plain).unwrap_or(&self.sets[i])
    }

    /// Whether all threads have grouped set `i` by numbers, in memory.
    pub(super) fn is_numbered(&self, i: usize) -> bool {
        let done = self.done.lock();
        self.numbered[i].is_some()
            && done.iter().all(|share| !share.plain[i] && share.spilled[i].is_none())
    }

    /// Brings the threads' groups into one form, before anything is asked about them.
    pub(super) fn settle_all(&self) -> Result<()> {
        let mut threads = std::mem::take(&mut *self.done.lock());
        self.settle(&mut threads)?;
        *self.done.lock() = threads;
        Ok(())
    }

    /// Brings the threads' groups into one form.
    pub(super) fn settle(&self, threads: &mut [Share]) -> Result<()> {
        for i in 0..self.sets.len() {
            if threads.iter().all(|share| !share.plain[i]) {
                continue;
            }
            if let Some(texts) = self.counted_texts(i) {
                for share in threads.iter_mut().filter(|share| !share.plain[i]) {
                    share.plain[i] = true;
                    if let Some((local, _)) = &mut share.sets[i] {
                        *local = Local::new(self.node.table(&self.sets[i]));
                    }
                }
                self.add_texts(i, texts, threads)?;
                continue;
            }
            for share in threads.iter_mut().filter(|share| !share.plain[i]) {
                share.plain[i] = true;
                if let Some((local, guard)) = &mut share.sets[i] {
                    self.unnumber(i, local)?;
                    guard.grow_to(local.memory_bytes())?;
                }
            }
        }
        Ok(())
    }

    /// The strings of set `i`, if they are all that matters of the rows, and only their number does: then
    /// having a number is being a group, and no table is kept.
    pub(super) fn counted_texts(&self, i: usize) -> Option<&TextNumbers> {
        let form = self.numbered[i].as_ref()?;
        let counts = matches!(self.node.emit, Emit::Count(_)) && self.node.aggregates.is_empty();
        match form.texts.as_slice() {
            [Some(texts)] if counts => Some(texts),
            _ => None,
        }
    }

    /// Makes the strings that have numbers groups of one thread.
    fn add_texts(&self, i: usize, texts: &TextNumbers, threads: &mut [Share]) -> Result<()> {
        let set = &self.sets[i];
        let Some((local, guard)) = threads.first_mut().and_then(|share| share.sets[i].as_mut())
        else {
            return Ok(());
        };
        let fresh = || self.node.table(set);
        let mut groups = vec![];
        texts.each(&mut |texts| {
            let rows = texts.len();
            let key = Column { data_type: DataType::String, array: Arc::new(texts) };
            local.update(&[key], &[], rows, &mut groups, &fresh, set.radix.as_ref())?;
            guard.grow_to(local.memory_bytes())
        })
    }

    /// Makes the groups of set `i` groups of strings.
    pub(super) fn unnumber(&self, i: usize, local: &mut Local) -> Result<()> {
        let fresh = || self.node.table(&self.sets[i]);
        let numbered = std::mem::replace(local, Local::new(fresh()));
        let Some(form) = &self.numbered[i] else { return Ok(()) };
        let plan = self.sets[i].radix.as_ref();
        // Strings that do not repeat make many groups: those need no table.
        if let Some(plan) = plan.filter(|_| numbered.has_many_groups()) {
            local.begin_scattering(plan)?;
        }
        let mut groups = vec![];
        self.each_group(form, numbered, &mut |keys, states, rows| {
            local.add_states(&form.decoded(keys)?, &states, rows, &mut groups, &fresh, plan)
        })
    }

    /// Calls `take` with keys, as they are in `form`, and serialized states of all groups, block by block.
    pub(super) fn each_group(
        &self,
        form: &GroupingSet,
        local: Local,
        take: &mut dyn FnMut(Vec<Column>, Vec<Column>, usize) -> Result<()>,
    ) -> Result<()> {
        if local.is_scattered()
            && let Some(plan) = &form.radix
        {
            let sealed = radix::Sealed::of(plan, vec![local.into_scatter(plan)?])?;
            let mut groups = Groups::new(&plan.layout);
            let width = plan.layout.width();
            for p in 0..plan.layout.partitions() {
                sealed.group(p, &mut groups)?;
                for rows in groups.rows().chunks(BLOCK_ROWS * width) {
                    let keys = sealed.key_columns(rows, form.keys.len())?;
                    take(keys, sealed.states(rows), rows.len() / width)?;
                }
            }
            return Ok(());
        }
        let mut table_out = |mut table: Table| {
            let shown = table.shown();
            let states = table.serialized(&shown)?;
            let Some(keys) = &table.keys else { return Ok(()) };
            let mut from = 0;
            while from < shown.len() {
                let rows = BLOCK_ROWS.min(shown.len() - from);
                let states = states.iter().map(|s| s.slice(from, rows)).collect();
                take(shown.keys(keys, from..from + rows)?, states, rows)?;
                from += rows;
            }
            Ok(())
        };
        if local.single().is_some() {
            return table_out(local.into_single());
        }
        let sealed = local.seal();
        for p in 0..PARTITIONS {
            let mut table = self.node.table(form);
            sealed.add_partition(p, &mut table, &mut vec![])?;
            table_out(table)?;
        }
        Ok(())
    }
}
