//! A lane as a checkpoint holds it: its bits, then what is not fresh.

use super::{Lane, Placed};
use crate::{
    messages::Messages,
    record::{Reader, varint},
};

impl Placed {
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        varint(out, self.position);
        varint(out, self.sequence);
        varint(out, self.attempts.into());
    }

    /// `None` if it isn't one, or of a message that is not stored.
    pub(crate) fn load(reader: &mut Reader<'_>, messages: &Messages) -> Option<Self> {
        let placed = Self {
            position: reader.varint()?,
            sequence: reader.varint()?,
            attempts: reader.small()?,
        };
        messages.contains(placed.sequence).then_some(placed)
    }
}

impl Lane {
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        varint(out, self.fresh.filled().count() as u64);
        let mut last = 0;
        for (number, bits) in self.fresh.filled() {
            varint(out, number - last);
            last = number;
            out.extend_from_slice(&bits.to_le_bytes());
        }
        varint(out, self.returned.len() as u64);
        for entry in &self.returned {
            super::placed_of(entry).save(out);
        }
    }

    /// Reads what [`Lane::save`] wrote; `None` if it isn't that, or names messages that are
    /// not stored.
    pub(crate) fn load(reader: &mut Reader<'_>, messages: &Messages) -> Option<Self> {
        let mut lane = Self::default();
        let blocks: usize = reader.small()?;
        lane.fresh.reserve(blocks.min(reader.0.len() / 8));
        let mut number = 0u64;
        for _ in 0..blocks {
            number = number.checked_add(reader.varint()?)?;
            let bits = crate::messages::word(reader)?;
            let known = messages.has_all(number, bits);
            (known && lane.fresh.append(number, bits)).then_some(())?;
            lane.len += u64::from(bits.count_ones());
        }
        for _ in 0..reader.varint()? {
            let placed = Placed::load(reader, messages)?;
            if lane.get(placed.position).is_some() {
                return None;
            }
            lane.insert(placed);
        }
        Some(lane)
    }

    /// Those that stand elsewhere than at their own sequence.
    pub(crate) fn moved(&self) -> impl Iterator<Item = Placed> {
        let returned = self.returned.iter().map(super::placed_of);
        returned.filter(|placed| placed.position != placed.sequence)
    }
}
