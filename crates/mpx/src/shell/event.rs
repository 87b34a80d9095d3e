use crate::LinkError;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// What a subscription hears.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Redis has confirmed a channel, or the pattern: messages may come.
    Active {
        /// The channel, or the text of the pattern.
        name: Bytes,
        /// For how long nobody heard it, if it was active on an earlier connection: what was
        /// published meanwhile is lost.
        gap: Option<Duration>,
    },
    /// A message.
    Message {
        /// The channel, also for patterns.
        channel: Bytes,
        /// What was published.
        payload: Bytes,
    },
    /// The connection is lost; the next one is being made.
    Lost {
        /// Why.
        error: Arc<LinkError>,
    },
    /// Redis took a shard channel away, because its slot moves; it is asked for again.
    Withdrawn {
        /// The channel.
        name: Bytes,
    },
    /// Redis refused a name, as its access rules say. It is asked for again on the next
    /// connection, or when somebody else wants it.
    Refused {
        /// The channel or pattern.
        name: Bytes,
        /// What Redis said.
        reason: String,
    },
    /// So many events were dropped here, because nobody took them.
    Dropped(u64),
}

impl Event {
    /// What it counts against the bound of a queue, in bytes.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Message { channel, payload } => channel.len() + payload.len(),
            Self::Active { name, .. } | Self::Withdrawn { name } | Self::Refused { name, .. } => {
                name.len()
            }
            Self::Lost { .. } | Self::Dropped(_) => 0,
        }
    }
}
