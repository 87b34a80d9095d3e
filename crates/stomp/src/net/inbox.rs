//! Messages between the connection and whoever takes them.

use super::Message;
use crate::ClientError;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::sync::Notify;

/// How much of a subscription waits in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// The messages of a subscription that nobody has taken yet. It never refuses one: whoever reads
/// the connection looks at [`is_full`](Self::is_full) before, and so at most one read is beyond.
#[derive(Debug)]
pub(crate) struct Inbox {
    inner: Mutex<Inner>,
    room: Room,
    /// Who reads the connection.
    reader: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Inner {
    messages: VecDeque<Message>,
    bytes: usize,
    /// The room was used up, and less than half of it has become free since.
    full: bool,
    /// Nothing more comes; the error, if there is one, is told last.
    ended: bool,
    error: Option<ClientError>,
    waker: Option<Waker>,
}

impl Inbox {
    pub(crate) fn new(room: Room, reader: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::default(),
            room,
            reader,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, message: Message) {
        let mut inner = self.lock();
        if inner.ended {
            return;
        }
        inner.bytes += message.weight();
        inner.messages.push_back(message);
        inner.full |= inner.messages.len() >= self.room.messages || inner.bytes >= self.room.bytes;
        wake(inner);
    }

    /// Nothing more comes.
    pub(crate) fn end(&self, error: Option<ClientError>) {
        let mut inner = self.lock();
        if inner.ended {
            return;
        }
        inner.ended = true;
        inner.error = error;
        wake(inner);
    }

    /// Nobody takes anything any more.
    pub(crate) fn abandon(&self) {
        let mut inner = self.lock();
        inner.ended = true;
        inner.error = None;
        inner.messages.clear();
        inner.bytes = 0;
        inner.full = false;
        drop(inner);
        self.reader.notify_one();
    }

    pub(crate) fn is_full(&self) -> bool {
        self.lock().full
    }

    pub(crate) fn poll_next(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Message, ClientError>>> {
        let mut inner = self.lock();
        if let Some(message) = inner.messages.pop_front() {
            inner.bytes -= message.weight();
            let half_free = inner.messages.len() <= self.room.messages / 2
                && inner.bytes <= self.room.bytes / 2;
            let was_full = inner.full;
            inner.full &= !half_free;
            let has_room = was_full && !inner.full;
            drop(inner);
            if has_room {
                self.reader.notify_one();
            }
            return Poll::Ready(Some(Ok(message)));
        }
        if inner.ended {
            return Poll::Ready(inner.error.take().map(Err));
        }
        inner.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Wakes without the lock.
fn wake(mut inner: MutexGuard<'_, Inner>) {
    let waker = inner.waker.take();
    drop(inner);
    if let Some(waker) = waker {
        waker.wake();
    }
}
