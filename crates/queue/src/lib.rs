//! The topic state machine: positions, priorities, subscriptions, competing consumers,
//! groups, bounds, deduplication, publish ids, expiry, delays, ack time-outs, retries and dead
//! letters (DESIGN.md §4).
//!
//! A [`Core`] holds all topics of a store. It takes commands and *now* and returns
//! [`Effects`]: records to log, bodies to keep or free, deliveries to make. Replaying the
//! records gives the same state again.
//!
//! **Invariant:** no clock, file, socket, lock or randomness, and no payload: of a message it
//! keeps where its body is, not what it says. Nothing depends on the iteration order of a
//! hash table. After [`Core::check`] says yes, [`Core::apply`] cannot fail.
//!
//! Start reading at [`Core`], then `topic`, `messages` and `subscription` (the state), `publish`,
//! `apply` and `pump` (what happens to it), `lines` (what of a group waits for what), `room` (what
//! goes when something is full), `leaving` and `dead_letter` (how it is given up), `record` (what
//! is remembered of it). [`Core::save`] and [`Core::load`] are the same memory in one piece.

mod admin;
mod alter;
mod apply;
mod attach;
mod blocks;
mod check;
mod checkpoint;
mod consumer;
mod copy;
mod core;
mod dead_letter;
mod delays;
mod effects;
mod groups;
mod heads;
mod held;
mod inspect;
mod keys;
mod lane;
mod leaving;
mod lines;
mod messages;
mod moves;
mod orphans;
mod peek;
mod publish;
mod publish_ids;
mod pump;
mod record;
mod redrive;
mod replay;
mod room;
mod slab;
mod stock;
mod subscribe;
mod subscription;
mod time;
mod topic;
mod traffic;
mod waiting;
mod work;

pub use crate::core::{Core, CoreConfig};
pub use checkpoint::CheckpointError;
pub use copy::Defined;
pub use dead_letter::Departure;
pub use effects::{BodyRef, Cost, Deliver, Effects, LogBuffer, PutHandle};
pub use peek::{Look, PeekPage, Peeked};
pub use record::{
    Attempt, Backlog, Define, Delivered, Dropped, Item, Left, List, Placement, Purged, Put, Reason,
    Record, RecordError, Remember, RememberedId, ReplayError, Returned, Run, Settled, Subscribe,
    SubscriptionCounts, TopicCounts, decode_message,
    kind::{
        ADVANCE as KIND_ADVANCE, DEFINE as KIND_DEFINE, DELIVER as KIND_DELIVER, PUT as KIND_PUT,
        RETURN as KIND_RETURN,
    },
};
