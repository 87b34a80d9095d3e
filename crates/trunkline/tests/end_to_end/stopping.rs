//! SIGTERM and SIGINT.

use crate::setup::{Running, setup, store};
use rustix::process::Signal;

#[test]
fn a_server_drains_and_ends_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let store = store();
        let mut server = store.serve();
        server.run(&["publish", "t", "a"]).ok();
        server.process.signal(signal);
        let (out, status) = server.process.finish();
        assert!(status.success(), "{status}");
        assert_eq!(out, "{\"event\":\"stopped\"}\n");
    }
}

#[test]
fn running_calls_get_their_answer_before_the_end() {
    let mut server = setup();
    let dir = tempfile::tempdir().unwrap();
    let (begun, go) = (dir.path().join("begun"), dir.path().join("go"));
    let script = format!(
        "mkfifo {go}; mkfifo {begun}.tmp; mv {begun}.tmp {begun}; echo > {begun}; cat {go} >/dev/null; echo 42",
        begun = begun.display(),
        go = go.display()
    );
    let worker = [
        "worker",
        "--handler",
        "h",
        "--method",
        "m",
        "--",
        "sh",
        "-c",
        &script,
    ];
    let mut worker = Running::start(server.command(&worker));
    worker.says("ready");
    let mut call = Running::start(server.command(&["call", "m"]));
    while !begun.exists() {
        std::thread::yield_now();
    }
    std::fs::read(&begun).unwrap();
    server.process.signal(Signal::TERM);
    server.process.says("draining");
    std::fs::write(&go, "").unwrap();
    let (answer, status) = call.finish();
    assert_eq!((answer.as_str(), status.success()), ("42\n", true));
    assert!(server.process.wait().success());
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut server = setup();
    let worker = [
        "worker",
        "--handler",
        "h",
        "--method",
        "m",
        "--",
        "sleep",
        "1000",
    ];
    let mut worker = Running::start(server.command(&worker));
    worker.says("ready");
    let call = Running::start(server.command(&["call", "m"]));
    server.process.signal(Signal::TERM);
    server.process.says("draining");
    server.process.signal(Signal::TERM);
    assert!(server.process.wait().code().is_some_and(|code| code <= 1));
    drop(call);
}

#[test]
fn hanging_up_is_survived_and_explained() {
    let mut server = setup();
    server.process.signal(Signal::HUP);
    server.process.says("nothing is reloaded");
    assert!(server.run(&["publish", "t", "a"]).code == Some(0));
}

#[test]
fn a_consumer_is_told_why_its_connection_ends() {
    let server = setup();
    let mut consumer = Running::start(server.command(&["consume", "t", "-s", "s"]));
    let attached = || server.run(&["--json", "topic", "ls"]).objects().len() == 1;
    while !attached() {}
    assert!(server.stop().success());
    consumer.says("the server is shutting down");
    assert_eq!(consumer.wait().code(), Some(1));
}
