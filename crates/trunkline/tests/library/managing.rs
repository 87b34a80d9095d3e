//! Looking at topics and changing them.

use crate::setup;
use serde_json::json;
use std::time::Duration;
use trunkline::{
    Durability, ErrorCode, Message, MessageFilter, MessageState, PeekOptions, RedriveOptions, Span,
    SubscriptionSettings, TopicSettings,
};

#[tokio::test]
async fn a_publish_tells_how_durable_it_is() {
    let setup = setup().await;
    let confirmation = setup.client.send_all("t", ["a", "b"]).await.unwrap();
    let published = confirmation.receipt().await.unwrap();
    assert_eq!(published.ids.len(), 2);
    assert_eq!(published.durability, Some(Durability::Memory));
    let info = setup.client.topic("t").inspect().await.unwrap();
    assert_eq!(
        (info.durability, info.number),
        (Durability::Memory, published.ids[0].topic)
    );
}

#[tokio::test]
async fn options_are_changed_and_taken_back() {
    let setup = setup().await;
    let topic = setup.client.topic("t");
    let hour = |hours: u64| Some(Span(Duration::from_secs(hours * 3_600)));
    let ttl = |hours: u64| TopicSettings {
        ttl: hour(hours),
        ..TopicSettings::default()
    };
    topic.declare(&ttl(1)).await.unwrap();
    let altered = topic.alter(&ttl(2), &[]).await.unwrap();
    assert_eq!(altered.changed.len(), 1);
    let change = &altered.changed[0];
    assert_eq!(
        (change.option.as_str(), &change.from, &change.to),
        ("ttl", &json!("1h"), &json!("2h"))
    );
    topic
        .alter(&TopicSettings::default(), &["ttl"])
        .await
        .unwrap();
    assert_eq!(topic.inspect().await.unwrap().options.ttl, None);

    topic.subscribe("s").await.unwrap();
    let own = SubscriptionSettings {
        ack_timeout: hour(1),
        ..SubscriptionSettings::default()
    };
    topic.alter_subscription("s", &own, &[]).await.unwrap();
    let info = topic.inspect().await.unwrap();
    assert_eq!(info.subscriptions[0].options.ack_timeout, hour(1));

    setup
        .client
        .publish_all("t", ["1", "2", "3"])
        .await
        .unwrap();
    let bound = TopicSettings {
        max_messages: Some(1),
        ..TopicSettings::default()
    };
    let altered = topic.alter(&bound, &[]).await.unwrap();
    assert_eq!(altered.messages_above, 2);
    let memory = TopicSettings {
        dedupe: Some(trunkline::Dedupe::Latest),
        ..TopicSettings::default()
    };
    let refused = topic.alter(&memory, &[]).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::Conflict), "{refused}");
}

#[tokio::test]
async fn messages_are_found_and_paged_through() {
    let setup = setup().await;
    let topic = setup.client.topic("t");
    let priorities = TopicSettings {
        priorities: Some(3),
        ..TopicSettings::default()
    };
    topic.declare(&priorities).await.unwrap();
    topic.subscribe("s").await.unwrap();
    for number in 0..30u8 {
        let message = Message::text(number.to_string())
            .key(format!("k{}", number % 2))
            .publish_id(format!("p{number}"))
            .priority(number % 3);
        setup.client.publish("t", message).await.unwrap();
    }
    let mut consumer = setup.client.consume("t", "s").credit(1).await.unwrap();
    let held = consumer.try_next().await.unwrap().unwrap();

    let mut look = PeekOptions {
        subscription: Some("s".to_owned()),
        limit: Some(4),
        filter: MessageFilter::new().key("k1"),
        state: Some(MessageState::Waiting),
        ..PeekOptions::default()
    };
    let mut found = Vec::new();
    loop {
        let page = topic.peek(&look).await.unwrap();
        for message in page.messages {
            assert_eq!((message.key.as_deref(), message.attempts), (Some("k1"), 0));
            let number: u8 = message.text().unwrap().parse().unwrap();
            assert_eq!(
                message.publish_id.as_deref(),
                Some(format!("p{number}").as_str())
            );
            found.push((message.priority, number));
        }
        match page.next {
            Some(next) => look.from = next,
            None => break,
        }
    }
    assert!(found.is_sorted() && found.len() == 15, "{found:?}");

    let one = PeekOptions {
        filter: MessageFilter::new().id(held.id),
        subscription: Some("s".to_owned()),
        ..PeekOptions::default()
    };
    let peeked = topic.peek(&one).await.unwrap();
    assert_eq!(peeked.messages[0].state, Some(MessageState::InFlight));
    assert_eq!(peeked.messages[0].attempts, 1);
    let info = topic.inspect().await.unwrap();
    let subscription = &info.subscriptions[0];
    assert_eq!(subscription.by_priority, [9, 10, 10]);
    assert_eq!(subscription.oldest_at, info.oldest_at);
    assert!(info.oldest_at.is_some());
}

#[tokio::test]
async fn dead_letters_are_driven_back_changed_and_in_pages() {
    let setup = setup().await;
    let (client, topic) = (&setup.client, setup.client.topic("t"));
    let settings = TopicSettings {
        dead_letter: Some("dead".parse().unwrap()),
        ..TopicSettings::default()
    };
    topic.declare(&settings).await.unwrap();
    client.topic("dead").subscribe("audit").await.unwrap();
    let mut consumer = client.consume("t", "s").await.unwrap();
    for number in 0..5 {
        let message = Message::text(number.to_string()).key("k").header("a", "b");
        client.publish("t", message).await.unwrap();
        let delivery = consumer.try_next().await.unwrap().unwrap();
        delivery.reject().await.unwrap();
    }
    // They arrive a moment after they were rejected.
    let dead = client.topic("dead");
    while dead.inspect().await.unwrap().messages < 5 {}
    assert_eq!(topic.inspect().await.unwrap().dead, 5);
    let letters = dead.peek(&PeekOptions::default()).await.unwrap().messages;
    assert_eq!(letters[0].headers["trunkline-dead-reason"], "rejected");

    let mut redrive = RedriveOptions {
        filter: MessageFilter::new().key("k"),
        limit: Some(2),
        payload: Some(Message::json(&[1.5]).unwrap()),
        headers: vec![("a".to_owned(), None)],
        ..RedriveOptions::default()
    };
    let mut moved = 0;
    loop {
        let page = dead.redrive(&redrive).await.unwrap();
        assert!(page.moved <= 2 && page.left == 0, "{page:?}");
        moved += page.moved;
        match page.next {
            Some(next) => redrive.from = next,
            None => break,
        }
    }
    assert_eq!(moved, 5);
    let delivery = consumer.try_next().await.unwrap().unwrap();
    assert_eq!(
        (delivery.json::<[f64; 1]>().unwrap(), delivery.attempt()),
        ([1.5], 1)
    );
    assert!(delivery.headers.is_empty(), "{:?}", delivery.headers);
    let nowhere = client
        .topic("nowhere")
        .redrive(&RedriveOptions::default())
        .await;
    assert_eq!(nowhere.unwrap_err().code(), Some(ErrorCode::NotFound));
}
