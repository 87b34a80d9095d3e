use super::*;
use std::sync::{Mutex, Weak};
use trunkline_model::{ChannelName, Mailbox, Overrun, Pattern, Wake};

fn message(channel: &str, text: &str) -> ChannelMessage {
    ChannelMessage::new(
        channel.parse().unwrap(),
        text.to_owned().into(),
        "text/plain".into(),
    )
}

fn names(names: &[&str]) -> Vec<ChannelName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn patterns(patterns: &[&str]) -> Vec<Pattern> {
    patterns.iter().map(|p| p.parse().unwrap()).collect()
}

fn heard(mailbox: &Mailbox<ListenerEvent>) -> Vec<String> {
    let mut events = Vec::new();
    mailbox.drain_into(&mut events);
    events.iter().map(describe).collect()
}

fn describe(event: &ListenerEvent) -> String {
    match event {
        ListenerEvent::Active { channels, patterns } => format!("active {channels:?} {patterns:?}"),
        ListenerEvent::Message { message, pattern } => {
            let text = String::from_utf8_lossy(&message.payload);
            let through = pattern.as_ref().map_or("", |pattern| pattern);
            format!("{} {text} {through}", message.channel)
                .trim_end()
                .to_owned()
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn a_name_and_every_matching_pattern_hear_a_message_once_each() {
    let hub = Arc::new(Hub::default());
    let mailbox = Arc::new(Mailbox::new(Wake::new()));
    let handle = hub.listen(mailbox.clone(), ListenPolicy::default());
    assert_eq!(hub.publish(message("news", "early")), 0);
    handle.add(&names(&["news", "news"]), &patterns(&["n*", "x*"]));
    handle.add(&names(&["news", "more"]), &patterns(&["n*"]));
    assert_eq!(hub.publish(message("news", "1")), 2);
    assert_eq!(hub.publish(message("xyz", "2")), 1);
    handle.remove(&names(&["news", "unknown"]), &patterns(&["x*", "?"]));
    handle.remove(&names(&["news"]), &[]);
    assert_eq!(hub.publish(message("news", "3")), 1);
    assert_eq!(hub.publish(message("xyz", "4")), 0);
    let expected = [
        r#"active ["news"] ["n*", "x*"]"#,
        r#"active ["more"] []"#,
        "news 1",
        "news 1 n*",
        "xyz 2 x*",
        "news 3 n*",
    ];
    assert_eq!(heard(&mailbox), expected);
    drop(handle);
    assert_eq!(hub.publish(message("news", "5")), 0);
    assert_eq!(heard(&mailbox), [""; 0]);
}

/// Publishes again from inside, and leaves at a given text.
struct Echo {
    hub: Arc<Hub>,
    heard: Mutex<Vec<String>>,
    handle: Mutex<Option<Box<dyn ListenHandle>>>,
}

impl ListenerSink for Echo {
    fn event(&self, event: ListenerEvent) {
        let text = describe(&event);
        self.heard.lock().unwrap().push(text.clone());
        match text.as_str() {
            "c 1" => {
                assert_eq!(self.hub.publish(message("c", "2")), 1);
                assert_eq!(self.hub.publish(message("c", "3")), 1);
                self.heard.lock().unwrap().push("end of 1".into());
            }
            "c 2" => drop(self.handle.lock().unwrap().take()),
            _ => {}
        }
    }
}

#[test]
fn a_sink_may_publish_and_leave_from_inside_and_keeps_its_order() {
    let hub = Arc::new(Hub::default());
    let echo = Arc::new(Echo {
        hub: hub.clone(),
        heard: Mutex::default(),
        handle: Mutex::default(),
    });
    let handle = hub.listen(echo.clone(), ListenPolicy::default());
    handle.add(&names(&["c"]), &[]);
    *echo.handle.lock().unwrap() = Some(handle);
    hub.publish(message("c", "1"));
    let heard = echo.heard.lock().unwrap();
    assert_eq!(
        heard[1..],
        ["c 1", "end of 1", "c 2", "c 3"],
        "3 was received before 2 left"
    );
    drop(heard);
    assert_eq!(hub.publish(message("c", "4")), 0);
}

/// Fills its own buffer from inside.
struct Flood(Weak<Hub>, Mutex<Vec<String>>);

impl ListenerSink for Flood {
    fn event(&self, event: ListenerEvent) {
        let text = describe(&event);
        if text == "c 0" {
            for n in 1..10 {
                self.0
                    .upgrade()
                    .unwrap()
                    .publish(message("c", &n.to_string()));
            }
        }
        self.1.lock().unwrap().push(text);
    }
}

#[test]
fn what_waits_for_a_sink_is_bounded() {
    for (overrun, expected) in [
        (Overrun::DropOldest, vec!["c 0", "Dropped(7)", "c 8", "c 9"]),
        (Overrun::Disconnect, vec!["c 0", "Overrun"]),
    ] {
        let hub = Arc::new(Hub::default());
        let flood = Arc::new(Flood(Arc::downgrade(&hub), Mutex::default()));
        let policy = ListenPolicy {
            max_bytes: 2 * 66,
            overrun,
        };
        let handle = hub.listen(flood.clone(), policy);
        handle.add(&names(&["c"]), &[]);
        hub.publish(message("c", "0"));
        assert_eq!(flood.1.lock().unwrap()[1..], expected);
    }
}

#[test]
fn every_listener_hears_a_publisher_in_its_order_while_others_come_and_go() {
    let hub = Arc::new(Hub::default());
    let steady = Arc::new(Mailbox::new(Wake::new()));
    let handle = hub.listen(steady.clone(), ListenPolicy::default());
    handle.add(&names(&["c"]), &[]);
    std::thread::scope(|scope| {
        for publisher in 0..3 {
            let hub = &hub;
            scope.spawn(move || {
                for n in 0..500 {
                    hub.publish(message("c", &format!("{publisher}/{n}")));
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..200 {
                let handle =
                    hub.listen(Arc::new(Mailbox::new(Wake::new())), ListenPolicy::default());
                handle.add(&names(&["c"]), &patterns(&["*"]));
            }
        });
    });
    let heard = heard(&steady);
    for publisher in 0..3 {
        let prefix = format!("c {publisher}/");
        let mine = heard.iter().filter_map(|text| text.strip_prefix(&prefix));
        assert!(mine.eq((0..500).map(|n| n.to_string())));
    }
}
