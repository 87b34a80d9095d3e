//! The script that is a topic: what it can be asked is in [`ops`].

#[expect(dead_code, reason = "the engine that asks is still to come")]
mod ops;
