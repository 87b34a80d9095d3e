//! Homes and the book that says what is wanted, in a made-up cluster whose slots move, whose nodes die and whose maps are
//! old, with a listener that keeps a ledger.

use super::*;
use crate::Kind;
use crate::book::{Book, SubscriptionId};
use crate::slot::slot_of;
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use trunkline_model::{Backoff, Timestamp};

const NODES: u8 = 2;
const NAMES: u8 = 5;

const PACE: Pace = Pace {
    backoff: Backoff::RECONNECT,
    pause: Duration::from_millis(100),
    age_max: Duration::from_secs(30),
};

#[derive(Clone, Debug)]
enum Did {
    Add(u8),
    Remove(u8),
    /// The news of some lane, the oldest that wasn't heard.
    Hear(usize),
    /// The task looks at what is wanted and due.
    Turn,
    Wait(u64),
    Publish(u8),
    Migrate(u8, u8),
    /// Connections to a node are lost, and it can't be reached.
    Kill(u8),
    Revive(u8),
    /// A node takes no subscriptions, or takes them again.
    Trouble(u8, bool),
    /// The question for the map is answered: as it is, as it was once, or not at all.
    Map(Option<bool>),
}

fn steps() -> impl Strategy<Value = Vec<Did>> {
    let (name, node) = (0..NAMES, 0..NODES);
    let did = prop_oneof![
        5 => name.clone().prop_map(Did::Add),
        4 => name.clone().prop_map(Did::Remove),
        20 => (0..8_usize).prop_map(Did::Hear),
        12 => Just(Did::Turn),
        3 => (0..300_u64).prop_map(Did::Wait),
        10 => name.clone().prop_map(Did::Publish),
        3 => (name, node.clone()).prop_map(|(n, to)| Did::Migrate(n, to)),
        1 => node.clone().prop_map(Did::Kill),
        2 => node.clone().prop_map(Did::Revive),
        1 => (node, any::<bool>()).prop_map(|(n, is)| Did::Trouble(n, is)),
        4 => proptest::option::of(any::<bool>()).prop_map(Did::Map),
    ];
    proptest::collection::vec(did, 1..200)
}

#[derive(Clone, Debug)]
enum News {
    /// With the number of the next message.
    Active(Bytes, u64),
    Message(Bytes, u64),
    Withdrawn(Bytes),
    Refused(Bytes, String),
    Lost,
}

/// A lane as the node's multiplexer keeps it: asked names are confirmed, refused or wait for a connection.
struct Shard {
    node: u8,
    /// Each name that is wanted there, and whether the server knows.
    names: BTreeMap<Bytes, bool>,
    news: VecDeque<News>,
}

struct World {
    owners: BTreeMap<u16, u8>,
    /// As the owners were at some time.
    old: BTreeMap<u16, u8>,
    down: BTreeSet<u8>,
    troubled: BTreeSet<u8>,
    lanes: BTreeMap<LaneId, Shard>,
    published: BTreeMap<Bytes, u64>,
    map_asked: bool,
    now: Timestamp,
    homes: Homes,
    book: Book<()>,
    listener: SubscriptionId,
    /// What the listener may count on: the number of the next message of each name that is active.
    expected: BTreeMap<Bytes, u64>,
}

fn node(n: u8) -> Node {
    Node::new("node", u16::from(n))
}

fn name(n: u8) -> Bytes {
    Bytes::from(vec![b'a' + n])
}

fn map(owners: &BTreeMap<u16, u8>) -> SlotMap {
    let mut map = SlotMap::new();
    for (slot, owner) in owners {
        map.set(*slot, &node(*owner));
    }
    map
}

impl World {
    fn new() -> Self {
        let owners: BTreeMap<u16, u8> =
            (0..NAMES).map(|n| (slot_of(&name(n)), n % NODES)).collect();
        let mut book = Book::new();
        book.spread();
        let listener = book.open(());
        Self {
            old: owners.clone(),
            owners,
            down: BTreeSet::new(),
            troubled: BTreeSet::new(),
            lanes: BTreeMap::new(),
            published: BTreeMap::new(),
            map_asked: false,
            now: Timestamp::ZERO,
            homes: Homes::new(PACE),
            book,
            listener,
            expected: BTreeMap::new(),
        }
    }

    fn owner(&self, name: &Bytes) -> u8 {
        self.owners[&slot_of(name)]
    }

    /// The server of a lane is asked for a name.
    fn ask(&mut self, lane: LaneId, name: &Bytes) {
        let owner = self.owner(name);
        let next = self.published.get(name).copied().unwrap_or_default();
        let Some(shard) = self.lanes.get_mut(&lane) else {
            return;
        };
        if self.down.contains(&shard.node) {
            return;
        }
        let news = if self.troubled.contains(&shard.node) {
            News::Refused(name.clone(), "CLUSTERDOWN The cluster is down".to_owned())
        } else if owner == shard.node {
            shard.names.insert(name.clone(), true);
            News::Active(name.clone(), next)
        } else {
            let (slot, to) = (slot_of(name), node(owner));
            News::Refused(name.clone(), format!("MOVED {slot} {to}"))
        };
        shard.news.push_back(news);
    }

    fn turn(&mut self) {
        while let Some((name, wanted)) = self.book.next_change() {
            if wanted {
                self.homes.want(self.now, &name);
            } else {
                self.homes.unwant(self.now, &name);
            }
        }
        self.homes.on_time(self.now);
        for step in self.homes.take_steps() {
            match step {
                Step::Open { lane, node } => {
                    let shard = Shard {
                        node: node.port.try_into().expect("ports are small"),
                        names: BTreeMap::new(),
                        news: VecDeque::new(),
                    };
                    assert!(self.lanes.insert(lane, shard).is_none(), "names are new");
                }
                Step::Add { lane, name } => {
                    let names = &mut self.lanes.get_mut(&lane).expect("it is open").names;
                    assert!(
                        names.insert(name.clone(), false).is_none(),
                        "it wasn't there"
                    );
                    self.ask(lane, &name);
                }
                // What is on its way stays so.
                Step::Remove { lane, name } => {
                    let names = &mut self.lanes.get_mut(&lane).expect("it is open").names;
                    assert!(names.remove(&name).is_some(), "it was there");
                }
                Step::Close { lane } => {
                    let shard = self.lanes.remove(&lane).expect("it is open");
                    assert!(shard.names.is_empty(), "nothing is wanted there");
                }
                Step::AskMap => {
                    assert!(!self.map_asked, "one question at a time");
                    self.map_asked = true;
                }
            }
        }
    }

    fn hear(&mut self, at: usize) -> bool {
        let with_news = self
            .lanes
            .iter()
            .filter(|(_, shard)| !shard.news.is_empty());
        let with_news: Vec<LaneId> = with_news.map(|(lane, _)| *lane).collect();
        if with_news.is_empty() {
            return false;
        }
        let lane = with_news[at % with_news.len()];
        let news = self.lanes.get_mut(&lane).and_then(|it| it.news.pop_front());
        match news.expect("it has some") {
            News::Active(name, next) => {
                if self.homes.active(self.now, lane, &name)
                    && let Some((to, _)) = self.book.hear(&name)
                    && !to.is_empty()
                {
                    let before = self.expected.insert(name, next);
                    assert_eq!(before, None, "it was told that it is away before");
                }
            }
            News::Message(name, number) => {
                let heard = self.book.listeners(Kind::Shard, &name);
                if self.homes.is_home(lane, &name) && heard.is_some_and(|to| !to.is_empty()) {
                    let expected = self.expected.get_mut(&name).expect("it is active");
                    assert_eq!(*expected, number, "none is lost and none comes twice");
                    *expected += 1;
                }
            }
            News::Withdrawn(name) => {
                if self.homes.withdrawn(self.now, lane, &name) {
                    self.silence(&name);
                }
            }
            News::Refused(name, reason) => {
                let told = self
                    .homes
                    .refused(self.now, 1 << 60, lane, &name, reason.as_bytes());
                assert!(!told, "it is no matter of the name");
            }
            News::Lost => {
                for name in self.homes.lost(self.now, lane) {
                    self.silence(&name);
                }
            }
        }
        true
    }

    fn silence(&mut self, name: &Bytes) {
        let told = self.book.silence(self.now, name);
        let told = told.is_some_and(|to| !to.is_empty());
        assert_eq!(
            told,
            self.expected.remove(name).is_some(),
            "only if it was heard"
        );
    }

    fn publish(&mut self, name: &Bytes) {
        let owner = self.owner(name);
        if self.down.contains(&owner) {
            return;
        }
        let number = self.published.entry(name.clone()).or_default();
        for shard in self.lanes.values_mut().filter(|it| it.node == owner) {
            if shard.names.get(name) == Some(&true) {
                shard.news.push_back(News::Message(name.clone(), *number));
            }
        }
        *number += 1;
    }

    fn migrate(&mut self, moved: &Bytes, to: u8) {
        let from = self.owner(moved);
        if from == to {
            return;
        }
        self.old = self.owners.clone();
        self.owners.insert(slot_of(moved), to);
        let lanes: Vec<LaneId> = self.lanes.keys().copied().collect();
        for lane in lanes {
            let shard = self.lanes.get_mut(&lane).expect("it is there");
            if shard.node == from && shard.names.get(moved) == Some(&true) {
                shard.names.insert(moved.clone(), false);
                shard.news.push_back(News::Withdrawn(moved.clone()));
                self.ask(lane, moved);
            }
        }
    }

    fn kill(&mut self, dead: u8) {
        if self.down.insert(dead) {
            for shard in self.lanes.values_mut().filter(|it| it.node == dead) {
                shard.names.values_mut().for_each(|known| *known = false);
                shard.news.push_back(News::Lost);
            }
        }
    }

    fn revive(&mut self, back: u8) {
        if self.down.remove(&back) {
            let lanes = self.lanes.iter().filter(|(_, shard)| shard.node == back);
            let asked =
                lanes.flat_map(|(lane, it)| it.names.keys().map(|name| (*lane, name.clone())));
            for (lane, name) in asked.collect::<Vec<_>>() {
                self.ask(lane, &name);
            }
        }
    }

    fn map(&mut self, map: Option<SlotMap>) {
        if std::mem::take(&mut self.map_asked) {
            match map {
                Some(map) => {
                    for name in self.homes.map(self.now, 1 << 60, map) {
                        self.silence(&name);
                    }
                }
                None => self.homes.no_map(self.now, 1 << 60),
            }
        }
    }

    fn run(&mut self, did: Did) {
        match did {
            Did::Add(n) => drop(self.book.add(self.listener, Kind::Shard, name(n))),
            Did::Remove(n) => {
                if self.book.remove(self.listener, Kind::Shard, &name(n)) {
                    self.expected.remove(&name(n));
                }
            }
            Did::Hear(at) => drop(self.hear(at)),
            Did::Turn => self.turn(),
            Did::Wait(ms) => self.now = self.now.after(Duration::from_millis(ms)),
            Did::Publish(n) => self.publish(&name(n)),
            Did::Migrate(n, to) => self.migrate(&name(n), to),
            Did::Kill(n) => self.kill(n),
            Did::Revive(n) => self.revive(n),
            Did::Trouble(n, true) => drop(self.troubled.insert(n)),
            Did::Trouble(n, false) => drop(self.troubled.remove(&n)),
            Did::Map(Some(now)) => {
                let map = map(if now { &self.owners } else { &self.old });
                self.map(Some(map));
            }
            Did::Map(None) => self.map(None),
        }
        self.listen_again();
    }

    /// A name that was given up and wanted again before anybody looked is as it was, and its listener is told so.
    fn listen_again(&mut self) {
        for (_, _, name) in self.book.take_activations() {
            let lane = self
                .lanes
                .iter()
                .find(|(lane, _)| self.homes.is_home(**lane, &name));
            let (_, shard) = lane.expect("it is heard somewhere");
            let waiting = shard.news.iter().find_map(|news| match news {
                News::Message(of, number) if *of == name => Some(*number),
                _ => None,
            });
            let next = self.published.get(&name).copied().unwrap_or_default();
            self.expected.insert(name, waiting.unwrap_or(next));
        }
    }

    /// All is well again: soon every wanted name is heard from its owner, and nothing else is asked for.
    fn settle(&mut self) {
        self.troubled.clear();
        (0..NODES).for_each(|n| self.revive(n));
        for _ in 0..60 {
            self.turn();
            while self.hear(0) {}
            let map = map(&self.owners);
            self.map(Some(map));
            self.listen_again();
            if let Some(due) = self.homes.due() {
                self.now = self.now.max(due);
            }
        }
        let wanted: BTreeSet<Bytes> = self
            .book
            .names(self.listener, Kind::Shard)
            .into_iter()
            .collect();
        let known = self.lanes.values().flat_map(|shard| {
            shard
                .names
                .iter()
                .map(|(name, known)| (name.clone(), (shard.node, *known)))
        });
        let known: Vec<_> = known.collect();
        assert_eq!(known.len(), wanted.len(), "{known:?}");
        for name in &wanted {
            assert!(
                known.contains(&(name.clone(), (self.owner(name), true))),
                "{known:?}"
            );
            self.publish(name);
        }
        while self.hear(0) {}
        for name in &wanted {
            assert_eq!(
                self.expected.get(name),
                self.published.get(name),
                "all is heard"
            );
        }
        assert_eq!(self.expected.len(), wanted.len());
        assert_eq!(self.homes.unsettled(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn names_follow_their_slots_and_what_is_missed_was_told(steps in steps()) {
        let mut world = World::new();
        for did in steps {
            world.run(did);
        }
        world.settle();
    }
}

fn heard(world: &mut World) {
    world.turn();
    let map = map(&world.owners);
    world.map(Some(map));
    world.turn();
    while world.hear(0) {}
}

#[test]
fn a_slot_that_moves_is_followed_without_a_map() {
    let mut world = World::new();
    world.run(Did::Add(0));
    heard(&mut world);
    assert_eq!(world.expected.len(), 1);
    world.migrate(&name(0), 2);
    while world.hear(0) {}
    assert!(world.expected.is_empty(), "it was told that it is away");
    world.turn();
    while world.hear(0) {}
    assert_eq!((world.expected.len(), world.homes.moves()), (1, 1));
    world.turn();
    assert_eq!(world.lanes.len(), 1, "the first one has no names any more");
}

/// News of a name's earlier stay at a node would say that it is heard before it is.
#[test]
fn a_name_that_comes_back_to_a_node_is_not_heard_by_old_news() {
    let mut world = World::new();
    // Another name keeps the lane.
    world.run(Did::Add(NODES));
    heard(&mut world);
    let turn = |world: &mut World, did| {
        world.run(did);
        world.turn();
    };
    turn(&mut world, Did::Add(0));
    turn(&mut world, Did::Remove(0));
    world.run(Did::Publish(0));
    turn(&mut world, Did::Add(0));
    assert_eq!(world.lanes.len(), 2, "for one node");
    world.run(Did::Publish(0));
    while world.hear(0) {}
    assert_eq!(world.expected[&name(0)], 2);
}

#[test]
fn one_old_map_moves_nothing_that_is_heard_and_two_do() {
    let mut world = World::new();
    world.run(Did::Add(0));
    heard(&mut world);
    let mut other = world.owners.clone();
    other.insert(slot_of(&name(0)), 1);
    let mut ask = |owners: &BTreeMap<u16, u8>| {
        world.now = world.homes.due().expect("it is asked again");
        world.turn();
        assert!(world.map_asked);
        world.map_asked = false;
        world.homes.map(world.now, 0, map(owners)).len()
    };
    let right = World::new().owners;
    assert_eq!(
        [ask(&other), ask(&right), ask(&other), ask(&other)],
        [0, 0, 0, 1]
    );
}

#[test]
fn the_map_is_not_asked_for_more_often_than_the_pause_allows() {
    let mut world = World::new();
    for n in 0..NAMES {
        world.run(Did::Add(n));
    }
    (0..NODES).for_each(|n| world.kill(n));
    let (mut asked, begin) = (0, world.now);
    while world.now.since(begin) < Duration::from_secs(10) {
        world.turn();
        if world.map_asked {
            asked += 1;
            world.map(None);
        }
        world.now = world.now.after(Duration::from_millis(1));
    }
    assert!((10..=100).contains(&asked), "{asked}");
}

#[test]
fn a_name_that_is_sent_round_in_circles_waits() {
    let mut homes = Homes::new(PACE);
    let (now, name) = (Timestamp::ZERO, name(0));
    homes.want(now, &name);
    homes.on_time(now);
    homes.take_steps();
    let slot = slot_of(&name);
    let mut first = SlotMap::new();
    first.set(slot, &node(0));
    assert!(homes.map(now, 0, first).is_empty());
    let mut sent = 0;
    for round in 0..10_u16 {
        let lane = homes.take_steps().into_iter().find_map(|step| match step {
            Step::Add { lane, .. } => Some(lane),
            _ => None,
        });
        let Some(lane) = lane else {
            break;
        };
        sent += 1;
        let to = node(u8::from(round % 2 == 0));
        let moved = format!("MOVED {slot} {to}");
        assert!(!homes.refused(now, u64::MAX, lane, &name, moved.as_bytes()));
    }
    assert_eq!(sent, 3);
    assert!(
        homes.due().is_some_and(|due| due > now),
        "it is tried again"
    );
}
