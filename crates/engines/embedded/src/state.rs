//! What the engine's one lock holds, and how the effects of the state machine are carried
//! out: logged, given bodies, queued for consumers.

use crate::{
    bodies::{BodyAt, Slab},
    consumer::{Body, Consumer, Stop},
    departures::Departures,
    error::{poisoned, refusal},
    log::{Log, Needs},
    outgoing::Outgoing,
    reader::{self, Job},
    waits::{WaitList, Waiting},
};
use hashbrown::HashMap;
use std::mem;
use trunkline_journal::{Appended, Class, Group, Place, Poison, Urgency, Watermarks};
use trunkline_model::{ConsumerId, Delivery, Error, Health, Timestamp};
use trunkline_queue::{Core, Effects, KIND_DELIVER, KIND_RETURN, LogBuffer};

/// Whether commands are taken.
#[derive(Debug)]
pub(crate) enum Phase {
    /// They are.
    Open,
    /// The journal failed: every command gets this.
    Failed(Error),
    /// The engine closes or is closed.
    Closing,
}

/// Everything that commands change.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) core: Core,
    /// `None` for `memory:`, and after closing.
    pub(crate) log: Option<Log>,
    pub(crate) slab: Slab,
    pub(crate) consumers: HashMap<ConsumerId, Consumer>,
    pub(crate) waits: WaitList,
    pub(crate) phase: Phase,
    /// Why publishes are refused for now.
    pub(crate) read_only: Option<String>,
    /// Consumers whose front delivery is not durable yet.
    pub(crate) listed: Vec<ConsumerId>,
    pub(crate) last_consumer: u64,
    pub(crate) departures: Departures,
    /// A window has room again, and nobody has looked who can use it.
    pub(crate) has_room: bool,
    /// Reused by every command; boxed, since it changes hands twice in each.
    effects: Option<Box<Effects>>,
    ready: Vec<Delivery>,
    touched: Vec<ConsumerId>,
}

impl State {
    pub(crate) fn new(core: Core, log: Option<Log>) -> Self {
        Self {
            core,
            log,
            slab: Slab::default(),
            consumers: HashMap::new(),
            waits: WaitList::default(),
            phase: Phase::Open,
            read_only: None,
            listed: Vec::new(),
            last_consumer: 0,
            departures: Departures::default(),
            has_room: false,
            effects: None,
            ready: Vec::new(),
            touched: Vec::new(),
        }
    }

    /// Whether a command is taken.
    pub(crate) fn serves(&self) -> Result<(), Error> {
        match &self.phase {
            Phase::Open => Ok(()),
            Phase::Failed(error) => Err(error.clone()),
            Phase::Closing => Err(Error::shutting_down()),
        }
    }

    /// What the phase looks like from outside.
    pub(crate) fn health(&self) -> Health {
        match (&self.phase, &self.read_only) {
            (Phase::Failed(error), _) => Health::Failed(error.message().to_owned()),
            // `Closed` is said when the store is let go of.
            (Phase::Closing, _) => Health::ReadOnly("the engine is closing".to_owned()),
            (Phase::Open, Some(reason)) => Health::ReadOnly(reason.clone()),
            (Phase::Open, None) => match self.unreadable() {
                Some(segment) => Health::Degraded(format!(
                    "segment {segment} of the log can't be read to compact it: the log grows until every message in it is settled; stop the server and run: trunkline journal verify DIR"
                )),
                None => Health::Ready,
            },
        }
    }

    /// A segment that can't be compacted since it can't be read.
    fn unreadable(&self) -> Option<u32> {
        self.log.as_ref()?.cleaning.unreadable()
    }

    /// A number that changes with [`State::health`]: cheap to compare.
    pub(crate) fn mood(&self) -> u8 {
        match (&self.phase, &self.read_only) {
            (Phase::Open, None) if self.unreadable().is_none() => 0,
            (Phase::Open, None) => 4,
            (Phase::Open, Some(_)) => 1,
            (Phase::Failed(_), _) => 2,
            (Phase::Closing, _) => 3,
        }
    }

    /// A command comes.
    pub(crate) fn note_command(&mut self) {
        if let Some(log) = &mut self.log {
            log.leading.command();
        }
    }

    /// Empty effects, whose memory is used again: see [`State::recycle`].
    pub(crate) fn effects(&mut self) -> Box<Effects> {
        let mut effects = self.effects.take().unwrap_or_default();
        effects.clear();
        effects
    }

    /// Gives effects back.
    pub(crate) fn recycle(&mut self, effects: Box<Effects>) {
        self.effects = Some(effects);
    }

    /// How far the journal is.
    pub(crate) fn marks(&self) -> Watermarks {
        let log = self.log.as_ref();
        log.map_or(Watermarks::default(), |log| log.journal.watermarks())
    }

    /// Carries out what a command that was checked and admitted decided: one group in the
    /// log, bodies for what was put. Returns where it is in the log, if anything is.
    ///
    /// # Errors
    /// The journal refuses although it had admitted: the state is ahead of the log, so the
    /// engine has failed.
    pub(crate) fn record(
        &mut self,
        effects: &mut Effects,
        now: Timestamp,
        urgency: Urgency,
        out: &mut Outgoing,
    ) -> Result<Option<Appended>, Error> {
        let mut appended = None;
        if !effects.log.is_empty()
            && let Some(log) = &mut self.log
        {
            match log.append(&effects.log, now, Class::Growth, urgency) {
                Ok(group) => appended = Some(group),
                Err(refused) => {
                    let error = refusal(&refused);
                    self.fail(error.clone(), out);
                    return Err(error);
                }
            }
        }
        self.keep_bodies(effects, appended);
        self.free_and_end(effects, out);
        Ok(appended)
    }

    fn keep_bodies(&mut self, effects: &mut Effects, appended: Option<Appended>) {
        if let (Some(log), Some(appended)) = (&mut self.log, appended) {
            for (put, index) in effects.puts.drain(..) {
                let place = log.place(&appended, index);
                let payload = self.core.set_body(put, BodyAt::Journal(place).body_ref());
                let record = Group::record_len(effects.log.record_len(index));
                log.live.put(place, payload, record);
            }
        }
        debug_assert!(
            effects.puts.is_empty(),
            "without a journal every topic is a memory topic"
        );
        for (put, message) in effects.memory_puts.drain(..) {
            let body = self.slab.insert(message);
            self.core.set_body(put, body);
        }
    }

    /// Lets bodies go that nobody needs, and ends consumers whose subscription is gone.
    fn free_and_end(&mut self, effects: &mut Effects, out: &mut Outgoing) {
        for (body, payload) in effects.freed.drain(..) {
            match (BodyAt::of(body), &mut self.log) {
                (BodyAt::Memory(slot), _) => self.slab.remove(slot),
                (BodyAt::Journal(place), Some(log)) => log.live.free(place, payload),
                (BodyAt::Journal(_), None) => {}
            }
        }
        for (consumer, reason) in effects.ended.drain(..) {
            if let Some(consumer) = self.remove_consumer(consumer) {
                consumer.outbox.leave_end(reason);
                out.flush(&consumer.outbox);
            }
        }
    }

    /// Carries out what was decided without a command that somebody waits for: deliveries,
    /// returns, expiry.
    pub(crate) fn record_lazily(
        &mut self,
        effects: &mut Effects,
        now: Timestamp,
        out: &mut Outgoing,
    ) {
        let failed = self
            .log
            .as_mut()
            .and_then(|log| append_lazily(log, &effects.log, now));
        self.free_and_end(effects, out);
        if let Some(poison) = failed {
            self.fail(poisoned(&poison), out);
        }
    }

    /// Decides deliveries for all that changed, and sends off those that can leave. After a
    /// failure of the journal there is nobody to send to.
    pub(crate) fn pump(&mut self, now: Timestamp, out: &mut Outgoing) {
        if !matches!(self.phase, Phase::Open) {
            return;
        }
        self.pump_once(now, out);
        // Deliveries that expired on the way made room for others.
        while mem::take(&mut self.has_room) && matches!(self.phase, Phase::Open) {
            self.pump_once(now, out);
        }
        if self.core.has_departures() && self.see_off(now, out) {
            self.pump_once(now, out);
        }
    }

    fn pump_once(&mut self, now: Timestamp, out: &mut Outgoing) {
        let mut effects = self.effects();
        self.core.pump(now, &mut effects);
        self.queue_deliveries(&mut effects);
        self.record_lazily(&mut effects, now, out);
        self.recycle(effects);
        let mut touched = mem::take(&mut self.touched);
        for consumer in touched.drain(..) {
            self.advance(consumer, now, out);
        }
        self.touched = touched;
    }

    /// Before anything is freed: a delivery that settles itself frees its body at once.
    fn queue_deliveries(&mut self, effects: &mut Effects) {
        for deliver in effects.deliveries.drain(..) {
            let id = deliver.consumer;
            let Some(consumer) = self.consumers.get_mut(&id) else {
                debug_assert!(false, "the core delivers to attached consumers only");
                continue;
            };
            let (needs, body) = match (BodyAt::of(deliver.body), &mut self.log) {
                (BodyAt::Memory(slot), _) => match self.slab.get(slot) {
                    Some(message) => (Needs::Nothing, Body::Held(message.clone())),
                    None => (Needs::Nothing, Body::Broken(Error::internal())),
                },
                (BodyAt::Journal(place), Some(log)) => {
                    log.live.pin(place);
                    (log.needs_of(place, deliver.durability), Body::At(place))
                }
                (BodyAt::Journal(_), None) => (Needs::Nothing, Body::Broken(Error::internal())),
            };
            consumer.add(deliver, needs, body);
            if self.touched.last() != Some(&id) {
                self.touched.push(id);
            }
        }
    }

    /// Sends off what can leave for a consumer.
    pub(crate) fn advance(&mut self, id: ConsumerId, now: Timestamp, out: &mut Outgoing) {
        let marks = self.marks();
        let Some(consumer) = self.consumers.get_mut(&id) else {
            return;
        };
        let fetch = |place: Place| {
            let log = self.log.as_mut()?;
            let record = log.journal.try_read(place)?;
            log.live.unpin(place);
            Some(reader::body(record))
        };
        let holdings = self.core.holdings(id);
        let stands = |tag| holdings.is_some_and(|holdings| holdings.stands(tag));
        let stop = consumer.take_ready(marks, now, stands, fetch, &mut self.ready);
        match mem::take(&mut consumer.over) {
            0 => {}
            bytes => {
                self.core.taken(id, bytes);
                self.has_room = true;
            }
        }
        if !self.ready.is_empty() {
            consumer.outbox.leave(self.ready.drain(..));
            out.flush(&consumer.outbox);
        }
        match stop {
            Stop::Nothing => {}
            Stop::Durability => {
                if !mem::replace(&mut consumer.listed, true) {
                    self.listed.push(id);
                }
            }
            Stop::Read(places) => {
                consumer.reading = true;
                out.reads.push(Job::Deliveries {
                    consumer: id,
                    places,
                });
            }
            Stop::Broken(error) => self.break_consumer(id, error, now, out),
        }
    }

    /// A body can't be read: said to the one who should get it, never skipped. What it held
    /// goes back, so that nothing is lost if the disk recovers.
    fn break_consumer(&mut self, id: ConsumerId, error: Error, now: Timestamp, out: &mut Outgoing) {
        tracing::error!(consumer = %id, %error, "a message can't be read; its consumer ends");
        if let Some(consumer) = self.remove_consumer(id) {
            consumer.outbox.leave_end(error);
            out.flush(&consumer.outbox);
        }
        let mut effects = self.effects();
        self.core.detach(now, id, &mut effects);
        self.record_lazily(&mut effects, now, out);
        self.recycle(effects);
    }

    /// Bodies have come from the disk, in the order in which they were asked for.
    pub(crate) fn loaded(
        &mut self,
        id: ConsumerId,
        bodies: Vec<Body>,
        now: Timestamp,
        out: &mut Outgoing,
    ) {
        let Some(consumer) = self.consumers.get_mut(&id) else {
            return;
        };
        consumer.reading = false;
        let mut places = Vec::with_capacity(bodies.len());
        for (pending, body) in consumer.pending.iter_mut().zip(bodies) {
            if let Body::At(place) = mem::replace(&mut pending.body, body) {
                places.push(place);
            }
        }
        for place in places {
            self.unpin(place);
        }
        self.advance(id, now, out);
        if self.has_room {
            self.pump(now, out);
        }
    }

    /// Forgets a consumer and what was on its way to it.
    pub(crate) fn remove_consumer(&mut self, id: ConsumerId) -> Option<Consumer> {
        let consumer = self.consumers.remove(&id)?;
        for place in consumer.places() {
            self.unpin(place);
        }
        Some(consumer)
    }

    /// One less needs the body at a place.
    pub(crate) fn unpin(&mut self, place: Place) {
        if let Some(log) = &mut self.log {
            log.live.unpin(place);
        }
    }

    /// The journal failed: nothing that waits for it will ever be confirmed, and nothing
    /// more leaves.
    pub(crate) fn fail(&mut self, error: Error, out: &mut Outgoing) {
        if !matches!(self.phase, Phase::Open) {
            return;
        }
        tracing::error!(%error, "the engine stops");
        self.phase = Phase::Failed(error.clone());
        self.refuse_waiting(&error, out);
        self.end_consumers(&error, out);
    }

    /// Answers everything that waits with an error.
    pub(crate) fn refuse_waiting(&mut self, error: &Error, out: &mut Outgoing) {
        for waiting in self.waits.take_all() {
            match waiting {
                Waiting::Answer(completion, _) => out.answer(completion, Err(error.clone())),
                Waiting::Look(look) => out.answer(look.completion, Err(error.clone())),
                // Its outbox learns it with the others.
                Waiting::Start(..) => {}
            }
        }
    }

    /// Ends every consumer.
    pub(crate) fn end_consumers(&mut self, reason: &Error, out: &mut Outgoing) {
        let mut ids: Vec<ConsumerId> = self.consumers.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            if let Some(consumer) = self.remove_consumer(id) {
                consumer.outbox.leave_end(reason.clone());
                out.flush(&consumer.outbox);
            }
        }
    }
}

/// Appends records that nobody waits for. When there is no space for what grows, only those
/// that let the store shrink are written: attempts then resume from the last one that was.
/// Returns the poison if the journal has failed.
fn append_lazily(log: &mut Log, records: &LogBuffer, now: Timestamp) -> Option<Poison> {
    if records.is_empty() {
        return None;
    }
    let all = records.iter();
    if log
        .append_all(all, Class::Growth, Urgency::Lazy, now)
        .is_ok()
    {
        return None;
    }
    let settling = records
        .iter()
        .filter(|(kind, _)| !matches!(*kind, KIND_DELIVER | KIND_RETURN));
    if let Err(refused) = log.append_all(settling, Class::Reserve, Urgency::Lazy, now) {
        tracing::warn!(%refused, "returned and expired deliveries are not written");
    }
    log.journal.poison()
}
