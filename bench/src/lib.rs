//! The load generator: measures a server from outside, over its public wire, next to the floors
//! of the machine in the same run.
//!
//! **Invariant**: it shares no code with the server, so that neither can flatter the other; it
//! has no async runtime, and the loops that load a server allocate nothing per message. Only the
//! feature `redis` is different: there our libraries for Redis are what is measured, in this
//! process, and Redis is the server.
//!
//! Start reading at [`run`], the bench, or at [`load()`], which loads a server that runs already; then `workloads/catalog.rs` for what is measured and
//! `load/closed_loop.rs` for how load is made. `docs/bench.md` says how to read the figures.

mod args;
mod host;
mod live;
mod load;
mod measure;
mod net;
#[cfg(feature = "peers")]
mod peers;
mod plan;
#[cfg(feature = "redis")]
mod redis;
mod report;
mod rpc;
mod runner;
mod stomp;
mod store_marks;
mod workloads;
mod ws;

pub use args::Args;
pub use host::Machine;
pub use live::{
    Amount, Leftover, LoadEnd, LoadError, LoadPlan, LoadResult, PAYLOAD_BYTES_MIN, Shape,
    StompPlan, load,
};
pub use load::{Gauge, Latency};
pub use measure::{Measure, Unit};
#[cfg(feature = "peers")]
pub use peers::{Peer, PeerArgs};
pub use report::{Report, Summary};
pub use runner::run;
