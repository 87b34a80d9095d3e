use crate::outbox::Outbox;
use bytes::{Buf, Bytes};
use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A socket whose writes gather in an [`Outbox`].
///
/// The WebSocket library on top of it reads frames, and writes only what it answers by itself:
/// pongs and closes. Both its bytes and the session's frames end up in the outbox, whole and in
/// order, and leave together in [`Wire::poll_write_out`].
#[derive(Debug)]
pub(crate) struct Wire<T> {
    socket: T,
    /// What was read behind the handshake.
    already_read: Bytes,
    out: Outbox,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Wire<T> {
    pub(crate) fn new(socket: T, already_read: Bytes, outgoing_bytes_max: usize) -> Self {
        Self {
            socket,
            already_read,
            out: Outbox::web_socket(outgoing_bytes_max),
        }
    }

    pub(crate) fn out(&mut self) -> &mut Outbox {
        &mut self.out
    }

    /// Writes what is pending as far as the socket takes it; how many bytes those were. Ready
    /// with 0 if nothing was pending.
    pub(crate) fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut count = 0;
        while !self.out.pending().is_empty() {
            match Pin::new(&mut self.socket).poll_write(cx, self.out.pending()) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => {
                    self.out.advance(written);
                    count += written;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if count == 0 => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(count))
    }

    /// Whether [`Wire::poll_write_out`] has anything to do.
    pub(crate) fn has_pending(&self) -> bool {
        !self.out.pending().is_empty()
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Wire<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.already_read.is_empty() {
            return Pin::new(&mut self.socket).poll_read(cx, buffer);
        }
        let count = buffer.remaining().min(self.already_read.len());
        buffer.put_slice(&self.already_read[..count]);
        self.already_read.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.out.put(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        for part in parts {
            self.out.put(part);
        }
        Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.has_pending() {
            ready!(self.poll_write_out(cx))?;
        }
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
