use crate::deployment::RedisUrl;
use crate::unique::unique_name;
use compact_str::CompactString;
use std::time::Duration;
use trunkline_model::TopicSettings;

/// What a Redis engine is started with.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// Where Redis is.
    pub url: RedisUrl,
    /// Whether publishing to or consuming from a topic that is not there makes it.
    pub auto_create: bool,
    /// Options of topics made that way; they must resolve.
    pub defaults: TopicSettings,
    /// The name of this process in Redis: no other process has it, nor an earlier run of this one.
    pub process: CompactString,
    /// How long Redis may hear nothing of this process before its unsettled deliveries go to
    /// others; 10 s unless told. They go at once when the engine closes.
    pub lease: Duration,
    /// How long a publish waits for a server that doesn't take it, before it fails; 10 s unless told.
    /// What settles deliveries waits six times as long.
    pub publish_timeout: Duration,
    /// Most bytes of messages that wait for the server; 64 MiB unless told. One batch alone always fits.
    pub waiting_bytes_max: u64,
}

impl RedisConfig {
    /// The defaults at a deployment: topics are made on first use, the process has a name of its own.
    pub fn new(url: RedisUrl) -> Self {
        Self {
            url,
            auto_create: true,
            defaults: TopicSettings::default(),
            process: unique_name().into(),
            lease: Duration::from_secs(10),
            publish_timeout: Duration::from_secs(10),
            waiting_bytes_max: 64 << 20,
        }
    }
}

/// Why an engine doesn't start.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisStartError {
    /// The URL can't be used.
    #[error(transparent)]
    Url(#[from] crate::deployment::RedisUrlError),
    /// The options of topics made on first use are out of bounds.
    #[error("the default options of topics: {0}")]
    Defaults(String),
}
