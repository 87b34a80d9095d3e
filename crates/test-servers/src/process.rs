//! A program and everything it starts, ended with its owner.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use crate::wait_until;

/// Waits for the end of its standard input, which comes however the owner ends, and then kills the group and removes the
/// directory. A second line before that lets both be.
const GUARD: &str = r#"
read -r group || exit 0
read -r released && exit 0
kill -s KILL -- "-$group"
for try in 1 2 3 4 5 6 7 8 9; do
    kill -s 0 -- "-$group" || break
    sleep 0.1
done
rm -rf -- "$1"
"#;

/// How long a group may take to die of a kill, which it can't refuse.
const DEATH_MAX: Duration = Duration::from_secs(10);

/// How much of a log a failure shows, in lines.
const TAIL_LINES: usize = 40;

/// A running program, alone in its process group with what it starts. Its output goes to a file. It is killed when this is
/// dropped, which waits until the whole group is dead and its ports are free, and also when the owner's process ends
/// without dropping it: at its exit, or by a kill.
#[derive(Debug)]
pub struct Process {
    child: Child,
    guard: Child,
    orders: ChildStdin,
    log: PathBuf,
}

impl Process {
    /// Starts a program. Its output is appended to `log`. If the owner's process ends first, `directory` is removed
    /// when the program is dead.
    ///
    /// # Panics
    ///
    /// If it can't be started, or the log can't be opened.
    #[must_use]
    pub fn start(command: &mut Command, directory: &Path, log: &Path) -> Process {
        let failed = |what: &Path, error| panic!("{}: {error}", what.display());
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .unwrap_or_else(|error| failed(log, error));
        let errors = output.try_clone();
        let (mut guard, mut orders) = guard(directory);
        let started = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors.unwrap_or_else(|error| failed(log, error)))
            .spawn();
        let child = started.unwrap_or_else(|error| {
            // Without an order it ends by itself; nothing depends on when.
            let _ = guard.kill().and_then(|()| guard.wait());
            panic!("{command:?} can't be started: {error}")
        });
        writeln!(orders, "{}", child.id()).unwrap_or_else(|error| panic!("the guard: {error}"));
        Process {
            child,
            guard,
            orders,
            log: log.to_owned(),
        }
    }

    /// Its process id, which is that of its group.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How the program ended, if it did. What it started may still run.
    ///
    /// # Panics
    ///
    /// If the system doesn't say.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child
            .try_wait()
            .unwrap_or_else(|error| panic!("process {}: {error}", self.id()))
    }

    /// Stops the group in the middle of what it does, as SIGSTOP does: its connections stay open and silent.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a paused group go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// The end of the log, for the text of a failure.
    #[must_use]
    pub fn log_tail(&self) -> String {
        tail(&self.log)
    }

    fn signal(&self, signal: Signal) {
        // It fails if the whole group has ended, which its user finds out by what he does next.
        let _ = kill_process_group(Pid::from_child(&self.child), signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let group = Pid::from_child(&self.child);
        // Nothing better can be done about one that stays than to go on.
        let _ = wait_until("the end of a process group", DEATH_MAX, || {
            let left = format!("{group:?} is alive");
            if alive(group) { Err(left) } else { Ok(()) }
        });
        // The id names the group until our child is collected. Afterwards the guard must not use it.
        let _ = writeln!(self.orders, "released");
        let _ = self.guard.wait();
        let _ = self.child.wait();
    }
}

/// Whether a process of the group still runs. One that only waits to be collected doesn't, and nobody may ever do that.
fn alive(group: Pid) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else {
        return test_kill_process_group(group).is_ok();
    };
    let group = group.as_raw_nonzero().to_string();
    processes.flatten().any(|process| {
        // "PID (NAME) STATE PARENT GROUP …", where the name may hold anything.
        let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        let state = fields.next();
        fields.nth(1) == Some(&group) && state != Some("Z")
    })
}

/// In a group of its own, so that no signal of a terminal ends it before its work is done.
fn guard(directory: &Path) -> (Child, ChildStdin) {
    let mut guard = Command::new("sh")
        .args(["-c", GUARD, "guard"])
        .arg(directory)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("sh can't be started: {error}"));
    let orders = guard.stdin.take().expect("it was piped");
    (guard, orders)
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    let shown = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
    format!("the end of {}:\n{shown}", log.display())
}
