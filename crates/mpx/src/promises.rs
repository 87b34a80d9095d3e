//! Who waits for one message, and until when. Pure.

use bytes::Bytes;
use hashbrown::HashMap;
use std::time::Duration;
use trunkline_model::{DeadlineQueue, Timestamp};

/// Names a promise within its table; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PromiseId(u64);

/// Promises by the channel that they wait for. `W` is how whoever waits is told.
#[derive(Debug)]
pub(crate) struct Promises<W> {
    waiting: HashMap<PromiseId, Waiting<W>>,
    by_channel: HashMap<Bytes, Vec<PromiseId>>,
    deadlines: DeadlineQueue<PromiseId>,
    last: u64,
}

#[derive(Debug)]
struct Waiting<W> {
    channel: Bytes,
    deadline: Timestamp,
    waiter: W,
}

impl<W> Promises<W> {
    pub(crate) fn new() -> Self {
        Self {
            waiting: HashMap::new(),
            by_channel: HashMap::new(),
            deadlines: DeadlineQueue::new(),
            last: 0,
        }
    }

    /// Waits for a message; true if nothing is due earlier.
    pub(crate) fn add(
        &mut self,
        now: Timestamp,
        channel: Bytes,
        timeout: Duration,
        waiter: W,
    ) -> (PromiseId, bool) {
        self.last += 1;
        let id = PromiseId(self.last);
        let deadline = now.after(timeout);
        let first = self.deadlines.next().is_none_or(|next| deadline < next);
        self.deadlines.insert(deadline, id);
        self.by_channel.entry(channel.clone()).or_default().push(id);
        let waiting = Waiting {
            channel,
            deadline,
            waiter,
        };
        self.waiting.insert(id, waiting);
        (id, first)
    }

    /// A message came: everybody who waited for one on that channel.
    pub(crate) fn fulfil(&mut self, channel: &[u8]) -> Vec<W> {
        let ids = self.by_channel.remove(channel).unwrap_or_default();
        let waiters = ids.into_iter().filter_map(|id| {
            let waiting = self.waiting.remove(&id)?;
            self.deadlines.remove(waiting.deadline, id);
            Some(waiting.waiter)
        });
        let waiters = waiters.collect();
        self.give_back();
        waiters
    }

    /// Nobody waits for this one any more; none if it was over.
    pub(crate) fn cancel(&mut self, id: PromiseId) -> Option<W> {
        let waiting = self.waiting.remove(&id)?;
        self.deadlines.remove(waiting.deadline, id);
        self.forget_channel(&waiting.channel, id);
        self.give_back();
        Some(waiting.waiter)
    }

    /// Those whose time is over, but not more than so many at once.
    pub(crate) fn expire(&mut self, now: Timestamp, most: usize) -> Vec<W> {
        let mut waiters = Vec::new();
        while waiters.len() < most
            && let Some((_, id)) = self.deadlines.pop_due(now)
        {
            if let Some(waiting) = self.waiting.remove(&id) {
                self.forget_channel(&waiting.channel, id);
                waiters.push(waiting.waiter);
            }
        }
        self.give_back();
        waiters
    }

    /// All of them: the connection is lost, or the subscription closed.
    pub(crate) fn take_all(&mut self) -> Vec<W> {
        let waiting = std::mem::take(&mut self.waiting);
        self.by_channel = HashMap::new();
        self.deadlines = DeadlineQueue::new();
        let mut waiting: Vec<_> = waiting.into_iter().collect();
        waiting.sort_unstable_by_key(|(id, _)| *id);
        waiting.into_iter().map(|(_, w)| w.waiter).collect()
    }

    /// When [`Promises::expire`] finds the next one. A promise ends strictly after its deadline.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    fn forget_channel(&mut self, channel: &Bytes, id: PromiseId) {
        if let Some(ids) = self.by_channel.get_mut(channel) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_channel.remove(channel);
            }
        }
    }

    /// Gives memory back once much more is kept than is used.
    fn give_back(&mut self) {
        const KEPT: usize = 1024;
        if self.waiting.capacity() > KEPT && self.waiting.len() < self.waiting.capacity() / 8 {
            self.waiting.shrink_to(KEPT.max(self.waiting.len() * 2));
            self.by_channel
                .shrink_to(KEPT.max(self.by_channel.len() * 2));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> Timestamp = Timestamp::from_millis;
    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn promises(entries: &[(&'static str, u64, char)]) -> (Promises<char>, Vec<PromiseId>) {
        let mut promises = Promises::new();
        let ids = entries.iter().map(|(channel, timeout, waiter)| {
            let channel = Bytes::from_static(channel.as_bytes());
            promises.add(AT(0), channel, MS(*timeout), *waiter).0
        });
        let ids = ids.collect();
        (promises, ids)
    }

    #[test]
    fn a_message_fulfils_all_who_wait_for_that_channel() {
        let (mut promises, _) = promises(&[("p:a", 9, 'x'), ("p:b", 9, 'y'), ("p:a", 5, 'z')]);
        assert_eq!(promises.fulfil(b"p:a"), ['x', 'z']);
        assert!(promises.fulfil(b"p:a").is_empty());
        assert_eq!(promises.expire(AT(100), 9), ['y']);
    }

    #[test]
    fn they_end_in_the_order_of_their_deadlines_or_as_they_were_made() {
        let (mut promises, ids) = promises(&[
            ("a", 30, 'x'),
            ("b", 10, 'y'),
            ("a", 20, 'z'),
            ("c", 9, 'q'),
        ]);
        assert_eq!(promises.due(), Some(AT(9)));
        assert_eq!(promises.cancel(ids[3]), Some('q'));
        assert_eq!(promises.cancel(ids[3]), None);
        assert!(promises.expire(AT(10), 9).is_empty());
        assert_eq!(promises.expire(AT(21), 1), ['y']);
        assert_eq!(promises.expire(AT(21), 9), ['z']);
        assert_eq!(promises.take_all(), ['x']);
        assert_eq!((promises.len(), promises.due()), (0, None));
    }

    #[test]
    fn nothing_is_kept_of_promises_that_are_over() {
        let mut promises = Promises::new();
        for n in 0..100_000_u32 {
            let channel = Bytes::from(n.to_string());
            promises.add(AT(0), channel, MS(u64::from(n)), ());
        }
        assert_eq!(promises.expire(AT(1_000_000), usize::MAX).len(), 100_000);
        assert!(promises.waiting.capacity() < 4096 && promises.by_channel.capacity() < 4096);
    }
}
