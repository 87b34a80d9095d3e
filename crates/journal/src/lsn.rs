//! Where a record is: its order in the log and its place on disk.

use std::fmt;

/// The ordinal of a record in the log, from 1. An order, not an identity: an LSN that a crash cut off is given again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Before every record: nothing is written, or nothing is durable.
    pub const ZERO: Lsn = Lsn(0);

    /// The LSN that comes after this one.
    #[must_use]
    pub const fn next(self) -> Lsn {
        Lsn(self.0 + 1)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The place of a record on disk: `segment << 32 | offset`. Ordered like the log. Known when the record is appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(u64);

impl Place {
    /// Never the place of a record.
    pub const NONE: Place = Place(0);

    /// The place `offset` bytes into segment number `segment`.
    #[must_use]
    pub const fn new(segment: u32, offset: u32) -> Place {
        Place((segment as u64) << 32 | offset as u64)
    }

    /// A place from [`Place::to_bits`].
    #[must_use]
    pub const fn from_bits(bits: u64) -> Place {
        Place(bits)
    }

    /// The place as one integer, for compact storage.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The number of the segment, from 1.
    #[must_use]
    pub const fn segment(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The offset in the segment's file, in bytes.
    #[must_use]
    pub const fn offset(self) -> u32 {
        self.0 as u32
    }

    /// The place `bytes` further on in the same segment. Segments are at most 1 GiB, so an offset doesn't overflow.
    #[must_use]
    pub(crate) const fn advance(self, bytes: u32) -> Place {
        Place(self.0 + bytes as u64)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.segment(), self.offset())
    }
}

/// What a record is, to those who write and read it. Opaque to the journal, except for bit 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKind(pub u8);

impl RecordKind {
    /// The bit that says: a reader that doesn't know this kind may skip it.
    pub const SKIPPABLE: u8 = 0x80;

    /// Whether a reader that doesn't know this kind may skip it. One that may not must refuse the log.
    #[must_use]
    pub const fn is_skippable(self) -> bool {
        self.0 & Self::SKIPPABLE != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_orders_like_the_log_and_survives_its_bits() {
        let places = [
            Place::NONE,
            Place::new(1, 4096),
            Place::new(1, 1 << 30),
            Place::new(2, 4096),
            Place::new(u32::MAX, 64),
        ];
        assert!(places.is_sorted());
        for place in places {
            assert_eq!(Place::from_bits(place.to_bits()), place);
            assert_eq!(Place::new(place.segment(), place.offset()), place);
        }
    }
}
