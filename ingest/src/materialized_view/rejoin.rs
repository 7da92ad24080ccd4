//! Results of a view that are its source's block, cut in pieces as queries cut it: columns that the view only
//! passes on are put back whole, by where they lie in memory, and not copied.
//!
//! Leaves alone what is no cut block: results of several blocks, filtered, aggregated or put in another order.

use arrow_array::Array;
use pumphouse_query::error::Result;
use pumphouse_storage::{Block, Column};

/// The results as one block if some of its columns are columns of the one block that they were made from.
pub(super) fn rejoined(results: Vec<Block>, sources: &[Block]) -> Result<Vec<Block>> {
    let [source] = sources else { return Ok(results) };
    let rows: usize = results.iter().map(Block::rows).sum();
    let width = results.first().map_or(0, |block| block.columns.len());
    let cut = results.len() > 1 && results.iter().all(|block| block.columns.len() == width);
    if !cut || rows != source.rows() {
        return Ok(results);
    }
    let whole: Vec<Option<Column>> = (0..width).map(|i| passed_on(&results, i, source)).collect();
    if whole.iter().all(Option::is_none) {
        return Ok(results);
    }
    let mut named = vec![];
    for (i, (name, whole)) in results[0].names.iter().zip(whole).enumerate() {
        let column = match whole {
            Some(column) => column,
            None => {
                let pieces: Vec<Column> = results.iter().map(|b| b.columns[i].clone()).collect();
                Column::concat(&pieces)?
            }
        };
        named.push((name.clone(), column));
    }
    Ok(vec![Block::new(named)])
}

/// The column of `source` that column `i` of the results is, piece by piece.
fn passed_on(results: &[Block], i: usize, source: &Block) -> Option<Column> {
    let is_cut_from = |whole: &&Column| {
        let mut from = 0;
        results.iter().all(|block| {
            let piece = whole.array.slice(from, block.rows());
            from += block.rows();
            block.columns[i].array.to_data().ptr_eq(&piece.to_data())
        })
    };
    let whole = source.columns.iter().find(is_cut_from)?;
    Some(Column { data_type: results[0].columns[i].data_type.clone(), array: whole.array.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pumphouse_storage::{DataType, Value};

    #[test]
    fn only_pieces_in_their_order_are_put_back() {
        let column = |shift: u64| {
            let values: Vec<Value> = (0..90).map(|n| Value::UInt(n + shift)).collect();
            Column::from_values(DataType::UInt64, &values).unwrap()
        };
        let source = Block::new(vec![("a".into(), column(0)), ("b".into(), column(5))]);
        let pieces = |cuts: &[(usize, usize)]| -> Vec<Block> {
            let made = column(100);
            let piece = |(from, rows): &(usize, usize)| {
                let cut = source.slice(*from, *rows);
                let made = ("made".into(), made.slice(*from, *rows));
                Block::new(vec![("b".into(), cut.columns[1].clone()), made])
            };
            cuts.iter().map(piece).collect()
        };
        let source = std::slice::from_ref(&source);
        let joined = rejoined(pieces(&[(0, 40), (40, 40), (80, 10)]), source).unwrap();
        assert_eq!((joined.len(), joined[0].rows()), (1, 90));
        let of_source = source[0].columns[1].array.to_data();
        assert!(joined[0].columns[0].array.to_data().ptr_eq(&of_source));
        assert!(
            (0..90).all(|row| joined[0].columns[1].value(row) == Value::UInt(row as u64 + 100))
        );
        for other in [&[(40, 50), (0, 40)][..], &[(0, 40), (40, 40)], &[(0, 90)]] {
            assert_eq!(rejoined(pieces(other), source).unwrap().len(), other.len());
        }
        let twice = [source[0].clone(), source[0].clone()];
        assert_eq!(rejoined(pieces(&[(0, 40), (40, 50)]), &twice).unwrap().len(), 2);
    }
}
