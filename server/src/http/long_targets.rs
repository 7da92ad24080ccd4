//! Request targets longer than hyper takes (64 KiB), up to ClickHouse's `http_max_uri_size`: the socket's reader follows
//! where each request's head begins, takes the query string of such a target out of the stream and puts a short ticket
//! in its place; the handler gets the text for the ticket from the connection's [`LongTargets`].
//!
//! All other bytes pass as they came. Memory: one request line, [`TARGET_BYTES_MAX`], and the strings whose
//! requests are not yet handled, of which there are [`WAITING_MAX`]; time is bounded by hyper's limit for a head.
//! Where a head cannot be understood, everything behind it passes untouched and hyper answers.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// `http_max_uri_size` of ClickHouse.
pub const TARGET_BYTES_MAX: usize = 1 << 20;
/// What hyper is left to read by itself.
const SHORT_TARGET_BYTES_MAX: usize = 60_000;
/// Taken query strings of one connection; a client that sends more at once gets hyper's refusal.
const WAITING_MAX: usize = 4;
/// As much of a header line as is looked at: names and values of lengths.
const HEADER_LINE_KEPT: usize = 256;
const TICKET: &str = "=long-target-";
const TOO_LONG: &str = "=target-too-long";

/// What a target holds behind its `?`.
#[derive(Debug)]
pub enum QueryString<'a> {
    Text(Cow<'a, str>),
    /// More than [`TARGET_BYTES_MAX`].
    TooLong,
}

/// The query strings that one connection's reader took out of its stream.
#[derive(Debug, Clone, Default)]
pub struct LongTargets(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    waiting: VecDeque<(u64, String)>,
}

impl LongTargets {
    /// The query string that the client sent for the one that hyper saw.
    pub fn resolve<'a>(&self, seen: &'a str) -> QueryString<'a> {
        if seen == TOO_LONG {
            return QueryString::TooLong;
        }
        let ticket = seen.strip_prefix(TICKET).and_then(|number| number.parse::<u64>().ok());
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = ticket.and_then(|n| taken.waiting.iter().position(|(given, _)| *given == n));
        match place.and_then(|place| taken.waiting.remove(place)) {
            Some((_, text)) => QueryString::Text(Cow::Owned(text)),
            None => QueryString::Text(Cow::Borrowed(seen)),
        }
    }

    /// A ticket for the text; none while too many wait.
    fn take(&self, text: &[u8]) -> Option<String> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.waiting.len() == WAITING_MAX {
            return None;
        }
        let number = taken.next;
        taken.next += 1;
        taken.waiting.push_back((number, String::from_utf8_lossy(text).into_owned()));
        Some(format!("{TICKET}{number}"))
    }
}

/// Where in the stream of requests the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    RequestLine,
    /// In a request line that is too long: its rest is dropped.
    DroppedLine,
    Headers,
    /// This many bytes of a body, or of a chunk with its line's end; then a request line or a chunk's size.
    Bytes {
        left: u64,
        chunked: bool,
    },
    ChunkSize,
    Trailers,
    /// Nothing is understood any more.
    Unknown,
}

/// Follows one connection's requests.
#[derive(Debug)]
pub struct TargetReader {
    place: Place,
    /// The line that is being read, or its beginning.
    line: Vec<u8>,
    /// What the head said of its body.
    length: u64,
    chunked: bool,
    /// No request came yet.
    fresh: bool,
    targets: LongTargets,
}

impl TargetReader {
    pub fn new(targets: LongTargets) -> TargetReader {
        let (place, line) = (Place::RequestLine, vec![]);
        TargetReader { place, line, length: 0, chunked: false, fresh: true, targets }
    }

    /// The client owes the rest of a head, or the connection's first one.
    pub fn in_head(&self) -> bool {
        match self.place {
            Place::RequestLine => self.fresh || !self.line.is_empty(),
            Place::DroppedLine | Place::Headers => true,
            _ => false,
        }
    }

    /// Bytes that may be passed on without a look.
    pub fn free_bytes(&self) -> u64 {
        match self.place {
            Place::Bytes { left, .. } => left,
            Place::Unknown => u64::MAX,
            _ => 0,
        }
    }

    /// Says that so many of [`Self::free_bytes`] passed.
    pub fn passed(&mut self, count: u64) {
        let Place::Bytes { left, chunked } = &mut self.place else { return };
        *left = left.saturating_sub(count);
        if *left == 0 {
            self.place = if *chunked { Place::ChunkSize } else { Place::RequestLine };
        }
    }

    /// Reads the next bytes and appends what hyper is to see.
    pub fn read(&mut self, mut bytes: &[u8], seen: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let free = self.free_bytes().min(bytes.len() as u64);
            if free > 0 {
                let (passing, rest) = bytes.split_at(free as usize);
                seen.extend_from_slice(passing);
                self.passed(free);
                bytes = rest;
                continue;
            }
            let end = bytes.iter().position(|b| *b == b'\n').map(|at| at + 1);
            let (piece, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            match self.place {
                Place::RequestLine => self.request_line(piece, end.is_some(), seen),
                Place::DroppedLine if end.is_some() => self.begin_headers(),
                Place::DroppedLine => {}
                _ => {
                    seen.extend_from_slice(piece);
                    let room = HEADER_LINE_KEPT.saturating_sub(self.line.len());
                    self.line.extend_from_slice(&piece[..piece.len().min(room)]);
                    if end.is_some() {
                        self.end_of_line();
                    }
                }
            }
            bytes = rest;
        }
    }

    /// At the stream's end: a line that never ended is passed on.
    pub fn finish(&mut self, seen: &mut Vec<u8>) {
        if self.place == Place::RequestLine {
            seen.append(&mut self.line);
        }
    }

    fn request_line(&mut self, piece: &[u8], ended: bool, seen: &mut Vec<u8>) {
        self.line.extend_from_slice(piece);
        if !ended {
            if self.line.len() > TARGET_BYTES_MAX {
                self.refuse(seen);
                self.place = Place::DroppedLine;
            }
            return;
        }
        // Empty lines before a request are allowed.
        if self.line.trim_ascii().is_empty() {
            seen.append(&mut self.line);
            return;
        }
        if self.line.len() > TARGET_BYTES_MAX {
            self.refuse(seen);
        } else if let Some(short) = self.shortened() {
            seen.extend_from_slice(&short);
        } else {
            seen.extend_from_slice(&self.line);
        }
        self.begin_headers();
    }

    /// In place of a line that is too long: one that says so.
    fn refuse(&mut self, seen: &mut Vec<u8>) {
        let method = self.line.split(|b| *b == b' ').next().unwrap_or_default();
        let method = if method.len() < 16 { method } else { b"GET" };
        seen.extend_from_slice(method);
        seen.extend_from_slice(format!(" /?{TOO_LONG} HTTP/1.1\r\n").as_bytes());
        self.line = vec![];
    }

    /// The request line with a ticket for its query string, if that is too long for hyper.
    fn shortened(&self) -> Option<Vec<u8>> {
        let first = self.line.iter().position(|b| *b == b' ')? + 1;
        let last = self.line.iter().rposition(|b| *b == b' ')?;
        let target = self.line.get(first..last)?;
        if target.len() <= SHORT_TARGET_BYTES_MAX {
            return None;
        }
        let question = target.iter().position(|b| *b == b'?')? + 1;
        let ticket = self.targets.take(&target[question..])?;
        Some([&self.line[..first + question], ticket.as_bytes(), &self.line[last..]].concat())
    }

    fn begin_headers(&mut self) {
        self.place = Place::Headers;
        self.fresh = false;
        (self.length, self.chunked) = (0, false);
        // A long one is not kept for the connection's life.
        self.line = vec![];
    }

    fn end_of_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(line.trim_ascii());
        self.place = match self.place {
            Place::Headers if text.is_empty() => match (self.chunked, self.length) {
                (true, _) => Place::ChunkSize,
                (false, 0) => Place::RequestLine,
                (false, left) => Place::Bytes { left, chunked: false },
            },
            Place::Headers => self.header(&text),
            Place::ChunkSize => {
                let size = text.split(';').next().unwrap_or("").trim();
                match u64::from_str_radix(size, 16).ok().and_then(|n| n.checked_add(2)) {
                    Some(2) => Place::Trailers,
                    Some(left) => Place::Bytes { left, chunked: true },
                    None => Place::Unknown,
                }
            }
            Place::Trailers if text.is_empty() => Place::RequestLine,
            place => place,
        };
    }

    /// Notes what a header says of the body's length.
    fn header(&mut self, line: &str) -> Place {
        let Some((name, value)) = line.split_once(':') else { return Place::Headers };
        if name.eq_ignore_ascii_case("content-length") {
            match value.trim().parse() {
                Ok(length) => self.length = length,
                Err(_) => return Place::Unknown,
            }
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            self.chunked |= value.to_ascii_lowercase().contains("chunked");
        }
        Place::Headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What hyper sees of a stream that comes in pieces of so many bytes.
    fn seen(reader: &mut TargetReader, stream: &[u8], piece: usize) -> String {
        let mut seen = vec![];
        stream.chunks(piece).for_each(|bytes| reader.read(bytes, &mut seen));
        reader.finish(&mut seen);
        String::from_utf8(seen).unwrap()
    }

    #[test]
    fn short_requests_pass_untouched() {
        let stream = "\r\nPOST /?a=1 HTTP/1.1\r\nContent-Length: 5\r\n\r\na b\nc\
                      POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nGET\r\n0\r\nT: 1\r\n\r\nGET /pi";
        for piece in [1, 7, 1000] {
            let mut reader = TargetReader::new(LongTargets::default());
            assert_eq!(seen(&mut reader, stream.as_bytes(), piece), stream);
        }
    }

    #[test]
    fn long_targets_wait_for_their_tickets() {
        let long = "x".repeat(100_000);
        let body = format!("GET /?{long} HTTP/1.1\r\n");
        let head = format!("GET /q?{long}&b=2 HTTP/1.1\r\nHost: h\r\n\r\n");
        let post = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        for piece in [1000, 1 << 20] {
            let targets = LongTargets::default();
            let mut reader = TargetReader::new(targets.clone());
            // What only looks like a request, in a body, is none.
            assert_eq!(seen(&mut reader, post.as_bytes(), piece), post);
            let short = seen(&mut reader, head.as_bytes(), piece);
            assert_eq!(short, "GET /q?=long-target-0 HTTP/1.1\r\nHost: h\r\n\r\n");
            let QueryString::Text(text) = targets.resolve("=long-target-0") else { panic!() };
            assert_eq!(text, format!("{long}&b=2"));
            let QueryString::Text(text) = targets.resolve("=long-target-0") else { panic!() };
            assert_eq!(text, "=long-target-0");
        }
    }

    #[test]
    fn beyond_the_limit_nothing_is_kept() {
        let head = format!("GET /?{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(3 << 20));
        let mut reader = TargetReader::new(LongTargets::default());
        let short = seen(&mut reader, head.as_bytes(), 10_000);
        assert_eq!(short, "GET /?=target-too-long HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(reader.place, Place::RequestLine);
    }
}
