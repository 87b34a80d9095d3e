//! What a topic owes its clients, kept outside of the server: what was sent, confirmed,
//! delivered and settled. Each step is checked against the rules; the first that is broken is
//! told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};
use trunkline::MessageId;

/// The rule that was broken, and by what.
pub(crate) type Breach = String;

/// What kind of topic it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) topic: &'static str,
    pub(crate) durability: &'static str,
    pub(crate) priorities: u8,
    /// Number of keys under which the latest message wins; 0 for messages without a key.
    pub(crate) keys: u64,
    /// Number of groups; 0 for messages without one.
    pub(crate) groups: u64,
    /// Longest delay in milliseconds.
    pub(crate) delay_ms_max: u64,
    /// Where messages go that are given up, or came [`Kind::ATTEMPTS_MAX`] times.
    pub(crate) dead_letter: Option<&'static str>,
}

impl Kind {
    /// Deliveries of a message before it is a dead letter, where there are any.
    pub(crate) const ATTEMPTS_MAX: u32 = 3;

    pub(crate) fn forgets(&self) -> bool {
        self.durability == "memory"
    }

    fn latest_wins(&self) -> bool {
        self.keys > 0
    }

    /// Whether the messages of a priority come to each consumer in the order of publication.
    fn is_in_order(&self) -> bool {
        !self.latest_wins() && self.groups == 0 && self.delay_ms_max == 0
    }
}

/// A message, as whoever publishes it means it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) number: u64,
    pub(crate) priority: u8,
    pub(crate) key: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) delay_ms: u64,
    /// Not delivered before.
    due: Instant,
}

impl Sent {
    /// The number, and as much behind it as makes its size its own.
    pub(crate) fn payload(&self) -> String {
        let padding = match self.number % 97 {
            0 => 40_000,
            small => small * small % 1_500,
        };
        format!("{} {}", self.number, "x".repeat(padding as usize))
    }
}

/// A message, as it arrives.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) id: MessageId,
    pub(crate) payload: String,
    pub(crate) priority: u8,
    pub(crate) key: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) attempt: u32,
}

/// What one consumer has seen since it came.
#[derive(Debug)]
pub(crate) struct Session {
    /// Tells it from all others.
    id: u64,
    /// The last sequence of a first delivery, by priority.
    sequences: BTreeMap<u8, u64>,
    /// The last number, by key.
    numbers: BTreeMap<String, u64>,
    /// Priority and sequence of the last delivery, where nothing comes in between.
    last: Option<(u8, u64)>,
    quiet: bool,
}

/// How many sessions there were.
static SESSIONS: AtomicU64 = AtomicU64::new(0);

impl Session {
    pub(crate) fn new() -> Self {
        Self {
            id: SESSIONS.fetch_add(1, Ordering::Relaxed),
            sequences: BTreeMap::new(),
            numbers: BTreeMap::new(),
            last: None,
            quiet: false,
        }
    }

    /// One that takes what waits while nobody publishes or returns anything: the most urgent
    /// comes first, without exception.
    pub(crate) fn quiet() -> Self {
        Self {
            quiet: true,
            ..Self::new()
        }
    }
}

/// What a subscription owes.
#[derive(Clone, Debug, Default)]
struct Shelf {
    /// Acks that were answered.
    settled: BTreeSet<u64>,
    /// Acks that were sent and not answered: they count, or they don't.
    doubtful: BTreeSet<u64>,
    /// Deliveries since the server started: number and attempt.
    seen: BTreeSet<(u64, u32)>,
    /// The last number of each key whose ack was answered, and the first session after that:
    /// an earlier one may still have an older version unread.
    settled_keys: BTreeMap<String, (u64, u64)>,
    groups: BTreeMap<String, Lane>,
}

/// A group of messages in a subscription, since the server started.
#[derive(Clone, Debug, Default)]
struct Lane {
    /// Stored, and neither held nor settled: nothing later may come before these.
    open: BTreeSet<u64>,
    /// Held, and by which session.
    held: BTreeMap<u64, u64>,
    /// Those that came.
    came: BTreeSet<u64>,
}

impl Lane {
    fn deliver(&mut self, number: u64, session: u64) -> Result<(), Breach> {
        if let Some((other, _)) = self.held.iter().find(|(_, holder)| **holder != session) {
            return Err(format!("another consumer holds {other} of its group"));
        }
        if let Some(earlier) = self.open.first().filter(|open| **open < number) {
            return Err(format!("came before {earlier} of its group"));
        }
        self.open.remove(&number);
        self.held.insert(number, session);
        self.came.insert(number);
        Ok(())
    }
}

impl Shelf {
    /// Neither settled nor perhaps so.
    fn is_open(&self, number: u64) -> bool {
        !self.settled.contains(&number) && !self.doubtful.contains(&number)
    }
}

/// Sums for the summary.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) confirmed: u64,
    pub(crate) delivered: u64,
    /// Deliveries of what the same subscription was delivered before.
    pub(crate) repeated: u64,
    pub(crate) settled: u64,
    pub(crate) dead: u64,
}

/// The ledger of one topic.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    pub(crate) kind: Kind,
    sent: Vec<Sent>,
    /// Numbers below this are of before the last restart, and forgotten.
    forgotten: u64,
    confirmed: BTreeSet<u64>,
    /// The only id that a number may have, from a confirmation or a delivery.
    ids: BTreeMap<u64, MessageId>,
    numbers: BTreeMap<MessageId, u64>,
    shelves: BTreeMap<&'static str, Shelf>,
    delivered_before: BTreeSet<(&'static str, u64)>,
    /// The server lets go of one connection after the other: what one consumer had may come to
    /// another before the first one knows.
    pub(crate) is_stopping: bool,
    /// Nacks that give up, and were answered.
    given_up: BTreeSet<u64>,
    /// Seen among the dead letters.
    dead: BTreeSet<u64>,
    pub(crate) sums: Sums,
}

impl Ledger {
    pub(crate) fn new(kind: Kind, subscriptions: &[&'static str]) -> Self {
        let shelves = subscriptions.iter().map(|name| (*name, Shelf::default()));
        Self {
            kind,
            sent: Vec::new(),
            forgotten: 0,
            confirmed: BTreeSet::new(),
            ids: BTreeMap::new(),
            numbers: BTreeMap::new(),
            shelves: shelves.collect(),
            delivered_before: BTreeSet::new(),
            is_stopping: false,
            given_up: BTreeSet::new(),
            dead: BTreeSet::new(),
            sums: Sums::default(),
        }
    }

    /// What a copy of the store owes, if it was asked for after `before` and was there before
    /// `after`: what was confirmed and settled before is so in it, all that came later may be.
    pub(crate) fn between(before: &Self, after: &Self) -> Self {
        let mut copy = after.clone();
        copy.confirmed.clone_from(&before.confirmed);
        copy.given_up.clone_from(&before.given_up);
        for (name, shelf) in &mut copy.shelves {
            let earlier = &before.shelves[name];
            let since = std::mem::replace(shelf, earlier.clone());
            shelf.doubtful.extend(since.settled);
            shelf.doubtful.extend(since.doubtful);
            shelf
                .doubtful
                .retain(|number| !earlier.settled.contains(number));
        }
        copy.restarted();
        copy
    }

    pub(crate) fn subscriptions(&self) -> Vec<&'static str> {
        self.shelves.keys().copied().collect()
    }

    /// A new message, about to be published; `pick` decides its priority and its key.
    pub(crate) fn send(&mut self, pick: u64) -> Sent {
        let delay_ms = pick.checked_rem(self.kind.delay_ms_max).unwrap_or_default();
        let sent = Sent {
            number: self.sent.len() as u64,
            priority: (pick % u64::from(self.kind.priorities)) as u8,
            key: pick
                .checked_rem(self.kind.keys)
                .map(|key| format!("key-{key}")),
            group: pick
                .checked_rem(self.kind.groups)
                .map(|group| format!("group-{group}")),
            delay_ms,
            due: Instant::now() + Duration::from_millis(delay_ms),
        };
        self.sent.push(sent.clone());
        sent
    }

    /// A publish was confirmed.
    pub(crate) fn confirmed(&mut self, number: u64, id: MessageId) -> Result<(), Breach> {
        self.identify(number, id)?;
        if self.confirmed.insert(number) {
            self.sums.confirmed += 1;
        }
        if let Some(group) = &self.sent[number as usize].group {
            for shelf in self.shelves.values_mut() {
                let open = shelf.is_open(number);
                let lane = shelf.groups.entry(group.clone()).or_default();
                if open && !lane.came.contains(&number) {
                    lane.open.insert(number);
                }
            }
        }
        Ok(())
    }

    /// A delivery came; its number.
    pub(crate) fn delivered(
        &mut self,
        subscription: &'static str,
        session: &mut Session,
        arrived: &Arrived,
    ) -> Result<u64, Breach> {
        let number = self.known(arrived)?;
        let what = format!("{number} ({}) to {subscription}", arrived.id);
        self.identify(number, arrived.id)?;
        let latest_wins = self.kind.latest_wins();
        let shelf = self.shelves.get_mut(subscription).unwrap();
        if shelf.settled.contains(&number) && !self.is_stopping {
            return Err(format!("{what}: delivered after its ack was answered"));
        }
        if !shelf.seen.insert((number, arrived.attempt)) {
            return Err(format!("{what}: attempt {} came twice", arrived.attempt));
        }
        shelf.doubtful.remove(&number);
        if self.dead.contains(&number) {
            return Err(format!("{what}: came back as a dead letter"));
        }
        if self.kind.dead_letter.is_some() && arrived.attempt > Kind::ATTEMPTS_MAX {
            return Err(format!("{what}: attempt {} came", arrived.attempt));
        }
        if self.sent[number as usize].due > Instant::now() {
            return Err(format!("{what}: came before its time"));
        }
        if let Some(group) = &arrived.group {
            let lane = shelf.groups.entry(group.clone()).or_default();
            let delivered = lane.deliver(number, session.id);
            let told = delivered.map_err(|breach| format!("{what}: {breach}"));
            told.or_else(|breach| {
                if self.is_stopping {
                    Ok(())
                } else {
                    Err(breach)
                }
            })?;
        }
        if latest_wins {
            let key = arrived.key.as_deref().unwrap_or_default();
            let settled = shelf.settled_keys.get(key);
            let settled = settled.filter(|(_, since)| session.id >= *since);
            let last = [session.numbers.get(key), settled.map(|(number, _)| number)];
            if let Some(later) = last.into_iter().flatten().find(|last| **last > number) {
                return Err(format!("{what}: came after {later}, which replaced it"));
            }
            session.numbers.insert(key.to_owned(), number);
        } else if self.kind.is_in_order() && arrived.attempt == 1 {
            let last = session
                .sequences
                .insert(arrived.priority, arrived.id.sequence);
            if let Some(last) = last.filter(|last| *last >= arrived.id.sequence) {
                return Err(format!("{what}: came after sequence {last}, out of order"));
            }
        }
        let place = (arrived.priority, arrived.id.sequence);
        let last = session.last.replace(place).filter(|_| session.quiet);
        // What came back holds up the rest of its group.
        let in_order = self.kind.is_in_order();
        if last.is_some_and(|last| last >= place) && in_order {
            return Err(format!("{what}: came after what is less urgent"));
        }
        self.sums.delivered += 1;
        if !self.delivered_before.insert((subscription, number)) {
            self.sums.repeated += 1;
        }
        Ok(number)
    }

    /// Deliveries are about to be settled for good: acked, or given up.
    pub(crate) fn settling(&mut self, subscription: &'static str, numbers: &[u64]) {
        let shelf = self.shelves.get_mut(subscription).unwrap();
        shelf.doubtful.extend(numbers);
        self.returning(subscription, numbers);
    }

    /// Deliveries are about to be let go, one way or another.
    pub(crate) fn returning(&mut self, subscription: &'static str, numbers: &[u64]) {
        let shelf = self.shelves.get_mut(subscription).unwrap();
        for number in numbers {
            for lane in shelf.groups.values_mut() {
                lane.held.remove(number);
            }
        }
    }

    /// A consumer is about to leave with everything that it holds.
    pub(crate) fn leaving(&mut self, subscription: &'static str, session: &Session) {
        let shelf = self.shelves.get_mut(subscription).unwrap();
        for lane in shelf.groups.values_mut() {
            let returned = lane.held.extract_if(.., |_, holder| *holder == session.id);
            lane.open.extend(returned.map(|(number, _)| number));
        }
    }

    /// Messages were given up, says an answer.
    pub(crate) fn given_up(&mut self, subscription: &'static str, numbers: &[u64]) {
        self.settled(subscription, numbers);
        self.given_up.extend(numbers);
    }

    /// A dead letter was found.
    pub(crate) fn died(&mut self, subscription: &'static str, payload: &str) -> Result<(), Breach> {
        let number = payload.split(' ').next().unwrap_or_default();
        let number: u64 = number
            .parse()
            .map_err(|_| format!("dead, and unknown: {payload:.40}"))?;
        let sent = self.sent.get(number as usize);
        if sent.is_none_or(|sent| sent.payload() != payload) {
            return Err(format!("dead, and never published: {payload:.40}"));
        }
        let shelf = self.shelves.get_mut(subscription).unwrap();
        if shelf.settled.contains(&number) && !self.given_up.contains(&number) {
            return Err(format!("{number}: dead, although its ack was answered"));
        }
        shelf.doubtful.remove(&number);
        match self.dead.insert(number) {
            true => Ok(()),
            false => Err(format!("{number}: dead twice")),
        }
    }

    /// All dead letters were found: those that were given up are among them.
    pub(crate) fn buried(&self) -> Result<(), Breach> {
        match self.given_up.difference(&self.dead).next() {
            None => Ok(()),
            Some(number) => Err(format!("{number}: given up, and no dead letter")),
        }
    }

    /// They were, says an answer.
    pub(crate) fn settled(&mut self, subscription: &'static str, numbers: &[u64]) {
        let shelf = self.shelves.get_mut(subscription).unwrap();
        for number in numbers {
            shelf.doubtful.remove(number);
            shelf.settled.insert(*number);
            if let Some(key) = &self.sent[*number as usize].key {
                let last = shelf.settled_keys.entry(key.clone()).or_default();
                *last = (*last).max((*number, SESSIONS.load(Ordering::Relaxed)));
            }
        }
        self.sums.settled += numbers.len() as u64;
    }

    /// The server was started again.
    pub(crate) fn restarted(&mut self) {
        self.is_stopping = false;
        for shelf in self.shelves.values_mut() {
            shelf.seen.clear();
            shelf.groups.clear();
            if self.kind.forgets() {
                *shelf = Shelf::default();
            }
        }
        for number in self.ids.keys() {
            let Some(group) = &self.sent[*number as usize].group else {
                continue;
            };
            for shelf in self.shelves.values_mut() {
                if self.confirmed.contains(number) && shelf.is_open(*number) {
                    let lane = shelf.groups.entry(group.clone()).or_default();
                    lane.open.insert(*number);
                }
            }
        }
        if self.kind.forgets() {
            self.forgotten = self.sent.len() as u64;
            self.confirmed.clear();
        }
    }

    /// How many messages a subscription may have, when nothing is in doubt but acks.
    pub(crate) fn waiting(&self, subscription: &'static str) -> (u64, u64) {
        let shelf = &self.shelves[subscription];
        let gone = |number: &u64| shelf.settled.contains(number) || self.dead.contains(number);
        let open = |number: &&u64| !self.is_forgotten(**number) && !gone(number);
        let most = self.ids.keys().filter(open).count() as u64;
        let doubtful = |number: &&u64| self.ids.contains_key(number);
        let doubtful = shelf.doubtful.iter().filter(doubtful).count() as u64;
        // Only an audit tells which of the unconfirmed are stored.
        let audited = self.shelves.contains_key("audit");
        let unknown = self.sent.len() as u64 - self.ids.len() as u64;
        match self.kind.latest_wins() {
            true => (0, self.kind.keys),
            false if audited => (most - doubtful, most),
            false => (most - doubtful, most + unknown),
        }
    }

    /// Everything that a subscription had was just delivered and settled: nothing may be missing.
    pub(crate) fn emptied(&self, subscription: &'static str) -> Result<(), Breach> {
        let shelf = &self.shelves[subscription];
        if self.kind.latest_wins() {
            return self.newest_are_settled(subscription, shelf);
        }
        let is_lost = |number: &&u64| shelf.is_open(**number) && !self.dead.contains(number);
        let lost: Vec<_> = self.confirmed.iter().filter(is_lost).collect();
        match lost.is_empty() {
            true => Ok(()),
            false => Err(format!("{subscription}: confirmed and lost: {lost:?}")),
        }
    }

    fn newest_are_settled(&self, subscription: &str, shelf: &Shelf) -> Result<(), Breach> {
        let mut newest = BTreeMap::new();
        for number in &self.confirmed {
            newest.insert(self.sent[*number as usize].key.as_deref(), *number);
        }
        for (key, number) in newest {
            let at_least =
                |other: &u64| *other >= number && self.sent[*other as usize].key.as_deref() == key;
            let mut settled = shelf.settled.range(number..);
            let mut doubtful = shelf.doubtful.range(number..);
            if !settled.any(at_least) && !doubtful.any(at_least) {
                return Err(format!(
                    "{subscription}: {number} was the latest of {key:?}, and is lost"
                ));
            }
        }
        Ok(())
    }

    /// The number of dead letters that were seen.
    pub(crate) fn dead(&self) -> u64 {
        self.dead.len() as u64
    }

    fn is_forgotten(&self, number: u64) -> bool {
        number < self.forgotten
    }

    /// The number of a message that came, if that is what was sent.
    fn known(&self, arrived: &Arrived) -> Result<u64, Breach> {
        let number = arrived.payload.split(' ').next().unwrap_or_default();
        let invented = || {
            format!(
                "{}: was never published: {:.40}",
                arrived.id, arrived.payload
            )
        };
        let number: u64 = number.parse().map_err(|_| invented())?;
        let sent = self.sent.get(number as usize).ok_or_else(invented)?;
        if self.is_forgotten(number) {
            return Err(format!("{number}: came back from memory after a restart"));
        }
        let same = sent.payload() == arrived.payload
            && sent.priority == arrived.priority
            && (&sent.key, &sent.group) == (&arrived.key, &arrived.group);
        match same {
            true => Ok(number),
            false => Err(format!("{number} ({}): changed on its way", arrived.id)),
        }
    }

    fn identify(&mut self, number: u64, id: MessageId) -> Result<(), Breach> {
        let first = *self.ids.entry(number).or_insert(id);
        if first != id {
            return Err(format!("{number}: stored twice, as {first} and {id}"));
        }
        let owner = *self.numbers.entry(id).or_insert(number);
        if owner != number {
            return Err(format!("{id}: given to {owner} and to {number}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Kind = Kind {
        topic: "t",
        durability: "commit",
        priorities: 2,
        keys: 0,
        groups: 0,
        delay_ms_max: 0,
        dead_letter: None,
    };

    fn id(sequence: u64) -> MessageId {
        MessageId { topic: 1, sequence }
    }

    /// A ledger in which these picks were published and confirmed, with sequences from 1.
    fn after(kind: Kind, picks: &[u64]) -> Ledger {
        let mut ledger = Ledger::new(kind, &["s"]);
        for (pick, sequence) in picks.iter().zip(1..) {
            let sent = ledger.send(*pick);
            ledger.confirmed(sent.number, id(sequence)).unwrap();
        }
        ledger
    }

    fn arrived(ledger: &Ledger, number: u64, attempt: u32) -> Arrived {
        let sent = &ledger.sent[number as usize];
        Arrived {
            id: id(number + 1),
            payload: sent.payload(),
            priority: sent.priority,
            key: sent.key.clone(),
            group: sent.group.clone(),
            attempt,
        }
    }

    /// Delivers these numbers and attempts to one consumer; the last one's verdict.
    fn deliver(ledger: &mut Ledger, deliveries: &[(u64, u32)]) -> Result<u64, Breach> {
        let mut session = Session::new();
        let mut last = Ok(0);
        for (number, attempt) in deliveries {
            last.as_ref().expect("only the last one breaks a rule");
            let arrived = arrived(ledger, *number, *attempt);
            last = ledger.delivered("s", &mut session, &arrived);
        }
        last
    }

    #[track_caller]
    fn broken<T: std::fmt::Debug>(verdict: Result<T, Breach>, says: &str) {
        let breach = verdict.unwrap_err();
        assert!(breach.contains(says), "{says:?}: {breach}");
    }

    #[test]
    fn what_a_topic_may_do_breaks_no_rule() {
        let mut ledger = after(PLAIN, &[0, 0, 1, 0]);
        // By priority, then a return, then another start of the server.
        deliver(&mut ledger, &[(0, 1), (2, 1), (1, 1), (0, 2)]).unwrap();
        ledger.settling("s", &[0, 1]);
        ledger.settled("s", &[0]);
        ledger.restarted();
        assert_eq!(ledger.waiting("s"), (2, 3));
        deliver(&mut ledger, &[(1, 1), (3, 1), (2, 1)]).unwrap();
        assert_eq!(ledger.waiting("s"), (3, 3));
        ledger.settled("s", &[1, 2, 3]);
        ledger.emptied("s").unwrap();
        assert_eq!((ledger.sums.delivered, ledger.sums.repeated), (7, 3));
    }

    #[test]
    fn each_rule_is_seen_to_be_broken() {
        let three = || after(PLAIN, &[0, 0, 0]);
        let mut ledger = three();
        broken(ledger.confirmed(0, id(9)), "stored twice");
        broken(ledger.confirmed(7, id(1)), "given to 0 and to 7");

        let mut ledger = three();
        ledger.settled("s", &[1]);
        broken(deliver(&mut ledger, &[(0, 1), (1, 1)]), "after its ack");
        broken(deliver(&mut three(), &[(1, 1), (0, 1)]), "out of order");
        broken(deliver(&mut three(), &[(0, 1), (0, 1)]), "came twice");

        let mut ledger = after(PLAIN, &[1, 0]);
        let mut session = Session::quiet();
        let (first, second) = (arrived(&ledger, 0, 1), arrived(&ledger, 1, 1));
        ledger.delivered("s", &mut session, &first).unwrap();
        let verdict = ledger.delivered("s", &mut session, &second);
        broken(verdict, "less urgent");

        let mut ledger = three();
        let mut changed = arrived(&ledger, 1, 1);
        changed.payload.push('x');
        let verdict = ledger.delivered("s", &mut Session::new(), &changed);
        broken(verdict, "changed on its way");
        changed.payload = "3 ".to_owned();
        let verdict = ledger.delivered("s", &mut Session::new(), &changed);
        broken(verdict, "never published");

        ledger.settled("s", &[0]);
        ledger.settling("s", &[1]);
        broken(ledger.emptied("s"), "lost: [2]");
    }

    #[test]
    fn the_latest_of_a_key_wins() {
        let kind = Kind { keys: 2, ..PLAIN };
        let mut ledger = after(kind, &[0, 1, 0, 0]);
        deliver(&mut ledger, &[(0, 1), (1, 1), (2, 1)]).unwrap();
        let mut slow = Session::new();
        ledger.settled("s", &[1, 2]);
        let unread = arrived(&ledger, 0, 3);
        ledger.delivered("s", &mut slow, &unread).unwrap();
        broken(ledger.emptied("s"), "3 was the latest of Some(\"key-0\")");
        broken(deliver(&mut ledger, &[(0, 2)]), "came after 2");
        deliver(&mut ledger, &[(3, 1)]).unwrap();
        ledger.settled("s", &[3]);
        ledger.emptied("s").unwrap();
        let mut ledger = after(kind, &[0, 0]);
        broken(deliver(&mut ledger, &[(1, 1), (0, 1)]), "came after 1");
    }

    #[test]
    fn a_copy_owes_what_was_settled_before_it_was_asked_for() {
        let mut ledger = after(PLAIN, &[0, 0, 0, 0]);
        ledger.settled("s", &[0]);
        ledger.settling("s", &[1]);
        let before = ledger.clone();
        ledger.settled("s", &[1, 2]);
        let sent = ledger.send(0);
        ledger.confirmed(sent.number, id(5)).unwrap();

        let copy = || Ledger::between(&before, &ledger);
        let mut whole = copy();
        deliver(&mut whole, &[(3, 1)]).unwrap();
        whole.settled("s", &[3]);
        whole.emptied("s").unwrap();
        deliver(&mut copy(), &[(1, 1), (2, 1), (3, 1), (4, 1)]).unwrap();
        broken(deliver(&mut copy(), &[(0, 1)]), "after its ack");
        broken(copy().emptied("s"), "lost: [3]");
    }

    #[test]
    fn a_group_is_held_by_one_and_comes_in_order() {
        let kind = Kind { groups: 1, ..PLAIN };
        let three = || after(kind, &[0, 0, 0]);
        broken(deliver(&mut three(), &[(1, 1)]), "came before 0");
        let mut ledger = three();
        let mut first = Session::new();
        let come = |ledger: &mut Ledger, session: &mut Session, number, attempt| {
            let arrived = arrived(ledger, number, attempt);
            ledger.delivered("s", session, &arrived)
        };
        come(&mut ledger, &mut first, 0, 1).unwrap();
        let verdict = come(&mut ledger.clone(), &mut Session::new(), 1, 1);
        broken(verdict, "another consumer holds 0");
        ledger.leaving("s", &first);
        let verdict = come(&mut ledger.clone(), &mut Session::new(), 1, 1);
        broken(verdict, "came before 0");
        let mut second = Session::new();
        come(&mut ledger, &mut second, 0, 2).unwrap();
        ledger.settling("s", &[0]);
        come(&mut ledger, &mut Session::new(), 1, 1).unwrap();
        ledger.restarted();
        come(&mut ledger, &mut Session::new(), 1, 1).unwrap();
    }

    #[test]
    fn dead_letters_are_buried_once() {
        let kind = Kind {
            dead_letter: Some("d"),
            ..PLAIN
        };
        let payload = |ledger: &Ledger, number: usize| ledger.sent[number].payload();
        let mut ledger = after(kind, &[0, 0, 0]);
        broken(deliver(&mut ledger.clone(), &[(0, 4)]), "attempt 4 came");
        ledger.given_up("s", &[0]);
        ledger.settled("s", &[1]);
        broken(ledger.buried(), "0: given up");
        let texts: Vec<_> = (0..3).map(|number| payload(&ledger, number)).collect();
        ledger.died("s", &texts[0]).unwrap();
        ledger.buried().unwrap();
        broken(ledger.died("s", &texts[0]), "dead twice");
        broken(ledger.died("s", &texts[1]), "although its ack");
        broken(ledger.died("s", "9 "), "never published");
        ledger.died("s", &texts[2]).unwrap();
        ledger.emptied("s").unwrap();
        broken(deliver(&mut ledger, &[(2, 1)]), "as a dead letter");
    }

    #[test]
    fn nothing_comes_before_its_time() {
        let kind = Kind {
            delay_ms_max: 1 << 30,
            ..PLAIN
        };
        let mut ledger = after(kind, &[100_000, 0]);
        deliver(&mut ledger, &[(1, 1)]).unwrap();
        broken(deliver(&mut ledger, &[(0, 1)]), "before its time");
    }

    #[test]
    fn what_was_in_memory_is_gone_after_a_restart() {
        let kind = Kind {
            durability: "memory",
            ..PLAIN
        };
        let mut ledger = after(kind, &[0, 0]);
        deliver(&mut ledger, &[(0, 1)]).unwrap();
        ledger.restarted();
        assert_eq!(ledger.waiting("s"), (0, 0));
        ledger.emptied("s").unwrap();
        broken(deliver(&mut ledger, &[(1, 1)]), "came back from memory");
        let sent = ledger.send(0);
        broken(ledger.confirmed(sent.number, id(2)), "given to 1 and to 2");
    }
}
