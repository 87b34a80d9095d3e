//! The same calls where they travel over an engine that several processes share, and what only
//! happens there.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../calls/answering.rs"]
mod answering;
mod gateways;
#[path = "../calls/handlers.rs"]
mod handlers;
#[path = "../calls/idempotency.rs"]
mod idempotency;
#[path = "../calls/losing.rs"]
mod losing;
mod queues;
#[path = "../calls/refusing.rs"]
mod refusing;
mod shared;
#[path = "../calls/storm.rs"]
mod storm;
#[path = "../calls/timing.rs"]
mod timing;
#[path = "../calls/wires.rs"]
mod wires;
#[path = "../calls/world.rs"]
mod world;

/// Processes that share an engine.
const PROCESSES: &[&str] = &["here", "there"];

use std::sync::Arc;
use trunkline_model::Engine;

/// The engine that calls are started over.
fn under_calls(engine: Arc<dyn Engine>) -> Arc<dyn Engine> {
    shared::Shared::new(engine)
}
