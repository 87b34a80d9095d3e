//! Runs the calls of a handler as tasks.

use super::{Context, Run};
use crate::{calls::Calls, lock::lock};
use compact_str::CompactString;
use hashbrown::HashMap;
use std::sync::{Arc, Mutex, Weak};
use tokio::{runtime, sync::watch};
use trunkline_model::{CallOutcome, CallSink, DispatchId, Error, IncomingCall};

pub(super) struct Runner {
    calls: Weak<Calls>,
    methods: Arc<HashMap<CompactString, Run>>,
    runtime: runtime::Handle,
    running: Arc<Mutex<HashMap<u64, watch::Sender<bool>>>>,
}

impl Runner {
    pub(super) fn new(
        calls: Weak<Calls>,
        methods: HashMap<CompactString, Run>,
        runtime: runtime::Handle,
    ) -> Self {
        Self {
            calls,
            methods: Arc::new(methods),
            runtime,
            running: Arc::default(),
        }
    }

    fn start(&self, mut call: IncomingCall) {
        let (cancel, cancelled) = watch::channel(false);
        lock(&self.running).insert(call.dispatch.0, cancel);
        let promise = Promise {
            calls: self.calls.clone(),
            running: self.running.clone(),
            dispatch: call.dispatch,
            outcome: None,
        };
        let methods = self.methods.clone();
        let params = call.params.take();
        let context = Context {
            calls: self.calls.clone(),
            call,
            cancelled,
        };
        self.runtime.spawn(async move {
            let mut promise = promise;
            let Some(run) = methods.get(&context.call.method) else {
                return;
            };
            let outcome = match run(params, context).await {
                Ok(result) => CallOutcome::Result(result),
                Err(failure) => failure.into_outcome(),
            };
            promise.outcome = Some(outcome);
        });
    }
}

/// The answer that a task owes: given when the task ends, however it does. One that
/// panicked, or was dropped with its runtime, has none, and that is an internal error.
struct Promise {
    calls: Weak<Calls>,
    running: Arc<Mutex<HashMap<u64, watch::Sender<bool>>>>,
    dispatch: DispatchId,
    outcome: Option<CallOutcome>,
}

impl Drop for Promise {
    fn drop(&mut self) {
        lock(&self.running).remove(&self.dispatch.0);
        let outcome = self
            .outcome
            .take()
            .unwrap_or_else(|| CallOutcome::Failed(Error::internal()));
        if let Some(calls) = self.calls.upgrade() {
            calls.answer(self.dispatch, outcome);
        }
    }
}

impl CallSink for Runner {
    fn calls(&self, calls: Vec<IncomingCall>) {
        for call in calls {
            self.start(call);
        }
    }

    fn cancelled(&self, dispatch: DispatchId) {
        let running = lock(&self.running);
        if let Some(cancel) = running.get(&dispatch.0) {
            cancel.send_replace(true);
        }
    }

    fn ended(&self, reason: Error) {
        tracing::warn!(%reason, "a handler gets no more calls");
    }
}
