//! How the keys and arguments of a row lie in a few words (an *entry*), and how the key and the states of
//! a group do (a *row*). Both begin with the same key words.
//!
//! First the fixed-width keys, packed so that none crosses a word; then two words per string key, its
//! hash and a reference to its bytes; then arguments, which also fill the gaps. Keys and functions that
//! do not fit have no layout, and are grouped in the general way.

use pumphouse_storage::DataType;

use super::partitions::STRIDE_MAX;
use crate::aggregates::packed::{Field, Packed};
use crate::execute::row_codec::Shape;
use crate::plan::{BoundAggregate, BoundExpr};

/// Words of a key, at most.
pub(super) const KEY_WORDS_MAX: usize = 6;
const WEIGHT_BITS: u32 = 32;

/// Where one key column lies.
pub(super) struct KeyPart {
    pub place: KeyPlace,
    /// Set for NULL, if the key is nullable.
    pub null: Option<Field>,
}

pub(super) enum KeyPlace {
    /// Values of up to 8 bytes in one field, of 16 bytes in two.
    Fixed { shape: Shape, low: Field, high: Option<Field> },
    /// The words of hash and reference begin here.
    Text(usize),
}

/// One aggregate.
pub(super) struct PackedAggregate {
    pub packed: Packed,
    /// Whether the state is more than the count of rows.
    pub has_state: bool,
    /// The argument's place in an entry.
    pub field: Field,
    /// Whether this aggregate's argument is to be put there (else another's is the same).
    pub fills: bool,
    /// The state's first word in a row.
    pub at: usize,
    pub result: DataType,
}

/// See the file's head.
pub(crate) struct Layout {
    pub(super) types: Vec<DataType>,
    pub(super) parts: Vec<KeyPart>,
    pub(super) fixed_words: usize,
    pub(super) texts: usize,
    /// The bits of each key word that are key.
    pub(super) masks: Vec<u64>,
    pub(super) aggregates: Vec<PackedAggregate>,
    /// How many rows an entry stands for; one if None.
    pub(super) weight: Option<Field>,
    /// Words of an entry.
    pub(super) stride: usize,
    /// Words of a row.
    pub(super) width: usize,
    /// The word of a row that counts, for all functions that do: they see the same rows.
    pub(super) count_at: Option<usize>,
    /// Partitions, as a power of two.
    pub(super) partition_bits: u32,
}

/// Partitions of narrow rows, and of wider ones: so that the groups of one stay in the cache.
const PARTITION_BITS: [u32; 2] = [9, 10];
const WIDE_ROW: usize = 4;

/// Words being filled, by the bits used of each.
struct Packer(Vec<u32>);

impl Packer {
    /// Whether a field of so many bits needs no further word.
    fn has_room(&self, bits: u32) -> bool {
        self.0.iter().any(|used| used + bits <= 64)
    }

    fn place(&mut self, bits: u32) -> Field {
        let word = match self.0.iter().position(|used| used + bits <= 64) {
            Some(word) => word,
            None => {
                self.0.push(0);
                self.0.len() - 1
            }
        };
        let shift = self.0[word];
        self.0[word] += bits;
        Field { word, shift, bits }
    }
}

impl Layout {
    /// The layout for these keys and functions, if there is one.
    pub fn of(types: &[DataType], aggregates: &[BoundAggregate]) -> Option<Layout> {
        let shapes: Vec<(Shape, bool)> = types
            .iter()
            .map(|t| match Shape::of(t) {
                Shape::Nullable(inner) => (*inner, true),
                shape => (shape, false),
            })
            .collect();
        let packed: Vec<Packed> =
            aggregates.iter().map(|a| a.function.packed()).collect::<Option<_>>()?;
        let mut packer = Packer(vec![]);
        let mut places: Vec<Option<KeyPlace>> = shapes.iter().map(|_| None).collect();
        // The widest first, so that fewer gaps are left.
        for bytes in [16, 8, 4, 2, 1] {
            for (place, (shape, _)) in places.iter_mut().zip(&shapes) {
                if shape.width() == Some(bytes) {
                    let low = packer.place(bytes.min(8) as u32 * 8);
                    let high = (bytes == 16).then(|| packer.place(64));
                    *place = Some(KeyPlace::Fixed { shape: shape.clone(), low, high });
                }
            }
        }
        let nulls: Vec<Option<Field>> =
            shapes.iter().map(|(_, nullable)| nullable.then(|| packer.place(1))).collect();
        let fixed_words = packer.0.len();
        let mut masks = vec![0; fixed_words];
        for (place, (shape, _)) in places.iter_mut().zip(&shapes) {
            if *shape == Shape::Bytes {
                *place = Some(KeyPlace::Text(packer.0.len()));
                packer.0.extend([64, 64]);
            }
        }
        let places: Vec<KeyPlace> = places.into_iter().collect::<Option<_>>()?;
        let texts = (packer.0.len() - fixed_words) / 2;
        let parts: Vec<KeyPart> =
            places.into_iter().zip(nulls).map(|(place, null)| KeyPart { place, null }).collect();
        for part in &parts {
            let mut fields = vec![part.null];
            if let KeyPlace::Fixed { low, high, .. } = &part.place {
                fields.extend([Some(*low), *high]);
            }
            fields.into_iter().flatten().for_each(|f| masks[f.word] |= f.mask());
        }
        masks.resize(packer.0.len(), u64::MAX);
        if masks.is_empty() || masks.len() > KEY_WORDS_MAX {
            return None;
        }
        let mut layout = Layout {
            types: types.to_vec(),
            parts,
            fixed_words,
            texts,
            width: masks.len(),
            masks,
            aggregates: vec![],
            weight: None,
            stride: 0,
            count_at: None,
            partition_bits: 0,
        };
        if packed.iter().any(|p| p.counts()) {
            layout.count_at = Some(layout.width);
            layout.width += 1;
        }
        layout.place_arguments(aggregates, &packed, &mut packer)?;
        let counts = packed.iter().all(|p| *p == Packed::Count);
        // Without texts only where there is room left.
        let worth = texts > 0 || (!packed.is_empty() && packer.has_room(WEIGHT_BITS));
        layout.weight = (counts && worth).then(|| packer.place(WEIGHT_BITS));
        layout.stride = packer.0.len();
        layout.partition_bits = PARTITION_BITS[usize::from(layout.width >= WIDE_ROW)];
        (layout.stride <= STRIDE_MAX && layout.width <= STRIDE_MAX).then_some(layout)
    }

    fn place_arguments(
        &mut self,
        aggregates: &[BoundAggregate],
        packed: &[Packed],
        packer: &mut Packer,
    ) -> Option<()> {
        let mut placed: Vec<(&BoundExpr, Field)> = vec![];
        for (aggregate, packed) in aggregates.iter().zip(packed) {
            let (mut field, mut fills) = (Field { word: 0, shift: 0, bits: 1 }, false);
            if packed.takes_argument() {
                let [argument] = aggregate.arguments.as_slice() else { return None };
                let same = placed.iter().find(|(other, _)| is_same_column(other, argument));
                field = match same {
                    Some((_, field)) => *field,
                    None => {
                        let bytes = Shape::of(&argument.data_type()).width()?;
                        if !matches!(bytes, 1 | 2 | 4 | 8) {
                            return None;
                        }
                        fills = true;
                        packer.place(bytes as u32 * 8)
                    }
                };
                placed.push((argument, field));
            }
            let result = aggregate.function.return_type();
            self.aggregates.push(PackedAggregate {
                packed: *packed,
                has_state: *packed != Packed::Count,
                field,
                fills,
                at: self.width,
                result,
            });
            self.width += usize::from(*packed != Packed::Count);
        }
        Some(())
    }

    pub fn has_texts(&self) -> bool {
        self.texts > 0
    }

    pub fn partitions(&self) -> usize {
        1 << self.partition_bits
    }

    /// Words of a group's row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// A word per row that sorts as results of aggregate `number` do; None if there is none.
    pub fn order(&self, number: usize, rows: &[u64]) -> Option<Vec<u64>> {
        let aggregate = self.aggregates.get(number)?;
        aggregate.packed.order(rows, self.width, (aggregate.at, self.count_at.unwrap_or(0)))
    }

    /// The word of rows that sorts as results of aggregate `number` do; None if no word does as it is.
    pub fn ordered_word(&self, number: usize) -> Option<usize> {
        let aggregate = self.aggregates.get(number).filter(|a| a.packed.is_ordered())?;
        if aggregate.packed == Packed::Count { self.count_at } else { Some(aggregate.at) }
    }

    pub(super) fn key_words(&self) -> usize {
        self.masks.len()
    }

    /// Whether the key is one string that is never NULL, and rows can be counted before they are written.
    pub(in crate::execute::aggregate) fn is_counted_text(&self) -> bool {
        self.weight.is_some()
            && matches!(self.parts.as_slice(), [KeyPart { place: KeyPlace::Text(_), null: None }])
    }

    /// The hash of key words (masked).
    #[inline(always)]
    pub(super) fn hash<const K: usize, const TEXT: bool>(&self, key: &[u64; K]) -> u64 {
        let mut hash = 0x9E37_79B9_7F4A_7C15;
        if TEXT {
            for word in &key[..self.fixed_words] {
                hash = mix(hash, *word);
            }
            for text in 0..self.texts {
                hash = mix(hash, key[self.fixed_words + 2 * text]);
            }
        } else {
            for word in key {
                hash = mix(hash, *word);
            }
        }
        hash
    }
}

/// The key words of an entry or a row. A loop over words of unknown number would write them one by one where they
/// are read in pairs next, for which the processor waits.
#[inline(always)]
pub(super) fn masked<const K: usize>(entry: &[u64], masks: &[u64; K]) -> [u64; K] {
    match entry.first_chunk::<K>() {
        Some(words) => std::array::from_fn(|i| words[i] & masks[i]),
        None => [0; K],
    }
}

#[inline(always)]
fn mix(hash: u64, word: u64) -> u64 {
    let product = (hash ^ word) as u128 * 0xD6E8_FEB8_6659_FD93_u128;
    product as u64 ^ (product >> 64) as u64
}

fn is_same_column(a: &BoundExpr, b: &BoundExpr) -> bool {
    match (a, b) {
        (BoundExpr::Column { index: a, .. }, BoundExpr::Column { index: b, .. }) => a == b,
        _ => false,
    }
}
