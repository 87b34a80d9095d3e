use crate::{
    BodyRef,
    blocks::{Block, Blocks, members, split},
};
use trunkline_model::{Priority, Timestamp};

mod saved;

pub(crate) use saved::word;

/// No key: of a message on a topic that doesn't deduplicate, or without one.
pub(crate) const NO_KEY: u32 = u32::MAX;

/// No group: of a message without one. Groups have numbers below.
pub(crate) const NO_GROUP: u32 = (1 << 24) - 1;

/// A stored message: what of it stays in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) sequence: u64,
    pub(crate) body: BodyRef,
    pub(crate) published_at: Timestamp,
    /// [`Timestamp::MAX`] for never.
    pub(crate) expires_at: Timestamp,
    /// Of the payload.
    pub(crate) bytes: u32,
    /// Subscriptions that have not settled it.
    pub(crate) unsettled: u32,
    /// In [`Topic::keys`](crate::topic::Topic).
    pub(crate) key: u32,
    /// In [`Topic::groups`](crate::topic::Topic).
    pub(crate) group: u32,
    pub(crate) priority: Priority,
}

impl Stored {
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at < now
    }

    /// Where it stands in a subscription unless it took over another one's place.
    pub(crate) fn usual_place(&self) -> (u8, u64) {
        (self.priority.0, self.sequence)
    }
}

/// The messages of a topic by sequence.
///
/// Sequences are dense, so a message needs no name of its own: 64 neighbours share a block,
/// and in it what they have in common is kept once. See decision 065.
#[derive(Clone, Debug, Default)]
pub(crate) struct Messages {
    blocks: Blocks<Rows>,
    len: usize,
}

impl Messages {
    /// Stores a message under a sequence that is free.
    pub(crate) fn insert(&mut self, stored: Stored) {
        let (number, bit) = split(stored.sequence);
        self.blocks.fill(number, |rows| rows.insert(bit, &stored));
        self.len += 1;
    }

    pub(crate) fn get(&self, sequence: u64) -> Option<Stored> {
        let (number, bit) = split(sequence);
        self.blocks.get(number)?.get(bit, sequence)
    }

    /// A message that is there: the caller holds the sequence of one.
    pub(crate) fn at(&self, sequence: u64) -> Stored {
        self.get(sequence)
            .expect("the caller holds the sequence of a stored message")
    }

    pub(crate) fn contains(&self, sequence: u64) -> bool {
        let (number, bit) = split(sequence);
        self.blocks
            .get(number)
            .is_some_and(|rows| rows.live & bit != 0)
    }

    /// [`Stored::usual_place`] of a message, if it is there.
    pub(crate) fn usual_place(&self, sequence: u64) -> Option<(u8, u64)> {
        let (number, bit) = split(sequence);
        let rows = self.blocks.get(number)?;
        let rank = rows.rank(bit);
        let priority = match &rows.table {
            _ if rows.live & bit == 0 => return None,
            Table::Narrow { rows, .. } => rows[rank].priority,
            Table::Wide(rows) => rows[rank].rank.priority(),
        };
        Some((priority, sequence))
    }

    /// The group of a message; [`NO_GROUP`] also if it is not there.
    pub(crate) fn group_of(&self, sequence: u64) -> u32 {
        let (number, bit) = split(sequence);
        match self.blocks.get(number) {
            Some(rows) if rows.live & bit != 0 => match &rows.table {
                Table::Narrow { .. } => NO_GROUP,
                Table::Wide(table) => table[rows.rank(bit)].rank.group(),
            },
            _ => NO_GROUP,
        }
    }

    /// Whether a message's time is over; one that is not there has none.
    pub(crate) fn is_expired(&self, sequence: u64, now: Timestamp) -> bool {
        let (number, bit) = split(sequence);
        match self.blocks.get(number) {
            Some(rows) if matches!(rows.table, Table::Wide(_)) => {
                let stored = rows.get(bit, sequence);
                stored.is_some_and(|stored| stored.is_expired(now))
            }
            _ => false,
        }
    }

    /// Changes what is kept of a message; returns it as it is then, or `None` if it is not
    /// there.
    pub(crate) fn change(
        &mut self,
        sequence: u64,
        change: impl FnOnce(&mut Stored),
    ) -> Option<Stored> {
        let (number, bit) = split(sequence);
        let rows = self.blocks.get_mut(number)?;
        let mut stored = rows.get(bit, sequence)?;
        change(&mut stored);
        debug_assert_eq!(stored.sequence, sequence);
        rows.set(bit, &stored);
        Some(stored)
    }

    /// Says where the body of a message is; returns its payload bytes, or `None` if it is not
    /// there.
    pub(crate) fn set_body(&mut self, sequence: u64, body: BodyRef) -> Option<u32> {
        let (number, bit) = split(sequence);
        let rows = self.blocks.get_mut(number);
        if let Some(row) = rows.and_then(|rows| rows.narrow(bit, body)) {
            row.body = body.0 as u32;
            return Some(row.bytes);
        }
        let stored = self.change(sequence, |stored| stored.body = body)?;
        if let Some(rows) = self.blocks.get_mut(number)
            && rows.live & (bit - 1) == rows.live ^ bit
        {
            // Bodies that move do so in the order of their messages: this was the last one.
            rows.narrow_again();
        }
        Some(stored.bytes)
    }

    /// So many subscriptions have settled a message; returns how many have not, or `None` if
    /// it is not there.
    pub(crate) fn settle(&mut self, sequence: u64, count: u32) -> Option<u32> {
        let (number, bit) = split(sequence);
        let rows = self.blocks.get_mut(number)?;
        if rows.live & bit == 0 {
            return None;
        }
        let rank = rows.rank(bit);
        Some(match &mut rows.table {
            Table::Narrow { rows, .. } => {
                rows[rank].unsettled -= count as u8;
                rows[rank].unsettled.into()
            }
            Table::Wide(rows) => {
                rows[rank].unsettled -= count;
                rows[rank].unsettled
            }
        })
    }

    pub(crate) fn remove(&mut self, sequence: u64) -> Option<Stored> {
        let (number, bit) = split(sequence);
        let taken = |rows: &mut Rows| {
            let stored = rows.get(bit, sequence)?;
            rows.remove(bit);
            Some(stored)
        };
        let stored = self.blocks.drain(number, taken).flatten()?;
        self.len -= 1;
        Some(stored)
    }

    /// All of them by sequence.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Stored> {
        self.iter_from(0)
    }

    /// Those from a sequence on.
    pub(crate) fn iter_from(&self, first: u64) -> impl Iterator<Item = Stored> {
        let blocks = self.blocks.iter_from(split(first).0);
        let all = blocks.flat_map(|(number, rows)| {
            members(number, rows.live).filter_map(|sequence| rows.get(split(sequence).1, sequence))
        });
        all.skip_while(move |stored| stored.sequence < first)
    }

    /// All sequences, ascending.
    pub(crate) fn sequences(&self) -> impl Iterator<Item = u64> {
        self.blocks
            .iter()
            .flat_map(|(number, rows)| members(number, rows.live))
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

/// The messages of a block.
#[derive(Clone, Debug, Default)]
struct Rows {
    /// Which sequences are stored.
    live: u64,
    /// Which have a row: the stored ones, and some that are gone.
    present: u64,
    table: Table,
}

#[derive(Clone, Debug)]
enum Table {
    /// As long as every message is a plain one.
    Narrow {
        /// When the first of them was published.
        since: u64,
        /// What all bodies have in front of their low half; [`NO_HALF`] if none is known.
        high: u32,
        rows: Vec<Narrow>,
    },
    Wide(Vec<Wide>),
}

/// A half of a [`BodyRef`] that a narrow row can't have.
const NO_HALF: u32 = u32::MAX;

/// A message that never expires, has no key and no group, not too many subscriptions, and was published
/// soon after the first one of its block. Packed, because this is what a backlog is made of.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(2))]
struct Narrow {
    /// The low half of the body; [`NO_HALF`] while it is unset.
    body: u32,
    /// Microseconds after `since`.
    after: u32,
    bytes: u32,
    unsettled: u8,
    priority: u8,
}

/// Any message.
#[derive(Clone, Copy, Debug)]
struct Wide {
    body: BodyRef,
    published_at: Timestamp,
    expires_at: Timestamp,
    bytes: u32,
    unsettled: u32,
    key: u32,
    rank: Rank,
}

/// A priority, and a group in the three bytes above it.
#[derive(Clone, Copy, Debug)]
struct Rank(u32);

impl Rank {
    const fn of(priority: u8, group: u32) -> Self {
        Self(group << 8 | priority as u32)
    }

    const fn priority(self) -> u8 {
        self.0 as u8
    }

    const fn group(self) -> u32 {
        self.0 >> 8
    }
}

// With its share of the block a plain message takes 16 bytes, another one 43.
const _: () = assert!(size_of::<Narrow>() == 14 && size_of::<Wide>() == 40);
const _: () = assert!(size_of::<(u64, Rows)>() == 64);

impl Default for Table {
    fn default() -> Self {
        Self::Narrow {
            since: 0,
            high: NO_HALF,
            rows: Vec::new(),
        }
    }
}

impl Block for Rows {
    fn is_blank(&self) -> bool {
        self.live == 0
    }
}

impl Rows {
    /// Where the row of a sequence is or would be.
    fn rank(&self, bit: u64) -> usize {
        let before = self.present & (bit - 1);
        match before == bit - 1 {
            // The usual case, and counting bits is slow on old processors.
            true => bit.trailing_zeros() as usize,
            false => before.count_ones() as usize,
        }
    }

    /// The row of a message, if it is narrow and stays so with this body.
    fn narrow(&mut self, bit: u64, body: BodyRef) -> Option<&mut Narrow> {
        let (front, low) = ((body.0 >> 32) as u32, body.0 as u32);
        let rank = self.rank(bit);
        match &mut self.table {
            Table::Narrow { high, rows, .. } if *high == front => {
                let fits = self.live & bit != 0 && front != NO_HALF && low != NO_HALF;
                fits.then(|| &mut rows[rank])
            }
            _ => None,
        }
    }

    fn get(&self, bit: u64, sequence: u64) -> Option<Stored> {
        if self.live & bit == 0 {
            return None;
        }
        let rank = self.rank(bit);
        Some(match &self.table {
            Table::Narrow { since, high, rows } => rows[rank].widened(*since, *high),
            Table::Wide(rows) => rows[rank],
        })
        .map(|row: Wide| row.stored(sequence))
    }

    fn insert(&mut self, bit: u64, stored: &Stored) {
        debug_assert_eq!(self.live & bit, 0, "{} is taken", stored.sequence);
        let rank = self.rank(bit);
        if self.present & bit == 0 {
            let blank = Wide::BLANK;
            match &mut self.table {
                Table::Narrow { rows, .. } => rows.insert(rank, Narrow::BLANK),
                Table::Wide(rows) => rows.insert(rank, blank),
            }
        }
        if self.live == 0
            && let Table::Narrow { since, .. } = &mut self.table
        {
            *since = stored.published_at.as_micros();
        }
        self.present |= bit;
        self.live |= bit;
        self.set(bit, stored);
    }

    fn set(&mut self, bit: u64, stored: &Stored) {
        let rank = self.rank(bit);
        let row = Wide::of(stored);
        if let Table::Narrow { since, high, rows } = &mut self.table {
            if let Some(narrow) = row.narrowed(*since, high) {
                rows[rank] = narrow;
                return;
            }
            let widened = rows.iter().map(|row| row.widened(*since, *high));
            self.table = Table::Wide(widened.collect());
        }
        if let Table::Wide(rows) = &mut self.table {
            rows[rank] = row;
        }
    }

    /// Makes the rows narrow if all messages are plain ones by now.
    fn narrow_again(&mut self) {
        let Table::Wide(wide) = &self.table else {
            return;
        };
        let is_live = |sequence: u64| self.live & (1 << sequence) != 0;
        let rows = || members(0, self.present).zip(wide);
        let live = rows().filter(|(sequence, _)| is_live(*sequence));
        let Some(since) = live.map(|(_, row)| row.published_at.as_micros()).min() else {
            return;
        };
        let mut high = NO_HALF;
        let narrowed = rows().map(|(sequence, row)| match is_live(sequence) {
            true => row.narrowed(since, &mut high),
            false => Some(Narrow::BLANK),
        });
        if let Some(rows) = narrowed.collect() {
            self.table = Table::Narrow { since, high, rows };
        }
    }

    /// Rows of what is gone stay until they are three times the rest.
    fn remove(&mut self, bit: u64) {
        self.live &= !bit;
        if self.live == 0 {
            *self = Self::default();
        } else if 4 * self.live.count_ones() <= self.present.count_ones() {
            let (live, present) = (self.live, self.present);
            match &mut self.table {
                Table::Narrow { rows, .. } => keep_live(rows, live, present),
                Table::Wide(rows) => keep_live(rows, live, present),
            }
            self.present = live;
        }
    }
}

fn keep_live<R>(rows: &mut Vec<R>, live: u64, present: u64) {
    let mut sequences = members(0, present);
    rows.retain(|_| sequences.next().is_some_and(|n| live & (1 << n) != 0));
    rows.shrink_to_fit();
}

impl Narrow {
    const BLANK: Self = Self {
        body: NO_HALF,
        after: 0,
        bytes: 0,
        unsettled: 0,
        priority: 0,
    };

    fn widened(self, since: u64, high: u32) -> Wide {
        let body = match self.body {
            NO_HALF => BodyRef::UNSET,
            low => BodyRef(u64::from(high) << 32 | u64::from(low)),
        };
        Wide {
            body,
            published_at: Timestamp::from_micros(since + u64::from(self.after)),
            expires_at: Timestamp::MAX,
            bytes: self.bytes,
            unsettled: self.unsettled.into(),
            key: NO_KEY,
            rank: Rank::of(self.priority, NO_GROUP),
        }
    }
}

impl Wide {
    const BLANK: Self = Self {
        body: BodyRef::UNSET,
        published_at: Timestamp::ZERO,
        expires_at: Timestamp::MAX,
        bytes: 0,
        unsettled: 0,
        key: NO_KEY,
        rank: Rank::of(0, NO_GROUP),
    };

    fn of(stored: &Stored) -> Self {
        Self {
            body: stored.body,
            published_at: stored.published_at,
            expires_at: stored.expires_at,
            bytes: stored.bytes,
            unsettled: stored.unsettled,
            key: stored.key,
            rank: Rank::of(stored.priority.0, stored.group),
        }
    }

    fn stored(self, sequence: u64) -> Stored {
        Stored {
            sequence,
            body: self.body,
            published_at: self.published_at,
            expires_at: self.expires_at,
            bytes: self.bytes,
            unsettled: self.unsettled,
            key: self.key,
            group: self.rank.group(),
            priority: Priority(self.rank.priority()),
        }
    }

    /// The same as a narrow row, if it is one's kind. The first body decides what all have
    /// in front.
    fn narrowed(&self, since: u64, high: &mut u32) -> Option<Narrow> {
        let after = self.published_at.as_micros().checked_sub(since)?;
        let has_more = self.key != NO_KEY || self.rank.group() != NO_GROUP;
        if self.expires_at != Timestamp::MAX || has_more {
            return None;
        }
        let narrow = Narrow {
            body: NO_HALF,
            after: after.try_into().ok()?,
            bytes: self.bytes,
            unsettled: self.unsettled.try_into().ok()?,
            priority: self.rank.priority(),
        };
        if self.body == BodyRef::UNSET {
            return Some(narrow);
        }
        let (front, low) = ((self.body.0 >> 32) as u32, self.body.0 as u32);
        if front == NO_HALF || low == NO_HALF || ![front, NO_HALF].contains(high) {
            return None;
        }
        *high = front;
        Some(Narrow {
            body: low,
            ..narrow
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::SPAN;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Plain messages mostly, and everything that makes one not plain.
    fn message() -> impl Strategy<Value = Stored> {
        let body = prop_oneof![
            6 => (0..1_000u64).prop_map(|low| BodyRef(5 << 32 | low)),
            1 => Just(BodyRef::UNSET),
            1 => (0..3u64).prop_map(|high| BodyRef(high << 32 | 64)),
            1 => Just(BodyRef(u64::from(u32::MAX))),
            1 => Just(BodyRef(u64::from(u32::MAX) << 32)),
        ];
        let usually = |usual: u64| prop_oneof![12 => Just(usual), 1 => any::<u64>()];
        let key = prop_oneof![12 => Just(NO_KEY), 1 => any::<u32>()];
        let group = prop_oneof![12 => Just(NO_GROUP), 1 => 0..NO_GROUP];
        let unsettled = prop_oneof![12 => 0..4u32, 1 => 254..258u32];
        (
            0..300u64,
            body,
            prop_oneof![12 => 1_000..2_000u64, 1 => any::<u64>()],
            usually(u64::MAX),
            any::<u32>(),
            unsettled,
            (key, group),
            any::<u8>(),
        )
            .prop_map(
                |(sequence, body, published, expires, bytes, unsettled, (key, group), priority)| {
                    Stored {
                        sequence,
                        body,
                        published_at: Timestamp::from_micros(published),
                        expires_at: Timestamp::from_micros(expires),
                        bytes,
                        unsettled,
                        key,
                        group,
                        priority: Priority(priority),
                    }
                },
            )
    }

    proptest! {
        /// Whatever is stored, changed and removed, it reads back as from an ordered map.
        #[test]
        fn is_an_ordered_map(steps in prop::collection::vec((message(), 0..5u8), 0..500)) {
            let (mut messages, mut map) = (Messages::default(), BTreeMap::new());
            for (stored, what) in steps {
                let sequence = stored.sequence;
                if what == 0 {
                    prop_assert_eq!(messages.remove(sequence), map.remove(&sequence));
                } else {
                    let known = map.insert(sequence, stored).is_some();
                    let changed = messages.change(sequence, |s| *s = stored);
                    prop_assert_eq!(changed, known.then_some(stored));
                    if !known {
                        messages.insert(stored);
                    }
                    // The shorter ways to the same.
                    let elsewhere = BodyRef(7 << 32 | u64::from(what));
                    for body in [elsewhere, stored.body] {
                        let bytes = messages.set_body(sequence, body);
                        prop_assert_eq!(bytes, Some(stored.bytes));
                    }
                    prop_assert_eq!(messages.settle(sequence, 0), Some(stored.unsettled));
                    if stored.unsettled > 0 {
                        let left = stored.unsettled - 1;
                        prop_assert_eq!(messages.settle(sequence, 1), Some(left));
                        messages.change(sequence, |s| s.unsettled += 1);
                    }
                }
                prop_assert_eq!(messages.get(sequence), map.get(&sequence).copied());
                prop_assert_eq!(messages.contains(sequence), map.contains_key(&sequence));
                let known = map.get(&sequence);
                let place = known.map(Stored::usual_place);
                prop_assert_eq!(messages.usual_place(sequence), place);
                let group = known.map_or(NO_GROUP, |known| known.group);
                prop_assert_eq!(messages.group_of(sequence), group);
                let now = Timestamp::from_micros(1 << 63);
                let is_over = known.is_some_and(|known| known.is_expired(now));
                prop_assert_eq!(messages.is_expired(sequence, now), is_over);
                prop_assert_eq!(messages.len(), map.len());
            }
            prop_assert!(messages.iter().eq(map.values().copied()));
            prop_assert!(messages.sequences().eq(map.keys().copied()));
        }
    }

    fn plain(sequence: u64) -> Stored {
        Wide {
            body: BodyRef(1 << 32 | sequence),
            unsettled: 1,
            ..Wide::BLANK
        }
        .stored(sequence)
    }

    /// Bytes that the rows of all blocks take.
    fn row_bytes(messages: &Messages) -> usize {
        let tables = messages.blocks.iter().map(|(_, rows)| match &rows.table {
            Table::Narrow { rows, .. } => rows.capacity() * size_of::<Narrow>(),
            Table::Wide(rows) => rows.capacity() * size_of::<Wide>(),
        });
        tables.sum()
    }

    #[test]
    fn a_plain_backlog_is_narrow_and_what_remains_of_it_is_small() {
        let mut messages = Messages::default();
        (1..=64_000).for_each(|sequence| messages.insert(plain(sequence)));
        assert!(row_bytes(&messages) <= 64_100 * size_of::<Narrow>());
        // One in each block stays, the worst that consumers can leave behind.
        let gone = (1..=64_000).filter(|sequence| sequence % SPAN != 7);
        gone.for_each(|sequence| assert!(messages.remove(sequence).is_some()));
        assert!(row_bytes(&messages) <= messages.len() * 4 * size_of::<Narrow>());
    }

    /// Compaction moves bodies from one segment to another in the order of the log.
    #[test]
    fn a_backlog_whose_bodies_have_moved_is_narrow_again() {
        let mut messages = Messages::default();
        (1..=6_400).for_each(|sequence| messages.insert(plain(sequence)));
        let gone = (1..=6_400).filter(|sequence| sequence % 3 == 0);
        gone.for_each(|sequence| assert!(messages.remove(sequence).is_some()));
        let before = row_bytes(&messages);
        let moved = |sequence: u64| BodyRef((9 << 32) | (sequence * 5));
        for sequence in messages.sequences().collect::<Vec<_>>() {
            assert!(messages.set_body(sequence, moved(sequence)).is_some());
            assert!(row_bytes(&messages) <= before + 64 * size_of::<Wide>());
        }
        assert!(row_bytes(&messages) <= before);
        for stored in messages.iter() {
            let expected = Stored {
                body: moved(stored.sequence),
                ..plain(stored.sequence)
            };
            assert_eq!(stored, expected);
        }
    }

    #[test]
    fn what_is_not_plain_widens_its_own_block_only() {
        let mut messages = Messages::default();
        (1..=6_400).for_each(|sequence| messages.insert(plain(sequence)));
        let expires_at = Timestamp::from_micros(9);
        messages.change(640, |stored| stored.expires_at = expires_at);
        assert!(row_bytes(&messages) <= 6_464 * size_of::<Narrow>() + 64 * size_of::<Wide>());
        assert_eq!(messages.at(640).expires_at, expires_at);
        assert_eq!(messages.at(641), plain(641));
    }
}
