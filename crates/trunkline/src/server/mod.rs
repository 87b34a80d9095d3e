//! A whole server inside a program.

mod builder;
mod running;
mod testing;

pub use builder::ServerBuilder;
pub use running::RunningServer;
pub use testing::TestServer;

use crate::{Config, ConfigError, unique_name};
use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{sync::watch, time::timeout};
use trunkline_auth::Access;
use trunkline_engine_embedded::{Embedded, EmbeddedConfig, Location, LocationError, OpenError};
use trunkline_gateway::{BindError, Doorstep, Drained, Gateway, GatewayConfig, Services, TlsError};
use trunkline_journal::{Config as JournalConfig, RecoveryReport};
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
    /// The engine's URL is none.
    #[error("engine.url: {0}")]
    Location(#[from] LocationError),
    /// The store doesn't open.
    #[error(transparent)]
    Open(#[from] OpenError),
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
    engine: Arc<Embedded>,
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
    /// # Errors
    /// [`StartError`] says what is wrong and what to do.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        config.check()?;
        let location: Location = config.engine.url.parse()?;
        let doorstep = Doorstep::bind(gateway_config(config)).await?;
        let (opened, made) = (OnceLock::new(), OnceLock::new());
        let gateway = doorstep
            .open("recovering the store", async {
                let engine = open(engine_config(config, location)).await?;
                opened.set(Arc::clone(&engine)).ok();
                let services = services(config, engine).await?;
                made.set(Arc::clone(&services.calls)).ok();
                Ok::<_, StartError>(services)
            })
            .await?;
        let engine = opened.into_inner().expect("services were made from it");
        Ok(Self {
            engine,
            gateway,
            calls: made.into_inner().expect("services have it"),
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

    /// What was found in the store; `None` without one.
    pub fn recovery(&self) -> Option<&RecoveryReport> {
        self.engine.recovery()
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

/// Opens the store where waiting disturbs nobody: recovery reads files.
///
/// Where that is possible, this is the calling thread, which for a program is mostly its main one:
/// glibc enlarges the heap of any other thread page by page, with a system call each, and a
/// backlog of a million messages needs thousands of them.
async fn open(config: EmbeddedConfig) -> Result<Arc<Embedded>, StartError> {
    let flavor = tokio::runtime::Handle::current().runtime_flavor();
    if flavor == tokio::runtime::RuntimeFlavor::MultiThread {
        return Ok(tokio::task::block_in_place(|| Embedded::open(config))?);
    }
    let opening = tokio::task::spawn_blocking(move || Embedded::open(config));
    Ok(opening.await.expect("opening doesn't panic")?)
}

/// Everything that the gateway is the front of, with the topics of the configuration.
async fn services(config: &Config, engine: Arc<Embedded>) -> Result<Services, StartError> {
    let clock = engine.clock();
    let calls = Calls::start(
        Arc::clone(&engine) as Arc<dyn Engine>,
        Arc::clone(&clock),
        config.calls.clone(),
        unique_name().into(),
    );
    for (topic, settings) in &config.topics.declare {
        declare(&*engine, topic, settings).await?;
    }
    Ok(Services {
        engine,
        calls,
        access: Arc::new(Access::default()),
        clock,
        version: env!("CARGO_PKG_VERSION"),
        engine_url: config.engine.url.clone(),
    })
}

fn engine_config(config: &Config, location: Location) -> EmbeddedConfig {
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let section = &config.engine;
    EmbeddedConfig {
        auto_create: config.topics.auto_create,
        defaults: config.topics.defaults.clone(),
        journal: JournalConfig {
            segment_bytes: u32::try_from(section.segment_bytes.0).unwrap_or(u32::MAX),
            cache_bytes: size(section.cache_bytes.0),
            ..JournalConfig::default()
        },
        ..EmbeddedConfig::new(location)
    }
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
