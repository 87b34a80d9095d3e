//! A cluster session over random histories of losses and answers, against nodes that are as
//! simple as can be.
#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use bytes::BytesMut;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use trunkline_model::Timestamp;
use trunkline_stomp::{
    AckMode, Acked, ClusterEffect, ClusterSession, ClusterSettings, Command, Decoder, ErrorCode,
    Frame, FrameLimits, Lost, MessageTag, NodeSettings, Operation, OperationId, Version, encode,
};

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    Send {
        receipt: bool,
    },
    Subscribe,
    Unsubscribe(usize),
    Ack {
        which: usize,
        nack: bool,
    },
    /// BEGIN and so many SENDs.
    Begin(usize),
    /// COMMIT or ABORT of one that is open.
    Finish {
        which: usize,
        commit: bool,
    },
    /// So many bytes arrive at either end, and so many frames are answered.
    Carry {
        up: usize,
        down: usize,
        answers: usize,
    },
    Deliver(usize),
    Pass(u64),
    Cut,
    /// The next attempts to reach a node fail, or succeed again.
    Toggle(usize),
    Probed(bool),
    Disconnect,
    Force,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => any::<bool>().prop_map(|receipt| Step::Send { receipt }),
        4 => Just(Step::Subscribe),
        2 => any::<usize>().prop_map(Step::Unsubscribe),
        10 => (any::<usize>(), any::<bool>()).prop_map(|(which, nack)| Step::Ack { which, nack }),
        3 => (0..4usize).prop_map(Step::Begin),
        3 => (any::<usize>(), any::<bool>())
            .prop_map(|(which, commit)| Step::Finish { which, commit }),
        40 => (0..600usize, 0..600usize, 0..8usize)
            .prop_map(|(up, down, answers)| Step::Carry { up, down, answers }),
        12 => any::<usize>().prop_map(Step::Deliver),
        8 => (0..3_000u64).prop_map(Step::Pass),
        5 => Just(Step::Cut),
        4 => any::<usize>().prop_map(Step::Toggle),
        4 => any::<bool>().prop_map(Step::Probed),
        1 => prop::bool::weighted(0.6).prop_map(|nice| match nice {
            true => Step::Disconnect,
            false => Step::Force,
        }),
    ]
}

/// A node and what it keeps over its connections.
#[derive(Default)]
struct Node {
    is_down: bool,
    /// Bodies, and the publish ids they came with.
    stored: Vec<(u64, Option<String>)>,
    publish_ids: BTreeSet<String>,
    committed: BTreeMap<String, Vec<u64>>,
}

/// A connection as long as it holds.
struct Wire {
    node: usize,
    decoder: Decoder,
    up: BytesMut,
    at_server: BytesMut,
    down: BytesMut,
    at_client: BytesMut,
    /// Receipts that are due, and what is applied when they are written.
    due: VecDeque<Frame>,
    last_send: u64,
    subscriptions: BTreeSet<String>,
    transactions: BTreeMap<String, Vec<u64>>,
    delivered: BTreeSet<String>,
    closes: bool,
}

struct World {
    now: Timestamp,
    settings: ClusterSettings,
    client: ClusterSession,
    nodes: Vec<Node>,
    wire: Option<Wire>,
    /// What was asked and not told.
    unfinished: BTreeMap<OperationId, Asked>,
    /// Those that were told to be made and not to have ended.
    subscriptions: BTreeMap<OperationId, String>,
    messages: Vec<(MessageTag, u32)>,
    open: Vec<(String, usize)>,
    confirmed: BTreeSet<u64>,
    committed: Vec<(String, usize)>,
    /// Publish ids by bodies.
    ids: BTreeMap<u64, String>,
    /// Connections, and those that ended otherwise than by the client.
    wires: u32,
    ends: u32,
    last_end: Option<usize>,
    probing: Vec<usize>,
    next: u64,
    next_message: u64,
}

struct Asked {
    command: Command,
    body: u64,
    name: String,
    receipt: bool,
    ends_before: u32,
}

impl World {
    fn new(settings: ClusterSettings, random: u64) -> Self {
        let client = ClusterSession::new(settings.clone(), random).unwrap();
        Self {
            now: Timestamp::from_millis(1_000_000),
            nodes: settings.nodes.iter().map(|_| Node::default()).collect(),
            settings,
            client,
            wire: None,
            unfinished: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            messages: Vec::new(),
            open: Vec::new(),
            confirmed: BTreeSet::new(),
            committed: Vec::new(),
            ids: BTreeMap::new(),
            wires: 0,
            ends: 0,
            last_end: None,
            probing: Vec::new(),
            next: 0,
            next_message: 0,
        }
    }

    fn ask(&mut self, operation: Operation, body: u64, name: &str, receipt: bool) {
        let asked = Asked {
            command: operation.command(),
            body,
            name: name.into(),
            receipt,
            ends_before: self.ends,
        };
        let operation = match receipt {
            true => operation.with("receipt", "auto"),
            false => operation,
        };
        let id = self.client.execute(self.now, operation, false);
        assert!(self.unfinished.insert(id, asked).is_none());
        self.spend();
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Send { receipt } => {
                let body = self.number();
                self.ask(
                    Operation::send("/queue/a", body.to_string()),
                    body,
                    "",
                    receipt,
                );
            }
            Step::Subscribe => {
                let id = self.number().to_string();
                let subscribe = Operation::subscribe("/queue/a", AckMode::ClientIndividual);
                self.ask(subscribe.with("id", &id), 0, &id, true);
            }
            Step::Unsubscribe(which) if !self.subscriptions.is_empty() => {
                let which = which % self.subscriptions.len();
                let id = self.subscriptions.values().nth(which).unwrap().clone();
                self.ask(Operation::unsubscribe().with("id", &id), 0, &id, true);
            }
            Step::Ack { which, nack } if !self.messages.is_empty() => {
                let (tag, wire) = self.messages[which % self.messages.len()];
                let operation = match nack {
                    true => Operation::nack(Acked::Tag(tag)),
                    false => Operation::ack(Acked::Tag(tag)),
                };
                let is_old = self.wire.is_none() || wire != self.wires;
                self.ask_ack(operation, is_old);
            }
            Step::Begin(sends) => {
                let name = format!("t{}", self.number());
                self.ask(Operation::begin(&name), 0, &name, true);
                for _ in 0..sends {
                    let body = self.number();
                    let send = Operation::send("/queue/a", body.to_string());
                    self.ask(send.with("transaction", &name), body, &name, false);
                }
                self.open.push((name, sends));
            }
            Step::Finish { which, commit } if !self.open.is_empty() => {
                let (name, sends) = self.open.swap_remove(which % self.open.len());
                if commit {
                    self.committed.push((name.clone(), sends));
                    self.ask(Operation::commit(&name), 0, &name, true);
                } else {
                    self.ask(Operation::abort(&name), 0, &name, true);
                }
            }
            Step::Carry { up, down, answers } => self.carry(up, down, answers),
            Step::Deliver(which) => self.deliver(which),
            Step::Pass(millis) => {
                let until = self.now.after(Duration::from_millis(millis));
                let mut turns = 0;
                while let Some(at) = self.client.next_deadline().filter(|at| *at <= until) {
                    self.now = at.max(self.now);
                    self.client.tick(self.now);
                    self.spend();
                    turns += 1;
                    assert!(
                        turns < 10_000,
                        "it spins: {:?} {:?}",
                        self.client,
                        self.client.nodes().collect::<Vec<_>>()
                    );
                }
                self.now = until;
            }
            Step::Cut => self.cut(),
            Step::Toggle(which) => {
                let which = which % self.nodes.len();
                self.nodes[which].is_down ^= true;
                if self.wire.as_ref().is_some_and(|wire| wire.node == which) {
                    self.cut();
                }
            }
            Step::Probed(up) => {
                if let Some(node) = self.probing.pop() {
                    self.client.probed(self.now, node, up);
                }
            }
            Step::Disconnect => self.ask(Operation::disconnect(), 0, "", true),
            Step::Force => {
                self.client.force_disconnect(self.now);
                self.wire = None;
            }
            _ => {}
        }
        self.spend();
    }

    /// An ACK of a message of another connection fails at once.
    fn ask_ack(&mut self, operation: Operation, is_old: bool) {
        let before = self.unfinished.len();
        self.ask(operation, 0, "", true);
        assert!(!is_old || self.unfinished.len() == before, "it was sent");
    }

    fn cut(&mut self) {
        if let Some(wire) = self.wire.take() {
            self.ends += 1;
            self.last_end = Some(wire.node);
            self.client.lost(self.now, Lost::Closed);
            self.spend();
        }
    }

    fn deliver(&mut self, which: usize) {
        let Some(wire) = self.wire.as_mut().filter(|it| !it.subscriptions.is_empty()) else {
            return;
        };
        let which = which % wire.subscriptions.len();
        let id = wire.subscriptions.iter().nth(which).unwrap().clone();
        self.next_message += 1;
        let ack = format!("m{}", self.next_message);
        let frame = Frame::new(Command::Message)
            .with("subscription", &id)
            .with("message-id", &ack)
            .with("destination", "/queue/a")
            .with("ack", &ack);
        encode(&mut wire.down, &frame, Some(Version::V1_2));
        wire.delivered.insert(ack);
    }

    fn carry(&mut self, up: usize, down: usize, answers: usize) {
        let Some(wire) = &mut self.wire else {
            return;
        };
        wire.up.extend_from_slice(&self.client.take_output());
        let part = wire.up.split_to(up.min(wire.up.len()));
        wire.at_server.extend_from_slice(&part);
        if wire.up.is_empty() {
            self.client.written(self.now);
            self.spend();
        }
        self.read();
        let Some(wire) = &mut self.wire else {
            return;
        };
        for _ in 0..answers.min(wire.due.len()) {
            if let Some(frame) = wire.due.pop_front() {
                encode(&mut wire.down, &frame, Some(Version::V1_2));
            }
        }
        let part = wire.down.split_to(down.min(wire.down.len()));
        wire.at_client.extend_from_slice(&part);
        let over = wire.closes && wire.down.is_empty() && wire.due.is_empty();
        self.client.receive(self.now, &mut wire.at_client);
        self.spend();
        if over {
            self.cut();
        }
    }

    /// What the node does with what arrived.
    fn read(&mut self) {
        while let Some(wire) = &mut self.wire
            && let Some(frame) = wire.decoder.decode(&mut wire.at_server).unwrap()
        {
            let node = &mut self.nodes[wire.node];
            let receipt = frame.get("receipt").map(str::to_owned);
            let transaction = frame.get("transaction").map(str::to_owned);
            match frame.command {
                Command::Connect => {
                    wire.decoder.set_version(Version::V1_2);
                    let connected = Frame::new(Command::Connected).with("version", "1.2");
                    wire.due.push_back(connected);
                }
                Command::Send => {
                    let body: u64 = std::str::from_utf8(&frame.body).unwrap().parse().unwrap();
                    assert!(
                        body > wire.last_send,
                        "{body} comes after {}",
                        wire.last_send
                    );
                    wire.last_send = body;
                    if let Some(name) = &transaction {
                        wire.transactions
                            .get_mut(name)
                            .expect("it was begun here")
                            .push(body);
                    } else {
                        let id = frame.get("publish-id").map(str::to_owned);
                        assert_eq!(id.is_some(), receipt.is_some());
                        if let Some(id) = &id {
                            let first = self.ids.entry(body).or_insert_with(|| id.clone());
                            assert_eq!(first, id, "the id changed");
                        }
                        if id
                            .as_ref()
                            .is_none_or(|id| node.publish_ids.insert(id.clone()))
                        {
                            node.stored.push((body, id));
                        }
                    }
                }
                Command::Subscribe => {
                    assert!(wire.subscriptions.insert(frame.get("id").unwrap().into()));
                }
                Command::Unsubscribe => {
                    wire.subscriptions.remove(frame.get("id").unwrap());
                }
                Command::Ack | Command::Nack => {
                    assert!(wire.delivered.remove(frame.get("id").unwrap()));
                }
                Command::Begin => {
                    let new = wire.transactions.insert(transaction.unwrap(), Vec::new());
                    assert!(new.is_none());
                }
                Command::Commit => {
                    let name = transaction.unwrap();
                    let sends = wire.transactions.remove(&name).expect("it was begun here");
                    assert!(node.committed.insert(name, sends).is_none());
                }
                Command::Abort => {
                    let name = transaction.unwrap();
                    wire.transactions.remove(&name).expect("it was begun here");
                }
                Command::Disconnect => wire.closes = true,
                command => panic!("{command}"),
            }
            if let Some(receipt) = receipt {
                let frame = Frame::new(Command::Receipt).with("receipt-id", &receipt);
                wire.due.push_back(frame);
            }
        }
    }

    fn spend(&mut self) {
        let mut turns = 0;
        while let Some(effect) = self.client.next_effect() {
            turns += 1;
            assert!(turns < 100_000, "it spins: {effect:?}");
            match effect {
                ClusterEffect::Open { node } => self.open_wire(node),
                ClusterEffect::Close => self.wire = None,
                ClusterEffect::Probe { node } => self.probing.push(node),
                ClusterEffect::Message { tag, .. } => self.messages.push((tag, self.wires)),
                ClusterEffect::Done { operation, receipt } => self.done(operation, receipt),
                ClusterEffect::Failed { operation, error } => {
                    let asked = self.unfinished.remove(&operation).expect("told once");
                    assert_ne!(error.code, ErrorCode::UnexpectedData, "{error}");
                    let repeats = matches!(asked.command, Command::Send | Command::Subscribe);
                    let by_node =
                        !matches!(error.code, ErrorCode::Operation | ErrorCode::ClosedByClient);
                    if repeats && by_node && asked.name.is_empty() {
                        let met = self.ends - asked.ends_before;
                        assert!(met >= self.attempts(), "{error} after {met} ends");
                    }
                }
                ClusterEffect::SubscriptionLost { subscription, .. }
                | ClusterEffect::Ended { subscription } => {
                    assert!(self.subscriptions.remove(&subscription).is_some());
                }
                ClusterEffect::Interrupted { subscription, .. }
                | ClusterEffect::Resubscribed { subscription, .. } => {
                    assert!(self.subscriptions.contains_key(&subscription));
                }
                ClusterEffect::NodeConnected { .. }
                | ClusterEffect::NodeReady { .. }
                | ClusterEffect::NotConnected { .. }
                | ClusterEffect::NodeError { .. }
                | ClusterEffect::NodeDisconnected { .. } => {}
            }
        }
    }

    fn attempts(&self) -> u32 {
        let nodes = u32::try_from(self.settings.nodes.len()).unwrap();
        match self.settings.client.reconnect_interval {
            _ if self.settings.wait_for_nodes => nodes.max(10),
            Some(_) => nodes.max(2),
            None => nodes,
        }
    }

    fn done(&mut self, operation: OperationId, receipt: Option<Frame>) {
        let asked = self.unfinished.remove(&operation).expect("told once");
        assert_eq!(
            receipt.is_some(),
            asked.receipt && asked.command != Command::Disconnect || receipt.is_some()
        );
        match asked.command {
            Command::Send if asked.receipt => {
                let stored = |node: &Node| node.stored.iter().any(|(body, _)| *body == asked.body);
                assert!(
                    self.nodes.iter().any(stored),
                    "{} was confirmed",
                    asked.body
                );
                self.confirmed.insert(asked.body);
            }
            Command::Subscribe => {
                self.subscriptions.insert(operation, asked.name);
            }
            Command::Commit => {
                let applied = |node: &Node| node.committed.contains_key(&asked.name);
                assert!(self.nodes.iter().any(applied));
            }
            _ => {}
        }
    }

    fn open_wire(&mut self, node: usize) {
        assert!(self.wire.is_none(), "one connection at a time");
        let plain = self.settings.client.reconnect_interval.is_none()
            && self.settings.probe_interval.is_none()
            && !self.settings.fail_back;
        if plain && let Some(last) = self.last_end.take() {
            assert_eq!(node, (last + 1) % self.nodes.len(), "the next in order");
        }
        self.wires += 1;
        if self.nodes[node].is_down {
            self.ends += 1;
            self.last_end = Some(node);
            self.client.open_failed(self.now, "refused");
            return;
        }
        self.wire = Some(Wire {
            node,
            decoder: Decoder::new(FrameLimits::default()),
            up: BytesMut::new(),
            at_server: BytesMut::new(),
            down: BytesMut::new(),
            at_client: BytesMut::new(),
            due: VecDeque::new(),
            last_send: 0,
            subscriptions: BTreeSet::new(),
            transactions: BTreeMap::new(),
            delivered: BTreeSet::new(),
            closes: false,
        });
        self.client.opened(self.now);
    }

    /// Once all nodes are up, everything is told and the subscriptions are there.
    fn settle(&mut self) {
        for node in &mut self.nodes {
            node.is_down = false;
        }
        for _ in 0..60 {
            self.take(Step::Pass(1_000));
            self.take(Step::Carry {
                up: 1_000_000,
                down: 1_000_000,
                answers: 1_000_000,
            });
        }
        let unfinished: Vec<_> = self.unfinished.keys().collect();
        assert!(unfinished.is_empty(), "{unfinished:?}");
        let here: BTreeSet<&String> = self.subscriptions.values().collect();
        let there = self.wire.iter().flat_map(|wire| &wire.subscriptions);
        assert_eq!(there.collect::<BTreeSet<_>>(), here);
        assert_eq!(self.client.unfinished(), here.len());
        for (name, sends) in &self.committed {
            let applied = self
                .nodes
                .iter()
                .filter_map(|node| node.committed.get(name));
            let applied: Vec<_> = applied.collect();
            assert!(applied.len() <= 1, "{name} was applied twice");
            assert!(
                applied.iter().all(|it| it.len() == *sends),
                "a part of {name} was applied"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn histories_of_losses_keep_the_promises(
        nodes in 1..4u16,
        interval in prop::option::of(0..3_000u64),
        wait_for_nodes in any::<bool>(),
        fail_back in any::<bool>(),
        random in any::<u64>(),
        steps in prop::collection::vec(step(), 0..250),
    ) {
        let mut settings = ClusterSettings::of((0..nodes).map(|n| NodeSettings::new("n", 1 + n)));
        settings.client.reconnect_interval = interval.map(Duration::from_millis);
        settings.wait_for_nodes = wait_for_nodes;
        settings.fail_back = fail_back;
        settings.probe_interval = fail_back.then_some(Duration::from_millis(700));
        let mut world = World::new(settings, random);
        for step in steps {
            world.take(step);
        }
        world.settle();
    }
}
