use clap::ValueEnum;
use std::{net::SocketAddr, str::FromStr};
use trunkline_model::StartFrom;

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
    fn key_value() {
        let KeyValue { key, value } = "a=b=c".parse().unwrap();
        assert_eq!((key.as_str(), value.as_str()), ("a", "b=c"));
        for bad in ["", "a", "=b"] {
            assert!(bad.parse::<KeyValue>().is_err(), "{bad}");
        }
    }
}
