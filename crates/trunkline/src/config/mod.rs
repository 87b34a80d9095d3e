//! Configuration: one schema, YAML or TOML; later wins: file, environment, flag.
//!
//! [`load`] reads what was written, [`Config`] is what it means. Flags are applied by the
//! commands; [`Config::check`] then says whether the whole makes sense.

mod calls;
mod check;
mod engine_url;
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
mod wires;

pub use calls::CallsSection;
pub(crate) use engine_url::EngineUrl;
pub use error::ConfigError;
#[cfg(feature = "config-files")]
pub use load::load;
pub use schema::{Config, EngineSection, HttpSection, LogSection, TopicsSection, VERSION};
pub(crate) use wires::{CONSUMER_GROUPS, RPCPROCESSOR, redis_url};
pub use wires::{ConsumerGroupsSection, ListMode, RpcProcessorSection, WiresSection};

/// The default configuration with comments, in YAML: what `trunkline config default` prints.
#[cfg(feature = "config-files")]
pub const DEFAULT_YAML: &str = include_str!("default.yaml");
