//! Quantiles over all values: `quantileExact` and its variants. Values are kept as order-preserving
//! words (or row bytes for wide types), so whole numbers of any size stay exact.

use std::sync::Arc;

use arrow_array::{ListArray, UInt32Array};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType as ArrowType;
use pumphouse_storage::{Column, DataType};

use super::reservoir::interpolated;
use super::{Digest, levels};
use crate::aggregates::kernel::{Build, Built, Kernel, State, wire};
use crate::error::Result;
use crate::execute::row_codec::RowCodec;

/// Which of the sorted values a level means.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Pick {
    Plain,
    Low,
    High,
}

impl Pick {
    fn place(self, level: f64, count: usize) -> usize {
        let last = count - 1;
        let place = match self {
            Pick::Plain if level < 1.0 => (level * count as f64) as usize,
            Pick::Plain => last,
            // The median of an even count: the lower or the higher of the two in the middle.
            Pick::Low if level == 0.5 => (count - 1) / 2,
            Pick::High if level == 0.5 => count / 2,
            Pick::Low | Pick::High if level < 1.0 => (level * count as f64) as usize,
            _ => last,
        };
        place.min(last)
    }
}

/// All values of a group as fixed-width row bytes.
#[derive(Default)]
struct Values(Vec<u8>);

impl State for Values {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }
    fn write(&self, out: &mut Vec<u8>) {
        wire::write_bytes(&self.0, out);
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        Ok(Values(wire::read_bytes(input)?.to_vec()))
    }
    fn heap_bytes(&self) -> usize {
        self.0.capacity()
    }
}

#[derive(Clone)]
struct Exact {
    pick: Pick,
    levels: Vec<f64>,
    codec: Arc<RowCodec>,
    width: usize,
    item: DataType,
    result: DataType,
}

impl Kernel for Exact {
    type State = Values;

    fn update(&self, states: &mut [Values], groups: &[u32], columns: &[Column]) -> Result<()> {
        let encoders = self.codec.encoders(&columns[..1]);
        let floats = match self.item.is_float() {
            true => Some(crate::aggregates::numeric::floats(&columns[0])?),
            false => None,
        };
        for (row, group) in groups.iter().enumerate() {
            if floats.as_ref().is_some_and(|f| f[row].is_nan()) {
                continue;
            }
            encoders[0].write(row, &mut states[*group as usize].0);
        }
        Ok(())
    }

    fn finish(&self, states: &[Values]) -> Result<Column> {
        let mut columns = vec![];
        for state in states {
            columns.push(self.picked(state)?);
        }
        let items = match columns.is_empty() {
            true => Column::empty(self.item.clone()),
            false => Column::concat(&columns)?,
        };
        let (DataType::Array(_), ArrowType::List(field)) = (&self.result, self.result.arrow())
        else {
            return Ok(Column { data_type: self.result.clone(), array: items.array });
        };
        let offsets = OffsetBuffer::from_repeated_length(self.levels.len(), states.len());
        let array = ListArray::new(field, offsets, items.array, None);
        Ok(Column { data_type: self.result.clone(), array: Arc::new(array) })
    }
}

impl Exact {
    fn picked(&self, state: &Values) -> Result<Column> {
        use crate::execute::sort_key::{KeyOrder, SortEncoder};
        let count = state.0.len() / self.width.max(1);
        if count == 0 {
            // Of nothing, one quantile is NaN, but several are zeros.
            if self.item.is_float() && !matches!(self.result, DataType::Array(_)) {
                return super::from_raw_floats(&vec![f64::NAN; self.levels.len()], &self.item);
            }
            return Ok(Column::default_values(self.item.clone(), self.levels.len()));
        }
        let column = self.codec.decode(state.0.chunks_exact(self.width))?.remove(0);
        let order =
            KeyOrder { data_type: self.item.clone(), descending: false, nulls_first: false };
        let encoder = SortEncoder::new(vec![order]);
        let sorted = encoder.encode(std::slice::from_ref(&column), count).sorted_rows();
        let rows: UInt32Array =
            self.levels.iter().map(|l| sorted[self.pick.place(*l, count)]).collect();
        Ok(column.take(&rows))
    }
}

pub(super) fn build(build: &Build, pick: Pick) -> Built {
    build.expect_arguments(1)?;
    let argument = &build.arguments[0];
    if !argument.is_number() && !argument.is_date_or_time() && *argument != DataType::Nothing {
        return Err(build.illegal(argument));
    }
    let item = if *argument == DataType::Bool { DataType::UInt8 } else { argument.clone() };
    let several = build.name.starts_with("quantiles");
    let result = if several { DataType::array(item.clone()) } else { item.clone() };
    let codec = Arc::new(RowCodec::new(std::slice::from_ref(&item)));
    let width = codec.shapes()[0].width().unwrap_or(1);
    let levels = levels(build, several)?;
    let kernel = Exact { pick, levels, codec, width, item, result: result.clone() };
    build.function(result, kernel)
}

/// All values as floats.
#[derive(Default)]
struct Floats(Vec<f64>);

impl Floats {
    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted
    }

    fn put(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.0.len() as u64, out);
        self.0.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
    }

    fn take(input: &mut &[u8]) -> Result<Floats> {
        let count = wire::read_count(input)?;
        Ok(Floats((0..count).map(|_| wire::read_f64(input)).collect::<Result<_>>()?))
    }
}

macro_rules! float_digest {
    ($name:ident, $quantile:expr) => {
        #[derive(Default)]
        pub(in crate::aggregates) struct $name(Floats);

        impl State for $name {
            const HEAP: bool = true;
            fn merge(&mut self, other: &Self) {
                self.0.0.extend_from_slice(&other.0.0);
            }
            fn write(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }
            fn read(input: &mut &[u8]) -> Result<Self> {
                Ok($name(Floats::take(input)?))
            }
            fn heap_bytes(&self) -> usize {
                self.0.0.capacity() * 8
            }
        }

        impl Digest for $name {
            fn add(&mut self, value: f64, _: u64) {
                if !value.is_nan() {
                    self.0.0.push(value);
                }
            }
            fn quantiles(&self, levels: &[f64]) -> Vec<f64> {
                let sorted = self.0.sorted();
                levels.iter().map(|level| $quantile(&sorted[..], *level)).collect()
            }
        }
    };
}

float_digest!(Interpolated, interpolated);
float_digest!(Exclusive, exclusive);

/// between the values around `level * (n + 1)`.
fn exclusive(sorted: &[f64], level: f64) -> f64 {
    if sorted.is_empty() {
        return f64::NAN;
    }
    let h = level * (sorted.len() + 1) as f64;
    let n = h as usize;
    if n == 0 {
        return sorted[0];
    }
    if n >= sorted.len() {
        return sorted[sorted.len() - 1];
    }
    sorted[n - 1] + (h - n as f64) * (sorted[n] - sorted[n - 1])
}
