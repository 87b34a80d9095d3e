//! The journal, from outside: crashes, damage, failing disks, and ordinary days.

// Helpers of tests are tests, too.
#![allow(clippy::unwrap_used)]

mod crash;
mod damage;
mod failure;
mod garbage;
mod log;
mod long_log;
mod offline;
mod real;
mod roundtrip;
mod salvage;
mod scan;
mod snapshot;
