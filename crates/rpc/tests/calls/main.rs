//! Calls over the real memory engine, with a clock that stands still until told to move.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answering;
mod gateways;
mod handlers;
mod idempotency;
mod losing;
mod refusing;
mod storm;
mod timing;
mod world;
