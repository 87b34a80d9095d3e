use super::shared::Shared;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::sync::Arc;
use tokio::sync::mpsc;
use trunkline_jsonrpc::{Id, OwnedId, Request};

/// What the server sends of its own accord: a notification, or a request to a worker.
#[derive(Debug)]
pub struct Push {
    /// The id to answer with; `None` for a notification, which is never answered.
    pub id: Option<OwnedId>,
    /// What is asked or told.
    pub method: String,
    /// The params, byte for byte.
    pub params: Option<Box<RawValue>>,
    /// The top-level `meta` of a request to a worker that asked for it.
    pub meta: Option<Box<RawValue>>,
}

impl Push {
    pub(super) fn of(request: Request<'_>) -> Self {
        Self {
            id: request.id.map(Id::to_owned_id),
            method: request.method.into_owned(),
            params: request.params.map(ToOwned::to_owned),
            meta: request.meta.map(ToOwned::to_owned),
        }
    }

    /// Reads the params.
    ///
    /// # Errors
    /// What doesn't fit `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        let text = self.params.as_deref().map_or("null", RawValue::get);
        serde_json::from_str(text)
    }
}

/// The pushes of a connection, in the order in which the server sent them.
///
/// At most [`Pushes::WAITING_MAX`] wait here; then the connection is not read any more, which
/// also holds back answers. So whoever takes pushes must not wait for an answer in between.
#[derive(Debug)]
pub struct Pushes {
    pub(super) queue: mpsc::Receiver<Push>,
    pub(super) shared: Arc<Shared>,
}

impl Pushes {
    /// Most pushes that wait to be taken.
    pub const WAITING_MAX: usize = 64;

    /// The next one; `None` once the connection is gone.
    pub async fn next(&mut self) -> Option<Push> {
        self.queue.recv().await
    }

    /// The next one, if it is already there.
    pub fn try_next(&mut self) -> Option<Push> {
        self.queue.try_recv().ok()
    }

    /// Why the connection is gone; text for people.
    pub fn loss(&self) -> Arc<str> {
        match self.shared.loss() {
            Some(loss) => loss.reason,
            None => "the connection is there".into(),
        }
    }
}
