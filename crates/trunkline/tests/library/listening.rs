//! Listeners: who listens hears, and hears about what it may have missed.

use crate::setup;
use futures_util::FutureExt;
use trunkline::{Listener, ListenerEvent, Message};

async fn heard(listener: &mut Listener) -> String {
    match listener.try_next().await.unwrap().unwrap() {
        ListenerEvent::Message(message) => {
            let by = message.pattern.as_deref().unwrap_or("name");
            format!("{} by {by}: {}", message.channel, message.text().unwrap())
        }
        ListenerEvent::Dropped(count) => format!("dropped {count}"),
        ListenerEvent::Lost => "lost".to_owned(),
        ListenerEvent::Active { .. } => "active".to_owned(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn each_listener_hears_what_it_named_and_is_told_of_gaps() {
    let setup = setup().await;
    let mut named = setup.client.listen().channel("news.a").await.unwrap();
    let mut all = setup.client.listen().pattern("news.*").await.unwrap();
    let reached = setup.direct.publish_channel("news.a", "1").await.unwrap();
    assert_eq!(reached, Some(2));
    setup.direct.publish_channel("news.b", "2").await.unwrap();
    assert_eq!(heard(&mut named).await, "news.a by name: 1");
    assert_eq!(heard(&mut all).await, "news.a by news.*: 1");
    assert_eq!(heard(&mut all).await, "news.b by news.*: 2");
    assert!(named.try_next().now_or_never().is_none());

    setup.relay.cut();
    for listener in [&mut named, &mut all] {
        assert_eq!(heard(listener).await, "lost");
        assert_eq!(heard(listener).await, "active");
    }
    setup.direct.publish_channel("news.a", "3").await.unwrap();
    assert_eq!(heard(&mut named).await, "news.a by name: 3");
    assert_eq!(heard(&mut all).await, "news.a by news.*: 3");
}

#[tokio::test]
async fn a_name_is_let_go_with_its_last_listener() {
    let setup = setup().await;
    let first = setup.client.listen().channel("a").await.unwrap();
    let mut second = setup.client.listen().channel("a").await.unwrap();
    drop(first);
    let json = Message::json(&[1]).unwrap();
    assert_eq!(
        setup.client.publish_channel("a", json).await.unwrap(),
        Some(1)
    );
    assert_eq!(heard(&mut second).await, "a by name: [1]");
    drop(second);
    // Behind the farewell on the same connection.
    assert_eq!(
        setup.client.publish_channel("a", "x").await.unwrap(),
        Some(0)
    );
}

#[tokio::test]
async fn a_slow_listener_loses_the_oldest_and_knows_how_many() {
    let setup = setup().await;
    let mut listener = setup.client.listen().channel("a").buffer(3).await.unwrap();
    for number in 0..10 {
        let number = number.to_string();
        setup.client.publish_channel("a", number).await.unwrap();
    }
    // The last message may be behind the answer to its publish.
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last| last != "a by name: 9") {
        seen.push(heard(&mut listener).await);
    }
    let dropped: u64 = seen
        .iter()
        .filter_map(|event| event.strip_prefix("dropped ")?.parse::<u64>().ok())
        .sum();
    let messages = seen
        .iter()
        .filter(|event| event.contains("by name"))
        .count() as u64;
    assert_eq!(dropped + messages, 10, "{seen:?}");
    assert!(dropped >= 6, "{seen:?}");
}
