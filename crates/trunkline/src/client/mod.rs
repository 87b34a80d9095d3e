//! A connection to a server: JSON-RPC 2.0 over a WebSocket, both ways.

mod connection;
mod error;
mod push;
mod socket;
mod target;
mod waiting;

pub use connection::{Client, Pending};
pub use error::{ConnectError, RequestError, RpcError};
pub use push::{Push, Pushes};
pub use target::{Target, TargetError};
