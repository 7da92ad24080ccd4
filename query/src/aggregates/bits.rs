//! `groupBitAnd`, `groupBitOr`, `groupBitXor` over whole numbers of any width.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{ArrowPrimitiveType, PrimitiveArray};
use pumphouse_storage::{Column, DataType};

use super::kernel::{Build, Built, Kernel, State};
use super::sum::Addend;
use crate::error::Result;

trait Operation: Clone + Send + Sync + 'static {
    fn apply<N: Bits>(a: N, b: N) -> N;
    /// Whether an empty group is all ones.
    const ONES: bool = false;
}

trait Bits:
    Addend
    + std::ops::BitAnd<Output = Self>
    + std::ops::BitOr<Output = Self>
    + std::ops::BitXor<Output = Self>
    + std::ops::Not<Output = Self>
{
}
impl<T> Bits for T where
    T: Addend
        + std::ops::BitAnd<Output = T>
        + std::ops::BitOr<Output = T>
        + std::ops::BitXor<Output = T>
        + std::ops::Not<Output = T>
{
}

#[derive(Clone)]
struct And;
#[derive(Clone)]
struct Or;
#[derive(Clone)]
struct Xor;

impl Operation for And {
    fn apply<N: Bits>(a: N, b: N) -> N {
        a & b
    }
    const ONES: bool = true;
}
impl Operation for Or {
    fn apply<N: Bits>(a: N, b: N) -> N {
        a | b
    }
}
impl Operation for Xor {
    fn apply<N: Bits>(a: N, b: N) -> N {
        a ^ b
    }
}

struct BitState<N, O> {
    bits: N,
    operation: PhantomData<fn() -> O>,
}

impl<N: Bits, O: Operation> Default for BitState<N, O> {
    fn default() -> Self {
        let bits = if O::ONES { !N::default() } else { N::default() };
        BitState { bits, operation: PhantomData }
    }
}

impl<N: Bits, O: Operation> State for BitState<N, O> {
    fn merge(&mut self, other: &Self) {
        self.bits = O::apply(self.bits, other.bits);
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.bits.put(out);
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        Ok(BitState { bits: N::take(input)?, operation: PhantomData })
    }
}

struct Fold<T, O> {
    result: DataType,
    types: PhantomData<fn() -> (T, O)>,
}

impl<T, O> Clone for Fold<T, O> {
    fn clone(&self) -> Self {
        Fold { result: self.result.clone(), types: PhantomData }
    }
}

impl<T, O> Kernel for Fold<T, O>
where
    T: ArrowPrimitiveType,
    T::Native: Bits,
    O: Operation,
{
    type State = BitState<T::Native, O>;

    fn update(&self, states: &mut [Self::State], groups: &[u32], columns: &[Column]) -> Result<()> {
        let values = columns[0].array.as_primitive::<T>().values();
        for (group, value) in groups.iter().zip(values.iter()) {
            let state = &mut states[*group as usize];
            state.bits = O::apply(state.bits, *value);
        }
        Ok(())
    }

    fn finish(&self, states: &[Self::State]) -> Result<Column> {
        let array = PrimitiveArray::<T>::from_iter_values(states.iter().map(|s| s.bits))
            .with_data_type(self.result.arrow());
        Ok(Column { data_type: self.result.clone(), array: Arc::new(array) })
    }
}

fn fold<O: Operation>(build: &Build) -> Built {
    build.expect_arguments(1)?;
    let result = match &build.arguments[0] {
        DataType::Bool | DataType::Nothing => DataType::UInt8,
        other => other.clone(),
    };
    macro_rules! of {
        ($t:ty) => {
            build.function(result.clone(), Fold::<$t, O> { result, types: PhantomData })
        };
    }
    use DataType::*;
    match &build.arguments[0] {
        UInt8 | Bool | Nothing => of!(UInt8Type),
        UInt16 => of!(UInt16Type),
        UInt32 => of!(UInt32Type),
        UInt64 => of!(UInt64Type),
        Int8 => of!(Int8Type),
        Int16 => of!(Int16Type),
        Int32 => of!(Int32Type),
        Int64 => of!(Int64Type),
        Int128 | UInt128 => of!(Decimal128Type),
        Int256 | UInt256 => of!(Decimal256Type),
        other => Err(build.illegal(other)),
    }
}

pub(crate) fn build_and(build: &Build) -> Built {
    fold::<And>(build)
}
pub(crate) fn build_or(build: &Build) -> Built {
    fold::<Or>(build)
}
pub(crate) fn build_xor(build: &Build) -> Built {
    fold::<Xor>(build)
}
