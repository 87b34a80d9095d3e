//! A connection for commands that comes back.

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, RedisError, RedisResult,
};
use std::fmt;
use std::time::Duration;
use tokio::sync::Mutex;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for the answers to a pipeline of commands that don't block.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes its connection when it is first used, and a new one after an error of the old.
pub(crate) struct Link {
    client: Client,
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl Link {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            connection: Mutex::default(),
        }
    }

    /// Runs commands in their order, one round trip for all.
    pub(crate) async fn run<T: FromRedisValue>(&self, commands: &Pipeline) -> RedisResult<T> {
        let mut connection = self.connection().await?;
        let result = commands.query_async(&mut connection).await;
        self.note(result).await
    }

    /// Lets go of a connection that has failed.
    async fn note<T>(&self, result: RedisResult<T>) -> RedisResult<T> {
        if let Err(error) = &result
            && is_broken(error)
        {
            *self.connection.lock().await = None;
        }
        result
    }

    /// Runs one command: its error has the server's code, which that of several has not.
    pub(crate) async fn one<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        let mut connection = self.connection().await?;
        let result = command.query_async(&mut connection).await;
        self.note(result).await
    }

    async fn connection(&self) -> RedisResult<MultiplexedConnection> {
        let mut held = self.connection.lock().await;
        if let Some(connection) = &*held {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(ANSWER_TIMEOUT));
        let connecting = self
            .client
            .get_multiplexed_async_connection_with_config(&config);
        let connection = connecting.await?;
        Ok(held.insert(connection).clone())
    }
}

/// Whether nothing is to be expected of the connection any more.
fn is_broken(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error()
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.client.get_connection_info().addr();
        write!(f, "Link({address})")
    }
}
