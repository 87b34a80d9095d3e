use crate::{ClientError, ErrorCode, Frame};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::sync::oneshot;

/// What becomes of an operation: its RECEIPT, nothing if it asked for none and is written, or why
/// it failed. Dropping it cancels nothing; an error then goes to those who listen to the
/// client's [`events`](super::Client::events).
#[derive(Debug)]
#[must_use = "an operation may fail; drop it if that doesn't matter"]
pub struct Outcome(oneshot::Receiver<Settled>);

/// How an operation ended.
pub(crate) type Settled = Result<Option<Frame>, ClientError>;

/// Where an operation's end is told.
#[derive(Debug)]
pub(crate) struct Teller(oneshot::Sender<Settled>);

/// An outcome, and where it comes from.
pub(crate) fn outcome() -> (Teller, Outcome) {
    let (teller, outcome) = oneshot::channel();
    (Teller(teller), Outcome(outcome))
}

impl Teller {
    /// Gives back what nobody waits for.
    pub(crate) fn tell(self, settled: Settled) -> Result<(), Settled> {
        self.0.send(settled)
    }
}

impl Future for Outcome {
    type Output = Settled;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let settled = ready!(Pin::new(&mut self.0).poll(cx));
        // Everything unfinished is told when a client ends; only its runtime can go before.
        Poll::Ready(settled.unwrap_or_else(|_| {
            let text = "The runtime of the client has ended.";
            Err(ClientError::new(ErrorCode::ClosedByClient, text))
        }))
    }
}
