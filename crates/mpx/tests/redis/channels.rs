//! Channels and patterns while the connection holds.

use crate::setup::{next, setup, setup_with, some, soon, text, until};
use std::sync::mpsc;
use std::time::Duration;
use trunkline_mpx::{Error, Event, MultiplexerOptions, OverflowPolicy, QueueOptions};

#[tokio::test]
async fn case_1_channels_and_patterns_are_activated_and_heard_in_order() {
    for query in ["", "?protocol=resp3"] {
        let Some(mut on) = setup_with(MultiplexerOptions::default(), query).await else {
            return;
        };
        let (_news, mut events) = on.stream(&["mychannel"]);
        assert_eq!(next(&mut events).await, "active:mychannel");
        for n in 1..=2 {
            let hello = format!("Hello World {n}!");
            assert_eq!(on.publish(b"mychannel", hello.as_bytes()).await, 1);
            assert_eq!(next(&mut events).await, format!("mychannel={hello}"));
        }
        let pattern = on.mpx.pattern_stream("pattern:*", QueueOptions::default());
        let (pattern, mut fruit) = pattern.unwrap();
        assert_eq!(next(&mut fruit).await, "active:pattern:*");
        for name in ["pattern:banana", "pattern:peach"] {
            on.publish(name.as_bytes(), b"1").await;
            assert_eq!(next(&mut fruit).await, format!("{name}=1"));
        }
        pattern.close().unwrap();
    }
}

#[tokio::test]
async fn case_2_a_thousand_subscriptions_to_one_channel_are_one_subscribe() {
    let Some(mut on) = setup().await else { return };
    let mut all: Vec<_> = (0..1_000).map(|_| on.stream(&["c"])).collect();
    for (_, events) in &mut all {
        assert_eq!(next(events).await, "active:c");
    }
    assert_eq!(
        (on.numsub("c").await, on.calls_of("subscribe").await),
        (1, 1)
    );
    for n in 0..3 {
        on.publish(b"c", n.to_string().as_bytes()).await;
    }
    for (_, events) in &mut all {
        for n in 0..3 {
            assert_eq!(next(events).await, format!("c={n}"));
        }
    }
    assert_eq!(on.mpx.counters().deliveries, 3_000);
}

#[tokio::test]
async fn case_3_names_go_out_together() {
    let Some(mut on) = setup().await else { return };
    let (first, mut events) = on.stream(&["begin"]);
    next(&mut events).await;
    let before = on.calls_of("subscribe").await;
    for n in 0..20 {
        first.add([format!("n{n}")]).unwrap();
    }
    some(&mut events, 20).await;
    let commands = on.calls_of("subscribe").await - before;
    assert!((1..=20).contains(&commands), "{commands}");
    let (all, mut events) = on.stream(&[]);
    all.add((0..1_000).map(|n| format!("m{n}"))).unwrap();
    some(&mut events, 1_000).await;
    let commands = on.calls_of("subscribe").await - before - commands;
    assert_eq!(commands, 50, "twenty names a command");
}

#[tokio::test]
async fn case_4_a_channel_is_heard_once_by_each_who_wants_it_and_left_with_the_last() {
    let Some(mut on) = setup().await else { return };
    let (a, mut a_events) = on.stream(&["c", "c"]);
    a.add(["c"]).unwrap();
    let (b, mut b_events) = on.stream(&["c"]);
    assert_eq!(next(&mut a_events).await, "active:c");
    assert_eq!(next(&mut b_events).await, "active:c");
    on.publish(b"c", b"1").await;
    a.remove(["c", "never"]).unwrap();
    on.publish(b"c", b"2").await;
    assert_eq!(some(&mut b_events, 2).await, ["c=1", "c=2"]);
    assert_eq!(on.numsub("c").await, 1);
    b.clear().unwrap();
    until("the end", async || on.numsub("c").await == 0).await;
    // What was received before it was removed may have been handed out; twice it was not.
    a.close().unwrap();
    let mut heard = Vec::new();
    while let Some(event) = soon(futures_util::StreamExt::next(&mut a_events)).await {
        heard.push(text(&event));
    }
    assert!(
        heard.is_empty() || heard == ["c=1"] || heard == ["c=1", "c=2"],
        "{heard:?}"
    );
}

#[tokio::test]
async fn case_5_who_comes_to_an_active_name_is_told_so_once() {
    let Some(mut on) = setup().await else { return };
    let (_a, mut a) = on.stream(&["c"]);
    assert_eq!(next(&mut a).await, "active:c");
    let (_b, mut b) = on.stream(&["c"]);
    assert_eq!(next(&mut b).await, "active:c");
    let options = QueueOptions::default();
    let (_p, mut p) = on.mpx.pattern_stream("c*", options).unwrap();
    assert_eq!(next(&mut p).await, "active:c*");
    let (_q, mut q) = on.mpx.pattern_stream("c*", options).unwrap();
    assert_eq!(next(&mut q).await, "active:c*");
    on.publish(b"c", b"x").await;
    for events in [&mut a, &mut b, &mut p, &mut q] {
        assert_eq!(next(events).await, "c=x");
    }
    let first = on.mpx.promises("c").unwrap();
    assert!(soon(first.wait_for_activation()).await);
    let second = on.mpx.promises("c").unwrap();
    assert!(soon(second.wait_for_activation()).await);
}

#[tokio::test]
async fn case_6_channel_and_pattern_each_hear_a_message_once() {
    let Some(mut on) = setup().await else { return };
    let (_c, mut channel) = on.stream(&["abc"]);
    let options = QueueOptions::default();
    let (_p, mut first) = on.mpx.pattern_stream("a*", options).unwrap();
    let (_q, mut second) = on.mpx.pattern_stream("*c", options).unwrap();
    for events in [&mut channel, &mut first, &mut second] {
        next(events).await;
    }
    on.publish(b"abc", b"1").await;
    on.publish(b"abc", b"2").await;
    for events in [&mut channel, &mut first, &mut second] {
        assert_eq!(next(events).await, "abc=1");
        assert_eq!(next(events).await, "abc=2");
    }
}

#[tokio::test]
async fn case_7_the_last_call_counts_however_quickly_they_come() {
    let Some(mut on) = setup().await else { return };
    let (a, mut events) = on.stream(&["c"]);
    next(&mut events).await;
    for round in 0..100 {
        match round % 3 {
            0 => {
                a.remove(["c"]).unwrap();
                a.add(["c"]).unwrap();
            }
            1 => {
                a.add(["d"]).unwrap();
                a.remove(["d"]).unwrap();
            }
            _ => {
                a.remove(["c"]).unwrap();
                a.add(["c"]).unwrap();
                a.remove(["c"]).unwrap();
                a.add(["c"]).unwrap();
            }
        }
    }
    a.add(["last"]).unwrap();
    let mut heard = String::new();
    while heard != "active:last" {
        heard = next(&mut events).await;
    }
    assert_eq!((on.numsub("c").await, on.numsub("d").await), (1, 0));
    on.publish(b"c", b"x").await;
    assert_eq!(next(&mut events).await, "c=x");
}

#[tokio::test]
async fn case_8_a_closed_pattern_leaves_redis_and_can_come_back() {
    let Some(mut on) = setup().await else { return };
    for _ in 0..3 {
        let options = QueueOptions::default();
        let (pattern, mut events) = on.mpx.pattern_stream("p*", options).unwrap();
        assert_eq!(next(&mut events).await, "active:p*");
        assert_eq!((&pattern.pattern()[..], on.numpat().await), (&b"p*"[..], 1));
        pattern.close().unwrap();
        until("the end", async || on.numpat().await == 0).await;
        assert_eq!(pattern.close(), Err(Error::Closed));
    }
}

#[tokio::test]
async fn case_13_callbacks_may_call_everything() {
    let Some(mut on) = setup().await else { return };
    let (told, heard) = mpsc::channel();
    let mpx = on.mpx.clone();
    let mut kept = Vec::new();
    let slot = std::sync::Arc::new(std::sync::Mutex::new(None));
    let own = slot.clone();
    let subscription = on.mpx.channels(move |event| {
        let Event::Message { payload, .. } = event else {
            return;
        };
        let n: usize = String::from_utf8_lossy(&payload).parse().unwrap();
        let guard = own.lock().unwrap();
        let this: &trunkline_mpx::ChannelSubscription = guard.as_ref().unwrap();
        this.add([format!("x{n}")]).unwrap();
        this.remove([format!("x{}", n.wrapping_sub(3))]).unwrap();
        let other = mpx.channels(|_| {});
        other.add([format!("y{n}")]).unwrap();
        if n.is_multiple_of(2) {
            other.close().unwrap();
        } else {
            kept.push(other);
        }
        let _ = mpx.counters();
        told.send(n).unwrap();
    });
    subscription.add(["c"]).unwrap();
    *slot.lock().unwrap() = Some(subscription);
    until("the channel", async || on.numsub("c").await == 1).await;
    for n in 0..500 {
        on.publish(b"c", n.to_string().as_bytes()).await;
    }
    let all = tokio::task::spawn_blocking(move || {
        (0..500)
            .map(|_| heard.recv_timeout(Duration::from_secs(60)).unwrap())
            .collect::<Vec<_>>()
    });
    assert!(all.await.unwrap().into_iter().eq(0..500));
    until("the names", async || on.mpx.counters().active_now == 254).await;
    // The subscription holds its own callback, which holds it.
    *slot.lock().unwrap() = None;
}

#[tokio::test]
async fn case_23_any_bytes_go_through() {
    let Some(mut on) = setup().await else { return };
    let (_a, mut events) = on.stream(&["with space", "žluťoučký", "empty"]);
    some(&mut events, 3).await;
    let payload: Vec<u8> = (0..1_u32 << 20).map(|n| (n * 7 % 256) as u8).collect();
    on.publish("žluťoučký".as_bytes(), &payload).await;
    match soon(futures_util::StreamExt::next(&mut events)).await {
        Some(Event::Message { payload: got, .. }) => assert!(got == payload),
        other => panic!("{other:?}"),
    }
    on.publish(b"with space", b"a\0b").await;
    assert_eq!(next(&mut events).await, "with space=a\0b");
    on.publish(b"empty", b"").await;
    assert_eq!(next(&mut events).await, "empty=");
}

#[tokio::test]
async fn case_24_a_closed_subscription_says_so() {
    let Some(on) = setup().await else { return };
    let (a, mut events) = on.stream(&["c"]);
    next(&mut events).await;
    assert_eq!(a.channels().collect::<Vec<_>>(), ["c"]);
    a.close().unwrap();
    for again in [a.add(["d"]), a.remove(["c"]), a.clear(), a.close()] {
        assert_eq!(again, Err(Error::Closed));
    }
    assert_eq!(a.channels().count(), 0);
    assert!(
        soon(futures_util::StreamExt::next(&mut events))
            .await
            .is_none()
    );
    let empty = on.mpx.pattern_stream("", QueueOptions::default());
    assert_eq!(empty.err(), Some(Error::Name));
}

#[tokio::test]
async fn a_stream_that_is_full_does_what_its_policy_says() {
    let Some(mut on) = setup().await else { return };
    let options = |overflow| QueueOptions {
        events_max: 3,
        overflow,
        ..QueueOptions::default()
    };
    let (dropping, mut dropped) = on.mpx.channels_stream(options(OverflowPolicy::DropOldest));
    let (ending, mut ended) = on.mpx.channels_stream(options(OverflowPolicy::Disconnect));
    let (all, mut last) = on.stream(&["c"]);
    for subscription in [&dropping, &ending] {
        subscription.add(["c"]).unwrap();
    }
    for events in [&mut dropped, &mut ended, &mut last] {
        assert_eq!(next(events).await, "active:c");
    }
    for n in 0..10 {
        on.publish(b"c", n.to_string().as_bytes()).await;
    }
    some(&mut last, 10).await;
    until("the drops", async || on.mpx.counters().dropped == 7).await;
    assert_eq!(next(&mut dropped).await, "Dropped(7)");
    assert_eq!(some(&mut dropped, 3).await, ["c=7", "c=8", "c=9"]);
    assert_eq!(some(&mut ended, 3).await, ["c=0", "c=1", "c=2"]);
    assert!(
        soon(futures_util::StreamExt::next(&mut ended))
            .await
            .is_none()
    );
    assert_eq!(ending.add(["d"]), Err(Error::Closed));
    assert_eq!(
        (on.mpx.counters().overflows, all.channels().count()),
        (1, 1)
    );

    // Who waits has everybody wait, and loses nothing.
    let (waiting, mut waited) = on.mpx.channels_stream(options(OverflowPolicy::Block));
    waiting.add(["c"]).unwrap();
    assert_eq!(next(&mut waited).await, "active:c");
    for n in 0..100 {
        on.publish(b"c", n.to_string().as_bytes()).await;
    }
    for n in 0..100 {
        assert_eq!(next(&mut waited).await, format!("c={n}"));
    }
}

#[tokio::test]
async fn a_callback_that_panics_ends_nothing() {
    let Some(mut on) = setup().await else { return };
    let bad = on.mpx.channels(|event| {
        assert!(!matches!(event, Event::Message { .. }), "on purpose");
    });
    bad.add(["c"]).unwrap();
    let (_good, mut events) = on.stream(&["c"]);
    next(&mut events).await;
    on.publish(b"c", b"1").await;
    on.publish(b"c", b"2").await;
    assert_eq!(some(&mut events, 2).await, ["c=1", "c=2"]);
    assert_eq!(on.mpx.counters().panics, 2);
}

#[tokio::test]
async fn what_is_read_together_can_be_heard_together() {
    let Some(mut on) = setup().await else { return };
    let (told, heard) = mpsc::channel();
    let together = on.mpx.channels_together(move |events| {
        assert!(!events.is_empty());
        told.send(events.iter().map(text).collect::<Vec<_>>())
            .unwrap();
    });
    together.add(["c", "other"]).unwrap();
    // The end is read last.
    let (_end, mut end) = on.stream(&["c"]);
    assert_eq!(next(&mut end).await, "active:c");
    on.publish_many(1_000, "c").await;
    some(&mut end, 1_000).await;
    on.kill_subscribers().await;
    assert_eq!(next(&mut end).await, "lost");
    assert_eq!(next(&mut end).await, "active:c");
    on.publish(b"c", b"after").await;
    assert_eq!(next(&mut end).await, "c=after");
    until("the end", async || on.mpx.counters().deliveries == 2_002).await;
    drop(together);
    drop(on);
    let heard = tokio::task::spawn_blocking(move || heard.iter().collect::<Vec<_>>());
    let calls = soon(heard).await.unwrap();
    assert!(calls.len() < 1_000, "{} calls", calls.len());
    let mut events: Vec<_> = calls.into_iter().flatten().collect();
    events.retain(|event| event != "active:other");
    let mut expected = vec!["active:c"];
    expected.extend(["c=x"; 1_000]);
    expected.extend(["lost", "active:c", "c=after"]);
    assert_eq!(events, expected);
}

#[tokio::test]
async fn shard_channels_are_heard() {
    let Some(mut on) = setup().await else { return };
    if on.server.lacks_command("SSUBSCRIBE") {
        return;
    }
    let (shards, mut events) = on.mpx.shards_stream(QueueOptions::default());
    shards.add(["s1", "s2"]).unwrap();
    assert_eq!(some(&mut events, 2).await, ["active:s1", "active:s2"]);
    on.spublish("s2", "x").await;
    assert_eq!(next(&mut events).await, "s2=x");
}

#[tokio::test]
async fn names_that_access_rules_forbid_are_refused_by_name() {
    let Some(mut on) = setup().await else { return };
    on.command(&[
        "ACL",
        "SETUSER",
        "mux",
        "on",
        ">pw",
        "+@all",
        "resetchannels",
        "&ok*",
    ])
    .await;
    let address = on.server.url().replace("redis://", "redis://mux:pw@");
    let mpx = trunkline_mpx::Multiplexer::open(address).unwrap();
    let (subscription, mut events) = mpx.channels_stream(QueueOptions::default());
    subscription.add(["ok1"]).unwrap();
    assert_eq!(next(&mut events).await, "active:ok1");
    // Together with others, which it costs nothing.
    subscription.add(["ok2", "no", "ok3"]).unwrap();
    let mut heard = some(&mut events, 3).await;
    heard.sort();
    let refused = heard.remove(0);
    assert!(
        refused.contains("Refused") && refused.contains("NOPERM"),
        "{refused}"
    );
    assert_eq!(heard, ["active:ok2", "active:ok3"]);
    on.publish(b"ok1", b"still").await;
    assert_eq!(next(&mut events).await, "ok1=still");
    let wrong = on.server.url().replace("redis://", "redis://mux:wrong@");
    let mpx = trunkline_mpx::Multiplexer::open(wrong).unwrap();
    until("a refusal", async || mpx.counters().connect_failures > 2).await;
}
