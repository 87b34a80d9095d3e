//! The task of a multiplexer for a cluster: hears its shards, and does what [`Homes`] says.

use super::super::listener::Listener;
use super::super::multiplexer::{Shared, Wanted};
use super::super::task::dispatch;
use super::asking::ask_map;
use super::shards::Shards;
use super::{ClusterAddress, ShardedOptions};
use crate::book::SubscriptionId;
use crate::cluster::{Homes, LaneId, Pace, SlotMap, Step};
use crate::core::Happening;
use crate::shell::{ChannelSubscription, Event, Multiplexer, QueueOptions};
use crate::{Kind, LinkError, Node};
use bytes::Bytes;
use futures_util::future::FutureExt;
use futures_util::stream::{BoxStream, SelectAll, StreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::watch;

/// Most events of shards that are taken before changes are looked at.
const EVENTS_AT_A_TIME: usize = 256;
/// Most changes that are taken before events are.
const CHANGES_AT_A_TIME: usize = 1_000;

type Asking = Pin<Box<dyn Future<Output = Result<SlotMap, LinkError>> + Send>>;

pub(super) async fn run(
    shared: Arc<Shared>,
    shards: Arc<Shards>,
    address: ClusterAddress,
    options: ShardedOptions,
) {
    let mut wanted = shared.wanted.subscribe();
    loop {
        let want = *wanted.borrow_and_update();
        shared.stopped.send_replace(want != Wanted::Run);
        match want {
            Wanted::Run => {
                let mut spreading = Spreading::new(&shared, &shards, &address, options);
                spreading.run(&mut wanted).await;
                spreading.stop().await;
            }
            Wanted::Stop => {
                if wanted.changed().await.is_err() {
                    return;
                }
            }
            Wanted::End => return,
        }
    }
}

/// One run, from a start to a stop.
struct Spreading<'s> {
    shared: &'s Shared,
    shards: &'s Shards,
    address: &'s ClusterAddress,
    options: ShardedOptions,
    homes: Homes,
    lanes: BTreeMap<LaneId, Lane>,
    news: SelectAll<BoxStream<'static, (LaneId, Event)>>,
    asking: Option<Asking>,
    /// How often the map was asked for: somebody else is the first each time.
    asked: usize,
    /// Nobody has answered the last time, and that was said.
    unanswered: bool,
    /// The loss of each node that was told last, and to whom: a node may have several lanes.
    told: BTreeMap<Node, (Arc<LinkError>, BTreeSet<SubscriptionId>)>,
    happenings: Vec<Happening<Arc<Listener>>>,
    gathering: Vec<Arc<Listener>>,
}

/// Names on the multiplexer of a node.
struct Lane {
    node: Node,
    names: ChannelSubscription,
}

impl<'s> Spreading<'s> {
    fn new(
        shared: &'s Shared,
        shards: &'s Shards,
        address: &'s ClusterAddress,
        options: ShardedOptions,
    ) -> Self {
        let pace = Pace {
            backoff: options.multiplexer.backoff,
            pause: options.map_pause,
            age_max: options.map_age_max,
        };
        Self {
            shared,
            shards,
            address,
            options,
            homes: Homes::new(pace),
            lanes: BTreeMap::new(),
            news: SelectAll::new(),
            asking: None,
            asked: 0,
            unanswered: false,
            told: BTreeMap::new(),
            happenings: Vec::new(),
            gathering: Vec::new(),
        }
    }

    async fn run(&mut self, wanted: &mut watch::Receiver<Wanted>) {
        self.shared.core().book.spread();
        loop {
            self.turn();
            dispatch(self.shared, &mut self.happenings, &mut self.gathering).await;
            let due = self.homes.due().map(|due| self.shared.instant(due));
            tokio::select! {
                biased;
                _ = wanted.wait_for(|want| *want != Wanted::Run) => return,
                map = answer(&mut self.asking), if self.asking.is_some() => self.take_map(map),
                Some((lane, event)) = self.news.next(), if !self.news.is_empty() => {
                    self.hear(lane, event);
                }
                () = self.shared.work.notified() => {}
                () = at(due), if due.is_some() => {}
            }
        }
    }

    /// Looks at what subscriptions want now, and does what follows from all that has happened.
    fn turn(&mut self) {
        let now = self.shared.now();
        {
            let mut core = self.shared.core();
            core.late_activations(&mut self.happenings);
            for _ in 0..CHANGES_AT_A_TIME {
                match core.book.next_change() {
                    Some((name, true)) => self.homes.want(now, &name),
                    Some((name, false)) => self.homes.unwant(now, &name),
                    None => break,
                }
            }
            if core.book.has_changes() {
                self.shared.work.notify_one();
            }
        }
        self.homes.on_time(now);
        self.do_steps();
        let (moves, unsettled) = (self.homes.moves(), self.homes.unsettled());
        self.shards.note(moves, unsettled);
    }

    /// Does what is to be done, names of one lane together.
    fn do_steps(&mut self) {
        let steps = self.homes.take_steps();
        if steps.is_empty() {
            return;
        }
        let mut together: Option<(LaneId, bool, Vec<Bytes>)> = None;
        for step in steps {
            let (lane, wanted, name) = match step {
                Step::Add { lane, name } => (lane, true, name),
                Step::Remove { lane, name } => (lane, false, name),
                other => {
                    self.change(together.take());
                    match other {
                        Step::Open { lane, node } => self.open(lane, node),
                        Step::Close { lane } => drop(self.lanes.remove(&lane)),
                        _ => self.ask(),
                    }
                    continue;
                }
            };
            match &mut together {
                Some((of, is, names)) if (*of, *is) == (lane, wanted) => names.push(name),
                _ => {
                    self.change(together.take());
                    together = Some((lane, wanted, vec![name]));
                }
            }
        }
        self.change(together);
        let lanes = &self.lanes;
        self.shards
            .keep(|node| lanes.values().any(|lane| lane.node == *node));
        self.told
            .retain(|node, _| lanes.values().any(|lane| lane.node == *node));
    }

    fn change(&self, names: Option<(LaneId, bool, Vec<Bytes>)>) {
        let Some((lane, wanted, names)) = names else {
            return;
        };
        let Some(lane) = self.lanes.get(&lane) else {
            return;
        };
        // It is open as long as it is known, and names were checked when they came.
        let _ = if wanted {
            lane.names.add(names)
        } else {
            lane.names.remove(names)
        };
    }

    fn open(&mut self, lane: LaneId, node: Node) {
        let make = || Multiplexer::new(self.address.node(&node), self.options.multiplexer);
        let shard = self.shards.at(&node, make);
        let (names, events) = shard.shards_stream(QueueOptions::default());
        self.news
            .push(events.map(move |event| (lane, event)).boxed());
        self.lanes.insert(lane, Lane { node, names });
    }

    /// Begins to ask who owns what, those that own something before those that were named at the start.
    fn ask(&mut self) {
        let mut nodes = self.homes.nodes().to_vec();
        let seeds = self.address.seeds().iter();
        nodes.extend(
            seeds
                .filter(|seed| !self.homes.nodes().contains(seed))
                .cloned(),
        );
        let first = self.asked % nodes.len().max(1);
        nodes.rotate_left(first);
        self.asked += 1;
        let (address, timeout) = (self.address.clone(), self.options.map_timeout);
        self.asking = Some(Box::pin(ask_map(address, nodes, timeout)));
    }

    fn take_map(&mut self, map: Result<SlotMap, LinkError>) {
        self.asking = None;
        let (now, random) = (self.shared.now(), random());
        match map {
            Ok(map) => {
                self.shards.counting.maps.add(1);
                self.unanswered = false;
                for name in self.homes.map(now, random, map) {
                    self.withdraw(&name);
                }
            }
            Err(error) => {
                self.shards.counting.map_failures.add(1);
                if !std::mem::replace(&mut self.unanswered, true) {
                    tracing::warn!(cluster = %self.address, %error, "no node says who owns the slots of the Redis cluster; asking on");
                }
                self.homes.no_map(now, random);
            }
        }
    }

    /// Takes news of shards: these, and what else is there.
    fn hear(&mut self, lane: LaneId, event: Event) {
        let mut next = Some((lane, event));
        for _ in 0..EVENTS_AT_A_TIME {
            let Some((lane, event)) = next else {
                break;
            };
            self.take(lane, event);
            next = self.news.next().now_or_never().flatten();
        }
        if let Some((lane, event)) = next {
            self.take(lane, event);
        }
    }

    fn take(&mut self, lane: LaneId, event: Event) {
        let now = self.shared.now();
        match event {
            Event::Message { channel, payload } => {
                if self.homes.is_home(lane, &channel)
                    && let Some(to) = self.shared.core().book.listeners(Kind::Shard, &channel)
                {
                    self.happenings.push(Happening::Message {
                        to,
                        channel,
                        payload,
                    });
                }
            }
            Event::Active { name, .. } => {
                if self.homes.active(now, lane, &name)
                    && let Some((to, since)) = self.shared.core().book.hear(&name)
                {
                    self.happenings.push(Happening::Active {
                        to,
                        name,
                        gap: since.map(|since| now.since(since)),
                    });
                }
            }
            Event::Withdrawn { name } => {
                if self.homes.withdrawn(now, lane, &name) {
                    self.withdraw(&name);
                }
            }
            Event::Refused { name, reason } => {
                let reason = reason.into_bytes();
                if self.homes.refused(now, random(), lane, &name, &reason)
                    && let Some(to) = self.shared.core().book.give_up(now, &name)
                {
                    self.happenings.push(Happening::Refused {
                        to,
                        name,
                        reason: reason.into(),
                    });
                }
            }
            Event::Lost { error } => self.lose(lane, error),
            // A queue that waits drops nothing.
            Event::Dropped(_) => {}
        }
    }

    /// Tells who heard a name that it is away.
    fn withdraw(&mut self, name: &Bytes) {
        let now = self.shared.now();
        let mut core = self.shared.core();
        // Who has come to a name that was heard is told that before it is away.
        core.late_activations(&mut self.happenings);
        let Some(to) = core.book.silence(now, name) else {
            return;
        };
        drop(core);
        self.shards.counting.withdrawn.add(1);
        self.happenings.push(Happening::Withdrawn {
            to,
            name: name.clone(),
        });
    }

    /// Tells who heard something over a connection that it is lost, once each.
    fn lose(&mut self, lane: LaneId, error: Arc<LinkError>) {
        let now = self.shared.now();
        let Some(node) = self.homes.node_of(lane).cloned() else {
            return;
        };
        let mut concerned = BTreeMap::new();
        let names = self.homes.lost(now, lane);
        let mut core = self.shared.core();
        core.late_activations(&mut self.happenings);
        for name in names {
            for listener in core
                .book
                .silence(now, &name)
                .iter()
                .flat_map(|to| to.iter())
            {
                if let Some(id) = listener.subscription() {
                    concerned.insert(id, listener.clone());
                }
            }
        }
        drop(core);
        let new = || (error.clone(), BTreeSet::new());
        let told = self.told.entry(node).or_insert_with(new);
        if !Arc::ptr_eq(&told.0, &error) {
            *told = new();
        }
        concerned.retain(|id, _| told.1.insert(*id));
        if !concerned.is_empty() {
            let to = concerned.into_values().collect();
            self.happenings.push(Happening::Lost { to, error });
        }
    }

    /// Ends all shards, and hands out what they had read.
    async fn stop(mut self) {
        for shard in self.shards.all() {
            // Nobody else stops one.
            let _ = shard.stop().await;
        }
        while let Some((lane, event)) = self.news.next().now_or_never().flatten() {
            self.take(lane, event);
        }
        dispatch(self.shared, &mut self.happenings, &mut self.gathering).await;
        self.lanes.clear();
        self.shards.keep(|_| false);
        self.shards.note(self.homes.moves(), 0);
        self.shared.core().disconnect(self.shared.now());
    }
}

async fn answer(asking: &mut Option<Asking>) -> Result<SlotMap, LinkError> {
    match asking {
        Some(asking) => asking.await,
        None => std::future::pending().await,
    }
}

async fn at(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn random() -> u64 {
    RandomState::new().hash_one(())
}
