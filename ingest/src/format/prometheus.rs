//! Prometheus: metrics in the text exposition format 0.0.4, from rows of `name`, `value` and, if there,
//! `help`, `type`, `labels` and `timestamp`. Rows of one name stand together; a histogram's buckets are
//! sorted and get what is missing of `+Inf` and `_count`.

use std::collections::BTreeMap;

use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::text::write_text;
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, Column, DataType, Value};

use super::{FormatOptions, FormatWriter, WriterStatistics};

type Labels = BTreeMap<String, String>;

struct Sample {
    labels: Labels,
    value: String,
    timestamp: String,
}

#[derive(Default)]
struct Metric {
    help: String,
    kind: String,
    samples: Vec<Sample>,
}

/// Columns of the result, by position.
#[derive(Default)]
struct Places {
    name: usize,
    value: usize,
    help: Option<usize>,
    kind: Option<usize>,
    labels: Option<usize>,
    timestamp: Option<usize>,
}

/// Writes a metric when the next one begins.
pub struct PrometheusWriter {
    zone: TimeZone,
    places: Places,
    name: String,
    metric: Metric,
}

impl PrometheusWriter {
    pub fn boxed(options: &FormatOptions) -> Result<Box<dyn FormatWriter>> {
        Ok(Box::new(PrometheusWriter {
            zone: options.time_zone,
            places: Places::default(),
            name: String::new(),
            metric: Metric::default(),
        }))
    }

    fn text(&self, column: &Column, row: usize) -> String {
        let mut out = vec![];
        if !column.is_null(row) {
            write_text(&column.data_type, column.array.as_ref(), row, self.zone, &mut out);
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    fn labels(&self, column: &Column, row: usize) -> Labels {
        let text = |value: Value| {
            String::from_utf8_lossy(value.as_bytes().unwrap_or_default()).into_owned()
        };
        match column.value(row) {
            Value::Map(pairs) => pairs.into_iter().map(|(k, v)| (text(k), text(v))).collect(),
            _ => Labels::new(),
        }
    }

    fn finish_metric(&mut self, out: &mut Vec<u8>) {
        let metric = std::mem::take(&mut self.metric);
        if metric.samples.is_empty() {
            return;
        }
        metric.write(&self.name, out);
        out.push(b'\n');
    }
}

impl Metric {
    fn write(mut self, name: &str, out: &mut Vec<u8>) {
        for (word, text) in [("HELP", &self.help), ("TYPE", &self.kind)] {
            if !text.is_empty() {
                out.extend_from_slice(format!("# {word} {name} {text}\n").as_bytes());
            }
        }
        if self.kind == "histogram" {
            self.complete_histogram();
        }
        let grouped = matches!(self.kind.as_str(), "histogram" | "summary");
        for sample in self.samples {
            sample.write(name, grouped, out);
        }
    }

    /// Buckets by their bound, then the sum, then the count; the last bucket and the count are one number.
    fn complete_histogram(&mut self) {
        let has = |samples: &[Sample], label: &str| {
            samples.iter().position(|s| s.labels.contains_key(label))
        };
        let last =
            self.samples.iter().position(|s| s.labels.get("le").is_some_and(|le| le == "+Inf"));
        let count = has(&self.samples, "count");
        let added = match (last, count) {
            (Some(last), None) => Some(("count", last)),
            (None, Some(count)) => Some(("le", count)),
            _ => None,
        };
        if let Some((label, like)) = added {
            let bound = if label == "le" { "+Inf" } else { "" };
            self.samples.push(Sample {
                labels: Labels::from([(label.into(), bound.into())]),
                value: self.samples[like].value.clone(),
                timestamp: String::new(),
            });
        }
        self.samples.sort_by(|a, b| a.rank().total_cmp(&b.rank()));
    }
}

impl Sample {
    /// Where it stands in its histogram.
    fn rank(&self) -> f64 {
        match self.labels.get("le") {
            Some(bound) => bound.trim_start_matches('+').parse().unwrap_or(f64::INFINITY),
            None => f64::INFINITY,
        }
    }

    /// With `grouped`, labels `sum` and `count` are suffixes of the name, and buckets have their own.
    fn write(mut self, name: &str, grouped: bool, out: &mut Vec<u8>) {
        let suffix = match grouped {
            true if self.labels.remove("sum").is_some() => "_sum",
            true if self.labels.remove("count").is_some() => "_count",
            true if self.labels.contains_key("le") => "_bucket",
            _ => "",
        };
        out.extend_from_slice(format!("{name}{suffix}").as_bytes());
        if !self.labels.is_empty() {
            let pair = |(k, v): (&String, &String)| format!("{k}=\"{}\"", escaped(v));
            let pairs: Vec<String> = self.labels.iter().map(pair).collect();
            out.extend_from_slice(format!("{{{}}}", pairs.join(",")).as_bytes());
        }
        out.extend_from_slice(format!(" {}", self.value).as_bytes());
        if !self.timestamp.is_empty() && self.timestamp != "0" {
            out.extend_from_slice(format!(" {}", self.timestamp).as_bytes());
        }
        out.push(b'\n');
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The place of `name`, whose type `fits`.
fn place(
    schema: &[(String, DataType)],
    name: &str,
    fits: fn(&DataType) -> bool,
) -> Result<Option<usize>> {
    let Some(at) = schema.iter().position(|(n, _)| n == name) else { return Ok(None) };
    let found = &schema[at].1;
    if fits(found) {
        return Ok(Some(at));
    }
    Err(Error::new(
        codes::BAD_ARGUMENTS,
        format!("Illegal type '{found}' of column '{name}' for output format 'Prometheus'."),
    ))
}

fn required(place: Option<usize>, name: &str) -> Result<usize> {
    place.ok_or_else(|| {
        let message = format!("Column '{name}' is required for output format 'Prometheus'.");
        Error::new(codes::BAD_ARGUMENTS, message)
    })
}

fn is_text(dt: &DataType) -> bool {
    dt.is_string()
}

fn is_number(dt: &DataType) -> bool {
    dt.is_number() || matches!(dt, DataType::Decimal { .. })
}

fn is_text_map(dt: &DataType) -> bool {
    matches!(dt, DataType::Map(k, v) if k.is_string() && v.is_string())
}

impl FormatWriter for PrometheusWriter {
    fn prefix(&mut self, schema: &[(String, DataType)], _out: &mut Vec<u8>) -> Result<()> {
        self.places = Places {
            name: required(place(schema, "name", is_text)?, "name")?,
            value: required(place(schema, "value", is_number)?, "value")?,
            help: place(schema, "help", is_text)?,
            kind: place(schema, "type", is_text)?,
            labels: place(schema, "labels", is_text_map)?,
            timestamp: place(schema, "timestamp", is_number)?,
        };
        Ok(())
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        for row in 0..block.rows() {
            let text = |at: usize| self.text(&block.columns[at], row);
            let name = text(self.places.name);
            let optional = |at: Option<usize>| at.map(text).unwrap_or_default();
            let (help, kind) = (optional(self.places.help), optional(self.places.kind));
            let value = text(self.places.value);
            let sample = Sample {
                labels: self
                    .places
                    .labels
                    .map_or_else(Labels::new, |at| self.labels(&block.columns[at], row)),
                value: match value.as_str() {
                    "nan" => "NaN".into(),
                    "inf" => "+Inf".into(),
                    "-inf" => "-Inf".into(),
                    _ => value,
                },
                timestamp: optional(self.places.timestamp),
            };
            if name != self.name {
                self.finish_metric(out);
                self.name = name;
            }
            let set = |kept: &mut String, text: String| {
                if kept.is_empty() {
                    *kept = text.replace('\n', " ");
                }
            };
            set(&mut self.metric.help, help);
            set(&mut self.metric.kind, kind);
            self.metric.samples.push(sample);
        }
        Ok(())
    }

    fn suffix(&mut self, _statistics: &WriterStatistics, out: &mut Vec<u8>) -> Result<()> {
        self.finish_metric(out);
        Ok(())
    }

    fn content_type(&self) -> &'static str {
        "text/plain; version=0.0.4; charset=UTF-8"
    }
}
