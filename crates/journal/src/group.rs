//! A group: records that are all in the log or none of them.

use thiserror::Error;

use crate::format::{BATCH_BYTES_MAX, BATCH_HEADER, encode_record, record_len};
use crate::lsn::RecordKind;

/// Bytes of records that fit a batch.
const GROUP_BYTES_MAX: usize = (BATCH_BYTES_MAX - BATCH_HEADER) as usize;

/// A record of a [`Group`], to ask [`Appended`](crate::Appended) for its LSN and place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Ordinal in the group, from 0.
    pub index: u32,
    /// Bytes of records before it in the group.
    pub(crate) offset: u32,
}

/// Records that go to the log as one all-or-nothing unit, encoded and checksummed as they are pushed.
/// Keep one and [`clear`](Group::clear) it: then nothing is allocated per record.
#[derive(Debug, Default)]
pub struct Group {
    bytes: Vec<u8>,
    count: u32,
}

/// The group would be longer than a batch may be (16 MiB with its frame). It is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a group of {bytes} bytes; at most {GROUP_BYTES_MAX} fit a batch")]
pub struct GroupTooLarge {
    /// What the group's length would have been, in bytes.
    pub bytes: usize,
}

impl Group {
    /// An empty group.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a record whose payload is the concatenation of `parts`.
    ///
    /// # Errors
    /// The group would be too long for any batch.
    pub fn push(&mut self, kind: RecordKind, parts: &[&[u8]]) -> Result<Slot, GroupTooLarge> {
        let payload = parts
            .iter()
            .map(|part| part.len())
            .fold(0, usize::saturating_add);
        let bytes = self
            .bytes
            .len()
            .saturating_add(payload)
            .saturating_add(record_len(0));
        if bytes > GROUP_BYTES_MAX {
            return Err(GroupTooLarge { bytes });
        }
        let slot = Slot {
            index: self.count,
            offset: self.bytes.len() as u32,
        };
        encode_record(&mut self.bytes, kind, parts);
        self.count += 1;
        Ok(slot)
    }

    /// Empties the group and keeps its buffer.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    /// Length of the encoded records in bytes: what to ask [`Journal::admit`](crate::Journal::admit) for.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Length in bytes that a record with a payload of `payload` bytes adds.
    #[must_use]
    pub const fn record_len(payload: usize) -> usize {
        record_len(payload)
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The encoded records.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_no_batch_can_hold_is_refused_and_stays_as_it_was() {
        let mut group = Group::new();
        group.push(RecordKind(1), &[b"small"]).unwrap();
        let before = group.byte_len();
        let refused = group
            .push(RecordKind(1), &[&vec![0; GROUP_BYTES_MAX - before - 7]])
            .unwrap_err();
        assert_eq!(refused.bytes, GROUP_BYTES_MAX + 1);
        assert_eq!((group.len(), group.byte_len()), (1, before));
        let slot = group
            .push(RecordKind(1), &[&vec![0; GROUP_BYTES_MAX - before - 8]])
            .unwrap();
        assert_eq!((slot.index, group.byte_len()), (1, GROUP_BYTES_MAX));
    }
}
