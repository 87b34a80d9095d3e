//! What comes back to its topic.

use crate::desk::{Desk, text};
use smallvec::SmallVec;
use std::sync::atomic::{AtomicBool, Ordering};
use trunkline_model::{Batch, Command};
use trunkline_test_servers::Redis;

/// Its credit was free a moment before its topic was told: whoever asked just then was given the message behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_returns_comes_before_what_follows() {
    const TIMES: u32 = 300;
    let Some(server) = Redis::start() else { return };
    let desk = Desk::open(&server, |_| ());
    let mut taker = desk.consume("t", 1).await;
    desk.publish("t", "first").await;
    let has_ended = AtomicBool::new(false);
    // Each of these asks, and takes for who has room.
    let publishing = async {
        while !has_ended.load(Ordering::Relaxed) {
            desk.publish("t", "later").await;
        }
    };
    let returning = async {
        for attempt in 1..=TIMES {
            let delivery = taker.next().await;
            assert_eq!(
                (text(&delivery).as_str(), delivery.attempt),
                ("first", attempt)
            );
            let nack = Batch::of(Command::Nack {
                consumer: taker.id(),
                tags: SmallVec::from_slice(&[delivery.tag]),
                requeue: true,
                delay: std::time::Duration::ZERO,
            });
            let nacked = desk.submit(nack).await;
            assert_eq!(nacked.map(|receipt| receipt.nacked), Ok(1));
        }
        has_ended.store(true, Ordering::Relaxed);
    };
    tokio::join!(publishing, returning);
}
