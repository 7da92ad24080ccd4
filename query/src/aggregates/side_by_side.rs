//! Functions that give a tuple of others' results: `sumCount`, `argAndMin`, `argAndMax`; and the matrices
//! `corrMatrix`, `covarPopMatrix`, `covarSampMatrix` (every pair of arguments).

use std::any::Any;
use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Float64Array, ListArray, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType as ArrowType;
use pumphouse_storage::types::TupleElement;
use pumphouse_storage::{Column, DataType};

use super::kernel::{Build, Built, full_name, mismatch, wire};
use super::numeric::{floats, is_numeric};
use super::{Accumulator, AggregateFunction};
use crate::error::{Error, Result, codes};

/// How the parts' results become one value.
#[derive(Clone, Copy)]
enum Form {
    Tuple,
    /// A square of this many rows.
    Matrix(usize),
}

/// Several functions over some of the arguments each.
struct SideBySide {
    name: &'static str,
    arguments: Vec<DataType>,
    parts: Vec<(Arc<dyn AggregateFunction>, Vec<usize>)>,
    form: Form,
    result: DataType,
}

impl AggregateFunction for SideBySide {
    fn name(&self) -> String {
        full_name(self.name, &[])
    }
    fn return_type(&self) -> DataType {
        self.result.clone()
    }
    fn state_type(&self) -> DataType {
        DataType::AggregateFunction {
            name: self.name.to_string(),
            parameters: vec![],
            arguments: self.arguments.clone(),
        }
    }
    fn accumulator(&self) -> Box<dyn Accumulator> {
        let parts = self.parts.iter().map(|(f, at)| (f.accumulator(), at.clone())).collect();
        let (form, result) = (self.form, self.result.clone());
        Box::new(Together { parts, form, result, state_type: self.state_type() })
    }
    fn default_when_only_null(&self) -> bool {
        true
    }
}

struct Together {
    parts: Vec<(Box<dyn Accumulator>, Vec<usize>)>,
    form: Form,
    result: DataType,
    state_type: DataType,
}

impl Accumulator for Together {
    fn resize(&mut self, groups: usize) {
        self.parts.iter_mut().for_each(|(p, _)| p.resize(groups));
    }

    fn update(&mut self, groups: &[u32], arguments: &[Column]) -> Result<()> {
        for (part, at) in &mut self.parts {
            let own: Vec<Column> = at.iter().map(|i| arguments[*i].clone()).collect();
            part.update(groups, &own)?;
        }
        Ok(())
    }

    fn merge_rows(&mut self, other: &dyn Accumulator, rows: &[u32], groups: &[u32]) -> Result<()> {
        let other = other.as_any().downcast_ref::<Self>().ok_or_else(mismatch)?;
        for ((mine, _), (theirs, _)) in self.parts.iter_mut().zip(&other.parts) {
            mine.merge_rows(theirs.as_ref(), rows, groups)?;
        }
        Ok(())
    }

    fn merge_serialized(&mut self, groups: &[u32], states: &Column) -> Result<()> {
        let states = states.array.as_binary::<i32>();
        let mut parts: Vec<BinaryBuilder> =
            self.parts.iter().map(|_| BinaryBuilder::new()).collect();
        for row in 0..states.len() {
            let mut bytes = states.value(row);
            for part in &mut parts {
                // The default of a state column is an empty string.
                part.append_value(if bytes.is_empty() {
                    &[]
                } else {
                    wire::read_bytes(&mut bytes)?
                });
            }
        }
        for ((mine, _), mut part) in self.parts.iter_mut().zip(parts) {
            let array: ArrayRef = Arc::new(part.finish());
            mine.merge_serialized(groups, &Column { data_type: DataType::String, array })?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Column> {
        let columns: Vec<Column> =
            self.parts.iter_mut().map(|(p, _)| p.finish()).collect::<Result<_>>()?;
        let rows = columns.first().map_or(0, Column::len);
        let array: ArrayRef = match (self.form, self.result.arrow()) {
            (Form::Tuple, ArrowType::Struct(fields)) => {
                let arrays = columns.into_iter().map(|c| c.array).collect();
                let array = StructArray::try_new_with_length(fields, arrays, None, rows)
                    .map_err(|e| Error::new(codes::LOGICAL_ERROR, e.to_string()))?;
                Arc::new(array)
            }
            (Form::Matrix(size), ArrowType::List(field)) => {
                let parts = columns.iter().map(floats).collect::<Result<Vec<_>>>()?;
                let mut values = Vec::with_capacity(rows * parts.len());
                for row in 0..rows {
                    values.extend(parts.iter().map(|p| p[row]));
                }
                let ArrowType::List(inner) = field.data_type().clone() else {
                    return Err(Error::new(codes::LOGICAL_ERROR, "an array lies as a list"));
                };
                let values = Arc::new(Float64Array::from(values));
                let lines = OffsetBuffer::from_repeated_length(size, rows * size);
                let lines = Arc::new(ListArray::new(inner, lines, values, None));
                let offsets = OffsetBuffer::from_repeated_length(size, rows);
                Arc::new(ListArray::new(field, offsets, lines, None))
            }
            _ => return Err(mismatch()),
        };
        Ok(Column { data_type: self.result.clone(), array })
    }

    fn serialize(&mut self) -> Result<Column> {
        let columns: Vec<Column> =
            self.parts.iter_mut().map(|(p, _)| p.serialize()).collect::<Result<_>>()?;
        let mut builder = BinaryBuilder::new();
        let mut bytes = vec![];
        for row in 0..columns.first().map_or(0, Column::len) {
            bytes.clear();
            for column in &columns {
                wire::write_bytes(column.array.as_binary::<i32>().value(row), &mut bytes);
            }
            builder.append_value(&bytes);
        }
        Ok(Column { data_type: self.state_type.clone(), array: Arc::new(builder.finish()) })
    }

    fn memory_bytes(&self) -> usize {
        self.parts.iter().map(|(p, _)| p.memory_bytes()).sum()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

fn tuple_of(build: &Build, parts: &[(&str, &[usize])]) -> Built {
    let parts = parts
        .iter()
        .map(|(name, at)| {
            let types: Vec<DataType> = at.iter().map(|i| build.arguments[*i].clone()).collect();
            Ok((super::lookup(name, &[], &types)?, at.to_vec()))
        })
        .collect::<Result<Vec<_>>>()?;
    let elements =
        parts.iter().map(|(f, _)| TupleElement { name: None, data_type: f.return_type() });
    let result = DataType::Tuple(elements.collect());
    Ok(Arc::new(SideBySide {
        name: build.name,
        arguments: build.arguments.to_vec(),
        parts,
        form: Form::Tuple,
        result,
    }))
}

pub(crate) fn build_sum_count(build: &Build) -> Built {
    build.expect_arguments(1)?;
    tuple_of(build, &[("sum", &[0]), ("count", &[0])])
}

pub(crate) fn build_arg_and_min(build: &Build) -> Built {
    build.expect_arguments(2)?;
    tuple_of(build, &[("argMin", &[0, 1]), ("min", &[1])])
}

pub(crate) fn build_arg_and_max(build: &Build) -> Built {
    build.expect_arguments(2)?;
    tuple_of(build, &[("argMax", &[0, 1]), ("max", &[1])])
}

fn matrix(build: &Build, name: &str) -> Built {
    let size = build.arguments.len();
    if size == 0 || size > 64 {
        build.expect_arguments(1)?;
    }
    if let Some(t) = build.arguments.iter().find(|t| !is_numeric(t)) {
        return Err(build.illegal(t));
    }
    let mut parts = Vec::with_capacity(size * size);
    for i in 0..size {
        for j in 0..size {
            // One triangle is computed the same way as the other, so that the matrix is symmetric.
            let (a, b) = (i.min(j), i.max(j));
            let types = [build.arguments[a].clone(), build.arguments[b].clone()];
            parts.push((super::lookup(name, &[], &types)?, vec![a, b]));
        }
    }
    Ok(Arc::new(SideBySide {
        name: build.name,
        arguments: build.arguments.to_vec(),
        parts,
        form: Form::Matrix(size),
        result: DataType::array(DataType::array(DataType::Float64)),
    }))
}

pub(crate) fn build_corr_matrix(build: &Build) -> Built {
    matrix(build, "corr")
}

pub(crate) fn build_covar_pop_matrix(build: &Build) -> Built {
    matrix(build, "covarPop")
}

pub(crate) fn build_covar_samp_matrix(build: &Build) -> Built {
    matrix(build, "covarSamp")
}
