use super::{RequestError, RpcError};
use serde_json::value::RawValue;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;
use trunkline_jsonrpc::{Answer, Outcome};

/// Where the answer to one request goes.
type Slot = oneshot::Sender<Result<Box<RawValue>, RequestError>>;

/// What a connection's halves and its requests have in common: who waits for which answer, and
/// why nothing comes any more.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    waiting: HashMap<u64, Slot>,
    lost: Option<Loss>,
}

/// Why a connection is gone.
#[derive(Clone, Debug)]
pub(super) struct Loss {
    reason: Arc<str>,
    /// Because of what this side sent.
    refused: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new id, whose answer goes into `slot`.
    pub(super) fn expect_answer(&self, slot: Slot) -> Result<u64, RequestError> {
        let mut state = self.lock();
        if let Some(loss) = &state.lost {
            return Err(loss.error());
        }
        state.next_id += 1;
        let id = state.next_id;
        state.waiting.insert(id, slot);
        Ok(id)
    }

    /// Hands an answer to whoever waits for it; one that nobody waits for is passed over.
    pub(super) fn settle(&self, answer: &Answer<'_>) {
        let slot = answer
            .id
            .as_u64()
            .and_then(|id| self.lock().waiting.remove(&id));
        let Some(slot) = slot else { return };
        let unreadable = |why: String| RequestError::Unreadable(why.into());
        let outcome = match answer.outcome {
            Outcome::Result(result) => Ok(result.to_owned()),
            Outcome::Error(error) => Err(match serde_json::from_str::<RpcError>(error.get()) {
                Ok(error) => RequestError::Answer(error),
                Err(error) => unreadable(error.to_string()),
            }),
            ref malformed => Err(unreadable(format!("{malformed:?}"))),
        };
        // Whoever asked may have lost interest.
        let _ = slot.send(outcome);
    }

    /// Ends every request in flight; the first reason stays.
    pub(super) fn lose(&self, loss: Loss) {
        let mut state = self.lock();
        state.lost.get_or_insert(loss);
        state.waiting.clear();
    }

    /// What every further request gets.
    pub(super) fn error(&self) -> RequestError {
        match &self.lock().lost {
            Some(loss) => loss.error(),
            None => Loss::of("the connection was closed").error(),
        }
    }

    pub(super) fn loss(&self) -> Arc<str> {
        match self.error() {
            RequestError::Lost(reason) | RequestError::Refused(reason) => reason,
            other => other.to_string().into(),
        }
    }
}

impl Loss {
    pub(super) fn of(reason: impl Into<Arc<str>>) -> Self {
        Self {
            reason: reason.into(),
            refused: false,
        }
    }

    fn error(&self) -> RequestError {
        let reason = Arc::clone(&self.reason);
        match self.refused {
            true => RequestError::Refused(reason),
            false => RequestError::Lost(reason),
        }
    }

    /// By the code of the server's close frame (RFC 6455, section 7.4).
    pub(super) fn closed(code: u16, reason: &str) -> Self {
        const BECAUSE_OF_US: [u16; 5] = [1002, 1003, 1007, 1008, 1009];
        let text = match (code, reason) {
            (1001, _) => "the server is shutting down".to_owned(),
            (1009, _) => "it is larger than limits.max_message_bytes (close code 1009)".to_owned(),
            (code, "") => format!("the server closed the connection (close code {code})"),
            (code, reason) => format!("the server closed the connection: {reason} ({code})"),
        };
        Self {
            reason: text.into(),
            refused: BECAUSE_OF_US.contains(&code),
        }
    }
}
