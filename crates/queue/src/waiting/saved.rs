//! What waits, as a checkpoint holds it: lane by lane.

use super::{Lanes, Waiting};
use crate::{
    lane::Lane,
    messages::Messages,
    record::{Reader, varint},
};

impl Lanes {
    fn save(&self, out: &mut Vec<u8>) {
        let lanes = || {
            (0u64..)
                .zip(&self.lanes)
                .filter(|(_, lane)| !lane.is_empty())
        };
        varint(out, lanes().count() as u64);
        for (number, lane) in lanes() {
            varint(out, number);
            lane.save(out);
        }
    }
}

impl Waiting {
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        if self.order.is_empty() {
            return self.open.save(out);
        }
        // What is behind what is found again by who looks for it.
        let mut all = self.open.clone();
        for (_, lane, position) in &self.order {
            if let Some(placed) = self.behind.get((*lane, *position)) {
                all.insert(*lane, placed);
            }
        }
        all.save(out);
    }

    /// Reads what [`Waiting::save`] wrote; `None` if it isn't that, or names messages that
    /// are not stored.
    pub(crate) fn load(reader: &mut Reader<'_>, messages: &Messages) -> Option<Self> {
        let mut waiting = Self::default();
        for _ in 0..reader.varint()? {
            let number: u8 = reader.small()?;
            let index = usize::from(number);
            if index < waiting.open.lanes.len() {
                return None;
            }
            let lane = Lane::load(reader, messages)?;
            if lane.is_empty() {
                return None;
            }
            for placed in lane.moved() {
                let place = (number, placed.position);
                let earlier = waiting.places.insert(placed.sequence, place);
                earlier.is_none().then_some(())?;
            }
            waiting.len += lane.len();
            let open = &mut waiting.open;
            open.lanes.resize_with(index, Lane::default);
            open.lanes.push(lane);
            open.occupied[index / 64] |= 1 << (index % 64);
        }
        Some(waiting)
    }
}
