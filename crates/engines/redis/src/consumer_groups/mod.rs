//! Calls over Redis streams with consumer groups: the stream is the category, the reply channel the
//! gateway. The wire is that of Mojo::WebSocketProxy::Backend::ConsumerGroups and its workers.

mod asking;
mod counters;
mod entries;
mod options;
mod reply;
mod request;
mod tidying;
mod worker;

pub use counters::ConsumerGroupsCounters;
pub use options::ConsumerGroupsOptions;

use crate::deployment::{Deployment, Failure};
use crate::serving::Crew;
use crate::unique::unique_name;
use asking::Asking;
use compact_str::CompactString;
use counters::Counting;
use std::collections::BTreeSet;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use trunkline_model::{
    Call, CallId, CallOutcome, CallSink, CallWire, Clock, Completion, DispatchId, Stage,
    WorkerHandle, WorkerSpec,
};
use trunkline_mpx::Multiplexer;

/// One side or both of the wire: a gateway that calls, and workers that serve.
///
/// What the wire can't do: workers don't announce what they offer, so nothing fails fast; progress
/// and cancellation don't reach anybody; of a call that is cancelled it isn't known whether a worker had
/// taken it. Every worker of a category must know all its methods.
pub struct ConsumerGroups {
    shared: Arc<Shared>,
}

/// What both sides and their tasks share.
struct Shared {
    deployment: Deployment,
    asking: Asking,
    crew: Crew<Shared>,
    options: ConsumerGroupsOptions,
    clock: Arc<dyn Clock>,
    counting: Counting,
}

impl ConsumerGroups {
    /// On a deployment; connects when there is something to do.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(
        deployment: Deployment,
        options: ConsumerGroupsOptions,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let connector = deployment.connector();
        let mpx = Multiplexer::new(move || connector.connect(), options.multiplexer);
        let shared = Arc::new(Shared {
            deployment,
            asking: Asking::new(mpx, unique_name()),
            crew: Crew::default(),
            options,
            clock,
            counting: Counting::default(),
        });
        tokio::spawn(asking::send_calls(shared.clone()));
        Self { shared }
    }

    /// The channel on which answers come: another one for every instance.
    pub fn whoami(&self) -> &str {
        &self.shared.asking.who
    }

    /// Whether Redis is there and lets this process ask for calls of these categories: its user may write to their
    /// streams, and listen for replies. Servers before version 7, and users that may run no scripts, tell of
    /// their rights only when they are used.
    ///
    /// # Errors
    /// What Redis, or the way to it, said.
    pub async fn check(&self, categories: &[&str]) -> Result<(), Failure> {
        let Shared {
            deployment,
            options,
            ..
        } = &*self.shared;
        let ping = redis::cmd("PING");
        let _: redis::Value = deployment.one(b"", &ping).await?;
        let streams: BTreeSet<_> = categories.iter().map(|c| options.stream_of(c)).collect();
        let mut commands = vec![vec!["SUBSCRIBE", self.whoami()]];
        let xadd = |stream| vec!["XADD", stream, "*", "rpc", ""];
        commands.extend(streams.iter().map(|stream| xadd(stream.as_str())));
        deployment.check_rights(&commands).await
    }

    /// What it has done.
    #[must_use]
    pub fn counters(&self) -> ConsumerGroupsCounters {
        let shared = &self.shared;
        ConsumerGroupsCounters {
            connections: shared.deployment.connections() + shared.asking.connections(),
            pending_now: self.shared.asking.pending() as u64,
            running_now: self.shared.crew.count(),
            ..self.shared.counting.read()
        }
    }
}

impl CallWire for ConsumerGroups {
    /// The stream.
    fn queue_of(&self, call: &Call) -> CompactString {
        self.shared.options.stream_of(&call.category)
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        Self::counters(self).named().collect()
    }

    fn send(&self, call: Call, completion: Completion) -> CallId {
        let stream = self.shared.options.stream_of(&call.category);
        self.shared
            .asking
            .send(&self.shared, call, stream, completion)
    }

    fn cancel(&self, id: CallId) -> Option<Stage> {
        self.shared.asking.forget(id).then_some(Stage::Queued)
    }

    fn serve(&self, spec: WorkerSpec, sink: Arc<dyn CallSink>) -> Box<dyn WorkerHandle> {
        worker::start(&self.shared, spec, sink)
    }

    fn answer(&self, dispatch: DispatchId, outcome: CallOutcome) -> bool {
        self.shared.crew.answer(&self.shared, dispatch, &outcome)
    }

    fn flushed(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self.shared.crew.flushed())
    }

    fn close(&self, _deadline: Duration) {
        self.shared.asking.close();
        self.shared.crew.close(&self.shared);
    }
}

impl Drop for ConsumerGroups {
    fn drop(&mut self) {
        self.shared.asking.close();
    }
}

impl fmt::Debug for ConsumerGroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerGroups")
            .field("deployment", &self.shared.deployment)
            .field("who", &self.shared.asking.who)
            .finish_non_exhaustive()
    }
}
