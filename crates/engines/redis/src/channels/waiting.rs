//! Publishes that wait for their turn. Pure.

use bytes::Bytes;
use std::collections::VecDeque;
use trunkline_model::{ChannelName, Completion, Timestamp};

/// Most bytes that wait.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// What a publish takes besides its name and payload.
const PUBLISH_BYTES: usize = size_of::<Publish>();
/// Most bytes of one turn, unless it is a single publish.
const TURN_BYTES_MAX: usize = 1 << 20;
/// Most publishes of one turn.
const TURN_MAX: usize = 4_096;

#[derive(Debug)]
pub(super) struct Publish {
    pub(super) channel: ChannelName,
    pub(super) payload: Bytes,
    pub(super) completion: Completion,
    pub(super) deadline: Timestamp,
}

impl Publish {
    fn weight(&self) -> usize {
        self.channel.len() + self.payload.len() + PUBLISH_BYTES
    }
}

/// In order, and so by deadline, as all wait equally long.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    publishes: VecDeque<Publish>,
    bytes: usize,
}

impl Waiting {
    /// Takes one, or gives its completion back with the bound that is reached. One of any size has room if
    /// nothing waits.
    pub(super) fn push(&mut self, publish: Publish) -> Result<(), (Completion, usize)> {
        let bytes = self.bytes + publish.weight();
        if bytes > WAITING_BYTES_MAX && !self.publishes.is_empty() {
            return Err((publish.completion, WAITING_BYTES_MAX));
        }
        self.bytes = bytes;
        self.publishes.push_back(publish);
        Ok(())
    }

    /// Puts back what was taken and not sent, in its order.
    pub(super) fn put_back(&mut self, publishes: Vec<Publish>) {
        for publish in publishes.into_iter().rev() {
            self.bytes += publish.weight();
            self.publishes.push_front(publish);
        }
    }

    /// As many as go together.
    pub(super) fn take(&mut self) -> Vec<Publish> {
        let mut turn = Vec::new();
        let mut bytes = 0;
        while turn.len() < TURN_MAX
            && let Some(next) = self.publishes.front()
            && (turn.is_empty() || bytes + next.weight() <= TURN_BYTES_MAX)
            && let Some(next) = self.pop()
        {
            bytes += next.weight();
            turn.push(next);
        }
        turn
    }

    /// The earliest deadline.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.publishes.front().map(|publish| publish.deadline)
    }

    /// Those whose deadline has come.
    pub(super) fn expire(&mut self, now: Timestamp) -> Vec<Publish> {
        let mut expired = Vec::new();
        while self.due().is_some_and(|due| due <= now)
            && let Some(publish) = self.pop()
        {
            expired.push(publish);
        }
        expired
    }

    fn pop(&mut self) -> Option<Publish> {
        let publish = self.publishes.pop_front()?;
        self.bytes -= publish.weight();
        Some(publish)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(bytes: usize, deadline: u64) -> Publish {
        Publish {
            channel: ChannelName::new("c").unwrap(),
            payload: vec![0; bytes].into(),
            completion: Completion::ignored(),
            deadline: Timestamp::from_millis(deadline),
        }
    }

    #[test]
    fn what_waits_is_bounded_and_taken_in_turns() {
        let mut waiting = Waiting::default();
        let mut taken = 0;
        while waiting.push(publish(100_000, 0)).is_ok() {
            taken += 1;
        }
        assert_eq!(taken, WAITING_BYTES_MAX / (100_001 + PUBLISH_BYTES));
        let turn = waiting.take();
        assert_eq!(turn.len(), 10);
        assert!(waiting.push(publish(1_000_000, 0)).is_ok());
        waiting.put_back(turn);
        assert!(waiting.push(publish(1, 0)).is_err());
        let mut left = 0;
        while !waiting.take().is_empty() {
            left += 1;
        }
        assert_eq!((left, waiting.bytes), (usize::div_ceil(taken, 10) + 1, 0));
        // One alone always has room and is a turn.
        assert!(waiting.push(publish(WAITING_BYTES_MAX, 0)).is_ok());
        assert!(waiting.push(publish(1, 0)).is_err());
        assert_eq!(waiting.take().len(), 1);
        for _ in 0..=TURN_MAX {
            assert!(waiting.push(publish(1, 0)).is_ok());
        }
        assert_eq!((waiting.take().len(), waiting.take().len()), (TURN_MAX, 1));
    }

    #[test]
    fn the_order_is_kept_and_deadlines_come() {
        let at = Timestamp::from_millis;
        let mut waiting = Waiting::default();
        assert_eq!(waiting.due(), None);
        for deadline in [10, 20, 30] {
            assert!(waiting.push(publish(1, deadline)).is_ok());
        }
        let turn = waiting.take();
        assert!(waiting.push(publish(1, 40)).is_ok());
        waiting.put_back(turn);
        assert_eq!(waiting.due(), Some(at(10)));
        assert!(waiting.expire(at(9)).is_empty());
        assert_eq!(waiting.expire(at(20)).len(), 2);
        let left: Vec<_> = waiting.take().iter().map(|p| p.deadline).collect();
        assert_eq!(left, [at(30), at(40)]);
    }
}
