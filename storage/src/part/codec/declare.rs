//! Declarations: the text of `CODEC(...)` to a chain that fits a type, with ClickHouse's rules for what
//! is allowed, its error codes, and the form in which definitions show it.

use super::fpc::is_float;
use super::{Codec, ColumnCodec, Generic, Role, Settled, Stage, by_name};
use crate::error::{Error, Result};
use crate::part::layout::Layout;
use crate::types::DataType;

const BAD_ARGUMENTS: u32 = 36;
const BAD_GET: u32 = 170;
const TAKES_NO_ARGUMENTS: u32 = 378;
const ILLEGAL_SYNTAX: u32 = 431;
const UNKNOWN_CODEC: u32 = 432;
const ILLEGAL_PARAMETER: u32 = 433;
/// The word that stands for the table's own codec.
const DEFAULT: &str = "Default";

/// Checks what a definition says about a column of `data_type`, and gives it as `SHOW CREATE` does.
/// `suspicious` allows chains that make no sense but do no harm.
pub fn settle(text: &str, data_type: &DataType, suspicious: bool) -> Result<String> {
    let calls = parse(text)?;
    let leaves = leaves(data_type);
    let chains = leaves.iter().map(|l| settle_for(&calls, l)).collect::<Result<Vec<_>>>()?;
    let (Some(leaf), Some(chain)) = (leaves.last(), chains.last()) else {
        // An empty tuple.
        return Ok(format!(
            "CODEC({})",
            calls.iter().map(|c| c.text).collect::<Vec<_>>().join(", ")
        ));
    };
    if !suspicious {
        // As ClickHouse does it, of several types the last is asked.
        check_sense(chain, leaf)?;
    }
    let typed = calls.iter().any(|c| by_name(c.name).is_some_and(|codec| codec.typed()));
    let shown: Vec<String> = match typed && leaves.iter().any(|l| l != leaf) {
        // Several types under one chain: what depends on the type stays as it was written.
        true => calls.iter().map(Call::written).collect(),
        false => chain.iter().map(|s| s.shown.clone()).collect(),
    };
    Ok(format!("CODEC({})", shown.join(", ")))
}

/// Checks a table's `default_compression_codec`: one codec for bytes of any kind, or nothing.
pub fn settle_default(text: &str) -> Result<()> {
    parse_default(text).map(|_| ())
}

pub(crate) fn parse_default(text: &str) -> Result<Generic> {
    if text.trim().is_empty() {
        return Ok(Generic::Lz4);
    }
    let calls = parse(text)?;
    match &calls[..] {
        [call] => match by_name(call.name) {
            Some(codec) if !codec.typed() => {
                let settled = codec.settle(&call.arguments, &DataType::String)?;
                Ok(generic(codec, settled.level))
            }
            _ => Err(unknown(&call.name.to_uppercase())),
        },
        _ => Err(unknown(&text.to_uppercase())),
    }
}

impl ColumnCodec {
    /// The codec of a column whose definition was settled before. What cannot be understood (from a
    /// later version) is taken as the default: it says how to write, not what.
    pub(crate) fn of(text: &str, data_type: &DataType, default: Generic) -> ColumnCodec {
        let by_default = ColumnCodec { generic: default, ..ColumnCodec::default() };
        if text.is_empty() {
            return by_default;
        }
        let leaves = leaves(data_type);
        let chain = match (parse(text), leaves.first()) {
            (Ok(calls), Some(leaf)) => settle_for(&calls, leaf),
            _ => return by_default,
        };
        let Ok(chain) = chain else { return by_default };
        let stages: Vec<Stage> = chain
            .iter()
            .map(|s| match s.codec {
                // Widths that were not said are those of each leaf.
                Some(codec) => {
                    let same = leaves.iter().all(|l| l == &leaves[0]);
                    let width = if same { s.settled.width } else { 0 };
                    Stage { codec, width, level: s.settled.level }
                }
                None => stage_of(default),
            })
            .collect();
        let last = stages.iter().rev().find(|s| !s.codec.typed());
        let generic = last.map_or(default, |s| generic(s.codec, s.level));
        let typed = stages.iter().any(|s| s.codec.typed());
        ColumnCodec { text: text.into(), stages: if typed { stages } else { vec![] }, generic }
    }
}

fn generic(codec: &dyn Codec, level: i8) -> Generic {
    match codec.name() {
        "NONE" => Generic::Nothing,
        "LZ4HC" => Generic::Lz4Hc(level),
        "ZSTD" => Generic::Zstd(level),
        _ => Generic::Lz4,
    }
}

fn stage_of(generic: Generic) -> Stage {
    let (codec, level): (&'static dyn Codec, i8) = match generic {
        Generic::Nothing => (&super::none::None, 0),
        Generic::Lz4 => (&super::lz4::Lz4, 0),
        Generic::Lz4Hc(level) => (&super::lz4hc::Lz4Hc, level),
        Generic::Zstd(level) => (&super::zstd::Zstd, level),
    };
    Stage { codec, width: 0, level }
}

/// A stage that fits one type.
struct SettledStage {
    /// None: the table's default.
    codec: Option<&'static dyn Codec>,
    settled: Settled,
    shown: String,
}

impl SettledStage {
    fn role(&self) -> Role {
        self.codec.map_or(Role::Generic, |c| c.role())
    }
}

fn settle_for(calls: &[Call<'_>], leaf: &DataType) -> Result<Vec<SettledStage>> {
    calls
        .iter()
        .map(|call| {
            if call.name == DEFAULT {
                if call.arguments.is_empty() {
                    let settled = Settled::plain();
                    return Ok(SettledStage { codec: None, settled, shown: DEFAULT.into() });
                }
                return Err(refuse(
                    BAD_ARGUMENTS,
                    "Default codec cannot have any arguments, it's just an alias for codec \
                     specified in config.xml."
                        .into(),
                ));
            }
            let codec = by_name(call.name).ok_or_else(|| unknown(call.name))?;
            let settled = codec.settle(&call.arguments, leaf)?;
            let shown = format!("{}{}", call.name, settled.text);
            Ok(SettledStage { codec: Some(codec), settled, shown })
        })
        .collect()
}

fn unknown(name: &str) -> Error {
    refuse(UNKNOWN_CODEC, format!("Unknown codec family: {name}"))
}

/// Refuses chains that do nothing or work against themselves.
fn check_sense(chain: &[SettledStage], leaf: &DataType) -> Result<()> {
    let shown = || chain.iter().map(|s| s.shown.as_str()).collect::<Vec<_>>().join(", ");
    let hint = "(Note: you can enable setting 'allow_suspicious_codecs' to skip this check).";
    let roles: Vec<Role> = chain.iter().map(SettledStage::role).collect();
    let refuse = |message: String| Err(refuse(BAD_ARGUMENTS, message));
    if roles.len() > 1 && roles.contains(&Role::Nothing) {
        return refuse(format!(
            "It does not make sense to have codec NONE along with other compression codecs: {}. {hint}",
            shown()
        ));
    }
    if roles.iter().all(|r| *r == Role::Transform) {
        return refuse(format!(
            "Compression codec {0} does not compress anything. You may want to add generic \
             compression algorithm after other transformations, like: {0}, LZ4. {hint}",
            shown()
        ));
    }
    let meaningless = |why: &str| {
        refuse(format!(
            "The combination of compression codecs {} is meaningless, because {why} {hint}",
            shown()
        ))
    };
    if roles.iter().position(|r| *r == Role::Generic).is_some_and(|at| at + 1 < roles.len()) {
        return meaningless(
            "it does not make sense to apply any transformations after generic compression algorithm.",
        );
    }
    let float_packing = roles.iter().position(|r| *r == Role::FloatPacking);
    if float_packing.is_some() && !is_float(leaf) {
        return meaningless(
            "it does not make sense to apply a floating-point time series codec to \
             non-floating-point columns",
        );
    }
    let delta = chain.iter().position(|s| s.shown.contains("Delta"));
    if let (Some(delta), Some(float)) = (delta, float_packing)
        && delta < float
    {
        return meaningless(
            "floating point time series codecs do delta compression implicitly by themselves.",
        );
    }
    Ok(())
}

/// The types of the values that lie side by side under `data_type`.
fn leaves(data_type: &DataType) -> Vec<&DataType> {
    use DataType::*;
    match data_type {
        Nullable(t) | LowCardinality(t) | Array(t) => leaves(t),
        Map(k, v) => [leaves(k), leaves(v)].concat(),
        Tuple(elements) => elements.iter().flat_map(|e| leaves(&e.data_type)).collect(),
        SimpleAggregateFunction { argument, .. }
            if matches!(**argument, Nullable(_) | Array(_) | Map(..) | Tuple(_)) =>
        {
            leaves(argument)
        }
        other => vec![other],
    }
}

/// What stands in a codec's parentheses.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Argument {
    Unsigned(u64),
    Negative(i64),
    Float(f64),
    Text(String),
    /// A name or anything else.
    Word(String),
}

impl Argument {
    /// What ClickHouse calls such a value.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Argument::Unsigned(_) => "UInt64",
            Argument::Negative(_) => "Int64",
            Argument::Float(_) => "Float64",
            Argument::Text(_) | Argument::Word(_) => "String",
        }
    }

    fn of(text: &str) -> Argument {
        if let Some(quoted) = text.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')) {
            return Argument::Text(quoted.into());
        }
        if let Ok(number) = text.parse() {
            return Argument::Unsigned(number);
        }
        if let Ok(number) = text.parse() {
            return Argument::Negative(number);
        }
        text.parse().map_or_else(|_| Argument::Word(text.into()), Argument::Float)
    }
}

/// A codec's name and arguments as written.
struct Call<'a> {
    name: &'a str,
    text: &'a str,
    arguments: Vec<Argument>,
}

impl Call<'_> {
    fn written(&self) -> String {
        match self.name {
            "DoubleDelta" => self.name.into(),
            _ => self.text.into(),
        }
    }
}

fn parse(text: &str) -> Result<Vec<Call<'_>>> {
    let text = text.trim();
    let list = text.strip_prefix("CODEC(").and_then(|t| t.strip_suffix(')')).unwrap_or(text);
    split(list)
        .into_iter()
        .map(|item| {
            let (name, arguments) = match item.split_once('(') {
                Some((name, rest)) => (name.trim(), rest.strip_suffix(')').unwrap_or(rest)),
                None => (item, ""),
            };
            if name.is_empty() {
                return Err(unknown(name));
            }
            let arguments = if arguments.trim().is_empty() { vec![] } else { split(arguments) };
            let arguments = arguments.into_iter().map(Argument::of).collect();
            Ok(Call { name, text: item, arguments })
        })
        .collect()
}

/// Splits at commas outside of parentheses and quotes.
fn split(text: &str) -> Vec<&str> {
    let (mut items, mut from, mut depth, mut quoted) = (vec![], 0, 0i32, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'\'' => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if !quoted => depth -= 1,
            b',' if !quoted && depth == 0 => {
                items.push(text[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    items.push(text[from..].trim());
    items
}

pub(super) fn refuse(code: u32, message: String) -> Error {
    Error::Expression { code, message }
}

pub(super) fn no_arguments(name: &str, arguments: &[Argument]) -> Result<Settled> {
    if arguments.is_empty() {
        return Ok(Settled::plain());
    }
    let message = format!("Compression codec {name} cannot have arguments.");
    Err(refuse(TAKES_NO_ARGUMENTS, message))
}

pub(super) fn at_most(name: &str, most: usize, arguments: &[Argument]) -> Result<()> {
    if arguments.len() <= most {
        return Ok(());
    }
    let given = arguments.len();
    Err(refuse(ILLEGAL_SYNTAX, format!("{name} codec must have {most} parameter, given {given}")))
}

/// An argument that is a number; negative ones wrap.
pub(super) fn unsigned(argument: &Argument) -> Result<u64> {
    match argument {
        Argument::Unsigned(number) => Ok(*number),
        Argument::Negative(number) => Ok(*number as u64),
        other => Err(refuse(BAD_GET, format!("Bad get: has {}, requested UInt64", other.kind()))),
    }
}

/// An argument that is the width of a word.
pub(super) fn width_argument(name: &str, phrase: &str, argument: &Argument) -> Result<u8> {
    match argument {
        Argument::Unsigned(width @ (1 | 2 | 4 | 8)) => Ok(*width as u8),
        Argument::Unsigned(other) => {
            let message = format!("{phrase} can be 1, 2, 4 or 8, given {other}");
            Err(refuse(ILLEGAL_PARAMETER, message))
        }
        _ => {
            let message = format!("{name} codec argument must be unsigned integer");
            Err(refuse(ILLEGAL_PARAMETER, message))
        }
    }
}

/// The width of values of `leaf`, which must be 1, 2, 4 or 8 bytes.
pub(super) fn fixed_width(name: &str, leaf: &DataType) -> Result<u8> {
    match Layout::of(leaf) {
        _ if *leaf == DataType::Nothing => Err(inapplicable(name, leaf, "of fixed size")),
        Layout::Number { width, .. } | Layout::FixedBytes(width) => short_width(name, leaf, width),
        _ => Err(inapplicable(name, leaf, "of fixed size")),
    }
}

/// As `fixed_width`, for numbers only.
pub(super) fn numeric_width(name: &str, leaf: &DataType) -> Result<u8> {
    match Layout::of(leaf) {
        Layout::Number { width, .. } if *leaf != DataType::Nothing => {
            short_width(name, leaf, width)
        }
        _ => Err(inapplicable(name, leaf, "numeric")),
    }
}

fn inapplicable(name: &str, leaf: &DataType, what: &str) -> Error {
    let message =
        format!("Codec {name} is not applicable for {leaf} because the data type is not {what}");
    refuse(BAD_ARGUMENTS, message)
}

fn short_width(name: &str, leaf: &DataType, width: usize) -> Result<u8> {
    match width {
        1 | 2 | 4 | 8 => Ok(width as u8),
        _ => Err(refuse(
            BAD_ARGUMENTS,
            format!(
                "Codec {name} is only applicable for data types of size 1, 2, 4, 8 bytes. Given type \
                 {leaf}"
            ),
        )),
    }
}
