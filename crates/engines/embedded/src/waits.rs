use crate::log::Needs;
use crate::look::Look;
use std::collections::VecDeque;
use trunkline_journal::{Lsn, Watermarks};
use trunkline_model::{Completion, ConsumerId, Consuming, Outcome};

/// What happens once the journal is far enough.
#[derive(Debug)]
pub(crate) enum Waiting {
    /// A command is answered.
    Answer(Completion, Outcome),
    /// A consumer begins.
    Start(ConsumerId, Consuming),
    /// Messages are shown.
    Look(Look),
}

/// Everything that waits for the journal, by what it waits for. Both queues are in the
/// order of the log, but for those who wait for a record of somebody else, which is older:
/// they wait a little longer than they must.
#[derive(Debug, Default)]
pub(crate) struct WaitList {
    written: VecDeque<(Lsn, Waiting)>,
    synced: VecDeque<(Lsn, Waiting)>,
}

impl WaitList {
    /// Adds one; gives it back if there is nothing to wait for.
    pub(crate) fn add(
        &mut self,
        needs: Needs,
        marks: Watermarks,
        waiting: Waiting,
    ) -> Option<Waiting> {
        match needs {
            _ if needs.met(marks) => return Some(waiting),
            Needs::Nothing => return Some(waiting),
            Needs::Written(lsn) => self.written.push_back((lsn, waiting)),
            Needs::Synced(lsn) => self.synced.push_back((lsn, waiting)),
        }
        None
    }

    /// Takes the first one that waits no longer.
    pub(crate) fn pop(&mut self, marks: Watermarks) -> Option<Waiting> {
        let met = |queue: &VecDeque<(Lsn, Waiting)>, mark: Lsn| {
            queue.front().is_some_and(|(lsn, _)| *lsn <= mark)
        };
        let queue = if met(&self.written, marks.written) {
            &mut self.written
        } else if met(&self.synced, marks.synced) {
            &mut self.synced
        } else {
            return None;
        };
        queue.pop_front().map(|(_, waiting)| waiting)
    }

    /// Takes everything: nothing will come any more.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Waiting> {
        let written = std::mem::take(&mut self.written);
        let synced = std::mem::take(&mut self.synced);
        written
            .into_iter()
            .chain(synced)
            .map(|(_, waiting)| waiting)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.written.is_empty() && self.synced.is_empty()
    }
}
