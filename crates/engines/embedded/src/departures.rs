//! Dead letters on their way: bodies of what subscriptions gave up are read, and each is stored
//! in its dead-letter topic in one unit with its settlement.

use crate::{
    bodies::BodyAt,
    consumer::Body,
    outgoing::Outgoing,
    reader::{self, Job},
    shared::Shared,
    state::{Phase, State},
    submit::{Denied, urgency},
};
use std::mem;
use trunkline_journal::{Journal, Place};
use trunkline_model::{Error, StoredMessage, Timestamp};
use trunkline_queue::{Departure, Effects, KIND_DEFINE};

/// Most messages whose bodies are on their way from the disk at once.
const AT_ONCE: usize = 64;
/// Most bytes of them, but for a first one that is larger. The bodies themselves are in memory
/// one by one.
const BYTES_MAX: u64 = 16 << 20;

/// A message that leaves, and where its body is.
#[derive(Debug)]
pub(crate) struct Leaver {
    departure: Departure,
    body: Body,
}

/// How many leave at once, and whether they can.
#[derive(Debug, Default)]
pub(crate) struct Departures {
    /// Handed to the reader and not done with.
    under_way: usize,
    /// There was no space for a dead letter: nothing is tried until there is.
    halted: bool,
}

impl State {
    /// Whether something is on its way, or could be.
    pub(crate) fn has_departures(&self) -> bool {
        self.departures.under_way > 0 || self.departs_at_once()
    }

    /// Whether messages leave and nobody sees to them.
    pub(crate) fn departs_at_once(&self) -> bool {
        let Departures { under_way, halted } = self.departures;
        under_way == 0 && !halted && self.core.has_departures()
    }

    /// Has the bodies read of what leaves; without a journal they are here. Returns whether
    /// dead letters were stored.
    pub(crate) fn see_off(&mut self, now: Timestamp, out: &mut Outgoing) -> bool {
        if self.read_only.is_none() {
            self.departures.halted = false;
        }
        let (mut leavers, mut bytes) = (Vec::new(), 0);
        while !self.departures.halted
            && self.departures.under_way < AT_ONCE
            && (bytes == 0 || bytes < BYTES_MAX)
            && let Some(departure) = self.core.next_departure()
        {
            bytes += u64::from(departure.bytes);
            self.departures.under_way += 1;
            let body = self.pin(departure);
            leavers.push(Leaver { departure, body });
        }
        if leavers.is_empty() {
            return false;
        }
        if self.log.is_some() {
            out.reads.push(Job::Departures(leavers));
            return false;
        }
        for Leaver { departure, body } in leavers {
            // Nothing is admitted without a journal, so nothing is refused.
            self.bury(now, &departure, &body, out);
            self.departures.under_way -= 1;
        }
        true
    }

    fn pin(&mut self, departure: Departure) -> Body {
        match (BodyAt::of(departure.body), &mut self.log) {
            (BodyAt::Memory(slot), _) => match self.slab.get(slot) {
                Some(message) => Body::Held(message.clone()),
                None => Body::Broken(Error::internal()),
            },
            (BodyAt::Journal(place), Some(log)) => {
                log.live.pin(place);
                Body::At(place)
            }
            (BodyAt::Journal(_), None) => Body::Broken(Error::internal()),
        }
    }

    /// Stores a dead letter; true if that must be tried again once something was written.
    fn bury(
        &mut self,
        now: Timestamp,
        departure: &Departure,
        body: &Body,
        out: &mut Outgoing,
    ) -> bool {
        if !matches!(self.phase, Phase::Open) {
            return false;
        }
        let message = match body {
            Body::Held(message) => message,
            Body::Broken(error) => {
                self.park(departure, error);
                return false;
            }
            Body::At(_) => return false,
        };
        let cost = self.core.check_burial(now, departure, message);
        match self.admit(&cost, out) {
            Ok(()) => {
                let urgency = urgency(cost.durability, true);
                let mut effects = self.effects();
                let letter: StoredMessage = message.clone();
                self.core.bury(now, departure, letter, &mut effects);
                self.record_moved(&mut effects, now, urgency, out);
                self.recycle(effects);
                false
            }
            Err(Denied::Backlog) => true,
            Err(Denied::Error(error)) => {
                if self.read_only.is_some() {
                    tracing::debug!(%error, id = %departure.id, "a dead letter waits for space");
                    self.core.put_off(departure);
                    self.departures.halted = true;
                } else {
                    self.park(departure, &error);
                }
                false
            }
        }
    }

    /// Records what moves a message from one topic to another.
    pub(crate) fn record_moved(
        &mut self,
        effects: &mut Effects,
        now: Timestamp,
        urgency: trunkline_journal::Urgency,
        out: &mut Outgoing,
    ) {
        let puts = !effects.puts.is_empty();
        let defines = effects.log.iter().any(|(kind, _)| kind == KIND_DEFINE);
        if let Ok(Some(appended)) = self.record(effects, now, urgency, out)
            && let Some(log) = &mut self.log
        {
            log.note_growth(&appended, puts);
            if defines {
                log.note_definition(&appended);
            }
        }
    }

    fn park(&mut self, departure: &Departure, error: &Error) {
        tracing::error!(id = %departure.id, %error, "a dead letter can't be stored; its message stays where it is");
        self.core.park(departure);
    }

    /// A message that was to leave is done with.
    fn departed(&mut self, place: Option<Place>, now: Timestamp, out: &mut Outgoing) {
        self.departures.under_way -= 1;
        if let Some(place) = place {
            self.unpin(place);
        }
        self.pump(now, out);
    }
}

impl Shared {
    /// Reads what leaves, one after the other, and stores the dead letters.
    pub(crate) fn see_off(&self, leavers: Vec<Leaver>, journal: Option<&Journal>) {
        for Leaver {
            departure,
            mut body,
        } in leavers
        {
            let place = match body {
                Body::At(place) => Some(place),
                _ => None,
            };
            if let (Some(place), Some(journal)) = (place, journal) {
                let read = reader::fetch(journal, place);
                drop(mem::replace(&mut body, read));
            }
            while self.locked(|state, now, out| state.bury(now, &departure, &body, out)) {
                self.commit();
            }
            self.locked(|state, now, out| state.departed(place, now, out));
        }
    }
}
