use std::{fmt, path::PathBuf, str::FromStr, sync::Arc, time::Duration};
use trunkline_journal::{Config as JournalConfig, Disk};
use trunkline_model::{Clock, TopicSettings};

/// Where an engine keeps what it must not forget.
#[derive(Clone, Debug)]
pub enum Location {
    /// Nowhere: everything is gone when the engine is.
    Memory,
    /// A journal in this directory, which is made if it isn't there.
    Directory(PathBuf),
    /// A journal on this disk: for tests that make it fail.
    Disk(Arc<dyn Disk>),
}

/// The text is not the URL of an embedded engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an embedded engine; write embedded:PATH (as in embedded:./data) or memory:")]
pub struct LocationError(String);

impl FromStr for Location {
    type Err = LocationError;

    /// Reads `embedded:PATH` or `memory:`.
    fn from_str(url: &str) -> Result<Self, LocationError> {
        let error = || LocationError(url.to_owned());
        match url.split_once(':').ok_or_else(error)? {
            ("memory", "") => Ok(Self::Memory),
            ("embedded", path) if !path.is_empty() => Ok(Self::Directory(path.into())),
            _ => Err(error()),
        }
    }
}

/// Who drives the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drive {
    /// Threads of its own: one writes and syncs, one prepares segments, one reads, one
    /// waits for deadlines.
    #[default]
    Threads,
    /// The caller, by [`Embedded::step`](crate::Embedded::step) and
    /// [`Embedded::tick`](crate::Embedded::tick): for tests that want every order to be
    /// their own.
    ByHand,
}

/// What an engine is opened with.
#[derive(Clone)]
pub struct EmbeddedConfig {
    /// Where it keeps what it must not forget.
    pub location: Location,
    /// Whether publishing to or consuming from a topic that is not there makes it.
    pub auto_create: bool,
    /// Options of topics made that way; they must resolve.
    pub defaults: TopicSettings,
    /// Sizes and times of the journal.
    pub journal: JournalConfig,
    /// Where `now` comes from; the machine's clocks if absent.
    pub clock: Option<Arc<dyn Clock>>,
    /// Who drives it.
    pub drive: Drive,
}

impl EmbeddedConfig {
    /// The defaults at a location: topics are made on first use, segments of 64 MiB, a
    /// cache of 16 MiB.
    pub fn new(location: Location) -> Self {
        Self {
            location,
            auto_create: true,
            defaults: TopicSettings::default(),
            journal: JournalConfig::default(),
            clock: None,
            drive: Drive::Threads,
        }
    }

    /// The defaults, keeping nothing.
    pub fn memory() -> Self {
        Self::new(Location::Memory)
    }

    /// How long a written record may stay without a sync, which is what topics with
    /// `durability: interval` can lose.
    #[must_use]
    pub fn with_sync_interval(mut self, interval: Duration) -> Self {
        self.journal.sync_interval = interval;
        self
    }
}

impl fmt::Debug for EmbeddedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedConfig")
            .field("location", &self.location)
            .field("journal", &self.journal)
            .field("drive", &self.drive)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for url in ["embedded:./data", "embedded:/var/lib/trunkline", "memory:"] {
            let text = match url.parse().unwrap() {
                Location::Memory => "memory:".to_owned(),
                Location::Directory(path) => format!("embedded:{}", path.display()),
                Location::Disk(_) => unreachable!("no URL names a test disk"),
            };
            assert_eq!(text, url);
        }
        for bad in ["", "embedded:", "memory:x", "redis://h", "./data"] {
            assert!(bad.parse::<Location>().is_err(), "{bad}");
        }
    }
}
