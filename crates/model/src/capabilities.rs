use crate::{Durability, limits};
use serde::Serialize;

/// Over what a batch is all or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Atomicity {
    /// Every command for itself.
    None,
    /// The commands of one topic.
    Topic,
    /// The whole batch.
    All,
}

/// What an engine can do. Configuration that asks for more is refused at start-up, a
/// request at run time gets [`ErrorCode::Unsupported`](crate::ErrorCode::Unsupported) with
/// the field's name as `data.capability`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// Name of the engine, for people.
    pub engine: &'static str,
    /// Other processes may use its topics and channels at the same time.
    pub shared: bool,
    /// Over what a batch is all or nothing.
    pub atomic: Atomicity,
    /// Most priorities of a topic.
    pub priorities: u16,
    /// `dedupe: latest`.
    pub dedupe_latest: bool,
    /// `dedupe: first`.
    pub dedupe_first: bool,
    /// Publish ids.
    pub publish_id: bool,
    /// Delayed delivery of messages.
    pub delay: bool,
    /// Nack with a delay.
    pub nack_delay: bool,
    /// Waits between the deliveries of a message that fails (`retry`).
    pub retry: bool,
    /// Expiry of messages.
    pub ttl: bool,
    /// Ack time-outs.
    pub ack_timeout: bool,
    /// Extending an ack time-out.
    pub extend: bool,
    /// Attempt numbers on deliveries.
    pub attempts: bool,
    /// Returned messages go back to their position, not to the end.
    pub front_redelivery: bool,
    /// Dead-letter topics and `max_attempts`.
    pub dead_letter: bool,
    /// Ordering groups.
    pub groups: bool,
    /// `max_messages`, `max_bytes`.
    pub limits: bool,
    /// Looking at messages.
    pub peek: bool,
    /// A copy of the store while it runs.
    pub backup: bool,
    /// Emptying topics.
    pub purge: bool,
    /// Listing topics.
    pub list: bool,
    /// Subscriptions that start with what the topic holds.
    pub from_all: bool,
    /// Channel patterns.
    pub patterns: bool,
    /// Numbers of listeners reached.
    pub receiver_counts: bool,
    /// Durability classes, strongest last.
    pub durability: &'static [Durability],
}

impl Capabilities {
    /// Everything that there is, for one process: engines say what they do otherwise.
    pub const ALL: Self = Self {
        engine: "",
        shared: false,
        atomic: Atomicity::All,
        priorities: limits::PRIORITIES_MAX,
        dedupe_latest: true,
        dedupe_first: true,
        publish_id: true,
        delay: true,
        nack_delay: true,
        retry: true,
        ttl: true,
        ack_timeout: true,
        extend: true,
        attempts: true,
        front_redelivery: true,
        dead_letter: true,
        groups: true,
        limits: true,
        peek: true,
        backup: true,
        purge: true,
        list: true,
        from_all: true,
        patterns: true,
        receiver_counts: true,
        durability: &[Durability::Memory, Durability::Interval, Durability::Commit],
    };
}
