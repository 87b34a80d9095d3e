//! The examples, run the way their readers run them: the real binary, Python, a browser, a shell.
//!
//! Python with `websockets` and a headless Chromium are found by `cargo xtask test`, which names
//! them in the environment. Without it these tests say so and pass, unless `CI` or
//! `TRUNKLINE_TEST_REQUIRED` is set.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is wrong"
)]

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use trunkline_test_servers::program;

const TRUNKLINE: &str = env!("CARGO_BIN_EXE_trunkline");

#[test]
fn python_client_is_served_by_the_python_worker() {
    let Some(python) = program("TRUNKLINE_TEST_PYTHON") else {
        return;
    };
    let server = Server::start();
    let run = |script: &str| {
        let mut command = Command::new(&python);
        command
            .arg(example("python").join(script))
            .args(["--url", &server.url])
            // A proxy that the machine uses for the web is none for its own loopback.
            .env("NO_PROXY", "127.0.0.1");
        command
    };
    let mut worker = Process::start(&mut run("worker.py"));
    assert_eq!(worker.line(), "ready: text.upper, text.count");

    let client = run("client.py").output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&client.stdout)
            .lines()
            .collect::<Vec<_>>(),
        [
            "text.upper: HELLO",
            "text.count: [1, 2, 3]",
            "a failing call: TypeError: object of type 'int' has no len() (-32000)",
            "order: 1",
            "order: 2",
            "order: 3",
            "example.news.today: it works (1 listening)",
        ],
        "{}",
        String::from_utf8_lossy(&client.stderr)
    );
    assert!(client.status.success());
    assert!(worker.stop().success(), "SIGTERM ends the worker cleanly");
}

#[test]
fn the_page_checks_itself_in_a_browser() {
    let (Some(python), Some(chromium)) = (
        program("TRUNKLINE_TEST_PYTHON"),
        program("TRUNKLINE_TEST_CHROMIUM"),
    ) else {
        return;
    };
    let server = Server::start();
    let mut pages = Process::start(
        Command::new(python)
            .args([
                "-u",
                "-m",
                "http.server",
                "0",
                "--bind",
                "127.0.0.1",
                "--directory",
            ])
            .arg(example("browser"))
            .stderr(Stdio::null()),
    );
    // "Serving HTTP on 127.0.0.1 port 40001 (http://127.0.0.1:40001/) ..."
    let serving = pages.line();
    let address = serving.split(['(', ')']).nth(1).unwrap();
    let browser = Browser::open(chromium, &format!("{address}?url={}", server.url));
    assert_eq!(browser.final_title(), "ok");
}

#[test]
fn the_shell_pipeline_counts_a_log() {
    let server = Server::start();
    let directory = TempDir::new().unwrap();
    let log = directory.path().join("dpkg.log");
    let lines = |verb: &str, count: usize| format!("2026-11-20 12:00:00 {verb} x\n").repeat(count);
    fs::write(
        &log,
        lines("status", 300) + &lines("install", 20) + &lines("remove", 1),
    )
    .unwrap();

    let output = Command::new("sh")
        .arg(example("shell").join("pipeline.sh"))
        .arg(&log)
        .env("TRUNKLINE_URL", &server.url)
        .env("PATH", path_with(Path::new(TRUNKLINE).parent().unwrap()))
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        printed.lines().map(str::trim).collect::<Vec<_>>(),
        [
            "the most common of 321 lines:",
            "300 status",
            "20 install",
            "1 remove",
            r#"["A SHELL PIPELINE IS A WORKER"]"#,
        ],
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success());

    let topics = Command::new(TRUNKLINE)
        .args(["--url", &server.url, "topic", "ls"])
        .output()
        .unwrap();
    let topics = String::from_utf8_lossy(&topics.stdout).into_owned();
    assert!(!topics.contains("example.log"), "left behind: {topics}");
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples")
        .join(name)
}

fn path_with(first: &Path) -> OsString {
    let rest = env::var_os("PATH").unwrap_or_default();
    env::join_paths(
        [first.to_owned()]
            .into_iter()
            .chain(env::split_paths(&rest)),
    )
    .unwrap()
}

/// A server with a data directory of its own, on a free port.
struct Server {
    url: String,
    _process: Process,
    _directory: TempDir,
}

impl Server {
    fn start() -> Server {
        let directory = TempDir::new().unwrap();
        let mut process = Process::start(
            Command::new(TRUNKLINE)
                .args(["--json", "serve", "--http", "127.0.0.1:0"])
                .args(["--stomp", "127.0.0.1:0", "--data"])
                .arg(directory.path().join("data"))
                .stderr(Stdio::null()),
        );
        let ready: Value = serde_json::from_str(&process.line()).unwrap();
        Server {
            url: ready["url"].as_str().unwrap().to_owned(),
            _process: process,
            _directory: directory,
        }
    }
}

/// A process that tells on its standard output when it is ready, and ends with its owner.
struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(command: &mut Command) -> Process {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = BufReader::new(child.stdout.take().unwrap());
        Process { child, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "it ended: {:?}", self.child.wait());
        line.trim_end().to_owned()
    }

    /// SIGTERM, and how it ended.
    fn stop(&mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Either may fail because it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A headless browser with one page, asked over its debugging port.
struct Browser {
    child: Child,
    debugging: String,
    _profile: TempDir,
}

impl Browser {
    fn open(chromium: PathBuf, page: &str) -> Browser {
        let profile = TempDir::new().unwrap();
        let mut child = Command::new(chromium)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
            ])
            .args(["--no-first-run", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(page)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let debugging = debugging_address(&mut log);
        // It goes on logging, and must never find the pipe full.
        thread::spawn(move || log.read_to_end(&mut Vec::new()));
        Browser {
            child,
            debugging,
            _profile: profile,
        }
    }

    /// The title of the page, once it says how its check went.
    fn final_title(&self) -> String {
        loop {
            let targets: Value = serde_json::from_str(&self.get("/json/list")).unwrap();
            let title = targets
                .as_array()
                .unwrap()
                .iter()
                .find(|target| target["type"] == "page")
                .and_then(|page| page["title"].as_str())
                .unwrap_or_default();
            if title == "ok" || title.starts_with("failed") {
                return title.to_owned();
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.debugging).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n",
            self.debugging
        )
        .unwrap();
        let mut answer = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            answer.read_line(&mut line).unwrap();
            if line.trim_end().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked, not killed, so that it ends its helper processes, too.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// `HOST:PORT` from "DevTools listening on ws://HOST:PORT/…".
fn debugging_address(log: &mut impl BufRead) -> String {
    let mut seen = String::new();
    for line in log.lines().map_while(Result::ok) {
        if let Some(url) = line.strip_prefix("DevTools listening on ws://") {
            return url.split('/').next().unwrap().to_owned();
        }
        seen += &line;
        seen.push('\n');
    }
    panic!("the browser did not start:\n{seen}");
}
