use crate::{Backoff, ByteSize, OptionChange, Priority, Span, Timestamp, TopicName, limits};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Visitor, value::MapAccessDeserializer},
};
use std::{fmt, time::Duration};

/// When a publish is confirmed, and what a confirmed message survives.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// Never in the journal, bounded, gone at restart.
    Memory,
    /// After the write, synced within an interval: survives kill -9, not power loss.
    Interval,
    /// After `fdatasync`: survives power loss.
    #[default]
    Commit,
}

impl Durability {
    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Interval => "interval",
            Self::Commit => "commit",
        }
    }
}

/// What a second message with a key does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dedupe {
    /// Nothing special.
    #[default]
    Off,
    /// Replaces the undelivered one.
    Latest,
    /// Is dropped within a window.
    First,
}

/// What a publish to a full topic does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// Fails with -32003.
    #[default]
    Reject,
    /// Drops the least urgent, then the oldest, never one in flight.
    DropOldest,
}

/// How a consumer is fed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryMode {
    /// Up to `credit` unacknowledged deliveries.
    #[default]
    Stream,
    /// The next batch only after the whole previous one is settled.
    Batch,
}

/// What happens to a message of a topic without subscriptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unsubscribed {
    /// Kept for the first subscription, inside the topic's bounds.
    #[default]
    Keep,
    /// Dropped and counted.
    Drop,
    /// The publish is refused.
    Reject,
}

/// Where a new subscription starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartFrom {
    /// With everything that the topic still holds.
    All,
    /// With the next message.
    New,
}

/// How long a message waits whose delivery failed: by nack without a delay of its own, or by ack
/// time-out. Reads also from one duration, which is then every wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Retry {
    /// Wait after the first failure; doubles with each further one.
    pub min: Span,
    /// Longest wait.
    pub max: Span,
}

impl Retry {
    /// The wait after a message's delivery `attempt` (from 1) has failed.
    pub fn wait(&self, attempt: u32) -> Duration {
        let backoff = Backoff {
            min: self.min.0,
            max: self.max.0,
        };
        backoff.bound(attempt.saturating_sub(1))
    }
}

impl<'de> Deserialize<'de> for Retry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Both {
            min: Span,
            max: Span,
        }
        struct Form;
        impl Form {
            fn fixed<E>(span: Result<Span, E>) -> Result<Retry, E> {
                span.map(|span| Retry {
                    min: span,
                    max: span,
                })
            }
        }
        impl<'de> Visitor<'de> for Form {
            type Value = Retry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration like 5s, or an object with the durations min and max")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Retry, E> {
                Self::fixed(text.parse().map_err(E::custom))
            }

            fn visit_u64<E: de::Error>(self, millis: u64) -> Result<Retry, E> {
                Self::fixed(Ok(Span(Duration::from_millis(millis))))
            }

            fn visit_i64<E: de::Error>(self, millis: i64) -> Result<Retry, E> {
                let millis = u64::try_from(millis);
                self.visit_u64(millis.map_err(|_| E::custom("a duration is not negative"))?)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Retry, A::Error> {
                let Both { min, max } = Both::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Retry { min, max })
            }
        }
        deserializer.deserialize_any(Form)
    }
}

/// The options of a topic as somebody asks for them: what is absent is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TopicSettings {
    /// Number of priorities, 1 ..= 256; default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priorities: Option<u16>,
    /// Priority of a message that names none; default half of `priorities`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_priority: Option<Priority>,
    /// What a second message with a key does; default `off`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedupe: Option<Dedupe>,
    /// How long `dedupe: first` remembers a key; default 2 min.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedupe_window: Option<Span>,
    /// Time to live of a message that names none; default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Span>,
    /// Time after which an unacknowledged delivery returns; 0 = never, the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_timeout: Option<Span>,
    /// Deliveries of one message before it is a dead letter; 0 = unlimited, the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// Topic that takes dead letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<TopicName>,
    /// Whether expired messages are dead letters too; default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter_expired: Option<bool>,
    /// Wait before a returned message is available again; default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Most stored messages; default unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_messages: Option<u64>,
    /// Most stored payload bytes; default unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<ByteSize>,
    /// What a publish to a full topic does; default `reject`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overflow: Option<Overflow>,
    /// When a publish is confirmed; default `commit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub durability: Option<Durability>,
    /// How consumers are fed; default `stream`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryMode>,
    /// What happens to messages while there is no subscription; default `keep`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsubscribed: Option<Unsubscribed>,
    /// How long a `publish_id` is remembered; default 2 min.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish_id_window: Option<Span>,
    /// The definition itself lives in memory only: Trunkline's own queues.
    #[serde(skip)]
    pub transient: bool,
}

/// The options of a topic, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicOptions {
    /// Number of priorities.
    pub priorities: u16,
    /// Priority of a message that names none.
    pub default_priority: Priority,
    /// What a second message with a key does.
    pub dedupe: Dedupe,
    /// How long `dedupe: first` remembers a key.
    pub dedupe_window: Span,
    /// Time to live of a message that names none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ttl: Option<Span>,
    /// Time after which an unacknowledged delivery returns; 0 = never.
    pub ack_timeout: Span,
    /// Deliveries of one message before it is a dead letter; 0 = unlimited.
    pub max_attempts: u32,
    /// Topic that takes dead letters.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dead_letter: Option<TopicName>,
    /// Whether expired messages are dead letters too.
    #[serde(default)]
    pub dead_letter_expired: bool,
    /// Wait before a returned message is available again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retry: Option<Retry>,
    /// Most stored messages.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_messages: Option<u64>,
    /// Most stored payload bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_bytes: Option<ByteSize>,
    /// What a publish to a full topic does.
    pub overflow: Overflow,
    /// When a publish is confirmed.
    pub durability: Durability,
    /// How consumers are fed.
    pub delivery: DeliveryMode,
    /// What happens to messages while there is no subscription.
    pub unsubscribed: Unsubscribed,
    /// How long a `publish_id` is remembered.
    pub publish_id_window: Span,
    /// The definition lives in memory only.
    #[serde(skip)]
    pub transient: bool,
}

impl Default for TopicOptions {
    fn default() -> Self {
        const TWO_MINUTES: Span = Span(Duration::from_secs(120));
        Self {
            priorities: 1,
            default_priority: Priority(0),
            dedupe: Dedupe::Off,
            dedupe_window: TWO_MINUTES,
            ttl: None,
            ack_timeout: Span::default(),
            max_attempts: 0,
            dead_letter: None,
            dead_letter_expired: false,
            retry: None,
            max_messages: None,
            max_bytes: None,
            overflow: Overflow::Reject,
            durability: Durability::Commit,
            delivery: DeliveryMode::Stream,
            unsubscribed: Unsubscribed::Keep,
            publish_id_window: TWO_MINUTES,
            transient: false,
        }
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// One option that two declarations of a topic or subscription disagree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionConflict {
    /// Name of the option.
    pub option: &'static str,
    /// What is in effect, as JSON.
    pub current: String,
    /// What was asked for, as JSON.
    pub asked: String,
}

macro_rules! for_each_option {
    ($apply:ident!($($arg:tt)*)) => {
        $apply!($($arg)* plain: priorities, default_priority, dedupe, dedupe_window, ack_timeout,
            max_attempts, dead_letter_expired, overflow, durability, delivery, unsubscribed, publish_id_window;
            optional: ttl, dead_letter, retry, max_messages, max_bytes);
    };
}

impl TopicSettings {
    /// The names of all options.
    pub const MEMBERS: &'static [&'static str] = &[
        "priorities",
        "default_priority",
        "dedupe",
        "dedupe_window",
        "ttl",
        "ack_timeout",
        "max_attempts",
        "dead_letter",
        "dead_letter_expired",
        "retry",
        "max_messages",
        "max_bytes",
        "overflow",
        "durability",
        "delivery",
        "unsubscribed",
        "publish_id_window",
    ];

    /// Fills what is absent with the defaults and checks the bounds.
    ///
    /// # Errors
    /// A sentence that names the option, its value and its bounds.
    pub fn resolve(&self) -> Result<TopicOptions, String> {
        let mut options = TopicOptions::default();
        if let Some(priorities) = self.priorities {
            options.default_priority = Priority(u8::try_from(priorities / 2).unwrap_or(u8::MAX));
        }
        macro_rules! fill {
            (plain: $($plain:ident),*; optional: $($optional:ident),*) => {
                $(if let Some(value) = &self.$plain { options.$plain = value.clone(); })*
                $(if self.$optional.is_some() { options.$optional = self.$optional.clone(); })*
            };
        }
        for_each_option!(fill!());
        options.transient = self.transient;
        options.check()?;
        Ok(options)
    }

    /// Every option that is asked for and differs from what is in effect.
    pub fn conflicts(&self, current: &TopicOptions) -> Vec<OptionConflict> {
        let mut conflicts = Vec::new();
        macro_rules! compare {
            (plain: $($plain:ident),*; optional: $($optional:ident),*) => {
                $(if let Some(asked) = &self.$plain && *asked != current.$plain {
                    conflicts.push(OptionConflict {
                        option: stringify!($plain),
                        current: json(&current.$plain),
                        asked: json(asked),
                    });
                })*
                $(if self.$optional.is_some() && self.$optional != current.$optional {
                    conflicts.push(OptionConflict {
                        option: stringify!($optional),
                        current: json(&current.$optional),
                        asked: json(&self.$optional),
                    });
                })*
            };
        }
        for_each_option!(compare!());
        conflicts
    }
}

/// What is the same for the settings of topics and of subscriptions, told by their options.
macro_rules! settings_methods {
    (plain: $($plain:ident),*; optional: $($optional:ident),*) => {
        /// The same with everything that `asked` names.
        #[must_use]
        pub fn with(mut self, asked: &Self) -> Self {
            $(if asked.$plain.is_some() { self.$plain = asked.$plain.clone(); })*
            $(if asked.$optional.is_some() { self.$optional = asked.$optional.clone(); })*
            self
        }

        /// Asks no longer for an option.
        ///
        /// # Errors
        /// A sentence that names the options, if `option` is none of them or is `asked` for.
        pub fn clear(&mut self, option: &str, asked: &Self) -> Result<(), String> {
            let is_asked = match option {
                $(stringify!($plain) => {
                    self.$plain = None;
                    asked.$plain.is_some()
                })*
                $(stringify!($optional) => {
                    self.$optional = None;
                    asked.$optional.is_some()
                })*
                _ => {
                    let known = Self::MEMBERS.join(", ");
                    return Err(format!("there is no option {option} to clear; known: {known}"));
                }
            };
            match is_asked {
                true => Err(format!("{option} can't be set and cleared at once")),
                false => Ok(()),
            }
        }
    };
}

impl TopicSettings {
    for_each_option!(settings_methods!());
}

/// What differs between two sets of options.
macro_rules! changes_method {
    (plain: $($plain:ident),*; optional: $($optional:ident),*) => {
        /// Every option that is another one in `to`.
        pub fn changes(&self, to: &Self) -> Vec<OptionChange> {
            let mut changes = Vec::new();
            $(if self.$plain != to.$plain {
                changes.push(OptionChange {
                    option: stringify!($plain),
                    from: json(&self.$plain),
                    to: json(&to.$plain),
                });
            })*
            $(if self.$optional != to.$optional {
                changes.push(OptionChange {
                    option: stringify!($optional),
                    from: json(&self.$optional),
                    to: json(&to.$optional),
                });
            })*
            changes
        }
    };
}

impl TopicOptions {
    for_each_option!(changes_method!());

    fn check(&self) -> Result<(), String> {
        let (priorities, max) = (self.priorities, limits::PRIORITIES_MAX);
        if !(1..=max).contains(&priorities) {
            return Err(format!("priorities is {priorities}; it must be 1 to {max}"));
        }
        let Priority(default) = self.default_priority;
        if u16::from(default) >= priorities {
            return Err(format!(
                "default_priority is {default}; with {priorities} priorities it must be at most {}",
                priorities - 1
            ));
        }
        SubscriptionSettings::default().resolve(self).check()?;
        bounds(self.max_messages, self.max_bytes)
    }

    /// Settings that ask for exactly these options.
    pub fn settings(&self) -> TopicSettings {
        let options = self.clone();
        TopicSettings {
            priorities: Some(options.priorities),
            default_priority: Some(options.default_priority),
            dedupe: Some(options.dedupe),
            dedupe_window: Some(options.dedupe_window),
            ttl: options.ttl,
            ack_timeout: Some(options.ack_timeout),
            max_attempts: Some(options.max_attempts),
            dead_letter: options.dead_letter,
            dead_letter_expired: Some(options.dead_letter_expired),
            retry: options.retry,
            max_messages: options.max_messages,
            max_bytes: options.max_bytes,
            overflow: Some(options.overflow),
            durability: Some(options.durability),
            delivery: Some(options.delivery),
            unsubscribed: Some(options.unsubscribed),
            publish_id_window: Some(options.publish_id_window),
            transient: options.transient,
        }
    }

    /// When a message published at `now` without an expiry of its own expires.
    pub fn default_expiry(&self, now: Timestamp) -> Option<Timestamp> {
        self.ttl.map(|ttl| now.after(ttl.0))
    }
}

/// What a subscription can override of its topic, as asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SubscriptionSettings {
    /// See [`TopicSettings::ack_timeout`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_timeout: Option<Span>,
    /// See [`TopicSettings::max_attempts`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// See [`TopicSettings::dead_letter`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<TopicName>,
    /// See [`TopicSettings::delivery`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryMode>,
    /// See [`TopicSettings::dead_letter_expired`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter_expired: Option<bool>,
    /// See [`TopicSettings::retry`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Most messages that wait in this subscription; default unlimited. The topic's own bound
    /// counts stored messages, whoever they wait for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_messages: Option<u64>,
    /// Most payload bytes that wait in this subscription; default unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<ByteSize>,
    /// What a publish does when this subscription is full; default the topic's. `drop-oldest`
    /// drops from this subscription only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overflow: Option<Overflow>,
}

/// The options in effect for a subscription.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SubscriptionOptions {
    /// Time after which an unacknowledged delivery returns; 0 = never.
    pub ack_timeout: Span,
    /// Deliveries of one message before it is a dead letter; 0 = unlimited.
    pub max_attempts: u32,
    /// Topic that takes dead letters.
    pub dead_letter: Option<TopicName>,
    /// How consumers are fed.
    pub delivery: DeliveryMode,
    /// Whether expired messages are dead letters too.
    pub dead_letter_expired: bool,
    /// Wait before a returned message is available again.
    pub retry: Option<Retry>,
    /// Most messages that wait in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_messages: Option<u64>,
    /// Most payload bytes that wait in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<ByteSize>,
    /// What a publish does when it is full.
    pub overflow: Overflow,
}

macro_rules! for_each_subscription_option {
    ($apply:ident!()) => {
        $apply!(plain: ack_timeout, max_attempts, delivery, dead_letter_expired, overflow;
            optional: dead_letter, retry, max_messages, max_bytes);
    };
}

impl SubscriptionOptions {
    for_each_subscription_option!(changes_method!());

    /// Whether the bounds make sense.
    ///
    /// # Errors
    /// A sentence that names the option, its value and its bounds.
    pub fn check(&self) -> Result<(), String> {
        if let Some(retry) = self.retry
            && retry.min > retry.max
        {
            return Err(format!(
                "retry.min is {}, more than retry.max {}",
                retry.min, retry.max
            ));
        }
        bounds(self.max_messages, self.max_bytes)
    }
}

fn bounds(max_messages: Option<u64>, max_bytes: Option<ByteSize>) -> Result<(), String> {
    match max_messages == Some(0) || max_bytes == Some(ByteSize(0)) {
        true => {
            Err("max_messages and max_bytes must be at least 1; leave them out for no bound".into())
        }
        false => Ok(()),
    }
}

impl SubscriptionSettings {
    for_each_subscription_option!(settings_methods!());

    /// The names of all options.
    pub const MEMBERS: &'static [&'static str] = &[
        "ack_timeout",
        "max_attempts",
        "dead_letter",
        "dead_letter_expired",
        "delivery",
        "retry",
        "max_messages",
        "max_bytes",
        "overflow",
    ];

    /// What is in effect on `topic`.
    pub fn resolve(&self, topic: &TopicOptions) -> SubscriptionOptions {
        SubscriptionOptions {
            ack_timeout: self.ack_timeout.unwrap_or(topic.ack_timeout),
            max_attempts: self.max_attempts.unwrap_or(topic.max_attempts),
            dead_letter: self
                .dead_letter
                .clone()
                .or_else(|| topic.dead_letter.clone()),
            delivery: self.delivery.unwrap_or(topic.delivery),
            dead_letter_expired: self
                .dead_letter_expired
                .unwrap_or(topic.dead_letter_expired),
            retry: self.retry.or(topic.retry),
            max_messages: self.max_messages,
            max_bytes: self.max_bytes,
            overflow: self.overflow.unwrap_or(topic.overflow),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_bounds() {
        let settings: TopicSettings =
            serde_json::from_str(r#"{"priorities":10,"ttl":"1h","dedupe":"latest"}"#).unwrap();
        let options = settings.resolve().unwrap();
        assert_eq!(
            (options.default_priority, options.dedupe),
            (Priority(5), Dedupe::Latest)
        );
        assert_eq!(
            TopicSettings::default().resolve().unwrap(),
            TopicOptions::default()
        );
        for (bad, says) in [
            (
                r#"{"priorities":0}"#,
                "priorities is 0; it must be 1 to 256",
            ),
            (
                r#"{"priorities":257}"#,
                "priorities is 257; it must be 1 to 256",
            ),
            (
                r#"{"priorities":2,"default_priority":2}"#,
                "default_priority is 2; with 2 priorities it must be at most 1",
            ),
        ] {
            let settings: TopicSettings = serde_json::from_str(bad).unwrap();
            assert_eq!(settings.resolve().unwrap_err(), says);
        }
    }

    #[test]
    fn conflicts_name_only_what_was_asked_and_differs() {
        let current = TopicOptions {
            priorities: 3,
            ..TopicOptions::default()
        };
        let asked: TopicSettings =
            serde_json::from_str(r#"{"priorities":3,"durability":"memory","max_messages":5}"#)
                .unwrap();
        let conflicts = asked.conflicts(&current);
        let names: Vec<_> = conflicts.iter().map(|c| c.option).collect();
        assert_eq!(names, ["durability", "max_messages"]);
        assert_eq!(
            (conflicts[0].current.as_str(), conflicts[0].asked.as_str()),
            ("\"commit\"", "\"memory\"")
        );
    }

    #[test]
    fn alterations() {
        let settings = |json| serde_json::from_str::<TopicSettings>(json).unwrap();
        let current = settings(r#"{"ttl": "1h", "max_messages": 5, "priorities": 3}"#);
        let asked = settings(r#"{"ttl": "2h"}"#);
        let mut altered = current.clone().with(&asked);
        assert_eq!(altered.clear("max_messages", &asked), Ok(()));
        assert_eq!(
            altered,
            settings(r#"{"ttl": "2h", "priorities": 3}"#),
            "what is not named stays"
        );
        assert_eq!(
            altered.clear("ttl", &asked),
            Err("ttl can't be set and cleared at once".into())
        );
        let unknown = altered.clear("tll", &asked).unwrap_err();
        assert!(unknown.starts_with("there is no option tll to clear; known: priorities,"));
        for option in TopicSettings::MEMBERS {
            let none = TopicSettings::default();
            assert_eq!(altered.clear(option, &none), Ok(()), "{option}");
        }
        for option in SubscriptionSettings::MEMBERS {
            let mut none = SubscriptionSettings::default();
            assert_eq!(none.clear(option, &SubscriptionSettings::default()), Ok(()));
        }
        let (from, to) = (current.resolve().unwrap(), asked.resolve().unwrap());
        let changes = from.changes(&to);
        let told: Vec<_> = changes
            .iter()
            .map(|c| format!("{} {} {}", c.option, c.from, c.to))
            .collect();
        assert_eq!(
            told,
            [
                "priorities 3 1",
                "default_priority 1 0",
                r#"ttl "1h" "2h""#,
                "max_messages 5 null"
            ]
        );
    }

    #[test]
    fn retry_is_one_wait_or_grows() {
        let retry = |json: &str| serde_json::from_str::<Retry>(json);
        let waits = |json: &str| {
            let retry = retry(json).unwrap();
            [1, 2, 3, 4, 99].map(|attempt| retry.wait(attempt).as_millis())
        };
        assert_eq!(waits(r#""5s""#), [5_000; 5]);
        assert_eq!(waits("250"), [250; 5]);
        let grows = r#"{"min":"1s","max":"5s"}"#;
        assert_eq!(waits(grows), [1_000, 2_000, 4_000, 5_000, 5_000]);
        assert_eq!(
            serde_json::to_string(&retry(grows).unwrap()).unwrap(),
            grows
        );
        for bad in [
            r#""5 apples""#,
            "-1",
            "true",
            r#"{"min":"1s"}"#,
            r#"{"mix":1}"#,
        ] {
            assert!(retry(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn members_are_the_fields() {
        let serde_json::Value::Object(fields) = serde_json::to_value(TopicOptions {
            ttl: Some(Span::default()),
            dead_letter: Some("d".parse().unwrap()),
            retry: Some(Retry::default()),
            max_messages: Some(1),
            max_bytes: Some(ByteSize(1)),
            ..TopicOptions::default()
        })
        .unwrap() else {
            panic!("options are an object")
        };
        let mut names: Vec<_> = fields.keys().map(String::as_str).collect();
        let mut members = TopicSettings::MEMBERS.to_vec();
        names.sort_unstable();
        members.sort_unstable();
        assert_eq!(names, members);
    }
}
