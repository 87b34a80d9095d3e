//! Moves the bytes of a connection, for as long as it lives.

use super::reply;
use bytes::{Buf, BytesMut};
use redis::{RedisError, RedisResult, Value};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::AsyncReadExt;
use tokio::sync::{mpsc, oneshot};
use trunkline_mpx::{Frames, Transport};

/// What is read at a time, unless an answer is larger.
const READ_BYTES: usize = 64 << 10;
/// No more requests are taken while so much waits to be written.
const OUT_BYTES_MAX: usize = 1 << 20;
/// Longest answer: Redis has no longer string, but an array may hold several.
const ANSWER_BYTES_MAX: usize = 1 << 30;

/// Commands, and who waits for their answers.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) bytes: Vec<u8>,
    /// How many there will be, at least one.
    pub(super) answers: usize,
    /// Answers that are no errors are handed on as they came.
    pub(super) raw: bool,
    pub(super) to: oneshot::Sender<RedisResult<Vec<Value>>>,
}

/// Who waits, and what has come of it.
struct Waiting {
    answers: Vec<Value>,
    left: usize,
    raw: bool,
    to: oneshot::Sender<RedisResult<Vec<Value>>>,
}

pub(super) struct Driver<S> {
    stream: S,
    jobs: mpsc::Receiver<Job>,
    /// Nobody can ask any more.
    closed: bool,
    out: BytesMut,
    /// Whether the stream has passed on all that was written to it.
    flushed: bool,
    input: BytesMut,
    frames: Frames,
    waiting: VecDeque<Waiting>,
}

impl<S: Transport> Driver<S> {
    pub(super) fn new(stream: S, jobs: mpsc::Receiver<Job>) -> Self {
        Self {
            stream,
            jobs,
            closed: false,
            out: BytesMut::new(),
            flushed: true,
            input: BytesMut::new(),
            frames: Frames::new(ANSWER_BYTES_MAX),
            waiting: VecDeque::new(),
        }
    }

    /// Until nobody can ask any more, or the connection is lost: then whoever waits is told so.
    pub(super) async fn run(mut self) {
        let Err(error) = poll_fn(|cx| self.poll(cx)).await else {
            return;
        };
        self.jobs.close();
        while let Some(job) = self.jobs.recv().await {
            // Who doesn't wait any more needn't know.
            let _ = job.to.send(Err(again(&error)));
        }
        for waiting in self.waiting {
            let _ = waiting.to.send(Err(again(&error)));
        }
    }

    /// Does all that can be done now, without waiting.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let taken = self.take_jobs(cx);
            if self.closed {
                return Poll::Ready(Ok(()));
            }
            let written = self.write(cx);
            // What came before the end counts.
            let read = self.read(cx);
            let (written, read) = (written?, read?);
            if !taken && !written && !read {
                return Poll::Pending;
            }
        }
    }

    fn take_jobs(&mut self, cx: &mut Context<'_>) -> bool {
        let mut taken = false;
        while !self.closed && self.out.len() < OUT_BYTES_MAX {
            match self.jobs.poll_recv(cx) {
                Poll::Ready(Some(job)) => {
                    self.out.extend_from_slice(&job.bytes);
                    self.waiting.push_back(Waiting {
                        answers: Vec::with_capacity(job.answers),
                        left: job.answers,
                        raw: job.raw,
                        to: job.to,
                    });
                }
                Poll::Ready(None) => self.closed = true,
                Poll::Pending => break,
            }
            taken = true;
        }
        taken
    }

    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut written = false;
        while !self.out.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.out) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(bytes)) => {
                    self.out.advance(bytes);
                    self.flushed = false;
                    written = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(written),
            }
        }
        if !self.flushed && Pin::new(&mut self.stream).poll_flush(cx)?.is_ready() {
            self.flushed = true;
            written = true;
        }
        Ok(written)
    }

    fn read(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let Poll::Ready(read) = self.poll_read(cx) else {
            return Ok(false);
        };
        if read? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while let Some(end) = self.next_end()? {
            let raw = self.waiting.front().is_some_and(|waiting| waiting.raw);
            let value = reply::read(&self.input[..end], raw)?;
            self.input.advance(end);
            let Some(value) = value else {
                continue;
            };
            self.answer(value)?;
        }
        Ok(true)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.reserve(READ_BYTES);
        let read = pin!(self.stream.read_buf(&mut self.input));
        Poll::Ready(ready!(std::future::Future::poll(read, cx)))
    }

    fn next_end(&mut self) -> io::Result<Option<usize>> {
        let end = self.frames.end_of_next(&self.input);
        end.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn answer(&mut self, value: Value) -> io::Result<()> {
        let Some(waiting) = self.waiting.front_mut() else {
            let text = "the server answered what nobody asked";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        };
        waiting.answers.push(value);
        waiting.left -= 1;
        if waiting.left == 0
            && let Some(done) = self.waiting.pop_front()
        {
            // Who doesn't wait any more needn't know.
            let _ = done.to.send(Ok(done.answers));
        }
        Ok(())
    }
}

/// The same error for somebody else.
fn again(error: &io::Error) -> RedisError {
    RedisError::from(io::Error::new(error.kind(), error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::Connection;
    use redis::Value;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    async fn hear(server: &mut DuplexStream, bytes: &[u8]) {
        let mut heard = vec![0; bytes.len()];
        let all = tokio::time::timeout(Duration::from_secs(60), server.read_exact(&mut heard));
        all.await.expect("it is sent").expect("it is open");
        assert_eq!(heard, bytes);
    }

    #[tokio::test]
    async fn answers_go_to_those_who_asked_in_their_order() {
        let (near, mut server) = duplex(64);
        let connection = Connection::new(near);
        let get = redis::cmd("GET");
        let mut both = redis::pipe();
        both.cmd("A").cmd("B");
        let asked = async {
            tokio::join!(
                connection.send_packed_command(&get),
                connection.send_packed_commands(&both, 0, 2),
                connection.send_packed_command(&get),
            )
        };
        let answering = async {
            hear(&mut server, b"*1\r\n$3\r\nGET\r\n*1\r\n$1\r\nA\r\n").await;
            hear(&mut server, b"*1\r\n$1\r\nB\r\n*1\r\n$3\r\nGET\r\n").await;
            // What is pushed is no answer.
            for part in [
                &b":1\r\n>1\r\n+x\r\n-ER"[..],
                b"R no\r\n$2\r\na",
                b"b\r\n$-1\r\n",
            ] {
                server.write_all(part).await.expect("it is open");
            }
        };
        let ((one, two, three), ()) = tokio::join!(asked, answering);
        assert_eq!(one.expect("an answer"), Value::Int(1));
        let two = two.expect("answers");
        assert!(matches!(&two[0], Value::ServerError(error) if error.code() == "ERR"));
        assert_eq!(two[1], Value::BulkString(b"ab".to_vec()));
        assert_eq!(three.expect("an answer"), Value::Nil);
    }

    #[tokio::test]
    async fn the_first_error_of_a_transaction_is_its_end() {
        let (near, mut server) = duplex(1024);
        let connection = Connection::new(near);
        let mut both = redis::pipe();
        both.atomic().cmd("A").cmd("B");
        let answers = b"+OK\r\n-ERR first\r\n+QUEUED\r\n-EXECABORT second\r\n";
        server.write_all(b"").await.expect("it is open");
        let answering = async {
            hear(&mut server, b"*1\r\n$5\r\nMULTI\r\n").await;
            server.write_all(answers).await.expect("it is open");
        };
        let asked = connection.send_packed_commands(&both, 3, 1);
        let (asked, ()) = tokio::join!(asked, answering);
        assert_eq!(asked.expect_err("it was refused").detail(), Some("first"));
    }

    #[tokio::test]
    async fn whoever_waits_when_it_is_lost_is_told() {
        let (near, mut server) = duplex(1024);
        let connection = Connection::new(near);
        let get = redis::cmd("GET");
        let ending = async {
            hear(&mut server, b"*1\r\n$3\r\nGET\r\n").await;
            drop(server);
        };
        let (asked, ()) = tokio::join!(connection.send_packed_command(&get), ending);
        assert!(asked.expect_err("it is lost").is_io_error());
        let later = connection.send_packed_command(&get).await;
        assert!(later.expect_err("it is lost").is_io_error());
    }

    #[tokio::test]
    async fn it_ends_with_the_last_who_can_ask() {
        let (near, mut server) = duplex(1024);
        drop(Connection::new(near));
        let read = tokio::time::timeout(Duration::from_secs(60), server.read_u8());
        assert!(read.await.expect("it ends").is_err());
    }
}
