//! A client's batch: what of it is about which topic, and what becomes of it.
//!
//! Of one topic, it is all or nothing. What is published over several topics goes first; what only
//! settles deliveries follows when all of that is stored, so that nothing is lost in between.

use super::Topics;
use super::body;
use super::consumers::{Consumers, Find};
use super::job::{Ended, Job, Order, Outgoing, Then, Trouble};
use super::room::Taken;
use super::script::{Change, Done, Hold, Refusal, Step};
use hashbrown::HashMap;
use smallvec::SmallVec;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::Instant;
use trunkline_model::{
    Batch, Command, Completion, ConsumerId, DeliveryTag, Error, Message, MessageId, Outcome,
    Receipt, TopicName, refusal,
};

/// A delivery that a batch settles if it is done.
type Settles = (ConsumerId, DeliveryTag, Hold);

/// Deliveries that a command names, of one topic.
type Found = (TopicName, Vec<(DeliveryTag, Hold)>);

/// What of a batch is about one topic.
pub(super) struct Part {
    joined: Arc<Joined>,
    /// The commands that publish, and how many messages each has.
    slots: Vec<(usize, usize)>,
    settles: Vec<Settles>,
    /// Deliveries that it names.
    holds: u64,
    /// Whether it makes the topic.
    makes: bool,
    strict: bool,
}

/// A part that is being put together.
struct Piece {
    topic: TopicName,
    changes: Vec<Change>,
    slots: Vec<(usize, usize)>,
    settles: Vec<Settles>,
    holds: u64,
    bytes: u64,
    publishes: bool,
    makes: bool,
}

/// What the parts of a batch come to.
struct Joined {
    state: Mutex<State>,
}

struct State {
    completion: Option<Completion>,
    /// Parts that are under way.
    waiting: usize,
    /// What follows if they succeed.
    later: Vec<(TopicName, Job)>,
    receipt: Receipt,
    /// What each command published.
    ids: Vec<SmallVec<[MessageId; 1]>>,
    error: Option<Error>,
    done: Vec<TopicName>,
    alone: bool,
}

impl Topics {
    /// Runs a batch.
    pub(crate) fn submit(self: &Arc<Self>, batch: Batch, completion: Completion) {
        if let Err(error) = self.serves() {
            return completion.complete(Err(error));
        }
        // Held until all of it waits for its topics: a request that sees the credit of what is settled, and not that
        // it is settled, would hand out the next message before one that returns.
        let mut consumers = batch.commands.iter().any(settles).then(|| self.consumers());
        let split = self.split(batch, consumers.as_deref_mut());
        let ended = split.and_then(|split| self.prepare(split));
        match ended {
            Ok(Sending::Nothing(receipt)) => {
                drop(consumers);
                completion.complete(Ok(Outcome::Done(receipt)));
            }
            Ok(Sending::Jobs { joined, jobs }) => {
                joined.state().completion = Some(completion);
                for (topic, job) in jobs {
                    self.push(&topic, job);
                }
            }
            Err(error) => {
                drop(consumers);
                completion.complete(Err(error));
            }
        }
    }

    /// Takes a batch apart; `consumers` are needed for what settles deliveries.
    fn split(&self, batch: Batch, mut consumers: Option<&mut Consumers>) -> Result<Split, Error> {
        let publishes = batch.commands.iter().any(is_publish);
        let find = match publishes || batch.strict {
            true => Find::Keep,
            false => Find::Remove,
        };
        let mut split = Split {
            strict: batch.strict,
            commands: batch.commands.len(),
            pieces: Vec::new(),
            by_topic: HashMap::new(),
            skipped: 0,
        };
        for command in &batch.commands {
            if let Command::Publish { messages, .. }
            | Command::PublishIfSubscribed { messages, .. } = command
            {
                messages.iter().try_for_each(Message::check_bounds)?;
            }
        }
        for (slot, command) in batch.commands.into_iter().enumerate() {
            match command {
                Command::Publish { topic, messages } => {
                    split.publish(slot, topic, messages, false);
                }
                Command::PublishIfSubscribed { topic, messages } => {
                    split.publish(slot, topic, messages, true);
                }
                Command::Ack { consumer, tags } => {
                    let of = |consumer, holds| Change::Ack { consumer, holds };
                    split.settle(consumers.as_deref_mut(), consumer, &tags, find, of)?;
                }
                Command::Nack {
                    consumer,
                    tags,
                    requeue,
                    delay,
                } => {
                    let of = |consumer, holds| Change::Nack {
                        consumer,
                        holds,
                        requeue,
                        delay,
                    };
                    split.settle(consumers.as_deref_mut(), consumer, &tags, find, of)?;
                }
                Command::Extend { consumer, tags, by } => {
                    split.extend(consumers.as_deref_mut(), consumer, &tags, by)?;
                }
            }
        }
        Ok(split)
    }

    /// What is to wait for which topic first.
    fn prepare(&self, split: Split) -> Result<Sending, Error> {
        let receipt = Receipt {
            skipped: split.skipped,
            ..Receipt::default()
        };
        if split.pieces.is_empty() {
            return Ok(Sending::Nothing(receipt));
        }
        let mut rooms = Vec::with_capacity(split.pieces.len());
        for piece in &split.pieces {
            rooms.push(match piece.publishes {
                true => self.room.ask(piece.bytes)?,
                false => self.room.take(piece.bytes),
            });
        }
        let joined = Arc::new(Joined {
            state: Mutex::new(State {
                completion: None,
                waiting: 0,
                later: Vec::new(),
                receipt,
                ids: vec![SmallVec::new(); split.commands],
                error: None,
                done: Vec::new(),
                alone: split.pieces.len() == 1,
            }),
        });
        let staged = split.pieces.iter().any(|piece| piece.publishes);
        let mut jobs = Vec::new();
        {
            let mut state = joined.state();
            for (piece, room) in split.pieces.into_iter().zip(rooms) {
                let first = piece.publishes || !staged;
                let (topic, job) = piece.job(self, split.strict, joined.clone(), room);
                match first {
                    true => jobs.push((topic, job)),
                    false => state.later.push((topic, job)),
                }
            }
            state.waiting = jobs.len();
        }
        Ok(Sending::Jobs { joined, jobs })
    }
}

/// What of a batch is to be done first.
enum Sending {
    /// Nothing of it is held.
    Nothing(Receipt),
    Jobs {
        joined: Arc<Joined>,
        jobs: Vec<(TopicName, Job)>,
    },
}

const fn settles(command: &Command) -> bool {
    matches!(
        command,
        Command::Ack { .. } | Command::Nack { .. } | Command::Extend { .. }
    )
}

fn is_publish(command: &Command) -> bool {
    matches!(
        command,
        Command::Publish { .. } | Command::PublishIfSubscribed { .. }
    )
}

/// A batch by topics.
struct Split {
    strict: bool,
    commands: usize,
    pieces: Vec<Piece>,
    by_topic: HashMap<TopicName, usize>,
    skipped: u64,
}

impl Split {
    fn piece(&mut self, topic: TopicName) -> &mut Piece {
        let index = *self.by_topic.entry(topic).or_insert_with_key(|topic| {
            self.pieces.push(Piece {
                topic: topic.clone(),
                changes: Vec::new(),
                slots: Vec::new(),
                settles: Vec::new(),
                holds: 0,
                bytes: 0,
                publishes: false,
                makes: false,
            });
            self.pieces.len() - 1
        });
        &mut self.pieces[index]
    }

    fn publish(
        &mut self,
        slot: usize,
        topic: TopicName,
        messages: SmallVec<[Message; 1]>,
        if_subscribed: bool,
    ) {
        let piece = self.piece(topic);
        piece.publishes = true;
        piece.makes |= !if_subscribed;
        piece.slots.push((slot, messages.len()));
        for message in messages {
            let message = body::incoming(message);
            piece.bytes += message.body.len() as u64;
            piece.changes.push(Change::Publish {
                if_subscribed,
                message,
            });
        }
    }

    fn settle(
        &mut self,
        consumers: Option<&mut Consumers>,
        consumer: ConsumerId,
        tags: &[DeliveryTag],
        find: Find,
        of: impl Fn(u64, Vec<Hold>) -> Change,
    ) -> Result<(), Error> {
        for (topic, found) in self.find(consumers, consumer, tags, find)? {
            let piece = self.piece(topic);
            piece.holds += found.len() as u64;
            let holds = found.iter().map(|(_, hold)| *hold).collect();
            piece.changes.push(of(consumer.0, holds));
            if find == Find::Keep {
                let settles = found.into_iter().map(|(tag, hold)| (consumer, tag, hold));
                piece.settles.extend(settles);
            }
        }
        Ok(())
    }

    fn extend(
        &mut self,
        consumers: Option<&mut Consumers>,
        consumer: ConsumerId,
        tags: &[DeliveryTag],
        by: Duration,
    ) -> Result<(), Error> {
        for (topic, found) in self.find(consumers, consumer, tags, Find::Keep)? {
            let piece = self.piece(topic);
            piece.holds += found.len() as u64;
            piece.changes.push(Change::Extend {
                consumer: consumer.0,
                holds: found.into_iter().map(|(_, hold)| hold).collect(),
                by,
            });
        }
        Ok(())
    }

    /// A delivery of a subscription was named that isn't held any more: its topic counts it.
    fn late(&mut self, topic: TopicName, number: u32) {
        let piece = self.piece(topic);
        piece.holds += 1;
        if let Some(Change::Late {
            subscription,
            count,
        }) = piece.changes.last_mut()
            && *subscription == number
        {
            *count += 1;
            return;
        }
        piece.changes.push(Change::Late {
            subscription: number,
            count: 1,
        });
    }

    /// The deliveries behind tags, by topic, in order.
    fn find(
        &mut self,
        consumers: Option<&mut Consumers>,
        consumer: ConsumerId,
        tags: &[DeliveryTag],
        find: Find,
    ) -> Result<Vec<Found>, Error> {
        let mut found: Vec<Found> = Vec::new();
        let Some(consumers) = consumers else {
            return Ok(found);
        };
        for tag in tags {
            let Some((topic, hold)) = consumers.held(consumer, *tag, find) else {
                if self.strict {
                    return Err(refusal::not_held(tag.0, consumer));
                }
                match consumers.late(consumer, *tag) {
                    Some((topic, subscription)) => self.late(topic, subscription),
                    None => self.skipped += 1,
                }
                continue;
            };
            match found.iter_mut().find(|(known, _)| *known == topic) {
                Some((_, of_topic)) => of_topic.push((*tag, hold)),
                None => found.push((topic, vec![(*tag, hold)])),
            }
        }
        Ok(found)
    }
}

impl Piece {
    fn job(
        self,
        topics: &Topics,
        strict: bool,
        joined: Arc<Joined>,
        room: Taken,
    ) -> (TopicName, Job) {
        let patience = match self.publishes {
            true => topics.patience.publish,
            false => topics.patience.ack,
        };
        let order = Order {
            makes: self.makes,
            bytes: self.bytes,
            deadline: Instant::now() + patience,
            told: false,
            check: None,
            then: Then::Part(Part {
                joined,
                slots: self.slots,
                settles: self.settles,
                holds: self.holds,
                makes: self.makes,
                strict,
            }),
            _room: room,
        };
        let step = Step::Batch {
            strict,
            commands: self.changes,
        };
        (self.topic, Job { step, order })
    }
}

impl Joined {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no code panics while it holds a batch")
    }
}

impl State {
    /// Answers, if everything has ended.
    fn answer(&mut self, out: &mut Outgoing) {
        if let Some(completion) = self.completion.take() {
            let result = match self.error.take() {
                Some(error) => Err(self.with_done(error)),
                None => {
                    let mut receipt = std::mem::take(&mut self.receipt);
                    receipt.ids = self.ids.drain(..).flatten().collect();
                    Ok(Outcome::Done(receipt))
                }
            };
            out.answers.push((completion, result));
        }
    }

    /// Of several topics, it is said which were done.
    fn with_done(&self, error: Error) -> Error {
        if self.alone {
            return error;
        }
        let done = self.done.iter().map(|topic| topic.as_str());
        error.with("done", done.collect::<Vec<_>>())
    }
}

impl Part {
    /// It was run, or will not be.
    pub(super) fn end(
        self,
        topics: &Arc<Topics>,
        topic: &TopicName,
        ended: Ended,
        out: &mut Outgoing,
    ) {
        if ended.is_ok() && !self.settles.is_empty() {
            let mut consumers = topics.consumers();
            for (consumer, tag, _) in &self.settles {
                consumers.settled(*consumer, &[*tag]);
            }
            out.nudges.push(topic.clone());
        }
        let mut state = self.joined.state();
        match ended {
            Ok(told) => {
                if let Done::Batch(batched) = told.done {
                    let receipt = &mut state.receipt;
                    receipt.acked += batched.acked;
                    receipt.nacked += batched.nacked;
                    receipt.extended += batched.extended;
                    receipt.skipped += batched.skipped;
                    receipt.durability = receipt.durability.max(batched.durability);
                    let mut ids = batched.ids.into_iter();
                    for (slot, count) in self.slots {
                        let stored = ids.by_ref().take(count).filter(|sequence| *sequence > 0);
                        let stored = stored.map(|sequence| MessageId {
                            topic: told.number,
                            sequence,
                        });
                        state.ids[slot].extend(stored);
                    }
                }
                state.done.push(topic.clone());
            }
            // Nothing is there that could be settled, or that subscribes.
            Err(Trouble::Missing) if !self.needs_topic() => {
                state.receipt.skipped += self.holds;
                state.done.push(topic.clone());
            }
            Err(trouble) => {
                let error = self.error(topic, &trouble);
                state.error.get_or_insert(error);
            }
        }
        state.waiting -= 1;
        if state.waiting > 0 {
            return;
        }
        let later = std::mem::take(&mut state.later);
        if state.error.is_some() || later.is_empty() {
            state.answer(out);
            drop(state);
            // What would have followed goes without the lock that it could take.
            return drop(later);
        }
        state.waiting = later.len();
        drop(state);
        for (topic, mut job) in later {
            job.order.deadline = Instant::now() + topics.patience.ack;
            topics.push(&topic, job);
        }
    }

    /// Whether it can't be done if the topic isn't there: it stores something, or must settle what it names.
    const fn needs_topic(&self) -> bool {
        self.makes || (self.strict && self.holds > 0)
    }

    fn error(&self, topic: &TopicName, trouble: &Trouble) -> Error {
        match trouble {
            Trouble::Missing if self.makes => refusal::no_topic_made(topic),
            Trouble::Missing => {
                let first = self.settles.first();
                let (id, tag) = first.map_or((ConsumerId(0), 0), |(id, tag, _)| (*id, tag.0));
                refusal::not_held(tag, id)
            }
            Trouble::Refused(Refusal::NotHeld { consumer, hold }) => {
                let mut settles = self.settles.iter();
                let found = settles.find(|(id, _, held)| id.0 == *consumer && held == hold);
                let tag = found.map_or(0, |(_, tag, _)| tag.0);
                refusal::not_held(tag, ConsumerId(*consumer))
            }
            other => other.error(topic, None),
        }
    }

    /// The time is over: who waits is told, and what happens later still counts.
    pub(super) fn give_up(&self, error: Error, out: &mut Outgoing) {
        let mut state = self.joined.state();
        if let Some(completion) = state.completion.take() {
            let error = state.with_done(error);
            out.answers.push((completion, Err(error)));
        }
    }
}
