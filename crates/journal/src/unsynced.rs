//! Which end of a recovered log is not known to be durable. Pure.

use std::collections::VecDeque;

use crate::format::BatchHeader;
use crate::lsn::{Lsn, Place};

/// Batches that are remembered one by one; more of them count as one.
const BATCHES_MAX: usize = 1024;

/// Batches of the last segment that no later batch says were durable.
///
/// A process that starts again may read what a failed sync left in the page cache and the disk will never have: a second sync reports success
/// for it. So recovery writes these batches again before it syncs them.
#[derive(Debug, Default)]
pub(crate) struct Unsynced {
    /// Where a batch starts, and the `synced_lsn` that covers it.
    batches: VecDeque<(Place, Lsn)>,
}

impl Unsynced {
    /// The log goes on in another segment: everything before it was durable before anything in it was written.
    pub(crate) fn enter_segment(&mut self) {
        self.batches.clear();
    }

    /// The next batch of the log.
    pub(crate) fn add(&mut self, place: Place, batch: &BatchHeader) {
        while self
            .batches
            .front()
            .is_some_and(|(_, covered_by)| *covered_by <= batch.synced_lsn)
        {
            self.batches.pop_front();
        }
        // A closing batch has no record that could be said to be durable: the next one's has to do.
        let covered_by = match batch.count {
            0 => batch.next_lsn(),
            _ => Lsn(batch.next_lsn().0 - 1),
        };
        let is_full = self.batches.len() >= BATCHES_MAX;
        match self.batches.back_mut().filter(|_| is_full) {
            Some(last) => last.1 = covered_by,
            None => self.batches.push_back((place, covered_by)),
        }
    }

    /// Where the first of them starts.
    pub(crate) fn start(&self) -> Option<Place> {
        self.batches.front().map(|(place, _)| *place)
    }
}
