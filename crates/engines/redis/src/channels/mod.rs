//! Channels: Redis pub/sub, with one connection that listens and one that publishes.
//!
//! Start here, then `listening.rs` (one listener among the subscriptions of the multiplexer) and
//! `publisher.rs`. What decides is pure: `encoding.rs`, `names.rs`, `waiting.rs`, `turn.rs`.

mod encoding;
mod listening;
mod names;
mod once;
mod publisher;
#[cfg(test)]
mod tests;
mod turn;
mod waiting;

use crate::deployment::Deployment;
use listening::Listening;
use once::Once;
use publisher::{PUBLISH_TIMEOUT, Publisher};
use std::sync::Arc;
use trunkline_model::{ChannelMessage, Completion, ListenHandle, ListenPolicy, ListenerSink};
use trunkline_mpx::Multiplexer;

/// The channels of one engine. A name or pattern is asked for in Redis once, however many listen to it
/// here, and a message is decoded once for all of them.
#[derive(Debug)]
pub(crate) struct Channels {
    multiplexer: Multiplexer,
    publisher: Publisher,
    once: Arc<Once>,
}

impl Channels {
    /// Over a multiplexer of the deployment, which others may use as well.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn new(multiplexer: Multiplexer, deployment: Deployment) -> Self {
        Self {
            multiplexer,
            publisher: Publisher::new(deployment, PUBLISH_TIMEOUT),
            once: Arc::default(),
        }
    }

    /// Hands a message to whoever listens, in the order of the calls. Ends with [`Outcome::Reached`]: how
    /// many subscriptions in Redis heard it, where all listeners of a name in one process are one; or with an
    /// error within [`PUBLISH_TIMEOUT`]. Nothing is published twice.
    ///
    /// [`Outcome::Reached`]: trunkline_model::Outcome::Reached
    pub(crate) fn publish(&self, message: ChannelMessage, completion: Completion) {
        self.publisher.publish(message, completion);
    }

    /// A listener that hears nothing yet. `policy` bounds what waits while another thread is in its sink.
    pub(crate) fn listen(
        &self,
        sink: Arc<dyn ListenerSink>,
        policy: ListenPolicy,
    ) -> Box<dyn ListenHandle> {
        let (multiplexer, once) = (self.multiplexer.clone(), self.once.clone());
        Box::new(Listening::new(multiplexer, once, sink, policy))
    }

    /// Takes no more publishes. Those that wait are sent, or fail in time.
    pub(crate) fn close(&self) {
        self.publisher.close();
    }
}
