//! The growing end of the log, in memory: where the next group goes, and what waits to be written. No I/O.

use std::collections::VecDeque;

use bytes::BytesMut;

use crate::config::{Class, Urgency};
use crate::format::{BATCH_BYTES_MAX, BATCH_HEADER, SEGMENT_DATA, framed};
use crate::group::Group;
use crate::lsn::{Lsn, Place, RecordKind};
use crate::recent::locate;

/// Buffers that wait for the next batch; more are given back to the allocator.
const SPARE_BUFFERS_MAX: usize = 8;
const BUFFER_BYTES_MIN: usize = 4 << 10;
const BUFFER_BYTES_MAX: usize = 1 << 20;
/// A lone small record takes a frame of its own: 64 bytes of header and up to 64 of body for 32 bytes of reserve.
const RESERVE_FACTOR: u64 = 4;

/// A batch that waits to be written.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) place: Place,
    pub(crate) body: BytesMut,
    pub(crate) count: u32,
    pub(crate) first_lsn: Lsn,
    pub(crate) now: u64,
    pub(crate) closing: bool,
}

impl Pending {
    fn end(&self) -> u32 {
        self.place.offset() + framed(self.body.len() as u32)
    }
}

/// A segment that the log will go to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) number: u32,
    pub(crate) bytes: u32,
}

impl Ready {
    fn usable(self) -> u64 {
        u64::from(self.bytes - SEGMENT_DATA)
    }
}

/// Where an append landed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Landed {
    pub(crate) first_lsn: Lsn,
    pub(crate) base: Place,
}

/// The end of the log and what waits there. One appender at a time.
#[derive(Debug)]
pub(crate) struct Tail {
    segment: Ready,
    /// End of the last batch in the segment, waiting ones included.
    end: u32,
    ready: VecDeque<Ready>,
    next_lsn: Lsn,
    pending: Vec<Pending>,
    waiting: Option<Urgency>,
    last_now: u64,
    reserve: u64,
    /// Of the segment that is kept for compaction, so much was used.
    copied: u64,
    /// What a whole new segment holds.
    segment_usable: u64,
    spare_buffers: Vec<BytesMut>,
    buffer_bytes: usize,
    pub(crate) closed: bool,
    /// The writer thread sleeps and wants to be woken by the next append that changes what it waits for.
    pub(crate) writer_sleeps: bool,
    /// The writer thread is to end.
    pub(crate) writer_stops: bool,
}

impl Tail {
    pub(crate) fn new(
        segment: Ready,
        end: u32,
        ready: VecDeque<Ready>,
        next_lsn: Lsn,
        last_now: u64,
        segment_bytes: u32,
    ) -> Self {
        Self {
            segment,
            end,
            ready,
            next_lsn,
            pending: Vec::new(),
            waiting: None,
            last_now,
            reserve: 0,
            copied: 0,
            segment_usable: u64::from(segment_bytes - SEGMENT_DATA),
            spare_buffers: Vec::new(),
            buffer_bytes: BUFFER_BYTES_MIN,
            closed: false,
            writer_sleeps: false,
            writer_stops: false,
        }
    }

    /// Whether a group of `bytes` may be appended without taking what `class` must leave.
    pub(crate) fn admits(&self, bytes: usize, class: Class) -> bool {
        let leave = match class {
            Class::Growth => self
                .segment_usable
                .saturating_add(self.reserve.saturating_mul(RESERVE_FACTOR)),
            Class::Reserve => self.segment_usable.saturating_sub(self.copied),
            Class::Compaction => 0,
        };
        self.space_after(bytes).is_some_and(|left| left >= leave)
    }

    /// What can still be appended after a group of `bytes`, in bytes; `None` if the group itself has no space.
    fn space_after(&self, bytes: usize) -> Option<u64> {
        let frame = u64::from(framed(bytes as u32));
        let here = u64::from(self.segment.bytes - self.end);
        let ready: u64 = self.ready.iter().map(|ready| ready.usable()).sum();
        if frame <= here {
            return Some(here - frame + ready);
        }
        let next = self.ready.front()?.usable();
        (frame <= next).then(|| ready - frame)
    }

    /// What can still be appended, in bytes, frames included.
    pub(crate) fn room(&self) -> u64 {
        let ready: u64 = self.ready.iter().map(|ready| ready.usable()).sum();
        u64::from(self.segment.bytes - self.end) + ready
    }

    /// Appends; `None` if there is no space, which [`Tail::admits`] excludes.
    pub(crate) fn append(&mut self, group: &Group, now: u64, urgency: Urgency) -> Option<Landed> {
        let len = group.byte_len() as u32;
        if self.open_batch(len).is_none() {
            let place = self.allocate(framed(len))?;
            self.start(place, now, false);
        }
        let first_lsn = self.next_lsn;
        self.next_lsn = Lsn(first_lsn.0 + group.len() as u64);
        self.last_now = self.last_now.max(now);
        self.waiting = self.waiting.max(Some(urgency));
        let batch = self.pending.last_mut().expect("a batch is open");
        let base = batch.place.advance(BATCH_HEADER + batch.body.len() as u32);
        batch.body.extend_from_slice(group.bytes());
        batch.count += group.len() as u32;
        batch.now = batch.now.max(now);
        self.end = batch.end();
        Some(Landed { first_lsn, base })
    }

    /// Appends the batch of a clean stop, if there is space for it.
    pub(crate) fn append_closing(&mut self) {
        if let Some(place) = self.allocate(framed(0)) {
            self.start(place, self.last_now, true);
            self.end = place.offset() + framed(0);
        }
    }

    /// The last batch, if `len` more bytes may join it.
    fn open_batch(&self, len: u32) -> Option<&Pending> {
        let batch = self.pending.last()?;
        let frame = framed(batch.body.len() as u32 + len);
        (frame <= BATCH_BYTES_MAX && batch.place.offset() + frame <= self.segment.bytes)
            .then_some(batch)
    }

    /// The place of a new batch that takes `frame` bytes.
    fn allocate(&mut self, frame: u32) -> Option<Place> {
        if frame > self.segment.bytes - self.end {
            self.ready
                .front()
                .filter(|next| u64::from(frame) <= next.usable())?;
            self.segment = self.ready.pop_front()?;
            self.end = SEGMENT_DATA;
        }
        Some(Place::new(self.segment.number, self.end))
    }

    fn start(&mut self, place: Place, now: u64, closing: bool) {
        let body = self
            .spare_buffers
            .pop()
            .unwrap_or_else(|| BytesMut::with_capacity(self.buffer_bytes));
        self.pending.push(Pending {
            place,
            body,
            count: 0,
            first_lsn: self.next_lsn,
            now,
            closing,
        });
    }

    /// Takes everything that waits, and the highest urgency in it.
    pub(crate) fn take(&mut self) -> (Vec<Pending>, Option<Urgency>) {
        let pending = std::mem::take(&mut self.pending);
        if let Some(longest) = pending.iter().map(|batch| batch.body.len()).max() {
            // The next batch is probably like this one; half the way down if it is smaller.
            let guess = longest.next_power_of_two().max(self.buffer_bytes / 2);
            self.buffer_bytes = guess.clamp(BUFFER_BYTES_MIN, BUFFER_BYTES_MAX);
        }
        (pending, self.waiting.take())
    }

    /// Keeps a buffer for a later batch, if its size is worth it.
    pub(crate) fn reuse(&mut self, mut buffer: BytesMut) {
        if self.spare_buffers.len() < SPARE_BUFFERS_MAX
            && (self.buffer_bytes..=2 * self.buffer_bytes).contains(&buffer.capacity())
        {
            buffer.clear();
            self.spare_buffers.push(buffer);
        }
    }

    /// A copy of the record at `place` if its batch still waits.
    pub(crate) fn get(&self, place: Place) -> Option<(RecordKind, &[u8])> {
        let after = self.pending.partition_point(|batch| batch.place < place);
        let batch = self.pending.get(after.checked_sub(1)?)?;
        let at = place
            .offset()
            .checked_sub(batch.place.offset() + BATCH_HEADER)?;
        let (kind, from, to) = (batch.place.segment() == place.segment())
            .then(|| locate(&batch.body, at as usize))??;
        Some((kind, &batch.body[from..to]))
    }

    /// A new segment after all others.
    pub(crate) fn add_ready(&mut self, ready: Ready) {
        self.ready.push_back(ready);
    }

    pub(crate) fn ready_count(&self) -> usize {
        self.ready.len()
    }

    pub(crate) fn set_reserve(&mut self, bytes: u64) {
        self.reserve = bytes;
    }

    /// The same for what lets segments be freed: it uses the one that is kept for that, the end of a segment that it leaves included.
    pub(crate) fn append_copies(
        &mut self,
        group: &Group,
        now: u64,
        urgency: Urgency,
    ) -> Option<Landed> {
        let before = self.room();
        let landed = self.append(group, now, urgency);
        self.copied += before - self.room();
        landed
    }

    /// Segments were freed: one is kept for compaction again.
    pub(crate) fn reset_copied(&mut self) {
        self.copied = 0;
    }

    pub(crate) fn waiting(&self) -> Option<Urgency> {
        self.waiting
    }

    pub(crate) fn segment(&self) -> u32 {
        self.segment.number
    }

    pub(crate) fn last_now(&self) -> u64 {
        self.last_now
    }

    pub(crate) fn last_lsn(&self) -> Lsn {
        Lsn(self.next_lsn.0 - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: u32 = 256 << 10;

    fn tail(ready: u32) -> Tail {
        let ready = (2..2 + ready)
            .map(|number| Ready {
                number,
                bytes: SEGMENT,
            })
            .collect();
        Tail::new(
            Ready {
                number: 1,
                bytes: SEGMENT,
            },
            SEGMENT_DATA,
            ready,
            Lsn(1),
            0,
            SEGMENT,
        )
    }

    fn group(payload: usize) -> Group {
        let mut group = Group::new();
        group.push(RecordKind(1), &[&vec![7; payload]]).unwrap();
        group
    }

    #[test]
    fn groups_share_a_batch_until_it_is_taken() {
        let mut tail = tail(0);
        let first = tail.append(&group(10), 5, Urgency::Lazy).unwrap();
        let second = tail.append(&group(10), 4, Urgency::Commit).unwrap();
        assert_eq!(first.base, Place::new(1, 4096 + 64));
        assert_eq!(second.base, Place::new(1, 4096 + 64 + 18));
        assert_eq!(tail.get(second.base), Some((RecordKind(1), &[7; 10][..])));
        let (pending, urgency) = tail.take();
        assert_eq!(
            (pending.len(), pending[0].count, pending[0].now, urgency),
            (1, 2, 5, Some(Urgency::Commit))
        );
        let third = tail.append(&group(10), 6, Urgency::Lazy).unwrap();
        assert_eq!(
            (third.first_lsn, third.base),
            (Lsn(3), Place::new(1, 4096 + 128 + 64))
        );
    }

    #[test]
    fn a_group_that_does_not_fit_goes_to_the_next_segment_as_a_whole() {
        let mut tail = tail(1);
        tail.append(&group(200 << 10), 0, Urgency::Commit).unwrap();
        let next = tail.append(&group(100 << 10), 0, Urgency::Commit).unwrap();
        assert_eq!(next.base, Place::new(2, 4096 + 64));
        assert!(
            tail.append(&group(200 << 10), 0, Urgency::Commit).is_none(),
            "no third segment"
        );
        let small = tail.append(&group(1 << 10), 0, Urgency::Commit).unwrap();
        assert_eq!(small.base.segment(), 2, "what is refused changes nothing");
    }

    #[test]
    fn growth_leaves_the_reserve_and_a_segment_and_reserve_leaves_the_segment() {
        let mut tail = tail(1);
        let usable = (SEGMENT - SEGMENT_DATA) as usize;
        assert!(tail.admits(usable - 64, Class::Growth));
        tail.set_reserve(1000);
        assert!(!tail.admits(usable - 64, Class::Growth));
        assert!(tail.admits(usable - 64 - 4032, Class::Growth));
        assert!(tail.admits(usable - 64, Class::Reserve));
        tail.append(&group(usable - 64 - 8), 0, Urgency::Commit)
            .unwrap();
        assert!(!tail.admits(100, Class::Reserve));
        assert!(tail.admits(usable - 64, Class::Compaction));
        assert!(!tail.admits(usable, Class::Compaction));

        // What compaction uses it gives back: acks go on meanwhile.
        tail.set_reserve(0);
        tail.add_ready(Ready {
            number: 3,
            bytes: SEGMENT,
        });
        assert!(tail.admits(100, Class::Reserve) && tail.admits(100, Class::Growth));
        let copies = group(usable / 2);
        tail.append_copies(&copies, 0, Urgency::Commit).unwrap();
        tail.append_copies(&copies, 0, Urgency::Commit).unwrap();
        assert!(tail.admits(100, Class::Reserve) && !tail.admits(100, Class::Growth));
        tail.reset_copied();
        assert!(!tail.admits(100, Class::Reserve));
    }
}
