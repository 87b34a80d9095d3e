//! The shell around a client's session: sockets, time, and those who wait.
//!
//! [`Client`] is the handle, `request` and `subscription` what users hold of operations;
//! `session` is the client's, of one server or of a cluster, which `cluster` adds to;
//! `core` joins a session and its users into a `Machine`, which knows no socket; `driver` moves
//! bytes between any machine and a `socket`.

mod builder;
mod cluster;
mod core;
mod driver;
mod events;
mod handle;
mod inbox;
mod message;
mod node;
mod outcome;
mod request;
mod session;
mod socket;
mod subscription;
#[cfg(feature = "tls")]
mod tls;
mod usage;

pub use builder::ClientBuilder;
pub use cluster::NodeInfo;
pub use events::{Event, Events, NodeEvent};
pub use handle::Client;
pub use message::Message;
pub use node::Node;
pub use outcome::Outcome;
pub use request::Request;
pub use subscription::{Subscribe, Subscription};
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsError};
pub use usage::UsageError;

use crate::ClientError;
use std::sync::Arc;

/// A user's function for errors. It may use the client.
pub type OnError = Arc<dyn Fn(&ClientError) + Send + Sync>;

/// A user's function for errors of the nodes of a cluster, with host and port. It may use the client.
pub type OnNodeError = Arc<dyn Fn(&ClientError, &str, u16) + Send + Sync>;
