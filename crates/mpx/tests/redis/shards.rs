//! Shard channels of a real cluster.

use crate::setup::{next, some, soon, text, until};
use futures_util::StreamExt;
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::block_in_place;
use trunkline_mpx::{
    ChannelSubscription, Event, Events, QueueOptions, ShardedMultiplexer, ShardedOptions, slot_of,
};
use trunkline_test_servers::{RedisCluster, Reply, ask};

/// A cluster and a multiplexer on it.
struct On {
    cluster: RedisCluster,
    mpx: ShardedMultiplexer,
}

/// `None` where there is no Redis to test with; that was said then.
fn three_masters() -> Option<On> {
    let cluster = block_in_place(RedisCluster::start)?;
    Some(on(cluster))
}

fn on(cluster: RedisCluster) -> On {
    let mpx = ShardedMultiplexer::open(&cluster.url()).expect("a URL");
    On { cluster, mpx }
}

impl On {
    fn stream(&self, names: &[&str]) -> (ChannelSubscription, Events) {
        let (subscription, events) = self.mpx.shards_stream(QueueOptions::default());
        let names = names.iter().map(|name| (*name).to_owned());
        subscription.add(names).unwrap();
        (subscription, events)
    }

    fn owner(&self, name: &str) -> usize {
        block_in_place(|| self.cluster.owner(slot_of(name.as_bytes())))
    }

    /// A name on this node.
    fn name_at(&self, place: usize) -> String {
        let names = (0..1_000).map(|n| format!("name:{n}"));
        let mut there = names.filter(|name| self.owner(name) == place);
        there.next().expect("there are many names")
    }

    fn spublish(&self, name: &str, payload: &str) {
        let node = self.cluster.node(self.owner(name)).address();
        block_in_place(|| ask(node, &["SPUBLISH", name, payload])).unwrap();
    }

    fn migrate(&self, name: &str, to: usize) {
        block_in_place(|| self.cluster.migrate_slot(slot_of(name.as_bytes()), to));
    }

    /// The names that a node has subscribers of.
    fn heard_at(&self, place: usize) -> BTreeSet<String> {
        let node = self.cluster.node(place).address();
        let names = block_in_place(|| ask(node, &["PUBSUB", "SHARDCHANNELS"])).unwrap();
        let names = names.parts().iter().filter_map(Reply::text);
        names.map(ToOwned::to_owned).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_all_masters_are_heard_over_a_connection_to_each() {
    let Some(on) = three_masters() else { return };
    let names: Vec<String> = (0..30).map(|n| format!("name:{n}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let (subscription, mut events) = on.stream(&all);
    let (_other, mut others) = on.stream(&all[..1]);
    let mut active: Vec<String> = names.iter().map(|name| format!("active:{name}")).collect();
    active.sort();
    assert_eq!(some(&mut events, 30).await, active);
    assert_eq!(next(&mut others).await, active[0]);
    for name in &names {
        on.spublish(name, "x");
        assert_eq!(next(&mut events).await, format!("{name}=x"));
    }
    assert_eq!(next(&mut others).await, "name:0=x");
    let counters = on.mpx.counters();
    assert_eq!((counters.shards_now, counters.whole.connections), (3, 3));
    assert_eq!(
        (counters.whole.wanted_now, counters.whole.active_now),
        (30, 30)
    );
    assert_eq!((counters.moves, counters.unsettled_now), (0, 0));
    let each = on.mpx.shard_counters();
    let messages: u64 = each.iter().map(|(_, of)| of.messages).sum();
    assert_eq!((each.len(), messages), (3, 30));
    // A node without names has no connection.
    let of_one = names.iter().filter(|name| on.owner(name) == 0);
    subscription.remove(of_one.cloned()).unwrap();
    drop(_other);
    until("two shards", async || on.mpx.counters().shards_now == 2).await;
    until("no subscriber", async || on.heard_at(0).is_empty()).await;
    assert_eq!(on.mpx.counters().whole.connections, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_with_one_tag_are_at_one_node_and_asked_for_together() {
    let Some(on) = three_masters() else { return };
    let names: Vec<String> = (0..50).map(|n| format!("{{tag}}:{n}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let (_subscription, mut events) = on.stream(&all);
    some(&mut events, 50).await;
    assert_eq!(on.mpx.counters().shards_now, 1);
    let owner = on.owner("tag");
    assert_eq!(on.heard_at(owner).len(), 50);
    // The slot moves: all of them go, and each is told.
    on.migrate("tag", (owner + 1) % 3);
    let mut heard = some(&mut events, 100).await;
    let again = heard.split_off(50);
    assert!(
        heard.iter().all(|event| event.starts_with("Withdrawn")),
        "{heard:?}"
    );
    assert!(
        again.iter().all(|event| event.starts_with("active")),
        "{again:?}"
    );
    until("a new home", async || {
        on.heard_at((owner + 1) % 3).len() == 50
    })
    .await;
    assert_eq!(on.mpx.counters().whole.losses, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_given_up_unasked_finds_its_new_owner() {
    let Some(on) = three_masters() else { return };
    let (_moved, mut events) = on.stream(&["news"]);
    let owner = on.owner("news");
    let to = (owner + 1) % 3;
    let still = on.name_at(owner);
    let (_still, mut others) = on.stream(&[&still]);
    assert_eq!(next(&mut events).await, "active:news");
    assert_eq!(next(&mut others).await, format!("active:{still}"));
    on.migrate("news", to);
    let event = soon(events.next()).await;
    assert!(matches!(event, Some(Event::Withdrawn { .. })), "{event:?}");
    let event = soon(events.next()).await;
    assert!(
        matches!(event, Some(Event::Active { gap: Some(_), .. })),
        "{event:?}"
    );
    on.spublish("news", "after");
    assert_eq!(next(&mut events).await, "news=after");
    // Who hears something else of the same node hears nothing of it.
    on.spublish(&still, "still");
    assert_eq!(next(&mut others).await, format!("{still}=still"));
    let counters = on.mpx.counters();
    assert_eq!((counters.withdrawn, counters.moves), (1, 1));
    assert_eq!((counters.whole.losses, counters.whole.connections), (0, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moved_at_a_subscription_is_followed_without_a_word() {
    let Some(on) = three_masters() else { return };
    let owner = on.owner("news");
    let to = (owner + 1) % 3;
    let first = on.name_at(to);
    let (subscription, mut events) = on.stream(&[&first]);
    assert_eq!(next(&mut events).await, format!("active:{first}"));
    // The map is old from now on, and nobody hears of it.
    on.migrate("news", to);
    subscription.add(["news"]).unwrap();
    assert_eq!(next(&mut events).await, "active:news");
    on.spublish("news", "x");
    assert_eq!(next(&mut events).await, "news=x");
    assert_eq!(on.mpx.counters().moves, 1);
    until("one shard", async || on.mpx.counters().shards_now == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_whose_slot_nobody_owns_waits_for_an_owner() {
    let Some(on) = three_masters() else { return };
    let owner = on.owner("news");
    let other = on.name_at((owner + 1) % 3);
    let (_other, mut others) = on.stream(&[&other]);
    assert_eq!(next(&mut others).await, format!("active:{other}"));
    let slot = slot_of(b"news").to_string();
    let everybody = |words: &[&str]| {
        for place in 0..RedisCluster::MASTERS {
            let node = on.cluster.node(place).address();
            let _ = block_in_place(|| ask(node, words));
        }
    };
    everybody(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]);
    everybody(&["CLUSTER", "DELSLOTS", &slot]);
    let (_news, mut events) = on.stream(&["news"]);
    until("some maps", async || on.mpx.counters().maps >= 4).await;
    assert_eq!(on.mpx.counters().unsettled_now, 1);
    let address = on.cluster.node(owner).address();
    block_in_place(|| ask(address, &["CLUSTER", "ADDSLOTS", &slot])).unwrap();
    assert_eq!(next(&mut events).await, "active:news");
    on.spublish(&other, "x");
    assert_eq!(next(&mut others).await, format!("{other}=x"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_takes_the_place_of_a_master_that_dies() {
    let Some(cluster) = block_in_place(RedisCluster::start_with_replicas) else {
        return;
    };
    let mut on = on(cluster);
    let names: Vec<String> = (0..RedisCluster::MASTERS)
        .map(|at| on.name_at(at))
        .collect();
    let (_dies, mut dies) = on.stream(&[&names[0]]);
    let (_both, mut both) = on.stream(&[&names[0], &names[1]]);
    let (_stays, mut stays) = on.stream(&[&names[2]]);
    let active = |place: usize| format!("active:{}", names[place]);
    assert_eq!(next(&mut dies).await, active(0));
    some(&mut both, 2).await;
    assert_eq!(next(&mut stays).await, active(2));
    block_in_place(|| on.cluster.node_mut(0).kill());
    for events in [&mut dies, &mut both] {
        assert_eq!(next(events).await, "lost");
        let event = soon(events.next()).await;
        let Some(Event::Active { name, gap: Some(_) }) = event else {
            panic!("{event:?}");
        };
        assert_eq!(name, names[0]);
    }
    block_in_place(|| on.cluster.wait_until_ok());
    for name in &names {
        on.spublish(name, "x");
    }
    let heard = |place: usize| format!("{}=x", names[place]);
    assert_eq!(next(&mut dies).await, heard(0));
    let mut two = [heard(0), heard(1)];
    two.sort();
    assert_eq!(some(&mut both, 2).await, two);
    // Whose node lives has heard nothing of it.
    assert_eq!(next(&mut stays).await, heard(2));
    assert_eq!(on.mpx.counters().withdrawn, 0);
    let losses = on.mpx.shard_counters().into_iter().map(|(_, of)| of.losses);
    assert_eq!(losses.collect::<Vec<_>>(), [0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_names_are_spread_and_come_back() {
    let Some(mut on) = three_masters() else {
        return;
    };
    let (subscription, mut events) = on.mpx.shards_stream(QueueOptions::default());
    let heard = Arc::new(AtomicU64::new(0));
    let count = heard.clone();
    let drain = tokio::spawn(async move {
        while let Some(event) = events.next().await {
            count.fetch_add(
                u64::from(matches!(event, Event::Message { .. })),
                Ordering::Relaxed,
            );
        }
    });
    subscription
        .add((0..10_000).map(|n| format!("name:{n}")))
        .unwrap();
    let all = async |on: &On| {
        let active = async || on.mpx.counters().whole.active_now == 10_000;
        until("the names", active).await;
    };
    all(&on).await;
    let at: usize = (0..3).map(|place| on.heard_at(place).len()).sum();
    assert_eq!((at, on.mpx.counters().shards_now), (10_000, 3));
    block_in_place(|| on.cluster.node_mut(0).kill());
    until("the loss", async || on.mpx.counters().whole.losses == 1).await;
    block_in_place(|| on.cluster.node_mut(0).restart());
    block_in_place(|| on.cluster.wait_until_ok());
    all(&on).await;
    for n in 0..100 {
        on.spublish(&format!("name:{n}"), "x");
    }
    until("messages", async || heard.load(Ordering::Relaxed) == 100).await;
    drain.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_is_said_and_asked_for_again_when_somebody_else_wants_it() {
    let Some(on) = three_masters() else { return };
    let everybody = |words: &[&str]| {
        for place in 0..RedisCluster::MASTERS {
            let node = on.cluster.node(place).address();
            block_in_place(|| ask(node, words)).unwrap();
        }
    };
    everybody(&[
        "ACL", "SETUSER", "limited", "on", ">secret", "+@all", "~*", "&mine*",
    ]);
    let url = on.cluster.url().replace("//", "//limited:secret@");
    let mpx = ShardedMultiplexer::open(&url).unwrap();
    let (subscription, mut events) = mpx.shards_stream(QueueOptions::default());
    subscription.add(["mine"]).unwrap();
    assert_eq!(next(&mut events).await, "active:mine");
    subscription.add(["theirs"]).unwrap();
    let event = soon(events.next()).await;
    let Some(Event::Refused { name, reason }) = event else {
        panic!("{event:?}");
    };
    assert_eq!(name, "theirs");
    assert!(reason.starts_with("NOPERM"), "{reason}");
    everybody(&["ACL", "SETUSER", "limited", "&theirs"]);
    let (other, mut others) = mpx.shards_stream(QueueOptions::default());
    other.add(["theirs"]).unwrap();
    assert_eq!(next(&mut others).await, "active:theirs");
    assert_eq!(next(&mut events).await, "active:theirs");
    assert_eq!(mpx.counters().whole.refused, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_stops_and_goes_on() {
    let Some(on) = three_masters() else { return };
    let log = Arc::new(Mutex::new(Vec::new()));
    let logged = log.clone();
    let subscription = on.mpx.shards_together(move |events| {
        assert!(!events.is_empty());
        logged.lock().unwrap().extend(events.iter().map(text));
    });
    subscription.add(["a", "b"]).unwrap();
    let length = async |n| until("events", async || log.lock().unwrap().len() == n).await;
    length(2).await;
    soon(on.mpx.stop()).await.unwrap();
    soon(on.mpx.stop()).await.expect_err("it is stopped");
    assert_eq!(
        (
            on.mpx.counters().shards_now,
            on.mpx.counters().whole.active_now
        ),
        (0, 0)
    );
    subscription.add(["c"]).unwrap();
    subscription.remove(["b"]).unwrap();
    on.mpx.restart().unwrap();
    on.mpx.restart().expect_err("it runs");
    length(4).await;
    on.spublish("c", "x");
    length(5).await;
    let mut heard = log.lock().unwrap().clone();
    heard[..2].sort();
    heard[2..4].sort();
    assert_eq!(
        heard,
        ["active:a", "active:b", "active:a", "active:c", "c=x"]
    );
    drop(subscription);
    until("no shard", async || on.mpx.counters().shards_now == 0).await;
}

/// Publishes numbers to one name, wherever its slot is, each when the one before was taken.
struct Numbers {
    next: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Numbers {
    fn start(node: SocketAddr, name: &'static str) -> Self {
        let next = Arc::new(AtomicU64::new(0));
        let over = Arc::new(AtomicBool::new(false));
        let (number, end) = (next.clone(), over.clone());
        let task = tokio::spawn(async move {
            let (mut known, mut at) = (HashMap::new(), node.to_string());
            while !end.load(Ordering::Relaxed) {
                if !known.contains_key(&at) {
                    let client = redis::Client::open(format!("redis://{at}/")).unwrap();
                    let connection = client.get_multiplexed_async_connection().await.unwrap();
                    known.insert(at.clone(), connection);
                }
                let connection = known.get_mut(&at).expect("it was made");
                let text = number.load(Ordering::SeqCst).to_string();
                let mut publish = redis::cmd("SPUBLISH");
                let done = publish.arg(name).arg(text).exec_async(connection).await;
                match done {
                    Ok(()) => drop(number.fetch_add(1, Ordering::SeqCst)),
                    Err(error) => {
                        if let Some((to, _)) = error.redirect_node() {
                            to.clone_into(&mut at);
                        }
                    }
                }
            }
        });
        Self { next, over, task }
    }

    /// Ends it. How many there were.
    async fn stop(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        soon(self.task).await.unwrap();
        self.next.load(Ordering::SeqCst)
    }
}

/// What a listener of numbers may count on.
#[derive(Default)]
struct Ledger {
    /// The next number, while the name is active; at least from the given one on, until the first.
    expected: Option<(u64, bool)>,
    last: Option<u64>,
    withdrawn: u64,
}

impl Ledger {
    fn hear(&mut self, event: &Event, next: u64) {
        match event {
            // One may be under way.
            Event::Active { .. } => self.expected = Some((next + 1, false)),
            Event::Withdrawn { .. } => {
                self.expected = None;
                self.withdrawn += 1;
            }
            Event::Message { payload, .. } => {
                let number: u64 = std::str::from_utf8(payload).unwrap().parse().unwrap();
                assert!(self.last < Some(number), "{number} comes once, in order");
                match self.expected.expect("it is active") {
                    (expected, true) => assert_eq!(number, expected, "none is missed"),
                    (expected, false) => assert!(number <= expected, "{number} > {expected}"),
                }
                self.expected = Some((number + 1, true));
                self.last = Some(number);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missed_while_a_slot_moves_was_told_and_nothing_else_is() {
    let Some(on) = three_masters() else { return };
    let numbers = Numbers::start(on.cluster.node(0).address(), "news");
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let (written, next) = (ledger.clone(), numbers.next.clone());
    let subscription = on.mpx.shards(move |event| {
        let next = next.load(Ordering::SeqCst);
        written.lock().unwrap().hear(&event, next);
    });
    subscription.add(["news"]).unwrap();
    let heard = async |more: u64| {
        let last = || ledger.lock().unwrap().last.unwrap_or_default();
        let until_there = last() + more;
        until("numbers", async || last() >= until_there).await;
    };
    heard(100).await;
    for round in 1..=6 {
        on.migrate("news", (on.owner("news") + 1) % 3);
        until("it was told", async || {
            ledger.lock().unwrap().withdrawn == round
        })
        .await;
        heard(100).await;
    }
    let published = numbers.stop().await;
    until("the last one", async || {
        ledger.lock().unwrap().last == Some(published - 1)
    })
    .await;
    let counters = on.mpx.counters();
    assert_eq!((counters.whole.losses, counters.whole.panics), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_hangs_is_left_when_others_name_another_owner() {
    let Some(cluster) = block_in_place(RedisCluster::start_with_replicas) else {
        return;
    };
    let mut options = ShardedOptions::default();
    options.multiplexer.ping_timeout = Duration::from_secs(600);
    options.map_age_max = Duration::from_millis(300);
    let mpx = ShardedMultiplexer::new(cluster.url().parse().unwrap(), options);
    let on = On { cluster, mpx };
    let name = on.name_at(0);
    let (_news, mut events) = on.stream(&[&name]);
    assert_eq!(next(&mut events).await, format!("active:{name}"));
    on.cluster.node(0).pause();
    // No connection is lost: two maps in a row say so.
    let event = soon(events.next()).await;
    assert!(matches!(event, Some(Event::Withdrawn { .. })), "{event:?}");
    let event = soon(events.next()).await;
    assert!(
        matches!(event, Some(Event::Active { gap: Some(_), .. })),
        "{event:?}"
    );
    assert_eq!(on.mpx.counters().whole.losses, 0);
    on.cluster.node(0).resume();
}
