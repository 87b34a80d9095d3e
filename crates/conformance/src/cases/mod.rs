//! The cases, grouped. A case is one entry of its group's table and one function.

mod acks;
mod admin;
mod altering;
mod batches;
mod bounds;
mod channels;
mod dead;
mod dedupe;
mod delays;
mod flow;
mod groups;
mod lifecycle;
mod looking;
mod order;
mod subscriptions;
mod timing;

use crate::run::{Case, Need};

/// All groups in the order in which they run.
pub(crate) const GROUPS: &[(&str, &[Case])] = &[
    ("order", order::CASES),
    ("acks", acks::CASES),
    ("timing", timing::CASES),
    ("delays", delays::CASES),
    ("dead letters", dead::CASES),
    ("dedupe", dedupe::CASES),
    ("subscriptions", subscriptions::CASES),
    ("flow", flow::CASES),
    ("groups", groups::CASES),
    ("batches", batches::CASES),
    ("admin", admin::CASES),
    ("looking", looking::CASES),
    ("altering", altering::CASES),
    ("channels", channels::CASES),
    ("bounds", bounds::CASES),
    ("lifecycle", lifecycle::CASES),
];

/// One entry of a table: what is promised, what it needs, the function that checks it.
macro_rules! case {
    ($name:literal, [$($need:ident),*], $check:ident) => {
        $crate::run::Case {
            name: $name,
            needs: &[$($crate::cases::$need),*],
            run: |lab| Box::pin($check(lab)),
        }
    };
}
use case;

macro_rules! needs {
    ($($need:ident = $name:literal, $met:expr;)*) => {
        $(const $need: Need = Need { name: $name, met: $met };)*
    };
}

needs! {
    ACK_TIMEOUT = "ack_timeout", |c, _| c.ack_timeout;
    ATOMIC = "atomic", |c, _| c.atomic == trunkline_model::Atomicity::All;
    ATOMIC_TOPIC = "atomic within a topic", |c, _| c.atomic != trunkline_model::Atomicity::None;
    ATTEMPTS = "attempts", |c, _| c.attempts;
    DEAD_LETTER = "dead_letter", |c, _| c.dead_letter;
    DEDUPE_FIRST = "dedupe_first", |c, _| c.dedupe_first;
    DEDUPE_LATEST = "dedupe_latest", |c, _| c.dedupe_latest;
    DELAY = "delay", |c, _| c.delay;
    EXTEND = "extend", |c, _| c.extend;
    FROM_ALL = "from_all", |c, _| c.from_all;
    FRONT = "front_redelivery", |c, _| c.front_redelivery;
    OWN_STORE = "a store that ends with the process", |c, _| !c.shared;
    ORDERING_GROUPS = "groups", |c, _| c.groups;
    LIMITS = "limits", |c, _| c.limits;
    LIST = "list", |c, _| c.list;
    NACK_DELAY = "nack_delay", |c, _| c.nack_delay;
    PATTERNS = "patterns", |c, _| c.patterns;
    PEEK = "peek", |c, _| c.peek;
    PRIORITIES = "4 priorities", |c, _| c.priorities >= 4;
    PUBLISH_ID = "publish_id", |c, _| c.publish_id;
    PURGE = "purge", |c, _| c.purge;
    RECEIVER_COUNTS = "receiver_counts", |c, _| c.receiver_counts;
    RESTART = "a restart", |_, factory| factory.restarts();
    RETRY = "retry", |c, _| c.retry;
    TTL = "ttl", |c, _| c.ttl;
}
