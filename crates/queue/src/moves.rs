use crate::{
    Effects,
    record::{Attempt, Item, Parts, Reason, kind},
};
use smallvec::SmallVec;
use trunkline_model::Timestamp;

/// Something that happened to a message, to be logged together with its like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Move {
    /// Number of the topic.
    pub(crate) topic: u32,
    pub(crate) subscription: u32,
    pub(crate) sequence: u64,
    pub(crate) attempt: u32,
    /// Of a return: until when the message waits.
    pub(crate) until: Option<Timestamp>,
    /// Of a return: when it failed, where dead letters will tell.
    pub(crate) failed_at: Option<Timestamp>,
    /// Of what was given up.
    pub(crate) reason: Reason,
}

impl Move {
    pub(crate) const fn of(topic: u32, subscription: u32, sequence: u64) -> Self {
        Self {
            topic,
            subscription,
            sequence,
            attempt: 0,
            until: None,
            failed_at: None,
            reason: Reason::Expired,
        }
    }
}

/// What happened to messages during a command: one record for all that it says the same of.
#[derive(Debug, Default)]
pub(crate) struct Moves(SmallVec<[Move; 8]>);

/// Messages whose deliveries ended unacknowledged, or that were given up, during a command.
#[derive(Debug, Default)]
pub(crate) struct Endings {
    /// Back at their places.
    pub(crate) returned: Moves,
    /// On their way to a dead-letter topic.
    pub(crate) left: Moves,
    /// Gone from a subscription.
    pub(crate) dropped: Moves,
    /// Gone from all subscriptions in which they don't leave, since their time is over.
    pub(crate) expired: Moves,
}

impl Endings {
    /// Logs them at the end of the command.
    pub(crate) fn log(self, now: Timestamp, out: &mut Effects) {
        self.returned.log_returns(out);
        // Before what drops the same messages elsewhere.
        self.left.log_leaves(now, out);
        self.dropped.log_settles(out);
        self.expired.log_drops(Reason::Expired, out);
    }
}

impl Moves {
    pub(crate) fn push(&mut self, step: Move) {
        self.0.push(step);
    }

    pub(crate) fn log_acks(self, out: &mut Effects) {
        self.log(kind::ACK, out, |parts, _| parts, |step| step.sequence);
    }

    fn log_settles(self, out: &mut Effects) {
        let parts = |parts: Parts, step: &Move| parts.because(step.reason);
        self.log(kind::SETTLE, out, parts, |step| step.sequence);
    }

    fn log_returns(self, out: &mut Effects) {
        let parts = |parts: Parts, step: &Move| parts.at(step.until).failed(step.failed_at);
        self.log(kind::RETURN, out, parts, |step| step.sequence);
    }

    fn log_leaves(self, at: Timestamp, out: &mut Effects) {
        let parts = |parts: Parts, step: &Move| parts.at(Some(at)).because(step.reason);
        self.log(kind::LEAVE, out, parts, attempt);
    }

    pub(crate) fn log_deliveries(self, at: Timestamp, out: &mut Effects) {
        let parts = |parts: Parts, _: &Move| parts.at(Some(at));
        self.log(kind::DELIVER, out, parts, attempt);
    }

    /// Of messages that left all subscriptions.
    pub(crate) fn log_drops(self, reason: Reason, out: &mut Effects) {
        let parts = |_: Parts, step: &Move| Parts::dropped(step.topic, reason);
        self.log(kind::DROP, out, parts, |step| step.sequence);
    }

    fn log<I: for<'a> Item<'a>>(
        mut self,
        kind: u8,
        out: &mut Effects,
        parts: impl Fn(Parts, &Move) -> Parts,
        item: impl Fn(&Move) -> I,
    ) {
        let queue = |step: &Move| {
            (
                step.topic,
                step.subscription,
                step.until,
                step.failed_at,
                step.reason as u8,
            )
        };
        // Stable: within a subscription the order is that of the deliveries.
        self.0.sort_by_key(queue);
        for chunk in self.0.chunk_by(|a, b| queue(a) == queue(b)) {
            let of = Parts::of(chunk[0].topic, chunk[0].subscription);
            let parts = parts(of, &chunk[0]);
            out.log
                .push(kind, |bytes| parts.encode(bytes, chunk.iter().map(&item)));
        }
    }
}

fn attempt(step: &Move) -> Attempt {
    Attempt {
        sequence: step.sequence,
        attempt: step.attempt,
    }
}
