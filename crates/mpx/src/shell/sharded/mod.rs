//! Shard channels of a cluster: a multiplexer for each owner of slots, and what joins them.

mod address;
mod asking;
mod counters;
mod multiplexer;
mod shards;
mod task;

pub use address::{ClusterAddress, ClusterAddressError};
pub use counters::ShardedCounters;
pub use multiplexer::{ShardedMultiplexer, ShardedOptions};
