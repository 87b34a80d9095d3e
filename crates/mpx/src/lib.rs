//! A multiplexer for Redis pub/sub: any number of subscriptions to channels, patterns, shard
//! channels and promises over **one** connection, which comes back by itself.
//!
//! **Invariant**: what is decided (who wants a name, what the server is told, whom a message
//! concerns, which promise is over) knows no socket, no clock and no randomness: `book`, `core`,
//! `promises`, `pulse`, `cluster`, `resp`. Only `shell` waits. Knows no engine and no topic.
//!
//! Start at [`Multiplexer`]. A name is subscribed in Redis while at least one subscription wants
//! it; commands carry only the difference to what the server knows. Every subscription has one of
//! two faces: a callback, or a bounded stream ([`QueueOptions`]).
//!
//! All callbacks of a multiplexer run one after the other on one task. They may call every
//! method of their multiplexer and its subscriptions; what they must not do is to block.
//!
//! [`ShardedMultiplexer`] does the same for shard channels of a cluster, over a connection to each node that
//! owns one: names follow their slots.
//!
//! # What is promised
//!
//! - Messages of one channel come in Redis' order; listeners of one message are called in the
//!   order in which they asked for the name.
//! - [`Event::Active`]: once for each name of a subscription when Redis has confirmed it (at once
//!   if it has already), and again after every reconnection. No message of a name comes before.
//! - [`Event::Lost`]: once for each subscription when the connection is lost, in the order in
//!   which they were made, after every message that was received and before any activation of
//!   the next connection.
//! - [`Event::Withdrawn`]: when the server gave a shard channel up by itself, because its slot moves.
//! - Messages that are published between the loss and the next activation are gone: that is what
//!   pub/sub is. [`Event::Active`] says how long it took.
//!
//! ```no_run
//! use futures_util::StreamExt;
//! use trunkline_mpx::{Event, Multiplexer, QueueOptions};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mpx = Multiplexer::open("redis://127.0.0.1/")?;
//! let (news, mut events) = mpx.channels_stream(QueueOptions::default());
//! news.add(["mychannel"])?;
//! while let Some(event) = events.next().await {
//!     if let Event::Message { channel, payload } = event {
//!         println!("{channel:?}: {payload:?}");
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # On a cluster
//!
//! What a multiplexer takes on one connection, it takes on any node of a cluster, too: plain channels are heard on all.
//! Shard channels stay with the owners of their slots, so that more nodes carry more of them:
//!
//! ```no_run
//! use trunkline_mpx::{Event, ShardedMultiplexer};
//!
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mpx = ShardedMultiplexer::open("redis-cluster://10.0.0.1:7000,10.0.0.2:7000")?;
//! let news = mpx.shards(|event| {
//!     if let Event::Message { channel, payload } = event {
//!         println!("{channel:?}: {payload:?}");
//!     }
//! });
//! news.add(["news:sport", "news:weather"])?;
//! # Ok(())
//! # }
//! ```
//!
//! [`ShardedMultiplexer`] says what is told when slots move and nodes die.

mod book;
mod cluster;
mod core;
mod error;
mod kind;
mod promises;
mod pulse;
mod resp;
mod shell;
mod slot;

pub use cluster::Node;
pub use error::{Error, LinkError};
pub use kind::Kind;
pub use resp::{DecodeError, Frames, write_command};
pub use shell::{
    ChannelSubscription, ClusterAddress, ClusterAddressError, Connect, Connecting, Counters, Event,
    Events, Multiplexer, MultiplexerOptions, Outcome, OverflowPolicy, PatternSubscription, Promise,
    PromiseSubscription, QueueOptions, RedisAddress, ShardedCounters, ShardedMultiplexer,
    ShardedOptions, Transport,
};
pub use slot::slot_of;
