//! The multiplexer with a real Redis. The names of tests carry the numbers of the conformance
//! cases that they prove.
#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

mod channels;
mod losses;
mod promises;
mod setup;
mod shards;
mod stopping;
mod tls;
mod transport;
