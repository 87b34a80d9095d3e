//! A topic as DESIGN.md §4 describes it, written down with vectors and scans: no indexes, no
//! laziness, nothing clever. Times are in seconds.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "a module of one test binary, written like a crate of its own"
)]

mod bounds;

pub use bounds::Bound;
use trunkline_model::Dedupe;

/// What a message is in one subscription.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    Waiting,
    /// Not available before this is past.
    Delayed(u64),
    Held {
        consumer: usize,
        tag: u64,
        deadline: Option<u64>,
        order: u64,
    },
    /// Given up, and the dead letter not stored: why and when.
    Left(&'static str, u64),
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub sequence: u64,
    pub key: Option<u8>,
    pub group: Option<u8>,
    pub priority: u8,
    pub bytes: u64,
    pub expires: Option<u64>,
    pub lane: u8,
    pub position: u64,
    pub attempts: u32,
    /// When a delivery first failed.
    pub failed: Option<u64>,
    pub state: State,
}

#[derive(Clone, Debug)]
pub struct Subscription {
    /// 0 keeps messages while there is no other.
    pub number: usize,
    pub bound: Bound,
    pub entries: Vec<Entry>,
    pub served: u64,
}

#[derive(Clone, Debug)]
pub struct Source {
    pub subscription: usize,
    pub served: u64,
    pub parked: bool,
    pub filling: bool,
}

#[derive(Clone, Debug)]
pub struct Consumer {
    pub id: usize,
    pub sources: Vec<Source>,
    pub credit: u64,
    pub window: u64,
    pub in_window: u64,
    pub auto_ack: bool,
    pub last_tag: u64,
}

#[derive(Clone, Debug)]
pub struct Message {
    pub key: Option<u8>,
    pub group: Option<u8>,
    pub priority: u8,
    pub bytes: u64,
    pub expires: Option<u64>,
    pub deliver: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub consumer: usize,
    pub tag: u64,
    pub sequence: u64,
    pub attempt: u32,
}

/// What becomes of messages that fail.
#[derive(Clone, Copy, Debug, Default)]
pub struct Failing {
    /// 0 for any number.
    pub max_attempts: u32,
    /// Whether there is a topic for dead letters.
    pub dead_letter: bool,
    /// Whether it takes expired messages.
    pub expired: bool,
    /// Wait after the first failure, which doubles up to the second number; 0 for none.
    pub retry: (u64, u64),
}

impl Failing {
    fn wait(&self, attempts: u32) -> u64 {
        (self.retry.0 << (attempts - 1).min(9)).min(self.retry.1)
    }
}

/// A dead letter as its headers tell it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Letter {
    pub sequence: u64,
    /// Number of the subscription.
    pub from: usize,
    pub reason: String,
    pub attempts: u32,
    pub first: u64,
    pub last: u64,
}

#[derive(Clone, Debug)]
pub struct Model {
    pub failing: Failing,
    /// Stored for good.
    pub letters: Vec<Letter>,
    pub dedupe: Dedupe,
    pub batch: bool,
    pub ack_timeout: u64,
    pub now: u64,
    pub next_sequence: u64,
    pub subscriptions: Vec<Subscription>,
    pub consumers: Vec<Consumer>,
    pub bound: Bound,
    /// With `dedupe: first`: keys, when they were stored, as which message.
    pub seen: Vec<(u8, u64, u64)>,
    stamp: u64,
}

/// How long `dedupe: first` remembers a key, in seconds.
pub const DEDUPE_WINDOW: u64 = 5;

impl Model {
    pub fn new(dedupe: Dedupe, batch: bool, ack_timeout: u64, failing: Failing) -> Self {
        Self {
            failing,
            letters: Vec::new(),
            dedupe,
            seen: Vec::new(),
            bound: Bound::default(),
            batch,
            ack_timeout,
            now: 0,
            next_sequence: 1,
            subscriptions: Vec::new(),
            consumers: Vec::new(),
            stamp: 0,
        }
    }

    fn stamp(&mut self) -> u64 {
        self.stamp += 1;
        self.stamp
    }

    fn expired(&self, entry: &Entry) -> bool {
        entry.expires.is_some_and(|at| at < self.now)
    }

    /// The consumer can take more than before.
    fn gain(&mut self, consumer: usize) {
        if let Some(consumer) = self.consumers.iter_mut().find(|c| c.id == consumer) {
            consumer.sources.iter_mut().for_each(|s| s.parked = false);
        }
    }

    /// Takes messages out of all subscriptions in which they don't leave; forgets their
    /// deliveries.
    fn remove_everywhere(&mut self, which: impl Fn(&Entry) -> bool) {
        let which = |entry: &Entry| !matches!(entry.state, State::Left(..)) && which(entry);
        let mut gained = Vec::new();
        for subscription in &mut self.subscriptions {
            subscription.entries.retain(|entry| {
                if let (true, State::Held { consumer, .. }) = (which(entry), entry.state) {
                    gained.push(consumer);
                }
                !which(entry)
            });
        }
        gained.into_iter().for_each(|consumer| self.gain(consumer));
    }

    /// A message's time is over: it is gone, or leaves for the dead letters.
    fn expire(&mut self, which: impl Fn(&Entry) -> bool) {
        let now = self.now;
        if !(self.failing.dead_letter && self.failing.expired) {
            return self.remove_everywhere(which);
        }
        let mut gained = Vec::new();
        for entry in self.subscriptions.iter_mut().flat_map(|s| &mut s.entries) {
            if matches!(entry.state, State::Left(..)) || !which(entry) {
                continue;
            }
            if let State::Held { consumer, .. } = entry.state {
                gained.push(consumer);
            }
            entry.state = State::Left("expired", now);
        }
        gained.into_iter().for_each(|consumer| self.gain(consumer));
    }

    /// A delivery fails: its message waits, at once or after a time, or is given up.
    fn fail(&mut self, s: usize, e: usize, wait: Option<u64>) {
        let (now, failing) = (self.now, self.failing);
        let entry = &mut self.subscriptions[s].entries[e];
        if failing.max_attempts > 0 && entry.attempts >= failing.max_attempts {
            return self.give_up(s, e, "max-attempts");
        }
        if failing.dead_letter {
            entry.failed.get_or_insert(now);
        }
        let wait = wait.unwrap_or_else(|| failing.wait(entry.attempts));
        let held = std::mem::replace(
            &mut entry.state,
            match wait {
                0 => State::Waiting,
                wait => State::Delayed(now + wait),
            },
        );
        if let State::Held { consumer, .. } = held {
            self.gain(consumer);
        }
    }

    fn give_up(&mut self, s: usize, e: usize, reason: &'static str) {
        let state = self.subscriptions[s].entries[e].state;
        if self.failing.dead_letter {
            self.subscriptions[s].entries[e].state = State::Left(reason, self.now);
        } else {
            self.subscriptions[s].entries.remove(e);
        }
        if let State::Held { consumer, .. } = state {
            self.gain(consumer);
        }
    }

    /// Fails everything that is held by somebody of those.
    fn fail_all(&mut self, whose: impl Fn(usize) -> bool) -> u64 {
        let mut failed = 0;
        for s in 0..self.subscriptions.len() {
            let held = |entry: &Entry| match entry.state {
                State::Held { consumer, .. } => whose(consumer),
                _ => false,
            };
            while let Some(e) = self.subscriptions[s].entries.iter().position(held) {
                self.fail(s, e, Some(0));
                failed += 1;
            }
        }
        failed
    }

    /// Stores the dead letters of all that leaves.
    pub fn bury(&mut self) {
        for subscription in &mut self.subscriptions {
            for entry in &subscription.entries {
                if let State::Left(reason, at) = entry.state {
                    self.letters.push(Letter {
                        sequence: entry.sequence,
                        from: subscription.number,
                        reason: reason.into(),
                        attempts: entry.attempts,
                        first: entry.failed.unwrap_or(at),
                        last: at,
                    });
                }
            }
            let leaves = |entry: &Entry| matches!(entry.state, State::Left(..));
            subscription.entries.retain(|entry| !leaves(entry));
        }
    }

    pub fn stored(&self) -> Vec<u64> {
        let entries = self.subscriptions.iter().flat_map(|s| &s.entries);
        let mut sequences: Vec<_> = entries.map(|entry| entry.sequence).collect();
        sequences.sort_unstable();
        sequences.dedup();
        sequences
    }

    /// The message that one repeats, if it does.
    fn repeated(&self, message: &Message) -> Option<u64> {
        let key = message.key.filter(|_| self.dedupe == Dedupe::First)?;
        let since = self.now.saturating_sub(DEDUPE_WINDOW);
        let same = |(k, at, _): &&(u8, u64, u64)| *k == key && *at >= since;
        self.seen.iter().find(same).map(|(_, _, first)| *first)
    }

    /// Stores a message, unless it repeats one; the sequence of whichever is stored.
    pub fn publish(&mut self, message: &Message) -> u64 {
        if let Some(first) = self.repeated(message) {
            return first;
        }
        if let (Dedupe::First, Some(key)) = (self.dedupe, message.key) {
            self.seen.push((key, self.now, self.next_sequence));
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        if self.subscriptions.is_empty() {
            let served = self.stamp();
            self.subscriptions.push(Subscription {
                number: 0,
                bound: Bound::default(),
                entries: Vec::new(),
                served,
            });
        }
        let key = message.key.filter(|_| self.dedupe == Dedupe::Latest);
        let same = |entry: &Entry| key.is_some() && entry.key == key;
        let (now, mut kept) = (self.now, Vec::new());
        let expired = |entry: &Entry| entry.expires.is_some_and(|at| at < now);
        if key.is_some() {
            self.expire(|entry| entry.key == key && expired(entry));
        }
        for subscription in &self.subscriptions {
            let stays = |e: &&Entry| same(e) && !matches!(e.state, State::Left(..));
            let older = subscription.entries.iter().find(stays);
            let queued = older.filter(|e| !matches!(e.state, State::Held { .. }));
            let place = queued.filter(|entry| entry.lane <= message.priority);
            kept.push(place.map(|entry| (entry.lane, entry.position)));
        }
        self.remove_everywhere(same);
        for (subscription, kept) in self.subscriptions.iter_mut().zip(kept) {
            let (lane, position) = kept.unwrap_or((message.priority, sequence));
            subscription.entries.push(Entry {
                sequence,
                key,
                group: message.group,
                priority: message.priority,
                bytes: message.bytes,
                expires: message.expires,
                lane,
                position,
                attempts: 0,
                failed: None,
                state: message.deliver.map_or(State::Waiting, State::Delayed),
            });
        }
        self.drop_oldest();
        sequence
    }

    /// The subscription and place in it of what a consumer still holds under a tag.
    fn held(&self, id: usize, tag: u64) -> Option<(usize, usize)> {
        for (s, subscription) in self.subscriptions.iter().enumerate() {
            for (e, entry) in subscription.entries.iter().enumerate() {
                if let State::Held {
                    consumer,
                    tag: held,
                    deadline,
                    ..
                } = entry.state
                {
                    let in_time = deadline.is_none_or(|at| at >= self.now);
                    if (consumer, held) == (id, tag) && in_time && !self.expired(entry) {
                        return Some((s, e));
                    }
                }
            }
        }
        None
    }

    /// Acks; how many counted.
    pub fn ack(&mut self, consumer: usize, tags: &[u64]) -> u64 {
        let mut acked = 0;
        for tag in tags {
            if let Some((s, e)) = self.held(consumer, *tag) {
                self.subscriptions[s].entries.remove(e);
                self.gain(consumer);
                acked += 1;
            }
        }
        acked
    }

    pub fn requeue(&mut self, consumer: usize, tags: &[u64], delay: u64) -> u64 {
        let mut returned = 0;
        for tag in tags {
            if let Some((s, e)) = self.held(consumer, *tag) {
                self.fail(s, e, (delay > 0).then_some(delay));
                returned += 1;
            }
        }
        returned
    }

    pub fn reject(&mut self, consumer: usize, tags: &[u64]) -> u64 {
        let mut rejected = 0;
        for tag in tags {
            if let Some((s, e)) = self.held(consumer, *tag) {
                self.give_up(s, e, "rejected");
                rejected += 1;
            }
        }
        rejected
    }

    pub fn extend(&mut self, consumer: usize, tags: &[u64], by: u64) -> u64 {
        let mut extended = 0;
        for tag in tags {
            if let Some((s, e)) = self.held(consumer, *tag) {
                let until = self.now + by;
                let state = &mut self.subscriptions[s].entries[e].state;
                if let State::Held { deadline, .. } = state {
                    *deadline = deadline.map(|_| until);
                }
                extended += 1;
            }
        }
        extended
    }

    pub fn tick(&mut self) {
        let now = self.now;
        // What is due first happens first; expiry before a time-out at the same time.
        for s in 0..self.subscriptions.len() {
            let due = |entry: &Entry| match entry.state {
                State::Held {
                    deadline: Some(deadline),
                    ..
                } => deadline < now && entry.expires.is_none_or(|at| deadline < at),
                _ => false,
            };
            while let Some(e) = self.subscriptions[s].entries.iter().position(due) {
                self.fail(s, e, None);
            }
        }
        self.expire(|entry| entry.expires.is_some_and(|at| at < now));
        for entry in self.subscriptions.iter_mut().flat_map(|s| &mut s.entries) {
            if matches!(entry.state, State::Delayed(until) if until < now) {
                entry.state = State::Waiting;
            }
        }
    }

    pub fn attach(
        &mut self,
        id: usize,
        numbers: &[usize],
        credit: u64,
        window: u64,
        auto_ack: bool,
    ) {
        for number in numbers {
            self.subscribe(*number);
        }
        let mut sources = Vec::new();
        for number in numbers {
            sources.push(Source {
                subscription: *number,
                served: self.stamp(),
                parked: false,
                filling: false,
            });
        }
        self.consumers.push(Consumer {
            id,
            sources,
            credit,
            window,
            in_window: 0,
            auto_ack,
            last_tag: 0,
        });
    }

    /// Ends a consumer; how many deliveries returned.
    pub fn detach(&mut self, id: usize) -> u64 {
        let returned = self.fail_all(|consumer| consumer == id);
        self.consumers.retain(|consumer| consumer.id != id);
        returned
    }

    pub fn credit(&mut self, id: usize, credit: u64) {
        if let Some(consumer) = self.consumers.iter_mut().find(|c| c.id == id) {
            consumer.credit = credit;
        }
        self.gain(id);
    }

    pub fn taken(&mut self, id: usize, bytes: u64) {
        if let Some(consumer) = self.consumers.iter_mut().find(|c| c.id == id) {
            consumer.in_window = consumer.in_window.saturating_sub(bytes);
        }
        self.gain(id);
    }

    /// Makes a subscription. The first one gets what is kept, later ones what is new.
    pub fn subscribe(&mut self, number: usize) {
        if self.subscriptions.iter().any(|s| s.number == number) {
            return;
        }
        let kept = self.subscriptions.iter().position(|s| s.number == 0);
        let kept = kept.map(|index| self.subscriptions.remove(index).entries);
        let served = self.stamp();
        self.subscriptions.push(Subscription {
            number,
            bound: Bound::default(),
            entries: kept.unwrap_or_default(),
            served,
        });
    }

    /// Removes a subscription and ends its consumers; how many messages it had.
    pub fn unsubscribe(&mut self, number: usize) -> u64 {
        let ended: Vec<usize> = self
            .consumers
            .iter()
            .filter(|c| c.sources.iter().any(|s| s.subscription == number))
            .map(|c| c.id)
            .collect();
        for id in ended {
            self.detach(id);
        }
        let index = self.subscriptions.iter().position(|s| s.number == number);
        index.map_or(0, |index| {
            self.subscriptions.remove(index).entries.len() as u64
        })
    }

    /// Everything but what is in flight, or on its way to the dead letters, is gone from a
    /// subscription.
    pub fn purge(&mut self, number: usize) {
        if let Some(subscription) = self.subscriptions.iter_mut().find(|s| s.number == number) {
            let stays = |entry: &Entry| matches!(entry.state, State::Held { .. } | State::Left(..));
            subscription.entries.retain(stays);
        }
    }

    /// A restart: consumers are gone, deliveries return, what is over is over.
    pub fn restart(&mut self) {
        self.fail_all(|_| true);
        self.consumers.clear();
        // Whose turn it was is forgotten: subscriptions take turns by age again.
        for index in 0..self.subscriptions.len() {
            self.subscriptions[index].served = self.stamp();
        }
        self.tick();
    }

    /// What a subscription would be sent, in that order.
    pub fn waiting(&self, number: usize) -> Vec<u64> {
        let subscription = self.subscriptions.iter().find(|s| s.number == number);
        let entries = subscription.map_or(&[][..], |s| &s.entries);
        let waiting = entries.iter().filter(|e| e.state == State::Waiting);
        let mut places: Vec<_> = waiting
            .filter(|entry| !self.expired(entry))
            .map(|entry| (entry.lane, entry.position, entry.sequence))
            .collect();
        places.sort_unstable();
        places.into_iter().map(|place| place.2).collect()
    }

    /// What a subscription was sent and has not settled, in the order of sending.
    pub fn in_flight(&self, number: usize) -> Vec<(u64, u32)> {
        let subscription = self.subscriptions.iter().find(|s| s.number == number);
        let mut held = Vec::new();
        for entry in subscription.map_or(&[][..], |s| &s.entries) {
            if let State::Held { order, .. } = entry.state {
                held.push((order, entry.sequence, entry.attempts));
            }
        }
        held.sort_unstable();
        held.into_iter()
            .map(|(_, sequence, attempts)| (sequence, attempts))
            .collect()
    }

    /// Deliveries, one after the other, until none is possible.
    pub fn pump(&mut self) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        while let Some(delivery) = self.deliver_one() {
            deliveries.push(delivery);
        }
        for source in self.consumers.iter_mut().flat_map(|c| &mut c.sources) {
            source.filling = false;
        }
        deliveries
    }

    fn staying(&self) -> usize {
        let entries = self.subscriptions.iter().flat_map(|s| &s.entries);
        entries
            .filter(|entry| !matches!(entry.state, State::Left(..)))
            .count()
    }

    /// The subscription served least recently comes first.
    fn deliver_one(&mut self) -> Option<Delivery> {
        let mut order: Vec<_> = self
            .subscriptions
            .iter()
            .map(|s| (s.served, s.number))
            .collect();
        order.sort_unstable();
        for (_, number) in order {
            let before = self.staying();
            if let Some(delivery) = self.deliver_from(number) {
                return Some(delivery);
            }
            if self.staying() < before {
                // What expired may have let somebody take more elsewhere: begin again.
                return self.deliver_one();
            }
        }
        None
    }

    /// Within a subscription, the consumer served least recently comes first; one that can't
    /// take what is there waits until it gains something.
    fn deliver_from(&mut self, number: usize) -> Option<Delivery> {
        loop {
            self.next_ready(number)?;
            let (front, id) = self.front(number)?;
            if self.can_take(id, number, front.bytes) {
                return Some(self.hand_over(id, number, &front));
            }
            self.source(id, number).parked = true;
        }
    }

    fn next_ready(&self, number: usize) -> Option<usize> {
        let ready = |c: &Consumer| {
            let source = c.sources.iter().find(|s| s.subscription == number);
            source.filter(|s| !s.parked).map(|s| (s.served, c.id))
        };
        self.consumers
            .iter()
            .filter_map(ready)
            .min()
            .map(|next| next.1)
    }

    /// The first waiting message that somebody may take who is ready, and who that is; an
    /// expired one that is found on the way is gone.
    fn front(&mut self, number: usize) -> Option<(Entry, usize)> {
        loop {
            let (front, id) = self.available(number)?;
            if !self.expired(&front) {
                return Some((front, id));
            }
            self.expire(|entry| entry.sequence == front.sequence);
        }
    }

    /// Of a group, only its first waiting message; not behind one that came back or is
    /// delayed; and only for who holds others of it.
    fn available(&self, number: usize) -> Option<(Entry, usize)> {
        let subscription = self.subscriptions.iter().find(|s| s.number == number)?;
        let place = |entry: &Entry| (entry.lane, entry.position);
        let mut waiting: Vec<&Entry> = subscription
            .entries
            .iter()
            .filter(|e| e.state == State::Waiting)
            .collect();
        waiting.sort_unstable_by_key(|entry| place(entry));
        let mut passed = Vec::new();
        for entry in waiting {
            let Some(group) = entry.group else {
                return Some((entry.clone(), self.next_ready(number)?));
            };
            if passed.contains(&group) {
                continue;
            }
            passed.push(group);
            let others = || {
                subscription
                    .entries
                    .iter()
                    .filter(|e| e.group == Some(group))
            };
            let is_blocked = others().any(|other| {
                let blocks = match other.state {
                    State::Waiting | State::Left(..) => false,
                    State::Delayed(_) => true,
                    State::Held { .. } => other.attempts > 1,
                };
                blocks && place(other) < place(entry)
            });
            let holder = others().find_map(|other| match other.state {
                State::Held { consumer, .. } => Some(consumer),
                _ => None,
            });
            match holder {
                _ if is_blocked => {}
                None => return Some((entry.clone(), self.next_ready(number)?)),
                Some(holder) if self.is_ready(holder, number) => {
                    return Some((entry.clone(), holder));
                }
                Some(_) => {}
            }
        }
        None
    }

    fn is_ready(&self, id: usize, number: usize) -> bool {
        let consumer = self.consumers.iter().find(|consumer| consumer.id == id);
        let mut sources = consumer.into_iter().flat_map(|c| &c.sources);
        sources.any(|source| source.subscription == number && !source.parked)
    }

    fn source(&mut self, id: usize, number: usize) -> &mut Source {
        let consumer = self.consumers.iter_mut().find(|c| c.id == id).unwrap();
        let mut sources = consumer.sources.iter_mut();
        sources.find(|s| s.subscription == number).unwrap()
    }

    fn can_take(&mut self, id: usize, number: usize, bytes: u64) -> bool {
        let held = |s: &Subscription| {
            let held =
                |e: &&Entry| matches!(e.state, State::Held { consumer, .. } if consumer == id);
            s.entries.iter().filter(held).count() as u64
        };
        let all: u64 = self.subscriptions.iter().map(held).sum();
        let here: u64 = self
            .subscriptions
            .iter()
            .filter(|s| s.number == number)
            .map(held)
            .sum();
        let filling = self.source(id, number).filling;
        let consumer = self.consumers.iter().find(|c| c.id == id).unwrap();
        let credit = if consumer.auto_ack {
            consumer.credit > 0
        } else {
            all < consumer.credit
        };
        let window =
            consumer.in_window == 0 || consumer.in_window + weight(bytes) <= consumer.window;
        credit && window && (!self.batch || here == 0 || filling)
    }

    fn hand_over(&mut self, id: usize, number: usize, front: &Entry) -> Delivery {
        let stamp = self.stamp();
        let (now, ack_timeout) = (self.now, self.ack_timeout);
        let source = self.source(id, number);
        source.served = stamp;
        source.filling = true;
        let consumer = self.consumers.iter_mut().find(|c| c.id == id).unwrap();
        consumer.last_tag += 1;
        consumer.in_window += weight(front.bytes);
        let (tag, auto_ack) = (consumer.last_tag, consumer.auto_ack);
        let subscription = self
            .subscriptions
            .iter_mut()
            .find(|s| s.number == number)
            .unwrap();
        subscription.served = stamp;
        let index = subscription
            .entries
            .iter()
            .position(|e| e.sequence == front.sequence);
        let entry = &mut subscription.entries[index.unwrap()];
        entry.attempts += 1;
        let attempt = entry.attempts;
        entry.state = State::Held {
            consumer: id,
            tag,
            deadline: (ack_timeout > 0).then_some(now + ack_timeout),
            order: stamp,
        };
        if auto_ack {
            subscription.entries.remove(index.unwrap());
        }
        Delivery {
            consumer: id,
            tag,
            sequence: front.sequence,
            attempt,
        }
    }
}

/// What a delivery takes of a window.
fn weight(payload_bytes: u64) -> u64 {
    payload_bytes + 256
}
