//! Dead letters go back: each is stored where it is wanted and leaves its topic in one unit.

use crate::{
    Core, Cost, Effects,
    check::{FRAME_BYTES, SETTLE_BYTES},
    moves::{Move, Moves},
    record::{Reason, encoded_bytes_max},
    topic::BACKLOG,
};
use trunkline_model::{
    Batch, Command, Error, ErrorCode, MessageId, RedriveEdit, RedriveTo, StoredMessage, Timestamp,
    TopicName,
    dead_letter::{self, driven_back},
    limits, refusal,
};

/// Where a dead letter goes.
enum Target {
    /// To one subscription of a topic: their index and number.
    Subscription(u32, u32),
    /// To a topic as a new message.
    Topic(TopicName),
}

impl Core {
    /// Whether a redrive asks for something that there is.
    ///
    /// # Errors
    /// `NotFound`, `InvalidParams`, `TooLarge`.
    pub(crate) fn check_redrive_command(
        &self,
        topic: &TopicName,
        to: &RedriveTo,
        edit: &RedriveEdit,
    ) -> Result<(), Error> {
        self.require(topic)?;
        let bytes = edit
            .payload
            .as_ref()
            .map_or(0, |(payload, _)| payload.len());
        if bytes > limits::PAYLOAD_BYTES_MAX {
            let text = format!(
                "a payload (bytes) of {bytes} exceeds the limit of {}",
                limits::PAYLOAD_BYTES_MAX
            );
            return Err(
                Error::new(ErrorCode::TooLarge, text).with("limit", limits::PAYLOAD_BYTES_MAX)
            );
        }
        let RedriveTo::Topic(target) = to else {
            return Ok(());
        };
        if target == topic {
            return Err(Error::invalid_params(format!(
                "dead letters of topic {topic} can't be driven back to the topic itself"
            )));
        }
        let priorities = self.options_of(target)?.priorities;
        match edit.priority {
            Some(priority) if u16::from(priority.0) >= priorities => {
                Err(refusal::bad_priority(target, priority.0, priorities))
            }
            _ => Ok(()),
        }
    }

    /// What [`Core::redrive`] may cost for a dead letter.
    ///
    /// # Errors
    /// Why it stays where it is: it is gone, or a consumer has it (`Conflict`); where it comes
    /// from is gone (`NotFound`), has no room (`Overloaded`), or has a newer message with its
    /// key (`Conflict`).
    pub fn check_redrive(
        &self,
        now: Timestamp,
        id: MessageId,
        letter: &StoredMessage,
        to: &RedriveTo,
        edit: &RedriveEdit,
    ) -> Result<Cost, Error> {
        let held = || Error::new(ErrorCode::Conflict, format!("message {id} is gone or held"));
        let index = *self.by_number.get(&id.topic).ok_or_else(held)?;
        let topic = &self.topics[index];
        if !topic.messages.contains(id.sequence) || !topic.is_idle(id.sequence) {
            return Err(held());
        }
        let mut cost = match self.target(index, letter, to)? {
            Target::Topic(name) => {
                let message = driven_back(letter.clone(), edit, self.options_of(&name)?);
                let messages = std::iter::once(message).collect();
                let publish = Command::Publish {
                    topic: name,
                    messages,
                };
                self.check(now, &Batch::of(publish))?
            }
            Target::Subscription(source, _) => self.check_source(now, source, letter, edit)?,
        };
        if topic.logs() {
            cost.settle_bytes += SETTLE_BYTES + FRAME_BYTES;
            cost.durability = cost.durability.max(topic.options.durability);
            cost.logs = true;
        }
        Ok(cost)
    }

    /// Whether a dead letter can go back into the topic that it comes from.
    fn check_source(
        &self,
        now: Timestamp,
        source: u32,
        letter: &StoredMessage,
        edit: &RedriveEdit,
    ) -> Result<Cost, Error> {
        let topic = &self.topics[source];
        let key = letter.key.as_ref().filter(|_| topic.dedupes());
        if let Some(key) = key.filter(|key| topic.keys.find(key).is_some()) {
            let text = format!(
                "topic {} has a newer message with the key {key}",
                topic.label()
            );
            return Err(Error::new(ErrorCode::Conflict, text));
        }
        let message = driven_back(letter.clone(), edit, &topic.options);
        let mut cost = Cost::default();
        if topic.logs() {
            cost.growth_bytes = encoded_bytes_max(&message, 1) + FRAME_BYTES;
            cost.durability = topic.options.durability;
            cost.logs = true;
        }
        self.cost_of_room(topic, 1, &mut cost);
        if topic.needs_advance(1) {
            cost.growth_bytes += SETTLE_BYTES + FRAME_BYTES;
            cost.logs = true;
        }
        let messages = std::slice::from_ref(&message);
        self.check_room(
            now,
            topic.label(),
            &topic.options,
            messages,
            &mut Default::default(),
        )?;
        if !topic.options.transient {
            cost.durability = cost.durability.max(topic.options.durability);
        }
        Ok(cost)
    }

    /// Moves a dead letter as [`Core::check_redrive`] has just allowed: it is stored as a new
    /// message and leaves all subscriptions of its topic, in one unit of records.
    pub fn redrive(
        &mut self,
        now: Timestamp,
        id: MessageId,
        letter: StoredMessage,
        to: &RedriveTo,
        edit: &RedriveEdit,
        out: &mut Effects,
    ) {
        let Some(index) = self.by_number.get(&id.topic).copied() else {
            return;
        };
        match self.target(index, &letter, to) {
            Err(_) => return,
            Ok(Target::Topic(name)) => {
                let target = self.topic_or_make(name, out);
                let message = driven_back(letter, edit, &self.topics[target].options);
                self.work(target, out).publish(now, message);
            }
            Ok(Target::Subscription(source, number)) => {
                let options = &self.topics[source].options;
                let message = driven_back(letter, edit, options);
                let message = crate::publish::stored(now, message, options);
                let mut work = self.work(source, out);
                let sequence = work.next_identity();
                work.put(now, sequence, message, Some(number));
                work.make_room();
            }
        }
        let mut work = self.work(index, out);
        work.discard(id.sequence);
        if work.topic.logs() {
            let mut moved = Moves::default();
            moved.push(Move::of(id.topic, BACKLOG, id.sequence));
            moved.log_drops(Reason::Redriven, out);
        }
    }

    fn target(&self, from: u32, letter: &StoredMessage, to: &RedriveTo) -> Result<Target, Error> {
        if let RedriveTo::Topic(name) = to {
            return Ok(Target::Topic(name.clone()));
        }
        let header = |name: &'static str| {
            letter.headers.get(name).ok_or_else(|| {
                let text = format!("the message has no header {name}: it is no dead letter");
                Error::new(ErrorCode::NotFound, text)
            })
        };
        let source = self.require(header(dead_letter::TOPIC)?)?;
        let name = header(dead_letter::SUBSCRIPTION)?;
        let number = self.require_subscription(source, name)?;
        match source == from {
            true => Err(refusal::buries_itself(self.topics[from].label())),
            false => Ok(Target::Subscription(source, number)),
        }
    }
}
