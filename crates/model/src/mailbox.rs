use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// One wake-up shared by all the queues of a connection: however many of them are filled,
/// and from however many threads, the connection's task is woken once.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// A wake-up that nobody has used yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes the task that waits, or the next one to wait.
    pub fn wake(&self) {
        self.0.notify_one();
    }

    /// Waits until woken. Safe to drop and to call again: a wake-up in between is kept.
    pub async fn woken(&self) {
        self.0.notified().await;
    }
}

/// A queue with many producers and one consumer that is woken when it stops being empty.
/// The bound is the producer's duty: credit, window or call limits stand before it.
#[derive(Debug)]
pub struct Mailbox<T> {
    items: Mutex<Vec<T>>,
    wake: Wake,
}

impl<T> Mailbox<T> {
    /// An empty mailbox that wakes `wake`.
    pub fn new(wake: Wake) -> Self {
        Self {
            items: Mutex::new(Vec::new()),
            wake,
        }
    }

    /// Adds one item.
    pub fn push(&self, item: T) {
        self.extend([item]);
    }

    /// Adds items with at most one wake-up.
    pub fn extend(&self, items: impl IntoIterator<Item = T>) {
        let mut held = self
            .items
            .lock()
            .expect("no code panics while it holds a mailbox");
        let was_empty = held.is_empty();
        held.extend(items);
        let wake = was_empty && !held.is_empty();
        drop(held);
        if wake {
            self.wake.wake();
        }
    }

    /// Takes everything, in order, into `into`, which must be empty: the two buffers
    /// change places, so that none is allocated in the steady state.
    pub fn drain_into(&self, into: &mut Vec<T>) {
        debug_assert!(into.is_empty());
        std::mem::swap(
            &mut *self
                .items
                .lock()
                .expect("no code panics while it holds a mailbox"),
            into,
        );
    }

    /// The wake-up given at construction.
    pub fn wake(&self) -> &Wake {
        &self.wake
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    #[test]
    fn wakes_once_for_many_items() {
        let wake = Wake::new();
        let (a, b) = (Mailbox::new(wake.clone()), Mailbox::new(wake.clone()));
        a.push(1);
        a.extend([2, 3]);
        b.push(4);
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(pin!(wake.woken()).poll(&mut context), Poll::Ready(()));
        assert_eq!(pin!(wake.woken()).poll(&mut context), Poll::Pending);
        let mut items = Vec::new();
        a.drain_into(&mut items);
        assert_eq!(items, [1, 2, 3]);
    }
}
