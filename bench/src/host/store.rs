//! The files of a store, seen from outside.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};

/// Where a segment has its first batch, and how that begins (docs/journal-format.md): up to the
/// number of its segment.
const FIRST_BATCH: u64 = 4_096;
const BATCH_BYTES: usize = 32;
const BATCH_MAGIC: &[u8] = b"TLJB";

/// What a store takes at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoreUse {
    /// Bytes of the segments that hold its log, without those that are ready or free to be used.
    pub(crate) log_bytes: u64,
    /// Number of its oldest segment: it grows with every segment that is freed.
    pub(crate) oldest_segment: u32,
    /// Number of its newest segment that holds any of the log.
    pub(crate) newest_segment: u32,
    /// Size of a segment file.
    pub(crate) segment_bytes: u64,
}

impl StoreUse {
    /// Of the store in `directory`. What vanishes while it is looked at is not counted.
    pub(crate) fn of(directory: &Path) -> Result<StoreUse> {
        let mut segments = Vec::new();
        for entry in
            fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))?
        {
            let entry = entry?;
            let Some(number) = entry.file_name().to_str().and_then(segment_number) else {
                continue;
            };
            let file = match File::open(entry.path()) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                file => file?,
            };
            let mut batch = [0; BATCH_BYTES];
            file.read_exact_at(&mut batch, FIRST_BATCH)?;
            if starts_log(&batch, number) {
                segments.push((number, file.metadata()?.len()));
            }
        }
        let nothing = || format!("no segment in {} holds a log", directory.display());
        let &(oldest_segment, segment_bytes) = segments.iter().min().with_context(nothing)?;
        let &(newest_segment, _) = segments.iter().max().with_context(nothing)?;
        Ok(StoreUse {
            log_bytes: segments.iter().map(|(_, bytes)| bytes).sum(),
            oldest_segment,
            newest_segment,
            segment_bytes,
        })
    }
}

/// Whether the first bytes of a batch are of one that belongs there: not blank, and not left from
/// an earlier use of the file.
fn starts_log(batch: &[u8; BATCH_BYTES], segment: u32) -> bool {
    batch.starts_with(BATCH_MAGIC) && batch.ends_with(&segment.to_le_bytes())
}

/// Of `NNNNNNNNNN.seg`.
fn segment_number(name: &str) -> Option<u32> {
    name.strip_suffix(".seg")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A segment whose first batch says that it is of segment `batch`; blank without it.
    fn segment(batch: Option<u32>) -> Vec<u8> {
        let mut bytes = vec![0; 8_192];
        if let Some(number) = batch {
            bytes[4_096..4_100].copy_from_slice(BATCH_MAGIC);
            bytes[4_124..4_128].copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn only_segments_with_a_part_of_the_log_count() {
        let directory = tempfile::tempdir().unwrap();
        assert!(StoreUse::of(directory.path()).is_err());
        for (name, batch) in [
            ("0000000003.seg", Some(3)),
            ("0000000012.seg", Some(12)),
            // Ready: fresh, or used before as segment 2.
            ("0000000013.seg", None),
            ("0000000014.seg", Some(2)),
            ("0000000001.free", Some(1)),
            ("0000000002.ckpt", Some(2)),
        ] {
            fs::write(directory.path().join(name), segment(batch)).unwrap();
        }
        let expected = StoreUse {
            log_bytes: 16_384,
            oldest_segment: 3,
            newest_segment: 12,
            segment_bytes: 8_192,
        };
        assert_eq!(StoreUse::of(directory.path()).unwrap(), expected);
    }
}
