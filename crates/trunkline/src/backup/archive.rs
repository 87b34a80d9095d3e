//! What a backup consists of: read from a tar archive or a directory, and checked.

use super::watched::Watched;
use crate::{failure::Failure, text};
use indicatif::ProgressBar;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Component, Path},
    sync::{Arc, atomic::AtomicBool},
};
use trunkline_gateway::BackupManifest;
use trunkline_journal::FileRole;

/// Largest manifest: a million files.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;
/// A tar archive consists of blocks of this size, and ends with two of zeros.
const BLOCK: u64 = 512;
/// Most that is said of what is wrong, in characters: some of it is what the archive holds.
const REASON_MAX: usize = 300;

/// What a backup holds.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// What it says about itself; a copy of a stopped server's directory says nothing.
    pub(crate) manifest: Option<BackupManifest>,
    /// Sizes of the store's files, by name.
    pub(crate) files: BTreeMap<String, u64>,
}

/// Takes a file of the store: its name, and what is in it. Returns how many bytes it took.
pub(crate) type Take<'a> = &'a mut dyn FnMut(&str, &mut dyn Read) -> Result<u64, Failure>;

impl Contents {
    pub(crate) fn bytes(&self) -> u64 {
        self.files.values().sum()
    }

    fn add(&mut self, name: &str, bytes: u64, from: &mut dyn Read, take: Take<'_>) -> Checked {
        if name == BackupManifest::FILE {
            let mut json = Vec::new();
            let read = from.take(MANIFEST_BYTES_MAX).read_to_end(&mut json);
            read.map_err(|error| unusable(format!("{name}: {error}")))?;
            let manifest: BackupManifest = serde_json::from_slice(&json)
                .map_err(|error| unusable(format!("{name}: {error}")))?;
            if manifest.format != BackupManifest::FORMAT {
                return Err(unusable(format!(
                    "it has format {}, this version knows {}; use version {} or later",
                    manifest.format,
                    BackupManifest::FORMAT,
                    manifest.version
                )));
            }
            take(name, &mut &*json)?;
            self.manifest = Some(manifest);
            return Ok(());
        }
        match FileRole::of(name) {
            Some(FileRole::Log) => {}
            // Nothing of the log is in them.
            Some(_) => return Ok(()),
            None => return Err(unusable(format!("{name:?} is no file of a store"))),
        }
        let taken = take(name, from)?;
        if taken != bytes {
            let text = format!("{name} ends after {taken} of {bytes} bytes");
            return Err(unusable(text));
        }
        match self.files.insert(name.to_owned(), bytes) {
            None => Ok(()),
            Some(_) => Err(unusable(format!("{name} is in it twice"))),
        }
    }

    /// Everything that the manifest names is there, and nothing else.
    fn check(self) -> Result<Self, Failure> {
        if self.files.is_empty() {
            return Err(unusable("no file of a store is in it"));
        }
        let Some(manifest) = &self.manifest else {
            return Ok(self);
        };
        for file in &manifest.files {
            match self.files.get(&file.name) {
                Some(bytes) if *bytes == file.bytes => {}
                Some(bytes) => {
                    let (name, promised) = (&file.name, file.bytes);
                    let text = format!("{name} has {bytes} bytes instead of {promised}");
                    return Err(unusable(text));
                }
                None => return Err(unusable(format!("{} is missing", file.name))),
            }
        }
        match self.files.len() == manifest.files.len() {
            true => Ok(self),
            false => Err(unusable("it has files that its manifest doesn't name")),
        }
    }
}

type Checked = Result<(), Failure>;

fn unusable(what: impl std::fmt::Display) -> Failure {
    let what = text::printable(&what.to_string(), REASON_MAX);
    Failure::failed(format!("not a whole backup: {what}"))
}

/// Counts bytes, and how many of the last ones are zeros.
struct Counted<R> {
    inner: R,
    bytes: u64,
    zeros: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.bytes += read as u64;
        match into[..read].iter().rposition(|byte| *byte != 0) {
            Some(last) => self.zeros = (read - last - 1) as u64,
            None => self.zeros += read as u64,
        }
        Ok(read)
    }
}

/// Reads a tar archive to its end, and hands on the files of the store.
pub(crate) fn read_archive(from: impl Read, take: Take<'_>) -> Result<Contents, Failure> {
    let mut counted = Counted {
        inner: from,
        bytes: 0,
        zeros: 0,
    };
    let mut contents = Contents::default();
    let mut end = 0;
    let unreadable = |error: io::Error| unusable(error);
    let mut archive = tar::Archive::new(&mut counted);
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let bytes = entry.size();
        end = entry.raw_file_position() + bytes.next_multiple_of(BLOCK);
        let path = entry.path().map_err(unreadable)?.into_owned();
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            continue;
        }
        match plain_name(&path).filter(|_| kind.is_file()) {
            Some(name) => contents.add(name, bytes, &mut entry, take)?,
            None => {
                let text = format!("{:?} is no file of a store", path.display());
                return Err(unusable(text));
            }
        }
    }
    io::copy(&mut counted, &mut io::sink()).map_err(unreadable)?;
    let marker = counted.bytes.checked_sub(end);
    if marker.is_none_or(|marker| marker < 2 * BLOCK || counted.zeros < marker) {
        return Err(unusable("it has no end; it was cut off"));
    }
    contents.check()
}

/// The file name of a path that leads nowhere else: in the archive's root, or a directory there.
fn plain_name(path: &Path) -> Option<&str> {
    let mut components = path.components().filter(|part| *part != Component::CurDir);
    let name = match (components.next(), components.next(), components.next()) {
        (Some(Component::Normal(name)), None, None) => name,
        (Some(Component::Normal(_)), Some(Component::Normal(name)), None) => name,
        _ => return None,
    };
    name.to_str()
}

/// Reads a directory: a backup, or that of a stopped server.
pub(crate) fn read_directory(
    from: &Path,
    bar: &ProgressBar,
    stop: &Arc<AtomicBool>,
    take: Take<'_>,
) -> Result<Contents, Failure> {
    let unreadable = |error: io::Error| Failure::failed(format!("{}: {error}", from.display()));
    let mut contents = Contents::default();
    let mut files = Vec::new();
    for entry in fs::read_dir(from).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let kind = entry.file_type().map_err(unreadable)?;
        let name = entry.file_name().into_string().ok();
        let Some(name) = name.filter(|_| kind.is_file()) else {
            let text = format!("{} is no file of a store", entry.path().display());
            return Err(unusable(text));
        };
        let bytes = entry.metadata().map_err(unreadable)?.len();
        files.push((name, bytes));
    }
    files.sort();
    bar.set_length(files.iter().map(|(_, bytes)| bytes).sum());
    for (name, bytes) in files {
        let mut file = Watched {
            inner: File::open(from.join(&name)).map_err(unreadable)?,
            bar: bar.clone(),
            stop: Arc::clone(stop),
        };
        contents.add(&name, bytes, &mut file, take)?;
    }
    contents.check()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tar::{Builder, EntryType, Header};
    use trunkline_gateway::BackupFile;

    const NAME: &str = "0000000001.seg";

    fn entry(name: &str, kind: EntryType, content: &[u8]) -> Vec<u8> {
        let mut header = Header::new_gnu();
        // Not `set_path`, which refuses what an attacker would not.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
        bytes
    }

    fn manifest(files: &[(&str, u64)]) -> Vec<u8> {
        let file = |(name, bytes): &(&str, u64)| BackupFile {
            name: (*name).to_owned(),
            bytes: *bytes,
        };
        let manifest = BackupManifest {
            format: BackupManifest::FORMAT,
            version: "1".to_owned(),
            made_at: String::new(),
            files: files.iter().map(file).collect(),
        };
        let json = serde_json::to_vec(&manifest).unwrap();
        entry(BackupManifest::FILE, EntryType::Regular, &json)
    }

    fn end() -> Vec<u8> {
        vec![0; 1024]
    }

    fn read(parts: &[Vec<u8>]) -> Result<Contents, String> {
        let all = parts.concat();
        let mut take = |_: &str, from: &mut dyn Read| {
            let copied = io::copy(from, &mut io::sink());
            copied.map_err(Failure::from)
        };
        read_archive(&*all, &mut take).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn a_whole_backup_is_taken() {
        let segment = entry(NAME, EntryType::Regular, &[0; 700]);
        let contents = read(&[manifest(&[(NAME, 700)]), segment.clone(), end()]).unwrap();
        assert_eq!((contents.bytes(), contents.files.len()), (700, 1));
        // As `tar cf` makes it of a stopped server's directory.
        let mut builder = Builder::new(Vec::new());
        for name in ["data/journal.lock", "data/0000000001.seg"] {
            let mut header = Header::new_gnu();
            header.set_size(4);
            header.set_cksum();
            builder
                .append_data(&mut header, name, &b"abcd"[..])
                .unwrap();
        }
        let contents = read(&[builder.into_inner().unwrap()]).unwrap();
        assert!(contents.manifest.is_none() && contents.files.len() == 1);
    }

    #[test]
    fn what_is_no_whole_backup_is_refused() {
        let regular = |name: &str| entry(name, EntryType::Regular, &[0; 700]);
        let manifest = || manifest(&[(NAME, 700)]);
        for (parts, says) in [
            (vec![end()], "no file of a store"),
            (vec![manifest(), end()], "no file of a store"),
            (vec![manifest(), regular(NAME)], "it was cut off"),
            (vec![regular(NAME), vec![0; 512]], "it was cut off"),
            (vec![regular(NAME), end(), vec![1]], "it was cut off"),
            (
                vec![manifest(), regular(NAME)[..900].to_vec()],
                "ends after 388 of 700",
            ),
            (vec![regular(NAME), regular(NAME), end()], "in it twice"),
            (
                vec![manifest(), regular("0000000002.seg"), end()],
                "0000000001.seg is missing",
            ),
            (
                vec![manifest(), regular(NAME), regular("0000000002.seg"), end()],
                "manifest doesn't name",
            ),
            (
                vec![manifest(), entry(NAME, EntryType::Regular, &[1]), end()],
                "1 bytes instead of 700",
            ),
            (vec![regular("/etc/passwd"), end()], "is no file of a store"),
            (
                vec![regular("../0000000001.seg"), end()],
                "is no file of a store",
            ),
            (
                vec![regular("a/../0000000001.seg"), end()],
                "is no file of a store",
            ),
            (vec![regular("notes.txt"), end()], "is no file of a store"),
            (
                vec![entry(NAME, EntryType::Symlink, &[]), end()],
                "is no file of a store",
            ),
            (vec![b"not a tar archive".to_vec()], "not a whole backup"),
            (vec![], "it was cut off"),
        ] {
            let error = read(&parts).unwrap_err();
            assert!(error.contains(says), "{says}: {error}");
        }
    }
}
