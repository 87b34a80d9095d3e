//! The side of the worker: requests come in, one read after the other, answers go out.

use super::request::{Incoming, Malformed};
use super::{Shared, reply, tidying};
use crate::link::Link;
use crate::slots::Slots;
use bytes::Bytes;
use compact_str::CompactString;
use hashbrown::HashMap;
use redis::{RedisResult, Value};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use trunkline_model::{
    Backoff, CallOutcome, CallSink, DispatchId, Error, ErrorCode, IncomingCall, Timestamp,
    WorkerHandle, WorkerSpec,
};

/// Of a request that names none: as long as nobody has time-outs.
const NO_DEADLINE: Duration = Duration::from_secs(24 * 3_600);

/// Waits after errors of Redis, 0.3 to 10 s.
const AFTER_ERRORS: Backoff = Backoff {
    min: Duration::from_millis(300),
    max: Duration::from_secs(10),
};

/// Most answers of one round trip.
const ANSWERS_AT_ONCE: usize = 256;

/// Fields of an entry, as Redis gives them.
pub(super) type Fields = Vec<(Vec<u8>, Vec<u8>)>;
/// An entry with its id.
pub(super) type Entry = (Vec<u8>, Option<Fields>);

/// A call that a worker of this process runs.
pub(super) struct Running {
    worker: Arc<Worker>,
    entry: Vec<u8>,
    who: Bytes,
    message_id: Option<Bytes>,
    method: CompactString,
    deadline: Timestamp,
}

impl Running {
    /// Whether it is this entry of the worker's stream.
    pub(super) fn is(&self, worker: &Worker, entry: &[u8]) -> bool {
        self.worker.stream == worker.stream && self.entry == entry
    }
}

/// A worker of one stream.
pub(super) struct Worker {
    pub(super) stream: CompactString,
    pub(super) consumer: String,
    /// Idempotent or not.
    methods: HashMap<CompactString, bool>,
    spec: WorkerSpec,
    sink: Arc<dyn CallSink>,
    pub(super) slots: Slots,
    answers: mpsc::UnboundedSender<Answer>,
}

/// What is to be written: perhaps a reply, then the acknowledgement of its entry.
struct Answer {
    entry: Vec<u8>,
    reply: Option<(Bytes, String)>,
}

/// Ends its worker when it is dropped.
pub(super) struct Handle {
    shared: Arc<Shared>,
    worker: Arc<Worker>,
}

pub(super) fn start(shared: &Arc<Shared>, spec: WorkerSpec, sink: Arc<dyn CallSink>) -> Handle {
    let mut workers = shared.workers();
    workers.retain(|worker| worker.strong_count() > 0);
    let index = shared.options.index as usize + workers.len();
    let (answers, answered) = mpsc::unbounded_channel();
    let methods = spec.methods.iter();
    let worker = Arc::new(Worker {
        stream: shared.options.stream_of(&spec.category),
        consumer: format!("{}-{index}", shared.options.host),
        methods: methods.map(|m| (m.name.clone(), m.idempotent)).collect(),
        slots: Slots::new(spec.concurrency),
        spec,
        sink,
        answers,
    });
    workers.push(Arc::downgrade(&worker));
    drop(workers);
    tokio::spawn(read_calls(shared.clone(), worker.clone()));
    // Ends with the last who could answer: it must not hold the worker itself.
    tokio::spawn(write_answers(
        shared.clone(),
        worker.stream.clone(),
        answered,
    ));
    Handle {
        shared: shared.clone(),
        worker,
    }
}

/// Answers a call; false if nobody waits.
pub(super) fn answer(shared: &Shared, dispatch: DispatchId, outcome: &CallOutcome) -> bool {
    let Some(running) = shared.running().remove(&dispatch.0) else {
        return false;
    };
    let message_id = running.message_id.as_deref();
    let text = reply::write(message_id, Some(&running.method), outcome);
    running
        .worker
        .finish(running.entry, Some((running.who, text)));
    shared.clock.now() <= running.deadline
}

impl Worker {
    /// Writes what became of an entry, and frees its slot.
    fn finish(&self, entry: Vec<u8>, reply: Option<(Bytes, String)>) {
        self.settle(entry, reply);
        self.slots.give_back();
    }

    /// The same of an entry that took no slot.
    fn settle(&self, entry: Vec<u8>, reply: Option<(Bytes, String)>) {
        // It fails only if the wire is gone, and with it everybody who could write.
        let _ = self.answers.send(Answer { entry, reply });
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
    /// The worker is lost: what it runs fails, but for what others may run again.
    fn drop(&mut self) {
        self.worker.drain(&self.shared);
        let now = self.shared.clock.now();
        let mut running = self.shared.running();
        let lost: Vec<_> = running
            .extract_if(|_, running| Arc::ptr_eq(&running.worker, &self.worker))
            .map(|(_, running)| running)
            .collect();
        drop(running);
        for call in lost {
            let idempotent = self.worker.methods.get(&call.method) == Some(&true);
            if idempotent && now < call.deadline {
                // It stays pending, and whoever claims it runs it.
                continue;
            }
            let error = Error::new(
                ErrorCode::WorkerLost,
                "the worker that ran the call is gone",
            );
            let outcome = CallOutcome::Failed(error);
            let text = reply::write(call.message_id.as_deref(), Some(&call.method), &outcome);
            self.worker.finish(call.entry, Some((call.who, text)));
        }
    }
}

/// Reads requests until the worker drains.
async fn read_calls(shared: Arc<Shared>, worker: Arc<Worker>) {
    let process = std::process::id();
    let name = format!("{}-{}-{process}", worker.stream, shared.options.host);
    let link = Link::patient(
        shared.client.clone(),
        name.replace(char::is_whitespace, "_"),
    );
    let mut failures = 0;
    let (mut ready, mut begun) = (false, false);
    let mut claim_at = Instant::now() + claim_every(&shared);
    while !worker.slots.is_draining() {
        let done = if !ready {
            let prepared = prepare(&shared, &worker, &link, &mut begun).await;
            ready = prepared.is_ok();
            prepared
        } else if Instant::now() >= claim_at {
            claim_at = Instant::now() + claim_every(&shared);
            claim(&shared, &worker).await
        } else if worker.slots.free() == 0 {
            tokio::select! {
                () = worker.slots.changed() => {}
                () = tokio::time::sleep_until(claim_at) => {}
            }
            Ok(())
        } else {
            read(&shared, &worker, &link, claim_at).await
        };
        match done {
            Ok(()) => failures = 0,
            Err(error) => {
                tracing::warn!(%error, stream = %worker.stream, "can't read calls; trying again");
                // The group may be gone with what Redis kept, or Redis may be another one.
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

fn claim_every(shared: &Shared) -> Duration {
    shared.options.claim_after / 2
}

/// Makes the group and, once in a worker's life, gives up what an earlier process of the same name
/// left: later, what is pending under the name is the worker's own.
async fn prepare(
    shared: &Shared,
    worker: &Worker,
    link: &Link,
    begun: &mut bool,
) -> RedisResult<()> {
    tidying::make_group(shared, worker).await?;
    if !*begun {
        let abandoned = tidying::give_up_own(shared, worker).await?;
        shared.counting.abandoned.add(abandoned);
        *begun = true;
    }
    worker.slots.read_over(link).await
}

/// One read, for as many calls as there are free slots.
async fn read(
    shared: &Arc<Shared>,
    worker: &Arc<Worker>,
    link: &Link,
    claim_at: Instant,
) -> RedisResult<()> {
    let random = RandomState::new().hash_one(0) % 300;
    let block = shared.options.block + Duration::from_millis(random);
    let block = block.min(claim_at.saturating_duration_since(Instant::now()));
    let mut read = redis::cmd("XREADGROUP");
    read.arg("GROUP")
        .arg(&shared.options.group)
        .arg(&worker.consumer);
    read.arg("COUNT").arg(worker.slots.free());
    // 0 would be for ever.
    read.arg("BLOCK").arg(block.as_millis().max(1) as u64);
    read.arg("STREAMS").arg(&worker.stream[..]).arg(">");
    type Streams = Vec<(Vec<u8>, Vec<Entry>)>;
    let streams: Option<Streams> = link.one(&read).await?;
    let entries = streams
        .into_iter()
        .flatten()
        .flat_map(|(_, entries)| entries);
    hand_out(shared, worker, entries.collect(), 1);
    Ok(())
}

/// Takes over what others have not answered for too long.
async fn claim(shared: &Arc<Shared>, worker: &Arc<Worker>) -> RedisResult<()> {
    tidying::forget_consumers(shared, worker).await?;
    let slots = worker.slots.free();
    if slots == 0 || worker.slots.is_draining() {
        return Ok(());
    }
    let entries = tidying::claim(shared, worker, slots).await?;
    shared.counting.claimed.add(entries.len() as u64);
    let (again, over): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(_, fields)| {
        // Read once more when it is handed out; it is rare.
        let read = fields
            .clone()
            .and_then(|fields| Incoming::read(fields).ok());
        read.is_some_and(|call| worker.methods.get(&call.method) == Some(&true))
    });
    for (entry, _) in over {
        worker.settle(entry, None);
    }
    hand_out(shared, worker, again, 2);
    Ok(())
}

/// Hands requests to the worker; whatever is none, or too late, is settled here.
fn hand_out(shared: &Arc<Shared>, worker: &Arc<Worker>, entries: Vec<Entry>, attempt: u32) {
    let now = shared.clock.now();
    let mut calls = Vec::with_capacity(entries.len());
    for (entry, fields) in entries {
        let Some(fields) = fields else {
            // Trimmed meanwhile.
            worker.settle(entry, None);
            continue;
        };
        let incoming = match Incoming::read(fields) {
            Ok(incoming) => incoming,
            Err(malformed) => {
                shared.counting.malformed.add(1);
                refuse(worker, entry, malformed);
                continue;
            }
        };
        if incoming.deadline.is_some_and(|deadline| deadline <= now) {
            shared.counting.expired.add(1);
            worker.settle(entry, None);
            continue;
        }
        if !worker.methods.contains_key(&incoming.method) {
            shared.counting.unknown_methods.add(1);
            let outcome = CallOutcome::Failed(Error::internal());
            let message_id = incoming.message_id.as_deref();
            let text = reply::write(message_id, Some(&incoming.method), &outcome);
            worker.settle(entry, Some((incoming.who, text)));
            continue;
        }
        calls.push(take(shared, worker, entry, incoming, now, attempt));
    }
    if !calls.is_empty() {
        shared.counting.dispatched.add(calls.len() as u64);
        worker.sink.calls(calls);
    }
}

fn take(
    shared: &Shared,
    worker: &Arc<Worker>,
    entry: Vec<u8>,
    incoming: Incoming,
    now: Timestamp,
    attempt: u32,
) -> IncomingCall {
    let dispatch = shared.next_dispatch();
    let deadline = incoming.deadline.unwrap_or(now.after(NO_DEADLINE));
    worker.slots.take();
    let call = IncomingCall {
        dispatch,
        method: incoming.method.clone(),
        params: incoming.params,
        caller: CompactString::from_utf8_lossy(&incoming.who),
        category: worker.spec.category.clone(),
        deadline,
        attempt,
        traceparent: None,
    };
    let running = Running {
        worker: worker.clone(),
        entry,
        who: incoming.who,
        message_id: incoming.message_id,
        method: incoming.method,
        deadline,
    };
    shared.running().insert(dispatch.0, running);
    call
}

/// Answers what is no request, if it says whom, and removes it in any case.
fn refuse(worker: &Worker, entry: Vec<u8>, malformed: Malformed) {
    // The fields may hold secrets.
    tracing::warn!(why = malformed.why, entry = %entry.escape_ascii(), "not a request");
    let reply = malformed.who.filter(|_| malformed.message_id.is_some());
    let reply = reply.map(|who| {
        let outcome = CallOutcome::Failed(Error::internal());
        (
            who,
            reply::write(malformed.message_id.as_deref(), None, &outcome),
        )
    });
    worker.settle(entry, reply);
}

/// Publishes replies, each before its entry is acknowledged, until the worker is over and nothing
/// is left.
async fn write_answers(
    shared: Arc<Shared>,
    stream: CompactString,
    mut answered: mpsc::UnboundedReceiver<Answer>,
) {
    let mut answers = Vec::new();
    while answered.recv_many(&mut answers, ANSWERS_AT_ONCE).await > 0 {
        let mut pipeline = redis::pipe();
        pipeline.ignore_errors();
        for answer in &answers {
            if let Some((who, text)) = &answer.reply {
                pipeline.cmd("PUBLISH").arg(&who[..]).arg(text);
            }
            let ack = pipeline.cmd("XACK").arg(&stream[..]);
            ack.arg(&shared.options.group).arg(&answer.entry);
        }
        answers.clear();
        let written: RedisResult<Vec<RedisResult<Value>>> = shared.link.run(&pipeline).await;
        // Whether the replies were published is not known; a second one would be ignored, but a
        // call whose reply was lost has its time-out.
        let failed = match written {
            Ok(results) => results.into_iter().find_map(Result::err),
            Err(error) => Some(error),
        };
        if let Some(error) = failed {
            tracing::warn!(%error, %stream, "can't write answers");
        }
    }
}
