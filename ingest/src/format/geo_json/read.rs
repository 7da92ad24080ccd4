//! Features as rows: of the columns `id`, `geometry` and `properties` those that are wanted. The whole
//! document is checked, also what is not wanted.

use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::text;
use pumphouse_storage::run_time::variant_of;
use pumphouse_storage::{DataType, Value};

use super::super::columns::{RowBuilder, Values};
use super::super::json_skip::{skip_number, skip_value};
use super::super::json_value::{
    Failure, Step, ended, expect, expected, fail, read_string, read_value, skip_spaces,
};
use super::super::row_layout::{LayoutReader, Parsed, RowLayout};
use super::super::{FormatOptions, FormatReader, InputColumn, ParseError};
use super::{Flaw, KINDS, Shape, check};

pub struct GeoJsonLayout {
    validate: bool,
    /// Geometries that there is no type for become NULL.
    unsupported_as_null: bool,
    /// The document said that it is a FeatureCollection.
    typed: bool,
    /// A feature was read, so that a comma comes before the next.
    any: bool,
}

/// The columns that every document has.
pub fn infer() -> Vec<InputColumn> {
    let column = |name: &str, data_type: DataType| InputColumn { name: name.into(), data_type };
    vec![
        column("id", DataType::nullable(DataType::String)),
        column("geometry", DataType::geometric("Geometry").unwrap_or(DataType::String)),
        column("properties", DataType::nullable(DataType::Json(Default::default()))),
    ]
}

fn check_columns(columns: &[InputColumn]) -> Result<()> {
    let bad = |message: String| Err(Error::new(codes::BAD_ARGUMENTS, message));
    for InputColumn { name, data_type } in columns {
        let (wanted, fits) = match name.as_str() {
            "id" => (
                "'String' or 'Nullable(String)'",
                *data_type == DataType::String
                    || *data_type == DataType::nullable(DataType::String),
            ),
            "geometry" => {
                ("'Geometry'", DataType::geometric("Geometry").as_ref() == Some(data_type))
            }
            "properties" => ("", true),
            _ => {
                return bad(format!(
                    "Unsupported column '{name}' for the GeoJSON input format. Only 'id', \
                     'geometry', and 'properties' columns are supported."
                ));
            }
        };
        if !fits {
            return bad(format!(
                "The '{name}' column of the GeoJSON input format must have type {wanted}, but it \
                 has type '{data_type}'."
            ));
        }
    }
    Ok(())
}

#[cold]
fn wrong(at: usize, message: impl std::fmt::Display) -> Box<Failure> {
    fail(codes::INCORRECT_DATA, at, format!("GeoJSON: {message}"))
}

impl GeoJsonLayout {
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
    ) -> Result<Box<dyn FormatReader>> {
        check_columns(columns)?;
        let handling = "input_format_geojson_unsupported_geometry_handling";
        let layout = GeoJsonLayout {
            validate: options.settings.bool("format_geojson_validate_geometry", true),
            unsupported_as_null: options.settings.get(handling) == Some("null"),
            typed: false,
            any: false,
        };
        Ok(Box::new(LayoutReader::new(RowBuilder::new(columns, options.time_zone), layout)))
    }

    /// The members before the features; where the features begin.
    fn head(&mut self, bytes: &[u8]) -> Step {
        let mut at = expect(bytes, skip_spaces(bytes, 0), b'{')?;
        loop {
            let (name, start) = member(bytes, at)?;
            if name == b"features" {
                let at = skip_spaces(bytes, expect(bytes, start, b'[')?);
                // One more byte is seen, so that a document that ends here is told from a whole one.
                return if at < bytes.len() { Ok(at) } else { Err(ended(at)) };
            }
            at = self.other(&name, bytes, start)?;
            at = expect(bytes, skip_spaces(bytes, at), b',')?;
        }
    }

    /// A member of the document that is not its features.
    fn other(&mut self, name: &[u8], bytes: &[u8], start: usize) -> Step {
        if name == b"type" {
            let mut kind = vec![];
            let end = read_string(bytes, expect(bytes, start, b'"')?, &mut kind)?;
            if kind != b"FeatureCollection" {
                let kind = String::from_utf8_lossy(&kind).into_owned();
                return Err(wrong(
                    start,
                    format!(
                        "the top-level 'type' member must be 'FeatureCollection', but got '{kind}'"
                    ),
                ));
            }
            self.typed = true;
            return Ok(end);
        }
        skip_value(bytes, start)
    }

    /// What is behind the features, up to the document's end.
    fn tail(&mut self, bytes: &[u8], at: usize) -> Step {
        let mut at = skip_spaces(bytes, at);
        while bytes.get(at) != Some(&b'}') {
            let (name, start) = member(bytes, expect(bytes, at, b',')?)?;
            if name == b"features" {
                return Err(wrong(at, "duplicate 'features' member"));
            }
            at = skip_spaces(bytes, self.other(&name, bytes, start)?);
        }
        if !self.typed {
            return Err(wrong(at, "the top-level 'type' member 'FeatureCollection' is missing"));
        }
        let end = skip_spaces(bytes, at + 1);
        match end == bytes.len() {
            true => Ok(end),
            false => Err(fail(
                codes::CANNOT_PARSE_INPUT_ASSERTION_FAILED,
                end,
                "GeoJSON: unexpected trailing data after the top-level FeatureCollection object",
            )),
        }
    }

    fn feature(&self, rows: &mut RowBuilder, bytes: &[u8], at: usize) -> Step {
        let mut found: [Option<usize>; 4] = [None; 4];
        const NAMES: [&[u8]; 4] = [b"type", b"id", b"geometry", b"properties"];
        let mut at = skip_spaces(bytes, expect(bytes, at, b'{')?);
        while bytes.get(at) != Some(&b'}') {
            let (name, start) = member(bytes, at)?;
            if let Some(i) = NAMES.iter().position(|n| *n == name)
                && found[i].replace(start).is_some()
            {
                let name = String::from_utf8_lossy(&name).into_owned();
                return Err(wrong(at, format!("duplicate '{name}' field in a feature")));
            }
            at = skip_spaces(bytes, skip_value(bytes, start)?);
            if bytes.get(at) != Some(&b'}') {
                at = skip_spaces(bytes, expect(bytes, at, b',')?);
            }
        }
        let end = at + 1;
        let [kind, id, geometry, properties] = found;
        let kind = kind.ok_or_else(|| {
            wrong(at, "a feature is missing the required 'type' member 'Feature'")
        })?;
        let mut named = vec![];
        if bytes.get(kind) == Some(&b'"') {
            read_string(bytes, kind + 1, &mut named)?;
        }
        if named != b"Feature" {
            let named = String::from_utf8_lossy(&named).into_owned();
            let message =
                format!("each member of 'features' must have type 'Feature', but got '{named}'");
            return Err(wrong(kind, message));
        }
        let missing = |name| wrong(at, format!("feature is missing the required '{name}' member"));
        let geometry = geometry.ok_or_else(|| missing("geometry"))?;
        let properties = properties.ok_or_else(|| missing("properties"))?;
        self.put_id(rows, bytes, id)?;
        self.put_geometry(rows, bytes, geometry)?;
        put_properties(rows, bytes, properties)?;
        rows.end_row(rows.slots.iter().filter(|s| s.filled > rows.rows()).count());
        Ok(end)
    }

    fn put_id(
        &self,
        rows: &mut RowBuilder,
        bytes: &[u8],
        start: Option<usize>,
    ) -> std::result::Result<(), Box<Failure>> {
        let Some(start) = start else { return Ok(()) };
        let mut id = vec![];
        match bytes.get(start) {
            Some(b'"') => {
                read_string(bytes, start + 1, &mut id)?;
            }
            Some(b'0'..=b'9' | b'-') => {
                id.extend_from_slice(&bytes[start..skip_number(bytes, start)?]);
            }
            Some(b'n') => return Ok(()),
            _ => {
                let message = "a Feature's 'id' member must be a JSON string or number";
                return Err(wrong(start, message));
            }
        }
        let filled = rows.rows() + 1;
        if let Some(slot) = rows.slots.iter_mut().find(|s| s.name == "id") {
            if let Values::String(texts) = &mut slot.builder.values {
                texts.push(&id);
            }
            slot.filled = filled;
        }
        Ok(())
    }

    fn put_geometry(
        &self,
        rows: &mut RowBuilder,
        bytes: &[u8],
        start: usize,
    ) -> std::result::Result<(), Box<Failure>> {
        let filled = rows.rows() + 1;
        let slot = rows.slots.iter_mut().find(|s| s.name == "geometry");
        let shape = match bytes.get(start) {
            Some(b'{') => self.geometry(bytes, start, slot.is_some())?,
            Some(b'n') => None,
            _ => return Err(expected(bytes, start, "null")),
        };
        let Some(slot) = slot else { return Ok(()) };
        let value = match (&shape, slot.builder.data_type.inner()) {
            (Some((kind, shape)), DataType::Variant(types)) => {
                let named =
                    |t: &DataType| matches!(t, DataType::Named { name, .. } if name == kind);
                let at = types.iter().position(named);
                let at = at.ok_or_else(|| wrong(start, format!("no type for a {kind}")))?;
                Value::String(variant_of(at, &types[at], &value_of(shape)))
            }
            _ => Value::Null,
        };
        slot.builder.push_value(&value).map_err(|e| fail(e.code, start, e.message))?;
        slot.filled = filled;
        Ok(())
    }

    /// The geometry at `at`; None for one without a type, if it becomes NULL or is not wanted.
    fn geometry(
        &self,
        bytes: &[u8],
        at: usize,
        wanted: bool,
    ) -> std::result::Result<Option<(&'static str, Shape)>, Box<Failure>> {
        let (mut kind, mut coordinates, mut geometries) = (vec![], None, false);
        let mut next = skip_spaces(bytes, at + 1);
        while bytes.get(next) != Some(&b'}') {
            let (name, start) = member(bytes, next)?;
            match name.as_slice() {
                b"type" => {
                    read_string(bytes, expect(bytes, start, b'"')?, &mut kind)?;
                }
                b"coordinates" => coordinates = Some(start),
                b"geometries" => geometries = true,
                _ => {}
            }
            next = skip_spaces(bytes, skip_value(bytes, start)?);
            if bytes.get(next) != Some(&b'}') {
                next = skip_spaces(bytes, expect(bytes, next, b',')?);
            }
        }
        let named = String::from_utf8_lossy(&kind).into_owned();
        if named == "GeometryCollection" {
            let message = match (geometries, wanted && !self.unsupported_as_null) {
                (false, _) => {
                    "geometry of type 'GeometryCollection' is missing the 'geometries' member"
                }
                (true, false) => return Ok(None),
                (true, true) => {
                    "geometry type 'GeometryCollection' cannot be represented in ClickHouse's \
                     Geometry type. Set input_format_geojson_unsupported_geometry_handling = \
                     'null' to insert NULL for such geometries instead of throwing"
                }
            };
            return Err(wrong(at, message));
        }
        let known = KINDS.iter().find(|(n, ..)| *n == named);
        let (kind, depth, _) = known
            .ok_or_else(|| wrong(at, format!("unknown or invalid geometry type '{named}'")))?;
        let start = coordinates.ok_or_else(|| {
            wrong(at, format!("geometry of type '{kind}' is missing the 'coordinates' member"))
        })?;
        let (shape, _) = shape_at(bytes, start, *depth)?;
        if self.validate {
            check(kind, &shape).map_err(|flaw| wrong(start, flawed(kind, flaw)))?;
        }
        Ok(Some((kind, shape)))
    }
}

fn flawed(kind: &str, flaw: Flaw) -> String {
    match flaw {
        Flaw::Line(n) => format!("a LineString must have at least two points, but got {n}"),
        Flaw::Ring(n) => format!("a Polygon ring must have at least four points, but got {n}"),
        Flaw::Unclosed => {
            "a Polygon ring must be closed (its first and last points must be equal)".into()
        }
        Flaw::Empty if kind == "MultiLineString" => {
            "a MultiLineString must have at least one LineString".into()
        }
        Flaw::Empty => format!("a {kind} must have at least one part"),
    }
}

/// A member's name, and where its value begins.
fn member(bytes: &[u8], at: usize) -> std::result::Result<(Vec<u8>, usize), Box<Failure>> {
    let mut name = vec![];
    let quote = expect(bytes, skip_spaces(bytes, at), b'"')?;
    let end = read_string(bytes, quote, &mut name)?;
    let colon = expect(bytes, skip_spaces(bytes, end), b':')?;
    Ok((name, skip_spaces(bytes, colon)))
}

fn put_properties(
    rows: &mut RowBuilder,
    bytes: &[u8],
    start: usize,
) -> std::result::Result<(), Box<Failure>> {
    if !matches!(bytes.get(start), Some(b'{' | b'n')) {
        let message = "a Feature's 'properties' member must be a JSON object or null";
        return Err(wrong(start, message));
    }
    let filled = rows.rows() + 1;
    let Some(c) = rows.slots.iter().position(|s| s.name == "properties") else { return Ok(()) };
    let slot = &mut rows.slots[c];
    if bytes[start] == b'n' {
        slot.builder.push_null();
    } else {
        read_value(&mut slot.builder, bytes, start)?;
    }
    slot.filled = filled;
    if bytes[start] == b'n' && !slot.builder.nullable {
        rows.mark_absent(c);
    }
    Ok(())
}

/// Coordinates whose points lie `depth` arrays deep, and where they end.
fn shape_at(
    bytes: &[u8],
    at: usize,
    depth: usize,
) -> std::result::Result<(Shape, usize), Box<Failure>> {
    let mut at = skip_spaces(bytes, expect(bytes, skip_spaces(bytes, at), b'[')?);
    if depth == 0 {
        // What is behind the second number, a height, is checked and dropped.
        let (mut numbers, mut count) = ([0.0; 2], 0);
        loop {
            let (number, end) = number_at(bytes, at)?;
            if let Some(slot) = numbers.get_mut(count) {
                *slot = number;
            }
            count += 1;
            at = skip_spaces(bytes, end);
            if bytes.get(at) == Some(&b']') && count >= 2 {
                return Ok((Shape::Point(numbers[0], numbers[1]), at + 1));
            }
            at = skip_spaces(bytes, expect(bytes, at, b',')?);
        }
    }
    let mut items = vec![];
    while bytes.get(at) != Some(&b']') {
        if !items.is_empty() {
            at = expect(bytes, at, b',')?;
        }
        let (item, end) = shape_at(bytes, at, depth - 1)?;
        items.push(item);
        at = skip_spaces(bytes, end);
    }
    Ok((Shape::List(items), at + 1))
}

fn number_at(bytes: &[u8], at: usize) -> std::result::Result<(f64, usize), Box<Failure>> {
    let invalid = || wrong(at, "invalid JSON number");
    if !matches!(bytes.get(at), Some(b'0'..=b'9' | b'-')) {
        return Err(invalid());
    }
    let end = skip_number(bytes, at).map_err(|_| invalid())?;
    let number = text::parse_float(&bytes[at..end]).map_err(|_| invalid())?;
    match number.is_finite() {
        true => Ok((number, end)),
        false => Err(wrong(at, "coordinate value is not finite")),
    }
}

fn value_of(shape: &Shape) -> Value {
    match shape {
        Shape::Point(x, y) => Value::Tuple(vec![Value::Float(*x), Value::Float(*y)]),
        Shape::List(items) => Value::Array(items.iter().map(value_of).collect()),
    }
}

fn located(failure: Failure, place: String) -> ParseError {
    ParseError { code: failure.code, message: format!("{}: ({place})", failure.message) }
}

impl RowLayout for GeoJsonLayout {
    fn begin(&mut self, _rows: &RowBuilder, bytes: &[u8], _last: bool) -> Parsed<Option<usize>> {
        (self.typed, self.any) = (false, false);
        self.head(bytes).map(Some).map_err(|f| located(*f, "while reading header".into()))
    }

    fn row(
        &mut self,
        rows: &mut RowBuilder,
        bytes: &[u8],
        at: usize,
        row: usize,
        last: bool,
    ) -> Parsed<Option<usize>> {
        let place = |f: Box<Failure>| located(*f, format!("at row {}", row + 1));
        let mut at = skip_spaces(bytes, at);
        if bytes.get(at) == Some(&b']') {
            let typed = self.typed;
            if !last {
                return Ok(None);
            }
            return self.tail(bytes, at + 1).map(Some).map_err(|f| {
                self.typed = typed;
                place(f)
            });
        }
        if self.any {
            at = skip_spaces(bytes, expect(bytes, at, b',').map_err(place)?);
        }
        let end = self.feature(rows, bytes, at).map_err(place)?;
        // The byte behind a feature must be there: it says whether the document goes on.
        if skip_spaces(bytes, end) >= bytes.len() {
            return Err(place(expected(bytes, bytes.len(), ",")));
        }
        self.any = true;
        Ok(Some(end))
    }
}
