//! A connection's socket that gives up on a reader who does not read: a write that makes no progress for
//! the server's `http_send_timeout` is an error, which ends the connection and cancels its query.
//!
//! Reading has its own limits: a head that began must end within [`HEADER_READ_TIMEOUT`], [`super::body`] has one for
//! the body, hyper one for connections that stand idle. On its way to hyper, what is
//! read goes through [`TargetReader`], which shortens request lines.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::long_targets::{LongTargets, TargetReader};

/// A client that has not sent its header by then is cut off.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Read at once where requests' heads are looked for.
const LOOK_BYTES: usize = 8 << 10;

/// A socket with a limit on how long a write may stand still.
pub struct PatientSocket {
    stream: TcpStream,
    patience: Duration,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Runs while the client owes a head's rest.
    head_owed: Option<Pin<Box<Sleep>>>,
    reader: TargetReader,
    /// Read and looked at, but not yet passed on from `passed_on` on.
    looked_at: Vec<u8>,
    passed_on: usize,
}

impl PatientSocket {
    pub fn new(stream: TcpStream, patience: Duration, targets: LongTargets) -> PatientSocket {
        let reader = TargetReader::new(targets);
        PatientSocket {
            stream,
            patience,
            stalled: None,
            head_owed: None,
            reader,
            looked_at: vec![],
            passed_on: 0,
        }
    }

    /// Waits for bytes; for those of a head not for ever.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.reader.in_head() {
            self.head_owed = None;
            return Poll::Pending;
        }
        let limit = || Box::pin(tokio::time::sleep(HEADER_READ_TIMEOUT));
        ready!(self.head_owed.get_or_insert_with(limit).as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client does not send its head",
        )))
    }

    /// Passes on what was looked at; false if there is nothing.
    fn pass_on(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let rest = &self.looked_at[self.passed_on..];
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..count]);
        self.passed_on += count;
        if self.passed_on == self.looked_at.len() {
            self.looked_at.clear();
            self.passed_on = 0;
        }
        count > 0
    }

    /// Passes progress on; turns a wait that is too long into an error.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        wrote: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.stalled = None;
            return wrote;
        }
        let patience = self.patience;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client does not read its result",
        )))
    }
}

impl AsyncRead for PatientSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if buffer.remaining() == 0 || this.pass_on(buffer) {
                return Poll::Ready(Ok(()));
            }
            let free = this.reader.free_bytes();
            if free > 0 {
                let before = buffer.filled().len();
                ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
                let count = buffer.filled().len() - before;
                let passing = free.min(count as u64) as usize;
                this.reader.passed(passing as u64);
                // The next request begins within what was read.
                this.reader.read(&buffer.filled()[before + passing..], &mut this.looked_at);
                buffer.set_filled(before + passing);
                return Poll::Ready(Ok(()));
            }
            let mut bytes = [0; LOOK_BYTES];
            let mut look = ReadBuf::new(&mut bytes);
            match Pin::new(&mut this.stream).poll_read(cx, &mut look) {
                Poll::Pending => return this.wait(cx),
                Poll::Ready(read) => read?,
            }
            if look.filled().is_empty() {
                this.reader.finish(&mut this.looked_at);
                this.pass_on(buffer);
                return Poll::Ready(Ok(()));
            }
            this.reader.read(look.filled(), &mut this.looked_at);
            if !this.reader.in_head() {
                this.head_owed = None;
            }
        }
    }
}

impl AsyncWrite for PatientSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.watch(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
