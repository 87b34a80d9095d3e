use crate::{
    Effects,
    record::{Attempt, Parts, Reason, kind},
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
}

/// What happened to messages during a command: one record a subscription, however many.
#[derive(Debug, Default)]
pub(crate) struct Moves(SmallVec<[Move; 8]>);

impl Moves {
    pub(crate) fn push(&mut self, step: Move) {
        self.0.push(step);
    }

    pub(crate) fn log_acks(self, out: &mut Effects) {
        self.log(kind::ACK, out, Parts::of, |step| step.sequence);
    }

    pub(crate) fn log_rejects(self, out: &mut Effects) {
        let parts = |topic, subscription| Parts::of(topic, subscription).because(Reason::Rejected);
        self.log(kind::SETTLE, out, parts, |step| step.sequence);
    }

    pub(crate) fn log_returns(self, until: Option<Timestamp>, out: &mut Effects) {
        let parts = |topic, subscription| Parts::of(topic, subscription).at(until);
        self.log(kind::RETURN, out, parts, |step| step.sequence);
    }

    pub(crate) fn log_deliveries(self, at: Timestamp, out: &mut Effects) {
        let parts = |topic, subscription| Parts::of(topic, subscription).at(Some(at));
        self.log(kind::DELIVER, out, parts, |step| Attempt {
            sequence: step.sequence,
            attempt: step.attempt,
        });
    }

    /// Of messages that left all subscriptions.
    pub(crate) fn log_expiries(self, out: &mut Effects) {
        let parts = |topic, _| Parts::dropped(topic, Reason::Expired);
        self.log(kind::DROP, out, parts, |step| step.sequence);
    }

    fn log<I: for<'a> crate::record::Item<'a>>(
        mut self,
        kind: u8,
        out: &mut Effects,
        parts: impl Fn(u32, u32) -> Parts,
        item: impl Fn(&Move) -> I,
    ) {
        let queue = |step: &Move| (step.topic, step.subscription);
        // Stable: within a subscription the order is that of the deliveries.
        self.0.sort_by_key(queue);
        for chunk in self.0.chunk_by(|a, b| queue(a) == queue(b)) {
            let parts = parts(chunk[0].topic, chunk[0].subscription);
            out.log
                .push(kind, |bytes| parts.encode(bytes, chunk.iter().map(&item)));
        }
    }
}
