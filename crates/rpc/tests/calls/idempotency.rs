//! Calls with an `idempotency_key`.

use crate::world::{Client, World, secs};

#[tokio::test]
async fn a_repeated_call_gets_the_first_ones_answer() {
    let world = World::new();
    let (client, worker) = (world.client(), world.worker("bank", &["pay", "ask"], 10));
    client.call_with_key("k", "pay", "[1]");
    client.call_with_key("k", "pay", "[1]");
    let call = worker.take_one();
    worker.answer(&call, "\"paid\"");
    let mut heard = client.heard();
    heard.sort();
    assert_eq!(heard, ["1: \"paid\"", "2: \"paid\""]);

    let again = Client::of(&world.calls);
    assert_eq!(again.call_with_key("k", "pay", "[1]"), None);
    assert_eq!(again.heard(), ["1: \"paid\""], "also on another connection");
    again.call_with_key("k", "pay", "[2]");
    assert_eq!(again.heard(), ["2: -32602"]);
    assert!(worker.take().is_empty());

    again.call_with_key("k", "ask", "[2]");
    Client::named(&world.calls, "another").call_with_key("k", "pay", "[2]");
    assert_eq!(
        worker.take().len(),
        2,
        "keys are the principal's and the method's"
    );
    world.pass(secs(121));
    again.call_with_key("k", "pay", "[3]");
    assert_eq!(worker.take_params(), ["[3]"]);
}

#[tokio::test]
async fn what_surely_did_not_run_is_run_when_it_is_repeated() {
    let world = World::new();
    let (client, worker) = (world.client(), world.worker("bank", &["pay"], 1));
    client.call("pay", "[0]");
    client.call_with_key("k", "pay", "[1]");
    client.call_with_key("k", "pay", "[1]");
    let first = worker.take_one();
    world.pass(secs(31));
    let mut heard = client.heard();
    heard.sort();
    assert_eq!(heard[0], "1: -32001 running");
    assert_eq!(heard[1..], ["2: -32001 queued", "3: -32001 queued"]);
    client.call_with_key("k", "pay", "[1]");
    worker.answer(&first, "late");
    assert_eq!(worker.take_params(), ["[1]"]);
}

#[tokio::test]
async fn what_may_have_run_is_not_run_again() {
    let world = World::new();
    let (client, lost) = (world.client(), world.worker("bank", &["pay"], 2));
    client.call_with_key("a", "pay", "[1]");
    let cancelled = client.call_with_key("b", "pay", "[2]").unwrap();
    world.calls.cancel(cancelled);
    drop(lost);
    let worker = world.worker("bank", &["pay"], 2);
    client.call_with_key("a", "pay", "[1]");
    client.call_with_key("b", "pay", "[2]");
    assert!(worker.take().is_empty());
    assert_eq!(
        client.heard(),
        ["2: -32004", "1: -32002", "3: -32002", "4: -32004"]
    );
}

#[tokio::test]
async fn a_follower_has_its_own_deadline_and_may_leave() {
    let world = World::new();
    let (client, worker) = (world.client(), world.worker("bank", &["pay"], 1));
    client.call_with_key("k", "pay", "[1]");
    let mut short = client.request("pay", "[1]");
    short.idempotency_key = Some("k".into());
    short.timeout = Some(secs(1));
    client.call_with(short);
    let leaving = client.call_with_key("k", "pay", "[1]").unwrap();
    assert!(world.calls.cancel(leaving));
    world.pass(secs(2));
    assert_eq!(client.heard().len(), 2);
    assert!(worker.cancelled().is_empty());
    worker.answer(&worker.take_one(), "\"paid\"");
    assert_eq!(client.heard(), ["1: \"paid\""]);
}
