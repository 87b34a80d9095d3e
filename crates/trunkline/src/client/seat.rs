//! What holds a place on a connection and takes it again on the next one: consumers, listeners,
//! workers.

use super::{RequestError, loss::Loss, requests::Answered, router::Router};
use std::{fmt, sync::Arc};
use trunkline_model::ErrorCode;

/// A place on the connection, in every connection anew.
pub(super) trait Seat: Send + Sync + fmt::Debug {
    /// Its number among the seats of the client.
    fn number(&self) -> u64;

    /// The request that takes it: method and params. `None` once it is not wanted any more.
    fn opening(&self) -> Option<(&'static str, Vec<u8>)>;

    /// The answer to that request, on the connection with that number. Called by whoever reads
    /// the connection, before it reads on, so that what follows finds its way.
    fn opened(self: Arc<Self>, connection: u64, answer: Answered, router: &mut Router);

    /// The connection is lost; the next one comes, or [`Seat::over`].
    fn lost(&self, loss: &Loss);

    /// There will be no connection any more.
    fn over(&self, loss: &Loss);
}

/// What becomes of a seat that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The server goes; the next connection takes it again.
    NextConnection,
    /// It may be asked for again after a while.
    Later,
    /// That's it.
    ForGood,
}

impl Refused {
    /// `held`: it was held before, so that whoever made it does not wait to hear about it.
    pub(super) fn by(error: &RequestError, held: bool) -> Self {
        match error.code() {
            Some(ErrorCode::ShuttingDown) => Self::NextConnection,
            Some(ErrorCode::Unavailable | ErrorCode::Overloaded | ErrorCode::RateLimited)
                if held =>
            {
                Self::Later
            }
            _ if matches!(error, RequestError::Lost(_)) => Self::NextConnection,
            _ => Self::ForGood,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::RpcError;

    #[test]
    fn what_passes_is_waited_for_and_the_rest_is_told() {
        let answer = |code| RequestError::Answer(RpcError::of(code, ""));
        for (error, first, held) in [
            (
                answer(ErrorCode::ShuttingDown),
                Refused::NextConnection,
                Refused::NextConnection,
            ),
            (
                RequestError::Lost("cut".into()),
                Refused::NextConnection,
                Refused::NextConnection,
            ),
            (
                answer(ErrorCode::Overloaded),
                Refused::ForGood,
                Refused::Later,
            ),
            (
                answer(ErrorCode::Unavailable),
                Refused::ForGood,
                Refused::Later,
            ),
            (
                answer(ErrorCode::Forbidden),
                Refused::ForGood,
                Refused::ForGood,
            ),
            (
                RequestError::unreadable("x"),
                Refused::ForGood,
                Refused::ForGood,
            ),
        ] {
            assert_eq!(Refused::by(&error, false), first, "{error}");
            assert_eq!(Refused::by(&error, true), held, "{error}");
        }
    }
}
