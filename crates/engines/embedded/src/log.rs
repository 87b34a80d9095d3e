//! The journal, and what the engine remembers of what it appended.

use crate::{cleaning::Cleaning, leading::Leading, live::Live};
use std::{collections::VecDeque, sync::Arc};
use trunkline_journal::{
    Appended, Class, Group, Journal, Lsn, Place, RecordKind, Refused, Slot, Urgency, Watermarks,
};
use trunkline_model::{Durability, Timestamp};
use trunkline_queue::LogBuffer;

/// What must hold before something leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing.
    Nothing,
    /// The record is written: it survives the process.
    Written(Lsn),
    /// The record is durable: it survives a power loss.
    Synced(Lsn),
}

impl Needs {
    pub(crate) const fn of(durability: Durability, lsn: Lsn) -> Self {
        match durability {
            Durability::Memory => Self::Nothing,
            Durability::Interval => Self::Written(lsn),
            Durability::Commit => Self::Synced(lsn),
        }
    }

    pub(crate) fn met(self, marks: Watermarks) -> bool {
        match self {
            Self::Nothing => true,
            Self::Written(lsn) => lsn <= marks.written,
            Self::Synced(lsn) => lsn <= marks.synced,
        }
    }
}

/// Who writes what was appended.
#[derive(Debug)]
pub(crate) enum NextWriter {
    /// The writer thread, which is at it or knows already.
    Awake,
    /// The writer thread, which is to be woken.
    Woken(Arc<Journal>),
    /// The thread that appended.
    Leads(Arc<Journal>),
}

/// A group of records that holds puts and may not be durable yet.
#[derive(Clone, Copy, Debug)]
struct RecentPuts {
    base: Place,
    last: Lsn,
}

/// The journal's side of the engine's state. The one appender.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) journal: Arc<Journal>,
    pub(crate) live: Live,
    pub(crate) cleaning: Cleaning,
    pub(crate) leading: Leading,
    /// Bytes appended since the writer was to be woken, if it is.
    wakes: Option<usize>,
    /// What the command that runs was admitted with, in bytes.
    pub(crate) admitted: usize,
    /// The last record that somebody may have to wait for though he logged nothing himself:
    /// who repeats a publish waits for the first one.
    last_growth: Lsn,
    /// The last record of a definition: who finds what somebody else has just made waits for it.
    last_definition: Lsn,
    group: Group,
    slots: Vec<Slot>,
    recent_puts: VecDeque<RecentPuts>,
    reserved_bytes: u64,
    /// Where the last group went.
    pub(crate) newest_segment: u32,
}

/// Bytes kept for the acknowledgement of one waiting message in one subscription.
const RESERVE_PER_UNIT: u64 = 32;

impl Log {
    pub(crate) fn new(journal: Arc<Journal>, live: Live) -> Self {
        let newest_segment = journal.active_segment();
        Self {
            journal,
            live,
            cleaning: Cleaning::default(),
            leading: Leading::default(),
            wakes: None,
            admitted: 0,
            last_growth: Lsn::ZERO,
            last_definition: Lsn::ZERO,
            group: Group::new(),
            slots: Vec::new(),
            recent_puts: VecDeque::new(),
            reserved_bytes: 0,
            newest_segment,
        }
    }

    /// Keeps space for the acks of so many waiting messages × subscriptions, and for writing
    /// all definitions again.
    pub(crate) fn reserve(&mut self, units: u64) {
        let acks = units.saturating_mul(RESERVE_PER_UNIT);
        // The journal keeps four times as much, since acks may travel alone.
        let bytes = acks.saturating_add(self.cleaning.definition_bytes.div_ceil(4));
        if bytes != self.reserved_bytes {
            self.reserved_bytes = bytes;
            self.journal.set_reserve(bytes);
        }
    }

    /// See [`Journal::admit`].
    pub(crate) fn admit(&self, bytes: usize, class: Class) -> Result<(), Refused> {
        self.journal.admit(bytes, class)
    }

    /// Appends admitted records as one unit.
    pub(crate) fn append(
        &mut self,
        records: &LogBuffer,
        now: Timestamp,
        class: Class,
        urgency: Urgency,
    ) -> Result<Appended, Refused> {
        self.group.clear();
        self.slots.clear();
        for (kind, bytes) in records.iter() {
            let slot = self.group.push(RecordKind(kind), &[bytes]);
            let slot = slot.map_err(|error| Refused::TooLarge {
                bytes: error.bytes,
                max: self.journal.group_bytes_max(),
            })?;
            self.slots.push(slot);
        }
        debug_assert!(
            self.group.byte_len() <= self.admitted,
            "a command costs at most what its check said"
        );
        self.append_group(now, class, urgency)
    }

    /// Appends records in as many groups as they need, each admitted by itself. Returns the
    /// last record's LSN. After an error those before it are appended.
    pub(crate) fn append_all<'a>(
        &mut self,
        records: impl Iterator<Item = (u8, &'a [u8])>,
        class: Class,
        urgency: Urgency,
        now: Timestamp,
    ) -> Result<Lsn, Refused> {
        let max = self.journal.group_bytes_max();
        let mut last = Lsn::ZERO;
        self.group.clear();
        for (kind, bytes) in records {
            let length = Group::record_len(bytes.len());
            if self.group.byte_len() + length > max && !self.group.is_empty() {
                last = self.append_admitted(class, urgency, now)?;
            }
            if length > max || self.group.push(RecordKind(kind), &[bytes]).is_err() {
                return Err(Refused::TooLarge { bytes: length, max });
            }
        }
        if !self.group.is_empty() {
            last = self.append_admitted(class, urgency, now)?;
        }
        Ok(last)
    }

    fn append_admitted(
        &mut self,
        class: Class,
        urgency: Urgency,
        now: Timestamp,
    ) -> Result<Lsn, Refused> {
        self.admit(self.group.byte_len(), class)?;
        let appended = self.append_group(now, class, urgency)?;
        self.group.clear();
        Ok(appended.last_lsn)
    }

    fn append_group(
        &mut self,
        now: Timestamp,
        class: Class,
        urgency: Urgency,
    ) -> Result<Appended, Refused> {
        let now = now.as_micros();
        let (appended, wakes) = match class {
            Class::Compaction => self.journal.append_copies(&self.group, now, urgency)?,
            _ => self.journal.append_quietly(&self.group, now, urgency)?,
        };
        if wakes || self.wakes.is_some() {
            let bytes = self.wakes.unwrap_or_default() + self.group.byte_len();
            self.wakes = Some(bytes);
        }
        if appended.base != Place::NONE {
            self.newest_segment = appended.base.segment();
        }
        Ok(appended)
    }

    /// Who writes what was appended under this lock, if somebody must see to that; `may_lead`
    /// if the thread that asks has the time.
    pub(crate) fn next_writer(&mut self, now: Timestamp, may_lead: bool) -> NextWriter {
        match self.wakes.take() {
            None => NextWriter::Awake,
            Some(bytes) if may_lead && self.leading.leads(now, bytes) => {
                NextWriter::Leads(self.journal.clone())
            }
            Some(_) => NextWriter::Woken(self.journal.clone()),
        }
    }

    /// The place of record `index` of the group that was just appended.
    pub(crate) fn place(&self, appended: &Appended, index: usize) -> Place {
        appended.place(self.slots[index])
    }

    /// The group that was just appended makes the store grow.
    pub(crate) fn note_growth(&mut self, appended: &Appended, puts: bool) {
        self.last_growth = appended.last_lsn;
        if puts {
            self.recent_puts.push_back(RecentPuts {
                base: appended.base,
                last: appended.last_lsn,
            });
        }
    }

    /// The group that was just appended makes, changes or removes something.
    pub(crate) fn note_definition(&mut self, appended: &Appended) {
        self.note_growth(appended, false);
        self.last_definition = appended.last_lsn;
    }

    /// What must hold before somebody is told that something is there, or gone: definitions
    /// are as durable as anything gets, whoever made them.
    pub(crate) fn needs_of_definitions(&self) -> Needs {
        Needs::Synced(self.last_definition)
    }

    /// What must hold before what was decided so far is confirmed.
    pub(crate) fn needs_of_growth(&self, durability: Durability) -> Needs {
        Needs::of(durability, self.last_growth)
    }

    /// What must hold before the body at a place leaves. Places are ordered like the log,
    /// so the group that holds it is the last one that starts at or before it; a place
    /// before all of them is durable.
    pub(crate) fn needs_of(&self, place: Place, durability: Durability) -> Needs {
        let after = self.recent_puts.partition_point(|puts| puts.base <= place);
        match after.checked_sub(1) {
            Some(index) => Needs::of(durability, self.recent_puts[index].last),
            None => Needs::Nothing,
        }
    }

    /// The watermarks, after forgetting the puts that are durable.
    pub(crate) fn settle(&mut self) -> Watermarks {
        let marks = self.journal.watermarks();
        while let Some(puts) = self.recent_puts.front()
            && puts.last <= marks.synced
        {
            self.recent_puts.pop_front();
        }
        marks
    }
}
