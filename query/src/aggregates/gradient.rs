//! `stochasticLinearRegression`, `stochasticLogisticRegression`: weights found by gradient descent over
//! batches, in order of arrival. The result is the weights and the bias.

use std::sync::Arc;

use arrow_array::{Float64Array, ListArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType as ArrowType;
use pumphouse_storage::{Column, DataType, Value};

use super::kernel::{Build, Built, Kernel, State, wire};
use super::numeric::{floats, is_numeric};
use crate::error::{Error, Result, codes};

#[derive(Clone, Copy, PartialEq)]
enum Updater {
    Sgd,
    Momentum,
    Nesterov,
    Adam,
}

/// Decay rates of Adam's averages.
const BETAS: (f64, f64) = (0.9, 0.999);

/// Weights (the bias last), the batch's gradient, and what the updater remembers.
#[derive(Default, Clone)]
struct Model {
    weights: Vec<f64>,
    gradient: Vec<f64>,
    batch: u64,
    steps: u64,
    first: Vec<f64>,
    second: Vec<f64>,
    powers: (f64, f64),
}

impl State for Model {
    const HEAP: bool = true;
    fn merge(&mut self, _: &Self) {}
    fn write(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.weights.len() as u64, out);
        for list in [&self.weights, &self.gradient, &self.first, &self.second] {
            list.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
        }
        for number in [self.batch, self.steps] {
            wire::write_varint(number, out);
        }
        out.extend_from_slice(&self.powers.0.to_le_bytes());
        out.extend_from_slice(&self.powers.1.to_le_bytes());
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let size = wire::read_count(input)?;
        let mut list = || (0..size).map(|_| wire::read_f64(input)).collect::<Result<Vec<_>>>();
        let (weights, gradient, first, second) = (list()?, list()?, list()?, list()?);
        let (batch, steps) = (wire::read_varint(input)?, wire::read_varint(input)?);
        let powers = (wire::read_f64(input)?, wire::read_f64(input)?);
        Ok(Model { weights, gradient, batch, steps, first, second, powers })
    }
    fn heap_bytes(&self) -> usize {
        self.weights.len() * 32
    }
}

#[derive(Clone)]
struct Descent {
    rate: f64,
    l2: f64,
    batch: u64,
    updater: Updater,
    logistic: bool,
    features: usize,
    result: DataType,
}

impl Descent {
    fn prepare(&self, model: &mut Model) {
        if model.weights.is_empty() {
            for list in
                [&mut model.weights, &mut model.gradient, &mut model.first, &mut model.second]
            {
                *list = vec![0.0; self.features + 1];
            }
            model.powers = BETAS;
        }
    }

    fn add(&self, model: &mut Model, target: f64, row: &[f64]) {
        self.prepare(model);
        let bias = self.features;
        // Nesterov looks ahead.
        let weights: Vec<f64> = match self.updater {
            Updater::Nesterov => {
                model.weights.iter().zip(&model.first).map(|(w, m)| w + m * 0.9).collect()
            }
            _ => model.weights.clone(),
        };
        if self.logistic {
            let mut sum = weights[bias];
            for (w, x) in weights.iter().zip(row) {
                sum += w * x;
            }
            let divisor = (sum * target).exp() + 1.0;
            model.gradient[bias] += target / divisor;
            for (gradient, (x, w)) in model.gradient.iter_mut().zip(row.iter().zip(&weights)) {
                *gradient += target * x / divisor - 2.0 * self.l2 * w;
            }
        } else {
            let mut error = target - weights[bias];
            for (w, x) in weights.iter().zip(row) {
                error -= w * x;
            }
            let error = error * 2.0;
            model.gradient[bias] += error;
            for (gradient, (x, w)) in model.gradient.iter_mut().zip(row.iter().zip(&weights)) {
                *gradient += error * x - 2.0 * self.l2 * w;
            }
        }
        model.batch += 1;
        if model.batch == self.batch {
            self.step(model);
        }
    }

    fn step(&self, model: &mut Model) {
        if model.batch == 0 {
            return;
        }
        let size = model.batch as f64;
        for i in 0..model.weights.len() {
            let gradient = model.gradient[i];
            model.weights[i] += match self.updater {
                Updater::Sgd => self.rate * gradient / size,
                Updater::Momentum => {
                    model.first[i] = model.first[i] * 0.1 + self.rate * gradient / size;
                    model.first[i]
                }
                Updater::Nesterov => {
                    model.first[i] = model.first[i] * 0.9 + self.rate * gradient / size;
                    model.first[i]
                }
                Updater::Adam => {
                    let mean = gradient / size;
                    model.first[i] = BETAS.0 * model.first[i] + (1.0 - BETAS.0) * mean;
                    model.second[i] = BETAS.1 * model.second[i] + (1.0 - BETAS.1) * mean * mean;
                    let spread = (model.second[i] / (1.0 - model.powers.1)).sqrt() + 0.000001;
                    self.rate * model.first[i] / ((1.0 - model.powers.0) * spread)
                }
            };
        }
        model.powers = (model.powers.0 * BETAS.0, model.powers.1 * BETAS.1);
        model.gradient.fill(0.0);
        model.batch = 0;
        model.steps += 1;
    }
}

impl Kernel for Descent {
    type State = Model;

    fn update(&self, states: &mut [Model], groups: &[u32], columns: &[Column]) -> Result<()> {
        let columns = columns.iter().map(floats).collect::<Result<Vec<_>>>()?;
        let mut row = vec![0.0; self.features];
        for (i, group) in groups.iter().enumerate() {
            row.iter_mut().zip(&columns[1..]).for_each(|(x, c)| *x = c[i]);
            let target = columns[0][i];
            let target = if self.logistic && target == 0.0 { -1.0 } else { target };
            self.add(&mut states[*group as usize], target, &row);
        }
        Ok(())
    }

    fn merge(&self, into: &mut Model, from: &Model) {
        let mut from = from.clone();
        self.prepare(into);
        self.prepare(&mut from);
        self.step(into);
        self.step(&mut from);
        let steps = into.steps + from.steps;
        if steps == 0 {
            return;
        }
        let share = into.steps as f64 / steps as f64;
        for (mine, theirs) in into.weights.iter_mut().zip(&from.weights) {
            *mine = *mine * share + theirs * (1.0 - share);
        }
        into.steps = steps;
    }

    fn finish(&self, states: &[Model]) -> Result<Column> {
        let mut values = vec![];
        for state in states {
            let mut model = state.clone();
            // A batch that is not full yet does not count.
            self.prepare(&mut model);
            values.extend(model.weights);
        }
        let ArrowType::List(field) = self.result.arrow() else {
            return Err(Error::new(codes::LOGICAL_ERROR, "an array lies as a list"));
        };
        let offsets = OffsetBuffer::from_repeated_length(self.features + 1, states.len());
        let items = Arc::new(Float64Array::from(values));
        let array = ListArray::new(field, offsets, items, None);
        Ok(Column { data_type: self.result.clone(), array: Arc::new(array) })
    }
}

pub(crate) fn build(build: &Build) -> Built {
    if build.arguments.len() < 2 {
        return Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            format!(
                "Aggregate function {} requires at least two arguments (target and model's parameters)",
                build.name
            ),
        ));
    }
    if build.parameters.len() > 4 {
        return Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            format!(
                "Aggregate function {} requires at most four parameters: learning_rate, l2_regularization_coef, mini-batch size and weights_updater method",
                build.name
            ),
        ));
    }
    if let Some(t) = build.arguments.iter().find(|t| !is_numeric(t)) {
        return Err(build.illegal(t));
    }
    let number = |i: usize, default: f64| match build.parameters.get(i) {
        None => Ok(default),
        Some(v) => v.as_f64().ok_or_else(|| build.bad_parameter("needs numbers")),
    };
    let updater = match build.parameters.get(3) {
        None => Updater::Adam,
        Some(Value::String(name)) => match name.as_slice() {
            b"SGD" => Updater::Sgd,
            b"Momentum" => Updater::Momentum,
            b"Nesterov" => Updater::Nesterov,
            b"Adam" => Updater::Adam,
            _ => {
                return Err(Error::new(
                    codes::ILLEGAL_TYPE_OF_ARGUMENT,
                    "Invalid parameter for weights updater. The only supported are 'SGD', 'Momentum' and 'Nesterov'",
                ));
            }
        },
        Some(_) => return Err(build.bad_parameter("needs the name of a weights updater")),
    };
    let batch = match build.parameters.get(2) {
        None => 15,
        Some(v) => v
            .as_u64()
            .filter(|n| *n > 0)
            .ok_or_else(|| build.bad_parameter("needs a batch size above 0"))?,
    };
    let result = DataType::array(DataType::Float64);
    let kernel = Descent {
        rate: number(0, 0.001)?,
        l2: number(1, 0.5)?,
        batch,
        updater,
        logistic: build.name.contains("Logistic"),
        features: build.arguments.len() - 1,
        result: result.clone(),
    };
    build.counting(result, kernel)
}
