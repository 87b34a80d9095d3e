//! What the script refuses, in words: those of every engine.

use super::script::Refusal;
use trunkline_model::{Error, ErrorCode, refusal};

/// The error of a step about a topic and, if it names one, a subscription.
pub(super) fn error(topic: &str, subscription: Option<&str>, refused: &Refusal) -> Error {
    match refused {
        Refusal::NoTopic => refusal::no_topic(topic),
        Refusal::NoSubscription | Refusal::NoConsumer => match subscription {
            Some(name) => refusal::no_subscription(topic, name),
            None => refusal::no_topic(topic),
        },
        Refusal::NobodySubscribes => refusal::nobody_subscribes(topic),
        Refusal::Full {
            limit,
            max,
            drops: true,
        } => refusal::nothing_to_drop(topic, limit.name(), *max),
        Refusal::Full { limit, max, .. } => refusal::full(topic, limit.name(), *max),
        Refusal::SubscriptionFull {
            subscription,
            limit,
            max,
        } => refusal::subscription_full(topic, subscription, limit.name(), *max),
        Refusal::NotHeld { consumer, hold } => refusal::not_held(hold.ticket, consumer),
        Refusal::BadPriority {
            priority,
            priorities,
        } => refusal::bad_priority(topic, *priority, *priorities),
        Refusal::DelayedBeyond {
            deliver_at,
            expires_at,
        } => refusal::delayed_beyond(topic, *deliver_at, *expires_at),
        Refusal::NewerKey => Error::new(
            ErrorCode::Conflict,
            format!("topic {topic} has a newer message with the key"),
        ),
        Refusal::Changed { .. } => Error::new(
            ErrorCode::Conflict,
            format!("topic {topic} is being changed by somebody else; try again"),
        )
        .with("topic", topic),
        Refusal::NeedsEmpty { option } => refusal::needs_empty(topic, option),
        Refusal::OtherTopic { number, id } => Error::invalid_params(format!(
            "message {id} is not one of topic {topic}; its ids start with {number}-"
        )),
        Refusal::StateWithoutSubscription => {
            Error::invalid_params("a message has a state in a subscription only; name one")
        }
        Refusal::OutOfMemory => Error::new(
            ErrorCode::Unavailable,
            "Redis has reached maxmemory and takes no more messages, acknowledgements only; give \
             it more memory, or consume or purge",
        )
        .with("reason", "memory_full"),
    }
}
