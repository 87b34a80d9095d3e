use crate::client::shared::Shared;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;
use tokio::sync::watch;
use trunkline_jsonrpc::OwnedId;
use trunkline_model::Timestamp;

/// What a method of a [`Worker`](crate::Worker) knows about the call that it runs.
#[derive(Clone, Debug)]
pub struct WorkContext {
    pub(super) shared: Arc<Shared>,
    pub(super) connection: u64,
    pub(super) id: OwnedId,
    pub(super) method: Arc<str>,
    pub(super) meta: Arc<Meta>,
    pub(super) cancelled: watch::Receiver<bool>,
}

/// The top-level `meta` of a call.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Meta {
    caller: String,
    deadline: Option<String>,
    attempt: Option<u32>,
    traceparent: Option<String>,
    category: String,
}

impl WorkContext {
    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Who asks, as text.
    pub fn caller(&self) -> &str {
        &self.meta.caller
    }

    /// The class of the call.
    pub fn category(&self) -> &str {
        &self.meta.category
    }

    /// When the caller stops waiting, by the server's clock.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.meta.deadline.as_deref()?.parse().ok()
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.meta.attempt.unwrap_or(1)
    }

    /// W3C trace context.
    pub fn traceparent(&self) -> Option<&str> {
        self.meta.traceparent.as_deref()
    }

    /// Tells the caller how far it is. What does not serialize is not told, nor what would have to
    /// wait behind a megabyte of other frames.
    pub fn progress(&self, value: &impl Serialize) {
        #[derive(Serialize)]
        struct Progress<'a, T> {
            id: &'a RawValue,
            value: &'a T,
        }
        let Ok(id) = serde_json::from_str(self.id.as_id().as_json()) else {
            return;
        };
        if let Ok(params) = serde_json::to_vec(&Progress { id, value }) {
            self.shared
                .tell_if_idle(self.connection, "rpc.progress", &params);
        }
    }

    /// Whether nobody waits for the answer any more: the caller cancelled or timed out, or the
    /// connection on which the call came is lost.
    pub fn is_cancelled(&self) -> bool {
        *self.cancelled.borrow()
    }

    /// Waits until nobody waits for the answer any more; for ever if somebody does.
    pub async fn cancelled(&self) {
        let mut cancelled = self.cancelled.clone();
        if cancelled.wait_for(|cancelled| *cancelled).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
