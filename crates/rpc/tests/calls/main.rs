//! Calls over the real memory engine, with a clock that stands still until told to move.

mod answering;
mod gateways;
mod handlers;
mod idempotency;
mod losing;
mod refusing;
mod timing;
mod world;
