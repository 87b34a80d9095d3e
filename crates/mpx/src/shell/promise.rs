use super::Event;
use super::multiplexer::{Handle, Shared};
use super::subscription::closed;
use crate::book::SubscriptionId;
use crate::promises::{PromiseId, Promises};
use crate::{Error, Kind};
use bytes::{Bytes, BytesMut};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{Notify, oneshot, watch};
use trunkline_model::Timestamp;

/// Most promises that end before others have their turn: messages wait meanwhile.
const EXPIRED_AT_ONCE: usize = 1_024;

/// How a promise ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With this message.
    Fulfilled(Bytes),
    /// No message came in time.
    TimedOut,
    /// Whoever made it wants it no longer, or closed the subscription.
    Cancelled,
    /// The connection was lost: the message may have come, and nobody knows.
    Lost,
}

/// One message on one channel, waited for since this was made. A future that ends with an
/// [`Outcome`], in time, whatever happens; dropping it cancels.
pub struct Promise {
    table: Arc<Table>,
    id: Option<PromiseId>,
    channel: Bytes,
    outcome: oneshot::Receiver<Outcome>,
}

impl Promise {
    /// The channel: prefix and suffix.
    pub const fn channel(&self) -> &Bytes {
        &self.channel
    }

    /// Ends it, unless it has ended.
    pub fn cancel(&self) {
        if let Some(id) = self.id {
            self.table.cancel(id);
        }
    }
}

impl Future for Promise {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let outcome = Pin::new(&mut self.outcome).poll(cx);
        outcome.map(|outcome| {
            self.id = None;
            outcome.unwrap_or(Outcome::Lost)
        })
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl fmt::Debug for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Promise({:?})", self.channel)
    }
}

/// Promises on the channels that begin with one prefix. Making and ending them costs no traffic:
/// the prefix is one pattern in Redis. Dropping it closes it.
///
/// A message fulfils every promise that waits for its channel, and is dropped if none does.
pub struct PromiseSubscription {
    handle: Arc<Handle>,
    id: SubscriptionId,
    table: Arc<Table>,
}

impl PromiseSubscription {
    pub(super) fn begin(
        handle: Arc<Handle>,
        id: SubscriptionId,
        table: Arc<Table>,
    ) -> Result<Self, Error> {
        let pattern = everything_with(&table.prefix);
        handle.add(id, Kind::Pattern, [pattern])?;
        tokio::spawn(end_in_time(table.clone()));
        Ok(Self { handle, id, table })
    }

    /// Its prefix.
    pub fn prefix(&self) -> &Bytes {
        &self.table.prefix
    }

    /// Waits until promises can be made; false if it is closed, before or meanwhile.
    pub async fn wait_for_activation(&self) -> bool {
        let mut activity = self.table.activity.subscribe();
        let known = activity.wait_for(|activity| *activity != Activity::Inactive);
        known.await.is_ok_and(|now| *now == Activity::Active)
    }

    /// A promise of the next message on `prefix` and `suffix` together, for `timeout` from now.
    /// It takes effect when this returns. With no time at all it is timed out already.
    ///
    /// # Errors
    /// [`Error::Inactive`] if messages would not be heard now; [`Error::Closed`].
    pub fn promise(&self, suffix: impl AsRef<[u8]>, timeout: Duration) -> Result<Promise, Error> {
        self.table.promise(suffix.as_ref(), timeout)
    }

    /// The same as soon as it is active; its time begins then.
    ///
    /// # Errors
    /// [`Error::Closed`], before or meanwhile.
    pub async fn wait_for_promise(
        &self,
        suffix: impl AsRef<[u8]>,
        timeout: Duration,
    ) -> Result<Promise, Error> {
        loop {
            if !self.wait_for_activation().await {
                return Err(Error::Closed);
            }
            // The connection may be lost in between.
            match self.table.promise(suffix.as_ref(), timeout) {
                Err(Error::Inactive) => {}
                promise => return promise,
            }
        }
    }

    /// How many promises wait.
    pub fn waiting(&self) -> usize {
        self.table.state().promises.len()
    }

    /// Ends it: whatever waits is cancelled.
    ///
    /// # Errors
    /// [`Error::Closed`]: it had ended.
    pub fn close(&self) -> Result<(), Error> {
        closed(self.handle.close(self.id))
    }
}

impl Drop for PromiseSubscription {
    fn drop(&mut self) {
        self.handle.close(self.id);
    }
}

impl fmt::Debug for PromiseSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PromiseSubscription({:?})", self.table.prefix)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activity {
    Inactive,
    Active,
    Closed,
}

/// The promises of one subscription.
pub(super) struct Table {
    prefix: Bytes,
    shared: Arc<Shared>,
    state: Mutex<State>,
    activity: watch::Sender<Activity>,
    /// A promise ends earlier than those before, or the subscription has ended.
    sooner: Notify,
}

struct State {
    promises: Promises<oneshot::Sender<Outcome>>,
    activity: Activity,
}

impl Table {
    pub(super) fn new(prefix: Bytes, shared: Arc<Shared>) -> Self {
        let state = State {
            promises: Promises::new(),
            activity: Activity::Inactive,
        };
        Self {
            prefix: Bytes::copy_from_slice(&prefix),
            shared,
            state: Mutex::new(state),
            activity: watch::Sender::new(Activity::Inactive),
            sooner: Notify::new(),
        }
    }

    pub(super) fn hear(&self, event: Event) {
        match event {
            Event::Active { .. } => self.become_(Activity::Active),
            Event::Message { channel, payload } => self.fulfil(&channel, &payload),
            Event::Lost { .. } | Event::Withdrawn { .. } | Event::Refused { .. } => {
                self.become_(Activity::Inactive);
                self.end_all(&Outcome::Lost);
            }
            Event::Dropped(_) => {}
        }
    }

    /// Nothing is heard, but nothing is lost that anybody should know of.
    pub(super) fn pause(&self) {
        self.become_(Activity::Inactive);
    }

    pub(super) fn close(&self) {
        self.become_(Activity::Closed);
        self.end_all(&Outcome::Cancelled);
        self.sooner.notify_one();
    }

    fn promise(self: &Arc<Self>, suffix: &[u8], timeout: Duration) -> Result<Promise, Error> {
        let mut channel = BytesMut::with_capacity(self.prefix.len() + suffix.len());
        channel.extend_from_slice(&self.prefix);
        channel.extend_from_slice(suffix);
        let channel = channel.freeze();
        let (waiter, outcome) = oneshot::channel();
        let now = self.shared.now();
        let mut state = self.state();
        match state.activity {
            Activity::Active => {}
            Activity::Inactive => return Err(Error::Inactive),
            Activity::Closed => return Err(Error::Closed),
        }
        let id = if timeout.is_zero() {
            let _ = waiter.send(Outcome::TimedOut);
            None
        } else {
            let (id, first) = state.promises.add(now, channel.clone(), timeout, waiter);
            if first {
                self.sooner.notify_one();
            }
            Some(id)
        };
        drop(state);
        Ok(Promise {
            table: self.clone(),
            id,
            channel,
            outcome,
        })
    }

    fn fulfil(&self, channel: &[u8], payload: &Bytes) {
        let waiters = self.state().promises.fulfil(channel);
        for waiter in waiters {
            let _ = waiter.send(Outcome::Fulfilled(payload.clone()));
        }
    }

    fn cancel(&self, id: PromiseId) {
        let waiter = self.state().promises.cancel(id);
        if let Some(waiter) = waiter {
            let _ = waiter.send(Outcome::Cancelled);
        }
    }

    /// Those whose time is over, when the next one's is, and whether there will be any more.
    fn expire(&self) -> (Vec<oneshot::Sender<Outcome>>, Option<Timestamp>, bool) {
        let now = self.shared.now();
        let mut state = self.state();
        let waiters = state.promises.expire(now, EXPIRED_AT_ONCE);
        let closed = state.activity == Activity::Closed;
        (waiters, state.promises.due(), closed)
    }

    fn end_all(&self, outcome: &Outcome) {
        let waiters = self.state().promises.take_all();
        for waiter in waiters {
            let _ = waiter.send(outcome.clone());
        }
    }

    /// Closed is for good.
    fn become_(&self, activity: Activity) {
        let mut state = self.state();
        if state.activity != Activity::Closed {
            state.activity = activity;
            self.activity.send_replace(activity);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no code panics while it holds the promises")
    }
}

/// Ends promises whose time is over, until the subscription is closed.
async fn end_in_time(table: Arc<Table>) {
    loop {
        let (waiters, due, closed) = table.expire();
        for waiter in waiters {
            let _ = waiter.send(Outcome::TimedOut);
        }
        if closed {
            return;
        }
        match due {
            Some(due) => {
                // A promise ends after its deadline, not at it.
                let after = table.shared.instant(due) + Duration::from_micros(1);
                tokio::select! {
                    () = tokio::time::sleep_until(after) => {}
                    () = table.sooner.notified() => {}
                }
            }
            None => table.sooner.notified().await,
        }
    }
}

/// The pattern of all channels that begin with these bytes, and no others.
fn everything_with(prefix: &[u8]) -> Bytes {
    let mut pattern = BytesMut::with_capacity(prefix.len() + 1);
    for byte in prefix {
        if matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\' | b'^') {
            pattern.extend_from_slice(b"\\");
        }
        pattern.extend_from_slice(&[*byte]);
    }
    pattern.extend_from_slice(b"*");
    pattern.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_model::glob_match;

    #[test]
    fn a_prefix_is_taken_literally() {
        for prefix in [&b"a*b["[..], b"", b"?", b"[a-c]^\\", b"x{y}"] {
            let pattern = everything_with(prefix);
            let with = |suffix: &[u8]| [prefix, suffix].concat();
            assert!(glob_match(&pattern, &with(b"")) && glob_match(&pattern, &with(b"x*")));
            let other = [b"aXb[", prefix].concat();
            assert_eq!(glob_match(&pattern, &other), other.starts_with(prefix));
        }
    }
}
