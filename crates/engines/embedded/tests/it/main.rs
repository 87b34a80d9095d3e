//! The embedded engine from outside: the conformance suite, what a crash leaves, what
//! failing disks do, and what leaves when.

#![allow(
    clippy::unwrap_used,
    reason = "clippy takes only the test functions themselves for tests, not their helpers"
)]

mod backup;
mod bursts;
mod checkpoint;
mod compaction;
mod compaction_threads;
mod conformance;
mod crash;
mod crash_dead;
mod crash_interval;
mod crash_keyed;
mod dead_letters;
mod disk_trouble;
mod leading;
mod release;
mod store;
mod support;
mod threads;
