use super::Event;
use super::multiplexer::Handle;
use crate::book::SubscriptionId;
use futures_util::Stream;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

/// What becomes of events for which a stream has no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OverflowPolicy {
    /// Wait: everybody waits with it, and Redis too in the end. Keeps all messages, as long as
    /// Redis keeps them (`client-output-buffer-limit`).
    #[default]
    Block,
    /// Lose the oldest, and say how many: [`Event::Dropped`].
    DropOldest,
    /// End the subscription: the stream ends after what it holds.
    Disconnect,
}

/// Bounds of a stream.
#[derive(Clone, Copy, Debug)]
pub struct QueueOptions {
    /// Most events that wait; 1,000 unless told, at least 1.
    pub events_max: usize,
    /// Most bytes of names and payloads that wait; 16 MiB unless told. One event always fits.
    pub bytes_max: usize,
    /// What becomes of the others.
    pub overflow: OverflowPolicy,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            events_max: 1_000,
            bytes_max: 16 << 20,
            overflow: OverflowPolicy::default(),
        }
    }
}

/// How handing an event over went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It waits there.
    Taken,
    /// So many others were dropped for it.
    Dropped(u64),
    /// There was no room, and the subscription is to end.
    Overflow,
}

#[derive(Debug)]
pub(super) struct Queue {
    options: QueueOptions,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Event>,
    bytes: usize,
    dropped: u64,
    /// Nothing comes any more.
    ended: bool,
    /// Nobody takes any more.
    abandoned: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Queue {
    pub(super) fn new(options: QueueOptions) -> Self {
        Self {
            options,
            state: Mutex::default(),
        }
    }

    /// Hands an event over as the policy says; none if that is to wait.
    pub(super) fn try_push(&self, event: &Event) -> Option<Pushed> {
        self.state().push(&self.options, event)
    }

    /// The same, and waits.
    pub(super) async fn push(&self, event: &Event) -> Pushed {
        poll_fn(|cx| {
            let mut state = self.state();
            match state.push(&self.options, event) {
                Some(pushed) => Poll::Ready(pushed),
                None => {
                    state.writer = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Hands an event over beyond the bound: the multiplexer stops, and what it has read is
    /// bounded itself.
    pub(super) fn force(&self, event: Event) {
        let mut state = self.state();
        if !state.abandoned && !state.ended {
            state.add(event);
        }
    }

    /// Nothing comes any more.
    pub(super) fn end(&self) {
        self.state().end();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no code panics while it holds the queue")
    }
}

impl State {
    fn push(&mut self, options: &QueueOptions, event: &Event) -> Option<Pushed> {
        if self.abandoned || self.ended {
            return Some(Pushed::Taken);
        }
        let weight = event.weight();
        if self.has_room(options, weight) {
            self.add(event.clone());
            return Some(Pushed::Taken);
        }
        match options.overflow {
            OverflowPolicy::Block => None,
            OverflowPolicy::DropOldest => {
                let mut dropped = 0;
                while !self.has_room(options, weight) && self.take().is_some() {
                    dropped += 1;
                }
                self.dropped += dropped;
                self.add(event.clone());
                Some(Pushed::Dropped(dropped))
            }
            OverflowPolicy::Disconnect => {
                self.end();
                Some(Pushed::Overflow)
            }
        }
    }

    fn has_room(&self, options: &QueueOptions, weight: usize) -> bool {
        self.events.is_empty()
            || (self.events.len() < options.events_max.max(1)
                && self.bytes + weight <= options.bytes_max)
    }

    fn add(&mut self, event: Event) {
        self.bytes += event.weight();
        self.events.push_back(event);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn take(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.bytes -= event.weight();
        Some(event)
    }

    fn end(&mut self) {
        self.ended = true;
        for waker in [self.reader.take(), self.writer.take()] {
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

/// What a subscription hears, as a stream. It ends when the subscription is closed, by whomever;
/// dropping it closes the subscription.
pub struct Events {
    queue: Arc<Queue>,
    handle: Arc<Handle>,
    subscription: SubscriptionId,
}

impl Events {
    pub(super) fn new(
        queue: Arc<Queue>,
        handle: Arc<Handle>,
        subscription: SubscriptionId,
    ) -> Self {
        Self {
            queue,
            handle,
            subscription,
        }
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut state = self.queue.state();
        let dropped = std::mem::take(&mut state.dropped);
        if dropped > 0 {
            return Poll::Ready(Some(Event::Dropped(dropped)));
        }
        if let Some(event) = state.take() {
            if let Some(writer) = state.writer.take() {
                writer.wake();
            }
            return Poll::Ready(Some(event));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.abandoned = true;
        state.events = VecDeque::new();
        let writer = state.writer.take();
        drop(state);
        writer.into_iter().for_each(Waker::wake);
        self.handle.close(self.subscription);
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.queue.state();
        f.debug_struct("Events")
            .field("waiting", &state.events.len())
            .field("ended", &state.ended)
            .finish_non_exhaustive()
    }
}
