//! How NATS is started for a comparison.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::Connection;

/// What an answered request means, and a confirmed publish to a stream.
pub const DURABILITY: &str = "none for requests; streams confirm before they flush, every 2 min";

/// NATS with its default limits; with JetStream, which keeps its files in `data`, if `streams`.
#[must_use]
pub fn command(binary: &Path, address: SocketAddr, data: &Path, streams: bool) -> Command {
    let mut command = Command::new(binary);
    command
        .args(["--addr", &address.ip().to_string()])
        .args(["--port", &address.port().to_string()]);
    if streams {
        command.arg("--jetstream").arg("--store_dir").arg(data);
    }
    command
}

/// Whether a server at `address` serves.
#[must_use]
pub fn is_ready(address: SocketAddr) -> bool {
    Connection::open(address).is_ok()
}
