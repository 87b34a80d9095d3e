//! Calls within one process, over the real memory engine, with a clock that stands still until
//! told to move.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answering;
mod handlers;
mod idempotency;
mod lines;
mod losing;
mod refusing;
#[path = "../over_an_engine/shared.rs"]
mod shared;
mod storm;
mod timing;
mod wires;
mod world;

/// Processes that share an engine.
const PROCESSES: &[&str] = &["here"];

use std::sync::Arc;
use trunkline_model::Engine;

/// The engine that calls are started over: nobody else's, so that they never touch it.
fn under_calls(engine: Arc<dyn Engine>) -> Arc<dyn Engine> {
    engine
}
