//! Columns that come as dictionaries: which ones may, and what is then done once per string and not
//! once per row. Expressions over such a column alone see its strings; `min` and `max` see each string
//! once with its group.
//!
//! Everything else gets plain columns. A string that no row refers to is shown only to expressions that
//! cannot fail on it.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, UInt32Array};
use pumphouse_storage::{Block, Column, DataType};

use crate::aggregates::Accumulator;
use crate::context::QueryContext;
use crate::error::Result;
use crate::execute::expression::{self, evaluate, mark_columns, renumber};
use crate::execute::key_table::{ABSENT, Codes, coded, plain};
use crate::execute::prewhere::never_fails;
use crate::optimize::shape::is_volatile;
use crate::plan::{BoundAggregate, BoundExpr, Plan, PlanNode};

/// Numbers of the columns, of these types, that may come as dictionaries: strings that are nothing but
/// keys if `packed`; what the only key is made of, where nothing else mixes it with other columns.
pub(super) fn candidates(
    keys: &[BoundExpr],
    aggregates: &[BoundAggregate],
    types: &[(String, DataType)],
    packed: bool,
) -> Vec<usize> {
    let arguments = || aggregates.iter().flat_map(|a| &a.arguments);
    let mut otherwise = vec![false; types.len()];
    let is_key = |e: &BoundExpr| matches!(e, BoundExpr::Column { .. });
    keys.iter().filter(|k| !is_key(k)).for_each(|k| mark_columns(k, &mut otherwise));
    arguments().for_each(|a| mark_columns(a, &mut otherwise));
    let is_text = |i: usize| types.get(i).is_some_and(|t| t.1 == DataType::String);
    // Several strings and nothing else: combinations of their codes are looked up (`key_codes`).
    let texts =
        keys.len() > 1 && keys.iter().all(|k| is_key(k) && k.data_type() == DataType::String);
    let bare = keys.iter().filter_map(|key| match key {
        BoundExpr::Column { index, .. } if packed || texts => Some(*index),
        _ => None,
    });
    let alone = |i: &usize| otherwise.get(*i) == Some(&false);
    let mut found: Vec<usize> = bare.filter(|i| is_text(*i) && alone(i)).collect();
    if let [key] = keys
        && let Some(column) = only_column(key, types.len()).filter(|i| is_text(*i))
        && arguments().all(|a| {
            let mut used = vec![false; types.len()];
            mark_columns(a, &mut used);
            !used[column] || only_column(a, types.len()).is_some()
        })
        && !found.contains(&column)
    {
        found.push(column);
    }
    found
}

/// The scanned column that column `index` of `input` is, if nothing in between looks at it.
pub(super) fn scanned(input: &Plan, index: usize) -> Option<&String> {
    match &input.node {
        PlanNode::Scan { columns, final_: false, .. } => columns.get(index),
        PlanNode::Project { input, exprs } => {
            let BoundExpr::Column { index: below, .. } = exprs.get(index)? else { return None };
            let mut used = vec![false; input.schema.len()];
            let others = exprs.iter().enumerate().filter(|(i, _)| *i != index);
            others.for_each(|(_, e)| mark_columns(e, &mut used));
            let alone = !*used.get(*below)? && matches!(input.node, PlanNode::Scan { .. });
            alone.then(|| scanned(input, *below)).flatten()
        }
        _ => None,
    }
}

/// The column that `expr` is made of, if it is but one and nothing else matters.
fn only_column(expr: &BoundExpr, width: usize) -> Option<usize> {
    let mut used = vec![false; width];
    mark_columns(expr, &mut used);
    let mut columns = (0..width).filter(|i| used[*i]);
    let first = columns.next()?;
    (columns.next().is_none() && !is_volatile(expr)).then_some(first)
}

/// The values of `exprs`; those made of one column that is a dictionary may be dictionaries with the
/// same keys, if they are strings.
pub(super) fn evaluate_all(
    exprs: &[BoundExpr],
    block: &Block,
    ctx: &QueryContext,
) -> Result<Vec<Column>> {
    if block.columns.iter().all(|c| coded(c).is_none()) {
        return expression::evaluate_all(exprs, block, ctx);
    }
    exprs.iter().map(|expr| evaluate_one(expr, block, ctx)).collect()
}

fn evaluate_one(expr: &BoundExpr, block: &Block, ctx: &QueryContext) -> Result<Column> {
    if let BoundExpr::Column { index, .. } = expr
        && let Some(column) = block.columns.get(*index)
    {
        return Ok(column.clone());
    }
    let width = block.columns.len();
    if let Some(only) = only_column(expr, width)
        && coded(&block.columns[only]).is_some()
    {
        return over_strings(&renumber(expr, &vec![0; width]), &block.columns[only], ctx);
    }
    let mut used = vec![false; width];
    mark_columns(expr, &mut used);
    let mut plainly = block.clone();
    for (column, _) in plainly.columns.iter_mut().zip(used).filter(|(_, used)| *used) {
        *column = plain(column);
    }
    evaluate(expr, &plainly, ctx)
}

/// The values of `expr`, whose only column is `column`.
fn over_strings(expr: &BoundExpr, column: &Column, ctx: &QueryContext) -> Result<Column> {
    let dictionary = column.array.as_dictionary::<UInt32Type>();
    let (keys, values) = match fails_on_no_text(expr) {
        true => (dictionary.keys().clone(), dictionary.values().clone()),
        false => referred(dictionary),
    };
    let mut block = Block::of_rows(values.len());
    block.push("", Column { data_type: column.data_type.clone(), array: values });
    let result = evaluate(expr, &block, ctx)?;
    let is_text = result.data_type == DataType::String
        && result.array.null_count() == 0
        && result.array.as_binary_opt::<i32>().is_some();
    if !is_text {
        return Ok(result.take(&keys));
    }
    let array = DictionaryArray::<UInt32Type>::new(keys, result.array);
    Ok(Column { data_type: result.data_type, array: Arc::new(array) })
}

/// The dictionary without the strings that no row refers to.
fn referred(dictionary: &DictionaryArray<UInt32Type>) -> (UInt32Array, ArrayRef) {
    let (codes, values) = (dictionary.keys(), dictionary.values());
    let mut places = vec![ABSENT; values.len()];
    codes.values().iter().for_each(|code| places[*code as usize] = 0);
    let mut kept: Vec<u32> = vec![];
    for (code, place) in places.iter_mut().enumerate().filter(|(_, place)| **place == 0) {
        *place = kept.len() as u32;
        kept.push(code as u32);
    }
    if kept.len() == places.len() {
        return (codes.clone(), values.clone());
    }
    let keys: Vec<u32> = codes.values().iter().map(|code| places[*code as usize]).collect();
    let values = Column { data_type: DataType::String, array: values.clone() };
    (UInt32Array::from(keys), values.take(&UInt32Array::from(kept)).array)
}

/// Whether an expression over one string column cannot fail on some text only: what is wrong with its
/// other arguments, constants all, is wrong for every row.
fn fails_on_no_text(expr: &BoundExpr) -> bool {
    const TEXT: &[&str] = &[
        "replaceRegexpOne",
        "replaceRegexpAll",
        "replaceOne",
        "replaceAll",
        "extract",
        "substring",
        "lengthUTF8",
        "domain",
        "domainWithoutWWW",
        "topLevelDomain",
        "protocol",
        "path",
        "trimBoth",
        "trimLeft",
        "trimRight",
        "reverse",
    ];
    match expr {
        BoundExpr::Call { function, arguments, .. } if TEXT.contains(&function.name()) => {
            arguments.iter().all(fails_on_no_text)
        }
        BoundExpr::Column { .. } | BoundExpr::Constant { .. } => true,
        other => never_fails(other),
    }
}

/// Strings of a dictionary that rows refer to, in ranges, with the number of each one's group.
pub(super) struct Distinct {
    groups: Vec<u32>,
    ranges: Vec<std::ops::Range<usize>>,
}

impl Distinct {
    /// Of rows in these groups, which the codes alone decide.
    pub fn of(codes: Codes<'_>, rows: &[u32]) -> Distinct {
        let mut groups = vec![ABSENT; codes.values.len()];
        codes.codes.iter().zip(rows).for_each(|(code, group)| groups[*code as usize] = *group);
        let mut ranges: Vec<std::ops::Range<usize>> = vec![];
        for (code, _) in groups.iter().enumerate().filter(|(_, group)| **group != ABSENT) {
            match ranges.last_mut() {
                Some(range) if range.end == code => range.end += 1,
                _ => ranges.push(code..code + 1),
            }
        }
        Distinct { groups, ranges }
    }

    /// Adds each string once.
    pub fn update(&self, state: &mut dyn Accumulator, argument: &Column) -> Result<()> {
        let Some(codes) = coded(argument) else { return Ok(()) };
        let column = Column { data_type: argument.data_type.clone(), array: codes.of.clone() };
        for range in &self.ranges {
            let values = column.slice(range.start, range.len());
            state.update(&self.groups[range.clone()], &[values])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::key_codes::tests::dictionary;

    #[test]
    fn strings_that_nobody_refers_to_are_left_out() {
        let column = dictionary(&[3, 1, 3], &["a", "b", "c", "d"]);
        let (keys, values) = referred(column.array.as_dictionary());
        assert_eq!(keys.values(), &[1, 0, 1]);
        let values = values.as_binary::<i32>();
        assert_eq!((values.value(0), values.value(1)), (&b"b"[..], &b"d"[..]));
    }

    #[test]
    fn each_string_counts_once_for_its_group() {
        let column = dictionary(&[3, 1, 3, 0], &["a", "b", "c", "d"]);
        let codes = coded(&column).unwrap();
        let distinct = Distinct::of(codes, &[7, 5, 7, 5]);
        assert_eq!(distinct.ranges, vec![0..2, 3..4]);
        assert_eq!(distinct.groups, vec![5, 5, ABSENT, 7]);
    }
}
