//! RabbitMQ with its STOMP plugins.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use tempfile::TempDir;

use crate::{Process, ports, program, wait_until};

/// The variable that names the script `rabbitmq-server` of the broker itself. The one that packages put into the path
/// starts the machine's service instead.
const VARIABLE: &str = "TRUNKLINE_TEST_RABBITMQ";

/// A start takes a few seconds; on a machine that compiles at the same time, many.
const START_MAX: Duration = Duration::from_secs(120);
/// For one try to log in.
const TRY_MAX: Duration = Duration::from_secs(5);

/// The epmd comes first, in the foreground: the one that Erlang starts by itself leaves our process group.
const START: &str = r#"epmd -port "$ERL_EPMD_PORT" & exec "$0""#;

/// One scheduler that sleeps when it has nothing to do, and nothing that listens beyond this machine.
const ERLANG: &str = "-noinput +S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none \
     -kernel inet_dist_use_interface {127,0,0,1}";

/// A broker of its own: data, configuration, name, epmd and ports. The user is `guest` with the passcode `guest`.
#[derive(Debug)]
pub struct RabbitMq {
    process: Option<Process>,
    script: PathBuf,
    directory: TempDir,
    ports: Ports,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    stomp: u16,
    web_stomp: u16,
    amqp: u16,
    distribution: u16,
    epmd: u16,
}

impl RabbitMq {
    /// Starts a broker and waits until it accepts a login over STOMP: some seconds. `None`, after saying so, if `cargo xtask
    /// test` didn't name one. Tests that don't stop it use [`RabbitMq::shared`].
    ///
    /// # Panics
    ///
    /// If it doesn't get ready, with the end of its log.
    #[must_use]
    pub fn start() -> Option<RabbitMq> {
        let script = program(VARIABLE)?;
        let [stomp, web_stomp, amqp, distribution, epmd] = ports();
        let mut server = RabbitMq {
            process: None,
            script,
            directory: TempDir::new().unwrap_or_else(|error| panic!("no directory: {error}")),
            ports: Ports {
                stomp,
                web_stomp,
                amqp,
                distribution,
                epmd,
            },
        };
        server.configure();
        server.restart();
        Some(server)
    }

    /// The broker that all tests of this process use together, started by the first that asks. It ends with the process. Use
    /// destinations that no other test uses.
    ///
    /// # Panics
    ///
    /// Like [`RabbitMq::start`].
    #[must_use]
    pub fn shared() -> Option<&'static RabbitMq> {
        static SHARED: LazyLock<Option<RabbitMq>> = LazyLock::new(RabbitMq::start);
        SHARED.as_ref()
    }

    /// Where it listens for STOMP.
    #[must_use]
    pub fn stomp(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports.stomp))
    }

    /// Where it listens for STOMP over WebSocket, as `ws://…`. It writes binary frames, since it would write text frames
    /// with bytes that are none otherwise.
    #[must_use]
    pub fn web_stomp(&self) -> String {
        format!("ws://127.0.0.1:{}/ws", self.ports.web_stomp)
    }

    /// Kills it as `kill -9` does. What it has stored stays.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again with what it has stored, on the same ports; kills it before if it runs.
    ///
    /// # Panics
    ///
    /// If it doesn't get ready, with the end of its log.
    pub fn restart(&mut self) {
        self.kill();
        let process = self.process.insert(Process::start(
            &mut command(&self.script, self.directory.path(), self.ports),
            self.directory.path(),
            &self.directory.path().join("server.log"),
        ));
        let address = SocketAddr::from(([127, 0, 0, 1], self.ports.stomp));
        let ready = wait_until("RabbitMQ", START_MAX, || match process.ended() {
            Some(status) => Ok(Err(status)),
            None => log_in(address).map(Ok),
        });
        match ready {
            Ok(Ok(())) => {}
            Ok(Err(status)) => panic!("RabbitMQ ended with {status}; {}", process.log_tail()),
            Err(error) => panic!("{error}; {}", process.log_tail()),
        }
    }

    /// Stops it in the middle of what it does: its connections stay open and silent.
    pub fn pause(&self) {
        self.process.iter().for_each(Process::pause);
    }

    /// Lets it go on after [`RabbitMq::pause`].
    pub fn resume(&self) {
        self.process.iter().for_each(Process::resume);
    }

    /// The end of its log, for the text of a failure.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let process = self.process.as_ref();
        process.map_or_else(|| "it doesn't run".to_owned(), Process::log_tail)
    }

    fn configure(&self) {
        let Ports {
            stomp,
            web_stomp,
            amqp,
            ..
        } = self.ports;
        let write = |name: &str, text: &str| {
            let file = self.directory.path().join(name);
            fs::write(&file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        };
        write("environment", "");
        write("plugins", "[rabbitmq_stomp,rabbitmq_web_stomp].\n");
        write(
            "rabbitmq.conf",
            &format!(
                "listeners.tcp.1 = 127.0.0.1:{amqp}\n\
                 stomp.listeners.tcp.1 = 127.0.0.1:{stomp}\n\
                 web_stomp.tcp.ip = 127.0.0.1\n\
                 web_stomp.tcp.port = {web_stomp}\n\
                 web_stomp.ws_frame = binary\n\
                 log.console = true\n\
                 log.file = false\n"
            ),
        );
    }
}

/// The environment is ours alone, so that no variable of the machine's points to another broker.
fn command(script: &Path, directory: &Path, ports: Ports) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", START])
        .arg(script)
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", directory)
        .env(
            "RABBITMQ_NODENAME",
            format!("test-{}@localhost", ports.amqp),
        )
        .env("RABBITMQ_CONF_ENV_FILE", directory.join("environment"))
        .env("RABBITMQ_CONFIG_FILE", directory.join("rabbitmq.conf"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", directory.join("plugins"))
        .env("RABBITMQ_MNESIA_BASE", directory.join("data"))
        .env("RABBITMQ_LOG_BASE", directory.join("log"))
        // So that the script becomes the broker instead of a shell that waits for it.
        .env("RABBITMQ_ALLOW_INPUT", "true")
        .env("RABBITMQ_DIST_PORT", ports.distribution.to_string())
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", ERLANG)
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("ERL_EPMD_PORT", ports.epmd.to_string());
    command
}

/// One login over STOMP.
fn log_in(address: SocketAddr) -> Result<(), String> {
    let exchange = || {
        let mut stream = TcpStream::connect_timeout(&address, TRY_MAX)?;
        stream.set_read_timeout(Some(TRY_MAX))?;
        stream
            .write_all(b"CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\n\n\0")?;
        let mut answer = Vec::new();
        let mut byte = [0];
        while stream.read(&mut byte)? == 1 && byte != [0] {
            answer.push(byte[0]);
        }
        Ok(answer)
    };
    let answer = exchange().map_err(|error: std::io::Error| format!("{address}: {error}"))?;
    if answer.starts_with(b"CONNECTED\n") {
        Ok(())
    } else {
        let answer = String::from_utf8_lossy(&answer);
        Err(format!("{address} answered {answer:?}"))
    }
}
