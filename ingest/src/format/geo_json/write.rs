//! Rows as features.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::run_time::damaged;
use pumphouse_query::text::json::{JsonOptions, write_json, write_json_string};
use pumphouse_query::text::write::{list_range, write_float64};
use pumphouse_storage::run_time::{column_of, open};
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, DataType};

use super::super::json_rows::json_options;
use super::super::{FormatOptions, FormatWriter, WriterStatistics};
use super::{Flaw, KINDS, Shape, check};

pub struct GeoJsonWriter {
    options: JsonOptions,
    zone: TimeZone,
    validate: bool,
    geometry: usize,
    id: Option<usize>,
    /// The one column that is all of the properties.
    properties: Option<usize>,
    rows: u64,
}

impl GeoJsonWriter {
    pub fn boxed(options: &FormatOptions) -> Result<Box<dyn FormatWriter>> {
        Ok(Box::new(GeoJsonWriter {
            options: json_options(&options.settings),
            zone: options.time_zone,
            validate: options.settings.bool("format_geojson_validate_geometry", true),
            geometry: 0,
            id: None,
            properties: None,
            rows: 0,
        }))
    }

    fn feature(&self, block: &Block, row: usize, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(b"{\"type\":\"Feature\",");
        if let Some(id) = self.id {
            self.id(&block.columns[id], row, out)?;
        }
        let geometry = &block.columns[self.geometry];
        out.extend_from_slice(b"\"geometry\":");
        self.geometry(&geometry.data_type, geometry.array.as_ref(), row, out)?;
        out.extend_from_slice(b",\"properties\":");
        let value = |at: usize, out: &mut Vec<u8>| {
            let column = &block.columns[at];
            let (data_type, array) = (&column.data_type, column.array.as_ref());
            write_json(data_type, array, row, self.zone, &self.options, out);
        };
        if let Some(at) = self.properties {
            value(at, out);
        } else {
            let others = (0..block.columns.len()).filter(|i| *i != self.geometry);
            out.push(b'{');
            for (n, at) in others.filter(|i| Some(*i) != self.id).enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write_json_string(block.names[at].as_bytes(), &self.options, out);
                out.push(b':');
                value(at, out);
            }
            out.push(b'}');
        }
        out.push(b'}');
        Ok(())
    }

    /// The id, never quoted if it is a number; nothing for NULL.
    fn id(&self, column: &pumphouse_storage::Column, row: usize, out: &mut Vec<u8>) -> Result<()> {
        if column.is_null(row) {
            return Ok(());
        }
        if let Some(number) = column.value(row).as_f64().filter(|n| !n.is_finite()) {
            return Err(bad(format!(
                "cannot write a non-finite floating-point id, but the id value is {number}"
            )));
        }
        let plain = JsonOptions {
            quote_64bit_integers: false,
            quote_64bit_floats: false,
            quote_decimals: false,
            ..self.options
        };
        out.extend_from_slice(b"\"id\":");
        write_json(&column.data_type, column.array.as_ref(), row, self.zone, &plain, out);
        out.push(b',');
        Ok(())
    }

    fn geometry(
        &self,
        data_type: &DataType,
        array: &dyn Array,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        if array.is_null(row) {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        let Some((name, argument)) = geometric(data_type) else { return Err(damaged()) };
        if let DataType::Variant(_) = argument {
            let (own, payload) =
                open(argument, array.as_binary::<i32>().value(row)).ok_or_else(damaged)?;
            let column = column_of(&own, std::iter::once(Some(payload)))?;
            return self.geometry(&own, column.array.as_ref(), 0, out);
        }
        let (kind, shape) = match name {
            "Ring" => ("Polygon", Shape::List(vec![shape_of(argument, array, row)])),
            name => (name, shape_of(argument, array, row)),
        };
        if self.validate {
            check(kind, &shape).map_err(|flaw| flawed(kind, flaw))?;
        }
        out.extend_from_slice(format!("{{\"type\":\"{kind}\",\"coordinates\":").as_bytes());
        put(&shape, out)?;
        out.push(b'}');
        Ok(())
    }
}

/// Name and what lies below it of a geometric type.
fn geometric(data_type: &DataType) -> Option<(&'static str, &DataType)> {
    match data_type {
        DataType::Named { name, argument } => {
            let argument = match &**argument {
                // Rings are arrays of points, which have a name of their own.
                DataType::Named { argument, .. } => argument,
                other => other,
            };
            let known = KINDS.iter().any(|(n, ..)| n == name) || *name == "Ring";
            (known || *name == "Geometry").then_some((*name, argument))
        }
        _ => None,
    }
}

fn shape_of(data_type: &DataType, array: &dyn Array, row: usize) -> Shape {
    match data_type.inner() {
        DataType::Array(item) => {
            let (items, from, to) = list_range(array, row);
            Shape::List((from..to).map(|i| shape_of(item, items, i)).collect())
        }
        _ => {
            let point = array.as_struct();
            let number = |i: usize| point.column(i).as_primitive::<Float64Type>().value(row);
            Shape::Point(number(0), number(1))
        }
    }
}

fn put(shape: &Shape, out: &mut Vec<u8>) -> Result<()> {
    out.push(b'[');
    match shape {
        Shape::Point(x, y) => {
            if !x.is_finite() || !y.is_finite() {
                return Err(bad(format!(
                    "cannot write a non-finite coordinate value, but the position is [{x}, {y}]."
                )));
            }
            write_float64(*x, out);
            out.push(b',');
            write_float64(*y, out);
        }
        Shape::List(items) => {
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                put(item, out)?;
            }
        }
    }
    out.push(b']');
    Ok(())
}

fn flawed(kind: &str, flaw: Flaw) -> Error {
    bad(match flaw {
        Flaw::Line(n) => {
            format!("cannot write a line with fewer than 2 points, but one with {n} was given.")
        }
        Flaw::Ring(n) => format!(
            "cannot write a polygon ring with fewer than 4 points, but one with {n} was given."
        ),
        Flaw::Unclosed => {
            "cannot write an unclosed polygon ring; its first and last points must be equal.".into()
        }
        Flaw::Empty => format!("cannot write a {kind} geometry with an empty coordinate array."),
    })
}

fn bad(message: impl std::fmt::Display) -> Error {
    Error::new(codes::BAD_ARGUMENTS, format!("The GeoJSON output format {message}"))
}

/// Whether a column named `properties` of this type is all of a feature's properties.
fn is_object(data_type: &DataType) -> bool {
    match data_type.inner() {
        DataType::Json(_) | DataType::Map(..) => true,
        DataType::Tuple(elements) => {
            !elements.is_empty() && elements.iter().all(|e| e.name.is_some())
        }
        _ => false,
    }
}

impl FormatWriter for GeoJsonWriter {
    fn prefix(&mut self, schema: &[(String, DataType)], out: &mut Vec<u8>) -> Result<()> {
        let mut found =
            schema.iter().enumerate().filter(|(_, (_, t))| geometric(t).is_some()).map(|(i, _)| i);
        match (found.next(), found.next()) {
            (None, _) => {
                return Err(bad(
                    "requires exactly one geometry-typed column (Point, MultiPoint, LineString, \
                     MultiLineString, Polygon, MultiPolygon, Ring, or Geometry), but found none.",
                ));
            }
            (Some(a), Some(b)) => {
                return Err(bad(format!(
                    "requires exactly one geometry-typed column, but found at least two: '{}' and '{}'.",
                    schema[a].0, schema[b].0
                )));
            }
            (Some(at), None) => self.geometry = at,
        }
        self.id = schema.iter().position(|(name, _)| name == "id").filter(|i| *i != self.geometry);
        if let Some((_, id)) = self.id.map(|i| &schema[i]) {
            let inner = id.inner();
            if !inner.is_string() && (!inner.is_number() || *inner == DataType::Bool) {
                return Err(bad(format!(
                    "the 'id' column must be a String, FixedString, or numeric type, but it has type '{id}'."
                )));
            }
        }
        let others = (0..schema.len()).filter(|i| *i != self.geometry && Some(*i) != self.id);
        if let [only] = others.collect::<Vec<usize>>()[..]
            && schema[only].0 == "properties"
            && is_object(&schema[only].1)
        {
            self.properties = Some(only);
        }
        out.extend_from_slice(b"{\"type\":\"FeatureCollection\",\"features\":[");
        Ok(())
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        for row in 0..block.rows() {
            if self.rows > 0 {
                out.push(b',');
            }
            self.rows += 1;
            self.feature(block, row, out)?;
        }
        Ok(())
    }

    fn suffix(&mut self, _statistics: &WriterStatistics, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(b"]}\n");
        Ok(())
    }

    fn content_type(&self) -> &'static str {
        "application/geo+json; charset=UTF-8"
    }
}
