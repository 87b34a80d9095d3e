//! A server's process, from the first instruction to the last.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
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

/// A running server with a directory of its own; stopped and its data removed when dropped.
pub(crate) struct Process {
    child: Child,
    /// How it was started.
    command: Command,
    directory: TempDir,
    ready_after: Duration,
}

impl Process {
    /// Makes a directory in `data_root`, starts in it what `command` says of it, and waits for
    /// `is_ready`.
    pub(crate) fn start(
        data_root: &Path,
        command: impl FnOnce(&Path) -> Command,
        is_ready: impl Fn() -> bool,
    ) -> Result<Process> {
        let directory = tempfile::Builder::new()
            .prefix("server-")
            .tempdir_in(data_root)
            .with_context(|| format!("a directory in {}", data_root.display()))?;
        let log = File::create(directory.path().join("log"))?;
        let mut command = command(directory.path());
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let started = Instant::now();
        let child = spawn(&mut command)?;
        let mut process = Process {
            child,
            command,
            directory,
            ready_after: Duration::ZERO,
        };
        process.wait_until_ready(started, is_ready)?;
        Ok(process)
    }

    /// Stops it as an operator would, starts it again with the data it has, and waits for
    /// `is_ready`.
    pub(crate) fn restart(&mut self, is_ready: impl Fn() -> bool) -> Result<()> {
        self.stop().context("stopping the server")?;
        let started = Instant::now();
        self.child = spawn(&mut self.command)?;
        self.wait_until_ready(started, is_ready)
    }

    /// Ends it as `kill -9` does.
    #[cfg(feature = "redis")]
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn wait_until_ready(&mut self, started: Instant, is_ready: impl Fn() -> bool) -> Result<()> {
        while !is_ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended at once ({status}):\n{}", self.log_tail());
            }
            if started.elapsed() > READY_MAX {
                bail!("the server never became ready:\n{}", self.log_tail());
            }
            thread::sleep(POLL);
        }
        self.ready_after = started.elapsed();
        Ok(())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// From the last start of the process until it was ready.
    pub(crate) fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// The end of what the server wrote to its log.
    fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }

    /// `outcome`, with the end of the log if it is an error.
    pub(crate) fn explain<T>(&self, outcome: Result<T>) -> Result<T> {
        outcome.map_err(|error| anyhow!("{error:#}; the server's log ends:\n{}", self.log_tail()))
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

fn spawn(command: &mut Command) -> Result<Child> {
    let child = command.spawn();
    child.with_context(|| format!("starting {}", command.get_program().display()))
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing can be done about a process that can't be stopped; its data is removed anyway.
        let _ = self.stop();
    }
}

/// A port that was free a moment ago. Another program may take it first; the server then says so.
#[cfg(test)]
pub(crate) fn free_address() -> Result<SocketAddr> {
    let [address] = free_addresses()?;
    Ok(address)
}

/// As many ports, each another one.
pub(crate) fn free_addresses<const COUNT: usize>() -> Result<[SocketAddr; COUNT]> {
    let mut addresses = [SocketAddr::from(([127, 0, 0, 1], 0)); COUNT];
    // All are held until the last one is known.
    let mut held = Vec::with_capacity(COUNT);
    for address in &mut addresses {
        let listener = TcpListener::bind(*address)?;
        *address = listener.local_addr()?;
        held.push(listener);
    }
    Ok(addresses)
}
