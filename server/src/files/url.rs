//! `url('http://…'[, format[, structure]])`: off unless the server's configuration permits it
//! (`allow_url_functions`), as it lets whoever may query reach what the server reaches. A small client of
//! HTTP/1.0: no TLS, no redirects, answers of bounded length.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use pumphouse_query::catalog::TableSource;
use pumphouse_query::context::{MemoryTracker, Settings};
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};
use pumphouse_storage::Value;

use super::source::{Piece, read_arguments, source, structure_columns};
use crate::config::Config;

const ANSWER_BYTES_MAX: u64 = 1 << 30;
const TIMEOUT: Duration = Duration::from_secs(30);

/// The rows behind a URL.
pub fn url_function(
    config: &Config,
    values: &[Value],
    settings: &Settings,
    memory: &Arc<MemoryTracker>,
) -> Result<Arc<dyn TableSource>> {
    if !config.allow_url_functions {
        return Err(Error::new(
            codes::SUPPORT_IS_DISABLED,
            "Table function 'url' is disabled: set allow_url_functions in the server's configuration",
        ));
    }
    let (arguments, structure) = read_arguments("url", values)?;
    let columns = match structure {
        Some(text) => Some(structure_columns(&text)?),
        None => None,
    };
    let bytes: Arc<[u8]> = get(&arguments.path)?.into();
    let size = bytes.len() as u64;
    let open = move || -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(std::io::Cursor::new(bytes.clone())))
    };
    let piece =
        Piece { path: arguments.path, size: Some(size), seconds: None, open: Arc::new(open) };
    Ok(source("url", "URL", arguments.format, columns, vec![piece], (settings, memory))?)
}

fn get(url: &str) -> Result<Vec<u8>> {
    let Some(rest) = url.strip_prefix("http://") else {
        return Err(Error::new(
            codes::NOT_IMPLEMENTED,
            format!("Only http:// can be read by the table function 'url', not {url}"),
        ));
    };
    let (host, path) = match rest.find('/') {
        Some(at) => (&rest[..at], &rest[at..]),
        None => (rest, "/"),
    };
    if host.is_empty() || rest.chars().any(|c| c.is_control() || c == ' ') {
        return Err(Error::new(codes::BAD_ARGUMENTS, format!("{url} is no URL")));
    }
    let address = if host.contains(':') { host.to_string() } else { format!("{host}:80") };
    let failed = |e: std::io::Error| Error::new(codes::NETWORK_ERROR, format!("{url}: {e}"));
    let mut stream = TcpStream::connect(&address).map_err(failed)?;
    stream.set_read_timeout(Some(TIMEOUT)).map_err(failed)?;
    stream.set_write_timeout(Some(TIMEOUT)).map_err(failed)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n")
        .map_err(failed)?;
    let mut answer = vec![];
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).map_err(failed)?;
    let head = answer.windows(4).position(|w| w == b"\r\n\r\n");
    let Some(head) = head else {
        return Err(Error::new(codes::NETWORK_ERROR, format!("{url}: this is no HTTP answer")));
    };
    let status = String::from_utf8_lossy(&answer[..head.min(64)]).into_owned();
    if status.split(' ').nth(1) != Some("200") {
        let line = status.lines().next().unwrap_or_default().to_string();
        return Err(Error::new(codes::NETWORK_ERROR, format!("{url}: {line}")));
    }
    Ok(answer.split_off(head + 4))
}
