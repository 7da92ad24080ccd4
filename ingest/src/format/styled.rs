//! Writers of text formats under settings that change how values look (`date_time_output_format`,
//! `bool_true_representation`, `output_format_float_precision` …): the style holds during each of their calls.
//!
//! Binary formats are left alone, but for JSON in RowBinary, which may be its text.

use std::sync::Arc;

use pumphouse_query::context::Settings;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::text::style::{TextStyle, TimeText};
use pumphouse_storage::{Block, DataType};

use super::json_rows::json_options;
use super::{FormatWriter, WriterStatistics};

/// Places of a float at most, as ClickHouse has it.
const PLACES_MAX: u64 = 100;

struct Styled {
    inner: Box<dyn FormatWriter>,
    style: Arc<TextStyle>,
    kusto: bool,
}

/// `inner` itself, or in the style that the settings ask for.
pub(super) fn styled(
    name: &str,
    inner: Box<dyn FormatWriter>,
    settings: &Settings,
) -> Result<Box<dyn FormatWriter>> {
    let style = match inner.content_type() {
        "application/octet-stream" => TextStyle {
            json_texts: name.starts_with("RowBinary")
                && settings.bool("output_format_binary_write_json_as_string", false),
            ..TextStyle::default()
        },
        _ => style_of(name, settings)?,
    };
    let kusto = settings.get("interval_output_format") == Some("kusto");
    if style == TextStyle::default() && !kusto {
        return Ok(inner);
    }
    Ok(Box::new(Styled { inner, style: Arc::new(style), kusto }))
}

fn style_of(name: &str, settings: &Settings) -> Result<TextStyle> {
    let times = match settings.get("date_time_output_format") {
        Some("iso") => TimeText::Iso,
        Some("unix_timestamp") => TimeText::Unix,
        _ => TimeText::Simple,
    };
    let float_places = match settings.u64("output_format_float_precision", 0) {
        0 => None,
        n if n <= PLACES_MAX => Some(n as usize),
        n => {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                format!(
                    "Too high precision requested for Float, must not be more than {PLACES_MAX}, got {n}."
                ),
            ));
        }
    };
    let word = |name, usual: &str| settings.get(name).unwrap_or(usual).as_bytes().to_vec();
    let bools =
        [word("bool_true_representation", "true"), word("bool_false_representation", "false")];
    Ok(TextStyle {
        times,
        cut_fractions: settings.bool(
            "date_time_64_output_format_cut_trailing_zeros_align_to_groups_of_thousands",
            false,
        ),
        decimal_zeros: settings.bool("output_format_decimal_trailing_zeros", false),
        float_places,
        always_point: settings
            .bool("output_format_always_write_decimal_point_in_float_and_decimal", false),
        json_texts: false,
        trim_fixed: settings.bool("output_format_trim_fixed_string", false),
        double_quotes: ["Values", "SQLInsert"].contains(&name)
            && settings.bool("output_format_values_escape_quote_with_quote", false),
        json: json_options(settings),
        bools: (bools != [b"true".to_vec(), b"false".to_vec()]).then_some(bools),
    })
}

fn holds_interval(data_type: &DataType) -> bool {
    use DataType as T;
    match data_type {
        T::Interval(_) => true,
        T::Array(t) | T::Nullable(t) | T::LowCardinality(t) => holds_interval(t),
        T::Map(k, v) => holds_interval(k) || holds_interval(v),
        T::Tuple(elements) => elements.iter().any(|e| holds_interval(&e.data_type)),
        T::Variant(types) => types.iter().any(holds_interval),
        _ => false,
    }
}

impl FormatWriter for Styled {
    fn prefix(&mut self, schema: &[(String, DataType)], out: &mut Vec<u8>) -> Result<()> {
        if self.kusto && schema.iter().any(|(_, t)| holds_interval(t)) {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                "interval_output_format = 'kusto' is not supported",
            ));
        }
        self.style.hold(|| self.inner.prefix(schema, out))
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        self.style.hold(|| self.inner.block(block, out))
    }

    fn totals(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        self.style.hold(|| self.inner.totals(block, out))
    }

    fn extremes(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        self.style.hold(|| self.inner.extremes(block, out))
    }

    fn suffix(&mut self, statistics: &WriterStatistics, out: &mut Vec<u8>) -> Result<()> {
        self.style.hold(|| self.inner.suffix(statistics, out))
    }

    fn exception(&mut self, error: &str, statistics: &WriterStatistics, out: &mut Vec<u8>) -> bool {
        self.style.hold(|| self.inner.exception(error, statistics, out))
    }

    fn content_type(&self) -> &'static str {
        self.inner.content_type()
    }

    fn again(&mut self) -> bool {
        self.inner.again()
    }
}
