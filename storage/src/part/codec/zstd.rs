//! ZSTD: one frame. Level as in Zstandard (0: its default; above 2^63 negative, the fast ones).
//!
//! A thread keeps one context each way for the low levels; what the high ones need is too large to keep.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

use super::declare::{Argument, refuse, unsigned};
use super::{Codec, Parameters, Role, Settled};
use crate::error::Result;
use crate::part::wire::{Decoded, Malformed};
use crate::types::DataType;

pub(super) struct Zstd;

const LEVEL_MAX: u64 = 22;
/// The greatest level whose context is kept.
const LEVEL_KEPT_MAX: i32 = 6;

/// A context and its level.
type Kept = Option<(i32, Compressor<'static>)>;

thread_local! {
    static COMPRESSOR: RefCell<Kept> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

impl Codec for Zstd {
    fn name(&self) -> &'static str {
        "ZSTD"
    }

    fn id(&self) -> u8 {
        3
    }

    fn role(&self) -> Role {
        Role::Generic
    }

    fn settle(&self, arguments: &[Argument], _leaf: &DataType) -> Result<Settled> {
        if arguments.len() > 2 {
            let given = arguments.len();
            return Err(refuse(
                431,
                format!("ZSTD codec must have 1 or 2 parameters, given {given}"),
            ));
        }
        let level = arguments.first().map_or(Ok(1), unsigned)?;
        if level as i64 > LEVEL_MAX as i64 {
            let message = format!("ZSTD codec can't have level more than 22, given {level}");
            return Err(refuse(433, message));
        }
        // The window of the second argument would change nothing: a payload is one granule.
        let text = match arguments.get(1) {
            Some(window) => format!("({level}, {})", unsigned(window)?),
            None => format!("({level})"),
        };
        Ok(Settled { text, width: 0, level: (level as i64).max(i8::MIN as i64) as i8 })
    }

    fn encode(&self, parameters: Parameters, bytes: &[u8], out: &mut Vec<u8>) {
        if !compress(parameters.level as i32, bytes, out) {
            // Not reached with levels that were settled; an empty frame is refused on reading.
            debug_assert!(false, "zstd did not compress");
        }
    }

    fn decode(&self, _parameters: Parameters, stored: &[u8], out: &mut [u8]) -> Decoded<()> {
        decompress(stored, out)
    }
}

/// Appends one frame; false if the library would not.
pub(crate) fn compress(level: i32, bytes: &[u8], out: &mut Vec<u8>) -> bool {
    COMPRESSOR.with_borrow_mut(|kept| {
        if kept.as_ref().is_none_or(|(of, _)| *of != level) {
            *kept = new_context(level);
        }
        let Some((_, context)) = kept else { return false };
        let first = out.len();
        out.resize(first + zstd::zstd_safe::compress_bound(bytes.len()), 0);
        let written = context.compress_to_buffer(bytes, &mut out[first..]);
        if level > LEVEL_KEPT_MAX {
            *kept = None;
        }
        match written {
            Ok(written) => {
                out.truncate(first + written);
                true
            }
            Err(_) => {
                out.truncate(first);
                false
            }
        }
    })
}

fn new_context(level: i32) -> Kept {
    let mut context = Compressor::new(level).ok()?;
    // The length is known from outside.
    context.include_contentsize(false).ok()?;
    Some((level, context))
}

/// Fills `out` from one frame.
pub(crate) fn decompress(stored: &[u8], out: &mut [u8]) -> Decoded<()> {
    DECOMPRESSOR.with_borrow_mut(|kept| {
        let context = match kept {
            Some(context) => context,
            none => none.insert(Decompressor::new().map_err(|_| Malformed("memory for ZSTD"))?),
        };
        match context.decompress_to_buffer(stored, out) {
            Ok(written) if written == out.len() => Ok(()),
            _ => Err(Malformed("a ZSTD frame")),
        }
    })
}
