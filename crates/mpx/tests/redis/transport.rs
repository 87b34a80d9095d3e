//! Transports that keep what is written until they are flushed, as TLS does.

use crate::setup::{soon, until};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use trunkline_mpx::{LinkError, Multiplexer, MultiplexerOptions, Transport};

/// Keeps everything until a flush is let through.
struct Held {
    inner: DuplexStream,
    written: Vec<u8>,
    gate: Gate,
}

/// Open or not, and who waits for that.
#[derive(Clone, Default)]
struct Gate(Arc<Mutex<(bool, Option<Waker>)>>);

impl Gate {
    /// Whether somebody waits before it.
    fn is_awaited(&self) -> bool {
        self.0.lock().unwrap().1.is_some()
    }

    fn open(&self) {
        let mut gate = self.0.lock().unwrap();
        gate.0 = true;
        gate.1.take().into_iter().for_each(Waker::wake);
    }
}

impl AsyncRead for Held {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, into)
    }
}

impl AsyncWrite for Held {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.written.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gate = self.gate.clone();
        let mut gate = gate.0.lock().unwrap();
        if !gate.0 {
            gate.1 = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let this = &mut *self;
        while !this.written.is_empty() {
            match Pin::new(&mut this.inner).poll_write(cx, &this.written) {
                Poll::Ready(Ok(written)) => drop(this.written.drain(..written)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A flush that was interrupted by something to read was forgotten: the server never heard of the
/// channel, and nothing else was said that would have flushed it.
#[tokio::test]
async fn a_flush_that_is_interrupted_is_taken_up_again() {
    let (near, mut far) = tokio::io::duplex(1 << 16);
    let gate = Gate::default();
    let held = Held {
        inner: near,
        written: Vec::new(),
        gate: gate.clone(),
    };
    let once = Arc::new(Mutex::new(Some(held)));
    let connect = move || {
        let held = once.lock().unwrap().take();
        async move {
            let held = held.ok_or(LinkError::Closed)?;
            Ok(Box::new(held) as Box<dyn Transport>)
        }
    };
    let mpx = Multiplexer::new(connect, MultiplexerOptions::default());
    let subscription = mpx.channels(|_| {});
    subscription.add(["c"]).unwrap();
    until("the flush", async || gate.is_awaited()).await;
    far.write_all(b"+PONG\r\n").await.unwrap();
    until("the answer", async || mpx.counters().bytes == 7).await;
    gate.open();
    let expected = b"*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n";
    let mut told = vec![0; expected.len()];
    soon(far.read_exact(&mut told)).await.unwrap();
    assert_eq!(told, expected);
}
