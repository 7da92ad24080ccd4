//! The bytes of one JSON object: its paths in order and the Dynamic of each.
//!
//! u32 paths; per path the u32 ends of its name and of its value; all names; all values. No paths are no
//! bytes at all. A declared path is always there, with its declared type. Finding a path is a binary search.

use super::{declared_of, type_code, value_code};
use crate::block::default_value;
use crate::types::JsonType;

/// Collects the paths of an object.
#[derive(Default)]
pub struct ObjectBuilder {
    paths: Vec<(Vec<u8>, Vec<u8>)>,
}

impl ObjectBuilder {
    pub fn new() -> ObjectBuilder {
        ObjectBuilder::default()
    }

    /// Adds a path; order does not matter.
    pub fn push(&mut self, path: Vec<u8>, value: Vec<u8>) {
        self.paths.push((path, value));
    }

    pub fn len(&self) -> usize {
        self.paths.len()
    }

    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Sorts the paths; the first that stands twice is the error.
    pub fn sort(&mut self) -> Result<(), Vec<u8>> {
        self.paths.sort_by(|a, b| a.0.cmp(&b.0));
        match self.paths.windows(2).find(|w| w[0].0 == w[1].0) {
            Some(twice) => Err(twice[0].0.clone()),
            None => Ok(()),
        }
    }

    /// Keeps the first of paths that stand twice.
    pub fn sort_and_drop_later(&mut self) {
        self.paths.sort_by(|a, b| a.0.cmp(&b.0));
        self.paths.dedup_by(|later, first| later.0 == first.0);
    }

    /// Adds the declared paths that are missing, with their defaults. Paths must be sorted.
    pub fn add_declared(&mut self, json: &JsonType) {
        for (path, data_type) in &json.typed {
            let place = self.paths.binary_search_by(|(p, _)| p.as_slice().cmp(path.as_bytes()));
            if let Err(at) = place {
                let value = declared_of(data_type, &default_value(data_type));
                self.paths.insert(at, (path.clone().into_bytes(), value));
            }
        }
    }

    /// The object's bytes. Paths must be sorted.
    pub fn finish(&self) -> Vec<u8> {
        let mut out = vec![];
        put_sorted(self.paths.iter().map(|(p, v)| (&p[..], &v[..])), &mut out);
        out
    }
}

/// Appends the bytes of an object of these paths, which are in order.
pub fn put_sorted<'a>(
    paths: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    out: &mut Vec<u8>,
) {
    let count = paths.clone().count();
    if count == 0 {
        return;
    }
    out.extend((count as u32).to_le_bytes());
    let (mut name_end, mut value_end) = (0u32, 0u32);
    for (path, value) in paths.clone() {
        name_end += path.len() as u32;
        value_end += value.len() as u32;
        out.extend(name_end.to_le_bytes());
        out.extend(value_end.to_le_bytes());
    }
    paths.clone().for_each(|(path, _)| out.extend_from_slice(path));
    paths.for_each(|(_, value)| out.extend_from_slice(value));
}

/// The bytes of an object that says nothing: declared paths at their defaults.
pub fn empty(json: &JsonType) -> Vec<u8> {
    let mut builder = ObjectBuilder::new();
    builder.add_declared(json);
    builder.finish()
}

/// An object's bytes, checked as far as needed to walk them.
#[derive(Clone, Copy)]
pub struct Object<'a> {
    ends: &'a [u8],
    names: &'a [u8],
    values: &'a [u8],
}

impl<'a> Object<'a> {
    /// None if the bytes are damaged.
    pub fn open(bytes: &'a [u8]) -> Option<Object<'a>> {
        if bytes.is_empty() {
            return Some(Object { ends: &[], names: &[], values: &[] });
        }
        let (count, rest) = bytes.split_first_chunk::<4>()?;
        let count = u32::from_le_bytes(*count) as usize;
        let (ends, rest) = rest.split_at_checked(count.checked_mul(8)?)?;
        let mut object = Object { ends, names: rest, values: &[] };
        let names = object.end(count.checked_sub(1)?, 0) as usize;
        (object.names, object.values) = rest.split_at_checked(names)?;
        Some(object)
    }

    /// An object whose bytes count as empty if they are damaged.
    pub fn of(bytes: &'a [u8]) -> Object<'a> {
        Object::open(bytes).unwrap_or(Object { ends: &[], names: &[], values: &[] })
    }

    fn end(&self, at: usize, which: usize) -> u32 {
        let place = at * 8 + which * 4;
        self.ends.get(place..place + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }

    pub fn len(&self) -> usize {
        self.ends.len() / 8
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn piece(&self, at: usize, which: usize, bytes: &'a [u8]) -> &'a [u8] {
        let from = if at == 0 { 0 } else { self.end(at - 1, which) as usize };
        bytes.get(from..self.end(at, which) as usize).unwrap_or_default()
    }

    pub fn path(&self, at: usize) -> &'a [u8] {
        self.piece(at, 0, self.names)
    }

    /// The bytes of a Dynamic, or of a value of a declared type.
    pub fn value(&self, at: usize) -> &'a [u8] {
        self.piece(at, 1, self.values)
    }

    /// Paths and values in order.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone {
        (0..self.len()).map(move |i| (self.path(i), self.value(i)))
    }

    /// Where the first path stands that is not below `path`.
    fn lower_bound(&self, path: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            if self.path(middle) < path { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// The Dynamic at `path`; None if the object does not have it.
    pub fn find(&self, path: &[u8]) -> Option<&'a [u8]> {
        let at = self.lower_bound(path);
        (at < self.len() && self.path(at) == path).then(|| self.value(at))
    }

    /// Appends the object of what is below `path`: paths without that and the point behind it.
    pub fn put_below(&self, path: &[u8], out: &mut Vec<u8>) {
        let mut prefix = path.to_vec();
        prefix.push(b'.');
        let from = self.lower_bound(&prefix);
        let below = (from..self.len())
            .map(|i| (self.path(i), self.value(i)))
            .take_while(|(p, _)| p.starts_with(&prefix))
            .map(|(p, v)| (&p[prefix.len()..], v));
        put_sorted(below, out);
    }

    /// Whether anything is below `path`.
    pub fn has_below(&self, path: &[u8]) -> bool {
        let mut prefix = path.to_vec();
        prefix.push(b'.');
        let at = self.lower_bound(&prefix);
        at < self.len() && self.path(at).starts_with(&prefix)
    }
}

/// Whether bytes are an object of well-formed values: for what comes from outside.
pub fn is_sound(bytes: &[u8]) -> bool {
    let Some(object) = Object::open(bytes) else { return false };
    object.iter().all(|(_, value)| {
        let mut rest = value;
        type_code::take(&mut rest)
            .and_then(|t| value_code::take(&t, &mut rest))
            .is_some_and(|_| rest.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_time::dynamic_of;
    use crate::types::{DataType, Value};

    #[test]
    fn paths_are_found() {
        let mut builder = ObjectBuilder::new();
        let number = |n| dynamic_of(&DataType::Int64, &Value::Int(n)).unwrap();
        for (path, n) in [("b.c", 2), ("a", 1), ("b.d", 3), ("bb", 4)] {
            builder.push(path.as_bytes().to_vec(), number(n));
        }
        builder.sort().unwrap();
        let bytes = builder.finish();
        let object = Object::open(&bytes).unwrap();
        assert_eq!(object.find(b"b.d"), Some(&number(3)[..]));
        assert_eq!(object.find(b"b"), None);
        let mut below = vec![];
        object.put_below(b"b", &mut below);
        let paths: Vec<_> = Object::of(&below).iter().map(|(p, _)| p.to_vec()).collect();
        assert_eq!(paths, [b"c".to_vec(), b"d".to_vec()]);
        assert!(is_sound(&bytes));
        for cut in 1..bytes.len() {
            assert!(!is_sound(&bytes[..cut]));
        }
    }
}
