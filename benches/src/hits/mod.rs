//! The `hits` data set: a web-analytics table of 70 columns, the same bytes for the same seed everywhere.
//!
//! Skewed as such data is: Zipf users, addresses, titles; search phrases mostly empty; small columns that
//! are constant over long runs. Rows come in time order; the table's key sorts them.

mod columns;
mod random;
mod row;

pub use columns::{COLUMNS, Column};
pub use random::Random;
pub use row::{Row, Shape};

/// The table's key.
pub const ORDER_BY: &str = "(CounterID, EventDate, UserID, EventTime, WatchID)";

/// `CREATE TABLE` for ClickHouse and for us.
pub fn create_table(name: &str, extra: &str) -> String {
    let columns: Vec<String> =
        COLUMNS.iter().map(|c| format!("    {} {}", c.name, c.data_type)).collect();
    format!(
        "CREATE TABLE {name}\n(\n{}\n)\nENGINE = MergeTree\nORDER BY {ORDER_BY}{extra}",
        columns.join(",\n")
    )
}

/// Appends row `index` as a TabSeparated line. Each row has a random stream of its own, so that any range
/// of rows can be made alone.
pub fn write_line(shape: &Shape, index: u64, row: &mut Row, out: &mut Vec<u8>) {
    let mut random = Random::new(shape.seed ^ index.wrapping_mul(0xd134_2543_de82_ef95));
    row.fill(shape, index, &mut random);
    for (i, column) in COLUMNS.iter().enumerate() {
        if i > 0 {
            out.push(b'\t');
        }
        (column.write)(row, &mut random, out);
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_is_the_same_for_the_same_seed_and_skewed() {
        let lines = |seed| {
            let shape = Shape::main(20_000, seed);
            let (mut row, mut out) = (Row::default(), vec![]);
            (0..20_000).for_each(|i| write_line(&shape, i, &mut row, &mut out));
            String::from_utf8(out).expect("the words are UTF-8")
        };
        let first = lines(1);
        assert_eq!(first, lines(1));
        assert_ne!(first, lines(2));
        let place = COLUMNS.iter().position(|c| c.name == "SearchPhrase").expect("the column");
        let fields: Vec<Vec<&str>> = first.lines().map(|l| l.split('\t').collect()).collect();
        assert!(fields.iter().all(|f| f.len() == COLUMNS.len()));
        let empty = fields.iter().filter(|f| f[place].is_empty()).count();
        assert!((16_000..19_000).contains(&empty), "{empty} of 20000 phrases are empty");
        assert_eq!(COLUMNS.len(), 70);
    }
}
