//! The same workloads against other servers, in the same run, by the same loops.
//!
//! `counterpart.rs` says what stands against each workload; `redis.rs`, `nats.rs`, `streams.rs` and
//! `rabbitmq.rs` how a server does it; `marks.rs` what the comparison should show, `verdict.rs` what
//! it shows.

mod counterpart;
mod marks;
mod nats;
mod rabbitmq;
mod redis;
mod rivals;
mod streams;
mod verdict;

pub(crate) use counterpart::{Counterpart, RivalRuns};
#[cfg(feature = "redis")]
pub(crate) use redis::{Pipeline, end_to_end, publish};
pub use rivals::{Peer, PeerArgs};
pub(crate) use rivals::{Rival, Rivals};
pub(crate) use verdict::Comparison;

/// What every message and request carries: the same bytes as over our wire, without the quotes of
/// JSON.
pub(crate) fn payload() -> String {
    crate::rpc::payload().trim_matches('"').to_owned()
}
