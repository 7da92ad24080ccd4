//! The words of the log's binary form: bytes, varints, texts, lists. Little-endian throughout.
//!
//! Reading takes any bytes: what does not make sense is a [`WireError`] with its place, never a panic,
//! and no allocation is larger than what the bytes at hand could fill.

use uuid::Uuid;

/// Where and why bytes could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireError {
    pub position: usize,
    pub what: String,
}

pub type WireResult<T> = Result<T, WireError>;

/// Appends values to a buffer.
#[derive(Debug, Default)]
pub struct Writer {
    pub bytes: Vec<u8>,
}

impl Writer {
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub fn bool(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    /// LEB128: seven bits a byte, low ones first.
    pub fn uint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.u8(value as u8);
    }

    /// Zigzag, then LEB128.
    pub fn int(&mut self, value: i64) {
        self.uint(((value << 1) ^ (value >> 63)) as u64);
    }

    /// Eight bytes as they are; for hashes.
    pub fn fixed_u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub fn uuid(&mut self, value: &Uuid) {
        self.bytes.extend_from_slice(value.as_bytes());
    }

    pub fn text(&mut self, value: &str) {
        self.uint(value.len() as u64);
        self.bytes.extend_from_slice(value.as_bytes());
    }

    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.bool(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub fn list<I>(&mut self, items: I, mut write: impl FnMut(&mut Self, I::Item))
    where
        I: IntoIterator<IntoIter: ExactSizeIterator>,
    {
        let items = items.into_iter();
        self.uint(items.len() as u64);
        for item in items {
            write(self, item);
        }
    }
}

/// Takes values from bytes.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    /// The payload's format number, once it has been read.
    pub format: u8,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, position: 0, format: 0 }
    }

    pub fn error<T>(&self, what: impl Into<String>) -> WireResult<T> {
        Err(WireError { position: self.position, what: what.into() })
    }

    pub fn is_at_end(&self) -> bool {
        self.position == self.bytes.len()
    }

    /// Fails unless everything was read.
    pub fn end(&self) -> WireResult<()> {
        if self.is_at_end() {
            return Ok(());
        }
        self.error(format!("{} bytes too many", self.bytes.len() - self.position))
    }

    fn take(&mut self, count: usize) -> WireResult<&'a [u8]> {
        let rest = &self.bytes[self.position..];
        if rest.len() < count {
            return self.error(format!("{count} bytes expected, {} left", rest.len()));
        }
        self.position += count;
        Ok(&rest[..count])
    }

    fn array<const N: usize>(&mut self) -> WireResult<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub fn u8(&mut self) -> WireResult<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub fn bool(&mut self) -> WireResult<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => self.error(format!("{other} is neither true nor false")),
        }
    }

    pub fn uint(&mut self) -> WireResult<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        self.error("a number of more than 64 bits")
    }

    pub fn u32(&mut self) -> WireResult<u32> {
        let value = self.uint()?;
        u32::try_from(value).or_else(|_| self.error(format!("{value} does not fit 32 bits")))
    }

    pub fn int(&mut self) -> WireResult<i64> {
        let value = self.uint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub fn i32(&mut self) -> WireResult<i32> {
        let value = self.int()?;
        i32::try_from(value).or_else(|_| self.error(format!("{value} does not fit 32 bits")))
    }

    pub fn fixed_u64(&mut self) -> WireResult<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn uuid(&mut self) -> WireResult<Uuid> {
        Ok(Uuid::from_bytes(self.array()?))
    }

    pub fn text(&mut self) -> WireResult<String> {
        let count = self.count()?;
        let position = self.position;
        let bytes = self.take(count)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_string()),
            Err(_) => Err(WireError { position, what: "a text that is not UTF-8".into() }),
        }
    }

    pub fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> WireResult<T>,
    ) -> WireResult<Option<T>> {
        if self.bool()? { Ok(Some(read(self)?)) } else { Ok(None) }
    }

    pub fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> WireResult<T>,
    ) -> WireResult<Vec<T>> {
        let count = self.count()?;
        // Items may be far larger in memory than here, so let hostile counts grow the list slowly.
        let mut items = Vec::with_capacity(count.min(256));
        for _ in 0..count {
            items.push(read(self)?);
        }
        Ok(items)
    }

    /// A count of things of at least one byte each.
    fn count(&mut self) -> WireResult<usize> {
        let count = self.uint()?;
        let left = self.bytes.len() - self.position;
        match usize::try_from(count) {
            Ok(count) if count <= left => Ok(count),
            _ => self.error(format!("{count} items announced, {left} bytes left")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let mut w = Writer::default();
        let uints = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX];
        let ints = [0, -1, 1, i64::MIN, i64::MAX, -64, 64];
        uints.iter().for_each(|v| w.uint(*v));
        ints.iter().for_each(|v| w.int(*v));
        w.text("gr\u{fc}n");
        let mut r = Reader::new(&w.bytes);
        uints.iter().for_each(|v| assert_eq!(r.uint(), Ok(*v)));
        ints.iter().for_each(|v| assert_eq!(r.int(), Ok(*v)));
        assert_eq!(r.text().as_deref(), Ok("gr\u{fc}n"));
        assert_eq!(r.end(), Ok(()));
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(Reader::new(&[0xff; 10]).uint().is_err());
        assert!(Reader::new(&[0x80]).uint().is_err());
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x0f]).text().is_err());
        assert!(Reader::new(&[2, 0xc3, 0x28]).text().is_err());
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0x7f]).list(|r| r.u8()).is_err());
        assert!(Reader::new(&[2]).bool().is_err());
    }
}
