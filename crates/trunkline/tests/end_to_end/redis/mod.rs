//! Calls over a Redis that others use, with counterparts in Python that know nothing but the wires.

mod cases;
mod engine;
mod gateway;
mod list_cases;
mod trouble;
mod worker;

use crate::setup::{Running, Server, text, trunkline};
use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use trunkline_engine_redis::redis::{Client, Connection, FromRedisValue, cmd};
use trunkline_test_servers::{Redis, program};

/// Longest wait for anything; a test that gets there has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Redis with old processes around it; `None` where there is none to test with, which was said
/// then.
struct Old {
    redis: Redis,
    dir: TempDir,
}

fn old() -> Option<Old> {
    Some(Old {
        redis: Redis::start()?,
        dir: TempDir::new().unwrap(),
    })
}

impl Old {
    /// A server with a store of its own and these `calls`; `REDIS` is the URL of Redis in it.
    fn gateway(&self, calls: &str) -> Server {
        let yaml = format!("version: 1\ncalls: {calls}\n").replace("REDIS", &self.redis.url());
        let config = self.dir.path().join("trunkline.yaml");
        std::fs::write(&config, yaml).unwrap();
        let data = self.dir.path().join("data");
        let args = ["--http", "127.0.0.1:0", "--data", text(&data)];
        Server::start(&[&args[..], &["--config", text(&config)]].concat())
    }

    /// A process in Python that ends after so many calls; `None` where there is no Python.
    fn python(&self, script: &str, count: usize) -> Option<Running> {
        let python = program("TRUNKLINE_TEST_PYTHON")?;
        let folder = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../engines/redis/tests/it/python"
        );
        let mut command = Command::new(python);
        command
            .arg(format!("{folder}/{script}.py"))
            .args([self.redis.url(), count.to_string()]);
        Some(Running::start(command))
    }

    /// `trunkline worker` on Redis itself, that is ready.
    fn worker(&self, args: &[&str]) -> Running {
        let url = self.redis.url();
        let start = ["worker", "--engine", &url];
        let mut worker = Running::start(trunkline(&[&start, args].concat()));
        worker.says("ready");
        worker
    }

    fn hand(&self) -> Hand {
        let client = Client::open(self.redis.url()).unwrap();
        Hand(client.get_connection().unwrap())
    }
}

/// What the other side of a wire would do: plain commands.
struct Hand(Connection);

impl Hand {
    #[track_caller]
    fn run<T: FromRedisValue>(&mut self, words: &[&str]) -> T {
        cmd(words[0]).arg(&words[1..]).query(&mut self.0).unwrap()
    }

    /// The fields of the request of this number in a stream, once it is there.
    #[track_caller]
    fn request(&mut self, stream: &str, number: usize) -> Vec<(String, String)> {
        let mut found = None;
        until("the request", || {
            type Entries = Vec<(String, Vec<(String, String)>)>;
            let entries: Entries = self.run(&["XRANGE", stream, "-", "+"]);
            found = entries.into_iter().nth(number - 1);
            found.is_some()
        });
        found.unwrap().1
    }

    /// Replies to a request as a worker does; how many heard it.
    #[track_caller]
    fn reply(&mut self, request: &[(String, String)], response: &str) -> usize {
        let number = field(request, "message_id");
        let text = format!(r#"{{"message_id":"{number}","response":{response}}}"#);
        self.run(&["PUBLISH", field(request, "who"), &text])
    }
}

#[track_caller]
fn field<'a>(request: &'a [(String, String)], name: &str) -> &'a str {
    let found = request.iter().find(|(field, _)| field == name);
    &found.unwrap_or_else(|| panic!("no {name}: {request:?}")).1
}

/// What a server answers to a GET, if it does.
fn get(address: &str, path: &str) -> Option<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[track_caller]
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENCE, "{what} never came");
        thread::sleep(Duration::from_millis(2));
    }
}

/// What it printed, if it ended well.
#[track_caller]
fn said(mut process: Running) -> String {
    let (out, status) = process.finish();
    let mut errors = String::new();
    std::io::Read::read_to_string(&mut process.stderr, &mut errors).unwrap();
    assert!(status.success(), "{status}: {errors}");
    out.trim().to_owned()
}
