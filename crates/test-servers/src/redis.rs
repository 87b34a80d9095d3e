//! Redis, or what speaks like it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::{Process, Reply, ask, ports, program, wait_until};

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

    /// The same with further options, as on its command line: `["--appendonly", "yes"]`. `None`, too, if one of
    /// them is about TLS and the server was built without.
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
        match server.try_restart() {
            Ok(()) => Some(server),
            Err(error) if says_no_tls(&error) => {
                eprintln!("skipped: {} has no TLS", server.program.display());
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Whether it lacks an option of its configuration, as older versions do; then it says on stderr that the test is
    /// skipped.
    ///
    /// # Panics
    ///
    /// If it doesn't answer.
    #[must_use]
    pub fn lacks(&self, option: &str) -> bool {
        self.has_not(option, &["CONFIG", "GET", option])
    }

    /// The same of a command.
    ///
    /// # Panics
    ///
    /// If it doesn't answer.
    #[must_use]
    pub fn lacks_command(&self, command: &str) -> bool {
        self.has_not(command, &["COMMAND", "INFO", command])
    }

    fn has_not(&self, what: &str, question: &[&str]) -> bool {
        let told = ask(self.address(), question);
        let told = told.unwrap_or_else(|error| panic!("{error}; {}", self.log_tail()));
        let lacks = told.parts().iter().all(|part| *part == Reply::Nil);
        if lacks {
            eprintln!("skipped: {} has no {what}", self.program.display());
        }
        lacks
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
        self.try_restart().unwrap_or_else(|error| panic!("{error}"));
    }

    fn try_restart(&mut self) -> Result<(), String> {
        self.kill();
        let address = self.address();
        let mut command = Command::new(&self.program);
        command
            .current_dir(self.directory.path())
            .args(["--bind", "127.0.0.1", "--save", ""])
            .args(debug_command(&self.program))
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
            Ok(Ok(())) => Ok(()),
            Ok(Err(status)) => Err(format!("Redis ended with {status}; {}", process.log_tail())),
            Err(error) => Err(format!("{error}; {}", process.log_tail())),
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

/// What it says of the option `tls-port` if it was built without TLS: Valkey, then Redis.
fn says_no_tls(told: &str) -> bool {
    let ended = told.contains("ended with");
    ended && (told.contains("Failed finding TLS support") || told.contains("'tls-port"))
}

/// From version 7 on `DEBUG` has to be allowed; older ones know no option for that.
fn debug_command(program: &Path) -> &'static [&'static str] {
    let told = Command::new(program).arg("--version").output();
    let told = told.unwrap_or_else(|error| panic!("can't run {}: {error}", program.display()));
    match is_before_7(&String::from_utf8_lossy(&told.stdout)) {
        true => &[],
        false => &["--enable-debug-command", "yes"],
    }
}

/// `Redis server v=6.2.14 sha=…`
fn is_before_7(told: &str) -> bool {
    let version = told.split_once(" v=").map(|(_, version)| version);
    let major = version.and_then(|version| version.split('.').next()?.parse().ok());
    major.is_some_and(|major: u32| major < 7)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        for (told, before) in [
            (
                "Redis server v=6.2.14 sha=40305114:0 malloc=libc bits=64",
                true,
            ),
            (
                "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0",
                false,
            ),
            ("Valkey server v=9.1.2 sha=00000000:1 malloc=libc", false),
            ("Redis server v=10.0.0", false),
            ("something else", false),
        ] {
            assert_eq!(is_before_7(told), before, "{told}");
        }
    }
}
