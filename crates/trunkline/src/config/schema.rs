use super::CallsSection;
use serde::Deserialize;
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};
use trunkline_gateway::{GatewayConfig, GatewayLimits, SlowListener, StompConfig};
use trunkline_model::{ByteSize, Span, TopicName, TopicSettings};

/// The version of the schema that this program reads and writes.
pub const VERSION: u32 = 1;

/// A server's configuration. What each key means, with its unit and bounds, is in
/// `docs/configuration.md`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Version of the schema: [`VERSION`].
    pub version: u32,
    /// Where topics and channels live.
    pub engine: EngineSection,
    /// The HTTP and WebSocket listener.
    pub http: HttpSection,
    /// How STOMP is spoken, and where.
    pub stomp: StompConfig,
    /// Bounds of a connection and of the server.
    pub limits: GatewayLimits,
    /// Topics that are there from the start, and what applies to all.
    pub topics: TopicsSection,
    /// How calls are run, by category.
    pub calls: CallsSection,
    /// The program's own messages, on stderr.
    pub log: LogSection,
}

/// The engine.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineSection {
    /// `embedded:PATH`, `memory:`, or a Redis or Valkey: `redis://HOST:PORT`.
    pub url: String,
    /// Size of a journal segment, 256 KiB to 1 GiB.
    pub segment_bytes: ByteSize,
    /// Fresh payloads kept in memory, so that a consumer that keeps up reads no disk.
    pub cache_bytes: ByteSize,
    /// On Redis: when a process that says nothing for so long loses the deliveries that it holds.
    pub lease: Span,
}

/// The HTTP and WebSocket listener.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSection {
    /// Address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Allows addresses that others can reach, those for STOMP included, although nobody has to
    /// log in.
    pub insecure: bool,
    /// Names besides `localhost` and IP addresses under which clients may reach the server.
    pub hosts: Vec<String>,
    /// Origins besides the server's own and loopback whose web pages may connect.
    pub origins: Vec<String>,
    /// A connection that is silent for so long is sent a ping.
    pub ping_interval: Span,
    /// A connection that doesn't answer a ping for so long is closed.
    pub pong_timeout: Span,
    /// A connection that takes nothing of its full buffer for so long is closed.
    pub stall_timeout: Span,
    /// Longest wait for running calls and for connections to close at the end.
    pub drain_timeout: Span,
    /// What happens to a connection that is too slow for the channels it listens to.
    pub slow_listener: SlowListener,
}

/// Topics.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TopicsSection {
    /// A publish or consumer may make the topic that it names.
    pub auto_create: bool,
    /// Options of topics that say nothing else.
    pub defaults: TopicSettings,
    /// Topics made at the start, with their options.
    pub declare: BTreeMap<TopicName, TopicSettings>,
}

/// The program's own messages.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSection {
    /// What is told: `error`, `warn`, `info`, `debug`, `trace`, or by part, as in
    /// `info,trunkline_gateway=debug`.
    pub filter: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            version: VERSION,
            engine: EngineSection::default(),
            http: HttpSection::default(),
            stomp: StompConfig::default(),
            limits: GatewayLimits::default(),
            topics: TopicsSection::default(),
            calls: CallsSection::default(),
            log: LogSection::default(),
        }
    }
}

impl Default for EngineSection {
    fn default() -> Self {
        Self {
            url: "embedded:trunkline-data".to_owned(),
            segment_bytes: ByteSize(64 << 20),
            cache_bytes: ByteSize(16 << 20),
            lease: Span(Duration::from_secs(10)),
        }
    }
}

impl Default for HttpSection {
    fn default() -> Self {
        let gateway = GatewayConfig::default();
        Self {
            listen: gateway.http,
            insecure: gateway.insecure,
            hosts: gateway.hosts,
            origins: gateway.origins,
            ping_interval: gateway.ping_interval,
            pong_timeout: gateway.pong_timeout,
            stall_timeout: gateway.stall_timeout,
            drain_timeout: gateway.drain_timeout,
            slow_listener: gateway.slow_listener,
        }
    }
}

impl Default for TopicsSection {
    fn default() -> Self {
        Self {
            auto_create: true,
            defaults: TopicSettings::default(),
            declare: BTreeMap::new(),
        }
    }
}

impl Default for LogSection {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
        }
    }
}
