//! Where a blocking thread finds what its requests came to.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use trunkline_model::{Completed, CompletionSink};

/// How long an answer may take, so that a lost one ends the run instead of hanging it.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Answers that wait to be taken.
#[derive(Default)]
pub(super) struct Answers {
    waiting: Mutex<Vec<Completed>>,
    came: Condvar,
}

impl Answers {
    /// Blocks until there is one, and takes all, into an empty vector.
    pub(super) fn take(&self, into: &mut Vec<Completed>) -> Result<()> {
        let waiting = self.waiting();
        let waited = self
            .came
            .wait_timeout_while(waiting, SILENCE_MAX, |waiting| waiting.is_empty());
        let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        ensure!(!waiting.is_empty(), "no answer for {SILENCE_MAX:?}");
        std::mem::swap(&mut *waiting, into);
        Ok(())
    }

    /// The same without blocking; false if there is none.
    pub(super) fn take_now(&self, into: &mut Vec<Completed>) -> bool {
        std::mem::swap(&mut *self.waiting(), into);
        !into.is_empty()
    }

    // No code that can panic runs under the lock, so a poisoned one is still consistent.
    fn waiting(&self) -> MutexGuard<'_, Vec<Completed>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CompletionSink for Answers {
    fn completed(&self, completed: Completed) {
        let mut waiting = self.waiting();
        waiting.push(completed);
        let first = waiting.len() == 1;
        drop(waiting);
        if first {
            self.came.notify_one();
        }
    }
}
