//! The answering side's table: what runs where, and how many more each worker may be
//! given. Pure.
//!
//! The engine's credit bounds what a worker is given, but an engine forgets a delivery
//! when its message expires, at the deadline, while the worker still works on it. So that
//! an overdue call keeps its slot, the credit is lowered by the overdue calls of a worker
//! ([`Slots::allowed`]) and what was delivered too much is given back.

use crate::native::{cancelled::Cancelled, envelope::Asked, request::Request};
use hashbrown::HashMap;
use trunkline_model::{DeliveryTag, Timestamp};

/// What runs in this process, on its workers.
#[derive(Debug, Default)]
pub(crate) struct Running {
    dispatches: HashMap<u64, Dispatch>,
    workers: HashMap<u64, Slots>,
    cancelled: Cancelled,
    last_dispatch: u64,
}

/// A call that a worker runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dispatch {
    /// The worker.
    pub worker: u64,
    /// Which consumer of the worker it came through.
    pub round: u32,
    /// The delivery to settle there.
    pub tag: DeliveryTag,
    /// Who asked.
    pub asked: Asked,
    /// May be run again elsewhere.
    pub idempotent: bool,
    /// Until when.
    pub deadline: Timestamp,
    /// Nobody waits for it any more.
    pub cancelled: bool,
    overdue: bool,
}

#[derive(Debug)]
struct Slots {
    concurrency: u32,
    running: u32,
    overdue: u32,
    open: bool,
}

impl Slots {
    /// The credit that keeps the worker within its concurrency.
    fn allowed(&self) -> u32 {
        if self.open {
            self.concurrency.saturating_sub(self.overdue)
        } else {
            0
        }
    }
}

/// A delivery, as far as the decision about it goes.
#[derive(Debug)]
pub(crate) struct Offer {
    /// To whom.
    pub worker: u64,
    /// Through which of its consumers.
    pub round: u32,
    /// The delivery.
    pub tag: DeliveryTag,
    /// Which delivery of the call this is, from 1.
    pub attempt: u32,
    /// The method may be run again.
    pub idempotent: bool,
}

/// What becomes of a delivery.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is run, under this number.
    Run(u64),
    /// Nobody waits for it: settled without running.
    Skip,
    /// Its first worker was lost with its process, and it must not be repeated.
    Lost,
    /// This worker can't take it: somebody else's, and this is the worker's credit.
    GiveBack(u32),
}

impl Running {
    /// A worker has come.
    pub(crate) fn open(&mut self, worker: u64, concurrency: u32) {
        let slots = Slots {
            concurrency,
            running: 0,
            overdue: 0,
            open: true,
        };
        self.workers.insert(worker, slots);
    }

    /// Decides about a delivery.
    pub(crate) fn offer(&mut self, now: Timestamp, offer: Offer, request: &Request) -> Verdict {
        if request.deadline < now || self.cancelled.contains(&request.asked) {
            return Verdict::Skip;
        }
        // Before anything is given back: that makes a fresh message, whose attempts start
        // again.
        if offer.attempt > 1 && !offer.idempotent {
            return Verdict::Lost;
        }
        let Some(slots) = self.workers.get(&offer.worker) else {
            return Verdict::GiveBack(0);
        };
        if !slots.open || slots.running >= slots.concurrency {
            self.find_overdue(offer.worker, now);
            return Verdict::GiveBack(self.allowed(offer.worker));
        }
        self.last_dispatch += 1;
        let dispatch = Dispatch {
            worker: offer.worker,
            round: offer.round,
            tag: offer.tag,
            asked: request.asked.clone(),
            idempotent: offer.idempotent,
            deadline: request.deadline,
            cancelled: false,
            overdue: false,
        };
        self.dispatches.insert(self.last_dispatch, dispatch);
        self.slots_of(offer.worker, |slots| slots.running += 1);
        Verdict::Run(self.last_dispatch)
    }

    /// A call was answered: its dispatch and, if that changed, the worker's credit. `None`
    /// if it is not running (any more).
    pub(crate) fn finish(&mut self, dispatch: u64) -> Option<(Dispatch, Option<u32>)> {
        let finished = self.dispatches.remove(&dispatch)?;
        self.slots_of(finished.worker, |slots| {
            slots.running -= 1;
            slots.overdue -= u32::from(finished.overdue);
        });
        let credit = finished.overdue.then(|| self.allowed(finished.worker));
        Some((finished, credit))
    }

    /// Who asked for a running call that somebody waits for.
    pub(crate) fn asked(&self, dispatch: u64) -> Option<&Asked> {
        let running = self.dispatches.get(&dispatch)?;
        (!running.cancelled).then_some(&running.asked)
    }

    /// Nobody waits any more for a running call: its worker and, if that changed, the
    /// worker's credit. `None` if it is not running, or this is known.
    pub(crate) fn cancel(&mut self, now: Timestamp, dispatch: u64) -> Option<(u64, Option<u32>)> {
        let running = self.dispatches.get_mut(&dispatch)?;
        if std::mem::replace(&mut running.cancelled, true) {
            return None;
        }
        let worker = running.worker;
        let newly_overdue =
            running.deadline < now && !std::mem::replace(&mut running.overdue, true);
        if newly_overdue {
            self.slots_of(worker, |slots| slots.overdue += 1);
        }
        Some((worker, newly_overdue.then(|| self.allowed(worker))))
    }

    /// A queued call was given up somewhere.
    pub(crate) fn cancel_queued(&mut self, asked: Asked) {
        if !self.workers.is_empty() {
            self.cancelled.insert(asked);
        }
    }

    /// The worker gets nothing new.
    pub(crate) fn drain(&mut self, worker: u64) {
        self.slots_of(worker, |slots| slots.open = false);
    }

    /// How many calls a worker runs.
    pub(crate) fn count(&self, worker: u64) -> u32 {
        self.workers.get(&worker).map_or(0, |slots| slots.running)
    }

    /// The worker is gone: what it was running, in the order in which it got it.
    pub(crate) fn close(&mut self, worker: u64) -> Vec<Dispatch> {
        self.workers.remove(&worker);
        let mut lost: Vec<(u64, Dispatch)> = self
            .dispatches
            .extract_if(|_, dispatch| dispatch.worker == worker)
            .collect();
        lost.sort_unstable_by_key(|(number, _)| *number);
        lost.into_iter().map(|(_, dispatch)| dispatch).collect()
    }

    /// The credit that keeps a worker within its concurrency.
    pub(crate) fn allowed(&self, worker: u64) -> u32 {
        self.workers.get(&worker).map_or(0, Slots::allowed)
    }

    fn slots_of(&mut self, worker: u64, change: impl FnOnce(&mut Slots)) {
        if let Some(slots) = self.workers.get_mut(&worker) {
            change(slots);
        }
    }

    /// Marks the calls of a worker whose deliveries the engine has forgotten.
    fn find_overdue(&mut self, worker: u64, now: Timestamp) {
        let mut found = 0;
        for running in self.dispatches.values_mut() {
            if running.worker == worker && running.deadline < now && !running.overdue {
                running.overdue = true;
                found += 1;
            }
        }
        self.slots_of(worker, |slots| slots.overdue += found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);
    const LATER: Timestamp = Timestamp::from_millis(3_000);

    fn request(call: u64, deadline_ms: u64) -> Request {
        Request {
            asked: Asked {
                process: "p".into(),
                call,
            },
            caller: "anonymous".into(),
            deadline: Timestamp::from_millis(deadline_ms),
            has_params: true,
        }
    }

    fn offer(attempt: u32, idempotent: bool) -> Offer {
        Offer {
            worker: 1,
            round: 0,
            tag: DeliveryTag(1),
            attempt,
            idempotent,
        }
    }

    fn with_worker(concurrency: u32) -> Running {
        let mut running = Running::default();
        running.open(1, concurrency);
        running
    }

    #[test]
    fn decides_about_deliveries() {
        let mut running = with_worker(10);
        running.cancel_queued(request(3, 2_000).asked);
        for (case, now, offer, request, verdict) in [
            (
                "new",
                NOW,
                offer(1, false),
                request(1, 2_000),
                Verdict::Run(1),
            ),
            (
                "late",
                LATER,
                offer(1, false),
                request(2, 2_000),
                Verdict::Skip,
            ),
            (
                "cancelled",
                NOW,
                offer(1, false),
                request(3, 2_000),
                Verdict::Skip,
            ),
            (
                "repeated",
                NOW,
                offer(2, true),
                request(4, 2_000),
                Verdict::Run(2),
            ),
            (
                "must not be repeated",
                NOW,
                offer(2, false),
                request(5, 2_000),
                Verdict::Lost,
            ),
        ] {
            assert_eq!(running.offer(now, offer, &request), verdict, "{case}");
        }
        running.drain(1);
        let verdict = running.offer(NOW, offer(1, false), &request(6, 2_000));
        assert_eq!(verdict, Verdict::GiveBack(0));
        assert_eq!(running.count(1), 2);
    }

    #[test]
    fn an_overdue_call_keeps_its_slot() {
        let mut running = with_worker(2);
        for call in 1..=2 {
            let verdict = running.offer(NOW, offer(1, false), &request(call, 2_000));
            assert_eq!(verdict, Verdict::Run(call));
        }
        // The engine forgot both at their deadline and delivers more.
        let verdict = running.offer(LATER, offer(1, false), &request(3, 9_000));
        assert_eq!(verdict, Verdict::GiveBack(0));
        let (_, credit) = running.finish(1).unwrap();
        assert_eq!(credit, Some(1));
        let verdict = running.offer(LATER, offer(1, false), &request(3, 9_000));
        assert_eq!(verdict, Verdict::Run(3));
        assert_eq!(running.finish(2).unwrap().1, Some(2));
        assert_eq!(running.finish(3).unwrap().1, None);
    }

    #[test]
    fn cancellation_lowers_the_credit_only_past_the_deadline() {
        let mut running = with_worker(2);
        running.offer(NOW, offer(1, false), &request(1, 2_000));
        running.offer(NOW, offer(1, false), &request(2, 9_000));
        assert!(running.asked(1).is_some());
        assert_eq!(running.cancel(LATER, 1), Some((1, Some(1))));
        assert_eq!(running.cancel(LATER, 1), None);
        assert_eq!(running.cancel(LATER, 2), Some((1, None)));
        assert_eq!(running.cancel(LATER, 3), None);
        assert!(running.asked(1).is_none());
        assert!(running.finish(1).unwrap().0.cancelled);
        assert!(running.finish(1).is_none());
    }

    #[test]
    fn a_lost_worker_leaves_what_it_ran() {
        let mut running = with_worker(5);
        running.open(2, 5);
        for call in 1..=3 {
            running.offer(NOW, offer(1, false), &request(call, 2_000));
        }
        let lost = running.close(1);
        let calls: Vec<u64> = lost.iter().map(|dispatch| dispatch.asked.call).collect();
        assert_eq!(calls, [1, 2, 3]);
        assert!(running.finish(1).is_none());
        let verdict = running.offer(NOW, offer(1, false), &request(4, 2_000));
        assert_eq!(verdict, Verdict::GiveBack(0));
    }
}
