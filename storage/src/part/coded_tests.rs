//! Chosen rows against a plain model: every type and shape, with and without rows chosen before; and
//! nodes of any bytes.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow_array::BooleanArray;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;

use super::coded_read::{Wanted, sizes_of};
use super::decode::{Aspect, Mapping, Scratch, Sink, mapping, readable};
use super::encode::Encoder;
use super::tests::{Random, TYPES, shapes, text, write_part};
use super::*;
use crate::block::Column;
use crate::disk::{MemoryDisk, ReadFile};
use crate::error::Result;
use crate::types::{DataType, Value, parse_data_type};

/// Whether a value passes: by its looks, for about one of `of`.
fn passes(text: &str, of: u64) -> bool {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish().is_multiple_of(of)
}

fn decoded(column: Column) -> Column {
    match column.array.as_dictionary_opt::<UInt32Type>() {
        Some(dictionary) => {
            let values =
                Column { data_type: column.data_type.clone(), array: dictionary.values().clone() };
            values.take(dictionary.keys())
        }
        None => column,
    }
}

fn check(reader: &PartReader, column: &Column, aspect: Aspect, random: &mut Random) {
    let granules = [0, 1, 3, 4];
    let rows: Vec<usize> = (0..column.len()).filter(|r| granules.contains(&(r / 64))).collect();
    let texts = text(column);
    // One row of so many is kept; nine of ten where that is 0.
    let shares =
        [(1, 1), (2, 1), (1_000_000_007, 1), (3, 2), (1, 40), (1, 100), (2, 3), (1, 0), (2, 0)];
    for (of, kept_of) in shares {
        let mut kept = || match kept_of {
            0 => random.below(10) > 0,
            of => random.below(of) == 0,
        };
        let keep: Vec<bool> = rows.iter().map(|_| kept()).collect();
        let keep = (kept_of != 1).then(|| BooleanArray::from(keep));
        let mut test = |values: &Column| {
            Ok(text(values).iter().map(|t| Some(passes(t, of))).collect::<BooleanArray>())
        };
        let expected: Vec<bool> = rows
            .iter()
            .enumerate()
            .map(|(i, row)| passes(&texts[*row], of) && keep.as_ref().is_none_or(|k| k.value(i)))
            .collect();
        for wanted in [Wanted::Nothing, Wanted::Rows, Wanted::Codes] {
            let chosen = reader
                .choose(0, aspect, &granules, keep.as_ref(), Some(&mut test), wanted)
                .unwrap();
            let mask: Vec<bool> = match &chosen.mask {
                Some(mask) => mask.iter().map(|f| f.unwrap()).collect(),
                None => vec![true; rows.len()],
            };
            assert_eq!(mask, expected, "{} {wanted:?}", column.data_type);
            assert_eq!(chosen.column.is_some(), wanted != Wanted::Nothing);
            if let Some(found) = chosen.column {
                let kept = rows.iter().zip(&expected).filter(|(_, e)| **e);
                let kept: Vec<&String> = kept.map(|(row, _)| &texts[*row]).collect();
                assert_eq!(text(&decoded(found)).iter().collect::<Vec<_>>(), kept);
            }
        }
        let chosen =
            reader.choose(0, aspect, &granules, keep.as_ref(), None, Wanted::Rows).unwrap();
        let kept = rows.iter().enumerate();
        let kept = kept.filter(|(i, _)| keep.as_ref().is_none_or(|k| k.value(*i)));
        let kept: Vec<&String> = kept.map(|(_, row)| &texts[*row]).collect();
        assert_eq!(text(&chosen.column.unwrap()).iter().collect::<Vec<_>>(), kept);
        let once = reader.choose(0, aspect, &granules, keep.as_ref(), None, Wanted::Once).unwrap();
        assert_eq!(once.rows, rows.len());
        let once = text(&once.column.unwrap());
        let (found, expected): (HashSet<&String>, HashSet<&String>) =
            (once.iter().collect(), kept.iter().copied().collect());
        assert_eq!(found, expected);
        assert!(once.len() <= kept.len());
    }
}

/// A file that lies in memory, and can be looked at there.
struct Lying(Vec<u8>);

impl ReadFile for Lying {
    fn read_at(&self, file_offset: u64, buffer: &mut [u8]) -> Result<()> {
        buffer.copy_from_slice(&self.0[file_offset as usize..][..buffer.len()]);
        Ok(())
    }

    fn mapped(&self, file_offset: u64, length: usize) -> Option<&[u8]> {
        self.0.get(file_offset as usize..)?.get(..length)
    }

    fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

#[test]
fn chosen_rows_of_every_type_and_shape() {
    let mut random = Random(17);
    for name in TYPES {
        let data_type = parse_data_type(name).unwrap();
        for (_, values) in shapes(&data_type, 300, 9) {
            let column = Column::from_values(data_type.clone(), &values).unwrap();
            let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
            let part = write_part(&disk, std::slice::from_ref(&column), 64);
            let reader = PartReader::open(&disk, &part.meta.path()).unwrap();
            check(&reader, &column, Aspect::Values, &mut random);
            let file = disk.open(&part.meta.path()).unwrap();
            let mut bytes = vec![0; file.len() as usize];
            file.read_at(0, &mut bytes).unwrap();
            let lying = PartReader::of_file(Arc::new(Lying(bytes)), "in memory").unwrap();
            check(&lying, &column, Aspect::Values, &mut random);
            if *data_type.inner() == DataType::String {
                let sizes = sizes_of(&column).unwrap();
                check(&reader, &sizes, Aspect::Sizes, &mut random);
            }
        }
    }
}

#[test]
fn strings_most_of_which_are_empty_are_few_values() {
    let mut random = Random(3);
    for filled_of in [2, 3, 9, 400] {
        // No two alike, so that no granule has a dictionary.
        let value = |i: usize| match i % filled_of {
            0 => Value::String(format!("{}", i * 7919).into_bytes()),
            _ => Value::String(vec![]),
        };
        let values: Vec<Value> = (0..300).map(value).collect();
        let column = Column::from_values(DataType::String, &values).unwrap();
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        let part = write_part(&disk, std::slice::from_ref(&column), 64);
        let reader = PartReader::open(&disk, &part.meta.path()).unwrap();
        check(&reader, &column, Aspect::Values, &mut random);
        let granules = [0, 1, 2, 3];
        let chosen =
            reader.choose(0, Aspect::Values, &granules, None, None, Wanted::Codes).unwrap();
        let found = chosen.column.unwrap();
        let is_coded = found.array.as_dictionary_opt::<UInt32Type>().is_some();
        assert_eq!(is_coded, filled_of > 2, "one of {filled_of}");
    }
}

#[test]
fn arbitrary_nodes_do_not_panic_when_rows_are_chosen() {
    let mut random = Random(5);
    for name in ["UInt8", "UInt32", "UInt64", "Int128", "String", "Float64"] {
        let data_type = parse_data_type(name).unwrap();
        let layout = Layout::of(&data_type);
        for (_, values) in shapes(&data_type, 200, 5) {
            let column = Column::from_values(data_type.clone(), &values).unwrap();
            let mut bytes = vec![];
            Encoder::default().encode(&layout, column.array.as_ref(), None, &mut bytes).unwrap();
            for _ in 0..200 {
                let mut damaged = bytes.clone();
                for _ in 0..=random.below(3) {
                    let at = random.below(damaged.len() as u64) as usize;
                    damaged[at] = match random.below(3) {
                        0 => random.next() as u8,
                        1 => 0xFF,
                        _ => random.below(11) as u8,
                    };
                }
                look(&layout, Aspect::Values, &damaged, false);
                look(&layout, Aspect::Values, &damaged, true);
                let (mut sink, mut scratch) = (Sink::new(&layout, 0, 0), Scratch::default());
                scratch.allow(1 << 20);
                let _ = sink.append_few(&damaged, 200, &[0, 7, 150, 199], &mut scratch);
                if readable(&layout, Aspect::Sizes) {
                    let number = Layout::Number { width: 8, order: Order::Unsigned };
                    look(&number, Aspect::Sizes, &damaged, false);
                }
            }
        }
    }
}

/// Every row of what can be read has a value.
fn look(layout: &Layout, aspect: Aspect, node: &[u8], few: bool) {
    let mut sink = Sink::new(layout, 200, 0);
    let mut scratch = Scratch::default();
    scratch.allow(1 << 20);
    let Ok(coded) = sink.append_coded(aspect, node, 200, few, &mut scratch) else { return };
    assert_eq!((coded.rows, coded.values), (200, sink.len()));
    let codes: Vec<usize> = match mapping(node, &coded, &mut scratch) {
        Err(_) | Ok(Mapping::Rows | Mapping::Constant) => return,
        Ok(Mapping::Runs(lengths)) => {
            assert_eq!(lengths.iter().map(|l| *l as usize).sum::<usize>(), 200);
            return;
        }
        Ok(Mapping::Narrow(codes)) => codes.into_iter().map(usize::from).collect(),
        Ok(Mapping::Wide(codes)) => codes.into_iter().map(usize::from).collect(),
        Ok(Mapping::Filled(filled)) => {
            assert_eq!((filled.len(), filled.count_set_bits() + 1), (200, coded.values));
            return;
        }
    };
    assert!(codes.len() == 200 && codes.iter().all(|c| *c < coded.values));
}
