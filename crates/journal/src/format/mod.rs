//! The bytes on disk, as `docs/journal-format.md` fixes them. Pure: bytes in, values out.

mod batch;
mod checkpoint;
mod file_name;
mod record;
mod segment_header;

pub(crate) use batch::{BatchFault, BatchHeader, FLAG_CLOSING, Frame, MAGIC as BATCH_MAGIC};
pub(crate) use checkpoint::{Checkpoint, STATE_BYTES_MAX};
pub use file_name::FileRole;
pub(crate) use file_name::{FileName, LOCK_FILE};
pub(crate) use record::{RecordFault, Records, decode_record, encode_record, record_len};
pub(crate) use segment_header::{HeaderFault, SegmentHeader};

/// The version that is written, and the newest that is read.
pub(crate) const FORMAT_VERSION: u16 = 1;
/// A batch with its header and padding is at most so long.
pub const BATCH_BYTES_MAX: u32 = 16 << 20;
/// The smallest segment file.
pub const SEGMENT_BYTES_MIN: u32 = 256 << 10;
/// The largest segment file.
pub const SEGMENT_BYTES_MAX: u32 = 1 << 30;
/// Where the first batch of a segment starts.
pub(crate) const SEGMENT_DATA: u32 = 4096;
/// Batches start at multiples of this.
pub(crate) const BATCH_ALIGN: u32 = 64;
/// Length of a batch's header.
pub(crate) const BATCH_HEADER: u32 = 64;
/// Length of a record's header.
pub(crate) const RECORD_HEADER: usize = 8;

const _: () = assert!(
    BATCH_BYTES_MAX.is_multiple_of(BATCH_ALIGN) && BATCH_HEADER.is_multiple_of(BATCH_ALIGN)
);
const _: () = assert!(SEGMENT_DATA.is_multiple_of(BATCH_ALIGN) && SEGMENT_BYTES_MIN > SEGMENT_DATA);
// A record's length has 24 bits, and a place's offset 32.
const _: () = assert!(BATCH_BYTES_MAX <= 1 << 24 && SEGMENT_BYTES_MAX < u32::MAX / 2);

/// How many zeros follow a body of `len` bytes.
pub(crate) const fn padding(len: u32) -> u32 {
    len.wrapping_neg() % BATCH_ALIGN
}

/// Bytes that a batch with a body of `len` bytes takes in its segment.
pub(crate) const fn framed(len: u32) -> u32 {
    BATCH_HEADER + len + padding(len)
}

/// The CRC that a journal's batches start from.
pub(crate) fn crc_seed(journal_id: u64) -> u32 {
    crc32c::crc32c(&journal_id.to_le_bytes())
}

/// Fixed-width little-endian reads. The caller knows that the bytes are there.
pub(crate) mod le {
    /// Two bytes at `at`.
    pub(crate) fn u16(bytes: &[u8], at: usize) -> u16 {
        u16::from_le_bytes([bytes[at], bytes[at + 1]])
    }

    /// Four bytes at `at`.
    pub(crate) fn u32(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
    }

    /// Eight bytes at `at`.
    pub(crate) fn u64(bytes: &[u8], at: usize) -> u64 {
        u64::from(u32(bytes, at)) | u64::from(u32(bytes, at + 4)) << 32
    }
}
