use clap::{Subcommand, ValueEnum};
use std::path::PathBuf;

/// What to do with configurations.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check a configuration file together with the environment
    Check {
        /// File (.yaml, .yml or .toml); without one, only the environment is checked
        file: Option<PathBuf>,
    },
    /// Print the default configuration, with comments
    Default {
        /// Format
        #[arg(long, value_enum, default_value_t = ConfigFormat::Yaml)]
        format: ConfigFormat,
    },
}

/// In which language a configuration is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConfigFormat {
    Yaml,
    Toml,
}
