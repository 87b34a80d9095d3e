//! How RabbitMQ is started for a comparison.

use std::env;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

/// What a confirmed SEND means with the headers of [`QUORUM`].
pub const DURABILITY: &str = "quorum queue of one node, written and synced before the receipt";

/// Headers of CONNECT: the user that a fresh server has.
pub const CONNECT: &str = "login:guest\npasscode:guest\n";

/// Headers of a SEND or SUBSCRIBE that make its queue a quorum queue, and a message durable.
pub const QUORUM: &str = "persistent:true\ndurable:true\nauto-delete:false\nx-queue-type:quorum\n";

/// As Erlang writes it.
const LOOPBACK: &str = "{127,0,0,1}";

/// Where a server listens, all on the same loopback address.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// For STOMP.
    pub stomp: SocketAddr,
    /// Between Erlang's nodes: nobody connects there, but it can't be turned off.
    pub nodes: SocketAddr,
    /// Of the daemon that knows the nodes of this machine: see [`daemon`].
    pub daemon: SocketAddr,
}

/// RabbitMQ with the STOMP plugin and no other, all its files in `data`, which must exist. It reads
/// no configuration of the machine and no environment but the `PATH`. `binary` is the script that starts the server itself
/// (`/usr/lib/rabbitmq/bin/rabbitmq-server`), not one that changes the user first.
#[must_use]
pub fn command(binary: &Path, ports: Ports, data: &Path) -> Command {
    let (ip, port) = (ports.stomp.ip(), ports.stomp.port());
    let arguments = format!(
        "-kernel inet_dist_use_interface {LOOPBACK} \
         -rabbit tcp_listeners [] -rabbitmq_stomp tcp_listeners [{{\"{ip}\",{port}}}]"
    );
    let mut command = Command::new(binary);
    command
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        // The process that we start becomes the server itself, and ends with its signal.
        .env("RABBITMQ_ALLOW_INPUT", "1")
        .args(["-noinput", "-start_epmd", "false"])
        .env("HOME", data)
        .env("RABBITMQ_NODENAME", format!("bench-{port}@localhost"))
        .env("RABBITMQ_ENABLED_PLUGINS", "rabbitmq_stomp")
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", arguments)
        .env("RABBITMQ_LOGS", "-")
        .env("RABBITMQ_DIST_PORT", ports.nodes.port().to_string())
        .env("ERL_EPMD_ADDRESS", ports.daemon.ip().to_string())
        .env("ERL_EPMD_PORT", ports.daemon.port().to_string());
    for (variable, place) in [
        ("RABBITMQ_MNESIA_BASE", "data"),
        ("RABBITMQ_LOG_BASE", "logs"),
        ("RABBITMQ_GENERATED_CONFIG_DIR", "generated"),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", "enabled_plugins"),
        // These don't exist: those of the machine are not to be read.
        ("RABBITMQ_CONF_ENV_FILE", "rabbitmq-env.conf"),
        ("RABBITMQ_CONFIG_FILE", "rabbitmq.conf"),
        ("RABBITMQ_ADVANCED_CONFIG_FILE", "advanced.config"),
    ] {
        command.env(variable, data.join(place));
    }
    command
}

/// Erlang's daemon of names, without which no node starts. A node would start one that stays when
/// the node ends; this one is ours to end.
#[must_use]
pub fn daemon(ports: Ports) -> Command {
    let mut command = Command::new("epmd");
    command
        .args(["-address", &ports.daemon.ip().to_string()])
        .args(["-port", &ports.daemon.port().to_string()]);
    command
}

/// Whether the [`daemon`] serves.
#[must_use]
pub fn daemon_is_ready(ports: Ports) -> bool {
    TcpStream::connect(ports.daemon).is_ok()
}
