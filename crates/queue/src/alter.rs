//! Changing topics and subscriptions while they run.

use crate::{
    Core, Effects,
    core::log_define,
    record::{Backlog, Subscribe, kind},
};
use compact_str::CompactString;
use trunkline_model::{
    Altered, ByteSize, Error, Outcome, SubscriptionSettings, TopicOptions, TopicSettings, refusal,
};

impl Core {
    /// What the options of a topic would be after an alteration.
    pub(crate) fn altered(
        &self,
        name: &str,
        settings: &TopicSettings,
        clear: &[CompactString],
    ) -> Result<TopicOptions, Error> {
        let topic = &self.topics[self.require(name)?];
        let current = &topic.options;
        let mut merged = current.settings().with(settings);
        for option in clear {
            let cleared = merged.clear(option, settings);
            cleared.map_err(Error::invalid_params)?;
        }
        let options = refusal::resolve(&merged)?;
        self.check_letters(name, &options, options.dead_letter.as_ref())?;
        self.check_grave(name, &options)?;
        let holds = topic.messages.len() > 0;
        for (option, changes) in [
            ("durability", options.durability != current.durability),
            ("dedupe", options.dedupe != current.dedupe),
            ("priorities", options.priorities < current.priorities),
        ] {
            if holds && changes {
                return Err(refusal::needs_empty(name, option));
            }
        }
        Ok(options)
    }

    pub(crate) fn alter(
        &mut self,
        name: &str,
        settings: &TopicSettings,
        clear: &[CompactString],
        out: &mut Effects,
    ) -> Outcome {
        let options = self.altered(name, settings, clear);
        let (Ok(options), Some(index)) = (options, self.find(name)) else {
            return Outcome::Altered(Altered::default());
        };
        let topic = &mut self.topics[index];
        let changes = topic.options.changes(&options);
        topic.set_options(options);
        topic.reserve_sequences();
        log_define(topic, out);
        let (messages, bytes) = (topic.messages.len() as u64, topic.bytes);
        let options = &topic.options;
        let altered = Altered {
            changes,
            messages_above: above(messages, options.max_messages),
            bytes_above: above(bytes, options.max_bytes.map(|ByteSize(max)| max)),
        };
        let desks: Vec<u32> = topic.subscriptions.values().map(|s| s.desk).collect();
        desks.into_iter().for_each(|desk| self.unpark_all(desk));
        Outcome::Altered(altered)
    }

    /// What a subscription would override after an alteration, with its topic's index and its
    /// own number.
    pub(crate) fn altered_subscription(
        &self,
        topic: &str,
        name: &str,
        settings: &SubscriptionSettings,
        clear: &[CompactString],
    ) -> Result<(u32, u32, SubscriptionSettings), Error> {
        let index = self.require(topic)?;
        let number = self.require_subscription(index, name)?;
        let topic = &self.topics[index];
        let mut merged = topic.subscription(number).settings.clone().with(settings);
        for option in clear {
            let cleared = merged.clear(option, settings);
            cleared.map_err(Error::invalid_params)?;
        }
        let effective = refusal::resolve_subscription(&merged, &topic.options)?;
        self.check_letters(
            topic.label(),
            &topic.options,
            effective.dead_letter.as_ref(),
        )?;
        Ok((index, number, merged))
    }

    pub(crate) fn alter_subscription(
        &mut self,
        topic: &str,
        name: &str,
        settings: &SubscriptionSettings,
        clear: &[CompactString],
        out: &mut Effects,
    ) -> Outcome {
        let altered = self.altered_subscription(topic, name, settings, clear);
        let Ok((index, number, settings)) = altered else {
            return Outcome::Altered(Altered::default());
        };
        let topic = &mut self.topics[index];
        let options = settings.resolve(&topic.options);
        let (numbered, is_durable) = (topic.number, topic.is_durable());
        let subscription = topic.subscription_mut(number);
        let changes = subscription.options.changes(&options);
        subscription.settings = settings;
        subscription.options = options;
        if let (true, Some(name)) = (is_durable, subscription.name.clone()) {
            let subscribe = Subscribe {
                topic: numbered,
                subscription: number,
                name,
                settings: subscription.settings.clone(),
                backlog: Backlog::Untouched,
                counts: subscription.counts,
            };
            out.log
                .push(kind::SUBSCRIBE, |bytes| subscribe.encode(bytes));
        }
        let desk = subscription.desk;
        topic.count_waiting(number);
        let subscription = topic.subscription(number);
        let (options, stock) = (&subscription.options, subscription.stock.as_ref());
        let (messages, bytes) = stock.map_or((0, 0), |stock| (stock.len(), stock.bytes()));
        let altered = Altered {
            changes,
            messages_above: above(messages, options.max_messages),
            bytes_above: above(bytes, options.max_bytes.map(|ByteSize(max)| max)),
        };
        self.unpark_all(desk);
        Outcome::Altered(altered)
    }

    /// Consumers that could take nothing under the earlier options look again.
    fn unpark_all(&mut self, desk: u32) {
        let attached: Vec<u32> = self.traffic.desks[desk].attached.iter().copied().collect();
        for consumer in attached {
            self.traffic.unpark(consumer);
        }
    }
}

fn above(stored: u64, max: Option<u64>) -> u64 {
    max.map_or(0, |max| stored.saturating_sub(max))
}
