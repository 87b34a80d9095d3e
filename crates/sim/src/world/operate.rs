//! Operations, one by one.

use super::{
    World,
    restart::Restart,
    sink::{Sink, Taker},
};
use crate::{
    ledger::{Defining, Draft, Verdict, payload},
    op::{Consume, Mask, Op, Publish},
    rule::{Checked, hold},
};
use smallvec::SmallVec;
use std::{sync::Arc, time::Duration};
use trunkline_journal::{Disk, fault::Plan};
use trunkline_model::{
    Admin, Batch, Caller, Command, Completion, ConsumeSpec, ConsumerId, DeliveryTag, Engine,
    ErrorCode, Message, MessageFilter, Outcome, PeekFrom, PeekedMessage, Priority, Source,
    StartFrom, SubscriptionName, SubscriptionSettings, TopicName, When,
};

/// A batch of more payload may be refused: it must fit into a segment.
const BATCH_BYTES: u64 = 200 << 10;

pub(super) fn topic_name(topic: u8) -> TopicName {
    let name = format!("t{topic}").parse();
    name.expect("a letter and a number are a name")
}

pub(super) fn sub_name(sub: u8) -> SubscriptionName {
    let name = format!("s{sub}").parse();
    name.expect("a letter and a number are a name")
}

impl World {
    pub(super) fn operate(&mut self, op: &Op) -> Checked {
        match op {
            Op::Topic(..)
            | Op::Alter(..)
            | Op::Delete(_)
            | Op::Subscribe(..)
            | Op::Unsubscribe(..)
            | Op::Purge(..) => self.define(op),
            Op::Grave(grave) => self.make_grave(*grave),
            Op::Redrive(count, back) => self.redrive(*count, *back),
            Op::LookAtGrave(grave) => self.look_at_grave(*grave).map(drop),
            Op::Publish(topic, publish) => self.publish(*topic, publish, None),
            Op::Batch(slot, mask, topic, publish) => {
                let tags = self.tags(*slot, *mask);
                let acks = self.takers.contains_key(slot) && !tags.is_empty();
                self.publish(*topic, publish, acks.then_some((*slot, tags)))
            }
            Op::Consume(slot, sources, consume) => {
                self.consume(*slot, sources, consume);
                Ok(())
            }
            Op::Cancel(slot) => self.cancel(*slot),
            Op::Credit(slot, credit) => {
                if let Some(taker) = self.takers.get(slot) {
                    self.ledger.credited(*slot, *credit);
                    taker.handle.credit(*credit);
                }
                Ok(())
            }
            Op::Ack(slot, mask, quiet) => {
                let tags = self.tags(*slot, *mask);
                self.judge(*slot, tags, Verdict::Settle, *quiet)
            }
            Op::Reject(slot, mask) => {
                let tags = self.tags(*slot, *mask);
                self.judge(*slot, tags, Verdict::Reject, false)
            }
            Op::Return(slot, mask, delay) => {
                let tags = self.tags(*slot, *mask);
                let delay = (*delay > 0).then(|| Duration::from_millis(*delay));
                self.judge(*slot, tags, Verdict::Return(delay), false)
            }
            Op::Extend(slot, mask, by) => {
                let tags = self.tags(*slot, *mask);
                let by = Duration::from_millis(*by);
                self.judge(*slot, tags, Verdict::Extend(by), false)
            }
            Op::Late(slot) => {
                let tags = self.ledger.settled_last(*slot).into_iter().collect();
                self.judge(*slot, tags, Verdict::Settle, false)
            }
            Op::Step => {
                self.step();
                Ok(())
            }
            Op::Settle => {
                while self.step() {}
                Ok(())
            }
            Op::Wait { ms, tick } => {
                self.wait(*ms, *tick);
                Ok(())
            }
            Op::Jump(ms) => {
                self.clock.jump(*ms);
                Ok(())
            }
            Op::Backup => self.backup(),
            Op::Look(topic, sub) => self.look(*topic, *sub),
            Op::Power(..) | Op::Kill | Op::Stop | Op::Flip(_) => self.end(op),
            Op::FailWrite(_) | Op::FailSync(_) | Op::FailRead(_) | Op::Full(_) | Op::Space => {
                self.fail(op);
                Ok(())
            }
        }
    }

    pub(super) fn step(&self) -> bool {
        self.engine.as_ref().is_some_and(|engine| engine.step())
    }

    pub(super) fn wait(&mut self, ms: u64, tick: bool) {
        self.clock.advance(Duration::from_millis(ms));
        let now = self.now();
        self.ledger.happens(now);
        if let (Some(engine), true) = (&self.engine, tick) {
            engine.tick();
            self.ledger.ticked();
        }
    }

    fn end(&mut self, op: &Op) -> Checked {
        match op {
            Op::Power(0, seed) => self.restart(Restart::Power(*seed)),
            Op::Power(after, seed) => {
                let at = self.disk.boundaries() + after;
                self.power = Some((at, *seed));
                let plan = Plan {
                    power_loss_at: Some(at),
                    ..self.disk.plan()
                };
                self.disk.set_plan(plan);
                Ok(())
            }
            Op::Kill => self.restart(Restart::Kill),
            Op::Flip(seed) => {
                if self.end_engine(Restart::Stop)? == Restart::Stop {
                    self.probe(*seed)?;
                }
                self.start()
            }
            _ => self.restart(Restart::Stop),
        }
    }

    fn fail(&mut self, op: &Op) {
        let mut plan = self.disk.plan();
        match op {
            Op::FailWrite(after) => plan.fail_write = Some(self.disk.writes() + 1 + after),
            Op::FailSync(after) => plan.fail_sync = Some(self.disk.syncs() + 1 + after),
            Op::FailRead(after) => plan.fail_read = Some(self.disk.reads() + 1 + after),
            Op::Full(kib) => {
                let free = self.disk.free_bytes().unwrap_or_default();
                let used = plan.capacity.saturating_sub(free);
                plan.capacity = used.saturating_add(kib << 10);
            }
            _ => plan.capacity = u64::MAX,
        }
        self.ledger.set_short(plan.capacity != u64::MAX);
        self.disk.set_plan(plan);
    }

    fn define(&mut self, op: &Op) -> Checked {
        let (command, defining) = match op {
            Op::Topic(topic, settings) => {
                let Ok(options) = settings.resolve() else {
                    return Ok(());
                };
                if self.ledger.has_topic(*topic) {
                    return Ok(());
                }
                let command = Admin::Define {
                    topic: topic_name(*topic),
                    settings: (**settings).clone(),
                };
                (command, Defining::Topic(*topic, Box::new(options)))
            }
            Op::Alter(topic, settings) => {
                let Some(options) = self.ledger.altered(*topic, settings) else {
                    return Ok(());
                };
                let command = Admin::Alter {
                    topic: topic_name(*topic),
                    settings: (**settings).clone(),
                    clear: Vec::new(),
                };
                (command, Defining::Alter(*topic, Box::new(options)))
            }
            Op::Delete(topic) if self.ledger.has_topic(*topic) => {
                let topic_name = topic_name(*topic);
                (
                    Admin::Delete { topic: topic_name },
                    Defining::Delete(*topic),
                )
            }
            Op::Subscribe(topic, sub, from) if self.ledger.has_topic(*topic) => {
                let start = |all: bool| match all {
                    true => StartFrom::All,
                    false => StartFrom::New,
                };
                let command = Admin::Subscribe {
                    topic: topic_name(*topic),
                    subscription: sub_name(*sub),
                    from: from.map(start),
                    settings: SubscriptionSettings::default(),
                };
                (command, Defining::Subscribe(*topic, *sub, *from))
            }
            Op::Unsubscribe(topic, sub) if self.ledger.has_sub(*topic, *sub) => {
                let command = Admin::Unsubscribe {
                    topic: topic_name(*topic),
                    subscription: sub_name(*sub),
                };
                (command, Defining::Unsubscribe(*topic, *sub))
            }
            Op::Purge(topic, sub)
                if self.ledger.has_topic(*topic)
                    && sub.is_none_or(|sub| self.ledger.has_sub(*topic, sub)) =>
            {
                let command = Admin::Purge {
                    topic: topic_name(*topic),
                    subscription: sub.map(sub_name),
                };
                (command, Defining::Purge(*topic, *sub))
            }
            _ => return Ok(()),
        };
        self.carry_out(&op.to_string(), command, defining)
    }

    /// Sends a command that defines something, and notes what came of it.
    pub(super) fn carry_out(&mut self, op: &str, command: Admin, defining: Defining) -> Checked {
        self.ledger.begins(defining);
        match self.ask(command)? {
            // The engine is gone: found out at the restart.
            None => self.collect(),
            Some(result) => {
                if let Err(error) = &result {
                    self.transcript.event(|| format!("refused: {error}"));
                    hold!(
                        error.code() == ErrorCode::Unavailable && self.may_refuse(),
                        Answers,
                        "{op} was refused: {error}"
                    );
                }
                self.collect()?;
                let is_done = match result {
                    Ok(Outcome::Subscribed { created, .. }) => created,
                    Ok(_) => true,
                    Err(_) => false,
                };
                self.ledger.ends(is_done);
                Ok(())
            }
        }
    }

    /// Whether the disk gives a reason to refuse what needs space.
    pub(super) fn may_refuse(&self) -> bool {
        let plan = self.disk.plan();
        let fails = plan.fail_write.is_some() || plan.fail_sync.is_some();
        plan.capacity != u64::MAX || fails || self.is_power_gone()
    }

    /// Publishes, perhaps behind acknowledgements in one batch.
    fn publish(&mut self, topic: u8, publish: &Publish, acks: Option<(u8, Vec<u64>)>) -> Checked {
        let Some(engine) = self.engine.clone().filter(|_| self.ledger.has_topic(topic)) else {
            return Ok(());
        };
        let drafts = Draft::all(publish, self.ledger.priorities(topic));
        let first = self.ledger.next_message();
        let message = |(index, draft): (usize, &Draft)| Message {
            payload: payload(first + index, draft.bytes).into(),
            priority: publish.priority.map(|_| Priority(draft.priority)),
            key: draft.key.map(|key| key.to_string().into()),
            group: draft.group.map(|group| group.to_string().into()),
            publish_id: draft.publish_id.map(|id| id.to_string().into()),
            expires: draft.ttl.map(|ms| When::After(Duration::from_millis(ms))),
            deliver: draft.delay.map(|ms| When::After(Duration::from_millis(ms))),
            ..Message::default()
        };
        let command = Command::Publish {
            topic: topic_name(topic),
            messages: drafts.iter().enumerate().map(message).collect(),
        };
        let (token, completion) = self.completion();
        let mut batch = Batch::of(command);
        if let Some((slot, tags)) = &acks
            && let Some(taker) = self.takers.get(slot)
        {
            let acks = judgement(taker.handle.id(), tags, Verdict::Settle);
            batch.commands.insert(0, acks);
            batch.strict = true;
        }
        engine.submit(&Caller::system(), batch, completion);
        let Some(error) = self.refusal(token)? else {
            self.tally.published += drafts.len() as u64;
            self.transcript
                .event(|| format!("m{first} to m{}", first + drafts.len() - 1));
            match &acks {
                Some((slot, tags)) => {
                    self.ledger.batched(token, (*slot, tags), topic, &drafts)?;
                }
                None => self.ledger.published(token, topic, &drafts),
            }
            return Ok(());
        };
        self.transcript.event(|| format!("refused: {error}"));
        self.ledger.refused(token, topic, &drafts);
        let is_late = |(slot, tags): &(u8, Vec<u64>)| self.ledger.may_conflict(*slot, tags);
        match error.code() {
            ErrorCode::Conflict if acks.as_ref().is_some_and(is_late) => Ok(()),
            ErrorCode::InvalidParams if self.ledger.is_absurd(topic, publish) => Ok(()),
            ErrorCode::NotFound if self.ledger.rejects(topic) => Ok(()),
            ErrorCode::TooLarge if publish.count * publish.bytes > BATCH_BYTES => Ok(()),
            ErrorCode::Overloaded => self.ledger.refused_as_full(topic, drafts.len() as u64),
            code => {
                hold!(
                    code == ErrorCode::Unavailable && self.may_refuse(),
                    Answers,
                    "a publish was refused: {error}"
                );
                Ok(())
            }
        }
    }

    fn consume(&mut self, slot: u8, sources: &[(u8, u8)], consume: &Consume) {
        let mut there: Vec<(u8, u8)> = Vec::new();
        for (topic, sub) in sources {
            let is_new = there.iter().all(|(other, _)| other != topic);
            if is_new && self.ledger.has_sub(*topic, *sub) {
                there.push((*topic, *sub));
            }
        }
        let Some(engine) = self.engine.clone().filter(|_| !there.is_empty()) else {
            return;
        };
        if self.takers.contains_key(&slot) {
            return;
        }
        let source = |(topic, sub): &(u8, u8)| Source {
            topic: topic_name(*topic),
            subscription: sub_name(*sub),
            from: None,
        };
        let spec = ConsumeSpec {
            sources: there.iter().map(source).collect(),
            credit: consume.credit,
            window_bytes: consume.window.unwrap_or(u64::MAX),
            auto_ack: consume.auto,
        };
        let inbox = self.inbox.clone();
        let sink = Arc::new(Sink { slot, inbox });
        let handle = engine.consume(&Caller::system(), spec, sink);
        self.ledger
            .attached(slot, &there, consume.credit, consume.auto);
        self.takers.insert(slot, Taker { handle });
    }

    fn cancel(&mut self, slot: u8) -> Checked {
        let Some(taker) = self.takers.get(&slot) else {
            return Ok(());
        };
        let returned = taker.handle.cancel();
        self.takers.remove(&slot);
        self.transcript.event(|| format!("{returned} went back"));
        self.ledger.detached(slot, Some(returned))
    }

    fn tags(&self, slot: u8, mask: Mask) -> Vec<u64> {
        let held = self.ledger.held(slot).into_iter().enumerate();
        let taken = held.filter(|(index, _)| mask.takes(*index));
        taken.map(|(_, tag)| tag).collect()
    }

    fn judge(&mut self, slot: u8, tags: Vec<u64>, verdict: Verdict, quiet: bool) -> Checked {
        let (Some(engine), Some(taker)) = (self.engine.clone(), self.takers.get(&slot)) else {
            return Ok(());
        };
        if tags.is_empty() {
            return Ok(());
        }
        let command = judgement(taker.handle.id(), &tags, verdict);
        let (token, completion) = match quiet {
            true => (None, Completion::ignored()),
            false => {
                let (token, completion) = self.completion();
                (Some(token), completion)
            }
        };
        engine.submit(&Caller::system(), Batch::of(command), completion);
        if let Some(token) = token
            && let Some(error) = self.refusal(token)?
        {
            hold!(false, Answers, "c{slot} can't settle or return: {error}");
        }
        self.ledger.judged(token, slot, &tags, verdict);
        Ok(())
    }

    fn look(&mut self, topic: u8, sub: u8) -> Checked {
        if !self.ledger.has_sub(topic, sub) {
            return Ok(());
        }
        let is_calm = self.ledger.is_calm();
        if let Some(shown) = self.peek(topic, Some(sub))? {
            self.ledger.looked(topic, Some(sub), &shown, is_calm)?;
        }
        Ok(())
    }

    /// All that a subscription shows; `None` if the engine is gone or something can't be read.
    pub(super) fn peek(
        &mut self,
        topic: u8,
        sub: Option<u8>,
    ) -> Checked<Option<Vec<PeekedMessage>>> {
        self.peek_at(topic_name(topic), sub.map(sub_name))
    }

    /// The same by names; everything that is stored, if it is no subscription.
    pub(super) fn peek_at(
        &mut self,
        topic: TopicName,
        sub: Option<SubscriptionName>,
    ) -> Checked<Option<Vec<PeekedMessage>>> {
        let has_read_fault = self.disk.plan().fail_read.is_some();
        let (mut messages, mut from) = (Vec::new(), PeekFrom::Front);
        loop {
            let command = Admin::Peek {
                topic: topic.clone(),
                subscription: sub.clone(),
                limit: usize::MAX,
                from,
                filter: MessageFilter::default(),
            };
            match self.ask(command)? {
                Some(Ok(Outcome::Peeked(page))) => {
                    messages.extend(page.messages);
                    match page.next {
                        Some(next) => from = PeekFrom::After(next),
                        None => return Ok(Some(messages)),
                    }
                }
                Some(Err(error)) => {
                    self.transcript.event(|| format!("can't look: {error}"));
                    let is_allowed = has_read_fault || self.is_damaged;
                    hold!(
                        error.code() == ErrorCode::Unavailable && is_allowed,
                        Answers,
                        "a look was refused: {error}"
                    );
                    return Ok(None);
                }
                _ => return Ok(None),
            }
        }
    }
}

fn judgement(consumer: ConsumerId, tags: &[u64], verdict: Verdict) -> Command {
    let tags: SmallVec<[DeliveryTag; 4]> = tags.iter().copied().map(DeliveryTag).collect();
    match verdict {
        Verdict::Reject => Command::Nack {
            consumer,
            tags,
            requeue: false,
            delay: Duration::ZERO,
        },
        Verdict::Settle => Command::Ack { consumer, tags },
        Verdict::Return(delay) => Command::Nack {
            consumer,
            tags,
            requeue: true,
            delay: delay.unwrap_or_default(),
        },
        Verdict::Extend(by) => Command::Extend { consumer, tags, by },
    }
}
