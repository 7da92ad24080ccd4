//! Geometries: WKT in and out, areas and perimeters on the plane, geohashes.
//!
//! Points are tuples of two Float64, the rest arrays of them; the names (Point, Ring, …) only say which is
//! meant. What has no name counts by its depth: Point, Ring, Polygon, MultiPolygon.

use pumphouse_storage::run_time::{bytes_column, variant_of};
use pumphouse_storage::types::TupleElement;
use pumphouse_storage::{Column, DataType, Value};

use super::FunctionCall;
use super::registry::Registry;
use super::strings::StringsBuilder;
use super::type_rule::Args;
use crate::error::{Error, Result, codes};

/// Names of geometries, how deep their arrays are, and the keyword of their WKT.
const SHAPES: &[(&str, usize, &str)] = &[
    ("Point", 0, "POINT"),
    ("LineString", 1, "LINESTRING"),
    ("MultiPoint", 1, "MULTIPOINT"),
    ("Ring", 1, "POLYGON"),
    ("Polygon", 2, "POLYGON"),
    ("MultiLineString", 2, "MULTILINESTRING"),
    ("MultiPolygon", 3, "MULTIPOLYGON"),
];

pub(super) fn add(r: &mut Registry) {
    for (function, shape) in [
        ("readWKTPoint", "Point"),
        ("readWKTRing", "Ring"),
        ("readWKTPolygon", "Polygon"),
        ("readWKTMultiPolygon", "MultiPolygon"),
        ("readWKTLineString", "LineString"),
        ("readWKTMultiLineString", "MultiLineString"),
        ("readWKTMultiPoint", "MultiPoint"),
    ] {
        r.add(
            function,
            1..=1,
            move |a| text_only(a).and_then(|()| named(shape)),
            move |c| read_shape(c, shape),
        );
    }
    r.add("readWKT", 1..=1, |a| text_only(a).and_then(|()| named("Geometry")), read_any);
    r.add("wkt", 1..=1, wkt_type, wkt);
    for name in ["areaCartesian", "polygonAreaCartesian"] {
        r.add(name, 1..=1, |a| shape_only(a).map(|_| DataType::Float64), |c| measure(c, area));
    }
    for name in ["perimeterCartesian", "polygonPerimeterCartesian"] {
        r.add(name, 1..=1, |a| shape_only(a).map(|_| DataType::Float64), |c| measure(c, perimeter));
    }
    r.add("geohashEncode", 2..=3, encode_type, geohash_encode);
    r.add("geohashDecode", 1..=1, |a| a.string(0).map(|()| coordinates()), geohash_decode);
    r.add("pointInEllipses", 6..=usize::MAX, ellipses_type, in_ellipses);
}

fn named(shape: &str) -> Result<DataType> {
    DataType::geometric(shape)
        .ok_or_else(|| Error::new(codes::LOGICAL_ERROR, format!("no geometry {shape}")))
}

fn text_only(a: &Args) -> Result<()> {
    a.string(0)
        .map_err(|_| Error::new(codes::ILLEGAL_TYPE_OF_ARGUMENT, "First argument should be String"))
}

/// A geometry: its points, in as many lists as it is deep.
#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Point(f64, f64),
    Many(Vec<Shape>),
}

impl Shape {
    fn value(&self) -> Value {
        match self {
            Shape::Point(x, y) => Value::Tuple(vec![Value::Float(*x), Value::Float(*y)]),
            Shape::Many(parts) => Value::Array(parts.iter().map(Shape::value).collect()),
        }
    }

    fn of(value: &Value) -> Option<Shape> {
        match value {
            Value::Tuple(xy) if xy.len() == 2 => {
                Some(Shape::Point(xy[0].as_f64()?, xy[1].as_f64()?))
            }
            Value::Array(parts) => {
                Some(Shape::Many(parts.iter().map(Shape::of).collect::<Option<_>>()?))
            }
            _ => None,
        }
    }

    fn parts(&self) -> &[Shape] {
        match self {
            Shape::Point(..) => &[],
            Shape::Many(parts) => parts,
        }
    }
}

/// Reads numbers, words and parentheses.
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn spaces(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn eat(&mut self, b: u8) -> bool {
        self.spaces();
        let found = self.text.get(self.at) == Some(&b);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self) -> String {
        self.spaces();
        let rest = &self.text[self.at..];
        let length = rest.iter().take_while(|b| b.is_ascii_alphabetic()).count();
        self.at += length;
        String::from_utf8_lossy(&rest[..length]).to_ascii_uppercase()
    }

    fn number(&mut self) -> Option<f64> {
        self.spaces();
        let rest = &self.text[self.at..];
        let length =
            rest.iter().take_while(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b)).count();
        self.at += length;
        std::str::from_utf8(&rest[..length]).ok()?.parse().ok()
    }

    fn point(&mut self) -> Option<Shape> {
        Some(Shape::Point(self.number()?, self.number()?))
    }

    /// Points (depth 1) or lists of lists in parentheses. Points may have parentheses of their own.
    fn list(&mut self, depth: usize) -> Option<Shape> {
        let mut parts = vec![];
        if !self.eat(b'(') {
            return None;
        }
        while !self.eat(b')') {
            if !parts.is_empty() && !self.eat(b',') {
                return None;
            }
            parts.push(match depth {
                1 if self.eat(b'(') => self.point().filter(|_| self.eat(b')'))?,
                1 => self.point()?,
                _ => self.list(depth - 1)?,
            });
        }
        Some(Shape::Many(parts))
    }
}

/// The geometry of a WKT text; the error's words come from the caller.
fn parse(text: &[u8], shape: &str) -> Result<Shape> {
    let shown = || String::from_utf8_lossy(text).into_owned();
    let bad = |what: String| Error::new(codes::CANNOT_PARSE_TEXT, what);
    let known = SHAPES.iter().find(|(name, ..)| *name == shape);
    let Some((_, depth, keyword)) = known else { return Err(bad(shown())) };
    let mut reader = Reader { text, at: 0 };
    if reader.word() != *keyword {
        return Err(bad(format!(
            "Cannot parse WKT string: Should start with '{keyword}'' in ({})",
            shown()
        )));
    }
    let start = reader.at;
    if reader.word() == "EMPTY" {
        return match (depth, shape) {
            (0, _) => Err(bad(format!("Empty points are not supported: {}", shown()))),
            (_, "Polygon") => Ok(Shape::Many(vec![Shape::Many(vec![])])),
            _ => Ok(Shape::Many(vec![])),
        };
    }
    reader.at = start;
    let wrong = || bad(format!("Cannot parse WKT string: {}", shown()));
    let found = match (depth, shape) {
        (0, _) => {
            let point = (reader.eat(b'(')).then(|| reader.point()).flatten();
            point.filter(|_| reader.eat(b')'))
        }
        // A ring is a polygon's outer one.
        (_, "Ring") => reader.list(2).and_then(|polygon| polygon.parts().first().cloned()),
        (depth, _) => reader.list(*depth),
    };
    let found = found.ok_or_else(wrong)?;
    reader.spaces();
    if reader.at < text.len() {
        return Err(wrong());
    }
    Ok(found)
}

fn read_shape(call: &FunctionCall, shape: &str) -> Result<Column> {
    let strings = call.strings(0)?;
    let values = (0..call.rows)
        .map(|row| Ok(parse(strings.get(row), shape)?.value()))
        .collect::<Result<Vec<_>>>()?;
    Ok(Column::from_values(call.result.clone(), &values)?)
}

fn read_any(call: &FunctionCall) -> Result<Column> {
    let DataType::Variant(types) = call.result.inner() else {
        return Err(Error::new(codes::LOGICAL_ERROR, "Geometry is a Variant"));
    };
    let strings = call.strings(0)?;
    let mut values = vec![];
    for row in 0..call.rows {
        let text = strings.get(row);
        let keyword = Reader { text, at: 0 }.word();
        let known = SHAPES.iter().find(|(name, _, k)| *k == keyword && *name != "Ring");
        let at = known.and_then(|(name, ..)| types.iter().position(|t| t.to_string() == *name));
        let (Some((name, ..)), Some(at)) = (known, at) else {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                format!("Incorrect WKT format value: {}", String::from_utf8_lossy(text)),
            ));
        };
        let value = parse(text, name)?.value();
        values.push(Some(variant_of(at, &types[at], &value)));
    }
    Ok(bytes_column(call.result.clone(), values.into_iter()))
}

/// What a type is as a geometry: by its name, else by its depth.
fn shape_of(data_type: &DataType) -> Option<(&'static str, usize)> {
    if let DataType::Named { name, .. } = data_type {
        return SHAPES.iter().find(|(n, ..)| n == name).map(|(n, depth, _)| (*n, *depth));
    }
    let mut depth = 0;
    let mut inner = data_type;
    loop {
        inner = match inner {
            DataType::Array(item) => {
                depth += 1;
                item
            }
            DataType::Named { argument, .. } => argument,
            _ => break,
        };
    }
    let nothing = *inner == DataType::Nothing;
    let point = matches!(inner, DataType::Tuple(e)
        if e.len() == 2 && e.iter().all(|e| e.data_type == DataType::Float64));
    if !point && !(nothing && depth > 0) {
        return None;
    }
    let name = ["Point", "Ring", "Polygon", "MultiPolygon"].get(depth)?;
    Some((name, depth))
}

fn shape_only(a: &Args) -> Result<(&'static str, usize)> {
    shape_of(a.get(0)).ok_or_else(|| {
        Error::new(codes::BAD_ARGUMENTS, format!("Unknown geometry type {}", a.get(0)))
    })
}

fn wkt_type(a: &Args) -> Result<DataType> {
    match a.get(0) {
        DataType::Named { name: "Geometry", .. } => Ok(DataType::String),
        _ => shape_only(a).map(|_| DataType::String),
    }
}

fn wkt(call: &FunctionCall) -> Result<Column> {
    let column = call.column(0)?;
    let Some((name, _)) = shape_of(&column.data_type) else {
        return geometry_wkt(call, &column);
    };
    let mut out = StringsBuilder::with_capacity(call.rows, call.rows * 32);
    for row in 0..call.rows {
        write_wkt(name, &Shape::of(&column.value(row)), &mut out.bytes);
        out.end_row();
    }
    call.finish(out.finish()?)
}

fn geometry_wkt(call: &FunctionCall, column: &Column) -> Result<Column> {
    let mut parts = vec![];
    let unnamed =
        Column { data_type: column.data_type.inner().clone(), array: column.array.clone() };
    for group in crate::run_time::groups(&unnamed)? {
        let values = crate::run_time::values_of(&unnamed, &group)?;
        let name = shape_of(&values.data_type).map_or("Point", |(name, _)| name);
        let mut out = StringsBuilder::with_capacity(values.len(), values.len() * 32);
        for row in 0..values.len() {
            write_wkt(name, &Shape::of(&values.value(row)), &mut out.bytes);
            out.end_row();
        }
        parts.push((group.rows, Column { data_type: DataType::String, array: out.finish()? }));
    }
    crate::run_time::scatter(&parts, call.result, call.rows)
}

fn write_wkt(name: &str, shape: &Option<Shape>, out: &mut Vec<u8>) {
    let Some(shape) = shape else { return };
    let keyword = SHAPES.iter().find(|(n, ..)| *n == name).map_or("", |(_, _, k)| k);
    out.extend_from_slice(keyword.as_bytes());
    match (name, shape) {
        (_, Shape::Point(..)) => {
            out.push(b'(');
            write_points(shape, out);
            out.push(b')');
        }
        ("Ring", ring) => {
            out.push(b'(');
            if !ring.parts().is_empty() {
                write_points(ring, out);
            }
            out.push(b')');
        }
        ("MultiPoint", points) => {
            out.push(b'(');
            for (i, point) in points.parts().iter().enumerate() {
                out.extend_from_slice(if i > 0 { b",(" } else { b"(" });
                write_points(point, out);
                out.push(b')');
            }
            out.push(b')');
        }
        ("Polygon", polygon) => write_points(&closed(polygon), out),
        ("MultiPolygon", polygons) => {
            write_points(&Shape::Many(polygons.parts().iter().map(closed).collect()), out)
        }
        (_, lines) => write_points(lines, out),
    }
}

/// A polygon whose rings end where they begin; rings of nothing are left out.
fn closed(polygon: &Shape) -> Shape {
    let rings = polygon.parts().iter().filter(|ring| !ring.parts().is_empty());
    Shape::Many(
        rings
            .map(|ring| {
                let mut points = ring.parts().to_vec();
                if points.first() != points.last() {
                    points.extend(points.first().cloned());
                }
                Shape::Many(points)
            })
            .collect(),
    )
}

fn write_points(shape: &Shape, out: &mut Vec<u8>) {
    match shape {
        Shape::Point(x, y) => {
            write_short(*x, out);
            out.push(b' ');
            write_short(*y, out);
        }
        Shape::Many(parts) => {
            out.push(b'(');
            for (i, part) in parts.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_points(part, out);
            }
            out.push(b')');
        }
    }
}

/// Six digits, as C++ streams print floats.
fn write_short(v: f64, out: &mut Vec<u8>) {
    if v == 0.0 || !v.is_finite() {
        let text = if v.is_nan() {
            "nan"
        } else if v == 0.0 {
            if v.is_sign_negative() { "-0" } else { "0" }
        } else if v > 0.0 {
            "inf"
        } else {
            "-inf"
        };
        return out.extend_from_slice(text.as_bytes());
    }
    let scientific = format!("{v:.5e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text.to_string(),
    };
    let text = if (-4..6).contains(&exponent) {
        trim(&format!("{v:.*}", (5 - exponent) as usize))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trim(digits), exponent.abs())
    };
    out.extend_from_slice(text.as_bytes());
}

fn measure(call: &FunctionCall, of: fn(&str, &Shape) -> f64) -> Result<Column> {
    let column = call.column(0)?;
    let (name, _) = shape_of(&column.data_type)
        .ok_or_else(|| super::type_rule::illegal_column("a geometry"))?;
    let values: Vec<f64> = (0..call.rows)
        .map(|row| Shape::of(&column.value(row)).map_or(0.0, |shape| of(name, &shape)))
        .collect();
    call.finish_numbers(values)
}

/// The area of a ring: positive if it runs clockwise. A ring is taken as it is, closed or not.
fn ring_area(ring: &Shape) -> f64 {
    let steps = ring.parts().windows(2).map(|pair| match (&pair[0], &pair[1]) {
        (Shape::Point(x, y), Shape::Point(u, v)) => (x + u) * (y - v),
        _ => 0.0,
    });
    steps.sum::<f64>() / 2.0
}

fn area(name: &str, shape: &Shape) -> f64 {
    match name {
        "Ring" => ring_area(shape),
        "Polygon" => match shape.parts().split_first() {
            Some((outer, holes)) => ring_area(outer) + holes.iter().map(ring_area).sum::<f64>(),
            None => 0.0,
        },
        "MultiPolygon" => shape.parts().iter().map(|p| area("Polygon", p)).sum(),
        _ => 0.0,
    }
}

fn length(line: &Shape) -> f64 {
    let steps = line.parts().windows(2).map(|pair| match (&pair[0], &pair[1]) {
        (Shape::Point(x, y), Shape::Point(u, v)) => (u - x).hypot(v - y),
        _ => 0.0,
    });
    steps.sum()
}

fn perimeter(name: &str, shape: &Shape) -> f64 {
    match name {
        "Ring" => length(shape),
        "Polygon" => shape.parts().iter().map(length).sum(),
        "MultiPolygon" => shape.parts().iter().map(|p| perimeter("Polygon", p)).sum(),
        _ => 0.0,
    }
}

const BASE32: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
const GEOHASH_LENGTH: usize = 12;

fn encode_type(a: &Args) -> Result<DataType> {
    a.number(0)?;
    a.number(1)?;
    a.integer(2)?;
    Ok(DataType::String)
}

fn geohash_encode(call: &FunctionCall) -> Result<Column> {
    let (xs, ys) = (call.numbers::<f64>(0)?, call.numbers::<f64>(1)?);
    let lengths = call.numbers_or::<i64>(2, GEOHASH_LENGTH as i64)?;
    let mut out = StringsBuilder::with_capacity(call.rows, call.rows * GEOHASH_LENGTH);
    for row in 0..call.rows {
        let length = match lengths.get(row) {
            n @ 1..=12 => n as usize,
            _ => GEOHASH_LENGTH,
        };
        let (mut east, mut north) = ((-180.0, 180.0), (-90.0, 90.0));
        for digit in 0..length {
            let mut word = 0;
            for bit in 0..5 {
                let longitude = (digit * 5 + bit) % 2 == 0;
                let (range, v) = match longitude {
                    true => (&mut east, xs.get(row)),
                    false => (&mut north, ys.get(row)),
                };
                let middle = (range.0 + range.1) / 2.0;
                let upper = v >= middle;
                word = word << 1 | usize::from(upper);
                *(if upper { &mut range.0 } else { &mut range.1 }) = middle;
            }
            out.bytes.push(BASE32[word]);
        }
        out.end_row();
    }
    call.finish(out.finish()?)
}

fn coordinates() -> DataType {
    let element =
        |name: &str| TupleElement { name: Some(name.into()), data_type: DataType::Float64 };
    DataType::Tuple(vec![element("longitude"), element("latitude")])
}

fn geohash_decode(call: &FunctionCall) -> Result<Column> {
    let strings = call.strings(0)?;
    let mut values = vec![];
    for row in 0..call.rows {
        let (mut east, mut north) = ((-180.0, 180.0), (-90.0, 90.0));
        let mut even = true;
        for b in strings.get(row).iter().take(GEOHASH_LENGTH) {
            // What is no digit counts as the last one.
            let word = BASE32.iter().position(|c| c == b).unwrap_or(31);
            for bit in (0..5).rev() {
                let range = if even { &mut east } else { &mut north };
                let middle = (range.0 + range.1) / 2.0;
                *(if word >> bit & 1 == 1 { &mut range.0 } else { &mut range.1 }) = middle;
                even = !even;
            }
        }
        let middle = |range: (f64, f64)| Value::Float((range.0 + range.1) / 2.0);
        values.push(match strings.get(row).is_empty() {
            true => Value::Tuple(vec![Value::Float(0.0), Value::Float(0.0)]),
            false => Value::Tuple(vec![middle(east), middle(north)]),
        });
    }
    Ok(Column::from_values(call.result.clone(), &values)?)
}

fn ellipses_type(a: &Args) -> Result<DataType> {
    if !(a.len() - 2).is_multiple_of(4) {
        return Err(Error::new(
            codes::BAD_ARGUMENTS,
            "Incorrect number of arguments of function pointInEllipses: x, y, and four of each ellipse",
        ));
    }
    (0..a.len()).try_for_each(|i| a.number(i))?;
    Ok(DataType::UInt8)
}

fn in_ellipses(call: &FunctionCall) -> Result<Column> {
    let numbers =
        (0..call.arguments.len()).map(|i| call.numbers::<f64>(i)).collect::<Result<Vec<_>>>()?;
    let inside = (0..call.rows).map(|row| {
        let (x, y) = (numbers[0].get(row), numbers[1].get(row));
        let any = numbers[2..].chunks(4).any(|ellipse| {
            let at = |i: usize| ellipse[i].get(row);
            ((x - at(0)) / at(2)).powi(2) + ((y - at(1)) / at(3)).powi(2) <= 1.0
        });
        u8::from(any)
    });
    call.finish_numbers(inside.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_streams_do() {
        for (v, text) in [
            (1.123456789, "1.12346"),
            (1234567.891, "1.23457e+06"),
            (1e-10, "1e-10"),
            (100000.0, "100000"),
            (0.0001, "0.0001"),
            (-2.5, "-2.5"),
            (0.30000000000000004, "0.3"),
        ] {
            let mut out = vec![];
            write_short(v, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn texts_become_shapes() {
        assert_eq!(parse(b"POINT (1 2)", "Point").unwrap(), Shape::Point(1.0, 2.0));
        assert!(parse(b"POINT (1", "Point").is_err());
        assert!(parse(b"POINT (1 2) x", "Point").is_err());
        let polygon = parse(b"POLYGON((0 0,1 0,1 1,0 0))", "Polygon").unwrap();
        assert_eq!(area("Polygon", &polygon), -0.5);
    }
}
