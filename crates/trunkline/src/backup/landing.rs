//! Files that are there as a whole or not at all.

use crate::failure::Failure;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// Bytes copied at once.
const STEP: usize = 1 << 20;

/// A file or directory that is made under another name, and gets its own once it is whole and
/// durable. Dropped before, nothing is left of it.
#[derive(Debug)]
pub(crate) struct Landing {
    partial: PathBuf,
    target: PathBuf,
    landed: bool,
}

impl Landing {
    /// A new directory at `target`, where nothing is yet, or an empty directory.
    pub(crate) fn directory(target: &Path) -> Result<Self, Failure> {
        match fs::read_dir(target) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(Failure::usage(format!(
                        "{} is not empty; name a directory that is, or that isn't there yet",
                        target.display()
                    )));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(usage(target, &error)),
        }
        let landing = Self::beside(target)?;
        match fs::create_dir(&landing.partial) {
            Ok(()) => Ok(landing),
            Err(error) => Err(landing.refused(&error)),
        }
    }

    /// A new file at `target`, where nothing is yet.
    pub(crate) fn file(target: &Path) -> Result<(Self, File), Failure> {
        if target.symlink_metadata().is_ok() {
            return Err(Failure::usage(format!(
                "{} is already there; remove it, or choose another name",
                target.display()
            )));
        }
        let landing = Self::beside(target)?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&landing.partial);
        match file {
            Ok(file) => Ok((landing, file)),
            Err(error) => Err(landing.refused(&error)),
        }
    }

    fn beside(target: &Path) -> Result<Self, Failure> {
        let named = || Failure::usage(format!("{} has no name", target.display()));
        let mut name = target.file_name().ok_or_else(named)?.to_owned();
        name.push(".partial");
        Ok(Self {
            partial: target.with_file_name(name),
            target: target.to_owned(),
            landed: false,
        })
    }

    /// It couldn't be made, so there is nothing to remove.
    fn refused(mut self, error: &io::Error) -> Failure {
        self.landed = true;
        match error.kind() {
            io::ErrorKind::AlreadyExists => Failure::usage(format!(
                "{} is there: another run is under way, or was cut off; remove it in that case",
                self.partial.display()
            )),
            _ => usage(&self.partial, error),
        }
    }

    /// Where it is made.
    pub(crate) fn partial(&self) -> &Path {
        &self.partial
    }

    /// Gives it its name, durably. What is in it is durable already.
    pub(crate) fn land(mut self) -> Result<(), Failure> {
        if self.partial.is_dir() {
            sync_dir(&self.partial)?;
        }
        fs::rename(&self.partial, &self.target).map_err(|error| {
            let (from, to) = (self.partial.display(), self.target.display());
            Failure::failed(format!("can't rename {from} to {to}: {error}"))
        })?;
        self.landed = true;
        match self.target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
            _ => sync_dir(Path::new(".")),
        }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if !self.landed {
            // There is nobody to tell; the next run names it if it is still there.
            let _ = match self.partial.is_dir() {
                true => fs::remove_dir_all(&self.partial),
                false => fs::remove_file(&self.partial),
            };
        }
    }
}

fn usage(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("{}: {error}", path.display()))
}

fn sync_dir(path: &Path) -> Result<(), Failure> {
    let synced = File::open(path).and_then(|dir| dir.sync_all());
    synced.map_err(|error| Failure::failed(format!("can't sync {}: {error}", path.display())))
}

/// Copies everything into a new file and makes it durable; how many bytes that are.
pub(crate) fn write_file(path: &Path, from: &mut dyn Read) -> Result<u64, Failure> {
    let failed =
        |error: io::Error| Failure::failed(format!("can't write {}: {error}", path.display()));
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = file.map_err(failed)?;
    let mut buffer = vec![0; STEP];
    let mut bytes = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::failed(error.to_string())),
        };
        file.write_all(&buffer[..read]).map_err(failed)?;
        bytes += read as u64;
    }
    file.sync_all().map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn it_is_there_as_a_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("t");
        let landing = Landing::directory(&target).unwrap();
        let file = landing.partial().join("a");
        assert_eq!(write_file(&file, &mut &b"abc"[..]).unwrap(), 3);
        assert_eq!(names(dir.path()), ["t.partial"]);
        assert!(Landing::directory(&target).is_err(), "another run");
        drop(landing);
        assert_eq!(names(dir.path()), [""; 0]);

        fs::create_dir(&target).unwrap();
        Landing::directory(&target).unwrap().land().unwrap();
        assert_eq!(names(dir.path()), ["t"]);
        fs::write(target.join("a"), "").unwrap();
        assert!(Landing::directory(&target).is_err(), "not empty");

        let tar = dir.path().join("t.tar");
        drop(Landing::file(&tar).unwrap());
        assert_eq!(names(dir.path()), ["t"]);
        Landing::file(&tar).unwrap().0.land().unwrap();
        assert_eq!(names(dir.path()), ["t", "t.tar"]);
        assert!(Landing::file(&tar).is_err(), "already there");
        for bad in ["/", "/proc/no/such/place"] {
            assert!(Landing::directory(Path::new(bad)).is_err(), "{bad}");
        }
    }
}
