//! Random histories of a topic, in Redis and in the state machine of the embedded engine: every answer,
//! every count and every place is the same in both.

use super::dice::{Dice, altered, own_settings, settings};
use super::mirror::{self, Mirror};
use super::world::{World, options};
use crate::topics::script::{
    Batched, Change, Done, Hold, Incoming, Peek, Reason, Refusal, Settled, Step,
};
use compact_str::CompactString;
use std::collections::BTreeMap;
use std::time::Duration;
use trunkline_model::{
    Admin, Batch, Command, ConsumerId, ErrorCode, Message, MessageState, Outcome, PeekFrom,
    Priority, Receipt, StartFrom, SubscriptionName, When,
};

/// A delivery by its names on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    hold: Hold,
    tag: u64,
}

struct Consumer {
    process: &'static str,
    subscription: SubscriptionName,
    held: Vec<Held>,
    /// Those that were settled or forgotten.
    gone: Vec<Held>,
}

struct History {
    dice: Dice,
    world: World,
    mirror: Mirror,
    consumers: BTreeMap<u64, Consumer>,
    next_consumer: u64,
    log: Vec<String>,
}

const PROCESSES: [&str; 2] = ["p0", "p1"];

impl History {
    fn new(seed: u64) -> Option<Self> {
        let mut dice = Dice::new(seed);
        let settings = settings(&mut dice);
        let mut world = World::without_topic(&[])?;
        // As the state machine counts.
        let Done::Defined { .. } = world.done(Step::Define {
            number: 1,
            options: options(&settings),
        }) else {
            panic!("it is new")
        };
        let mirror = Mirror::new(
            world.now(),
            serde_json::from_str(&settings).expect("settings"),
        );
        let mut history = Self {
            dice,
            world,
            mirror,
            consumers: BTreeMap::new(),
            next_consumer: 1,
            log: vec![format!("seed {seed}: {settings}")],
        };
        history.advance(Duration::from_micros(7));
        Some(history)
    }

    fn note(&mut self, what: String) {
        self.log.push(what);
    }

    /// Time passes on both sides, and stops wherever something happens.
    fn advance(&mut self, span: Duration) {
        let end = self.world.now().after(span);
        while let Some(due) = self.mirror.core.next_deadline().filter(|due| *due <= end) {
            self.at(due);
        }
        self.at(end);
    }

    fn at(&mut self, now: trunkline_model::Timestamp) {
        self.world.script.clock = Some(now);
        self.mirror.now = now;
        self.mirror.tick();
        self.settle();
    }

    /// What nobody asked for: forgotten deliveries, and dead letters.
    fn settle(&mut self) {
        for process in PROCESSES {
            let reply = self.world.ask_as(process, &[]);
            let due = self.mirror.core.next_deadline();
            let asked = reply
                .next_due
                .is_some_and(|asked| due.is_none_or(|due| asked <= due));
            assert!(
                asked || due.is_none(),
                "{:?} is too late for {due:?}",
                reply.next_due
            );
            for forgotten in reply.forgotten {
                let consumer = self.consumers.get_mut(&forgotten.consumer);
                let consumer = consumer.expect("it is attached");
                assert_eq!(consumer.process, process);
                let held = &mut consumer.held;
                let found = held.iter().position(|held| held.hold == forgotten.hold);
                let held = held.remove(found.expect("it was held"));
                assert!(
                    !self.mirror.stands(forgotten.consumer, held.tag),
                    "{held:?}"
                );
                consumer.gone.push(held);
            }
        }
        for (consumer, state) in &self.consumers {
            for held in &state.held {
                assert!(
                    self.mirror.stands(*consumer, held.tag),
                    "{held:?} was not forgotten"
                );
            }
        }
        self.bury();
    }

    fn bury(&mut self) {
        let taken = self.world.done(Step::TakeOutbox { limit: 1_000 });
        let Done::Letters(letters) = taken else {
            panic!("{taken:?}")
        };
        let mut told: Vec<String> = letters
            .iter()
            .map(|letter| {
                let name = letter.name.as_ref().map_or("-", |name| name.as_str());
                let reason = match letter.reason {
                    Reason::Expired => "expired",
                    Reason::Rejected => "rejected",
                    Reason::Exhausted => "max-attempts",
                };
                let (sequence, attempts) = (letter.message.sequence, letter.attempts);
                let (first, last) = (letter.failed_at, letter.at);
                format!("1-{sequence} {name} {reason} {attempts} {first} {last}")
            })
            .collect();
        told.sort();
        assert_eq!(told, self.mirror.bury());
        let entries = letters.iter().map(|letter| Settled {
            entry: letter.entry,
            buried: true,
        });
        let entries: Vec<_> = entries.collect();
        let count = entries.len() as u64;
        if count > 0 {
            let settled = self.world.done(Step::SettleOutbox { entries });
            assert_eq!(settled, Done::Settled(count));
        }
    }

    fn message(&mut self) -> (Incoming, Message) {
        let dice = &mut self.dice;
        let payload = mirror::payload(dice.roll(20) as usize);
        let text = |prefix: &str, number: u64| CompactString::from(format!("{prefix}{number}"));
        let message = Message {
            key: dice.some(2, |dice| text("k", dice.roll(3))),
            group: dice.some(2, |dice| text("g", dice.roll(3))),
            publish_id: dice.some(4, |dice| text("i", dice.roll(4))),
            priority: dice.some(2, |dice| Priority(dice.roll(4) as u8)),
            expires: dice.some(4, |dice| When::After(dice.span())),
            deliver: dice.some(4, |dice| When::After(dice.span())),
            payload: payload.clone(),
            ..Message::default()
        };
        let incoming = Incoming {
            publish_id: message.publish_id.clone(),
            key: message.key.clone(),
            group: message.group.clone(),
            priority: message.priority,
            jms_priority: None,
            expires: message.expires,
            deliver: message.deliver,
            payload_bytes: payload.len() as u32,
            body: payload,
        };
        (incoming, message)
    }

    fn consumer(&mut self) -> Option<u64> {
        let ids: Vec<u64> = self.consumers.keys().copied().collect();
        (!ids.is_empty()).then(|| *self.dice.pick(&ids))
    }

    /// Some of what a consumer holds, and now and then what it doesn't hold any more.
    fn some_held(&mut self, consumer: u64) -> Vec<Held> {
        let state = &self.consumers[&consumer];
        let mut chosen: Vec<Held> = Vec::new();
        for held in state.held.clone() {
            if self.dice.one_in(2) {
                chosen.push(held);
            }
        }
        if self.dice.one_in(5)
            && let Some(gone) = self.consumers[&consumer].gone.last()
        {
            chosen.push(*gone);
        }
        chosen
    }

    fn verdict(&mut self, consumer: u64) -> (Change, Command, Vec<Held>) {
        let chosen = self.some_held(consumer);
        let holds: Vec<Hold> = chosen.iter().map(|held| held.hold).collect();
        let tags: Vec<u64> = chosen.iter().map(|held| held.tag).collect();
        let tags = mirror::tags(&tags).collect();
        let id = ConsumerId(consumer);
        let (change, command, stays) = match self.dice.roll(6) {
            0 => {
                let by = self.dice.span();
                let change = Change::Extend {
                    consumer,
                    holds,
                    by,
                };
                let command = Command::Extend {
                    consumer: id,
                    tags,
                    by,
                };
                (change, command, true)
            }
            roll @ (1 | 2) => {
                let requeue = roll == 1;
                let delay = self.dice.some(3, Dice::span).unwrap_or_default();
                let change = Change::Nack {
                    consumer,
                    holds,
                    requeue,
                    delay,
                };
                let command = Command::Nack {
                    consumer: id,
                    tags,
                    requeue,
                    delay,
                };
                (change, command, false)
            }
            _ => {
                let change = Change::Ack { consumer, holds };
                let command = Command::Ack { consumer: id, tags };
                (change, command, false)
            }
        };
        (change, command, if stays { Vec::new() } else { chosen })
    }

    fn batch(&mut self, publishes: u64, verdicts: u64) {
        let strict = self.dice.one_in(4);
        let (mut changes, mut commands, mut settled) = (Vec::new(), Vec::new(), Vec::new());
        let consumer = self.consumer();
        for _ in 0..verdicts {
            if let Some(consumer) = consumer {
                let (change, command, gone) = self.verdict(consumer);
                changes.push(change);
                commands.push(command);
                settled.extend(gone);
            }
        }
        for _ in 0..publishes {
            let (message, mirrored) = self.message();
            let if_subscribed = self.dice.one_in(6);
            changes.push(Change::Publish {
                if_subscribed,
                message,
            });
            commands.push(mirror::publishing(vec![mirrored], if_subscribed));
        }
        self.note(format!("strict {strict}: {changes:?}"));
        let process = consumer.map_or(PROCESSES[0], |consumer| self.consumers[&consumer].process);
        let step = Step::Batch {
            strict,
            commands: changes,
        };
        let done = self.world.try_as(process, step);
        let forgotten = self.world.last.clone().expect("it was asked").forgotten;
        let commands = commands.into();
        let mirrored = self.mirror.submit(Batch { commands, strict });
        match (&done, &mirrored) {
            (Ok(Done::Batch(batched)), Ok(receipt)) => same(batched, receipt),
            (Err(refusal), Err(error)) => assert_eq!(code(refusal), error.code(), "{refusal:?}"),
            _ => panic!("{done:?} but {mirrored:?}"),
        }
        if done.is_ok()
            && let Some(consumer) = consumer
        {
            let state = self.consumers.get_mut(&consumer).expect("it is there");
            for held in settled {
                if let Some(found) = state.held.iter().position(|other| *other == held) {
                    state.gone.push(state.held.remove(found));
                }
            }
        }
        self.forget(forgotten);
    }

    fn forget(&mut self, forgotten: Vec<crate::topics::script::Forgotten>) {
        for forgotten in forgotten {
            let consumer = self
                .consumers
                .get_mut(&forgotten.consumer)
                .expect("attached");
            let found = consumer
                .held
                .iter()
                .position(|held| held.hold == forgotten.hold);
            let held = consumer.held.remove(found.expect("it was held"));
            assert!(
                !self.mirror.stands(forgotten.consumer, held.tag),
                "{held:?}"
            );
            consumer.gone.push(held);
        }
    }

    fn take(&mut self, consumer: u64, count: u32) {
        let state = &self.consumers[&consumer];
        let (process, name) = (state.process, state.subscription.clone());
        let held = state.held.len() as u32;
        self.note(format!("take {count} by {consumer} of {name}"));
        let taken = self.world.take_as(
            process,
            Step::Take {
                consumer,
                subscription: name,
                count,
                bytes: u64::MAX,
                at_least_one: true,
                auto_ack: false,
            },
        );
        let forgotten = self.world.last.clone().expect("it was asked").forgotten;
        let mirrored = self.mirror.take(consumer, held, count);
        let told = taken.iter().map(|t| (t.hold.sequence, t.attempt));
        let expected = mirrored
            .iter()
            .map(|(_, sequence, attempt)| (*sequence, *attempt));
        assert_eq!(told.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        let held = taken.iter().zip(&mirrored).map(|(taken, (tag, ..))| Held {
            hold: taken.hold,
            tag: *tag,
        });
        let held: Vec<Held> = held.collect();
        let state = self.consumers.get_mut(&consumer).expect("it is there");
        state.held.extend(held);
        self.forget(forgotten);
    }

    fn attach(&mut self, name: &str) {
        let (consumer, process) = (self.next_consumer, *self.dice.pick(&PROCESSES));
        self.next_consumer += 1;
        let subscription: SubscriptionName = name.parse().expect("a name");
        self.note(format!("attach {consumer} of {process} to {name}"));
        let step = super::world::attach(consumer, name);
        let done = self
            .world
            .try_as(process, step)
            .expect("nothing is against it");
        let consuming = self.mirror.attach(consumer, &subscription);
        let Done::Attached {
            created, released, ..
        } = done
        else {
            panic!("{done:?}")
        };
        assert_eq!(
            (u32::from(created), released),
            (consuming.created, consuming.released)
        );
        let consumer_state = Consumer {
            process,
            subscription,
            held: Vec::new(),
            gone: Vec::new(),
        };
        self.consumers.insert(consumer, consumer_state);
    }

    fn detach(&mut self, consumer: u64) {
        self.note(format!("detach {consumer}"));
        let state = self.consumers.remove(&consumer).expect("it is there");
        let done = self.world.try_as(state.process, Step::Detach { consumer });
        let returned = self.mirror.detach(consumer);
        assert_eq!(done, Ok(Done::Detached { returned }));
    }

    fn subscribe(&mut self, name: &str) {
        let from = *self
            .dice
            .pick(&[None, Some(StartFrom::All), Some(StartFrom::New)]);
        let settings = own_settings(&mut self.dice);
        self.note(format!("subscribe {name} {from:?} {settings:?}"));
        let subscription: SubscriptionName = name.parse().expect("a name");
        let done = self.world.done(Step::Subscribe {
            subscription: subscription.clone(),
            from,
            settings: settings.clone(),
            after: None,
        });
        let Done::Subscribed {
            created, released, ..
        } = done
        else {
            panic!("{done:?}")
        };
        if created {
            let mirrored = self.mirror.subscribe(&subscription, from, settings);
            assert_eq!((created, released), mirrored);
        }
    }

    fn unsubscribe(&mut self, name: &str) {
        let holds =
            |state: &Consumer| state.subscription.as_str() == name && !state.held.is_empty();
        if self.consumers.values().any(holds) {
            return;
        }
        self.note(format!("unsubscribe {name}"));
        let subscription: SubscriptionName = name.parse().expect("a name");
        let done = self.world.try_one(Step::Unsubscribe {
            subscription: subscription.clone(),
            below: None,
        });
        let mirrored = self.mirror.manage(Admin::Unsubscribe {
            topic: "t".parse().expect("a name"),
            subscription: subscription.clone(),
        });
        match (&done, &mirrored) {
            (
                Ok(Done::Removed {
                    messages,
                    more: None,
                }),
                Ok(Outcome::Removed { messages: other }),
            ) => {
                assert_eq!(messages, other);
            }
            (Err(Refusal::NoSubscription), Err(_)) => {}
            _ => panic!("{done:?} but {mirrored:?}"),
        }
        let mut ended: Vec<u64> = Vec::new();
        for process in PROCESSES {
            let reply = self.world.ask_as(process, &[]);
            ended.extend(reply.ended.iter().map(|ended| ended.consumer));
        }
        ended.sort_unstable();
        let mut expected = std::mem::take(&mut self.mirror.ended);
        expected.sort_unstable();
        assert_eq!(ended, expected);
        self.consumers
            .retain(|_, state| state.subscription != subscription);
    }

    fn purge(&mut self, name: Option<&str>) {
        self.note(format!("purge {name:?}"));
        let subscription: Option<SubscriptionName> = name.map(|name| name.parse().expect("a name"));
        let done = self.world.try_one(Step::Purge {
            subscription: subscription.clone(),
            below: None,
        });
        let mirrored = self.mirror.manage(Admin::Purge {
            topic: "t".parse().expect("a name"),
            subscription,
        });
        match (&done, &mirrored) {
            (
                Ok(Done::Removed {
                    messages,
                    more: None,
                }),
                Ok(Outcome::Removed { messages: other }),
            ) => {
                assert_eq!(messages, other);
            }
            (Err(Refusal::NoSubscription), Err(_)) => {}
            _ => panic!("{done:?} but {mirrored:?}"),
        }
    }

    fn alter(&mut self) {
        let settings = altered(&mut self.dice);
        self.note(format!("alter {settings:?}"));
        let altered = self.mirror.manage(Admin::Alter {
            topic: "t".parse().expect("a name"),
            settings,
            clear: Vec::new(),
        });
        let Ok(Outcome::Altered(_)) = altered else {
            panic!("{altered:?}")
        };
        let (version, expected) = (self.world.inspect().version, self.mirror.info());
        let options = expected.options.clone();
        let done = self.world.done(Step::Alter {
            version,
            options,
            after: None,
        });
        let counts = Done::Altered {
            messages: expected.messages,
            bytes: expected.bytes,
            more: None,
        };
        assert_eq!(done, counts);
        assert_eq!(self.world.inspect().options, expected.options);
    }

    fn alter_subscription(&mut self, name: &str) {
        let mut settings = own_settings(&mut self.dice);
        settings.max_attempts = None;
        let subscription: SubscriptionName = name.parse().expect("a name");
        self.note(format!("alter {name} {settings:?}"));
        let altered = self.mirror.manage(Admin::AlterSubscription {
            topic: "t".parse().expect("a name"),
            subscription: subscription.clone(),
            settings: settings.clone(),
            clear: Vec::new(),
        });
        if altered.is_err() {
            return;
        }
        let is = self.world.inspect();
        let found = is
            .subscriptions
            .into_iter()
            .find(|s| s.name == subscription);
        let done = self.world.done(Step::AlterSubscription {
            version: is.version,
            subscription,
            settings: found.expect("it is there").settings.with(&settings),
            after: None,
        });
        assert!(matches!(done, Done::Altered { .. }));
    }

    fn look(
        &mut self,
        subscription: Option<SubscriptionName>,
    ) -> Vec<(u64, Option<MessageState>, u32)> {
        let (mut from, mut seen) = (PeekFrom::Front, Vec::new());
        loop {
            let step = Step::Peek(Peek {
                subscription: subscription.clone(),
                from,
                id: None,
                since: None,
                until: None,
                state: None,
                limit: 3,
                passed_max: 1_000,
                bytes_max: 1_000,
            });
            let Done::Peeked { messages, next } = self.world.done(step) else {
                panic!("a look")
            };
            let told = messages.iter();
            seen.extend(told.map(|seen| (seen.message.sequence, seen.state, seen.attempts)));
            match next {
                Some(next) => from = PeekFrom::After(next),
                None => return seen,
            }
        }
    }

    fn compare(&mut self) {
        let (is, expected) = (self.world.inspect(), self.mirror.info());
        let counts = |messages, bytes, oldest| (messages, bytes, oldest);
        assert_eq!(
            counts(is.messages, is.bytes, is.oldest_at),
            counts(expected.messages, expected.bytes, expected.oldest_at)
        );
        assert_eq!(
            [
                is.published,
                is.expired,
                is.dropped,
                is.replaced,
                is.duplicates,
                is.dead
            ],
            [
                expected.published,
                expected.expired,
                expected.dropped,
                expected.replaced,
                expected.duplicates,
                expected.dead
            ]
        );
        assert_eq!(is.subscriptions.len(), expected.subscriptions.len());
        for (is, expected) in is.subscriptions.iter().zip(&expected.subscriptions) {
            assert_eq!(is.name, expected.name);
            assert_eq!(
                [
                    is.waiting,
                    is.delayed,
                    is.in_flight,
                    is.consumers.into(),
                    is.acked,
                    is.redelivered,
                    is.late,
                    is.dead
                ],
                [
                    expected.waiting,
                    expected.delayed,
                    expected.in_flight,
                    expected.consumers.into(),
                    expected.acked,
                    expected.redelivered,
                    expected.late,
                    expected.dead
                ],
                "{}",
                is.name
            );
            assert_eq!(is.by_priority, expected.by_priority);
            let seen = self.look(Some(is.name.clone()));
            assert_eq!(seen, self.mirror.look(Some(&is.name)), "{}", is.name);
        }
        assert_eq!(self.look(None), self.mirror.look(None));
    }

    fn step(&mut self) {
        let name = *self.dice.pick(&["s", "t"]);
        match self.dice.roll(26) {
            0..6 => {
                let count = self.dice.roll(3) + 1;
                self.batch(count, 0);
            }
            6..12 => {
                if let Some(consumer) = self.consumer() {
                    let count = self.dice.roll(4) as u32 + 1;
                    self.take(consumer, count);
                }
            }
            12..16 => {
                let count = self.dice.roll(3) + 1;
                self.batch(0, count);
            }
            16 => self.batch(1, 1),
            17 => {
                if self.consumers.len() < 4 {
                    self.attach(name);
                }
            }
            18 => {
                if let Some(consumer) = self.consumer() {
                    self.detach(consumer);
                }
            }
            19 => self.subscribe(name),
            20 => {
                if self.dice.one_in(3) {
                    self.unsubscribe(name);
                }
            }
            21 => {
                if self.dice.one_in(3) {
                    let whole = self.dice.one_in(2);
                    self.purge((!whole).then_some(name));
                }
            }
            22 if self.dice.one_in(3) => self.alter(),
            23 if self.dice.one_in(3) => self.alter_subscription(name),
            _ => {
                let span = self.dice.span();
                self.note(format!("wait {span:?}"));
                self.advance(span);
            }
        }
        let micros = self.dice.roll(9) + 1;
        self.advance(Duration::from_micros(micros));
        self.compare();
    }

    /// Everything is taken and acknowledged: nothing of any message is left.
    fn finish(&mut self) {
        for name in ["s", "t"] {
            self.subscribe(name);
            self.attach(name);
        }
        self.advance(Duration::from_secs(60));
        let mut rounds = 0;
        while self.world.inspect().messages > 0 {
            rounds += 1;
            assert!(rounds < 100, "it never ends");
            let ids: Vec<u64> = self.consumers.keys().copied().collect();
            for consumer in ids {
                self.take(consumer, 100);
                let state = self.consumers.get_mut(&consumer).expect("it is there");
                let held = std::mem::take(&mut state.held);
                let holds = held.iter().map(|held| held.hold).collect();
                let tags: Vec<u64> = held.iter().map(|held| held.tag).collect();
                let tags = mirror::tags(&tags).collect();
                let process = self.consumers[&consumer].process;
                let change = Change::Ack { consumer, holds };
                let done = self.world.try_as(process, super::world::one(change));
                assert!(done.is_ok());
                let id = ConsumerId(consumer);
                let acked = self
                    .mirror
                    .submit(Batch::of(Command::Ack { consumer: id, tags }));
                assert!(acked.is_ok());
            }
            self.advance(Duration::from_secs(10));
        }
        self.compare();
        let keys = self.world.keys();
        let stays = |key: &String| {
            let always = ["a", "c", "def", "l", "u", "ut", "v", "vt"];
            let own = key.starts_with("p:") || key.starts_with("z:");
            always.contains(&key.as_str()) || own || key.ends_with(":c") || key.ends_with(":y")
        };
        assert!(keys.iter().all(stays), "{keys:?}");
        assert!(matches!(
            self.world.done(Step::Delete),
            Done::Removed { .. }
        ));
        let keys = self.world.keys();
        assert!(keys.iter().all(|key| key.starts_with("z:")), "{keys:?}");
    }
}

fn same(batched: &Batched, receipt: &Receipt) {
    let ids: Vec<u64> = batched.ids.iter().copied().filter(|id| *id > 0).collect();
    let mirrored: Vec<u64> = receipt.ids.iter().map(|id| id.sequence).collect();
    assert_eq!(ids, mirrored);
    assert_eq!(batched.durability, receipt.durability);
    assert_eq!(
        [
            batched.acked,
            batched.nacked,
            batched.extended,
            batched.skipped
        ],
        [
            receipt.acked,
            receipt.nacked,
            receipt.extended,
            receipt.skipped
        ]
    );
}

fn code(refusal: &Refusal) -> ErrorCode {
    match refusal {
        Refusal::Full { .. } | Refusal::SubscriptionFull { .. } => ErrorCode::Overloaded,
        Refusal::NobodySubscribes => ErrorCode::NotFound,
        Refusal::NotHeld { .. } => ErrorCode::Conflict,
        Refusal::BadPriority { .. } | Refusal::DelayedBeyond { .. } => ErrorCode::InvalidParams,
        other => panic!("{other:?}"),
    }
}

/// Prints what led to a failure.
struct Told<'a>(&'a mut History);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let from = self.0.log.len().saturating_sub(25);
            eprintln!("{}\n…\n{}", self.0.log[0], self.0.log[from..].join("\n"));
        }
    }
}

/// `TRUNKLINE_SEEDS=1-500` says which histories; each is the same every time.
#[test]
fn redis_and_the_state_machine_do_the_same() {
    let seeds = std::env::var("TRUNKLINE_SEEDS").unwrap_or_else(|_| "1-6".to_owned());
    let (first, last) = seeds.split_once('-').expect("a range");
    for seed in first.parse().expect("a number")..=last.parse().expect("a number") {
        let Some(mut history) = History::new(seed) else {
            return;
        };
        let told = Told(&mut history);
        for _ in 0..150 {
            told.0.step();
        }
        told.0.finish();
    }
}
