//! The native wire: calls over any engine.
//!
//! A call of method M waits as a message in the topic `_call.M`, subscription `workers`;
//! everybody who offers M consumes it with its concurrency as credit. What becomes of it
//! is said on one channel per asking process, `_reply.PROCESS`; whoever runs it hears on
//! `_control.PROCESS` that nobody waits any more. Within a process both are direct calls.
//!
//! Engine, sinks and completions are never called with a lock held: all of them may come
//! back from inside.

mod abandoned;
mod ask;
mod cancelled;
mod envelope;
mod hear;
mod names;
mod pending;
mod queues;
mod request;
mod running;
mod serve;
mod worker;

pub(crate) use names::queue_of;

use crate::lock::lock;
use compact_str::CompactString;
use envelope::{Asked, Reply, Taker, encode_cancel};
use hashbrown::HashMap;
use pending::Pending;
use queues::Queues;
use running::Running;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::broadcast;
use trunkline_model::{
    Call, CallId, CallOutcome, CallSink, CallWire, Caller, ChannelMessage, ChannelName, Clock,
    Completion, CompletionQueue, DispatchId, Engine, HandlerInfo, HandlerName, ListenHandle,
    ListenPolicy, Stage, WorkerHandle, WorkerSpec,
};
use worker::Worker;

/// Announcements that a slow reader may be behind before it misses some; they come again.
const ANNOUNCEMENTS_MAX: usize = 1_024;
/// Answers that wait for this process on engines that buffer, in bytes.
const REPLY_BYTES_MAX: usize = 64 << 20;

/// Calls over any engine: the wire of Trunkline itself.
pub struct Native {
    me: Weak<Native>,
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    process: CompactString,
    system: Caller,
    last_call: AtomicU64,
    last_worker: AtomicU64,
    late: AtomicU64,
    closed: AtomicBool,
    queues: Mutex<Queues>,
    pending: Mutex<Pending>,
    running: Mutex<Running>,
    workers: Mutex<HashMap<u64, Arc<Worker>>>,
    /// What was announced here, to be repeated when somebody asks.
    offers: Mutex<BTreeMap<HandlerName, HandlerInfo>>,
    announced: broadcast::Sender<Arc<HandlerInfo>>,
    listener: Mutex<Option<Box<dyn ListenHandle>>>,
    publish_failed: Arc<CompletionQueue>,
}

impl Native {
    /// A wire over `engine`. `process` names this process among all that share the engine:
    /// unique, random, at most 900 bytes.
    pub fn start(
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        process: CompactString,
    ) -> Arc<Self> {
        let native = Arc::new_cyclic(|me: &Weak<Self>| Self {
            me: me.clone(),
            engine,
            clock,
            process,
            system: Caller::system(),
            last_call: AtomicU64::new(0),
            last_worker: AtomicU64::new(0),
            late: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            queues: Mutex::default(),
            pending: Mutex::default(),
            running: Mutex::default(),
            workers: Mutex::default(),
            offers: Mutex::default(),
            announced: broadcast::channel(ANNOUNCEMENTS_MAX).0,
            listener: Mutex::default(),
            publish_failed: CompletionQueue::relay(Arc::new(ask::PublishFailed(me.clone()))),
        });
        native.listen();
        native
    }

    /// Answers from other processes that nobody waited for any more.
    pub fn late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }

    /// Has workers take calls again whose queues could not be had, and deletes the queues of methods that were not used since the last sweep, if nothing
    /// waits in them and nobody, in any process, takes from them.
    pub fn sweep(&self) {
        self.take_again();
        let now = self.clock.now();
        lock(&self.pending).abandoned.forget_old(now);
        let swept = lock(&self.queues).sweep();
        for (method, topic) in swept {
            ask::delete_if_unused(self, method, topic);
        }
    }

    fn listen(&self) {
        let mut names = vec![
            names::channel(names::ANNOUNCE),
            names::channel(names::ASK),
            names::channel(names::CANCELLED),
        ];
        names.extend(names::reply_channel(&self.process));
        names.extend(names::control_channel(&self.process));
        let policy = ListenPolicy {
            max_bytes: REPLY_BYTES_MAX,
            ..ListenPolicy::default()
        };
        let sink = Arc::new(hear::Ear::new(self.me.clone(), &self.process));
        let listener = self.engine.listen(&self.system, sink, policy);
        listener.add(&names, &[]);
        *lock(&self.listener) = Some(listener);
    }

    fn publish(&self, channel: ChannelName, payload: bytes::Bytes) {
        let message = ChannelMessage::new(channel, payload, CompactString::default());
        let nobody = Completion::ignored();
        self.engine.publish_channel(&self.system, message, nobody);
    }

    /// Tells whoever asked. False if that is known to be in vain.
    fn reply(&self, asked: &Asked, reply: Reply) -> bool {
        if asked.is_by(&self.process) {
            return self.heard(asked.call, reply);
        }
        if let Some(channel) = names::reply_channel(&asked.process) {
            self.publish(channel, reply.encode(asked.call));
        }
        true
    }

    /// Tells whoever runs a call that nobody waits for it.
    fn stop(&self, taker: &Taker) {
        if taker.process == self.process {
            self.stop_here(taker.dispatch);
        } else if let Some(channel) = names::control_channel(&taker.process) {
            self.publish(channel, encode_cancel(taker.dispatch));
        }
    }
}

impl CallWire for Native {
    fn announces(&self) -> bool {
        true
    }

    fn send(&self, call: Call, completion: Completion) -> CallId {
        self.ask_for(call, completion)
    }

    fn cancel(&self, id: CallId) -> Option<Stage> {
        self.give_up(id)
    }

    fn serve(&self, spec: WorkerSpec, sink: Arc<dyn CallSink>) -> Box<dyn WorkerHandle> {
        self.take_calls(&spec, sink)
    }

    fn answer(&self, dispatch: DispatchId, outcome: CallOutcome) -> bool {
        self.finish(dispatch, outcome)
    }

    fn progress(&self, dispatch: DispatchId, value: bytes::Bytes) {
        let asked = lock(&self.running).asked(dispatch.0).cloned();
        if let Some(asked) = asked {
            self.reply(&asked, Reply::Progress(value));
        }
    }

    fn announce(&self, info: HandlerInfo) {
        self.say(&info);
        let mut offers = lock(&self.offers);
        if info.workers == 0 {
            offers.remove(&info.handler);
        } else {
            offers.insert(info.handler.clone(), info);
        }
    }

    fn ask(&self) {
        self.publish(names::channel(names::ASK), bytes::Bytes::new());
    }

    fn announcements(&self) -> broadcast::Receiver<Arc<HandlerInfo>> {
        self.announced.subscribe()
    }

    fn close(&self, _deadline: Duration) {
        self.closed.store(true, Ordering::Relaxed);
        let listener = lock(&self.listener).take();
        drop(listener);
        let waiting = lock(&self.pending).take_all();
        for completion in waiting {
            ask::fail(completion, trunkline_model::Error::shutting_down());
        }
    }
}

impl std::fmt::Debug for Native {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Native")
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}
