//! Functions about the query, the server and the arguments themselves: materialize, ignore, version,
//! currentDatabase, greatest, least, transform, throwIf, sleep, bar, byteSize …

use std::cmp::Ordering;

use pumphouse_storage::types::parse_data_type;
use pumphouse_storage::{Column, DataType, Value};

use super::invoke::{is_null_type, null_type};
use super::promote::{common_number_type, common_type};
use super::registry::Registry;
use super::strings::StringsBuilder;
use super::type_rule::{Args, bad_argument};
use super::{ArgumentType, FunctionCall, identity};
use crate::error::{Error, Result, codes};

/// The engine release whose behaviour this is; clients read it to know what they may ask.
pub const VERSION: &str = "26.9.2.1";

pub(super) fn add(r: &mut Registry) {
    r.add("materialize", 1..=1, |a| Ok(a.get(0).clone()), |c| c.finish(c.column(0)?.array))
        .own_types()
        .not_deterministic();
    r.add("identity", 1..=1, |a| Ok(a.get(0).clone()), |c| c.finish(c.column(0)?.array))
        .own_types();
    r.add(
        "ignore",
        0..=usize::MAX,
        |_| Ok(DataType::UInt8),
        |c| c.finish_numbers(vec![0u8; c.rows]),
    )
    .own_types();
    r.add(
        "indexHint",
        0..=usize::MAX,
        |_| Ok(DataType::UInt8),
        |c| c.finish_numbers(vec![1u8; c.rows]),
    )
    .own_types();
    r.add(
        "rowNumberInBlock",
        0..=0,
        |_| Ok(DataType::UInt64),
        |c| c.finish_numbers((0..c.rows as u64).collect::<Vec<_>>()),
    )
    .not_deterministic();
    r.add(
        "blockSize",
        0..=0,
        |_| Ok(DataType::UInt64),
        |c| c.finish_numbers(vec![c.rows as u64; c.rows]),
    )
    .not_deterministic();
    r.add(
        "isConstant",
        1..=1,
        |_| Ok(DataType::UInt8),
        |c| c.finish_numbers(vec![u8::from(c.is_constant(0)); c.rows]),
    )
    .own_types();
    r.add("byteSize", 0..=usize::MAX, |_| Ok(DataType::UInt64), byte_size).own_types();
    r.add("greatest", 1..=usize::MAX, extreme_type, |c| extreme(c, true)).own_nulls();
    r.add("least", 1..=usize::MAX, extreme_type, |c| extreme(c, false)).own_nulls();
    r.add("clamp", 3..=3, extreme_type, clamp).own_nulls();
    r.add("transform", 3..=4, transform_type, transform).own_nulls();
    r.add("throwIf", 1..=3, |a| a.number(0).map(|_| DataType::UInt8), throw_if).not_deterministic();
    r.add(
        "bar",
        3..=4,
        |a| (0..a.len()).try_for_each(|i| a.number(i)).map(|_| DataType::String),
        bar,
    );
    r.add(
        "defaultValueOfArgumentType",
        1..=1,
        |a| Ok(a.get(0).clone()),
        |c| Ok(Column::default_values(c.result.clone(), c.rows)),
    )
    .own_types();
    r.add(
        "defaultValueOfTypeName",
        1..=1,
        |a| Ok(parse_data_type(&a.constant_text(0)?)?),
        |c| Ok(Column::default_values(c.result.clone(), c.rows)),
    )
    .own_types();
    r.add("getSetting", 1..=1, setting_type, |c| c.column(0)).own_types();
    r.add("getSettingOrDefault", 2..=2, setting_type, |c| c.column(0)).own_types();
    for (name, each_row) in [("sleep", false), ("sleepEachRow", true)] {
        r.add(name, 1..=1, |a| a.number(0).map(|_| DataType::UInt8), move |c| sleep(c, each_row))
            .not_deterministic();
    }
    about_the_server(r);
}

fn about_the_server(r: &mut Registry) {
    fn text(
        r: &mut Registry,
        name: &'static str,
        f: impl Fn(&FunctionCall) -> String + Send + Sync + 'static,
    ) {
        r.add(
            name,
            0..=0,
            |_| Ok(DataType::String),
            move |c| Ok(Column::constant(DataType::String, &Value::string(f(c)), c.rows)?),
        );
    }
    text(r, "version", |_| VERSION.to_string());
    text(r, "currentDatabase", |c| c.context.database.clone());
    text(r, "currentUser", |c| c.context.user.clone());
    text(r, "initialQueryID", |c| c.context.query_id.clone());
    text(r, "queryID", |c| c.context.query_id.clone());
    text(r, "hostName", |_| host_name());
    text(r, "FQDN", |_| host_name());
    text(r, "serverUUID", |_| uuid::Uuid::nil().to_string());
    text(r, "displayName", |_| host_name());
    text(r, "getOSKernelVersion", |_| std::env::consts::OS.to_string());
    text(r, "buildId", |_| String::new());
    r.add(
        "revision",
        0..=0,
        |_| Ok(DataType::UInt32),
        |c| c.finish_numbers(vec![54_500u32; c.rows]),
    );
    r.add("tcpPort", 0..=0, |_| Ok(DataType::UInt16), |c| c.finish_numbers(vec![9000u16; c.rows]));
    r.add(
        "uptime",
        0..=0,
        |_| Ok(DataType::UInt32),
        |c| {
            let started = *start_of_process();
            c.finish_numbers(vec![started.elapsed().as_secs() as u32; c.rows])
        },
    )
    .not_deterministic();
}

fn start_of_process() -> &'static std::time::Instant {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now)
}

/// This machine's name.
pub fn host_name() -> String {
    std::env::var("HOSTNAME")
        .ok()
        .or_else(|| std::fs::read_to_string("/etc/hostname").ok())
        .map(|name| name.trim().to_string())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".into())
}

/// Bytes that the values take in memory.
fn byte_size(call: &FunctionCall) -> Result<Column> {
    let mut sizes = vec![0u64; call.rows];
    for i in 0..call.arguments.len() {
        let column = call.column(i)?;
        for (row, size) in sizes.iter_mut().enumerate() {
            *size += size_of_value(&column.data_type, &column, row);
        }
    }
    call.finish_numbers(sizes)
}

fn size_of_value(data_type: &DataType, column: &Column, row: usize) -> u64 {
    fn of(data_type: &DataType, value: &Value) -> u64 {
        match (data_type, value) {
            (DataType::Nullable(t), Value::Null) => 1 + fixed(t),
            (DataType::Nullable(t), v) => 1 + of(t, v),
            (DataType::LowCardinality(t), v) => of(t, v),
            (DataType::String, Value::String(b)) => b.len() as u64 + 8,
            (DataType::Array(t), Value::Array(items)) => {
                8 + items.iter().map(|v| of(t, v)).sum::<u64>()
            }
            (DataType::Tuple(e), Value::Tuple(items)) => {
                e.iter().zip(items).map(|(e, v)| of(&e.data_type, v)).sum()
            }
            (DataType::Map(k, t), Value::Map(items)) => {
                8 + items.iter().map(|(x, v)| of(k, x) + of(t, v)).sum::<u64>()
            }
            (t, _) => fixed(t),
        }
    }
    of(data_type, &column.value(row))
}

fn fixed(data_type: &DataType) -> u64 {
    use arrow_schema::DataType as A;
    match data_type.arrow() {
        A::FixedSizeBinary(n) => n as u64,
        A::Decimal128(..) => 16,
        A::Decimal256(..) => 32,
        A::Binary => 8,
        other => other.primitive_width().unwrap_or(0) as u64,
    }
}

fn extreme_type(a: &Args) -> Result<DataType> {
    let types = a.types();
    let plain: Vec<DataType> = types.iter().map(DataType::without_nullable).collect();
    // Of two plain numbers the wider is taken where there is no common type.
    let two_numbers = types.len() == 2 && types.iter().all(DataType::is_number);
    let integers = plain.iter().all(DataType::is_integer);
    let decimal = plain.iter().any(|t| matches!(t, DataType::Decimal { .. }));
    let counted = |t: &DataType| t.is_number() && !t.is_float();
    let exact = decimal && types.len() == 2 && types.iter().all(counted);
    let result = match common_type(&types) {
        // Of two, the decimal's own precision lasts, as in arithmetic.
        Ok(_) if exact => super::decimal::alike_type(&plain[0], &plain[1])
            .ok_or_else(|| super::promote::no_common_type(&plain))?,
        Ok(DataType::Bool) => DataType::UInt8,
        Ok(t) => t,
        Err(error) if !two_numbers => return Err(error),
        Err(_) if integers && plain.iter().any(|t| super::promote::bits(t) != 64) => {
            DataType::Int128
        }
        // Two 64 bit integers of different sign: the smaller can only be signed, the larger unsigned.
        Err(_) if integers && a.function == "least" => DataType::Int64,
        Err(_) if integers => DataType::UInt64,
        Err(_) => common_number_type(a.items)?,
    };
    let nullable = types.iter().any(DataType::is_nullable);
    Ok(if nullable { result.or_null() } else { result })
}

/// The largest (or smallest) argument of each row; NULLs do not take part.
fn extreme(call: &FunctionCall, largest: bool) -> Result<Column> {
    let rows = call.rows as u32;
    let mut parts = vec![];
    for i in 0..call.arguments.len() {
        parts.push(super::cast::cast_column(&call.column(i)?, call.result, call.context)?);
    }
    let joined = Column::concat(&parts)?;
    // What has no common type is compared as wider words than it is returned in.
    let wide = parts_as_int128(call)?;
    let compare = identity::order(wide.as_ref().unwrap_or(&joined));
    let null = |i: u32| joined.is_null(i as usize);
    // NaN loses; of two plain numbers the second is taken where the first does not win.
    let not_a_number = not_a_number(&joined)?;
    let plain = parts.len() == 2 && !call.result.is_nullable();
    let picks: Vec<u32> = (0..rows)
        .map(|row| {
            let mut best = row;
            for part in 1..parts.len() as u32 {
                let next = part * rows + row;
                let better = match (null(best), null(next)) {
                    (_, true) => false,
                    (true, false) => true,
                    _ if not_a_number[next as usize] => plain,
                    _ if not_a_number[best as usize] => true,
                    _ => match compare(next as usize, best as usize) {
                        Ordering::Equal => plain,
                        Ordering::Greater => largest,
                        Ordering::Less => !largest,
                    },
                };
                if better {
                    best = next;
                }
            }
            best
        })
        .collect();
    drop(compare);
    call.finish(joined.take(&arrow_array::UInt32Array::from(picks)).array)
}

/// Which rows are NaN.
fn not_a_number(column: &Column) -> Result<Vec<bool>> {
    Ok(match column.data_type.inner().is_float() {
        true => super::native::load::<f64>(column)?.iter().map(|v| v.is_nan()).collect(),
        false => vec![false; column.len()],
    })
}

/// All arguments one after the other as Int128, if 64 bit integers of both signs meet.
fn parts_as_int128(call: &FunctionCall) -> Result<Option<Column>> {
    let types: Vec<DataType> =
        (0..call.arguments.len()).map(|i| Ok(call.data_type(i)?.clone())).collect::<Result<_>>()?;
    let mixed = types.iter().all(|t| t.inner().is_integer()) && common_type(&types).is_err();
    if !mixed {
        return Ok(None);
    }
    let to = DataType::nullable(DataType::Int128);
    let parts = (0..call.arguments.len())
        .map(|i| super::cast::cast_column(&call.column(i)?, &to, call.context))
        .collect::<Result<Vec<_>>>()?;
    Ok(Some(Column::concat(&parts)?))
}

fn clamp(call: &FunctionCall) -> Result<Column> {
    let all = (0..3)
        .map(|i| super::cast::cast_column(&call.column(i)?, call.result, call.context))
        .collect::<Result<Vec<_>>>()?;
    let rows = call.rows;
    let joined = Column::concat(&all)?;
    let compare = identity::order(&joined);
    let mut picks = Vec::with_capacity(rows);
    for row in 0..rows {
        let (value, low, high) = (row, rows + row, 2 * rows + row);
        if compare(low, high).is_gt() {
            return Err(bad_argument("The minimum value cannot be greater than the maximum value"));
        }
        picks.push(if compare(value, low).is_lt() {
            low as u32
        } else if compare(value, high).is_gt() {
            high as u32
        } else {
            value as u32
        });
    }
    drop(compare);
    call.finish(joined.take(&arrow_array::UInt32Array::from(picks)).array)
}

fn transform_type(a: &Args) -> Result<DataType> {
    if is_null_type(a.get(0)) {
        return Ok(if a.len() == 4 { a.get(3).clone() } else { null_type() });
    }
    let (DataType::Array(_), DataType::Array(to)) = (a.get(1), a.get(2)) else {
        return Err(a.illegal(1));
    };
    let item = |data_type: DataType| ArgumentType { data_type, constant: None, lambda_arity: None };
    if a.len() == 4 {
        return common_number_type(&[item((**to).clone()), item(a.get(3).clone())]);
    }
    // Without a default, what is not found stays as it is.
    common_type(&[(**to).clone(), a.get(0).clone()])
}

fn transform(call: &FunctionCall) -> Result<Column> {
    let default = if call.arguments.len() == 4 { 3 } else { 0 };
    // Texts of a fixed width are looked for with their zero bytes.
    let column = super::array_search::with_zeros(&call.column(0)?)?;
    if is_null_type(&column.data_type) {
        return super::cast::cast_column(&call.column(default)?, call.result, call.context);
    }
    let (from, to) = (call.array(1)?, call.array(2)?);
    let (from_range, to_range) = (from.range(0), to.range(0));
    if call.rows > 0 && from_range.len() != to_range.len() {
        return Err(bad_argument(
            "Second and third arguments of function transform must be arrays of same size",
        ));
    }
    let from_items = from.items.slice(0, from_range.len());
    let common =
        common_number_type(&[&column.data_type, &from_items.data_type].map(|t| ArgumentType {
            data_type: t.clone(),
            constant: None,
            lambda_arity: None,
        }))?;
    let sides = [
        super::cast::cast_column(&from_items, &common, call.context)?,
        super::cast::cast_column(&column, &common, call.context)?,
    ];
    let numbers = identity::identify_all(&sides)?;
    let mut place = vec![u32::MAX; numbers[0].len() + numbers[1].len() + 1];
    for (i, n) in numbers[0].iter().enumerate().rev() {
        place[*n as usize] = i as u32;
    }
    let results =
        super::cast::cast_column(&to.items.slice(0, to_range.len()), call.result, call.context)?;
    let otherwise = super::cast::cast_column(&call.column(default)?, call.result, call.context)?;
    let joined = Column::concat(&[results, otherwise])?;
    let picks: Vec<u32> = (0..call.rows)
        .map(|row| match place[numbers[1][row] as usize] {
            u32::MAX => (to_range.len() + row) as u32,
            found => found,
        })
        .collect();
    call.finish(joined.take(&arrow_array::UInt32Array::from(picks)).array)
}

fn throw_if(call: &FunctionCall) -> Result<Column> {
    if super::conditional::truth(&call.column(0)?)?.count_set_bits() > 0 {
        let message = call
            .constant_text(1)
            .unwrap_or_else(|| "Value passed to 'throwIf' function is non-zero".into());
        return Err(Error::new(codes::FUNCTION_THROW_IF_VALUE_IS_NON_ZERO, message));
    }
    call.finish_numbers(vec![0u8; call.rows])
}

/// A bar of eighths of a character, `width` characters for `max`.
fn bar(call: &FunctionCall) -> Result<Column> {
    let [value, low, high] = [0, 1, 2].map(|i| call.numbers::<f64>(i));
    let (value, low, high) = (value?, low?, high?);
    let width = call.numbers_or::<f64>(3, 80.0)?;
    let mut out = StringsBuilder::with_capacity(call.rows, call.rows * 20);
    for row in 0..call.rows {
        let (v, min, max, w) = (value.get(row), low.get(row), high.get(row), width.get(row));
        if !(1.0..=1000.0).contains(&w) {
            return Err(Error::new(
                codes::ARGUMENT_OUT_OF_BOUND,
                "Max_width argument must be >= 1 and <= 1000",
            ));
        }
        let size = if v.is_nan() || v < min || max <= min {
            0.0
        } else if v >= max {
            w
        } else {
            (v - min) * w / (max - min)
        };
        let eighths = (size * 8.0).floor() as usize;
        for _ in 0..eighths / 8 {
            out.bytes.extend_from_slice("█".as_bytes());
        }
        let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
        out.bytes.extend_from_slice(rest.as_bytes());
        out.end_row();
    }
    call.finish(out.finish()?)
}

/// The binder answers calls with a constant name; what is left has none.
fn setting_type(a: &Args) -> Result<DataType> {
    let message = "The argument of function getSetting should be a constant string with the name of a setting";
    let code = match a.get(0) {
        DataType::String => codes::ILLEGAL_COLUMN,
        _ => codes::ILLEGAL_TYPE_OF_ARGUMENT,
    };
    Err(Error::new(code, message))
}

/// Longest sleep of one block, in seconds.
const SLEEP_SECONDS_MAX: f64 = 3.0;

fn sleep(call: &FunctionCall, each_row: bool) -> Result<Column> {
    let seconds = call.numbers::<f64>(0)?;
    if call.rows > 0 {
        let per_row = seconds.get(0);
        let total = per_row * if each_row { call.rows as f64 } else { 1.0 };
        if !(0.0..=SLEEP_SECONDS_MAX).contains(&total) {
            return Err(Error::new(
                TOO_SLOW,
                format!("The maximum sleep time is 3 seconds. Requested: {total} seconds"),
            ));
        }
        let until = std::time::Instant::now() + std::time::Duration::from_secs_f64(total);
        while let Some(rest) = until.checked_duration_since(std::time::Instant::now()) {
            call.context.check()?;
            std::thread::sleep(rest.min(std::time::Duration::from_millis(50)));
        }
    }
    call.finish_numbers(vec![0u8; call.rows])
}

const TOO_SLOW: u32 = 160;
