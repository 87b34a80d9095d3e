//! STOMP connections: where they come in, what a client's frames do, and what comes of it. Frames
//! in, commands out; completions, deliveries and channel messages in, frames out.
//!
//! [`StompConnection`] knows no socket. The rules of the protocol are those of
//! [`ServerSession`](trunkline_stomp::ServerSession); here they meet the engine and the calls.
//! One small file per group of frames: `send`, `subscribe`, `settle`, `commit`; `deliver` and
//! `listen` are the way back. `listener` accepts connections, `shell` drives one, whatever carries
//! its bytes.

mod call;
mod channels;
mod commit;
mod config;
mod connection;
mod consumers;
mod deliver;
mod failure;
mod gathered;
mod inbox;
mod jobs;
mod listen;
mod listener;
mod send;
mod settle;
mod shell;
mod subscribe;
mod temp;
#[cfg(test)]
mod tests;
mod websocket;

pub use config::{StompConfig, StompListen, StompListenError, StompTlsConfig};
pub(crate) use connection::StompConnection;
pub(crate) use listener::Listeners;
pub(crate) use shell::serve;
pub(crate) use websocket::{StompWebSocket, choose};
