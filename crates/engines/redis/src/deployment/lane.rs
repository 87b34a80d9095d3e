//! A connection that comes back.

use super::dial::Dialer;
use super::failure::Failure;
use super::open::{Open, Patience};
use super::sentinel::Sentinels;
use redis::Value;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use trunkline_model::Backoff;
use trunkline_mpx::{RedisAddress, Transport};

/// How many attempts there is time for where there are several servers, if they all hang.
const PARTS: u32 = 3;

/// Where a lane leads.
#[derive(Clone, Debug)]
pub(super) enum Way {
    To(Box<RedisAddress>),
    /// To the master of the moment.
    Master(Arc<Sentinels>),
}

/// A connection that is made when it is first used, and again after it was lost. One is made at a time, after a
/// wait that grows from failure to failure.
#[derive(Debug)]
pub(super) struct Lane {
    dialer: Arc<Dialer>,
    way: Way,
    /// How the connection is called in `CLIENT LIST`.
    name: Option<String>,
    patience: Patience,
    /// Longest attempt: where there are several servers, there must be time to find another one.
    attempt: Duration,
    held: Mutex<Option<Arc<Open>>>,
    tries: tokio::sync::Mutex<Tries>,
}

/// What became of attempts to connect.
#[derive(Debug)]
struct Tries {
    /// In a row that failed, or were given up.
    failures: u32,
    /// Not before.
    next: Instant,
    last: Option<Failure>,
}

impl Lane {
    pub(super) fn new(
        dialer: Arc<Dialer>,
        way: Way,
        name: Option<String>,
        patience: Patience,
        several: bool,
    ) -> Self {
        let attempt = dialer.timeout() / if several { PARTS } else { 1 };
        Self {
            attempt,
            dialer,
            way,
            name,
            patience,
            held: Mutex::default(),
            tries: tokio::sync::Mutex::new(Tries {
                failures: 0,
                next: Instant::now(),
                last: None,
            }),
        }
    }

    /// The connection, or one attempt to make it.
    ///
    /// # Errors
    /// [`Failure::NotSent`], or that the server refused the login.
    pub(super) async fn open(&self, deadline: Instant) -> Result<Arc<Open>, Failure> {
        if let Some(open) = self.current() {
            return Ok(open);
        }
        let Ok(mut tries) = timeout_at(deadline, self.tries.lock()).await else {
            return Err(self.late("another attempt takes all the time"));
        };
        if let Some(open) = self.current() {
            return Ok(open);
        }
        if tries.next >= deadline {
            tokio::time::sleep_until(deadline).await;
            let late = || self.late("there was no time for another attempt");
            return Err(tries.last.clone().unwrap_or_else(late));
        }
        tokio::time::sleep_until(tries.next).await;
        // Counted before it is known, since it may be given up.
        tries.failures = tries.failures.saturating_add(1);
        tries.next = Instant::now() + delay(tries.failures);
        let until = deadline.min(Instant::now() + self.attempt);
        let made = match timeout_at(until, self.connect()).await {
            Ok(made) => made,
            Err(_) => Err(self.late("the server did not answer the login")),
        };
        match made {
            Ok(open) => {
                let open = Arc::new(open);
                *self.held() = Some(open.clone());
                self.dialer.connections().add(1);
                tries.failures = 0;
                tries.last = None;
                Ok(open)
            }
            Err(failure) => {
                tries.next = Instant::now() + delay(tries.failures);
                tries.last = Some(failure.clone());
                Err(failure)
            }
        }
    }

    /// Lets go of a connection from which nothing is to be expected any more.
    pub(super) fn give_up(&self, open: &Arc<Open>) {
        let mut held = self.held();
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, open)) {
            *held = None;
        }
    }

    async fn connect(&self) -> Result<Open, Failure> {
        match &self.way {
            Way::To(address) => self.make(address, |stream| stream).await,
            Way::Master(sentinels) => {
                let master = sentinels.master(&self.dialer).await?;
                let made = async {
                    let address = master.address.clone();
                    let guard = |stream| master.guard(stream);
                    let open = self.make(&address, guard).await?;
                    is_master(&open).await?;
                    Ok(open)
                };
                let made = made.await;
                if made.is_err() {
                    sentinels.doubt();
                }
                made
            }
        }
    }

    async fn make(
        &self,
        address: &RedisAddress,
        guard: impl FnOnce(Box<dyn Transport>) -> Box<dyn Transport>,
    ) -> Result<Open, Failure> {
        let patience = self.patience.clone();
        let open = Open::make(address, self.dialer.settings(), patience, guard).await?;
        if let Some(name) = &self.name {
            let mut rename = redis::cmd("CLIENT");
            rename.arg("SETNAME").arg(name);
            open.ask(&rename).await?;
        }
        Ok(open)
    }

    /// Whether there is a connection.
    pub(super) fn is_up(&self) -> bool {
        self.current().is_some()
    }

    fn current(&self) -> Option<Arc<Open>> {
        self.held().clone().filter(|open| !open.is_over())
    }

    fn held(&self) -> MutexGuard<'_, Option<Arc<Open>>> {
        let held = self.held.lock();
        held.expect("no code panics while it holds the connection")
    }

    fn late(&self, reason: &str) -> Failure {
        let server = match &self.way {
            Way::To(address) => address.to_string(),
            Way::Master(sentinels) => sentinels.to_string(),
        };
        Failure::NotSent {
            server,
            reason: reason.to_owned(),
        }
    }
}

/// A sentinel may not know yet that the server has become a replica.
async fn is_master(open: &Open) -> Result<(), Failure> {
    let role = open.ask(&redis::cmd("ROLE")).await?;
    let role = match &role {
        Value::Array(parts) => parts.first(),
        _ => None,
    };
    let role = role.and_then(|role| redis::from_redis_value_ref::<String>(role).ok());
    match role.as_deref() {
        Some("master") => Ok(()),
        _ => Err(Failure::NotSent {
            server: open.server.clone(),
            reason: "the sentinels name it, but it is not the master".to_owned(),
        }),
    }
}

/// How long to wait after so many failures in a row: not at all after the first.
pub(super) fn delay(failures: u32) -> Duration {
    if failures < 2 {
        return Duration::ZERO;
    }
    let random = RandomState::new().hash_one(failures);
    Backoff::RECONNECT.delay(failures - 1, random)
}
