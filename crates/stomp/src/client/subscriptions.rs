use super::{Acked, MessageTag};
use crate::{AckMode, Frame, Version};
use compact_str::CompactString;
use std::collections::{BTreeMap, VecDeque};

/// Names of ended subscriptions that are remembered, to know their late messages.
const ENDED_MAX: usize = 256;

/// The subscriptions of a connection, by their ids.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    by_key: BTreeMap<CompactString, Subscription>,
    by_operation: BTreeMap<u64, CompactString>,
    ended: VecDeque<CompactString>,
}

/// A subscription.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// The operation of its SUBSCRIBE.
    pub(crate) operation: u64,
    /// Its RECEIPT came.
    pub(crate) active: bool,
    mode: AckMode,
    /// What can be acknowledged: how an ACK names it, by the number of its tag.
    unacked: BTreeMap<u64, CompactString>,
    by_name: BTreeMap<CompactString, u64>,
}

/// Where a message belongs.
pub(crate) enum Route<'a> {
    To(&'a mut Subscription),
    /// To a subscription that has ended.
    Late,
    Nowhere,
}

/// What an ACK says of its message.
pub(crate) struct Named {
    pub(crate) subscription: CompactString,
    pub(crate) name: CompactString,
}

impl Subscriptions {
    /// False if the key is taken.
    pub(crate) fn add(&mut self, key: CompactString, operation: u64, mode: AckMode) -> bool {
        if self.by_key.contains_key(&key) {
            return false;
        }
        let subscription = Subscription {
            operation,
            active: false,
            mode,
            unacked: BTreeMap::new(),
            by_name: BTreeMap::new(),
        };
        self.by_operation.insert(operation, key.clone());
        self.by_key.insert(key, subscription);
        true
    }

    pub(crate) fn activate(&mut self, key: &str) {
        if let Some(subscription) = self.by_key.get_mut(key) {
            subscription.active = true;
        }
    }

    /// The operation of its SUBSCRIBE, if there is one of this key.
    pub(crate) fn remove(&mut self, key: &CompactString) -> Option<u64> {
        let ended = self.by_key.remove(key)?;
        self.by_operation.remove(&ended.operation);
        if self.ended.len() >= ENDED_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back(key.clone());
        Some(ended.operation)
    }

    pub(crate) fn route(&mut self, frame: &Frame) -> Route<'_> {
        let key = frame
            .get("subscription")
            .or_else(|| frame.get("destination"));
        let key = key.unwrap_or_default();
        match self.by_key.get_mut(key) {
            Some(subscription) => Route::To(subscription),
            None if self.ended.iter().any(|ended| ended == key) => Route::Late,
            None => Route::Nowhere,
        }
    }

    /// Forgets a message that is acknowledged, and in mode `client` those before it. None if it
    /// could not be.
    pub(crate) fn acknowledge(&mut self, message: &Acked) -> Option<Named> {
        let (key, number) = match message {
            Acked::Tag(tag) => {
                let key = self.by_operation.get(&tag.subscription)?;
                (key.clone(), tag.number)
            }
            Acked::Id(id) => self.by_key.iter().find_map(|(key, found)| {
                let number = *found.by_name.get(id)?;
                Some((key.clone(), number))
            })?,
        };
        let subscription = self.by_key.get_mut(&key)?;
        let name = subscription.unacked.get(&number)?.clone();
        subscription.forget(number);
        Some(Named {
            subscription: key,
            name,
        })
    }

    /// The active ones, in the order of their SUBSCRIBEs; all are forgotten.
    pub(crate) fn end(&mut self) -> Vec<(CompactString, u64)> {
        self.ended.clear();
        self.by_operation.clear();
        let all = std::mem::take(&mut self.by_key).into_iter();
        let active = all.filter(|(_, subscription)| subscription.active);
        let mut active: Vec<_> = active.map(|(key, it)| (key, it.operation)).collect();
        active.sort_by_key(|(_, operation)| *operation);
        active
    }
}

impl Subscription {
    /// Takes a message that came; whether an older one had to be forgotten for it.
    pub(crate) fn take(
        &mut self,
        number: u64,
        frame: &Frame,
        version: Version,
        unacked_max: usize,
    ) -> (MessageTag, bool) {
        let tag = MessageTag {
            subscription: self.operation,
            number,
        };
        if self.mode == AckMode::Auto {
            return (tag, false);
        }
        let message_id = frame.get("message-id");
        let name = match version {
            Version::V1_2 => frame.get("ack").or(message_id),
            Version::V1_0 | Version::V1_1 => message_id,
        };
        let name = CompactString::new(name.unwrap_or_default());
        self.by_name.insert(name.clone(), number);
        self.unacked.insert(number, name);
        let too_many = self.unacked.len() > unacked_max;
        if too_many && let Some((oldest, name)) = self.unacked.pop_first() {
            self.forget_name(oldest, &name);
        }
        (tag, too_many)
    }

    fn forget(&mut self, number: u64) {
        let covered = match self.mode {
            AckMode::Client => {
                let above = self.unacked.split_off(&(number + 1));
                std::mem::replace(&mut self.unacked, above)
            }
            AckMode::Auto | AckMode::ClientIndividual => {
                self.unacked.remove_entry(&number).into_iter().collect()
            }
        };
        for (number, name) in covered {
            self.forget_name(number, &name);
        }
    }

    /// Names may come again; then the later message has it.
    fn forget_name(&mut self, number: u64, name: &CompactString) {
        if self.by_name.get(name) == Some(&number) {
            self.by_name.remove(name);
        }
    }
}
