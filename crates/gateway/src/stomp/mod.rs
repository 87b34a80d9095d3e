//! STOMP connections: what a client's frames do, and what comes of it. Frames in, commands out;
//! completions, deliveries and channel messages in, frames out.
//!
//! [`StompConnection`] knows no socket. The rules of the protocol are those of
//! [`ServerSession`](trunkline_stomp::ServerSession); here they meet the engine and the calls.
//! One small file per group of frames: `send`, `subscribe`, `settle`, `commit`; `deliver` and
//! `listen` are the way back.

mod channels;
mod commit;
mod connection;
mod consumers;
mod deliver;
mod failure;
mod gathered;
mod inbox;
mod jobs;
mod listen;
mod send;
mod settle;
mod subscribe;
#[cfg(test)]
mod tests;

pub(crate) use connection::StompConnection;
