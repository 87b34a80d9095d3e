//! call and worker.

use crate::setup::{Running, Server, setup};
use rustix::process::Signal;
use serde_json::json;

fn worker(server: &Server, args: &[&str]) -> Running {
    let mut worker = Running::start(server.command(&[&["worker"], args].concat()));
    worker.says("ready");
    worker
}

#[test]
fn any_program_is_a_worker() {
    let server = setup();
    let upper = [
        "--handler",
        "text",
        "--method",
        "upper",
        "--",
        "tr",
        "a-z",
        "A-Z",
    ];
    let mut worker = worker(&server, &upper);
    assert_eq!(
        server.run(&["call", "upper", "[\"hello\"]"]).ok(),
        "[\"HELLO\"]\n"
    );
    assert_eq!(
        server.feed(&["call", "upper", "-"], b"{\"a\": 1}").ok(),
        "{\"A\": 1}\n"
    );
    let called = server
        .run(&["--json", "call", "upper", "[\"x\"]"])
        .objects();
    assert_eq!(called[0]["result"], json!(["X"]));
    worker.signal(Signal::TERM);
    assert!(worker.wait().success());
}

#[test]
fn a_program_knows_its_method_and_deadline() {
    let server = setup();
    let script = r#"echo "$TRUNKLINE_METHOD until ${TRUNKLINE_DEADLINE:+some time}""#;
    let args = [
        "--handler",
        "h",
        "--method",
        "a",
        "--method",
        "b",
        "--",
        "sh",
        "-c",
        script,
    ];
    let _worker = worker(&server, &args);
    assert_eq!(server.run(&["call", "a"]).ok(), "\"a until some time\"\n");
    assert_eq!(server.run(&["call", "b"]).ok(), "\"b until some time\"\n");
}

#[test]
fn a_failed_program_is_an_error_with_its_stderr() {
    let server = setup();
    let script = "echo to no avail >&2; exit 3";
    let _worker = worker(
        &server,
        &["--handler", "h", "--method", "m", "--", "sh", "-c", script],
    );
    let failed = server.run(&["--json", "call", "m"]);
    assert_eq!(failed.code, Some(1));
    let error: serde_json::Value = serde_json::from_str(&failed.err).unwrap();
    assert_eq!(error["error"]["code"], json!(-32000));
    assert_eq!(error["error"]["data"]["exit_code"], json!(3));
    assert_eq!(error["error"]["data"]["stderr"], json!("to no avail\n"));
    server.run(&["call", "m"]).fails(1, "to no avail");
}

#[test]
fn a_program_is_killed_at_the_deadline_with_what_it_started() {
    let server = setup();
    // Who started the sleep and who waits for it are two processes; both hold the pipe.
    let script = "(exec sleep 1000) & echo started $! >&2; wait";
    let _worker = worker(
        &server,
        &["--handler", "h", "--method", "m", "--", "sh", "-c", script],
    );
    server
        .run(&["call", "m", "--timeout", "300ms"])
        .fails(4, "m: ");
    // The one slot is free again only once the program is gone.
    server
        .run(&["call", "m", "--timeout", "300ms"])
        .fails(4, "running");
}

#[test]
fn repeated_calls_are_summed_up() {
    let server = setup();
    let _worker = worker(
        &server,
        &[
            "--handler",
            "h",
            "--method",
            "echo",
            "--concurrency",
            "2",
            "--",
            "cat",
        ],
    );
    let repeat = [
        "call",
        "echo",
        "[1]",
        "--repeat",
        "20",
        "--concurrency",
        "4",
    ];
    let summary = server.run(&[&["--json"][..], &repeat].concat()).objects();
    assert_eq!(
        (&summary[0]["done"], &summary[0]["failed"]),
        (&json!(20), &json!(0))
    );
    assert!(summary[0]["latency_us"]["p99"].as_u64() > Some(0));
    let table = server.run(&repeat).ok();
    assert!(table.contains("p99"), "{table}");
}

#[test]
fn a_worker_comes_back_to_a_server_that_comes_back() {
    let store = crate::setup::store();
    let server = store.serve();
    let address = server.address().to_owned();
    let mut worker = worker(&server, &["--handler", "h", "--method", "m", "--", "cat"]);
    server.kill();
    worker.says("connecting again");
    let server = store.serve_at(&address);
    worker.says("ready");
    assert_eq!(server.run(&["call", "m", "[1]"]).ok(), "[1]\n");
}

#[test]
fn a_worker_finishes_what_runs_before_it_ends() {
    let server = setup();
    let dir = tempfile::tempdir().unwrap();
    let (begun, go) = (dir.path().join("begun"), dir.path().join("go"));
    // Opening a pipe waits for the other side: first the program says that it runs, then it
    // waits until it may go on.
    let script = format!(
        "mkfifo {go}; mkfifo {begun}.tmp; mv {begun}.tmp {begun}; echo > {begun}; cat {go} >/dev/null; echo done",
        begun = begun.display(),
        go = go.display()
    );
    let args = ["--handler", "h", "--method", "m", "--", "sh", "-c", &script];
    let mut worker = worker(&server, &args);
    let mut call = Running::start(server.command(&["call", "m", "[1]"]));
    while !begun.exists() {
        std::thread::yield_now();
    }
    std::fs::read(&begun).unwrap();
    worker.signal(Signal::INT);
    worker.says("finishing 1 call");
    std::fs::write(&go, "").unwrap();
    let (answer, status) = call.finish();
    assert_eq!((answer.as_str(), status.success()), ("\"done\"\n", true));
    assert!(worker.wait().success());
}
