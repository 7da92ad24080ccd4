//! Skip indexes: what an index type is, and the summaries that are kept of each run of granules.
//!
//! `minmax`, `set(n)`, `bloom_filter(p)`, `ngrambf_v1` and `tokenbf_v1`. A summary may say that a value
//! might be there when it is not, never the other way round. `text` is accepted and kept in the
//! definition, but nothing is written for it. Writing is in `skip_index_write`, reading in
//! `skip_index_read`.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::Error;
use crate::log::IndexDefinition;
use crate::scan::Piece;
use crate::types::DataType;

/// ClickHouse's codes for definitions that make no sense.
const BAD_ARGUMENTS: u32 = 36;
const ILLEGAL_COLUMN: u32 = 44;
const INCORRECT_QUERY: u32 = 80;

/// A filter of fixed size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FilterShape {
    pub(crate) bytes: usize,
    pub(crate) hashes: u8,
    pub(crate) seed: u64,
}

/// An index type with its arguments.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum SkipKind {
    MinMax,
    /// The distinct values, if they are no more than this (0: any number).
    Set(usize),
    /// A filter over values (or elements of arrays) with this share of false positives.
    Bloom(f64),
    /// A filter over runs of so many bytes.
    Ngrams(usize, FilterShape),
    /// A filter over words.
    Words(FilterShape),
    /// Known, and without effect.
    Nothing,
}

fn refuse<T>(code: u32, message: impl Into<String>) -> Result<T, Error> {
    Err(Error::Expression { code, message: message.into() })
}

impl SkipKind {
    /// Reads `set(100)` and the like.
    pub(crate) fn parse(text: &str) -> Result<SkipKind, Error> {
        let text = text.trim();
        let (name, arguments) = match text.split_once('(') {
            Some((name, rest)) => (name.trim(), rest.trim_end().trim_end_matches(')')),
            None => (text, ""),
        };
        let arguments: Vec<&str> =
            arguments.split(',').map(str::trim).filter(|a| !a.is_empty()).collect();
        match name {
            "minmax" => Ok(SkipKind::MinMax),
            "set" => match arguments.as_slice() {
                [n] => match n.parse::<usize>() {
                    Ok(n) => Ok(SkipKind::Set(n)),
                    Err(_) => refuse(INCORRECT_QUERY, "Set index argument must be positive."),
                },
                _ => refuse(INCORRECT_QUERY, "Set index must have exactly one argument"),
            },
            "bloom_filter" => bloom(&arguments),
            "ngrambf_v1" => match numbers(&arguments, 4, "ngrambf")?.as_slice() {
                [n, shape @ ..] if (1..=64).contains(n) => {
                    Ok(SkipKind::Ngrams(*n as usize, shape_of(shape)?))
                }
                _ => refuse(BAD_ARGUMENTS, "The length of ngrams must be 1 to 64"),
            },
            "tokenbf_v1" => Ok(SkipKind::Words(shape_of(&numbers(&arguments, 3, "tokenbf")?)?)),
            "text" => Ok(SkipKind::Nothing),
            "hypothesis" | "vector_similarity" | "sparse_grams" => {
                refuse(48, format!("Indexes of type {name} are not supported"))
            }
            other => refuse(
                INCORRECT_QUERY,
                format!(
                    "Unknown Index type '{other}'. Available index types: text, bloom_filter, \
                     tokenbf_v1, ngrambf_v1, set, minmax"
                ),
            ),
        }
    }

    /// Whether a column of that type can be indexed.
    pub(crate) fn check_type(&self, data_type: &DataType) -> Result<(), Error> {
        let inner = match data_type.inner() {
            DataType::Array(item) => item.inner(),
            other => other,
        };
        match self {
            SkipKind::Bloom(_) => match inner {
                DataType::Map(..) | DataType::Tuple(_) | DataType::Array(_) => refuse(
                    ILLEGAL_COLUMN,
                    format!("Unexpected type {data_type} of bloom filter index"),
                ),
                _ => Ok(()),
            },
            SkipKind::Ngrams(..) | SkipKind::Words(_) if !inner.is_string() => refuse(
                BAD_ARGUMENTS,
                "Ngram and token bloom filter indexes can only be used with column types \
                 `String`, `FixedString`, `LowCardinality(String)`, `LowCardinality(FixedString)`, \
                 `Array(String)` or `Array(FixedString)`",
            ),
            _ => Ok(()),
        }
    }
}

fn bloom(arguments: &[&str]) -> Result<SkipKind, Error> {
    let share = match arguments {
        [] => Some(0.025),
        [text] => text.parse::<f64>().ok(),
        _ => return refuse(BAD_ARGUMENTS, "BloomFilter index cannot have more than one parameter"),
    };
    match share {
        Some(share) if share > 0.0 && share < 1.0 => Ok(SkipKind::Bloom(share)),
        _ => refuse(
            BAD_ARGUMENTS,
            "The BloomFilter false positive must be a double number between 0 and 1",
        ),
    }
}

fn numbers(arguments: &[&str], count: usize, name: &str) -> Result<Vec<u64>, Error> {
    if arguments.len() != count {
        return refuse(
            BAD_ARGUMENTS,
            format!("`{name}` index must have exactly {count} arguments"),
        );
    }
    let parsed: Option<Vec<u64>> = arguments.iter().map(|a| a.parse().ok()).collect();
    match parsed {
        Some(numbers) => Ok(numbers),
        None => refuse(BAD_ARGUMENTS, format!("Arguments of `{name}` index must be unsigned")),
    }
}

fn shape_of(numbers: &[u64]) -> Result<FilterShape, Error> {
    match numbers {
        [bytes @ 1..=67_108_864, hashes @ 1..=64, seed] => {
            Ok(FilterShape { bytes: *bytes as usize, hashes: *hashes as u8, seed: *seed })
        }
        _ => refuse(BAD_ARGUMENTS, "A filter has 1 byte to 64 MiB and 1 to 64 hash functions"),
    }
}

/// The columns of an index of a definition.
pub fn index_columns(index: &IndexDefinition) -> Vec<String> {
    expressions_of(&index.expression)
}

/// The columns of an index: `(a, b)` has two.
pub(crate) fn expressions_of(text: &str) -> Vec<String> {
    let text = text.trim();
    let inner = text
        .strip_prefix('(')
        .or(text.strip_prefix("tuple("))
        .filter(|rest| rest.ends_with(')') && pieces(&rest[..rest.len() - 1]).is_some());
    match inner.and_then(|rest| pieces(&rest[..rest.len() - 1])) {
        Some(found) => found,
        None => vec![text.to_string()],
    }
}

/// Splits at commas outside of brackets and quotes; None if the brackets do not match.
fn pieces(text: &str) -> Option<Vec<String>> {
    let (mut depth, mut quote, mut escaped) = (0i32, None, false);
    let (mut found, mut piece) = (vec![], String::new());
    for c in text.chars() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '`' | '"') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth -= 1,
            (None, ',') if depth == 0 => {
                found.push(std::mem::take(&mut piece).trim().to_string());
                continue;
            }
            _ => {}
        }
        if depth < 0 {
            return None;
        }
        piece.push(c);
    }
    found.push(piece.trim().to_string());
    Some(found)
}

/// A filter for these distinct hashes: how many bits each sets, and the bits.
pub(crate) fn filter_for_share(hashes: &[u64], share: f64) -> Vec<u8> {
    let bits_each = -share.ln() / (std::f64::consts::LN_2 * std::f64::consts::LN_2);
    let bytes = ((hashes.len() as f64 * bits_each / 8.0).ceil() as usize).max(8);
    let count = ((bits_each * std::f64::consts::LN_2).round() as u8).clamp(1, 16);
    filter(hashes, bytes, count)
}

pub(crate) fn filter(hashes: &[u64], bytes: usize, count: u8) -> Vec<u8> {
    let mut out = vec![0; bytes + 1];
    out[0] = count;
    for hash in hashes {
        for bit in bits(*hash, count, bytes) {
            out[1 + bit / 8] |= 1 << (bit % 8);
        }
    }
    out
}

/// Whether something of that hash may be in the filter.
pub(crate) fn filter_may_hold(filter: &[u8], hash: u64) -> bool {
    match filter.split_first() {
        Some((count, set)) if !set.is_empty() => {
            bits(hash, *count, set.len()).all(|bit| set[bit / 8] & (1 << (bit % 8)) != 0)
        }
        _ => true,
    }
}

fn bits(hash: u64, count: u8, bytes: usize) -> impl Iterator<Item = usize> {
    let step = hash.rotate_left(32) | 1;
    let size = bytes as u64 * 8;
    (0..count as u64).map(move |i| (hash.wrapping_add(i.wrapping_mul(step)) % size) as usize)
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}

/// The words of a text, with whether each touches its start and its end.
fn words(text: &[u8]) -> impl Iterator<Item = (&[u8], bool, bool)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let from = at + text[at..].iter().position(|b| is_word_byte(*b))?;
        let to =
            text[from..].iter().position(|b| !is_word_byte(*b)).map_or(text.len(), |n| from + n);
        at = to;
        Some((&text[from..to], from == 0, to == text.len()))
    })
}

impl SkipKind {
    /// Hashes of all runs or words of a text; None if the index is not one over texts.
    pub(crate) fn text_hashes(&self, text: &[u8], out: &mut Vec<u64>) {
        match self {
            SkipKind::Ngrams(n, shape) => {
                out.extend(text.windows(*n).map(|run| xxh3_64_with_seed(run, shape.seed)));
            }
            SkipKind::Words(shape) => {
                out.extend(words(text).map(|(word, ..)| xxh3_64_with_seed(word, shape.seed)));
            }
            _ => {}
        }
    }

    /// Hashes that a text with this piece has for certain.
    pub(crate) fn piece_hashes(&self, piece: &Piece, out: &mut Vec<u64>) {
        match (self, piece) {
            (SkipKind::Ngrams(..), Piece::Bytes { bytes, .. } | Piece::Word(bytes)) => {
                self.text_hashes(bytes, out);
            }
            (SkipKind::Words(_), Piece::Word(word)) => self.text_hashes(word, out),
            (SkipKind::Words(shape), Piece::Bytes { bytes, from_start, to_end }) => {
                let whole = words(bytes)
                    .filter(|(_, first, last)| (!first || *from_start) && (!last || *to_end));
                out.extend(whole.map(|(word, ..)| xxh3_64_with_seed(word, shape.seed)));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_split_at_the_top() {
        assert_eq!(expressions_of("a"), ["a"]);
        assert_eq!(expressions_of("(a, f(b, ','))"), ["a", "f(b, ',')"]);
        assert_eq!(expressions_of("(a + b) * (c + d)"), ["(a + b) * (c + d)"]);
    }

    #[test]
    fn a_filter_holds_what_was_put_in_and_little_else() {
        let hash = |n: u64| xxh3_64_with_seed(&n.to_le_bytes(), 0);
        let hashes: Vec<u64> = (0..1000).map(hash).collect();
        let filter = filter_for_share(&hashes, 0.01);
        assert!(hashes.iter().all(|h| filter_may_hold(&filter, *h)));
        let wrong = (1000..11_000).filter(|n| filter_may_hold(&filter, hash(*n))).count();
        assert!(wrong < 200, "{wrong} of 10000");
    }

    #[test]
    fn words_at_the_edge_of_a_piece_may_be_cut() {
        let kind = SkipKind::parse("tokenbf_v1(64, 2, 0)").unwrap();
        let count = |from_start, to_end| {
            let mut out = vec![];
            let bytes = b"ab cd ef".to_vec();
            kind.piece_hashes(&Piece::Bytes { bytes, from_start, to_end }, &mut out);
            out.len()
        };
        assert_eq!((count(false, false), count(true, false), count(true, true)), (1, 2, 3));
    }
}
