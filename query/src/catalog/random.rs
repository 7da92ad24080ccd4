//! The table function `generateRandom('structure'[, seed[, max_string_length[, max_array_length]]])`: rows
//! without end, the same ones for the same seed. They are not the rows that ClickHouse makes.
//!
//! Every block is made from the seed and its number alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pumphouse_storage::block::default_value;
use pumphouse_storage::log::TableDefinition;
use pumphouse_storage::scan::ColumnCondition;
use pumphouse_storage::{Block, Column, DataType, Value};

use super::values::parse_structure;
use super::{MorselSource, SourceColumn, TableSource};
use crate::error::{Error, Result, codes};
use crate::sql;
use crate::sql::ast::ExprKind;

/// Rows of a block.
const BLOCK_ROWS: usize = 8192;
/// The most that string and array lengths may be.
const LENGTH_MAX: u64 = 1 << 16;

pub(super) fn generate_random(arguments: &[Value]) -> Result<Arc<dyn TableSource>> {
    let Some(Value::String(structure)) = arguments.first().filter(|_| arguments.len() <= 4) else {
        return Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            "Table function 'generateRandom' requires at most four arguments: structure, [random_seed, max_string_length, max_array_length]",
        ));
    };
    let rule = rule(arguments)?;
    let columns = parse_structure(&String::from_utf8_lossy(structure))?;
    for column in &columns {
        value(&column.data_type, &mut Random(0), &rule)?;
    }
    Ok(Arc::new(RandomSource { columns, rule }))
}

/// Seed and lengths, which stand behind the structure.
fn rule(arguments: &[Value]) -> Result<Rule> {
    let bad = |text: &str| Error::new(codes::BAD_ARGUMENTS, text.to_string());
    let number = |index: usize, default: u64| match arguments.get(index) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => value
            .as_u64()
            .ok_or_else(|| bad("Arguments of generateRandom behind the first are numbers")),
    };
    // Without a seed every call has other rows.
    static CALLS: AtomicU64 = AtomicU64::new(1);
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let fresh = clock.map_or(0, |d| d.as_nanos() as u64) ^ CALLS.fetch_add(1, Ordering::Relaxed);
    let rule = Rule {
        seed: number(1, fresh)?,
        string_length_max: number(2, 10)?,
        array_length_max: number(3, 10)?,
    };
    if rule.string_length_max.max(rule.array_length_max) > LENGTH_MAX {
        return Err(bad("Lengths of generateRandom are at most 65536"));
    }
    Ok(rule)
}

/// A table of the engine `GenerateRandom([seed[, max_string_length[, max_array_length]]])`.
pub(super) fn of_table(
    definition: &TableDefinition,
    columns: Vec<SourceColumn>,
) -> Result<Arc<dyn TableSource>> {
    let mut arguments = vec![Value::Null];
    for text in &definition.clauses.engine_arguments {
        match sql::parse_expression(text)?.kind {
            ExprKind::Literal { value, .. } => arguments.push(value),
            _ => return Err(Error::new(codes::BAD_ARGUMENTS, "Arguments must be literals")),
        }
    }
    let rule = rule(&arguments)?;
    Ok(Arc::new(RandomSource { columns, rule }))
}

#[derive(Clone, Copy)]
struct Rule {
    seed: u64,
    string_length_max: u64,
    array_length_max: u64,
}

struct RandomSource {
    columns: Vec<SourceColumn>,
    rule: Rule,
}

impl TableSource for RandomSource {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    fn scan(&self, columns: &[String], _: &[ColumnCondition]) -> Result<Arc<dyn MorselSource>> {
        let wanted = |(i, c): (usize, &SourceColumn)| {
            columns.contains(&c.name).then(|| (i as u64, c.name.clone(), c.data_type.clone()))
        };
        let mut picked: Vec<(u64, String, DataType)> =
            self.columns.iter().enumerate().filter_map(wanted).collect();
        picked.sort_by_key(|(_, name, _)| columns.iter().position(|c| c == name));
        Ok(Arc::new(RandomScan { columns: picked, rule: self.rule }))
    }

    fn name(&self) -> String {
        "generateRandom".into()
    }

    fn engine(&self) -> String {
        "GenerateRandom".into()
    }
}

struct RandomScan {
    /// Place in the structure, name, type.
    columns: Vec<(u64, String, DataType)>,
    rule: Rule,
}

impl MorselSource for RandomScan {
    fn morsel_count(&self) -> Option<usize> {
        None
    }

    fn read(&self, index: usize) -> Result<Option<Block>> {
        let mut block = Block::of_rows(BLOCK_ROWS);
        for (place, name, data_type) in &self.columns {
            let mut random = Random(self.rule.seed);
            let mixed = random.next() ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut random = Random(mixed ^ (index as u64).rotate_left(32));
            let values: Result<Vec<Value>> =
                (0..BLOCK_ROWS).map(|_| value(data_type, &mut random, &self.rule)).collect();
            block.push(name.clone(), Column::from_values(data_type.clone(), &values?)?);
        }
        Ok(Some(block))
    }

    fn rows_hint(&self, _: usize) -> Option<usize> {
        Some(BLOCK_ROWS)
    }
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

/// A value of `data_type`; error 48 for types that it cannot be made of.
fn value(data_type: &DataType, random: &mut Random, rule: &Rule) -> Result<Value> {
    use DataType::*;
    let word = random.next();
    Ok(match data_type {
        UInt8 | UInt16 | UInt32 | UInt64 => {
            Value::UInt(word >> (64 - crate::functions::promote::bits(data_type)))
        }
        Int8 | Int16 | Int32 | Int64 => {
            Value::Int(word as i64 >> (64 - crate::functions::promote::bits(data_type)))
        }
        Bool => Value::Bool(word & 1 == 1),
        Float32 => Value::Float((word >> 40) as f64 / (1u64 << 24) as f64),
        Float64 => Value::Float((word >> 11) as f64 / (1u64 << 53) as f64),
        Date => Value::UInt(word % 65_536),
        DateTime(_) | Ipv4 => Value::UInt(word >> 32),
        Uuid | Ipv6 => Value::String([word.to_be_bytes(), random.next().to_be_bytes()].concat()),
        String => {
            let length = random.below(rule.string_length_max + 1);
            Value::String((0..length).map(|_| b' ' + random.below(95) as u8).collect())
        }
        FixedString(length) => {
            Value::String((0..*length as u64).map(|_| random.next() as u8).collect())
        }
        Nullable(inner) => match word % 16 {
            0 => Value::Null,
            _ => value(inner, random, rule)?,
        },
        LowCardinality(inner) => value(inner, random, rule)?,
        Array(item) => {
            let length = random.below(rule.array_length_max + 1);
            Value::Array((0..length).map(|_| value(item, random, rule)).collect::<Result<_>>()?)
        }
        Tuple(elements) => {
            let items = elements.iter().map(|e| value(&e.data_type, random, rule));
            Value::Tuple(items.collect::<Result<_>>()?)
        }
        Nothing => default_value(data_type),
        other => {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                format!("generateRandom makes no values of type {other}"),
            ));
        }
    })
}
