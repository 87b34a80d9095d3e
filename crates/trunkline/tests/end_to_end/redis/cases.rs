//! The numbered cases of the wire of consumer groups that need a gateway, with ours.

use super::{field, old};
use crate::setup::Running;
use rustix::process::Signal;
use std::time::{Duration, Instant, SystemTime};

const CALLS: &str = "{categories: {old: {wire: consumer-groups, methods: [ping], EXTRA}}, \
                     wires: {consumer_groups: {url: 'REDIS'}}}";

#[test]
fn case_33_a_call_without_a_reply_times_out_and_leaves_nothing() {
    let Some(on) = old() else { return };
    let server = on.gateway(&CALLS.replace("EXTRA", "max_waiting: 1"));
    for _ in 0..3 {
        let timed_out = server.run(&["--json", "call", "ping", "{}", "--timeout", "1ms"]);
        assert!(timed_out.err.contains("-32001"), "{timed_out:?}");
        timed_out.fails(4, "queued");
    }
    // One may wait, so none of them does any more; and it is answered.
    let mut call = Running::start(server.command(&["call", "ping", "{}"]));
    let mut hand = on.hand();
    let length = || -> usize { on.hand().run(&["XLEN", "general"]) };
    let mut answered = 0;
    super::until("the last request", || {
        // Requests that timed out may have been written or not.
        for number in answered + 1..=length() {
            let request = hand.request("general", number);
            hand.reply(&request, r#"{"result":"pong"}"#);
            answered = number;
        }
        answered > 0 && call.has_ended()
    });
    let (answer, status) = call.finish();
    assert_eq!((answer.as_str(), status.success()), ("\"pong\"\n", true));
}

#[test]
fn case_37_a_client_that_is_gone_gets_nothing_and_harms_nobody() {
    let Some(on) = old() else { return };
    let server = on.gateway(&CALLS.replace("EXTRA", "timeout: 60s"));
    let mut hand = on.hand();
    let mut gone = Running::start(server.command(&["call", "ping", "{}"]));
    let first = hand.request("general", 1);
    gone.signal(Signal::KILL);
    gone.wait();
    // The gateway hears it and drops it.
    assert_eq!(hand.reply(&first, r#"{"result":1}"#), 1);
    let mut call = Running::start(server.command(&["call", "ping", "{}"]));
    let second = hand.request("general", 2);
    assert_eq!(hand.reply(&first, r#"{"result":"late"}"#), 1);
    assert_eq!(hand.reply(&second, r#"{"result":2}"#), 1);
    assert_eq!(call.finish().0, "2\n");
    assert!(server.stop().success());
}

/// With a real clock, so in tenths of the case's numbers: base 4 s, 25 %, offset 10 s. The engine's tests have them as
/// they are, with a clock that is set.
#[test]
fn case_40_the_asker_waits_longer_than_the_deadline_says() {
    let Some(on) = old() else { return };
    for (extra, wait_ms) in [
        ("timeout: 400ms", 400),
        (
            "timeout: 400ms, extension_percent: 25, extension_offset: 1s",
            1_500,
        ),
    ] {
        let server = on.gateway(&CALLS.replace("EXTRA", extra));
        let mut hand = on.hand();
        let () = hand.run(&["DEL", "general"]);
        let since_epoch = || {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            now.unwrap().as_secs_f64()
        };
        let (before, begun) = (since_epoch(), Instant::now());
        let mut call = Running::start(server.command(&["call", "ping", "{}"]));
        let request = hand.request("general", 1);
        let deadline: f64 = field(&request, "deadline").parse().unwrap();
        let latest = since_epoch() + 0.4;
        assert!(
            (before + 0.399..=latest + 0.001).contains(&deadline),
            "{deadline} is not 0.4 s after {before}"
        );
        let (_, status) = call.finish();
        assert_eq!(status.code(), Some(4));
        assert!(begun.elapsed() >= Duration::from_millis(wait_ms));
        assert!(server.stop().success());
    }
}
