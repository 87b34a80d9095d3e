//! The files of a store, seen from outside.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};

/// What a store takes at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoreUse {
    /// Bytes that its files have on the disk, spare ones included.
    pub(crate) bytes: u64,
    /// Number of its oldest segment: it grows with every segment that is freed.
    pub(crate) oldest_segment: u32,
    /// Size of a segment file.
    pub(crate) segment_bytes: u64,
}

impl StoreUse {
    /// Of the store in `directory`. What vanishes while it is looked at is not counted.
    pub(crate) fn of(directory: &Path) -> Result<StoreUse> {
        let mut bytes = 0;
        let mut segments = Vec::new();
        for entry in
            fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))?
        {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            bytes += metadata.blocks() * 512;
            if let Some(number) = entry.file_name().to_str().and_then(segment_number) {
                segments.push((number, metadata.len()));
            }
        }
        let (oldest_segment, segment_bytes) = segments
            .into_iter()
            .min()
            .with_context(|| format!("no segment in {}", directory.display()))?;
        Ok(StoreUse {
            bytes,
            oldest_segment,
            segment_bytes,
        })
    }
}

/// Of `NNNNNNNNNN.seg`.
fn segment_number(name: &str) -> Option<u32> {
    name.strip_suffix(".seg")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_told_from_other_files() {
        let directory = tempfile::tempdir().unwrap();
        assert!(StoreUse::of(directory.path()).is_err());
        for (name, bytes) in [
            ("0000000012.seg", 8_192),
            ("0000000003.seg", 4_096),
            ("0000000001.free", 20_000),
            ("0000000002.ckpt", 1),
        ] {
            fs::write(directory.path().join(name), vec![1; bytes]).unwrap();
        }
        let store = StoreUse::of(directory.path()).unwrap();
        assert_eq!((store.oldest_segment, store.segment_bytes), (3, 4_096));
        assert_eq!(segment_number("journal.lock"), None);
    }
}
