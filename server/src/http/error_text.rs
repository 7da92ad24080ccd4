//! Errors as ClickHouse's clients expect them: the one-line text, the status, the mid-stream block.

use axum::http::StatusCode;
use pumphouse_query::Error;
use pumphouse_query::error::codes::{self, name_of};

use crate::CLICKHOUSE_VERSION;

/// Mid-stream exception blocks are cut to this.
const MID_STREAM_BYTES_MAX: usize = 16 << 10;

/// `Code: 60. DB::Exception: … (UNKNOWN_TABLE) (version …)` and a newline.
pub fn error_line(error: &Error) -> String {
    let code = error.code();
    let mut message = error.to_string().replace('\0', "\\0");
    let stop = if message.ends_with(['.', '!', '?', ':']) { "" } else { "." };
    message.push_str(stop);
    format!(
        "Code: {code}. DB::Exception: {message} ({}) (version {CLICKHOUSE_VERSION} (official build))\n",
        name_of(code)
    )
}

/// The HTTP status of an error code.
pub fn status_of(code: u32) -> StatusCode {
    match code {
        6 | 8 | 15 | 25 | 26 | 27 | 36 | 37 | 38 | 41 | 44 | 53 | 62 | 72 | 117 | 167 | 168
        | 321 | 376 | 427 | 441 | 675 | 676 => StatusCode::BAD_REQUEST,
        194 => StatusCode::UNAUTHORIZED,
        192 | 193 | 497 | 512 | 516 => StatusCode::FORBIDDEN,
        46 | 47 | 50 | 56 | 60 | 63 | 73 | 78 | 81 | 115 | 511 => StatusCode::NOT_FOUND,
        159 => StatusCode::REQUEST_TIMEOUT,
        381 => StatusCode::LENGTH_REQUIRED,
        codes::QUERY_IS_TOO_LARGE => StatusCode::PAYLOAD_TOO_LARGE,
        48 => StatusCode::NOT_IMPLEMENTED,
        76 | 209 | 439 => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The block that ends a response whose status is already sent; `tag` was in its header.
pub fn mid_stream_block(error: &Error, tag: &str) -> Vec<u8> {
    let mut message = error_line(error);
    if message.len() > MID_STREAM_BYTES_MAX - 128 {
        let mut end = MID_STREAM_BYTES_MAX - 129;
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        message.push('\n');
    }
    let length = message.len();
    format!("\r\n__exception__\r\n{tag}\r\n{message}{length} {tag}\r\n__exception__\r\n")
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_clients_can_read() {
        let error = Error::new(codes::UNKNOWN_TABLE, "Table default.x does not exist");
        assert_eq!(
            error_line(&error),
            "Code: 60. DB::Exception: Table default.x does not exist. (UNKNOWN_TABLE) (version 26.9.2.1 (official build))\n"
        );
        assert_eq!(status_of(60), StatusCode::NOT_FOUND);
        let block = mid_stream_block(&Error::new(codes::LOGICAL_ERROR, "é".repeat(20_000)), "abc");
        assert!(
            block.len() <= MID_STREAM_BYTES_MAX && block.ends_with(b"abc\r\n__exception__\r\n")
        );
    }
}
