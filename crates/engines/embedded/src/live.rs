use std::collections::VecDeque;
use trunkline_journal::Place;

/// What a record has beside its payload, in bytes, where nothing is known about it: after a
/// start from a checkpoint.
const BESIDE_PAYLOAD: u64 = 64;

/// What is needed of a segment, and what it got.
#[derive(Clone, Copy, Debug, Default)]
struct Segment {
    /// Somebody needs a body in it: a message that is stored, a delivery on its way, a look.
    needs: u64,
    /// Messages whose bodies are in it.
    bodies: u64,
    /// Their payload bytes.
    payload: u64,
    /// Puts that it got while this was counted, gone ones included.
    puts: u64,
    /// Bytes of their records that are not payload.
    beside: u64,
}

impl Segment {
    /// Bytes of records of messages that are stored. Of a record only the payload's length is
    /// known as long as a message is stored; what is beside it is taken to be the mean.
    fn bytes(&self) -> u64 {
        let beside = match self.puts {
            0 => BESIDE_PAYLOAD,
            puts => self.beside.div_ceil(puts),
        };
        self.payload + self.bodies * beside
    }
}

/// What of each segment is alive.
#[derive(Debug, Default)]
pub(crate) struct Live {
    first: u32,
    segments: VecDeque<Segment>,
    /// Payload bytes that were freed since somebody looked.
    freed: u64,
}

impl Live {
    /// A message was put.
    pub(crate) fn put(&mut self, place: Place, payload: u32, record: usize) {
        self.read(place, payload, record);
        self.found(place.segment(), 1, payload.into());
    }

    /// A put was read, whatever became of its message.
    pub(crate) fn read(&mut self, place: Place, payload: u32, record: usize) {
        let segment = self.at(place.segment());
        segment.puts += 1;
        segment.beside += (record as u64).saturating_sub(payload.into());
    }

    /// So many messages are stored in a segment.
    pub(crate) fn found(&mut self, segment: u32, bodies: u64, payload: u64) {
        let segment = self.at(segment);
        segment.needs += bodies;
        segment.bodies += bodies;
        segment.payload += payload;
    }

    /// A message is stored no more, or elsewhere.
    pub(crate) fn free(&mut self, place: Place, payload: u32) {
        self.freed += u64::from(payload) + BESIDE_PAYLOAD;
        if let Some(segment) = self.get_mut(place) {
            segment.bodies = segment.bodies.saturating_sub(1);
            segment.payload = segment.payload.saturating_sub(payload.into());
        }
        self.unpin(place);
    }

    /// Somebody needs a body for some time, whether or not its message stays.
    pub(crate) fn pin(&mut self, place: Place) {
        self.at(place.segment()).needs += 1;
    }

    pub(crate) fn unpin(&mut self, place: Place) {
        let needs = self.get_mut(place).map(|segment| &mut segment.needs);
        debug_assert!(
            needs.as_ref().is_some_and(|needs| **needs > 0),
            "{place} is live"
        );
        if let Some(needs) = needs {
            *needs = needs.saturating_sub(1);
        }
        self.trim();
    }

    /// Forgets what comes before the first segment with something in it.
    pub(crate) fn trim(&mut self) {
        while self.segments.front().is_some_and(|s| s.needs == 0) {
            self.segments.pop_front();
            self.first += 1;
        }
    }

    /// The oldest segment with something in it; `None` if there is none.
    pub(crate) fn oldest(&self) -> Option<u32> {
        (!self.segments.is_empty()).then_some(self.first)
    }

    /// Messages stored in a segment, and bytes of their records.
    pub(crate) fn of(&self, segment: u32) -> (u64, u64) {
        let index = segment.checked_sub(self.first);
        let segment = index.and_then(|index| self.segments.get(index as usize));
        segment.map_or((0, 0), |segment| (segment.bodies, segment.bytes()))
    }

    /// Bytes of records of all messages that are stored.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(Segment::bytes).sum()
    }

    /// Payload bytes freed since the last [`Live::looked`].
    pub(crate) fn freed(&self) -> u64 {
        self.freed
    }

    pub(crate) fn looked(&mut self) {
        self.freed = 0;
    }

    fn at(&mut self, segment: u32) -> &mut Segment {
        if self.segments.is_empty() {
            self.first = segment;
        }
        while segment < self.first {
            self.segments.push_front(Segment::default());
            self.first -= 1;
        }
        let index = (segment - self.first) as usize;
        if index >= self.segments.len() {
            self.segments.resize(index + 1, Segment::default());
        }
        &mut self.segments[index]
    }

    fn get_mut(&mut self, place: Place) -> Option<&mut Segment> {
        let index = place.segment().checked_sub(self.first)?;
        self.segments.get_mut(index as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(segment: u32) -> Place {
        Place::new(segment, 64)
    }

    #[test]
    fn the_oldest_live_segment_moves_only_when_all_before_it_are_empty() {
        let mut live = Live::default();
        assert_eq!(live.oldest(), None);
        for segment in [3, 3, 5, 2] {
            live.pin(at(segment));
        }
        for (segment, oldest) in [(3, Some(2)), (2, Some(3)), (3, Some(5)), (5, None)] {
            live.unpin(at(segment));
            assert_eq!(live.oldest(), oldest);
        }
        live.pin(at(9));
        assert_eq!(live.oldest(), Some(9));
    }

    #[test]
    fn live_bytes_are_those_of_records() {
        let mut live = Live::default();
        live.put(at(1), 100, 150);
        live.put(at(1), 200, 230);
        live.put(at(2), 1_000, 1_010);
        assert_eq!(live.bytes(), 150 + 230 + 1_010);
        live.pin(at(1));
        live.free(at(1), 200);
        assert_eq!(
            live.of(1),
            (1, 100 + 40),
            "of what is beside the payload, the mean"
        );
        live.free(at(1), 100);
        assert_eq!((live.of(1), live.oldest()), ((0, 0), Some(1)));
        live.unpin(at(1));
        assert_eq!((live.bytes(), live.oldest()), (1_010, Some(2)));
        assert_eq!(live.freed(), 300 + 2 * BESIDE_PAYLOAD);
        // Nothing is known of what was put there.
        live.found(7, 3, 300);
        assert_eq!(live.of(7), (3, 300 + 3 * BESIDE_PAYLOAD));
    }
}
