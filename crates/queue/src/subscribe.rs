//! Subscriptions come and go.

use crate::{
    record::{Backlog, Subscribe, SubscriptionCounts, encode_pair, kind},
    subscription::Subscription,
    topic::BACKLOG,
    waiting::Waiting,
    work::Work,
};
use std::collections::BTreeMap;
use trunkline_model::{StartFrom, SubscriptionName, SubscriptionSettings};

impl Work<'_> {
    /// Makes and logs a subscription unless it is there: its number, whether it was made,
    /// and how many kept messages that released.
    pub(crate) fn subscribe(
        &mut self,
        name: SubscriptionName,
        from: Option<StartFrom>,
        settings: SubscriptionSettings,
    ) -> (u32, bool, u64) {
        if let Some(number) = self.topic.names.get(&name) {
            return (*number, false, 0);
        }
        let is_first = self.topic.names.is_empty();
        let backlog = match from {
            Some(StartFrom::All) => Backlog::Taken,
            None if is_first => Backlog::Taken,
            Some(StartFrom::New) if is_first => Backlog::Released,
            Some(StartFrom::New) | None => Backlog::Untouched,
        };
        let number = self.topic.next_subscription;
        let subscribe = Subscribe {
            topic: self.topic.number,
            subscription: number,
            name,
            settings,
            backlog,
            counts: SubscriptionCounts::default(),
        };
        if self.topic.is_durable() {
            self.out
                .log
                .push(kind::SUBSCRIBE, |bytes| subscribe.encode(bytes));
        }
        (number, true, self.open_subscription(subscribe))
    }

    /// Makes a subscription as its record says; returns how many kept messages that released.
    pub(crate) fn open_subscription(&mut self, subscribe: Subscribe) -> u64 {
        let number = subscribe.subscription;
        self.open(number);
        let topic = &mut *self.topic;
        topic.names.insert(subscribe.name.clone(), number);
        topic.next_subscription = topic.next_subscription.max(number.saturating_add(1));
        let options = subscribe.settings.resolve(&topic.options);
        let subscription = topic.subscription_mut(number);
        subscription.name = Some(subscribe.name);
        subscription.options = options;
        subscription.settings = subscribe.settings;
        subscription.counts = subscribe.counts;
        match subscribe.backlog {
            Backlog::Untouched => 0,
            Backlog::Taken => {
                self.take_stored(number);
                0
            }
            Backlog::Released => {
                let released = self.close_subscription(BACKLOG);
                self.topic.counts.dropped += released;
                released
            }
        }
    }

    pub(crate) fn open_backlog(&mut self) {
        if !self.has_backlog() {
            self.open(BACKLOG);
        }
    }

    /// Makes a subscription without a name, unless one with this number is there.
    pub(crate) fn open(&mut self, number: u32) {
        if self.topic.subscriptions.contains_key(&number) {
            return;
        }
        let settings = SubscriptionSettings::default();
        let subscription = Subscription {
            number,
            name: None,
            options: settings.resolve(&self.topic.options),
            settings,
            waiting: Waiting::default(),
            delayed: BTreeMap::new(),
            flights: BTreeMap::new(),
            desk: self.traffic.open_desk(self.index, number),
            counts: SubscriptionCounts::default(),
        };
        self.topic.subscriptions.insert(number, subscription);
    }

    /// Everything that the topic holds waits in a new subscription, too. Kept messages go
    /// over as they stand.
    fn take_stored(&mut self, number: u32) {
        if let Some(backlog) = self.topic.subscriptions.remove(&BACKLOG) {
            self.traffic.close_desk(backlog.desk);
            self.topic.subscription_mut(number).waiting = backlog.waiting;
            return;
        }
        let sequences: Vec<u64> = self.topic.messages.sequences().collect();
        for sequence in sequences {
            let (lane, position) = self.topic.messages.at(sequence).usual_place();
            self.place(sequence, number, lane, position, 0);
        }
    }

    pub(crate) fn log_unsubscribe(&mut self, number: u32) {
        if self.topic.is_durable() {
            let topic = self.topic.number;
            self.out.log.push(kind::UNSUBSCRIBE, |bytes| {
                encode_pair(bytes, topic.into(), Some(number.into()));
            });
        }
    }
}
