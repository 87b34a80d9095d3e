use crate::failure::Failure;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Logs that most machines have.
const LOGS: [&str; 7] = [
    "/var/log/dpkg.log",
    "/var/log/dnf.log",
    "/var/log/pacman.log",
    "/var/log/apt/history.log",
    "/var/log/syslog",
    "/var/log/messages",
    "/var/log/system.log",
];
/// Most of a file that is read.
const BYTES_MAX: u64 = 256 << 20;

/// The lines of a real file, repeated or cut to the number that a round needs.
pub(super) struct Lines {
    path: PathBuf,
    lines: Vec<Vec<u8>>,
    round: u64,
}

impl Lines {
    pub(super) fn read(input: Option<&Path>, round: u64) -> Result<Self, Failure> {
        let (path, text) = match input {
            Some(path) => (
                path.to_owned(),
                read(path).map_err(|error| unreadable(path, &error))?,
            ),
            None => LOGS
                .iter()
                .map(Path::new)
                .find_map(|path| Some((path.to_owned(), read(path).ok()?)))
                .ok_or_else(|| Failure::usage("no log file found here; name one with --input"))?,
        };
        let lines: Vec<Vec<u8>> = text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(<[u8]>::to_vec)
            .collect();
        match lines.is_empty() {
            true => Err(Failure::usage(format!("{} has no lines", path.display()))),
            false => Ok(Self { path, lines, round }),
        }
    }

    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Lines in the file.
    pub(super) fn found(&self) -> u64 {
        self.lines.len() as u64
    }

    /// Lines of a round.
    pub(super) fn round(&self) -> u64 {
        self.round
    }

    /// The line that is the `number`th of a round.
    pub(super) fn get(&self, number: u64) -> &[u8] {
        &self.lines[(number % self.lines.len() as u64) as usize]
    }
}

/// An empty file counts as unreadable: there is nothing to show with it.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read;
    let mut text = Vec::new();
    fs::File::open(path)?
        .take(BYTES_MAX)
        .read_to_end(&mut text)?;
    match text.is_empty() {
        true => Err(io::Error::other("it is empty")),
        false => Ok(text),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("--input {}: {error}", path.display()))
}
