//! A disk in memory that fails on demand: it loses power, tears and reorders writes, runs full, and flips bits.
//!
//! [`FaultDisk`] is a [`Disk`](crate::Disk). Every write, sync, allocation and directory change on it is a *boundary*, counted from 1.
//! A crash test runs its workload once to count the boundaries ([`FaultDisk::boundaries`]), and then once more for each of them, on a fresh disk
//! with [`Plan::power_loss_at`]: that operation and all later ones fail and do nothing. [`FaultDisk::survivor`] then gives the disk that the
//! next boot finds: what was synced is there, and of everything else whatever the seed says.
//!
//! | seed | what survives of the unsynced changes |
//! |---|---|
//! | 0 | nothing |
//! | 1 | everything |
//! | others | each file and the directory draw a manner: nothing, everything, the first n changes, or any subset; of a surviving write all, the first sectors, or any sectors (of 512 bytes) |
//!
//! Everything is deterministic: the same workload, plan and seed give the same bytes.

mod disk;
mod rng;
mod survivor;
mod world;

pub use disk::{FaultDisk, Plan};
