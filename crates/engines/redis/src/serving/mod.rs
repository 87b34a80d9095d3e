//! The side of the worker, as far as the wires have it in common: slots, what runs, the loop that reads
//! and the task that writes. What they differ in is [`Serve`].

mod crew;
mod reading;
mod slots;
mod writing;

pub(crate) use crew::{Crew, Worker, start};

use crate::bundle::Bundle;
use crate::deployment::{Deployment, Failure};
use redis::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use trunkline_model::{CallOutcome, Timestamp};

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
    fn deployment(&self) -> &Deployment;

    /// The time now.
    fn now(&self) -> Timestamp;

    /// How the connection that reads for a worker is called.
    fn connection_name(&self, worker: &Worker<Self>) -> String;

    /// A key that a worker reads: on a cluster, it says where.
    fn key<'w>(&self, worker: &'w Worker<Self>) -> &'w [u8];

    /// Before the first read, and again after every failure of one. `first` until it has succeeded.
    fn prepare(
        &self,
        worker: &Worker<Self>,
        first: bool,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// One read, for no more calls than there are free slots. It ends about `until`.
    fn read(
        self: &Arc<Self>,
        worker: &Arc<Worker<Self>>,
        reader: &Deployment,
        until: Option<Instant>,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// How often [`Serve::upkeep`] has its turn.
    fn upkeep_every(&self) -> Option<Duration> {
        None
    }

    /// What is done for a worker from time to time.
    fn upkeep(
        self: &Arc<Self>,
        _worker: &Arc<Worker<Self>>,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        std::future::ready(Ok(()))
    }

    /// Has a call's answer written; whether somebody may still wait for it.
    fn answer(&self, worker: &Worker<Self>, call: Self::Call, outcome: &CallOutcome) -> bool;

    /// Whether a call of a worker that is lost is left to others, without an answer.
    fn leaves(&self, _worker: &Worker<Self>, _call: &Self::Call) -> bool {
        false
    }

    /// The commands that write an answer, which may have been done before if it is written `again`: one thing of
    /// the bundle.
    fn write(&self, answer: &Self::Answer, again: bool, bundle: &mut Bundle);

    /// Whether what was said to the first command that wrote an answer says that it reached somebody.
    fn is_heard(&self, _answer: &Self::Answer, _said: &Value) -> bool {
        true
    }

    /// Until when an answer is worth writing.
    fn worth_until(&self, answer: &Self::Answer) -> Timestamp;

    /// An answer was written and reached somebody, as far as can be known, or was given up.
    fn done(&self, answer: &Self::Answer, written: bool);
}
