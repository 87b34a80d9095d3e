use clap::ValueEnum;
use std::{net::SocketAddr, str::FromStr};
use trunkline_model::{Clock, Span, StartFrom, SystemClock, Timestamp};

/// `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyValue {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl FromStr for KeyValue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Self {
                key: key.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err(format!("{text:?} is not of the form KEY=VALUE")),
        }
    }
}

/// A header to be looked for: `NAME`, or `NAME=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeaderMatch {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
}

impl FromStr for HeaderMatch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        match name {
            "" => Err(format!("{text:?} is not of the form NAME or NAME=VALUE")),
            name => Ok(Self {
                name: name.to_owned(),
                value,
            }),
        }
    }
}

/// A point in time, given as one, or as how long ago it was when the command began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) Timestamp);

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(time) = text.parse() {
            return Ok(Self(time));
        }
        let Ok(Span(ago)) = text.parse() else {
            return Err(
                "write it like 2026-11-20T17:33:56Z, or as a time ago like 10m or 2h30m".to_owned(),
            );
        };
        let now = SystemClock::new(Timestamp::ZERO).now();
        Ok(Self(
            Timestamp::ZERO.after(now.since(Timestamp::ZERO.after(ago))),
        ))
    }
}

/// An address to listen on.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "write it as IP address and port, like 127.0.0.1:7400 or [::1]:7400".to_owned()
    })
}

/// Where a new subscription starts. Its variants have no help text of their own: with one, clap
/// prints the long form of help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StartAt {
    // Everything that the topic still holds.
    All,
    // The next message.
    New,
}

impl StartAt {
    pub(crate) fn start(self) -> StartFrom {
        match self {
            Self::All => StartFrom::All,
            Self::New => StartFrom::New,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_times_or_spans_ago() {
        let Moment(at) = "2026-11-20T17:33:56Z".parse().unwrap();
        assert_eq!(at.to_string(), "2026-11-20T17:33:56.000Z");
        let Moment(ago) = "1h30m".parse().unwrap();
        let now = SystemClock::new(Timestamp::ZERO).now();
        let passed = now.since(ago).as_secs();
        assert!((5_400..5_460).contains(&passed), "{passed}");
        for bad in ["", "yesterday", "10", "-5m"] {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_header_is_looked_for_with_or_without_a_value() {
        let HeaderMatch { name, value } = "a=b=c".parse().unwrap();
        assert_eq!((name.as_str(), value.as_deref()), ("a", Some("b=c")));
        assert_eq!("a".parse::<HeaderMatch>().unwrap().value, None);
        assert!("".parse::<HeaderMatch>().is_err() && "=b".parse::<HeaderMatch>().is_err());
    }

    #[test]
    fn key_value() {
        let KeyValue { key, value } = "a=b=c".parse().unwrap();
        assert_eq!((key.as_str(), value.as_str()), ("a", "b=c"));
        for bad in ["", "a", "=b"] {
            assert!(bad.parse::<KeyValue>().is_err(), "{bad}");
        }
    }
}
