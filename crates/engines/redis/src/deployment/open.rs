//! A connection as long as it lives.

use super::counted::{Counted, Sent};
use super::failure::Failure;
use super::lane::Lane;
use crate::connection::{Commands, Connection};
use redis::{Cmd, FromRedisValue, Pipeline, RedisConnectionInfo, RedisError, ServerError, Value};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use trunkline_mpx::{LinkError, RedisAddress, Transport};

/// Commands that go to one server at once, and are answered one by one.
#[derive(Clone, Copy)]
pub(super) enum Request<'r> {
    One(&'r Cmd),
    /// Never a transaction: its commands are sent as commands.
    Many(&'r Pipeline),
    /// Commands that are written down already, and whether their answers stay as they came.
    Written(&'r Commands, bool),
}

impl Request<'_> {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Request::One(_) => false,
            Request::Many(commands) => commands.is_empty(),
            Request::Written(commands, _) => commands.is_empty(),
        }
    }
}

/// How long an answer may take.
#[derive(Clone, Debug)]
pub(super) enum Patience {
    /// So long.
    Bound(Duration),
    /// As long as the server is there, of which it is asked over another connection whenever nothing came for so long.
    Asking(Duration, Arc<Lane>),
}

/// A connection that is logged in.
#[derive(Debug)]
pub(super) struct Open {
    /// Where it leads.
    pub(super) server: String,
    connection: Connection,
    sent: Sent,
    patience: Patience,
}

impl Open {
    /// Connects, logs in, and hears from the server: one that hangs takes connections, too. What is used is what `guard`
    /// makes of the connection.
    ///
    /// # Errors
    /// [`Failure::NotSent`], or that the server refused the login.
    pub(super) async fn make(
        address: &RedisAddress,
        settings: &RedisConnectionInfo,
        patience: Patience,
        guard: impl FnOnce(Box<dyn Transport>) -> Box<dyn Transport>,
    ) -> Result<Self, Failure> {
        let server = address.to_string();
        let not_sent = |error: LinkError| Failure::NotSent {
            server: server.clone(),
            reason: error.to_string(),
        };
        let stream = guard(address.dial().await.map_err(not_sent)?);
        let sent = Sent::default();
        let stream = Counted::new(stream, sent.clone());
        let connection = Connection::new(stream);
        let logged_in = connection.log_in(settings).await;
        logged_in.map_err(|error| Failure::of_login(&server, &error))?;
        let open = Self {
            server,
            connection,
            sent,
            patience,
        };
        let ping = redis::cmd("PING");
        let answer = open.connection.send_packed_command(&ping).await;
        let answer = answer.map_err(|error| Failure::of_login(&open.server, &error))?;
        match error_of(&answer) {
            // Who may not ask may still do what he is there for.
            Some(error) if error.code() != "NOPERM" => {
                Err(Failure::refused(&open.server, error, false))
            }
            _ => Ok(open),
        }
    }

    /// Whether nothing can be sent any more.
    pub(super) fn is_over(&self) -> bool {
        self.connection.is_over()
    }

    /// Sends commands and waits for their answers, errors among them, and for what `wait` says afterwards.
    ///
    /// # Errors
    /// [`Failure::NotSent`], [`Failure::Unanswered`].
    pub(super) async fn send(
        &self,
        request: Request<'_>,
        wait: Option<(&Cmd, Duration)>,
    ) -> Result<(Vec<Value>, Option<Value>), Failure> {
        if self.is_over() {
            return Err(self.lost());
        }
        let before = self.sent.bytes();
        let commands = async {
            match request {
                Request::One(command) => {
                    let answer = self.connection.send_packed_command(command).await;
                    answer.map(|answer| vec![answer])
                }
                Request::Many(commands) => {
                    let count = commands.len();
                    self.connection
                        .send_packed_commands(commands, 0, count)
                        .await
                }
                Request::Written(commands, raw) => self.connection.send(commands, raw).await,
            }
        };
        let waiting = async {
            match wait {
                Some((command, _)) => Some(self.connection.send_packed_command(command).await),
                None => None,
            }
        };
        // Both are queued when they are looked at for the first time, which is in this order.
        let both = async { tokio::join!(commands, waiting) };
        let more = wait.map_or(Duration::ZERO, |(_, time)| time);
        let (answers, waited) = self.in_time(both, more).await?;
        let broken = |error: RedisError| {
            if self.sent.bytes() == before {
                self.lost()
            } else {
                self.unanswered(error.to_string())
            }
        };
        let answers = answers.map_err(broken)?;
        let waited = waited.map(|waited| waited.map_err(broken));
        Ok((answers, waited.transpose()?))
    }

    /// Asks something that changes nothing.
    ///
    /// # Errors
    /// Those of [`Open::send`]; that it was refused.
    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, Failure> {
        let (answers, _) = self.send(Request::One(command), None).await?;
        let answer = answers.into_iter().next().unwrap_or(Value::Nil);
        match error_of(&answer) {
            Some(error) => Err(Failure::refused(&self.server, error, false)),
            None => Ok(answer),
        }
    }

    async fn in_time<T>(
        &self,
        what: impl Future<Output = T>,
        more: Duration,
    ) -> Result<T, Failure> {
        let (bound, lane) = match &self.patience {
            Patience::Bound(bound) => {
                let bound = bound.saturating_add(more);
                let done = tokio::time::timeout(bound, what).await;
                return done.map_err(|_| self.silent(bound));
            }
            Patience::Asking(bound, lane) => (*bound, lane),
        };
        tokio::pin!(what);
        loop {
            if let Ok(done) = tokio::time::timeout(bound, &mut what).await {
                return Ok(done);
            }
            let there = who_is_there(lane, bound);
            let there = tokio::select! {
                biased;
                done = &mut what => return Ok(done),
                there = there => there,
            };
            match there {
                Ok(server) if server == self.server => {}
                Ok(server) => return Err(self.unanswered(format!("{server} is the master now"))),
                Err(error) => return Err(self.unanswered(error.to_string())),
            }
        }
    }

    fn lost(&self) -> Failure {
        Failure::NotSent {
            server: self.server.clone(),
            reason: "the connection was lost".to_owned(),
        }
    }

    fn silent(&self, bound: Duration) -> Failure {
        self.unanswered(format!("nothing came for {} ms", bound.as_millis()))
    }

    fn unanswered(&self, reason: String) -> Failure {
        Failure::Unanswered {
            server: self.server.clone(),
            reason,
        }
    }
}

/// The server to which a lane leads, if it answers.
fn who_is_there(
    lane: &Lane,
    bound: Duration,
) -> Pin<Box<dyn Future<Output = Result<String, Failure>> + Send + '_>> {
    Box::pin(async move {
        let open = lane.open(Instant::now() + bound).await?;
        match open.ask(&redis::cmd("PING")).await {
            // Who refuses is there.
            Ok(_) | Err(Failure::Refused { .. }) => Ok(open.server.clone()),
            Err(failure) => {
                lane.give_up(&open);
                Err(failure)
            }
        }
    })
}

/// What an answer holds, if it is that.
pub(super) fn read<T: FromRedisValue>(answer: Value) -> Option<T> {
    redis::from_redis_value(answer).ok()
}

/// The error that an answer is.
pub(super) const fn error_of(value: &Value) -> Option<&ServerError> {
    match value {
        Value::ServerError(error) => Some(error),
        _ => None,
    }
}
