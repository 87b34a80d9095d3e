use super::super::listener::Callback;
use super::super::multiplexer::{Handle, names, names_stream, names_together};
use super::shards::Shards;
use super::{ClusterAddress, ClusterAddressError, ShardedCounters, task};
use crate::shell::{
    ChannelSubscription, Counters, Event, Events, MultiplexerOptions, QueueOptions,
};
use crate::{Error, Kind, Node};
use std::sync::Arc;
use std::time::Duration;

/// How a multiplexer for a cluster behaves.
#[derive(Clone, Copy, Debug)]
pub struct ShardedOptions {
    /// How the multiplexer of each node behaves. Its backoff is that of names, too, which no node takes.
    pub multiplexer: MultiplexerOptions,
    /// Shortest time between two questions who owns which slot; how long a name may be without an answer before that
    /// is asked. 100 ms unless told.
    pub map_pause: Duration,
    /// After so long that is asked again, though all is well; 30 s unless told.
    pub map_age_max: Duration,
    /// How long each node may take to say it; 1 s unless told.
    pub map_timeout: Duration,
}

impl Default for ShardedOptions {
    fn default() -> Self {
        Self {
            multiplexer: MultiplexerOptions::default(),
            map_pause: Duration::from_millis(100),
            map_age_max: Duration::from_secs(30),
            map_timeout: Duration::from_secs(1),
        }
    }
}

/// Subscriptions of any number to shard channels of a cluster (Redis 7.0 and later), over one connection to each node
/// that owns the slot of a wanted name. Cloning it is cheap; it ends when it and all its subscriptions are dropped.
///
/// A connection is made when the first name needs it and closed with the last. Names follow their slots: whether a slot
/// moves, a node dies or a replica takes its place, they are looked for until they are found. What is told of it, beside what
/// a [`Multiplexer`](crate::Multiplexer) tells:
///
/// - [`Event::Active`] when the owner has confirmed a name, and again with a gap after each of the following.
/// - [`Event::Withdrawn`] when a name that was active has left its node, because its slot moved: what is published until
///   [`Event::Active`] may be missed. Publishers may have known the new owner a moment earlier, since nodes don't learn it at the
///   same time: that moment is not in the gap. No connection is lost, so nothing else is told, and nobody else.
/// - [`Event::Lost`] when the connection to a node is lost, to the subscriptions with names that were active there, once each
///   in the order in which they were made. It is about those names alone, each of which becomes [`Event::Active`] again; those on
///   other nodes go on.
/// - A name that was not active moves without a word: nothing could be missed. `MOVED` at a subscription is not heard, nor are
///   `ASK`, `TRYAGAIN`, `CLUSTERDOWN`, `LOADING` and `MASTERDOWN`: the name is tried again, after waits that grow up to those of the
///   backoff, for as long as somebody wants it.
/// - [`Event::Refused`] for what does not pass by itself, such as access rules.
///
/// Messages of one name keep their order and none comes twice; between names of different nodes there is no order.
/// All callbacks run one after the other on one task.
///
/// There are no patterns: Redis has none for shard channels. So there are no promises either, which wait on a pattern.
#[derive(Clone, Debug)]
pub struct ShardedMultiplexer {
    handle: Arc<Handle>,
    shards: Arc<Shards>,
}

impl ShardedMultiplexer {
    /// For a cluster at a URL, with the usual options; see [`ClusterAddress`]. Returns at once: connecting happens in the
    /// background when there is a name, and goes on until it succeeds.
    ///
    /// # Errors
    /// The URL is none.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn open(url: &str) -> Result<Self, ClusterAddressError> {
        Ok(Self::new(url.parse()?, ShardedOptions::default()))
    }

    /// For the cluster at an address.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(address: ClusterAddress, options: ShardedOptions) -> Self {
        let handle = Handle::new(options.multiplexer);
        let shards = Arc::new(Shards::default());
        tokio::spawn(task::run(
            handle.clone_shared(),
            shards.clone(),
            address,
            options,
        ));
        Self {
            handle: Arc::new(handle),
            shards,
        }
    }

    /// A subscription to any number of shard channels, which can change, with a callback.
    pub fn shards(&self, on: impl FnMut(Event) + Send + 'static) -> ChannelSubscription {
        let on: Callback = Box::new(on);
        names(&self.handle, Kind::Shard, on)
    }

    /// The same, but the callback gets what was read together at once, in order. It never gets nothing.
    pub fn shards_together(
        &self,
        on: impl FnMut(Vec<Event>) + Send + 'static,
    ) -> ChannelSubscription {
        names_together(&self.handle, Kind::Shard, on)
    }

    /// The same as a stream.
    pub fn shards_stream(&self, options: QueueOptions) -> (ChannelSubscription, Events) {
        names_stream(&self.handle, Kind::Shard, options)
    }

    /// Closes all connections, after what was read has been handed out. Nobody is told that they are lost;
    /// subscriptions can be changed, until [`ShardedMultiplexer::restart`]. Not to be awaited in a callback, which it
    /// waits for.
    ///
    /// # Errors
    /// [`Error::AlreadyStopped`].
    pub async fn stop(&self) -> Result<(), Error> {
        self.handle.stop().await
    }

    /// Begins again, as for the first time.
    ///
    /// # Errors
    /// [`Error::NotStopped`].
    pub fn restart(&self) -> Result<(), Error> {
        self.handle.restart()
    }

    /// What it has done as a whole.
    pub fn counters(&self) -> ShardedCounters {
        self.shards.counters(self.handle.counters())
    }

    /// What the multiplexer of each node has done, of those that there are now.
    pub fn shard_counters(&self) -> Vec<(Node, Counters)> {
        self.shards.each()
    }
}
