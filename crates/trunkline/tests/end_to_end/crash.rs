//! kill -9 of the server in the middle of a publish: what was confirmed is there, once or more,
//! in order, nothing is invented, and an answered ack never comes back.

use crate::setup::{Ran, Server, seq, store};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    io::{Read, Write},
    process::Stdio,
    thread,
};
use trunkline::{Connection, Target};

const LINES: u64 = 4_000;
/// Lines that a producer writes at once: many small batches, many places to be cut at.
const BURST: usize = 40;
/// Seeds of the points at which the server is killed.
const SEEDS: [u64; 6] = [1, 2, 3, 5, 8, 13];

#[test]
fn confirmed_lines_survive_kill_9_and_answered_acks_stay() {
    for seed in SEEDS {
        // Any point: a few are very early, a few near the end.
        let point = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) % LINES;
        round(seed, point);
    }
}

fn round(seed: u64, point: u64) {
    let store = store();
    let server = store.serve();
    for subscription in ["audit", "work"] {
        server
            .run(&["subscription", "add", "numbers", subscription])
            .ok();
    }
    let ended = thread::scope(|scope| {
        let publisher = scope.spawn(|| publish(&server, &[]));
        let worker = scope.spawn(|| work_until_killed(&server));
        until_published(&server, point);
        server.process.signal(rustix::process::Signal::KILL);
        (publisher.join().unwrap(), worker.join().unwrap())
    });
    let (published, Worked { acked, answered }) = ended;
    let confirmed = confirmed(&published);
    drop(server);

    let server = store.serve();
    let stored = consumed(&server, "audit");
    let told = format!("seed {seed}, killed at {point}, confirmed {confirmed}");
    assert!(
        stored.len() as u64 >= confirmed,
        "{told}: only {} are there",
        stored.len()
    );
    let prefix: Vec<u64> = (1..=stored.len() as u64).collect();
    assert_eq!(stored, prefix, "{told}: order, or an invention");

    let again = consumed(&server, "work");
    let again: BTreeSet<u64> = again.into_iter().collect();
    let back: Vec<_> = answered.intersection(&again).collect();
    assert!(
        back.is_empty(),
        "{told}: acked and answered, and back: {back:?}"
    );
    let missing: Vec<_> = (1..=confirmed)
        .filter(|line| !acked.contains(line) && !again.contains(line))
        .collect();
    assert!(
        missing.is_empty(),
        "{told}: neither acked nor there: {missing:?}"
    );
}

#[test]
fn retry_goes_on_where_the_server_left_off_and_stores_each_line_once() {
    let store = store();
    let server = store.serve();
    let address = server.address().to_owned();
    server
        .run(&["subscription", "add", "numbers", "audit"])
        .ok();
    let (published, server) = thread::scope(|scope| {
        // The second half is there only once the server is gone, however fast it was.
        let (killed, until_killed) = std::sync::mpsc::channel::<()>();
        let (server, retry) = (&server, &["--retry"]);
        let publisher = scope.spawn(move || {
            publish_from(server, retry, |line| {
                if line > LINES / 2 {
                    // Whoever tells has told, or is gone.
                    let _ = until_killed.recv();
                }
            })
        });
        until_published(server, LINES / 3);
        server.process.signal(rustix::process::Signal::KILL);
        drop(killed);
        // The directory and the port are free as soon as the process is gone.
        while std::net::TcpStream::connect(&address).is_ok() {
            thread::yield_now();
        }
        let second = store.serve_at(&address);
        (publisher.join().unwrap(), second)
    });
    assert_eq!(confirmed(&published), LINES, "{published:?}");
    assert!(published.err.contains("connecting again"), "{published:?}");
    assert_eq!(consumed(&server, "audit"), (1..=LINES).collect::<Vec<_>>());
}

/// `seq | trunkline publish numbers --lines`, in bursts.
fn publish(server: &Server, options: &[&str]) -> Ran {
    publish_from(server, options, |_| {})
}

/// The same, asking before each burst, by its first line, whether to go on.
fn publish_from(server: &Server, options: &[&str], may: impl Fn(u64)) -> Ran {
    let mut command = server.command(&["publish", "numbers", "--lines"]);
    let mut child = command
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let lines = seq(LINES);
    let lines: Vec<&str> = lines.split_inclusive('\n').collect();
    for (number, burst) in lines.chunks(BURST).enumerate() {
        may((number * BURST) as u64 + 1);
        // Once the publisher has given up, nobody reads.
        if input.write_all(burst.concat().as_bytes()).is_err() {
            break;
        }
    }
    drop(input);
    let mut err = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut err)
        .unwrap();
    Ran {
        code: child.wait().unwrap().code(),
        out: String::new(),
        err,
    }
}

/// N of `confirmed N of M`.
fn confirmed(published: &Ran) -> u64 {
    let line = published
        .err
        .lines()
        .find(|line| line.starts_with("confirmed "));
    let line = line.unwrap_or_else(|| panic!("{published:?}"));
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Waits until so many lines were published, or all are through.
fn until_published(server: &Server, point: u64) {
    block_on(async {
        let (client, _pushes) = Connection::connect(&target(server)).await.unwrap();
        loop {
            let topic: Value = client
                .ask("rpc.topic.inspect", &json!({"topic": "numbers"}))
                .await
                .unwrap();
            if topic["published"].as_u64().unwrap() >= point.min(LINES) {
                return;
            }
        }
    });
}

/// Lines whose acks were sent, and those of them whose acks were also answered: of the others
/// nobody can know.
struct Worked {
    acked: BTreeSet<u64>,
    answered: BTreeSet<u64>,
}

/// Takes and acks until the connection breaks.
fn work_until_killed(server: &Server) -> Worked {
    block_on(async {
        let (client, mut pushes) = Connection::connect(&target(server)).await.unwrap();
        let consume = json!({"topic": "numbers", "subscription": "work", "credit": 64});
        let consuming: Value = client.ask("rpc.topic.consume", &consume).await.unwrap();
        let mut acks = Vec::new();
        while let Some(push) = pushes.next().await {
            let params: Value = push.read().unwrap();
            let deliveries = params["deliveries"].as_array().unwrap();
            let line =
                |delivery: &Value| delivery["payload_text"].as_str().unwrap().parse().unwrap();
            let lines: Vec<u64> = deliveries.iter().map(line).collect();
            let tags: Vec<_> = deliveries.iter().map(|delivery| &delivery["tag"]).collect();
            let ack = json!({"consumer": consuming["consumer"], "tags": tags});
            let Ok(pending) = client.start("rpc.topic.ack", &ack).await else {
                break;
            };
            acks.push((lines, pending));
        }
        let (mut acked, mut answered) = (BTreeSet::new(), BTreeSet::new());
        for (lines, pending) in acks {
            acked.extend(&lines);
            if pending.await.is_ok() {
                answered.extend(lines);
            }
        }
        Worked { acked, answered }
    })
}

/// Everything that a subscription still has.
fn consumed(server: &Server, subscription: &str) -> Vec<u64> {
    let listed = server
        .run(&["--json", "subscription", "ls", "numbers"])
        .objects();
    let waiting = listed
        .iter()
        .find(|one| one["subscription"] == subscription)
        .and_then(|one| one["waiting"].as_u64())
        .unwrap();
    if waiting == 0 {
        return Vec::new();
    }
    let count = waiting.to_string();
    let consume = ["consume", "numbers", "-s", subscription, "--count", &count];
    let printed = server.run(&consume).ok();
    printed.lines().map(|line| line.parse().unwrap()).collect()
}

fn target(server: &Server) -> Target {
    server.url.parse().unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}
