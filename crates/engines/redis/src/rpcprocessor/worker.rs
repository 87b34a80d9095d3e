//! The side of the handler: ids or requests come in, answers go out.

use super::Shared;
use super::options::QueueMode;
use super::text::{self, Request};
use crate::link::Link;
use crate::slots::Slots;
use compact_str::CompactString;
use hashbrown::HashSet;
use redis::{RedisResult, Value};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use trunkline_model::{
    Backoff, CallOutcome, CallSink, DispatchId, Error, ErrorCode, IncomingCall, WorkerHandle,
    WorkerSpec,
};

/// Longest wait of one read, in seconds.
const BLOCK_SECONDS: u64 = 5;
/// The wire says no deadline; this is one for those who must have some.
const DEADLINE: Duration = Duration::from_secs(30);
/// Most answers of one round trip.
const ANSWERS_AT_ONCE: usize = 256;

const AFTER_ERRORS: Backoff = Backoff {
    min: Duration::from_millis(300),
    max: Duration::from_secs(10),
};

/// A call that a worker of this process runs.
pub(super) struct Running {
    worker: Arc<Worker>,
    request: Request,
}

/// A worker of one queue, or of one a method.
pub(super) struct Worker {
    /// Keys, with their prefix.
    queues: Vec<String>,
    mode: QueueMode,
    /// Where ids are while they run.
    processing: Option<String>,
    methods: HashSet<CompactString>,
    spec: WorkerSpec,
    sink: Arc<dyn CallSink>,
    slots: Slots,
    answers: mpsc::UnboundedSender<Answer>,
}

struct Answer {
    key: String,
    text: String,
    /// Where it is to be taken off.
    processing: Option<String>,
    /// Whether it is kept beside its request.
    stored: bool,
}

/// Ends its worker when it is dropped.
pub(super) struct Handle {
    shared: Arc<Shared>,
    worker: Arc<Worker>,
}

pub(super) fn start(shared: &Arc<Shared>, spec: WorkerSpec, sink: Arc<dyn CallSink>) -> Handle {
    let mode = shared.options.serve_mode;
    let queues = match mode {
        QueueMode::ByHandler => vec![shared.key(spec.handler.as_str())],
        QueueMode::ByMethod => spec.methods.iter().map(|m| shared.key(&m.name)).collect(),
    };
    // A list of its own takes ids of one queue.
    let name = shared.options.processing.as_ref();
    let name = name.filter(|_| mode == QueueMode::ByHandler);
    let (answers, answered) = mpsc::unbounded_channel();
    let worker = Arc::new(Worker {
        processing: name.map(|name| format!("{}:processing:{name}", queues[0])),
        queues,
        mode,
        methods: spec.methods.iter().map(|m| m.name.clone()).collect(),
        slots: Slots::new(spec.concurrency),
        spec,
        sink,
        answers,
    });
    let mut workers = shared.workers();
    workers.retain(|worker| worker.strong_count() > 0);
    workers.push(Arc::downgrade(&worker));
    drop(workers);
    tokio::spawn(read_calls(shared.clone(), worker.clone()));
    // Ends with the last who could answer: it must not hold the worker itself.
    tokio::spawn(write_answers(shared.clone(), answered));
    Handle {
        shared: shared.clone(),
        worker,
    }
}

/// Answers a call; false if it was answered.
pub(super) fn answer(shared: &Shared, dispatch: DispatchId, outcome: &CallOutcome) -> bool {
    let Some(running) = shared.running().remove(&dispatch.0) else {
        return false;
    };
    let text = text::answer(&running.request.id, outcome);
    running.worker.write(running.request.key, text);
    running.worker.slots.give_back();
    true
}

impl Worker {
    fn write(&self, key: String, text: String) {
        // It fails only if the wire is gone, and with it everybody who could write.
        let _ = self.answers.send(Answer {
            key,
            text,
            processing: self.processing.clone(),
            stored: self.mode == QueueMode::ByHandler,
        });
    }

    /// Takes no more calls, also not those of a read that waits.
    fn drain(self: &Arc<Self>, shared: &Arc<Shared>) {
        if self.slots.drain() {
            let (worker, shared) = (self.clone(), shared.clone());
            tokio::spawn(async move { worker.slots.unblock(&shared.link).await });
        }
    }

    /// Ends it from below.
    pub(super) fn close(self: &Arc<Self>, shared: &Arc<Shared>) {
        self.drain(shared);
        self.sink.ended(Error::shutting_down());
    }
}

impl WorkerHandle for Handle {
    fn drain(&self) {
        self.worker.drain(&self.shared);
    }

    fn running(&self) -> u32 {
        let running = self.shared.running();
        let own = running
            .values()
            .filter(|r| Arc::ptr_eq(&r.worker, &self.worker));
        u32::try_from(own.count()).unwrap_or(u32::MAX)
    }
}

impl Drop for Handle {
    /// The worker is lost, and what it runs fails.
    fn drop(&mut self) {
        self.worker.drain(&self.shared);
        let mut running = self.shared.running();
        let lost: Vec<_> = running
            .extract_if(|_, running| Arc::ptr_eq(&running.worker, &self.worker))
            .map(|(_, running)| running)
            .collect();
        drop(running);
        for call in lost {
            let error = Error::new(
                ErrorCode::WorkerLost,
                "the worker that ran the call is gone",
            );
            let text = text::answer(&call.request.id, &CallOutcome::Failed(error));
            self.worker.write(call.request.key, text);
        }
    }
}

/// Reads requests until the worker drains.
async fn read_calls(shared: Arc<Shared>, worker: Arc<Worker>) {
    let name = format!("rpcprocessor-{}", std::process::id());
    let link = Link::patient(shared.client.clone(), name);
    let mut failures = 0;
    let mut ready = false;
    while !worker.slots.is_draining() {
        let done = if !ready {
            let prepared = prepare(&shared, &worker, &link).await;
            ready = prepared.is_ok();
            prepared
        } else if worker.slots.free() == 0 {
            worker.slots.changed().await;
            Ok(())
        } else {
            read(&shared, &worker, &link).await
        };
        match done {
            Ok(()) => failures = 0,
            Err(error) => {
                tracing::warn!(%error, queue = %worker.queues[0], "can't read calls; trying again");
                ready = false;
                let random = RandomState::new().hash_one(failures);
                let wait = AFTER_ERRORS.delay(failures, random);
                failures = failures.saturating_add(1);
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = worker.slots.changed() => {}
                }
            }
        }
    }
}

/// Puts back what an earlier worker of the same name was processing, oldest first in its turn.
async fn prepare(shared: &Shared, worker: &Worker, link: &Link) -> RedisResult<()> {
    worker.slots.read_over(link).await?;
    let Some(processing) = &worker.processing else {
        return Ok(());
    };
    let running: HashSet<String> = shared
        .running()
        .values()
        .map(|r| r.request.key.clone())
        .collect();
    let mut list = redis::cmd("LRANGE");
    let left: Vec<String> = link.one(list.arg(processing).arg(0).arg(-1)).await?;
    let mut back = redis::pipe();
    back.atomic();
    let mut count = 0;
    // The newest is at the head; the oldest is to be read first.
    for id in left.iter().filter(|id| !running.contains(*id)) {
        back.cmd("LREM").arg(processing).arg(1).arg(id).ignore();
        back.cmd("RPUSH").arg(&worker.queues[0]).arg(id).ignore();
        count += 1;
    }
    if count > 0 {
        let () = shared.link.run(&back).await?;
        shared.counting.put_back.add(count);
    }
    Ok(())
}

/// Waits for one request, then takes others for the slots that are free.
async fn read(shared: &Arc<Shared>, worker: &Arc<Worker>, link: &Link) -> RedisResult<()> {
    let mut taken = Vec::new();
    if let Some(processing) = &worker.processing {
        let mut wait = redis::cmd("BRPOPLPUSH");
        wait.arg(&worker.queues[0])
            .arg(processing)
            .arg(BLOCK_SECONDS);
        taken.extend(link.one::<Option<Vec<u8>>>(&wait).await?);
    } else {
        let mut wait = redis::cmd("BRPOP");
        wait.arg(&worker.queues).arg(BLOCK_SECONDS);
        let first: Option<(String, Vec<u8>)> = link.one(&wait).await?;
        if let Some((queue, first)) = first {
            taken.push(first);
            let more = worker.slots.free().saturating_sub(1);
            let mut others = redis::pipe();
            for _ in 0..more.min(ANSWERS_AT_ONCE as u32) {
                others.cmd("RPOP").arg(&queue);
            }
            if more > 0 {
                let others: Vec<Option<Vec<u8>>> = link.run(&others).await?;
                taken.extend(others.into_iter().flatten());
            }
        }
    }
    if taken.is_empty() {
        return Ok(());
    }
    let requests = match worker.mode {
        QueueMode::ByMethod => taken.into_iter().map(|text| (None, Some(text))).collect(),
        QueueMode::ByHandler => {
            let mut ask = redis::pipe();
            for id in &taken {
                ask.cmd("HGET").arg(&shared.keys.db).arg(id);
            }
            let texts: Vec<Option<Vec<u8>>> = link.run(&ask).await?;
            taken.into_iter().map(Some).zip(texts).collect()
        }
    };
    hand_out(shared, worker, requests);
    Ok(())
}

/// An id, where there is one, and the request, where it was found.
type Found = (Option<Vec<u8>>, Option<Vec<u8>>);

/// Hands requests to the worker; what is none is answered here, if it says whom.
fn hand_out(shared: &Arc<Shared>, worker: &Arc<Worker>, requests: Vec<Found>) {
    let deadline = shared.clock.now().after(DEADLINE);
    let mut calls = Vec::with_capacity(requests.len());
    for (id, text) in requests {
        let key = id.as_deref().and_then(|id| std::str::from_utf8(id).ok());
        let refuse = |code, why: &str| {
            if let Some(key) = key {
                let error = CallOutcome::Failed(Error::new(code, why.to_owned()));
                let id = serde_json::Value::from(key).to_string();
                worker.write(key.to_owned(), text::answer(&id, &error));
            }
        };
        let Some(text) = text else {
            shared.counting.missing.add(1);
            refuse(ErrorCode::Internal, "the request is not in the hash");
            continue;
        };
        let request = text::read_request(&text);
        let Some(request) = request.filter(|r| key.is_none_or(|key| key == r.key)) else {
            shared.counting.malformed.add(1);
            refuse(ErrorCode::InvalidRequest, "not a request with this id");
            continue;
        };
        if !worker.methods.contains(&request.method) {
            shared.counting.unknown_methods.add(1);
            let why = format!("the handler does not offer {}", request.method);
            let error = CallOutcome::Failed(Error::new(ErrorCode::MethodNotFound, why));
            worker.write(request.key.clone(), text::answer(&request.id, &error));
            continue;
        }
        let dispatch = shared.next_dispatch();
        worker.slots.take();
        calls.push(IncomingCall {
            dispatch,
            method: request.method.clone(),
            params: request.params.clone(),
            caller: CompactString::const_new("rpcprocessor"),
            category: worker.spec.category.clone(),
            deadline,
            attempt: 1,
            traceparent: None,
        });
        let worker = worker.clone();
        let running = Running { worker, request };
        shared.running().insert(dispatch.0, running);
    }
    if !calls.is_empty() {
        shared.counting.dispatched.add(calls.len() as u64);
        worker.sink.calls(calls);
    }
}

/// Stores and hands over answers, until the worker is over and nothing is left.
async fn write_answers(shared: Arc<Shared>, mut answered: mpsc::UnboundedReceiver<Answer>) {
    let mut answers = Vec::new();
    while answered.recv_many(&mut answers, ANSWERS_AT_ONCE).await > 0 {
        let mut pipeline = redis::pipe();
        pipeline.ignore_errors();
        for answer in answers.drain(..) {
            let list = shared.key(&answer.key);
            if answer.stored {
                let hset = pipeline.cmd("HSET").arg(&shared.keys.db);
                hset.arg(format!("{}_response", answer.key))
                    .arg(&answer.text);
            }
            pipeline.cmd("LPUSH").arg(&list).arg(&answer.text);
            let expire = pipeline.cmd("PEXPIRE").arg(&list);
            expire.arg(shared.options.answers_for.as_millis() as u64);
            if let Some(processing) = &answer.processing {
                pipeline.cmd("LREM").arg(processing).arg(1).arg(&answer.key);
            }
        }
        let written: RedisResult<Vec<RedisResult<Value>>> = shared.link.run(&pipeline).await;
        let failed = match written {
            Ok(results) => results.into_iter().find_map(Result::err),
            Err(error) => Some(error),
        };
        if let Some(error) = failed {
            tracing::warn!(%error, "can't write answers");
        }
    }
}
