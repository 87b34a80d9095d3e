//! How Redis is started for a comparison.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::Connection;

/// What a confirmed write means with the options of [`command`].
pub const DURABILITY: &str = "appendonly yes, appendfsync always";

/// Redis with an append-only file that is synced before every answer, all its data in `data`,
/// which must exist. Snapshots and rewrites of the file are off, so that nothing but the load
/// takes its time.
#[must_use]
pub fn command(binary: &Path, address: SocketAddr, data: &Path) -> Command {
    let mut command = Command::new(binary);
    command
        .args(["--bind", &address.ip().to_string()])
        .args(["--port", &address.port().to_string()])
        .arg("--dir")
        .arg(data)
        .args(["--appendonly", "yes", "--appendfsync", "always"])
        .args(["--auto-aof-rewrite-percentage", "0", "--save", ""]);
    command
}

/// Whether a server at `address` serves.
#[must_use]
pub fn is_ready(address: SocketAddr) -> bool {
    Connection::open(address)
        .and_then(|mut connection| connection.ask(&[b"PING"]))
        .is_ok()
}
