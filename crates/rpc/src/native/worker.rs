//! One worker: deliveries in, calls out.

use super::{
    Native,
    envelope::{Asked, Reply, Taker},
    request::{self, Request},
    running::{Offer, Verdict},
};
use crate::{errors::worker_lost, lock::lock};
use compact_str::CompactString;
use hashbrown::HashMap;
use smallvec::{SmallVec, smallvec};
use std::{
    collections::VecDeque,
    sync::{Mutex, OnceLock, Weak},
};
use trunkline_model::{
    Batch, CallOutcome, CallSink, Command, Completion, ConsumerHandle, Consuming, Delivery,
    DeliverySink, DeliveryTag, DispatchId, Error, IncomingCall, Timestamp, TopicName,
};

/// A worker of this process.
pub(super) struct Worker {
    pub(super) number: u64,
    native: Weak<Native>,
    sink: std::sync::Arc<dyn CallSink>,
    methods: HashMap<TopicName, Offered>,
    category: CompactString,
    /// Set once `consume` has returned; deliveries may come before.
    consumer: OnceLock<Box<dyn ConsumerHandle>>,
    /// What was settled before the consumer's name was known.
    early: Mutex<Vec<DeliveryTag>>,
    outbox: Mutex<Outbox>,
}

/// A method that the worker offers.
pub(super) struct Offered {
    pub(super) name: CompactString,
    pub(super) idempotent: bool,
}

/// What the sink is still to be told. Whoever finds nobody telling it does so, without the
/// lock: so it is called by one thread at a time and in order, wherever things come from.
#[derive(Default)]
struct Outbox {
    events: VecDeque<Event>,
    telling: bool,
}

enum Event {
    Calls(Vec<IncomingCall>),
    Cancelled(u64),
    Ended(Error),
}

impl Worker {
    pub(super) fn new(
        number: u64,
        native: Weak<Native>,
        sink: std::sync::Arc<dyn CallSink>,
        methods: HashMap<TopicName, Offered>,
        category: CompactString,
    ) -> Self {
        Self {
            number,
            native,
            sink,
            methods,
            category,
            consumer: OnceLock::new(),
            early: Mutex::default(),
            outbox: Mutex::default(),
        }
    }

    pub(super) fn methods(&self) -> impl Iterator<Item = &str> {
        self.methods.values().map(|offered| offered.name.as_str())
    }

    pub(super) fn consumer(&self) -> Option<&dyn ConsumerHandle> {
        self.consumer.get().map(Box::as_ref)
    }

    /// The consumer is known: what was settled before can be acked.
    pub(super) fn started_as(&self, native: &Native, consumer: Box<dyn ConsumerHandle>) {
        let early = {
            let mut early = lock(&self.early);
            drop(self.consumer.set(consumer));
            std::mem::take(&mut *early)
        };
        if !early.is_empty() {
            // Something may have been given back, which lowered the credit.
            let credit = lock(&native.running).allowed(self.number);
            self.set_credit(native, Some(credit));
        }
        self.ack(native, early.into());
    }

    /// Settles deliveries.
    pub(super) fn ack(&self, native: &Native, tags: SmallVec<[DeliveryTag; 4]>) {
        if tags.is_empty() {
            return;
        }
        if self.consumer.get().is_none() {
            let mut early = lock(&self.early);
            // Set under the same lock.
            if self.consumer.get().is_none() {
                early.extend(tags);
                return;
            }
        }
        if let Some(consumer) = self.consumer() {
            let ack = Command::Ack {
                consumer: consumer.id(),
                tags,
            };
            native
                .engine
                .submit(&native.system, Batch::of(ack), Completion::ignored());
        }
    }

    /// Changes the credit. Threads that do so at the same time may overtake each other, so
    /// it is looked at again until what was said last is right.
    pub(super) fn set_credit(&self, native: &Native, credit: Option<u32>) {
        let (Some(mut credit), Some(consumer)) = (credit, self.consumer()) else {
            return;
        };
        loop {
            consumer.credit(credit);
            let allowed = lock(&native.running).allowed(self.number);
            if allowed == credit {
                return;
            }
            credit = allowed;
        }
    }

    pub(super) fn cancelled(&self, dispatch: u64) {
        self.post(Event::Cancelled(dispatch));
        self.tell();
    }

    fn post(&self, event: Event) {
        lock(&self.outbox).events.push_back(event);
    }

    fn tell(&self) {
        let mut outbox = lock(&self.outbox);
        if outbox.telling {
            return;
        }
        outbox.telling = true;
        while let Some(event) = outbox.events.pop_front() {
            drop(outbox);
            match event {
                Event::Calls(calls) => self.sink.calls(calls),
                Event::Cancelled(dispatch) => self.sink.cancelled(DispatchId(dispatch)),
                Event::Ended(reason) => self.sink.ended(reason),
            }
            outbox = lock(&self.outbox);
        }
        outbox.telling = false;
    }

    /// Puts a delivery that was not run back into its queue, as a fresh message: it was not
    /// attempted. Strict: if the delivery is no longer held, the engine has returned it
    /// already, and it must not be there twice.
    fn give_back(&self, native: &Native, delivery: Delivery) {
        let publish = Command::Publish {
            topic: delivery.topic,
            messages: smallvec![request::again(delivery.message)],
        };
        let mut batch = Batch::of(publish);
        if let Some(consumer) = self.consumer() {
            batch.commands.push(Command::Ack {
                consumer: consumer.id(),
                tags: smallvec![delivery.tag],
            });
            batch.strict = true;
        } else {
            self.ack(native, smallvec![delivery.tag]);
        }
        native
            .engine
            .submit(&native.system, batch, Completion::ignored());
    }

    /// Decides about one delivery; what is to be run goes into `run`, what is settled
    /// without running into `settled`.
    fn take(&self, native: &Native, now: Timestamp, delivery: Delivery, taking: &mut Taking) {
        let request = Request::read(&delivery.message);
        let (Some(offered), Some(request)) = (self.methods.get(&delivery.topic), request) else {
            taking.settled.push(delivery.tag);
            return;
        };
        let offer = Offer {
            worker: self.number,
            tag: delivery.tag,
            attempt: delivery.attempt,
            idempotent: offered.idempotent,
        };
        let verdict = lock(&native.running).offer(now, offer, &request);
        match verdict {
            Verdict::Run(dispatch) => {
                let payload = delivery.message.payload;
                taking.run.push(IncomingCall {
                    dispatch: DispatchId(dispatch),
                    method: offered.name.clone(),
                    params: request.has_params.then_some(payload),
                    caller: request.caller,
                    category: self.category.clone(),
                    deadline: request.deadline,
                    attempt: delivery.attempt,
                    traceparent: delivery.message.traceparent,
                });
                taking.taken.push((request.asked, dispatch));
            }
            Verdict::Skip => {
                native.reply(&request.asked, Reply::Skipped);
                taking.settled.push(delivery.tag);
            }
            Verdict::Lost => {
                let outcome = CallOutcome::Failed(worker_lost());
                native.reply(&request.asked, Reply::Answer(outcome));
                taking.settled.push(delivery.tag);
            }
            Verdict::GiveBack(credit) => {
                self.set_credit(native, Some(credit));
                self.give_back(native, delivery);
            }
        }
    }
}

/// What comes of a delivered packet.
struct Taking {
    run: Vec<IncomingCall>,
    taken: SmallVec<[(Asked, u64); 4]>,
    settled: SmallVec<[DeliveryTag; 4]>,
}

impl DeliverySink for Worker {
    fn started(&self, result: Result<Consuming, Error>) {
        if let Err(error) = result {
            self.ended(error);
        }
    }

    fn deliver(&self, deliveries: Vec<Delivery>) {
        let Some(native) = self.native.upgrade() else {
            return;
        };
        let mut taking = Taking {
            run: Vec::with_capacity(deliveries.len()),
            taken: SmallVec::new(),
            settled: SmallVec::new(),
        };
        let now = native.clock.now();
        for delivery in deliveries {
            self.take(&native, now, delivery, &mut taking);
        }
        self.ack(&native, taking.settled);
        if taking.run.is_empty() {
            return;
        }
        // Posted before the askers can cancel it, told after they know who has it.
        self.post(Event::Calls(taking.run));
        for (asked, dispatch) in taking.taken {
            let process = native.process.clone();
            native.reply(&asked, Reply::Taken(Taker { process, dispatch }));
        }
        self.tell();
    }

    fn ended(&self, reason: Error) {
        self.post(Event::Ended(reason));
        self.tell();
    }
}
