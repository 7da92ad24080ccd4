//! The frame that most aggregate functions fill in: a plain state per group ([`State`]) and the
//! loops over columns ([`Kernel`]); [`Grouped`] makes an accumulator of them, [`Function`] the
//! function.
//!
//! Serialized states are read back from tables and from other servers, so reading checks its input.

use std::any::Any;
use std::sync::Arc;

use arrow_array::BinaryArray;
use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use pumphouse_storage::{Column, DataType, Value};

use super::packed::Packed;
use super::{Accumulator, AggregateFunction};
use crate::error::{Error, Result, codes};

/// The state of one group.
pub(crate) trait State: Default + Send + Sync + 'static {
    /// Whether `heap_bytes` can be other than 0.
    const HEAP: bool = false;
    fn merge(&mut self, other: &Self);
    fn write(&self, out: &mut Vec<u8>);
    /// Takes one state off the front of `input`.
    fn read(input: &mut &[u8]) -> Result<Self>;
    fn heap_bytes(&self) -> usize {
        0
    }
}

/// What a function does with its states.
pub(crate) trait Kernel: Clone + Send + Sync + 'static {
    type State: State;
    /// Adds row `i` to `states[groups[i]]`. Arguments hold no NULLs.
    fn update(
        &self,
        states: &mut [Self::State],
        groups: &[u32],
        arguments: &[Column],
    ) -> Result<()>;
    fn update_single(
        &self,
        state: &mut Self::State,
        arguments: &[Column],
        rows: usize,
    ) -> Result<()> {
        self.update(std::slice::from_mut(state), &vec![0; rows], arguments)
    }
    /// Merges one state into another; for kernels whose merge needs parameters.
    fn merge(&self, into: &mut Self::State, from: &Self::State) {
        into.merge(from);
    }
    fn finish(&self, states: &[Self::State]) -> Result<Column>;
    /// See [`AggregateFunction::packed`].
    fn packed(&self) -> Option<Packed> {
        None
    }
}

/// Accumulator over a `Vec` of plain states.
pub(crate) struct Grouped<K: Kernel> {
    kernel: K,
    state_type: Arc<DataType>,
    states: Vec<K::State>,
    heap_bytes: usize,
    rows_since_measured: usize,
}

impl<K: Kernel> Grouped<K> {
    pub fn new(kernel: K, state_type: DataType) -> Self {
        let state_type = Arc::new(state_type);
        Grouped { kernel, state_type, states: vec![], heap_bytes: 0, rows_since_measured: 0 }
    }

    /// Measuring every heap state costs; it is done about once per as many rows as there are states.
    fn measure(&mut self, rows: usize) {
        if K::State::HEAP {
            self.rows_since_measured += rows;
            if self.rows_since_measured >= self.states.len() {
                self.heap_bytes = self.states.iter().map(State::heap_bytes).sum();
                self.rows_since_measured = 0;
            }
        }
    }
}

impl<K: Kernel> Accumulator for Grouped<K> {
    fn resize(&mut self, groups: usize) {
        if groups > self.states.len() {
            self.states.resize_with(groups, K::State::default);
        }
    }

    fn update(&mut self, groups: &[u32], arguments: &[Column]) -> Result<()> {
        self.kernel.update(&mut self.states, groups, arguments)?;
        self.measure(groups.len());
        Ok(())
    }

    fn update_single(&mut self, arguments: &[Column], rows: usize) -> Result<()> {
        self.resize(1);
        self.kernel.update_single(&mut self.states[0], arguments, rows)?;
        self.measure(rows);
        Ok(())
    }

    fn update_run(&mut self, group: u32, arguments: &[Column], rows: usize) -> Result<()> {
        self.kernel.update_single(&mut self.states[group as usize], arguments, rows)?;
        self.measure(rows);
        Ok(())
    }

    fn merge_rows(&mut self, other: &dyn Accumulator, rows: &[u32], groups: &[u32]) -> Result<()> {
        let other = other.as_any().downcast_ref::<Self>().ok_or_else(mismatch)?;
        for (row, group) in rows.iter().zip(groups) {
            self.kernel.merge(&mut self.states[*group as usize], &other.states[*row as usize]);
        }
        self.measure(rows.len());
        Ok(())
    }

    fn merge_serialized(&mut self, groups: &[u32], states: &Column) -> Result<()> {
        let states = states.array.as_binary::<i32>();
        for (row, group) in groups.iter().enumerate() {
            let mut bytes = states.value(row);
            // The default of a state column is an empty string: the empty state.
            if !bytes.is_empty() {
                let state = K::State::read(&mut bytes)?;
                self.kernel.merge(&mut self.states[*group as usize], &state);
            }
        }
        self.measure(groups.len());
        Ok(())
    }

    fn finish(&mut self) -> Result<Column> {
        self.kernel.finish(&self.states)
    }

    fn serialize(&mut self) -> Result<Column> {
        let mut builder = BinaryBuilder::new();
        let mut bytes = vec![];
        for state in &self.states {
            bytes.clear();
            state.write(&mut bytes);
            builder.append_value(&bytes);
        }
        Ok(binary_column((*self.state_type).clone(), builder.finish()))
    }

    fn memory_bytes(&self) -> usize {
        self.states.capacity() * size_of::<K::State>() + self.heap_bytes
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

pub(crate) fn binary_column(data_type: DataType, array: BinaryArray) -> Column {
    Column { data_type, array: Arc::new(array) }
}

pub(crate) fn mismatch() -> Error {
    Error::new(codes::LOGICAL_ERROR, "states of different aggregate functions were merged")
}

/// A function made of a kernel.
pub(crate) struct Function<K> {
    pub name: &'static str,
    pub parameters: Vec<Value>,
    pub arguments: Vec<DataType>,
    pub result: DataType,
    pub default_when_only_null: bool,
    pub kernel: K,
}

/// `name(parameters)`, or the bare name.
pub(crate) fn full_name(name: &str, parameters: &[Value]) -> String {
    if parameters.is_empty() {
        return name.to_string();
    }
    let parameters: Vec<String> = parameters.iter().map(Value::to_sql).collect();
    format!("{name}({})", parameters.join(", "))
}

impl<K: Kernel> AggregateFunction for Function<K> {
    fn name(&self) -> String {
        full_name(self.name, &self.parameters)
    }

    fn return_type(&self) -> DataType {
        self.result.clone()
    }

    fn state_type(&self) -> DataType {
        DataType::AggregateFunction {
            name: self.name.to_string(),
            parameters: self.parameters.clone(),
            arguments: self.arguments.clone(),
        }
    }

    fn accumulator(&self) -> Box<dyn Accumulator> {
        Box::new(Grouped::new(self.kernel.clone(), self.state_type()))
    }

    fn packed(&self) -> Option<Packed> {
        self.kernel.packed()
    }

    fn default_when_only_null(&self) -> bool {
        self.default_when_only_null
    }
}

/// What a family's constructor gets: the canonical name, parameters, argument types without
/// LowCardinality and Nullable.
pub(crate) struct Build<'a> {
    pub name: &'static str,
    pub parameters: &'a [Value],
    pub arguments: &'a [DataType],
}

pub(crate) type Built = Result<Arc<dyn AggregateFunction>>;

impl Build<'_> {
    pub fn function<K: Kernel>(&self, result: DataType, kernel: K) -> Built {
        Ok(Arc::new(Function {
            name: self.name,
            parameters: self.parameters.to_vec(),
            arguments: self.arguments.to_vec(),
            result,
            default_when_only_null: false,
            kernel,
        }))
    }

    /// A function that gives its default, not NULL, when all arguments were NULL.
    pub fn counting<K: Kernel>(&self, result: DataType, kernel: K) -> Built {
        Ok(Arc::new(Function {
            name: self.name,
            parameters: self.parameters.to_vec(),
            arguments: self.arguments.to_vec(),
            result,
            default_when_only_null: true,
            kernel,
        }))
    }

    pub fn expect_arguments(&self, count: usize) -> Result<()> {
        if self.arguments.len() == count {
            return Ok(());
        }
        Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            format!(
                "Incorrect number of arguments for aggregate function {}: got {}, expected {count}",
                self.name,
                self.arguments.len()
            ),
        ))
    }

    pub fn illegal(&self, data_type: &DataType) -> Error {
        Error::new(
            codes::ILLEGAL_TYPE_OF_ARGUMENT,
            format!("Illegal type {data_type} of argument for aggregate function {}", self.name),
        )
    }

    pub fn bad_parameter(&self, what: &str) -> Error {
        Error::new(codes::BAD_ARGUMENTS, format!("Aggregate function {} {what}", self.name))
    }
}

/// Reading pieces of serialized states.
pub(crate) mod wire {
    use super::*;

    fn short() -> Error {
        Error::new(codes::CANNOT_READ_ALL_DATA, "Cannot read all data of an aggregate state")
    }

    pub fn bytes<'a>(input: &mut &'a [u8], count: usize) -> Result<&'a [u8]> {
        if input.len() < count {
            return Err(short());
        }
        let (head, tail) = input.split_at(count);
        *input = tail;
        Ok(head)
    }

    pub fn array<const N: usize>(input: &mut &[u8]) -> Result<[u8; N]> {
        bytes(input, N)?.try_into().map_err(|_| short())
    }

    pub fn read_u64(input: &mut &[u8]) -> Result<u64> {
        Ok(u64::from_le_bytes(array(input)?))
    }

    pub fn read_f64(input: &mut &[u8]) -> Result<f64> {
        Ok(f64::from_le_bytes(array(input)?))
    }

    /// LEB128, as ClickHouse writes sizes.
    pub fn write_varint(mut value: u64, out: &mut Vec<u8>) {
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }

    pub fn read_varint(input: &mut &[u8]) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = bytes(input, 1)?[0];
            value |= ((byte & 0x7f) as u64) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(short())
    }

    /// A count of items of at least one byte each, so that damage cannot ask for huge memory.
    pub fn read_count(input: &mut &[u8]) -> Result<usize> {
        let count = read_varint(input)?;
        if count > input.len() as u64 {
            return Err(short());
        }
        Ok(count as usize)
    }

    pub fn write_bytes(value: &[u8], out: &mut Vec<u8>) {
        write_varint(value.len() as u64, out);
        out.extend_from_slice(value);
    }

    pub fn read_bytes<'a>(input: &mut &'a [u8]) -> Result<&'a [u8]> {
        let count = read_count(input)?;
        bytes(input, count)
    }
}
