//! The side of the handler: ids or requests come in, answers go out.

use super::Shared;
use super::options::QueueMode;
use super::text::{self, Request};
use crate::bundle::Bundle;
use crate::deployment::{Deployment, Failure};
use crate::serving::{self, Crew, Serve};
use compact_str::{CompactString, ToCompactString};
use hashbrown::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use trunkline_model::{
    Backoff, CallOutcome, CallSink, Error, ErrorCode, IncomingCall, Timestamp, WorkerHandle,
    WorkerSpec,
};

/// Longest wait of one read, in seconds.
const BLOCK_SECONDS: u64 = 5;
/// How long an answer or a request that Redis doesn't take or give is tried again: nobody knows who still waits.
const TRIED_FOR: Duration = Duration::from_secs(30);
/// How much of an id that is none is logged, in bytes.
const ID_SHOWN: usize = 64;
/// Most ids that are put back in one go.
const PUT_BACK_AT_ONCE: usize = 1_000;
/// Most requests of one read.
const REQUESTS_AT_ONCE: u32 = 256;

/// Takes no more than so many of a list, the first ones first: servers before version 6.2 know no `RPOP` for several.
const TAKE: &str = r"
local taken = {}
for n = 1, tonumber(ARGV[1]) do
    local first = redis.call('RPOP', KEYS[1])
    if not first then break end
    taken[n] = first
end
return taken
";

type Worker = serving::Worker<Shared>;

/// What a worker of one queue, or of one a method, has of its own.
pub(super) struct Own {
    /// Keys, with their prefix.
    queues: Vec<String>,
    mode: QueueMode,
    /// Where ids are while they run.
    processing: Option<String>,
    methods: HashSet<CompactString>,
}

pub(super) struct Answer {
    key: String,
    text: String,
    /// Where it is to be taken off.
    processing: Option<String>,
    /// Whether it is kept beside its request.
    stored: bool,
    /// When nobody can be expected to wait any more.
    worth_until: Timestamp,
}

pub(super) fn start(
    shared: &Arc<Shared>,
    spec: WorkerSpec,
    sink: Arc<dyn CallSink>,
) -> Box<dyn WorkerHandle> {
    serving::start(shared, spec, sink, |spec, _| {
        let mode = shared.options.serve_mode;
        let queues = match mode {
            QueueMode::ByHandler => vec![shared.key(spec.handler.as_str())],
            QueueMode::ByMethod => spec.methods.iter().map(|m| shared.key(&m.name)).collect(),
        };
        // A list of its own takes ids of one queue.
        let name = shared.options.processing.as_ref();
        let name = name.filter(|_| mode == QueueMode::ByHandler);
        let processing = |name: &String| match shared.deployment.url().is_cluster() {
            // It must be where the queue is.
            true => format!("{{{}}}:processing:{name}", queues[0]),
            false => format!("{}:processing:{name}", queues[0]),
        };
        Own {
            processing: name.map(processing),
            queues,
            mode,
            methods: spec.methods.iter().map(|m| m.name.clone()).collect(),
        }
    })
}

impl Serve for Shared {
    type Worker = Own;
    type Call = Request;
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

    fn connection_name(&self, _worker: &Worker) -> String {
        format!("rpcprocessor-{}", std::process::id())
    }

    fn key<'w>(&self, worker: &'w Worker) -> &'w [u8] {
        worker.own.queues[0].as_bytes()
    }

    /// Puts back what an earlier worker of the same name was processing, oldest first in its turn.
    async fn prepare(&self, worker: &Worker, _first: bool) -> Result<(), Failure> {
        let Some(processing) = &worker.own.processing else {
            return Ok(());
        };
        let mut running: HashSet<String> = self.crew.map(|_, request| request.key.clone());
        running.extend(self.unwritten().iter().cloned());
        let key = processing.as_bytes();
        let is_running = |id: &[u8]| std::str::from_utf8(id).is_ok_and(|id| running.contains(id));
        let mut begin = 0;
        loop {
            let mut list = redis::cmd("LRANGE");
            list.arg(processing).arg(begin);
            list.arg(begin + PUT_BACK_AT_ONCE - 1);
            let left: Vec<Vec<u8>> = self.deployment.one(key, &list).await?;
            if left.is_empty() {
                return Ok(());
            }
            let mut back = redis::pipe();
            back.atomic();
            let mut count = 0;
            // The newest is at the head; the oldest is to be read first.
            for id in left.iter().filter(|id| !is_running(id)) {
                let queue = &worker.own.queues[0];
                back.cmd("LREM").arg(processing).arg(1).arg(id).ignore();
                back.cmd("RPUSH").arg(queue).arg(id).ignore();
                count += 1;
            }
            if count > 0 {
                let () = self.deployment.run(key, &back).await?;
                self.counting.put_back.add(count as u64);
            }
            begin += left.len() - count;
        }
    }

    async fn read(
        self: &Arc<Self>,
        worker: &Arc<Worker>,
        reader: &Deployment,
        _until: Option<Instant>,
    ) -> Result<(), Failure> {
        let taken = take(worker, reader).await?;
        if taken.is_empty() {
            return Ok(());
        }
        let requests = match worker.own.mode {
            QueueMode::ByMethod => taken.into_iter().map(|text| (None, Some(text))).collect(),
            QueueMode::ByHandler => {
                let texts = look_up(self, &taken).await?;
                taken.into_iter().map(Some).zip(texts).collect()
            }
        };
        let nobodys = hand_out(self, worker, requests);
        let Some(processing) = worker
            .own
            .processing
            .as_ref()
            .filter(|_| !nobodys.is_empty())
        else {
            return Ok(());
        };
        // Nothing else would take them off.
        let mut remove = redis::pipe();
        for id in nobodys {
            remove.cmd("LREM").arg(processing).arg(1).arg(id).ignore();
        }
        self.deployment.run(processing.as_bytes(), &remove).await
    }

    fn answer(&self, worker: &Worker, call: Request, outcome: &CallOutcome) -> bool {
        let text = text::answer(&call.id, outcome);
        write(self, worker, call.key, text);
        true
    }

    fn write(&self, answer: &Answer, again: bool, bundle: &mut Bundle) {
        let Answer { key, text, .. } = answer;
        let list = self.key(key);
        if answer.stored {
            let db = &self.keys.db;
            let field = format!("{key}_response");
            let words = [b"HSET", db.as_bytes(), field.as_bytes(), text.as_bytes()];
            bundle.add(db.as_bytes(), &words);
        }
        if again {
            // It may be there; if it was taken, this one stays until it expires.
            bundle.add(list.as_bytes(), &[b"DEL", list.as_bytes()]);
        }
        let list = list.as_bytes();
        bundle.add(list, &[b"LPUSH", list, text.as_bytes()]);
        let kept = (self.options.answers_for.as_millis() as u64).to_compact_string();
        bundle.add(list, &[b"PEXPIRE", list, kept.as_bytes()]);
        if let Some(processing) = &answer.processing {
            let processing = processing.as_bytes();
            bundle.add(processing, &[b"LREM", processing, b"1", key.as_bytes()]);
        }
    }

    fn worth_until(&self, answer: &Answer) -> Timestamp {
        answer.worth_until
    }

    fn done(&self, answer: &Answer, written: bool) {
        if answer.processing.is_some() {
            self.unwritten().remove(&answer.key);
        }
        self.counting.lost_answers.add(u64::from(!written));
    }
}

fn write(shared: &Shared, worker: &Worker, key: String, text: String) {
    if worker.own.processing.is_some() {
        shared.unwritten().insert(key.clone());
    }
    worker.write(Answer {
        key,
        text,
        processing: worker.own.processing.clone(),
        worth_until: shared.clock.now().after(TRIED_FOR),
        stored: worker.own.mode == QueueMode::ByHandler,
    });
}

/// Waits for one id or request, then takes others for the slots that are free.
async fn take(worker: &Worker, reader: &Deployment) -> Result<Vec<Vec<u8>>, Failure> {
    let mut taken = Vec::new();
    let key = worker.own.queues[0].as_bytes();
    if let Some(processing) = &worker.own.processing {
        let mut wait = redis::cmd("BRPOPLPUSH");
        wait.arg(&worker.own.queues[0]).arg(processing);
        wait.arg(BLOCK_SECONDS);
        taken.extend(reader.one::<Option<Vec<u8>>>(key, &wait).await?);
        return Ok(taken);
    }
    let mut wait = redis::cmd("BRPOP");
    wait.arg(&worker.own.queues).arg(BLOCK_SECONDS);
    let first: Option<(String, Vec<u8>)> = reader.one(key, &wait).await?;
    let Some((queue, first)) = first else {
        return Ok(taken);
    };
    taken.push(first);
    let more = worker.free().saturating_sub(1).min(REQUESTS_AT_ONCE);
    if more > 0 {
        let mut others = redis::cmd("EVAL");
        others.arg(TAKE).arg(1).arg(&queue).arg(more);
        // The first is taken, whatever becomes of the others.
        let others = reader.one::<Vec<Vec<u8>>>(queue.as_bytes(), &others);
        taken.extend(others.await.into_iter().flatten());
    }
    Ok(taken)
}

/// The requests of ids that were taken: nobody else has them any more, so this goes on for as long as somebody may
/// wait for their answers.
async fn look_up(shared: &Shared, ids: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, Failure> {
    let db = &shared.keys.db;
    let mut ask = redis::pipe();
    for id in ids {
        ask.cmd("HGET").arg(db).arg(id);
    }
    let until = shared.clock.now().after(TRIED_FOR);
    let mut failures = 0;
    loop {
        let found = shared.deployment.run(db.as_bytes(), &ask).await;
        match found {
            Err(error) if shared.clock.now() < until => {
                tracing::warn!(%error, "can't look up requests; trying again");
                let random = RandomState::new().hash_one(failures);
                tokio::time::sleep(Backoff::RECONNECT.delay(failures, random)).await;
                failures = failures.saturating_add(1);
            }
            found => return found,
        }
    }
}

/// Whether the list for the answer can be none of others' keys.
fn can_be_answered(shared: &Shared, worker: &Worker, id: &str) -> bool {
    let list = shared.key(id);
    let own = &worker.own;
    text::is_id(id) && !own.queues.contains(&list) && !shared.keys.have(&list)
}

/// An id, where there is one, and the request, where it was found.
type Found = (Option<Vec<u8>>, Option<Vec<u8>>);

/// Hands requests to the worker; what is none is answered here, if it says whom. The ids that are none, which nobody
/// hears of.
fn hand_out(shared: &Arc<Shared>, worker: &Arc<Worker>, requests: Vec<Found>) -> Vec<Vec<u8>> {
    let mut nobodys = Vec::new();
    let latest = shared.clock.now().after(shared.options.call_timeout);
    let mut calls = Vec::with_capacity(requests.len());
    for (id, text) in requests {
        let key = id.as_deref().and_then(|id| std::str::from_utf8(id).ok());
        if id.is_some() && !key.is_some_and(|key| can_be_answered(shared, worker, key)) {
            shared.counting.malformed.add(1);
            let id = id.unwrap_or_default();
            let shown = &id[..id.len().min(ID_SHOWN)];
            tracing::warn!(id = %shown.escape_ascii(), "an id that is no id, or the key of something else");
            nobodys.push(id);
            continue;
        }
        let refuse = |code, why: &str| {
            if let Some(key) = key {
                let error = CallOutcome::Failed(Error::new(code, why.to_owned()));
                let id = serde_json::Value::from(key).to_string();
                write(shared, worker, key.to_owned(), text::answer(&id, &error));
            }
        };
        let Some(text) = text else {
            shared.counting.missing.add(1);
            refuse(ErrorCode::Internal, "the request is not in the hash");
            continue;
        };
        let request = text::read_request(&text);
        let fits = |r: &Request| match key {
            Some(key) => key == r.key,
            None => can_be_answered(shared, worker, &r.key),
        };
        let Some(request) = request.filter(fits) else {
            shared.counting.malformed.add(1);
            refuse(ErrorCode::InvalidRequest, "not a request with this id");
            continue;
        };
        if !worker.own.methods.contains(&request.method) {
            shared.counting.unknown_methods.add(1);
            let why = format!("the handler does not offer {}", request.method);
            let error = CallOutcome::Failed(Error::new(ErrorCode::MethodNotFound, why));
            write(
                shared,
                worker,
                request.key.clone(),
                text::answer(&request.id, &error),
            );
            continue;
        }
        let deadline = shared.asking.deadline_of(&request.key).unwrap_or(latest);
        let (method, params) = (request.method.clone(), request.params.clone());
        calls.push(shared.crew.take(worker, request, |dispatch| IncomingCall {
            dispatch,
            method,
            params,
            caller: CompactString::const_new("rpcprocessor"),
            category: worker.spec.category.clone(),
            deadline,
            attempt: 1,
            traceparent: None,
        }));
    }
    if !calls.is_empty() {
        shared.counting.dispatched.add(calls.len() as u64);
        worker.sink.calls(calls);
    }
    nobodys
}
