//! Several commands as one.

use super::case;
use crate::{
    lab::{Lab, ack, message, publish, spec},
    run::Case,
    taker::tags,
};
use smallvec::SmallVec;
use trunkline_model::{Batch, Command, ErrorCode, Message, Priority, TopicSettings};

pub(super) const CASES: &[Case] = &[
    case!(
        "a batch over topics is all or nothing",
        [ATOMIC],
        all_or_nothing
    ),
    case!(
        "a strict batch fails if a delivery is no longer held",
        [ATOMIC_TOPIC],
        strict
    ),
    case!(
        "a batch that is not strict skips what is no longer held",
        [],
        not_strict
    ),
    case!("settle and publish go together", [], settle_and_publish),
    case!("an empty batch is done", [], empty),
];

fn batch(commands: impl IntoIterator<Item = Command>, strict: bool) -> Batch {
    Batch {
        commands: SmallVec::from_iter(commands),
        strict,
    }
}

async fn all_or_nothing(lab: Lab) {
    let (a, b) = (
        lab.define("a", TopicSettings::default()).await,
        lab.define("b", TopicSettings::default()).await,
    );
    let taker = lab.consume(spec(&[(&a, "s"), (&b, "s")])).await;
    let bad = Message {
        priority: Some(Priority(200)),
        ..message("bad")
    };
    let commands = [publish(&a, vec![message("no")]), publish(&b, vec![bad])];
    let refused = lab.submit(batch(commands, false)).await;
    assert!(refused.is_err());
    let commands = [
        publish(&a, vec![message("1")]),
        publish(&b, vec![message("2")]),
    ];
    let ids = lab.submit(batch(commands, false)).await.expect("taken").ids;
    assert_eq!(ids.len(), 2);
    let mut texts = taker.texts(2).await;
    texts.sort();
    assert_eq!(texts, ["1", "2"]);
}

async fn strict(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    lab.publish(&topic, &["1", "2"]).await;
    let tags = tags(&taker.take(2).await);
    lab.done(ack(taker.id(), &tags[..1])).await;
    let commands = [publish(&topic, vec![message("no")]), ack(taker.id(), &tags)];
    let refused = lab.submit(batch(commands, true)).await.map(|_| ());
    assert_eq!(
        refused.map_err(|error| error.code()),
        Err(ErrorCode::Conflict)
    );
    let commands = [
        publish(&topic, vec![message("3")]),
        ack(taker.id(), &tags[1..]),
    ];
    assert_eq!(
        lab.submit(batch(commands, true)).await.map(|r| r.acked),
        Ok(1)
    );
    assert_eq!(
        taker.texts(1).await,
        ["3"],
        "nothing of the refused batch is there"
    );
}

async fn not_strict(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    lab.publish(&topic, &["1", "2"]).await;
    let tags = tags(&taker.take(2).await);
    lab.done(ack(taker.id(), &tags[..1])).await;
    let commands = [ack(taker.id(), &tags), publish(&topic, vec![message("3")])];
    let receipt = lab.submit(batch(commands, false)).await.expect("taken");
    assert_eq!(
        (receipt.acked, receipt.skipped, receipt.ids.len()),
        (1, 1, 1)
    );
    assert_eq!(taker.texts(1).await, ["3"]);
}

async fn settle_and_publish(lab: Lab) {
    let (from, to) = (
        lab.define("from", TopicSettings::default()).await,
        lab.define("to", TopicSettings::default()).await,
    );
    let (input, output) = (
        lab.consume(spec(&[(&from, "s")])).await,
        lab.consume(spec(&[(&to, "s")])).await,
    );
    lab.publish(&from, &["1"]).await;
    let delivery = input.next().await;
    let commands = [
        publish(&to, vec![message("done")]),
        ack(input.id(), &[delivery.tag]),
    ];
    let receipt = lab.submit(batch(commands, true)).await.expect("taken");
    assert_eq!((receipt.ids.len(), receipt.acked), (1, 1));
    assert_eq!(output.texts(1).await, ["done"]);
    assert_eq!(lab.inspect(&from).await.messages, 0);
}

async fn empty(lab: Lab) {
    let receipt = lab.submit(Batch::default()).await;
    assert_eq!(receipt, Ok(Default::default()));
}
