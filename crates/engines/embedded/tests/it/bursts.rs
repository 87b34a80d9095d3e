//! Many batches handed over at once: each ends as if it had come alone.

use crate::support::{Bench, ack, config, publish, tags, text};
use smallvec::SmallVec;
use trunkline_journal::fault::{FaultDisk, Plan};
use trunkline_model::{
    Batch, Caller, Command, Completed, Completion, CompletionQueue, DeliveryTag, Durability,
    Engine, ErrorCode, Message, Outcome, Priority, TopicName, Wake,
};

const BURST: u64 = 300;

/// Hands over `batches`, and steps until all are answered: how each ended, in order.
fn run(bench: &Bench, batches: impl Iterator<Item = Batch>) -> Vec<Result<Outcome, ErrorCode>> {
    let queue = CompletionQueue::new(Wake::new());
    let with_token = |(token, batch)| (batch, Completion::new(queue.clone(), token));
    let mut burst: Vec<_> = (0..).zip(batches).map(with_token).collect();
    let count = burst.len();
    bench.engine.submit_all(&Caller::system(), &mut burst);
    assert!(burst.is_empty());
    let mut ended: Vec<Completed> = Vec::new();
    while ended.len() < count {
        bench.engine.step();
        let mut some = Vec::new();
        queue.drain_into(&mut some);
        ended.append(&mut some);
    }
    ended.sort_by_key(|one| one.token);
    assert!(ended.iter().map(|one| one.token).eq(0..count as u64));
    let code = |one: Completed| one.result.map_err(|error| error.code());
    ended.into_iter().map(code).collect()
}

fn messages(topic: &TopicName) -> impl Iterator<Item = Batch> {
    (0..BURST).map(move |n| Batch::of(publish(topic, &[&format!("message {n}")])))
}

/// A publish that is refused: the topic has no such priority.
fn too_urgent(topic: &TopicName) -> Command {
    Command::Publish {
        topic: topic.clone(),
        messages: SmallVec::from_iter([Message {
            priority: Some(Priority(255)),
            ..Message::default()
        }]),
    }
}

fn bench(disk: &FaultDisk, pending_bytes: usize) -> Bench {
    let mut config = config(disk);
    config.journal.pending_bytes = pending_bytes;
    Bench::try_open(config).unwrap()
}

/// The last `pending_bytes` makes the burst stop again and again, for the journal to be written.
#[test]
fn every_one_is_answered_and_the_order_holds() {
    for pending_bytes in [1 << 20, 2_000] {
        for durability in [Durability::Commit, Durability::Interval, Durability::Memory] {
            let disk = FaultDisk::new();
            let bench = bench(&disk, pending_bytes);
            let topic = bench.define_with("orders", durability);
            let taker = bench.consume(&topic, "all");
            let late = ack(taker.id(), &[DeliveryTag(1_000)]);
            let with_a_wrong_one = messages(&topic).enumerate().map(|(n, batch)| match n {
                100 => Batch::of(too_urgent(&topic)),
                200 => Batch::of(late.clone()),
                _ => batch,
            });
            let ended = run(&bench, with_a_wrong_one);
            let sequences: Vec<u64> = ended
                .iter()
                .flatten()
                .filter_map(|outcome| match outcome {
                    Outcome::Done(receipt) => receipt.ids.first().map(|id| id.sequence),
                    other => panic!("{other:?}"),
                })
                .collect();
            let expected: Vec<u64> = (1..=sequences.len() as u64).collect();
            assert_eq!(sequences, expected);
            assert!(
                ended
                    .iter()
                    .enumerate()
                    .all(|(n, end)| end.is_ok() || n == 100)
            );
            bench.settle();
            let delivered = taker.take();
            let texts: Vec<String> = delivered.iter().map(text).collect();
            let published = (0..BURST).filter(|n| ![100, 200].contains(n));
            let expected: Vec<String> = published.map(|n| format!("message {n}")).collect();
            assert_eq!(texts[..], expected[..texts.len()], "in order");
            let one = |tag| Batch::of(ack(taker.id(), &[tag]));
            let acked = run(&bench, tags(&delivered).into_iter().map(one));
            let count = |end: &Result<Outcome, ErrorCode>| match end {
                Ok(Outcome::Done(receipt)) => receipt.acked,
                other => panic!("{other:?}"),
            };
            assert_eq!(acked.iter().map(count).sum::<u64>(), delivered.len() as u64);
        }
    }
}

#[test]
fn a_journal_that_fails_in_the_middle_confirms_nothing() {
    let disk = FaultDisk::new();
    let bench = bench(&disk, 2_000);
    let topic = bench.define_with("orders", Durability::Commit);
    let taker = bench.consume(&topic, "all");
    bench.settle();
    disk.set_plan(Plan {
        fail_sync: Some(disk.syncs() + 1),
        ..disk.plan()
    });
    let ended = run(&bench, messages(&topic));
    assert!(ended.iter().all(Result::is_err));
    assert!(taker.take().is_empty() && taker.ended().is_some());
}
