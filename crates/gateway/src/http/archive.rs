//! A copy of a store as a tar archive, piece by piece.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, io, sync::Arc};
use tar::{EntryType, Header};
use trunkline_model::{Snapshot, SnapshotFile, Timestamp};

/// Most bytes of a piece.
const PIECE: u64 = 256 << 10;
/// A tar archive consists of blocks of this size.
const BLOCK: u64 = 512;
/// What ends an archive: two blocks of zeros.
const END: Bytes = Bytes::from_static(&[0; 2 * BLOCK as usize]);

/// What a backup says about itself, as JSON in its first file, [`BackupManifest::FILE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupManifest {
    /// Version of the backup's form: [`BackupManifest::FORMAT`].
    pub format: u32,
    /// Version of the server that made it.
    pub version: String,
    /// When it was asked for, RFC 3339. Everything confirmed before is in it.
    pub made_at: String,
    /// The files of the store, in the order of the archive.
    pub files: Vec<BackupFile>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFile {
    /// Its name in the store's directory.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
}

impl BackupManifest {
    /// Name of the file that the manifest is in.
    pub const FILE: &str = "trunkline-backup.json";
    /// The only form there is.
    pub const FORMAT: u32 = 1;
}

/// What is still to be sent.
#[derive(Debug)]
pub(crate) struct Archive {
    snapshot: Arc<dyn Snapshot>,
    parts: VecDeque<Part>,
    bytes: u64,
}

#[derive(Debug)]
enum Part {
    Bytes(Bytes),
    File { index: usize, from: u64, to: u64 },
}

impl Archive {
    /// Reads nothing yet.
    pub(crate) fn new(
        snapshot: Arc<dyn Snapshot>,
        version: &str,
        made_at: Timestamp,
    ) -> io::Result<Self> {
        let file = |file: &SnapshotFile| BackupFile {
            name: file.name.clone(),
            bytes: file.bytes,
        };
        let manifest = BackupManifest {
            format: BackupManifest::FORMAT,
            version: version.to_owned(),
            made_at: made_at.to_string(),
            files: snapshot.files().iter().map(file).collect(),
        };
        let json = Bytes::from(serde_json::to_vec(&manifest)?);
        let mut parts = VecDeque::new();
        let seconds = made_at.as_micros() / 1_000_000;
        let length = json.len() as u64;
        parts.push_back(header(BackupManifest::FILE, length, seconds)?);
        parts.extend([Part::Bytes(json), padding(length)]);
        for (index, file) in manifest.files.iter().enumerate() {
            parts.push_back(header(&file.name, file.bytes, seconds)?);
            let (from, to) = (0, file.bytes);
            parts.extend([Part::File { index, from, to }, padding(to)]);
        }
        parts.push_back(Part::Bytes(END));
        let bytes = parts.iter().map(Part::bytes).sum();
        Ok(Self {
            snapshot,
            parts,
            bytes,
        })
    }

    /// Size of the whole archive.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next piece; `None` after the last. Blocks while the disk reads.
    pub(crate) fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let Some(part) = self.parts.pop_front() else {
                return Ok(None);
            };
            match part {
                Part::Bytes(bytes) if bytes.is_empty() => {}
                Part::Bytes(bytes) => return Ok(Some(bytes)),
                Part::File { from, to, .. } if from >= to => {}
                Part::File { index, from, to } => {
                    let mut piece = vec![0; (to - from).min(PIECE) as usize];
                    let read = self.snapshot.read(index, from, &mut piece)?;
                    if read == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    piece.truncate(read);
                    let from = from + read as u64;
                    self.parts.push_front(Part::File { index, from, to });
                    return Ok(Some(piece.into()));
                }
            }
        }
    }
}

impl Part {
    fn bytes(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { from, to, .. } => to - from,
        }
    }
}

fn header(name: &str, bytes: u64, seconds: u64) -> io::Result<Part> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o600);
    header.set_size(bytes);
    header.set_mtime(seconds);
    header.set_cksum();
    Ok(Part::Bytes(Bytes::copy_from_slice(header.as_bytes())))
}

/// Zeros up to the next whole block.
fn padding(bytes: u64) -> Part {
    let rest = bytes.next_multiple_of(BLOCK) - bytes;
    Part::Bytes(END.slice(..rest as usize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    /// Files of some sizes; reads less than is asked for.
    #[derive(Debug)]
    struct Files(Vec<SnapshotFile>);

    impl Snapshot for Files {
        fn files(&self) -> &[SnapshotFile] {
            &self.0
        }

        fn read(&self, file: usize, offset: u64, into: &mut [u8]) -> io::Result<usize> {
            let left = self.0[file].bytes - offset;
            let count = into.len().min(1_000).min(left as usize);
            into[..count].fill(file as u8 + 1);
            Ok(count)
        }
    }

    #[test]
    fn what_comes_out_is_a_tar_archive() {
        let sizes = [0, 1, 512, 300_000];
        let file = |(index, bytes): (usize, &u64)| SnapshotFile {
            name: format!("{index:010}.seg"),
            bytes: *bytes,
        };
        let snapshot = Files(sizes.iter().enumerate().map(file).collect());
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        let mut archive = Archive::new(Arc::new(snapshot), "1.2.3", now).unwrap();
        let mut all = Vec::new();
        let bytes = archive.bytes();
        while let Some(piece) = archive.next().unwrap() {
            all.extend_from_slice(&piece);
        }
        assert_eq!(all.len() as u64, bytes);
        assert!(all.ends_with(&END));

        let mut archive = tar::Archive::new(&*all);
        let mut entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (entry.path().unwrap().display().to_string(), content)
        });
        let (name, manifest) = entries.next().unwrap();
        assert_eq!(name, BackupManifest::FILE);
        let manifest: BackupManifest = serde_json::from_slice(&manifest).unwrap();
        assert_eq!(manifest.made_at, now.to_string());
        for (index, file) in manifest.files.iter().enumerate() {
            let (name, content) = entries.next().unwrap();
            assert_eq!((&name, sizes[index]), (&file.name, file.bytes));
            assert_eq!(content, vec![index as u8 + 1; file.bytes as usize]);
        }
        assert!(entries.next().is_none());
    }

    #[test]
    fn a_file_that_is_shorter_than_promised_ends_it() {
        #[derive(Debug)]
        struct Short([SnapshotFile; 1]);
        impl Snapshot for Short {
            fn files(&self) -> &[SnapshotFile] {
                &self.0
            }
            fn read(&self, _: usize, _: u64, _: &mut [u8]) -> io::Result<usize> {
                Ok(0)
            }
        }
        let file = SnapshotFile {
            name: "a".to_owned(),
            bytes: 1,
        };
        let short = Arc::new(Short([file]));
        let mut archive = Archive::new(short, "", Timestamp::ZERO).unwrap();
        let end = loop {
            match archive.next() {
                Ok(Some(_)) => {}
                end => break end,
            }
        };
        assert!(end.is_err(), "{end:?}");
    }
}
