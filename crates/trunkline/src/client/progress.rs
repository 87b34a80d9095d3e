use super::{RequestError, shared::Shared};
use futures_util::Stream;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::{
    collections::VecDeque,
    marker::PhantomData,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// Values of one call that wait to be taken; the oldest goes first, since the newest tells most.
const WAITING_MAX: usize = 64;

/// What a worker told about one call and nobody has taken yet.
#[derive(Debug, Default)]
pub(super) struct ProgressQueue {
    inner: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    values: VecDeque<Box<RawValue>>,
    ended: bool,
    waker: Option<Waker>,
}

impl ProgressQueue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, value: Box<RawValue>) {
        let mut waiting = self.lock();
        if waiting.values.len() >= WAITING_MAX {
            waiting.values.pop_front();
        }
        waiting.values.push_back(value);
        wake(waiting);
    }

    fn end(&self) {
        let mut waiting = self.lock();
        waiting.ended = true;
        wake(waiting);
    }
}

fn wake(mut waiting: MutexGuard<'_, Waiting>) {
    let waker = waiting.waker.take();
    drop(waiting);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// How far a call is, as its worker tells: a stream that ends with the call. At most 64 values
/// wait; then the oldest is left out.
#[derive(Debug)]
pub struct Progress<T = Box<RawValue>> {
    queue: Arc<ProgressQueue>,
    value: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Progress<T> {
    pub(super) fn of(queue: Arc<ProgressQueue>) -> Self {
        Self {
            queue,
            value: PhantomData,
        }
    }

    /// The next value; `None` once the call has ended.
    ///
    /// # Errors
    /// [`RequestError::Unreadable`] if it doesn't fit `T`.
    pub async fn try_next(&mut self) -> Result<Option<T>, RequestError> {
        std::future::poll_fn(|cx| self.poll(cx)).await.transpose()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, RequestError>>> {
        let mut waiting = self.queue.lock();
        match waiting.values.pop_front() {
            Some(value) => {
                let value = serde_json::from_str(value.get()).map_err(RequestError::unreadable);
                Poll::Ready(Some(value))
            }
            None if waiting.ended => Poll::Ready(None),
            None => {
                waiting.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T: DeserializeOwned> Stream for Progress<T> {
    type Item = Result<T, RequestError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }
}

/// Follows a call until it is dropped.
#[derive(Debug)]
pub(super) struct Following {
    pub(super) shared: Arc<Shared>,
    pub(super) id: u64,
    pub(super) queue: Arc<ProgressQueue>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.shared.unfollow(self.id);
        self.queue.end();
    }
}
