//! One connection that is loaded for somebody who looks on: at a given rate or as fast as it
//! goes, ended at a moment, after a number, or when they have seen enough.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::closed_loop::{Exchange, Slot, Tally, Until};
use super::gauge::Gauge;
use super::latency::Latency;
use crate::net::{SILENCE_MAX, Silence};

/// How soon a loop sees that it was asked to end.
pub(crate) const HEED: Duration = Duration::from_millis(50);

/// An exchange that can be waited for.
pub(crate) trait Paced: Exchange {
    /// As [`queue`](Exchange::queue), for a request that was due at a moment which may have
    /// passed.
    fn queue_due(&mut self, slot: Slot, due: Instant);

    /// Whether something arrives before `until`.
    fn arrives_by(&mut self, until: Instant) -> Result<bool>;
}

/// How a connection is loaded.
#[derive(Clone, Copy)]
pub(crate) struct Orders<'a> {
    /// Requests in flight at most.
    pub(crate) window: u32,
    pub(crate) until: Until,
    /// From one request to the next; as fast as the window allows without it.
    pub(crate) interval: Option<Duration>,
    pub(crate) gauge: &'a Gauge,
    /// Whether answers are what the gauge counts.
    pub(crate) counts: bool,
}

/// Follows `orders`, and reads the last answer before it returns.
///
/// With an interval, requests are due at fixed moments, whatever has become of the earlier ones,
/// and latencies count from these: a server that stalls is charged for all requests that had to
/// wait, and not just for those that were in flight.
pub(crate) fn run(exchange: &mut impl Paced, orders: &Orders<'_>) -> Result<Tally> {
    let started = Instant::now();
    let mut latency = Latency::new();
    let mut sent_at = vec![None; orders.window as usize];
    let mut free: Vec<Slot> = (0..orders.window).rev().collect();
    let mut answered: Vec<Slot> = Vec::with_capacity(orders.window as usize);
    let (mut sent, mut done) = (0_u64, 0_u64);
    let (mut next_due, mut heard, mut now) = (started, started, started);
    loop {
        let open = !orders.gauge.is_stopped()
            && match orders.until {
                Until::Time(end) => now < end,
                Until::Requests(all) => sent < all,
            };
        let mut left = match orders.until {
            Until::Requests(all) => all - sent,
            Until::Time(_) => u64::MAX,
        };
        while open && left > 0 && orders.interval.is_none_or(|_| next_due <= now) {
            let Some(slot) = free.pop() else { break };
            let due = orders.interval.map_or(now, |interval| {
                let due = next_due;
                next_due += interval;
                due
            });
            exchange.queue_due(slot, due);
            sent_at[slot as usize] = Some(due);
            (sent, left) = (sent + 1, left - 1);
        }
        exchange.flush()?;
        if !open && sent == done {
            return Ok(Tally {
                answered: done,
                started,
                ended: heard,
                latency,
            });
        }
        let waits_for_turn = open && left > 0 && !free.is_empty();
        let wake = match waits_for_turn {
            true => next_due.min(now + HEED),
            false => now + HEED,
        };
        let arrived = exchange.arrives_by(wake)?;
        if arrived {
            exchange.receive(&mut answered)?;
        }
        now = Instant::now();
        if arrived {
            heard = now;
        }
        ensure!(sent == done || now - heard < SILENCE_MAX, Silence);
        if orders.counts {
            orders.gauge.add(answered.len() as u64);
        }
        for slot in answered.drain(..) {
            let due = sent_at.get_mut(slot as usize).and_then(Option::take);
            ensure!(
                due.is_some(),
                "an answer to request {slot}, which was not in flight"
            );
            if let Some(due) = due {
                latency.record(now.saturating_duration_since(due));
            }
            free.push(slot);
            done += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers everything, but only once a number of requests is waiting or no more may come.
    #[derive(Default)]
    struct Batch {
        waiting: Vec<Slot>,
        due: Vec<Instant>,
        in_flight_max: usize,
        stops: Option<(u64, std::sync::Arc<Gauge>)>,
    }

    impl Exchange for Batch {
        fn queue(&mut self, slot: Slot) {
            self.waiting.push(slot);
            self.in_flight_max = self.in_flight_max.max(self.waiting.len());
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }

        fn receive(&mut self, answered: &mut Vec<Slot>) -> Result<()> {
            answered.append(&mut self.waiting);
            if let Some((after, gauge)) = &self.stops
                && self.due.len() as u64 >= *after
            {
                gauge.stop();
            }
            Ok(())
        }
    }

    impl Paced for Batch {
        fn queue_due(&mut self, slot: Slot, due: Instant) {
            self.due.push(due);
            self.queue(slot);
        }

        fn arrives_by(&mut self, _: Instant) -> Result<bool> {
            Ok(!self.waiting.is_empty())
        }
    }

    fn orders(gauge: &Gauge, requests: u64) -> Orders<'_> {
        Orders {
            window: 8,
            until: Until::Requests(requests),
            interval: None,
            gauge,
            counts: true,
        }
    }

    #[test]
    fn all_requests_are_answered_and_counted_within_the_window() {
        for requests in [0, 1, 8, 100] {
            let gauge = Gauge::default();
            let mut peer = Batch::default();
            let tally = run(&mut peer, &orders(&gauge, requests)).unwrap();
            assert_eq!((tally.answered, gauge.done()), (requests, requests));
            assert_eq!(tally.latency.count(), requests);
            assert_eq!(peer.in_flight_max as u64, requests.min(8));
        }
    }

    #[test]
    fn requests_are_due_at_even_intervals_from_the_start() {
        let gauge = Gauge::default();
        let mut peer = Batch::default();
        let interval = Duration::from_micros(300);
        let paced = Orders {
            interval: Some(interval),
            ..orders(&gauge, 20)
        };
        let tally = run(&mut peer, &paced).unwrap();
        let expected: Vec<_> = (0..20).map(|n| tally.started + n * interval).collect();
        assert_eq!(peer.due, expected);
        assert!(tally.ended >= expected[19]);
    }

    #[test]
    fn it_ends_when_asked_to_with_what_is_in_flight() {
        let gauge = std::sync::Arc::new(Gauge::default());
        let mut peer = Batch {
            stops: Some((50, gauge.clone())),
            ..Batch::default()
        };
        let tally = run(&mut peer, &orders(&gauge, u64::MAX)).unwrap();
        assert!(tally.answered >= 50 && peer.waiting.is_empty());
        assert_eq!(tally.answered as usize, peer.due.len());
    }
}
