//! The vectors of `testdata/ppmq.vectors`: after every step the state is also what replaying
//! the records gives.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

mod support;

use std::{collections::BTreeMap, time::Duration};
use support::World;
use trunkline_model::{ConsumerId, Message, Priority, Span, TopicSettings, When};
use trunkline_queue::{BodyRef, Core};

const VECTORS: &str = include_str!("../testdata/ppmq.vectors");
const TOPIC: &str = "t";

struct Fixture {
    world: World,
    consumers: Vec<ConsumerId>,
    /// Of each subscriber and key: the tag of its latest delivery.
    tags: BTreeMap<(usize, String), u64>,
}

#[test]
fn all_vectors() {
    let mut topics = BTreeMap::new();
    let mut run = 0;
    for line in VECTORS.lines() {
        let line = line.trim();
        if let Some(topic) = line.strip_prefix("topic ") {
            let words: Vec<_> = topic.split_whitespace().collect();
            topics.insert(words[0], words);
        } else if !line.is_empty() && !line.starts_with('#') {
            let parts: Vec<_> = line.split('|').map(str::trim).collect();
            let mut fixture = Fixture::new(&topics[parts[1]]);
            for step in parts[2].split(',') {
                fixture.step(parts[0], step);
                let replayed = fixture.world.replayed();
                let (live, again) = (fixture.state(), fixture.state_of(&replayed));
                assert_eq!(live, again, "{}: replaying after {step}", parts[0]);
            }
            assert_eq!(fixture.state(), parts[3], "{}: {}", parts[0], parts[2]);
            if let Some(stored) = parts.get(4).and_then(|part| part.strip_prefix("stored=")) {
                let info = fixture.world.core.info(TOPIC).unwrap();
                assert_eq!(info.messages.to_string(), stored, "{}", parts[0]);
            }
            fixture.world.assert_bodies();
            run += 1;
        }
    }
    assert_eq!(run, 23, "T1–T9, N1–N13, and one in two halves");
}

impl Fixture {
    fn new(topic: &[&str]) -> Self {
        let mut world = World::new();
        let settings = TopicSettings {
            dedupe: serde_json::from_str(&format!("{:?}", topic[1])).unwrap(),
            priorities: Some(topic[2].parse().unwrap()),
            ack_timeout: Some(topic[3].parse().unwrap()),
            ..TopicSettings::default()
        };
        world.define(TOPIC, settings).unwrap();
        let mut fixture = Self {
            world,
            consumers: Vec::new(),
            tags: BTreeMap::new(),
        };
        for subscriber in 0..topic[4].parse().unwrap() {
            let consumer = fixture.connect(subscriber);
            fixture.consumers.push(consumer);
        }
        fixture
    }

    fn connect(&mut self, subscriber: usize) -> ConsumerId {
        self.world.consume(TOPIC, &[&subscriber.to_string()], 0)
    }

    fn step(&mut self, vector: &str, step: &str) {
        let (what, rest) = step.split_at(1);
        let parts: Vec<_> = rest.split(':').collect();
        match what {
            "m" => self.publish(parts[0], parts[1]),
            "a" => {
                let subscriber: usize = parts[0].parse().unwrap();
                for key in parts[1].split('.') {
                    if let Some(tag) = self.tags.get(&(subscriber, key.to_owned())) {
                        self.world.ack(self.consumers[subscriber], &[*tag]);
                    }
                }
            }
            "c" => {
                let span: Span = rest.trim_start_matches('+').parse().unwrap();
                self.world.now = self.world.now.after(span.0);
            }
            "x" => self.world.tick(),
            "z" => {
                let subscriber: usize = parts[0].parse().unwrap();
                self.world.detach(self.consumers[subscriber]);
                self.consumers[subscriber] = self.connect(subscriber);
            }
            "r" if step == "reopen" => {
                // A push subscriber's deliveries stay outstanding: recovery is not ended.
                self.world.core = self.world.replayed();
                for subscriber in 0..self.consumers.len() {
                    self.consumers[subscriber] = self.connect(subscriber);
                }
                self.tags.clear();
            }
            "r" => {
                let subscriber: usize = parts[0].parse().unwrap();
                let got = self.receive(subscriber, parts[1].parse().unwrap());
                assert_eq!(got, parts[2], "{vector}: {step}");
            }
            _ => panic!("{vector}: no step {step}"),
        }
    }

    fn publish(&mut self, priority: &str, messages: &str) {
        let now = self.world.now;
        let message = |text: &str| {
            let (text, expires) = match text.split_once('+') {
                Some((text, span)) => (text, Some(span.parse::<Span>().unwrap().0)),
                None => (text, None),
            };
            let (key, payload) = text.split_once('=').unwrap_or((text, text));
            Message {
                priority: Some(Priority(priority.parse().unwrap())),
                expires: expires.map(|span: Duration| When::At(now.after(span))),
                ..support::keyed(key, payload)
            }
        };
        let messages = messages.split('.').map(message).collect();
        self.world.publish(TOPIC, messages).unwrap();
    }

    fn receive(&mut self, subscriber: usize, count: u32) -> String {
        let consumer = self.consumers[subscriber];
        let name = subscriber.to_string();
        let held = self.world.core.in_flight(TOPIC, &name).unwrap().len() as u32;
        let credit = match count {
            0 => u32::MAX,
            count => held + count,
        };
        self.world.core.credit(consumer, credit);
        let deliveries = self.world.pump();
        self.world.core.credit(consumer, 0);
        let payload = |delivery: &trunkline_queue::Deliver| {
            assert_eq!(delivery.consumer, consumer);
            let message = &self.world.messages[&delivery.body];
            let key = message.key.as_deref().unwrap().to_owned();
            self.tags.insert((subscriber, key), delivery.tag.0);
            String::from_utf8(message.payload.to_vec()).unwrap()
        };
        let payloads: Vec<_> = deliveries.iter().map(payload).collect();
        payloads.join(".")
    }

    fn state(&self) -> String {
        self.state_of(&self.world.core)
    }

    fn state_of(&self, core: &Core) -> String {
        let subscribers = (0..self.consumers.len()).map(|subscriber| {
            let name = subscriber.to_string();
            let waiting = support::waiting_in(core, self.world.now, TOPIC, &name);
            let all = support::stored_in(core, TOPIC);
            let bodies: BTreeMap<_, _> = all.iter().map(|p| (p.id, p.body)).collect();
            let acks = core.in_flight(TOPIC, &name).unwrap();
            let acks = acks.iter().map(|(id, _)| self.key(bodies[id]));
            let queue = waiting
                .unwrap()
                .into_iter()
                .map(|peeked| self.key(peeked.body));
            format!("{name}:{}:{}", list(queue), list(acks))
        });
        subscribers.collect::<Vec<_>>().join("&")
    }

    fn key(&self, body: BodyRef) -> String {
        let key = self.world.messages[&body].key.as_deref();
        key.unwrap().to_owned()
    }
}

fn list(keys: impl Iterator<Item = String>) -> String {
    let keys: Vec<_> = keys.collect();
    match keys.is_empty() {
        true => ".".to_owned(),
        false => keys.join("."),
    }
}
