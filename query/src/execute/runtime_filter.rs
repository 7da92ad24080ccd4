//! What the built side of a join tells scans on its other side: which values its key has. Rows with other
//! values need not be read any further.
//!
//! Exact bits where values are whole numbers that lie close together, otherwise a Bloom filter; and the
//! least and the greatest value, by which a scan leaves out whole granules. A filter that few rows
//! fail stops testing. Until it is filled it lets everything pass. It only ever says no for certain.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::{Array, UInt8Array};
use parking_lot::RwLock;
use pumphouse_storage::scan::{ColumnCondition, ValueRange};
use pumphouse_storage::{Column, DataType, Value};

use super::key_table::{hash_bytes, hash_u64};
use super::row_codec::{Shape, fixed_bytes};
use crate::error::Result;
use crate::functions::{Argument, ArgumentType, FunctionCall, Nulls, ScalarFunction};
use crate::plan::BoundExpr;

const NAME: &str = "__runtimeFilter";
/// Bits of an exact filter, at most.
const BITS_MAX: u64 = 1 << 27;
/// Distinct values that a scan is told one by one.
const POINTS_MAX: usize = 32;
/// Rows after which a filter that lets most pass is given up.
const TRIAL_ROWS: u64 = 1 << 18;

/// Whether a function of this name is such a filter.
pub(crate) fn is_runtime_filter(name: &str) -> bool {
    name.starts_with(NAME)
}

/// See the file's head. One per key of a join that some scan can use.
pub struct RuntimeFilter {
    name: String,
    /// Replaced whenever the join is built.
    built: RwLock<Option<Arc<Built>>>,
}

struct Built {
    values: Values,
    /// How many they are, about.
    count: usize,
    /// What the column of a scan must be.
    ranges: Vec<ValueRange>,
    tested: AtomicU64,
    passed: AtomicU64,
}

enum Values {
    /// Whole numbers from `least` on.
    Bits { least: u64, bits: Vec<u64> },
    /// One word per hash, a few of its bits set.
    Bloom(Vec<u64>),
}

impl RuntimeFilter {
    pub fn new(number: usize) -> Arc<RuntimeFilter> {
        Arc::new(RuntimeFilter { name: format!("{NAME}{number}"), built: RwLock::new(None) })
    }

    /// The test of `column`, as an expression.
    pub fn test(self: &Arc<Self>, column: BoundExpr) -> BoundExpr {
        let function = Arc::new(Test { filter: self.clone() });
        BoundExpr::Call { function, arguments: vec![column], data_type: DataType::UInt8 }
    }

    /// Takes the values of a built side's key.
    pub(super) fn fill(&self, keys: &Column) {
        *self.built.write() = built(keys).map(Arc::new);
    }

    /// Nothing is known (any more).
    pub(super) fn clear(&self) {
        *self.built.write() = None;
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// About how many values pass, if that is known by now.
    pub(super) fn values(&self) -> Option<usize> {
        self.built.read().as_ref().map(|built| built.count)
    }

    /// What rows that pass have in `column`.
    pub(super) fn condition(&self, column: &str) -> Option<ColumnCondition> {
        let ranges = self.built.read().as_ref()?.ranges.clone();
        (!ranges.is_empty()).then(|| ColumnCondition {
            column: column.to_string(),
            ranges,
            may_be_null: false,
        })
    }
}

/// The values of a column as words, those that are valid.
#[inline(always)]
pub(super) fn for_each_word(column: &Column, width: usize, mut f: impl FnMut(usize, u64)) {
    let array = column.array.as_ref();
    let bytes = fixed_bytes(array);
    let nulls = array.nulls().filter(|n| n.null_count() > 0);
    macro_rules! words {
        ($native:ty) => {{
            let values = bytes.as_chunks::<{ size_of::<$native>() }>().0;
            for (row, value) in values.iter().enumerate() {
                if nulls.is_none_or(|n| n.is_valid(row)) {
                    f(row, <$native>::from_le_bytes(*value) as u64);
                }
            }
        }};
    }
    match width {
        1 => words!(u8),
        2 => words!(u16),
        4 => words!(u32),
        _ => words!(u64),
    }
}

/// How a key's values are seen: as words of so many bytes, or as bytes.
pub(super) fn word_width(data_type: &DataType) -> Option<usize> {
    match Shape::of(data_type.inner()) {
        Shape::Fixed(width @ (1 | 2 | 4 | 8)) => Some(width),
        _ => None,
    }
}

fn is_signed(data_type: &DataType) -> bool {
    use DataType::*;
    matches!(data_type.inner(), Int8 | Int16 | Int32 | Int64 | Date32 | DateTime64(..))
}

fn built(keys: &Column) -> Option<Built> {
    let rows = keys.len() - keys.array.null_count();
    let built = |values, ranges| {
        let (tested, passed) = (AtomicU64::new(0), AtomicU64::new(0));
        let count = match &values {
            Values::Bits { bits, .. } => bits.iter().map(|b| b.count_ones() as usize).sum(),
            Values::Bloom(_) => rows,
        };
        Some(Built { values, count, ranges, tested, passed })
    };
    let bloom_words = (rows / 4).next_power_of_two().max(64);
    let Some(width) = word_width(&keys.data_type) else {
        if *keys.data_type.inner() != DataType::String {
            return None;
        }
        let mut words = vec![0u64; bloom_words];
        let array = keys.array.as_binary_opt::<i32>()?;
        for row in (0..array.len()).filter(|row| array.is_valid(*row)) {
            let (word, bits) = bloom_place(hash_bytes(array.value(row)), bloom_words);
            words[word] |= bits;
        }
        return built(Values::Bloom(words), vec![]);
    };
    let (mut least, mut greatest) = (u64::MAX, 0);
    // In the order of the type: signed words are turned so that they compare as unsigned ones.
    let turn = if is_signed(&keys.data_type) { 1u64 << (width * 8 - 1) } else { 0 };
    let (mut first, mut last) = ((u64::MAX, 0), (0, 0));
    for_each_word(keys, width, |row, word| {
        least = least.min(word);
        greatest = greatest.max(word);
        let place = word ^ turn;
        if place <= first.0 {
            first = (place, row);
        }
        if place >= last.0 {
            last = (place, row);
        }
    });
    let ranges = if rows == 0 { nothing() } else { ranges_of(keys, rows, first.1, last.1) };
    if rows == 0 {
        return built(Values::Bits { least: 0, bits: vec![] }, ranges);
    }
    let span = greatest - least;
    if span < BITS_MAX && span / 64 < (rows as u64 * 4).max(1 << 14) {
        let mut bits = vec![0u64; span as usize / 64 + 1];
        for_each_word(keys, width, |_, word| {
            let at = word - least;
            bits[at as usize / 64] |= 1 << (at % 64);
        });
        return built(Values::Bits { least, bits }, ranges);
    }
    let mut words = vec![0u64; bloom_words];
    for_each_word(keys, width, |_, word| {
        let (at, bits) = bloom_place(hash_u64(word), bloom_words);
        words[at] |= bits;
    });
    built(Values::Bloom(words), ranges)
}

/// A range that no value lies in.
fn nothing() -> Vec<ValueRange> {
    let (lower, upper) = (Bound::Excluded(Value::UInt(0)), Bound::Excluded(Value::UInt(0)));
    vec![ValueRange { lower, upper }]
}

fn ranges_of(keys: &Column, rows: usize, first: usize, last: usize) -> Vec<ValueRange> {
    let data_type = keys.data_type.inner();
    if !data_type.is_integer() && !data_type.is_date_or_time() {
        return vec![];
    }
    if rows <= POINTS_MAX {
        let valid = (0..keys.len()).filter(|row| keys.array.is_valid(*row));
        let mut points: Vec<Value> = valid.map(|row| keys.value(row)).collect();
        points.sort();
        points.dedup();
        return points.into_iter().map(ValueRange::point).collect();
    }
    let (lower, upper) = (Bound::Included(keys.value(first)), Bound::Included(keys.value(last)));
    vec![ValueRange { lower, upper }]
}

/// The word of a hash and its bits in it.
#[inline]
fn bloom_place(hash: u64, words: usize) -> (usize, u64) {
    let bits = 1u64 << (hash & 63) | 1u64 << (hash >> 6 & 63) | 1u64 << (hash >> 12 & 63);
    ((hash >> 24) as usize & (words - 1), bits)
}

impl Built {
    fn flags(&self, column: &Column) -> Option<Vec<u8>> {
        let rows = column.len();
        let (tested, passed) =
            (self.tested.load(Ordering::Relaxed), self.passed.load(Ordering::Relaxed));
        if tested > TRIAL_ROWS && passed > tested / 10 * 9 {
            return None;
        }
        let mut flags = vec![0u8; rows];
        match (&self.values, word_width(&column.data_type)) {
            (Values::Bits { least, bits }, Some(width)) => {
                for_each_word(column, width, |row, word| {
                    let at = word.wrapping_sub(*least);
                    let bits = bits.get((at / 64) as usize).copied().unwrap_or(0);
                    flags[row] = (bits >> (at % 64)) as u8 & 1;
                });
            }
            (Values::Bloom(words), Some(width)) => {
                for_each_word(column, width, |row, word| {
                    let (at, bits) = bloom_place(hash_u64(word), words.len());
                    flags[row] = (words[at] & bits == bits) as u8;
                });
            }
            (Values::Bloom(words), None) => {
                let array = column.array.as_binary_opt::<i32>()?;
                for (row, flag) in flags.iter_mut().enumerate() {
                    if array.is_valid(row) {
                        let (at, bits) = bloom_place(hash_bytes(array.value(row)), words.len());
                        *flag = (words[at] & bits == bits) as u8;
                    }
                }
            }
            _ => return None,
        }
        let kept: u64 = flags.iter().map(|f| *f as u64).sum();
        self.tested.fetch_add(rows as u64, Ordering::Relaxed);
        self.passed.fetch_add(kept, Ordering::Relaxed);
        Some(flags)
    }
}

/// The filter as a function of one column.
struct Test {
    filter: Arc<RuntimeFilter>,
}

impl ScalarFunction for Test {
    fn name(&self) -> &str {
        &self.filter.name
    }

    fn nulls(&self) -> Nulls {
        Nulls::Own
    }

    // What it says is not known before, and must not be remembered.
    fn deterministic(&self) -> bool {
        false
    }

    fn return_type(&self, _: &[ArgumentType]) -> Result<DataType> {
        Ok(DataType::UInt8)
    }

    fn evaluate(&self, call: &FunctionCall) -> Result<Column> {
        let built = self.filter.built.read().clone();
        let flags = match (&call.arguments[0], built) {
            (Argument::Column(column), Some(built)) => built.flags(column),
            _ => None,
        };
        let flags = UInt8Array::from(flags.unwrap_or_else(|| vec![1; call.rows]));
        Ok(Column { data_type: DataType::UInt8, array: Arc::new(flags) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(data_type: DataType, values: &[Value]) -> Column {
        Column::from_values(data_type, values).unwrap()
    }

    /// Flags of `probed` after a filter was filled with `keys`.
    fn flags(data_type: DataType, keys: &[Value], probed: &[Value]) -> Vec<u8> {
        let built = built(&column(data_type.clone(), keys)).unwrap();
        built.flags(&column(data_type, probed)).unwrap()
    }

    #[test]
    fn values_that_were_built_pass_and_others_do_not() {
        let ints = |v: &[i64]| v.iter().map(|v| Value::Int(*v)).collect::<Vec<_>>();
        assert_eq!(
            flags(DataType::Int64, &ints(&[5, 7, 100]), &ints(&[4, 5, 6, 7, 100, 101, -1])),
            [0, 1, 0, 1, 1, 0, 0]
        );
        // Words of negative numbers are far from those of positive ones.
        let wide = ints(&[-5, 1 << 40, 3]);
        assert_eq!(flags(DataType::Int64, &wide, &wide), [1, 1, 1]);
        let texts: Vec<Value> = (0..300).map(|i| Value::string(format!("t{i}"))).collect();
        assert_eq!(flags(DataType::String, &texts, &texts), vec![1; 300]);
        let others: Vec<Value> = (0..1000).map(|i| Value::string(format!("u{i}"))).collect();
        let passed: usize =
            flags(DataType::String, &texts, &others).iter().map(|f| *f as usize).sum();
        assert!(passed < 100, "{passed} of 1000 pass by mistake");
        let nullable = DataType::nullable(DataType::UInt32);
        let keys = [Value::Null, Value::UInt(3)];
        assert_eq!(flags(nullable, &keys, &[Value::UInt(3), Value::Null]), [1, 0]);
        assert_eq!(flags(DataType::UInt8, &[], &[Value::UInt(0)]), [0]);
    }

    #[test]
    fn scans_are_told_the_least_and_the_greatest_value() {
        let keys: Vec<Value> = (0..100).map(|i| Value::Int(i * 3 - 50)).collect();
        let built = built(&column(DataType::Int32, &keys)).unwrap();
        let bound = |v| Bound::Included(Value::Int(v));
        assert_eq!(built.ranges.len(), 1);
        assert_eq!((&built.ranges[0].lower, &built.ranges[0].upper), (&bound(-50), &bound(247)));
    }
}
