//! The header of a segment: 64 bytes that stay where they are in every version.

use std::fmt;

use super::{FORMAT_VERSION, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, le};

const MAGIC: [u8; 8] = *b"TRUNKJNL";
/// Features without which a log can't be read. This version has none.
const REQUIRED_KNOWN: u64 = 0;

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) journal_id: u64,
    pub(crate) segment: u32,
    pub(crate) generation: u32,
    pub(crate) segment_bytes: u32,
    pub(crate) required: u64,
    pub(crate) optional: u64,
    pub(crate) now: u64,
}

/// Why a header is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// Not the start of a segment.
    Magic,
    /// The checksum doesn't hold.
    Checksum,
    /// A size out of bounds.
    Size(u32),
    /// Written by a newer version.
    Version(u16),
    /// Written with features that this version doesn't know (these bits).
    Features(u16, u64),
}

impl fmt::Display for HeaderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeaderFault::Magic => f.write_str("this is no segment"),
            HeaderFault::Checksum => f.write_str("the checksum of the header doesn't hold"),
            HeaderFault::Size(size) => {
                write!(f, "the header says {size} bytes, which no segment has")
            }
            HeaderFault::Version(version) => write!(
                f,
                "written in format {version}; this program reads up to format {FORMAT_VERSION}"
            ),
            HeaderFault::Features(version, bits) => {
                write!(
                    f,
                    "written in format {version} with required features {bits:#x}, which this program (format {FORMAT_VERSION}) doesn't know"
                )
            }
        }
    }
}

impl SegmentHeader {
    /// Length of the part that has fields.
    pub(crate) const LEN: usize = 64;

    /// The first bytes of the file.
    pub(crate) fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[0..8].copy_from_slice(&MAGIC);
        out[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        out[16..24].copy_from_slice(&self.journal_id.to_le_bytes());
        out[24..28].copy_from_slice(&self.segment.to_le_bytes());
        out[28..32].copy_from_slice(&self.generation.to_le_bytes());
        out[32..36].copy_from_slice(&self.segment_bytes.to_le_bytes());
        out[40..48].copy_from_slice(&self.required.to_le_bytes());
        out[48..56].copy_from_slice(&self.optional.to_le_bytes());
        out[56..64].copy_from_slice(&self.now.to_le_bytes());
        let crc = crc32c::crc32c(&out);
        out[12..16].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads and checks a header. The checksum comes first: a flipped bit is damage, not another version.
    pub(crate) fn decode(bytes: &[u8; Self::LEN]) -> Result<SegmentHeader, HeaderFault> {
        if bytes[0..8] != MAGIC {
            return Err(HeaderFault::Magic);
        }
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &[0; 4]);
        if crc32c::crc32c_append(crc, &bytes[16..]) != le::u32(bytes, 12) {
            return Err(HeaderFault::Checksum);
        }
        let version = le::u16(bytes, 8);
        let header = SegmentHeader {
            journal_id: le::u64(bytes, 16),
            segment: le::u32(bytes, 24),
            generation: le::u32(bytes, 28),
            segment_bytes: le::u32(bytes, 32),
            required: le::u64(bytes, 40),
            optional: le::u64(bytes, 48),
            now: le::u64(bytes, 56),
        };
        if version != FORMAT_VERSION {
            return Err(HeaderFault::Version(version));
        }
        if header.required & !REQUIRED_KNOWN != 0 {
            return Err(HeaderFault::Features(
                version,
                header.required & !REQUIRED_KNOWN,
            ));
        }
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&header.segment_bytes)
            || !header.segment_bytes.is_multiple_of(4096)
        {
            return Err(HeaderFault::Size(header.segment_bytes));
        }
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> SegmentHeader {
        SegmentHeader {
            journal_id: 5,
            segment: 9,
            generation: 2,
            segment_bytes: 1 << 20,
            required: 0,
            optional: 4,
            now: 8,
        }
    }

    #[test]
    fn a_header_reads_back_and_unknown_optional_features_are_fine() {
        assert_eq!(SegmentHeader::decode(&sample().encode()), Ok(sample()));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = sample().encode();
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(
                matches!(
                    SegmentHeader::decode(&bad),
                    Err(HeaderFault::Magic | HeaderFault::Checksum)
                ),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn a_newer_writer_is_refused_naming_both_versions() {
        let unknown = SegmentHeader {
            required: 6,
            ..sample()
        };
        let fault = SegmentHeader::decode(&unknown.encode()).unwrap_err();
        assert_eq!(fault, HeaderFault::Features(1, 6));
        assert!(
            fault
                .to_string()
                .contains("format 1 with required features 0x6")
        );

        let mut newer = sample().encode();
        newer[8] = 3;
        newer[12..16].fill(0);
        let crc = crc32c::crc32c(&newer);
        newer[12..16].copy_from_slice(&crc.to_le_bytes());
        let fault = SegmentHeader::decode(&newer).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "written in format 3; this program reads up to format 1"
        );
    }
}
