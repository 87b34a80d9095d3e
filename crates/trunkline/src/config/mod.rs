//! Configuration: one schema, YAML or TOML; later wins: file, environment, flag.
//!
//! [`load`] reads what was written, [`Config`] is what it means. Flags are applied by the
//! commands; [`Config::check`] then says whether the whole makes sense.

mod check;
#[cfg(feature = "config-files")]
mod environment;
mod error;
#[cfg(feature = "config-files")]
mod explain;
#[cfg(feature = "config-files")]
mod file;
#[cfg(feature = "config-files")]
mod load;
mod schema;

pub use error::ConfigError;
#[cfg(feature = "config-files")]
pub use load::load;
pub use schema::{Config, EngineSection, HttpSection, LogSection, TopicsSection, VERSION};

/// The default configuration with comments, in YAML: what `trunkline config default` prints.
#[cfg(feature = "config-files")]
pub const DEFAULT_YAML: &str = include_str!("default.yaml");
