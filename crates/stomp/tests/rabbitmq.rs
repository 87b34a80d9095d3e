//! The asynchronous client against a real RabbitMQ with its STOMP plugin, in all versions.
//!
//! `cargo xtask test` finds or installs the broker. Without it these tests say so and pass, unless `CI` or
//! `TRUNKLINE_TEST_REQUIRED` is set.
#![allow(clippy::unwrap_used, reason = "a test says what it expects")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the other side of the shell"
)]

use bytes::Bytes;
use std::future::IntoFuture;
use std::time::Duration;
use tokio::time::timeout;
use trunkline_stomp::{
    AckMode, Client, ClientBuilder, ClientError, ErrorCode, Event, Events, Message, Subscription,
    Version,
};
use trunkline_test_servers::RabbitMq;

const VERSIONS: [Version; 3] = [Version::V1_0, Version::V1_1, Version::V1_2];

/// For one step, on a machine that has other things to do.
const STEP_MAX: Duration = Duration::from_secs(60);

async fn soon<T>(step: impl IntoFuture<Output = T>) -> T {
    let step = timeout(STEP_MAX, step.into_future()).await;
    step.expect("a step took too long")
}

fn builder(broker: &RabbitMq) -> ClientBuilder {
    let address = broker.stomp();
    Client::builder(address.ip().to_string(), address.port())
        .login("guest", "guest")
        .vhost("/")
}

async fn connect(broker: &RabbitMq, version: Version) -> Client {
    soon(builder(broker).versions(&[version]).connect())
        .await
        .unwrap()
}

/// A destination of a test and version alone.
fn place(kind: &str, test: &str, version: Version) -> String {
    format!("/{kind}/{test}-{version}")
}

/// Sends, and waits until the broker has all of it.
async fn store(client: &Client, destination: &str, bodies: &[&'static str]) {
    for body in bodies {
        let send = client
            .send(destination, *body)
            .header("persistent", "true")
            .receipt("auto");
        soon(send).await.unwrap();
    }
}

async fn take(subscription: &mut Subscription) -> Message {
    soon(subscription.next()).await.unwrap().unwrap()
}

async fn take_all<const N: usize>(subscription: &mut Subscription) -> [Message; N] {
    let mut messages = Vec::new();
    while messages.len() < N {
        messages.push(take(subscription).await);
    }
    messages.try_into().unwrap()
}

fn text(message: &Message) -> &str {
    std::str::from_utf8(message.body()).unwrap()
}

/// What waits in a queue beside a message that is sent now. That one may overtake what a connection that ends
/// gives back.
async fn left(client: &Client, queue: &str, expected: &[&str]) {
    let mut subscription = soon(client.subscribe(queue)).await.unwrap();
    store(client, queue, &["sent now"]).await;
    let mut found = Vec::new();
    while found.len() <= expected.len() {
        found.push(take(&mut subscription).await);
    }
    let bodies = found.iter().map(text).filter(|body| *body != "sent now");
    assert_eq!(bodies.collect::<Vec<_>>(), expected, "in {queue}");
    soon(subscription.unsubscribe()).await.unwrap();
}

async fn end(client: Client) {
    soon(client.disconnect()).await.unwrap();
}

/// The first event for which `wanted` gives something.
async fn event<T>(events: &mut Events, wanted: impl Fn(Event) -> Option<T>) -> T {
    let look = async {
        loop {
            let event = events.next().await.expect("the client is there");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    };
    soon(look).await
}

fn error(event: Event) -> Option<ClientError> {
    match event {
        Event::Error(error) => Some(error),
        _ => None,
    }
}

#[tokio::test]
async fn the_version_is_agreed() {
    let Some(broker) = RabbitMq::shared() else {
        return;
    };
    let offers = VERSIONS.iter().map(|version| (vec![*version], *version));
    for (offered, agreed) in offers.chain([(VERSIONS.to_vec(), Version::V1_2)]) {
        let client = soon(builder(broker).versions(&offered).connect())
            .await
            .unwrap();
        let ready = |event| match event {
            Event::Ready { version, session } => Some((version, session)),
            _ => None,
        };
        let (version, session) = event(&mut client.events(), ready).await;
        assert_eq!(version, agreed, "of {offered:?}");
        assert!(!session.is_empty());
        end(client).await;
    }
}

#[tokio::test]
async fn bodies_and_headers_come_back_as_they_were() {
    let Some(broker) = RabbitMq::shared() else {
        return;
    };
    for version in VERSIONS {
        let client = connect(broker, version).await;
        let queue = place("queue", "bodies", version);
        let mut subscription = soon(client.subscribe(&queue)).await.unwrap();
        let trace = match version {
            Version::V1_0 => "plain",
            _ => "a:b\\c\nd",
        };
        let every_byte: Vec<u8> = (0..=255).chain([0]).collect();
        for body in [
            Bytes::from("grüße"),
            Bytes::new(),
            Bytes::from(every_byte),
            Bytes::from(vec![b'x'; 1 << 20]),
        ] {
            let send = client.send(&queue, body.clone()).header("trace", trace);
            soon(send.receipt("auto")).await.unwrap();
            let message = take(&mut subscription).await;
            assert_eq!(message.body(), &body);
            assert_eq!(message.header("trace"), Some(trace));
            assert_eq!(message.destination(), queue);
        }
        end(client).await;
    }
}

#[tokio::test]
async fn receipts_come_whatever_waits_before_them() {
    let Some(broker) = RabbitMq::shared() else {
        return;
    };
    for version in VERSIONS {
        let client = connect(broker, version).await;
        let queue = place("queue", "receipts", version);
        let sends: Vec<_> = (0..300)
            .map(|number| {
                let send = client.send(&queue, format!("{number}"));
                send.receipt("auto").start()
            })
            .collect();
        for sent in sends {
            assert!(soon(sent).await.unwrap().is_some());
        }
        let mut subscription = soon(client.subscribe(&queue)).await.unwrap();
        for number in 0..300 {
            assert_eq!(text(&take(&mut subscription).await), number.to_string());
        }
        end(client).await;
    }
}

#[tokio::test]
async fn messages_are_acknowledged_in_all_modes() {
    let Some(broker) = RabbitMq::shared() else {
        return;
    };
    for version in VERSIONS {
        for (mode, left_over) in [
            (AckMode::Auto, &[][..]),
            (AckMode::Client, &["4"]),
            (AckMode::ClientIndividual, &["1", "2", "4"]),
        ] {
            let queue = place("queue", mode.as_str(), version);
            let client = connect(broker, version).await;
            store(&client, &queue, &["1", "2", "3", "4"]).await;
            let mut subscription = soon(client.subscribe(&queue).ack(mode)).await.unwrap();
            let messages: [Message; 4] = take_all(&mut subscription).await;
            assert_eq!(messages.each_ref().map(text), ["1", "2", "3", "4"]);
            let ack = soon(client.ack(&messages[2]).receipt("auto")).await;
            match mode {
                AckMode::Auto => assert_eq!(ack.unwrap_err().code, ErrorCode::Operation),
                _ => assert!(ack.unwrap().is_some()),
            }
            // It was: nothing is sent a second time.
            let again = soon(client.ack(&messages[2])).await.unwrap_err();
            assert_eq!(again.code, ErrorCode::Operation);
            end(client).await;

            let client = connect(broker, version).await;
            left(&client, &queue, left_over).await;
            end(client).await;
        }
    }
}

#[tokio::test]
async fn what_is_refused_comes_again() {
    let Some(broker) = RabbitMq::shared() else {
        return;
    };
    for version in [Version::V1_1, Version::V1_2] {
        let client = connect(broker, version).await;
        let queue = place("queue", "nack", version);
        store(&client, &queue, &["1", "2"]).await;
        let subscribe = client.subscribe(&queue).ack(AckMode::ClientIndividual);
        let mut subscription = soon(subscribe).await.unwrap();
        let [first, second] = take_all(&mut subscription).await;
        assert_eq!(first.header("redelivered"), Some("false"));
        soon(client.nack(&first)).await.unwrap();
        let again = take(&mut subscription).await;
        assert_eq!(
            (text(&again), again.header("redelivered")),
            ("1", Some("true"))
        );
        for message in [&again, &second] {
            soon(client.ack(message).receipt("auto")).await.unwrap();
        }
        end(client).await;
        let client = connect(broker, version).await;
        left(&client, &queue, &[]).await;
        end(client).await;
    }
}

#[tokio::test]
async fn transactions_count_when_they_are_committed() {
    let Some(broker) = RabbitMq::shared() else {
        return;
    };
    for version in VERSIONS {
        let client = connect(broker, version).await;
        let (from, to) = (
            place("queue", "from", version),
            place("queue", "to", version),
        );
        store(&client, &from, &["1", "2", "3"]).await;
        let subscribe = client.subscribe(&from).ack(AckMode::ClientIndividual);
        let mut subscription = soon(subscribe).await.unwrap();
        let messages: [Message; 3] = take_all(&mut subscription).await;
        for (transaction, message) in ["aborted", "committed", "open"].iter().zip(&messages) {
            soon(client.begin(transaction)).await.unwrap();
            let send = client.send(&to, *transaction).transaction(transaction);
            soon(send).await.unwrap();
            let ack = client.ack(message).transaction(transaction);
            soon(ack).await.unwrap();
        }
        soon(client.abort("aborted").receipt("auto")).await.unwrap();
        soon(client.commit("committed").receipt("auto"))
            .await
            .unwrap();
        end(client).await;

        let client = connect(broker, version).await;
        left(&client, &to, &["committed"]).await;
        left(&client, &from, &["1", "3"]).await;
        end(client).await;
    }
}

#[tokio::test]
async fn a_durable_subscription_gets_what_came_while_it_was_away() {
    let Some(broker) = RabbitMq::shared() else {
        return;
    };
    for version in VERSIONS {
        let topic = place("topic", "durable", version);
        let subscribe = |client: &Client| {
            let subscribe = client.subscribe(&topic).id("here").ack(AckMode::Client);
            let subscribe = subscribe.header("durable", "true");
            subscribe.header("auto-delete", "false").start()
        };
        let client = connect(broker, version).await;
        soon(subscribe(&client).ready()).await.unwrap();
        client.force_disconnect();

        let client = connect(broker, version).await;
        store(&client, &topic, &["while it was away"]).await;
        let mut subscription = subscribe(&client);
        let message = take(&mut subscription).await;
        assert_eq!(text(&message), "while it was away");
        soon(client.ack(&message).receipt("auto")).await.unwrap();
        let unsubscribe = client.unsubscribe("here").header("durable", "true");
        soon(unsubscribe.header("auto-delete", "false"))
            .await
            .unwrap();
        store(&client, &topic, &["for nobody"]).await;
        let mut subscription = soon(client.subscribe(&topic)).await.unwrap();
        store(&client, &topic, &["for somebody"]).await;
        assert_eq!(text(&take(&mut subscription).await), "for somebody");
        end(client).await;
    }
}

#[tokio::test]
async fn an_error_fails_the_operation_that_it_names() {
    let Some(broker) = RabbitMq::shared() else {
        return;
    };
    for version in VERSIONS {
        let client = connect(broker, version).await;
        let refused = soon(client.subscribe("/nowhere/at/all")).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Operation);
        let frame = refused.frame.expect("an ERROR");
        let said = String::from_utf8_lossy(&frame.body).into_owned();
        assert!(said.contains("/nowhere/at/all"), "{said}");
        // Whether the broker closes or not: the client goes on.
        let queue = place("queue", "after-error", version);
        store(&client, &queue, &["after it"]).await;
        left(&client, &queue, &["after it"]).await;
        end(client).await;
    }
}

#[tokio::test]
async fn a_refused_login_says_why() {
    let Some(broker) = RabbitMq::shared() else {
        return;
    };
    for version in VERSIONS {
        let wrong = builder(broker).login("guest", "wrong").versions(&[version]);
        let refused = soon(wrong.connect()).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Operation, "{refused:?}");
        assert!(refused.frame.is_some());
        let wrong = builder(broker).vhost("/nowhere").versions(&[version]);
        let refused = soon(wrong.connect()).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Operation, "{refused:?}");
    }
}

#[tokio::test]
async fn heart_beats_keep_a_connection_and_silence_kills_it_like_the_end_of_the_broker() {
    let Some(mut broker) = RabbitMq::start() else {
        return;
    };
    for version in [Version::V1_1, Version::V1_2] {
        let client = builder(&broker).versions(&[version]).heartbeat(300, 300);
        let client = soon(client.connect()).await.unwrap();
        let mut events = client.events();
        // Longer than either side bears silence.
        let idle = timeout(Duration::from_secs(6), event(&mut events, error)).await;
        assert!(idle.is_err(), "{idle:?}");
        let queue = place("queue", "beats", version);
        store(&client, &queue, &["still connected"]).await;

        broker.pause();
        let silence = event(&mut events, error).await;
        broker.resume();
        assert_eq!(silence.code, ErrorCode::ReadTimedOut);
        // The next operation connects again.
        left(&client, &queue, &["still connected"]).await;
        end(client).await;
    }

    let client = connect(&broker, Version::V1_2).await;
    let mut events = client.events();
    store(&client, "/queue/killed", &["kept"]).await;
    let mut subscription = soon(client.subscribe("/queue/other")).await.unwrap();
    broker.kill();
    let lost = event(&mut events, error).await;
    assert_eq!(lost.code, ErrorCode::ClosedByRemoteHost, "{lost:?}");
    let told = soon(subscription.next()).await.unwrap().unwrap_err();
    assert_eq!(told.code, lost.code);
    assert!(soon(subscription.next()).await.is_none());
    let refused = soon(client.send("/queue/killed", "x").receipt("auto")).await;
    assert_eq!(refused.unwrap_err().code, ErrorCode::CantConnect);
    broker.restart();
    left(&client, "/queue/killed", &["kept"]).await;
    end(client).await;
}
