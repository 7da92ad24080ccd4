//! Distances and norms of vectors, which are arrays or tuples of numbers; places on the globe.

use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::array::sizes_differ;
use super::decimal::to_floats;
use super::elementwise::elements;
use super::registry::Registry;
use super::type_rule::Args;
use crate::error::{Error, Result, codes};

pub(super) fn add(r: &mut Registry) {
    for (name, f) in [
        ("L1Norm", (|v: &[f64]| v.iter().map(|x| x.abs()).sum()) as fn(&[f64]) -> f64),
        ("L2Norm", |v| v.iter().map(|x| x * x).sum::<f64>().sqrt()),
        ("L2SquaredNorm", |v| v.iter().map(|x| x * x).sum()),
        ("LinfNorm", |v| v.iter().fold(0.0, |m, x| x.abs().max(m))),
    ] {
        r.add(
            name,
            1..=1,
            |a| vector_type(a, 0).map(|_| DataType::Float64),
            move |c| {
                let vectors = vectors(c, 0)?;
                c.finish_numbers((0..c.rows).map(|row| f(vectors.row(row))).collect::<Vec<_>>())
            },
        );
    }
    for (name, f) in [
        (
            "L1Distance",
            (|a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| (x - y).abs()).sum())
                as fn(&[f64], &[f64]) -> f64,
        ),
        ("L2Distance", |a, b| squared(a, b).sqrt()),
        ("L2SquaredDistance", squared),
        ("LinfDistance", |a, b| a.iter().zip(b).fold(0.0, |m, (x, y)| (x - y).abs().max(m))),
        ("cosineDistance", |a, b| {
            let dot: f64 = a.iter().zip(b).map(|(x, y)| x * y).sum();
            let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>();
            1.0 - dot / (norm(a) * norm(b)).sqrt()
        }),
    ] {
        r.add(name, 2..=2, pair_type, move |c| pairs(c, f));
    }
    r.add("dotProduct", 2..=2, dot_type, |c| {
        let column = pairs_of_floats(c, |a, b| a.iter().zip(b).map(|(x, y)| x * y).sum())?;
        let floats = Column::new(DataType::Float64, <f64 as super::native::Native>::array(column));
        super::cast::cast_column(&floats, c.result, c.context)
    });
    for name in ["geoDistance", "greatCircleDistance"] {
        r.add(name, 4..=4, four_numbers, |c| {
            globe(c, |lon1, lat1, lon2, lat2| great_circle(lon1, lat1, lon2, lat2) * EARTH_RADIUS_M)
        });
    }
    r.add(
        "pointInPolygon",
        2..=usize::MAX,
        |a| {
            a.require(0, |t| matches!(t, DataType::Tuple(e) if e.len() == 2))?;
            (1..a.len()).try_for_each(|i| a.require(i, |t| matches!(t, DataType::Array(_))))?;
            Ok(DataType::UInt8)
        },
        point_in_polygon,
    );
}

fn squared(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
}

fn vector_type(a: &Args, index: usize) -> Result<()> {
    a.require(index, |t| match t {
        DataType::Array(item) => item.is_number(),
        DataType::Tuple(e) => e.iter().all(|e| e.data_type.is_number()),
        _ => false,
    })
}

fn pair_type(a: &Args) -> Result<DataType> {
    vector_type(a, 0)?;
    vector_type(a, 1)?;
    Ok(DataType::Float64)
}

fn dot_type(a: &Args) -> Result<DataType> {
    pair_type(a)?;
    let items = |i: usize| -> Vec<DataType> {
        match a.get(i) {
            DataType::Array(item) => vec![(**item).clone()],
            DataType::Tuple(e) => e.iter().map(|e| e.data_type.clone()).collect(),
            _ => vec![],
        }
    };
    let all: Vec<DataType> = items(0).into_iter().chain(items(1)).collect();
    let common = super::promote::common_type(&all).unwrap_or(DataType::Float64);
    // One multiplication wide.
    Ok(match super::promote::bits(&common) {
        _ if !common.is_integer() => DataType::Float64,
        width => {
            let wider = (width * 2).min(64);
            super::promote::integer_type(common.is_signed_integer(), wider)
                .unwrap_or(DataType::Float64)
        }
    })
}

/// Vectors of all rows in one buffer.
struct Vectors {
    values: Vec<f64>,
    ends: Vec<usize>,
}

impl Vectors {
    fn row(&self, row: usize) -> &[f64] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.values[start..self.ends[row]]
    }
}

fn vectors(call: &FunctionCall, index: usize) -> Result<Vectors> {
    let column = call.column(index)?;
    if let DataType::Tuple(_) = column.data_type {
        let parts = elements(&column).iter().map(to_floats).collect::<Result<Vec<_>>>()?;
        let values = (0..call.rows).flat_map(|row| parts.iter().map(move |p| p[row])).collect();
        return Ok(Vectors { values, ends: (1..=call.rows).map(|n| n * parts.len()).collect() });
    }
    let array = super::gather::array_of(&column);
    let ends = array.offsets[1..].iter().map(|o| *o as usize).collect();
    Ok(Vectors { values: to_floats(&array.items)?, ends })
}

fn pairs_of_floats(call: &FunctionCall, f: impl Fn(&[f64], &[f64]) -> f64) -> Result<Vec<f64>> {
    let (a, b) = (vectors(call, 0)?, vectors(call, 1)?);
    (0..call.rows)
        .map(|row| {
            let (x, y) = (a.row(row), b.row(row));
            if x.len() != y.len() {
                return Err(sizes_differ("of a distance"));
            }
            Ok(f(x, y))
        })
        .collect()
}

fn pairs(call: &FunctionCall, f: fn(&[f64], &[f64]) -> f64) -> Result<Column> {
    call.finish_numbers(pairs_of_floats(call, f)?)
}

const EARTH_RADIUS_M: f64 = 6_371_000.0;

fn four_numbers(a: &Args) -> Result<DataType> {
    (0..4).try_for_each(|i| a.number(i))?;
    Ok(DataType::Float64)
}

/// The angle between two places, by the haversine.
fn great_circle(lon1: f64, lat1: f64, lon2: f64, lat2: f64) -> f64 {
    let (a, b) = (lat1.to_radians(), lat2.to_radians());
    let (dlat, dlon) = ((b - a) / 2.0, (lon2 - lon1).to_radians() / 2.0);
    let h = dlat.sin().powi(2) + a.cos() * b.cos() * dlon.sin().powi(2);
    2.0 * h.sqrt().min(1.0).asin()
}

fn globe(call: &FunctionCall, f: impl Fn(f64, f64, f64, f64) -> f64) -> Result<Column> {
    let v = (0..4).map(|i| super::math::floats(call, i)).collect::<Result<Vec<_>>>()?;
    call.finish_numbers(
        (0..call.rows).map(|i| f(v[0][i], v[1][i], v[2][i], v[3][i])).collect::<Vec<_>>(),
    )
}

/// Even-odd rule; further arrays are holes.
fn point_in_polygon(call: &FunctionCall) -> Result<Column> {
    let point = elements(&call.column(0)?);
    let (x, y) = (to_floats(&point[0])?, to_floats(&point[1])?);
    let mut inside = vec![false; call.rows];
    for i in 1..call.arguments.len() {
        let ring = call.array(i)?;
        let corners = elements(&ring.items);
        let [cx, cy] = &corners[..] else {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                "a polygon must be an array of pairs of numbers",
            ));
        };
        let (cx, cy) = (to_floats(cx)?, to_floats(cy)?);
        for row in 0..call.rows {
            let range = ring.range(row);
            let mut previous = range.end.saturating_sub(1);
            for at in range {
                let crosses = (cy[at] > y[row]) != (cy[previous] > y[row]);
                if crosses {
                    let slope =
                        (cx[previous] - cx[at]) * (y[row] - cy[at]) / (cy[previous] - cy[at]);
                    if x[row] < slope + cx[at] {
                        inside[row] = !inside[row];
                    }
                }
                previous = at;
            }
        }
    }
    call.finish_numbers(inside.into_iter().map(u8::from).collect::<Vec<_>>())
}
