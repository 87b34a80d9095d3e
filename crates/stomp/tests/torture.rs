//! Server sessions under random clients and random engines.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

mod support;

use bytes::BytesMut;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use support::{Peer, token};
use trunkline_stomp::{
    Command, Decoder, Effect, FrameLimits, ServerSettings, Settle, Step as Part,
    SubscriptionNumber, Tags, Token, Version,
};

/// What happens next. Names are small numbers, so that they meet.
#[derive(Clone, Debug)]
enum Step {
    Send {
        transaction: Option<u8>,
    },
    Subscribe {
        id: u8,
        client: bool,
    },
    Unsubscribe {
        id: u8,
    },
    Settle {
        id: u8,
        back: u64,
        nack: bool,
        transaction: Option<u8>,
    },
    Begin(u8),
    Commit(u8),
    Abort(u8),
    Deliver {
        id: u8,
        count: u8,
    },
    Complete {
        which: usize,
        fails: bool,
    },
    CompleteAll,
    Pass(u64),
    Disconnect,
    Bytes(Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    let id = || 0..2u8;
    let within = || prop::option::weighted(0.4, 0..2u8);
    prop_oneof![
        20 => within().prop_map(|transaction| Step::Send { transaction }),
        10 => (id(), any::<bool>()).prop_map(|(id, client)| Step::Subscribe { id, client }),
        2 => id().prop_map(|id| Step::Unsubscribe { id }),
        30 => (id(), 0..6u64, any::<bool>(), within())
            .prop_map(|(id, back, nack, transaction)| Step::Settle { id, back, nack, transaction }),
        8 => (0..2u8).prop_map(Step::Begin),
        8 => (0..2u8).prop_map(Step::Commit),
        8 => (0..2u8).prop_map(Step::Abort),
        40 => (id(), 1..4u8).prop_map(|(id, count)| Step::Deliver { id, count }),
        40 => (any::<usize>(), prop::bool::weighted(0.002))
            .prop_map(|(which, fails)| Step::Complete { which, fails }),
        20 => Just(Step::CompleteAll),
        2 => (0..4_000u64).prop_map(Step::Pass),
        1 => prop::bool::weighted(0.3).prop_map(|ends| if ends { Step::Disconnect } else { Step::CompleteAll }),
        1 => prop::collection::vec(any::<u8>(), 0..12).prop_map(Step::Bytes),
    ]
}

/// A subscription as the client sees it.
#[derive(Debug)]
struct Known {
    number: Option<SubscriptionNumber>,
    started: bool,
    client: bool,
    last_tag: u64,
    /// The receipt that its SUBSCRIBE asked for.
    receipt: u64,
}

/// Client and engine of a session, and what they check.
struct World {
    peer: Peer,
    version: Version,
    /// Whether the client sends only what it may.
    polite: bool,
    decoder: Decoder,
    output: BytesMut,
    live: BTreeMap<u8, Known>,
    open: BTreeSet<u8>,
    pending: Vec<Token>,
    /// What was handed on with a receipt and is not completed.
    waiting: BTreeMap<Token, u64>,
    /// Subscriptions that were unsubscribed from, with a tag to go on with.
    gone: Vec<(SubscriptionNumber, u64)>,
    asked: u64,
    receipted: u64,
    /// By what was settled in mode `client`: nothing may be twice.
    settled: BTreeSet<(SubscriptionNumber, u64)>,
    /// Subscriptions by their client's name and the receipt of UNSUBSCRIBE.
    ended: BTreeMap<String, u64>,
    over: bool,
    closed: bool,
}

impl World {
    fn new(version: Version, polite: bool) -> Self {
        let settings = ServerSettings {
            pending_max: 12,
            ..ServerSettings::default()
        };
        let mut decoder = Decoder::new(FrameLimits::default());
        decoder.set_version(version);
        Self {
            peer: Peer::open_with(version, settings),
            version,
            polite,
            decoder,
            output: BytesMut::new(),
            live: BTreeMap::new(),
            open: BTreeSet::new(),
            pending: Vec::new(),
            waiting: BTreeMap::new(),
            gone: Vec::new(),
            asked: 0,
            receipted: 0,
            settled: BTreeSet::new(),
            ended: BTreeMap::new(),
            over: false,
            closed: false,
        }
    }

    /// Sends a frame that asks for a receipt, in two pieces.
    fn frame(&mut self, command: &str, headers: &str) {
        self.asked += 1;
        let frame = format!("{command}\nreceipt:{}\n{headers}\n\0\n", self.asked);
        let (first, second) = frame.split_at(frame.len() / 2);
        self.peer.send(first);
        self.peer.send(second);
    }

    fn may(&self, transaction: Option<u8>) -> bool {
        !self.polite || transaction.is_none_or(|id| self.open.contains(&id))
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Send { transaction } if self.may(transaction) => {
                let headers = format!("destination:/queue/a\n{}", within(transaction));
                self.frame("SEND", &headers);
            }
            Step::Subscribe { id, client } if !self.polite || !self.live.contains_key(&id) => {
                // The name is not used again before the receipt of its UNSUBSCRIBE is there.
                let ended = self.ended.get(&id.to_string()).copied().unwrap_or(0);
                if ended > self.receipted {
                    return;
                }
                let ack = if client {
                    "client"
                } else {
                    "client-individual"
                };
                let headers = format!("id:{id}\ndestination:/queue/a\nack:{ack}\n");
                self.ended.remove(&id.to_string());
                self.frame("SUBSCRIBE", &headers);
                let known = Known {
                    number: None,
                    started: false,
                    client,
                    last_tag: 0,
                    receipt: self.asked,
                };
                self.live.entry(id).or_insert(known);
            }
            Step::Unsubscribe { id } if !self.polite || self.live.contains_key(&id) => {
                self.frame("UNSUBSCRIBE", &format!("id:{id}\n"));
                if let Some(known) = self.live.remove(&id)
                    && let Some(number) = known.number
                {
                    self.gone.push((number, known.last_tag));
                }
                self.ended.insert(id.to_string(), self.asked);
            }
            Step::Settle {
                id,
                back,
                nack,
                transaction,
            } => {
                self.settle(id, back, nack, transaction);
            }
            Step::Begin(id) if !self.polite || self.open.insert(id) => {
                self.frame("BEGIN", &within(Some(id)));
            }
            Step::Commit(id) if !self.polite || self.open.remove(&id) => {
                self.frame("COMMIT", &within(Some(id)));
            }
            Step::Abort(id) if !self.polite || self.open.remove(&id) => {
                self.frame("ABORT", &within(Some(id)));
            }
            Step::Deliver { id, count } => self.deliver(id, count),
            Step::Complete { which, fails } if !self.pending.is_empty() => {
                let token = self.pending.swap_remove(which % self.pending.len());
                self.waiting.remove(&token);
                match fails {
                    true => self.peer.complete_with(token, "no"),
                    false => self.peer.complete(token),
                }
            }
            Step::CompleteAll => {
                for token in std::mem::take(&mut self.pending) {
                    self.waiting.remove(&token);
                    self.peer.complete(token);
                }
            }
            Step::Pass(millis) => self.peer.pass(millis),
            Step::Disconnect => self.frame("DISCONNECT", ""),
            Step::Bytes(bytes) if !self.polite => {
                self.peer.send_bytes(&bytes);
            }
            _ => {}
        }
    }

    fn settle(&mut self, id: u8, back: u64, nack: bool, transaction: Option<u8>) {
        let Some(known) = self.live.get(&id).filter(|known| known.last_tag > 0) else {
            return;
        };
        let (Some(number), true) = (known.number, self.may(transaction)) else {
            return;
        };
        let tag = known.last_tag.saturating_sub(back).max(1);
        let name = match self.version {
            Version::V1_0 => format!("message-id:s1-{number}-{tag}\n"),
            Version::V1_1 => format!("message-id:s1-{number}-{tag}\nsubscription:{id}\n"),
            Version::V1_2 => format!("id:s1-{number}-{tag}\n"),
        };
        let nack = nack && self.version > Version::V1_0;
        let command = if nack { "NACK" } else { "ACK" };
        self.frame(command, &(name + &within(transaction)));
    }

    fn deliver(&mut self, id: u8, count: u8) {
        // The engine may not know yet that a subscription has ended.
        if let Some((number, tag)) = self.gone.last_mut() {
            *tag += 1;
            let _ = self.peer.deliver(*number, *tag);
        }
        let Some(known) = self.live.get_mut(&id) else {
            return;
        };
        let Some(number) = known.number else {
            return;
        };
        for _ in 0..count {
            let written = self.peer.deliver(number, known.last_tag + 1).is_ok();
            // Never before its start; after the end of the session not any more.
            assert!(!written || known.started);
            known.last_tag += u64::from(written);
        }
    }

    /// The engine takes the effects.
    fn spend(&mut self) {
        for effect in self.peer.effects() {
            assert!(!self.closed, "{effect:?} after the end");
            if let Some(token) = token(&effect) {
                self.pending.push(token);
                let receipt = receipt(&effect).and_then(|receipt| receipt.parse().ok());
                self.waiting.extend(receipt.map(|receipt| (token, receipt)));
            }
            match effect {
                Effect::Subscribe { subscribe, .. } => {
                    let id: u8 = subscribe.id.unwrap().parse().unwrap();
                    if let Some(known) = self.live.get_mut(&id)
                        && known.number.is_none()
                    {
                        known.number = Some(subscribe.subscription);
                    }
                }
                Effect::Start(number) => {
                    let mut all = self.live.values_mut();
                    if let Some(known) = all.find(|known| known.number == Some(number)) {
                        known.started = true;
                    }
                }
                Effect::Settle { settle, .. } => self.settled(&settle),
                Effect::Commit { steps, .. } => {
                    assert!(!steps.is_empty());
                    for step in &steps {
                        if let Part::Settle(settle) = step {
                            self.settled(settle);
                        }
                    }
                }
                Effect::Close(_) => self.closed = true,
                _ => {}
            }
        }
    }

    fn settled(&mut self, settle: &Settle) {
        let Settle {
            subscription, tags, ..
        } = settle;
        let mut all = self.live.values();
        let known = all.find(|known| known.number == Some(*subscription));
        if let Some(known) = known {
            assert!(tags.iter().all(|tag| tag <= known.last_tag));
            if known.client {
                for tag in Tags::iter(tags) {
                    assert!(self.settled.insert((*subscription, tag)), "{tag} twice");
                }
            }
        }
    }

    /// The client reads what was written.
    fn read(&mut self) {
        self.output
            .extend_from_slice(&self.peer.session.take_output());
        while let Some(frame) = self.decoder.decode(&mut self.output).unwrap() {
            assert!(!self.over, "{frame:?} after an ERROR");
            match frame.command {
                Command::Receipt => {
                    self.receipted += 1;
                    assert_eq!(frame.get("receipt-id"), Some(&*self.receipted.to_string()));
                    assert!(
                        !self
                            .waiting
                            .values()
                            .any(|receipt| *receipt == self.receipted)
                    );
                }
                Command::Message => {
                    let id = frame.get("subscription").unwrap();
                    let ended = self.ended.get(id).copied();
                    assert!(ended.is_none_or(|receipt| receipt > self.receipted));
                    if let Some(known) = id.parse().ok().and_then(|id: u8| self.live.get(&id)) {
                        assert!(known.receipt <= self.receipted || !self.polite);
                    }
                }
                Command::Error => {
                    let next = (self.receipted + 1).to_string();
                    assert!(frame.get("receipt-id").is_none_or(|id| id == next));
                    self.over = true;
                }
                other => panic!("{other} from a server"),
            }
        }
        assert!(self.output.is_empty());
    }
}

fn receipt(effect: &Effect) -> Option<&str> {
    match effect {
        Effect::Send { send, .. } => send.headers.get("receipt"),
        Effect::Subscribe { subscribe, .. } => subscribe.headers.get("receipt"),
        Effect::Unsubscribe { headers, .. } => headers.get("receipt"),
        _ => None,
    }
}

fn within(transaction: Option<u8>) -> String {
    transaction.map_or(String::new(), |id| format!("transaction:{id}\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens_frames_are_answered_in_order(
        version in prop::sample::select(vec![Version::V1_1, Version::V1_2]),
        polite in prop::bool::weighted(0.8),
        steps in prop::collection::vec(step(), 0..250),
    ) {
        let mut world = World::new(version, polite);
        for step in steps {
            world.take(step);
            world.spend();
            world.read();
        }
        // The engine completes the rest: nothing is left unanswered.
        while !world.pending.is_empty() && !world.closed {
            world.take(Step::Complete { which: 0, fails: false });
            world.spend();
            world.read();
        }
        prop_assert!(world.closed || world.receipted == world.asked || !polite);
        prop_assert!(!world.over || world.closed);
    }

    #[test]
    fn no_bytes_make_it_panic(
        pieces in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..30),
            prop::sample::select(vec![
                &b"CONNECT\naccept-version:1.2\nheart-beat:1,1\n\n\0"[..],
                b"SUBSCRIBE\nid:1\ndestination:/queue/a\nack:client\n\n\0",
                b"SUBSCRIBE\nid:",
                b"ACK\nid:s1-1-1\n\n\0",
                b"ACK\nid:s1-18446744073709551615-18446744073709551615\n\n\0",
                b"SEND\ndestination:/queue/a\ncontent-length:99999999999999999999\n\n",
                b"BEGIN\ntransaction:\n\n\0",
                b"COMMIT\ntransaction:\nreceipt:\n\n\0",
                b"DISCONNECT\n\n\0",
                b"\n\n\0",
            ]).prop_map(<[u8]>::to_vec),
        ], 0..12),
    ) {
        let mut peer = Peer::new(ServerSettings::default());
        for piece in pieces {
            peer.send_bytes(&piece);
            peer.accept();
            peer.pass(1_000);
            let effects = peer.complete_all();
            for effect in effects {
                if let Effect::Subscribe { subscribe, .. } = effect {
                    let _ = peer.deliver(subscribe.subscription, 1);
                }
            }
        }
    }
}
