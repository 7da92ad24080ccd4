//! Writes the `hits` data set to standard output as TabSeparated lines, or its CREATE TABLE.
//!
//!   hits_generate --rows 10000000 [--seed 1] [--other-shape] [--from 0]
//!   hits_generate --ddl

use std::io::Write;

use pumphouse_benches::hits::{Row, Shape, create_table, write_line};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut rows, mut from, mut seed, mut other) = (10_000_000u64, 0u64, 1u64, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--rows" => rows = value()?.parse()?,
            "--from" => from = value()?.parse()?,
            "--seed" => seed = value()?.parse()?,
            "--other-shape" => other = true,
            "--ddl" => {
                println!("{}", create_table("hits", ""));
                return Ok(());
            }
            _ => {
                return Err(format!(
                    "unknown argument {argument}; --rows N --from N --seed N --other-shape --ddl"
                )
                .into());
            }
        }
    }
    let shape = if other { Shape::other(rows, seed) } else { Shape::main(rows, seed) };
    let mut out = std::io::stdout().lock();
    let (mut row, mut buffer) = (Row::default(), Vec::with_capacity(2 << 20));
    for index in from..rows {
        write_line(&shape, index, &mut row, &mut buffer);
        if buffer.len() > 1 << 20 {
            out.write_all(&buffer)?;
            buffer.clear();
        }
    }
    out.write_all(&buffer)?;
    Ok(())
}
