//! Whether the thread that submits a command should make it durable by itself. Pure.

use std::time::Duration;
use trunkline_model::Timestamp;

/// So many rounds in a row must have carried one command each.
const LONE_ROUNDS_MIN: u32 = 4;
/// A thread that submits sooner after a round has more to submit: frames of the same read, or of the next
/// connection.
const QUIET_MIN: Duration = Duration::from_micros(10);
/// Rounds that take longer are none of the submitting thread's business: it has other connections.
const ROUND_MAX: Duration = Duration::from_millis(1);
/// So many rounds are left to the writer after a long one.
const LEFT_AFTER_LONG: u32 = 256;
/// Larger commands are written while the next one is read.
const BYTES_MAX: usize = 32 << 10;

/// What the last rounds of the journal were like.
#[derive(Debug, Default)]
pub(crate) struct Leading {
    /// Commands since the last round ended.
    commands: u32,
    lone_rounds: u32,
    /// When the last round ended.
    ended: Timestamp,
    /// When the round began that the submitting thread leads.
    led_from: Option<Timestamp>,
    /// Rounds that are left to the writer.
    left: u32,
}

impl Leading {
    /// A command comes.
    pub(crate) fn command(&mut self) {
        self.commands = self.commands.saturating_add(1);
    }

    /// Whether the thread that has just appended `bytes`, where nothing waited and nobody writes, should lead
    /// the round.
    pub(crate) fn leads(&mut self, now: Timestamp, bytes: usize) -> bool {
        let leads = self.commands == 1
            && self.lone_rounds >= LONE_ROUNDS_MIN
            && self.left == 0
            && bytes <= BYTES_MAX
            && now.since(self.ended) >= QUIET_MIN;
        if leads {
            self.led_from = Some(now);
        }
        leads
    }

    /// A round has ended, whoever led it.
    pub(crate) fn round_ended(&mut self, now: Timestamp) {
        self.left = self.left.saturating_sub(1);
        if let Some(from) = self.led_from.take()
            && now.since(from) > ROUND_MAX
        {
            self.left = LEFT_AFTER_LONG;
        }
        self.lone_rounds = match self.commands {
            0 | 1 => self.lone_rounds.saturating_add(1),
            _ => 0,
        };
        self.commands = 0;
        self.ended = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds of `commands` each, 200 µs apart, of which the led ones take `round_us`; which were led.
    fn led(rounds: &[u32], round_us: u64, bytes: usize) -> Vec<bool> {
        let (mut leading, mut now) = (Leading::default(), Timestamp::from_millis(1));
        let mut round = |&commands: &u32| {
            now = now.after(Duration::from_micros(200));
            let mut led = false;
            for _ in 0..commands {
                leading.command();
                led |= leading.leads(now, bytes);
            }
            now = now.after(Duration::from_micros(round_us));
            leading.round_ended(now);
            led
        };
        rounds.iter().map(&mut round).collect()
    }

    #[test]
    fn who_is_alone_leads_once_that_is_known() {
        assert_eq!(
            led(&[1; 6], 100, 400),
            [false, false, false, false, true, true]
        );
        assert_eq!(led(&[1; 8], 100, 1 << 20), [false; 8]);
    }

    #[test]
    fn company_ends_it() {
        let rounds = [1, 1, 1, 1, 2, 1, 1, 1, 1, 1];
        let expected = [
            false, false, false, false, true, false, false, false, false, true,
        ];
        assert_eq!(led(&rounds, 100, 400), expected);
    }

    #[test]
    fn a_slow_disk_is_left_to_the_writer() {
        let led = led(&[1; 300], 2_000, 400);
        assert_eq!(led.iter().filter(|led| **led).count(), 2);
        assert!(led[4] && led[4 + 1 + LEFT_AFTER_LONG as usize]);
    }

    #[test]
    fn a_burst_is_not_led_frame_by_frame() {
        let (mut leading, now) = (Leading::default(), Timestamp::from_millis(1));
        for _ in 0..LONE_ROUNDS_MIN {
            leading.command();
            leading.round_ended(now);
        }
        leading.command();
        assert!(!leading.leads(now.after(Duration::from_micros(3)), 400));
        assert!(leading.leads(now.after(QUIET_MIN), 400));
    }
}
