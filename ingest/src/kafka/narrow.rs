//! Narrows a failing block down to the messages that make it fail, by bisection.
//!
//! Takes the block, which rows each message gave, and a trial that runs the views over some rows
//! without keeping anything. Pure but for the trial. What fails only as a whole (two halves pass, the
//! whole does not), or in every message, is no message's fault.

use std::ops::Range;

use pumphouse_query::error::{Error, codes};
use pumphouse_storage::Block;

/// Bad messages found in one block before the views are blamed instead.
pub(super) const BAD_MAX: usize = 64;

/// Errors that say nothing of a message: memory, disk, merges, definitions, shutdown.
pub(super) fn is_surroundings(e: &Error) -> bool {
    match e {
        Error::Storage(pumphouse_storage::Error::Expression { .. }) => false,
        Error::Storage(_) => true,
        e => SURROUNDINGS.contains(&e.code()),
    }
}

const SURROUNDINGS: &[u32] = &[
    codes::MEMORY_LIMIT_EXCEEDED,
    codes::NOT_ENOUGH_SPACE,
    codes::TOO_MANY_PARTS,
    codes::ABORTED,
    codes::UNKNOWN_TABLE,
    codes::UNKNOWN_DATABASE,
    codes::UNKNOWN_IDENTIFIER,
    codes::UNKNOWN_FUNCTION,
    codes::THERE_IS_NO_COLUMN,
    codes::TOO_DEEP_RECURSION,
    codes::NOT_IMPLEMENTED,
    codes::SYNTAX_ERROR,
];

/// What came out.
#[derive(Debug)]
pub(super) enum Narrowed {
    /// These messages (by number, in order) fail on their own, with these errors.
    Bad(Vec<(usize, Error)>),
    /// No single message is to blame.
    Nobody,
    /// The trial met an error that says nothing of a message.
    Surroundings(Error),
}

/// Finds the bad messages of `block`; `rows[i]` are those of message `i`.
pub(super) fn narrow(
    block: &Block,
    rows: &[Range<usize>],
    trial: &mut dyn FnMut(&Block) -> Result<(), Error>,
) -> Narrowed {
    let with_rows: Vec<usize> = (0..rows.len()).filter(|i| !rows[*i].is_empty()).collect();
    let mut search = Search { block, rows, trial, bad: vec![] };
    match search.halves(&with_rows) {
        Err(Some(e)) => return Narrowed::Surroundings(e),
        Err(None) => return Narrowed::Nobody,
        Ok(()) => {}
    }
    match search.bad.len() {
        0 => Narrowed::Nobody,
        n if n == with_rows.len() && n > 1 => Narrowed::Nobody,
        _ => Narrowed::Bad(search.bad),
    }
}

struct Search<'a> {
    block: &'a Block,
    rows: &'a [Range<usize>],
    trial: &'a mut dyn FnMut(&Block) -> Result<(), Error>,
    bad: Vec<(usize, Error)>,
}

impl Search<'_> {
    /// `Err(None)`: too many are bad.
    fn halves(&mut self, messages: &[usize]) -> Result<(), Option<Error>> {
        let Some(first) = messages.first() else { return Ok(()) };
        let ranges = messages.iter().map(|i| self.rows[*i].clone());
        let tried = match rows_of(self.block, ranges) {
            Ok(block) => (self.trial)(&block),
            Err(e) => Err(e),
        };
        match tried {
            Ok(()) => Ok(()),
            Err(e) if is_surroundings(&e) => Err(Some(e)),
            Err(e) if messages.len() == 1 => {
                self.bad.push((*first, e));
                if self.bad.len() > BAD_MAX { Err(None) } else { Ok(()) }
            }
            Err(_) => {
                let (left, right) = messages.split_at(messages.len() / 2);
                self.halves(left)?;
                self.halves(right)
            }
        }
    }
}

/// The rows of `ranges`, one after the other.
pub(super) fn rows_of(
    block: &Block,
    ranges: impl Iterator<Item = Range<usize>>,
) -> Result<Block, Error> {
    let mut joined: Vec<Range<usize>> = vec![];
    for range in ranges.filter(|r| !r.is_empty()) {
        match joined.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => joined.push(range),
        }
    }
    let pieces: Vec<Block> = joined.iter().map(|r| block.slice(r.start, r.len())).collect();
    match pieces.len() {
        0 => Ok(block.slice(0, 0)),
        1 => Ok(pieces.into_iter().next().unwrap_or_default()),
        _ => Ok(Block::concat(&pieces)?),
    }
}

#[cfg(test)]
mod tests {
    use pumphouse_storage::{Column, DataType, Value};

    use super::*;

    fn numbers(n: u64) -> Block {
        let values: Vec<Value> = (0..n).map(Value::UInt).collect();
        Block::new(vec![("n".into(), Column::from_values(DataType::UInt64, &values).unwrap())])
    }

    fn holds(block: &Block, wanted: impl Fn(u64) -> bool) -> bool {
        let column = block.column("n").unwrap();
        (0..block.rows()).any(|row| wanted(column.value(row).as_u64().unwrap()))
    }

    fn bad_of(narrowed: Narrowed) -> Vec<usize> {
        match narrowed {
            Narrowed::Bad(bad) => bad.into_iter().map(|(i, _)| i).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_bad_ones_are_found_in_few_runs() {
        // 500 messages of two rows; rows 14 and 901 are bad.
        let rows: Vec<Range<usize>> = (0..500).map(|i| i * 2..i * 2 + 2).collect();
        let mut runs = 0;
        let found = narrow(&numbers(1000), &rows, &mut |b| {
            runs += 1;
            match holds(b, |n| n == 14 || n == 901) {
                true => Err(Error::new(395, "bad")),
                false => Ok(()),
            }
        });
        assert_eq!(bad_of(found), [7, 450]);
        assert!(runs < 45, "{runs} runs");
    }

    #[test]
    fn no_message_is_blamed_for_what_is_around_it() {
        let rows: Vec<Range<usize>> = (0..8).map(|i| i..i + 1).collect();
        let all = narrow(&numbers(8), &rows, &mut |_| Err(Error::new(395, "always")));
        assert!(matches!(all, Narrowed::Nobody), "{all:?}");
        let memory = narrow(&numbers(8), &rows, &mut |_| {
            Err(Error::new(codes::MEMORY_LIMIT_EXCEEDED, "memory"))
        });
        assert!(matches!(memory, Narrowed::Surroundings(_)), "{memory:?}");
        let together = narrow(&numbers(8), &rows, &mut |b| match b.rows() > 4 {
            true => Err(Error::new(395, "too many")),
            false => Ok(()),
        });
        assert!(matches!(together, Narrowed::Nobody), "{together:?}");
    }
}
