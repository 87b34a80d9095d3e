//! Subscriptions come and go.

use crate::{
    delays::Delays,
    lane::Placed,
    leaving::Leaving,
    lines::Lines,
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
        topic.count_waiting(number);
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
            delayed: Delays::default(),
            flights: BTreeMap::new(),
            leaving: BTreeMap::new(),
            failed: BTreeMap::new(),
            desk: self.traffic.open_desk(self.index, number),
            counts: SubscriptionCounts::default(),
            lines: Lines::default(),
            stock: None,
        };
        self.topic.subscriptions.insert(number, subscription);
    }

    /// Everything that the topic holds waits in a new subscription, too. Kept messages go
    /// over as they stand.
    fn take_stored(&mut self, number: u32) {
        if let Some(backlog) = self.topic.subscriptions.remove(&BACKLOG) {
            self.traffic.close_desk(backlog.desk);
            self.take_backlog(number, backlog);
            return;
        }
        let sequences: Vec<u64> = self.topic.messages.sequences().collect();
        for sequence in sequences {
            let (lane, position) = self.topic.messages.at(sequence).usual_place();
            let placed = Placed {
                position,
                sequence,
                attempts: 0,
            };
            if self.topic.only_leaves(sequence) {
                continue;
            }
            // Where it was never delivered, it is held back for everybody.
            let others = self.topic.subscriptions.values();
            let until = others.filter_map(|s| s.delayed.fresh(sequence)).next();
            self.place(number, lane, placed, until);
        }
    }

    fn take_backlog(&mut self, number: u32, mut backlog: Subscription) {
        let delays = std::mem::take(&mut backlog.delayed);
        let first = delays.first();
        let subscription = self.topic.subscription_mut(number);
        subscription.waiting = std::mem::take(&mut backlog.waiting);
        subscription.delayed = delays;
        // Nobody takes from the backlog, so that nothing of it is listed.
        subscription.lines = std::mem::take(&mut backlog.lines);
        self.topic.count_waiting(number);
        self.traffic.retime(self.index, &backlog, first);
        self.traffic
            .retime(self.index, self.topic.subscription(number), None);
        // Kept messages that expired, and leave: asked for anew, in this name.
        for leaving in backlog.leaving.into_values() {
            let stamp = self.traffic.stamp();
            self.traffic.leaving.remove(&leaving.stamp);
            self.add_leaving(number, Leaving { stamp, ..leaving });
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
