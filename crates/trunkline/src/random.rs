use std::hash::{BuildHasher, RandomState};

/// A number that differs from call to call and from run to run, uniformly distributed: for
/// backoff and names. No secret is to be made of it.
pub fn random_number() -> u64 {
    // The keys of the standard library's hash maps are random.
    RandomState::new().hash_one(std::process::id())
}

/// A name that no other run has.
pub fn unique_name() -> String {
    format!("{:016x}{:016x}", random_number(), random_number())
}
