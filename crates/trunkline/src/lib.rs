//! The message backbone of an application: calls, queues and channels in one binary.
//!
//! The library is what the binary is made of: a server that is started with a [`Config`], and a
//! [`Client`] that talks to one.
//!
//! **Invariant**: the library reads no environment, parses no command line, prints nothing and
//! installs no signal handler; only the binary does.
//!
//! Start at [`Server`] and [`Client`]; a configuration comes from [`load`].

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
