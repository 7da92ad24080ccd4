//! Which rows of a block a condition holds for. Under AND later parts see only the rows that earlier
//! ones left, under OR only those that none has taken, as soon as these are few.
//!
//! Only for conditions that cannot fail on any row: what is not looked at could otherwise hide an error.

use arrow_buffer::BooleanBuffer;
use pumphouse_storage::Block;
use pumphouse_storage::spread::{count_flags, deposit};

use super::expression::{mark_columns, plain_mask};
use super::prewhere::never_fails;
use crate::context::QueryContext;
use crate::error::Result;
use crate::plan::BoundExpr;

/// Blocks of fewer rows are not worth the trouble.
const ROWS_MIN: usize = 512;
/// Rows are picked out if at most one of so many is left.
const SHARE: usize = 4;

/// Rows of `block` where `predicate` holds; None if it has to be evaluated as a whole.
pub(super) fn holds(
    predicate: &BoundExpr,
    block: &Block,
    ctx: &QueryContext,
) -> Result<Option<BooleanBuffer>> {
    if block.rows() < ROWS_MIN || parts_of(predicate).is_none() || !never_fails(predicate) {
        return Ok(None);
    }
    mask(predicate, block, ctx).map(Some)
}

/// The parts of an AND (true) or OR (false).
fn parts_of(predicate: &BoundExpr) -> Option<(&[BoundExpr], bool)> {
    let BoundExpr::Call { function, arguments, .. } = predicate else { return None };
    match function.name() {
        "and" if arguments.len() > 1 => Some((arguments, true)),
        "or" if arguments.len() > 1 => Some((arguments, false)),
        _ => None,
    }
}

fn mask(predicate: &BoundExpr, block: &Block, ctx: &QueryContext) -> Result<BooleanBuffer> {
    let Some((parts, and)) = parts_of(predicate).filter(|_| block.rows() >= ROWS_MIN) else {
        return plain_mask(predicate, block, ctx);
    };
    // Rows whose fate is open: for AND those that passed all so far, for OR those that passed none.
    let mut open = BooleanBuffer::new_set(block.rows());
    let mut picked: Option<(Block, BooleanBuffer)> = None;
    for (i, part) in parts.iter().enumerate() {
        let (view, rows) = match &picked {
            Some((view, rows)) => (view, Some(rows)),
            None => (block, None),
        };
        let own = mask(part, view, ctx)?;
        let own = match rows {
            Some(rows) => deposit(rows, &own),
            None => own,
        };
        open = if and { &open & &own } else { &open & &!&own };
        let left = count_flags(&open);
        if left == 0 {
            break;
        }
        if i + 1 < parts.len() && left * SHARE <= view.rows() {
            picked = Some((rows_of(block, &parts[i + 1..], &open, left), open.clone()));
        }
    }
    Ok(if and { open } else { !&open })
}

/// The rows of `block` that are open; only what `parts` look at is really picked out.
fn rows_of(block: &Block, parts: &[BoundExpr], open: &BooleanBuffer, rows: usize) -> Block {
    let mut used = vec![false; block.columns.len()];
    parts.iter().for_each(|part| mark_columns(part, &mut used));
    let flags = arrow_array::BooleanArray::new(open.clone(), None);
    let mut view = Block::of_rows(rows);
    for ((name, column), used) in block.names.iter().zip(&block.columns).zip(used) {
        let column = if used { column.filter(&flags) } else { column.slice(0, rows) };
        view.push(name.clone(), column);
    }
    view
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pumphouse_storage::{Column, DataType, Value};

    use super::*;
    use crate::functions;

    fn call(name: &str, arguments: Vec<BoundExpr>) -> BoundExpr {
        let function = functions::lookup(name).unwrap();
        BoundExpr::Call { function, arguments, data_type: DataType::UInt8 }
    }

    fn compared(name: &str, index: usize, with: u64) -> BoundExpr {
        let data_type = DataType::UInt32;
        let column = BoundExpr::Column { index, data_type: data_type.clone() };
        let constant = BoundExpr::Constant { value: Value::UInt(with), data_type };
        call(name, vec![column, constant])
    }

    #[test]
    fn rows_are_those_that_a_look_at_each_finds() {
        let rows = 5000u64;
        let mut block = Block::of_rows(rows as usize);
        for seed in [7u64, 11, 13] {
            let values: Vec<Value> = (0..rows).map(|i| Value::UInt(i * seed % 97)).collect();
            block.push("x", Column::from_values(DataType::UInt32, &values).unwrap());
        }
        let ctx = Arc::new(QueryContext::new("", 0, 0));
        let few = || compared("less", 0, 5);
        let most = || compared("greater", 1, 5);
        let some = || compared("less", 2, 40);
        let conditions = [
            call("and", vec![few(), most(), some()]),
            call("and", vec![most(), few(), some(), few()]),
            call("or", vec![most(), few(), some()]),
            call("or", vec![few(), call("and", vec![some(), few()]), some()]),
            call("and", vec![few(), call("or", vec![some(), compared("equals", 1, 3)])]),
            call("and", vec![compared("greater", 0, 1000), some()]),
        ];
        for condition in conditions {
            let found = holds(&condition, &block, &ctx).unwrap().unwrap();
            assert_eq!(found, plain_mask(&condition, &block, &ctx).unwrap());
        }
    }
}
