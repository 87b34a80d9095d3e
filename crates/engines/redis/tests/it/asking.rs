//! Our gateway, and workers as the wire describes them.

use crate::proxy::Proxy;
use crate::setup::{Setup, ask, by_name, deployment, setup, until};
use std::time::Duration;
use trunkline_engine_redis::{ConsumerGroups, ConsumerGroupsOptions};
use trunkline_model::{CallWire, Stage};

const LONG: Duration = Duration::from_secs(30);

async fn answer(on: &mut Setup, wire: &ConsumerGroups, number: u64, response: &str) {
    let text = format!(r#"{{"message_id":"{number}","response":{response}}}"#);
    assert_eq!(on.hand.reply(wire.whoami(), &text).await, 1);
}

#[tokio::test]
async fn case_27_the_reply_channel_is_subscribed_once_and_before_the_first_request() {
    let Some(mut on) = setup().await else { return };
    let wire = on.wire();
    let calls: Vec<_> = (0..20)
        .map(|_| ask(&*wire, on.call("a", "{}", LONG)))
        .collect();
    on.hand.requests("general", 20).await;
    let (_, subscribers): (String, i64) = on.hand.run(&["PUBSUB", "NUMSUB", wire.whoami()]).await;
    assert_eq!(subscribers, 1);
    let info: String = on.hand.run(&["INFO", "commandstats"]).await;
    assert!(info.contains("cmdstat_subscribe:calls=1,"), "{info}");
    for call in calls {
        answer(&mut on, &wire, call.id.0, r#"{"result":1}"#).await;
        assert_eq!(call.text().await, "result 1");
    }
}

#[tokio::test]
async fn case_28_every_wire_has_a_channel_of_its_own() {
    let Some(on) = setup().await else { return };
    let (one, other) = (on.wire(), on.wire());
    assert_eq!(one.whoami(), one.whoami());
    assert_ne!(one.whoami(), other.whoami());
}

#[tokio::test]
async fn case_29_30_31_and_42_replies_find_their_calls_and_others_do_no_harm() {
    let Some(mut on) = setup().await else { return };
    let wire = on.wire();
    let first = ask(&*wire, on.call("a", "{}", LONG));
    let second = ask(&*wire, on.call("a", "{}", LONG));
    on.hand.requests("general", 2).await;
    for text in [
        r#"{"message_id":"1"}"#,
        "[1,2]",
        "garbage",
        r#"{"message_id":"77","response":{"result":1}}"#,
        r#"{"message_id":"x","response":{"result":1}}"#,
    ] {
        on.hand.reply(wire.whoami(), text).await;
    }
    let numeric = r#"{"message_id":2,"response":{"result":"two"}}"#;
    on.hand.reply(wire.whoami(), numeric).await;
    assert_eq!(second.text().await, r#"result "two""#);
    answer(&mut on, &wire, 1, r#""any""#).await;
    assert_eq!(first.text().await, "result null");
    answer(&mut on, &wire, 1, r#"{"result":"again"}"#).await;

    // A call that is given up is forgotten, and its late reply concerns nobody.
    let given_up = ask(&*wire, on.call("a", "{}", LONG));
    assert_eq!(wire.cancel(given_up.id), Some(Stage::Queued));
    assert_eq!(wire.cancel(given_up.id), None);
    answer(&mut on, &wire, 3, r#"{"result":1}"#).await;
    let next = ask(&*wire, on.call("a", "{}", LONG));
    on.hand.requests("general", 3).await;
    answer(&mut on, &wire, 4, r#"{"result":4}"#).await;
    assert_eq!(next.text().await, "result 4");
    let counters = wire.counters();
    assert_eq!(
        (
            counters.bad_replies,
            counters.late_replies,
            counters.answered,
            counters.pending_now
        ),
        (4, 3, 3, 0)
    );
}

#[tokio::test]
async fn case_32_what_redis_refuses_fails_at_once_and_alone() {
    let Some(mut on) = setup().await else { return };
    let options = ConsumerGroupsOptions {
        separate_categories: true,
        ..ConsumerGroupsOptions::default()
    };
    let wire = on.wire_with(options);
    let () = on.hand.run(&["SET", "broken", "not a stream"]).await;
    let mut call = on.call("a", "{}", LONG);
    call.category = "broken".into();
    let broken = ask(&*wire, call);
    let good = ask(&*wire, on.call("a", "{}", LONG));
    let failure = broken.text().await;
    assert!(
        failure.starts_with("failed -32008") && failure.contains("WRONGTYPE"),
        "{failure}"
    );
    on.hand.requests("general", 1).await;
    answer(&mut on, &wire, 2, r#"{"result":1}"#).await;
    assert_eq!(good.text().await, "result 1");
    assert_eq!(wire.counters().pending_now, 0);
}

#[tokio::test]
async fn case_34_35_and_36_outcomes_reach_the_caller() {
    let Some(mut on) = setup().await else { return };
    let wire = on.wire();
    for (number, response, outcome) in [
        (1, r#"{"result":{"ok":1}}"#, r#"result {"ok":1}"#),
        (
            2,
            r#"{"result":{"error":{"code":"TestError","message_to_client":"m"}}}"#,
            r#"result {"error":{"code":"TestError","message_to_client":"m"}}"#,
        ),
        (
            3,
            r#"{"error":{"code":-32601,"message":"nf"}}"#,
            r#"error {"code":-32601,"message":"nf"}"#,
        ),
    ] {
        let call = ask(&*wire, on.call("a", "{}", LONG));
        on.hand.requests("general", number).await;
        answer(&mut on, &wire, number as u64, response).await;
        assert_eq!(call.text().await, outcome);
    }
}

#[tokio::test]
async fn case_38_39_and_41_categories_are_streams_if_they_are_to_be() {
    let Some(mut on) = setup().await else { return };
    let separate = on.wire_with(ConsumerGroupsOptions {
        separate_categories: true,
        ..ConsumerGroupsOptions::default()
    });
    let together = on.wire();
    let mut kept = Vec::new();
    for (wire, stream, category, seconds) in [
        (&separate, "mt5", "mt5", 5),
        (&separate, "general", "", 4),
        (&separate, "payment", "payment", 3),
        (&together, "general", "mt5", 1),
    ] {
        let before: i64 = on.hand.run(&["XLEN", stream]).await;
        let mut call = on.call("a", r#"{"args":{"a":1}}"#, Duration::from_secs(seconds));
        call.category = category.into();
        let deadline = (call.deadline.as_millis() / 1_000).to_string();
        kept.push(ask(&**wire, call));
        let requests = on.hand.requests(stream, before as usize + 1).await;
        let fields = requests.last().unwrap();
        let names: Vec<_> = fields.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["rpc", "who", "deadline", "args", "message_id"]);
        let fields = by_name(fields);
        assert_eq!(fields["who"], wire.whoami());
        // One second or less is written with its part.
        assert!(fields["deadline"].starts_with(&deadline), "{fields:?}");
        assert_eq!(fields["args"], r#"{"args":{"a":1}}"#);
    }
}

#[tokio::test]
async fn case_43_a_reply_before_the_acknowledgement_of_its_request_is_accepted() {
    let Some(mut on) = setup().await else { return };
    let proxy = Proxy::holding(on.server.address(), "XADD").await;
    let options = ConsumerGroupsOptions::default();
    let wire = ConsumerGroups::new(deployment(&proxy.url()), options, on.clock.clone());
    let call = ask(&wire, on.call("a", "{}", LONG));
    on.hand.requests("general", 1).await;
    answer(&mut on, &wire, 1, r#"{"result":"early"}"#).await;
    assert_eq!(call.text().await, r#"result "early""#);
    assert_eq!(wire.counters().sent, 0, "its request is not acknowledged");
    proxy.let_pass();
    until("the acknowledgement", async || wire.counters().sent == 1).await;
    answer(&mut on, &wire, 1, r#"{"result":"again"}"#).await;
    until("the end", async || wire.counters().late_replies == 1).await;
    assert_eq!(wire.counters().answered, 1);
}

#[tokio::test]
async fn calls_go_on_when_the_reply_connection_is_lost() {
    let Some(mut on) = setup().await else { return };
    let wire = on.wire();
    let before = ask(&*wire, on.call("a", "{}", LONG));
    on.hand.requests("general", 1).await;
    let killed: i64 = on.hand.run(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    assert_eq!(killed, 1);
    let after = ask(&*wire, on.call("a", "{}", LONG));
    on.hand.requests("general", 2).await;
    until("the channel", async || {
        let (_, n): (String, i64) = on.hand.run(&["PUBSUB", "NUMSUB", wire.whoami()]).await;
        n == 1
    })
    .await;
    for number in [1, 2] {
        answer(&mut on, &wire, number, r#"{"result":"late"}"#).await;
    }
    assert_eq!(before.text().await, r#"result "late""#);
    assert_eq!(after.text().await, r#"result "late""#);
}

#[tokio::test]
async fn calls_wait_for_redis_and_end_with_the_wire() {
    let Some(mut on) = setup().await else { return };
    let wire = on.wire();
    on.server.kill();
    let waiting = ask(&*wire, on.call("a", "{}", LONG));
    let given_up = ask(&*wire, on.call("a", "{}", LONG));
    assert!(wire.cancel(given_up.id).is_some());
    on.server.restart();
    on.hand = crate::setup::Hand::on(&on.server).await;
    let requests = on.hand.requests("general", 1).await;
    assert_eq!(by_name(&requests[0])["message_id"], "1");
    wire.close(Duration::ZERO);
    assert!(waiting.text().await.starts_with("failed -32012"));
    let late = ask(&*wire, on.call("a", "{}", LONG));
    assert!(late.text().await.starts_with("failed -32012"));
    assert_eq!(requests.len(), 1, "what is given up is not sent");
}
