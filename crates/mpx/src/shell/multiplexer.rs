use super::counters::Counting;
use super::listener::{Callback, Face, Listener, Together};
use super::promise::{PromiseSubscription, Table};
use super::queue::{Events, Queue, QueueOptions};
use super::subscription::{ChannelSubscription, PatternSubscription};
use super::{Connect, Counters, Event, RedisAddress, task};
use crate::book::SubscriptionId;
use crate::core::Core;
use crate::{Error, Kind};
use bytes::Bytes;
use redis::{IntoConnectionInfo, RedisError};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use trunkline_model::{Backoff, Timestamp};

/// Longest name of a channel or pattern, in bytes.
const NAME_BYTES_MAX: usize = 1 << 20;

/// How a multiplexer behaves.
#[derive(Clone, Copy, Debug)]
pub struct MultiplexerOptions {
    /// After so long a silence the server is asked whether it is there; after the same again it
    /// is given up. 30 s unless told.
    pub ping_timeout: Duration,
    /// Waits between attempts to connect: 8 to 512 ms with full jitter unless told. The attempt
    /// after the first failure comes at once.
    pub backoff: Backoff,
    /// Most names about which the server is told in one turn; 20 unless told, at least 1.
    pub pipelining: usize,
    /// Largest message, in bytes; 512 MiB unless told, as Redis allows.
    pub message_bytes_max: usize,
}

impl Default for MultiplexerOptions {
    fn default() -> Self {
        Self {
            ping_timeout: Duration::from_secs(30),
            backoff: Backoff::RECONNECT,
            pipelining: 20,
            message_bytes_max: 512 << 20,
        }
    }
}

/// Subscriptions of any number over one connection to Redis. Cloning it is cheap; it ends when
/// it and all its subscriptions are dropped.
#[derive(Clone, Debug)]
pub struct Multiplexer {
    handle: Arc<Handle>,
}

/// What the task has been told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Run,
    Stop,
    End,
}

/// What handles and the task share.
pub(super) struct Shared {
    core: Mutex<Core<Arc<Listener>>>,
    /// There is something to tell the server, or a subscription.
    pub(super) work: Notify,
    pub(super) wanted: watch::Sender<Wanted>,
    /// Whether the task has come to rest.
    pub(super) stopped: watch::Sender<bool>,
    pub(super) counting: Counting,
    pub(super) options: MultiplexerOptions,
    started: Instant,
}

/// Ends the task when the last handle is dropped.
pub(super) struct Handle {
    shared: Arc<Shared>,
}

impl Multiplexer {
    /// For a server at a URL, with the usual options; see [`RedisAddress`]. Returns at once:
    /// connecting happens in the background, and goes on until it succeeds.
    ///
    /// # Errors
    /// The URL is none.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn open(address: impl IntoConnectionInfo) -> Result<Self, RedisError> {
        let address = RedisAddress::new(address)?;
        Ok(Self::new(address, MultiplexerOptions::default()))
    }

    /// For whatever `connect` connects to.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(connect: impl Connect, options: MultiplexerOptions) -> Self {
        let handle = Handle::new(options);
        tokio::spawn(task::run(handle.clone_shared(), Box::new(connect)));
        Self {
            handle: Arc::new(handle),
        }
    }

    /// A subscription to any number of channels, which can change, with a callback.
    pub fn channels(&self, on: impl FnMut(Event) + Send + 'static) -> ChannelSubscription {
        names(&self.handle, Kind::Channel, Box::new(on))
    }

    /// The same, but the callback gets what was read together at once, in order: for who has many to tell
    /// of it, or something to do that is cheaper for many. It never gets nothing.
    pub fn channels_together(
        &self,
        on: impl FnMut(Vec<Event>) + Send + 'static,
    ) -> ChannelSubscription {
        names_together(&self.handle, Kind::Channel, on)
    }

    /// The same as a stream.
    pub fn channels_stream(&self, options: QueueOptions) -> (ChannelSubscription, Events) {
        names_stream(&self.handle, Kind::Channel, options)
    }

    /// A subscription to shard channels (from Redis 7 on). On a cluster the connection must be to
    /// the node whose slots they are in.
    pub fn shards(&self, on: impl FnMut(Event) + Send + 'static) -> ChannelSubscription {
        names(&self.handle, Kind::Shard, Box::new(on))
    }

    /// The same as a stream.
    pub fn shards_stream(&self, options: QueueOptions) -> (ChannelSubscription, Events) {
        names_stream(&self.handle, Kind::Shard, options)
    }

    /// A subscription to a pattern, as Redis matches it, with a callback.
    ///
    /// # Errors
    /// [`Error::Name`]: it is empty or too long.
    pub fn pattern(
        &self,
        pattern: impl Into<Bytes>,
        on: impl FnMut(Event) + Send + 'static,
    ) -> Result<PatternSubscription, Error> {
        let pattern = checked(pattern)?;
        let id = self.handle.open(Face::Callback(Mutex::new(Box::new(on))));
        PatternSubscription::begin(self.handle.clone(), id, pattern)
    }

    /// The same as a stream.
    ///
    /// # Errors
    /// [`Error::Name`]: it is empty or too long.
    pub fn pattern_stream(
        &self,
        pattern: impl Into<Bytes>,
        options: QueueOptions,
    ) -> Result<(PatternSubscription, Events), Error> {
        let pattern = checked(pattern)?;
        let queue = Arc::new(Queue::new(options));
        let id = self.handle.open(Face::Queue(queue.clone()));
        let subscription = PatternSubscription::begin(self.handle.clone(), id, pattern)?;
        Ok((subscription, Events::new(queue, self.handle.clone(), id)))
    }

    /// Promises on channels that begin with `prefix`, which is taken literally.
    ///
    /// # Errors
    /// [`Error::Name`]: it is too long.
    pub fn promises(&self, prefix: impl Into<Bytes>) -> Result<PromiseSubscription, Error> {
        let prefix = prefix.into();
        if prefix.len() > NAME_BYTES_MAX / 2 {
            return Err(Error::Name);
        }
        let table = Arc::new(Table::new(prefix, self.handle.clone_shared()));
        let id = self.handle.open(Face::Promises(table.clone()));
        PromiseSubscription::begin(self.handle.clone(), id, table)
    }

    /// Closes the connection, after what was read has been handed out. Nobody is told that it is
    /// lost, promises stay, subscriptions can be changed, until [`Multiplexer::restart`]. Not to
    /// be awaited in a callback, which it waits for.
    ///
    /// # Errors
    /// [`Error::AlreadyStopped`].
    pub async fn stop(&self) -> Result<(), Error> {
        self.handle.stop().await
    }

    /// Connects again, as for the first time.
    ///
    /// # Errors
    /// [`Error::NotStopped`].
    pub fn restart(&self) -> Result<(), Error> {
        self.handle.restart()
    }

    /// What it has done.
    pub fn counters(&self) -> Counters {
        self.handle.counters()
    }
}

impl Shared {
    pub(super) fn core(&self) -> MutexGuard<'_, Core<Arc<Listener>>> {
        self.core
            .lock()
            .expect("no code panics while it holds the book")
    }

    /// Time since the multiplexer was made: its rules need no other.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::ZERO.after(self.started.elapsed())
    }

    /// When a time of [`Shared::now`] is.
    pub(super) fn instant(&self, at: Timestamp) -> Instant {
        self.started + at.since(Timestamp::ZERO)
    }

    /// Ends a subscription; false if it had ended.
    pub(super) fn close(&self, id: SubscriptionId) -> bool {
        let Some(listener) = self.core().book.close(id) else {
            return false;
        };
        listener.end();
        self.work.notify_one();
        true
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("wanted", &*self.wanted.borrow())
            .finish_non_exhaustive()
    }
}

impl Handle {
    /// Of a task that is to be started.
    pub(super) fn new(options: MultiplexerOptions) -> Self {
        let core = Core::new(
            options.ping_timeout,
            options.pipelining,
            options.message_bytes_max,
        );
        let shared = Arc::new(Shared {
            core: Mutex::new(core),
            work: Notify::new(),
            wanted: watch::Sender::new(Wanted::Run),
            stopped: watch::Sender::new(false),
            counting: Counting::default(),
            options,
            started: Instant::now(),
        });
        Self { shared }
    }

    /// Has the task come to rest.
    pub(super) async fn stop(&self) -> Result<(), Error> {
        let shared = &self.shared;
        let first = shared.wanted.send_if_modified(|wanted| {
            let running = *wanted == Wanted::Run;
            if running {
                *wanted = Wanted::Stop;
            }
            running
        });
        if !first {
            return Err(Error::AlreadyStopped);
        }
        let mut stopped = shared.stopped.subscribe();
        // It fails only if the task is gone, and then nothing runs either.
        let _ = stopped.wait_for(|stopped| *stopped).await;
        Ok(())
    }

    /// Has it go on.
    pub(super) fn restart(&self) -> Result<(), Error> {
        let restarted = self.shared.wanted.send_if_modified(|wanted| {
            let stopped = *wanted == Wanted::Stop;
            if stopped {
                *wanted = Wanted::Run;
            }
            stopped
        });
        if restarted {
            Ok(())
        } else {
            Err(Error::NotStopped)
        }
    }

    /// What it has done.
    pub(super) fn counters(&self) -> Counters {
        let shared = &self.shared;
        let core = shared.core();
        Counters {
            wanted_now: core.book.wanted() as u64,
            active_now: core.book.active() as u64,
            subscriptions_now: core.book.subscriptions() as u64,
            ..shared.counting.read()
        }
    }

    pub(super) fn clone_shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    pub(super) fn open(&self, face: Face) -> SubscriptionId {
        let listener = Arc::new(Listener::new(face));
        let mut core = self.shared.core();
        let id = core.book.open(listener.clone());
        // Before anything can be said to it.
        listener.belongs_to(id);
        id
    }

    /// Wants names; those that are wanted already are passed over.
    ///
    /// # Errors
    /// [`Error::Closed`]; [`Error::Name`] if one is too long: then none of them is wanted.
    pub(super) fn add(
        &self,
        id: SubscriptionId,
        kind: Kind,
        names: impl IntoIterator<Item = impl Into<Bytes>>,
    ) -> Result<(), Error> {
        let names: Vec<Bytes> = names.into_iter().map(Into::into).collect();
        if names.iter().any(|name| name.len() > NAME_BYTES_MAX) {
            return Err(Error::Name);
        }
        let mut core = self.shared.core();
        if !core.book.is_open(id) {
            return Err(Error::Closed);
        }
        for name in names {
            // A part of a larger buffer would keep all of it.
            core.book.add(id, kind, Bytes::copy_from_slice(&name));
        }
        drop(core);
        self.shared.work.notify_one();
        Ok(())
    }

    pub(super) fn remove(
        &self,
        id: SubscriptionId,
        kind: Kind,
        names: impl IntoIterator<Item = impl Into<Bytes>>,
    ) -> Result<(), Error> {
        let names: Vec<Bytes> = names.into_iter().map(Into::into).collect();
        let mut core = self.shared.core();
        if !core.book.is_open(id) {
            return Err(Error::Closed);
        }
        for name in names {
            core.book.remove(id, kind, &name);
        }
        drop(core);
        self.shared.work.notify_one();
        Ok(())
    }

    pub(super) fn clear(&self, id: SubscriptionId) -> Result<(), Error> {
        let mut core = self.shared.core();
        if !core.book.is_open(id) {
            return Err(Error::Closed);
        }
        core.book.clear(id);
        drop(core);
        self.shared.work.notify_one();
        Ok(())
    }

    pub(super) fn names(
        &self,
        id: SubscriptionId,
        kind: Kind,
    ) -> impl Iterator<Item = Bytes> + use<> {
        self.shared.core().book.names(id, kind).into_iter()
    }

    /// Ends a subscription; false if it had ended.
    pub(super) fn close(&self, id: SubscriptionId) -> bool {
        self.shared.close(id)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.wanted.send_replace(Wanted::End);
    }
}

/// A subscription to any number of names, with a callback.
pub(super) fn names(handle: &Arc<Handle>, kind: Kind, on: Callback) -> ChannelSubscription {
    let id = handle.open(Face::Callback(Mutex::new(on)));
    ChannelSubscription::new(handle.clone(), id, kind)
}

/// The same with a callback for what comes together.
pub(super) fn names_together(
    handle: &Arc<Handle>,
    kind: Kind,
    on: impl FnMut(Vec<Event>) + Send + 'static,
) -> ChannelSubscription {
    let id = handle.open(Face::Together(Mutex::new(Together::new(on))));
    ChannelSubscription::new(handle.clone(), id, kind)
}

/// The same as a stream.
pub(super) fn names_stream(
    handle: &Arc<Handle>,
    kind: Kind,
    options: QueueOptions,
) -> (ChannelSubscription, Events) {
    let queue = Arc::new(Queue::new(options));
    let id = handle.open(Face::Queue(queue.clone()));
    let subscription = ChannelSubscription::new(handle.clone(), id, kind);
    (subscription, Events::new(queue, handle.clone(), id))
}

fn checked(pattern: impl Into<Bytes>) -> Result<Bytes, Error> {
    let pattern = pattern.into();
    if pattern.is_empty() || pattern.len() > NAME_BYTES_MAX {
        return Err(Error::Name);
    }
    Ok(pattern)
}
