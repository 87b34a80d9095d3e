//! The topic state machine of the embedded engine, which does the same as the script, or one of them is
//! wrong.

use bytes::Bytes;
use std::collections::BTreeMap;
use trunkline_model::{
    Admin, Batch, Command, ConsumeSpec, ConsumerId, Consuming, DeliveryTag, Error, Message,
    MessageFilter, MessageState, Outcome, PeekFrom, Receipt, Source, StartFrom, StoredMessage,
    SubscriptionName, SubscriptionSettings, Timestamp, TopicInfo, TopicSettings, dead_letter,
};
use trunkline_queue::{
    BodyRef, Core, CoreConfig, Deliver, Effects, Look, PutHandle, decode_message,
};

const TOPIC: &str = "t";

pub(crate) struct Mirror {
    pub(crate) core: Core,
    pub(crate) now: Timestamp,
    bodies: BTreeMap<BodyRef, StoredMessage>,
    pub(crate) ended: Vec<u64>,
}

impl Mirror {
    pub(crate) fn new(now: Timestamp, settings: TopicSettings) -> Self {
        let mut mirror = Self {
            core: Core::new(CoreConfig::default()),
            now,
            bodies: BTreeMap::new(),
            ended: Vec::new(),
        };
        let topic = TOPIC.parse().expect("a name");
        let defined = mirror.manage(Admin::Define { topic, settings });
        defined.expect("nothing is against it");
        mirror
    }

    /// Takes what a call left behind: what was put, and what was delivered.
    fn spend(&mut self, mut effects: Effects) -> (Vec<StoredMessage>, Vec<Deliver>) {
        let mut put = Vec::new();
        for (handle, record) in std::mem::take(&mut effects.puts) {
            let (_, bytes) = effects.log.copy_of(record).expect("it was logged");
            let message = decode_message(bytes).expect("a put has a message");
            put.push(message.clone());
            self.keep(handle, message);
        }
        for (handle, message) in std::mem::take(&mut effects.memory_puts) {
            self.keep(handle, message);
        }
        let ended = effects.ended.iter().map(|(consumer, _)| consumer.0);
        self.ended.extend(ended);
        (put, effects.deliveries)
    }

    fn keep(&mut self, handle: PutHandle, message: StoredMessage) {
        let body = BodyRef(self.bodies.len() as u64 + 1);
        self.core.set_body(handle, body);
        self.bodies.insert(body, message);
    }

    pub(crate) fn submit(&mut self, batch: Batch) -> Result<Receipt, Error> {
        self.core.check(self.now, &batch)?;
        let mut effects = Effects::default();
        let receipt = self.core.apply(self.now, batch, &mut effects);
        self.spend(effects);
        Ok(receipt)
    }

    pub(crate) fn manage(&mut self, command: Admin) -> Result<Outcome, Error> {
        self.core.check_admin(self.now, &command)?;
        let mut effects = Effects::default();
        let outcome = self.core.manage(self.now, command, &mut effects);
        self.spend(effects);
        Ok(outcome)
    }

    pub(crate) fn subscribe(
        &mut self,
        name: &SubscriptionName,
        from: Option<StartFrom>,
        settings: SubscriptionSettings,
    ) -> (bool, u64) {
        let made = self.manage(Admin::Subscribe {
            topic: TOPIC.parse().expect("a name"),
            subscription: name.clone(),
            from,
            settings,
        });
        match made {
            Ok(Outcome::Subscribed { created, released }) => (created, released),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn attach(&mut self, consumer: u64, name: &SubscriptionName) -> Consuming {
        let spec = ConsumeSpec {
            sources: vec![Source {
                topic: TOPIC.parse().expect("a name"),
                subscription: name.clone(),
                from: None,
            }],
            credit: 0,
            window_bytes: u64::MAX,
            auto_ack: false,
        };
        let mut effects = Effects::default();
        let consumer = ConsumerId(consumer);
        let consuming = self.core.attach(self.now, consumer, spec, &mut effects);
        self.core.start(consumer);
        self.spend(effects);
        consuming
    }

    pub(crate) fn detach(&mut self, consumer: u64) -> u64 {
        let mut effects = Effects::default();
        let returned = self
            .core
            .detach(self.now, ConsumerId(consumer), &mut effects);
        self.spend(effects);
        returned
    }

    /// Tags, sequences and attempts.
    pub(crate) fn take(&mut self, consumer: u64, held: u32, count: u32) -> Vec<(u64, u64, u32)> {
        self.core.credit(ConsumerId(consumer), held + count);
        let mut effects = Effects::default();
        self.core.pump(self.now, &mut effects);
        self.core.credit(ConsumerId(consumer), 0);
        let (_, deliveries) = self.spend(effects);
        let told = deliveries.iter();
        told.map(|d| (d.tag.0, d.id.sequence, d.attempt)).collect()
    }

    /// Whether a delivery is one still.
    pub(crate) fn stands(&self, consumer: u64, tag: u64) -> bool {
        let holdings = self.core.holdings(ConsumerId(consumer));
        holdings.is_some_and(|holdings| holdings.stands(DeliveryTag(tag)))
    }

    pub(crate) fn tick(&mut self) {
        let mut effects = Effects::default();
        self.core.tick(self.now, &mut effects);
        self.spend(effects);
    }

    /// Stores all dead letters: what their headers say.
    pub(crate) fn bury(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(departure) = self.core.next_departure() {
            let message = self.bodies[&departure.body].clone();
            let mut effects = Effects::default();
            self.core.bury(self.now, &departure, message, &mut effects);
            for letter in self.spend(effects).0 {
                let header = |name| letter.headers.get(name).unwrap_or("-").to_owned();
                let names = [
                    dead_letter::ID,
                    dead_letter::SUBSCRIPTION,
                    dead_letter::REASON,
                    dead_letter::ATTEMPTS,
                    dead_letter::FIRST_AT,
                    dead_letter::LAST_AT,
                ];
                told.push(names.map(header).join(" "));
            }
        }
        told.sort();
        told
    }

    pub(crate) fn info(&self) -> TopicInfo {
        self.core.info(TOPIC).expect("it is there")
    }

    /// Everything in a subscription, or all that is stored: sequences, states and attempts.
    pub(crate) fn look(
        &self,
        subscription: Option<&SubscriptionName>,
    ) -> Vec<(u64, Option<MessageState>, u32)> {
        let look = Look {
            topic: TOPIC,
            subscription: subscription.map(|name| name.as_str()),
            from: PeekFrom::Front,
            filter: &MessageFilter::default(),
            limit: usize::MAX,
        };
        let page = self.core.peek(self.now, &look).expect("it is there");
        let seen = page.messages.iter();
        seen.map(|seen| (seen.id.sequence, seen.state, seen.attempts))
            .collect()
    }
}

pub(crate) fn publishing(messages: Vec<Message>, if_subscribed: bool) -> Command {
    let topic = TOPIC.parse().expect("a name");
    let messages = messages.into();
    match if_subscribed {
        true => Command::PublishIfSubscribed { topic, messages },
        false => Command::Publish { topic, messages },
    }
}

pub(crate) fn tags(tags: &[u64]) -> impl Iterator<Item = DeliveryTag> {
    tags.iter().map(|tag| DeliveryTag(*tag))
}

pub(crate) fn payload(bytes: usize) -> Bytes {
    Bytes::from(vec![b'x'; bytes])
}
