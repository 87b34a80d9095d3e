//! The message backbone of an application: calls, queues and channels in one binary, and as a
//! library.
//!
//! - [`Client`] talks to a server: typed calls, durable topics, channels; a [`Consumer`] and a
//!   [`Listener`] are streams, a [`Worker`] offers methods. It connects again by itself. Feature
//!   `client`, which needs nothing of the server.
//! - [`Server`] is a whole server inside your program, [`TestServer`] one for your tests. Feature
//!   `server`.
//!
//! Feature `cli`, the default, is the program `trunkline`; a program that uses the library says
//! `default-features = false`. `docs/library.md` is the page on all of this.
//!
//! **Invariant**: the library reads no environment, parses no command line, prints nothing and
//! installs no signal handler; only the binary does.
//!
//! Start at [`Client`] and [`Server`]; a configuration comes from [`Server::builder`], or from
//! files by `load`.
//!
//! ```
//! use trunkline::TestServer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = TestServer::start().await?;
//! let client = server.client().await?;
//! let id = client.publish("orders", "a book").await?;
//! # assert_eq!(id.sequence, 1);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "server")]
mod config;
#[cfg(feature = "server")]
mod peer;
#[cfg(any(feature = "client", feature = "server"))]
mod random;
#[cfg(feature = "server")]
mod server;

#[cfg(feature = "client")]
pub use client::{
    Altered, Call, ChannelMessage, Client, ClientBuilder, CloseError, Confirmation, ConnectError,
    Connection, Consume, Consumer, Delivery, Listen, Listener, ListenerEvent, Message,
    MessageFilter, OptionChange, Payload, PeekOptions, Peeked, PeekedMessage, Pending, Progress,
    Published, Push, Pushes, RECONNECT, Received, RedriveOptions, Redriven, RequestError, RpcError,
    RunningCall, ServerInfo, SettleError, State, StoredMessage, Subscribed, SubscriptionInfo,
    Target, TargetError, Topic, TopicInfo, WorkContext, Worker, WorkerBuilder,
};
#[cfg(feature = "server")]
pub use config::{
    CallsSection, Config, ConfigError, ConsumerGroupsSection, EngineSection, HttpSection, ListMode,
    LogSection, RpcProcessorSection, TopicsSection, VERSION as CONFIG_VERSION, WiresSection,
};
#[cfg(feature = "config-files")]
pub use config::{DEFAULT_YAML, load};
#[cfg(feature = "server")]
pub use peer::{CallPeer, PeerError, Serving};
#[cfg(any(feature = "client", feature = "server"))]
pub use random::{random_number, unique_name};
#[cfg(feature = "server")]
pub use server::{RunningServer, Server, ServerBuilder, StartError, Stopped, TestServer, WireInfo};
#[cfg(feature = "server")]
pub use trunkline_engine_embedded::OpenError;
#[cfg(feature = "server")]
pub use trunkline_engine_redis::{
    ConsumerGroupsOptions, MethodTaken, QueueMode, RpcProcessorOptions,
};
#[cfg(feature = "server")]
pub use trunkline_gateway::{
    BindError, Dependency, Drained, GatewayLimits, SlowListener, StompConfig, StompListen,
    StompListenError, StompTlsConfig, TlsError,
};
#[cfg(feature = "server")]
pub use trunkline_journal::RecoveryReport;
#[cfg(any(feature = "client", feature = "server"))]
pub use trunkline_model::{
    Backoff, ByteSize, Dedupe, DeliveryMode, Durability, ErrorCode, MessageId, MessageState,
    MethodSpec, Overflow, PeekFrom, Priority, Retry, Span, StartFrom, SubscriptionSettings,
    Timestamp, TopicName, TopicSettings, Unsubscribed,
};
#[cfg(feature = "server")]
pub use trunkline_rpc::{
    CategoryConfig, Context as HandlerContext, Failure, Handler, Registration,
};
