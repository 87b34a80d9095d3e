//! Traffic that only leaves dead data behind: messages that are settled at once.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::consumer::JsonConsumer;
use super::consumers::beside;
use super::{Context, publish};
use crate::load::{Exchange, Gauge};

/// The hot traffic: so many messages, every so often. That is 100,000 a second where the server
/// keeps up, and else as many as it takes with so many in flight: a rate that leaves something of
/// two cores, so that latencies tell what is in the way.
const HOT_ROUND: u32 = 100;
const HOT_INTERVAL: Duration = Duration::from_millis(1);

/// Does `work` while messages of `topic` are published and settled; the gauge counts them.
pub(super) fn beside_hot<T>(
    context: &Context<'_>,
    topic: &str,
    work: impl FnOnce(&Gauge) -> Result<T>,
) -> Result<T> {
    let mut consumer = JsonConsumer::start(context.connect()?, topic)?;
    let mut publisher = publish::publisher(context, topic)?;
    beside(&mut consumer, || {
        let gauge = Gauge::default();
        thread::scope(|scope| {
            let publishing = scope.spawn(|| rounds(&mut publisher, &gauge));
            let outcome = work(&gauge);
            gauge.stop();
            publishing
                .join()
                .expect("a load thread returns its errors")?;
            outcome
        })
    })
}

/// One write and all its answers, at even intervals as far as the server keeps up.
fn rounds(hot: &mut impl Exchange, gauge: &Gauge) -> Result<()> {
    let mut answered = Vec::with_capacity(HOT_ROUND as usize);
    let mut due = Instant::now();
    while !gauge.is_stopped() {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        for slot in 0..HOT_ROUND {
            hot.queue(slot);
        }
        hot.flush()?;
        while answered.len() < HOT_ROUND as usize {
            hot.receive(&mut answered)?;
        }
        gauge.add(answered.len() as u64);
        answered.clear();
        due = (due + HOT_INTERVAL).max(Instant::now());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Slot;

    /// Answers a few at a time, and says when it has seen enough.
    struct Slow<'g> {
        queued: Vec<Slot>,
        waiting: Vec<Slot>,
        writes: u32,
        gauge: &'g Gauge,
    }

    impl Exchange for Slow<'_> {
        fn queue(&mut self, slot: Slot) {
            self.queued.push(slot);
        }

        fn flush(&mut self) -> Result<()> {
            assert!(self.waiting.is_empty(), "a round before the last was over");
            self.waiting.append(&mut self.queued);
            self.writes += 1;
            if self.writes == 3 {
                self.gauge.stop();
            }
            Ok(())
        }

        fn receive(&mut self, answered: &mut Vec<Slot>) -> Result<()> {
            let kept = self.waiting.len().saturating_sub(7);
            answered.extend(self.waiting.drain(kept..));
            Ok(())
        }
    }

    #[test]
    fn hot_messages_come_in_rounds_that_are_answered_before_the_next() {
        let gauge = Gauge::default();
        let mut hot = Slow {
            queued: Vec::new(),
            waiting: Vec::new(),
            writes: 0,
            gauge: &gauge,
        };
        rounds(&mut hot, &gauge).unwrap();
        assert_eq!(gauge.done(), u64::from(3 * HOT_ROUND));
        assert!(hot.waiting.is_empty());
    }
}
