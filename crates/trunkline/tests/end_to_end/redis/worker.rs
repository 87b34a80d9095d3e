//! `trunkline worker --engine`: no server of ours anywhere.

use super::{old, said};
use rustix::process::Signal;

const STREAMS: [&str; 2] = ["--wire", "consumer-groups"];
const ECHO: [&str; 8] = [
    "--handler",
    "h",
    "--method",
    "echo",
    "--concurrency",
    "4",
    "--",
    "cat",
];

#[test]
fn gateways_in_python_call_any_program_over_streams() {
    let Some(on) = old() else { return };
    let mut worker = on.worker(&[&STREAMS[..], &ECHO].concat());
    let mut gateways = Vec::new();
    for _ in 0..3 {
        let Some(gateway) = on.python("streams_gateway", 9) else {
            return;
        };
        gateways.push(gateway);
    }
    for gateway in gateways {
        assert_eq!(said(gateway), "9 answers, 0 of them errors");
    }
    worker.signal(Signal::TERM);
    worker.says("answered 27 calls, 0 of them");
    assert!(worker.wait().success());
}

#[test]
fn a_processor_in_python_calls_any_program_over_lists() {
    let Some(on) = old() else { return };
    let mut worker = on.worker(&[&["--wire", "rpcprocessor"][..], &ECHO].concat());
    let Some(processor) = on.python("lists_processor", 20) else {
        return;
    };
    assert_eq!(said(processor), "20 answers");
    worker.signal(Signal::INT);
    worker.says("answered 20 calls");
    assert!(worker.wait().success());
}

#[test]
fn a_program_serves_a_stream_of_its_own_and_its_errors_are_told() {
    let Some(on) = old() else { return };
    let script = r#"echo "of $TRUNKLINE_METHOD"; echo no >&2; test "$TRUNKLINE_METHOD" = good"#;
    let methods = ["--handler", "h", "--method", "good", "--method", "bad"];
    let command = ["--category", "mt5", "--", "sh", "-c", script];
    let mut worker = on.worker(&[&STREAMS[..], &methods, &command].concat());
    let server = on.gateway(
        "{categories: {mt5: {wire: consumer-groups, methods: ['*']}}, \
         wires: {consumer_groups: {url: 'REDIS', separate_categories: true}}}",
    );
    assert_eq!(server.run(&["call", "good"]).ok(), "\"of good\"\n");
    server.run(&["call", "bad"]).fails(1, "exit status: 1");
    worker.signal(Signal::TERM);
    worker.says("answered 2 calls, 1 of them with an error");
    assert!(worker.wait().success());
}

/// The last answer is written before the process ends.
#[test]
fn a_worker_finishes_what_runs_before_it_ends() {
    let Some(on) = old() else { return };
    let server = on.gateway(
        "{categories: {old: {wire: consumer-groups, methods: [m]}}, \
         wires: {consumer_groups: {url: 'REDIS'}}}",
    );
    let (begun, go) = (on.dir.path().join("begun"), on.dir.path().join("go"));
    // Opening a pipe waits for the other side.
    let script = format!(
        "mkfifo {go}; mkfifo {begun}.tmp; mv {begun}.tmp {begun}; echo > {begun}; \
         cat {go} >/dev/null; echo done",
        begun = begun.display(),
        go = go.display()
    );
    let args = ["--handler", "h", "--method", "m", "--", "sh", "-c", &script];
    let mut worker = on.worker(&[&STREAMS[..], &args].concat());
    let mut call = crate::setup::Running::start(server.command(&["call", "m", "[1]"]));
    super::until("the program", || begun.exists());
    std::fs::read(&begun).unwrap();
    worker.signal(Signal::TERM);
    worker.says("finishing 1 call");
    std::fs::write(&go, "").unwrap();
    let (answer, status) = call.finish();
    assert_eq!((answer.as_str(), status.success()), ("\"done\"\n", true));
    assert!(worker.wait().success());
}

#[test]
fn a_program_is_killed_at_the_deadline() {
    let Some(on) = old() else { return };
    let server = on.gateway(
        "{categories: {old: {wire: consumer-groups, methods: [m], timeout: 300ms, \
         extension_offset: 30s}}, wires: {consumer_groups: {url: 'REDIS'}}}",
    );
    let args = ["--handler", "h", "--method", "m", "--", "sleep", "1000"];
    let _worker = on.worker(&[&STREAMS[..], &args].concat());
    // The asker waits longer than the worker, and so hears why.
    server
        .run(&["call", "m"])
        .fails(4, "the program was killed at the deadline");
}
