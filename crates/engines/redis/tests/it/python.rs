//! Counterparts in Python, written from the description of the wires alone.

use crate::setup::{Setup, ask, serve, setup, soon};
use bytes::Bytes;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use trunkline_engine_redis::{RpcProcessor, RpcProcessorOptions};
use trunkline_model::{CallOutcome, CallWire};
use trunkline_test_servers::program;

const LONG: Duration = Duration::from_secs(60);

/// `None` where there is no Python to test with; that was said then.
pub(crate) fn script(on: &Setup, name: &str, count: usize) -> Option<Child> {
    let python = program("TRUNKLINE_TEST_PYTHON")?;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/python");
    let mut command = Command::new(python);
    command
        .arg(format!("{folder}/{name}.py"))
        .arg(on.server.url())
        .arg(count.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    Some(command.spawn().expect("Python starts"))
}

/// What it prints, once it has ended well.
pub(crate) async fn said(script: Child) -> String {
    let output = soon(script.wait_with_output()).await.expect("it ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[tokio::test]
async fn a_gateway_in_python_calls_our_worker() {
    let Some(on) = setup().await else { return };
    let wire = on.wire();
    let mut serving = serve(&*wire, &["echo", "fail"], 16);
    let Some(script) = script(&on, "streams_gateway", 300) else {
        return;
    };
    let answering = tokio::spawn(async move {
        for _ in 0..300 {
            let call = serving.next().await;
            let outcome = if &*call.method == "fail" {
                let error = br#"{"code":7,"message":"on purpose"}"#;
                CallOutcome::HandlerError(Bytes::from_static(error))
            } else {
                CallOutcome::Result(call.params.expect("it has some"))
            };
            wire.answer(call.dispatch, outcome);
        }
        serving
    });
    assert_eq!(said(script).await, "300 answers, 30 of them errors");
    soon(answering).await.expect("every call came once");
}

#[tokio::test]
async fn a_worker_in_python_serves_our_gateway() {
    let Some(on) = setup().await else { return };
    let wire = on.wire();
    let Some(script) = script(&on, "streams_worker", 200) else {
        return;
    };
    let mut asked = Vec::new();
    for n in 0..200 {
        let params = format!(r#"{{"n": {n}}}"#);
        let method = if n % 10 == 0 { "fail" } else { "echo" };
        asked.push((
            method,
            params.clone(),
            ask(&*wire, on.call(method, &params, LONG)),
        ));
    }
    for (method, params, call) in asked {
        let expected = match method {
            "fail" => r#"error {"code":7,"message":"on purpose"}"#.to_owned(),
            _ => format!("result {params}"),
        };
        assert_eq!(call.text().await, expected);
    }
    assert_eq!(said(script).await, "200 calls");
}

#[tokio::test]
async fn a_processor_in_python_calls_our_worker() {
    let Some(on) = setup().await else { return };
    let options = RpcProcessorOptions::default();
    let wire = RpcProcessor::new(on.deployment(), options, on.clock.clone());
    let mut serving = serve(&wire, &["echo"], 4);
    let Some(script) = script(&on, "lists_processor", 100) else {
        return;
    };
    for _ in 0..100 {
        let call = serving.next().await;
        let params = call.params.expect("it has some");
        wire.answer(call.dispatch, CallOutcome::Result(params));
    }
    assert_eq!(said(script).await, "100 answers");
}

#[tokio::test]
async fn a_handler_in_python_serves_our_processor() {
    let Some(on) = setup().await else { return };
    let mut options = RpcProcessorOptions::default();
    options.handler("H", ["echo"]).expect("it is free");
    let wire = RpcProcessor::new(on.deployment(), options, on.clock.clone());
    let Some(script) = script(&on, "lists_handler", 100) else {
        return;
    };
    let asked: Vec<_> = (0..100)
        .map(|n| ask(&wire, on.call("echo", &n.to_string(), LONG)))
        .collect();
    for (n, call) in asked.into_iter().enumerate() {
        assert_eq!(call.text().await, format!("result {n}"));
    }
    assert_eq!(said(script).await, "100 calls");
}
