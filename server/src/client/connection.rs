//! One client's HTTP connection: statements out, results in, errors as the server words them.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::ClientOptions;

/// Pieces of inserted data on their way.
const PIECES_MAX: usize = 4;
const PIECE_BYTES: usize = 256 << 10;

/// What went wrong, ready to be shown.
#[derive(Debug)]
pub struct Failure {
    pub message: String,
    /// The server's error code; 0 for errors on this side.
    pub code: u32,
    /// Whether the server could not be reached at all.
    pub unreachable: bool,
}

impl Failure {
    pub fn local(e: io::Error) -> Failure {
        Failure::here(e.to_string())
    }

    /// An error on this side.
    pub fn here(message: String) -> Failure {
        Failure { message, code: 0, unreachable: false }
    }

    /// The exit code of a process that ends with this: the server's code, cut to a byte as
    /// clickhouse-client does it; 210 (NETWORK_ERROR) without a server.
    pub fn exit_code(&self) -> u8 {
        match self.code as u8 {
            _ if self.unreachable => 210,
            _ if self.code == 0 => 1,
            0 => 255,
            code => code,
        }
    }

    fn unreachable(options: &ClientOptions, e: &dyn fmt::Display) -> Failure {
        let message = format!(
            "Cannot connect to http://{}:{}: {e}. Is the server running? `pumphouse server` starts one.",
            options.host, options.port
        );
        Failure { message, code: 0, unreachable: true }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message.trim_end())
    }
}

type Data = StreamBody<ReceiverStream>;

/// Sends statements one after the other, in one session.
pub struct Connection {
    options: ClientOptions,
    runtime: Arc<Runtime>,
    session: Option<String>,
    next_id: String,
    /// Raised to give up the statement that runs.
    cancel: Arc<AtomicBool>,
}

impl Connection {
    pub fn new(options: &ClientOptions) -> Connection {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime with one thread can be started");
        Connection {
            options: options.clone(),
            runtime: Arc::new(runtime),
            session: Some(Uuid::new_v4().to_string()),
            next_id: Uuid::new_v4().to_string(),
            cancel: Arc::default(),
        }
    }

    /// A flag that gives up the running statement when it is raised.
    pub fn cancel_flag(&self) -> Arc<AtomicBool> {
        self.cancel.clone()
    }

    /// Results of later statements come in this format if they name none.
    pub fn set_format(&mut self, format: &str) {
        self.options.format = Some(format.into());
    }

    /// A connection beside the session, for looking at what it does.
    pub fn without_session(options: &ClientOptions) -> Connection {
        Connection { session: None, ..Connection::new(options) }
    }

    /// The query id that the next statement will have.
    pub fn next_id(&self) -> String {
        self.next_id.clone()
    }

    /// Sends `statement`; the result's bytes go to `sink` as they come.
    pub fn send(
        &mut self,
        statement: &str,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let text = Bytes::from(statement.to_string());
        self.exchange("/?", None, Box::new(io::Cursor::new(text)), sink)
    }

    /// As [`Connection::send`], to another place: `/path?parameters&`.
    pub fn send_to(
        &mut self,
        place: &str,
        statement: &str,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let text = Bytes::from(statement.to_string());
        self.exchange(place, None, Box::new(io::Cursor::new(text)), sink)
    }

    /// Sends `statement` in the URL and `data` behind it.
    pub fn send_with_data(
        &mut self,
        statement: &str,
        data: Box<dyn Read + Send>,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), Failure> {
        self.exchange("/?", Some(statement), data, sink)
    }

    fn exchange(
        &mut self,
        place: &str,
        statement: Option<&str>,
        body: Box<dyn Read + Send>,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let uri = self.uri(place, statement);
        self.next_id = Uuid::new_v4().to_string();
        let (sender, receiver) = mpsc::channel(PIECES_MAX);
        std::thread::spawn(move || pump(body, &sender));
        let request = Request::post(uri)
            .header("Host", format!("{}:{}", self.options.host, self.options.port))
            .header("Authorization", self.credentials())
            .header("User-Agent", concat!("pumphouse-client/", env!("CARGO_PKG_VERSION")))
            .body(StreamBody::new(ReceiverStream(receiver)))
            .map_err(|e| Failure::here(e.to_string()))?;
        let runtime = self.runtime.clone();
        self.cancel.store(false, Ordering::SeqCst);
        runtime.block_on(async {
            // Closing the connection is what stops the query on the server.
            tokio::select! {
                done = async { receive(self.request(request).await?, sink).await } => done,
                () = raised(&self.cancel) => Err(Failure::here("Query was cancelled.".into())),
            }
        })
    }

    async fn request(&self, request: Request<Data>) -> Result<Response<Incoming>, Failure> {
        let address = (self.options.host.as_str(), self.options.port);
        let socket = TcpStream::connect(address)
            .await
            .map_err(|e| Failure::unreachable(&self.options, &e))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
            .await
            .map_err(|e| Failure::unreachable(&self.options, &e))?;
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(|e| Failure {
            message: format!("The server closed the connection: {e}"),
            code: 0,
            unreachable: true,
        })
    }

    fn credentials(&self) -> String {
        let pair = format!("{}:{}", self.options.user, self.options.password);
        format!("Basic {}", STANDARD.encode(pair))
    }

    fn uri(&self, place: &str, statement: Option<&str>) -> String {
        let mut uri = format!(
            "{place}database={}&default_format={}&query_id={}",
            encode(&self.options.statements.database),
            encode(self.options.format()),
            self.next_id
        );
        if let Some(session) = &self.session {
            uri.push_str("&session_timeout=3600&session_id=");
            uri.push_str(session);
        }
        let free = &self.options.free;
        let parameters = free.parameters.iter().map(|(n, v)| (format!("param_{n}"), v));
        let settings = free.settings.iter().map(|(n, v)| (n.clone(), v));
        for (name, value) in settings.chain(parameters) {
            uri.push_str(&format!("&{}={}", encode(&name), encode(value)));
        }
        if let Some(statement) = statement {
            uri.push_str("&query=");
            uri.push_str(&encode(statement));
        }
        uri
    }

    /// Changes the database that later statements begin with (`USE`).
    pub fn set_database(&mut self, database: &str) {
        self.options.statements.database = database.into();
    }
}

/// Sends pieces of `body` until it ends or nobody listens.
fn pump(mut body: Box<dyn Read + Send>, sender: &mpsc::Sender<io::Result<Frame<Bytes>>>) {
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        let piece = match body.read(&mut piece) {
            Ok(0) => return,
            Ok(n) => {
                piece.truncate(n);
                Ok(Frame::data(Bytes::from(piece)))
            }
            Err(e) => Err(e),
        };
        if sender.blocking_send(piece).is_err() {
            return;
        }
    }
}

async fn receive(
    response: Response<Incoming>,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), Failure> {
    let ok = response.status().is_success();
    let code = response
        .headers()
        .get("x-clickhouse-exception-code")
        .and_then(|code| code.to_str().ok()?.parse::<u32>().ok());
    let mut body = response.into_body();
    let mut message = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            Failure::here("The query failed after its result had begun (see above)".into())
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if ok {
            sink(&data).map_err(Failure::local)?;
        } else {
            message.extend_from_slice(&data);
        }
    }
    match ok {
        true => Ok(()),
        false => Err(Failure {
            message: String::from_utf8_lossy(&message).into_owned(),
            code: code.unwrap_or(0),
            unreachable: false,
        }),
    }
}

/// Ends when the flag is raised.
async fn raised(flag: &AtomicBool) {
    while !flag.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Percent-encoding of everything but letters, digits and `-_.~`.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A channel's receiver as a stream of frames.
struct ReceiverStream(mpsc::Receiver<io::Result<Frame<Bytes>>>);

impl futures_core::Stream for ReceiverStream {
    type Item = io::Result<Frame<Bytes>>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}
