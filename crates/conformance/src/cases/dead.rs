//! Messages that are given up: dead letters, and the way back.

use super::case;
use crate::{
    lab::{Lab, message, nack, publish, spec},
    run::Case,
    taker::{tags, text, texts},
};
use std::time::Duration;
use trunkline_model::{
    Admin, ConsumeSpec, Error, ErrorCode, Headers, Message, MessageFilter, Outcome, PeekFrom,
    Priority, RedriveEdit, RedriveTo, Redriven, Span, SubscriptionSettings, TopicName,
    TopicSettings, When, dead_letter,
};

pub(super) const CASES: &[Case] = &[
    case!(
        "a rejected message is a dead letter that tells where it comes from",
        [DEAD_LETTER],
        rejected
    ),
    case!(
        "after its last attempt a message is a dead letter",
        [DEAD_LETTER, ATTEMPTS, ACK_TIMEOUT],
        exhausted
    ),
    case!(
        "many messages given up at once arrive in their order",
        [DEAD_LETTER],
        many_at_once
    ),
    case!(
        "without a topic for dead letters they are dropped and counted",
        [DEAD_LETTER],
        dropped
    ),
    case!(
        "expired messages are dead letters where that is asked for",
        [DEAD_LETTER, TTL],
        expired
    ),
    case!(
        "a topic for dead letters is as durable as those that name it",
        [DEAD_LETTER],
        refused
    ),
    case!(
        "what takes dead letters stays as durable as they need",
        [DEAD_LETTER],
        stays_durable
    ),
    case!(
        "dead letters survive a restart, once",
        [DEAD_LETTER, RESTART],
        restarted
    ),
    case!(
        "dead letters go back to the subscription that gave them up",
        [DEAD_LETTER],
        driven_back
    ),
    case!(
        "dead letters are selected and edited on their way to another topic",
        [DEAD_LETTER],
        driven_elsewhere
    ),
    case!(
        "a redrive stops at its limit and goes on from there",
        [DEAD_LETTER],
        driven_in_pages
    ),
    case!(
        "dead letters that a consumer holds stay",
        [DEAD_LETTER],
        held_stay
    ),
];

const SHORT: Duration = Duration::from_millis(250);

/// Two topics: the second takes the dead letters of the first.
async fn topics(lab: &Lab, settings: TopicSettings) -> (TopicName, TopicName) {
    let grave = lab.topic("dead");
    let settings = TopicSettings {
        dead_letter: Some(grave.clone()),
        ..settings
    };
    (lab.define("t", settings).await, grave)
}

/// Publishes texts and has all of them rejected, in order.
async fn reject(lab: &Lab, topic: &TopicName, messages: &[&str]) {
    let taker = lab.consume(spec(&[(topic, "s")])).await;
    lab.publish(topic, messages).await;
    let tags = tags(&taker.take(messages.len()).await);
    for tag in tags {
        lab.done(nack(taker.id(), &[tag], false)).await;
        lab.settle().await;
    }
}

fn header<'a>(headers: &'a Headers, name: &str) -> &'a str {
    headers.get(name).unwrap_or("-")
}

async fn rejected(lab: Lab) {
    let (topic, grave) = topics(&lab, TopicSettings::default()).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    let mut own = message("1");
    own.headers.push("kind", "a");
    let id = lab.done(publish(&topic, vec![own])).await.ids[0];
    let delivery = taker.next().await;
    lab.done(nack(taker.id(), &[delivery.tag], false)).await;
    let undertaker = lab.consume(spec(&[(&grave, "s")])).await;
    let letter = undertaker.next().await;
    assert_eq!((text(&letter), letter.attempt), ("1".into(), 1));
    let headers = &letter.message.headers;
    let id = id.to_string();
    for (name, value) in [
        ("kind", "a"),
        (dead_letter::TOPIC, topic.as_str()),
        (dead_letter::SUBSCRIPTION, "s"),
        (dead_letter::REASON, "rejected"),
        (dead_letter::ATTEMPTS, "1"),
        (dead_letter::ID, id.as_str()),
    ] {
        assert_eq!(header(headers, name), value, "{name}");
    }
    lab.settle().await;
    let info = lab.inspect(&topic).await;
    assert_eq!((info.dead, info.messages), (1, 0));
    assert_eq!(
        (info.subscriptions[0].dead, info.subscriptions[0].in_flight),
        (1, 0)
    );
}

async fn exhausted(lab: Lab) {
    let settings = TopicSettings {
        max_attempts: Some(3),
        ack_timeout: Some(Span(SHORT)),
        ..TopicSettings::default()
    };
    let (topic, grave) = topics(&lab, settings).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    lab.publish(&topic, &["1"]).await;
    let first = taker.next().await;
    lab.done(nack(taker.id(), &[first.tag], true)).await;
    assert_eq!(taker.next().await.attempt, 2);
    lab.pass(SHORT * 2).await;
    assert_eq!(taker.next().await.attempt, 3);
    taker.handle.cancel();
    let undertaker = lab.consume(spec(&[(&grave, "s")])).await;
    let letter = undertaker.next().await;
    let headers = &letter.message.headers;
    assert_eq!(header(headers, dead_letter::REASON), "max-attempts");
    assert_eq!(header(headers, dead_letter::ATTEMPTS), "3");
    let (first, last) = (dead_letter::FIRST_AT, dead_letter::LAST_AT);
    assert!(header(headers, first) < header(headers, last));
}

async fn many_at_once(lab: Lab) {
    let (topic, grave) = topics(&lab, TopicSettings::default()).await;
    let wide = |topic| ConsumeSpec {
        credit: 1_000,
        ..spec(&[(topic, "s")])
    };
    let taker = lab.consume(wide(&topic)).await;
    let sent: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    let messages = sent.iter().map(|text| message(text)).collect();
    lab.done(publish(&topic, messages)).await;
    let tags = tags(&taker.take(sent.len()).await);
    lab.done(nack(taker.id(), &tags, false)).await;
    let undertaker = lab.consume(wide(&grave)).await;
    let letters = undertaker.take(sent.len()).await;
    assert_eq!(texts(&letters), sent);
    lab.settle().await;
    let info = lab.inspect(&topic).await;
    assert_eq!((info.dead, info.messages), (500, 0));
}

async fn dropped(lab: Lab) {
    let settings = TopicSettings {
        max_attempts: Some(1),
        ..TopicSettings::default()
    };
    let topic = lab.define("t", settings).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    lab.publish(&topic, &["1", "2"]).await;
    let tags = tags(&taker.take(2).await);
    lab.done(nack(taker.id(), &tags[..1], true)).await;
    lab.done(nack(taker.id(), &tags[1..], false)).await;
    lab.settle().await;
    let info = lab.inspect(&topic).await;
    assert_eq!((info.dropped, info.dead, info.messages), (2, 0, 0));
}

async fn expired(lab: Lab) {
    let settings = TopicSettings {
        dead_letter_expired: Some(true),
        ..TopicSettings::default()
    };
    let (topic, grave) = topics(&lab, settings).await;
    lab.subscribe(&topic, "s", None, Default::default()).await;
    let brief = Message {
        expires: Some(When::After(SHORT)),
        ..message("1")
    };
    lab.done(publish(&topic, vec![brief, message("2")])).await;
    lab.pass(SHORT * 2).await;
    let undertaker = lab.consume(spec(&[(&grave, "s")])).await;
    let letter = undertaker.next().await;
    assert_eq!(text(&letter), "1");
    assert_eq!(
        header(&letter.message.headers, dead_letter::REASON),
        "expired"
    );
    assert_eq!(letter.message.expires_at, None);
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    assert_eq!(taker.texts(1).await, ["2"]);
    lab.settle().await;
    let info = lab.inspect(&topic).await;
    assert_eq!((info.expired, info.dead), (1, 1));
}

async fn refused(lab: Lab) {
    let topic = lab.topic("t");
    let itself = TopicSettings {
        dead_letter: Some(topic.clone()),
        ..TopicSettings::default()
    };
    let refused = lab.try_define(&topic, itself).await;
    assert_eq!(refused.map_err(|e| e.code()), Err(ErrorCode::InvalidParams));
    let classes = lab.capabilities().durability;
    if let [weak, .., strong] = classes {
        let of = |durability, dead_letter| TopicSettings {
            durability: Some(durability),
            dead_letter,
            ..TopicSettings::default()
        };
        let grave = lab.define("weak", of(*weak, None)).await;
        let refused = lab.try_define(&topic, of(*strong, Some(grave))).await;
        assert_eq!(refused.map_err(|e| e.code()), Err(ErrorCode::Conflict));
    }
}

/// Who buries in a topic relies on it: it can't become weaker, or be made anew as a weaker one.
async fn stays_durable(lab: Lab) {
    let [weak, .., strong] = lab.capabilities().durability else {
        return;
    };
    let of = |durability, dead_letter| TopicSettings {
        durability: Some(durability),
        dead_letter,
        ..TopicSettings::default()
    };
    let conflict = |refused: Result<_, Error>| {
        assert_eq!(refused.map_err(|e| e.code()), Err(ErrorCode::Conflict));
    };
    let alter = |topic: &TopicName, settings| Admin::Alter {
        topic: topic.clone(),
        settings,
        clear: Vec::new(),
    };
    let grave = lab.define("grave", of(*strong, None)).await;
    let buries = lab.define("t", of(*strong, Some(grave.clone()))).await;
    let refused = lab.admin(alter(&grave, of(*weak, None))).await;
    conflict(refused.map(drop));
    lab.admin(alter(&buries, of(*weak, None)))
        .await
        .expect("it is altered");
    lab.admin(alter(&grave, of(*weak, None)))
        .await
        .expect("it is altered");
    // A subscription names it, too, and before it is there.
    let other = lab.define("other", of(*strong, None)).await;
    let made = lab.topic("made");
    let subscribe = Admin::Subscribe {
        topic: other.clone(),
        subscription: "s".parse().expect("a name"),
        from: None,
        settings: SubscriptionSettings {
            dead_letter: Some(made.clone()),
            ..SubscriptionSettings::default()
        },
    };
    lab.admin(subscribe).await.expect("it is made");
    conflict(lab.try_define(&made, of(*weak, None)).await.map(drop));
    lab.admin(Admin::Delete { topic: other })
        .await
        .expect("it is deleted");
    lab.define("made", of(*weak, None)).await;
}

async fn restarted(mut lab: Lab) {
    let settings = TopicSettings {
        max_attempts: Some(2),
        ..TopicSettings::default()
    };
    let (topic, grave) = topics(&lab, settings).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    lab.publish(&topic, &["1", "2"]).await;
    let tags = tags(&taker.take(2).await);
    lab.done(nack(taker.id(), &tags[..1], false)).await;
    // The second one is in flight at the stop: attempts go on counting.
    lab.restart().await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    assert_eq!(taker.next().await.attempt, 2);
    lab.restart().await;
    let undertaker = lab.consume(spec(&[(&grave, "s")])).await;
    assert_eq!(texts(&undertaker.take(2).await), ["1", "2"]);
    lab.settle().await;
    assert!(undertaker.rest().is_empty());
    let info = lab.inspect(&topic).await;
    assert_eq!((info.dead, info.messages), (2, 0));
}

async fn redrive(lab: &Lab, command: Admin) -> Redriven {
    match lab.admin(command).await {
        Ok(Outcome::Redriven(redriven)) => redriven,
        other => panic!("a redrive ended with {other:?}"),
    }
}

fn back(grave: &TopicName, from: PeekFrom, limit: usize) -> Admin {
    Admin::Redrive {
        topic: grave.clone(),
        filter: MessageFilter::default(),
        to: RedriveTo::Source,
        edit: RedriveEdit::default(),
        from,
        limit,
    }
}

async fn driven_back(lab: Lab) {
    let (topic, grave) = topics(&lab, TopicSettings::default()).await;
    reject(&lab, &topic, &["1", "2"]).await;
    let other = lab.consume(spec(&[(&topic, "other")])).await;
    let done = redrive(&lab, back(&grave, PeekFrom::Front, 9)).await;
    assert_eq!((done.moved, done.left, done.next), (2, 0, None));
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    let again = taker.take(2).await;
    assert_eq!(texts(&again), ["1", "2"]);
    assert!(
        again
            .iter()
            .all(|d| d.attempt == 1 && d.message.headers.is_empty())
    );
    lab.settle().await;
    assert!(other.rest().is_empty(), "it never gave them up");
    assert_eq!(lab.inspect(&grave).await.messages, 0);
}

async fn driven_elsewhere(lab: Lab) {
    let (topic, grave) = topics(&lab, TopicSettings::default()).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    let of_kind = |kind: &str| {
        let mut message = message(kind);
        message.headers.push("kind", kind);
        message
    };
    let messages = vec![of_kind("a"), of_kind("b"), of_kind("a")];
    lab.done(publish(&topic, messages)).await;
    let tags = tags(&taker.take(3).await);
    lab.done(nack(taker.id(), &tags, false)).await;
    lab.settle().await;
    let settings = TopicSettings {
        priorities: Some(2),
        ..TopicSettings::default()
    };
    let target = lab.define("new", settings).await;
    let command = Admin::Redrive {
        topic: grave.clone(),
        filter: MessageFilter {
            header: Some(("kind".into(), Some("a".into()))),
            ..MessageFilter::default()
        },
        to: RedriveTo::Topic(target.clone()),
        edit: RedriveEdit {
            payload: Some(("mended".into(), "text/plain".into())),
            priority: Some(Priority(1)),
            headers: vec![("kind".into(), None), ("by".into(), Some("hand".into()))],
        },
        from: PeekFrom::Front,
        limit: 9,
    };
    let done = redrive(&lab, command).await;
    assert_eq!((done.moved, done.left), (2, 0));
    let taker = lab.consume(spec(&[(&target, "s")])).await;
    let moved = taker.take(2).await;
    assert_eq!(texts(&moved), ["mended", "mended"]);
    for delivery in moved {
        let message = delivery.message;
        assert_eq!(message.priority, Priority(1));
        assert_eq!(message.headers.iter().collect::<Vec<_>>(), [("by", "hand")]);
    }
    assert_eq!(lab.inspect(&grave).await.messages, 1);
}

async fn driven_in_pages(lab: Lab) {
    let (topic, grave) = topics(&lab, TopicSettings::default()).await;
    reject(&lab, &topic, &["1", "2", "3"]).await;
    let first = redrive(&lab, back(&grave, PeekFrom::Front, 2)).await;
    assert_eq!(first.moved, 2);
    let next = PeekFrom::After(first.next.expect("there is more"));
    let second = redrive(&lab, back(&grave, next, 2)).await;
    assert_eq!((second.moved, second.next), (1, None));
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    assert_eq!(taker.texts(3).await, ["1", "2", "3"]);
}

async fn held_stay(lab: Lab) {
    let (topic, grave) = topics(&lab, TopicSettings::default()).await;
    reject(&lab, &topic, &["1", "2"]).await;
    let mut one = spec(&[(&grave, "s")]);
    one.credit = 1;
    let undertaker = lab.consume(one).await;
    assert_eq!(text(&undertaker.next().await), "1");
    let done = redrive(&lab, back(&grave, PeekFrom::Front, 9)).await;
    assert_eq!((done.moved, done.left), (1, 1));
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    assert_eq!(taker.texts(1).await, ["2"]);
}
