//! The programs, run the way their readers run them.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is wrong"
)]

use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    thread,
};
use tempfile::TempDir;
use trunkline::TestServer;

#[test]
fn a_server_a_worker_and_a_client() {
    let dir = TempDir::new().unwrap();
    let (_server, url) = embed(&dir, "127.0.0.1:0");
    let mut worker = start(Command::new(env!("CARGO_BIN_EXE_worker")).arg(&url));
    // The call waits for the worker, should it be there first.
    let client = Command::new(env!("CARGO_BIN_EXE_client"))
        .arg(&url)
        .output();
    let client = client.unwrap();
    assert_eq!(
        String::from_utf8_lossy(&client.stdout),
        "the sum is 6, the order is 1-1\n",
        "{}",
        String::from_utf8_lossy(&client.stderr)
    );
    worker.stop();
    assert!(dir.path().join("trunkline-data").is_dir());
}

#[test]
fn a_server_that_answers_itself() {
    let mut server = start(Command::new(env!("CARGO_BIN_EXE_handler")).arg("127.0.0.1:0"));
    let url = server.line();
    let client = Command::new(env!("CARGO_BIN_EXE_client"))
        .arg(&url)
        .output();
    let printed = client.unwrap().stdout;
    assert!(String::from_utf8_lossy(&printed).starts_with("the sum is 6,"));
    server.stop();
}

#[test]
fn a_worker_on_redis_without_a_server() {
    let Some(redis) = trunkline_test_servers::Redis::start() else {
        return;
    };
    let mut worker = start(Command::new(env!("CARGO_BIN_EXE_redis_worker")).arg(redis.url()));
    assert_eq!(worker.line(), "6");
    worker.stop();
}

#[test]
fn a_publisher_outlives_its_server_and_a_consumer_gets_all() {
    let dir = TempDir::new().unwrap();
    let (server, url) = embed(&dir, "127.0.0.1:0");
    let address = address(&url);
    let mut publisher = start(
        Command::new(env!("CARGO_BIN_EXE_publisher"))
            .arg(&url)
            .stdin(Stdio::piped()),
    );
    let mut input = publisher.child.stdin.take().unwrap();
    let mut consumer = start(Command::new(env!("CARGO_BIN_EXE_consumer")).args([&url, "1000"]));
    for number in 0..500 {
        writeln!(input, "{number}").unwrap();
    }
    // Some are through: the server is in the middle of it.
    let mut printed = vec![consumer.line()];
    drop(server);
    for number in 500..1000 {
        writeln!(input, "{number}").unwrap();
    }
    drop(input);
    let (_server, _) = embed(&dir, &address);
    assert_eq!(publisher.line(), "confirmed 1000");
    while printed.len() < 1000 {
        printed.push(consumer.line());
    }
    // What was printed and not acknowledged when the server went may have come again.
    let printed: BTreeSet<u32> = printed.iter().map(|line| line.parse().unwrap()).collect();
    let last = *printed.last().unwrap();
    assert_eq!(printed.len() as u32, last + 1, "a gap: {printed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_hears_until_it_is_said_goodbye() {
    let server = TestServer::start().await.unwrap();
    let client = server.client().await.unwrap();
    let mut listener = start(Command::new(env!("CARGO_BIN_EXE_listener")).arg(server.url()));
    assert_eq!(listener.line(), "listening");
    let reached = client.publish_channel("news.today", "it works").await;
    assert_eq!(reached.unwrap(), Some(1));
    client.publish_channel("status", "bye").await.unwrap();
    assert_eq!(listener.line(), "news.today: it works");
    assert_eq!(listener.line(), "status: bye");
    assert!(listener.child.wait().unwrap().success());
}

/// The promise of the documents: ten, fifteen, ten, twenty and three lines, blank lines and comments not
/// counted; and what the documents show is what runs here.
#[test]
fn the_programs_are_as_short_as_the_documents_say_and_show() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("../../docs/library.md")).unwrap();
    for (file, lines_max) in [
        ("src/bin/embed.rs", 10),
        ("src/bin/worker.rs", 15),
        ("src/bin/client.rs", 10),
        ("src/bin/redis_worker.rs", 20),
    ] {
        let program = fs::read_to_string(root.join(file)).unwrap();
        let lines = program.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
        let lines = lines.count();
        assert!(lines <= lines_max, "{file} has {lines} lines");
        let (_comment, code) = program.split_once("\n\n").unwrap();
        assert!(page.contains(code), "docs/library.md shows another {file}");
    }
    let test = fs::read_to_string(root.join("tests/three_lines.rs")).unwrap();
    let three = test
        .lines()
        .skip_while(|line| !line.contains("TestServer::start"));
    for line in three.take(3) {
        assert!(page.contains(line.trim()), "docs/library.md lacks {line}");
    }
}

/// A server that keeps its data in `dir`, and its URL.
fn embed(dir: &TempDir, address: &str) -> (Process, String) {
    let mut server = start(
        Command::new(env!("CARGO_BIN_EXE_embed"))
            .arg(address)
            .current_dir(dir.path()),
    );
    let url = server.line();
    (server, url)
}

fn address(url: &str) -> String {
    let rest = url.strip_prefix("ws://").unwrap();
    rest.strip_suffix("/rpc").unwrap().to_owned()
}

/// A program that is killed with its owner.
struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
}

fn start(command: &mut Command) -> Process {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    Process { child, output }
}

impl Process {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "it ended: {:?}", self.child.wait());
        line.trim_end().to_owned()
    }

    /// Ctrl-C, and it ends well.
    fn stop(&mut self) {
        self.wait_until_interruptible();
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        let ended = self.child.wait().unwrap();
        assert!(ended.success(), "{ended}: {rest}");
    }

    /// A program prints its last line before it waits for Ctrl-C: a signal between the two would just kill it.
    /// Linux tells which signals a process catches, so the test doesn't interrupt it before.
    fn wait_until_interruptible(&mut self) {
        let bit = 1u64 << (Signal::INT.as_raw() - 1);
        let status = format!("/proc/{}/status", self.child.id());
        while self.child.try_wait().unwrap().is_none() {
            let status = fs::read_to_string(&status).unwrap();
            let caught = status.lines().find_map(|l| l.strip_prefix("SigCgt:"));
            if u64::from_str_radix(caught.unwrap().trim(), 16).unwrap() & bit != 0 {
                return;
            }
            thread::yield_now();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Either may fail because it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
