//! The book against a naive server and naive listeners, in histories that are made up.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;
use trunkline_model::Timestamp;

const NOW: Timestamp = Timestamp::ZERO;
const KINDS: [Kind; 2] = [Kind::Channel, Kind::Pattern];

#[derive(Clone, Debug)]
enum Step {
    Open,
    Add(usize, usize, u8),
    Remove(usize, usize, u8),
    Close(usize),
    /// The server is told up to so many names.
    Tell(usize),
    /// It answers the oldest of what it was told.
    Answer,
    Connect,
    Disconnect,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = (0..6_usize, 0..2_usize, 0..4_u8);
    let step = prop_oneof![
        2 => Just(Step::Open),
        6 => name.clone().prop_map(|(s, k, n)| Step::Add(s, k, n)),
        5 => name.prop_map(|(s, k, n)| Step::Remove(s, k, n)),
        1 => (0..6_usize).prop_map(Step::Close),
        4 => (1..4_usize).prop_map(Step::Tell),
        6 => Just(Step::Answer),
        1 => Just(Step::Connect),
        1 => Just(Step::Disconnect),
    ];
    proptest::collection::vec(step, 1..120)
}

/// What a test knows without the book.
#[derive(Default)]
struct World {
    ids: Vec<SubscriptionId>,
    wanted: BTreeSet<(usize, Kind, u8)>,
    /// Who was told that a name is active on this connection, since he asked for it.
    told: BTreeSet<(usize, Kind, u8)>,
    connected: bool,
    unanswered: VecDeque<(Kind, bool, Bytes)>,
    subscribed: BTreeSet<(Kind, Bytes)>,
}

fn name(n: u8) -> Bytes {
    Bytes::from(vec![b'a' + n])
}

impl World {
    fn hear(&mut self, changes: Vec<Change>) {
        for change in changes {
            for name in change.names {
                self.unanswered
                    .push_back((change.kind, change.subscribe, name));
            }
        }
    }

    fn tell_active(&mut self, to: &[usize], kind: Kind, name: &Bytes) {
        for &who in to {
            let fact = (who, kind, name[0] - b'a');
            if self.wanted.contains(&fact) {
                assert!(self.told.insert(fact), "{fact:?} was told twice");
            }
        }
    }

    fn answer(&mut self, book: &mut Book<usize>) {
        let Some((kind, subscribe, name)) = self.unanswered.pop_front() else {
            return;
        };
        if subscribe {
            self.subscribed.insert((kind, name.clone()));
        } else {
            self.subscribed.remove(&(kind, name.clone()));
        }
        // Whoever came to an active name is told before anything else is heard.
        self.late(book);
        match book.confirm(NOW, kind, subscribe, &name) {
            Some(Confirmed::Active(to, _)) => self.tell_active(&to, kind, &name),
            Some(Confirmed::Quiet) => {}
            other => panic!("{other:?}"),
        }
    }

    fn late(&mut self, book: &mut Book<usize>) {
        for (who, kind, name) in book.take_activations() {
            self.tell_active(&[who], kind, &name);
        }
    }

    fn step(&mut self, book: &mut Book<usize>, step: &Step) {
        let who = |s: usize, ids: &[SubscriptionId]| (!ids.is_empty()).then(|| s % ids.len());
        match *step {
            Step::Open => {
                let id = book.open(self.ids.len());
                self.ids.push(id);
            }
            Step::Add(s, k, n) => {
                if let Some(s) = who(s, &self.ids)
                    && book.is_open(self.ids[s])
                {
                    let new = self.wanted.insert((s, KINDS[k], n));
                    assert_eq!(book.add(self.ids[s], KINDS[k], name(n)), new);
                }
            }
            Step::Remove(s, k, n) => {
                if let Some(s) = who(s, &self.ids) {
                    // What it was told is told again when it asks again.
                    self.late(book);
                    self.told.remove(&(s, KINDS[k], n));
                    let was = self.wanted.remove(&(s, KINDS[k], n));
                    assert_eq!(book.remove(self.ids[s], KINDS[k], &name(n)), was);
                }
            }
            Step::Close(s) => {
                if let Some(s) = who(s, &self.ids) {
                    self.late(book);
                    self.wanted.retain(|(other, ..)| *other != s);
                    self.told.retain(|(other, ..)| *other != s);
                    book.close(self.ids[s]);
                }
            }
            Step::Tell(max) => {
                let changes = book.changes(max);
                assert!(changes.iter().map(|c| c.names.len()).sum::<usize>() <= max);
                self.hear(changes);
            }
            Step::Answer => self.answer(book),
            Step::Connect => {
                if !self.connected {
                    self.connected = true;
                    let changes = book.connect();
                    assert!(changes.len() <= 2 && changes.iter().all(|c| c.subscribe));
                    self.hear(changes);
                }
            }
            Step::Disconnect => {
                self.connected = false;
                book.disconnect(NOW);
                self.unanswered.clear();
                self.subscribed.clear();
                self.told.clear();
            }
        }
        self.check_deliveries(book);
    }

    /// A message reaches those who want its name and were told that it is active, or will be
    /// before it.
    fn check_deliveries(&mut self, book: &mut Book<usize>) {
        self.late(book);
        for kind in KINDS {
            for n in 0..4 {
                let heard = book.listeners(kind, &name(n));
                for who in heard.iter().flat_map(|heard| heard.iter()) {
                    assert!(self.told.contains(&(*who, kind, n)), "{who} {kind} {n}");
                }
            }
        }
    }

    /// When everything is said and answered, the server has what is wanted, no more, and
    /// everybody knows.
    fn settle(&mut self, book: &mut Book<usize>) {
        self.step(book, &Step::Connect);
        while book.has_changes() || !self.unanswered.is_empty() {
            self.step(book, &Step::Tell(3));
            self.step(book, &Step::Answer);
        }
        let wanted: BTreeSet<_> = self
            .wanted
            .iter()
            .map(|(_, kind, n)| (*kind, name(*n)))
            .collect();
        assert_eq!(self.subscribed, wanted);
        assert_eq!(self.told, self.wanted);
        assert_eq!((book.wanted(), book.active()), (wanted.len(), wanted.len()));
        let kept: usize = book.entries.iter().map(HashMap::len).sum();
        assert_eq!(kept, wanted.len(), "names that nobody wants are kept");
    }
}

proptest! {
    #[test]
    fn the_server_has_what_is_wanted_and_everybody_knows_it_once(steps in steps()) {
        let mut book = Book::new();
        let mut world = World::default();
        for step in &steps {
            world.step(&mut book, step);
        }
        world.settle(&mut book);
    }
}

#[test]
fn what_is_added_and_removed_without_pause_costs_nothing() {
    let mut book = Book::new();
    let a = book.open('a');
    assert_eq!(book.connect(), []);
    for _ in 0..100 {
        book.add(a, Kind::Channel, name(0));
        book.remove(a, Kind::Channel, &name(0));
    }
    assert_eq!(book.changes(20), []);
    book.add(a, Kind::Channel, name(0));
    assert_eq!(book.changes(20).len(), 1);
    book.remove(a, Kind::Channel, &name(0));
    book.add(a, Kind::Channel, name(0));
    assert_eq!(book.changes(20), []);
}

#[test]
fn names_are_told_in_one_command_a_kind_and_shards_in_one_a_slot() {
    let mut book = Book::new();
    let a = book.open('a');
    for n in [&b"x"[..], b"{x}1", b"y"] {
        book.add(a, Kind::Shard, Bytes::from_static(n));
        book.add(a, Kind::Channel, Bytes::from_static(n));
    }
    let changes = book.connect();
    let sizes: Vec<_> = changes.iter().map(|c| (c.kind, c.names.len())).collect();
    let shards: Vec<_> = sizes.iter().filter(|(k, _)| *k == Kind::Shard).collect();
    assert_eq!(sizes[0], (Kind::Channel, 3));
    assert_eq!(shards.len(), 2);
}

#[test]
fn a_refused_name_is_asked_for_again_when_somebody_else_wants_it_and_on_the_next_connection() {
    let mut book = Book::new();
    let a = book.open('a');
    let b = book.open('b');
    book.connect();
    book.add(a, Kind::Channel, name(0));
    for hears in [&['a'][..], &['a', 'b']] {
        assert_eq!(book.changes(20).len(), 1);
        let (kind, names) = book.refuse(NOW, false).expect("it was asked for");
        assert_eq!(
            (kind, names.len(), &names[0].1[..]),
            (Kind::Channel, 1, hears)
        );
        assert_eq!(book.changes(20), []);
        book.add(b, Kind::Channel, name(0));
    }
    assert!(book.listeners(Kind::Channel, b"a").is_none());
    book.disconnect(NOW);
    assert_eq!(book.connect().len(), 1);
}

#[test]
fn of_names_that_are_refused_together_only_the_guilty_stay_refused() {
    let mut book = Book::new();
    let a = book.open('a');
    for n in 0..20 {
        book.add(a, Kind::Channel, name(n));
    }
    let guilty = [name(3), name(4), name(17)];
    let mut refused = Vec::new();
    let mut asked = book.connect();
    let mut commands = 0;
    // One is given up meanwhile: nobody asks for it again.
    book.remove(a, Kind::Channel, &name(7));
    while !asked.is_empty() {
        for change in asked {
            commands += 1;
            assert!(commands == 1 || !change.names.contains(&name(7)) || !change.subscribe);
            if change.names.iter().any(|name| guilty.contains(name)) {
                let (_, names) = book.refuse(NOW, false).expect("it was asked for");
                refused.extend(names.into_iter().map(|(name, _)| name));
            } else {
                for name in change.names {
                    assert!(
                        book.confirm(NOW, change.kind, change.subscribe, &name)
                            .is_some()
                    );
                }
            }
        }
        asked = book.changes(20);
    }
    refused.sort();
    assert_eq!(refused, guilty);
    assert!(!book.has_changes() && commands < 25, "{commands} commands");
    for n in (0..20).filter(|n| *n != 7) {
        let active = book.listeners(Kind::Channel, &name(n)).is_some();
        assert_eq!(active, !guilty.contains(&name(n)), "{n}");
    }
    // What was suspected is forgotten with its connection.
    book.add(a, Kind::Channel, name(20));
    book.add(a, Kind::Channel, name(21));
    assert_eq!(book.changes(20).len(), 1);
    book.refuse(NOW, false);
    book.disconnect(NOW);
    assert!(!book.has_changes());
    assert_eq!(book.connect()[0].names.len(), 21);
}
