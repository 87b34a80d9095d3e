use clap::Subcommand;
use std::path::PathBuf;

/// What to do with a journal.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// Read everything and check every checksum; exit code 1 if anything is damaged
    Verify {
        /// Data directory of a server that is not running
        dir: PathBuf,
    },
    /// Print every record, oldest first
    Dump {
        /// Data directory of a server that is not running
        dir: PathBuf,
    },
}
