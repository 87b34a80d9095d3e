//! A connection for commands: those of many are sent together and answered in their order. It takes the
//! place of the client library's, whose reading of answers costs more than everything else that a call over
//! Redis does here; commands, values and errors are the library's.
//!
//! `driver.rs` moves the bytes, `reply.rs` reads values.

mod driver;
mod reply;

use driver::{Driver, Job};
use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value};
use std::io;
use tokio::sync::{mpsc, oneshot};
use trunkline_mpx::Transport;

/// Most requests that wait to be written; who has another one waits.
const REQUESTS_MAX: usize = 256;

/// A connection that is logged in. Cloning it is cheap; it ends when all clones are dropped, and what is
/// asked then is not answered.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    jobs: mpsc::Sender<Job>,
}

impl Connection {
    /// Nothing on the stream is unanswered.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn new(stream: impl Transport) -> Self {
        let (jobs, asked) = mpsc::channel(REQUESTS_MAX);
        tokio::spawn(Driver::new(stream, asked).run());
        Self { jobs }
    }

    /// Sends commands as they go over the wire, and waits for as many answers, errors of the server among
    /// them.
    async fn ask(&self, bytes: Vec<u8>, answers: usize) -> RedisResult<Vec<Value>> {
        if answers == 0 {
            return Ok(Vec::new());
        }
        let (to, answered) = oneshot::channel();
        let job = Job { bytes, answers, to };
        if self.jobs.send(job).await.is_err() {
            return Err(over());
        }
        answered.await.unwrap_or_else(|_| Err(over()))
    }

    /// What a command is answered, an error of the server among it.
    pub(crate) async fn send_packed_command(&self, command: &Cmd) -> RedisResult<Value> {
        let mut answers = self.ask(command.get_packed_command(), 1).await?;
        answers.pop().ok_or_else(over)
    }

    /// What commands are answered, without the first `offset` answers: errors of the server are answers,
    /// but in a transaction the first one is its end.
    pub(crate) async fn send_packed_commands(
        &self,
        commands: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let bytes = commands.get_packed_pipeline();
        let mut answers = self.ask(bytes, offset + count).await?;
        if commands.is_transaction() {
            let errors = answers.iter().find_map(|answer| match answer {
                Value::ServerError(error) => Some(error.clone()),
                _ => None,
            });
            if let Some(error) = errors {
                return Err(error.into());
            }
        }
        answers.drain(..offset);
        Ok(answers)
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(self.send_packed_command(cmd))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(self.send_packed_commands(pipeline, offset, count))
    }

    fn get_db(&self) -> i64 {
        0
    }
}

fn over() -> RedisError {
    RedisError::from(io::Error::from(io::ErrorKind::BrokenPipe))
}
