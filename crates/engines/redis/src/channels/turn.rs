//! Publishes that go together, and what they came to. Pure.

use super::waiting::Publish;
use crate::deployment::{Failure, Refusal};
use redis::{Pipeline, Value};
use std::time::Duration;
use trunkline_model::{Completion, Error, ErrorCode, Outcome, Timestamp};

/// Publishes on their way, in order. Those that have failed meanwhile keep their place.
#[derive(Debug)]
pub(super) struct Turn {
    publishes: Vec<Option<Publish>>,
    /// Before this place all are over.
    over: usize,
    /// They are under way, and may be done.
    begun: bool,
    /// Why they are not under way.
    reason: Option<String>,
}

impl Turn {
    /// `reason` says why the last turn was not sent, if Redis has not answered since.
    pub(super) fn new(publishes: Vec<Publish>, reason: Option<String>) -> Self {
        Self {
            publishes: publishes.into_iter().map(Some).collect(),
            over: 0,
            begun: false,
            reason,
        }
    }

    /// What says it to Redis, which happens now.
    pub(super) fn begin(&mut self) -> Pipeline {
        self.begun = true;
        let mut commands = Pipeline::with_capacity(self.publishes.len());
        // Some may have failed while the connection was made.
        self.publishes.drain(..self.over);
        self.over = 0;
        for publish in self.publishes.iter().flatten() {
            let command = commands.cmd("PUBLISH").arg(publish.channel.as_bytes());
            command.arg(&publish.payload[..]);
        }
        commands
    }

    /// Why they were not sent.
    pub(super) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Whether all are over.
    pub(super) fn is_empty(&self) -> bool {
        self.over == self.publishes.len()
    }

    /// Those that are not over.
    pub(super) fn into_left(self) -> Vec<Publish> {
        self.publishes.into_iter().flatten().collect()
    }

    /// The earliest deadline.
    pub(super) fn due(&self) -> Option<Timestamp> {
        let next = self.publishes.get(self.over)?.as_ref();
        next.map(|publish| publish.deadline)
    }

    /// Fails those whose deadline has come, and what waited behind them for as long.
    pub(super) fn expire(&mut self, now: Timestamp, behind: Vec<Publish>, timeout: Duration) {
        let mut expired = Vec::new();
        while self.due().is_some_and(|due| due <= now) {
            expired.extend(self.publishes[self.over].take());
            self.over += 1;
        }
        let after = format!("no answer for {} ms", timeout.as_millis());
        let reason = self.reason.as_deref().unwrap_or(&after);
        let unsent = not_sent(reason);
        let why = if self.begun {
            &unknown(&after)
        } else {
            &unsent
        };
        fail(expired, why);
        fail(behind, &unsent);
    }

    /// It got no answer. Left is what can be sent again.
    pub(super) fn failed(&mut self, failure: &Failure) {
        let begun = std::mem::replace(&mut self.begun, false);
        if !begun || failure.is_undone() {
            self.reason = Some(failure.to_string());
        } else {
            fail(self.take(), &unknown(&failure.to_string()));
        }
    }

    /// Each got its own answer. Nothing is left.
    pub(super) fn answered(&mut self, answers: Vec<Result<Value, Failure>>, counts: bool) {
        let publishes = std::mem::take(&mut self.publishes);
        self.over = 0;
        let answered = publishes.into_iter().zip(answers);
        let answered = answered.filter_map(|(publish, answer)| {
            let Publish {
                channel,
                completion,
                ..
            } = publish?;
            let result = match answer {
                Ok(Value::Int(reached)) if counts => {
                    Ok(Outcome::Reached(u64::try_from(reached).ok()))
                }
                Ok(_) => Ok(Outcome::Reached(None)),
                Err(failure) => Err(refused(&channel, &failure)),
            };
            Some((completion, result))
        });
        Completion::complete_all(answered);
    }

    fn take(&mut self) -> Vec<Publish> {
        self.over = 0;
        let publishes = std::mem::take(&mut self.publishes);
        publishes.into_iter().flatten().collect()
    }
}

fn fail(publishes: impl IntoIterator<Item = Publish>, error: &Error) {
    let failed = publishes.into_iter();
    let failed = failed.map(|publish| (publish.completion, Err(error.clone())));
    Completion::complete_all(failed);
}

/// Too much waits.
pub(super) fn overloaded(limit: usize) -> Error {
    let text = "too many channel messages wait for Redis; publish again when it is there, or fewer";
    Error::new(ErrorCode::Overloaded, text).with("limit", limit)
}

fn not_sent(reason: &str) -> Error {
    let text = format!("the message was not published: {reason}; publish it again later");
    Error::new(ErrorCode::Unavailable, text).with("reason", "not_sent")
}

fn unknown(reason: &str) -> Error {
    let text = format!(
        "it isn't known whether the message was published: {reason}; publish it again if hearing it twice does no harm"
    );
    Error::new(ErrorCode::Unavailable, text).with("reason", "unanswered")
}

fn refused(channel: &str, failure: &Failure) -> Error {
    let code = match failure.refusal() {
        Some(Refusal::Permission) => ErrorCode::Forbidden,
        _ => ErrorCode::Unavailable,
    };
    let text = format!("the message was not published on channel {channel:?}: {failure}");
    Error::new(code, text).with("reason", "refused")
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_model::{ChannelName, Completed, CompletionQueue, Wake};

    const TIMEOUT: Duration = Duration::from_secs(5);

    struct Lab {
        queue: std::sync::Arc<CompletionQueue>,
    }

    impl Lab {
        fn new() -> Self {
            let queue = CompletionQueue::new(Wake::new());
            Self { queue }
        }

        /// Publishes 1 to n, which are due at as many seconds.
        fn turn(&self, n: u64) -> Turn {
            Turn::new((1..=n).map(|token| self.publish(token)).collect(), None)
        }

        fn publish(&self, token: u64) -> Publish {
            Publish {
                channel: ChannelName::new("c").unwrap(),
                payload: token.to_string().into(),
                completion: Completion::new(self.queue.clone(), token),
                deadline: Timestamp::from_millis(token * 1_000),
            }
        }

        /// What ended, each as its number and count or the reason of its failure.
        fn ended(&self) -> Vec<String> {
            let mut completed = Vec::new();
            self.queue.drain_into(&mut completed);
            let text = |Completed { token, result }: &Completed| match result {
                Ok(Outcome::Reached(reached)) => format!("{token} {reached:?}"),
                Ok(other) => panic!("{other:?}"),
                Err(error) => {
                    let data = error.data().expect("every failure has a reason");
                    let reason = data["reason"].as_str().expect("a text").to_owned();
                    format!("{token} {} {reason}", error.code().number())
                }
            };
            completed.iter().map(text).collect()
        }
    }

    fn left(turn: Turn) -> Vec<u64> {
        let left = turn.into_left().into_iter();
        left.map(|publish| publish.deadline.as_millis() / 1_000)
            .collect()
    }

    fn refusal(refusal: Refusal) -> Result<Value, Failure> {
        Err(Failure::Refused {
            server: "host:1".into(),
            refusal,
            text: "no".into(),
            partly: false,
        })
    }

    fn away() -> Failure {
        Failure::NotSent {
            server: "host:1".into(),
            reason: "nobody there".into(),
        }
    }

    #[test]
    fn every_publish_gets_its_own_answer() {
        let lab = Lab::new();
        for (counts, first) in [(true, "1 Some(7)"), (false, "1 None")] {
            let mut turn = lab.turn(3);
            assert_eq!(turn.begin().len(), 3);
            let no = refusal(Refusal::Permission);
            turn.answered(vec![Ok(Value::Int(7)), no, refusal(Refusal::Busy)], counts);
            assert!(turn.is_empty());
            let ended = [first, "2 -32006 refused", "3 -32008 refused"];
            assert_eq!(lab.ended(), ended);
        }
    }

    #[test]
    fn what_was_not_sent_is_repeated_until_it_is_due() {
        let lab = Lab::new();
        let mut turn = lab.turn(3);
        turn.begin();
        turn.failed(&away());
        assert_eq!(turn.due(), Some(Timestamp::from_millis(1_000)));
        turn.expire(Timestamp::from_millis(2_000), vec![lab.publish(9)], TIMEOUT);
        let ended = [
            "1 -32008 not_sent",
            "2 -32008 not_sent",
            "9 -32008 not_sent",
        ];
        assert_eq!(lab.ended(), ended);
        assert_eq!(left(turn), [3]);
    }

    #[test]
    fn what_is_under_way_fails_in_time_and_its_late_answer_is_for_the_others() {
        let lab = Lab::new();
        let mut turn = lab.turn(3);
        turn.expire(Timestamp::from_millis(1_000), vec![], TIMEOUT);
        assert_eq!(lab.ended(), ["1 -32008 not_sent"]);
        assert_eq!(turn.begin().len(), 2);
        turn.expire(Timestamp::from_millis(2_999), vec![], TIMEOUT);
        assert_eq!(lab.ended(), ["2 -32008 unanswered"]);
        turn.answered(vec![Ok(Value::Int(2)), Ok(Value::Int(3))], true);
        assert_eq!(lab.ended(), ["3 Some(3)"]);
    }

    #[test]
    fn what_may_be_done_is_not_repeated() {
        let lab = Lab::new();
        let cut = Failure::Unanswered {
            server: "host:1".into(),
            reason: "cut".into(),
        };
        let mut turn = lab.turn(2);
        // Only a PING was.
        turn.failed(&cut);
        assert_eq!(turn.begin().len(), 2);
        turn.failed(&cut);
        assert!(turn.is_empty());
        assert_eq!(lab.ended(), ["1 -32008 unanswered", "2 -32008 unanswered"]);
        assert_eq!(turn.due(), None);
    }
}
