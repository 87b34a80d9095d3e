//! Our gateways and our workers on one Redis.

use crate::setup::{ask, result, serve, setup};
use std::sync::Arc;
use std::time::Duration;
use trunkline_engine_redis::ConsumerGroupsOptions;
use trunkline_model::{CallOutcome, CallWire};

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn every_call_gets_its_own_answer() {
    let Some(on) = setup().await else { return };
    let gateways = [on.wire(), on.wire()];
    let mut workers = Vec::new();
    for index in 0..3 {
        let wire = on.wire_with(ConsumerGroupsOptions {
            index,
            ..ConsumerGroupsOptions::default()
        });
        let mut serving = serve(&*wire, &["echo"], 16);
        workers.push(tokio::spawn(async move {
            loop {
                let call = serving.next().await;
                let params = call.params.expect("every call has some");
                wire.answer(call.dispatch, CallOutcome::Result(params));
            }
        }));
    }
    let mut asked = Vec::new();
    for n in 0..1_000 {
        let params = format!(r#"{{"n":{n}}}"#);
        let call = on.call("echo", &params, LONG);
        asked.push((params, ask(&*gateways[n % 2], call)));
    }
    for (params, call) in asked {
        assert_eq!(call.text().await, format!("result {params}"));
    }
    for worker in workers {
        worker.abort();
    }
}

#[tokio::test]
async fn the_wire_can_be_anybodys() {
    let Some(on) = setup().await else { return };
    let wire: Arc<dyn CallWire> = on.wire();
    assert!(!wire.announces());
    wire.ask();
    assert!(wire.announcements().is_empty());
    let own = on.wire();
    let mut serving = serve(&*own, &["m"], 1);
    let call = ask(&*own, on.call("m", "[1,2]", LONG));
    let incoming = serving.next().await;
    assert_eq!(incoming.params.as_deref(), Some(&b"[1,2]"[..]));
    own.progress(incoming.dispatch, bytes::Bytes::from_static(b"1"));
    own.answer(incoming.dispatch, result("3"));
    assert_eq!(call.text().await, "result 3");
}
