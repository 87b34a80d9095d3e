//! Topics come: a number that none had before, a place in the list of names, a definition.

use super::Topics;
use super::job::{Job, Then};
use super::script::{Answer, Done, Inspected, Request, Step};
use crate::deployment::Failure;
use redis::pipe;
use std::collections::VecDeque;
use trunkline_model::{Error, ErrorCode, TopicName, TopicOptions};

impl Topics {
    /// Whether a topic that isn't there is made on first use.
    pub(super) fn makes(&self, name: &TopicName) -> bool {
        self.auto_create && !name.is_reserved()
    }

    /// Where the last number of a topic is kept.
    fn numbers_key(&self) -> String {
        format!("{}:topics:number", self.prefix)
    }

    /// Where the names of topics are kept.
    pub(super) fn names_key(&self) -> String {
        format!("{}:topics", self.prefix)
    }

    /// A number for a new topic, whose name is listed before it is there. A number that is not used is no harm.
    pub(super) async fn number_for(&self, name: &TopicName) -> Result<u32, Failure> {
        let (numbers, names) = (self.numbers_key(), self.names_key());
        let mut next = pipe();
        next.cmd("INCR").arg(&numbers);
        let (number,): (u32,) = self.deployment.run(numbers.as_bytes(), &next).await?;
        if !name.is_reserved() {
            let mut list = pipe();
            list.cmd("ZADD").arg(&names).arg(0).arg(name.as_str());
            let ((),): ((),) = self.deployment.run(names.as_bytes(), &list).await?;
        }
        Ok(number)
    }

    /// The name of a topic that was deleted is listed no longer, unless the topic was made anew meanwhile.
    pub(super) async fn unlist(&self, name: &TopicName) -> Result<(), Failure> {
        let names = self.names_key();
        let one = |command| {
            let mut commands = pipe();
            commands.cmd(command).arg(&names);
            commands
        };
        let mut remove = one("ZREM");
        remove.arg(name.as_str());
        let ((),): ((),) = self.deployment.run(names.as_bytes(), &remove).await?;
        self.forget_letters(name).await?;
        if let Ok(Some((_, there))) = self.look(name).await {
            let mut list = one("ZADD");
            list.arg(0).arg(name.as_str());
            let ((),): ((),) = self.deployment.run(names.as_bytes(), &list).await?;
            self.note_all_letters(name, &there).await?;
        }
        Ok(())
    }

    /// Whether a topic that isn't there may be made with these options.
    pub(super) async fn check_definition(
        &self,
        name: &TopicName,
        options: &TopicOptions,
    ) -> Result<(), Error> {
        if self.look(name).await?.is_some() {
            return Ok(());
        }
        let grave = options.dead_letter.as_ref();
        self.check_letters(name, options, grave).await?;
        self.check_grave(name, options).await
    }

    /// The same of one that is made on first use. The topic that takes the dead letters of all others may be made, too.
    pub(super) async fn check_defaults(&self, name: &TopicName) -> Result<(), Error> {
        let grave = self.defaults.dead_letter.as_ref();
        let grave = grave.filter(|grave| *grave != name);
        self.check_letters(name, &self.defaults, grave).await
    }

    /// Lets the first of what waits make the topic: it is a definition, or there is one before it.
    pub(super) fn define_first(&self, number: u32, jobs: &mut VecDeque<Job>) {
        if let Some(first) = jobs.front_mut()
            && let Step::Define { number: unset, .. } = &mut first.step
        {
            *unset = number;
            return;
        }
        let options = self.defaults.clone();
        let define = Step::Define { number, options };
        jobs.push_front(self.job(define, true, Then::Nothing));
    }

    /// Looks at a topic without anything being remembered of that; `None` if it isn't there.
    pub(super) async fn look(&self, topic: &TopicName) -> Result<Option<(u32, Inspected)>, Error> {
        let steps = [Step::Inspect];
        let request = Request {
            topic,
            process: "",
            number: 0,
            attached: false,
            lease: self.lease,
            steps: &steps,
        };
        let looked = self.ask(&request, false).await;
        let answer = looked.map_err(|failure| {
            Error::new(ErrorCode::Unavailable, failure.to_string()).with("reason", "unreachable")
        })?;
        match answer {
            Answer::Reply(mut reply) => match reply.steps.pop() {
                Some(Ok(Done::Inspected(inspected))) => Ok(Some((reply.number, *inspected))),
                _ => Err(Error::internal()),
            },
            Answer::Format(format) => Err(self.foreign(topic, format)),
            Answer::Missing | Answer::Stale => Ok(None),
        }
    }
}
