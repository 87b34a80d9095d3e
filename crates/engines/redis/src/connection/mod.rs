//! A connection for commands: those of many are sent together and answered in their order. It takes the
//! place of the client library's, whose reading of answers costs more than everything else that a call over
//! Redis does here; commands, values and errors are the library's.
//!
//! `driver.rs` moves the bytes, `commands.rs` writes commands, `reply.rs` reads values.

mod commands;
mod driver;
mod reply;

pub(crate) use commands::Commands;
pub(crate) use reply::Parts;

use driver::{Driver, Job};
use redis::{Cmd, Pipeline, ProtocolVersion, RedisConnectionInfo, RedisError, RedisResult, Value};
use std::io;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use trunkline_mpx::Transport;

/// Most requests that wait to be written; who has another one waits.
const REQUESTS_MAX: usize = 256;

/// A connection. Cloning it is cheap; it ends when all clones are dropped, whatever waits.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    jobs: mpsc::Sender<Job>,
    driver: Arc<Task>,
}

/// Ended when it is dropped, also while the server takes nothing.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connection {
    /// Over a stream on which nothing is unanswered.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn new(stream: impl Transport) -> Self {
        let (jobs, asked) = mpsc::channel(REQUESTS_MAX);
        let driver = Task(tokio::spawn(Driver::new(stream, asked).run()));
        Self {
            jobs,
            driver: Arc::new(driver),
        }
    }

    /// Says who we are and what we speak, over a stream on which nothing was said.
    ///
    /// # Errors
    /// The server refused, or the connection was lost.
    pub(crate) async fn log_in(&self, settings: &RedisConnectionInfo) -> RedisResult<()> {
        let (user, password) = (settings.username(), settings.password());
        let mut commands = redis::pipe();
        match (settings.protocol() == ProtocolVersion::RESP3, password) {
            (true, password) => {
                let hello = commands.cmd("HELLO").arg(3);
                if let Some(password) = password {
                    let user = user.unwrap_or("default");
                    hello.arg("AUTH").arg(user).arg(password);
                }
            }
            (false, Some(password)) => {
                // Servers before version 6 have no users.
                commands.cmd("AUTH").arg(user).arg(password);
            }
            (false, None) => {}
        }
        if settings.db() != 0 {
            commands.cmd("SELECT").arg(settings.db());
        }
        let count = commands.len();
        for answer in self.send_packed_commands(&commands, 0, count).await? {
            answer.extract_error()?;
        }
        Ok(())
    }

    /// Whether nothing can be sent any more.
    pub(crate) fn is_over(&self) -> bool {
        self.driver.0.is_finished()
    }

    /// Sends commands as they go over the wire, and waits for as many answers, errors of the server among
    /// them.
    async fn ask(&self, bytes: Vec<u8>, answers: usize, raw: bool) -> RedisResult<Vec<Value>> {
        if answers == 0 {
            return Ok(Vec::new());
        }
        let (to, answered) = oneshot::channel();
        let job = Job {
            bytes,
            answers,
            raw,
            to,
        };
        if self.jobs.send(job).await.is_err() {
            return Err(over());
        }
        answered.await.unwrap_or_else(|_| Err(over()))
    }

    /// What a command is answered, an error of the server among it.
    pub(crate) async fn send_packed_command(&self, command: &Cmd) -> RedisResult<Value> {
        let mut answers = self.ask(command.get_packed_command(), 1, false).await?;
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
        let mut answers = self.ask(bytes, offset + count, false).await?;
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

    /// What commands are answered, errors of the server among it. Other answers are bulk strings that hold them
    /// as they came if they are to be `raw`.
    pub(crate) async fn send(&self, commands: &Commands, raw: bool) -> RedisResult<Vec<Value>> {
        let bytes = commands.bytes().to_vec();
        self.ask(bytes, commands.len(), raw).await
    }
}

fn over() -> RedisError {
    RedisError::from(io::Error::from(io::ErrorKind::BrokenPipe))
}
