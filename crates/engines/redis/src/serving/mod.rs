//! The side of the worker, as far as the wires have it in common: slots, what runs, the loop that reads
//! and the task that writes. What they differ in is [`Serve`].

mod crew;
mod reading;
mod slots;
mod writing;

pub(crate) use crew::{Crew, Worker, start};

use crate::link::Link;
use redis::{Pipeline, RedisResult};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use trunkline_model::CallOutcome;

/// What a wire does its own way; its shared state implements it.
pub(crate) trait Serve: Send + Sync + Sized + 'static {
    /// What a worker has besides slots and a sink.
    type Worker: Send + Sync + 'static;
    /// What is remembered of a call that runs.
    type Call: Send + 'static;
    /// Something to be written.
    type Answer: Send + 'static;

    fn crew(&self) -> &Crew<Self>;

    /// For commands that don't block.
    fn link(&self) -> &Link;

    /// A connection that reads for a worker.
    fn reader(&self, worker: &Worker<Self>) -> Link;

    /// Before the first read, and again after every failure of one. `first` until it has succeeded.
    fn prepare(
        &self,
        worker: &Worker<Self>,
        first: bool,
    ) -> impl Future<Output = RedisResult<()>> + Send;

    /// One read, for no more calls than there are free slots. It ends about `until`.
    fn read(
        self: &Arc<Self>,
        worker: &Arc<Worker<Self>>,
        link: &Link,
        until: Option<Instant>,
    ) -> impl Future<Output = RedisResult<()>> + Send;

    /// How often [`Serve::upkeep`] has its turn.
    fn upkeep_every(&self) -> Option<Duration> {
        None
    }

    /// What is done for a worker from time to time.
    fn upkeep(
        self: &Arc<Self>,
        _worker: &Arc<Worker<Self>>,
    ) -> impl Future<Output = RedisResult<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// Has a call's answer written; whether somebody may still wait for it.
    fn answer(&self, worker: &Worker<Self>, call: Self::Call, outcome: &CallOutcome) -> bool;

    /// Whether a call of a worker that is lost is left to others, without an answer.
    fn leaves(&self, _worker: &Worker<Self>, _call: &Self::Call) -> bool {
        false
    }

    /// The commands that write an answer.
    fn write(&self, answer: &Self::Answer, commands: &mut Pipeline);
}
