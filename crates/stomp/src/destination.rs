use crate::excerpt::excerpt;
use compact_str::CompactString;
use std::fmt;
use std::str::FromStr;
use trunkline_model::{ChannelName, NameError, SubscriptionName, TopicName};

/// What a `destination` header names. In names `%2F` stands for `/`, and `%25` for `%`; any other
/// `%` is itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// `/queue/NAME`: the topic NAME and its subscription `queue`.
    Queue(TopicName),
    /// `/topic/NAME`: the channel NAME, and the topic `topic.NAME`. The name may hold `/`.
    Topic(ChannelName),
    /// `/subscription/TOPIC/NAME`: that subscription of that topic.
    Subscription {
        /// The topic.
        topic: TopicName,
        /// The subscription.
        name: SubscriptionName,
    },
    /// `/temp-queue/NAME`: a queue of this connection, for answers.
    TempQueue(CompactString),
    /// `/rpc/METHOD`: a call. The method may hold `/`.
    Rpc(CompactString),
}

/// The text names no destination.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DestinationError {
    /// It has none of the forms.
    #[error(
        "unknown destination {0}; there are /queue/NAME, /topic/NAME, /subscription/TOPIC/NAME, /temp-queue/NAME and /rpc/METHOD"
    )]
    Form(String),
    /// The name in it is none.
    #[error("destination {0}: {1}; write a / within a name as %2F where the name may hold one")]
    Name(String, NameError),
    /// There is no name, or a `/` too many.
    #[error("destination {0} must be {1}")]
    Parts(String, &'static str),
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let unknown = || DestinationError::Form(excerpt(text));
        let named = |error| DestinationError::Name(excerpt(text), error);
        let parts = |form| DestinationError::Parts(excerpt(text), form);
        let (kind, rest) = text
            .strip_prefix('/')
            .and_then(|rest| rest.split_once('/'))
            .ok_or_else(unknown)?;
        let single = |form| match rest.is_empty() || rest.contains('/') {
            true => Err(parts(form)),
            false => Ok(decode(rest)),
        };
        match kind {
            "queue" => TopicName::new(single("/queue/NAME")?)
                .map(Self::Queue)
                .map_err(named),
            "topic" => ChannelName::new(decode(rest))
                .map(Self::Topic)
                .map_err(named),
            "subscription" => {
                let form = "/subscription/TOPIC/NAME";
                let (topic, name) = rest.split_once('/').ok_or_else(|| parts(form))?;
                if topic.is_empty() || name.is_empty() || name.contains('/') {
                    return Err(parts(form));
                }
                Ok(Self::Subscription {
                    topic: TopicName::new(decode(topic)).map_err(named)?,
                    name: SubscriptionName::new(decode(name)).map_err(named)?,
                })
            }
            "temp-queue" => single("/temp-queue/NAME").map(Self::TempQueue),
            "rpc" if rest.is_empty() => Err(parts("/rpc/METHOD")),
            "rpc" => Ok(Self::Rpc(decode(rest))),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue(topic) => write!(f, "/queue/{}", Encoded(topic)),
            Self::Topic(channel) => write!(f, "/topic/{}", Encoded(channel)),
            Self::Subscription { topic, name } => {
                write!(f, "/subscription/{}/{}", Encoded(topic), Encoded(name))
            }
            Self::TempQueue(name) => write!(f, "/temp-queue/{}", Encoded(name)),
            Self::Rpc(method) => write!(f, "/rpc/{}", Encoded(method)),
        }
    }
}

fn decode(name: &str) -> CompactString {
    let mut plain = CompactString::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find('%') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let meant = match rest.as_bytes() {
            [_, b'2', b'F' | b'f', ..] => Some('/'),
            [_, b'2', b'5', ..] => Some('%'),
            _ => None,
        };
        plain.push(meant.unwrap_or('%'));
        rest = &rest[if meant.is_some() { 3 } else { 1 }..];
    }
    plain.push_str(rest);
    plain
}

/// A name as [`decode`] reads it back.
struct Encoded<'a>(&'a str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['/', '%']) {
            f.write_str(&rest[..at])?;
            f.write_str(if rest[at..].starts_with('/') {
                "%2F"
            } else {
                "%25"
            })?;
            rest = &rest[at + 1..];
        }
        f.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms() {
        for (text, shown) in [
            ("/queue/orders", "/queue/orders"),
            ("/queue/100%", "/queue/100%25"),
            ("/topic/a/b", "/topic/a%2Fb"),
            ("/topic/a%2Fb%2f", "/topic/a%2Fb%2F"),
            ("/subscription/orders/s1", "/subscription/orders/s1"),
            ("/temp-queue/answers", "/temp-queue/answers"),
            ("/rpc/math/add", "/rpc/math%2Fadd"),
            ("/rpc/a%252F", "/rpc/a%252F"),
        ] {
            let destination: Destination = text.parse().unwrap();
            assert_eq!(destination.to_string(), shown);
            assert_eq!(shown.parse(), Ok(destination));
        }
        let form = "there are /queue/NAME, /topic/NAME, /subscription/TOPIC/NAME, \
                    /temp-queue/NAME and /rpc/METHOD";
        for (text, part) in [
            ("", form),
            ("orders", form),
            ("/exchange/x", form),
            ("/queue", form),
            ("/queue/", "must be /queue/NAME"),
            ("/queue/a/b", "must be /queue/NAME"),
            ("/queue/a%2Fb", "must not contain '/'"),
            ("/queue/a b", "must not contain ' '"),
            ("/topic/", "must not be empty"),
            ("/subscription/a", "must be /subscription/TOPIC/NAME"),
            ("/subscription/a/b/c", "must be /subscription/TOPIC/NAME"),
            ("/temp-queue/", "must be /temp-queue/NAME"),
            ("/rpc/", "must be /rpc/METHOD"),
        ] {
            let error = text.parse::<Destination>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn names_read_back(name in "[a-z%/25Ff]{1,12}") {
            let text = Encoded(&name).to_string();
            prop_assert!(!text.contains('/'));
            prop_assert_eq!(decode(&text), name);
        }
    }
}
