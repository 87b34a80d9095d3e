//! The wires of the servers that Trunkline is compared with: Redis and NATS, as far as the bench
//! needs them, over blocking sockets with batched writes; and how these and RabbitMQ are started.
//!
//! **Invariant**: knows no workload and no figure, starts no process, shares no code with
//! Trunkline, and is never part of a normal build: only the feature `peers` of `trunkline-bench`
//! asks for it.
//!
//! Start reading at `link.rs`, the socket under both, then at [`redis::Connection`] and
//! [`nats::Connection`]. What is done with them is in `bench/src/peers/`.

mod link;
pub mod nats;
pub mod rabbitmq;
pub mod redis;

pub use link::Closer;
