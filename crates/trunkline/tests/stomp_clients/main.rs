//! STOMP clients of others, unmodified, against the real program: stomp.py, stompit and `@stomp/stompjs` (over
//! WebSocket), Net::Stomp and Ruby's stomp, each in the three versions. Killed servers and silent ones are part of it.
//!
//! The scripts that use them are in the folders beside this file. They also run against RabbitMQ, so that they ask for
//! nothing that only we do, apart from what they say there.
//!
//! `cargo xtask test` finds the languages and installs the clients. Without it these tests say so and pass, unless
//! `CI` or `TRUNKLINE_TEST_REQUIRED` is set.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is wrong"
)]

mod script;
mod server;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use trunkline_test_servers::{RabbitMq, program};

use crate::script::run;
use crate::server::Trunkline;

const VERSIONS: [&str; 3] = ["1.0", "1.1", "1.2"];

/// A script that uses a client.
#[derive(Clone, Copy)]
struct Client {
    /// The variable that names its interpreter.
    interpreter: &'static str,
    script: &'static str,
    wire: Wire,
}

#[derive(Clone, Copy)]
enum Wire {
    Tcp,
    WebSocket,
}

const STOMP_PY: Client = Client {
    interpreter: "TRUNKLINE_TEST_PYTHON",
    script: "python/stomp_py.py",
    wire: Wire::Tcp,
};
const STOMPJS: Client = Client {
    interpreter: "TRUNKLINE_TEST_NODE",
    script: "node/stompjs.js",
    wire: Wire::WebSocket,
};
const STOMPIT: Client = Client {
    interpreter: "TRUNKLINE_TEST_NODE",
    script: "node/stompit.js",
    wire: Wire::Tcp,
};
const NET_STOMP: Client = Client {
    interpreter: "TRUNKLINE_TEST_PERL",
    script: "perl/net_stomp.pl",
    wire: Wire::Tcp,
};
const RUBY_STOMP: Client = Client {
    interpreter: "TRUNKLINE_TEST_RUBY",
    script: "ruby/stomp_gem.rb",
    wire: Wire::Tcp,
};

impl Client {
    /// In each version, with a server of its own that the script may ask to be killed.
    fn against_trunkline(self) {
        let Some(interpreter) = program(self.interpreter) else {
            return;
        };
        for version in VERSIONS {
            let mut server = Trunkline::start();
            let mut command = self.command(&interpreter, server.stomp(), &server.web_stomp());
            run(command.arg(version), &mut server);
        }
    }

    /// In each version, with the broker that all these tests share.
    fn against_rabbitmq(self) {
        let (Some(interpreter), Some(server)) = (program(self.interpreter), RabbitMq::shared())
        else {
            return;
        };
        for version in VERSIONS {
            let mut command = self.command(&interpreter, server.stomp(), &server.web_stomp());
            run(command.args([version, "rabbitmq"]), &mut { server });
        }
    }

    fn command(self, interpreter: &Path, stomp: SocketAddr, web_stomp: &str) -> Command {
        let scripts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/stomp_clients");
        let mut command = Command::new(interpreter);
        command
            .arg(scripts.join(self.script))
            // A proxy that the machine uses for the web is none for its own loopback.
            .env("NO_PROXY", "127.0.0.1")
            .env("PYTHONDONTWRITEBYTECODE", "1");
        match self.wire {
            Wire::Tcp => {
                command.arg(stomp.ip().to_string());
                command.arg(stomp.port().to_string())
            }
            Wire::WebSocket => command.arg(web_stomp),
        };
        command
    }
}

#[test]
fn stomp_py() {
    STOMP_PY.against_trunkline();
}

#[test]
fn stompjs_over_web_socket() {
    STOMPJS.against_trunkline();
}

#[test]
fn stompit() {
    STOMPIT.against_trunkline();
}

#[test]
fn net_stomp() {
    NET_STOMP.against_trunkline();
}

#[test]
fn ruby_stomp() {
    RUBY_STOMP.against_trunkline();
}

mod with_rabbitmq {
    use super::{NET_STOMP, RUBY_STOMP, STOMP_PY, STOMPIT, STOMPJS};

    #[test]
    fn stomp_py() {
        STOMP_PY.against_rabbitmq();
    }

    #[test]
    fn stompjs_over_web_socket() {
        STOMPJS.against_rabbitmq();
    }

    #[test]
    fn stompit() {
        STOMPIT.against_rabbitmq();
    }

    #[test]
    fn net_stomp() {
        NET_STOMP.against_rabbitmq();
    }

    #[test]
    fn ruby_stomp() {
        RUBY_STOMP.against_rabbitmq();
    }
}
