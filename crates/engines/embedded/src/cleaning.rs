//! What is to be done at the front of the log, and the parts of it that need the lock.
//!
//! Segments are freed oldest first, and this brings nothing back. Whatever settles, drops or
//! undefines something lies in the log after what it cancels, so a segment with a
//! cancellation never goes before the one with what it cancels; and a cancellation without
//! its object means nothing to replay. What else a segment may hold that is needed is copied
//! to the end of the log first: definitions, and, if the log is long for what is alive in
//! it, the messages that are still stored. Everything that was appended when that was
//! decided is durable before the first file goes: see `docs/journal-format.md`.

use crate::{
    bodies::BodyAt,
    log::Log,
    state::{Phase, State},
};
use trunkline_journal::{Class, Group, Place, Refused, Urgency};
use trunkline_model::Timestamp;
use trunkline_queue::{Defined, Effects};

/// Records are copied in groups of about this size, in bytes: the lock is held for one.
pub(crate) const PIECE_BYTES: usize = 128 << 10;

/// Freed bytes that are worth one byte of definitions. Definitions may be longer than a
/// segment; were it less, the segments that they fill would be reason enough to write them
/// again.
const WORTH: u64 = 4;

/// The log is compacted once its full segments are longer than so many quarters of what is
/// alive, and one segment; and without rest once they are longer than so many, and no segment
/// beside: the copies of the oldest one take a segment before it is freed.
const QUARTERS_START: u64 = 7;
const QUARTERS_URGENT: u64 = 9;
/// On a full disk.
const QUARTERS_FULL: u64 = 4;

/// What a copy may have on top of what it copies, for each message, in bytes: where it stands
/// is said more exactly.
const COPY_EXCESS: u64 = 32;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    Nothing,
    /// Nothing in the segments before this one is needed once all that was appended is
    /// durable.
    Free {
        before: u32,
    },
    /// Find out what writing all definitions again takes.
    Weigh,
    /// Write all definitions again.
    Define,
    /// Copy what is alive in the oldest segment.
    Copy {
        segment: u32,
    },
}

/// What is remembered between two looks at the front of the log.
#[derive(Debug, Default)]
pub(crate) struct Cleaning {
    /// What all definitions take, in bytes, as of the last time they were counted.
    pub(crate) definition_bytes: u64,
    /// They were counted for the next time that they are written.
    weighed: bool,
    /// No definition in a segment before this one is needed.
    defined_from: u32,
    /// What was tried failed while this was the newest segment.
    gave_up: Option<u32>,
    /// A segment that can't be read.
    unreadable: Option<u32>,
    /// The newest segment and the oldest with something alive, at the last look.
    looked_at: (u32, Option<u32>),
    /// There is no time to rest.
    pub(crate) is_urgent: bool,
}

impl Cleaning {
    /// What failed for lack of space may be possible by now.
    pub(crate) fn try_again(&mut self) {
        self.gave_up = None;
        self.weighed = false;
    }

    /// All definitions take so many bytes.
    pub(crate) fn weighed(&mut self, bytes: u64) {
        self.definition_bytes = bytes;
        self.weighed = true;
    }

    /// All definitions were logged again from this segment on.
    pub(crate) fn defined(&mut self, from: u32, bytes: u64) {
        self.defined_from = from;
        self.definition_bytes = bytes;
        self.weighed = false;
    }

    /// This segment is kept as it is, and with it all that follow.
    pub(crate) fn cannot_read(&mut self, segment: u32) {
        self.unreadable = Some(segment);
    }

    /// The segment that is kept as it is because it can't be read.
    pub(crate) fn unreadable(&self) -> Option<u32> {
        self.unreadable
    }
}

impl Log {
    /// Whether a look at the front of the log is worth it. Cheap.
    pub(crate) fn is_cleaning_due(&self) -> bool {
        let step = u64::from(self.journal.segment_bytes()) / 4;
        self.cleaning.looked_at != (self.newest_segment, self.live.oldest())
            || self.live.freed() >= step
    }

    /// What was planned can't be done before the log has grown.
    pub(crate) fn give_up(&mut self) {
        self.cleaning.gave_up = Some(self.newest_segment);
    }

    /// Looks at the front of the log.
    pub(crate) fn plan(&mut self, is_full: bool) -> Plan {
        let newest = self.newest_segment;
        self.live.looked();
        self.cleaning.looked_at = (newest, self.live.oldest());
        // A copy of the store that is being read keeps all segments.
        if self.cleaning.gave_up == Some(newest) || self.journal.is_pinned() {
            return Plan::Nothing;
        }
        let oldest = self.journal.oldest_segment();
        if self.cleaning.unreadable.is_some_and(|it| it < oldest) {
            self.cleaning.unreadable = None;
        }
        let alive = self.live.oldest().unwrap_or(newest).min(newest);
        let before = alive.min(self.cleaning.defined_from);
        if before > oldest {
            return Plan::Free { before };
        }
        let is_long = self.is_long(is_full);
        let segment = u64::from(self.journal.segment_bytes());
        if alive > oldest {
            let dead = u64::from(alive - oldest) * segment;
            let definitions = self.cleaning.definition_bytes;
            // On a full disk, whatever makes space is worth it; but there is one segment to
            // write to.
            let is_worth_it = match is_full {
                true => definitions <= dead.min(segment),
                false => is_long || definitions.saturating_mul(WORTH) <= dead,
            };
            return match (self.cleaning.weighed, is_worth_it) {
                (false, _) => Plan::Weigh,
                (true, true) => Plan::Define,
                (true, false) => Plan::Nothing,
            };
        }
        let (bodies, bytes) = self.live.of(oldest);
        let is_possible = bodies > 0
            && self.cleaning.unreadable != Some(oldest)
            && (!is_full || self.has_room(oldest, bodies, bytes));
        match oldest < newest && is_long && is_possible {
            true => Plan::Copy { segment: oldest },
            false => Plan::Nothing,
        }
    }

    /// Whether there is so much in the log that is not alive that compacting is worth it.
    fn is_long(&mut self, is_full: bool) -> bool {
        let segments = self.journal.segments().into_iter();
        let before_end = segments.filter(|info| info.segment < self.newest_segment);
        let full: u64 = before_end.map(|info| u64::from(info.bytes)).sum();
        let alive = self.live.bytes() + self.cleaning.definition_bytes;
        let segment = u64::from(self.journal.segment_bytes());
        let quarters = |count: u64| alive / 4 * count;
        self.cleaning.is_urgent = is_full || full > quarters(QUARTERS_URGENT);
        let start = match is_full {
            true => QUARTERS_FULL,
            false => QUARTERS_START,
        };
        full > quarters(start) + segment
    }

    /// Whether there is space to copy what is alive in a segment, and what else it takes to
    /// free that.
    fn has_room(&self, segment: u32, bodies: u64, bytes: u64) -> bool {
        let definitions = match self.cleaning.defined_from > segment {
            true => 0,
            false => self.cleaning.definition_bytes,
        };
        let copies = bytes + bytes / 64 + bodies * COPY_EXCESS;
        self.journal.make_room(copies + definitions)
    }
}

/// Put records that were read from a segment.
#[derive(Debug, Default)]
pub(crate) struct Puts {
    pub(crate) bytes: Vec<u8>,
    pub(crate) list: Vec<PutAt>,
}

/// One of [`Puts`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct PutAt {
    pub(crate) place: Place,
    pub(crate) topic: u32,
    pub(crate) sequence: u64,
    /// Of its record in the bytes.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl State {
    /// What comes next at the front of the log.
    pub(crate) fn plan_cleaning(&mut self) -> Plan {
        let is_full = self.read_only.is_some();
        match (&self.phase, &mut self.log) {
            (Phase::Open, Some(log)) => log.plan(is_full),
            _ => Plan::Nothing,
        }
    }

    /// Counts a part of the definitions: its bytes, and whether it was the last.
    pub(crate) fn weigh_some(&mut self, from: &mut Defined) -> (u64, bool) {
        let mut effects = self.effects();
        let is_done = self.core.define_again(from, PIECE_BYTES, &mut effects);
        let bytes = framed_len(&effects) as u64;
        self.recycle(effects);
        (bytes, is_done)
    }

    /// Logs a part of the definitions again: its bytes, and whether it was the last.
    ///
    /// # Errors
    /// There is no space for it, or no log any more. `from` is where it was.
    pub(crate) fn define_some(
        &mut self,
        from: &mut Defined,
        now: Timestamp,
    ) -> Result<(u64, bool), Refused> {
        let mut effects = self.effects();
        let mut to = *from;
        let is_done = self
            .core
            .define_again(&mut to, self.piece_bytes(), &mut effects);
        let bytes = framed_len(&effects) as u64;
        let (class, urgency) = (Class::Compaction, Urgency::Lazy);
        let appended = match &mut self.log {
            Some(log) => log.append_all(effects.log.iter(), class, urgency, now),
            None => Err(Refused::Closed),
        };
        self.recycle(effects);
        appended?;
        *from = to;
        Ok((bytes, is_done))
    }

    /// Logs those messages again that are still stored where they were read, from `next` on,
    /// as many as fit a piece; returns where it goes on. What became of a message since it
    /// was read is known here: nothing can happen to it before it has its new place.
    ///
    /// # Errors
    /// There is no space for it, or no log any more. Nothing has changed.
    pub(crate) fn copy_some(
        &mut self,
        puts: &Puts,
        mut next: usize,
        now: Timestamp,
    ) -> Result<usize, Refused> {
        let mut effects = self.effects();
        let full = self.piece_bytes();
        let mut moved = Vec::new();
        while let Some(put) = puts.list.get(next) {
            let record = &puts.bytes[put.start..put.end];
            if !effects.log.is_empty() && effects.log.byte_len() + record.len() > full {
                break;
            }
            let body = BodyAt::Journal(put.place).body_ref();
            let (topic, sequence) = (put.topic, put.sequence);
            if self.core.copy(topic, sequence, record, body, &mut effects) {
                moved.push(put.place);
            }
            next += 1;
        }
        let appended = match moved.is_empty() {
            true => Ok(()),
            false => self.append_copies(&mut effects, &moved, now),
        };
        self.recycle(effects);
        appended.map(|()| next)
    }

    fn append_copies(
        &mut self,
        effects: &mut Effects,
        moved: &[Place],
        now: Timestamp,
    ) -> Result<(), Refused> {
        let log = self.log.as_mut().ok_or(Refused::Closed)?;
        let bytes = framed_len(effects);
        log.admit(bytes, Class::Compaction)?;
        log.admitted = bytes;
        let appended = log.append(&effects.log, now, Class::Compaction, Urgency::Lazy)?;
        for ((put, index), old) in effects.puts.drain(..).zip(moved) {
            let place = log.place(&appended, index);
            let payload = self.core.set_body(put, BodyAt::Journal(place).body_ref());
            let record = Group::record_len(effects.log.record_len(index));
            log.live.put(place, payload, record);
            log.live.free(*old, payload);
        }
        Ok(())
    }

    /// How much is copied at once: little of a segment, so that little of its end is wasted.
    pub(crate) fn piece_bytes(&self) -> usize {
        let segment = self.log.as_ref().map(|log| log.journal.segment_bytes());
        segment.map_or(PIECE_BYTES, |bytes| PIECE_BYTES.min(bytes as usize / 16))
    }
}

fn framed_len(effects: &Effects) -> usize {
    effects.log.byte_len() + effects.log.len() * Group::record_len(0)
}
