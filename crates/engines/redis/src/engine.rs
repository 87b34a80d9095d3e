use crate::capabilities::capabilities;
use crate::config::{RedisConfig, RedisStartError};
use crate::deployment::Deployment;
use crate::health::Condition;
use crate::tasks::Tasks;
use crate::watch::watch;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch as channel;
use trunkline_model::{
    Admin, Batch, Caller, Capabilities, ChannelMessage, ChannelName, Completion, ConsumeSpec,
    ConsumerHandle, ConsumerId, DeliverySink, Engine, Error, Health, ListenHandle, ListenPolicy,
    ListenerSink, Pattern,
};

/// Topics and channels on Redis or Valkey: any number of processes share them. So far it knows whether
/// the server is there, and refuses everything else.
pub struct RedisEngine {
    deployment: Deployment,
    condition: Arc<Condition>,
    tasks: Tasks,
    capabilities: channel::Sender<Capabilities>,
}

impl RedisEngine {
    /// Starts the engine, and returns at once: its health says when the server has answered.
    ///
    /// # Errors
    /// [`RedisStartError`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(config: RedisConfig) -> Result<Arc<Self>, RedisStartError> {
        let defaults = config.defaults.resolve();
        defaults.map_err(RedisStartError::Defaults)?;
        let deployment = Deployment::new(config.url.clone())?;
        let condition = Arc::new(Condition::new(&config.url.to_string()));
        let tasks = Tasks::new();
        tasks.spawn(watch(deployment.clone(), condition.clone()));
        Ok(Arc::new(Self {
            deployment,
            condition,
            tasks,
            capabilities: channel::Sender::new(capabilities(config.url.is_cluster())),
        }))
    }
}

fn refused() -> Error {
    Error::unsupported("topics", "this engine can't do that so far")
}

impl Engine for RedisEngine {
    fn capabilities(&self) -> channel::Receiver<Capabilities> {
        self.capabilities.subscribe()
    }

    fn submit(&self, _: &Caller, _: Batch, completion: Completion) {
        completion.complete(Err(refused()));
    }

    fn admin(&self, _: &Caller, _: Admin, completion: Completion) {
        completion.complete(Err(refused()));
    }

    fn consume(
        &self,
        _: &Caller,
        _: ConsumeSpec,
        sink: Arc<dyn DeliverySink>,
    ) -> Box<dyn ConsumerHandle> {
        sink.started(Err(refused()));
        Box::new(Unheard)
    }

    fn publish_channel(&self, _: &Caller, _: ChannelMessage, completion: Completion) {
        completion.complete(Err(refused()));
    }

    fn listen(
        &self,
        _: &Caller,
        _: Arc<dyn ListenerSink>,
        _: ListenPolicy,
    ) -> Box<dyn ListenHandle> {
        Box::new(Unheard)
    }

    fn health(&self) -> channel::Receiver<Health> {
        self.condition.subscribe()
    }

    fn close(&self, _: Duration) {
        self.condition.closed();
        self.tasks.abort();
    }
}

/// Hears nothing.
struct Unheard;

impl ListenHandle for Unheard {
    fn add(&self, _: &[ChannelName], _: &[Pattern]) {}

    fn remove(&self, _: &[ChannelName], _: &[Pattern]) {}
}

impl ConsumerHandle for Unheard {
    fn id(&self) -> ConsumerId {
        ConsumerId(0)
    }

    fn credit(&self, _: u32) {}

    fn taken(&self, _: u64) {}

    fn cancel(&self) -> u64 {
        0
    }
}

impl Drop for RedisEngine {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}

impl fmt::Debug for RedisEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisEngine")
            .field("deployment", &self.deployment)
            .field("health", &*self.condition.subscribe().borrow())
            .finish_non_exhaustive()
    }
}
