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
    sync::{Arc, Mutex, Weak},
};
use trunkline_model::{
    Batch, CallOutcome, CallSink, Command, Completion, ConsumerHandle, Consuming, Delivery,
    DeliverySink, DeliveryTag, DispatchId, Error, ErrorCode, IncomingCall, Timestamp, TopicName,
};

/// A worker of this process.
pub(super) struct Worker {
    pub(super) number: u64,
    native: Weak<Native>,
    sink: Arc<dyn CallSink>,
    methods: HashMap<TopicName, Offered>,
    category: CompactString,
    through: Mutex<Through>,
    outbox: Mutex<Outbox>,
}

/// What a worker takes deliveries through: one consumer after the other, if the engine loses what it had.
#[derive(Default)]
struct Through {
    /// Tells consumers apart, and so their deliveries.
    round: u32,
    /// Absent until `consume` has returned; deliveries may come before.
    consumer: Option<Arc<dyn ConsumerHandle>>,
    /// What was settled before the consumer's name was known.
    early: SmallVec<[DeliveryTag; 4]>,
    /// It has begun since somebody looked.
    begun: bool,
    /// It has ended, and the next one begins with the next sweep.
    waits: bool,
}

/// Where the deliveries of one of a worker's consumers come.
pub(super) struct Mouth {
    pub(super) worker: Arc<Worker>,
    pub(super) round: u32,
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
        sink: Arc<dyn CallSink>,
        methods: HashMap<TopicName, Offered>,
        category: CompactString,
    ) -> Self {
        Self {
            number,
            native,
            sink,
            methods,
            category,
            through: Mutex::default(),
            outbox: Mutex::default(),
        }
    }

    pub(super) fn methods(&self) -> impl Iterator<Item = &str> {
        self.methods.values().map(|offered| offered.name.as_str())
    }

    /// Its queues, with their methods.
    pub(super) fn queues(&self) -> impl Iterator<Item = (&TopicName, &str)> {
        let queues = self.methods.iter();
        queues.map(|(topic, offered)| (topic, offered.name.as_str()))
    }

    /// The consumer of the moment, with its round.
    pub(super) fn consumer(&self) -> Option<(u32, Arc<dyn ConsumerHandle>)> {
        let through = lock(&self.through);
        Some((through.round, through.consumer.clone()?))
    }

    /// The consumer is known: what was settled before can be acked.
    pub(super) fn started_as(
        &self,
        native: &Native,
        round: u32,
        consumer: Box<dyn ConsumerHandle>,
    ) {
        let early = {
            let mut through = lock(&self.through);
            if through.round != round {
                // It has ended before this is known, and so has nothing.
                return;
            }
            through.consumer = Some(consumer.into());
            std::mem::take(&mut through.early)
        };
        let allowed = lock(&native.running).allowed(self.number);
        if round > 0 || !early.is_empty() {
            // Something may have been given back, or run longer than it may, which lowered the credit.
            self.set_credit(native, Some(allowed));
        }
        self.ack(native, round, early);
    }

    /// Its consumer has ended through no fault of its own: the round of the next one, if that is to begin now. One that
    /// has not begun at all ends again, so the next one waits for the next sweep.
    fn next_round(&self, round: u32) -> Option<u32> {
        let mut through = lock(&self.through);
        if through.round != round {
            return None;
        }
        through.round += 1;
        through.consumer = None;
        through.early.clear();
        through.waits = !std::mem::take(&mut through.begun);
        (!through.waits).then_some(through.round)
    }

    /// The round that has waited for a sweep.
    pub(super) fn waiting_round(&self) -> Option<u32> {
        let mut through = lock(&self.through);
        std::mem::take(&mut through.waits).then_some(through.round)
    }

    /// Settles deliveries of a round. Those of earlier ones aren't there any more.
    pub(super) fn ack(&self, native: &Native, round: u32, tags: SmallVec<[DeliveryTag; 4]>) {
        if tags.is_empty() {
            return;
        }
        let consumer = {
            let mut through = lock(&self.through);
            if through.round != round {
                return;
            }
            match &through.consumer {
                Some(consumer) => Some(consumer.clone()),
                None => {
                    through.early.extend(tags.iter().copied());
                    None
                }
            }
        };
        if let Some(consumer) = consumer {
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
        let (Some(mut credit), Some((_, consumer))) = (credit, self.consumer()) else {
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
    fn give_back(&self, native: &Native, round: u32, delivery: Delivery) {
        let publish = Command::Publish {
            topic: delivery.topic,
            messages: smallvec![request::again(delivery.message)],
        };
        let mut batch = Batch::of(publish);
        let consumer = self.consumer().filter(|(now, _)| *now == round);
        if let Some((_, consumer)) = consumer {
            batch.commands.push(Command::Ack {
                consumer: consumer.id(),
                tags: smallvec![delivery.tag],
            });
            batch.strict = true;
        } else {
            self.ack(native, round, smallvec![delivery.tag]);
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
            round: taking.round,
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
                self.give_back(native, taking.round, delivery);
            }
        }
    }
}

/// What comes of a delivered packet.
struct Taking {
    round: u32,
    run: Vec<IncomingCall>,
    taken: SmallVec<[(Asked, u64); 4]>,
    settled: SmallVec<[DeliveryTag; 4]>,
}

impl Worker {
    fn deliver(&self, round: u32, deliveries: Vec<Delivery>) {
        let Some(native) = self.native.upgrade() else {
            return;
        };
        let mut taking = Taking {
            round,
            run: Vec::with_capacity(deliveries.len()),
            taken: SmallVec::new(),
            settled: SmallVec::new(),
        };
        let now = native.clock.now();
        for delivery in deliveries {
            self.take(&native, now, delivery, &mut taking);
        }
        self.ack(&native, round, taking.settled);
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
}

impl DeliverySink for Mouth {
    fn started(&self, result: Result<Consuming, Error>) {
        match result {
            Ok(_) => lock(&self.worker.through).begun = true,
            Err(error) => self.ended(error),
        }
    }

    fn deliver(&self, deliveries: Vec<Delivery>) {
        self.worker.deliver(self.round, deliveries);
    }

    /// A queue that is gone was lost with everything else that the engine had: nobody else may delete one from which
    /// somebody takes. It is made again, and so is one that can't be had now. Anything else ends the worker.
    fn ended(&self, reason: Error) {
        let again = matches!(reason.code(), ErrorCode::NotFound | ErrorCode::Unavailable);
        let native = self.worker.native.upgrade().filter(|_| again);
        match native {
            Some(native) => {
                tracing::warn!(%reason, "a worker takes calls of its methods anew");
                if let Some(round) = self.worker.next_round(self.round) {
                    native.take_through(&self.worker, round);
                }
            }
            None => {
                self.worker.post(Event::Ended(reason));
                self.worker.tell();
            }
        }
    }
}
