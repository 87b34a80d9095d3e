use crate::config::length;
use serde::{Deserialize, Deserializer, de};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};
use trunkline_model::{ByteSize, Span, limits};
use trunkline_stomp::{FrameLimits, HeartBeat, ServerSettings};

/// How STOMP is spoken. Over WebSocket, at `/stomp` of the HTTP listener, it always is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StompConfig {
    /// Address of the TCP listener; port 0 takes any free one. Default 127.0.0.1:61613.
    pub listen: StompListen,
    /// The listener for `stomp+ssl`.
    pub tls: StompTlsConfig,
    /// A connection that has not sent CONNECT within this time is closed, and one that has not
    /// finished its TLS handshake. Default 10 s.
    pub connect_timeout: Span,
    /// A connection that takes nothing of what is sent for this long is closed. Default 30 s.
    pub write_timeout: Span,
    /// How often the server sends something, if the client wants that. Default 1 s, at least 1 ms.
    pub heart_beat_send: Span,
    /// How often a client that can has to send something. Default 5 s, at least 1 ms.
    pub heart_beat_receive: Span,
    /// Most headers of a frame; then ERROR. Default and most 128.
    pub max_headers: usize,
    /// Longest line of a header, in bytes; then ERROR. Default 10 KiB.
    pub max_header_line_bytes: ByteSize,
    /// Largest body, in bytes; then ERROR. Default and most 16 MiB.
    pub max_body_bytes: ByteSize,
    /// Most subscriptions of a connection; then ERROR. Default 1,000.
    pub max_subscriptions: usize,
    /// Most open transactions of a connection; then ERROR. Default 100.
    pub max_transactions: usize,
}

/// Where TLS is spoken, and with which certificate. Nothing listens without one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StompTlsConfig {
    /// Address; port 0 takes any free one. Default 127.0.0.1:61614.
    pub listen: StompListen,
    /// PEM file with the server's certificate, and those that lead to its root.
    pub certificate: PathBuf,
    /// PEM file with the certificate's private key.
    pub key: PathBuf,
}

/// Where to listen, if at all: an address or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StompListen {
    /// Nowhere.
    Off,
    /// There.
    At(SocketAddr),
}

/// A text that says neither where to listen nor `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address; write it as IP address and port, like 127.0.0.1:61613, or off")]
pub struct StompListenError;

impl StompListen {
    /// The address, if there is one.
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Off => None,
            Self::At(address) => Some(address),
        }
    }

    const fn loopback(port: u16) -> Self {
        Self::At(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    }
}

impl fmt::Display for StompListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => address.fmt(f),
        }
    }
}

impl FromStr for StompListen {
    type Err = StompListenError;

    fn from_str(text: &str) -> Result<Self, StompListenError> {
        if text == "off" {
            return Ok(Self::Off);
        }
        text.parse().map(Self::At).map_err(|_| StompListenError)
    }
}

impl<'de> Deserialize<'de> for StompListen {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = StompListen;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address or off")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<StompListen, E> {
                text.parse().map_err(E::custom)
            }

            /// What YAML readers may make of `off`.
            fn visit_bool<E: de::Error>(self, on: bool) -> Result<StompListen, E> {
                if on {
                    return Err(E::custom(StompListenError));
                }
                Ok(StompListen::Off)
            }
        }
        from.deserialize_any(Visitor)
    }
}

impl Default for StompConfig {
    fn default() -> Self {
        let frame = FrameLimits::default();
        let session = ServerSettings::default();
        Self {
            listen: StompListen::loopback(61613),
            tls: StompTlsConfig::default(),
            connect_timeout: Span(session.connect_timeout),
            write_timeout: Span(Duration::from_secs(30)),
            heart_beat_send: Span(Duration::from_millis(session.heart_beat.sends_ms)),
            heart_beat_receive: Span(Duration::from_millis(session.heart_beat.wants_ms)),
            max_headers: frame.headers_max,
            max_header_line_bytes: ByteSize(frame.header_line_bytes_max as u64),
            max_body_bytes: ByteSize(frame.body_bytes_max as u64),
            max_subscriptions: 1_000,
            max_transactions: session.transactions_max,
        }
    }
}

impl Default for StompTlsConfig {
    fn default() -> Self {
        Self {
            listen: StompListen::loopback(61614),
            certificate: PathBuf::new(),
            key: PathBuf::new(),
        }
    }
}

impl StompTlsConfig {
    /// Where to listen: nowhere without a certificate.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        if self.certificate.as_os_str().is_empty() {
            return None;
        }
        self.listen.address()
    }
}

impl StompConfig {
    /// Checks what no single type can tell.
    ///
    /// # Errors
    /// The key within this section, and what is wrong.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let wrong = |key, reason: &str| Err((key, reason.to_owned()));
        for (key, path, other) in [
            ("tls.key", &self.tls.key, &self.tls.certificate),
            ("tls.certificate", &self.tls.certificate, &self.tls.key),
        ] {
            if path.as_os_str().is_empty() && !other.as_os_str().is_empty() {
                return wrong(key, "missing; TLS needs certificate and key, as PEM files");
            }
        }
        for (key, span) in [
            ("heart_beat_send", self.heart_beat_send),
            ("heart_beat_receive", self.heart_beat_receive),
        ] {
            if span.0 < Duration::from_millis(1) {
                return wrong(
                    key,
                    "must be 1ms at least; clients decide whether they beat",
                );
            }
        }
        if !(1..=limits::HEADERS_MAX).contains(&self.max_headers) {
            let (reason, most) = ("it must be 1 to", limits::HEADERS_MAX);
            return Err((
                "max_headers",
                format!("{}; {reason} {most}", self.max_headers),
            ));
        }
        if self.max_body_bytes.0 > limits::PAYLOAD_BYTES_MAX as u64 {
            return wrong("max_body_bytes", "larger than a message may be, 16MiB");
        }
        Ok(())
    }

    /// What one frame may take.
    pub(crate) fn frame_limits(&self) -> FrameLimits {
        let defaults = FrameLimits::default();
        let line = length(self.max_header_line_bytes);
        FrameLimits {
            header_line_bytes_max: line,
            headers_max: self.max_headers,
            headers_bytes_max: defaults.headers_bytes_max.max(line),
            body_bytes_max: length(self.max_body_bytes),
            ..defaults
        }
    }

    /// What a session of this server may do.
    pub(crate) fn session(&self, version: &str) -> ServerSettings {
        let defaults = ServerSettings::default();
        let frame = self.frame_limits();
        let millis = |span: Span| u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX);
        ServerSettings {
            server: format!("trunkline/{version}"),
            heart_beat: HeartBeat {
                sends_ms: millis(self.heart_beat_send),
                wants_ms: millis(self.heart_beat_receive),
            },
            frame,
            connect_timeout: self.connect_timeout.0,
            subscriptions_max: self.max_subscriptions,
            transactions_max: self.max_transactions,
            ..defaults
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_or_off() {
        let at = |text: &str| text.parse::<StompListen>();
        let address = "127.0.0.1:61613".parse().unwrap();
        assert_eq!(at("127.0.0.1:61613"), Ok(StompListen::At(address)));
        assert_eq!(at("off"), Ok(StompListen::Off));
        for bad in ["", "none", "OFF", "61613", "localhost:61613"] {
            assert_eq!(at(bad), Err(StompListenError), "{bad}");
        }
        for (json, listen) in [
            ("\"off\"", Some(StompListen::Off)),
            ("false", Some(StompListen::Off)),
            ("\"127.0.0.1:61613\"", Some(StompListen::At(address))),
            ("true", None),
            ("61613", None),
        ] {
            let read = serde_json::from_str(json).ok();
            assert_eq!(read, listen, "{json}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_key() {
        let with = |json: &str| serde_json::from_str::<StompConfig>(json).unwrap().check();
        let key = |json: &str| with(json).err().map(|(key, _)| key);
        assert_eq!(with("{}"), Ok(()));
        for (json, wrong) in [
            (r#"{"tls": {"certificate": "a"}}"#, "tls.key"),
            (r#"{"tls": {"key": "a"}}"#, "tls.certificate"),
            (r#"{"heart_beat_send": 0}"#, "heart_beat_send"),
            (r#"{"heart_beat_receive": "0"}"#, "heart_beat_receive"),
            (r#"{"max_headers": 0}"#, "max_headers"),
            (r#"{"max_headers": 129}"#, "max_headers"),
            (r#"{"max_body_bytes": "17MiB"}"#, "max_body_bytes"),
        ] {
            assert_eq!(key(json), Some(wrong), "{json}");
        }
    }

    #[test]
    fn without_a_certificate_nothing_listens_for_tls() {
        let mut tls = StompTlsConfig::default();
        assert_eq!(tls.address(), None);
        tls.certificate = "c.pem".into();
        assert_eq!(tls.address(), tls.listen.address());
    }
}
