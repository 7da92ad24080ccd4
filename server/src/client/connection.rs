//! One client's HTTP connection: statements out, results in, errors as the server words them.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

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
    /// Whether the server could not be reached at all.
    pub unreachable: bool,
}

impl Failure {
    pub fn local(e: io::Error) -> Failure {
        Failure { message: e.to_string(), unreachable: false }
    }

    fn unreachable(options: &ClientOptions, e: &dyn fmt::Display) -> Failure {
        let message = format!(
            "Cannot connect to http://{}:{}: {e}. Is the server running? `pumphouse server` starts one.",
            options.host, options.port
        );
        Failure { message, unreachable: true }
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
        }
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
        self.exchange(None, Box::new(io::Cursor::new(text)), sink)
    }

    /// Sends `statement` in the URL and `data` behind it.
    pub fn send_with_data(
        &mut self,
        statement: &str,
        data: Box<dyn Read + Send>,
        out: &mut dyn Write,
    ) -> Result<(), Failure> {
        self.exchange(Some(statement), data, &mut |bytes| out.write_all(bytes))
    }

    fn exchange(
        &mut self,
        statement: Option<&str>,
        body: Box<dyn Read + Send>,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let uri = self.uri(statement);
        self.next_id = Uuid::new_v4().to_string();
        let (sender, receiver) = mpsc::channel(PIECES_MAX);
        std::thread::spawn(move || pump(body, &sender));
        let request = Request::post(uri)
            .header("Host", format!("{}:{}", self.options.host, self.options.port))
            .header("Authorization", self.credentials())
            .header("User-Agent", concat!("pumphouse-client/", env!("CARGO_PKG_VERSION")))
            .body(StreamBody::new(ReceiverStream(receiver)))
            .map_err(|e| Failure { message: e.to_string(), unreachable: false })?;
        let runtime = self.runtime.clone();
        runtime.block_on(async {
            let response = self.request(request).await?;
            receive(response, sink).await
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
            unreachable: true,
        })
    }

    fn credentials(&self) -> String {
        let pair = format!("{}:{}", self.options.user, self.options.password);
        format!("Basic {}", STANDARD.encode(pair))
    }

    fn uri(&self, statement: Option<&str>) -> String {
        let mut uri = format!(
            "/?database={}&default_format={}&query_id={}",
            encode(&self.options.database),
            encode(self.options.format()),
            self.next_id
        );
        if let Some(session) = &self.session {
            uri.push_str("&session_timeout=3600&session_id=");
            uri.push_str(session);
        }
        if let Some(statement) = statement {
            uri.push_str("&query=");
            uri.push_str(&encode(statement));
        }
        uri
    }

    /// Changes the database that later statements begin with (`USE`).
    pub fn set_database(&mut self, database: &str) {
        self.options.database = database.into();
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
    let mut body = response.into_body();
    let mut message = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure {
            message: "The query failed after its result had begun (see above)".into(),
            unreachable: false,
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
            unreachable: false,
        }),
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
