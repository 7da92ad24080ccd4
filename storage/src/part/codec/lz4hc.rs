//! LZ4HC: the LZ4 block format, with matches searched along hash chains. The level is how far a chain
//! is followed (0 stands for 9, 12 is the most). Any LZ4 decoder reads it.

use super::declare::{Argument, at_most, unsigned};
use super::{Codec, Parameters, Role, Settled, lz4};
use crate::error::Result;
use crate::part::wire::Decoded;
use crate::types::DataType;

pub(super) struct Lz4Hc;

const LEVEL_DEFAULT: i8 = 9;
const LEVEL_MAX: i8 = 12;
const HASH_BITS: u32 = 15;
/// How far back a match may lie.
const DISTANCE_MAX: usize = 65_535;
const MATCH_MIN: usize = 4;
/// The format wants the last bytes as literals, and no match to begin among the last twelve.
const LITERALS_LAST: usize = 5;
const MATCH_START_LAST: usize = 12;

impl Codec for Lz4Hc {
    fn name(&self) -> &'static str {
        "LZ4HC"
    }

    fn id(&self) -> u8 {
        2
    }

    fn role(&self) -> Role {
        Role::Generic
    }

    fn settle(&self, arguments: &[Argument], _leaf: &DataType) -> Result<Settled> {
        at_most(self.name(), 1, arguments)?;
        let level = arguments.first().map_or(Ok(0), unsigned)?;
        let settled = level.min(i8::MAX as u64) as i8;
        Ok(Settled { text: format!("({level})"), width: 0, level: settled })
    }

    fn encode(&self, parameters: Parameters, bytes: &[u8], out: &mut Vec<u8>) {
        compress(parameters.level, bytes, out);
    }

    fn decode(&self, _parameters: Parameters, stored: &[u8], out: &mut [u8]) -> Decoded<()> {
        lz4::decode(stored, out)
    }
}

/// Appends one LZ4 block.
pub(crate) fn compress(level: i8, bytes: &[u8], out: &mut Vec<u8>) {
    let level = match level {
        0 => LEVEL_DEFAULT,
        level => level.clamp(1, LEVEL_MAX),
    };
    Search::new(bytes, 1 << (level - 1)).compress(out);
}

/// The positions of a block by the hash of four bytes, newest first.
struct Search<'a> {
    bytes: &'a [u8],
    /// Newest position plus one per hash.
    heads: Vec<u32>,
    /// The position plus one before each position, of the same hash.
    chain: Vec<u32>,
    inserted: usize,
    attempts: usize,
}

#[derive(Clone, Copy, Default)]
struct Match {
    at: usize,
    from: usize,
    length: usize,
}

impl<'a> Search<'a> {
    fn new(bytes: &'a [u8], attempts: usize) -> Search<'a> {
        let heads = vec![0; 1 << HASH_BITS];
        Search { bytes, heads, chain: vec![0; bytes.len()], inserted: 0, attempts }
    }

    fn four(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().expect("four bytes"))
    }

    fn insert_up_to(&mut self, end: usize) {
        while self.inserted < end {
            let at = self.inserted;
            let hash = (self.four(at).wrapping_mul(2_654_435_761) >> (32 - HASH_BITS)) as usize;
            self.chain[at] = self.heads[hash];
            self.heads[hash] = at as u32 + 1;
            self.inserted += 1;
        }
    }

    /// The longest match for the bytes at `at`, of at least `least` bytes.
    fn longest(&mut self, at: usize, least: usize) -> Option<Match> {
        self.insert_up_to(at + 1);
        let limit = self.bytes.len() - LITERALS_LAST;
        let mut best = Match { at, from: 0, length: least - 1 };
        let mut next = self.chain[at];
        for _ in 0..self.attempts {
            let Some(from) = (next as usize).checked_sub(1) else { break };
            if at - from > DISTANCE_MAX {
                break;
            }
            let reach = at + best.length;
            if reach < limit && self.bytes[from + best.length] == self.bytes[reach] {
                let length = common(&self.bytes[from..], &self.bytes[at..limit]);
                if length > best.length {
                    best = Match { at, from, length };
                }
            }
            next = self.chain[from];
        }
        (best.length >= least).then_some(best)
    }

    fn compress(mut self, out: &mut Vec<u8>) {
        let (mut at, mut anchor) = (0, 0);
        let last = self.bytes.len().saturating_sub(MATCH_START_LAST);
        while at < last {
            let Some(mut found) = self.longest(at, MATCH_MIN) else {
                at += 1;
                continue;
            };
            // A longer match that begins a byte later is worth a literal.
            while found.at + 1 < last {
                let Some(later) = self.longest(found.at + 1, found.length + 1) else { break };
                found = later;
            }
            put_sequence(&self.bytes[anchor..found.at], Some(found), out);
            at = found.at + found.length;
            anchor = at;
            self.insert_up_to(at.min(last));
        }
        put_sequence(&self.bytes[anchor..], None, out);
    }
}

fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

/// Literals and the match behind them; the last sequence has none.
fn put_sequence(literals: &[u8], found: Option<Match>, out: &mut Vec<u8>) {
    let matched = found.map_or(0, |m| m.length - MATCH_MIN);
    out.push((literals.len().min(15) << 4 | matched.min(15)) as u8);
    put_length(literals.len(), out);
    out.extend_from_slice(literals);
    if let Some(m) = found {
        out.extend_from_slice(&((m.at - m.from) as u16).to_le_bytes());
        put_length(matched, out);
    }
}

/// What of a length does not fit the token.
fn put_length(length: usize, out: &mut Vec<u8>) {
    if let Some(mut rest) = length.checked_sub(15) {
        while rest >= 255 {
            out.push(255);
            rest -= 255;
        }
        out.push(rest as u8);
    }
}
