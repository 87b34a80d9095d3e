//! A crate that uses the feature `client` alone: how much it builds, and that it works.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is wrong"
)]

use std::{collections::BTreeSet, process::Command};
use trunkline::TestServer;

const DOWNSTREAM: &str = "trunkline-example-client";
/// Crates besides itself, procedural macros included. Before you raise it: what is it good for?
const CRATES_MAX: usize = 44;
/// What a client has no use for.
const UNWANTED: &[&str] = &[
    "trunkline-auth",
    "trunkline-bench",
    "trunkline-engine-embedded",
    "trunkline-gateway",
    "trunkline-journal",
    "trunkline-queue",
    "trunkline-rpc",
    "axum",
    "clap",
    "hyper",
    "jsonschema",
    "serde-saphyr",
    "tempfile",
    "toml",
    "tracing-subscriber",
];

#[test]
fn a_client_needs_nothing_of_the_server() {
    let tree = cargo(&["tree", "-p", DOWNSTREAM, "-e", "normal", "--prefix", "none"]);
    let crates: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| !name.is_empty() && *name != DOWNSTREAM)
        .collect();
    println!("{} crates below a client: {crates:?}", crates.len());
    for unwanted in UNWANTED {
        assert!(!crates.contains(unwanted), "a client builds {unwanted}");
    }
    assert!(crates.contains("trunkline") && crates.len() <= CRATES_MAX);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_builds_by_itself_and_works() {
    let server = TestServer::start().await.unwrap();
    // By itself, so that no other crate turns on features that it doesn't ask for.
    let url = server.url();
    let printed = tokio::task::spawn_blocking(move || {
        cargo(&["run", "--quiet", "-p", DOWNSTREAM, "--", &url])
    });
    let printed = printed.await.unwrap();
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[..2], ["published 1-1", "3 × book"], "{printed}");
    assert!(lines[2].starts_with("served by "), "{printed}");
}

/// What cargo prints, run without a network.
fn cargo(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(&args[..1])
        .arg("--offline")
        .args(&args[1..])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}
