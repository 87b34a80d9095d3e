//! The message backbone of an application: calls, queues and channels in one binary.
//!
//! The library is what the binary is made of: a server that is started with a [`Config`], and a
//! [`Client`] that talks to one.
//!
//! **Invariant**: the library reads no environment, parses no command line, prints nothing and
//! installs no signal handler; only the binary does.
//!
//! Start at [`Client`]; a configuration comes from [`load`].

mod client;
mod config;

pub use client::{
    Client, ConnectError, Pending, Push, Pushes, RequestError, RpcError, Target, TargetError,
};
pub use config::{
    Config, ConfigError, DEFAULT_YAML, EngineSection, HttpSection, LogSection, TopicsSection,
    VERSION as CONFIG_VERSION, load,
};
