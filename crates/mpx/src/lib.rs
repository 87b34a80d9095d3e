//! A multiplexer for Redis pub/sub: any number of subscriptions to channels, patterns, shard
//! channels and promises over **one** connection, which comes back by itself.
//!
//! **Invariant**: what is decided (who wants a name, what the server is told, whom a message
//! concerns, which promise is over) knows no socket, no clock and no randomness: `book`, `core`,
//! `promises`, `pulse`, `resp`. Only `shell` waits. Knows no engine and no topic.
//!
//! Start at [`Multiplexer`]. A name is subscribed in Redis while at least one subscription wants
//! it; commands carry only the difference to what the server knows. Every subscription has one of
//! two faces: a callback, or a bounded stream ([`QueueOptions`]).
//!
//! All callbacks of a multiplexer run one after the other on one task. They may call every
//! method of their multiplexer and its subscriptions; what they must not do is to block.
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

mod book;
mod core;
mod error;
mod kind;
mod promises;
mod pulse;
mod resp;
mod shell;
mod slot;

pub use error::{Error, LinkError};
pub use kind::Kind;
pub use resp::{DecodeError, Frames};
pub use shell::{
    ChannelSubscription, Connect, Connecting, Counters, Event, Events, Multiplexer,
    MultiplexerOptions, Outcome, OverflowPolicy, PatternSubscription, Promise, PromiseSubscription,
    QueueOptions, RedisAddress, Transport,
};
pub use slot::slot_of;
