//! A core with everything that an engine would do around it.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "a module of several test binaries, of which each uses a part"
)]

use std::{collections::BTreeMap, time::Duration};
use trunkline_model::{
    Admin, Batch, Command, ConsumeSpec, ConsumerId, Consuming, DeliveryTag, Error, ErrorCode,
    Message, MessageFilter, MessageId, MessageState, Outcome, PeekFrom, Receipt, RedriveEdit,
    RedriveTo, Source, StoredMessage, Timestamp, TopicSettings,
};
use trunkline_queue::{
    BodyRef, Core, CoreConfig, Cost, Deliver, Effects, KIND_PUT, Look, Peeked, PutHandle, Record,
    decode_message,
};

/// A record, and where its body is if it has one.
#[derive(Clone, Debug)]
pub struct Logged {
    pub kind: u8,
    pub bytes: Vec<u8>,
    pub body: BodyRef,
}

pub struct World {
    pub core: Core,
    pub now: Timestamp,
    pub log: Vec<Logged>,
    /// Every message by its body, freed ones included.
    pub messages: BTreeMap<BodyRef, StoredMessage>,
    /// Bodies that are stored now, by what the effects said.
    pub live: BTreeMap<BodyRef, u32>,
    pub ended: Vec<(ConsumerId, Error)>,
    /// From here on everything in the log is defined; before, definitions may be further on.
    pub defined: usize,
    next_consumer: u64,
}

impl World {
    pub fn new() -> Self {
        Self::with(CoreConfig::default())
    }

    pub fn with(config: CoreConfig) -> Self {
        Self {
            core: Core::new(config),
            now: Timestamp::ZERO,
            log: Vec::new(),
            messages: BTreeMap::new(),
            live: BTreeMap::new(),
            ended: Vec::new(),
            defined: 0,
            next_consumer: 1,
        }
    }

    /// Takes what a call left behind; returns the deliveries.
    fn spend(&mut self, mut effects: Effects, allowed: Option<Cost>) -> Vec<Deliver> {
        if let Some(cost) = allowed {
            let framed = effects.log.byte_len() + 8 * effects.log.len();
            assert!(
                framed <= cost.growth_bytes + cost.settle_bytes,
                "{framed} > {cost:?}"
            );
            assert!(cost.logs || effects.log.is_empty());
        }
        let start = self.log.len();
        for (kind, bytes) in effects.log.iter() {
            let record = Record::decode(kind, bytes).expect("what was written can be read");
            assert!(!record.describe().contains('\n'));
            self.log.push(Logged {
                kind,
                bytes: bytes.to_vec(),
                body: BodyRef(0),
            });
        }
        for (put, record) in effects.puts.drain(..) {
            let logged = &self.log[start + record];
            assert_eq!(logged.kind, KIND_PUT);
            let message = decode_message(logged.bytes.clone().into()).expect("a put has a message");
            let body = self.keep(put, message);
            self.log[start + record].body = body;
        }
        for (put, message) in effects.memory_puts.drain(..) {
            self.keep(put, message);
        }
        for (body, bytes) in effects.freed.drain(..) {
            assert_eq!(self.live.remove(&body), Some(bytes), "{body:?} was live");
        }
        self.ended.append(&mut effects.ended);
        effects.deliveries
    }

    fn keep(&mut self, put: PutHandle, message: StoredMessage) -> BodyRef {
        let body = BodyRef(self.messages.len() as u64 + 1);
        self.core.set_body(put, body);
        self.live.insert(body, message.payload.len() as u32);
        self.messages.insert(body, message);
        body
    }

    pub fn submit(&mut self, batch: Batch) -> Result<Receipt, Error> {
        let cost = self.core.check(self.now, &batch)?;
        let mut effects = Effects::default();
        let receipt = self.core.apply(self.now, batch, &mut effects);
        let deliveries = self.spend(effects, Some(cost));
        assert!(deliveries.is_empty(), "only pump delivers");
        Ok(receipt)
    }

    pub fn publish(
        &mut self,
        topic: &str,
        messages: Vec<Message>,
    ) -> Result<Vec<MessageId>, Error> {
        let command = Command::Publish {
            topic: topic.parse().unwrap(),
            messages: messages.into(),
        };
        Ok(self.submit(Batch::of(command))?.ids.to_vec())
    }

    pub fn ack(&mut self, consumer: ConsumerId, tags: &[u64]) -> Receipt {
        let tags = tags.iter().map(|tag| DeliveryTag(*tag)).collect();
        self.submit(Batch::of(Command::Ack { consumer, tags }))
            .unwrap()
    }

    pub fn nack(
        &mut self,
        consumer: ConsumerId,
        tags: &[u64],
        requeue: bool,
        delay_s: u64,
    ) -> Receipt {
        let command = Command::Nack {
            consumer,
            tags: tags.iter().map(|tag| DeliveryTag(*tag)).collect(),
            requeue,
            delay: Duration::from_secs(delay_s),
        };
        self.submit(Batch::of(command)).unwrap()
    }

    pub fn extend(&mut self, consumer: ConsumerId, tags: &[u64], by_s: u64) -> Receipt {
        let command = Command::Extend {
            consumer,
            tags: tags.iter().map(|tag| DeliveryTag(*tag)).collect(),
            by: Duration::from_secs(by_s),
        };
        self.submit(Batch::of(command)).unwrap()
    }

    pub fn manage(&mut self, command: Admin) -> Result<Outcome, Error> {
        let cost = self.core.check_admin(self.now, &command)?;
        let mut effects = Effects::default();
        let outcome = self.core.manage(self.now, command, &mut effects);
        // Ending consumers may log what they return, beyond the cost.
        let has_ended = !effects.ended.is_empty();
        self.spend(effects, (!has_ended).then_some(cost));
        Ok(outcome)
    }

    pub fn define(&mut self, topic: &str, settings: TopicSettings) -> Result<Outcome, Error> {
        let topic = topic.parse().unwrap();
        self.manage(Admin::Define { topic, settings })
    }

    pub fn subscribe(&mut self, topic: &str, subscription: &str) -> Outcome {
        self.manage(Admin::Subscribe {
            topic: topic.parse().unwrap(),
            subscription: subscription.parse().unwrap(),
            from: None,
            settings: Default::default(),
        })
        .unwrap()
    }

    pub fn attach(&mut self, spec: ConsumeSpec) -> Result<(ConsumerId, Consuming), Error> {
        let cost = self.core.check_attach(self.now, &spec)?;
        let consumer = ConsumerId(self.next_consumer);
        self.next_consumer += 1;
        let mut effects = Effects::default();
        let consuming = self.core.attach(self.now, consumer, spec, &mut effects);
        self.spend(effects, Some(cost));
        self.core.start(consumer);
        Ok((consumer, consuming))
    }

    /// A consumer of subscriptions of one topic without much of a window.
    pub fn consume(&mut self, topic: &str, subscriptions: &[&str], credit: u32) -> ConsumerId {
        let spec = spec(topic, subscriptions, credit);
        self.attach(spec).unwrap().0
    }

    pub fn detach(&mut self, consumer: ConsumerId) -> u64 {
        let mut effects = Effects::default();
        let returned = self.core.detach(self.now, consumer, &mut effects);
        self.spend(effects, None);
        returned
    }

    pub fn pump(&mut self) -> Vec<Deliver> {
        let mut effects = Effects::default();
        self.core.pump(self.now, &mut effects);
        self.spend(effects, None)
    }

    /// Stores the dead letters of everything that was given up; how many messages that were.
    pub fn bury(&mut self) -> usize {
        let mut count = 0;
        while let Some(departure) = self.core.next_departure() {
            let message = self.messages[&departure.body].clone();
            let cost = self.core.check_burial(self.now, &departure, &message);
            let mut effects = Effects::default();
            self.core.bury(self.now, &departure, message, &mut effects);
            self.spend(effects, Some(cost));
            count += 1;
        }
        count
    }

    /// Drives a message back; why it stays, if it does.
    pub fn redrive(&mut self, id: MessageId, to: &RedriveTo, edit: &RedriveEdit) -> Option<Error> {
        let info = self.core.list(None, 99).into_iter();
        let topic = info.into_iter().find(|info| info.number == id.topic);
        let stored = self.stored(topic.unwrap().name.as_str());
        let found = stored.into_iter().find(|(stored, _)| *stored == id);
        let letter = found.expect("the message is stored").1.clone();
        let checked = self.core.check_redrive(self.now, id, &letter, to, edit);
        let Ok(cost) = checked else {
            return checked.err();
        };
        let mut effects = Effects::default();
        self.core
            .redrive(self.now, id, letter, to, edit, &mut effects);
        self.spend(effects, Some(cost));
        None
    }

    /// Everything that a topic stores, by sequence.
    pub fn stored(&self, topic: &str) -> Vec<(MessageId, &StoredMessage)> {
        let look = Look {
            topic,
            subscription: None,
            from: PeekFrom::Front,
            filter: &MessageFilter::default(),
            limit: usize::MAX,
        };
        let page = self.core.peek(Timestamp::ZERO, &look);
        let messages = page.map(|page| page.messages).unwrap_or_default();
        let message = |peeked: Peeked| (peeked.id, &self.messages[&peeked.body]);
        messages.into_iter().map(message).collect()
    }

    /// Deliveries as `tag:payload`, with `!attempt` if not the first.
    pub fn pump_text(&mut self) -> String {
        let deliveries = self.pump();
        let text = deliveries.iter().map(|d| {
            let attempt = match d.attempt {
                1 => String::new(),
                attempt => format!("!{attempt}"),
            };
            format!("{}:{}{attempt}", d.tag.0, self.payload(d.body))
        });
        text.collect::<Vec<_>>().join(" ")
    }

    pub fn advance(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
    }

    pub fn tick(&mut self) {
        let mut effects = Effects::default();
        self.core.tick(self.now, &mut effects);
        self.spend(effects, None);
    }

    pub fn payload(&self, body: BodyRef) -> String {
        String::from_utf8(self.messages[&body].payload.to_vec()).unwrap()
    }

    /// A core made from the log alone, recovery not ended.
    pub fn replayed(&self) -> Core {
        replay(&self.log)
    }

    /// The log without what stands before the first put that is still needed, and with the
    /// definitions written again: what is left once segments are freed.
    pub fn shortened(&self) -> Vec<Logged> {
        let needed =
            |logged: &Logged| logged.kind == KIND_PUT && self.live.contains_key(&logged.body);
        let first = self.log.iter().position(needed).unwrap_or(self.log.len());
        let mut log = self.log[first..].to_vec();
        let mut effects = Effects::default();
        self.core.definitions(&mut effects);
        log.extend(effects.log.iter().map(|(kind, bytes)| Logged {
            kind,
            bytes: bytes.to_vec(),
            body: BodyRef(0),
        }));
        log
    }

    /// Copies the first so many messages of the log, then lets go of what stands before the
    /// first that is left. What is replayed stays the same.
    pub fn compact(&mut self, messages: usize) {
        let now = self.now;
        // Bodies are named after their messages: a copy's is another one.
        let recovered = |log: &[Logged]| {
            let mut log = log.to_vec();
            for logged in &mut log {
                if let Ok(Record::Put(put)) = Record::decode(logged.kind, &logged.bytes) {
                    logged.body = BodyRef(put.sequence);
                }
            }
            let mut core = replay(&log);
            core.recovered(now, &mut Effects::default());
            saved(&core)
        };
        let before = recovered(&self.shortened());
        let is_live =
            |logged: &&Logged| logged.kind == KIND_PUT && self.live.contains_key(&logged.body);
        let first: Vec<Logged> = self
            .log
            .iter()
            .filter(is_live)
            .take(messages)
            .cloned()
            .collect();
        for logged in first {
            let Ok(Record::Put(put)) = Record::decode(logged.kind, &logged.bytes) else {
                panic!("it is a put");
            };
            let mut effects = Effects::default();
            let (topic, sequence, body) = (put.topic, put.sequence, logged.body);
            let unknown = BodyRef(u64::MAX - 1);
            assert!(
                !self
                    .core
                    .copy(topic, sequence, &logged.bytes, unknown, &mut effects)
            );
            assert!(
                self.core
                    .copy(topic, sequence, &logged.bytes, body, &mut effects)
            );
            let message = self.messages[&body].clone();
            self.spend(effects, None);
            let copied = self
                .log
                .iter()
                .rfind(|logged| logged.kind == KIND_PUT)
                .unwrap();
            assert_eq!(self.messages[&copied.body], message);
            assert_eq!(self.live.remove(&body), Some(message.payload.len() as u32));
        }
        self.log = self.shortened();
        self.defined = self.log.len();
        assert!(recovered(&self.log) == before, "after {messages} copies");
    }

    /// Closes and opens the store; consumers are gone, their deliveries returned.
    pub fn restart(&mut self) {
        self.core = self.replayed();
        let mut effects = Effects::default();
        self.core.recovered(self.now, &mut effects);
        self.live
            .retain(|body, _| self.log.iter().any(|l| l.body == *body));
        self.spend(effects, None);
        self.assert_bodies();
    }

    /// What the core stores is what its effects left alive.
    pub fn assert_bodies(&self) {
        let mut bodies = BTreeMap::new();
        self.core.bodies(&mut |body, bytes| {
            bodies.insert(body, bytes);
        });
        assert_eq!(bodies, self.live);
    }
}

/// A core made from records, recovery not ended.
pub fn replay(log: &[Logged]) -> Core {
    let mut core = Core::new(CoreConfig::default());
    for logged in log {
        let record = Record::decode(logged.kind, &logged.bytes).unwrap();
        core.replay(record, logged.body).unwrap();
    }
    assert_eq!(core.orphans(), 0);
    core
}

/// What a core would leave for the next start.
pub fn saved(core: &Core) -> Vec<u8> {
    let mut bytes = Vec::new();
    core.save(&mut bytes);
    bytes
}

/// A core made from what another one left.
pub fn loaded(bytes: &[u8]) -> Core {
    let mut core = Core::new(CoreConfig::default());
    core.load(bytes).expect("what was saved can be loaded");
    core
}

/// A log replayed at once, and one that is saved and loaded after so many records: the
/// same state, to the last byte of what both would save.
pub fn assert_same_from(log: &[Logged], cut: usize) {
    let mut core = loaded(&saved(&replay(&log[..cut])));
    for logged in &log[cut..] {
        let record = Record::decode(logged.kind, &logged.bytes).unwrap();
        core.replay(record, logged.body).unwrap();
    }
    let whole = replay(log);
    assert!(saved(&core) == saved(&whole), "saved after {cut} records");
    assert_eq!(core.next_deadline(), whole.next_deadline());
    assert_eq!(core.waiting_units(), whole.waiting_units());
    let (mut ours, mut theirs) = (Effects::default(), Effects::default());
    core.recovered(Timestamp::ZERO, &mut ours);
    let mut whole = whole;
    whole.recovered(Timestamp::ZERO, &mut theirs);
    assert!(ours.log.iter().eq(theirs.log.iter()), "after {cut} records");
    assert!(
        saved(&core) == saved(&whole),
        "recovered, after {cut} records"
    );
}

/// Messages that wait in a subscription, in order.
pub fn waiting_in(
    core: &Core,
    now: Timestamp,
    topic: &str,
    subscription: &str,
) -> Result<Vec<Peeked>, Error> {
    let filter = MessageFilter {
        state: Some(MessageState::Waiting),
        ..MessageFilter::default()
    };
    let look = Look {
        topic,
        subscription: Some(subscription),
        from: PeekFrom::Front,
        filter: &filter,
        limit: usize::MAX,
    };
    core.peek(now, &look).map(|page| page.messages)
}

/// Everything that a topic stores, by sequence.
pub fn stored_in(core: &Core, topic: &str) -> Vec<Peeked> {
    let look = Look {
        topic,
        subscription: None,
        from: PeekFrom::Front,
        filter: &MessageFilter::default(),
        limit: usize::MAX,
    };
    core.peek(Timestamp::ZERO, &look).unwrap().messages
}

pub fn spec(topic: &str, subscriptions: &[&str], credit: u32) -> ConsumeSpec {
    let source = |subscription: &&str| Source {
        topic: topic.parse().unwrap(),
        subscription: subscription.parse().unwrap(),
        from: None,
    };
    ConsumeSpec {
        sources: subscriptions.iter().map(source).collect(),
        credit,
        window_bytes: u64::MAX,
        auto_ack: false,
    }
}

pub fn text(payload: &str) -> Message {
    Message {
        payload: payload.to_owned().into(),
        ..Message::default()
    }
}

pub fn texts(payloads: &str) -> Vec<Message> {
    payloads.split_whitespace().map(text).collect()
}

pub fn keyed(key: &str, payload: &str) -> Message {
    Message {
        key: Some(key.into()),
        ..text(payload)
    }
}

pub fn settings(json: &str) -> TopicSettings {
    serde_json::from_str(json).unwrap()
}

/// What a subscription of topic `t` would be sent, in that order.
pub fn waiting(world: &World, subscription: &str) -> String {
    let peeked = waiting_in(&world.core, world.now, "t", subscription);
    let payloads = peeked.unwrap().into_iter().map(|p| world.payload(p.body));
    payloads.collect::<Vec<_>>().join(" ")
}

/// Code and text of a refusal.
pub fn message_of(error: Result<impl std::fmt::Debug, Error>) -> (ErrorCode, String) {
    let error = error.expect_err("it must be refused");
    (error.code(), error.message().to_owned())
}
