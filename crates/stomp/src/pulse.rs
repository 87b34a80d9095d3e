use crate::Agreed;
use std::time::Duration;
use trunkline_model::Timestamp;

/// Keeps both directions of a connection alive: when to send an end of line, and when the other
/// side has been silent for too long.
#[derive(Clone, Debug)]
pub(crate) struct Pulse {
    beat_after: Option<Duration>,
    silence_max: Option<Duration>,
    sent: Timestamp,
    received: Timestamp,
}

impl Pulse {
    /// Beats are sent after an interval's `send_part`th part without sending; silence is too long
    /// after `receive_times` intervals.
    pub(crate) fn new(now: Timestamp, agreed: Agreed, send_part: u32, receive_times: u32) -> Self {
        Self {
            beat_after: agreed.send_every.map(|every| every / send_part),
            silence_max: agreed
                .receive_every
                .map(|every| every.saturating_mul(receive_times)),
            sent: now,
            received: now,
        }
    }

    /// No beats in either direction.
    pub(crate) fn none(now: Timestamp) -> Self {
        Self::new(now, Agreed::default(), 1, 1)
    }

    pub(crate) fn on_sent(&mut self, now: Timestamp) {
        self.sent = now;
    }

    pub(crate) fn on_received(&mut self, now: Timestamp) {
        self.received = now;
    }

    fn beat_at(&self) -> Option<Timestamp> {
        self.beat_after.map(|span| self.sent.after(span))
    }

    fn silent_at(&self) -> Option<Timestamp> {
        self.silence_max.map(|span| self.received.after(span))
    }

    /// When to look again.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        [self.beat_at(), self.silent_at()]
            .into_iter()
            .flatten()
            .min()
    }

    pub(crate) fn is_beat_due(&self, now: Timestamp) -> bool {
        self.beat_at().is_some_and(|at| at <= now)
    }

    /// For how long nothing came, if that is too long.
    pub(crate) fn silence(&self, now: Timestamp) -> Option<Duration> {
        let silent = self.silent_at().is_some_and(|at| at <= now);
        silent.then(|| now.since(self.received))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_traffic_counts() {
        let at = Timestamp::from_millis;
        let agreed = Agreed {
            send_every: Some(Duration::from_millis(100)),
            receive_every: Some(Duration::from_millis(300)),
        };
        let mut pulse = Pulse::new(at(0), agreed, 2, 2);
        assert_eq!(pulse.next(), Some(at(50)));
        assert!(pulse.is_beat_due(at(50)) && !pulse.is_beat_due(at(49)));
        pulse.on_sent(at(40));
        pulse.on_received(at(10));
        assert!(!pulse.is_beat_due(at(89)));
        assert_eq!(pulse.silence(at(609)), None);
        assert_eq!(pulse.silence(at(610)), Some(Duration::from_millis(600)));
        assert_eq!(Pulse::none(at(0)).next(), None);
    }
}
