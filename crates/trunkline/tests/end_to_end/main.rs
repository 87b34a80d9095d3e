//! The real binary, end to end: what a user types, what comes out, how it ends.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod backup;
mod bench;
mod calls;
mod channels;
mod configuration;
mod copying;
mod crash;
mod dead_letters;
mod demo;
mod documents;
mod editing;
mod exit_codes;
mod full_disk;
mod holding_back;
mod looking;
mod programs;
mod reconnecting;
mod redis;
mod redis_soak;
mod resume;
mod setup;
mod shell;
mod soak;
mod stomp;
mod stomp_client;
mod stomp_cluster;
mod stomp_torture;
mod stopping;
mod store;
mod topics;
