//! What was asked, confirmed, delivered and acknowledged, and what of it must not be.

use std::collections::{BTreeMap, BTreeSet};
use trunkline_stomp::Message;

/// A delivery of a message.
#[derive(Debug)]
struct Delivery {
    body: String,
    /// Names the session, and through it the node.
    ack: String,
    message_id: String,
}

/// Kept by the clients while they work.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    asked: BTreeSet<String>,
    confirmed: BTreeSet<String>,
    failed: Vec<String>,
    deliveries: Vec<Delivery>,
    /// Deliveries, by number, in the order in which it is known that their ACK is durable: how
    /// many there were then.
    acked: Vec<(usize, usize)>,
    /// Ports of nodes by the names of sessions.
    sessions: BTreeMap<String, u16>,
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Sum {
    pub(crate) confirmed: usize,
    /// Copies of a SEND beyond its first, at whatever node.
    pub(crate) copies: usize,
    /// Deliveries beyond the first of a copy.
    pub(crate) again: usize,
}

impl Ledger {
    pub(crate) fn asked(&mut self, body: &str) {
        assert!(self.asked.insert(body.into()), "{body} is asked twice");
    }

    pub(crate) fn asked_so_far(&self) -> usize {
        self.asked.len()
    }

    pub(crate) fn settled(&mut self, body: String, error: Option<String>) {
        match error {
            None => {
                self.confirmed.insert(body);
            }
            Some(error) => self.failed.push(format!("{body}: {error}")),
        }
    }

    pub(crate) fn confirmed(&self) -> usize {
        self.confirmed.len()
    }

    pub(crate) fn session(&mut self, name: &str, port: u16) {
        assert!(!name.is_empty());
        self.sessions.insert(name.into(), port);
    }

    /// A message came; the number of its delivery.
    pub(crate) fn delivered(&mut self, message: &Message) -> usize {
        let header = |name| message.header(name).unwrap_or_default().to_owned();
        self.deliveries.push(Delivery {
            body: String::from_utf8(message.body().to_vec()).unwrap(),
            ack: header("ack"),
            message_id: header("message-id"),
        });
        self.deliveries.len() - 1
    }

    pub(crate) fn acked(&mut self, delivery: usize) {
        self.acked.push((delivery, self.deliveries.len()));
    }

    fn node(&self, delivery: &Delivery) -> u16 {
        let of = |(name, _): &(&String, &u16)| delivery.ack.contains(name.as_str());
        let session = self.sessions.iter().find(of);
        *session
            .unwrap_or_else(|| panic!("of no session: {delivery:?}"))
            .1
    }

    /// What must hold of any cluster. `identities`: the nodes name a message by the same id at every
    /// delivery, and store what has the same publish id once.
    pub(crate) fn check(&self, told: &str, identities: bool) -> Sum {
        assert_eq!(self.failed, [""; 0], "{told}: SENDs failed");
        let unsettled: Vec<_> = self.asked.difference(&self.confirmed).collect();
        assert!(unsettled.is_empty(), "{told}: never settled: {unsettled:?}");
        let delivered: BTreeSet<&String> = self.deliveries.iter().map(|it| &it.body).collect();
        let missing: Vec<_> = self
            .confirmed
            .iter()
            .filter(|it| !delivered.contains(it))
            .collect();
        assert!(
            missing.is_empty(),
            "{told}: confirmed and lost: {missing:?}"
        );
        let invented: Vec<_> = delivered
            .iter()
            .filter(|it| !self.asked.contains(**it))
            .collect();
        assert!(invented.is_empty(), "{told}: invented: {invented:?}");
        let mut places: BTreeMap<&String, BTreeSet<(u16, &str)>> = BTreeMap::new();
        for delivery in &self.deliveries {
            let id = if identities {
                delivery.message_id.as_str()
            } else {
                ""
            };
            let places = places.entry(&delivery.body).or_default();
            places.insert((self.node(delivery), id));
        }
        if identities {
            self.check_identities(told, &places);
        }
        let stored: usize = places.values().map(BTreeSet::len).sum();
        Sum {
            confirmed: self.confirmed.len(),
            copies: stored - places.len(),
            again: self.deliveries.len() - stored,
        }
    }

    fn check_identities(&self, told: &str, places: &BTreeMap<&String, BTreeSet<(u16, &str)>>) {
        for (body, places) in places {
            let nodes: BTreeSet<u16> = places.iter().map(|(node, _)| *node).collect();
            assert_eq!(
                nodes.len(),
                places.len(),
                "{told}: {body} is twice at a node: {places:?}"
            );
        }
        let place = |it: &Delivery| (self.node(it), it.message_id.clone());
        let mut last = BTreeMap::new();
        for (number, delivery) in self.deliveries.iter().enumerate() {
            last.insert(place(delivery), number);
        }
        for (acked, known) in &self.acked {
            let delivery = &self.deliveries[*acked];
            let back = last[&place(delivery)];
            assert!(
                back < *known,
                "{told}: acknowledged, and back: {delivery:?}"
            );
        }
    }
}
