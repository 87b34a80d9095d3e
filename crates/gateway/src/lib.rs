//! Listeners and sessions: JSON-RPC over WebSocket and `POST`, both ways, and STOMP.
//!
//! [`Gateway::bind`] checks that listening is safe ([`Doorstep`] does so before there is anything
//! to serve), [`Gateway::run`] serves until it is told to
//! stop, and drains. A session is one task: it reads every frame that is there, acts on them,
//! turns what has completed meanwhile into frames, and writes all of them at once.
//!
//! **Invariant**: knows no engine, no environment and no file but certificates; decides nothing about topics and
//! calls; no task, timer or channel per message; whatever waits for a client is bounded, and a
//! client that takes nothing costs nobody else anything.
//!
//! Start reading at `session/mod.rs`, the life of a connection, then `dispatch/mod.rs`, what its
//! frames do; `dispatch/route.rs` is the table of methods, `http/mod.rs` the HTTP
//! edge. For STOMP begin at `stomp/shell.rs`.

mod bind;
mod config;
mod counters;
mod dispatch;
mod doorstep;
mod encoding;
mod gateway;
mod http;
mod outbox;
mod services;
mod session;
mod shared;
mod stomp;
mod tls;

pub use bind::BindError;
pub use config::{GatewayConfig, GatewayLimits, SlowListener};
pub use counters::{Counter, Counters};
pub use doorstep::Doorstep;
pub use gateway::{Drained, Gateway};
pub use http::{BackupFile, BackupManifest};
pub use services::{Dependency, Services};
pub use stomp::{StompConfig, StompListen, StompListenError, StompTlsConfig};
pub use tls::TlsError;
