//! The gateway as its clients meet it: a real listener on a free port, the memory engine below,
//! and what goes over the wire compared as text.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod backup;
mod bad_input;
mod connections;
mod crowd;
mod draining;
mod http;
mod scenarios;
mod script;
mod server;
mod stomp;
