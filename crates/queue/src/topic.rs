use crate::{
    TopicCounts,
    groups::Groups,
    keys::Keys,
    messages::{Messages, NO_GROUP, NO_KEY},
    publish_ids::{PublishIds, Seen},
    stock::Stock,
    subscription::Subscription,
};
use std::collections::BTreeMap;
use trunkline_model::{
    Dedupe, Durability, Message, MessageId, SubscriptionName, Timestamp, TopicName, TopicOptions,
};

/// The pseudo-subscription that keeps messages while a topic has no other.
pub(crate) const BACKLOG: u32 = 0;

/// A topic with its messages and subscriptions.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    pub(crate) number: u32,
    /// None while replaying, if messages are met before the definition: the segment with
    /// the first one may be gone, and a later copy follows.
    pub(crate) name: Option<TopicName>,
    pub(crate) options: TopicOptions,
    pub(crate) messages: Messages,
    /// Of all payloads.
    pub(crate) bytes: u64,
    pub(crate) subscriptions: BTreeMap<u32, Subscription>,
    pub(crate) names: BTreeMap<SubscriptionName, u32>,
    pub(crate) next_sequence: u64,
    /// Sequences below this are taken for the journal, whether or not a put says so.
    pub(crate) reserved: u64,
    pub(crate) next_subscription: u32,
    pub(crate) keys: Keys,
    pub(crate) groups: Groups,
    /// What may be dropped, if it has a bound.
    pub(crate) stock: Option<Stock>,
    pub(crate) publish_ids: PublishIds,
    /// The keys that it saw, with `dedupe: first`.
    pub(crate) first_keys: PublishIds,
    pub(crate) counts: TopicCounts,
}

impl Topic {
    pub(crate) fn new(number: u32, name: Option<TopicName>, options: TopicOptions) -> Self {
        let mut topic = Self {
            number,
            name,
            options,
            messages: Messages::default(),
            bytes: 0,
            subscriptions: BTreeMap::new(),
            names: BTreeMap::new(),
            next_sequence: 1,
            reserved: 1,
            next_subscription: 1,
            keys: Keys::default(),
            groups: Groups::default(),
            stock: None,
            publish_ids: PublishIds::default(),
            first_keys: PublishIds::default(),
            counts: TopicCounts::default(),
        };
        topic.count_stock();
        topic
    }

    /// Whether what happens to its messages is logged.
    pub(crate) fn logs(&self) -> bool {
        !self.options.transient && self.options.durability != Durability::Memory
    }

    /// Whether its definition is logged.
    pub(crate) fn is_durable(&self) -> bool {
        !self.options.transient
    }

    pub(crate) fn dedupes(&self) -> bool {
        self.options.dedupe == Dedupe::Latest
    }

    /// The sequence of an earlier message that a publish repeats: with the same publish id or,
    /// with `dedupe: first`, the same key, within the window of either.
    pub(crate) fn repeats(&self, now: Timestamp, message: &Message) -> Option<u64> {
        let window = self.options.publish_id_window.0;
        let id = message.publish_id.as_ref();
        let first = id.and_then(|id| self.publish_ids.find(id, now, window));
        first.or_else(|| {
            let key = message.key.as_ref().filter(|_| self.keeps_firsts())?;
            let window = self.options.dedupe_window.0;
            self.first_keys.find(key, now, window)
        })
    }

    /// Notes that a key was seen, if that counts.
    pub(crate) fn note_key(&mut self, key: &str, at: Timestamp, sequence: u64) {
        if self.keeps_firsts() {
            let id = key.into();
            let window = self.options.dedupe_window.0;
            self.first_keys.remember(Seen { id, at, sequence }, window);
        }
    }

    /// Notes that a publish id was seen.
    pub(crate) fn note_publish_id(&mut self, id: &str, at: Timestamp, sequence: u64) {
        let (id, window) = (id.into(), self.options.publish_id_window.0);
        self.publish_ids.remember(Seen { id, at, sequence }, window);
    }

    fn keeps_firsts(&self) -> bool {
        self.options.dedupe == Dedupe::First
    }

    /// The group of a stored message; [`NO_GROUP`] for none.
    pub(crate) fn group_of(&self, sequence: u64) -> u32 {
        match self.groups.is_empty() {
            true => NO_GROUP,
            false => self.messages.group_of(sequence),
        }
    }

    pub(crate) fn id(&self, sequence: u64) -> MessageId {
        MessageId {
            topic: self.number,
            sequence,
        }
    }

    /// Whether a subscription's dead letters have a topic: another one than this.
    pub(crate) fn buries(&self, number: u32) -> bool {
        let dead_letter = &self.subscription(number).options.dead_letter;
        dead_letter.is_some() && *dead_letter != self.name
    }

    /// Whether all that is still to happen to a stored message is that its dead letters are
    /// stored.
    pub(crate) fn only_leaves(&self, sequence: u64) -> bool {
        let leaves = |s: &&Subscription| s.leaving.contains_key(&sequence);
        let leaving = self.subscriptions.values().filter(leaves).count();
        let stored = self.messages.get(sequence);
        leaving > 0 && stored.is_some_and(|stored| stored.unsettled as usize == leaving)
    }

    /// The name, or what stands for it in texts.
    pub(crate) fn label(&self) -> &str {
        self.name.as_deref().unwrap_or("(undefined)")
    }

    /// Other options from now on. Whether keys count can change only while there are no
    /// messages, or to "no" for a topic met before its definition.
    pub(crate) fn set_options(&mut self, options: TopicOptions) {
        self.options = options;
        if !self.dedupes() {
            self.keys = Keys::default();
            let keyed = self.messages.iter().filter(|stored| stored.key != NO_KEY);
            let sequences: Vec<u64> = keyed.map(|stored| stored.sequence).collect();
            for sequence in sequences {
                self.messages.change(sequence, |stored| stored.key = NO_KEY);
            }
        }
        if !self.keeps_firsts() {
            self.first_keys = PublishIds::default();
        }
        for subscription in self.subscriptions.values_mut() {
            subscription.options = subscription.settings.resolve(&self.options);
        }
        self.count_stock();
        let numbers: Vec<u32> = self.subscriptions.keys().copied().collect();
        for number in numbers {
            self.count_waiting(number);
        }
    }

    /// The subscription under a number; callers hold numbers of live ones.
    pub(crate) fn subscription(&self, number: u32) -> &Subscription {
        &self.subscriptions[&number]
    }

    pub(crate) fn subscription_mut(&mut self, number: u32) -> &mut Subscription {
        self.subscriptions
            .get_mut(&number)
            .expect("the caller holds the number of a live subscription")
    }
}
