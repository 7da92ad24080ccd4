//! A message's segments and the pointers in them. Every place is checked against its segment, and what is
//! looked at is counted, since pointers may point to one place many times.

use std::cell::Cell;

use pumphouse_query::error::codes;
use pumphouse_query::text::{TextError, TextResult};

const WORD: usize = 8;
/// Words that may be looked at in one message, unless it is longer itself.
const WORDS_MAX: u64 = 8 << 20;
const SEGMENTS_MAX: usize = 512;

#[cold]
pub fn bad(message: impl std::fmt::Display) -> TextError {
    TextError::new(codes::INCORRECT_DATA, format!("CapnProto: {message}"))
}

pub struct Message<'a> {
    segments: Vec<&'a [u8]>,
    /// Words that may still be looked at.
    left: Cell<u64>,
}

/// A struct's two parts, as bytes of a segment.
#[derive(Debug, Clone, Copy, Default)]
pub struct StructAt {
    segment: usize,
    data: usize,
    data_bytes: usize,
    pointers: usize,
    pointer_count: usize,
}

/// A list's items.
#[derive(Debug, Clone, Copy)]
pub struct ListAt {
    segment: usize,
    start: usize,
    pub count: usize,
    item: Item,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Bit,
    /// Bytes of plain data.
    Data(usize),
    Pointer,
    /// Words of data and pointers.
    Struct(usize, usize),
}

#[derive(Debug, Clone, Copy)]
pub enum Pointer {
    Null,
    Struct(StructAt),
    List(ListAt),
}

impl<'a> Message<'a> {
    /// The message at the beginning of `bytes` and its length; None if it is not whole.
    pub fn open(bytes: &'a [u8], bytes_max: usize) -> TextResult<Option<(Message<'a>, usize)>> {
        let number = |at: usize| {
            let word = bytes.get(at..).and_then(|b| b.first_chunk::<4>());
            word.map(|w| u32::from_le_bytes(*w) as usize)
        };
        let Some(count) = number(0) else { return Ok(None) };
        let count = count.saturating_add(1);
        if count > SEGMENTS_MAX {
            return Err(bad(format!("a message of {count} segments")));
        }
        let mut at = (4 + 4 * count).next_multiple_of(WORD);
        let mut segments = vec![];
        for i in 0..count {
            let Some(words) = number(4 + 4 * i) else { return Ok(None) };
            let end = at.saturating_add(words.saturating_mul(WORD));
            if end > bytes_max {
                return Err(bad(format!("a message of more than {bytes_max} bytes")));
            }
            let Some(segment) = bytes.get(at..end) else { return Ok(None) };
            segments.push(segment);
            at = end;
        }
        let left = Cell::new(WORDS_MAX.max((at / WORD) as u64));
        Ok(Some((Message { segments, left }, at)))
    }

    /// The row's struct.
    pub fn root(&self) -> TextResult<StructAt> {
        match self.pointer(0, 0)? {
            Pointer::Struct(at) => Ok(at),
            Pointer::Null => Ok(StructAt::default()),
            Pointer::List(_) => Err(bad("the row is a list")),
        }
    }

    fn charge(&self, words: u64) -> TextResult<()> {
        let left = self.left.get().checked_sub(words.max(1));
        self.left.set(left.ok_or_else(|| bad("a message whose pointers say too much"))?);
        Ok(())
    }

    fn word(&self, segment: usize, at: usize) -> TextResult<u64> {
        let segment = self.segments.get(segment);
        let word = segment.and_then(|s| s.get(at..)).and_then(|b| b.first_chunk());
        word.map(|w| u64::from_le_bytes(*w)).ok_or_else(|| bad("a pointer lies outside"))
    }

    /// `words` from `at` plus an offset in words, if they lie within the segment.
    fn within(&self, segment: usize, at: usize, offset: i64, words: usize) -> TextResult<usize> {
        let start = (at as i64).checked_add(offset.saturating_mul(WORD as i64));
        let start = start.and_then(|s| usize::try_from(s).ok());
        let end = start.and_then(|s| s.checked_add(words.checked_mul(WORD)?));
        let length = self.segments.get(segment).map_or(0, |s| s.len());
        match (start, end) {
            (Some(start), Some(end)) if end <= length => {
                self.charge(words as u64)?;
                Ok(start)
            }
            _ => Err(bad("a pointer points outside of its segment")),
        }
    }

    fn pointer(&self, segment: usize, at: usize) -> TextResult<Pointer> {
        let word = self.word(segment, at)?;
        if word & 3 != 2 {
            return self.near(segment, at + WORD, word);
        }
        // To another segment, where a pointer stands, or one and the description of what it points to.
        let pad = (word >> 3 & 0x1fff_ffff) as usize * WORD;
        let pad_segment = (word >> 32) as usize;
        self.charge(1)?;
        let inner = self.word(pad_segment, pad)?;
        if word & 4 == 0 {
            return match inner & 3 {
                2 => Err(bad("a far pointer points to another")),
                _ => self.near(pad_segment, pad + WORD, inner),
            };
        }
        if inner & 7 != 2 {
            return Err(bad("a double far pointer is none"));
        }
        let tag = self.word(pad_segment, pad + WORD)?;
        let start = (inner >> 3 & 0x1fff_ffff) as usize * WORD;
        match tag & 3 {
            2 => Err(bad("a far pointer points to another")),
            _ => self.near((inner >> 32) as usize, start, tag & !0xffff_fffc),
        }
    }

    /// What a pointer says whose offset counts from `at`.
    fn near(&self, segment: usize, at: usize, word: u64) -> TextResult<Pointer> {
        if word == 0 {
            return Ok(Pointer::Null);
        }
        let offset = (word as u32 as i32 >> 2) as i64;
        if word & 3 == 0 {
            let data_words = (word >> 32 & 0xffff) as usize;
            let pointer_count = (word >> 48) as usize;
            let data = self.within(segment, at, offset, data_words + pointer_count)?;
            return Ok(Pointer::Struct(StructAt {
                segment,
                data,
                data_bytes: data_words * WORD,
                pointers: data + data_words * WORD,
                pointer_count,
            }));
        }
        if word & 3 != 1 {
            return Ok(Pointer::Null);
        }
        let count = (word >> 35) as usize;
        let (item, words) = match word >> 32 & 7 {
            0 => (Item::Data(0), 0),
            1 => (Item::Bit, count.div_ceil(64)),
            2 => (Item::Data(1), count.div_ceil(8)),
            3 => (Item::Data(2), count.div_ceil(4)),
            4 => (Item::Data(4), count.div_ceil(2)),
            5 => (Item::Data(8), count),
            6 => (Item::Pointer, count),
            _ => return self.composite(segment, at, offset, count),
        };
        let start = self.within(segment, at, offset, words)?;
        // Items of no bytes count, too.
        self.charge(if words == 0 { count as u64 } else { 0 })?;
        Ok(Pointer::List(ListAt { segment, start, count, item }))
    }

    /// A list of structs: a word that says their number and size, then they.
    fn composite(
        &self,
        segment: usize,
        at: usize,
        offset: i64,
        words: usize,
    ) -> TextResult<Pointer> {
        let start = self.within(segment, at, offset, words + 1)?;
        let tag = self.word(segment, start)?;
        let count = (tag as u32 >> 2) as usize;
        let (data, pointers) = ((tag >> 32 & 0xffff) as usize, (tag >> 48) as usize);
        if tag & 3 != 0 || count.saturating_mul(data + pointers) > words {
            return Err(bad("a list of structs is longer than it says"));
        }
        self.charge(count as u64)?;
        let item = Item::Struct(data, pointers);
        Ok(Pointer::List(ListAt { segment, start: start + WORD, count, item }))
    }

    /// The pointer of a struct at `index`.
    pub fn pointer_of(&self, of: StructAt, index: u32) -> TextResult<Pointer> {
        match (index as usize) < of.pointer_count {
            true => self.pointer(of.segment, of.pointers + index as usize * WORD),
            false => Ok(Pointer::Null),
        }
    }

    /// Data of a struct: 2^size bits at the offset of that many; zero behind its end.
    pub fn bits(&self, of: StructAt, size: usize, offset: u32) -> u64 {
        let bit = (offset as usize) << size;
        let bytes = (1usize << size).div_ceil(8);
        if bit / 8 + bytes > of.data_bytes {
            return 0;
        }
        self.load(of.segment, of.data + bit / 8, bytes) >> (bit % 8) & mask(size)
    }

    fn load(&self, segment: usize, at: usize, bytes: usize) -> u64 {
        let mut word = [0; WORD];
        let found = self.segments.get(segment).and_then(|s| s.get(at..at + bytes));
        word[..bytes].copy_from_slice(found.unwrap_or(&[0; WORD][..bytes]));
        u64::from_le_bytes(word)
    }

    /// Data of a list's item, of 2^size bits.
    pub fn item_bits(&self, list: &ListAt, index: usize, size: usize) -> u64 {
        match list.item {
            Item::Bit => {
                self.load(list.segment, list.start + index / 8, 1) >> (index % 8) & mask(size)
            }
            Item::Data(width) => {
                self.load(list.segment, list.start + index * width, width) & mask(size)
            }
            Item::Pointer => 0,
            Item::Struct(..) => self.bits(self.item_struct(list, index), size, 0),
        }
    }

    /// A list's item as a struct.
    pub fn item_struct(&self, list: &ListAt, index: usize) -> StructAt {
        let (data_bytes, pointer_count) = match list.item {
            Item::Bit => (0, 0),
            Item::Data(width) => (width, 0),
            Item::Pointer => (0, 1),
            Item::Struct(data, pointers) => (data * WORD, pointers),
        };
        let data = list.start + index * (data_bytes + pointer_count * WORD);
        let pointers = data + data_bytes;
        StructAt { segment: list.segment, data, data_bytes, pointers, pointer_count }
    }

    /// A list's item that is a list or a text.
    pub fn item_pointer(&self, list: &ListAt, index: usize) -> TextResult<Pointer> {
        self.pointer_of(self.item_struct(list, index), 0)
    }

    /// The bytes of a text (without its zero) or of data.
    pub fn bytes(&self, pointer: Pointer, is_text: bool) -> TextResult<&'a [u8]> {
        let list = match pointer {
            Pointer::Null => return Ok(b""),
            Pointer::List(list) if list.item == Item::Data(1) => list,
            _ => return Err(bad("a text was expected")),
        };
        let segment = self.segments.get(list.segment).copied().unwrap_or_default();
        let bytes = segment.get(list.start..list.start + list.count).unwrap_or_default();
        if !is_text {
            return Ok(bytes);
        }
        match bytes.split_last() {
            Some((0, text)) => Ok(text),
            _ => Err(bad("a text does not end with zero")),
        }
    }
}

fn mask(size: usize) -> u64 {
    if size >= 6 { u64::MAX } else { (1 << (1u32 << size)) - 1 }
}
