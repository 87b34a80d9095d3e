//! Calls: a request waits for a worker, and its caller gets one answer, one error or a
//! time-out, never silence.
//!
//! [`Calls`] is what gateways and programs use, on both sides: it asks (categories,
//! deadlines, bounds, params against schemas, idempotency keys) and it answers (workers,
//! handlers in Rust, statistics), and it knows from announcements who offers what. On an
//! engine of its own, calls go straight to the workers of this process. On one that is shared,
//! there is a wire below: [`Native`] carries calls over any
//! [`Engine`](trunkline_model::Engine), as messages in a queue per method and answers on a
//! channel per process.
//!
//! **Invariant:** knows no engine, no socket and no protocol of clients; never parses
//! params or results except against a schema; has no task and no timer per call (a handler
//! in Rust runs as a task); holds no lock while it calls an engine, a sink or a completion.
//! Tables and rules (`desk`, `dispatcher`, `outstanding`, `registry`, `idempotency`,
//! `Schedule`; `pending`, `running`, `queues`) are pure: they take `now` and call nothing.
//!
//! Start reading at [`Calls::call`] (`calls/request.rs`) and follow a call through
//! `calls/desk.rs`, `calls/dispatcher.rs`, `calls/local.rs` and `calls/end.rs`; over an engine
//! that is shared, through `native/ask.rs`, `native/worker.rs`, `native/serve.rs`,
//! `native/hear.rs` and `calls/end.rs`.

mod calls;
mod errors;
mod handler;
mod lock;
mod native;

pub use calls::{
    CallCounters, CallRequest, Calls, CallsConfig, CategoryConfig, Registration, WireError,
    WireStats,
};
pub use handler::{Context, Failure, Handler};
pub use native::Native;
