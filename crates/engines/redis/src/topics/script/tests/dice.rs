//! What happens in a random history.

use std::time::Duration;
use trunkline_model::{SubscriptionSettings, TopicSettings};

/// Numbers that look random and are the same every time.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.roll(n) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len() as u64) as usize]
    }

    pub(crate) fn some<T>(&mut self, n: u64, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.one_in(n).then(|| value(self))
    }

    pub(crate) fn span(&mut self) -> Duration {
        Duration::from_micros(self.roll(8_000_000) + 1)
    }
}

pub(crate) fn settings(dice: &mut Dice) -> String {
    let mut members = vec![format!(r#""priorities": {}"#, dice.roll(3) + 1)];
    let mut maybe = |n, options: &[&str]| {
        if dice.one_in(n) {
            members.push((*dice.pick(options)).to_owned());
        }
    };
    maybe(
        2,
        &[
            r#""dedupe": "latest""#,
            r#""dedupe": "latest""#,
            r#""dedupe": "first", "dedupe_window": "3s""#,
        ],
    );
    maybe(2, &[r#""ack_timeout": "5s""#]);
    maybe(2, &[r#""max_attempts": 2"#, r#""max_attempts": 3"#]);
    maybe(
        2,
        &[
            r#""dead_letter": "dead""#,
            r#""dead_letter": "dead", "dead_letter_expired": true"#,
        ],
    );
    maybe(
        3,
        &[r#""retry": "2s""#, r#""retry": {"min": "1s", "max": "4s"}"#],
    );
    maybe(
        3,
        &[
            r#""max_messages": 8"#,
            r#""max_bytes": 60"#,
            r#""max_messages": 8, "max_bytes": 60"#,
        ],
    );
    maybe(2, &[r#""overflow": "drop-oldest""#]);
    maybe(5, &[r#""delivery": "batch""#]);
    maybe(
        3,
        &[r#""unsubscribed": "drop""#, r#""unsubscribed": "reject""#],
    );
    maybe(4, &[r#""ttl": "20s""#]);
    maybe(2, &[r#""publish_id_window": "4s""#]);
    format!("{{{}}}", members.join(", "))
}

pub(crate) fn own_settings(dice: &mut Dice) -> SubscriptionSettings {
    let json = *dice.pick(&[
        "{}",
        "{}",
        r#"{"max_messages": 4}"#,
        r#"{"max_messages": 4, "overflow": "drop-oldest"}"#,
        r#"{"max_bytes": 40, "overflow": "drop-oldest"}"#,
        r#"{"ack_timeout": "3s", "max_attempts": 2}"#,
        r#"{"retry": "1s", "dead_letter": "dead"}"#,
    ]);
    serde_json::from_str(json).expect("settings")
}

/// What may change of a topic while it holds messages. Not how often they are delivered: one that has been
/// too often by then is given up at another time on either side.
pub(crate) fn altered(dice: &mut Dice) -> TopicSettings {
    let json = *dice.pick(&[
        r#"{"max_messages": 5}"#,
        r#"{"max_messages": 5, "overflow": "drop-oldest"}"#,
        r#"{"max_bytes": 50, "overflow": "drop-oldest"}"#,
        r#"{"max_bytes": 90, "overflow": "reject"}"#,
        r#"{"ack_timeout": "4s"}"#,
        r#"{"retry": "3s", "ttl": "15s"}"#,
        r#"{"dead_letter": "dead", "dead_letter_expired": true}"#,
        r#"{"dead_letter_expired": false, "unsubscribed": "keep"}"#,
        r#"{"delivery": "batch"}"#,
        r#"{"delivery": "stream", "publish_id_window": "2s"}"#,
    ]);
    serde_json::from_str(json).expect("settings")
}
