use crate::{Timestamp, TopicOptions, limits};
use bytes::Bytes;
use compact_str::CompactString;
use std::{fmt, str::FromStr, time::Duration};

/// Urgency of a message: 0 is most urgent.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct Priority(pub u8);

/// Urgency as JMS has it: 0 to 9, of which 9 is most urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JmsPriority(u8);

impl JmsPriority {
    /// None beyond 9.
    #[must_use]
    pub fn new(priority: u8) -> Option<Self> {
        (priority <= 9).then_some(Self(priority))
    }

    /// 0 to 9.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The same urgency in a topic of so many priorities, of which 0 is most urgent.
    #[must_use]
    pub fn of(self, priorities: u16) -> Priority {
        let priority = u32::from(9 - self.0) * u32::from(priorities) / 10;
        Priority(u8::try_from(priority).unwrap_or(u8::MAX))
    }
}

/// A point in time that a client gave absolutely or relative to the engine's `now`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At this time.
    At(Timestamp),
    /// This long after the engine takes the command.
    After(Duration),
}

impl When {
    /// The point in time, for a command taken at `now`.
    pub const fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::After(span) => now.after(span),
        }
    }
}

/// User headers in the order in which they were given; names may repeat, the first counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(CompactString, CompactString)>);

impl Headers {
    /// No headers; allocates nothing.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a header at the end.
    pub fn push(&mut self, name: impl Into<CompactString>, value: impl Into<CompactString>) {
        self.0.push((name.into(), value.into()));
    }

    /// The first value under a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// All headers in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Number of headers.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A message as a client publishes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The body, at most [`limits::PAYLOAD_BYTES_MAX`] bytes.
    pub payload: Bytes,
    /// Media type of the body; empty means `application/octet-stream`.
    pub content_type: CompactString,
    /// Identity for deduplication; at most [`limits::KEY_BYTES_MAX`] bytes.
    pub key: Option<CompactString>,
    /// Messages of one group are delivered one consumer at a time, in order.
    pub group: Option<CompactString>,
    /// Client-chosen id that makes a retry of the publish safe.
    pub publish_id: Option<CompactString>,
    /// Urgency; the topic's default if absent.
    pub priority: Option<Priority>,
    /// Urgency of a sender that doesn't know how many priorities the topic has; of no account
    /// beside [`Message::priority`].
    pub jms_priority: Option<JmsPriority>,
    /// Never delivered after this time; the topic's `ttl` if absent.
    pub expires: Option<When>,
    /// Not delivered before this time.
    pub deliver: Option<When>,
    /// User headers.
    pub headers: Headers,
    /// W3C trace context.
    pub traceparent: Option<CompactString>,
}

/// A message as the engine keeps and delivers it: everything resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// The body.
    pub payload: Bytes,
    /// Media type of the body.
    pub content_type: CompactString,
    /// Identity for deduplication.
    pub key: Option<CompactString>,
    /// Ordering group.
    pub group: Option<CompactString>,
    /// Client-chosen id of the publish.
    pub publish_id: Option<CompactString>,
    /// Urgency.
    pub priority: Priority,
    /// When the engine took it.
    pub published_at: Timestamp,
    /// Never delivered after this time.
    pub expires_at: Option<Timestamp>,
    /// Not delivered before this time.
    pub deliver_at: Option<Timestamp>,
    /// User headers.
    pub headers: Headers,
    /// W3C trace context.
    pub traceparent: Option<CompactString>,
}

/// Identity of a message: topic number and sequence in it. Never reused; says nothing
/// about where the message is stored. Its text form is `TOPIC-SEQUENCE`, both decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    /// Number of the topic within the store.
    pub topic: u32,
    /// Sequence within the topic, from 1.
    pub sequence: u64,
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.sequence)
    }
}

/// The text is not a message id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a message id; they look like 3-1542")]
pub struct ParseIdError(String);

impl FromStr for MessageId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let parse = || {
            let (topic, sequence) = text.split_once('-')?;
            Some(Self {
                topic: topic.parse().ok()?,
                sequence: sequence.parse().ok()?,
            })
        };
        parse().ok_or_else(|| ParseIdError(text.into()))
    }
}

/// A consumer of this process; never reused within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(pub u64);

impl fmt::Display for ConsumerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

/// A delivery within its consumer: 1, 2, 3, … at most [`limits::JSON_INTEGER_MAX`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct DeliveryTag(pub u64);

impl Message {
    /// The urgency in a topic with these options.
    pub fn priority_in(&self, options: &TopicOptions) -> Priority {
        let scaled = || self.jms_priority.map(|jms| jms.of(options.priorities));
        self.priority
            .or_else(scaled)
            .unwrap_or(options.default_priority)
    }

    /// Checks the bounds that hold on every engine.
    ///
    /// # Errors
    /// [`ErrorCode::TooLarge`](crate::ErrorCode::TooLarge) naming the part that exceeds
    /// its limit.
    pub fn check_bounds(&self) -> Result<(), crate::Error> {
        let too_large = |what: &'static str, actual: usize, limit: usize| {
            crate::Error::new(
                crate::ErrorCode::TooLarge,
                format!("{what} of {actual} exceeds the limit of {limit}"),
            )
            .with("limit", limit)
        };
        if self.payload.len() > limits::PAYLOAD_BYTES_MAX {
            return Err(too_large(
                "a payload (bytes)",
                self.payload.len(),
                limits::PAYLOAD_BYTES_MAX,
            ));
        }
        for (what, text) in [
            ("a key (bytes)", &self.key),
            ("a group (bytes)", &self.group),
            ("a publish_id (bytes)", &self.publish_id),
        ] {
            let length = text.as_ref().map_or(0, CompactString::len);
            if length > limits::KEY_BYTES_MAX {
                return Err(too_large(what, length, limits::KEY_BYTES_MAX));
            }
        }
        if self.headers.len() > limits::HEADERS_MAX {
            return Err(too_large(
                "a number of headers",
                self.headers.len(),
                limits::HEADERS_MAX,
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip() {
        let id = MessageId {
            topic: 3,
            sequence: u64::MAX,
        };
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "3", "3-", "-1", "a-b", "4294967296-1"] {
            assert!(bad.parse::<MessageId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn priorities_of_jms_map_onto_those_of_the_topic() {
        for (jms, priorities, priority) in [
            (9, 10, 0),
            (4, 10, 5),
            (0, 10, 9),
            (0, 1, 0),
            (4, 4, 2),
            (9, 256, 0),
            (0, 256, 230),
        ] {
            let mapped = JmsPriority::new(jms).unwrap().of(priorities);
            assert_eq!(mapped, Priority(priority), "{jms} of {priorities}");
        }
        assert_eq!(JmsPriority::new(10), None);
    }

    #[test]
    fn the_own_priority_goes_before_that_of_jms() {
        let options = TopicOptions {
            priorities: 10,
            default_priority: Priority(5),
            ..TopicOptions::default()
        };
        let jms = JmsPriority::new(9);
        for (priority, jms_priority, expected) in
            [(None, None, 5), (None, jms, 0), (Some(Priority(7)), jms, 7)]
        {
            let message = Message {
                priority,
                jms_priority,
                ..Message::default()
            };
            assert_eq!(message.priority_in(&options), Priority(expected));
        }
    }

    #[test]
    fn bounds() {
        let mut message = Message {
            key: Some("k".repeat(1_024).into()),
            ..Message::default()
        };
        assert!(message.check_bounds().is_ok());
        message.key = Some("k".repeat(1_025).into());
        assert_eq!(
            message.check_bounds().unwrap_err().code(),
            crate::ErrorCode::TooLarge
        );
    }
}
