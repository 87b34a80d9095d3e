//! A disk that fills up: publishes are refused, consuming goes on, and makes room.

use crate::setup::{Server, store, text};
use rustix::process::Signal;
use std::{io::Read, process::Command};

/// Makes a file system of 8 MiB at `$0` that only this process and its children see, and becomes
/// the command that follows.
const ON_A_SMALL_DISK: &str = r#"mount -t tmpfs -o size=8m tmpfs "$0" && exec "$@""#;

#[test]
fn a_full_disk_refuses_publishes_until_consumers_make_room() {
    let store = store();
    let place = store.file("d", "");
    std::fs::remove_file(&place).unwrap();
    std::fs::create_dir(&place).unwrap();
    let on_a_small_disk = |command: &[&str]| {
        let mut unshare = Command::new("unshare");
        let namespaces = ["--user", "--map-root-user", "--mount", "sh", "-c"];
        unshare
            .args(namespaces)
            .args([ON_A_SMALL_DISK, text(&place)]);
        unshare.args(command);
        unshare
    };
    let allowed = on_a_small_disk(&["true"]).status();
    if !allowed.is_ok_and(|status| status.success()) {
        eprintln!("not run: this machine lets nobody make a file system of their own");
        return;
    }

    let data = place.join("data");
    let program = env!("CARGO_BIN_EXE_trunkline");
    let serve = ["--json", "serve", "--http", "127.0.0.1:0", "--data"];
    let mut command = on_a_small_disk(&[&[program], &serve[..], &[text(&data)]].concat());
    command
        .env("TRUNKLINE_ENGINE__SEGMENT_BYTES", "512KiB")
        .env("TRUNKLINE_STOMP__LISTEN", "off");
    let mut server = Server::of(command);
    server.run(&["subscription", "add", "t", "s"]).ok();

    let lines = format!("{}\n", "x".repeat(1000)).repeat(20_000);
    let refused = server.feed(&["publish", "t", "--lines"], lines.as_bytes());
    let said = refused.err.clone();
    refused.fails(1, "the disk is full");
    let confirmed: usize = said
        .strip_prefix("confirmed ")
        .and_then(|rest| rest.split(' ').next())
        .and_then(|count| count.parse().ok())
        .expect(&said);
    assert!((1..20_000).contains(&confirmed), "{said}");
    server.process.says("warning: the disk is full");

    // What is confirmed is there, in spite of all; taking it makes room.
    let count = confirmed.to_string();
    let consume = ["consume", "t", "-s", "s", "--count", &count];
    assert_eq!(server.run(&consume).ok().lines().count(), confirmed);
    let again = ["publish", "t", "--lines", "--retry"];
    server.feed(&again, &lines.as_bytes()[..1 << 20]).ok();

    // Closing is not told as trouble.
    server.process.signal(Signal::TERM);
    server.process.says("draining");
    let mut said = String::new();
    server.process.stderr.read_to_string(&mut said).unwrap();
    assert_eq!(said, "stopped cleanly\n");
    assert!(server.process.wait().success());
}
