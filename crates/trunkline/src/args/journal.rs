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
    /// Write everything that is intact in a damaged store into a new directory, and say what is
    /// missing; the damaged one is not changed. Exit code 1 if there is nothing to take over
    Repair {
        /// Data directory of a server that is not running
        dir: PathBuf,
        /// Where the repaired store goes; a directory that is not there yet [default: DIR.repaired]
        #[arg(long, value_name = "DIR")]
        into: Option<PathBuf>,
        /// Only say what would be kept and what is missing
        #[arg(long, conflicts_with = "into")]
        dry_run: bool,
    },
}
