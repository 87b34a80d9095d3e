//! The calls of this process and, where they don't leave it, their way to its workers. Pure,
//! under one lock, so that a call is asked for, taken and answered with three visits.

use super::{
    dispatcher::{Dispatcher, Placed, Running, Waiters},
    outstanding::{Entry, Outstanding, Place},
    stats::Stats,
};
use std::sync::Arc;
use trunkline_model::{IncomingCall, Stage, Timestamp};

/// Calls and who runs them.
pub(super) struct Desk {
    pub(super) calls: Outstanding,
    pub(super) floor: Dispatcher,
}

/// What a lost worker leaves.
pub(super) struct Lost {
    /// Its handler's counters.
    pub(super) stats: Arc<Stats>,
    /// What it ran, and whether somebody waited for it.
    pub(super) running: Vec<bool>,
    /// Calls that end with that.
    pub(super) ended: Vec<(u64, Entry)>,
}

impl Desk {
    pub(super) fn new(categories: usize) -> Self {
        Self {
            calls: Outstanding::new(categories),
            floor: Dispatcher::default(),
        }
    }

    /// Sends a call to a worker of this process, or to the line of its method.
    pub(super) fn send(&mut self, now: Timestamp, id: u64, incoming: IncomingCall) {
        let placed = self.floor.place(now, id, incoming);
        self.placed(id, placed);
    }

    fn placed(&mut self, id: u64, placed: Placed) {
        match placed {
            Placed::Runs { dispatch, again } => self.calls.runs(id, dispatch, again),
            Placed::Waits(incoming) => self.calls.waits_in_line(id, incoming),
        }
    }

    /// Takes out a call that nobody waits for any more. How far it had come, unless the wire
    /// knows that.
    pub(super) fn give_up(&mut self, now: Timestamp, id: u64) -> Option<(Entry, Option<Stage>)> {
        let entry = self.calls.remove(id)?;
        let stage = self.abandon(now, &entry);
        Some((entry, stage))
    }

    /// Takes out a call whose time is over, like [`Desk::give_up`].
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<(u64, Entry, Option<Stage>)> {
        let (id, entry) = self.calls.pop_due(now)?;
        let stage = self.abandon(now, &entry);
        Some((id, entry, stage))
    }

    fn abandon(&mut self, now: Timestamp, entry: &Entry) -> Option<Stage> {
        match &entry.place {
            Place::Here(_) => Some(Stage::Queued),
            Place::Wire(..) => None,
            Place::Line(incoming) => {
                self.floor.left(&incoming.method, &self.calls);
                Some(Stage::Queued)
            }
            Place::Worker { dispatch, .. } => {
                self.floor.cancel(now, *dispatch);
                Some(Stage::Running)
            }
        }
    }

    /// A worker has answered: what it ran, and the call if somebody waits for it.
    pub(super) fn settle(
        &mut self,
        now: Timestamp,
        dispatch: u64,
    ) -> Option<(Running, Option<Entry>)> {
        let running = self.floor.settle(now, dispatch, &mut self.calls)?;
        let entry = if running.cancelled {
            None
        } else {
            self.calls.remove(running.call)
        };
        Some((running, entry))
    }

    /// A worker is gone. What may be repeated waits again, or is run by another one.
    pub(super) fn lose(&mut self, now: Timestamp, worker: u64) -> Option<Lost> {
        let (stats, lost) = self.floor.lose(worker)?;
        let (mut running, mut ended) = (Vec::new(), Vec::new());
        for lost in lost {
            running.push(!lost.cancelled);
            if lost.cancelled {
                continue;
            }
            match self.calls.take_again(lost.call) {
                Some(mut again) if now <= again.deadline => {
                    again.attempt += 1;
                    let placed = self.floor.put_back(now, lost.call, again);
                    self.placed(lost.call, placed);
                }
                _ => {
                    let entry = self.calls.remove(lost.call);
                    ended.extend(entry.map(|entry| (lost.call, entry)));
                }
            }
        }
        Some(Lost {
            stats,
            running,
            ended,
        })
    }
}
