use super::multiplexer::Handle;
use crate::book::SubscriptionId;
use crate::{Error, Kind};
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

/// A subscription to any number of channels. Dropping it closes it.
///
/// Changes take effect in order, without waiting: after [`ChannelSubscription::remove`] returns,
/// messages that were received before may still be handed out.
pub struct ChannelSubscription {
    handle: Arc<Handle>,
    id: SubscriptionId,
    kind: Kind,
}

impl ChannelSubscription {
    pub(super) fn new(handle: Arc<Handle>, id: SubscriptionId, kind: Kind) -> Self {
        Self { handle, id, kind }
    }

    /// Wants channels; those that it wants already are passed over.
    ///
    /// # Errors
    /// [`Error::Closed`]; [`Error::Name`]: one is longer than 1 MiB, and none was added.
    pub fn add(&self, names: impl IntoIterator<Item = impl Into<Bytes>>) -> Result<(), Error> {
        self.handle.add(self.id, self.kind, names)
    }

    /// Wants channels no longer; others are passed over.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn remove(&self, names: impl IntoIterator<Item = impl Into<Bytes>>) -> Result<(), Error> {
        self.handle.remove(self.id, self.kind, names)
    }

    /// Wants nothing any more, and stays open.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn clear(&self) -> Result<(), Error> {
        self.handle.clear(self.id)
    }

    /// What it wants now, in no order.
    pub fn channels(&self) -> impl Iterator<Item = Bytes> + use<> {
        self.handle.names(self.id, self.kind)
    }

    /// Ends it.
    ///
    /// # Errors
    /// [`Error::Closed`]: it had ended.
    pub fn close(&self) -> Result<(), Error> {
        closed(self.handle.close(self.id))
    }
}

impl Drop for ChannelSubscription {
    fn drop(&mut self) {
        self.handle.close(self.id);
    }
}

impl fmt::Debug for ChannelSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelSubscription({:?}, {})", self.id, self.kind)
    }
}

/// A subscription to one pattern. Dropping it closes it.
pub struct PatternSubscription {
    handle: Arc<Handle>,
    id: SubscriptionId,
    pattern: Bytes,
}

impl PatternSubscription {
    pub(super) fn begin(
        handle: Arc<Handle>,
        id: SubscriptionId,
        pattern: Bytes,
    ) -> Result<Self, Error> {
        handle.add(id, Kind::Pattern, [pattern.clone()])?;
        Ok(Self {
            handle,
            id,
            pattern,
        })
    }

    /// Its pattern.
    pub const fn pattern(&self) -> &Bytes {
        &self.pattern
    }

    /// Ends it.
    ///
    /// # Errors
    /// [`Error::Closed`]: it had ended.
    pub fn close(&self) -> Result<(), Error> {
        closed(self.handle.close(self.id))
    }
}

impl Drop for PatternSubscription {
    fn drop(&mut self) {
        self.handle.close(self.id);
    }
}

impl fmt::Debug for PatternSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PatternSubscription({:?}, {:?})", self.id, self.pattern)
    }
}

pub(super) const fn closed(now: bool) -> Result<(), Error> {
    if now { Ok(()) } else { Err(Error::Closed) }
}
