//! Workers: methods in Rust, offered over a client.

mod builder;
mod context;
mod run;
mod seat;

pub use builder::WorkerBuilder;
pub use context::WorkContext;
pub(super) use run::refuse;
pub(super) use seat::WorkerSeat;

use super::{Client, RequestError, loss::Loss, requests::Again};
use serde_json::{json, value::RawValue};
use std::{pin::Pin, sync::Arc};

/// The text of a result, or an error object.
type Answer = Pin<Box<dyn Future<Output = Result<Vec<u8>, super::RpcError>> + Send>>;
type Run = Box<dyn Fn(Option<Box<RawValue>>, WorkContext) -> Answer + Send + Sync>;

/// A worker that takes calls. From [`Client::worker`].
///
/// After a connection was lost it registers again by itself. Calls that ran on the lost connection
/// are told ([`WorkContext::cancelled`]); their answers go nowhere, because the server has given
/// them to another worker if their method is idempotent, or told their callers.
///
/// Dropping it takes no new calls; those that run are answered while the client lives.
#[derive(Debug)]
pub struct Worker {
    client: Client,
    seat: Arc<WorkerSeat>,
}

impl Worker {
    /// Works until `shutdown` is ready, then [drains](Worker::drain).
    ///
    /// # Errors
    /// The worker ended before: the server refused it, or the client gave up connecting.
    pub async fn run_until<T>(self, shutdown: impl Future<Output = T>) -> Result<(), RequestError> {
        tokio::select! {
            _ = shutdown => self.drain().await,
            end = self.seat.ended() => end.map_or(Ok(()), Err),
        }
    }

    /// Takes no new calls, and waits until those that run are answered.
    ///
    /// # Errors
    /// The client was not connected, or lost its connection meanwhile; then nothing is left to
    /// be answered.
    pub async fn drain(self) -> Result<(), RequestError> {
        if let Some((connection, name)) = self.seat.close() {
            let params = json!({"worker": name}).to_string().into_bytes();
            let shared = self.client.shared();
            let ready = shared.prepare("rpc.worker.drain", Some(&params)).await?;
            let answer = shared.ask(ready, Again::Never, Some(connection))?;
            answer.await.map_err(|_| Loss::wanted().error())??;
            // Calls that were on their way then have come once something behind them is answered.
            let ready = shared.prepare("rpc.info", None).await?;
            let answer = shared.ask(ready, Again::Never, Some(connection))?;
            answer.await.map_err(|_| Loss::wanted().error())??;
        }
        self.seat.idle().await;
        Ok(())
    }

    /// Calls that run now.
    pub fn running(&self) -> usize {
        self.seat.running()
    }

    /// The client that it belongs to.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some((connection, name)) = self.seat.close() {
            let params = json!({"worker": name}).to_string().into_bytes();
            self.seat
                .shared
                .ask_for_nobody("rpc.worker.drain", &params, connection);
        }
    }
}
