//! Trunkline on Redis and Valkey: topics and channels that any number of processes share ([`RedisEngine`]), and
//! calls, on both sides of two wires that others use: streams with consumer groups ([`ConsumerGroups`]:
//! Mojo::WebSocketProxy's backend of that name and its workers) and lists ([`RpcProcessor`]: rpcprocessor and its
//! handlers; [`ListRpc`], its sibling).
//!
//! **Invariant**: knows no protocol of clients and no other engine; what is written and read (the
//! steps of the script that is a topic, the fields of a request, the text of a reply) is pure: `topics/script`,
//! `consumer_groups/request.rs` and `reply.rs`, `rpcprocessor/text.rs`. No sink and no completion is called with a lock held.
//!
//! Start at `engine.rs` and follow a command through `topics/topic.rs`; or at one of the wires, and follow a call through
//! its `asking.rs` and `worker.rs`; what workers of both have in common is in `serving`. How servers are reached is in
//! `deployment`.

mod bundle;
mod capabilities;
mod channels;
mod config;
mod connection;
mod consumer_groups;
mod deployment;
mod engine;
mod health;
mod rpcprocessor;
mod serving;
mod tasks;
mod topics;
mod unique;
mod watch;

pub use config::{RedisConfig, RedisStartError};
pub use consumer_groups::{ConsumerGroups, ConsumerGroupsCounters, ConsumerGroupsOptions};
pub use deployment::{
    Deployment, Failure, Features, Fsync, Persistence, RedisUrl, RedisUrlError, Refusal,
    ServerKind, Version, multiplexer_options,
};
pub use engine::RedisEngine;
pub use redis;
pub use rpcprocessor::{
    ListRpc, ListRpcError, MethodTaken, QueueMode, RpcProcessor, RpcProcessorCounters,
    RpcProcessorOptions,
};
