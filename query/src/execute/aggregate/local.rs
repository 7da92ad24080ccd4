//! One thread's share of an aggregation, in the form that suits its keys.
//!
//! It begins as one table. When that outgrows the cache it is set aside ([`Frozen`]): if rows kept
//! falling into known groups another table is begun; if most rows were new groups, rows are from then
//! on only scattered by the hash of their key ([`Scattered`]) and aggregated partition by partition at
//! the end, each in a table that fits the cache.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, UInt32Array};
use pumphouse_storage::{Column, DataType};

use super::coded::Distinct;
use super::radix::{self, Scatter};
use super::runs;
use crate::aggregates::Accumulator;
use crate::error::Result;
use crate::execute::key_table::{Codes, KeyTable, PackedKeys, coded, plain};
use crate::plan::BoundAggregate;

/// Groups in one table before it is set aside; tables and states of so many stay in the cache.
const TABLE_GROUPS_MAX: usize = 1 << 16;
/// Groups in one table before rows are scattered if they hardly fall together.
const SCATTERED_GROUPS_MIN: usize = 1 << 14;
/// Of fewer rows to read, few groups are not scattered even if nearly every row is one.
const FEW_ROWS_END: u64 = 1 << 18;
/// Rows per group from which on pre-aggregation pays.
const ROWS_PER_GROUP_MIN: usize = 8;
/// Partitions that large results are merged in, by the low bits of the key's hash.
pub(super) const PARTITIONS: usize = 256;
/// Bytes of scattered rows of one thread before they are aggregated.
const SCATTERED_BYTES_MAX: usize = 512 << 20;

/// Keys and the states of their groups.
pub(super) struct Table {
    /// None without GROUP BY: one group.
    pub keys: Option<KeyTable>,
    pub states: Vec<Box<dyn Accumulator>>,
    /// See [`is_repeatable`].
    repeatable: Vec<bool>,
    rows: usize,
}

/// Whether the same value again changes nothing.
pub(super) fn is_repeatable(aggregate: &BoundAggregate) -> bool {
    matches!(aggregate.function.name().as_str(), "min" | "max")
}

impl Table {
    pub fn new(key_types: &[DataType], grouped: bool, aggregates: &[BoundAggregate]) -> Table {
        let mut states: Vec<_> = aggregates.iter().map(|a| a.function.accumulator()).collect();
        if !grouped {
            states.iter_mut().for_each(|s| s.resize(1));
        }
        let repeatable = aggregates.iter().map(is_repeatable).collect();
        Table { keys: grouped.then(|| KeyTable::new(key_types)), states, repeatable, rows: 0 }
    }

    /// A table whose key is one number from a dense range.
    pub fn of_numbers(key_types: &[DataType], aggregates: &[BoundAggregate]) -> Table {
        Table { keys: Some(KeyTable::of_numbers(key_types)), ..Table::new(&[], false, aggregates) }
    }

    /// Whether keys are looked up by their place, however many there are.
    fn is_dense(&self) -> bool {
        self.keys.as_ref().is_some_and(KeyTable::is_dense)
    }

    /// A finished table of these keys and states.
    pub fn of(keys: KeyTable, states: Vec<Box<dyn Accumulator>>) -> Table {
        let repeatable = vec![false; states.len()];
        Table { keys: Some(keys), states, repeatable, rows: 0 }
    }

    /// Rows, as far as adding them here or scattering them costs something: of a dictionary's strings
    /// one each, if they are `counted`.
    fn weighed_rows(&self, counted: bool) -> usize {
        let lookups = self.keys.as_ref().map_or(0, KeyTable::lookups);
        if counted { lookups } else { self.rows }
    }

    /// Groups that there are states for; not all need be [`Table::shown`].
    pub fn groups(&self) -> usize {
        self.keys.as_ref().map_or(1, KeyTable::len)
    }

    /// The groups that have rows.
    pub fn shown(&self) -> Shown {
        Shown {
            numbers: self.keys.as_ref().and_then(KeyTable::present).map(UInt32Array::from),
            groups: self.groups(),
        }
    }

    /// Serialized states of the groups of `shown`.
    pub fn serialized(&mut self, shown: &Shown) -> Result<Vec<Column>> {
        self.states.iter_mut().map(|s| Ok(shown.of(s.serialize()?))).collect()
    }

    /// Results of the groups of `shown`.
    pub fn results(&mut self, shown: &Shown) -> Result<Vec<Column>> {
        self.states.iter_mut().map(|s| Ok(shown.of(s.finish()?))).collect()
    }

    pub fn memory_bytes(&self) -> usize {
        self.keys.as_ref().map_or(0, KeyTable::memory_bytes)
            + self.states.iter().map(|s| s.memory_bytes()).sum::<usize>()
    }

    /// Makes room for so many groups.
    pub fn reserve(&mut self, groups: usize) {
        if let Some(keys) = &mut self.keys {
            keys.reserve(groups);
        }
    }

    /// Adds `rows` rows.
    pub fn update(
        &mut self,
        keys: &[Column],
        arguments: &[Vec<Column>],
        rows: usize,
        groups: &mut Vec<u32>,
    ) -> Result<()> {
        self.rows += rows;
        let Some(table) = &mut self.keys else {
            for (state, arguments) in self.states.iter_mut().zip(arguments) {
                let arguments: Vec<Column> = arguments.iter().map(plain).collect();
                state.update_single(&arguments, rows)?;
            }
            return Ok(());
        };
        if let Some(runs) = runs::of_keys(table, keys, arguments, rows, groups)? {
            let count = table.len();
            return runs::update(&runs, &mut self.states, arguments, count);
        }
        let mut codes = None;
        match keys {
            [only] if table.is_text() && coded(only).is_some() => {
                codes = coded(only);
                table.insert(keys, rows, groups)?;
            }
            _ if keys.iter().any(|k| coded(k).is_some()) => {
                if table.insert_coded(keys, rows, groups)? {
                    return self.update_states(None, arguments, groups);
                }
                let keys: Vec<Column> = keys.iter().map(plain).collect();
                table.insert(&keys, rows, groups)?;
            }
            _ => table.insert(keys, rows, groups)?,
        }
        self.update_states(codes, arguments, groups)
    }

    /// `keys`: the codes that alone decide the group.
    fn update_states(
        &mut self,
        keys: Option<Codes<'_>>,
        arguments: &[Vec<Column>],
        groups: &[u32],
    ) -> Result<()> {
        let count = self.groups();
        if let Some(runs) = runs::of(groups, arguments) {
            return runs::update(&runs, &mut self.states, arguments, count);
        }
        let mut distinct: Option<Distinct> = None;
        for (i, (state, arguments)) in self.states.iter_mut().zip(arguments).enumerate() {
            state.resize(count);
            if arguments.iter().all(|a| coded(a).is_none()) {
                state.update(groups, arguments)?;
                continue;
            }
            match (keys, arguments.as_slice()) {
                (Some(keys), [only])
                    if self.repeatable[i] && coded(only).is_some_and(|c| c.has_codes_of(keys)) =>
                {
                    let distinct = distinct.get_or_insert_with(|| Distinct::of(keys, groups));
                    distinct.update(state.as_mut(), only)?;
                }
                _ => {
                    let arguments: Vec<Column> = arguments.iter().map(plain).collect();
                    state.update(groups, &arguments)?;
                }
            }
        }
        Ok(())
    }

    /// Adds the groups `rows` of `other`.
    pub fn merge(&mut self, other: &Table, rows: &[u32], groups: &mut Vec<u32>) -> Result<()> {
        match (&mut self.keys, &other.keys) {
            (Some(mine), Some(theirs)) => mine.insert_from(theirs, rows, groups),
            _ => {
                groups.clear();
                groups.resize(rows.len(), 0);
            }
        }
        let count = self.groups();
        for (mine, theirs) in self.states.iter_mut().zip(&other.states) {
            mine.resize(count);
            mine.merge_rows(theirs.as_ref(), rows, groups)?;
        }
        Ok(())
    }

    /// Adds groups with serialized states.
    pub fn add_states(
        &mut self,
        keys: &[Column],
        states: &[Column],
        rows: usize,
        groups: &mut Vec<u32>,
    ) -> Result<()> {
        if let Some(table) = &mut self.keys {
            table.insert(keys, rows, groups)?;
        }
        let count = self.groups();
        for (mine, states) in self.states.iter_mut().zip(states) {
            mine.resize(count);
            mine.merge_serialized(groups, states)?;
        }
        Ok(())
    }

    pub fn merge_all(&mut self, other: &Table, groups: &mut Vec<u32>) -> Result<()> {
        self.merge(other, &other.shown().numbers(), groups)
    }
}

/// Which groups of a table have rows: in one whose keys are their own numbers not all have.
pub(super) struct Shown {
    /// None: all.
    numbers: Option<UInt32Array>,
    groups: usize,
}

impl Shown {
    /// How many they are.
    pub fn len(&self) -> usize {
        self.numbers.as_ref().map_or(self.groups, |n| n.len())
    }

    pub fn numbers(&self) -> Cow<'_, [u32]> {
        match &self.numbers {
            Some(numbers) => Cow::Borrowed(numbers.values()),
            None => Cow::Owned((0..self.groups as u32).collect()),
        }
    }

    /// The one at a place among them.
    pub fn number(&self, place: u32) -> u32 {
        self.numbers.as_ref().map_or(place, |n| n.value(place as usize))
    }

    /// Their rows of a column with one for each group.
    pub fn of(&self, column: Column) -> Column {
        match &self.numbers {
            Some(numbers) => column.take(numbers),
            None => column,
        }
    }

    /// The key columns of some of them, by their place among those that are shown.
    pub fn keys(&self, keys: &KeyTable, places: Range<usize>) -> Result<Vec<Column>> {
        if let Some(numbers) = &self.numbers
            && let Some(columns) = keys.decode_words(&numbers.values()[places.clone()])?
        {
            return Ok(columns);
        }
        keys.decode(places)
    }
}

/// A table that takes no more rows, its groups in partition order.
pub(super) struct Frozen {
    table: Table,
    /// Group numbers, those of partition 0 first.
    order: Vec<u32>,
    starts: Vec<usize>,
}

impl Frozen {
    fn new(table: Table) -> Frozen {
        let shown = table.shown();
        let partition =
            |n: u32| table.keys.as_ref().map_or(0, |k| k.hash_of(n as usize) as usize % PARTITIONS);
        let mut starts = vec![0usize; PARTITIONS + 1];
        let numbers = shown.numbers();
        for n in &*numbers {
            starts[partition(*n) + 1] += 1;
        }
        for p in 0..PARTITIONS {
            starts[p + 1] += starts[p];
        }
        let mut cursors = starts.clone();
        let mut order = vec![0u32; numbers.len()];
        for n in &*numbers {
            let cursor = &mut cursors[partition(*n)];
            order[*cursor] = *n;
            *cursor += 1;
        }
        drop(numbers);
        Frozen { table, order, starts }
    }

    fn partition(&self, p: usize) -> &[u32] {
        &self.order[self.starts[p]..self.starts[p + 1]]
    }

    fn memory_bytes(&self) -> usize {
        self.table.memory_bytes() + self.order.capacity() * 4 + self.starts.capacity() * 8
    }
}

/// Rows of one block in partition order.
struct Scattered {
    keys: PackedKeys,
    arguments: Vec<Vec<Column>>,
}

impl Scattered {
    fn new(table: &KeyTable, keys: &[Column], arguments: &[Vec<Column>], rows: usize) -> Scattered {
        let (keys, order) = table.partition_keys(keys, rows, PARTITIONS);
        let order = UInt32Array::from(order);
        // Functions often share an argument: it is moved once.
        let mut moved: Vec<(ArrayRef, Column)> = vec![];
        let mut take = |column: &Column| {
            let known = moved.iter().find(|(from, _)| Arc::ptr_eq(from, &column.array));
            if let Some((_, taken)) = known {
                return Column { data_type: column.data_type.clone(), array: taken.array.clone() };
            }
            let taken = column.take(&order);
            moved.push((column.array.clone(), taken.clone()));
            taken
        };
        let arguments = arguments.iter().map(|a| a.iter().map(&mut take).collect()).collect();
        Scattered { keys, arguments }
    }

    fn add_partition(&self, p: usize, table: &mut Table, groups: &mut Vec<u32>) -> Result<()> {
        let range = self.keys.range(p);
        if range.is_empty() {
            return Ok(());
        }
        if let Some(keys) = &mut table.keys {
            keys.insert_packed(&self.keys, p, groups);
        }
        let arguments: Vec<Vec<Column>> = self
            .arguments
            .iter()
            .map(|a| a.iter().map(|c| c.slice(range.start, range.len())).collect())
            .collect();
        table.update_states(None, &arguments, groups)
    }

    fn memory_bytes(&self) -> usize {
        let columns = self.arguments.iter().flatten();
        self.keys.memory_bytes() + columns.map(Column::memory_bytes).sum::<usize>()
    }
}

/// One thread's tables and rows for one grouping set.
pub(super) struct Local {
    current: Table,
    frozen: Vec<Frozen>,
    scattering: bool,
    scattered: Vec<Scattered>,
    scattered_bytes: usize,
    /// Scattered rows aggregated early, one table per partition.
    drained: Vec<Table>,
    other_bytes: usize,
    /// Takes the place of the four above if keys and states can be packed.
    scatter: Option<Scatter>,
    /// Whether so few rows are to come that partitions would cost more than they save.
    few_rows: bool,
}

impl Local {
    pub fn new(table: Table) -> Local {
        Local {
            current: table,
            frozen: vec![],
            scattering: false,
            scattered: vec![],
            scattered_bytes: 0,
            drained: vec![],
            other_bytes: 0,
            scatter: None,
            few_rows: false,
        }
    }

    /// To be told how many rows there are to read, as far as that is known (0: it is not).
    pub fn expecting(self, rows: u64) -> Local {
        Local { few_rows: (1..FEW_ROWS_END).contains(&rows), ..self }
    }

    /// Adds rows; `fresh` makes an empty table, `plan` says how to scatter if that is possible.
    pub fn update(
        &mut self,
        keys: &[Column],
        arguments: &[Vec<Column>],
        rows: usize,
        groups: &mut Vec<u32>,
        fresh: &dyn Fn() -> Table,
        plan: Option<&radix::Plan>,
    ) -> Result<()> {
        if self.scattering
            && let (Some(scatter), Some(plan)) = (&mut self.scatter, plan)
        {
            return scatter.update(plan, keys, arguments, rows);
        }
        if self.scattering
            && let Some(table) = &self.current.keys
        {
            let keys: Vec<Column> = keys.iter().map(plain).collect();
            let arguments: Vec<Vec<Column>> =
                arguments.iter().map(|a| a.iter().map(plain).collect()).collect();
            let scattered = Scattered::new(table, &keys, &arguments, rows);
            self.scattered_bytes += scattered.memory_bytes();
            self.scattered.push(scattered);
            if self.scattered_bytes > SCATTERED_BYTES_MAX {
                self.drain(groups, fresh)?;
            }
            return Ok(());
        }
        self.current.update(keys, arguments, rows, groups)?;
        if self.current.is_dense() {
            return Ok(());
        }
        if let Some(plan) = plan {
            return self.set_aside(plan, fresh);
        }
        if self.current.keys.is_some() && self.current.groups() >= TABLE_GROUPS_MAX {
            let full = std::mem::replace(&mut self.current, fresh());
            self.scattering = full.rows < full.groups() * ROWS_PER_GROUP_MIN;
            let frozen = Frozen::new(full);
            self.other_bytes += frozen.memory_bytes();
            self.frozen.push(frozen);
        }
        Ok(())
    }

    /// Adds groups with serialized states.
    pub fn add_states(
        &mut self,
        keys: &[Column],
        states: &[Column],
        rows: usize,
        groups: &mut Vec<u32>,
        fresh: &dyn Fn() -> Table,
        plan: Option<&radix::Plan>,
    ) -> Result<()> {
        if self.scattering
            && let (Some(scatter), Some(plan)) = (&mut self.scatter, plan)
        {
            return scatter.add_states(plan, keys, states, rows);
        }
        self.current.add_states(keys, states, rows, groups)?;
        plan.map_or(Ok(()), |plan| self.set_aside(plan, fresh))
    }

    /// Whether there are many groups, for what may come of them.
    pub fn has_many_groups(&self) -> bool {
        self.scatter.is_some() || self.current.groups() >= SCATTERED_GROUPS_MIN / 4
    }

    /// Scatters all that is added from now on.
    pub fn begin_scattering(&mut self, plan: &radix::Plan) -> Result<()> {
        self.scattering = true;
        self.scatter(plan).map(|_| ())
    }

    /// Scatters the groups of a table that has outgrown the cache, and from then on the rows, if most
    /// rows were new groups.
    fn set_aside(&mut self, plan: &radix::Plan, fresh: &dyn Fn() -> Table) -> Result<()> {
        let groups = self.current.groups();
        let rows = self.current.weighed_rows(plan.layout.is_counted_text());
        let repeats = rows >= groups * ROWS_PER_GROUP_MIN;
        let most = match rows {
            _ if repeats => TABLE_GROUPS_MAX,
            // Nearly every row is new: the sooner they are scattered the better.
            rows if rows < groups * 2 && !self.few_rows => SCATTERED_GROUPS_MIN / 4,
            _ => SCATTERED_GROUPS_MIN,
        };
        if groups >= most {
            let full = std::mem::replace(&mut self.current, fresh());
            self.scattering = !repeats;
            self.scatter(plan)?.add_table(plan, full)?;
        }
        Ok(())
    }

    fn scatter(&mut self, plan: &radix::Plan) -> Result<&mut Scatter> {
        Ok(match &mut self.scatter {
            Some(scatter) => scatter,
            none => none.insert(Scatter::new(plan)),
        })
    }

    /// Everything as scattered rows.
    pub fn into_scatter(mut self, plan: &radix::Plan) -> Result<Scatter> {
        let current = self.current;
        let mut scatter = match self.scatter.take() {
            Some(scatter) => scatter,
            None => Scatter::new(plan),
        };
        if current.groups() > 0 {
            scatter.add_table(plan, current)?;
        }
        Ok(scatter)
    }

    fn drain(&mut self, groups: &mut Vec<u32>, fresh: &dyn Fn() -> Table) -> Result<()> {
        if self.drained.is_empty() {
            self.drained = (0..PARTITIONS).map(|_| fresh()).collect();
        }
        for (p, table) in self.drained.iter_mut().enumerate() {
            for scattered in &self.scattered {
                scattered.add_partition(p, table, groups)?;
            }
        }
        self.scattered.clear();
        self.scattered_bytes = 0;
        let frozen: usize = self.frozen.iter().map(Frozen::memory_bytes).sum();
        self.other_bytes = frozen + self.drained.iter().map(Table::memory_bytes).sum::<usize>();
        Ok(())
    }

    pub fn memory_bytes(&self) -> usize {
        self.current.memory_bytes()
            + self.scattered_bytes
            + self.other_bytes
            + self.scatter.as_ref().map_or(0, Scatter::memory_bytes)
    }

    /// Whether rows were packed and scattered.
    pub fn is_scattered(&self) -> bool {
        self.scatter.is_some()
    }

    /// The only table, if there is but one and it is small enough to be merged as a whole.
    pub fn single(&self) -> Option<&Table> {
        let whole = self.frozen.is_empty() && !self.scattering && self.scatter.is_none();
        whole.then_some(&self.current)
    }

    pub fn into_single(self) -> Table {
        self.current
    }

    /// Makes every partition ready to be read.
    pub fn seal(mut self) -> Sealed {
        self.frozen.push(Frozen::new(self.current));
        Sealed { frozen: self.frozen, scattered: self.scattered, drained: self.drained }
    }
}

/// A thread's share, to be read partition by partition.
pub(super) struct Sealed {
    frozen: Vec<Frozen>,
    scattered: Vec<Scattered>,
    drained: Vec<Table>,
}

impl Sealed {
    /// Scattered rows in partition `p`: no more groups than that come from them.
    pub fn partition_rows(&self, p: usize) -> usize {
        self.scattered.iter().map(|s| s.keys.range(p).len()).sum()
    }

    /// Adds everything of partition `p` to `table`.
    pub fn add_partition(&self, p: usize, table: &mut Table, groups: &mut Vec<u32>) -> Result<()> {
        for frozen in &self.frozen {
            table.merge(&frozen.table, frozen.partition(p), groups)?;
        }
        if let Some(drained) = self.drained.get(p) {
            table.merge_all(drained, groups)?;
        }
        for scattered in &self.scattered {
            scattered.add_partition(p, table, groups)?;
        }
        Ok(())
    }
}
