//! Headers with a meaning beyond the protocol, as types.

use crate::Verdict;
use crate::excerpt::excerpt;
use compact_str::CompactString;
use std::time::Duration;
use trunkline_model::{Headers, JmsPriority, NameError, SubscriptionName, Timestamp, When, limits};

/// A header that can't be taken as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionError {
    /// Its value means nothing.
    #[error("header {name} is {value}; it can be {expected}")]
    Value {
        /// The header.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it may say.
        expected: &'static str,
    },
    /// Two headers say the same thing in different ways.
    #[error("headers {0} and {1} in one frame; send one of them")]
    Both(&'static str, &'static str),
    /// What it asks for doesn't exist.
    #[error(
        "header selector is not supported; subscribe to a destination that has only what you want"
    )]
    Selector,
    /// A durable subscription without a name.
    #[error("a durable subscription needs a name; add header id")]
    Unnamed,
    /// The name of a durable subscription is none.
    #[error("the name of the durable subscription: {0}; choose another id")]
    Name(#[from] NameError),
}

fn value_error(name: &'static str, value: &str, expected: &'static str) -> OptionError {
    let value = excerpt(value);
    OptionError::Value {
        name,
        value,
        expected,
    }
}

fn number(headers: &Headers, name: &'static str) -> Result<Option<u64>, OptionError> {
    let read = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        number.ok_or_else(|| value_error(name, text, "a number, in decimal digits"))
    };
    headers.get(name).map(read).transpose()
}

fn milliseconds(headers: &Headers, name: &'static str) -> Result<Option<Duration>, OptionError> {
    Ok(number(headers, name)?.map(Duration::from_millis))
}

/// In any case: Python writes `True`.
fn flag(headers: &Headers, name: &'static str) -> Result<Option<bool>, OptionError> {
    let read = |text: &str| match text {
        _ if text.eq_ignore_ascii_case("true") => Ok(true),
        _ if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(value_error(name, text, "true or false")),
    };
    headers.get(name).map(read).transpose()
}

fn text(headers: &Headers, name: &str) -> Option<CompactString> {
    let value = headers.get(name).filter(|value| !value.is_empty());
    value.map(CompactString::new)
}

/// What the headers of a SEND ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SendOptions {
    /// `priority`, 0 to 9.
    pub priority: Option<JmsPriority>,
    /// `expires`, milliseconds since the Unix epoch, of which 0 is never; or `ttl`, milliseconds
    /// from now.
    pub expires: Option<When>,
    /// `delay`, milliseconds from now.
    pub deliver: Option<When>,
    /// `key`: for deduplication.
    pub key: Option<CompactString>,
    /// `group` or `JMSXGroupID`.
    pub group: Option<CompactString>,
    /// `publish-id`: makes sending again safe.
    pub publish_id: Option<CompactString>,
    /// `persistent`.
    pub persistent: Option<bool>,
    /// `content-type`.
    pub content_type: Option<CompactString>,
    /// `traceparent`.
    pub traceparent: Option<CompactString>,
    /// `reply-to`.
    pub reply_to: Option<CompactString>,
    /// `correlation-id`.
    pub correlation_id: Option<CompactString>,
}

impl SendOptions {
    /// Reads the headers of a SEND.
    ///
    /// # Errors
    /// [`OptionError`] names the header that can't be taken.
    pub fn parse(headers: &Headers) -> Result<Self, OptionError> {
        let priority = number(headers, "priority")?.map(|number| {
            let priority = u8::try_from(number).ok().and_then(JmsPriority::new);
            let value = headers.get("priority").unwrap_or_default();
            priority
                .ok_or_else(|| value_error("priority", value, "0 to 9, of which 9 is most urgent"))
        });
        let expires = number(headers, "expires")?.filter(|at| *at > 0);
        let ttl = milliseconds(headers, "ttl")?;
        let expires = match (expires, ttl) {
            (Some(_), Some(_)) => return Err(OptionError::Both("expires", "ttl")),
            (Some(at), None) => Some(When::At(Timestamp::from_millis(at))),
            (None, ttl) => ttl.map(When::After),
        };
        let delay = milliseconds(headers, "delay")?.filter(|delay| !delay.is_zero());
        Ok(Self {
            priority: priority.transpose()?,
            expires,
            deliver: delay.map(When::After),
            key: text(headers, "key"),
            group: text(headers, "group").or_else(|| text(headers, "JMSXGroupID")),
            publish_id: text(headers, "publish-id"),
            persistent: flag(headers, "persistent")?,
            content_type: text(headers, "content-type"),
            traceparent: text(headers, "traceparent"),
            reply_to: text(headers, "reply-to"),
            correlation_id: text(headers, "correlation-id"),
        })
    }

    /// The headers that go with the message, in their order, repeated ones included: all but those
    /// that a server writes into a MESSAGE itself, so that a MESSAGE can be sent again as it came.
    #[must_use]
    pub fn passed_on(headers: &Headers) -> Headers {
        let mut passed = Headers::new();
        for (name, value) in headers.iter() {
            if !is_own(name) {
                passed.push(name, value);
            }
        }
        passed
    }
}

/// Whether a header of MESSAGE, or of the frame that brings a message, is the server's own.
pub(crate) fn is_own(name: &str) -> bool {
    const OWN: [&str; 11] = [
        "subscription",
        "message-id",
        "destination",
        "ack",
        "redelivered",
        "delivery-count",
        "content-type",
        "content-length",
        "receipt",
        "receipt-id",
        "transaction",
    ];
    OWN.contains(&name) || name == "traceparent" || name.starts_with("trunkline-")
}

/// What the headers of a SUBSCRIBE ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// `prefetch-count` or `activemq.prefetchSize`: most unacknowledged messages, at most
    /// [`limits::CREDIT_MAX`]. None, also for 0, is the server's default.
    pub credit: Option<u32>,
    /// `consumer-window-size`: most bytes on their way. None, also for -1, is the server's
    /// default; 0 is one message.
    pub window_bytes: Option<u64>,
    /// The name under which it lasts: see [`durable_name`]. It means something for
    /// `/topic/NAME`; what is behind other destinations lasts anyway.
    pub durable: Option<SubscriptionName>,
}

impl SubscribeOptions {
    /// Reads the headers of a SUBSCRIBE; `client_id` is that of CONNECT.
    ///
    /// # Errors
    /// [`OptionError`] names the header that can't be taken, which a `selector` never can.
    pub fn parse(headers: &Headers, client_id: Option<&str>) -> Result<Self, OptionError> {
        if text(headers, "selector").is_some() {
            return Err(OptionError::Selector);
        }
        let credit = match number(headers, "prefetch-count")? {
            Some(credit) => Some(credit),
            None => number(headers, "activemq.prefetchSize")?,
        };
        let credit = credit.filter(|credit| *credit > 0);
        let credit = credit.map(|credit| {
            u32::try_from(credit)
                .map_or(limits::CREDIT_MAX, |credit| credit.min(limits::CREDIT_MAX))
        });
        let window_bytes = match headers.get("consumer-window-size") {
            Some("-1") => None,
            _ => number(headers, "consumer-window-size")?,
        };
        Ok(Self {
            credit,
            window_bytes,
            durable: durable_name(headers, client_id)?,
        })
    }
}

/// The name of the durable subscription that a SUBSCRIBE or UNSUBSCRIBE is about, if it is about
/// one: `id` with `durable:true` or `persistent:true` (RabbitMQ), `activemq.subscriptionName`
/// (ActiveMQ), `durable-subscription-name` or `durable-subscriber-name` (Artemis). A `client-id`
/// goes before it, with a dot.
///
/// # Errors
/// [`OptionError`] if the subscription has no name, or none that is allowed.
pub fn durable_name(
    headers: &Headers,
    client_id: Option<&str>,
) -> Result<Option<SubscriptionName>, OptionError> {
    let named = [
        "activemq.subscriptionName",
        "durable-subscription-name",
        "durable-subscriber-name",
    ];
    let name = match named.into_iter().find_map(|name| text(headers, name)) {
        Some(name) => name,
        None => {
            let durable = flag(headers, "durable")?.unwrap_or(false);
            if !durable && !flag(headers, "persistent")?.unwrap_or(false) {
                return Ok(None);
            }
            text(headers, "id").ok_or(OptionError::Unnamed)?
        }
    };
    let full = match client_id.filter(|id| !id.is_empty()) {
        Some(client_id) => compact_str::format_compact!("{client_id}.{name}"),
        None => name,
    };
    Ok(Some(SubscriptionName::new(full)?))
}

/// What the headers of a NACK ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NackOptions {
    /// `requeue`, true unless it is said: false makes a dead letter of it.
    pub requeue: bool,
    /// `delay`, milliseconds: it comes again only then.
    pub delay: Duration,
}

impl NackOptions {
    /// Reads the headers of a NACK.
    ///
    /// # Errors
    /// [`OptionError`] names the header that can't be taken.
    pub fn parse(headers: &Headers) -> Result<Self, OptionError> {
        Ok(Self {
            requeue: flag(headers, "requeue")?.unwrap_or(true),
            delay: milliseconds(headers, "delay")?.unwrap_or_default(),
        })
    }
}

impl From<NackOptions> for Verdict {
    fn from(options: NackOptions) -> Self {
        Self::Nack {
            requeue: options.requeue,
            delay: options.delay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in pairs {
            headers.push(*name, *value);
        }
        headers
    }

    #[test]
    fn options_of_send() {
        let parsed = SendOptions::parse(&headers(&[
            ("priority", "7"),
            ("expires", "1000"),
            ("delay", "250"),
            ("key", "k"),
            ("JMSXGroupID", "g"),
            ("publish-id", "p"),
            ("persistent", "True"),
            ("content-type", "text/plain"),
            ("reply-to", "/temp-queue/a"),
            ("correlation-id", "c"),
            ("priority", "x"),
        ]));
        let expected = SendOptions {
            priority: JmsPriority::new(7),
            expires: Some(When::At(Timestamp::from_millis(1_000))),
            deliver: Some(When::After(Duration::from_millis(250))),
            key: Some("k".into()),
            group: Some("g".into()),
            publish_id: Some("p".into()),
            persistent: Some(true),
            content_type: Some("text/plain".into()),
            traceparent: None,
            reply_to: Some("/temp-queue/a".into()),
            correlation_id: Some("c".into()),
        };
        assert_eq!(parsed, Ok(expected));
        let never = SendOptions::parse(&headers(&[("expires", "0"), ("ttl", "5"), ("delay", "0")]));
        let expected = SendOptions {
            expires: Some(When::After(Duration::from_millis(5))),
            ..SendOptions::default()
        };
        assert_eq!(never, Ok(expected));
        for (odd, part) in [
            (
                [("priority", "10"), ("", "")],
                "header priority is \"10\"; it can be 0 to 9",
            ),
            ([("ttl", "1s"), ("", "")], "header ttl is \"1s\""),
            ([("delay", ""), ("", "")], "header delay is \"\""),
            ([("persistent", "yes"), ("", "")], "true or false"),
            ([("ttl", "1"), ("expires", "1")], "headers expires and ttl"),
        ] {
            let error = SendOptions::parse(&headers(&odd)).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn headers_are_passed_on_in_their_order() {
        let sent = [
            ("destination", "/queue/a"),
            ("b", "1"),
            ("receipt", "r"),
            ("content-length", "3"),
            ("a", "2"),
            ("trunkline-message-id", "1-1"),
            ("b", "3"),
            ("priority", "4"),
            ("body", ""),
        ];
        let passed = SendOptions::passed_on(&headers(&sent));
        let passed: Vec<_> = passed.iter().collect();
        assert_eq!(
            passed,
            [
                ("b", "1"),
                ("a", "2"),
                ("b", "3"),
                ("priority", "4"),
                ("body", "")
            ]
        );
    }

    #[test]
    fn options_of_subscribe() {
        let none = SubscribeOptions::default();
        let name = |name| SubscriptionName::new(name).ok();
        for (pairs, client_id, expected) in [
            (&[("prefetch-count", "0")][..], None, none.clone()),
            (
                &[("prefetch-count", "5"), ("activemq.prefetchSize", "9")],
                None,
                SubscribeOptions {
                    credit: Some(5),
                    ..none.clone()
                },
            ),
            (
                &[
                    ("activemq.prefetchSize", "99999999999"),
                    ("consumer-window-size", "4096"),
                ],
                None,
                SubscribeOptions {
                    credit: Some(limits::CREDIT_MAX),
                    window_bytes: Some(4_096),
                    durable: None,
                },
            ),
            (
                &[
                    ("consumer-window-size", "-1"),
                    ("durable", "false"),
                    ("id", "i"),
                ],
                None,
                none.clone(),
            ),
            (
                &[("durable", "true"), ("auto-delete", "false"), ("id", "i")],
                Some("c"),
                SubscribeOptions {
                    durable: name("c.i"),
                    ..none.clone()
                },
            ),
            (
                &[("persistent", "true"), ("id", "i")],
                Some(""),
                SubscribeOptions {
                    durable: name("i"),
                    ..none.clone()
                },
            ),
            (
                &[("activemq.subscriptionName", "n"), ("id", "i")],
                Some("c"),
                SubscribeOptions {
                    durable: name("c.n"),
                    ..none.clone()
                },
            ),
            (
                &[("durable-subscription-name", "n")],
                None,
                SubscribeOptions {
                    durable: name("n"),
                    ..none.clone()
                },
            ),
        ] {
            let parsed = SubscribeOptions::parse(&headers(pairs), client_id);
            assert_eq!(parsed, Ok(expected), "{pairs:?}");
        }
        for (pair, part) in [
            (("selector", "a > 1"), "selector is not supported"),
            (("durable", "true"), "add header id"),
            (("prefetch-count", "-1"), "prefetch-count is \"-1\""),
            (("durable-subscription-name", "a b"), "must not contain ' '"),
        ] {
            let error = SubscribeOptions::parse(&headers(&[pair]), None).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn options_of_nack() {
        let parsed = NackOptions::parse(&headers(&[("requeue", "FALSE"), ("delay", "9")]));
        let expected = NackOptions {
            requeue: false,
            delay: Duration::from_millis(9),
        };
        assert_eq!(parsed, Ok(expected));
        let default = NackOptions::parse(&Headers::new()).unwrap();
        assert_eq!(
            Verdict::from(default),
            Verdict::Nack {
                requeue: true,
                delay: Duration::ZERO
            }
        );
    }
}
