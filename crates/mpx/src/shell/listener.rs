use super::Event;
use super::counters::Counting;
use super::promise::Table;
use super::queue::{Pushed, Queue};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::book::SubscriptionId;

/// How a subscription is reached.
pub(super) struct Listener {
    face: Face,
    id: OnceLock<SubscriptionId>,
}

pub(super) enum Face {
    /// Locked by the multiplexer's task alone.
    Callback(Mutex<Callback>),
    /// The same.
    Together(Mutex<Together>),
    Queue(Arc<Queue>),
    Promises(Arc<Table>),
}

pub(super) type Callback = Box<dyn FnMut(Event) + Send>;

/// A callback for many events, and those that it is to be called with.
pub(super) struct Together {
    on: Box<dyn FnMut(Vec<Event>) + Send>,
    events: Vec<Event>,
}

impl Together {
    pub(super) fn new(on: impl FnMut(Vec<Event>) + Send + 'static) -> Self {
        Self {
            on: Box::new(on),
            events: Vec::new(),
        }
    }
}

impl Listener {
    pub(super) const fn new(face: Face) -> Self {
        Self {
            face,
            id: OnceLock::new(),
        }
    }

    /// Tells it which subscription it belongs to, once.
    pub(super) fn belongs_to(&self, id: SubscriptionId) {
        let _ = self.id.set(id);
    }

    pub(super) fn subscription(&self) -> Option<SubscriptionId> {
        self.id.get().copied()
    }

    /// Hands it an event, if there is room for it: false if the subscription is to end, none if
    /// there isn't.
    pub(super) fn try_hear(&self, event: &Event, counting: &Counting) -> Option<bool> {
        match &self.face {
            Face::Queue(queue) => queue.try_push(event).map(|pushed| pushed.count(counting)),
            Face::Callback(_) | Face::Together(_) | Face::Promises(_) => {
                self.hear_now(event.clone(), counting);
                Some(true)
            }
        }
    }

    /// The same as soon as there is room.
    pub(super) async fn hear(&self, event: &Event, counting: &Counting) -> bool {
        match &self.face {
            Face::Queue(queue) => queue.push(event).await.count(counting),
            Face::Callback(_) | Face::Together(_) | Face::Promises(_) => {
                self.hear_now(event.clone(), counting);
                true
            }
        }
    }

    /// The same without waiting, beyond the bound of a queue.
    pub(super) fn hear_now(&self, event: Event, counting: &Counting) {
        match &self.face {
            Face::Callback(callback) => {
                let mut callback = callback.lock().unwrap_or_else(PoisonError::into_inner);
                guarded(counting, || callback(event));
            }
            Face::Together(together) => {
                let mut together = together.lock().unwrap_or_else(PoisonError::into_inner);
                together.events.push(event);
            }
            Face::Queue(queue) => queue.force(event),
            Face::Promises(table) => table.hear(event),
        }
    }

    /// Whether it is to be [told together](Self::tell_together) what it has heard, for the first time
    /// since it was.
    pub(super) fn has_begun_to_gather(&self) -> bool {
        match &self.face {
            Face::Together(together) => {
                let together = together.lock().unwrap_or_else(PoisonError::into_inner);
                together.events.len() == 1
            }
            _ => false,
        }
    }

    /// Hands over what was gathered.
    pub(super) fn tell_together(&self, counting: &Counting) {
        if let Face::Together(together) = &self.face {
            let mut together = together.lock().unwrap_or_else(PoisonError::into_inner);
            let events = std::mem::take(&mut together.events);
            if !events.is_empty() {
                guarded(counting, || (together.on)(events));
            }
        }
    }

    /// Names are not active any more, and nobody is told.
    pub(super) fn pause(&self) {
        if let Face::Promises(table) = &self.face {
            table.pause();
        }
    }

    /// The subscription is closed.
    pub(super) fn end(&self) {
        match &self.face {
            Face::Callback(_) | Face::Together(_) => {}
            Face::Queue(queue) => queue.end(),
            Face::Promises(table) => table.close(),
        }
    }
}

fn guarded(counting: &Counting, callback: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(callback)).is_err() {
        counting.panics.add(1);
        tracing::error!("a subscription's callback panicked; it stays subscribed");
    }
}

impl Pushed {
    /// Counts it; false if the subscription is to end.
    fn count(self, counting: &Counting) -> bool {
        match self {
            Self::Taken => {}
            Self::Dropped(n) => counting.dropped.add(n),
            Self::Overflow => counting.overflows.add(1),
        }
        self != Self::Overflow
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let face = match &self.face {
            Face::Callback(_) | Face::Together(_) => "callback",
            Face::Queue(_) => "queue",
            Face::Promises(_) => "promises",
        };
        write!(f, "Listener({face}, {:?})", self.id.get())
    }
}
