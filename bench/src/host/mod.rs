//! The machine: its description, the server's process, and the kernel's counters.

mod machine;
mod meter;
mod process;
mod server;
mod store;

pub use machine::Machine;
pub(crate) use meter::{Meter, Usage, resident_bytes};
pub(crate) use process::Process;
#[cfg(test)]
pub(crate) use process::free_address;
#[cfg(feature = "peers")]
pub(crate) use process::free_addresses;
pub(crate) use server::{Launcher, Server};
pub(crate) use store::StoreUse;

use rustix::process::{Resource, getrlimit, setrlimit};

/// Allows as many open files as the system lets us, for this process and the servers it starts:
/// the usual 1,024 are too few for the connections of the memory workload.
pub(crate) fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If that is refused, opening the connections will say so.
    let _ = setrlimit(Resource::Nofile, limit);
}
