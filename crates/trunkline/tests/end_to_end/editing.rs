//! `topic edit` and `subscription edit`: what was, what is, what can't be.

use crate::setup::setup;
use serde_json::json;

#[test]
fn an_edit_says_what_was_and_what_is_now() {
    let server = setup();
    server.run(&["topic", "add", "t", "-o", "ttl=1h"]).ok();
    let edit = ["topic", "edit", "t", "ttl=2h", "max_messages=5"];
    let said = server.run(&edit).err;
    assert!(
        said.contains("t: ttl: 1h → 2h\n") && said.contains("t: max_messages: none → 5\n"),
        "{said}"
    );
    let said = server.run(&edit).err;
    assert!(said.contains("nothing to change"), "{said}");
    let said = server.run(&["topic", "edit", "t", "--unset", "ttl"]).err;
    assert_eq!(said, "t: ttl: 2h → none\n");
    let info = server.run(&["--json", "topic", "info", "t"]).objects();
    let options = &info[0]["options"];
    assert_eq!(
        (&options["ttl"], &options["max_messages"]),
        (&json!(null), &json!(5))
    );

    let six = server.feed(&["publish", "t", "--lines"], b"1\n2\n3\n4\n5\n");
    six.ok();
    let said = server.run(&["topic", "edit", "t", "max_messages=2"]).err;
    assert!(
        said.contains("3 messages more than that are stored; they stay"),
        "{said}"
    );
    let answer = server
        .run(&["--json", "topic", "edit", "t", "ttl=1d"])
        .objects();
    assert_eq!(
        answer[0]["changed"],
        json!([{"option": "ttl", "from": null, "to": "1d"}])
    );
}

#[test]
fn a_subscription_has_options_of_its_own_and_gives_them_up() {
    let server = setup();
    server
        .run(&["topic", "add", "t", "-o", "ack_timeout=30s"])
        .ok();
    server.run(&["subscription", "add", "t", "s"]).ok();
    let edit = |change: &[&str]| {
        let ran = server.run(&[&["subscription", "edit", "t", "s"], change].concat());
        let said = ran.err.clone();
        ran.ok();
        said
    };
    assert_eq!(edit(&["ack_timeout=5m"]), "s: ack_timeout: 30s → 5m\n");
    assert_eq!(
        edit(&["--unset", "ack_timeout"]),
        "s: ack_timeout: 5m → 30s\n"
    );
}

#[test]
fn what_can_not_change_is_refused_with_the_reason() {
    let server = setup();
    server
        .run(&["topic", "add", "t", "-o", "priorities=3"])
        .ok();
    server.run(&["publish", "t", "a"]).ok();
    let refused = server.run(&["topic", "edit", "t", "priorities=2"]);
    assert!(refused.err.contains("priorities"), "{refused:?}");
    refused.fails(1, "(-32013)");
    for (args, says) in [
        (&["tll=1h"][..], "unknown option `tll`; did you mean `ttl`?"),
        (
            &["--unset", "tll"],
            "unknown option `tll`; did you mean `ttl`?",
        ),
        (&["ttl"], "is not of the form KEY=VALUE"),
        (&["ttl=1h", "--unset", "ttl"], "given a value and unset"),
        (&[], "required"),
    ] {
        server
            .run(&[&["topic", "edit", "t"], args].concat())
            .fails(2, says);
    }
    server
        .run(&["topic", "edit", "t", "ttl=soon"])
        .fails(1, "/options/ttl");
    server
        .run(&["topic", "edit", "nowhere", "ttl=1h"])
        .fails(1, "no topic nowhere");
    server
        .run(&["subscription", "edit", "t", "s", "max_attempts=1"])
        .fails(1, "no subscription s");
}
