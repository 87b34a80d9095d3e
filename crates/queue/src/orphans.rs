//! What lost its definition for good.

use crate::{Core, Effects, copy::log_subscription, core::log_define, subscription::Subscription};
use std::str::FromStr;
use trunkline_model::{SubscriptionName, TopicName, TopicOptions};

impl Core {
    /// Gives topics and subscriptions that have messages and were never defined names of their own,
    /// `recovered-` and their number, and logs that: for a log that lacks something for good.
    /// Their options are the defaults. Returns how many there were.
    pub fn adopt_orphans(&mut self, out: &mut Effects) -> u64 {
        let mut adopted = 0;
        let indices: Vec<u32> = self.by_number.values().copied().collect();
        for index in indices {
            let number = self.topics[index].number;
            if self.topics[index].name.is_none() && self.topics[index].messages.len() > 0 {
                let name: TopicName = free_name(number, |name| self.by_name.contains_key(name));
                self.by_name.insert(name.clone(), index);
                self.in_order.insert(name.clone(), index);
                self.topics[index].name = Some(name);
                self.topics[index].set_options(TopicOptions::default());
                log_define(&self.topics[index], out);
                adopted += 1;
            }
            let topic = &mut self.topics[index];
            let is_orphan = |s: &&Subscription| s.is_orphan() && !s.sequences().is_empty();
            let orphans = topic.subscriptions.values().filter(is_orphan);
            let orphans: Vec<u32> = orphans.map(|s| s.number).collect();
            let is_named = topic.name.is_some();
            for number in orphans.into_iter().filter(|_| is_named) {
                let name: SubscriptionName =
                    free_name(number, |name| topic.names.contains_key(name));
                topic.names.insert(name.clone(), number);
                topic.subscription_mut(number).name = Some(name);
                topic.next_subscription = topic.next_subscription.max(number + 1);
                log_subscription(topic, topic.subscription(number), out);
                adopted += 1;
            }
        }
        adopted
    }
}

/// A name for something that lost its own.
fn free_name<N: FromStr>(number: u32, is_taken: impl Fn(&str) -> bool) -> N {
    let mut text = format!("recovered-{number}");
    while is_taken(&text) {
        text.push('-');
    }
    let name = text.parse().ok();
    name.expect("letters, digits and hyphens are a name")
}
