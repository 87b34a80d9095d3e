//! Running a script: its orders are obeyed, its time is limited, and its output is shown if it fails.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::server::Server;

/// For a whole script: most take a few seconds, and ten where heart-beats are awaited.
const SCRIPT_MAX: Duration = Duration::from_secs(240);

/// What begins the line of a script that wants something done to the server.
const ORDER: &str = "> ";

/// Ends with the test, also if that panics.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Either may fail because it has already ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a script to its end.
///
/// # Panics
///
/// With all that it printed and the end of the server's log, if it fails, prints nothing, or takes too long.
pub(crate) fn run(command: &mut Command, server: &mut impl Server) {
    let name = format!("{command:?}");
    let started = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut script = Running(started.unwrap_or_else(|error| panic!("{name}: {error}")));
    let mut input = script.0.stdin.take().unwrap();
    let output = BufReader::new(script.0.stdout.take().unwrap());
    let mut errors = script.0.stderr.take().unwrap();
    let complaints = thread::spawn(move || {
        let mut text = Vec::new();
        let read = errors.read_to_end(&mut text);
        read.map(|_| String::from_utf8_lossy(&text).into_owned())
    });
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        // The receiver is gone only after a failure that it tells itself.
        output
            .lines()
            .map_while(Result::ok)
            .try_for_each(|line| sender.send(line))
    });

    let deadline = Instant::now() + SCRIPT_MAX;
    let mut printed = Vec::new();
    let in_time = loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                println!("{line}");
                if let Some(order) = line.strip_prefix(ORDER) {
                    server.obey(order);
                    // It may have ended, which its exit code tells.
                    let _ = writeln!(input, "done: {order}");
                }
                printed.push(line);
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break true,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                script.0.kill().unwrap();
                break false;
            }
        }
    };
    let status = script.0.wait().unwrap();
    let complaints = complaints.join().unwrap().unwrap();
    assert!(
        in_time && status.success() && !printed.is_empty(),
        "{name}\n{}\nit printed:\n{}\nand complained:\n{complaints}\n{}",
        if in_time {
            status.to_string()
        } else {
            format!("not done within {SCRIPT_MAX:?}")
        },
        printed.join("\n"),
        server.log_tail(),
    );
}
