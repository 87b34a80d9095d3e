//! Whether the other side is still there. Pure.

use std::time::Duration;
use trunkline_model::Timestamp;

/// Asks after every span of silence, and gives up after the second in a row: a dead peer is
/// noticed one to two spans after it died.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pulse {
    span: Duration,
    due: Timestamp,
    asked: bool,
}

/// What is to be done at the end of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Nothing yet.
    Short,
    /// Send a PING.
    Ask,
    /// It did not even answer a PING.
    Dead,
}

impl Pulse {
    pub(crate) fn new(span: Duration, now: Timestamp) -> Self {
        Self {
            span,
            due: now.after(span),
            asked: false,
        }
    }

    /// Something came.
    pub(crate) fn received(&mut self, now: Timestamp) {
        self.due = now.after(self.span);
        self.asked = false;
    }

    /// When to look next.
    pub(crate) const fn due(&self) -> Timestamp {
        self.due
    }

    pub(crate) fn look(&mut self, now: Timestamp) -> Silence {
        if now < self.due {
            return Silence::Short;
        }
        self.due = now.after(self.span);
        if std::mem::replace(&mut self.asked, true) {
            Silence::Dead
        } else {
            Silence::Ask
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_peer_is_noticed_after_two_spans_of_silence() {
        let at = Timestamp::from_millis;
        let mut pulse = Pulse::new(Duration::from_millis(300), at(0));
        assert_eq!(pulse.look(at(299)), Silence::Short);
        assert_eq!(pulse.look(at(300)), Silence::Ask);
        pulse.received(at(310));
        assert_eq!(pulse.look(at(600)), Silence::Short);
        assert_eq!(pulse.look(at(610)), Silence::Ask);
        assert_eq!(pulse.look(at(909)), Silence::Short);
        assert_eq!(pulse.look(at(910)), Silence::Dead);
    }
}
