//! Publishing: what arrives while a write is under way goes with the next.

use super::encoding;
use super::turn::{Turn, overloaded};
use super::waiting::{Publish, Waiting};
use crate::deployment::{Deployment, Failure};
use crate::unique::unique_name;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use trunkline_model::{Backoff, ChannelMessage, Completion, Error, Timestamp};

/// How long a publish may take, waiting for a connection included.
pub(super) const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);

/// Puts channel messages into Redis, in order. Dropping it lets what waits be sent, or fail at its deadline.
pub(super) struct Publisher {
    shared: Arc<Shared>,
}

struct Shared {
    deployment: Deployment,
    /// Which node of a cluster publishes: always the same, as that keeps the order, but not the same for every process.
    key: String,
    timeout: Duration,
    state: Mutex<State>,
    changed: Notify,
    started: Instant,
}

#[derive(Debug, Default)]
struct State {
    waiting: Waiting,
    closed: bool,
}

impl Publisher {
    pub(super) fn new(deployment: Deployment, timeout: Duration) -> Self {
        let shared = Arc::new(Shared {
            deployment,
            key: unique_name(),
            timeout,
            state: Mutex::default(),
            changed: Notify::new(),
            started: Instant::now(),
        });
        tokio::spawn(run(shared.clone()));
        Self { shared }
    }

    pub(super) fn publish(&self, message: ChannelMessage, completion: Completion) {
        let payload = encoding::encode(&message);
        let mut state = self.shared.state();
        if state.closed {
            drop(state);
            return completion.complete(Err(Error::shutting_down()));
        }
        let taken = state.waiting.push(Publish {
            channel: message.channel,
            payload,
            completion,
            deadline: self.shared.now().after(self.shared.timeout),
        });
        drop(state);
        match taken {
            Ok(()) => self.shared.changed.notify_one(),
            Err((completion, limit)) => completion.complete(Err(overloaded(limit))),
        }
    }

    /// Takes nothing more.
    pub(super) fn close(&self) {
        self.shared.state().closed = true;
        self.shared.changed.notify_one();
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("deployment", &self.shared.deployment)
            .finish_non_exhaustive()
    }
}

async fn run(shared: Arc<Shared>) {
    // A cluster's answers count the clients of one node only.
    let counts = !shared.deployment.url().is_cluster();
    let mut failures = 0_u32;
    // Redis has answered last time.
    let mut there = false;
    // Why it has not.
    let mut reason = None;
    while let Some(publishes) = shared.next_turn().await {
        let mut turn = Turn::new(publishes, reason.take());
        if !there {
            // What fails in the meantime is known not to be sent.
            match shared.in_time(&mut turn, shared.ask()).await {
                Ok(()) => there = true,
                Err(failure) => turn.failed(&failure),
            }
        }
        if there && !turn.is_empty() {
            let commands = turn.begin();
            let sent = shared.deployment.each(shared.key.as_bytes(), &commands);
            let sent = shared.in_time(&mut turn, sent).await;
            there = sent.is_ok();
            match sent {
                Ok(answers) => turn.answered(answers, counts),
                Err(failure) => turn.failed(&failure),
            }
        }
        if turn.is_empty() {
            failures = 0;
            continue;
        }
        failures = failures.saturating_add(1);
        let random = RandomState::new().hash_one(failures);
        let pause = Backoff::RECONNECT.delay(failures - 1, random);
        shared.in_time(&mut turn, tokio::time::sleep(pause)).await;
        reason = turn.reason().map(ToOwned::to_owned);
        shared.state().waiting.put_back(turn.into_left());
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.state.lock();
        state.expect("no code panics while it holds the publishes")
    }

    fn now(&self) -> Timestamp {
        Timestamp::ZERO.after(self.started.elapsed())
    }

    /// Whether Redis answers.
    async fn ask(&self) -> Result<(), Failure> {
        let ping = redis::cmd("PING");
        let answer = self.deployment.one::<String>(self.key.as_bytes(), &ping);
        answer.await.map(drop)
    }

    /// What goes together, once there is anything; `None` if nothing will be.
    async fn next_turn(&self) -> Option<Vec<Publish>> {
        loop {
            let (publishes, closed) = {
                let mut state = self.state();
                (state.waiting.take(), state.closed)
            };
            if !publishes.is_empty() {
                return Some(publishes);
            }
            if closed {
                return None;
            }
            self.changed.notified().await;
        }
    }

    /// Waits for something that the turn is about, and meanwhile fails what is due, of the turn and of what
    /// waits behind it.
    async fn in_time<T>(&self, turn: &mut Turn, what: impl Future<Output = T>) -> T {
        tokio::pin!(what);
        loop {
            let due = turn.due().into_iter().chain(self.state().waiting.due());
            let due = due
                .min()
                .map(|due| self.started + due.since(Timestamp::ZERO));
            let wait = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    // Its deadline is to be looked at.
                    None => self.changed.notified().await,
                }
            };
            tokio::select! {
                biased;
                done = &mut what => return done,
                () = wait => {}
            }
            let now = self.now();
            let expired = self.state().waiting.expire(now);
            turn.expire(now, expired, self.timeout);
        }
    }
}
