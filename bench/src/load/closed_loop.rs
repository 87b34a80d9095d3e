//! One connection on which a fixed number of requests is always in flight.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::latency::Latency;

/// Names a request in flight: a number below the window, used again once it is answered.
pub(crate) type Slot = u32;

/// A connection to whatever is measured, seen as requests and answers.
///
/// Every system that is compared is driven through this, by the same loop.
pub(crate) trait Exchange: Send {
    /// Appends the request of `slot` to what the next flush writes.
    fn queue(&mut self, slot: Slot);

    /// Writes everything queued.
    fn flush(&mut self) -> Result<()>;

    /// Blocks until something arrives and appends the slots it answers. An answer that is an
    /// error ends the run.
    fn receive(&mut self, answered: &mut Vec<Slot>) -> Result<()>;
}

/// When to stop sending. What is then in flight is still waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// At this moment.
    Time(Instant),
    /// After this many requests.
    Requests(u64),
}

/// What one loop did.
pub(crate) struct Tally {
    pub(crate) answered: u64,
    pub(crate) started: Instant,
    /// When the last answer had been read.
    pub(crate) ended: Instant,
    pub(crate) latency: Latency,
}

/// Keeps `window` requests in flight until `until`, and reads the last answer before it returns.
///
/// All requests for which there is room leave in one write, and all that arrived is taken before
/// the next: so the batch grows by itself with the speed of the peer.
pub(crate) fn run(exchange: &mut impl Exchange, window: u32, until: Until) -> Result<Tally> {
    let started = Instant::now();
    let mut latency = Latency::new();
    let mut sent_at = vec![None; window as usize];
    let mut free: Vec<Slot> = (0..window).rev().collect();
    let mut answered: Vec<Slot> = Vec::with_capacity(window as usize);
    let (mut sent, mut done) = (0_u64, 0_u64);
    let mut now = started;
    loop {
        let room = match until {
            Until::Time(end) if now >= end => 0,
            Until::Time(_) => free.len() as u64,
            Until::Requests(all) => (all - sent).min(free.len() as u64),
        };
        for slot in free.drain(free.len() - room as usize..) {
            exchange.queue(slot);
            sent_at[slot as usize] = Some(now);
        }
        sent += room;
        exchange.flush()?;
        if sent == done {
            return Ok(Tally {
                answered: done,
                started,
                ended: now,
                latency,
            });
        }
        exchange.receive(&mut answered)?;
        now = Instant::now();
        for slot in answered.drain(..) {
            let sent_at = sent_at.get_mut(slot as usize).and_then(Option::take);
            ensure!(
                sent_at.is_some(),
                "an answer to request {slot}, which was not in flight"
            );
            if let Some(sent_at) = sent_at {
                latency.record(now - sent_at);
            }
            free.push(slot);
            done += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers up to `pace` of the waiting requests at a time, newest first.
    struct Stack {
        queued: Vec<Slot>,
        waiting: Vec<Slot>,
        pace: usize,
        in_flight_max: usize,
    }

    impl Exchange for Stack {
        fn queue(&mut self, slot: Slot) {
            self.queued.push(slot);
        }

        fn flush(&mut self) -> Result<()> {
            self.waiting.append(&mut self.queued);
            self.in_flight_max = self.in_flight_max.max(self.waiting.len());
            Ok(())
        }

        fn receive(&mut self, answered: &mut Vec<Slot>) -> Result<()> {
            let kept = self.waiting.len().saturating_sub(self.pace);
            answered.extend(self.waiting.drain(kept..));
            Ok(())
        }
    }

    fn stack(pace: usize) -> Stack {
        Stack {
            queued: Vec::new(),
            waiting: Vec::new(),
            pace,
            in_flight_max: 0,
        }
    }

    #[test]
    fn every_request_is_answered_and_the_window_is_used_but_never_passed() {
        for (window, pace, requests) in [(1, 1, 10), (8, 3, 100), (64, 64, 1_000), (50, 7, 20)] {
            let mut peer = stack(pace);
            let tally = run(&mut peer, window, Until::Requests(requests)).unwrap();
            assert_eq!(tally.answered, requests);
            assert_eq!(tally.latency.count(), requests);
            assert_eq!(peer.in_flight_max as u64, requests.min(u64::from(window)));
            assert!(peer.waiting.is_empty());
        }
    }

    #[test]
    fn a_moment_in_the_past_sends_nothing() {
        let tally = run(&mut stack(1), 4, Until::Time(Instant::now())).unwrap();
        assert_eq!(tally.answered, 0);
    }

    #[test]
    fn an_answer_to_nothing_ends_the_run() {
        struct Liar;
        impl Exchange for Liar {
            fn queue(&mut self, _: Slot) {}
            fn flush(&mut self) -> Result<()> {
                Ok(())
            }
            fn receive(&mut self, answered: &mut Vec<Slot>) -> Result<()> {
                answered.extend([0, 0]);
                Ok(())
            }
        }
        assert!(run(&mut Liar, 1, Until::Requests(2)).is_err());
    }
}
