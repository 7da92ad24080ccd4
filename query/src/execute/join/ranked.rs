//! A set of whole numbers as bits, with the count of bits before each word: a value's number is how many
//! values are less. Sixteen bytes for 64 places, so that wide ranges with few values stay in the cache.

use arrow_array::BooleanArray;
use pumphouse_storage::Column;

use crate::execute::key_table::ABSENT;
use crate::execute::runtime_filter::for_each_word;
use crate::functions::multiversion;

#[derive(Clone, Copy, Default)]
struct Word {
    bits: u64,
    /// Bits in the words before.
    before: u32,
}

/// See the file's head.
pub(super) struct Ranked {
    least: u64,
    width: usize,
    words: Vec<Word>,
    pub count: usize,
}

impl Ranked {
    /// Of the valid values of `key`, which lie in `least..least + span`.
    pub fn of(
        (key, valid): (&Column, Option<&BooleanArray>),
        (least, span, width): (u64, usize, usize),
    ) -> Ranked {
        let mut words = vec![Word::default(); span.div_ceil(64)];
        for_each_word(key, width, |row, value| {
            if valid.is_none_or(|v| v.value(row)) {
                let at = (value - least) as usize;
                words[at / 64].bits |= 1 << (at % 64);
            }
        });
        let mut count = 0;
        for word in &mut words {
            word.before = count;
            count += word.bits.count_ones();
        }
        Ranked { least, width, words, count: count as usize }
    }

    /// The number of each value, ABSENT where it is NULL or not one of the set.
    pub fn numbers(&self, key: &Column) -> Vec<u32> {
        find(self, key)
    }

    pub fn memory_bytes(&self) -> usize {
        self.words.capacity() * size_of::<Word>()
    }
}

#[inline(always)]
fn find_body(ranked: &Ranked, key: &Column) -> Vec<u32> {
    let mut numbers = vec![ABSENT; key.len()];
    for_each_word(key, ranked.width, |row, value| {
        let at = value.wrapping_sub(ranked.least);
        if let Some(word) = ranked.words.get((at / 64) as usize) {
            let bit = 1u64 << (at % 64);
            if word.bits & bit != 0 {
                numbers[row] = word.before + (word.bits & (bit - 1)).count_ones();
            }
        }
    });
    numbers
}

multiversion! {
    fn find(ranked: &Ranked, key: &Column) -> Vec<u32> = find_body;
}
