//! Several consumers at once, and one that consumes beside something else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::consumer::JsonConsumer;
use super::end_to_end::Consumer;
use crate::load::{Gauge, HEED};

/// How soon a competing consumer sees that the others have settled the last message. Small
/// beside a run, large beside what it waits for otherwise.
const LOOK: Duration = Duration::from_millis(2);

/// Consumers that each settle all messages: each has a subscription of its own.
pub(super) struct Each(pub(super) Vec<JsonConsumer>);

impl Consumer for Each {
    fn settle(&mut self, messages: u64) -> Result<()> {
        all(&mut self.0, |consumer| consumer.settle(messages))
    }
}

/// Consumers of one subscription, which settle all messages together.
pub(super) struct Competing(pub(super) Vec<JsonConsumer>);

impl Consumer for Competing {
    fn settle(&mut self, messages: u64) -> Result<()> {
        let settled = AtomicU64::new(0);
        all(&mut self.0, |consumer| {
            while settled.load(Ordering::Relaxed) < messages {
                if consumer.arrives_by(Instant::now() + LOOK)? {
                    settled.fetch_add(consumer.step(|_| {})?, Ordering::Relaxed);
                }
            }
            Ok(())
        })
    }
}

/// Lets each of `consumers` do `work` on a thread of its own.
fn all(
    consumers: &mut [JsonConsumer],
    work: impl Fn(&mut JsonConsumer) -> Result<()> + Sync,
) -> Result<()> {
    let work = &work;
    thread::scope(|scope| {
        let working: Vec<_> = consumers
            .iter_mut()
            .map(|consumer| scope.spawn(move || work(consumer)))
            .collect();
        for consumer in working {
            consumer.join().expect("a load thread returns its errors")?;
        }
        Ok(())
    })
}

/// Does `work` while `consumer` settles whatever it gets.
pub(super) fn beside<T>(
    consumer: &mut JsonConsumer,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let gauge = Gauge::default();
    thread::scope(|scope| {
        let consuming = scope.spawn(|| -> Result<()> {
            while !gauge.is_stopped() {
                if consumer.arrives_by(Instant::now() + HEED)? {
                    consumer.step(|_| {})?;
                }
            }
            Ok(())
        });
        let outcome = work();
        gauge.stop();
        consuming
            .join()
            .expect("a load thread returns its errors")?;
        outcome
    })
}
