use super::{RequestError, State, connection::Open, requests::Again, shared::Shared};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, time::timeout};

/// A client of a Trunkline server: calls, topics, channels, workers. Cheap to clone; all clones
/// share one connection, and what comes from it, consumers and such, keeps it open, too.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = trunkline::TestServer::start().await?;
/// use trunkline::Client;
///
/// # let url = server.url();
/// let client = Client::connect(&url).await?; // such as ws://127.0.0.1:7400
/// let id = client.publish("orders", "first order").await?;
/// println!("{id} is durable");
/// client.close().await?;
/// # Ok(())
/// # }
/// ```
///
/// A client that lost its connection connects again by itself ([`State`] tells), after a wait that
/// grows. Consumers, listeners and workers then go on; publishes that are not confirmed are sent
/// again; what the page on the library (`docs/library.md`) calls "not repeated" fails with
/// [`RequestError::Lost`]. What can't become better by waiting ends it: the URL is no Trunkline's,
/// the server refuses the client or speaks another version of the protocol.
#[derive(Clone, Debug)]
pub struct Client {
    core: Arc<Core>,
}

#[derive(Debug)]
pub(super) struct Core {
    pub(super) open: Open,
    /// What the publish ids of this client begin with.
    pub(super) run: String,
    pub(super) published: AtomicU64,
    pub(super) publish_retry_for: Duration,
    pub(super) close_within: Duration,
    /// Closed when nothing is left to be written.
    pub(super) finished: watch::Receiver<()>,
}

/// Closing took what was not answered with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "closed with {unanswered} requests unanswered after {waited:?}; whether they were executed is not known"
)]
#[non_exhaustive]
pub struct CloseError {
    /// How many requests had no answer.
    pub unanswered: usize,
    /// How long they were waited for.
    pub waited: Duration,
}

impl Client {
    pub(super) fn of(core: Core) -> Self {
        Self {
            core: Arc::new(core),
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.core.open.0
    }

    pub(super) fn publish_retry_for(&self) -> Duration {
        self.core.publish_retry_for
    }

    /// An id that no other publish has.
    pub(super) fn publish_id(&self) -> String {
        let number = self.core.published.fetch_add(1, Ordering::Relaxed);
        format!("{}-{number}", self.core.run)
    }

    /// How it stands with the server, as it changes.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = trunkline::TestServer::start().await?;
    /// # let client = server.client().await?;
    /// let mut state = client.state();
    /// assert!(state.borrow_and_update().is_connected());
    /// tokio::spawn(async move {
    ///     while state.changed().await.is_ok() {
    ///         eprintln!("{}", *state.borrow_and_update());
    ///     }
    /// });
    /// # Ok(())
    /// # }
    /// ```
    pub fn state(&self) -> watch::Receiver<State> {
        self.shared().state().subscribe()
    }

    /// Requests that are not answered, publishes that are not confirmed among them.
    pub fn in_flight(&self) -> usize {
        self.shared().in_flight()
    }

    /// Any request of the protocol, for what has no method here: its result as it came. If the
    /// connection is lost before the answer came, it fails.
    ///
    /// # Errors
    /// [`RequestError`]: an error answer, or no answer at all.
    pub async fn request(
        &self,
        method: &str,
        params: &(impl Serialize + ?Sized),
    ) -> Result<Box<RawValue>, RequestError> {
        self.ask(method, params).await
    }

    /// Like [`Client::request`], and reads the result.
    ///
    /// # Errors
    /// As there; [`RequestError::Unreadable`] if the result doesn't fit `T`.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &(impl Serialize + ?Sized),
    ) -> Result<T, RequestError> {
        self.send_request(method, params, Again::IfUnsent).await
    }

    pub(super) async fn send_request<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &(impl Serialize + ?Sized),
        again: Again,
    ) -> Result<T, RequestError> {
        let params = serde_json::to_vec(params).map_err(RequestError::unsendable)?;
        let shared = self.shared();
        let ready = shared.prepare(method, Some(&params)).await?;
        let answer = shared.ask(ready, again, None)?.await;
        let answer = answer.map_err(|_| super::loss::Loss::wanted().error())??;
        serde_json::from_str(answer.get()).map_err(RequestError::unreadable)
    }

    /// Waits until every request is answered (at most
    /// [`ClientBuilder::close_within`](crate::ClientBuilder::close_within)), then closes the
    /// connection, for all clones. Consumers, listeners and workers end.
    ///
    /// # Errors
    /// [`CloseError`]: some requests were not answered in time.
    pub async fn close(&self) -> Result<(), CloseError> {
        let waited = self.core.close_within;
        let shared = self.shared();
        let settled = timeout(waited, async {
            tokio::select! {
                () = shared.settled() => {}
                _ = shared.ended() => {}
            }
        });
        let unanswered = match settled.await {
            Ok(()) => 0,
            Err(_) => shared.in_flight(),
        };
        shared.over(super::loss::Loss::wanted());
        // Fails when the other side is gone, which is what is waited for.
        let _ = self.core.finished.clone().changed().await;
        match unanswered {
            0 => Ok(()),
            unanswered => Err(CloseError { unanswered, waited }),
        }
    }
}
