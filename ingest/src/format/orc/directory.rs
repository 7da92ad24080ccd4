//! What stands at an ORC file's end and at its stripes' ends: types, places and encodings.
//!
//! Only what can be true is let through: types form a tree whose children follow their parent, places lie
//! within the file.

use std::ops::Range;

use super::budget::Budget;
use super::packing::Packing;
use super::wire::{Field, Fields, Message, numbers};
use super::{Read, bad};

pub const MAGIC: &[u8] = b"ORC";
/// Types nest no deeper than this, and there are no more than this many.
const DEPTH_MAX: usize = 100;
const TYPES_MAX: usize = 100_000;

/// ORC's kinds of types, as they are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Boolean = 0,
    Byte,
    Short,
    Int,
    Long,
    Float,
    Double,
    String,
    Binary,
    Timestamp,
    List,
    Map,
    Struct,
    Union,
    Decimal,
    Date,
    Varchar,
    Char,
    Instant,
}

const KINDS: [Kind; 19] = [
    Kind::Boolean,
    Kind::Byte,
    Kind::Short,
    Kind::Int,
    Kind::Long,
    Kind::Float,
    Kind::Double,
    Kind::String,
    Kind::Binary,
    Kind::Timestamp,
    Kind::List,
    Kind::Map,
    Kind::Struct,
    Kind::Union,
    Kind::Decimal,
    Kind::Date,
    Kind::Varchar,
    Kind::Char,
    Kind::Instant,
];

/// A type of the file; its number is its place in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Type {
    pub kind: Kind,
    pub children: Vec<usize>,
    /// Of a struct's children.
    pub names: Vec<String>,
    pub length_max: u64,
    pub precision: u64,
    pub scale: u64,
}

impl Type {
    pub fn plain(kind: Kind) -> Type {
        let (children, names) = (vec![], vec![]);
        Type { kind, children, names, length_max: 0, precision: 0, scale: 0 }
    }
}

/// Where a stripe lies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stripe {
    pub offset: u64,
    pub index_bytes: u64,
    pub data_bytes: u64,
    pub footer_bytes: u64,
    pub rows: u64,
}

/// The end of a file.
#[derive(Debug)]
pub struct Directory {
    pub packing: Packing,
    pub types: Vec<Type>,
    pub stripes: Vec<Stripe>,
}

/// What a stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    Present = 0,
    Data,
    Length,
    Dictionary,
    Secondary = 5,
}

/// How a column's streams are encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Encoding {
    pub dictionary: bool,
    pub second_version: bool,
    pub dictionary_size: u64,
}

/// The end of a stripe.
#[derive(Debug, Default)]
pub struct StripeEnd {
    /// Column, content and place in the file.
    pub streams: Vec<(u64, Content, Range<usize>)>,
    pub encodings: Vec<Encoding>,
    pub zone: String,
}

impl Directory {
    pub fn read(file: &[u8]) -> Read<Directory> {
        let (length, rest) = file.split_last().ok_or_else(|| bad("the file is empty"))?;
        let (before, postscript) =
            rest.split_at_checked(rest.len().wrapping_sub(*length as usize)).ok_or_else(cut)?;
        let (mut footer_bytes, mut codec, mut chunk_bytes, mut magic) = (0, 0, 0, vec![]);
        let mut fields = Fields::new(postscript);
        while let Some((number, field)) = fields.next()? {
            match number {
                1 => footer_bytes = field.number()?,
                2 => codec = field.number()?,
                3 => chunk_bytes = field.number()?,
                8000 => magic = field.bytes()?.to_vec(),
                _ => {}
            }
        }
        if magic != MAGIC && !file.starts_with(MAGIC) {
            return Err(bad("this is no ORC file"));
        }
        let packing = Packing::of_numbers(codec, chunk_bytes)?;
        let footer = usize::try_from(footer_bytes)
            .ok()
            .and_then(|n| before.len().checked_sub(n))
            .and_then(|from| before.get(from..))
            .ok_or_else(cut)?;
        let footer = packing.unpack(footer, &mut Budget::new())?;
        let mut directory = Directory { packing, types: vec![], stripes: vec![] };
        let mut fields = Fields::new(&footer);
        while let Some((number, field)) = fields.next()? {
            match number {
                3 => directory.stripes.push(stripe(field)?),
                4 => directory.types.push(one_type(field)?),
                10 => return Err(bad("encrypted files are not supported")),
                _ => {}
            }
            if directory.types.len() > TYPES_MAX {
                return Err(bad(format!("more than {TYPES_MAX} types")));
            }
        }
        check_types(&directory.types)?;
        Ok(directory)
    }
}

#[cold]
fn cut() -> crate::format::ParseError {
    bad("the file ends before its directory")
}

fn stripe(field: Field<'_>) -> Read<Stripe> {
    let mut stripe = Stripe::default();
    let mut fields = Fields::new(field.bytes()?);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => stripe.offset = field.number()?,
            2 => stripe.index_bytes = field.number()?,
            3 => stripe.data_bytes = field.number()?,
            4 => stripe.footer_bytes = field.number()?,
            5 => stripe.rows = field.number()?,
            _ => {}
        }
    }
    Ok(stripe)
}

fn one_type(field: Field<'_>) -> Read<Type> {
    let mut found = Type::plain(Kind::Boolean);
    let mut children = vec![];
    let mut fields = Fields::new(field.bytes()?);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => {
                let kind = field.number()?;
                let known = usize::try_from(kind).ok().and_then(|k| KINDS.get(k));
                found.kind = *known.ok_or_else(|| bad(format!("unknown kind of type {kind}")))?;
            }
            2 => numbers(field, &mut children)?,
            3 => found.names.push(field.text()?),
            4 => found.length_max = field.number()?,
            5 => found.precision = field.number()?,
            6 => found.scale = field.number()?,
            _ => {}
        }
    }
    found.children = children.into_iter().map(|c| c as usize).collect();
    Ok(found)
}

/// Types form a tree: each but the first is the child of one that stands before it.
fn check_types(types: &[Type]) -> Read<()> {
    let mut depths: Vec<Option<usize>> = vec![None; types.len()];
    match types.first() {
        Some(first) if first.kind == Kind::Struct => depths[0] = Some(0),
        _ => return Err(bad("the rows are no struct")),
    }
    for (id, one) in types.iter().enumerate() {
        let Some(depth) = depths[id] else { return Err(bad(format!("type {id} has no parent"))) };
        let wanted = match one.kind {
            Kind::List => 1..=1,
            Kind::Map => 2..=2,
            Kind::Struct => one.names.len()..=one.names.len(),
            Kind::Union => 1..=256,
            _ => 0..=0,
        };
        if !wanted.contains(&one.children.len()) || depth > DEPTH_MAX {
            return Err(bad(format!("type {id} has the wrong children, or is too deep")));
        }
        for child in &one.children {
            match depths.get_mut(*child) {
                Some(slot @ None) if *child > id => *slot = Some(depth + 1),
                _ => return Err(bad(format!("type {child} is no child of {id}"))),
            }
        }
    }
    Ok(())
}

impl StripeEnd {
    /// The end of `stripe`, which lies in `file`.
    pub fn read(
        file: &[u8],
        stripe: &Stripe,
        packing: &Packing,
        budget: &mut Budget,
    ) -> Read<StripeEnd> {
        let data = stripe.offset.saturating_add(stripe.index_bytes);
        let place = |from: u64, length: u64| -> Read<Range<usize>> {
            let end = from.checked_add(length).filter(|end| *end <= file.len() as u64);
            let end = end.ok_or_else(|| bad("a stripe lies outside of the file"))?;
            Ok(from as usize..end as usize)
        };
        let footer = place(data.saturating_add(stripe.data_bytes), stripe.footer_bytes)?;
        let footer = packing.unpack(&file[footer], budget)?;
        let mut end = StripeEnd::default();
        let mut at = stripe.offset;
        let mut fields = Fields::new(&footer);
        while let Some((number, field)) = fields.next()? {
            match number {
                1 => {
                    let (kind, column, length) = stream(field)?;
                    let place = place(at, length)?;
                    at += length;
                    if let Some(content) = kind {
                        end.streams.push((column, content, place));
                    }
                }
                2 => end.encodings.push(encoding(field)?),
                3 => end.zone = field.text()?,
                _ => {}
            }
        }
        end.streams.sort_by_key(|(column, content, _)| (*column, *content as u8));
        Ok(end)
    }

    /// Where a stream lies in the file.
    pub fn place(&self, column: usize, content: Content) -> Option<Range<usize>> {
        let key = (column as u64, content as u8);
        let at = self.streams.binary_search_by_key(&key, |(c, k, _)| (*c, *k as u8)).ok()?;
        Some(self.streams[at].2.clone())
    }
}

fn stream(field: Field<'_>) -> Read<(Option<Content>, u64, u64)> {
    let (mut kind, mut column, mut length) = (0, 0, 0);
    let mut fields = Fields::new(field.bytes()?);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => kind = field.number()?,
            2 => column = field.number()?,
            3 => length = field.number()?,
            _ => {}
        }
    }
    let content = match kind {
        0 => Some(Content::Present),
        1 => Some(Content::Data),
        2 => Some(Content::Length),
        3 => Some(Content::Dictionary),
        5 => Some(Content::Secondary),
        9 | 10 => return Err(bad("encrypted columns are not supported")),
        _ => None,
    };
    Ok((content, column, length))
}

fn encoding(field: Field<'_>) -> Read<Encoding> {
    let mut found = Encoding::default();
    let mut fields = Fields::new(field.bytes()?);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => {
                let kind = field.number()?;
                if kind > 3 {
                    return Err(bad(format!("unknown encoding {kind}")));
                }
                (found.dictionary, found.second_version) = (kind & 1 == 1, kind & 2 == 2);
            }
            2 => found.dictionary_size = field.number()?,
            _ => {}
        }
    }
    Ok(found)
}

impl Type {
    /// As it stands in the footer.
    pub fn message(&self) -> Message {
        let mut m = Message::default();
        m.number(1, self.kind as u64);
        if !self.children.is_empty() {
            m.packed(2, self.children.iter().map(|c| *c as u64));
        }
        self.names.iter().for_each(|name| {
            m.bytes(3, name.as_bytes());
        });
        if self.kind == Kind::Decimal {
            m.number(5, self.precision).number(6, self.scale);
        }
        m
    }
}

impl Stripe {
    pub fn message(&self) -> Message {
        let mut m = Message::default();
        m.number(1, self.offset).number(2, self.index_bytes).number(3, self.data_bytes);
        m.number(4, self.footer_bytes).number(5, self.rows);
        m
    }
}
