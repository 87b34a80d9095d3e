use std::path::PathBuf;

/// Why a configuration can't be used. The texts name the place and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can't read {}: {reason}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file's extension names no known format.
    #[error("{}: a configuration is .yaml, .yml or .toml", file.display())]
    Format {
        /// The file.
        file: PathBuf,
    },
    /// Something in the file is wrong.
    #[error("{}{}: {reason}", file.display(), at(*line))]
    File {
        /// The file.
        file: PathBuf,
        /// The line, from 1, where known.
        line: Option<u64>,
        /// What is wrong.
        reason: String,
    },
    /// An environment variable is wrong.
    #[error("environment variable {variable}: {reason}")]
    Environment {
        /// Its name.
        variable: String,
        /// What is wrong.
        reason: String,
    },
    /// Every part can be read, but together they make no sense.
    #[error("{key}: {reason}")]
    Meaning {
        /// The key, as `section.key`.
        key: String,
        /// What is wrong.
        reason: String,
    },
}

fn at(line: Option<u64>) -> String {
    line.map_or_else(String::new, |line| format!(":{line}"))
}
