//! The header of a checkpoint, and the checksums of what follows it.

use std::fmt;

use super::{SEGMENT_DATA, crc_seed, le};
use crate::lsn::{Lsn, Place};

const MAGIC: [u8; 8] = *b"TRUNKCKP";
/// The version that is written, and the only one that is read.
const VERSION: u16 = 1;
/// Features without which a checkpoint can't be read. This version has none.
const REQUIRED_KNOWN: u64 = 0;
/// So much of the state has a checksum of its own, in bytes.
const CHUNK: usize = 1 << 20;
/// Length of a checksum.
const SUM: usize = 4;
/// The longest state that is written or read, in bytes.
pub(crate) const STATE_BYTES_MAX: usize = 1 << 30;
/// Where the state starts.
const DATA: usize = SEGMENT_DATA as usize;
/// Files are so many bytes long, or a multiple.
const PAGE: usize = 4096;

/// What a checkpoint says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) number: u32,
    /// The opening that wrote it.
    pub(crate) generation: u32,
    /// The last record whose effects are in the state.
    pub(crate) lsn: Lsn,
    /// The end of the batch with that record.
    pub(crate) end: Place,
    pub(crate) last_now: u64,
}

/// Why a checkpoint is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckpointFault {
    /// Not a checkpoint, or cut short.
    Shape,
    /// A checksum doesn't hold.
    Checksum,
    /// Another version's.
    Version(u16),
    /// Written with features that this version doesn't know (these bits).
    Features(u64),
    /// Another journal's, or under a name that isn't its own.
    Elsewhere,
}

impl fmt::Display for CheckpointFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape => f.write_str("it is no whole checkpoint"),
            Self::Checksum => f.write_str("a checksum doesn't hold"),
            Self::Version(version) => write!(
                f,
                "it has format {version}; this program reads format {VERSION}"
            ),
            Self::Features(bits) => {
                write!(
                    f,
                    "it needs features {bits:#x}, which this program doesn't have"
                )
            }
            Self::Elsewhere => f.write_str("it belongs to another journal or file"),
        }
    }
}

impl Checkpoint {
    /// Length of the part that has fields.
    const LEN: usize = 96;

    /// Length of the file for a state of so many bytes.
    pub(crate) fn file_len(state: usize) -> usize {
        (DATA + state + state.div_ceil(CHUNK) * SUM).next_multiple_of(PAGE)
    }

    /// Writes the whole file into `out`, which is zeros and [`Checkpoint::file_len`] long.
    pub(crate) fn encode(&self, journal_id: u64, state: &[u8], out: &mut [u8]) {
        let (head, rest) = out.split_at_mut(DATA);
        let (data, table) = rest.split_at_mut(state.len());
        let seed = crc_seed(journal_id);
        let mut sums = table.chunks_exact_mut(SUM);
        for (from, to) in state.chunks(CHUNK).zip(data.chunks_mut(CHUNK)) {
            to.copy_from_slice(from);
            if let Some(sum) = sums.next() {
                sum.copy_from_slice(&crc32c::crc32c_append(seed, from).to_le_bytes());
            }
        }
        let table = &table[..state.len().div_ceil(CHUNK) * SUM];
        head[0..8].copy_from_slice(&MAGIC);
        head[8..10].copy_from_slice(&VERSION.to_le_bytes());
        head[16..24].copy_from_slice(&journal_id.to_le_bytes());
        head[24..28].copy_from_slice(&self.number.to_le_bytes());
        head[28..32].copy_from_slice(&self.generation.to_le_bytes());
        head[32..40].copy_from_slice(&self.lsn.0.to_le_bytes());
        head[40..48].copy_from_slice(&self.end.to_bits().to_le_bytes());
        head[48..56].copy_from_slice(&self.last_now.to_le_bytes());
        // 56: required features, 64: optional features.
        head[72..80].copy_from_slice(&(state.len() as u64).to_le_bytes());
        head[80..84].copy_from_slice(&crc32c::crc32c_append(seed, table).to_le_bytes());
        let crc = crc32c::crc32c(&head[..Self::LEN]);
        head[12..16].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads and verifies a whole file; also returns the state.
    pub(crate) fn decode(
        number: u32,
        journal_id: u64,
        file: &[u8],
    ) -> Result<(Checkpoint, &[u8]), CheckpointFault> {
        let head = file.get(..DATA).ok_or(CheckpointFault::Shape)?;
        if head[0..8] != MAGIC {
            return Err(CheckpointFault::Shape);
        }
        let crc = crc32c::crc32c_append(crc32c::crc32c(&head[..12]), &[0; 4]);
        if crc32c::crc32c_append(crc, &head[16..Self::LEN]) != le::u32(head, 12) {
            return Err(CheckpointFault::Checksum);
        }
        let version = le::u16(head, 8);
        if version != VERSION {
            return Err(CheckpointFault::Version(version));
        }
        let unknown = le::u64(head, 56) & !REQUIRED_KNOWN;
        if unknown != 0 {
            return Err(CheckpointFault::Features(unknown));
        }
        let checkpoint = Checkpoint {
            number: le::u32(head, 24),
            generation: le::u32(head, 28),
            lsn: Lsn(le::u64(head, 32)),
            end: Place::from_bits(le::u64(head, 40)),
            last_now: le::u64(head, 48),
        };
        if checkpoint.number != number || le::u64(head, 16) != journal_id {
            return Err(CheckpointFault::Elsewhere);
        }
        let state = usize::try_from(le::u64(head, 72)).unwrap_or(usize::MAX);
        if state > STATE_BYTES_MAX || file.len() != Self::file_len(state) {
            return Err(CheckpointFault::Shape);
        }
        let (state, table) = file[DATA..].split_at(state);
        let table = &table[..state.len().div_ceil(CHUNK) * SUM];
        let seed = crc_seed(journal_id);
        let holds =
            |(chunk, sum): (&[u8], &[u8])| crc32c::crc32c_append(seed, chunk) == le::u32(sum, 0);
        if crc32c::crc32c_append(seed, table) != le::u32(head, 80)
            || !state.chunks(CHUNK).zip(table.chunks_exact(SUM)).all(holds)
        {
            return Err(CheckpointFault::Checksum);
        }
        Ok((checkpoint, state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECKPOINT: Checkpoint = Checkpoint {
        number: 3,
        generation: 7,
        lsn: Lsn(500),
        end: Place::new(2, 8192),
        last_now: 99,
    };

    fn file(state: &[u8]) -> Vec<u8> {
        let mut out = vec![0; Checkpoint::file_len(state.len())];
        CHECKPOINT.encode(42, state, &mut out);
        out
    }

    #[test]
    fn round_trips_at_every_length() {
        for len in [0, 1, 4095, 4096, CHUNK - 1, CHUNK, 2 * CHUNK + 1] {
            let state: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
            let file = file(&state);
            assert_eq!(file.len() % PAGE, 0);
            let decoded = Checkpoint::decode(3, 42, &file);
            assert_eq!(decoded, Ok((CHECKPOINT, &state[..])), "{len}");
        }
    }

    #[test]
    fn a_changed_bit_of_any_field_or_byte_that_counts_is_found() {
        let state = vec![7; 5000];
        let file = file(&state);
        let counts = (0..Checkpoint::LEN).chain(DATA..DATA + state.len() + SUM);
        for at in counts {
            let mut changed = file.clone();
            changed[at] ^= 1 << (at % 8);
            assert!(Checkpoint::decode(3, 42, &changed).is_err(), "byte {at}");
        }
        for len in [0, 100, DATA, DATA + PAGE, file.len() - 1] {
            assert!(Checkpoint::decode(3, 42, &file[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn what_is_anothers_or_of_another_version_is_told_apart_from_damage() {
        let file = file(b"state");
        let elsewhere = Err(CheckpointFault::Elsewhere);
        assert_eq!(Checkpoint::decode(4, 42, &file), elsewhere);
        assert_eq!(Checkpoint::decode(3, 43, &file), elsewhere);
        let changed = |at: usize, value: u8| {
            let mut file = file.clone();
            file[at] = value;
            file[12..16].fill(0);
            let crc = crc32c::crc32c(&file[..Checkpoint::LEN]);
            file[12..16].copy_from_slice(&crc.to_le_bytes());
            Checkpoint::decode(3, 42, &file).map(|_| ())
        };
        assert_eq!(changed(8, 2), Err(CheckpointFault::Version(2)));
        assert_eq!(changed(56, 4), Err(CheckpointFault::Features(4)));
        assert_eq!(changed(64, 4), Ok(()), "an optional feature");
    }
}
