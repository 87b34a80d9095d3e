//! Commands to Redis, wherever it is: one server, the master that sentinels name, or a cluster.
//!
//! A command goes to the server that has its key, over one connection for all ([`Lane`](lane::Lane)), which is made when it is
//! needed and again when it was lost. Every answer is waited for so long and no longer. What was refused because the
//! server is not, or not yet, the one to ask goes to the right one; what may have been executed is never
//! sent twice: [`Failure`] says which it is.
//!
//! Start at [`Deployment`], then `carry.rs`, which follows commands to their server; `router.rs` says which
//! that is, `lane.rs` makes its connection.

mod carry;
mod cluster;
mod connector;
mod counted;
mod dial;
mod failure;
mod features;
mod lane;
mod open;
mod rights;
mod router;
mod sentinel;
mod switches;
mod url;
mod url_text;

#[cfg(test)]
mod tests;

pub use connector::multiplexer_options;
pub use failure::{Failure, Refusal};
pub use features::{Features, Fsync, Persistence, ServerKind, Version};
pub use url::{RedisUrl, RedisUrlError};

use crate::connection::Commands;
use carry::Carrier;
use dial::Dialer;
use open::Request;
use redis::{Cmd, FromRedisValue, Pipeline, Value};
use router::{LaneMaker, Router};
use std::fmt;
use std::sync::Arc;
use trunkline_mpx::slot_of;

/// A Redis or Valkey to which commands are sent. It connects when there is one to send, and again after a loss.
/// Cloning it is cheap; all clones share their connections.
#[derive(Clone)]
pub struct Deployment {
    shared: Arc<Shared>,
}

struct Shared {
    url: RedisUrl,
    dialer: Arc<Dialer>,
    commands: Arc<Router>,
    /// For writes that wait for replicas, so that nothing else waits with them.
    confirmed: Router,
}

impl Deployment {
    /// For the deployment at a URL.
    ///
    /// # Errors
    /// The certificates that it names can't be used.
    pub fn new(url: RedisUrl) -> Result<Self, RedisUrlError> {
        let dialer = Arc::new(Dialer::new(&url)?);
        Ok(Self::with(url, dialer, None, None))
    }

    fn with(
        url: RedisUrl,
        dialer: Arc<Dialer>,
        name: Option<String>,
        asking: Option<Arc<Router>>,
    ) -> Self {
        let maker = || LaneMaker {
            dialer: dialer.clone(),
            name: name.clone(),
            answer_timeout: url.answer_timeout,
            asking: asking.clone(),
        };
        Self {
            shared: Arc::new(Shared {
                commands: Arc::new(Router::new(&url, maker())),
                confirmed: Router::new(&url, maker()),
                dialer: dialer.clone(),
                url,
            }),
        }
    }

    /// How many connections were made so far, besides those that listen: whatever is more than at the beginning came
    /// after losses.
    pub(crate) fn connections(&self) -> u64 {
        self.shared.dialer.connections().get()
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &RedisUrl {
        &self.shared.url
    }

    /// Runs commands in their order, one round trip for all, and returns what they answer. All their keys have the hash
    /// tag of `key`, which says where they are on a cluster. Commands that a server refuses because their keys are
    /// elsewhere, or because it isn't ready yet, are repeated in their order until the time for a connection is
    /// over; those that were executed are not.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run<T: FromRedisValue>(
        &self,
        key: &[u8],
        commands: &Pipeline,
    ) -> Result<T, Failure> {
        let mut carrier = Carrier::new(&self.shared.commands, &self.shared.url, slot_of(key), None);
        let done = commands.query_async(&mut carrier).await;
        carrier.finish(done)
    }

    /// The same for one command.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn one<T: FromRedisValue>(&self, key: &[u8], command: &Cmd) -> Result<T, Failure> {
        let mut carrier = Carrier::new(&self.shared.commands, &self.shared.url, slot_of(key), None);
        let done = command.query_async(&mut carrier).await;
        carrier.finish(done)
    }

    /// Runs commands as [`Deployment::run`] does, and returns what became of each by itself. They are no transaction.
    ///
    /// # Errors
    /// [`Failure`], if there is no answer at all.
    pub async fn each(
        &self,
        key: &[u8],
        commands: &Pipeline,
    ) -> Result<Vec<Result<Value, Failure>>, Failure> {
        let carrier = Carrier::new(&self.shared.commands, &self.shared.url, slot_of(key), None);
        carrier.carry_each(Request::Many(commands)).await
    }

    /// The same for commands that are written down already, and whose keys are all in this slot of a cluster.
    ///
    /// # Errors
    /// [`Failure`], if there is no answer at all.
    pub(crate) async fn each_written(
        &self,
        slot: u16,
        commands: &Commands,
    ) -> Result<Vec<Result<Value, Failure>>, Failure> {
        let carrier = Carrier::new(&self.shared.commands, &self.shared.url, slot, None);
        carrier.carry_each(Request::Written(commands, false)).await
    }

    /// Runs one command that is written down already, and returns its answer as it came.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn raw(&self, key: &[u8], command: &Commands) -> Result<Vec<u8>, Failure> {
        let carrier = Carrier::new(&self.shared.commands, &self.shared.url, slot_of(key), None);
        carrier.carry_raw(command).await
    }

    /// Runs commands that write, as [`Deployment::run`] does, and waits until as many replicas and disks have
    /// the writes as the URL asks for.
    ///
    /// # Errors
    /// [`Failure`]; [`Failure::Replicas`] if it is stored, but fewer have it in time.
    pub async fn confirm<T: FromRedisValue>(
        &self,
        key: &[u8],
        commands: &Pipeline,
    ) -> Result<T, Failure> {
        let Shared { url, confirmed, .. } = &*self.shared;
        let Some(wait) = url.wait else {
            return self.run(key, commands).await;
        };
        let wait = (wait, url.wait_timeout);
        let mut carrier = Carrier::new(confirmed, url, slot_of(key), Some(wait));
        let done = commands.query_async(&mut carrier).await;
        carrier.finish(done)
    }

    /// The same deployment over connections of its own, called so in `CLIENT LIST`, for commands that block: their
    /// answers may take any time, as long as the server is there.
    #[must_use]
    pub fn patient(&self, name: String) -> Self {
        let Shared {
            url,
            dialer,
            commands,
            ..
        } = &*self.shared;
        Self::with(
            url.clone(),
            dialer.clone(),
            Some(name),
            Some(commands.clone()),
        )
    }
}

impl fmt::Debug for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Deployment({})", self.shared.url)
    }
}
