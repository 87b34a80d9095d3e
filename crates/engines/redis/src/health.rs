//! Whether the engine can serve, put together from what its parts see.

use crate::deployment::{Failure, Refusal};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::time::Instant;
use trunkline_model::{Health, Timestamp};

/// After so long without an answer the engine says so.
const PATIENCE: Duration = Duration::from_millis(500);

/// The server doesn't do what it is asked.
#[derive(Debug)]
struct Silence {
    since: Instant,
    /// The same, for people.
    at: Timestamp,
    /// What it refuses; `None` if it can't be heard at all.
    refusal: Option<Refusal>,
    /// What was said when it began, or changed: one text for as long as it lasts.
    text: String,
    /// What was said last.
    last: String,
}

#[derive(Debug, Default)]
struct Seen {
    /// The server has answered once.
    answered: bool,
    silent: Option<Silence>,
    /// What somebody should see to, by who says so.
    warnings: Vec<(&'static str, String)>,
    closing: bool,
    closed: bool,
}

/// What is known of the engine's condition.
#[derive(Debug)]
pub(crate) struct Condition {
    seen: Mutex<Seen>,
    health: watch::Sender<Health>,
}

impl Condition {
    pub(crate) fn new(server: &str) -> Self {
        let starting = Health::Starting(format!("connecting to {server}"));
        Self {
            seen: Mutex::default(),
            health: watch::Sender::new(starting),
        }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// Waits until nobody wants to know any more.
    pub(crate) async fn is_nobodys(&self) {
        self.health.closed().await;
    }

    /// The server has answered.
    pub(crate) fn answered(&self) {
        let mut seen = self.seen();
        if seen.answered && seen.silent.is_none() {
            return;
        }
        seen.answered = true;
        seen.silent = None;
        self.tell(&seen);
    }

    /// A command has failed.
    pub(crate) fn failed(&self, failure: &Failure) {
        self.silent_since(Instant::now(), failure);
    }

    /// A command that was sent then has failed.
    pub(crate) fn silent_since(&self, since: Instant, failure: &Failure) {
        let mut seen = self.seen();
        let (refusal, text) = (failure.refusal(), failure.to_string());
        match &mut seen.silent {
            Some(silence) => {
                silence.since = silence.since.min(since);
                silence.last.clone_from(&text);
                if silence.refusal != refusal {
                    (silence.refusal, silence.text) = (refusal, text);
                }
            }
            None => {
                seen.silent = Some(Silence {
                    since,
                    at: now_before(since.elapsed()),
                    refusal,
                    last: text.clone(),
                    text,
                });
            }
        }
        self.tell(&seen);
    }

    /// What was said last, if the server doesn't answer.
    pub(crate) fn trouble(&self) -> Option<String> {
        let seen = self.seen();
        seen.silent.as_ref().map(|silence| silence.last.clone())
    }

    /// Something to see to, or nothing any more.
    pub(crate) fn warn(&self, about: &'static str, text: Option<String>) {
        let mut seen = self.seen();
        let before = seen.warnings.len();
        let same = |(known, told): &(&str, String)| *known == about && Some(told) == text.as_ref();
        if seen.warnings.iter().any(same) {
            return;
        }
        seen.warnings.retain(|(known, _)| *known != about);
        let had = seen.warnings.len() < before;
        let has = text.is_some();
        seen.warnings.extend(text.map(|text| (about, text)));
        if had || has {
            self.tell(&seen);
        }
    }

    pub(crate) fn closing(&self) {
        let mut seen = self.seen();
        seen.closing = true;
        self.tell(&seen);
    }

    pub(crate) fn closed(&self) {
        let mut seen = self.seen();
        seen.closed = true;
        self.tell(&seen);
    }

    fn tell(&self, seen: &Seen) {
        let now = seen.health();
        self.health.send_if_modified(|health| {
            let changed = *health != now;
            if changed {
                *health = now;
            }
            changed
        });
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen
            .lock()
            .expect("no code panics while it holds the condition")
    }
}

impl Seen {
    fn health(&self) -> Health {
        if self.closed {
            return Health::Closed;
        }
        if self.closing {
            return Health::ReadOnly("the engine is closing".to_owned());
        }
        match &self.silent {
            Some(silence) if !self.answered => Health::Starting(silence.text.clone()),
            Some(silence) if silence.since.elapsed() >= PATIENCE => {
                let Silence { text, at, .. } = silence;
                Health::Failed(format!(
                    "{text}; since {at}; it goes on by itself when the server answers"
                ))
            }
            _ if !self.answered => Health::Starting("connecting".to_owned()),
            _ => match self.warnings.is_empty() {
                true => Health::Ready,
                false => {
                    let texts = self.warnings.iter().map(|(_, text)| text.as_str());
                    Health::Degraded(texts.collect::<Vec<_>>().join("; "))
                }
            },
        }
    }
}

/// The time of the machine's clock, so long ago.
fn now_before(ago: Duration) -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let then = now.unwrap_or_default().saturating_sub(ago);
    Timestamp::from_millis(u64::try_from(then.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreachable(reason: &str) -> Failure {
        Failure::NotSent {
            server: "redis://here".into(),
            reason: reason.into(),
        }
    }

    /// The text told how many seconds it was by now, so that whoever writes down changes wrote one a second.
    #[test]
    fn one_outage_is_told_once() {
        let condition = Condition::new("redis://here");
        let mut health = condition.subscribe();
        condition.answered();
        assert_eq!(*health.borrow_and_update(), Health::Ready);
        let Some(since) = Instant::now().checked_sub(PATIENCE) else {
            return;
        };
        condition.silent_since(since, &unreachable("refused"));
        let told = health.borrow_and_update().clone();
        assert!(matches!(told, Health::Failed(text) if text.contains("redis://here")));
        condition.silent_since(since, &unreachable("timed out"));
        assert!(!health.has_changed().unwrap());
        assert!(condition.trouble().unwrap().contains("timed out"));
        condition.answered();
        assert_eq!(*health.borrow_and_update(), Health::Ready);
    }
}
