//! Numbers that differ from run to run. Nothing secret is made of them.

use std::hash::{BuildHasher, RandomState};

/// A uniformly distributed number, from the keys that the standard library seeds its hash
/// maps with.
pub(crate) fn number() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// A name that no other run has.
pub(crate) fn name() -> String {
    format!("{:016x}{:016x}", number(), number())
}
