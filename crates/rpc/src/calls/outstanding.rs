//! The calls of this gateway that have not ended: bounds and deadlines. Pure.

use crate::calls::{
    CallRequest, dispatcher::Waiters, idempotency::Key, stats::Asked, wires::WireNumber,
};
use std::sync::Arc;
use trunkline_model::{
    CallId, Completion, DeadlineQueue, IncomingCall, Recent, Reporter, Timestamp,
};

/// Calls that have not ended.
#[derive(Debug)]
pub(crate) struct Outstanding {
    calls: Recent<Entry>,
    deadlines: DeadlineQueue<u64>,
    /// Calls that no worker has taken, by category.
    waiting: Vec<Waiting>,
    /// Calls that are held because nobody offers their methods yet, in order.
    unoffered: Vec<u64>,
    /// When the timer will look next.
    armed: Timestamp,
}

#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    calls: u32,
    bytes: u64,
}

/// The bounds of a category.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Most calls that no worker has taken.
    pub calls_max: u32,
    /// Most bytes of their params; one call is always allowed.
    pub bytes_max: u64,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Who waits for it.
    pub completion: Completion,
    /// When it times out here.
    pub deadline: Timestamp,
    /// Its class.
    pub category: usize,
    /// Bytes of its params.
    pub bytes: u64,
    /// What makes a repetition the same call.
    pub key: Option<Arc<Key>>,
    /// A worker has it.
    pub taken: bool,
    /// Where it is.
    pub place: Place,
    /// What counts it, if it was sent over a wire on which nobody announces what he does.
    pub asked: Option<Asked>,
}

/// Where a call is.
#[derive(Debug)]
pub(crate) enum Place {
    /// Nowhere yet: nobody offers its method, it follows another call, or its line has passed
    /// it over.
    Here(Option<Box<Held>>),
    /// On a wire, under this name there.
    Wire(WireNumber, CallId),
    /// In the line of its method, with what a worker will be given.
    Line(Box<IncomingCall>),
    /// With a worker of this process.
    Worker {
        /// The number of the dispatch.
        dispatch: u64,
        /// What is needed to run it again, if that is allowed.
        again: Option<Box<IncomingCall>>,
    },
}

/// A call that is not sent yet.
#[derive(Debug)]
pub(crate) struct Held {
    /// What was asked for.
    pub request: CallRequest,
    /// Its deadline on the wire.
    pub deadline: Timestamp,
}

/// A call that is held no longer.
#[derive(Debug)]
pub(crate) struct Due {
    /// Which.
    pub id: u64,
    /// What is to be sent.
    pub held: Box<Held>,
    /// What makes a repetition the same call.
    pub key: Option<Arc<Key>>,
}

impl Waiting {
    fn leave(&mut self, bytes: u64) {
        self.calls -= 1;
        self.bytes -= bytes;
    }
}

impl Outstanding {
    pub(crate) fn new(categories: usize) -> Self {
        Self {
            calls: Recent::default(),
            deadlines: DeadlineQueue::new(),
            waiting: vec![Waiting::default(); categories],
            unoffered: Vec::new(),
            armed: Timestamp::MAX,
        }
    }

    /// Adds a call. Says whether the timer must look earlier than it would.
    ///
    /// # Errors
    /// Gives the entry back if its category is at its bounds.
    pub(crate) fn begin(
        &mut self,
        id: u64,
        entry: Entry,
        bounds: Bounds,
    ) -> Result<bool, Box<Entry>> {
        let waiting = &mut self.waiting[entry.category];
        let bytes = waiting.bytes + entry.bytes;
        if waiting.calls >= bounds.calls_max || (waiting.calls > 0 && bytes > bounds.bytes_max) {
            return Err(Box::new(entry));
        }
        waiting.calls += 1;
        waiting.bytes = bytes;
        let earlier = entry.deadline < self.armed;
        if earlier {
            self.armed = entry.deadline;
        }
        self.deadlines.insert(entry.deadline, id);
        self.calls.insert(id, entry);
        Ok(earlier)
    }

    /// A call is about to be sent over a wire and is counted there; gives that back if it has ended.
    pub(crate) fn asks(&mut self, id: u64, asked: Asked) -> Option<Asked> {
        match self.calls.get_mut(id) {
            Some(entry) => {
                entry.asked = Some(asked);
                None
            }
            None => Some(asked),
        }
    }

    /// A call is on a wire; false if it has ended in between.
    pub(crate) fn sent(&mut self, id: u64, wire: WireNumber, call: CallId) -> bool {
        match self.calls.get_mut(id) {
            Some(entry) => {
                entry.place = Place::Wire(wire, call);
                true
            }
            None => false,
        }
    }

    /// Nobody offers its method yet.
    pub(crate) fn hold(&mut self, id: u64, held: Held) {
        if let Some(entry) = self.calls.get_mut(id) {
            entry.place = Place::Here(Some(Box::new(held)));
            self.unoffered.push(id);
        }
    }

    /// Takes those of the held calls that `is_due` wants, in order, with their keys.
    pub(crate) fn take_held(&mut self, is_due: impl Fn(&str) -> bool) -> Vec<Due> {
        let (calls, mut due) = (&mut self.calls, Vec::new());
        self.unoffered.retain(|id| {
            let Some(entry) = calls.get_mut(*id) else {
                return false;
            };
            let Place::Here(waiting) = &mut entry.place else {
                return false;
            };
            let held = waiting.take_if(|held| is_due(&held.request.method));
            let stays = waiting.is_some();
            if let Some(held) = held {
                due.push(Due {
                    id: *id,
                    held,
                    key: entry.key.clone(),
                });
            }
            stays
        });
        due
    }

    /// A worker has it.
    pub(crate) fn taken(&mut self, id: u64) {
        if let Some(entry) = self.calls.get_mut(id)
            && !std::mem::replace(&mut entry.taken, true)
        {
            self.waiting[entry.category].leave(entry.bytes);
        }
    }

    /// It waits in a line.
    pub(crate) fn waits_in_line(&mut self, id: u64, incoming: Box<IncomingCall>) {
        if let Some(entry) = self.calls.get_mut(id) {
            entry.place = Place::Line(incoming);
        }
    }

    /// Its worker was lost: what is needed to run it again, if it may be.
    pub(crate) fn take_again(&mut self, id: u64) -> Option<IncomingCall> {
        let entry = self.calls.get_mut(id)?;
        match &mut entry.place {
            Place::Worker { again, .. } => again.take().map(|again| *again),
            _ => None,
        }
    }

    /// Where its progress goes.
    pub(crate) fn reporter(&self, id: u64) -> Option<Reporter> {
        Some(self.calls.get(id)?.completion.reporter())
    }

    /// It has ended; `None` if it had before.
    pub(crate) fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.calls.remove(id)?;
        self.deadlines.remove(entry.deadline, id);
        if !entry.taken {
            self.waiting[entry.category].leave(entry.bytes);
        }
        Some(entry)
    }

    /// Removes one whose time is over.
    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<(u64, Entry)> {
        let (_, id) = self.deadlines.pop_due(now)?;
        Some((id, self.remove(id)?))
    }

    /// The timer will look at the next deadline, or at `latest`: when that is.
    pub(crate) fn arm(&mut self, latest: Timestamp) -> Timestamp {
        let next = self.deadlines.next().unwrap_or(Timestamp::MAX);
        self.armed = next.min(latest);
        self.armed
    }

    /// All calls, at the end.
    pub(crate) fn ids(&self) -> Vec<u64> {
        let mut ids: Vec<u64> = self.calls.iter().map(|(id, _)| id).collect();
        ids.sort_unstable();
        ids
    }

    pub(crate) fn contains(&self, id: u64) -> bool {
        self.calls.contains(id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }
}

impl Waiters for Outstanding {
    fn take(&mut self, call: u64) -> Option<Box<IncomingCall>> {
        let entry = self.calls.get_mut(call)?;
        match std::mem::replace(&mut entry.place, Place::Here(None)) {
            Place::Line(incoming) => Some(incoming),
            other => {
                entry.place = other;
                None
            }
        }
    }

    fn runs(&mut self, call: u64, dispatch: u64, again: Option<Box<IncomingCall>>) {
        self.taken(call);
        if let Some(entry) = self.calls.get_mut(call) {
            entry.place = Place::Worker { dispatch, again };
        }
    }

    fn waits(&self, call: u64) -> bool {
        let entry = self.calls.get(call);
        entry.is_some_and(|entry| matches!(entry.place, Place::Line(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn entry(deadline: u64, category: usize) -> Entry {
        Entry {
            completion: Completion::ignored(),
            deadline: at(deadline),
            category,
            bytes: 10,
            key: None,
            taken: false,
            place: Place::Here(None),
            asked: None,
        }
    }

    const TWO: Bounds = Bounds {
        calls_max: 2,
        bytes_max: 1_000,
    };

    #[test]
    fn bytes_are_bounded_too_but_for_one_call() {
        let mut calls = Outstanding::new(1);
        let of = |bytes| Entry {
            bytes,
            ..entry(10, 0)
        };
        calls.begin(1, of(5_000), TWO).unwrap();
        assert!(calls.begin(2, of(1), TWO).is_err());
        calls.remove(1);
        calls.begin(2, of(500), TWO).unwrap();
        calls.begin(3, of(500), TWO).unwrap();
    }

    #[test]
    fn the_bound_is_on_calls_that_no_worker_has() {
        let mut calls = Outstanding::new(2);
        calls.begin(1, entry(10, 0), TWO).unwrap();
        calls.begin(2, entry(10, 0), TWO).unwrap();
        assert!(calls.begin(3, entry(10, 0), TWO).is_err());
        calls.begin(4, entry(10, 1), TWO).unwrap();
        calls.taken(1);
        calls.taken(1);
        calls.begin(5, entry(10, 0), TWO).unwrap();
        assert!(calls.begin(6, entry(10, 0), TWO).is_err());
        calls.remove(1);
        assert!(calls.begin(6, entry(10, 0), TWO).is_err(), "1 did not wait");
        calls.remove(2);
        calls.begin(6, entry(10, 0), TWO).unwrap();
    }

    #[test]
    fn the_timer_is_woken_only_for_an_earlier_deadline() {
        let mut calls = Outstanding::new(1);
        assert_eq!(calls.arm(at(100)), at(100));
        let early = |calls: &mut Outstanding, id, ms| {
            calls
                .begin(
                    id,
                    entry(ms, 0),
                    Bounds {
                        calls_max: 9,
                        ..TWO
                    },
                )
                .unwrap()
        };
        assert!(!early(&mut calls, 1, 200));
        assert!(early(&mut calls, 2, 50));
        assert!(!early(&mut calls, 3, 60));
        assert_eq!(calls.pop_due(at(51)).unwrap().0, 2);
        assert!(calls.pop_due(at(51)).is_none());
        assert_eq!(calls.arm(at(100)), at(60));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Begin(u64),
        Taken(usize),
        End(usize),
        Time(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (1..200u64).prop_map(Step::Begin),
            (0..20usize).prop_map(Step::Taken),
            (0..20usize).prop_map(Step::End),
            (1..60u64).prop_map(Step::Time),
        ];
        proptest::collection::vec(step, 0..200)
    }

    proptest! {
        /// Against a plain map: whoever is in ends once, by an answer or by its deadline.
        #[test]
        fn agrees_with_a_naive_table(steps in steps()) {
            let bounds = Bounds { calls_max: 8, ..TWO };
            let mut calls = Outstanding::new(1);
            let mut naive: BTreeMap<u64, (u64, bool)> = BTreeMap::new();
            let (mut now, mut last) = (0, 0);
            for step in steps {
                let nth = |n: usize| naive.keys().nth(n % naive.len().max(1)).copied();
                match step {
                    Step::Begin(span) => {
                        last += 1;
                        let waiting = naive.values().filter(|(_, taken)| !taken).count();
                        let begun = calls.begin(last, entry(now + span, 0), bounds);
                        prop_assert_eq!(begun.is_ok(), waiting < 8);
                        if begun.is_ok() {
                            naive.insert(last, (now + span, false));
                        }
                    }
                    Step::Taken(n) => if let Some(id) = nth(n) {
                        calls.taken(id);
                        naive.insert(id, (naive[&id].0, true));
                    }
                    Step::End(n) => if let Some(id) = nth(n) {
                        prop_assert!(calls.remove(id).is_some());
                        prop_assert!(calls.remove(id).is_none());
                        naive.remove(&id);
                    }
                    Step::Time(span) => {
                        now += span;
                        let mut due = Vec::new();
                        while let Some((id, entry)) = calls.pop_due(at(now)) {
                            due.push((entry.deadline, id));
                        }
                        let mut expected: Vec<_> = naive
                            .iter()
                            .filter(|(_, (deadline, _))| *deadline < now)
                            .map(|(id, (deadline, _))| (at(*deadline), *id))
                            .collect();
                        expected.sort_unstable();
                        naive.retain(|_, (deadline, _)| *deadline >= now);
                        prop_assert_eq!(due, expected);
                    }
                }
                prop_assert_eq!(calls.ids(), naive.keys().copied().collect::<Vec<_>>());
            }
        }
    }
}
