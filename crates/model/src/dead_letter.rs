//! What a dead letter tells of itself: the headers that it has besides the message's own.

/// Name of the topic that it comes from.
pub const TOPIC: &str = "trunkline-dead-topic";
/// Name of the subscription that gave it up; absent for what nobody subscribed to.
pub const SUBSCRIPTION: &str = "trunkline-dead-subscription";
/// Why: `max-attempts`, `rejected` or `expired`.
pub const REASON: &str = "trunkline-dead-reason";
/// How often it was delivered there.
pub const ATTEMPTS: &str = "trunkline-dead-attempts";
/// When a delivery first failed, as far as that is known, in RFC 3339.
pub const FIRST_AT: &str = "trunkline-dead-first-at";
/// When it was given up, in RFC 3339.
pub const LAST_AT: &str = "trunkline-dead-last-at";
/// Its identity in the topic that it comes from.
pub const ID: &str = "trunkline-dead-id";
/// Its priority there, if the dead-letter topic doesn't have that one.
pub const PRIORITY: &str = "trunkline-dead-priority";

/// What the names of all of them begin with.
pub const PREFIX: &str = "trunkline-dead-";
