use crate::GatewayConfig;
use std::time::Duration;

/// What a look at the connection's health says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All is well, or too early to tell.
    Fine,
    /// Nothing came for a while: send a ping.
    Ping,
    /// The ping was not answered.
    Silent,
    /// The outgoing buffer is full and nothing of it is taken.
    Stalled,
}

/// Watches one connection by looking every [`Health::period`]; the session notes what happens in
/// between without reading a clock. Pure.
#[derive(Debug)]
pub(crate) struct Health {
    ping_interval: Duration,
    pong_timeout: Duration,
    stall_timeout: Duration,
    heard: bool,
    taken: bool,
    quiet: Duration,
    stuck: Duration,
    pinged: bool,
}

impl Health {
    pub(crate) fn new(config: &GatewayConfig) -> Self {
        Self {
            ping_interval: config.ping_interval.0,
            pong_timeout: config.pong_timeout.0,
            stall_timeout: config.stall_timeout.0,
            heard: false,
            taken: false,
            quiet: Duration::ZERO,
            stuck: Duration::ZERO,
            pinged: false,
        }
    }

    /// How often to look: often enough that no time-out is late by more than a quarter.
    pub(crate) fn period(&self) -> Duration {
        let shortest = self.ping_interval.min(self.pong_timeout);
        (shortest.min(self.stall_timeout) / 4)
            .clamp(Duration::from_millis(5), Duration::from_secs(5))
    }

    /// Something came in.
    pub(crate) fn heard(&mut self) {
        self.heard = true;
    }

    /// The socket took bytes.
    pub(crate) fn taken(&mut self) {
        self.taken = true;
    }

    /// A look, `elapsed` after the last one. While the outgoing buffer is `full`, nothing is read,
    /// so the peer can't be blamed for silence.
    pub(crate) fn look(&mut self, elapsed: Duration, full: bool) -> Verdict {
        let (heard, taken) = (
            std::mem::take(&mut self.heard),
            std::mem::take(&mut self.taken),
        );
        if full {
            (self.quiet, self.pinged) = (Duration::ZERO, false);
            self.stuck = if taken {
                Duration::ZERO
            } else {
                self.stuck + elapsed
            };
            return if self.stuck > self.stall_timeout {
                Verdict::Stalled
            } else {
                Verdict::Fine
            };
        }
        self.stuck = Duration::ZERO;
        if heard {
            (self.quiet, self.pinged) = (Duration::ZERO, false);
            return Verdict::Fine;
        }
        self.quiet += elapsed;
        if self.pinged && self.quiet > self.pong_timeout {
            Verdict::Silent
        } else if !self.pinged && self.quiet > self.ping_interval {
            (self.quiet, self.pinged) = (Duration::ZERO, true);
            Verdict::Ping
        } else {
            Verdict::Fine
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_model::Span;

    /// `h` = something heard before the look, `t` = bytes taken, `f` = full.
    fn looks(script: &[&str]) -> Vec<Verdict> {
        let secs = |secs| Span(Duration::from_secs(secs));
        let mut health = Health::new(&GatewayConfig {
            ping_interval: secs(30),
            pong_timeout: secs(10),
            stall_timeout: secs(20),
            ..GatewayConfig::default()
        });
        let look = |notes: &&str| {
            if notes.contains('h') {
                health.heard();
            }
            if notes.contains('t') {
                health.taken();
            }
            health.look(Duration::from_secs(8), notes.contains('f'))
        };
        script.iter().map(look).collect()
    }

    #[test]
    fn pings_the_quiet_and_gives_up_on_the_silent() {
        use Verdict::{Fine, Ping, Silent};
        assert_eq!(looks(&["", "", "", "h", ""]), [Fine; 5]);
        assert_eq!(
            looks(&["", "", "", "", "", "h", "", "", "", "", "", ""]),
            [
                Fine, Fine, Fine, Ping, Fine, Fine, Fine, Fine, Fine, Ping, Fine, Silent
            ]
        );
    }

    #[test]
    fn gives_up_on_who_takes_nothing() {
        use Verdict::{Fine, Stalled};
        assert_eq!(looks(&["f", "f", "f"]), [Fine, Fine, Stalled]);
        assert_eq!(looks(&["f", "f", "ft", "f", "f"]), [Fine; 5]);
        assert_eq!(looks(&["f", "f", "", "f", "f"]), [Fine; 5]);
    }
}
