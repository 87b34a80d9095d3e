use super::{
    Run, WorkContext,
    context::Meta,
    run::{Promise, work},
};
use crate::client::{
    RequestError, RpcError,
    loss::Loss,
    requests::Answered,
    router::Router,
    seat::{Refused, Seat},
    shared::Shared,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Semaphore, oneshot, watch};
use trunkline_jsonrpc::{Id, Request};
use trunkline_model::ErrorCode;

/// A worker's place on the connection.
pub(in crate::client) struct WorkerSeat {
    number: u64,
    pub(super) shared: Arc<Shared>,
    /// Of `rpc.worker.register`.
    params: Vec<u8>,
    pub(super) methods: HashMap<String, Run>,
    /// Calls of a lost connection may still run while the server fills the next one's slots.
    pub(super) slots: Semaphore,
    state: Mutex<Working>,
    /// How many calls run.
    running: watch::Sender<usize>,
    end: watch::Sender<Option<Option<RequestError>>>,
}

#[derive(Debug, Default)]
struct Working {
    /// The connection on which it is seated, and its name there.
    held: Option<(u64, Box<str>)>,
    /// No new calls.
    closed: bool,
    /// Calls that run, by connection and id.
    calls: HashMap<(u64, Box<str>), watch::Sender<bool>>,
    /// Who waits for it to begin; absent once it has.
    first: Option<oneshot::Sender<Result<(), RequestError>>>,
    refusals: u32,
}

impl WorkerSeat {
    pub(super) fn new(
        shared: Arc<Shared>,
        params: Vec<u8>,
        methods: HashMap<String, Run>,
        concurrency: u32,
    ) -> (Arc<Self>, oneshot::Receiver<Result<(), RequestError>>) {
        let (first, begun) = oneshot::channel();
        let seat = Self {
            number: shared.number(),
            shared,
            params,
            methods,
            slots: Semaphore::new(concurrency as usize),
            state: Mutex::new(Working {
                first: Some(first),
                ..Working::default()
            }),
            running: watch::Sender::new(0),
            end: watch::Sender::new(None),
        };
        (Arc::new(seat), begun)
    }

    fn lock(&self) -> MutexGuard<'_, Working> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::client) fn offers(&self, method: &str) -> bool {
        self.methods.contains_key(method)
    }

    /// Runs a call as a task.
    pub(in crate::client) fn run(
        self: &Arc<Self>,
        connection: u64,
        id: Id<'_>,
        request: &Request<'_>,
    ) {
        let (cancel, cancelled) = watch::channel(false);
        let key = (connection, Box::from(id.as_json()));
        self.lock().calls.insert(key.clone(), cancel);
        self.running.send_modify(|running| *running += 1);
        let meta = request.meta.map(RawValue::get);
        let meta: Option<Meta> = meta.and_then(|meta| serde_json::from_str(meta).ok());
        let context = WorkContext {
            shared: Arc::clone(&self.shared),
            connection,
            id: id.to_owned_id(),
            method: Arc::from(&*request.method),
            meta: Arc::new(meta.unwrap_or_default()),
            cancelled,
        };
        let promise = Promise::new(Arc::clone(self), key, id.to_owned_id());
        let params = request.params.map(ToOwned::to_owned);
        tokio::spawn(work(promise, params, context));
    }

    /// The call is over.
    pub(super) fn finished(&self, key: &(u64, Box<str>)) {
        self.lock().calls.remove(key);
        self.running.send_modify(|running| *running -= 1);
    }

    /// Nobody waits for that call any more.
    pub(in crate::client) fn cancelled(&self, connection: u64, id: &str) {
        if let Some(cancel) = self.lock().calls.get(&(connection, Box::from(id))) {
            cancel.send_replace(true);
        }
    }

    /// The server ended it.
    pub(in crate::client) fn ended_by(&self, error: RpcError) {
        if error.known_code() == Some(ErrorCode::ShuttingDown) {
            // The next connection takes it up.
            self.lock().held = None;
            return;
        }
        self.shared.leave(self.number);
        self.finish(Some(error.into()));
    }

    fn finish(&self, error: Option<RequestError>) {
        let mut working = self.lock();
        working.held = None;
        working.closed = true;
        if let Some(first) = working.first.take() {
            let error = error.clone().unwrap_or_else(|| Loss::wanted().error());
            // Whoever asked may have lost interest.
            let _ = first.send(Err(error));
        }
        drop(working);
        self.end.send_if_modified(|end| {
            let first = end.is_none();
            end.get_or_insert(error);
            first
        });
    }

    /// Takes no new calls; on which connection it was seated, and its name there.
    pub(super) fn close(&self) -> Option<(u64, Box<str>)> {
        self.shared.leave(self.number);
        let mut working = self.lock();
        working.closed = true;
        working.held.take()
    }

    /// Waits until no call runs.
    pub(super) async fn idle(&self) {
        let mut running = self.running.subscribe();
        // The sender lives as long as this.
        let _ = running.wait_for(|running| *running == 0).await;
    }

    pub(super) fn running(&self) -> usize {
        *self.running.borrow()
    }

    /// Waits until it can't go on; why, unless the client was closed.
    pub(super) async fn ended(&self) -> Option<RequestError> {
        let mut end = self.end.subscribe();
        let ended = end.wait_for(Option::is_some).await;
        // The sender lives as long as this.
        ended.ok().and_then(|end| end.clone().flatten())
    }
}

impl Seat for WorkerSeat {
    fn number(&self) -> u64 {
        self.number
    }

    fn opening(&self) -> Option<(&'static str, Vec<u8>)> {
        match self.lock().closed {
            true => None,
            false => Some(("rpc.worker.register", self.params.clone())),
        }
    }

    fn opened(self: Arc<Self>, connection: u64, answer: Answered, router: &mut Router) {
        #[derive(Deserialize)]
        struct Registered {
            worker: Box<str>,
        }
        let read = answer.and_then(|answer| {
            serde_json::from_str::<Registered>(answer.get()).map_err(RequestError::unreadable)
        });
        let mut working = self.lock();
        let error = match read {
            Ok(Registered { worker }) => {
                // Even if it is closed by now: calls may come before the server knows.
                router.add_worker(worker.clone(), &self);
                if working.closed {
                    drop(working);
                    let params = serde_json::json!({"worker": worker}).to_string();
                    return self.shared.ask_for_nobody(
                        "rpc.worker.drain",
                        params.as_bytes(),
                        connection,
                    );
                }
                working.held = Some((connection, worker));
                working.refusals = 0;
                if let Some(first) = working.first.take() {
                    // Whoever asked may have lost interest.
                    let _ = first.send(Ok(()));
                }
                return;
            }
            Err(error) => error,
        };
        match Refused::by(&error, working.first.is_none()) {
            Refused::NextConnection => {}
            Refused::Later => {
                let refusals = working.refusals;
                working.refusals += 1;
                drop(working);
                let shared = Arc::clone(&self.shared);
                shared.open_later(self, connection, refusals);
            }
            Refused::ForGood => {
                drop(working);
                self.shared.leave(self.number);
                self.finish(Some(error));
            }
        }
    }

    fn lost(&self, _: &Loss) {
        let mut working = self.lock();
        working.held = None;
        for cancel in working.calls.values() {
            cancel.send_replace(true);
        }
    }

    fn over(&self, loss: &Loss) {
        self.lost(loss);
        self.finish((!loss.is_wanted()).then(|| loss.error()));
    }
}

impl fmt::Debug for WorkerSeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerSeat")
            .field("number", &self.number)
            .field("methods", &self.methods.keys())
            .finish_non_exhaustive()
    }
}
