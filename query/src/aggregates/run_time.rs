//! `distinctDynamicTypes`, `distinctJSONPaths`, `distinctJSONPathsAndTypes`: which types and paths occur.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use pumphouse_storage::run_time::object::Object;
use pumphouse_storage::run_time::open_dynamic;
use pumphouse_storage::{Column, DataType, Value};

use super::kernel::{Build, Built, Kernel, State, wire};
use crate::error::{Error, Result, codes};
use crate::run_time::damaged;

#[derive(Clone, Copy, PartialEq)]
enum What {
    Types,
    Paths,
    PathsAndTypes,
}

/// Names, each with the types that came with it.
#[derive(Default)]
struct Seen(BTreeMap<Vec<u8>, BTreeSet<String>>);

impl State for Seen {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        for (name, types) in &other.0 {
            self.0.entry(name.clone()).or_default().extend(types.iter().cloned());
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.0.len() as u64, out);
        for (name, types) in &self.0 {
            wire::write_bytes(name, out);
            wire::write_varint(types.len() as u64, out);
            types.iter().for_each(|t| wire::write_bytes(t.as_bytes(), out));
        }
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut seen = Seen::default();
        for _ in 0..wire::read_count(input)? {
            let name = wire::read_bytes(input)?.to_vec();
            let types = seen.0.entry(name).or_default();
            for _ in 0..wire::read_count(input)? {
                types.insert(String::from_utf8_lossy(wire::read_bytes(input)?).into_owned());
            }
        }
        Ok(seen)
    }
    fn heap_bytes(&self) -> usize {
        let sizes = self.0.iter().map(|(name, types)| {
            64 + name.len() + types.iter().map(|t| 32 + t.len()).sum::<usize>()
        });
        sizes.sum()
    }
}

#[derive(Clone)]
struct DistinctNames {
    what: What,
    result: DataType,
}

impl Kernel for DistinctNames {
    type State = Seen;

    fn update(&self, states: &mut [Seen], groups: &[u32], columns: &[Column]) -> Result<()> {
        let array = columns[0].array.as_binary_opt::<i32>().ok_or_else(damaged)?;
        for (row, group) in groups.iter().enumerate() {
            if array.is_null(row) {
                continue;
            }
            let seen = &mut states[*group as usize].0;
            let bytes = array.value(row);
            if self.what == What::Types {
                let (t, _) = open_dynamic(bytes).ok_or_else(damaged)?;
                seen.entry(t.to_string().into_bytes()).or_default();
                continue;
            }
            for (path, value) in Object::open(bytes).ok_or_else(damaged)?.iter() {
                let types = match seen.get_mut(path) {
                    Some(types) => types,
                    None => seen.entry(path.to_vec()).or_default(),
                };
                if self.what == What::PathsAndTypes {
                    let (t, _) = open_dynamic(value).ok_or_else(damaged)?;
                    types.insert(t.to_string());
                }
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[Seen]) -> Result<Column> {
        let text = |bytes: &[u8]| Value::string(bytes);
        let values: Vec<Value> = states
            .iter()
            .map(|state| match self.what {
                What::PathsAndTypes => Value::Map(
                    state
                        .0
                        .iter()
                        .map(|(name, types)| {
                            let types = types.iter().map(|t| text(t.as_bytes())).collect();
                            (text(name), Value::Array(types))
                        })
                        .collect(),
                ),
                _ => Value::Array(state.0.keys().map(|name| text(name)).collect()),
            })
            .collect();
        Ok(Column::from_values(self.result.clone(), &values)?)
    }
}

fn build(build: &Build, what: What) -> Built {
    build.expect_arguments(1)?;
    let fits = match what {
        What::Types => matches!(build.arguments[0].inner(), DataType::Dynamic { .. }),
        _ => matches!(build.arguments[0].inner(), DataType::Json(_)),
    };
    if !fits {
        return Err(Error::new(
            codes::ILLEGAL_TYPE_OF_ARGUMENT,
            format!(
                "Illegal type {} of argument of aggregate function {}",
                build.arguments[0], build.name
            ),
        ));
    }
    let names = DataType::array(DataType::String);
    let result = match what {
        What::PathsAndTypes => DataType::Map(Box::new(DataType::String), Box::new(names)),
        _ => names,
    };
    build.function(result.clone(), DistinctNames { what, result })
}

pub(crate) fn build_types(b: &Build) -> Built {
    build(b, What::Types)
}

pub(crate) fn build_paths(b: &Build) -> Built {
    build(b, What::Paths)
}

pub(crate) fn build_paths_and_types(b: &Build) -> Built {
    build(b, What::PathsAndTypes)
}
