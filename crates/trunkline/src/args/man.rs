use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  trunkline man | man -l -                                 read it
  trunkline man ~/.local/share/man/man1                    install it, a page a command";

/// Print the manual page, or write one a command to a directory
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ManArgs {
    /// Directory for trunkline.1, trunkline-publish.1, …; made if it isn't there
    pub(crate) dir: Option<PathBuf>,
}
