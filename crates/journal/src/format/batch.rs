//! A batch: a 64-byte header, the records, zeros up to the next multiple of 64.

use std::fmt;

use super::{
    BATCH_ALIGN, BATCH_BYTES_MAX, BATCH_HEADER, FORMAT_VERSION, SEGMENT_DATA, crc_seed, framed, le,
    padding,
};
use crate::lsn::Lsn;

/// What a batch starts with.
pub(crate) const MAGIC: [u8; 4] = *b"TLJB";
/// The batch that a clean stop writes last.
pub(crate) const FLAG_CLOSING: u16 = 1;
const ZEROS: [u8; BATCH_ALIGN as usize] = [0; BATCH_ALIGN as usize];

/// What a batch says about itself, apart from what its place and its journal already say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) flags: u16,
    /// Length of the body, without padding.
    pub(crate) body: u32,
    pub(crate) generation: u32,
    pub(crate) count: u32,
    pub(crate) first_lsn: Lsn,
    pub(crate) synced_lsn: Lsn,
    pub(crate) now: u64,
}

impl BatchHeader {
    /// Whether this is the batch of a clean stop.
    pub(crate) fn is_closing(&self) -> bool {
        self.flags & FLAG_CLOSING != 0
    }

    /// The LSN after the last record of the batch.
    pub(crate) fn next_lsn(&self) -> Lsn {
        Lsn(self.first_lsn.0.saturating_add(u64::from(self.count)))
    }

    /// Bytes that the batch takes in its segment.
    pub(crate) fn framed(&self) -> u32 {
        framed(self.body)
    }
}

/// Where a batch lies: what its header must agree with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) journal_id: u64,
    pub(crate) segment: u32,
    pub(crate) segment_bytes: u32,
    pub(crate) offset: u32,
}

/// Why bytes are not a batch of this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BatchFault {
    /// No space for a header up to the end of the segment.
    SegmentEnd,
    /// Zeros where the header would be.
    Blank,
    /// Something else where the header would be.
    Magic,
    /// Written by another version.
    Version(u16),
    /// Another journal, another segment or another offset: stale, copied or forged.
    Elsewhere,
    /// A length that doesn't fit the segment or the limits.
    Length,
    /// The checksum doesn't hold. The header, if it can be believed, says that this generation wrote it.
    Checksum {
        /// As in the header.
        generation: u32,
    },
}

impl fmt::Display for BatchFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BatchFault::SegmentEnd => f.write_str("end of the segment"),
            BatchFault::Blank => f.write_str("nothing written"),
            BatchFault::Magic => f.write_str("no batch"),
            BatchFault::Version(version) => write!(
                f,
                "a batch of format {version} (this program reads up to {FORMAT_VERSION})"
            ),
            BatchFault::Elsewhere => f.write_str("a batch of another journal or place"),
            BatchFault::Length => f.write_str("a batch with an impossible length"),
            BatchFault::Checksum { .. } => f.write_str("a batch whose checksum doesn't hold"),
        }
    }
}

impl Frame {
    /// The header of a batch with `body` (without padding) at this place.
    pub(crate) fn encode(&self, header: &BatchHeader, body: &[u8]) -> [u8; BATCH_HEADER as usize] {
        debug_assert_eq!(header.body as usize, body.len());
        debug_assert!(
            self.offset.is_multiple_of(BATCH_ALIGN)
                && self.offset + header.framed() <= self.segment_bytes
        );
        let mut out = [0; BATCH_HEADER as usize];
        out[0..4].copy_from_slice(&MAGIC);
        out[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        out[10..12].copy_from_slice(&header.flags.to_le_bytes());
        out[12..16].copy_from_slice(&header.body.to_le_bytes());
        out[16..24].copy_from_slice(&self.journal_id.to_le_bytes());
        out[24..28].copy_from_slice(&header.generation.to_le_bytes());
        out[28..32].copy_from_slice(&self.segment.to_le_bytes());
        out[32..36].copy_from_slice(&self.offset.to_le_bytes());
        out[36..40].copy_from_slice(&header.count.to_le_bytes());
        out[40..48].copy_from_slice(&header.first_lsn.0.to_le_bytes());
        out[48..56].copy_from_slice(&header.synced_lsn.0.to_le_bytes());
        out[56..64].copy_from_slice(&header.now.to_le_bytes());
        let crc = crc32c::crc32c_append(crc_seed(self.journal_id), &out[8..]);
        let crc = crc32c::crc32c_append(crc, body);
        let crc = crc32c::crc32c_append(crc, &ZEROS[..padding(header.body) as usize]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a header whose checksum isn't verified yet: `bytes` are the first 64 at this place.
    pub(crate) fn peek(&self, bytes: &[u8]) -> Result<BatchHeader, BatchFault> {
        if bytes[0..4] != MAGIC {
            let blank = bytes[..BATCH_HEADER as usize].iter().all(|&b| b == 0);
            return Err(if blank {
                BatchFault::Blank
            } else {
                BatchFault::Magic
            });
        }
        let version = le::u16(bytes, 8);
        if version != FORMAT_VERSION {
            return Err(BatchFault::Version(version));
        }
        let here = (le::u64(bytes, 16), le::u32(bytes, 28), le::u32(bytes, 32));
        if here != (self.journal_id, self.segment, self.offset) {
            return Err(BatchFault::Elsewhere);
        }
        let header = BatchHeader {
            flags: le::u16(bytes, 10),
            body: le::u32(bytes, 12),
            generation: le::u32(bytes, 24),
            count: le::u32(bytes, 36),
            first_lsn: Lsn(le::u64(bytes, 40)),
            synced_lsn: Lsn(le::u64(bytes, 48)),
            now: le::u64(bytes, 56),
        };
        let room = BATCH_BYTES_MAX.min(self.segment_bytes.saturating_sub(self.offset));
        if header.body > room.saturating_sub(BATCH_HEADER) || header.framed() > room {
            return Err(BatchFault::Length);
        }
        Ok(header)
    }

    /// Verifies the checksum of a whole batch with this header: `bytes` are the [`BatchHeader::framed`] bytes at this place.
    pub(crate) fn verify(&self, header: &BatchHeader, bytes: &[u8]) -> Result<(), BatchFault> {
        let crc = crc32c::crc32c_append(crc_seed(self.journal_id), &bytes[8..]);
        if crc == le::u32(bytes, 4) {
            Ok(())
        } else {
            Err(BatchFault::Checksum {
                generation: header.generation,
            })
        }
    }

    /// Whether a batch can start here at all.
    pub(crate) fn has_room(&self) -> bool {
        self.offset >= SEGMENT_DATA
            && self.offset <= self.segment_bytes.saturating_sub(BATCH_HEADER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Frame = Frame {
        journal_id: 0x0102_0304_0506_0708,
        segment: 3,
        segment_bytes: 256 << 10,
        offset: 4096,
    };

    fn sample() -> (BatchHeader, Vec<u8>) {
        let body = b"some records".to_vec();
        let header = BatchHeader {
            flags: 0,
            body: 12,
            generation: 2,
            count: 5,
            first_lsn: Lsn(10),
            synced_lsn: Lsn(9),
            now: 77,
        };
        let mut bytes = FRAME.encode(&header, &body).to_vec();
        bytes.extend_from_slice(&body);
        bytes.resize(header.framed() as usize, 0);
        (header, bytes)
    }

    fn read(frame: &Frame, bytes: &[u8]) -> Result<BatchHeader, BatchFault> {
        let header = frame.peek(bytes)?;
        match bytes.get(..header.framed() as usize) {
            Some(batch) => frame.verify(&header, batch).map(|()| header),
            None => Err(BatchFault::Length),
        }
    }

    #[test]
    fn a_batch_reads_back_at_its_place() {
        let (header, bytes) = sample();
        assert_eq!(bytes.len(), 128);
        assert_eq!(read(&FRAME, &bytes), Ok(header));
    }

    #[test]
    fn the_bytes_are_those_of_the_format_document() {
        let (_, bytes) = sample();
        assert_eq!(&bytes[0..4], b"TLJB");
        assert_eq!(bytes[8..16], [1, 0, 0, 0, 12, 0, 0, 0]);
        assert_eq!(bytes[16..24], [8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(
            bytes[24..40],
            [2, 0, 0, 0, 3, 0, 0, 0, 0, 16, 0, 0, 5, 0, 0, 0]
        );
        assert_eq!(
            bytes[40..64],
            [
                10, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0
            ]
        );
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let (_, bytes) = sample();
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&FRAME, &bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_batch_is_nothing_at_another_place_or_in_another_journal() {
        let (_, bytes) = sample();
        for frame in [
            Frame {
                segment: 4,
                ..FRAME
            },
            Frame {
                offset: 8192,
                ..FRAME
            },
            Frame {
                journal_id: 1,
                ..FRAME
            },
        ] {
            assert_eq!(read(&frame, &bytes), Err(BatchFault::Elsewhere));
        }
        // Somebody who changes the id in the bytes doesn't know the sum.
        let mut forged = bytes;
        forged[16..24].copy_from_slice(&1_u64.to_le_bytes());
        assert_eq!(
            read(
                &Frame {
                    journal_id: 1,
                    ..FRAME
                },
                &forged
            ),
            Err(BatchFault::Checksum { generation: 2 })
        );
    }
}
