//! Starting and stopping the server that is measured.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A server that isn't ready by then won't be.
const READY_MAX: Duration = Duration::from_secs(60);

/// A server drains within ten seconds of SIGTERM; some more for a busy machine.
const STOP_MAX: Duration = Duration::from_secs(20);

/// How often a starting server is asked. Small beside what is measured, large beside a question.
const POLL: Duration = Duration::from_micros(250);

/// Lines of the server's log that an error shows.
const LOG_LINES_SHOWN: usize = 20;

/// Starts servers, each with an empty data directory of its own.
pub(crate) struct Launcher {
    binary: PathBuf,
    data_root: PathBuf,
}

/// A running server; stopped and its data removed when dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    directory: TempDir,
    ready_after: Duration,
}

impl Launcher {
    /// `data_root` is where the data directories are made.
    pub(crate) fn new(binary: PathBuf, data_root: PathBuf) -> Launcher {
        Launcher { binary, data_root }
    }

    /// Starts a server on a free port and waits until it is ready.
    pub(crate) fn start(&self) -> Result<Server> {
        let directory = tempfile::Builder::new()
            .prefix("server-")
            .tempdir_in(&self.data_root)
            .with_context(|| format!("a directory in {}", self.data_root.display()))?;
        let address = free_address()?;
        let log = File::create(directory.path().join("log"))?;
        let started = Instant::now();
        let child = Command::new(&self.binary)
            .args(["serve", "--http", &address.to_string(), "--data"])
            .arg(directory.path().join("data"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {}", self.binary.display()))?;
        let mut server = Server {
            child,
            address,
            directory,
            ready_after: Duration::ZERO,
        };
        while !is_ready(address) {
            if let Some(status) = server.child.try_wait()? {
                bail!(
                    "the server ended at once ({status}):\n{}",
                    server.log_tail()
                );
            }
            if started.elapsed() > READY_MAX {
                bail!("the server never became ready:\n{}", server.log_tail());
            }
            thread::sleep(POLL);
        }
        server.ready_after = started.elapsed();
        Ok(server)
    }
}

impl Server {
    pub(crate) fn url(&self) -> String {
        format!("ws://{}/rpc", self.address)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn data(&self) -> &Path {
        self.directory.path()
    }

    /// From the start of the process to the first `200` of `/readyz`.
    pub(crate) fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// The end of what the server wrote to its log.
    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }

    fn stop(&mut self) -> io::Result<()> {
        let pid = Pid::from_child(&self.child);
        if self.child.try_wait()?.is_none() {
            kill_process(pid, Signal::TERM)?;
        }
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() {
            if asked.elapsed() > STOP_MAX {
                self.child.kill()?;
                self.child.wait()?;
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing can be done about a process that can't be stopped; its data is removed anyway.
        let _ = self.stop();
    }
}

/// A port that was free a moment ago. Another program may take it first; the server then says so.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn is_ready(address: SocketAddr) -> bool {
    ask_ready(address).unwrap_or(false)
}

fn ask_ready(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    write!(
        stream,
        "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(status.ends_with(b" 200"))
}
