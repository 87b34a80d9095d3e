//! Looking after topics of which nobody wants anything: what is due in them happens when somebody asks,
//! and dead letters are carried away by whoever hears of them.

use super::Topics;
use crate::deployment::Failure;
use redis::pipe;
use std::sync::Arc;
use std::time::Duration;
use trunkline_model::{Backoff, TopicName};

/// Between two visits of all topics, by one of all processes.
pub(super) const EVERY: Duration = Duration::from_secs(60);
/// Topics that are visited together.
const TOGETHER: usize = 64;
/// Between those and the next.
const PAUSE: Duration = Duration::from_millis(50);
/// Waits while the server can't be asked.
const AGAIN: Backoff = Backoff {
    min: Duration::from_millis(50),
    max: Duration::from_secs(5),
};

impl Topics {
    /// Visits all topics at the start, and then whenever it is this process' turn.
    pub(crate) async fn sweep(self: Arc<Self>) {
        let (mut mine, mut failures) = (Ok(true), 0);
        loop {
            let swept = match mine {
                Ok(true) => self.visit_all().await,
                Ok(false) => Ok(()),
                Err(failure) => Err(failure),
            };
            let pause = match swept {
                Ok(()) => {
                    failures = 0;
                    EVERY
                }
                Err(failure) => {
                    tracing::debug!(%failure, "not all topics could be visited");
                    failures += 1;
                    AGAIN.bound(failures)
                }
            };
            tokio::time::sleep(pause).await;
            mine = match failures {
                0 => self.takes_turn().await,
                _ => Ok(true),
            };
        }
    }

    /// Whether nobody else has visited the topics for a while.
    async fn takes_turn(&self) -> Result<bool, Failure> {
        let key = format!("{}:topics:swept", self.prefix);
        let mut set = pipe();
        set.cmd("SET")
            .arg(&key)
            .arg(self.process.as_str())
            .arg("NX");
        let millis = u64::try_from(EVERY.as_millis()).unwrap_or(u64::MAX);
        set.arg("PX").arg(millis / 10 * 9);
        let (taken,): (Option<String>,) = self.deployment.run(key.as_bytes(), &set).await?;
        Ok(taken.is_some())
    }

    async fn visit_all(self: &Arc<Self>) -> Result<(), Failure> {
        let mut from = "-".to_owned();
        loop {
            let names = self.names_from(&from, TOGETHER).await?;
            for name in names.iter().filter_map(|name| TopicName::new(name).ok()) {
                self.topic(&name).nudge(true);
            }
            match names.last() {
                Some(last) if names.len() == TOGETHER => from = format!("({last}"),
                _ => return Ok(()),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Names in the list of topics, in order, as `ZRANGEBYLEX` wants the first.
    pub(super) async fn names_from(
        &self,
        from: &str,
        count: usize,
    ) -> Result<Vec<String>, Failure> {
        let key = self.names_key();
        let mut range = pipe();
        range.cmd("ZRANGEBYLEX").arg(&key).arg(from).arg("+");
        range.arg("LIMIT").arg(0).arg(count);
        let (names,): (Vec<String>,) = self.deployment.run(key.as_bytes(), &range).await?;
        Ok(names)
    }
}
