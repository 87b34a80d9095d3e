//! Looking after topics of which nobody wants anything: what is due in them happens when somebody asks,
//! and dead letters are carried away by whoever hears of them.

use super::Topics;
use crate::deployment::Failure;
use redis::pipe;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use trunkline_model::{Backoff, TopicName};

/// Between two visits of all topics.
pub(super) const EVERY: Duration = Duration::from_secs(60);
/// Between two looks whether it is this process' turn.
const TRY: Duration = Duration::from_secs(3);
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
    /// Visits all topics for as long as this process is the one that does.
    pub(crate) async fn sweep(self: Arc<Self>) {
        let (mut failures, mut swept) = (0, None::<Instant>);
        loop {
            let visited = match self.takes_turn().await {
                Ok(false) => {
                    swept = None;
                    Ok(())
                }
                Ok(true) if swept.is_some_and(|at| at.elapsed() < EVERY) => Ok(()),
                Ok(true) => {
                    swept = Some(Instant::now());
                    self.visit_all().await
                }
                Err(failure) => Err(failure),
            };
            let pause = match visited {
                Ok(()) => {
                    failures = 0;
                    TRY.min(self.lease / 3)
                }
                Err(failure) => {
                    tracing::debug!(%failure, "not all topics could be visited");
                    swept = None;
                    failures += 1;
                    AGAIN.bound(failures)
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn sweeper_key(&self) -> String {
        format!("{}:topics:sweeper", self.prefix)
    }

    /// Whether this process is the one that visits the topics: it was until now, or nobody is.
    async fn takes_turn(&self) -> Result<bool, Failure> {
        let key = self.sweeper_key();
        let millis = u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX);
        let mut set = pipe();
        set.cmd("SET").arg(&key).arg(self.process.as_str());
        set.arg("NX").arg("PX").arg(millis).ignore();
        set.cmd("GET").arg(&key);
        let (holder,): (Option<String>,) = self.deployment.run(key.as_bytes(), &set).await?;
        let mine = holder.is_some_and(|holder| *holder == *self.process);
        if mine {
            let mut renew = pipe();
            renew.cmd("PEXPIRE").arg(&key).arg(millis);
            let (_,): (u64,) = self.deployment.run(key.as_bytes(), &renew).await?;
        }
        Ok(mine)
    }

    /// Lets another process visit the topics.
    pub(super) async fn end_turn(&self) {
        if matches!(self.takes_turn().await, Ok(true)) {
            let key = self.sweeper_key();
            let mut delete = pipe();
            delete.cmd("DEL").arg(&key);
            let deleted: Result<(u64,), Failure> =
                self.deployment.run(key.as_bytes(), &delete).await;
            if let Err(failure) = deleted {
                tracing::debug!(%failure, "others visit the topics when the lease is over");
            }
        }
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
