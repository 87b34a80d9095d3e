//! The vectors of the embedded state machine, from ppMQ's own tests, on Redis.

use super::world::{ME, World, ack, attach, holds, message, publish, take};
use crate::topics::script::{Done, Incoming, Peek, Step, Taken};
use std::collections::BTreeMap;
use trunkline_model::{MessageState, PeekFrom, Priority, Span, When};

const VECTORS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../queue/testdata/ppmq.vectors"
));

struct Fixture {
    world: World,
    subscribers: usize,
    /// Of each subscriber and key: its latest delivery.
    taken: BTreeMap<(usize, String), Taken>,
}

#[test]
fn all_vectors() {
    let mut topics = BTreeMap::new();
    let mut run = 0;
    for line in VECTORS.lines().map(str::trim) {
        if let Some(topic) = line.strip_prefix("topic ") {
            let words: Vec<_> = topic.split_whitespace().collect();
            topics.insert(words[0], words);
        } else if !line.is_empty() && !line.starts_with('#') {
            let parts: Vec<_> = line.split('|').map(str::trim).collect();
            let Some(mut fixture) = Fixture::new(&topics[parts[1]]) else {
                return;
            };
            for step in parts[2].split(',') {
                fixture.step(parts[0], step);
            }
            assert_eq!(fixture.state(), parts[3], "{}: {}", parts[0], parts[2]);
            if let Some(stored) = parts.get(4).and_then(|part| part.strip_prefix("stored=")) {
                let messages = fixture.world.inspect().messages;
                assert_eq!(messages.to_string(), stored, "{}", parts[0]);
            }
            run += 1;
        }
    }
    assert_eq!(run, 23, "T1–T9, N1–N13, and one in two halves");
}

impl Fixture {
    fn new(topic: &[&str]) -> Option<Self> {
        let mut world = World::without_topic(&["--appendonly", "yes", "--appendfsync", "always"])?;
        world.define(&format!(
            r#"{{"dedupe": "{}", "priorities": {}, "ack_timeout": "{}"}}"#,
            topic[1], topic[2], topic[3]
        ));
        let subscribers = topic[4].parse().expect("a number");
        for subscriber in 0..subscribers {
            world.done(attach(subscriber as u64, &subscriber.to_string()));
        }
        Some(Self {
            world,
            subscribers,
            taken: BTreeMap::new(),
        })
    }

    fn step(&mut self, vector: &str, step: &str) {
        let (what, rest) = step.split_at(1);
        let parts: Vec<_> = rest.split(':').collect();
        let subscriber = || parts[0].parse::<usize>().expect("a subscriber");
        match what {
            "m" => self.publish(parts[0], parts[1]),
            "a" => {
                let subscriber = subscriber();
                let keys = parts[1].split('.').map(|key| (subscriber, key.to_owned()));
                let taken: Vec<Taken> = keys
                    .filter_map(|key| self.taken.get(&key).cloned())
                    .collect();
                self.world.batch(ack(subscriber as u64, &holds(&taken)));
            }
            "c" => {
                let span: Span = rest.trim_start_matches('+').parse().expect("a span");
                self.world.wait(span.0);
            }
            "x" => drop(self.world.tick()),
            "z" => {
                let (consumer, name) = (subscriber() as u64, subscriber().to_string());
                self.world
                    .ask(&[Step::Detach { consumer }, attach(consumer, &name)]);
            }
            "r" if step == "reopen" => self.world.restart(),
            "r" => {
                let got = self.receive(subscriber(), parts[1].parse().expect("a number"));
                assert_eq!(got, parts[2], "{vector}: {step}");
            }
            _ => panic!("{vector}: no step {step}"),
        }
    }

    fn publish(&mut self, priority: &str, messages: &str) {
        let now = self.world.now();
        let parse = |text: &str| {
            let (text, expires) = match text.split_once('+') {
                Some((text, span)) => (text, Some(span.parse::<Span>().expect("a span").0)),
                None => (text, None),
            };
            let (key, payload) = text.split_once('=').unwrap_or((text, text));
            Incoming {
                priority: Some(Priority(priority.parse().expect("a priority"))),
                expires: expires.map(|span| When::At(now.after(span))),
                key: Some(key.into()),
                ..message(payload)
            }
        };
        self.world.batch(publish(messages.split('.').map(parse)));
    }

    fn receive(&mut self, subscriber: usize, count: u32) -> String {
        let count = if count == 0 { u32::MAX } else { count };
        let name = subscriber.to_string();
        let taken = self
            .world
            .take_as(ME, take(subscriber as u64, &name, count));
        let payloads = taken.iter().map(|taken| {
            let key = taken
                .message
                .key
                .clone()
                .expect("all have one")
                .into_string();
            self.taken.insert((subscriber, key), taken.clone());
            String::from_utf8_lossy(&taken.message.body).into_owned()
        });
        payloads.collect::<Vec<_>>().join(".")
    }

    fn look(&mut self, subscriber: usize, state: MessageState) -> Vec<(u64, String)> {
        let step = Step::Peek(Peek {
            subscription: Some(subscriber.to_string().parse().expect("a name")),
            from: PeekFrom::Front,
            id: None,
            since: None,
            until: None,
            state: Some(state),
            limit: 100,
            passed_max: 100,
            bytes_max: 1_000,
        });
        let Done::Peeked { messages, .. } = self.world.done(step) else {
            panic!("a look")
        };
        let told = messages.into_iter();
        let key =
            |key: Option<compact_str::CompactString>| key.expect("all have one").into_string();
        told.map(|seen| (seen.message.sequence, key(seen.message.key)))
            .collect()
    }

    fn state(&mut self) -> String {
        let mut told = Vec::new();
        for subscriber in 0..self.subscribers {
            let waiting = self.look(subscriber, MessageState::Waiting);
            let mut acks = self.look(subscriber, MessageState::InFlight);
            // In the order in which they were delivered.
            acks.sort_by_key(|(_, key)| {
                let taken = self.taken.get(&(subscriber, key.clone()));
                taken.map(|taken| taken.hold.ticket)
            });
            told.push(format!("{subscriber}:{}:{}", list(&waiting), list(&acks)));
        }
        told.join("&")
    }
}

fn list(keys: &[(u64, String)]) -> String {
    let keys: Vec<&str> = keys.iter().map(|(_, key)| key.as_str()).collect();
    match keys.is_empty() {
        true => ".".to_owned(),
        false => keys.join("."),
    }
}
