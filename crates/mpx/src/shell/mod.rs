//! What waits: the connection, the task that reads it, the handles, queues and timers.

mod address;
mod connect;
mod counters;
mod event;
mod handshake;
mod listener;
mod multiplexer;
mod promise;
mod queue;
mod sharded;
mod subscription;
mod task;

pub use address::RedisAddress;
pub use connect::{Connect, Connecting, Transport};
pub use counters::Counters;
pub use event::Event;
pub use multiplexer::{Multiplexer, MultiplexerOptions};
pub use promise::{Outcome, Promise, PromiseSubscription};
pub use queue::{Events, OverflowPolicy, QueueOptions};
pub use sharded::{
    ClusterAddress, ClusterAddressError, ShardedCounters, ShardedMultiplexer, ShardedOptions,
};
pub use subscription::{ChannelSubscription, PatternSubscription};
