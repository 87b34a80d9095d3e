//! What all clients share: both ledgers, a count of what happens, and whether it is over.

use super::calls::Calls;
use super::messages::Messages;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// How far a soak has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    #[default]
    Load,
    /// Nothing new is asked or published.
    Over,
    /// Everything has come.
    Done,
}

#[derive(Default)]
pub(crate) struct World {
    calls: Mutex<Calls>,
    messages: Mutex<Messages>,
    events: watch::Sender<u64>,
    stage: watch::Sender<Stage>,
}

impl World {
    pub(crate) fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn messages(&self) -> MutexGuard<'_, Messages> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something happened.
    pub(crate) fn count(&self) {
        self.events.send_modify(|events| *events += 1);
    }

    /// Waits until so much more has happened.
    pub(crate) async fn until(&self, more: u64) {
        let mut events = self.events.subscribe();
        let end = *events.borrow() + more;
        // The sender lives as long as `self`.
        drop(events.wait_for(|events| *events >= end).await);
    }

    /// Waits until fewer messages are missing than so many, or none.
    pub(crate) async fn until_less_is_missing(&self, than: usize) {
        let mut events = self.events.subscribe();
        let less = |_: &u64| {
            let missing = self.messages().missing().len();
            missing == 0 || missing < than
        };
        drop(events.wait_for(less).await);
    }

    pub(crate) fn end_load(&self) {
        self.stage.send_replace(Stage::Over);
    }

    pub(crate) fn end(&self) {
        self.stage.send_replace(Stage::Done);
    }

    pub(crate) fn is_over(&self) -> bool {
        *self.stage.borrow() >= Stage::Over
    }

    pub(crate) fn is_done(&self) -> bool {
        *self.stage.borrow() == Stage::Done
    }

    pub(crate) async fn done(&self) {
        let mut stage = self.stage.subscribe();
        drop(stage.wait_for(|stage| *stage == Stage::Done).await);
    }
}
