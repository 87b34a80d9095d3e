//! Topics that take the dead letters of others: they stay as durable as those need. Which topics name
//! which is noted in one sorted set, so that a topic can be asked for who buries in it.
//!
//! A note comes before the definition that it is about, and may outlive it: what it says is looked at.

use super::Topics;
use super::script::Inspected;
use crate::deployment::Failure;
use futures_util::future::join_all;
use redis::pipe;
use std::collections::BTreeSet;
use std::time::Duration;
use trunkline_model::{Backoff, Durability, Error, ErrorCode, TopicName, TopicOptions, refusal};

/// Notes that are read at once.
const TOGETHER: usize = 64;

/// Waits while the server can't be asked.
const AGAIN: Backoff = Backoff {
    min: Duration::from_millis(20),
    max: Duration::from_secs(1),
};

/// What is noted of a topic and the one that takes its dead letters: to be found by either.
fn notes(topic: &str, grave: &str) -> [String; 2] {
    // Names have no spaces.
    [format!("> {topic} {grave}"), format!("< {grave} {topic}")]
}

/// The topics that take dead letters of a topic, or of a subscription of it.
fn graves(there: &Inspected) -> BTreeSet<&TopicName> {
    let own = there.options.dead_letter.iter();
    let settings = there.subscriptions.iter().map(|one| &one.settings);
    own.chain(settings.filter_map(|settings| settings.dead_letter.as_ref()))
        .collect()
}

impl Topics {
    /// Whether the dead letters of a topic, or of a subscription with options of its own, have where to go.
    pub(super) async fn check_letters(
        &self,
        name: &TopicName,
        options: &TopicOptions,
        dead_letter: Option<&TopicName>,
    ) -> Result<(), Error> {
        let Some(grave) = dead_letter.filter(|_| !options.transient) else {
            return Ok(());
        };
        if grave == name {
            return Err(refusal::buries_itself(name));
        }
        // First, so that who weakens the other topic meanwhile sees it, or is seen.
        self.note_letters(name, grave).await.map_err(unreachable)?;
        match self.look(grave).await? {
            Some((_, there)) if there.options.durability < options.durability => {
                Err(refusal::weak_grave(grave, there.options.durability, name))
            }
            _ => Ok(()),
        }
    }

    /// The same for a subscription with options of its own, of a topic that is there or will be.
    pub(super) async fn check_subscription(
        &self,
        topic: &TopicName,
        grave: &TopicName,
    ) -> Result<(), Error> {
        let looked = self.look(topic).await?;
        let options = looked
            .as_ref()
            .map_or(&self.defaults, |(_, there)| &there.options);
        self.check_letters(topic, options, Some(grave)).await
    }

    /// Whether a topic with these options can take the dead letters of those who name it.
    pub(super) async fn check_grave(
        &self,
        name: &TopicName,
        options: &TopicOptions,
    ) -> Result<(), Error> {
        if options.durability == Durability::Commit {
            return Ok(());
        }
        let mut from = format!("[< {name} ");
        loop {
            let noted = self.noted(&from, &format!("(< {name}!")).await;
            let noted = noted.map_err(unreachable)?;
            let topics = noted.iter().filter_map(|note| named(note));
            let topics: Vec<TopicName> = topics.collect();
            for (topic, there) in topics
                .iter()
                .zip(join_all(topics.iter().map(|topic| self.look(topic))).await)
            {
                if let Some((_, there)) = there?
                    && there.options.durability > options.durability
                    && !there.options.transient
                    && graves(&there).contains(name)
                {
                    return Err(refusal::weak_grave(name, options.durability, topic));
                }
            }
            match noted.last() {
                Some(last) if noted.len() == TOGETHER => from = format!("({last}"),
                _ => return Ok(()),
            }
        }
    }

    /// Forgets what was noted of a topic that was deleted.
    pub(super) async fn forget_letters(&self, name: &TopicName) -> Result<(), Failure> {
        let key = self.letters_key();
        loop {
            let noted = self
                .noted(&format!("[> {name} "), &format!("(> {name}!"))
                .await?;
            let graves = noted.iter().filter_map(|note| named(note));
            let gone: Vec<String> = graves.flat_map(|grave| notes(name, &grave)).collect();
            if gone.is_empty() {
                return Ok(());
            }
            let mut remove = pipe();
            remove.cmd("ZREM").arg(&key).arg(gone);
            let ((),): ((),) = self.deployment.run(key.as_bytes(), &remove).await?;
        }
    }

    /// Notes anew what a topic that is there says.
    pub(super) async fn note_all_letters(
        &self,
        name: &TopicName,
        there: &Inspected,
    ) -> Result<(), Failure> {
        for grave in graves(there) {
            self.note_letters(name, grave).await?;
        }
        Ok(())
    }

    async fn note_letters(&self, name: &TopicName, grave: &TopicName) -> Result<(), Failure> {
        let key = self.letters_key();
        let mut add = pipe();
        let add_all = add.cmd("ZADD").arg(&key);
        for note in notes(name, grave) {
            add_all.arg(0).arg(note);
        }
        let ((),): ((),) = self.deployment.run(key.as_bytes(), &add).await?;
        Ok(())
    }

    /// Notes between two, as `ZRANGEBYLEX` wants them.
    async fn noted(&self, from: &str, to: &str) -> Result<Vec<String>, Failure> {
        let key = self.letters_key();
        let mut range = pipe();
        range.cmd("ZRANGEBYLEX").arg(&key).arg(from).arg(to);
        range.arg("LIMIT").arg(0).arg(TOGETHER);
        let (notes,): (Vec<String>,) = self.deployment.run(key.as_bytes(), &range).await?;
        Ok(notes)
    }

    fn letters_key(&self) -> String {
        format!("{}:topics:letters", self.prefix)
    }
}

/// Tries of who has time while the server can't be asked.
#[derive(Default)]
pub(super) struct Tries(u32);

impl Tries {
    /// Waits, longer each time, if it is worth another try.
    pub(super) async fn go_on(&mut self, checked: &Result<(), Error>) -> bool {
        let data = checked.as_ref().err().and_then(Error::data);
        let is_away = data.is_some_and(|data| data["reason"] == "unreachable");
        if is_away {
            tokio::time::sleep(AGAIN.bound(self.0)).await;
            self.0 += 1;
        }
        is_away
    }
}

/// The other topic of a note.
fn named(note: &str) -> Option<TopicName> {
    TopicName::new(note.rsplit(' ').next()?).ok()
}

fn unreachable(failure: Failure) -> Error {
    Error::new(ErrorCode::Unavailable, failure.to_string()).with("reason", "unreachable")
}
