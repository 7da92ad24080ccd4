//! Keys of several columns that are all dictionaries: each combination of codes is looked up once a
//! block, and not each row.

use arrow_array::{Array, UInt32Array};
use pumphouse_storage::Column;

use super::key_table::{ABSENT, KeyTable, coded, plain};
use crate::error::Result;

/// Combinations that a block may have room for, at most.
const COMBINATIONS_MAX: usize = 1 << 16;

impl KeyTable {
    /// As [`insert`](KeyTable::insert), if all columns are dictionaries of few strings; else false.
    pub fn insert_coded(
        &mut self,
        columns: &[Column],
        rows: usize,
        out: &mut Vec<u32>,
    ) -> Result<bool> {
        let mut combinations = 1usize;
        for column in columns {
            let Some(codes) = coded(column) else { return Ok(false) };
            combinations = combinations.saturating_mul(codes.values.len().max(1));
        }
        if combinations > COMBINATIONS_MAX.min(rows) {
            return Ok(false);
        }
        let mut places = vec![0u32; rows];
        for codes in columns.iter().filter_map(coded) {
            let values = codes.values.len() as u32;
            for (place, code) in places.iter_mut().zip(codes.codes) {
                *place = *place * values + *code;
            }
        }
        let mut known = vec![ABSENT; combinations];
        let mut firsts: Vec<u32> = vec![];
        for (row, place) in places.iter().enumerate() {
            let number = &mut known[*place as usize];
            if *number == ABSENT {
                *number = firsts.len() as u32;
                firsts.push(row as u32);
            }
        }
        let firsts = UInt32Array::from(firsts);
        let keys: Vec<Column> = columns.iter().map(|c| plain(&c.take(&firsts))).collect();
        let mut numbers = vec![];
        self.insert(&keys, firsts.len(), &mut numbers)?;
        known.iter_mut().filter(|k| **k != ABSENT).for_each(|k| *k = numbers[*k as usize]);
        out.clear();
        out.extend(places.iter().map(|place| known[*place as usize]));
        Ok(true)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use arrow_array::types::UInt32Type;
    use arrow_array::{BinaryArray, DictionaryArray};
    use pumphouse_storage::DataType;

    use super::*;

    /// Texts by their codes.
    pub(in crate::execute) fn dictionary(codes: &[u32], texts: &[&str]) -> Column {
        let values = BinaryArray::from_iter_values(texts.iter().map(|t| t.as_bytes()));
        let keys = UInt32Array::from(codes.to_vec());
        let array = DictionaryArray::<UInt32Type>::new(keys, Arc::new(values));
        Column { data_type: DataType::String, array: Arc::new(array) }
    }

    #[test]
    fn numbers_are_those_of_plain_columns() {
        let types = [DataType::String, DataType::String];
        let (mut table, mut plainly) = (KeyTable::new(&types), KeyTable::new(&types));
        let (mut found, mut expected) = (vec![], vec![]);
        for shift in 0..3u32 {
            let a: Vec<u32> = (0..100).map(|i| (i * 7 + shift) % 3).collect();
            let b: Vec<u32> = (0..100).map(|i| (i / 9 + shift) % 4).collect();
            // A string may stand in a dictionary twice.
            let columns = [dictionary(&a, &["x", "", "x"]), dictionary(&b, &["p", "q", "", "xp"])];
            assert!(table.insert_coded(&columns, 100, &mut found).unwrap());
            let columns: Vec<Column> = columns.iter().map(plain).collect();
            plainly.insert(&columns, 100, &mut expected).unwrap();
            assert_eq!(found, expected);
            assert!(!table.insert_coded(&columns, 100, &mut found).unwrap());
        }
        assert_eq!(table.len(), plainly.len());
    }
}
