//! A whole server inside a program.

mod builder;
mod capable;
pub(crate) mod engine;
mod running;
mod testing;
mod wires;

pub use builder::ServerBuilder;
pub use running::RunningServer;
pub use testing::TestServer;
pub use wires::WireInfo;

use crate::{Config, ConfigError, config::EngineUrl, unique_name};
use engine::Opened;
use futures_util::FutureExt;
use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{sync::watch, time::timeout};
use trunkline_auth::Access;
use trunkline_engine_embedded::OpenError;
use trunkline_gateway::{
    BindError, Dependency, Doorstep, Drained, Gateway, GatewayConfig, Services, TlsError,
};
use trunkline_journal::RecoveryReport;
use trunkline_model::{Admin, Caller, Engine, Error, Health, TopicName, TopicSettings, oneshot};
use trunkline_rpc::{Calls, Handler, Registration};

/// Longest wait for the engine to make everything durable at the end.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// Why a server doesn't start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store doesn't open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The engine is elsewhere, and doesn't answer as it should.
    #[error("can't use {engine}: {reason}")]
    Unreachable {
        /// Its URL, without credentials.
        engine: String,
        /// What it says, or that it says nothing.
        reason: String,
    },
    /// The Redis of a wire of calls doesn't answer as it should.
    #[error("can't use {url} for the wire {wire}: {reason}")]
    Wire {
        /// The name of the wire, and in brackets the categories of calls that use it.
        wire: String,
        /// Where it is, without credentials.
        url: String,
        /// What it says, or that it says nothing.
        reason: String,
    },
    /// The engine can't do what the configuration asks for.
    #[error("{place}: the {engine} engine can't do `{option}`; take it away or use another engine")]
    Unsupported {
        /// `topics.defaults`, or a topic's key.
        place: String,
        /// The engine's name.
        engine: &'static str,
        /// The option.
        option: &'static str,
    },
    /// A topic of the configuration can't be made.
    #[error("topics.declare.{}: {error}", topic.as_str())]
    Declare {
        /// The topic.
        topic: TopicName,
        /// What the engine says.
        error: Error,
    },
    /// An address can't be used.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A handler can't be served.
    #[error("the handler can't be served: {0}")]
    Handler(Error),
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// How its connections ended.
    pub drained: Drained,
    /// The store is closed: the next start has nothing to recover. If not, what was confirmed
    /// is safe nevertheless.
    pub closed: bool,
}

/// A server that is ready: the store is recovered, the address is taken. It serves once it
/// [runs](Server::run), or is [spawned](Server::spawn).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use trunkline::{Client, Handler, Server};
///
/// let math = Handler::new("math")
///     .method("sum", |n: Vec<i64>, _| async move { Ok(n.iter().sum::<i64>()) });
/// let server = Server::builder().memory().listen("127.0.0.1:0").handler(math).start().await?;
/// let running = server.spawn();
/// let client = Client::connect(running.url()).await?;
/// assert_eq!(client.call::<i64>("sum", &[1, 2, 3]).await?, 6);
/// assert!(running.stop().await.closed);
/// # Ok(())
/// # }
/// ```
pub struct Server {
    engine: Arc<dyn Engine>,
    engine_url: String,
    recovery: Option<RecoveryReport>,
    wires: Vec<WireInfo>,
    dependencies: Vec<Dependency>,
    gateway: Gateway,
    calls: Arc<Calls>,
    /// Handlers that live as long as the server.
    handlers: Vec<Registration>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("gateway", &self.gateway)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// A server with other than the default options: a store in `./trunkline-data`, on
    /// `127.0.0.1:7400`, and without a TCP port for STOMP.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::new()
    }

    /// Takes the addresses, opens the store and makes the topics of the configuration; who asks
    /// before that is done gets 503, or an ERROR over STOMP. Must be called inside a tokio runtime.
    ///
    /// An engine that is elsewhere has 5 s to answer, and so has the Redis of each wire of calls.
    ///
    /// # Errors
    /// [`StartError`] says what is wrong and what to do.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        Self::start_or_wait(config, false).await
    }

    /// The same, but waits for what is elsewhere as long as it takes.
    ///
    /// # Errors
    /// [`StartError`] says what is wrong and what to do.
    pub async fn start_waiting(config: &Config) -> Result<Self, StartError> {
        Self::start_or_wait(config, true).await
    }

    async fn start_or_wait(config: &Config, wait: bool) -> Result<Self, StartError> {
        config.check()?;
        let wrong = |reason: String| ConfigError::Meaning {
            key: "engine.url".to_owned(),
            reason,
        };
        let url: EngineUrl = config.engine.url.parse().map_err(wrong)?;
        let doing = engine::doing(&url, config.calls.uses_wires());
        let doorstep = Doorstep::bind(gateway_config(config)).await?;
        let made = OnceLock::new();
        let gateway = doorstep
            .open(doing, async {
                // Boxed, here and below: what a start waits for is deeper than the compiler goes.
                let opened = engine::open(config, url, wait).boxed().await?;
                let (services, wires) = services(config, &opened, wait).await?;
                let calls = Arc::clone(&services.calls);
                let dependencies = services.dependencies.clone();
                made.set((opened, calls, wires, dependencies)).ok();
                Ok::<_, StartError>(services)
            })
            .await?;
        let made = made.into_inner();
        let (opened, calls, wires, dependencies) = made.expect("the gateway was opened with it");
        Ok(Self {
            engine: opened.engine,
            engine_url: EngineUrl::shown(&config.engine.url),
            recovery: opened.recovery,
            wires,
            dependencies,
            gateway,
            calls,
            handlers: Vec::new(),
        })
    }

    /// Serves a handler in Rust, in this process, as long as the server lives.
    ///
    /// # Errors
    /// [`StartError::Handler`]: its name or a method's is none, or it is served differently
    /// already.
    pub fn handle(&mut self, handler: Handler) -> Result<(), StartError> {
        let registration = self.calls.serve(handler).map_err(StartError::Handler)?;
        self.handlers.push(registration);
        Ok(())
    }

    /// Serves in a task of its own, until it is told to stop or dropped.
    pub fn spawn(self) -> RunningServer {
        RunningServer::of(self)
    }

    /// Where it listens: with the port that was taken, if port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.gateway.local_addr()
    }

    /// Where it listens for STOMP, if it does.
    pub fn stomp_address(&self) -> Option<SocketAddr> {
        self.gateway.stomp_addr()
    }

    /// Where it listens for STOMP over TLS, if it does.
    pub fn stomp_tls_address(&self) -> Option<SocketAddr> {
        self.gateway.stomp_tls_addr()
    }

    /// Reads the certificate and key of the configuration again, whenever it is called, for
    /// connections to come. `None` if nothing listens for TLS.
    pub fn tls_reload(&self) -> Option<impl Fn() -> Result<(), TlsError> + Send + use<>> {
        self.gateway.tls_reload()
    }

    /// The URL for clients on this machine.
    pub fn url(&self) -> String {
        format!("ws://{}/rpc", self.address())
    }

    /// Where topics and channels live, without credentials.
    pub fn engine_url(&self) -> &str {
        &self.engine_url
    }

    /// The wires of calls besides the engine's own.
    pub fn wires(&self) -> &[WireInfo] {
        &self.wires
    }

    /// What else than the engine is needed, such as the Redis of a wire, and whether it is there.
    pub fn dependencies(&self) -> &[Dependency] {
        &self.dependencies
    }

    /// What was found in the store; `None` without one.
    pub fn recovery(&self) -> Option<&RecoveryReport> {
        self.recovery.as_ref()
    }

    /// Whether the store takes publishes, as it changes.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.engine.health()
    }

    /// Serves until `shutdown` is ready, then drains: running calls finish, everything that was
    /// taken becomes durable, connections are closed, the store is closed cleanly.
    pub async fn run<T>(self, shutdown: impl Future<Output = T>) -> Stopped {
        let shutdown = async {
            shutdown.await;
        };
        let drained = self.gateway.run(shutdown).await;
        let mut health = self.engine.health();
        self.engine.close(CLOSE_WITHIN);
        let closed = health.wait_for(|health| *health == Health::Closed);
        Stopped {
            drained,
            closed: matches!(timeout(CLOSE_WITHIN, closed).await, Ok(Ok(_))),
        }
    }
}

/// Everything that the gateway is the front of, with the topics of the configuration.
async fn services(
    config: &Config,
    opened: &Opened,
    wait: bool,
) -> Result<(Services, Vec<WireInfo>), StartError> {
    let (engine, clock) = (&opened.engine, &opened.clock);
    capable::check(&engine.capabilities().borrow(), &config.topics)?;
    let made = wires::make(config, clock, wait).boxed().await?;
    let calls = Calls::start_with(
        Arc::clone(engine),
        Arc::clone(clock),
        config.calls.config(),
        unique_name().into(),
        made.wires,
    );
    let calls = calls.map_err(|error| ConfigError::Meaning {
        key: "calls".to_owned(),
        reason: error.to_string(),
    })?;
    for (topic, settings) in &config.topics.declare {
        declare(&**engine, topic, settings).await?;
    }
    let services = Services {
        engine: Arc::clone(engine),
        calls,
        access: Arc::new(Access::default()),
        clock: Arc::clone(clock),
        version: env!("CARGO_PKG_VERSION"),
        engine_url: EngineUrl::shown(&config.engine.url),
        dependencies: made.dependencies,
    };
    Ok((services, made.infos))
}

fn gateway_config(config: &Config) -> GatewayConfig {
    let http = config.http.clone();
    GatewayConfig {
        http: http.listen,
        insecure: http.insecure,
        hosts: http.hosts,
        origins: http.origins,
        limits: config.limits.clone(),
        ping_interval: http.ping_interval,
        pong_timeout: http.pong_timeout,
        stall_timeout: http.stall_timeout,
        drain_timeout: http.drain_timeout,
        slow_listener: http.slow_listener,
        stomp: config.stomp.clone(),
    }
}

/// Makes a topic that the configuration names; one that is there with other options is an error.
async fn declare(
    engine: &dyn Engine,
    topic: &TopicName,
    settings: &TopicSettings,
) -> Result<(), StartError> {
    let (completion, outcome) = oneshot();
    let command = Admin::Define {
        topic: topic.clone(),
        settings: settings.clone(),
    };
    engine.admin(&Caller::system(), command, completion);
    match outcome.await {
        Ok(_) => Ok(()),
        Err(error) => Err(StartError::Declare {
            topic: topic.clone(),
            error,
        }),
    }
}
