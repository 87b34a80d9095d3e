//! Redis, watched by sentinels and as a cluster.

use trunkline_test_servers::{RedisCluster, RedisSentinel, Reply, ask, ask_all};

fn text(reply: &Reply) -> &str {
    reply
        .text()
        .unwrap_or_else(|| panic!("{reply:?} is no text"))
}

#[test]
fn sentinels_make_another_master_when_told_and_when_it_dies() {
    let Some(mut trio) = RedisSentinel::start() else {
        return;
    };
    let first = trio.master();
    let set: [&[&str]; 2] = [&["SET", "a", "1"], &["WAIT", "2", "0"]];
    let told = ask_all(trio.server(first).address(), &set).unwrap();
    assert_eq!(told[1], Reply::Number(2));
    let second = trio.failover();
    assert_ne!(first, second);
    trio.wait_until_complete();
    let third = trio.kill_master();
    assert_ne!(second, third);
    let found = ask(trio.server(third).address(), &["GET", "a"]).unwrap();
    assert_eq!(text(&found), "1");
    trio.server_mut(second).restart();
    trio.wait_until_complete();
    assert_eq!(trio.master(), third);
}

#[test]
fn a_slot_of_a_cluster_moves_with_its_keys() {
    let Some(cluster) = RedisCluster::start() else {
        return;
    };
    let slot = cluster.slot("{tag}");
    let from = cluster.owner(slot);
    let to = (from + 1) % RedisCluster::MASTERS;
    let [source, target] = [from, to].map(|place| cluster.node(place).address());
    let keys: Vec<_> = (0..150).map(|number| format!("{{tag}}{number}")).collect();
    for key in &keys {
        ask(source, &["SET", key, "1"]).unwrap();
    }
    let refused = ask(target, &["GET", &keys[0]]).unwrap_err();
    assert!(
        refused.contains(&format!("MOVED {slot} {source}")),
        "{refused}"
    );

    assert_eq!(cluster.begin_migration(slot, to), from);
    assert!(cluster.migrate_keys(slot, from, to));
    let asked = keys
        .iter()
        .filter_map(|key| ask(source, &["GET", key]).err());
    let asked: Vec<_> = asked.collect();
    assert_eq!(asked.len(), 100);
    assert!(
        asked[0].contains(&format!("ASK {slot} {target}")),
        "{}",
        asked[0]
    );
    assert!(cluster.migrate_keys(slot, from, to));
    assert!(!cluster.migrate_keys(slot, from, to));
    cluster.end_migration(slot, to);

    assert_eq!(cluster.owner(slot), to);
    assert_eq!(text(&ask(target, &["GET", &keys[7]]).unwrap()), "1");
    cluster.migrate_slot(slot, from);
    assert_eq!(cluster.owner(slot), from);
}

#[test]
fn a_replica_takes_the_place_of_a_dead_master() {
    let Some(mut cluster) = RedisCluster::start_with_replicas() else {
        return;
    };
    let slot = cluster.slot("a");
    let owner = cluster.owner(slot);
    let set: [&[&str]; 2] = [&["SET", "a", "1"], &["WAIT", "1", "0"]];
    ask_all(cluster.node(owner).address(), &set).unwrap();
    cluster.node_mut(owner).kill();
    let next = cluster.owner(slot);
    assert_eq!(next, owner + RedisCluster::MASTERS);
    cluster.wait_until_ok();
    let found = ask(cluster.node(next).address(), &["GET", "a"]).unwrap();
    assert_eq!(text(&found), "1");
}
