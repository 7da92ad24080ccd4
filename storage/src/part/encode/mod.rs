//! One granule of one column to bytes: a tree of nodes, each a tag and its fields, as
//! `docs/format-part.md` lists them. The cheapest encoding that wins is chosen per node from a look at
//! the values; nothing is tried twice.

mod number;
mod objects;
mod payload;
mod strings;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_buffer::{Buffer, NullBuffer, ToByteSlice};
use parking_lot::Mutex;

use super::codec::{ColumnCodec, Stage};
use super::layout::{Layout, Order};
use super::wire::put_u32;
use super::word::{Word, with_word};
use crate::error::{Error, Result};
pub(crate) use objects::kind;
use payload::Compressor;
pub(crate) use payload::method;
use strings::Slices;

/// The node tags. Numbers are part of the file format.
pub(crate) mod tag {
    /// No rows.
    pub(crate) const EMPTY: u8 = 0;
    /// A bitmap of valid rows, then the values.
    pub(crate) const NULLS: u8 = 1;
    /// Every row is NULL.
    pub(crate) const ALL_NULL: u8 = 2;
    /// One value for all rows.
    pub(crate) const CONSTANT: u8 = 3;
    /// Run lengths and one value per run.
    pub(crate) const RUNS: u8 = 4;
    /// The values as they are.
    pub(crate) const PLAIN: u8 = 5;
    /// A base and small distances from it.
    pub(crate) const FRAME: u8 = 6;
    /// A first value and small steps up.
    pub(crate) const DELTA: u8 = 7;
    /// Distinct values and a code per row.
    pub(crate) const DICTIONARY: u8 = 8;
    /// Lengths, then the items of all lists.
    pub(crate) const LIST: u8 = 9;
    /// One node per field.
    pub(crate) const STRUCT: u8 = 10;
    /// Paths of JSON objects, each with its rows and values.
    pub(crate) const OBJECTS: u8 = 11;
}

/// Turns granules into bytes; keeps its scratch memory between calls.
#[derive(Default)]
pub(crate) struct Encoder {
    compressor: Compressor,
    /// Codecs for the words of numbers, instead of what would be chosen.
    stages: Vec<Stage>,
    narrow: Vec<u8>,
    dictionary: strings::DictionaryScratch,
    dictionary_used: bool,
    sorts_texts: bool,
}

/// Encoders that wait for the next part, so that their memory need not be faulted in anew.
static SPARE: Mutex<Vec<Encoder>> = Mutex::new(Vec::new());
const SPARE_MAX: usize = 8;
const SPARE_BYTES_MAX: usize = 8 << 20;

impl Encoder {
    /// A spare encoder or a new one.
    pub(crate) fn take() -> Encoder {
        let spare = SPARE.lock().pop().unwrap_or_default();
        Encoder { sorts_texts: false, ..spare }
    }

    /// Keeps the encoder for another part, unless there are enough or it has grown large.
    pub(crate) fn give_back(self) {
        let mut spare = SPARE.lock();
        if spare.len() < SPARE_MAX && self.compressor.kept_bytes() <= SPARE_BYTES_MAX {
            spare.push(self);
        }
    }

    /// Whether dictionaries of texts are sorted: they take longer to write, are smaller and are read sooner.
    pub(crate) fn set_sorts_texts(&mut self, sorts_texts: bool) {
        self.sorts_texts = sorts_texts;
    }

    pub(crate) fn sorts_texts(&self) -> bool {
        self.sorts_texts
    }

    /// How the columns that follow are compressed.
    pub(crate) fn set_codec(&mut self, codec: &ColumnCodec) {
        self.compressor.generic = codec.generic;
        self.stages.clone_from(&codec.stages);
    }

    /// If the last string node written is a dictionary: a row of each distinct string.
    pub(crate) fn distinct_rows(&self) -> Option<&[u32]> {
        self.dictionary_used.then(|| self.dictionary.rows())
    }

    /// Appends the node of `array` to `out`. `hashes` are the rows' hashes if the caller has them.
    pub(crate) fn encode(
        &mut self,
        layout: &Layout,
        array: &dyn Array,
        hashes: Option<&[u64]>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let rows = array.len();
        self.dictionary_used = false;
        if rows == 0 {
            out.push(tag::EMPTY);
            return Ok(());
        }
        let nulls = array.nulls().filter(|n| n.null_count() > 0);
        if let Some(nulls) = nulls {
            if nulls.null_count() == rows {
                out.push(tag::ALL_NULL);
                return Ok(());
            }
            out.push(tag::NULLS);
            self.compressor.payload(&bitmap(nulls), 10, out);
        }
        match layout {
            _ if !self.stages.is_empty() && self.coded(layout, array, nulls, out) => {}
            Layout::Number { width, order } => with_word!(*width, T => {
                let buffer = number_buffer(array);
                let words: &[T] = buffer.typed_data();
                match nulls {
                    None => self.words(words, *order, out),
                    Some(nulls) => self.words(&fill_nulls(words, nulls), *order, out),
                }
            }),
            Layout::FixedBytes(width) => {
                let data = array.as_fixed_size_binary().value_data();
                self.strings(&Slices::fixed(*width, data), hashes, out);
            }
            Layout::Strings => {
                let strings = array.as_binary::<i32>();
                let slices = Slices::variable(strings.value_offsets(), strings.value_data());
                self.strings(&slices, hashes, out);
            }
            Layout::Objects { paths_max } => self.objects(array, *paths_max, out)?,
            Layout::List(item) => {
                let list = array.as_list_opt::<i32>().ok_or_else(|| misshapen(array))?;
                let offsets = list.value_offsets();
                let (from, to) = (offsets[0] as usize, offsets[rows] as usize);
                let lengths: Vec<u32> = offsets.windows(2).map(|w| (w[1] - w[0]) as u32).collect();
                out.push(tag::LIST);
                put_u32(out, (to - from) as u32);
                self.words(&lengths, Order::Unsigned, out);
                self.encode(item, list.values().slice(from, to - from).as_ref(), None, out)?;
            }
            Layout::Struct(fields) => {
                let columns = array.as_struct_opt().ok_or_else(|| misshapen(array))?.columns();
                out.push(tag::STRUCT);
                for (layout, column) in fields.iter().zip(columns) {
                    self.encode(layout, column.as_ref(), None, out)?;
                }
            }
        }
        Ok(())
    }
}

impl Encoder {
    /// Writes words through the column's chain; false if the layout has none.
    fn coded(
        &mut self,
        layout: &Layout,
        array: &dyn Array,
        nulls: Option<&NullBuffer>,
        out: &mut Vec<u8>,
    ) -> bool {
        let (filled, buffer);
        let (bytes, width, order): (&[u8], usize, Order) = match layout {
            Layout::Number { width, order } => with_word!(*width, T => {
                buffer = number_buffer(array);
                let words: &[T] = buffer.typed_data();
                if words.iter().all(|word| *word == words[0]) {
                    // One word beats every chain.
                    return false;
                }
                match nulls {
                    None => (words.to_byte_slice(), *width, *order),
                    Some(nulls) => {
                        filled = fill_nulls(words, nulls).to_byte_slice().to_vec();
                        (&filled[..], *width, *order)
                    }
                }
            }),
            Layout::FixedBytes(width) => {
                (array.as_fixed_size_binary().value_data(), *width, Order::Unsigned)
            }
            _ => return false,
        };
        out.push(tag::PLAIN);
        let signed = order == Order::Signed;
        self.compressor.coded(&self.stages, width, signed, bytes, out);
        true
    }
}

fn misshapen(array: &dyn Array) -> Error {
    Error::Column(format!("an array of {} does not lie as its type says", array.data_type()))
}

/// The words of a number array.
pub(crate) fn number_buffer(array: &dyn Array) -> Buffer {
    array.to_data().buffers()[0].clone()
}

/// One bit per row, set if valid, starting at bit 0.
fn bitmap(nulls: &NullBuffer) -> Vec<u8> {
    let bytes = nulls.len().div_ceil(8);
    let mut out = nulls.inner().sliced().as_slice()[..bytes].to_vec();
    let spare = bytes * 8 - nulls.len();
    if let Some(last) = out.last_mut() {
        *last &= 0xFF >> spare;
    }
    out
}

/// The words with each NULL's slot holding the value before it (the first valid one at the front),
/// so that what lies under a NULL spoils neither runs nor minima.
pub(crate) fn fill_nulls<T: Word>(words: &[T], nulls: &NullBuffer) -> Vec<T> {
    let mut last = nulls.valid_indices().next().map_or(T::default(), |i| words[i]);
    words
        .iter()
        .zip(nulls.iter())
        .map(|(word, valid)| {
            if valid {
                last = *word;
            }
            last
        })
        .collect()
}

/// Bytes that `array` takes decoded: what a decoder may allocate for it.
pub(crate) fn decoded_bytes(layout: &Layout, array: &dyn Array) -> usize {
    let rows = array.len();
    let values = match layout {
        Layout::Number { width, .. } | Layout::FixedBytes(width) => rows * width,
        Layout::Strings | Layout::Objects { .. } => {
            let offsets = array.as_binary::<i32>().value_offsets();
            rows * 4 + (offsets[rows] - offsets[0]) as usize
        }
        Layout::List(item) => {
            let list = array.as_list::<i32>();
            let (from, to) =
                (list.value_offsets()[0] as usize, list.value_offsets()[rows] as usize);
            rows * 4 + decoded_bytes(item, list.values().slice(from, to - from).as_ref())
        }
        Layout::Struct(fields) => fields
            .iter()
            .zip(array.as_struct().columns())
            .map(|(layout, column)| decoded_bytes(layout, column.as_ref()))
            .sum(),
    };
    values + if array.null_count() > 0 { rows.div_ceil(8) } else { 0 }
}
