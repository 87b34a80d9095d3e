const EXAMPLES: &str = "\
Examples:
  trunkline backup /backups/today                 a directory, made here
  trunkline backup today.tar                      one file
  trunkline backup - | gzip > today.tar.gz        to wherever you like

The server goes on meanwhile. Everything that was confirmed before is in the backup, and no ack
that was answered before is undone. What is not whole never gets the name of the target.";

/// Copy the store of a running server
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BackupArgs {
    /// Directory to make (or an empty one), a file that ends in .tar, or `-` for stdout
    pub(crate) target: String,
}
