//! How Redis is started for a comparison.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::Connection;

/// What a write means that Redis has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It is in memory.
    Memory,
    /// It is in a file that is synced every second.
    EverySecond,
    /// It is in a file that was synced before the answer.
    Always,
}

impl Durability {
    /// As the options of Redis say it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Durability::Memory => "appendonly no",
            Durability::EverySecond => "appendonly yes, appendfsync everysec",
            Durability::Always => "appendonly yes, appendfsync always",
        }
    }
}

/// Redis with all its data in `data`, which must exist. Snapshots and rewrites of the append-only
/// file are off, so that nothing but the load takes its time.
#[must_use]
pub fn command(binary: &Path, address: SocketAddr, data: &Path, durability: Durability) -> Command {
    let options: &[&str] = match durability {
        Durability::Memory => &["--appendonly", "no"],
        Durability::EverySecond => &["--appendonly", "yes", "--appendfsync", "everysec"],
        Durability::Always => &["--appendonly", "yes", "--appendfsync", "always"],
    };
    let mut command = Command::new(binary);
    command
        .args(["--bind", &address.ip().to_string()])
        .args(["--port", &address.port().to_string()])
        .arg("--dir")
        .arg(data)
        .args(options)
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
