//! Rows as messages of one segment each; structs and lists are given room in the order of the columns.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::text::write::list_range;
use pumphouse_storage::{Block, DataType};

use super::super::row_binary;
use super::super::{FormatOptions, FormatWriter, WriterStatistics};
use super::plan::{Codec, Level, Plan, Target};
use super::schema::{Field, Schema, Type, data_size};

const WORD: usize = 8;
/// Items of a list, and words to a pointer's target, that a pointer can say.
const COUNT_MAX: usize = (1 << 29) - 1;

pub struct CapnProtoWriter {
    options: FormatOptions,
    plan: Option<Plan>,
}

impl CapnProtoWriter {
    pub fn boxed(options: &FormatOptions) -> Result<Box<dyn FormatWriter>> {
        Ok(Box::new(CapnProtoWriter { options: options.clone(), plan: None }))
    }
}

/// A segment being filled.
struct Segment<'s> {
    bytes: Vec<u8>,
    schema: &'s Schema,
}

/// Where a struct's parts are.
#[derive(Clone, Copy)]
struct StructAt {
    data: usize,
    pointers: usize,
}

/// Where a value goes: a field, or an item of a list whose items begin at a byte.
#[derive(Clone, Copy)]
enum Place<'l> {
    Field(StructAt, &'l Field),
    Item(usize, usize),
}

fn too_large() -> Error {
    Error::new(codes::BAD_ARGUMENTS, "a value is too large for a CapnProto message")
}

impl Segment<'_> {
    fn put_word(&mut self, at: usize, word: u64) {
        self.bytes[at..at + WORD].copy_from_slice(&word.to_le_bytes());
    }

    /// Room for `words`; a pointer at `at` is told, whose upper half is `upper`.
    fn room(&mut self, at: usize, words: usize, kind: u64, upper: u64) -> Result<usize> {
        let start = self.bytes.len();
        let offset = (start - at) / WORD - 1;
        if offset > COUNT_MAX || words > COUNT_MAX {
            return Err(too_large());
        }
        self.bytes.resize(start + words * WORD, 0);
        self.put_word(at, upper << 32 | (offset as u64) << 2 | kind);
        Ok(start)
    }

    fn structure(&mut self, at: usize, node: usize) -> Result<StructAt> {
        let node = &self.schema.nodes[node];
        let (data, pointers) = (node.data_words as usize, node.pointers as usize);
        let start = self.room(at, data + pointers, 0, (pointers << 16 | data) as u64)?;
        Ok(StructAt { data: start, pointers: start + data * WORD })
    }

    /// Room for a list of `count` items; where they begin.
    fn list(&mut self, at: usize, count: usize, item: &Type) -> Result<usize> {
        if count > COUNT_MAX {
            return Err(too_large());
        }
        let (code, bits) = match (item, data_size(item)) {
            (Type::Void, _) => (0, 0),
            (_, Some(0)) => (1, 1),
            (_, Some(size)) => (size - 1, 1usize << size),
            (Type::Struct(node), _) => {
                let node = &self.schema.nodes[*node];
                let (data, pointers) = (node.data_words as usize, node.pointers as usize);
                let words = count * (data + pointers);
                let start = self.room(at, words + 1, 1, (words << 3 | 7) as u64)?;
                let tag = ((pointers << 16 | data) as u64) << 32 | (count as u64) << 2;
                self.put_word(start, tag);
                return Ok(start + WORD);
            }
            _ => (6, 64),
        };
        self.room(at, (count * bits).div_ceil(64), 1, (count << 3 | code) as u64)
    }

    /// A list of bytes, with a zero behind them if they are a text.
    fn blob(&mut self, at: usize, bytes: &[u8], is_text: bool) -> Result<()> {
        let count = bytes.len() + is_text as usize;
        if count > COUNT_MAX {
            return Err(too_large());
        }
        let start = self.room(at, count.div_ceil(WORD), 1, (count << 3 | 2) as u64)?;
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn put_bits(&mut self, place: Place<'_>, size: usize, bits: u64) {
        let (base, index, bits) = match place {
            Place::Field(at, field) => (at.data, field.offset as usize, bits ^ field.default),
            Place::Item(start, index) => (start, index, bits),
        };
        if size == 0 {
            self.bytes[base + index / 8] |= ((bits & 1) as u8) << (index % 8);
            return;
        }
        let width = (1 << size) / 8;
        let at = base + index * width;
        self.bytes[at..at + width].copy_from_slice(&bits.to_le_bytes()[..width]);
    }

    fn pointer_at(&self, place: Place<'_>) -> usize {
        match place {
            Place::Field(at, field) => at.pointers + field.offset as usize * WORD,
            Place::Item(start, index) => start + index * WORD,
        }
    }

    /// The struct that a value of `node` goes into; None is the group's own struct.
    fn structure_at(&mut self, place: Place<'_>, node: Option<usize>) -> Result<StructAt> {
        match (place, node) {
            (Place::Field(at, _), None) => Ok(at),
            (Place::Item(start, index), Some(node)) => {
                let node = &self.schema.nodes[node];
                let (data, pointers) = (node.data_words as usize, node.pointers as usize);
                let data_at = start + index * (data + pointers) * WORD;
                Ok(StructAt { data: data_at, pointers: data_at + data * WORD })
            }
            (place, node) => self.structure(self.pointer_at(place), node.unwrap_or_default()),
        }
    }

    /// Says which member of a union is there.
    fn choose(&mut self, at: StructAt, field: &Field) {
        if let Some(d) = field.discriminant {
            let at = at.data + d.offset as usize * 2;
            self.bytes[at..at + 2].copy_from_slice(&d.value.to_le_bytes());
        }
    }

    fn level(&mut self, at: StructAt, level: &Level, block: &Block, row: usize) -> Result<()> {
        for (field, target) in &level.parts {
            self.choose(at, field);
            let place = Place::Field(at, field);
            match target {
                Target::Inner(inner) => {
                    let node = match field.data_type {
                        Type::Struct(node) => Some(node),
                        _ => None,
                    };
                    let at = self.structure_at(place, node)?;
                    self.level(at, inner, block, row)?;
                }
                Target::Column(index, codec) => {
                    let column = &block.columns[*index];
                    let source =
                        Source { data_type: &column.data_type, array: column.array.as_ref(), row };
                    self.value(place, &field.data_type, codec, source)?;
                }
            }
        }
        Ok(())
    }

    fn value(
        &mut self,
        place: Place<'_>,
        of: &Type,
        codec: &Codec,
        from: Source<'_>,
    ) -> Result<()> {
        match codec {
            Codec::Plain => {
                let size = data_size(of).unwrap_or(6);
                self.put_bits(place, size, from.bits(of)?);
            }
            Codec::Enum(pairs) => {
                let ours = from.bits(&Type::Integer { bits: 64, signed: true })? as i64;
                let theirs = pairs.iter().find(|(o, _)| *o as i64 == ours).map_or(0, |(_, t)| *t);
                self.put_bits(place, 4, theirs as u64);
            }
            Codec::Text | Codec::Data => {
                let bytes = from.bytes()?;
                let at = self.pointer_at(place);
                self.blob(at, &bytes, matches!(codec, Codec::Text))?;
            }
            Codec::List(item, inner) => {
                let DataType::Array(item_type) = from.data_type.inner() else { return Ok(()) };
                let (items, first, end) = list_range(from.array, from.row);
                let at = self.pointer_at(place);
                let start = self.list(at, end - first, item)?;
                for i in first..end {
                    let source = Source { data_type: item_type, array: items, row: i };
                    self.value(Place::Item(start, i - first), item, inner, source)?;
                }
            }
            Codec::Tuple(node, parts) => {
                let DataType::Tuple(elements) = from.data_type.inner() else { return Ok(()) };
                let at = self.structure_at(place, *node)?;
                let columns = from.array.as_struct().columns();
                for (((field, codec), element), column) in parts.iter().zip(elements).zip(columns) {
                    self.choose(at, field);
                    let array = column.as_ref();
                    let source = Source { data_type: &element.data_type, array, row: from.row };
                    self.value(Place::Field(at, field), &field.data_type, codec, source)?;
                }
            }
            Codec::Map { node, entries, entry, key, value } => {
                self.map(place, (*node, entries, *entry), key, value, from)?;
            }
            Codec::Nullable { node, value, null } => {
                let at = self.structure_at(place, *node)?;
                if from.array.is_null(from.row) {
                    self.choose(at, null);
                    return Ok(());
                }
                self.choose(at, &value.0);
                let inner = from.data_type.without_nullable();
                let source = Source { data_type: &inner, ..from };
                self.value(Place::Field(at, &value.0), &value.0.data_type, &value.1, source)?;
            }
        }
        Ok(())
    }

    fn map(
        &mut self,
        place: Place<'_>,
        nodes: (usize, &Field, usize),
        key: &(Field, Codec),
        value: &(Field, Codec),
        from: Source<'_>,
    ) -> Result<()> {
        let DataType::Map(key_type, value_type) = from.data_type.inner() else { return Ok(()) };
        let (node, entries, entry) = nodes;
        let at = self.structure_at(place, Some(node))?;
        let (items, first, end) = list_range(from.array, from.row);
        let items = items.as_struct();
        let at = self.pointer_at(Place::Field(at, entries));
        let start = self.list(at, end - first, &Type::Struct(entry))?;
        for i in first..end {
            let at = self.structure_at(Place::Item(start, i - first), Some(entry))?;
            for (part, data_type, column) in [(key, key_type, 0), (value, value_type, 1)] {
                let source = Source { data_type, array: items.column(column).as_ref(), row: i };
                self.choose(at, &part.0);
                self.value(Place::Field(at, &part.0), &part.0.data_type, &part.1, source)?;
            }
        }
        Ok(())
    }
}

/// A value of ours.
#[derive(Clone, Copy)]
struct Source<'a> {
    data_type: &'a DataType,
    array: &'a dyn Array,
    row: usize,
}

impl Source<'_> {
    /// The bytes of a value that is not NULL, as RowBinary has them.
    fn plain(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![];
        row_binary::write_value(self.data_type.inner(), self.array, self.row, &mut bytes)?;
        Ok(bytes)
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        match self.data_type.inner() {
            DataType::String => Ok(self.array.as_binary::<i32>().value(self.row).to_vec()),
            _ => self.plain(),
        }
    }

    /// A number's bits as a field of this type holds them.
    fn bits(&self, of: &Type) -> Result<u64> {
        use DataType as T;
        let bytes = self.plain()?;
        let mut word = [0; WORD];
        word[..bytes.len().min(WORD)].copy_from_slice(&bytes[..bytes.len().min(WORD)]);
        let bits = u64::from_le_bytes(word);
        let float = match self.data_type.inner() {
            T::Float32 => f32::from_bits(bits as u32) as f64,
            T::Float64 => f64::from_bits(bits),
            T::Int8
            | T::Int16
            | T::Int32
            | T::Date32
            | T::Enum8(_)
            | T::Enum16(_)
            | T::Decimal { precision: ..=9, .. } => {
                let unused = 64 - 8 * bytes.len() as u32;
                return Ok(((bits << unused) as i64 >> unused) as u64);
            }
            _ if *of == Type::Bool => return Ok((bits != 0) as u64),
            _ => return Ok(bits),
        };
        Ok(if *of == Type::Float32 { (float as f32).to_bits() as u64 } else { float.to_bits() })
    }
}

impl FormatWriter for CapnProtoWriter {
    fn prefix(&mut self, schema: &[(String, DataType)], _out: &mut Vec<u8>) -> Result<()> {
        self.plan = Some(super::planned(schema, &self.options)?);
        Ok(())
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        let Some(plan) = &self.plan else { return Ok(()) };
        let mut segment = Segment { bytes: vec![], schema: &plan.schema };
        for row in 0..block.rows() {
            segment.bytes.clear();
            segment.bytes.resize(WORD, 0);
            let root = segment.structure(0, plan.schema.root)?;
            segment.level(root, &plan.root, block, row)?;
            let words = u32::try_from(segment.bytes.len() / WORD).map_err(|_| too_large())?;
            out.extend_from_slice(&[0; 4]);
            out.extend_from_slice(&words.to_le_bytes());
            out.extend_from_slice(&segment.bytes);
        }
        Ok(())
    }

    fn suffix(&mut self, _statistics: &WriterStatistics, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn content_type(&self) -> &'static str {
        "application/octet-stream"
    }
}
