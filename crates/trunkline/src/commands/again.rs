//! Going on after a connection was lost.

use crate::{context::Context, failure::Failure, signal::Stop};
use std::io;
use tokio::time::sleep;
use trunkline::{Connection, Pushes, RECONNECT, RequestError, random_number};
use trunkline_model::ErrorCode;
use trunkline_stomp::ClientError;

/// Why something that goes on over connections ended before it was to.
pub(super) enum Broken<E = RequestError> {
    Failed(Failure),
    /// Another connection may help.
    Connection(E),
}

impl<E> From<Failure> for Broken<E> {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl<E> From<io::Error> for Broken<E> {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<RequestError> for Broken {
    fn from(error: RequestError) -> Self {
        Self::Connection(error)
    }
}

impl From<ClientError> for Broken<ClientError> {
    fn from(error: ClientError) -> Self {
        Self::Connection(error)
    }
}

impl<E: Into<Failure>> From<Broken<E>> for Failure {
    fn from(broken: Broken<E>) -> Self {
        match broken {
            Broken::Failed(failure) => failure,
            Broken::Connection(error) => error.into(),
        }
    }
}

/// Whether waiting can help.
pub(super) fn passes(error: &RequestError) -> bool {
    match error {
        RequestError::Lost(_) => true,
        RequestError::Answer(error) => is_passing(error.code),
        _ => false,
    }
}

/// Whether an error of this number is one of the moment.
pub(super) fn is_passing(number: i64) -> bool {
    let codes = [ErrorCode::ShuttingDown, ErrorCode::Unavailable];
    codes.iter().any(|code| i64::from(code.number()) == number)
}

/// Waits before an attempt, the longer the more came before it; whether to go on: not if
/// somebody asked to stop.
pub(super) async fn wait(attempt: u32, stop: &mut Stop) -> bool {
    tokio::select! {
        () = sleep(RECONNECT.delay(attempt, random_number())) => true,
        () = stop.asked() => false,
    }
}

/// Tries until it works; `None` if somebody asked to stop.
pub(super) async fn connect(context: &Context, stop: &mut Stop) -> Option<(Connection, Pushes)> {
    for attempt in 0.. {
        if !wait(attempt, stop).await {
            return None;
        }
        tokio::select! {
            connection = context.connect() => if let Ok(connection) = connection {
                return Some(connection);
            },
            () = stop.asked() => return None,
        }
    }
    None
}
