//! Calls over Redis lists: a handler's queue of ids, requests and responses in one hash, a list for each
//! answer. The wire is that of rpcprocessor and its handlers.

mod asking;
mod counters;
mod list_rpc;
mod options;
mod text;
mod waiting;
mod worker;

pub use counters::RpcProcessorCounters;
pub use list_rpc::{ListRpc, ListRpcError};
pub use options::{MethodTaken, QueueMode, RpcProcessorOptions};

use crate::deployment::{Deployment, Failure};
use crate::serving::Crew;
use crate::unique::unique_name;
use asking::Asking;
use compact_str::CompactString;
use counters::Counting;
use hashbrown::HashSet;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use trunkline_model::{
    Call, CallId, CallOutcome, CallSink, CallWire, Clock, Completion, DispatchId, Error, ErrorCode,
    Stage, WorkerHandle, WorkerSpec,
};

/// One side or both of the wire: a processor that calls, and handlers that serve.
///
/// What the wire can't do: handlers don't announce what they offer, so it is said in the options; deadlines,
/// progress and cancellation don't travel; of a call that is cancelled it isn't known whether a handler
/// had taken it.
pub struct RpcProcessor {
    shared: Arc<Shared>,
}

/// What both sides and their tasks share.
struct Shared {
    deployment: Deployment,
    asking: Asking,
    crew: Crew<Shared>,
    /// Ids in lists of what is processed whose answers are not written yet.
    unwritten: Mutex<HashSet<String>>,
    options: RpcProcessorOptions,
    keys: Keys,
    clock: Arc<dyn Clock>,
    counting: Counting,
}

/// The keys that don't depend on a call.
struct Keys {
    /// Requests and responses.
    db: String,
    /// Ids of completed calls, by the time of their end.
    kept: String,
    /// Has the waiting connection return: a list of this process alone.
    wake: String,
    /// With what ids of this process begin.
    tag: String,
}

impl Keys {
    /// On a cluster, what is used by one command must have one hash tag: ids are ours to choose, and so are the
    /// keys that no other program knows.
    fn new(prefix: &str, on_cluster: bool) -> Self {
        let db = format!("{prefix}rpcs.db");
        let name = unique_name();
        let tag = if on_cluster {
            format!("{{{}}}", &name[..8].to_ascii_lowercase())
        } else {
            String::new()
        };
        Self {
            kept: format!("{{{db}}}.kept"),
            wake: format!("{prefix}{tag}rpcs.wake:{name}"),
            db,
            tag,
        }
    }

    fn have(&self, key: &str) -> bool {
        let all = [&self.db, &self.kept, &self.wake];
        all.into_iter().any(|own| own == key)
    }
}

impl RpcProcessor {
    /// On a deployment; connects when there is something to do.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(
        deployment: Deployment,
        options: RpcProcessorOptions,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let keys = Keys::new(&options.key_prefix, deployment.url().is_cluster());
        let shared = Arc::new(Shared {
            deployment,
            asking: Asking::new(keys.tag.clone()),
            crew: Crew::default(),
            unwritten: Mutex::default(),
            keys,
            options,
            clock,
            counting: Counting::default(),
        });
        tokio::spawn(asking::send_calls(shared.clone()));
        tokio::spawn(waiting::take_answers(shared.clone()));
        Self { shared }
    }

    /// Whether Redis is there and lets this process ask for the methods that the options name: its user may use the hash
    /// of requests, the queues, and lists for answers. Servers before version 7 tell of rights only when they
    /// are used.
    ///
    /// # Errors
    /// What Redis, or the way to it, said.
    pub async fn check(&self) -> Result<(), Failure> {
        let Shared {
            deployment,
            keys,
            options,
            ..
        } = &*self.shared;
        let ping = redis::cmd("PING");
        let _: redis::Value = deployment.one(b"", &ping).await?;
        let id = self.shared.key(&unique_name().to_ascii_lowercase());
        let queues: Vec<_> = options.queues().map(|key| self.shared.key(key)).collect();
        let mut commands = vec![
            vec!["EVAL", waiting::TAKE, "1", &id],
            vec!["BRPOP", &id, &keys.wake, "1"],
            vec!["LPUSH", &keys.wake, ""],
            vec!["HSET", &keys.db, &id, ""],
            vec!["HDEL", &keys.db, &id],
            vec!["ZADD", &keys.kept, "0", &id],
        ];
        commands.extend(queues.iter().map(|queue| vec!["LPUSH", queue, &id]));
        deployment.check_rights(&commands).await
    }

    /// What it has done.
    #[must_use]
    pub fn counters(&self) -> RpcProcessorCounters {
        RpcProcessorCounters {
            connections: self.shared.deployment.connections(),
            pending_now: self.shared.asking.pending() as u64,
            running_now: self.shared.crew.count(),
            ..self.shared.counting.read()
        }
    }
}

impl CallWire for RpcProcessor {
    /// The handler's list.
    fn queue_of(&self, call: &Call) -> CompactString {
        let queue = self.shared.options.route(&call.method);
        queue.map_or(CompactString::default(), |queue| queue.key().into())
    }

    /// What clients of a processor know: a time-out is an error without a code of its own.
    fn timed_out(&self, stage: Stage) -> Error {
        Error::new(ErrorCode::HandlerFailed, "timeout")
            .with("reason", "timeout")
            .with("stage", stage.to_string())
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        Self::counters(self).named().collect()
    }

    fn send(&self, call: Call, completion: Completion) -> CallId {
        match self.shared.options.route(&call.method) {
            Some(queue) => self.shared.asking.send(&call, queue, completion),
            None => {
                let text = format!("no handler offers {}", call.method);
                completion.complete(Err(Error::new(ErrorCode::MethodNotFound, text)));
                CallId(0)
            }
        }
    }

    fn cancel(&self, id: CallId) -> Option<Stage> {
        let now = self.shared.clock.now();
        let id = self.shared.asking.abandon(id, now)?;
        // Other processes can't be told.
        self.shared.crew.cancel(|call| call.key == id);
        Some(Stage::Queued)
    }

    fn serve(&self, spec: WorkerSpec, sink: Arc<dyn CallSink>) -> Box<dyn WorkerHandle> {
        let by_method = self.shared.options.serve_mode == QueueMode::ByMethod;
        let several = by_method && spec.methods.len() > 1;
        let handle = worker::start(&self.shared, spec, sink.clone());
        if several && self.shared.deployment.url().is_cluster() {
            // One command can't wait for lists of several servers.
            handle.drain();
            let text = "on a cluster a worker that reads by method has one; start one for each";
            sink.ended(Error::new(ErrorCode::InvalidRequest, text));
        }
        handle
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

impl Drop for RpcProcessor {
    fn drop(&mut self) {
        self.shared.asking.close();
    }
}

impl Shared {
    fn unwritten(&self) -> MutexGuard<'_, HashSet<String>> {
        self.unwritten
            .lock()
            .expect("no code panics while it holds the ids")
    }

    /// A key of others, with the prefix.
    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.options.key_prefix)
    }
}

impl fmt::Debug for RpcProcessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcProcessor")
            .field("deployment", &self.shared.deployment)
            .finish_non_exhaustive()
    }
}
