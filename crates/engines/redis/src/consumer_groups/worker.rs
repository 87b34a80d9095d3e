//! The side of the worker: requests come in, one read after the other, answers go out.

use super::entries::{self, Entry};
use super::request::{Incoming, Malformed};
use super::{Shared, reply, tidying};
use crate::bundle::Bundle;
use crate::connection::Commands;
use crate::deployment::{Deployment, Failure};
use crate::serving::{self, Crew, Serve};
use bytes::Bytes;
use compact_str::{CompactString, ToCompactString};
use hashbrown::HashMap;
use redis::Value;
use smallvec::SmallVec;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use trunkline_model::{
    CallOutcome, CallSink, Error, IncomingCall, Timestamp, WorkerHandle, WorkerSpec,
};

/// Of a request that names none: as long as nobody has time-outs.
const NO_DEADLINE: Duration = Duration::from_secs(24 * 3_600);

/// Most that is added to the longest wait of a read, in milliseconds.
const BLOCK_MORE_MS: u64 = 300;

/// An id of an entry, or of a message: they are short.
pub(super) type Id = SmallVec<[u8; 24]>;

pub(super) type Worker = serving::Worker<Shared>;

/// What a worker of a stream has of its own.
pub(super) struct Own {
    pub(super) stream: CompactString,
    pub(super) consumer: String,
    /// Idempotent or not.
    methods: HashMap<CompactString, bool>,
}

/// A call that runs.
pub(super) struct Running {
    pub(super) entry: Id,
    who: Bytes,
    message_id: Option<Id>,
    method: CompactString,
    deadline: Timestamp,
}

/// What is to be written: perhaps a reply, then the acknowledgement of its entry.
pub(super) struct Answer {
    stream: CompactString,
    entry: Id,
    reply: Option<(Bytes, String)>,
    /// When its caller waits no more.
    worth_until: Timestamp,
}

pub(super) fn start(
    shared: &Arc<Shared>,
    spec: WorkerSpec,
    sink: Arc<dyn CallSink>,
) -> Box<dyn WorkerHandle> {
    let options = &shared.options;
    serving::start(shared, spec, sink, |spec, others| {
        let methods = spec.methods.iter();
        Own {
            stream: options.stream_of(&spec.category),
            consumer: format!("{}-{}", options.host, options.index as usize + others),
            methods: methods.map(|m| (m.name.clone(), m.idempotent)).collect(),
        }
    })
}

impl Serve for Shared {
    type Worker = Own;
    type Call = Running;
    type Answer = Answer;

    fn crew(&self) -> &Crew<Self> {
        &self.crew
    }

    fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn connection_name(&self, worker: &Worker) -> String {
        let process = std::process::id();
        let name = format!("{}-{}-{process}", worker.own.stream, self.options.host);
        // Redis takes no other characters in it.
        name.replace(|char: char| !char.is_ascii_graphic(), "_")
    }

    fn key<'w>(&self, worker: &'w Worker) -> &'w [u8] {
        worker.own.stream.as_bytes()
    }

    /// Makes the group and, once in a worker's life, gives up what an earlier process of the same name
    /// left: later, what is pending under the name is the worker's own.
    async fn prepare(&self, worker: &Worker, first: bool) -> Result<(), Failure> {
        tidying::make_group(self, worker).await?;
        if first {
            let abandoned = tidying::give_up_own(self, worker).await?;
            self.counting.abandoned.add(abandoned);
        }
        Ok(())
    }

    async fn read(
        self: &Arc<Self>,
        worker: &Arc<Worker>,
        reader: &Deployment,
        until: Option<Instant>,
    ) -> Result<(), Failure> {
        let more = RandomState::new().hash_one(0) % BLOCK_MORE_MS;
        let block = self.options.block + Duration::from_millis(more);
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let block = left.map_or(block, |left| block.min(left));
        let count = worker.free().to_compact_string();
        // 0 would be for ever.
        let block = (block.as_millis().max(1) as u64).to_compact_string();
        let stream = worker.own.stream.as_bytes();
        let mut read = Commands::default();
        read.add(&[
            b"XREADGROUP",
            b"GROUP",
            self.options.group.as_bytes(),
            worker.own.consumer.as_bytes(),
            b"COUNT",
            count.as_bytes(),
            b"BLOCK",
            block.as_bytes(),
            b"STREAMS",
            stream,
            b">",
        ]);
        let answer = reader.raw(stream, &read).await?;
        let entries = entries::of_streams(&answer);
        let entries = entries.map_err(|error| self.unreadable(&error))?;
        hand_out(self, worker, &entries, 1);
        Ok(())
    }

    fn upkeep_every(&self) -> Option<Duration> {
        Some(self.options.claim_after / 2)
    }

    async fn upkeep(self: &Arc<Self>, worker: &Arc<Worker>) -> Result<(), Failure> {
        tidying::forget_consumers(self, worker).await?;
        claim(self, worker).await
    }

    fn answer(&self, worker: &Worker, call: Running, outcome: &CallOutcome) -> bool {
        let text = reply::write(call.message_id.as_deref(), Some(&call.method), outcome);
        let reply = Some((call.who, text));
        write(worker, call.entry, reply, call.deadline);
        self.clock.now() <= call.deadline
    }

    /// It stays pending, and whoever claims it runs it.
    fn leaves(&self, worker: &Worker, call: &Running) -> bool {
        worker.own.methods.get(&call.method) == Some(&true) && self.clock.now() < call.deadline
    }

    /// A reply reaches whoever listens, whichever server publishes it. A second one concerns nobody, and a second
    /// acknowledgement nothing.
    fn write(&self, answer: &Answer, _again: bool, bundle: &mut Bundle) {
        let stream = answer.stream.as_bytes();
        if let Some((who, text)) = &answer.reply {
            bundle.add(stream, &[b"PUBLISH", who, text.as_bytes()]);
        }
        let group = self.options.group.as_bytes();
        bundle.add(stream, &[b"XACK", stream, group, &answer.entry]);
    }

    fn worth_until(&self, answer: &Answer) -> Timestamp {
        answer.worth_until
    }

    /// A node of a cluster knows only of its own listeners.
    fn is_heard(&self, answer: &Answer, said: &Value) -> bool {
        let is_reply = answer.reply.is_some() && !self.deployment.url().is_cluster();
        !is_reply || *said != Value::Int(0)
    }

    fn done(&self, _answer: &Answer, written: bool) {
        self.counting.lost_answers.add(u64::from(!written));
    }
}

impl Shared {
    /// What Redis answered makes no sense.
    pub(super) fn unreadable(&self, error: &io::Error) -> Failure {
        Failure::Answer {
            server: self.deployment.url().to_string(),
            reason: error.to_string(),
        }
    }
}

/// Has an entry acknowledged that is not run: later, somebody else would claim it and do the same.
fn settle(shared: &Shared, worker: &Worker, entry: &[u8], reply: Option<(Bytes, String)>) {
    let until = shared.clock.now().after(shared.options.claim_after);
    write(worker, Id::from_slice(entry), reply, until);
}

/// Has an entry acknowledged, after its reply if there is one.
fn write(worker: &Worker, entry: Id, reply: Option<(Bytes, String)>, worth_until: Timestamp) {
    let stream = worker.own.stream.clone();
    worker.write(Answer {
        stream,
        entry,
        reply,
        worth_until,
    });
}

/// Takes over what others have not answered for too long.
async fn claim(shared: &Arc<Shared>, worker: &Arc<Worker>) -> Result<(), Failure> {
    let slots = worker.free();
    if slots == 0 {
        return Ok(());
    }
    let Some(answer) = tidying::claim(shared, worker, slots).await? else {
        return Ok(());
    };
    let entries = entries::of_claim(&answer);
    let entries = entries.map_err(|error| shared.unreadable(&error))?;
    shared.counting.claimed.add(entries.len() as u64);
    let (again, over): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| {
        // Read once more when it is handed out; it is rare.
        let fields = entry.fields.as_ref();
        let read = fields.and_then(|fields| Incoming::read(fields).ok());
        read.is_some_and(|call| worker.own.methods.get(call.method) == Some(&true))
    });
    for entry in over {
        settle(shared, worker, entry.id, None);
    }
    hand_out(shared, worker, &again, 2);
    Ok(())
}

/// Hands requests to the worker; whatever is none, or too late, is settled here.
fn hand_out(shared: &Arc<Shared>, worker: &Arc<Worker>, entries: &[Entry<'_>], attempt: u32) {
    let now = shared.clock.now();
    let mut calls = Vec::with_capacity(entries.len());
    let mut who = Bytes::new();
    for entry in entries {
        let Some(fields) = &entry.fields else {
            // Trimmed meanwhile.
            settle(shared, worker, entry.id, None);
            continue;
        };
        let incoming = match Incoming::read(fields) {
            Ok(incoming) => incoming,
            Err(malformed) => {
                shared.counting.malformed.add(1);
                refuse(shared, worker, entry.id, malformed);
                continue;
            }
        };
        if incoming.deadline.is_some_and(|deadline| deadline <= now) {
            shared.counting.expired.add(1);
            settle(shared, worker, entry.id, None);
            continue;
        }
        // Those that come together mostly come from one gateway.
        if who != incoming.who {
            who = Bytes::copy_from_slice(incoming.who);
        }
        if !worker.own.methods.contains_key(incoming.method) {
            shared.counting.unknown_methods.add(1);
            let outcome = CallOutcome::Failed(Error::internal());
            let text = reply::write(incoming.message_id, Some(incoming.method), &outcome);
            settle(shared, worker, entry.id, Some((who.clone(), text)));
            continue;
        }
        let deadline = incoming.deadline.unwrap_or(now.after(NO_DEADLINE));
        let call = Running {
            entry: Id::from_slice(entry.id),
            who: who.clone(),
            message_id: incoming.message_id.map(Id::from_slice),
            method: incoming.method.into(),
            deadline,
        };
        calls.push(take(shared, worker, call, incoming.params, attempt));
    }
    if !calls.is_empty() {
        shared.counting.dispatched.add(calls.len() as u64);
        worker.sink.calls(calls);
    }
}

/// Has a call run. What outlives the read is copied: one slow call would hold all that came with it.
fn take(
    shared: &Shared,
    worker: &Arc<Worker>,
    call: Running,
    params: Option<&[u8]>,
    attempt: u32,
) -> IncomingCall {
    let (method, deadline) = (call.method.clone(), call.deadline);
    let caller = CompactString::from_utf8_lossy(&call.who);
    shared.crew.take(worker, call, |dispatch| IncomingCall {
        dispatch,
        method,
        params: params.map(Bytes::copy_from_slice),
        caller,
        category: worker.spec.category.clone(),
        deadline,
        attempt,
        traceparent: None,
    })
}

/// Answers what is no request, if it says whom, and removes it in any case.
fn refuse(shared: &Shared, worker: &Worker, entry: &[u8], malformed: Malformed<'_>) {
    // The fields may hold secrets.
    tracing::warn!(why = malformed.why, entry = %entry.escape_ascii(), "not a request");
    let reply = malformed.who.filter(|_| malformed.message_id.is_some());
    let reply = reply.map(|who| {
        let outcome = CallOutcome::Failed(Error::internal());
        let text = reply::write(malformed.message_id, None, &outcome);
        (Bytes::copy_from_slice(who), text)
    });
    settle(shared, worker, entry, reply);
}
