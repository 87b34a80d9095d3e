//! Keys that have owners, and owners that change.

use super::{deployment, pipeline, soon, writers};
use redis::Value;
use trunkline_test_servers::RedisCluster;

#[tokio::test]
async fn commands_find_the_owners_of_their_keys() {
    let Some(cluster) = RedisCluster::start() else {
        return;
    };
    // One node is enough to find the others.
    let redis = deployment(&format!("redis-cluster://{}", cluster.node(1).address()));
    for number in 0..30 {
        let key = format!("key{number}");
        let () = redis.say(&["SET", &key, "1"]).await.expect("it is set");
    }
    let mut nodes = [false; RedisCluster::MASTERS];
    for number in 0..30 {
        let key = format!("key{number}");
        nodes[cluster.owner(cluster.slot(&key))] = true;
        let found: i64 = redis.say(&["GET", &key]).await.expect("it is there");
        assert_eq!(found, 1);
    }
    assert_eq!(nodes, [true; RedisCluster::MASTERS], "they are everywhere");
    let two = redis.say::<()>(&["MSET", "a", "1", "b", "2"]).await;
    let failure = two.expect_err("two slots");
    assert!(failure.to_string().contains("CROSSSLOT"), "{failure}");
}

#[tokio::test]
async fn keys_on_their_way_are_found_on_both_sides() {
    let Some(cluster) = RedisCluster::start() else {
        return;
    };
    let redis = deployment(&format!("{}?connect_timeout=3s", cluster.url()));
    let slot = cluster.slot("{tag}");
    let to = (cluster.owner(slot) + 1) % RedisCluster::MASTERS;
    let () = redis
        .say(&["SET", "{tag}old", "1"])
        .await
        .expect("it is set");
    let from = cluster.begin_migration(slot, to);
    // One is still here, the others are asked for there.
    let mut both = pipeline(&[
        &["INCR", "{tag}new"],
        &["INCR", "{tag}old"],
        &["INCR", "{tag}new"],
    ]);
    let done: (i64, i64, i64) = soon(redis.run(b"{tag}", &both))
        .await
        .expect("they are done");
    assert_eq!(done, (1, 2, 2));
    // None of it is done while its keys are on two sides; the move goes on meanwhile.
    let moving = {
        let redis = redis.clone();
        tokio::spawn(async move { soon(redis.run(b"{tag}", both.atomic())).await })
    };
    let moved = tokio::task::spawn_blocking(move || {
        while cluster.migrate_keys(slot, from, to) {}
        cluster
    });
    let cluster = moved.await.expect("they move");
    let done: (i64, i64, i64) = moving.await.expect("no panic").expect("it is done");
    assert_eq!(done, (3, 3, 4));
    let each = pipeline(&[&["GET", "{tag}old"], &["LPUSH", "{tag}new", "x"]]);
    let each = soon(redis.each(b"{tag}", &each))
        .await
        .expect("they are answered");
    assert!(matches!(&each[0], Ok(Value::BulkString(text)) if text == b"3"));
    assert!(each[1].is_err());
    cluster.end_migration(slot, to);
    let found: i64 = redis.say(&["GET", "{tag}new"]).await.expect("it is there");
    assert_eq!(found, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_done_twice_while_slots_move() {
    let Some(cluster) = RedisCluster::start() else {
        return;
    };
    let redis = deployment(&format!("{}?connect_timeout=30s", cluster.url()));
    let lists = ["one", "two", "three", "four"];
    let writing = writers::start(&redis, &lists);
    for _ in 0..3 {
        writing.progress(50).await;
        let slots: Vec<_> = lists.iter().map(|list| cluster.slot(list)).collect();
        let owners: Vec<_> = slots.iter().map(|slot| cluster.owner(*slot)).collect();
        for (slot, owner) in slots.into_iter().zip(owners) {
            let to = (owner + 1) % RedisCluster::MASTERS;
            let from = cluster.begin_migration(slot, to);
            writing.progress(5).await;
            while cluster.migrate_keys(slot, from, to) {}
            writing.progress(5).await;
            cluster.end_migration(slot, to);
        }
    }
    let ledger = writing.stop().await;
    ledger.compare(&redis).await;
    let (confirmed, unknown) = ledger.counts();
    assert!(confirmed > 150, "{confirmed}");
    assert_eq!(unknown, 0, "nobody was away, so everything is known");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_found_in_the_place_of_a_dead_master() {
    let Some(mut cluster) = RedisCluster::start_with_replicas() else {
        return;
    };
    let url = format!(
        "{}?connect_timeout=30s&wait=1&answer_timeout=2s",
        cluster.url()
    );
    let redis = deployment(&url);
    let writing = writers::start(&redis, &["one", "two", "three"]);
    writing.progress(20).await;
    let slot = cluster.slot("one");
    let owner = cluster.owner(slot);
    let cluster = writing
        .during(move || {
            cluster.node_mut(owner).kill();
            assert_ne!(cluster.owner(slot), owner);
            cluster.wait_until_ok();
            cluster.node_mut(owner).restart();
            cluster
        })
        .await;
    writing.progress(20).await;
    let ledger = writing.stop().await;
    ledger.compare(&redis).await;
    drop(cluster);
}
