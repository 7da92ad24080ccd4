//! The query handler: a request becomes a [`Request`] and an [`Input`], runs on a blocking thread,
//! and its outcome a response with ClickHouse's headers.

use std::io::Read;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use bytes::Bytes;
use pumphouse_query::context::Settings;
use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::{Setting, Statement};
use pumphouse_query::{Error, Result};
use pumphouse_storage::Value;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::Peer;
use super::authentication::authenticate;
use super::body::{BodyReader, CancelOnDrop, ResponseBody};
use super::error_text::{error_line, status_of};
use super::long_targets::{LongTargets, QueryString};
use super::output::{Begin, HttpOutput, ResultHead};
use super::parameters::Parameters;
use crate::compression::encodings::Encoding;
use crate::compression::{self, Packer};
use crate::logs::{Origin, TraceContext};
use crate::server::Server;
use crate::session::{SESSION_TIMEOUT_SECONDS_DEFAULT, SESSION_TIMEOUT_SECONDS_MAX, SessionState};
use crate::statement::{self, FollowWish, Input, Request, query_bytes_max};

/// Pieces of a response between the statement's thread and the socket.
const PIECES_MAX: usize = 4;
const EXPOSED_HEADERS: &str = "X-ClickHouse-Query-Id,X-ClickHouse-Summary,X-ClickHouse-Server-Display-Name,X-ClickHouse-Format,X-ClickHouse-Timezone,X-ClickHouse-Exception-Code,X-ClickHouse-Exception-Tag";

/// `/` and `/query`, any method.
pub async fn handle(
    State(server): State<Arc<Server>>,
    Extension(peer): Extension<Peer>,
    Extension(targets): Extension<LongTargets>,
    request: axum::http::Request<Body>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let parameters = match targets.resolve(parts.uri.query().unwrap_or("")) {
        QueryString::Text(text) => Parameters::parse(&text),
        QueryString::TooLong => return super::pages::target_too_long(),
    };
    let read_only_method = parts.method == Method::GET || parts.method == Method::HEAD;
    if read_only_method && parts.uri.query().is_none() {
        return super::pages::ok();
    }
    if parts.method == Method::OPTIONS {
        return super::pages::options();
    }
    if !read_only_method && parts.method != Method::POST {
        return super::pages::no_handler(parts.uri.path());
    }
    let query_id = parameters
        .get("query_id")
        .or_else(|| header_text(&parts.headers, "x-clickhouse-query-id"))
        .filter(|id| !id.is_empty())
        .map_or_else(|| Uuid::new_v4().to_string(), str::to_string);
    let tag = exception_tag();
    let head_of = |more| ResponseHead { query_id: query_id.clone(), tag: tag.clone(), more };
    // A query in the URL needs no body, so that says nothing of its length either.
    let has = |name| parts.headers.contains_key(name);
    let says_length = has(header::CONTENT_LENGTH) || has(header::TRANSFER_ENCODING);
    if parts.method == Method::POST && !says_length && parameters.get("query").is_none() {
        let message = "The Transfer-Encoding is not chunked and there is no Content-Length header for POST request";
        return head_of(vec![]).failed(&Error::new(codes::HTTP_LENGTH_REQUIRED, message));
    }
    let more = match more_headers(&parts, &parameters) {
        Ok(more) => more,
        Err(e) => {
            return head_of(vec![]).failed(&e);
        }
    };
    let head = head_of(more);
    match run(&server, peer, &parts, &parameters, body, query_id, tag).await {
        Ok((begin, rest)) => head.respond(begin, rest),
        Err(e) => head.failed(&e),
    }
}

type Rest = (mpsc::Receiver<super::body::ResponsePiece>, CancelOnDrop);

/// Checks the request, starts its statement and waits for the response's beginning.
async fn run(
    server: &Arc<Server>,
    peer: Peer,
    parts: &Parts,
    parameters: &Parameters,
    body: Body,
    query_id: String,
    tag: String,
) -> Result<(Begin, Rest)> {
    let headers = &parts.headers;
    let user = authenticate(server, headers, parameters, peer.0.ip())?;
    let boundary = super::form::boundary(headers).filter(|_| parts.method == Method::POST);
    // A form's own parameters count, too: its settings are looked at once it is read.
    let form = boundary.map(|boundary| (boundary, parameters.clone()));
    let request = request(parts, parameters, user.clone(), query_id, form.is_some())?;
    let session = session_wish(parameters)?;
    let query = parameters.get("query").map(str::to_string);
    let hold_all = parameters.flag("wait_end_of_query")
        || request.settings.bool("http_wait_end_of_query", false);
    let patience = Duration::from_secs(server.config.http_receive_timeout.max(1));
    let body = Box::new(BodyReader::start(body, patience));
    let encoding = header_text(headers, "content-encoding").map(str::to_string);
    let frames = parameters.flag("decompress");
    let is_plain = encoding.is_none() && !frames && form.is_none();
    let announced = header_text(headers, "content-length").filter(|_| is_plain);
    let announced = announced.and_then(|length| length.parse().ok());
    let check =
        !request.settings.bool("http_native_compression_disable_checksumming_on_decompress", false);
    let packer = packer(headers, parameters, &request.settings)?;
    let (begin_sender, begin) = oneshot::channel();
    let (piece_sender, pieces) = mpsc::channel(PIECES_MAX);
    let context = Arc::new(OnceLock::new());
    let output =
        HttpOutput::new(begin_sender, piece_sender, context.clone(), hold_all, tag, packer);
    let mut cancel = CancelOnDrop { context: context.clone(), done: false };
    let server = server.clone();
    tokio::task::spawn_blocking(move || {
        let mut output = output;
        // Unpackers read their header at once, so they are made where reading may wait.
        let outcome =
            compression::unpacked(body, encoding.as_deref(), frames, check).and_then(|reader| {
                let (request, query, reader) = with_form(form, request, query, reader)?;
                let reader = (reader, announced);
                run_statement(&server, request, session, query, reader, &mut output, &context)
            });
        output.finish(outcome);
    });
    let begin = begin.await.map_err(|_| {
        Error::new(codes::LOGICAL_ERROR, "The query's thread ended without an answer")
    })?;
    cancel.done = !matches!(begin, Begin::Streaming { .. });
    Ok((begin, (pieces, cancel)))
}

/// The request completed by its form, if it has one.
fn with_form(
    form: Option<(String, Parameters)>,
    mut request: Request,
    query: Option<String>,
    mut reader: Box<dyn Read + Send>,
) -> Result<(Request, Option<String>, Box<dyn Read + Send>)> {
    let Some((boundary, url)) = form else { return Ok((request, query, reader)) };
    let all = super::form::read(&mut reader, &boundary, &url, &mut request)?;
    let query = all.get("query").map(str::to_string);
    Ok((request, query, Box::new(std::io::empty())))
}

/// On the statement's thread: session, text, execution.
fn run_statement(
    server: &Arc<Server>,
    request: Request,
    session: Option<SessionWish>,
    query: Option<String>,
    (mut reader, announced): (Box<dyn Read + Send>, Option<u64>),
    output: &mut HttpOutput,
    context: &Arc<OnceLock<Arc<pumphouse_query::context::QueryContext>>>,
) -> Result<()> {
    let mut guard = match &session {
        Some(wish) => {
            Some(server.sessions.acquire(&request.user, &wish.id, wish.timeout, wish.must_exist)?)
        }
        None => None,
    };
    if let (Some(guard), Some(wish)) = (&mut guard, &session) {
        guard.close = wish.close;
    }
    let mut nothing = SessionState::default();
    let state = guard.as_mut().map_or(&mut nothing, |g| &mut g.state);
    let own = request.settings.get("max_query_size").is_some();
    let bytes_max = query_bytes_max(if own { &request.settings } else { &state.settings });
    let text = statement_text(query, &mut reader, bytes_max)?;
    let input = Input { text, rest: reader, announced };
    statement::execute(server, request, state, input, output, |started| {
        let _ = context.set(started.clone());
    })
}

/// The URL's query, a newline and the beginning of the body, as far as the parser may need it.
fn statement_text(
    query: Option<String>,
    reader: &mut Box<dyn Read + Send>,
    bytes_max: usize,
) -> Result<Vec<u8>> {
    let mut text = match query {
        Some(query) => {
            if query.len() > bytes_max {
                return Err(too_large(bytes_max));
            }
            let mut text = query.into_bytes();
            text.push(b'\n');
            text
        }
        None => vec![],
    };
    let room = (bytes_max + 1).saturating_sub(text.len()) as u64;
    reader.take(room).read_to_end(&mut text).map_err(|e| {
        let code = match compression::frames::is_damaged(&e) {
            true => codes::CHECKSUM_DOESNT_MATCH,
            false => codes::CANNOT_READ_ALL_DATA,
        };
        Error::new(code, format!("Cannot read the request's body: {e}"))
    })?;
    Ok(text)
}

fn too_large(bytes_max: usize) -> Error {
    Error::new(
        codes::QUERY_IS_TOO_LARGE,
        format!("Max query size exceeded: the statement is longer than {bytes_max} bytes"),
    )
}

/// What packs the response as the client wants it.
fn packer(headers: &HeaderMap, parameters: &Parameters, settings: &Settings) -> Result<Packer> {
    let accepted = header_text(headers, "accept-encoding")
        .filter(|_| settings.bool("enable_http_compression", true));
    let level = settings.u64("http_zlib_compression_level", 3).min(22) as u32;
    Packer::new(parameters.flag("compress"), accepted.and_then(Encoding::chosen), level)
        .map_err(|e| Error::new(codes::LOGICAL_ERROR, format!("Cannot compress: {e}")))
}

fn request(
    parts: &Parts,
    parameters: &Parameters,
    user: String,
    query_id: String,
    is_form: bool,
) -> Result<Request> {
    let mut settings = Settings::default();
    if !is_form {
        for (name, value) in parameters.settings()? {
            settings.set(name, value);
        }
    }
    if let Some(revision) = parameters.get("client_protocol_version") {
        settings.set("client_protocol_version", revision);
    }
    let header = |name: &str| header_text(&parts.headers, name).map(str::to_string);
    Ok(Request {
        query_id,
        user,
        database: header("x-clickhouse-database")
            .or_else(|| parameters.get("database").map(str::to_string))
            .filter(|d| !d.is_empty()),
        settings,
        parameters: parameters
            .query_parameters()
            .map(|(n, v)| (n.to_string(), v.to_string()))
            .collect(),
        default_format: header("x-clickhouse-format")
            .or_else(|| parameters.get("default_format").map(str::to_string))
            .filter(|f| !f.is_empty()),
        readonly: parts.method != Method::POST,
        roles: parameters.all("role").map(str::to_string).collect(),
        external_tables: vec![],
        follow: follow_wish(parts, parameters)?,
        origin: Origin {
            interface: 2,
            http_method: if parts.method == Method::POST { 2 } else { 1 },
            http_user_agent: header("user-agent").unwrap_or_default(),
            client_name: String::new(),
            trace: header("traceparent").and_then(|parent| {
                TraceContext::parse(&parent, &header("tracestate").unwrap_or_default())
            }),
        },
    })
}

/// What `/follow` asks for.
fn follow_wish(parts: &Parts, parameters: &Parameters) -> Result<Option<FollowWish>> {
    if parts.uri.path() != "/follow" {
        return Ok(None);
    }
    let milliseconds = match parameters.get("heartbeat_ms") {
        None => 10_000,
        Some(text) => text.parse::<u64>().map_err(|_| {
            let message = format!("heartbeat_ms must be a number of milliseconds, got '{text}'");
            Error::new(codes::BAD_ARGUMENTS, message)
        })?,
    };
    Ok(Some(FollowWish {
        cursor: parameters.get("cursor").filter(|c| !c.is_empty()).map(str::to_string),
        heartbeat: Duration::from_millis(milliseconds.clamp(100, 600_000)),
    }))
}

/// The session that a request asks for.
struct SessionWish {
    id: String,
    timeout: Duration,
    must_exist: bool,
    close: bool,
}

fn session_wish(parameters: &Parameters) -> Result<Option<SessionWish>> {
    let Some(id) = parameters.get("session_id").filter(|id| !id.is_empty()) else {
        return Ok(None);
    };
    let seconds = match parameters.get("session_timeout") {
        None => SESSION_TIMEOUT_SECONDS_DEFAULT,
        Some(text) => {
            text.parse().ok().filter(|s| *s <= SESSION_TIMEOUT_SECONDS_MAX).ok_or_else(|| {
                Error::new(
                    codes::INVALID_SESSION_TIMEOUT,
                    format!(
                        "Invalid session timeout: '{text}'. Maximum: {SESSION_TIMEOUT_SECONDS_MAX}"
                    ),
                )
            })?
        }
    };
    Ok(Some(SessionWish {
        id: id.into(),
        timeout: Duration::from_secs(seconds),
        must_exist: parameters.flag("session_check"),
        close: parameters.flag("close_session"),
    }))
}

fn header_text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

/// 16 random letters, so that no data can look like an exception block.
fn exception_tag() -> String {
    Uuid::new_v4().as_bytes().iter().map(|b| (b'a' + b % 26) as char).collect()
}

/// What every response of one request carries.
struct ResponseHead {
    query_id: String,
    tag: String,
    /// What the request asks for besides.
    more: Vec<(HeaderName, HeaderValue)>,
}

/// `http_response_headers` (a map), and leave for scripts of other origins (`add_http_cors_header`).
fn more_headers(parts: &Parts, parameters: &Parameters) -> Result<Vec<(HeaderName, HeaderValue)>> {
    let mut more = vec![];
    let of_other_origin = parts.headers.contains_key(header::ORIGIN);
    if of_other_origin && parameters.flag("add_http_cors_header") {
        more.push((header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")));
    }
    let Some(wanted) = parameters.get("http_response_headers").filter(|t| !t.is_empty()) else {
        return Ok(more);
    };
    let bad = |why: &str| {
        let message = format!("Invalid value of http_response_headers: {why}");
        Error::new(codes::BAD_ARGUMENTS, message)
    };
    let statement = format!("SET x = {wanted}");
    let parsed = pumphouse_query::sql::parse_statement(&statement).map(|p| p.statement);
    let Ok(Statement::Set(settings)) = parsed else { return Err(bad("a map is wanted")) };
    let [Setting { value: Value::Map(entries), .. }] = settings.as_slice() else {
        return Err(bad("a map is wanted"));
    };
    for (name, value) in entries {
        let (Value::String(name), Value::String(value)) = (name, value) else {
            return Err(bad("names and values are strings"));
        };
        let name = HeaderName::from_bytes(name).map_err(|e| bad(&e.to_string()))?;
        let value = HeaderValue::from_bytes(value).map_err(|e| bad(&e.to_string()))?;
        more.push((name, value));
    }
    Ok(more)
}

impl ResponseHead {
    fn builder(&self, status: StatusCode, summary: Option<&str>) -> axum::http::response::Builder {
        let id = HeaderValue::from_str(&self.query_id)
            .unwrap_or_else(|_| HeaderValue::from_static("not-printable"));
        let mut builder = Response::builder()
            .status(status)
            .header("X-ClickHouse-Server-Display-Name", "pumphouse")
            .header("X-ClickHouse-Query-Id", id)
            .header("X-ClickHouse-Exception-Tag", &self.tag)
            .header("Access-Control-Expose-Headers", EXPOSED_HEADERS)
            .header("X-Content-Type-Options", "nosniff")
            .header("Keep-Alive", "timeout=10, max=9999");
        if let Some(summary) = summary {
            builder = builder.header("X-ClickHouse-Summary", summary);
        }
        for (name, value) in &self.more {
            builder = builder.header(name, value);
        }
        builder
    }

    fn respond(&self, begin: Begin, (pieces, cancel): Rest) -> Response<Body> {
        let response = match begin {
            Begin::Failed(e) => return self.failed(&e),
            Begin::Whole { head, bytes, summary } => {
                let builder = self.builder(StatusCode::OK, Some(&summary));
                result_headers(builder, head.as_ref()).body(Body::from(bytes))
            }
            Begin::FailedInFormat { head, bytes, summary, error } => {
                let builder = self
                    .builder(status_of(error.code()), Some(&summary))
                    .header("X-ClickHouse-Exception-Code", error.code().to_string());
                result_headers(builder, Some(&head)).body(Body::from(bytes))
            }
            Begin::Streaming { head, first, summary } => {
                let builder = self.builder(StatusCode::OK, Some(&summary));
                let body = Body::new(ResponseBody::new(first, pieces, cancel));
                result_headers(builder, Some(&head)).body(body)
            }
        };
        response.unwrap_or_else(|e| self.failed(&Error::new(codes::LOGICAL_ERROR, e.to_string())))
    }

    fn failed(&self, error: &Error) -> Response<Body> {
        let mut builder = self
            .builder(status_of(error.code()), None)
            .header("X-ClickHouse-Exception-Code", error.code().to_string())
            .header(header::CONTENT_TYPE, "text/plain; charset=UTF-8");
        if error.code() == codes::REQUIRED_PASSWORD {
            builder = builder
                .header(header::WWW_AUTHENTICATE, "Basic realm=\"ClickHouse server HTTP API\"");
        }
        builder
            .body(Body::from(Bytes::from(error_line(error))))
            .unwrap_or_else(|_| Response::new(Body::from(error_line(error))))
    }
}

fn result_headers(
    builder: axum::http::response::Builder,
    head: Option<&ResultHead>,
) -> axum::http::response::Builder {
    match head {
        Some(head) => match head.encoding {
            Some(name) => builder.header(header::CONTENT_ENCODING, name),
            None => builder,
        }
        .header(header::CONTENT_TYPE, head.content_type)
        .header("X-ClickHouse-Format", &head.format)
        .header("X-ClickHouse-Timezone", &head.time_zone),
        None => builder.header(header::CONTENT_TYPE, "text/plain; charset=UTF-8"),
    }
}
