//! Aggregates that keep one of the values: `min`, `max`, `any`, `anyLast`, and `argMin` / `argMax`,
//! which keep one by the order of another.
//!
//! NaN loses against every number. Ties keep the first. Types without a native number are kept as row
//! bytes and compared by their sort keys.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{ArrowPrimitiveType, PrimitiveArray};
use pumphouse_storage::{Column, DataType};

use super::kernel::{Build, Built, Kernel, State, wire};
use super::packed::{Number, Packed};
use super::sum::Addend;
use crate::error::{Error, Result, codes};
use crate::execute::row_codec::RowCodec;
use crate::execute::sort_key::{KeyOrder, SortEncoder, SortKeys};

/// Which of two values stays.
pub(crate) trait Choice: Clone + Send + Sync + 'static {
    fn better<T: PartialOrd + ?Sized>(new: &T, old: &T) -> bool;
    /// What `better` says of any two values if it does not look at them.
    const FIXED: Option<bool> = None;
    const DESCENDING: bool = false;
}

#[derive(Clone)]
pub(crate) struct Min;
#[derive(Clone)]
pub(crate) struct Max;
#[derive(Clone)]
pub(crate) struct First;
#[derive(Clone)]
pub(crate) struct Last;

#[allow(clippy::eq_op)]
fn is_nan<T: PartialOrd + ?Sized>(v: &T) -> bool {
    v.partial_cmp(v).is_none()
}

impl Choice for Min {
    #[inline]
    fn better<T: PartialOrd + ?Sized>(new: &T, old: &T) -> bool {
        new < old || (is_nan(old) && !is_nan(new))
    }
}
impl Choice for Max {
    #[inline]
    fn better<T: PartialOrd + ?Sized>(new: &T, old: &T) -> bool {
        new > old || (is_nan(old) && !is_nan(new))
    }
    const DESCENDING: bool = true;
}
impl Choice for First {
    #[inline]
    fn better<T: PartialOrd + ?Sized>(_: &T, _: &T) -> bool {
        false
    }
    const FIXED: Option<bool> = Some(false);
}
impl Choice for Last {
    #[inline]
    fn better<T: PartialOrd + ?Sized>(_: &T, _: &T) -> bool {
        true
    }
    const FIXED: Option<bool> = Some(true);
}

/// One number, if any was seen.
struct NativeState<N, C> {
    value: N,
    has: bool,
    choice: PhantomData<fn() -> C>,
}

impl<N: Default, C> Default for NativeState<N, C> {
    fn default() -> Self {
        NativeState { value: N::default(), has: false, choice: PhantomData }
    }
}

impl<N: Addend + PartialOrd, C: Choice> NativeState<N, C> {
    #[inline]
    fn offer(&mut self, value: N) {
        if !self.has || C::better(&value, &self.value) {
            self.value = value;
            self.has = true;
        }
    }
}

impl<N: Addend + PartialOrd, C: Choice> State for NativeState<N, C> {
    fn merge(&mut self, other: &Self) {
        if other.has {
            self.offer(other.value);
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.has as u8);
        if self.has {
            self.value.put(out);
        }
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut state = Self::default();
        if wire::array::<1>(input)?[0] != 0 {
            state.offer(N::take(input)?);
        }
        Ok(state)
    }
}

struct Native<T, C> {
    result: DataType,
    types: PhantomData<fn() -> (T, C)>,
}

impl<T, C> Clone for Native<T, C> {
    fn clone(&self) -> Self {
        Native { result: self.result.clone(), types: PhantomData }
    }
}

impl<T, C> Kernel for Native<T, C>
where
    T: ArrowPrimitiveType,
    T::Native: Addend + PartialOrd,
    C: Choice,
{
    type State = NativeState<T::Native, C>;

    fn update(&self, states: &mut [Self::State], groups: &[u32], columns: &[Column]) -> Result<()> {
        let values = columns[0].array.as_primitive::<T>().values();
        for (group, value) in groups.iter().zip(values.iter()) {
            states[*group as usize].offer(*value);
        }
        Ok(())
    }

    fn update_single(&self, state: &mut Self::State, columns: &[Column], _: usize) -> Result<()> {
        let values = columns[0].array.as_primitive::<T>().values();
        match C::FIXED {
            Some(false) => values.first().into_iter().for_each(|v| state.offer(*v)),
            Some(true) => values.last().into_iter().for_each(|v| state.offer(*v)),
            None => values.iter().for_each(|v| state.offer(*v)),
        }
        Ok(())
    }

    fn finish(&self, states: &[Self::State]) -> Result<Column> {
        // Without a value the answer is 0, but an Enum's first value.
        let empty = match self.result {
            DataType::Enum8(_) | DataType::Enum16(_) => {
                Column::default_values(self.result.clone(), 1).array.as_primitive::<T>().value(0)
            }
            _ => T::Native::default(),
        };
        let values = states.iter().map(|s| if s.has { s.value } else { empty });
        let array =
            PrimitiveArray::<T>::from_iter_values(values).with_data_type(self.result.arrow());
        Ok(Column { data_type: self.result.clone(), array: Arc::new(array) })
    }

    fn packed(&self) -> Option<Packed> {
        use arrow_schema::DataType as ArrowType;
        let (number, bytes) = match T::DATA_TYPE {
            ArrowType::UInt8 => (Number::Unsigned, 1),
            ArrowType::UInt16 => (Number::Unsigned, 2),
            ArrowType::UInt32 => (Number::Unsigned, 4),
            ArrowType::UInt64 => (Number::Unsigned, 8),
            ArrowType::Int8 => (Number::Signed, 1),
            ArrowType::Int16 => (Number::Signed, 2),
            ArrowType::Int32 => (Number::Signed, 4),
            ArrowType::Int64 => (Number::Signed, 8),
            // NaN has rules of its own.
            _ => return None,
        };
        match C::FIXED {
            None if C::DESCENDING => Some(Packed::Max(number, bytes)),
            None => Some(Packed::Min(number, bytes)),
            Some(_) => None,
        }
    }
}

/// One string, if any was seen.
struct BytesState<C> {
    value: Option<Box<[u8]>>,
    choice: PhantomData<fn() -> C>,
}

impl<C> Default for BytesState<C> {
    fn default() -> Self {
        BytesState { value: None, choice: PhantomData }
    }
}

impl<C: Choice> BytesState<C> {
    #[inline]
    fn offer(&mut self, value: &[u8]) {
        match &self.value {
            Some(old) if !C::better(value, old.as_ref()) => {}
            _ => self.value = Some(value.into()),
        }
    }
}

fn write_optional(value: Option<&[u8]>, out: &mut Vec<u8>) {
    out.push(value.is_some() as u8);
    if let Some(value) = value {
        wire::write_bytes(value, out);
    }
}

fn read_optional(input: &mut &[u8]) -> Result<Option<Box<[u8]>>> {
    Ok(match wire::array::<1>(input)?[0] {
        0 => None,
        _ => Some(wire::read_bytes(input)?.into()),
    })
}

impl<C: Choice> State for BytesState<C> {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        if let Some(value) = &other.value {
            self.offer(value);
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        write_optional(self.value.as_deref(), out);
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        Ok(BytesState { value: read_optional(input)?, choice: PhantomData })
    }
    fn heap_bytes(&self) -> usize {
        self.value.as_ref().map_or(0, |v| v.len() + 16)
    }
}

#[derive(Clone)]
struct Text<C>(DataType, PhantomData<fn() -> C>);

impl<C: Choice> Kernel for Text<C> {
    type State = BytesState<C>;

    fn update(&self, states: &mut [Self::State], groups: &[u32], columns: &[Column]) -> Result<()> {
        let values = columns[0].array.as_binary::<i32>();
        for (row, group) in groups.iter().enumerate() {
            states[*group as usize].offer(values.value(row));
        }
        Ok(())
    }

    fn finish(&self, states: &[Self::State]) -> Result<Column> {
        let mut builder = BinaryBuilder::with_capacity(states.len(), states.len() * 16);
        for state in states {
            builder.append_value(state.value.as_deref().unwrap_or_default());
        }
        Ok(Column { data_type: self.0.clone(), array: Arc::new(builder.finish()) })
    }
}

/// A sort key as an aggregate keeps it.
trait KeptKey: Default + PartialOrd + Clone + Send + Sync + 'static {
    fn of(keys: &SortKeys, row: usize) -> Self;
    fn put(&self, out: &mut Vec<u8>);
    fn take(input: &mut &[u8]) -> Result<Self>;
    fn heap_bytes(&self) -> usize;
}

impl KeptKey for u64 {
    #[inline]
    fn of(keys: &SortKeys, row: usize) -> u64 {
        match keys {
            SortKeys::U64(v) => v[row],
            _ => 0,
        }
    }
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
    fn take(input: &mut &[u8]) -> Result<u64> {
        wire::read_u64(input)
    }
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl KeptKey for Box<[u8]> {
    fn of(keys: &SortKeys, row: usize) -> Box<[u8]> {
        let mut out = vec![];
        keys.write(row, &mut out);
        out.into()
    }
    fn put(&self, out: &mut Vec<u8>) {
        wire::write_bytes(self, out);
    }
    fn take(input: &mut &[u8]) -> Result<Self> {
        Ok(wire::read_bytes(input)?.into())
    }
    fn heap_bytes(&self) -> usize {
        self.len() + 16
    }
}

/// A value as row bytes, with the key it was chosen by. Smaller keys win: the encoder inverts for
/// `max`.
#[derive(Default)]
struct ChosenState<K> {
    chosen: Option<(K, Box<[u8]>)>,
}

impl<K: KeptKey> State for ChosenState<K> {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        if let Some((key, row)) = &other.chosen
            && self.chosen.as_ref().is_none_or(|(old, _)| key < old)
        {
            self.chosen = Some((key.clone(), row.clone()));
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.chosen.is_some() as u8);
        if let Some((key, row)) = &self.chosen {
            key.put(out);
            wire::write_bytes(row, out);
        }
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut chosen = None;
        if wire::array::<1>(input)?[0] != 0 {
            let key = K::take(input)?;
            chosen = Some((key, wire::read_bytes(input)?.into()));
        }
        Ok(ChosenState { chosen })
    }
    fn heap_bytes(&self) -> usize {
        self.chosen.as_ref().map_or(0, |(k, r)| k.heap_bytes() + r.len() + 16)
    }
}

/// Keeps the row of `values` whose key column is smallest.
#[derive(Clone)]
struct Chosen<K> {
    encoder: Arc<SortEncoder>,
    codec: Arc<RowCodec>,
    result: DataType,
    /// Index of the argument that decides.
    key_argument: usize,
    key: PhantomData<fn() -> K>,
}

impl<K: KeptKey> Kernel for Chosen<K> {
    type State = ChosenState<K>;

    fn update(&self, states: &mut [Self::State], groups: &[u32], columns: &[Column]) -> Result<()> {
        let key_column = &columns[self.key_argument..self.key_argument + 1];
        let keys = self.encoder.encode(key_column, groups.len());
        let encoders = self.codec.encoders(&columns[..1]);
        for (row, group) in groups.iter().enumerate() {
            let state = &mut states[*group as usize];
            let key = K::of(&keys, row);
            if state.chosen.as_ref().is_none_or(|(old, _)| key < *old) {
                let mut bytes = vec![];
                encoders[0].write(row, &mut bytes);
                state.chosen = Some((key, bytes.into()));
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[Self::State]) -> Result<Column> {
        finish_rows(
            &self.codec,
            &self.result,
            states.iter().map(|s| s.chosen.as_ref().map(|(_, row)| row.as_ref())),
        )
    }
}

/// A column of row bytes; groups without a row get the type's default.
pub(crate) fn finish_rows<'a>(
    codec: &RowCodec,
    result: &DataType,
    rows: impl Iterator<Item = Option<&'a [u8]>>,
) -> Result<Column> {
    let default = Column::filler_values(result.clone(), 1);
    let default = codec.encode(std::slice::from_ref(&default), 1);
    let mut columns = codec.decode(rows.map(|r| r.unwrap_or(default.row(0))))?;
    Ok(columns.remove(0))
}

/// Keeps the first or last row of any type.
#[derive(Clone)]
struct AnyRow<C> {
    codec: Arc<RowCodec>,
    result: DataType,
    choice: PhantomData<fn() -> C>,
}

impl<C: Choice> Kernel for AnyRow<C> {
    type State = BytesState<C>;

    fn update(&self, states: &mut [Self::State], groups: &[u32], columns: &[Column]) -> Result<()> {
        let encoders = self.codec.encoders(&columns[..1]);
        let mut bytes = vec![];
        for (row, group) in groups.iter().enumerate() {
            let state = &mut states[*group as usize];
            if state.value.is_none() || C::FIXED == Some(true) {
                bytes.clear();
                encoders[0].write(row, &mut bytes);
                state.value = Some(bytes.as_slice().into());
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[Self::State]) -> Result<Column> {
        finish_rows(&self.codec, &self.result, states.iter().map(|s| s.value.as_deref()))
    }
}

fn native<T, C>(build: &Build) -> Built
where
    T: ArrowPrimitiveType,
    T::Native: Addend + PartialOrd,
    C: Choice,
{
    let result = build.arguments[0].clone();
    build.function(result.clone(), Native::<T, C> { result, types: PhantomData })
}

/// `min`, `max`, `any`, `anyLast`.
pub(crate) fn build_choice<C: Choice>(build: &Build) -> Built {
    build.expect_arguments(1)?;
    use DataType::*;
    let t = &build.arguments[0];
    match t {
        Nothing | UInt8 | Bool => native::<UInt8Type, C>(build),
        UInt16 | Date => native::<UInt16Type, C>(build),
        UInt32 | DateTime(_) | Ipv4 => native::<UInt32Type, C>(build),
        UInt64 => native::<UInt64Type, C>(build),
        Int8 | Enum8(_) => native::<Int8Type, C>(build),
        Int16 | Enum16(_) => native::<Int16Type, C>(build),
        Int32 | Date32 | Time => native::<Int32Type, C>(build),
        Int64 | DateTime64(..) | Interval(_) | Time64(_) => native::<Int64Type, C>(build),
        Float32 | BFloat16 => native::<Float32Type, C>(build),
        Variant(_) | Dynamic { .. } if C::FIXED.is_none() => Err(no_order(build, t)),
        Array(_) | Tuple(_) | Map(..) if C::FIXED.is_none() && t.holds_run_time() => {
            Err(no_order(build, t))
        }
        Float64 => native::<Float64Type, C>(build),
        Int128 => native::<Decimal128Type, C>(build),
        Int256 => native::<Decimal256Type, C>(build),
        Decimal { precision, .. } => match precision {
            0..=9 => native::<Int32Type, C>(build),
            10..=18 => native::<Int64Type, C>(build),
            19..=38 => native::<Decimal128Type, C>(build),
            _ => native::<Decimal256Type, C>(build),
        },
        String => build.function(t.clone(), Text::<C>(t.clone(), PhantomData)),
        t if C::FIXED.is_some() => {
            let codec = Arc::new(RowCodec::new(std::slice::from_ref(t)));
            build.function(t.clone(), AnyRow::<C> { codec, result: t.clone(), choice: PhantomData })
        }
        _ => chosen(build, 0, C::DESCENDING),
    }
}

/// Error 43: values of several types have no order that anyone would expect.
fn no_order(build: &Build, data_type: &DataType) -> Error {
    Error::new(
        codes::ILLEGAL_TYPE_OF_ARGUMENT,
        format!(
            "Illegal type {data_type} of argument of aggregate function {} because the values of that data type can contain values with different data types. Consider using typed subcolumns or cast column to a specific data type",
            build.name
        ),
    )
}

fn chosen(build: &Build, key_argument: usize, descending: bool) -> Built {
    let result = build.arguments[0].clone();
    // NaN never wins: it goes last in either direction.
    let order = KeyOrder {
        data_type: build.arguments[key_argument].clone(),
        descending,
        nulls_first: false,
    };
    let encoder = Arc::new(SortEncoder::new(vec![order]));
    let codec = Arc::new(RowCodec::new(&build.arguments[..1]));
    if encoder.fits_u64() {
        let kernel = Chosen::<u64> {
            encoder,
            codec,
            result: result.clone(),
            key_argument,
            key: PhantomData,
        };
        build.function(result, kernel)
    } else {
        let kernel = Chosen::<Box<[u8]>> {
            encoder,
            codec,
            result: result.clone(),
            key_argument,
            key: PhantomData,
        };
        build.function(result, kernel)
    }
}

/// `argMin(value, key)` and `argMax`.
pub(crate) fn build_arg(build: &Build, descending: bool) -> Built {
    build.expect_arguments(2)?;
    chosen(build, 1, descending)
}
