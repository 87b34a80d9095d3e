//! Redis, or what speaks like it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::{Process, ports, program, wait_until};

/// The variable that names the program `redis-server`.
pub(crate) const VARIABLE: &str = "TRUNKLINE_TEST_REDIS";

const START_MAX: Duration = Duration::from_secs(60);
/// For one try to get an answer.
const TRY_MAX: Duration = Duration::from_secs(5);

/// A Redis of its own: data, configuration and port. It listens on 127.0.0.1 alone and keeps nothing on disk, unless
/// told otherwise.
#[derive(Debug)]
pub struct Redis {
    process: Option<Process>,
    program: PathBuf,
    directory: TempDir,
    port: u16,
    options: Vec<String>,
}

impl Redis {
    /// Starts a server and waits until it answers. `None`, after saying so, if `cargo xtask test` didn't name one.
    ///
    /// # Panics
    ///
    /// If it doesn't get ready, with the end of its log.
    #[must_use]
    pub fn start() -> Option<Redis> {
        Redis::start_with(&[])
    }

    /// The same with further options, as on its command line: `["--appendonly", "yes"]`.
    ///
    /// # Panics
    ///
    /// If it doesn't get ready, with the end of its log.
    #[must_use]
    pub fn start_with(options: &[&str]) -> Option<Redis> {
        let program = program(VARIABLE)?;
        let [port] = ports();
        let mut server = Redis {
            process: None,
            program,
            directory: TempDir::new().unwrap_or_else(|error| panic!("no directory: {error}")),
            port,
            options: options.iter().map(|&option| option.to_owned()).collect(),
        };
        server.restart();
        Some(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The same as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}/", self.address())
    }

    /// Where its Unix socket is.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("redis.sock")
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Kills it as `kill -9` does. What it has stored stays.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again with what it has stored, on the same port; kills it before if it runs.
    ///
    /// # Panics
    ///
    /// If it doesn't get ready, with the end of its log.
    pub fn restart(&mut self) {
        self.kill();
        let address = self.address();
        let mut command = Command::new(&self.program);
        command
            .current_dir(self.directory.path())
            .args(["--bind", "127.0.0.1", "--save", ""])
            .args(["--enable-debug-command", "yes"])
            .args(["--unixsocket", "redis.sock"])
            .args(["--port", &self.port.to_string()])
            .args(&self.options);
        let log = self.directory.path().join("server.log");
        let started = Process::start(&mut command, self.directory.path(), &log);
        let process = self.process.insert(started);
        let ready = wait_until("Redis", START_MAX, || match process.ended() {
            Some(status) => Ok(Err(status)),
            None => ping(address).map(Ok),
        });
        match ready {
            Ok(Ok(())) => {}
            Ok(Err(status)) => panic!("Redis ended with {status}; {}", process.log_tail()),
            Err(error) => panic!("{error}; {}", process.log_tail()),
        }
    }

    /// Stops it in the middle of what it does: its connections stay open and silent.
    pub fn pause(&self) {
        self.process.iter().for_each(Process::pause);
    }

    /// Lets it go on after [`Redis::pause`].
    pub fn resume(&self) {
        self.process.iter().for_each(Process::resume);
    }

    /// Whether it was killed and not started again.
    #[must_use]
    pub const fn is_dead(&self) -> bool {
        self.process.is_none()
    }

    /// The end of its log, for the text of a failure.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let process = self.process.as_ref();
        process.map_or_else(|| "it doesn't run".to_owned(), Process::log_tail)
    }
}

/// Any answer will do that says that the server has loaded what it has: also that a password is needed.
fn ping(address: SocketAddr) -> Result<(), String> {
    let exchange = || {
        let mut stream = TcpStream::connect_timeout(&address, TRY_MAX)?;
        stream.set_read_timeout(Some(TRY_MAX))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 64];
        let read = stream.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
    };
    let answer = exchange().map_err(|error: std::io::Error| format!("{address}: {error}"))?;
    if answer.starts_with("+PONG") || answer.starts_with("-NOAUTH") {
        Ok(())
    } else {
        Err(format!("{address} answered {answer:?}"))
    }
}
