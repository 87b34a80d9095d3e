use crate::{
    BodyRef, TopicCounts, keys::Keys, publish_ids::PublishIds, slab::Slab,
    subscription::Subscription,
};
use hashbrown::HashMap;
use std::{collections::BTreeMap, num::NonZeroU64};
use trunkline_model::{
    Dedupe, Durability, MessageId, Priority, SubscriptionName, Timestamp, TopicName, TopicOptions,
};

/// The pseudo-subscription that keeps messages while a topic has no other.
pub(crate) const BACKLOG: u32 = 0;

/// No key: of a message on a topic that doesn't deduplicate, or without one.
pub(crate) const NO_KEY: u32 = u32::MAX;

/// A stored message: what of it stays in memory.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) sequence: NonZeroU64,
    pub(crate) body: BodyRef,
    pub(crate) published_at: Timestamp,
    /// [`Timestamp::MAX`] for never.
    pub(crate) expires_at: Timestamp,
    /// Of the payload.
    pub(crate) bytes: u32,
    /// Subscriptions that have not settled it.
    pub(crate) unsettled: u32,
    /// In [`Topic::keys`].
    pub(crate) key: u32,
    pub(crate) priority: Priority,
}

// With the 12 bytes that it costs in a subscription, a waiting message takes 60.
const _: () = assert!(size_of::<Option<Slot>>() == 48);

impl Slot {
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at < now
    }

    /// Where it stands in a subscription unless it took over another one's place.
    pub(crate) fn usual_place(&self) -> (u8, u64) {
        (self.priority.0, self.sequence.get())
    }
}

/// A topic with its messages and subscriptions.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    pub(crate) number: u32,
    /// None while replaying, if messages are met before the definition: the segment with
    /// the first one may be gone, and a later copy follows.
    pub(crate) name: Option<TopicName>,
    pub(crate) options: TopicOptions,
    pub(crate) slots: Slab<Slot>,
    /// Of all payloads.
    pub(crate) bytes: u64,
    pub(crate) subscriptions: BTreeMap<u32, Subscription>,
    pub(crate) names: BTreeMap<SubscriptionName, u32>,
    pub(crate) next_sequence: u64,
    /// Sequences below this are taken for the journal, whether or not a put says so.
    pub(crate) reserved: u64,
    pub(crate) next_subscription: u32,
    pub(crate) keys: Keys,
    pub(crate) publish_ids: PublishIds,
    /// Slot of every sequence; only while replaying, since records name sequences.
    pub(crate) index: Option<HashMap<u64, u32>>,
    pub(crate) counts: TopicCounts,
}

impl Topic {
    pub(crate) fn new(number: u32, name: Option<TopicName>, options: TopicOptions) -> Self {
        Self {
            number,
            name,
            options,
            slots: Slab::default(),
            bytes: 0,
            subscriptions: BTreeMap::new(),
            names: BTreeMap::new(),
            next_sequence: 1,
            reserved: 1,
            next_subscription: 1,
            keys: Keys::default(),
            publish_ids: PublishIds::default(),
            index: None,
            counts: TopicCounts::default(),
        }
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

    pub(crate) fn id(&self, sequence: u64) -> MessageId {
        MessageId {
            topic: self.number,
            sequence,
        }
    }

    /// The name, or what stands for it in texts.
    pub(crate) fn label(&self) -> &str {
        self.name.as_deref().unwrap_or("(undefined)")
    }

    /// Other options from now on. Whether keys count can change only while there are no
    /// messages, or to "no" for a topic met before its definition.
    pub(crate) fn set_options(&mut self, options: TopicOptions) {
        self.options = options;
        let dedupes = self.dedupes();
        if !dedupes {
            self.keys = Keys::default();
            let slots: Vec<u32> = self.slots.iter().map(|(slot, _)| slot).collect();
            for slot in slots {
                self.slots[slot].key = NO_KEY;
            }
        }
        for subscription in self.subscriptions.values_mut() {
            subscription.options = subscription.settings.resolve(&self.options);
            subscription.waiting.track_places(dedupes);
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
