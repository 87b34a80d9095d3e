//! The message backbone of an application: calls, queues and channels in one binary.
//!
//! The library is what the binary is made of: a server that is started with a [`Config`], and a
//! [`Client`] that talks to one.
//!
//! **Invariant**: the library reads no environment, parses no command line, prints nothing and
//! installs no signal handler; only the binary does.
//!
//! Start at [`Server`] and [`Client`]; a configuration comes from [`load`].
//!
//! ```
//! use serde_json::{Value, json};
//! use trunkline::{Client, Config, Server};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = Config::default();
//! config.engine.url = "memory:".to_owned();
//! config.http.listen = "127.0.0.1:0".parse()?;
//! let server = Server::start(&config).await?;
//! let url = server.url();
//! let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
//! let running = tokio::spawn(server.run(async { drop(stopped.await) }));
//!
//! let (client, _pushes) = Client::connect(&url.parse()?).await?;
//! let messages = json!([{"payload": {"id": 7}}, {"payload_text": "second"}]);
//! let publish = json!({"topic": "orders", "messages": messages});
//! let confirmed: Value = client.ask("rpc.topic.publish", &publish).await?;
//! assert_eq!(confirmed["ids"].as_array().map(Vec::len), Some(2));
//!
//! drop(stop);
//! assert!(running.await?.closed);
//! # Ok(())
//! # }
//! ```

mod client;
mod config;
mod random;
mod server;

pub use client::{
    Client, ConnectError, Pending, Push, Pushes, RequestError, RpcError, Target, TargetError,
};
pub use config::{
    Config, ConfigError, DEFAULT_YAML, EngineSection, HttpSection, LogSection, TopicsSection,
    VERSION as CONFIG_VERSION, load,
};
pub use random::{random_number, unique_name};
pub use server::{Server, StartError, Stopped};
pub use trunkline_engine_embedded::{LocationError, OpenError};
pub use trunkline_gateway::{BindError, Drained, GatewayLimits, SlowListener};
pub use trunkline_journal::RecoveryReport;
pub use trunkline_rpc::CallsConfig;
