use crate::{
    BodyRef, Effects, PutHandle,
    record::{Define, encode_pair, kind},
    slab::Slab,
    topic::Topic,
    traffic::Traffic,
    work::Work,
};
use hashbrown::HashMap;
use std::collections::BTreeMap;
use trunkline_model::{Error, TopicName, TopicOptions, TopicSettings, refusal};

/// Topics whose definition is in memory only have numbers from here: they are never
/// logged, so the next run gives them anew.
pub(crate) const TRANSIENT_NUMBERS: u32 = 1 << 31;

/// How many sequences the journal reserves at a time for messages that it never sees.
pub(crate) const SEQUENCES_RESERVED: u64 = 1 << 20;

/// How topics come to be.
#[derive(Clone, Debug, PartialEq)]
pub struct CoreConfig {
    /// Whether publishing to or consuming from a topic that is not there makes it.
    pub auto_create: bool,
    /// Options of topics made that way. If they don't resolve, making one fails.
    pub defaults: TopicSettings,
}

impl Default for CoreConfig {
    fn default() -> Self {
        Self {
            auto_create: true,
            defaults: TopicSettings::default(),
        }
    }
}

/// All topics of a store.
///
/// Commands come in two steps: a check that changes nothing and can fail, then, with the
/// same *now* and nothing in between, the change that can't. The engine calls
/// [`Core::tick`] whenever [`Core::next_deadline`] is reached, and [`Core::pump`] after
/// everything that may have made deliveries possible.
#[derive(Debug)]
pub struct Core {
    pub(crate) auto_create: bool,
    /// Options of topics made on first use, or why none can be.
    pub(crate) defaults: Result<TopicOptions, Error>,
    pub(crate) topics: Slab<Topic>,
    pub(crate) by_name: HashMap<TopicName, u32>,
    pub(crate) in_order: BTreeMap<TopicName, u32>,
    pub(crate) by_number: BTreeMap<u32, u32>,
    pub(crate) next_number: u32,
    pub(crate) next_transient: u32,
    pub(crate) traffic: Traffic,
    /// Where replayed changes leave effects that nobody needs.
    pub(crate) scratch: Effects,
}

impl Core {
    /// Without topics.
    pub fn new(config: CoreConfig) -> Self {
        Self {
            auto_create: config.auto_create,
            defaults: refusal::resolve(&config.defaults),
            topics: Slab::default(),
            by_name: HashMap::new(),
            in_order: BTreeMap::new(),
            by_number: BTreeMap::new(),
            next_number: 1,
            next_transient: TRANSIENT_NUMBERS,
            traffic: Traffic::default(),
            scratch: Effects::default(),
        }
    }

    /// Says where the body of a message is that was just put; returns its payload bytes.
    pub fn set_body(&mut self, put: PutHandle, body: BodyRef) -> u32 {
        let topic = self.topics.get_mut(put.topic);
        let bytes = topic.and_then(|topic| topic.messages.set_body(put.sequence, body));
        debug_assert!(bytes.is_some(), "a put is listed only while it is stored");
        bytes.unwrap_or_default()
    }

    /// Waiting or delivered messages that are logged, times the subscriptions that have not
    /// settled them: so many acks may still have to be written.
    pub fn waiting_units(&self) -> u64 {
        self.traffic.units
    }

    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn work<'a>(&'a mut self, index: u32, out: &'a mut Effects) -> Work<'a> {
        Work {
            index,
            topic: &mut self.topics[index],
            traffic: &mut self.traffic,
            out,
        }
    }

    /// The options of a topic that is there or would be made.
    ///
    /// # Errors
    /// `NotFound` if it is not there and none may be made: Trunkline's own topics are
    /// always defined first, so that none of them comes to be with the defaults of others.
    pub(crate) fn options_of(&self, name: &str) -> Result<&TopicOptions, Error> {
        match self.find(name) {
            Some(index) => Ok(&self.topics[index].options),
            None if self.auto_create && !name.starts_with('_') => {
                let options = self.defaults.as_ref().map_err(Clone::clone)?;
                let grave = options.dead_letter.as_ref();
                // The topic that takes the dead letters of all others may be made, too.
                self.check_letters(name, options, grave.filter(|grave| grave.as_str() != name))?;
                Ok(options)
            }
            None => Err(refusal::no_topic_made(name)),
        }
    }

    /// A topic that is there, or is made as checked by [`Core::options_of`].
    pub(crate) fn topic_or_make(&mut self, name: TopicName, out: &mut Effects) -> u32 {
        match self.find(&name) {
            Some(index) => index,
            None => {
                let options = self.defaults.clone().unwrap_or_default();
                self.make_topic(name, options, out)
            }
        }
    }

    /// Makes and logs a topic.
    pub(crate) fn make_topic(
        &mut self,
        name: TopicName,
        options: TopicOptions,
        out: &mut Effects,
    ) -> u32 {
        let counter = match options.transient {
            true => &mut self.next_transient,
            false => &mut self.next_number,
        };
        let number = *counter;
        *counter += 1;
        let mut topic = Topic::new(number, Some(name.clone()), options);
        topic.reserve_sequences();
        log_define(&topic, out);
        self.insert_topic(topic)
    }

    pub(crate) fn insert_topic(&mut self, topic: Topic) -> u32 {
        let (number, name) = (topic.number, topic.name.clone());
        let index = self.topics.insert(topic);
        self.by_number.insert(number, index);
        if let Some(name) = name {
            self.by_name.insert(name.clone(), index);
            self.in_order.insert(name, index);
        }
        index
    }

    /// Removes a topic whose consumers were ended; returns how many messages it held.
    pub(crate) fn remove_topic(&mut self, index: u32, out: &mut Effects) -> u64 {
        let messages = self.topics[index].messages.len() as u64;
        self.work(index, out).close_all();
        if let Some(topic) = self.topics.remove(index) {
            self.by_number.remove(&topic.number);
            if let Some(name) = topic.name {
                self.by_name.remove(&name);
                self.in_order.remove(&name);
            }
        }
        messages
    }
}

/// Logs a topic's options and counters, unless its definition is in memory only.
pub(crate) fn log_define(topic: &Topic, out: &mut Effects) {
    let (true, Some(name)) = (topic.is_durable(), &topic.name) else {
        return;
    };
    let define = Define {
        topic: topic.number,
        name: name.clone(),
        settings: topic.options.settings(),
        next_sequence: topic.next_sequence.max(topic.reserved),
        next_subscription: topic.next_subscription,
        counts: topic.counts,
    };
    out.log.push(kind::DEFINE, |bytes| define.encode(bytes));
}

/// Logs that topic numbers below `next_number` are taken.
pub(crate) fn log_count(next_number: u32, out: &mut Effects) {
    out.log.push(kind::COUNT, |bytes| {
        encode_pair(bytes, next_number.into(), None)
    });
}
