//! GeoJSON: a FeatureCollection, a row a feature. One column is the geometry, `id` the feature's id, all
//! others its properties.
//!
//! `write` and `read` are the two ways; this file has what the standard asks of shapes
//! (`format_geojson_validate_geometry`) for both.

mod read;
mod write;

pub use read::{GeoJsonLayout, infer};
pub use write::GeoJsonWriter;

/// Points of lines and rings, at least.
pub(super) const LINE_POINTS_MIN: usize = 2;
pub(super) const RING_POINTS_MIN: usize = 4;

/// The kinds of geometries as GeoJSON names them, how deep their points lie in arrays, and whether they
/// may be empty.
pub(super) const KINDS: &[(&str, usize, bool)] = &[
    ("Point", 0, false),
    ("MultiPoint", 1, true),
    ("LineString", 1, true),
    ("MultiLineString", 2, false),
    ("Polygon", 2, false),
    ("MultiPolygon", 3, false),
];

/// Coordinates: a point, or what holds points.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Point(f64, f64),
    List(Vec<Shape>),
}

impl Shape {
    pub fn items(&self) -> &[Shape] {
        match self {
            Shape::Point(..) => &[],
            Shape::List(items) => items,
        }
    }
}

/// What is wrong with a shape.
pub(super) enum Flaw {
    /// A line of too few points.
    Line(usize),
    /// A ring of too few points.
    Ring(usize),
    Unclosed,
    Empty,
}

/// Checks the coordinates of a geometry of this kind.
pub(super) fn check(kind: &str, shape: &Shape) -> Result<(), Flaw> {
    let line = |line: &Shape| match line.items().len() {
        n if n < LINE_POINTS_MIN => Err(Flaw::Line(n)),
        _ => Ok(()),
    };
    let ring = |ring: &Shape| match ring.items() {
        points if points.len() < RING_POINTS_MIN => Err(Flaw::Ring(points.len())),
        points if points.first() != points.last() => Err(Flaw::Unclosed),
        _ => Ok(()),
    };
    let polygon = |rings: &Shape| match rings.items() {
        [] => Err(Flaw::Empty),
        rings => rings.iter().try_for_each(ring),
    };
    match (kind, shape.items()) {
        ("LineString", _) => line(shape),
        ("Polygon", _) => polygon(shape),
        ("MultiLineString" | "MultiPolygon", []) => Err(Flaw::Empty),
        ("MultiLineString", lines) => lines.iter().try_for_each(line),
        ("MultiPolygon", polygons) => polygons.iter().try_for_each(polygon),
        _ => Ok(()),
    }
}
