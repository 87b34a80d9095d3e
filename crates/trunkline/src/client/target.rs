use http::{HeaderValue, Uri};
use std::{fmt, str::FromStr, time::Duration};

/// Where a client connects to, and as whom.
#[derive(Clone, Debug)]
pub struct Target {
    uri: Uri,
    token: Option<HeaderValue>,
    /// Longest wait for a connection, the WebSocket handshake included.
    pub connect_timeout: Duration,
}

/// Why a text is not a [`Target`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// Not a URL at all.
    #[error("{0:?} is not a URL; write it like ws://127.0.0.1:7400/rpc")]
    NotAUrl(String),
    /// A URL of a scheme that is not spoken.
    #[error("{scheme}:// is not spoken{hint}; write it like ws://127.0.0.1:7400/rpc")]
    Scheme {
        /// The scheme that was given.
        scheme: String,
        /// What to do instead; empty if nothing is known.
        hint: &'static str,
    },
    /// The token can't travel in an HTTP header.
    #[error("the token holds characters that an HTTP header can't carry")]
    Token,
}

impl Target {
    /// Presents `token` as `Authorization: Bearer`.
    ///
    /// # Errors
    /// [`TargetError::Token`] if it holds control characters.
    pub fn with_token(mut self, token: &str) -> Result<Self, TargetError> {
        let mut value =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| TargetError::Token)?;
        value.set_sensitive(true);
        self.token = Some(value);
        Ok(self)
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.token.as_ref()
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let bad = || TargetError::NotAUrl(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| bad())?;
        match uri.scheme_str() {
            Some("ws") if uri.host().is_some_and(|host| !host.is_empty()) => {}
            Some("ws") | None => return Err(bad()),
            Some(other) => {
                return Err(TargetError::Scheme {
                    scheme: other.to_owned(),
                    hint: match other {
                        "http" => " here (commands need the WebSocket)",
                        "https" | "wss" => " yet (no TLS in this version)",
                        _ => "",
                    },
                });
            }
        }
        // A port that is none would be taken as the scheme's own, 80.
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if uri.port().is_some() != has_port(authority) || uri.port_u16() == Some(0) {
            return Err(bad());
        }
        Ok(Self {
            uri: with_default_path(uri),
            token: None,
            connect_timeout: Duration::from_secs(10),
        })
    }
}

/// Whether something follows the host, be it a number or not.
fn has_port(authority: &str) -> bool {
    let after_host = authority
        .rsplit_once(']')
        .map_or(authority, |(_, rest)| rest);
    after_host.contains(':')
}

/// `ws://host:port` means `/rpc` there.
fn with_default_path(uri: Uri) -> Uri {
    if uri.path() != "/" || uri.query().is_some() {
        return uri;
    }
    let mut parts = uri.into_parts();
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/rpc"));
    Uri::from_parts(parts).expect("a URI with its path replaced is a URI")
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_people_type() {
        for (text, means) in [
            ("ws://127.0.0.1:7400/rpc", Ok("ws://127.0.0.1:7400/rpc")),
            ("ws://127.0.0.1:7400", Ok("ws://127.0.0.1:7400/rpc")),
            ("ws://[::1]:7400/", Ok("ws://[::1]:7400/rpc")),
            ("ws://broker.example/x", Ok("ws://broker.example/x")),
            ("ws://a:99999", Err("is not a URL")),
            ("ws://a:0", Err("is not a URL")),
            ("ws://a:b/rpc", Err("is not a URL")),
            ("ws://[::1]", Ok("ws://[::1]/rpc")),
            ("http://127.0.0.1:7400", Err("http:// is not spoken here")),
            ("wss://a/rpc", Err("wss:// is not spoken yet")),
            ("stomp://a", Err("stomp:// is not spoken;")),
            ("127.0.0.1:7400", Err("is not a URL")),
            ("", Err("is not a URL")),
        ] {
            match (text.parse::<Target>(), means) {
                (Ok(target), Ok(means)) => assert_eq!(target.to_string(), means),
                (Err(error), Err(says)) => {
                    assert!(error.to_string().contains(says), "{text}: {error}");
                }
                (got, _) => panic!("{text}: {got:?}"),
            }
        }
    }

    #[test]
    fn tokens_travel_in_a_header() {
        let target: Target = "ws://a".parse().unwrap();
        assert!(target.clone().with_token("a.b-c").is_ok());
        assert_eq!(target.with_token("a\nb").unwrap_err(), TargetError::Token);
    }
}
