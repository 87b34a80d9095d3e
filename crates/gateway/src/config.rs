use crate::stomp::StompConfig;
use serde::Deserialize;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};
use trunkline_model::{ByteSize, Span};

/// Where the gateway listens and whom it lets in.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayConfig {
    /// Address of the HTTP listener; port 0 takes any free one. Default 127.0.0.1:7400.
    pub http: SocketAddr,
    /// Allow addresses that are not loopback, those for STOMP included, although nobody has to
    /// authenticate.
    pub insecure: bool,
    /// Names, besides IP addresses and `localhost`, under which clients may ask for the server
    /// (the `Host` header without its port).
    pub hosts: Vec<String>,
    /// Origins of web pages, besides loopback and the server's own, that may connect, such as
    /// `https://app.example.com`.
    pub origins: Vec<String>,
    /// Bounds of a connection and of the gateway.
    pub limits: GatewayLimits,
    /// A connection from which nothing came for this long is sent a ping. Default 30 s.
    pub ping_interval: Span,
    /// A connection from which nothing came for this long after a ping is closed. Default 20 s.
    pub pong_timeout: Span,
    /// A connection whose outgoing buffer is full and from which nothing was taken for this long
    /// is closed. Default 30 s.
    pub stall_timeout: Span,
    /// How long calls may run on and connections may linger once the gateway is told to stop.
    /// Default 8 s.
    pub drain_timeout: Span,
    /// What happens to a connection that is too slow for the channels it listens to.
    pub slow_listener: SlowListener,
    /// How STOMP is spoken.
    pub stomp: StompConfig,
}

/// What happens to a listener whose buffer is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SlowListener {
    /// The oldest messages are dropped, counted, and the listener is told how many.
    #[default]
    DropOldest,
    /// The connection is closed with 1008.
    Disconnect,
}

/// Bounds, each with what happens beyond it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayLimits {
    /// Largest frame or body of a client, in bytes; then close 1009, or 413. Default 1 MiB.
    pub max_message_bytes: ByteSize,
    /// Most entries of a batch; then -32007. Default 1,000.
    pub max_batch: usize,
    /// Most connections at once; then 503. Default 10,000.
    pub max_connections: usize,
    /// Bytes that wait to be written to one connection; beyond, nothing more is read from it or
    /// taken for it. Default 8 MiB.
    pub outgoing_bytes_max: ByteSize,
    /// Most requests of one connection that wait for their answer; then -32003. Default 100,000.
    pub max_in_flight: usize,
    /// Most consumers of one connection; then -32003. Default 1,000.
    pub max_consumers: usize,
    /// Most registered workers of one connection; then -32003. Default 1,000.
    pub max_workers: usize,
    /// Most channels and patterns of one connection; then -32003. Default 10,000.
    pub max_listening: usize,
    /// Payload bytes handed to a consumer's connection and not yet written. Default 1 MiB.
    pub delivery_window_bytes: ByteSize,
    /// Answers of one connection that are ready and wait until it has taken earlier ones, in
    /// bytes; beyond, progress is left out and an answer becomes -32003. Default 64 MiB.
    pub answer_bytes_max: ByteSize,
    /// Channel messages that wait for one connection, in bytes. Default 4 MiB.
    pub listener_bytes_max: ByteSize,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        const fn secs(secs: u64) -> Span {
            Span(Duration::from_secs(secs))
        }
        Self {
            http: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7400),
            insecure: false,
            hosts: Vec::new(),
            origins: Vec::new(),
            limits: GatewayLimits::default(),
            ping_interval: secs(30),
            pong_timeout: secs(20),
            stall_timeout: secs(30),
            drain_timeout: secs(8),
            slow_listener: SlowListener::default(),
            stomp: StompConfig::default(),
        }
    }
}

impl Default for GatewayLimits {
    fn default() -> Self {
        Self {
            max_message_bytes: ByteSize(1 << 20),
            max_batch: 1_000,
            max_connections: 10_000,
            outgoing_bytes_max: ByteSize(8 << 20),
            max_in_flight: 100_000,
            max_consumers: 1_000,
            max_workers: 1_000,
            max_listening: 10_000,
            delivery_window_bytes: ByteSize(1 << 20),
            answer_bytes_max: ByteSize(64 << 20),
            listener_bytes_max: ByteSize(4 << 20),
        }
    }
}

impl GatewayLimits {
    /// [`GatewayLimits::max_message_bytes`] as a length.
    pub(crate) fn message_bytes(&self) -> usize {
        length(self.max_message_bytes)
    }

    /// [`GatewayLimits::outgoing_bytes_max`] as a length.
    pub(crate) fn outgoing_bytes(&self) -> usize {
        length(self.outgoing_bytes_max)
    }

    /// [`GatewayLimits::answer_bytes_max`] as a length.
    pub(crate) fn answer_bytes(&self) -> usize {
        length(self.answer_bytes_max)
    }

    /// [`GatewayLimits::listener_bytes_max`] as a length.
    pub(crate) fn listener_bytes(&self) -> usize {
        length(self.listener_bytes_max)
    }
}

/// A size as a length in memory.
pub(crate) fn length(size: ByteSize) -> usize {
    usize::try_from(size.0).unwrap_or(usize::MAX)
}
