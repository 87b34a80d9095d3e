//! Clients over real sockets, against a server that the test plays. The numbers are those of the
//! conformance cases.
#![allow(clippy::unwrap_used, reason = "a test says what it expects")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the other side of the shell"
)]

mod cluster;
mod connecting;
mod losing;
mod operations;
mod scripted;
#[cfg(feature = "tls")]
mod tls;
