//! Looking at messages, which disturbs nothing.

use super::case;
use crate::{
    lab::{Lab, message, nack, name, publish, spec},
    run::Case,
    taker::tags,
};
use trunkline_model::{
    Admin, Message, MessageFilter, MessageId, MessageState, Outcome, PeekFrom, PeekedMessage,
    PeekedPage, Priority, SubscriptionSettings, TopicName, TopicSettings,
};

pub(super) const CASES: &[Case] = &[
    case!("peek shows and disturbs nothing", [PEEK], peek),
    case!(
        "peek shows a subscription's order",
        [PEEK, PRIORITIES],
        peek_subscription
    ),
    case!(
        "peek tells what waits from what is in flight, with attempts",
        [PEEK, ATTEMPTS],
        states
    ),
    case!("pages go on where they ended", [PEEK, PRIORITIES], pages),
    case!(
        "key, header, time and identity select messages",
        [PEEK],
        filters
    ),
];

const ALL: MessageFilter = MessageFilter {
    key: None,
    group: None,
    header: None,
    since: None,
    until: None,
    id: None,
    state: None,
};

async fn page(
    lab: &Lab,
    topic: &TopicName,
    subscription: Option<&str>,
    from: PeekFrom,
    filter: &MessageFilter,
) -> PeekedPage {
    let command = Admin::Peek {
        topic: topic.clone(),
        subscription: subscription.map(name),
        limit: 2,
        from,
        filter: filter.clone(),
    };
    match lab.admin(command).await {
        Ok(Outcome::Peeked(page)) => page,
        other => panic!("peeking ended with {other:?}"),
    }
}

fn bodies(messages: &[PeekedMessage]) -> Vec<&str> {
    let texts = messages
        .iter()
        .map(|peeked| str::from_utf8(&peeked.message.payload));
    texts.map(|text| text.expect("cases send text")).collect()
}

async fn peek(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let ids = lab.publish(&topic, &["1", "2", "3"]).await;
    let front = page(&lab, &topic, None, PeekFrom::Front, &ALL).await;
    assert_eq!(bodies(&front.messages), ["1", "2"]);
    assert_eq!(front.messages[0].id, ids[0]);
    let later = page(&lab, &topic, None, PeekFrom::Id(ids[1]), &ALL).await;
    assert_eq!(bodies(&later.messages), ["2", "3"]);
    assert_eq!(later.next, None);
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    let deliveries = taker.take(3).await;
    assert!(deliveries.iter().all(|delivery| delivery.attempt == 1));
}

fn urgent(text: &str, priority: u8) -> Message {
    Message {
        priority: Some(Priority(priority)),
        ..message(text)
    }
}

async fn four_priorities(lab: &Lab) -> TopicName {
    let settings = TopicSettings {
        priorities: Some(4),
        ..TopicSettings::default()
    };
    let topic = lab.define("t", settings).await;
    lab.subscribe(&topic, "s", None, SubscriptionSettings::default())
        .await;
    topic
}

async fn peek_subscription(lab: Lab) {
    let topic = four_priorities(&lab).await;
    let messages = vec![urgent("2", 2), urgent("1", 1), urgent("0", 0)];
    lab.done(publish(&topic, messages)).await;
    let front = page(&lab, &topic, Some("s"), PeekFrom::Front, &ALL).await;
    assert_eq!(bodies(&front.messages), ["0", "1"]);
    let subscription = &lab.inspect(&topic).await.subscriptions[0];
    assert_eq!(subscription.by_priority, [1, 1, 1]);
}

async fn states(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let mut two = spec(&[(&topic, "s")]);
    two.credit = 2;
    let taker = lab.consume(two).await;
    lab.publish(&topic, &["1", "2", "3"]).await;
    let taken = taker.take(2).await;
    taker.handle.credit(0);
    lab.done(nack(taker.id(), &tags(&taken[..1]), true)).await;
    let mut shown = Vec::new();
    let mut from = PeekFrom::Front;
    loop {
        let page = page(&lab, &topic, Some("s"), from, &ALL).await;
        shown.extend(page.messages);
        match page.next {
            Some(next) => from = PeekFrom::After(next),
            None => break,
        }
    }
    let told: Vec<_> = shown.iter().map(|p| (p.state, p.attempts)).collect();
    assert_eq!(bodies(&shown), ["1", "3", "2"]);
    let (waits, flies) = (Some(MessageState::Waiting), Some(MessageState::InFlight));
    assert_eq!(told, [(waits, 1), (waits, 0), (flies, 1)]);
    let in_flight = MessageFilter {
        state: flies,
        ..ALL
    };
    let only = page(&lab, &topic, Some("s"), PeekFrom::Front, &in_flight).await;
    assert_eq!(bodies(&only.messages), ["2"]);
}

async fn pages(lab: Lab) {
    let topic = four_priorities(&lab).await;
    let some = [("a", 1), ("b", 3), ("c", 0), ("d", 1), ("e", 3)];
    let messages = some.map(|(text, priority)| urgent(text, priority));
    lab.done(publish(&topic, messages.to_vec())).await;
    let first = page(&lab, &topic, Some("s"), PeekFrom::Front, &ALL).await;
    assert_eq!(bodies(&first.messages), ["c", "a"]);
    // What has come meanwhile in front of the cursor is not shown, nothing is shown twice.
    lab.done(publish(&topic, vec![urgent("f", 0), urgent("g", 1)]))
        .await;
    let (mut next, mut shown) = (first.next, Vec::new());
    while let Some(cursor) = next {
        let page = page(&lab, &topic, Some("s"), PeekFrom::After(cursor), &ALL).await;
        shown.extend(page.messages);
        next = page.next;
    }
    assert_eq!(bodies(&shown), ["d", "g", "b", "e"]);
}

async fn filters(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    lab.subscribe(&topic, "s", None, SubscriptionSettings::default())
        .await;
    let mut headed = message("header");
    headed.headers.push("kind", "a");
    let keyed = Message {
        key: Some("k".into()),
        ..message("key")
    };
    let ids: Vec<MessageId> = lab
        .done(publish(&topic, vec![message("none"), keyed, headed]))
        .await
        .ids
        .to_vec();
    let all = page(&lab, &topic, None, PeekFrom::Front, &ALL).await;
    let published = all.messages[0].message.published_at;
    let filters = [
        (
            MessageFilter {
                key: Some("k".into()),
                ..ALL
            },
            "key",
        ),
        (
            MessageFilter {
                header: Some(("kind".into(), Some("a".into()))),
                ..ALL
            },
            "header",
        ),
        (
            MessageFilter {
                id: Some(ids[0]),
                since: Some(published),
                ..ALL
            },
            "none",
        ),
        (
            MessageFilter {
                until: Some(published),
                ..ALL
            },
            "",
        ),
    ];
    for (filter, expected) in filters {
        for subscription in [None, Some("s")] {
            let found = page(&lab, &topic, subscription, PeekFrom::Front, &filter).await;
            assert_eq!(bodies(&found.messages).join(" "), expected, "{filter:?}");
            assert_eq!(found.next, None);
        }
    }
}
