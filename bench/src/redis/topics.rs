//! Topics of our engine: published to and consumed from within this process.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use trunkline_bench_peers::redis::Durability;
use trunkline_engine_redis::{RedisConfig, RedisEngine};
use trunkline_model::{
    Batch, Caller, Command, Completed, Completion, CompletionQueue, ConsumeSpec, ConsumerHandle,
    Consuming, Delivery, DeliverySink, Engine, Error, Message, Outcome, Source, TopicName,
};

use super::answers::Answers;
use super::{Server, start_runtime};
use crate::load::{Exchange, Slot};
use crate::measure::Measure;
use crate::peers::payload;
use crate::workloads::{Context, end_to_end as ends, publish as publishing};

const TOPIC: &str = "bench";
const SUBSCRIPTION: &str = "bench";
/// Unacknowledged deliveries that the consumer allows.
const CREDIT: u32 = 1_000;
/// Bytes of deliveries that it has not looked at: more than the credit lets in.
const WINDOW_BYTES: u64 = 16 << 20;
/// Longest wait for deliveries, so that a lost one ends the run instead of hanging it.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// An engine on the server at `url`; in a runtime.
pub(super) fn start(url: &str) -> Result<Arc<RedisEngine>> {
    Ok(RedisEngine::start(RedisConfig::new(url.parse()?))?)
}

/// Publishes confirmed, one message each.
pub(super) fn publish(
    context: &Context<'_>,
    durability: Durability,
    window: u32,
) -> Result<Measure> {
    let server = Server::start(context, durability)?;
    let runtime = start_runtime()?;
    let inside = runtime.enter();
    let engine = start(&server.url())?;
    let context = context.on(&server.process);
    let publisher = Publisher::new(engine.clone())?;
    let measure = publishing::measure(&context, vec![publisher], window);
    engine.close(Duration::ZERO);
    drop(inside);
    runtime.shutdown_timeout(Duration::from_secs(1));
    measure
}

/// The same, and a consumer that acknowledges each batch that it is given.
pub(super) fn end_to_end(
    context: &Context<'_>,
    durability: Durability,
    window: u32,
) -> Result<Measure> {
    let server = Server::start(context, durability)?;
    let runtime = start_runtime()?;
    let inside = runtime.enter();
    // As in a fleet: who publishes and who consumes are two processes.
    let (publishing, consuming) = (start(&server.url())?, start(&server.url())?);
    let consumer = Consumer::start(consuming.clone())?;
    let publisher = Publisher::new(publishing.clone())?;
    let context = context.on(&server.process);
    let measure = ends::measure(&context, vec![publisher], consumer, window);
    for engine in [publishing, consuming] {
        engine.close(Duration::ZERO);
    }
    drop(inside);
    runtime.shutdown_timeout(Duration::from_secs(1));
    measure
}

fn topic() -> Result<TopicName> {
    Ok(TopicName::new(TOPIC)?)
}

/// One message a request.
struct Publisher {
    engine: Arc<RedisEngine>,
    caller: Caller,
    topic: TopicName,
    payload: Bytes,
    queued: Vec<(Batch, Completion)>,
    answers: Arc<Answers>,
    queue: Arc<CompletionQueue>,
    taken: Vec<Completed>,
}

impl Publisher {
    fn new(engine: Arc<RedisEngine>) -> Result<Publisher> {
        let answers = Arc::new(Answers::default());
        Ok(Publisher {
            engine,
            caller: Caller::system(),
            topic: topic()?,
            payload: Bytes::from(payload()),
            queued: Vec::new(),
            queue: CompletionQueue::relay(answers.clone()),
            answers,
            taken: Vec::new(),
        })
    }
}

impl Exchange for Publisher {
    fn queue(&mut self, slot: Slot) {
        let message = Message {
            payload: self.payload.clone(),
            ..Message::default()
        };
        let command = Command::Publish {
            topic: self.topic.clone(),
            messages: [message].into_iter().collect(),
        };
        let completion = Completion::new(self.queue.clone(), u64::from(slot));
        self.queued.push((Batch::of(command), completion));
    }

    fn flush(&mut self) -> Result<()> {
        self.engine.submit_all(&self.caller, &mut self.queued);
        Ok(())
    }

    fn receive(&mut self, answered: &mut Vec<Slot>) -> Result<()> {
        self.answers.take(&mut self.taken)?;
        for Completed { token, result } in self.taken.drain(..) {
            match result {
                Ok(Outcome::Done(_)) => {
                    answered.push(Slot::try_from(token).context("a token of another's")?);
                }
                other => bail!("a publish ended with {other:?}"),
            }
        }
        Ok(())
    }
}

struct Consumer {
    engine: Arc<RedisEngine>,
    caller: Caller,
    handle: Box<dyn ConsumerHandle>,
    inbox: Arc<Inbox>,
    answers: Arc<Answers>,
    queue: Arc<CompletionQueue>,
    payload: Vec<u8>,
}

impl Consumer {
    fn start(engine: Arc<RedisEngine>) -> Result<Consumer> {
        let inbox = Arc::new(Inbox::default());
        let source = Source {
            topic: topic()?,
            subscription: SUBSCRIPTION.parse()?,
            from: None,
        };
        let spec = ConsumeSpec {
            sources: vec![source],
            credit: CREDIT,
            window_bytes: WINDOW_BYTES,
            auto_ack: false,
        };
        let caller = Caller::system();
        let handle = engine.consume(&caller, spec, inbox.clone());
        drop(inbox.wait(|state| state.started)?);
        let answers = Arc::new(Answers::default());
        Ok(Consumer {
            engine,
            caller,
            handle,
            inbox,
            queue: CompletionQueue::relay(answers.clone()),
            answers,
            payload: payload().into_bytes(),
        })
    }

    /// Acknowledges deliveries with one command, whose token says how many they are.
    fn acknowledge(&self, deliveries: &[Delivery]) -> Result<()> {
        let wrong = deliveries
            .iter()
            .find(|it| it.message.payload != self.payload);
        ensure!(
            wrong.is_none(),
            "not the message that was published: {wrong:?}"
        );
        let command = Command::Ack {
            consumer: self.handle.id(),
            tags: deliveries.iter().map(|it| it.tag).collect(),
        };
        let completion = Completion::new(self.queue.clone(), deliveries.len() as u64);
        self.engine
            .submit(&self.caller, Batch::of(command), completion);
        self.handle
            .taken(deliveries.iter().map(Delivery::weight).sum());
        Ok(())
    }
}

impl ends::Consumer for Consumer {
    fn settle(&mut self, messages: u64) -> Result<()> {
        let (mut taken, mut settled) = (0, 0);
        let mut confirmed = Vec::new();
        while settled < messages {
            if taken < messages {
                let deliveries = {
                    let mut state = self.inbox.wait(|state| !state.deliveries.is_empty())?;
                    std::mem::take(&mut state.deliveries)
                };
                self.acknowledge(&deliveries)?;
                taken += deliveries.len() as u64;
                if !self.answers.take_now(&mut confirmed) {
                    continue;
                }
            } else {
                self.answers.take(&mut confirmed)?;
            }
            for Completed { token, result } in confirmed.drain(..) {
                match result {
                    Ok(Outcome::Done(receipt)) if receipt.acked == token => settled += token,
                    other => bail!("an ack of {token} deliveries ended with {other:?}"),
                }
            }
        }
        Ok(())
    }
}

/// What the engine gave to the consumer.
#[derive(Default)]
struct Inbox {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    started: bool,
    deliveries: Vec<Delivery>,
    ended: Option<Error>,
}

impl Inbox {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_one();
    }

    fn wait(&self, is: impl Fn(&State) -> bool) -> Result<MutexGuard<'_, State>> {
        let goes_on = |state: &mut State| state.ended.is_none() && !is(state);
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), SILENCE_MAX, goes_on);
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(ended) = &state.ended {
            bail!("the consumer ended: {ended}");
        }
        ensure!(!timeout.timed_out(), "no delivery for {SILENCE_MAX:?}");
        Ok(state)
    }

    // No code that can panic runs under the lock, so a poisoned one is still consistent.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DeliverySink for Inbox {
    fn started(&self, result: Result<Consuming, Error>) {
        self.change(|state| match result {
            Ok(_) => state.started = true,
            Err(error) => state.ended = Some(error),
        });
    }

    fn deliver(&self, mut deliveries: Vec<Delivery>) {
        self.change(|state| state.deliveries.append(&mut deliveries));
    }

    fn ended(&self, reason: Error) {
        self.change(|state| state.ended = Some(reason));
    }
}
