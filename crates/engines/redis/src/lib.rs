//! Trunkline on Redis and Valkey. So far: calls over streams with consumer groups, byte-compatible
//! with Mojo::WebSocketProxy's backend of that name and its workers, on both sides.
//!
//! **Invariant**: knows no protocol of clients and no other engine; what is written and read (the
//! fields of a request, the text of a reply) is pure: `consumer_groups/request.rs` and `reply.rs`.
//!
//! Start at [`ConsumerGroups`], then follow a call through `consumer_groups/asking.rs` and
//! `consumer_groups/worker.rs`.

mod consumer_groups;
mod link;

pub use consumer_groups::{ConsumerGroups, ConsumerGroupsCounters, ConsumerGroupsOptions};
pub use redis;
