//! A client session and a server session at the two ends of a connection that splits what it
//! carries, and breaks.
#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

mod support;

use bytes::BytesMut;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use support::{message, token};
use trunkline_model::Timestamp;
use trunkline_stomp::{
    AckMode, Acked, ClientEffect, ClientSession, ClientSettings, Effect, ErrorCode, HeartBeat,
    Lost, MessageTag, Operation, OperationId, ServerSession, ServerSettings, SessionName,
    SubscriptionNumber, Token, Version,
};

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    Send {
        receipt: bool,
        size: usize,
    },
    Subscribe(u8, bool),
    Unsubscribe(u8),
    Ack {
        which: usize,
        nack: bool,
        receipt: bool,
    },
    Transaction {
        acks: usize,
        commit: bool,
    },
    Deliver(u8),
    Complete(usize),
    Carry {
        up: usize,
        down: usize,
    },
    Pass(u64),
    Cut,
    Disconnect,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (any::<bool>(), 0..50usize).prop_map(|(receipt, size)| Step::Send { receipt, size }),
        6 => (0..3u8, any::<bool>()).prop_map(|(id, client)| Step::Subscribe(id, client)),
        2 => (0..3u8).prop_map(Step::Unsubscribe),
        15 => (any::<usize>(), any::<bool>(), any::<bool>())
            .prop_map(|(which, nack, receipt)| Step::Ack { which, nack, receipt }),
        3 => (0..3usize, any::<bool>())
            .prop_map(|(acks, commit)| Step::Transaction { acks, commit }),
        20 => (0..3u8).prop_map(Step::Deliver),
        30 => any::<usize>().prop_map(Step::Complete),
        40 => (0..200usize, 0..200usize).prop_map(|(up, down)| Step::Carry { up, down }),
        5 => (0..2_000u64).prop_map(Step::Pass),
        1 => prop::bool::weighted(0.6).prop_map(|cuts| if cuts { Step::Cut } else { Step::Disconnect }),
    ]
}

/// A connection as long as it holds.
struct Link {
    server: ServerSession,
    up: BytesMut,
    down: BytesMut,
    at_server: BytesMut,
    at_client: BytesMut,
    pending: Vec<Token>,
    started: BTreeMap<SubscriptionNumber, u64>,
    closing: bool,
}

/// Both ends, and what they check.
struct World {
    now: Timestamp,
    client: ClientSession,
    link: Option<Link>,
    links: u32,
    /// Asked and not told.
    unfinished: BTreeSet<OperationId>,
    ids: BTreeMap<u8, bool>,
    messages: Vec<MessageTag>,
    transactions: u32,
}

impl World {
    fn new(version: Version) -> Self {
        let now = Timestamp::from_millis(1_000_000);
        let settings = ClientSettings {
            versions: vec![version],
            heart_beat: HeartBeat {
                sends_ms: 1_000,
                wants_ms: 1_000,
            },
            reconnect_interval: Some(Duration::from_millis(10)),
            ..ClientSettings::default()
        };
        Self {
            now,
            client: ClientSession::new(settings, now),
            link: None,
            links: 0,
            unfinished: BTreeSet::new(),
            ids: BTreeMap::new(),
            messages: Vec::new(),
            transactions: 0,
        }
    }

    fn execute(&mut self, operation: Operation) {
        let id = self.client.execute(self.now, operation);
        assert!(self.unfinished.insert(id));
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Send { receipt, size } => {
                let send = Operation::send("/queue/a", vec![0; size]).with("a", "b:c\\d");
                self.execute(asking(send, receipt));
            }
            Step::Subscribe(id, client) if !self.ids.contains_key(&id) => {
                let mode = match client {
                    true => AckMode::Client,
                    false => AckMode::ClientIndividual,
                };
                self.ids.insert(id, true);
                let subscribe = Operation::subscribe("/queue/a", mode);
                self.execute(subscribe.with("id", &id.to_string()));
            }
            Step::Unsubscribe(id) if self.ids.get(&id) == Some(&true) => {
                self.ids.insert(id, false);
                self.execute(Operation::unsubscribe().with("id", &id.to_string()));
            }
            Step::Ack {
                which,
                nack,
                receipt,
            } if !self.messages.is_empty() => {
                let tag = Acked::Tag(self.messages[which % self.messages.len()]);
                let ack = if nack {
                    Operation::nack(tag)
                } else {
                    Operation::ack(tag)
                };
                self.execute(asking(ack, receipt));
            }
            Step::Transaction { acks, commit } => {
                self.transactions += 1;
                let id = self.transactions.to_string();
                self.execute(Operation::begin(&id));
                self.execute(Operation::send("/queue/a", "x").with("transaction", &id));
                for tag in self
                    .messages
                    .iter()
                    .rev()
                    .take(acks)
                    .copied()
                    .collect::<Vec<_>>()
                {
                    self.execute(Operation::ack(Acked::Tag(tag)).with("transaction", &id));
                }
                let end = match commit {
                    true => Operation::commit(&id),
                    false => Operation::abort(&id),
                };
                self.execute(asking(end, true));
            }
            Step::Deliver(nth) => self.deliver(nth),
            Step::Complete(which) => self.complete(which),
            Step::Carry { up, down } => self.carry(up, down),
            Step::Pass(millis) => {
                self.now = self.now.after(Duration::from_millis(millis));
                self.client.tick(self.now);
                if let Some(link) = &mut self.link {
                    link.server.tick(self.now);
                }
            }
            Step::Cut if self.link.take().is_some() => self.client.lost(self.now, Lost::Closed),
            Step::Disconnect => self.execute(Operation::disconnect()),
            _ => {}
        }
        self.spend();
    }

    fn deliver(&mut self, nth: u8) {
        let Some(link) = &mut self.link else {
            return;
        };
        let mut started = link.started.iter_mut();
        if let Some((number, tag)) = started.nth(usize::from(nth)) {
            *tag += 1;
            // Its UNSUBSCRIBE may have come.
            let _ = link.server.deliver(self.now, *number, &message(*tag));
        }
    }

    fn complete(&mut self, which: usize) {
        if let Some(link) = &mut self.link
            && !link.pending.is_empty()
        {
            let token = link.pending.swap_remove(which % link.pending.len());
            link.server.complete(self.now, token, Ok(()));
            link.server.receive(self.now, &mut link.at_server);
        }
    }

    /// So many bytes arrive at either end.
    fn carry(&mut self, up: usize, down: usize) {
        let Some(link) = &mut self.link else {
            return;
        };
        link.up.extend_from_slice(&self.client.take_output());
        let part = link.up.split_to(up.min(link.up.len()));
        if link.up.is_empty() {
            self.client.written();
        }
        link.at_server.extend_from_slice(&part);
        link.server.receive(self.now, &mut link.at_server);
        link.down.extend_from_slice(&link.server.take_output());
        let part = link.down.split_to(down.min(link.down.len()));
        link.at_client.extend_from_slice(&part);
        self.client.receive(self.now, &mut link.at_client);
        if link.closing && link.down.is_empty() {
            self.link = None;
            self.client.lost(self.now, Lost::Closed);
        }
    }

    fn spend(&mut self) {
        if let Some(link) = &mut self.link {
            while let Some(effect) = link.server.next_effect() {
                link.pending.extend(token(&effect));
                match effect {
                    Effect::Connect(_) => {
                        let name = SessionName::new(&format!("s{}", self.links)).unwrap();
                        link.server.accept(self.now, &name);
                    }
                    Effect::Start(number) => {
                        link.started.insert(number, 0);
                    }
                    Effect::Close(_) => link.closing = true,
                    _ => {}
                }
            }
        }
        while let Some(effect) = self.client.next_effect() {
            match effect {
                ClientEffect::Open => {
                    self.links += 1;
                    self.link = Some(Link {
                        server: ServerSession::new(ServerSettings::default(), self.now),
                        up: BytesMut::new(),
                        down: BytesMut::new(),
                        at_server: BytesMut::new(),
                        at_client: BytesMut::new(),
                        pending: Vec::new(),
                        started: BTreeMap::new(),
                        closing: false,
                    });
                    self.client.opened(self.now);
                }
                ClientEffect::Close => self.link = None,
                ClientEffect::Message { tag, .. } => self.messages.push(tag),
                ClientEffect::Done { operation, .. } => {
                    assert!(
                        self.unfinished.remove(&operation),
                        "{operation:?} told twice"
                    );
                }
                ClientEffect::Failed { operation, error } => {
                    assert!(
                        self.unfinished.remove(&operation),
                        "{operation:?} told twice"
                    );
                    // What a correct server sends is never unexpected.
                    assert_ne!(error.code, ErrorCode::UnexpectedData, "{error}");
                }
                ClientEffect::Error(error) => {
                    assert_ne!(error.code, ErrorCode::UnexpectedData, "{error}");
                    self.ids.clear();
                }
                ClientEffect::Unsubscribed { .. } => {}
                ClientEffect::Disconnected => self.ids.clear(),
                ClientEffect::Connected
                | ClientEffect::Ready { .. }
                | ClientEffect::SubscriptionLost { .. } => {}
            }
        }
    }
}

fn asking(operation: Operation, receipt: bool) -> Operation {
    match receipt {
        true => operation.with("receipt", "auto"),
        false => operation,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_operation_is_told_once(
        version in prop::sample::select(Version::ALL.to_vec()),
        steps in prop::collection::vec(step(), 0..300),
    ) {
        // 1.0 knows neither NACK nor client-individual.
        let fits = |step: &Step| version > Version::V1_0
            || !matches!(step, Step::Ack { nack: true, .. } | Step::Subscribe(_, false));
        let mut world = World::new(version);
        world.spend();
        for step in steps.into_iter().filter(fits) {
            world.take(step);
        }
        // Both ends go on until nothing is to be told any more.
        for _ in 0..40 {
            world.take(Step::Pass(20));
            for _ in 0..200 {
                world.take(Step::Complete(0));
            }
            world.take(Step::Carry { up: 100_000, down: 100_000 });
        }
        prop_assert_eq!(&world.unfinished, &BTreeSet::new());
        prop_assert_eq!(world.client.unfinished(), 0);
    }
}
