//! channel publish, channel listen.

use crate::setup::{Running, setup};

#[test]
fn who_listens_now_gets_it() {
    let server = setup();
    let publish =
        |channel: &str, payload: &str| server.run(&["channel", "publish", channel, payload]);
    assert!(
        publish("news.sport", "unheard")
            .err
            .contains("reached 0 listeners")
    );

    let by_name = ["channel", "listen", "news.sport", "--count", "1"];
    let by_pattern = ["channel", "listen", "--pattern", "news.*", "--count", "2"];
    let mut by_name = Running::start(server.command(&by_name));
    let mut by_pattern = Running::start(server.command(&by_pattern));
    by_name.says("listening to news.sport");
    by_pattern.says("listening to news.*");
    assert!(
        publish("news.sport", "goal")
            .err
            .contains("reached 2 listeners")
    );
    assert!(
        publish("news.weather", "rain")
            .err
            .contains("reached 1 listener")
    );
    assert_eq!(by_name.finish().0, "goal\n");
    let (heard, status) = by_pattern.finish();
    assert_eq!((heard.as_str(), status.success()), ("goal\nrain\n", true));
}

#[test]
fn json_shows_the_whole_message() {
    let server = setup();
    let listen = [
        "--json",
        "channel",
        "listen",
        "--pattern",
        "a*",
        "--count",
        "1",
    ];
    let mut listener = Running::start(server.command(&listen));
    listener.says("listening");
    let sent = server.run(&[
        "--json",
        "channel",
        "publish",
        "abc",
        "--json-payload",
        "{\"a\":1}",
    ]);
    assert_eq!(sent.ok(), "{\"receivers\":1}\n");
    let heard: serde_json::Value = serde_json::from_str(&listener.finish().0).unwrap();
    assert_eq!(heard["channel"], "abc");
    assert_eq!(heard["pattern"], "a*");
    assert_eq!(heard["payload"]["a"], 1);
}
