use super::{
    RequestError, StoredMessage, consume::ConsumerSeat, loss::Loss, message::millis,
    requests::Again,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{ops::Deref, sync::Arc, time::Duration};
use trunkline_model::ErrorCode;

/// A message handed to a [`Consumer`](crate::Consumer), to be settled once its work is done:
/// [`Delivery::ack`], [`Delivery::nack`] or [`Delivery::reject`].
///
/// Its message is read through it: `delivery.payload`, `delivery.json()`. One that is dropped
/// unsettled keeps its place in the consumer's credit, and goes back when the consumer ends or
/// the subscription's `ack_timeout` is over.
#[derive(Debug)]
#[must_use = "a delivery that is not settled comes again"]
pub struct Delivery {
    seat: Arc<ConsumerSeat>,
    connection: u64,
    tag: u64,
    attempt: u32,
    message: StoredMessage,
}

/// Why settling a delivery did not count, or is not known to.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettleError {
    /// The connection on which it came is gone: the message comes again, unless the server took
    /// the request in its last moment.
    #[error("the delivery's connection is gone ({0}); its message comes again")]
    Lost(Arc<str>),
    /// The server doesn't hold it for this consumer any more: it was settled, it timed out or
    /// expired, or its consumer was cancelled.
    #[error("the delivery is not held any more: it timed out, expired or was replaced")]
    NotHeld,
    /// Anything else.
    #[error(transparent)]
    Request(RequestError),
}

impl Delivery {
    pub(super) fn new(
        seat: Arc<ConsumerSeat>,
        connection: u64,
        tag: u64,
        attempt: u32,
        message: StoredMessage,
    ) -> Self {
        Self {
            seat,
            connection,
            tag,
            attempt,
            message,
        }
    }

    pub(super) fn is_of(&self, seat: &Arc<ConsumerSeat>, connection: u64) -> bool {
        Arc::ptr_eq(&self.seat, seat) && self.connection == connection
    }

    pub(super) fn tag(&self) -> u64 {
        self.tag
    }

    /// Which delivery of the message to its subscription this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The message alone.
    pub fn into_message(self) -> StoredMessage {
        self.message
    }

    /// The work is done: the message leaves the subscription. Answered once that is durable.
    ///
    /// # Errors
    /// [`SettleError`]: it did not count, or is not known to.
    pub async fn ack(self) -> Result<(), SettleError> {
        self.settle("rpc.topic.ack", &[]).await
    }

    /// Not now: back to its place in the subscription, to be delivered again to whoever is there.
    ///
    /// # Errors
    /// As [`Delivery::ack`].
    pub async fn nack(self) -> Result<(), SettleError> {
        self.settle("rpc.topic.nack", &[]).await
    }

    /// Like [`Delivery::nack`], and not before this span is over.
    ///
    /// # Errors
    /// As [`Delivery::ack`].
    pub async fn nack_for(self, span: Duration) -> Result<(), SettleError> {
        let delay = ("delay_ms", json!(millis(span)));
        self.settle("rpc.topic.nack", &[delay]).await
    }

    /// Never again: to the dead-letter topic, or dropped if there is none.
    ///
    /// # Errors
    /// As [`Delivery::ack`].
    pub async fn reject(self) -> Result<(), SettleError> {
        let requeue = ("requeue", json!(false));
        self.settle("rpc.topic.nack", &[requeue]).await
    }

    /// Its work takes longer: the ack time-out is this far away from now.
    ///
    /// # Errors
    /// As [`Delivery::ack`].
    pub async fn extend(&self, by: Duration) -> Result<(), SettleError> {
        let by = ("by_ms", json!(millis(by)));
        self.settle("rpc.topic.extend", &[by]).await
    }

    async fn settle(&self, verb: &str, more: &[(&str, Value)]) -> Result<(), SettleError> {
        match settle(&self.seat, self.connection, verb, &[self.tag], more).await? {
            0 => Err(SettleError::NotHeld),
            _ => Ok(()),
        }
    }
}

impl Deref for Delivery {
    type Target = StoredMessage;

    fn deref(&self) -> &StoredMessage {
        &self.message
    }
}

/// How many of the tags counted.
#[derive(Deserialize)]
struct Settled {
    #[serde(alias = "nacked", alias = "extended")]
    acked: u64,
}

/// Settles deliveries of one connection; how many counted.
pub(super) async fn settle(
    seat: &ConsumerSeat,
    connection: u64,
    verb: &str,
    tags: &[u64],
    more: &[(&str, Value)],
) -> Result<u64, SettleError> {
    let gone = || SettleError::Lost("another one took its place".into());
    let name = match seat.held() {
        Some((now, name)) if now == connection => name,
        _ => match seat.shared.loss() {
            Some(loss) => return Err(SettleError::Lost(loss.reason)),
            None => return Err(gone()),
        },
    };
    let mut params = Map::new();
    params.insert("consumer".to_owned(), json!(name));
    params.insert("tags".to_owned(), json!(tags));
    for (member, value) in more {
        params.insert((*member).to_owned(), value.clone());
    }
    let params = Value::Object(params).to_string().into_bytes();
    let shared = &seat.shared;
    let ready = shared.prepare(verb, Some(&params)).await.map_err(sorted)?;
    let answer = shared
        .ask(ready, Again::Never, Some(connection))
        .map_err(sorted)?;
    let answer = match answer.await {
        Ok(answer) => answer.map_err(sorted)?,
        Err(_) => return Err(SettleError::Lost(Loss::wanted().reason)),
    };
    let settled: Result<Settled, _> = serde_json::from_str(answer.get());
    let settled = settled.map_err(|error| SettleError::Request(RequestError::unreadable(error)))?;
    Ok(settled.acked)
}

fn sorted(error: RequestError) -> SettleError {
    match error {
        RequestError::Lost(reason) => SettleError::Lost(reason),
        error if error.code() == Some(ErrorCode::NotFound) => SettleError::NotHeld,
        error => SettleError::Request(error),
    }
}
