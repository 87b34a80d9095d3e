//! Calls on Redis, without a server in between.

use crate::{
    Config, RpcError, StartError,
    config::{EngineUrl, redis_url},
    server::engine::{self, Opened},
    unique_name,
};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};
use trunkline_engine_embedded::{Drive, Embedded, EmbeddedConfig, OpenError};
use trunkline_engine_redis::{
    ConsumerGroups, ConsumerGroupsOptions, Deployment, RpcProcessor, RpcProcessorOptions,
};
use trunkline_model::{
    CallOutcome, CallWire, Caller, Clock, Engine, Error, Outcome, SystemClock, Timestamp, oneshot,
};
use trunkline_rpc::{CallRequest, Calls, CallsConfig, CategoryConfig, Handler, Registration};

/// The name of the one wire.
const WIRE: &str = "wire";

/// Why a peer doesn't begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The URL is none, or names no Redis.
    #[error("{0}")]
    Url(String),
    /// The Redis doesn't answer as it should.
    #[error("can't use {url}: {reason}")]
    Unreachable {
        /// Its URL, without credentials.
        url: String,
        /// What it says, or that it says nothing.
        reason: String,
    },
    /// There are no resources for it.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// A program that asks and answers calls on a Redis, side by side with Trunkline servers and with
/// processes of others that speak the same wire.
///
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use trunkline::{CallPeer, ConsumerGroupsOptions, Handler};
///
/// let options = ConsumerGroupsOptions::default();
/// let peer = CallPeer::consumer_groups("redis://127.0.0.1", options, "general").await?;
/// let math = Handler::new("math")
///     .method("sum", |n: Vec<i64>, _| async move { Ok(n.iter().sum::<i64>()) });
/// let _serving = peer.serve(math)?;
/// let sum: i64 = peer.call("sum", &[1, 2, 3]).await?;
/// assert_eq!(sum, 6);
/// peer.close(Duration::from_secs(5)).await;
/// # Ok(())
/// # }
/// ```
pub struct CallPeer {
    calls: Arc<Calls>,
    engine: Arc<dyn Engine>,
    caller: Arc<Caller>,
    place: String,
}

/// A handler that is served. Dropping it loses its running calls; [`CallPeer::close`] finishes
/// them.
#[derive(Debug)]
#[must_use = "dropping it ends it"]
pub struct Serving(Registration);

impl CallPeer {
    /// On streams with consumer groups: the wire of Mojo::WebSocketProxy and its workers. What is
    /// asked and served here is of one category. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`PeerError`]: not a URL of a Redis, or it doesn't answer within some 5 s.
    pub async fn consumer_groups(
        url: &str,
        options: ConsumerGroupsOptions,
        category: &str,
    ) -> Result<Self, PeerError> {
        let (deployment, clock) = reached(url).await?;
        let place = format!("{} (consumer-groups)", deployment.url());
        let wire = ConsumerGroups::new(deployment, options, clock.clone());
        Self::over(Arc::new(wire), clock, category, place)
    }

    /// On lists: the wire of rpcprocessor and its handlers.
    ///
    /// # Errors
    /// As [`CallPeer::consumer_groups`].
    pub async fn rpcprocessor(
        url: &str,
        options: RpcProcessorOptions,
        category: &str,
    ) -> Result<Self, PeerError> {
        let (deployment, clock) = reached(url).await?;
        let place = format!("{} (rpcprocessor)", deployment.url());
        let wire = RpcProcessor::new(deployment, options, clock.clone());
        Self::over(Arc::new(wire), clock, category, place)
    }

    /// On the wire of Trunkline itself, over topics and channels of a Redis: what servers with that
    /// engine use among themselves.
    ///
    /// # Errors
    /// As [`CallPeer::consumer_groups`].
    pub async fn native(url: &str, category: &str) -> Result<Self, PeerError> {
        let redis = redis_url(url).map_err(PeerError::Url)?;
        let place = redis.to_string();
        let opened =
            engine::open(&Config::default(), EngineUrl::Redis(Box::new(redis)), false).await;
        let Opened { engine, clock, .. } = opened.map_err(|error| match error {
            StartError::Unreachable { engine, reason } => PeerError::Unreachable {
                url: engine,
                reason,
            },
            other => PeerError::Url(other.to_string()),
        })?;
        let config = config(category, None);
        let calls = Calls::start(engine.clone(), clock, config, unique_name().into());
        Ok(Self::of(calls, engine, place))
    }

    /// Over any wire.
    fn over(
        wire: Arc<dyn CallWire>,
        clock: Arc<dyn Clock>,
        category: &str,
        place: String,
    ) -> Result<Self, PeerError> {
        // Calls need an engine for the wire of their own, which nobody uses here.
        let mut nobodys = EmbeddedConfig::memory();
        nobodys.drive = Drive::ByHand;
        let engine = Embedded::open(nobodys)?;
        let wires = BTreeMap::from([(WIRE.into(), wire)]);
        let config = config(category, Some(WIRE));
        let name = unique_name().into();
        let calls = Calls::start_with(engine.clone(), clock, config, name, wires);
        let calls = calls.map_err(|error| PeerError::Url(error.to_string()))?;
        Ok(Self::of(calls, engine, place))
    }

    fn of(calls: Arc<Calls>, engine: Arc<dyn Engine>, place: String) -> Self {
        Self {
            calls,
            engine,
            caller: Arc::new(Caller::system()),
            place,
        }
    }

    /// Serves a handler until what this returns is dropped.
    ///
    /// # Errors
    /// The name of the handler or of a method is none, or another handler here has the method.
    pub fn serve(&self, handler: Handler) -> Result<Serving, RpcError> {
        self.calls
            .serve(handler)
            .map(Serving)
            .map_err(|e| of_error(&e))
    }

    /// Asks, and waits 30 s for the answer.
    ///
    /// # Errors
    /// That of the handler, unchanged; -32001 if the time is up, on the wire of
    /// rpcprocessor -32000 ([`RpcError::is_timeout`] says so of either); -32008 if Redis is not there.
    pub async fn call<R: DeserializeOwned>(
        &self,
        method: &str,
        params: &impl Serialize,
    ) -> Result<R, RpcError> {
        self.call_within(method, params, CategoryConfig::default().timeout.0)
            .await
    }

    /// The same with another time.
    ///
    /// # Errors
    /// As [`CallPeer::call`].
    pub async fn call_within<R: DeserializeOwned>(
        &self,
        method: &str,
        params: &impl Serialize,
        timeout: Duration,
    ) -> Result<R, RpcError> {
        let params = serde_json::to_vec(params)
            .map_err(|error| RpcError::failed(format!("the params are no JSON: {error}")))?;
        let caller = Arc::clone(&self.caller);
        let mut request = CallRequest::new(method, Some(Bytes::from(params)), caller);
        request.timeout = Some(timeout);
        let (completion, outcome) = oneshot();
        let id = self.calls.call(request, completion);
        let waiting = Waiting(&self.calls, id);
        let outcome = outcome.await;
        drop(waiting);
        read(outcome)
    }

    /// Ends: running calls finish, answers are written, all within this time; then the connections
    /// are closed.
    pub async fn close(&self, within: Duration) {
        self.calls.drain(within).await;
        self.engine.close(Duration::ZERO);
    }
}

impl Serving {
    /// Takes no more calls; running ones finish.
    pub fn drain(&self) {
        self.0.drain();
    }

    /// How many calls it runs.
    pub fn running(&self) -> u32 {
        self.0.running()
    }
}

impl fmt::Display for CallPeer {
    /// Where it is, without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl fmt::Debug for CallPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallPeer")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// A Redis that answers.
async fn reached(text: &str) -> Result<(Deployment, Arc<dyn Clock>), PeerError> {
    let url = redis_url(text).map_err(PeerError::Url)?;
    let deployment = engine::reach(&url).await;
    let deployment = deployment.map_err(|reason| PeerError::Unreachable {
        url: url.to_string(),
        reason,
    })?;
    Ok((deployment, Arc::new(SystemClock::new(Timestamp::ZERO))))
}

/// Whoever doesn't wait any more gives the call up.
struct Waiting<'a>(&'a Calls, Option<trunkline_model::CallId>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.1 {
            self.0.cancel(id);
        }
    }
}

fn config(category: &str, wire: Option<&str>) -> CallsConfig {
    let mut only = CategoryConfig::default();
    if let Some(wire) = wire {
        only.wire = wire.into();
    }
    CallsConfig {
        default_category: category.into(),
        categories: BTreeMap::from([(category.into(), only)]),
        ..CallsConfig::default()
    }
}

fn read<R: DeserializeOwned>(outcome: Result<Outcome, Error>) -> Result<R, RpcError> {
    match outcome {
        Ok(Outcome::Answered(CallOutcome::Result(json))) => serde_json::from_slice(&json)
            .map_err(|error| RpcError::failed(format!("the result can't be read: {error}"))),
        Ok(Outcome::Answered(CallOutcome::HandlerError(json))) => {
            Err(serde_json::from_slice(&json).unwrap_or_else(|_| of_error(&Error::internal())))
        }
        Ok(Outcome::Answered(CallOutcome::Failed(error))) | Err(error) => Err(of_error(&error)),
        Ok(_) => Err(of_error(&Error::internal())),
    }
}

fn of_error(error: &Error) -> RpcError {
    RpcError {
        code: error.code().number().into(),
        message: error.message().to_owned(),
        data: error.data().cloned(),
    }
}
