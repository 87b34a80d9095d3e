//! The sibling of rpcprocessor's wire: commands in a list, each with the name of the list for its
//! answer.

use crate::deployment::{Deployment, Failure};
use crate::unique::unique_name;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use trunkline_model::Clock;

/// How long an answer that nobody takes is kept.
const ANSWER_SECONDS: u64 = 3_600;

#[derive(Serialize, Deserialize)]
struct Command {
    ret_queue: String,
    now: u64,
    cmd: String,
    data: String,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    #[serde(default)]
    result: String,
    #[serde(default)]
    error: String,
}

/// Why a command has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListRpcError {
    /// No answer came in time.
    Timeout {
        /// The list on which it was waited for.
        queue: String,
    },
    /// Whoever served it says so.
    Failed(String),
    /// What came is no answer, or no command.
    Malformed,
    /// Redis failed.
    Redis(Failure),
}

impl fmt::Display for ListRpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout { queue } => write!(f, "timeout on returnqueue: {queue}"),
            Self::Failed(error) => f.write_str(error),
            Self::Malformed => f.write_str("what came through the list is not of this wire"),
            Self::Redis(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ListRpcError {}

impl From<Failure> for ListRpcError {
    fn from(error: Failure) -> Self {
        Self::Redis(error)
    }
}

/// Commands over one list, from either side; one at a time.
pub struct ListRpc {
    queue: String,
    deployment: Deployment,
    /// Blocks, so it is used by one at a time.
    waiting: Mutex<Deployment>,
    clock: Arc<dyn Clock>,
}

impl ListRpc {
    /// Over this list; connects when there is something to do.
    pub fn new(deployment: Deployment, queue: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self {
            queue: queue.into(),
            waiting: Mutex::new(deployment.patient("list-rpc".to_owned())),
            deployment,
            clock,
        }
    }

    /// Has a command run, and waits for its result.
    ///
    /// # Errors
    /// [`ListRpcError`].
    pub async fn call(
        &self,
        cmd: &str,
        data: &str,
        timeout: Duration,
    ) -> Result<String, ListRpcError> {
        let queue = self.send(cmd, data).await?;
        let answer = self.take(&queue, timeout).await?;
        let Some(answer) = answer else {
            return Err(ListRpcError::Timeout { queue });
        };
        let answer: Answer =
            serde_json::from_slice(&answer).map_err(|_| ListRpcError::Malformed)?;
        if answer.error.is_empty() {
            Ok(answer.result)
        } else {
            Err(ListRpcError::Failed(answer.error))
        }
    }

    /// Has a command run, and doesn't wait. The list on which its answer comes.
    ///
    /// # Errors
    /// [`ListRpcError::Redis`].
    pub async fn send(&self, cmd: &str, data: &str) -> Result<String, ListRpcError> {
        let command = Command {
            ret_queue: unique_name().to_ascii_lowercase(),
            now: self.clock.now().as_millis() / 1_000,
            cmd: cmd.to_owned(),
            data: data.to_owned(),
        };
        let text = serde_json::to_string(&command).expect("strings are JSON");
        let mut push = redis::cmd("LPUSH");
        push.arg(&self.queue).arg(text);
        let () = self.deployment.one(self.queue.as_bytes(), &push).await?;
        Ok(command.ret_queue)
    }

    /// Serves one command, if one comes in time: false if none did. What `op` fails with is the
    /// caller's error.
    ///
    /// # Errors
    /// [`ListRpcError::Malformed`]: it was no command, and is gone; [`ListRpcError::Redis`].
    pub async fn process(
        &self,
        timeout: Duration,
        op: impl AsyncFnOnce(String, String) -> Result<String, String>,
    ) -> Result<bool, ListRpcError> {
        let Some(command) = self.take(&self.queue, timeout).await? else {
            return Ok(false);
        };
        let command: Command =
            serde_json::from_slice(&command).map_err(|_| ListRpcError::Malformed)?;
        let answer = match op(command.cmd, command.data).await {
            Ok(result) => Answer {
                result,
                error: String::new(),
            },
            Err(error) => Answer {
                result: String::new(),
                error,
            },
        };
        let text = serde_json::to_string(&answer).expect("strings are JSON");
        let mut push = redis::pipe();
        push.cmd("LPUSH").arg(&command.ret_queue).arg(text).ignore();
        let expire = push.cmd("EXPIRE").arg(&command.ret_queue);
        expire.arg(ANSWER_SECONDS).ignore();
        let key = command.ret_queue.as_bytes();
        let () = self.deployment.run(key, &push).await?;
        Ok(true)
    }

    async fn take(&self, list: &str, timeout: Duration) -> Result<Option<Vec<u8>>, Failure> {
        let waiting = self.waiting.lock().await;
        let mut wait = redis::cmd("BRPOP");
        // 0 would be for ever.
        wait.arg(list).arg(timeout.as_secs_f64().max(0.001));
        let taken: Option<(String, Vec<u8>)> = waiting.one(list.as_bytes(), &wait).await?;
        Ok(taken.map(|(_, value)| value))
    }
}

impl fmt::Debug for ListRpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ListRpc({:?}, {:?})", self.queue, self.deployment)
    }
}
