//! Dictionaries in memory: rows of a source with an index over their keys, read by `dictGet` and its kin
//! (`functions/dictionary.rs`) and as tables.
//!
//! A dictionary never changes: a reload makes another one, so a query keeps the content that it was bound
//! with. Where a key stands twice the first row counts (in FLAT ones the last). Loading and definitions are the server's.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::UInt32Array;
use pumphouse_storage::{Block, Column, DataType, Value};

use crate::context::{MemoryGuard, MemoryTracker, QueryContext};
use crate::error::{Error, Result, codes};
use crate::execute::key_table::{ABSENT, KeyTable};
use crate::functions::cast::{cast_column, cast_value};
use crate::functions::promote::literal_type;
use crate::text::{parse_ipv4, parse_ipv6};

/// Keys of a FLAT dictionary are below this.
const FLAT_KEYS_MAX: u64 = 500_000;
/// Steps up or down a hierarchy.
const HIERARCHY_DEPTH_MAX: usize = 1000;

/// How keys are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// One UInt64 key, below [`FLAT_KEYS_MAX`] if `flat`.
    Simple { flat: bool },
    /// A tuple of keys of any types.
    Complex,
    /// An address in the longest prefix that holds it.
    Prefix,
}

/// One attribute.
#[derive(Debug, Clone)]
pub struct Attribute {
    pub name: String,
    pub data_type: DataType,
    /// What an absent key has; of the attribute's type, or a literal that becomes so.
    pub default: Option<Value>,
    /// Holds the key of the parent.
    pub hierarchical: bool,
}

/// What a dictionary consists of. Its rows have keys, range bounds and attributes in this order.
#[derive(Debug, Clone)]
pub struct Structure {
    /// `database.name`.
    pub name: String,
    pub lookup: Lookup,
    pub keys: Vec<(String, DataType)>,
    /// Columns of the least and the greatest value that a row is for.
    pub range: Option<[(String, DataType); 2]>,
    /// Of several ranges that hold a value, the one that begins last.
    pub last_range: bool,
    pub attributes: Vec<Attribute>,
}

impl Structure {
    /// Names and types of the rows' columns.
    pub fn columns(&self) -> Vec<(String, DataType)> {
        let attributes = self.attributes.iter().map(|a| (a.name.clone(), a.data_type.clone()));
        let range = self.range.iter().flatten().cloned();
        self.keys.iter().cloned().chain(range).chain(attributes).collect()
    }
}

enum Index {
    Hashed {
        keys: KeyTable,
        rows: Vec<u32>,
    },
    Ranges {
        keys: KeyTable,
        ranges: Vec<Vec<(i128, i128, u32)>>,
    },
    /// Prefix lengths, longest first, each with its prefixes.
    Prefixes(Vec<(u32, HashMap<u128, u32>)>),
}

/// A loaded dictionary.
pub struct Dictionary {
    pub structure: Structure,
    /// All rows, each key once (without ranges).
    pub rows: Block,
    /// Values of each attribute and, behind them, its default.
    values: Vec<Column>,
    index: Index,
    children: OnceLock<HashMap<u64, Vec<u64>>>,
    pub queries: AtomicU64,
    pub found: AtomicU64,
    memory: MemoryGuard,
}

impl Dictionary {
    /// Indexes `blocks`, whose columns are those of the structure by position.
    pub fn build(
        structure: Structure,
        blocks: Vec<Block>,
        memory: &std::sync::Arc<MemoryTracker>,
        ctx: &QueryContext,
    ) -> Result<Dictionary> {
        let schema = structure.columns();
        let mut parts = vec![];
        for block in blocks.into_iter().filter(|b| !b.is_empty()) {
            if block.columns.len() != schema.len() {
                return Err(Error::new(
                    codes::NUMBER_OF_COLUMNS_DOESNT_MATCH,
                    format!(
                        "The source of {} gives {} columns instead of {}",
                        structure.name,
                        block.columns.len(),
                        schema.len()
                    ),
                ));
            }
            let columns = schema.iter().zip(&block.columns);
            let cast = columns.map(|((n, t), c)| Ok((n.clone(), cast_column(c, t, ctx)?)));
            parts.push(Block::new(cast.collect::<Result<Vec<_>>>()?));
        }
        let all = match parts.is_empty() {
            true => Block::empty_of(&schema),
            false => Block::concat(&parts)?,
        };
        let mut memory = memory.reserve(all.memory_bytes())?;
        let (index, rows) = index(&structure, all, ctx)?;
        let mut values = vec![];
        let from = structure.keys.len() + structure.range.as_ref().map_or(0, |r| r.len());
        for (attribute, column) in structure.attributes.iter().zip(&rows.columns[from..]) {
            values.push(Column::concat(&[column.clone(), default_of(attribute, ctx)?])?);
        }
        let indexed = match &index {
            Index::Hashed { keys, rows } => keys.memory_bytes() + rows.len() * 4,
            Index::Ranges { keys, .. } => keys.memory_bytes() + rows.rows() * 48,
            Index::Prefixes(_) => rows.rows() * 48,
        };
        memory.grow_to(indexed + rows.memory_bytes() * 2)?;
        Ok(Dictionary {
            structure,
            rows,
            values,
            index,
            children: OnceLock::new(),
            queries: AtomicU64::new(0),
            found: AtomicU64::new(0),
            memory,
        })
    }

    pub fn memory_bytes(&self) -> usize {
        self.memory.bytes()
    }

    /// The place of attribute `name`; error 36 if there is none.
    pub fn attribute(&self, name: &str) -> Result<usize> {
        let found = self.structure.attributes.iter().position(|a| a.name == name);
        found.ok_or_else(|| Error::new(codes::BAD_ARGUMENTS, format!("No such attribute '{name}'")))
    }

    /// Values of attribute `index`, its default behind them.
    pub(crate) fn values(&self, index: usize) -> &Column {
        &self.values[index]
    }

    /// The row of each key, [`ABSENT`] where there is none. `keys` are columns of the keys' types;
    /// `at` is what ranges are asked for.
    pub(crate) fn find(&self, keys: &[Column], at: Option<&Column>, rows: usize) -> Vec<u32> {
        let mut found = vec![];
        match &self.index {
            Index::Hashed { keys: table, rows: places } => {
                table.find(keys, rows, &mut found);
                for number in found.iter_mut().filter(|n| **n != ABSENT) {
                    *number = places[*number as usize];
                }
            }
            Index::Ranges { keys: table, ranges } => {
                table.find(keys, rows, &mut found);
                for (row, number) in found.iter_mut().enumerate().filter(|(_, n)| **n != ABSENT) {
                    let value = at.and_then(|c| c.value(row).as_i128());
                    let mut fitting = ranges[*number as usize]
                        .iter()
                        .filter(|(from, to, _)| value.is_some_and(|v| *from <= v && v <= *to));
                    let one = match self.structure.last_range {
                        true => fitting.next_back(),
                        false => fitting.next(),
                    };
                    *number = one.map_or(ABSENT, |r| r.2);
                }
            }
            Index::Prefixes(lengths) => {
                let column = &keys[0];
                found.extend((0..rows).map(|row| match address(&column.value(row)) {
                    Some(address) => longest(lengths, address),
                    None => ABSENT,
                }));
            }
        }
        let hits = found.iter().filter(|n| **n != ABSENT).count();
        self.queries.fetch_add(rows as u64, Ordering::Relaxed);
        self.found.fetch_add(hits as u64, Ordering::Relaxed);
        found
    }

    fn parents(&self) -> Result<&Column> {
        let at = self.structure.attributes.iter().position(|a| a.hierarchical);
        match (at, self.structure.lookup) {
            (Some(at), Lookup::Simple { .. }) => Ok(&self.values[at]),
            _ => Err(Error::new(
                codes::UNSUPPORTED_METHOD,
                format!("Dictionary {} does not support hierarchy", self.structure.name),
            )),
        }
    }

    /// The key and its ancestors; empty for an absent key.
    pub(crate) fn hierarchy(&self, key: u64) -> Result<Vec<u64>> {
        let parents = self.parents()?;
        let mut path = vec![];
        let mut key = Some(key);
        while let Some(at) = key
            && path.len() < HIERARCHY_DEPTH_MAX
            && !path.contains(&at)
        {
            let column = Column::from_values(DataType::UInt64, &[Value::UInt(at)])?;
            let row = self.find(&[column], None, 1)[0];
            if row == ABSENT {
                break;
            }
            path.push(at);
            key = parents.value(row as usize).as_u64();
        }
        Ok(path)
    }

    /// Descendants `level` steps below the key, or all of them if `level` is 0.
    pub(crate) fn descendants(&self, key: u64, level: usize) -> Result<Vec<u64>> {
        let parents = self.parents()?;
        let children = self.children.get_or_init(|| {
            let mut children: HashMap<u64, Vec<u64>> = HashMap::new();
            for row in 0..self.rows.rows() {
                let key = self.rows.columns[0].value(row).as_u64();
                if let (Some(parent), Some(key)) = (parents.value(row).as_u64(), key) {
                    children.entry(parent).or_default().push(key);
                }
            }
            children
        });
        let (mut all, mut here) = (vec![], vec![key]);
        for depth in 1..=HIERARCHY_DEPTH_MAX {
            let below = here.iter().filter_map(|k| children.get(k)).flatten().copied();
            here = below.collect();
            if here.is_empty() || all.len() > self.rows.rows() {
                break;
            }
            if depth == level {
                return Ok(here);
            }
            all.extend(&here);
        }
        Ok(if level == 0 { all } else { vec![] })
    }
}

fn default_of(attribute: &Attribute, ctx: &QueryContext) -> Result<Column> {
    let Some(value) = &attribute.default else {
        return Ok(Column::default_values(attribute.data_type.clone(), 1));
    };
    let value = cast_value(value, &literal_type(value), &attribute.data_type, ctx)?;
    Ok(Column::from_values(attribute.data_type.clone(), &[value])?)
}

/// The index over `all`, and the rows that it leads to.
fn index(structure: &Structure, all: Block, ctx: &QueryContext) -> Result<(Index, Block)> {
    if structure.lookup == Lookup::Prefix {
        return prefixes(all);
    }
    ctx.check()?;
    let types: Vec<DataType> = structure.keys.iter().map(|(_, t)| t.clone()).collect();
    let keys = &all.columns[..types.len()];
    if structure.lookup == (Lookup::Simple { flat: true }) {
        let large =
            (0..all.rows()).any(|r| keys[0].value(r).as_u64().is_none_or(|k| k >= FLAT_KEYS_MAX));
        if large {
            let message =
                format!("{}: identifier should be less than {FLAT_KEYS_MAX}", structure.name);
            return Err(Error::new(codes::ARGUMENT_OUT_OF_BOUND, message));
        }
    }
    let mut table = KeyTable::new(&types);
    let mut numbers = vec![];
    table.insert(keys, all.rows(), &mut numbers)?;
    if structure.range.is_some() {
        let (from, to) = (&all.columns[types.len()], &all.columns[types.len() + 1]);
        let mut ranges: Vec<Vec<(i128, i128, u32)>> = vec![vec![]; table.len()];
        for (row, number) in numbers.iter().enumerate() {
            let from = from.value(row).as_i128().unwrap_or(i128::MIN);
            let to = to.value(row).as_i128().unwrap_or(i128::MAX);
            ranges[*number as usize].push((from, to, row as u32));
        }
        ranges.iter_mut().for_each(|r| r.sort_unstable());
        return Ok((Index::Ranges { keys: table, ranges }, all));
    }
    let last_counts = structure.lookup == (Lookup::Simple { flat: true });
    let mut first: Vec<u32> = vec![];
    for (row, number) in numbers.iter().enumerate() {
        match first.get_mut(*number as usize) {
            None => first.push(row as u32),
            Some(place) if last_counts => *place = row as u32,
            Some(_) => {}
        }
    }
    let rows = (0..first.len() as u32).collect();
    let kept = match first.len() == all.rows() {
        true => all,
        false => all.take(&UInt32Array::from(first)),
    };
    Ok((Index::Hashed { keys: table, rows }, kept))
}

fn prefixes(all: Block) -> Result<(Index, Block)> {
    let mut lengths: Vec<(u32, HashMap<u128, u32>)> = vec![];
    for row in 0..all.rows() {
        let value = all.columns[0].value(row);
        let (address, bits) = prefix(value.as_bytes().unwrap_or_default())?;
        let address = address & mask(bits);
        match lengths.iter_mut().find(|(b, _)| *b == bits) {
            Some((_, prefixes)) => {
                prefixes.entry(address).or_insert(row as u32);
            }
            None => lengths.push((bits, HashMap::from([(address, row as u32)]))),
        }
    }
    lengths.sort_by_key(|(bits, _)| std::cmp::Reverse(*bits));
    Ok((Index::Prefixes(lengths), all))
}

fn longest(lengths: &[(u32, HashMap<u128, u32>)], address: u128) -> u32 {
    let hit = lengths.iter().find_map(|(bits, rows)| rows.get(&(address & mask(*bits))));
    hit.copied().unwrap_or(ABSENT)
}

fn mask(bits: u32) -> u128 {
    if bits == 0 { 0 } else { u128::MAX << (128 - bits.min(128)) }
}

/// An IPv4 address among those of IPv6.
fn mapped(v4: u32) -> u128 {
    0xffff_0000_0000 | v4 as u128
}

/// An address as functions get it: 32 bits as a number or 16 bytes.
fn address(value: &Value) -> Option<u128> {
    match value {
        Value::String(bytes) => Some(u128::from_be_bytes(bytes.as_slice().try_into().ok()?)),
        other => Some(mapped(u32::try_from(other.as_u64()?).ok()?)),
    }
}

/// `10.0.0.0/8`, `2001:db8::/32` or a lone address: the address and how many of its bits count.
fn prefix(text: &[u8]) -> Result<(u128, u32)> {
    let bad = || {
        let text = String::from_utf8_lossy(text);
        Error::new(codes::CANNOT_PARSE_INPUT_ASSERTION_FAILED, format!("No IP prefix: {text}"))
    };
    let (host, bits) = match text.iter().position(|b| *b == b'/') {
        Some(at) => {
            let bits = std::str::from_utf8(&text[at + 1..]).ok().and_then(|t| t.parse().ok());
            (&text[..at], Some(bits.ok_or_else(bad)?))
        }
        None => (text, None),
    };
    let (address, width): (u128, u32) = match parse_ipv4(host) {
        Ok(v4) => (mapped(v4), 32),
        Err(_) => (u128::from_be_bytes(parse_ipv6(host).map_err(|_| bad())?), 128),
    };
    let bits = bits.unwrap_or(width);
    if bits > width {
        return Err(bad());
    }
    Ok((address, 128 - width + bits))
}
