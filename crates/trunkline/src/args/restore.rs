use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  trunkline restore /backups/today ./trunkline-data
  trunkline restore today.tar ./trunkline-data
  gunzip < today.tar.gz | trunkline restore - ./trunkline-data

What is restored is verified and opened once before it gets its name. Let only one of the backup's
copies serve clients: each would give the same identities to different messages.";

/// Make a data directory from a backup
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RestoreArgs {
    /// What `trunkline backup` made, or a copy of a stopped server's directory; `-` for stdin
    pub(crate) source: String,
    /// Data directory to make
    pub(crate) dir: PathBuf,
}
