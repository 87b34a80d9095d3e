use std::fmt;
use std::time::Duration;

/// What one side says in its `heart-beat` header (STOMP 1.2, "Heart-beating"), in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeartBeat {
    /// It can send something at least this often; 0 if it can't.
    pub sends_ms: u64,
    /// It would like to get something at least this often; 0 if it doesn't care.
    pub wants_ms: u64,
}

/// The text is not a `heart-beat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("heart-beat is not two numbers of milliseconds; send it like 10000,10000")]
pub struct ParseHeartBeatError;

/// What two sides have agreed on, seen from one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreed {
    /// This side sends something at least this often.
    pub send_every: Option<Duration>,
    /// The other side does.
    pub receive_every: Option<Duration>,
}

impl HeartBeat {
    /// No heart-beats, which is also what a missing header means.
    pub const NONE: Self = Self {
        sends_ms: 0,
        wants_ms: 0,
    };

    /// Reads the header's value; numbers beyond 64 bits count as the largest.
    ///
    /// # Errors
    /// [`ParseHeartBeatError`] if it is not two non-negative integers.
    pub fn parse(text: &str) -> Result<Self, ParseHeartBeatError> {
        let number = |text: &str| {
            let text = text.trim_matches(' ');
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().unwrap_or(u64::MAX))
        };
        let parse = || {
            let (sends, wants) = text.split_once(',')?;
            Some(Self {
                sends_ms: number(sends)?,
                wants_ms: number(wants)?,
            })
        };
        parse().ok_or(ParseHeartBeatError)
    }

    /// What comes of what this side and the other say: in each direction the slower of the two
    /// numbers, and nothing if either is 0.
    #[must_use]
    pub fn agree(self, theirs: Self) -> Agreed {
        let slower = |sends: u64, wants: u64| {
            (sends > 0 && wants > 0).then(|| Duration::from_millis(sends.max(wants)))
        };
        Agreed {
            send_every: slower(self.sends_ms, theirs.wants_ms),
            receive_every: slower(theirs.sends_ms, self.wants_ms),
        }
    }

    /// What a server that can do `self` answers to a client: nothing in a direction in which the
    /// client said 0. Clients are known that wait for the server's beats whenever it says that it
    /// sends some, whether they asked for them or not.
    #[must_use]
    pub fn answer(self, client: Self) -> Self {
        Self {
            sends_ms: if client.wants_ms > 0 {
                self.sends_ms
            } else {
                0
            },
            wants_ms: if client.sends_ms > 0 {
                self.wants_ms
            } else {
                0
            },
        }
    }
}

impl fmt::Display for HeartBeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.sends_ms, self.wants_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_two_numbers() {
        let read = |text| HeartBeat::parse(text).ok().map(|beat| beat.to_string());
        assert_eq!(read("0,0").as_deref(), Some("0,0"));
        assert_eq!(read("300, 400").as_deref(), Some("300,400"));
        let large = format!("{},0", u64::MAX);
        assert_eq!(read("99999999999999999999,0"), Some(large));
        for odd in ["", "1", "1,", "-1,2", "1,2,3", "1.5,2", "+1,2"] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }

    #[test]
    fn the_slower_number_counts_and_zero_is_none() {
        let beat = |sends_ms, wants_ms| HeartBeat { sends_ms, wants_ms };
        for (ours, theirs, send, receive) in [
            (beat(300, 400), beat(0, 0), None, None),
            (beat(300, 400), beat(1000, 2000), Some(2000), Some(1000)),
            (beat(0, 400), beat(1000, 2000), None, Some(1000)),
            (beat(300, 0), beat(1000, 200), Some(300), None),
        ] {
            let agreed = ours.agree(theirs);
            assert_eq!(agreed.send_every, send.map(Duration::from_millis));
            assert_eq!(agreed.receive_every, receive.map(Duration::from_millis));
        }
        let server = beat(1_000, 5_000);
        assert_eq!(server.answer(HeartBeat::NONE), HeartBeat::NONE);
        assert_eq!(server.answer(beat(0, 1)), beat(1_000, 0));
        assert_eq!(server.answer(beat(1, 0)), beat(0, 5_000));
    }
}
