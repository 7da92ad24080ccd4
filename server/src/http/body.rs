//! Bodies as streams: the request's as a blocking `Read` for the statement's thread, the response's
//! as frames from a bounded channel.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame};
use pumphouse_query::context::QueryContext;
use tokio::sync::mpsc;

/// Pieces of a body in flight between the socket and the statement's thread.
const PIECES_MAX: usize = 4;
/// Between the exception block and the cut, so that the block reaches the socket.
const CUT_DELAY: Duration = Duration::from_millis(20);

type Piece = io::Result<Bytes>;

/// The request's body, read on a blocking thread.
pub struct BodyReader {
    pieces: mpsc::Receiver<Piece>,
    current: Bytes,
}

impl BodyReader {
    /// Starts to pump `body`; it is read only as fast as the reader takes it. A client that sends
    /// nothing for as long as `patience` is given up.
    pub fn start(mut body: Body, patience: Duration) -> BodyReader {
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        if body.is_end_stream() {
            // Nothing comes: no task to be woken for it, and none to wait for.
            return BodyReader { pieces, current: Bytes::new() };
        }
        tokio::spawn(async move {
            loop {
                let piece = match tokio::time::timeout(patience, body.frame()).await {
                    Err(_) => Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!("the client sent nothing for {} seconds", patience.as_secs()),
                    )),
                    Ok(None) => return,
                    Ok(Some(Err(e))) => {
                        Err(io::Error::new(io::ErrorKind::UnexpectedEof, e.to_string()))
                    }
                    Ok(Some(Ok(frame))) => match frame.into_data() {
                        Ok(data) => Ok(data),
                        Err(_) => continue,
                    },
                };
                let failed = piece.is_err();
                if sender.send(piece).await.is_err() || failed {
                    return;
                }
            }
        });
        BodyReader { pieces, current: Bytes::new() }
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = piece?,
                None => return Ok(0),
            }
        }
        let n = buffer.len().min(self.current.len());
        buffer[..n].copy_from_slice(&self.current.split_to(n));
        Ok(n)
    }
}

/// What the statement's thread sends behind the head.
pub enum ResponsePiece {
    Data(Bytes),
    /// The exception block; the connection is cut behind it.
    Failed(Bytes),
}

/// Cancels the query when the client is gone before the end.
#[derive(Default)]
pub struct CancelOnDrop {
    pub context: Arc<OnceLock<Arc<QueryContext>>>,
    pub done: bool,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if !self.done
            && let Some(context) = self.context.get()
        {
            context.cancelled.store(true, Ordering::Relaxed);
        }
    }
}

/// The response's body: a first piece, then whatever comes through the channel.
pub struct ResponseBody {
    pub first: Option<Bytes>,
    pub pieces: mpsc::Receiver<ResponsePiece>,
    pub cancel: CancelOnDrop,
    cut: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl ResponseBody {
    pub fn new(
        first: Bytes,
        pieces: mpsc::Receiver<ResponsePiece>,
        cancel: CancelOnDrop,
    ) -> ResponseBody {
        ResponseBody { first: Some(first), pieces, cancel, cut: None }
    }
}

impl hyper::body::Body for ResponseBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(first) = self.first.take().filter(|f| !f.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if let Some(cut) = &mut self.cut {
            // Yielding the error at once would lose what is still in the write buffer.
            return cut.as_mut().poll(cx).map(|()| {
                Some(Err(io::Error::other("the query failed after its result had begun")))
            });
        }
        match self.pieces.poll_recv(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                self.cancel.done = true;
                Poll::Ready(None)
            }
            Poll::Ready(Some(ResponsePiece::Data(data))) => {
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Poll::Ready(Some(ResponsePiece::Failed(block))) => {
                self.cut = Some(Box::pin(tokio::time::sleep(CUT_DELAY)));
                Poll::Ready(Some(Ok(Frame::data(block))))
            }
        }
    }
}
