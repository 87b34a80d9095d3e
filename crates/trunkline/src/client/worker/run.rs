//! Runs the calls of a worker as tasks.

use super::{WorkContext, WorkerSeat};
use crate::client::{RpcError, connection::write_error, shared::Shared};
use bytes::BytesMut;
use serde_json::value::RawValue;
use std::sync::Arc;
use trunkline_jsonrpc::{Id, OwnedId, encode_result};
use trunkline_model::ErrorCode;

/// The answer that a task owes: given when the task ends, however it does. One that panicked, or
/// was dropped with its runtime, has none, and that is an internal error.
pub(super) struct Promise {
    seat: Arc<WorkerSeat>,
    key: (u64, Box<str>),
    id: OwnedId,
    outcome: Option<Result<Vec<u8>, RpcError>>,
}

impl Promise {
    pub(super) fn new(seat: Arc<WorkerSeat>, key: (u64, Box<str>), id: OwnedId) -> Self {
        Self {
            seat,
            key,
            id,
            outcome: None,
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let outcome = self.outcome.take().unwrap_or_else(|| {
            let text = "internal error";
            Err(RpcError::of(ErrorCode::Internal, text))
        });
        let mut frame = BytesMut::with_capacity(128);
        match &outcome {
            Ok(result) => encode_result(&mut frame, self.id.as_id(), result),
            Err(error) => write_error(&mut frame, self.id.as_id(), error),
        }
        // On another connection nobody would know what it answers.
        self.seat.shared.tell(self.key.0, frame);
        self.seat.finished(&self.key);
    }
}

/// One call.
pub(super) async fn work(
    mut promise: Promise,
    params: Option<Box<RawValue>>,
    context: WorkContext,
) {
    let seat = Arc::clone(&promise.seat);
    let slot = tokio::select! {
        biased;
        () = context.cancelled() => None,
        slot = seat.slots.acquire() => slot.ok(),
    };
    let Some(run) = seat
        .methods
        .get(context.method())
        .filter(|_| slot.is_some())
    else {
        let text = "cancelled before it was run";
        promise.outcome = Some(Err(RpcError::of(ErrorCode::Cancelled, text)));
        return;
    };
    promise.outcome = Some(run(params, context).await);
}

/// Answers a call that no worker here takes any more.
pub(in crate::client) fn refuse(shared: &Shared, connection: u64, id: Id<'_>, method: &str) {
    let text = format!("no worker of this client offers {method} any more");
    let error = RpcError::of(ErrorCode::MethodNotFound, text);
    let mut frame = BytesMut::with_capacity(128);
    write_error(&mut frame, id, &error);
    shared.tell(connection, frame);
}
