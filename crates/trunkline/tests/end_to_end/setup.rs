//! A server of one's own for every test: its own directory, its own port, gone at the end.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    thread,
};
use tempfile::TempDir;

/// The program under test, without what the surroundings may have set, and with any free port for
/// STOMP.
pub(crate) fn trunkline(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
    command
        .args(args)
        .env_remove("TRUNKLINE_URL")
        .env_remove("TRUNKLINE_TOKEN")
        .env("TRUNKLINE_STOMP__LISTEN", "127.0.0.1:0");
    command
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// What it printed, if it ended well.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// The JSON objects that it printed.
    #[track_caller]
    pub(crate) fn objects(self) -> Vec<Value> {
        let out = self.ok();
        out.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// It ended with this code and said this.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, says: &str) {
        assert!(
            self.code == Some(code) && self.err.contains(says),
            "{code}, {says:?}: {self:?}"
        );
    }
}

/// Runs a command to its end.
pub(crate) fn run(mut command: Command, stdin: &[u8]) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut input, stdin) = (child.stdin.take().unwrap(), stdin.to_vec());
    // A command need not read what it is given.
    let feed = thread::spawn(move || drop(input.write_all(&stdin)));
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A process that is killed if it is still there when its owner is gone.
pub(crate) struct Running {
    child: Child,
    pub(crate) stdout: BufReader<ChildStdout>,
    pub(crate) stderr: BufReader<ChildStderr>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null());
        Self::of(command)
    }

    /// One that reads what is written, too.
    pub(crate) fn piped(mut command: Command) -> (Self, ChildStdin) {
        command.stdin(Stdio::piped());
        let mut process = Self::of(command);
        let stdin = process.child.stdin.take().unwrap();
        (process, stdin)
    }

    fn of(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            stdout,
            stderr,
        }
    }

    /// Waits for a line on stderr that contains `text`.
    #[track_caller]
    pub(crate) fn says(&mut self, text: &str) {
        let mut said = String::new();
        while !said.lines().last().is_some_and(|line| line.contains(text)) {
            let read = self.stderr.read_line(&mut said).unwrap();
            assert_ne!(read, 0, "never said {text:?}: {said}");
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Whether it is over.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Everything that is still to come on stdout, and how it ended.
    pub(crate) fn finish(&mut self) -> (String, ExitStatus) {
        let mut out = String::new();
        self.stdout.read_to_string(&mut out).unwrap();
        (out, self.wait())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Either may fail because it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that is ready.
pub(crate) struct Server {
    pub(crate) process: Running,
    pub(crate) ready: Value,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::of(trunkline(&[&["--json", "serve"], args].concat()))
    }

    /// What `command` runs is `trunkline --json serve`.
    pub(crate) fn of(command: Command) -> Self {
        Self::try_of(command).unwrap()
    }

    /// The same; what it said, if it ended instead.
    pub(crate) fn try_of(command: Command) -> Result<Self, String> {
        let mut process = Running::start(command);
        let mut line = String::new();
        process.stdout.read_line(&mut line).unwrap();
        if line.is_empty() {
            let mut said = String::new();
            process.stderr.read_to_string(&mut said).unwrap();
            return Err(format!("no server: {said}"));
        }
        let ready: Value = serde_json::from_str(&line).unwrap();
        let url = ready["url"].as_str().unwrap().to_owned();
        Ok(Self {
            process,
            ready,
            url,
        })
    }

    /// Runs a command against it.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.feed(args, b"")
    }

    /// Runs a command against it, with something on its stdin.
    pub(crate) fn feed(&self, args: &[&str], stdin: &[u8]) -> Ran {
        run(self.command(args), stdin)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = trunkline(&["--url", &self.url]);
        command.args(args);
        command
    }

    /// SIGKILL: no chance to tidy up.
    pub(crate) fn kill(mut self) {
        self.process.signal(Signal::KILL);
        self.process.wait();
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.process.signal(Signal::TERM);
        self.process.wait()
    }

    pub(crate) fn address(&self) -> &str {
        self.ready["http"].as_str().unwrap()
    }

    pub(crate) fn stomp_address(&self) -> &str {
        self.ready["stomp"].as_str().unwrap()
    }
}

/// A place for a durable store, and servers on it.
pub(crate) struct Store {
    dir: TempDir,
}

impl Store {
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn serve(&self) -> Server {
        self.serve_at("127.0.0.1:0")
    }

    pub(crate) fn serve_at(&self, address: &str) -> Server {
        Server::start(&["--http", address, "--data", text(&self.path())])
    }

    /// Leaves the store where it is, for whoever looks for what went wrong; where that is.
    pub(crate) fn keep(&mut self) -> PathBuf {
        self.dir.disable_cleanup(true);
        self.path()
    }

    /// A file beside the store.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A place for a durable store.
pub(crate) fn store() -> Store {
    Store {
        dir: TempDir::new().unwrap(),
    }
}

/// A server that keeps nothing.
pub(crate) fn setup() -> Server {
    Server::start(&["--http", "127.0.0.1:0", "--engine", "memory:"])
}

/// The numbers from 1, one a line, as `seq` prints them.
pub(crate) fn seq(last: u64) -> String {
    (1..=last).map(|number| format!("{number}\n")).collect()
}
