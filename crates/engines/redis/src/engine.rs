use crate::capabilities::capabilities;
use crate::channels::Channels;
use crate::config::{RedisConfig, RedisStartError};
use crate::deployment::{Deployment, multiplexer_options};
use crate::health::Condition;
use crate::tasks::Tasks;
use crate::topics::{Topics, wake};
use crate::watch::watch;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use trunkline_model::{
    Admin, Batch, Caller, Capabilities, ChannelMessage, Completion, ConsumeSpec, ConsumerHandle,
    DeliverySink, Engine, Health, ListenHandle, ListenPolicy, ListenerSink,
};
use trunkline_mpx::{ChannelSubscription, Multiplexer};

/// Topics and channels on Redis or Valkey: any number of processes share them.
///
/// What a topic is, is kept in Redis alone. A process keeps what waits to be sent, and which of its
/// consumers has which delivery. Dropping the engine without [`Engine::close`] ends it as a crash of the
/// process would: what its consumers had goes to others when its lease is over.
pub struct RedisEngine {
    topics: Arc<Topics>,
    condition: Arc<Condition>,
    tasks: Arc<Tasks>,
    capabilities: watch::Sender<Capabilities>,
    channels: Channels,
    /// The channel on which this process is woken.
    wake: Mutex<Option<ChannelSubscription>>,
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
        let defaults = defaults.map_err(RedisStartError::Defaults)?;
        let deployment = Deployment::new(config.url.clone())?;
        let watched = deployment.clone();
        let condition = Arc::new(Condition::new(&config.url.to_string()));
        let tasks = Arc::new(Tasks::new());
        let connector = deployment.connector();
        let connect = move || connector.connect();
        let multiplexer = Multiplexer::new(connect, multiplexer_options());
        let topics = Topics::new(
            &config,
            defaults,
            deployment,
            condition.clone(),
            tasks.clone(),
        );
        let wake = wake::listen(&topics, &multiplexer);
        let channels = Channels::new(multiplexer, watched.clone());
        tasks.spawn(topics.clone().sweep());
        tasks.spawn(watch(watched, condition.clone()));
        Ok(Arc::new(Self {
            topics,
            condition,
            tasks,
            capabilities: watch::Sender::new(capabilities(config.url.is_cluster())),
            channels,
            wake: Mutex::new(Some(wake)),
        }))
    }

    /// Whether nothing waits for the server, is under way, or has not reached its sink.
    pub fn is_idle(&self) -> bool {
        self.topics.is_idle()
    }
}

impl Engine for RedisEngine {
    fn capabilities(&self) -> watch::Receiver<Capabilities> {
        self.capabilities.subscribe()
    }

    fn submit(&self, _: &Caller, batch: Batch, completion: Completion) {
        self.topics.submit(batch, completion);
    }

    fn admin(&self, _: &Caller, command: Admin, completion: Completion) {
        self.topics.manage(command, completion);
    }

    fn consume(
        &self,
        _: &Caller,
        spec: ConsumeSpec,
        sink: Arc<dyn DeliverySink>,
    ) -> Box<dyn ConsumerHandle> {
        self.topics.consume(&spec, sink)
    }

    fn publish_channel(&self, _: &Caller, message: ChannelMessage, completion: Completion) {
        self.channels.publish(message, completion);
    }

    fn listen(
        &self,
        _: &Caller,
        sink: Arc<dyn ListenerSink>,
        policy: ListenPolicy,
    ) -> Box<dyn ListenHandle> {
        self.channels.listen(sink, policy)
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.condition.subscribe()
    }

    /// Ends the consumers, finishes what waits, and tells every topic that this process goes. What the server
    /// does not take before the deadline ends with an error; what was delivered then returns when the lease
    /// is over.
    fn close(&self, deadline: Duration) {
        if !self.topics.begin_closing() {
            return;
        }
        self.condition.closing();
        self.channels.close();
        let until = Instant::now() + deadline;
        let (topics, condition) = (self.topics.clone(), self.condition.clone());
        let tasks = self.tasks.clone();
        let wake = self.wake.lock().expect("nothing panics with it").take();
        self.tasks.spawn(async move {
            topics.finish_closing(until).await;
            drop(wake);
            condition.closed();
            tasks.abort();
        });
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
            .field("topics", &self.topics)
            .field("health", &*self.condition.subscribe().borrow())
            .finish_non_exhaustive()
    }
}
