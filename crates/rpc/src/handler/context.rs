use crate::calls::Calls;
use serde::Serialize;
use std::sync::Weak;
use tokio::sync::watch;
use trunkline_model::{IncomingCall, Timestamp};

/// What a method of a [`Handler`](crate::Handler) knows about the call that it runs.
#[derive(Clone, Debug)]
pub struct Context {
    pub(super) calls: Weak<Calls>,
    /// Without its params.
    pub(super) call: IncomingCall,
    pub(super) cancelled: watch::Receiver<bool>,
}

impl Context {
    /// The method.
    pub fn method(&self) -> &str {
        &self.call.method
    }

    /// Who asks, as text.
    pub fn caller(&self) -> &str {
        &self.call.caller
    }

    /// When the caller stops waiting.
    pub fn deadline(&self) -> Timestamp {
        self.call.deadline
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.call.attempt
    }

    /// W3C trace context.
    pub fn traceparent(&self) -> Option<&str> {
        self.call.traceparent.as_deref()
    }

    /// Tells the caller how far it is. What does not serialize is not told.
    pub fn progress(&self, value: &impl Serialize) {
        if let (Some(calls), Ok(json)) = (self.calls.upgrade(), serde_json::to_vec(value)) {
            calls.progress(self.call.dispatch, json.into());
        }
    }

    /// Whether the caller has stopped waiting.
    pub fn is_cancelled(&self) -> bool {
        *self.cancelled.borrow()
    }

    /// Waits until the caller stops waiting; for ever if it doesn't.
    pub async fn cancelled(&self) {
        let mut cancelled = self.cancelled.clone();
        if cancelled.wait_for(|cancelled| *cancelled).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
