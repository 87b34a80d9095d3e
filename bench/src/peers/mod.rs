//! The same workloads against other servers, in the same run, by the same loops.
//!
//! `redis.rs` and `nats.rs` say how a server does what a workload wants, `marks.rs` what the
//! comparison should show, `verdict.rs` what it shows.

mod marks;
mod nats;
mod redis;
mod rivals;
mod verdict;

pub(crate) use rivals::{Counterpart, Rival, RivalRuns, Rivals};
pub use rivals::{Peer, PeerArgs};
pub(crate) use verdict::Comparison;

/// What every message and request carries: the same bytes as over our wire, without the quotes of
/// JSON.
fn payload() -> String {
    crate::rpc::payload().trim_matches('"').to_owned()
}
