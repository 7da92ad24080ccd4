//! A small HTTP/1.1 client for what streams ask others: schema registries and token endpoints.
//!
//! One request a connection, blocking, every step bounded in time and every answer in size. HTTPS with the
//! system's certificates when built with the feature `ssl`. Redirects are not followed.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Where to send requests; user and password come with it and are shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    secure: bool,
    host: String,
    port: u16,
    /// What is before every path, without a slash at its end.
    path: String,
    /// `user:password`.
    login: Option<String>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// Another try may help.
    Passing(String),
    Final(String),
}

pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Url {
    pub fn parse(text: &str) -> Result<Url, String> {
        let (scheme, rest) =
            text.split_once("://").ok_or_else(|| "a URL must begin with http://".to_string())?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            other => return Err(format!("URL scheme '{other}' is not supported")),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(unescaped(login)), place),
            None => (None, authority),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                let port = port.parse().map_err(|_| format!("'{port}' is not a port"))?;
                (host, port)
            }
            _ => (place, if secure { 443 } else { 80 }),
        };
        let fine = |b: u8| b.is_ascii_graphic() && !b"\\\"<>@".contains(&b);
        if host.is_empty() || !host.bytes().all(fine) || !path.bytes().all(fine) {
            return Err("the URL has no host, or characters that none may have".into());
        }
        Ok(Url {
            secure,
            host: host.to_string(),
            port,
            path: path.split(['?', '#']).next().unwrap_or("").trim_end_matches('/').to_string(),
            login,
        })
    }

    /// The address without user and password.
    pub fn place(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}:{}{}", self.host, self.port, self.path)
    }
}

/// `%xx` for everything that a segment of a path may not have.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(b as char);
            }
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = vec![];
    let mut at = 0;
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], code) {
            (b'%', Some(code)) => {
                out.push(code);
                at += 3;
            }
            (b, _) => {
                out.push(b);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Base64 with padding.
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let n = chunk.iter().fold(0u32, |n, b| n << 8 | *b as u32) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = DIGITS[(n >> (18 - 6 * i)) as usize & 63] as char;
            out.push(if i <= chunk.len() { digit } else { '=' });
        }
    }
    out
}

/// How long steps may take.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    connect: Duration,
    answer: Duration,
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl Client {
    pub fn new(connect: Duration, answer: Duration) -> Client {
        Client { connect, answer }
    }

    pub fn send(
        &self,
        url: &Url,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, Failure> {
        let end = Instant::now() + self.connect + self.answer;
        let mut stream = self.open(url)?;
        let mut head = format!(
            "{method} {}{path} HTTP/1.1\r\nHost: {}:{}\r\nConnection: close\r\nUser-Agent: pumphouse\r\n\
             Content-Length: {}\r\n",
            url.path,
            url.host,
            url.port,
            body.len()
        );
        if let Some(login) = &url.login {
            head.push_str(&format!("Authorization: Basic {}\r\n", base64(login.as_bytes())));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let passing = |e: io::Error| Failure::Passing(format!("{}: {e}", url.place()));
        stream.write_all(head.as_bytes()).map_err(passing)?;
        stream.write_all(body).map_err(passing)?;
        stream.flush().map_err(passing)?;
        read_answer(&mut *stream, end).map_err(|e| match e {
            Failure::Passing(text) => Failure::Passing(format!("{}: {text}", url.place())),
            other => other,
        })
    }

    fn open(&self, url: &Url) -> Result<Box<dyn Stream>, Failure> {
        let place = url.place();
        let host = url.host.trim_start_matches('[').trim_end_matches(']');
        let addresses = (host, url.port)
            .to_socket_addrs()
            .map_err(|e| Failure::Passing(format!("{place}: {e}")))?;
        let mut last = format!("{place}: no address");
        for address in addresses.take(8) {
            match TcpStream::connect_timeout(&address, self.connect) {
                Ok(stream) => {
                    let timed = stream
                        .set_read_timeout(Some(self.answer))
                        .and_then(|()| stream.set_write_timeout(Some(self.answer)));
                    timed.map_err(|e| Failure::Passing(e.to_string()))?;
                    return if url.secure { encrypted(host, stream) } else { Ok(Box::new(stream)) };
                }
                Err(e) => last = format!("{place}: {e}"),
            }
        }
        Err(Failure::Passing(last))
    }
}

#[cfg(feature = "ssl")]
fn encrypted(host: &str, stream: TcpStream) -> Result<Box<dyn Stream>, Failure> {
    use openssl::ssl::{SslConnector, SslMethod};
    let connector = SslConnector::builder(SslMethod::tls_client())
        .map_err(|e| Failure::Final(e.to_string()))?
        .build();
    match connector.connect(host, stream) {
        Ok(stream) => Ok(Box::new(stream)),
        Err(e) => Err(Failure::Passing(format!("https://{host}: {e}"))),
    }
}

#[cfg(not(feature = "ssl"))]
fn encrypted(host: &str, _: TcpStream) -> Result<Box<dyn Stream>, Failure> {
    Err(Failure::Final(format!("https://{host}: this server was built without SSL")))
}

fn read_answer(stream: &mut dyn Stream, end: Instant) -> Result<Answer, Failure> {
    let mut bytes = vec![];
    let mut buffer = [0; 16 << 10];
    loop {
        if let Some(answer) = parse(&bytes, false)? {
            return Ok(answer);
        }
        if Instant::now() > end {
            return Err(Failure::Passing("the answer takes too long".into()));
        }
        match stream.read(&mut buffer) {
            Ok(0) => {
                let cut = || Failure::Passing("the connection ended within the answer".into());
                return parse(&bytes, true)?.ok_or_else(cut);
            }
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            // Some servers end TLS without saying so; what came may be whole.
            Err(e) => return parse(&bytes, true)?.ok_or_else(|| Failure::Passing(e.to_string())),
        }
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err(Failure::Final("the answer is too long".into()));
        }
    }
}

/// The answer, if all of it is there.
fn parse(bytes: &[u8], ended: bool) -> Result<Option<Answer>, Failure> {
    let Some(head_end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
        return Ok(None);
    };
    let no_http = || Failure::Final("the answer is no HTTP".into());
    let head = std::str::from_utf8(&bytes[..head_end]).map_err(|_| no_http())?;
    let mut lines = head.split("\r\n");
    let status = lines.next().filter(|l| l.starts_with("HTTP/1.")).ok_or_else(no_http)?;
    let status = status.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(no_http)?;
    let (mut length, mut chunked) = (None, false);
    for (name, value) in lines.filter_map(|l| l.split_once(':')) {
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse::<usize>().ok(),
            "transfer-encoding" => chunked = value.to_ascii_lowercase().contains("chunked"),
            _ => {}
        }
    }
    let body = &bytes[head_end + 4..];
    if chunked {
        return Ok(unchunked(body).map(|body| Answer { status, body }));
    }
    Ok(match length {
        Some(length) if body.len() >= length => {
            Some(Answer { status, body: body[..length].into() })
        }
        None if ended || status == 204 => Some(Answer { status, body: body.into() }),
        _ => None,
    })
}

fn unchunked(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![];
    loop {
        let line = body.windows(2).position(|w| w == b"\r\n")?;
        let size = std::str::from_utf8(&body[..line]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        let data = body.get(line + 2..)?;
        if size == 0 {
            return Some(out);
        }
        out.extend_from_slice(data.get(..size)?);
        body = data.get(size.checked_add(2)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let url = Url::parse("http://u:p%40w@host:8081/base/").unwrap();
        assert_eq!(url.place(), "http://host:8081/base");
        assert_eq!(url.login.as_deref(), Some("u:p@w"));
        assert_eq!(Url::parse("https://h").unwrap().port, 443);
        for bad in ["host", "ftp://x", "http://", "http://a b", "http://h:x", "http://h/\r\nX: y"] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(escaped("a b/ü"), "a%20b%2F%C3%BC");
    }

    #[test]
    fn base64_is_padded() {
        let texts = ["", "f", "fo", "foo", "foob", "user:pass"];
        let wanted = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "dXNlcjpwYXNz"];
        texts.iter().zip(wanted).for_each(|(t, w)| assert_eq!(base64(t.as_bytes()), w));
    }

    #[test]
    fn answers_of_every_framing() {
        let body = |bytes: &[u8], ended| {
            parse(bytes, ended).unwrap().map(|a| (a.status, String::from_utf8(a.body).unwrap()))
        };
        let sized = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(body(sized, false), Some((200, "hi".into())));
        assert_eq!(body(&sized[..sized.len() - 1], false), None);
        let open = b"HTTP/1.0 404 No\r\n\r\nhi";
        assert_eq!((body(open, false), body(open, true)), (None, Some((404, "hi".into()))));
        let chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3;x\r\n ho\r\n0\r\n\r\n";
        assert_eq!(body(chunks, false), Some((200, "hi ho".into())));
        assert_eq!(body(&chunks[..chunks.len() - 8], false), None);
        assert!(parse(b"SSH-2.0\r\n\r\n", false).is_err());
    }
}
