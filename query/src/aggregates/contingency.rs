//! How strongly two columns of categories hang together: `cramersV`, `cramersVBiasCorrected`,
//! `theilsU`, `contingency`, and the information values of `categoricalInformationValue`.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{Float64Array, ListArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType as ArrowType;
use pumphouse_storage::{Column, DataType};

use super::kernel::{Build, Built, Kernel, State, wire};
use super::numeric::floats;
use super::quantile::from_raw_floats;
use crate::error::{Error, Result, codes};
use crate::execute::row_codec::RowCodec;

/// How often each pair of values (by hash) came.
#[derive(Default)]
struct CrossTab(BTreeMap<(u64, u64), u64>);

impl State for CrossTab {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(pair, n)| *self.0.entry(*pair).or_default() += n);
    }
    fn write(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.0.len() as u64, out);
        for ((a, b), count) in &self.0 {
            for word in [a, b, count] {
                out.extend_from_slice(&word.to_le_bytes());
            }
        }
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut state = CrossTab::default();
        for _ in 0..wire::read_count(input)? {
            let pair = (wire::read_u64(input)?, wire::read_u64(input)?);
            *state.0.entry(pair).or_default() += wire::read_u64(input)?;
        }
        Ok(state)
    }
    fn heap_bytes(&self) -> usize {
        self.0.len() * 40
    }
}

/// A table with its margins.
struct Margins<'a> {
    cells: &'a CrossTab,
    first: BTreeMap<u64, u64>,
    second: BTreeMap<u64, u64>,
    total: f64,
}

impl<'a> Margins<'a> {
    fn of(cells: &'a CrossTab) -> Margins<'a> {
        let (mut first, mut second, mut total) = (BTreeMap::new(), BTreeMap::new(), 0);
        for ((a, b), count) in &cells.0 {
            *first.entry(*a).or_default() += count;
            *second.entry(*b).or_default() += count;
            total += count;
        }
        Margins { cells, first, second, total: total as f64 }
    }

    /// χ² over the number of rows.
    fn phi_squared(&self) -> f64 {
        let mut sum = 0.0;
        for ((a, b), count) in &self.cells.0 {
            let count = *count as f64;
            sum += count / self.first[a] as f64 * (count / self.second[b] as f64);
        }
        (sum - 1.0).max(0.0)
    }
}

fn cramers_v(m: &Margins) -> f64 {
    let least = m.first.len().min(m.second.len()) as f64 - 1.0;
    (m.phi_squared() / least).sqrt()
}

fn cramers_v_corrected(m: &Margins) -> f64 {
    let (rows, columns) = (m.first.len() as f64, m.second.len() as f64);
    let rest = m.total - 1.0;
    let phi = (m.phi_squared() - (rows - 1.0) * (columns - 1.0) / rest).max(0.0);
    let corrected = |n: f64| n - (n - 1.0).powi(2) / rest;
    (phi / (corrected(rows).min(corrected(columns)) - 1.0)).sqrt()
}

fn theils_u(m: &Margins) -> f64 {
    let mut entropy = 0.0;
    for count in m.first.values() {
        let p = *count as f64 / m.total;
        entropy -= p * p.ln();
    }
    let mut rest = 0.0;
    for ((_, b), count) in &m.cells.0 {
        let (both, second) = (*count as f64 / m.total, m.second[b] as f64 / m.total);
        rest -= both * (both / second).ln();
    }
    (entropy - rest) / entropy
}

fn contingency(m: &Margins) -> f64 {
    let phi = m.phi_squared();
    (phi / (phi + 1.0)).sqrt()
}

#[derive(Clone)]
struct Association {
    codecs: [Arc<RowCodec>; 2],
    measure: fn(&Margins) -> f64,
}

impl Kernel for Association {
    type State = CrossTab;

    fn update(&self, states: &mut [CrossTab], groups: &[u32], columns: &[Column]) -> Result<()> {
        let sides = [0, 1].map(|i| self.codecs[i].encode(&columns[i..i + 1], groups.len()));
        let hash = |side: usize, row: usize| xxhash_rust::xxh3::xxh3_64(sides[side].row(row));
        for (i, group) in groups.iter().enumerate() {
            *states[*group as usize].0.entry((hash(0, i), hash(1, i))).or_default() += 1;
        }
        Ok(())
    }

    fn finish(&self, states: &[CrossTab]) -> Result<Column> {
        let value = |s: &CrossTab| {
            let margins = Margins::of(s);
            if margins.total < 2.0 { f64::NAN } else { (self.measure)(&margins) }
        };
        from_raw_floats(&states.iter().map(value).collect::<Vec<_>>(), &DataType::Float64)
    }
}

fn association(build: &Build, measure: fn(&Margins) -> f64) -> Built {
    build.expect_arguments(2)?;
    let codecs = [0, 1].map(|i| Arc::new(RowCodec::new(&build.arguments[i..i + 1])));
    build.counting(DataType::Float64, Association { codecs, measure })
}

pub(crate) fn build_cramers_v(build: &Build) -> Built {
    association(build, cramers_v)
}
pub(crate) fn build_cramers_v_corrected(build: &Build) -> Built {
    association(build, cramers_v_corrected)
}
pub(crate) fn build_theils_u(build: &Build) -> Built {
    association(build, theils_u)
}
pub(crate) fn build_contingency(build: &Build) -> Built {
    association(build, contingency)
}

/// Rows by category and tag: `[tag 0, tag 1]` of each category, then of all rows.
#[derive(Default)]
struct Tags(Vec<[u64; 2]>);

impl State for Tags {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        if other.0.len() > self.0.len() {
            self.0.resize(other.0.len(), [0; 2]);
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            mine.iter_mut().zip(theirs).for_each(|(a, b)| *a += b);
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.0.len() as u64, out);
        self.0.iter().flatten().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut state = Tags::default();
        for _ in 0..wire::read_count(input)? {
            state.0.push([wire::read_u64(input)?, wire::read_u64(input)?]);
        }
        Ok(state)
    }
    fn heap_bytes(&self) -> usize {
        self.0.capacity() * 16
    }
}

#[derive(Clone)]
struct InformationValue {
    categories: usize,
    result: DataType,
}

impl Kernel for InformationValue {
    type State = Tags;

    fn update(&self, states: &mut [Tags], groups: &[u32], columns: &[Column]) -> Result<()> {
        let flags = columns.iter().map(floats).collect::<Result<Vec<_>>>()?;
        for (i, group) in groups.iter().enumerate() {
            let counts = &mut states[*group as usize].0;
            counts.resize(self.categories + 1, [0; 2]);
            let tag = (flags[self.categories][i] != 0.0) as usize;
            for (count, flag) in counts.iter_mut().zip(&flags[..self.categories]) {
                count[tag] += (flag[i] != 0.0) as u64;
            }
            counts[self.categories][tag] += 1;
        }
        Ok(())
    }

    fn finish(&self, states: &[Tags]) -> Result<Column> {
        let mut values = vec![];
        for state in states {
            for i in 0..self.categories {
                let cell = |at: usize, tag: usize| state.0.get(at).map_or(0, |c| c[tag]) as f64;
                let share = |tag: usize| cell(i, tag) / cell(self.categories, tag);
                let (zero, one) = (share(0), share(1));
                values.push((one - zero) * (one / zero).ln());
            }
        }
        let ArrowType::List(field) = self.result.arrow() else {
            return Err(Error::new(codes::LOGICAL_ERROR, "an array lies as a list"));
        };
        let offsets = OffsetBuffer::from_repeated_length(self.categories, states.len());
        let items = Arc::new(Float64Array::from(values));
        let array = ListArray::new(field, offsets, items, None);
        Ok(Column { data_type: self.result.clone(), array: Arc::new(array) })
    }
}

pub(crate) fn build_information_value(build: &Build) -> Built {
    if build.arguments.len() < 2 {
        return Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            format!("Aggregate function {} requires two or more arguments", build.name),
        ));
    }
    if let Some(t) = build.arguments.iter().find(|t| !matches!(t, DataType::UInt8 | DataType::Bool))
    {
        return Err(Error::new(
            codes::BAD_ARGUMENTS,
            format!(
                "All the arguments of aggregate function {} should be UInt8, not {t}",
                build.name
            ),
        ));
    }
    let result = DataType::array(DataType::Float64);
    let categories = build.arguments.len() - 1;
    build.counting(result.clone(), InformationValue { categories, result })
}
