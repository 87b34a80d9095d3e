//! The messages of a topic as a checkpoint holds them: by block, in columns.
//!
//! A block is the distance of its number to the one before, a word that says which sequences
//! are stored, and six columns. A column is a width (0, 1, 2, 4 or 8 bytes) and, for each
//! message, the difference to the one before it in so many bytes; differences go on from
//! block to block. Places of neighbours differ by little and most columns don't change at
//! all, so a plain message takes three or four bytes.

use super::{Messages, NO_GROUP, NO_HALF, NO_KEY, Narrow, Rank, Rows, Stored, Table, Wide};
use crate::{
    BodyRef,
    blocks::{SPAN, members, split},
    record::{Reader, varint},
};
use trunkline_model::Timestamp;

const WIDTH: usize = SPAN as usize;

/// One value of each message of a block.
type Column = [u64; WIDTH];

const BODY: usize = 0;
const PUBLISHED: usize = 1;
const EXPIRES: usize = 2;
const BYTES: usize = 3;
const UNSETTLED: usize = 4;
const PRIORITY: usize = 5;
const COLUMNS: usize = 6;

/// The last value of every column in the block before.
type Before = [u64; COLUMNS];

const START: Before = {
    let mut start = [0; COLUMNS];
    // Most messages never expire.
    start[EXPIRES] = u64::MAX;
    start
};

/// What was loaded, in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Bytes of payload.
    pub(crate) bytes: u64,
    /// Messages times the subscriptions that have not settled them.
    pub(crate) unsettled: u64,
}

impl Messages {
    /// Appends all messages, but for their keys and groups.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        varint(out, self.blocks.filled().count() as u64);
        let (mut before, mut last) = (START, 0);
        let mut columns = [[0; WIDTH]; COLUMNS];
        for (number, rows) in self.blocks.filled() {
            varint(out, number - last);
            last = number;
            out.extend_from_slice(&rows.live.to_le_bytes());
            let mut count = 0;
            for sequence in members(number, rows.live) {
                let Some(stored) = rows.get(split(sequence).1, sequence) else {
                    continue;
                };
                debug_assert_ne!(stored.body, BodyRef::UNSET, "a stored message has a body");
                for (column, value) in columns.iter_mut().zip(values_of(&stored)) {
                    column[count] = value;
                }
                count += 1;
            }
            for (column, before) in columns.iter().zip(&mut before) {
                write_column(out, before, &column[..count]);
            }
        }
    }

    /// Reads what [`Messages::save`] wrote, into none; `None` if it isn't that.
    pub(crate) fn load(reader: &mut Reader<'_>) -> Option<(Self, Totals)> {
        let mut loaded = Self::default();
        let mut totals = Totals::default();
        let blocks: usize = reader.small()?;
        // No block is shorter than its word.
        loaded.blocks.reserve(blocks.min(reader.0.len() / 8));
        let (mut before, mut number) = (START, 0u64);
        let mut columns = [[0; WIDTH]; COLUMNS];
        for _ in 0..blocks {
            number = number.checked_add(reader.varint()?)?;
            // The last sequence is never given to a message.
            number.checked_mul(SPAN)?.checked_add(SPAN)?;
            let live = word(reader)?;
            let count = live.count_ones() as usize;
            for (column, before) in columns.iter_mut().zip(&mut before) {
                read_column(reader, before, &mut column[..count])?;
            }
            totals.bytes = totals.bytes.checked_add(sum(&columns[BYTES][..count])?)?;
            let unsettled = sum(&columns[UNSETTLED][..count])?;
            totals.unsettled = totals.unsettled.checked_add(unsettled)?;
            let rows = Rows {
                live,
                present: live,
                table: table(&columns, count)?,
            };
            loaded.len += count;
            loaded.blocks.append(number, rows).then_some(())?;
        }
        Some((loaded, totals))
    }

    /// Whether all members of a block of a lane are stored.
    pub(crate) fn has_all(&self, number: u64, bits: u64) -> bool {
        let rows = self.blocks.get(number);
        rows.is_some_and(|rows| bits & !rows.live == 0)
    }

    /// Those that expire some time.
    pub(crate) fn expiring(&self) -> impl Iterator<Item = Stored> {
        self.blocks
            .iter()
            .filter(|(_, rows)| matches!(rows.table, Table::Wide(_)))
            .flat_map(|(number, rows)| {
                members(number, rows.live)
                    .filter_map(|sequence| rows.get(split(sequence).1, sequence))
            })
            .filter(|stored| stored.expires_at != Timestamp::MAX)
    }

    /// How many bodies have which upper half: block by block, so the same half may come
    /// often.
    pub(crate) fn upper_halves(&self, visit: &mut dyn FnMut(u32, u64, u64)) {
        for (number, block) in self.blocks.filled() {
            match &block.table {
                Table::Narrow { high, rows, .. } if *high != NO_HALF => {
                    let live = members(0, block.live);
                    let bytes = live.map(|n| u64::from(rows[block.rank(1 << n)].bytes));
                    visit(*high, block.live.count_ones().into(), bytes.sum());
                }
                _ => {
                    for sequence in members(number, block.live) {
                        if let Some(stored) = block.get(split(sequence).1, sequence) {
                            visit((stored.body.0 >> 32) as u32, 1, stored.bytes.into());
                        }
                    }
                }
            }
        }
    }
}

/// In the order of the columns.
fn values_of(stored: &Stored) -> [u64; COLUMNS] {
    let mut values = [0; COLUMNS];
    values[BODY] = stored.body.0;
    values[PUBLISHED] = stored.published_at.as_micros();
    values[EXPIRES] = stored.expires_at.as_micros();
    values[BYTES] = stored.bytes.into();
    values[UNSETTLED] = stored.unsettled.into();
    values[PRIORITY] = stored.priority.0.into();
    values
}

fn sum(column: &[u64]) -> Option<u64> {
    // Checked to be 32 bits wide where the rows are made; 64 of them don't overflow then.
    let all = column.iter().fold(0, |all, value| all | value);
    (all >> 32 == 0).then(|| column.iter().sum())
}

/// The rows of a block: narrow ones, if all messages are that plain.
fn table(columns: &[Column; COLUMNS], count: usize) -> Option<Table> {
    let column = |which: usize| &columns[which][..count];
    let all = |which: usize| column(which).iter().fold(0, |all, value| all | value);
    // Unsettled and bytes have been seen to fit.
    if all(PRIORITY) > u8::MAX.into() || column(UNSETTLED).contains(&0) {
        return None;
    }
    let since = column(PUBLISHED).iter().copied().min()?;
    let until = column(PUBLISHED).iter().copied().max()?;
    let front = column(BODY).first()? >> 32;
    let same_front = column(BODY).iter().all(|body| body >> 32 == front);
    let no_half = |half: u64| half == u64::from(NO_HALF);
    let plain = same_front
        && !no_half(front)
        && !column(BODY).iter().any(|body| no_half(body & 0xffff_ffff))
        && column(EXPIRES).iter().all(|at| *at == u64::MAX)
        && all(UNSETTLED) <= u8::MAX.into()
        && until - since <= u32::MAX.into();
    Some(if plain {
        let narrow = |row: usize| Narrow {
            body: columns[BODY][row] as u32,
            after: (columns[PUBLISHED][row] - since) as u32,
            bytes: columns[BYTES][row] as u32,
            unsettled: columns[UNSETTLED][row] as u8,
            priority: columns[PRIORITY][row] as u8,
        };
        Table::Narrow {
            since,
            high: front as u32,
            rows: (0..count).map(narrow).collect(),
        }
    } else {
        let wide = |row: usize| Wide {
            body: BodyRef(columns[BODY][row]),
            published_at: Timestamp::from_micros(columns[PUBLISHED][row]),
            expires_at: Timestamp::from_micros(columns[EXPIRES][row]),
            bytes: columns[BYTES][row] as u32,
            unsettled: columns[UNSETTLED][row] as u32,
            key: NO_KEY,
            rank: Rank::of(columns[PRIORITY][row] as u8, NO_GROUP),
        };
        Table::Wide((0..count).map(wide).collect())
    })
}

fn write_column(out: &mut Vec<u8>, before: &mut u64, values: &[u64]) {
    let (mut last, mut all) = (*before, 0);
    for value in values {
        all |= value.wrapping_sub(last);
        last = *value;
    }
    let width: usize = match all {
        0 => 0,
        1..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    };
    out.push(width as u8);
    last = *before;
    for value in values {
        let difference = value.wrapping_sub(last);
        out.extend_from_slice(&difference.to_le_bytes()[..width]);
        last = *value;
    }
    *before = last;
}

fn read_column(reader: &mut Reader<'_>, before: &mut u64, out: &mut [u64]) -> Option<()> {
    let (width, rest) = reader.0.split_first()?;
    let (bytes, rest) = rest.split_at_checked(usize::from(*width) * out.len())?;
    reader.0 = rest;
    match width {
        0 => out.fill(*before),
        1 => add_up(before, out, bytes.iter().map(|byte| u64::from(*byte))),
        2 => add_up(
            before,
            out,
            words(bytes).map(|word| u16::from_le_bytes(word).into()),
        ),
        4 => add_up(
            before,
            out,
            words(bytes).map(|word| u32::from_le_bytes(word).into()),
        ),
        8 => add_up(before, out, words(bytes).map(u64::from_le_bytes)),
        _ => return None,
    }
    Some(())
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}

fn add_up(before: &mut u64, out: &mut [u64], differences: impl Iterator<Item = u64>) {
    let mut last = *before;
    for (value, difference) in out.iter_mut().zip(differences) {
        last = last.wrapping_add(difference);
        *value = last;
    }
    *before = last;
}

/// Eight bytes.
pub(crate) fn word(reader: &mut Reader<'_>) -> Option<u64> {
    let (bytes, rest) = reader.0.split_first_chunk()?;
    reader.0 = rest;
    Some(u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use trunkline_model::Priority;

    fn message() -> impl Strategy<Value = Stored> {
        let usually = |usual: u64| prop_oneof![12 => Just(usual), 1 => any::<u64>()];
        let body = prop_oneof![
            6 => (0..1_000u64).prop_map(|low| 5 << 32 | low),
            1 => (0..3u64).prop_map(|high| high << 32 | 64),
            1 => Just(u64::from(u32::MAX)),
            1 => Just(u64::from(u32::MAX) << 32),
        ];
        (
            0..2_000u64,
            body,
            prop_oneof![12 => 1_000..2_000u64, 1 => any::<u64>()],
            usually(u64::MAX),
            any::<u32>(),
            prop_oneof![12 => 1..4u32, 1 => 254..258u32, 1 => Just(u32::MAX)],
            any::<u8>(),
        )
            .prop_map(
                |(sequence, body, published, expires, bytes, unsettled, priority)| Stored {
                    sequence,
                    body: BodyRef(body),
                    published_at: Timestamp::from_micros(published),
                    expires_at: Timestamp::from_micros(expires),
                    bytes,
                    unsettled,
                    key: NO_KEY,
                    group: NO_GROUP,
                    priority: Priority(priority),
                },
            )
    }

    proptest! {
        /// What is loaded is what was saved, gone rows and all sorts of blocks included, and
        /// anything shorter is refused.
        #[test]
        fn what_is_saved_is_loaded(
            stored in prop::collection::vec((message(), any::<bool>()), 0..300),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut messages = Messages::default();
            for (stored, stays) in stored {
                if !messages.contains(stored.sequence) {
                    messages.insert(stored);
                } else if !stays {
                    messages.remove(stored.sequence);
                }
            }
            let mut bytes = Vec::new();
            messages.save(&mut bytes);
            let mut reader = Reader(&bytes);
            let (loaded, totals) = Messages::load(&mut reader).expect("it was saved");
            prop_assert!(reader.0.is_empty());
            prop_assert!(loaded.iter().eq(messages.iter()));
            prop_assert_eq!(loaded.len(), messages.len());
            prop_assert_eq!(totals.bytes, messages.iter().map(|m| u64::from(m.bytes)).sum::<u64>());
            let unsettled = messages.iter().map(|m| u64::from(m.unsettled));
            prop_assert_eq!(totals.unsettled, unsettled.sum::<u64>());
            let expiring = messages.iter().filter(|m| m.expires_at != Timestamp::MAX);
            prop_assert!(loaded.expiring().eq(expiring));
            let mut halves = 0;
            let mut sizes = 0;
            loaded.upper_halves(&mut |half, count, bytes| {
                halves += u64::from(half) * count;
                sizes += bytes;
            });
            prop_assert_eq!(halves, messages.iter().map(|m| m.body.0 >> 32).sum::<u64>());
            prop_assert_eq!(sizes, messages.iter().map(|m| u64::from(m.bytes)).sum::<u64>());
            let shorter = &bytes[..cut.index(bytes.len())];
            prop_assert!(Messages::load(&mut Reader(shorter)).is_none());
        }

        /// Bytes that nobody saved may be refused or be taken for messages, and that is all.
        #[test]
        fn garbage_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Some((loaded, _)) = Messages::load(&mut Reader(&bytes)) {
                prop_assert_eq!(loaded.iter().count(), loaded.len());
            }
        }
    }

    #[test]
    fn a_plain_backlog_takes_four_bytes_a_message() {
        let mut messages = Messages::default();
        for sequence in 1..=64_000 {
            messages.insert(Stored {
                sequence,
                body: BodyRef(1 << 32 | (sequence * 314)),
                published_at: Timestamp::from_micros(1_700_000_000_000_000 + sequence * 3),
                expires_at: Timestamp::MAX,
                bytes: 256,
                unsettled: 1,
                key: NO_KEY,
                group: NO_GROUP,
                priority: Priority(0),
            });
        }
        let mut bytes = Vec::new();
        messages.save(&mut bytes);
        assert!(bytes.len() <= 4 * 64_000, "{}", bytes.len());
        let (loaded, _) = Messages::load(&mut Reader(&bytes)).expect("it was saved");
        let narrow = |(_, rows): (u64, &Rows)| matches!(rows.table, Table::Narrow { .. });
        assert!(loaded.blocks.iter().all(narrow));
    }
}
