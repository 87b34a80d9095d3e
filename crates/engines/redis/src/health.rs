//! Whether the engine can serve, put together from what its parts see.

use crate::deployment::Failure;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use trunkline_model::Health;

/// After so long without an answer the engine says so.
const PATIENCE: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
struct Seen {
    /// The server has answered once.
    answered: bool,
    /// Since when it doesn't, and what was said last.
    silent: Option<(Instant, String)>,
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
        let before = seen.silent.as_ref().map(|(since, _)| *since);
        let since = before.map_or(since, |before| before.min(since));
        seen.silent = Some((since, failure.to_string()));
        self.tell(&seen);
    }

    /// What was said last, if the server doesn't answer.
    pub(crate) fn trouble(&self) -> Option<String> {
        let seen = self.seen();
        seen.silent.as_ref().map(|(_, text)| text.clone())
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
            Some((_, text)) if !self.answered => Health::Starting(text.clone()),
            Some((since, text)) if since.elapsed() >= PATIENCE => {
                let seconds = since.elapsed().as_secs();
                Health::Failed(format!(
                    "{text}; for {seconds} s by now; it goes on by itself when the server answers"
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
