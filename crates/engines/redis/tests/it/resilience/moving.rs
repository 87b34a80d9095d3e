//! Masters that change, nodes that die, slots that move.

use super::channels::{listen, send, until_heard};
use super::lab::{Fleet, engine};
use tokio::task::block_in_place;
use trunkline_test_servers::{RedisCluster, RedisSentinel};

const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_follow_the_master_that_sentinels_make() {
    let Some(mut trio) = block_in_place(|| RedisSentinel::start_with(&DURABLE)) else {
        return;
    };
    // Whichever replica becomes the master has what was confirmed.
    let fleet = Fleet::start(&format!("{}?wait=2", trio.url())).await;
    let _ = block_in_place(|| trio.failover());
    fleet.goes_on(50).await;
    block_in_place(|| trio.wait_until_complete());
    let old = trio.master();
    let _ = block_in_place(|| trio.kill_master());
    // With one replica less nothing can be confirmed.
    fleet.is_refused().await;
    block_in_place(|| trio.server_mut(old).restart());
    fleet.goes_on(50).await;
    fleet.finish_on_another_master().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_follow_the_master_that_sentinels_make() {
    let Some(mut trio) = block_in_place(RedisSentinel::start) else {
        return;
    };
    let (here, there) = (engine(&trio.url()), engine(&trio.url()));
    let mut heard = listen(&there, "c");
    assert_eq!(heard.next().await, "active");
    assert_eq!(send(&here, "c", "1").await, Ok(Some(1)));
    assert_eq!(heard.next().await, "1");
    let _ = block_in_place(|| trio.failover());
    until_heard(&here, &mut heard, "c", "2").await;
    // Sentinels elect no replica that they don't know to be one yet.
    block_in_place(|| trio.wait_until_complete());
    let _ = block_in_place(|| trio.kill_master());
    until_heard(&here, &mut heard, "c", "3").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_follow_slots_that_move() {
    let Some(cluster) = block_in_place(|| RedisCluster::start_with(&DURABLE)) else {
        return;
    };
    let fleet = Fleet::start(&cluster.url()).await;
    let slot = cluster.slot(Fleet::TOPIC);
    for to in 0..RedisCluster::MASTERS {
        if to != cluster.owner(slot) {
            let from = block_in_place(|| cluster.begin_migration(slot, to));
            // Keys of one topic are in two places: nothing can be done until all have moved.
            while block_in_place(|| cluster.migrate_keys(slot, from, to)) {}
            block_in_place(|| cluster.end_migration(slot, to));
            fleet.goes_on(50).await;
        }
    }
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_survive_the_loss_of_their_node() {
    let Some(mut cluster) = block_in_place(RedisCluster::start_with_replicas) else {
        return;
    };
    let fleet = Fleet::start(&format!("{}?wait=1", cluster.url())).await;
    let slot = cluster.slot(Fleet::TOPIC);
    let owner = cluster.owner(slot);
    cluster.node_mut(owner).kill();
    fleet.is_refused().await;
    let replica = block_in_place(|| cluster.owner(slot));
    assert_ne!(replica, owner);
    // The one that was lost is the replica now, without which nothing can be confirmed.
    block_in_place(|| cluster.node_mut(owner).restart());
    fleet.goes_on(50).await;
    fleet.finish_on_another_master().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_reach_all_nodes_of_a_cluster_and_survive_the_loss_of_one() {
    let Some(mut cluster) = block_in_place(RedisCluster::start_with_replicas) else {
        return;
    };
    let engines: Vec<_> = (0..4).map(|_| engine(&cluster.url())).collect();
    let mut listeners: Vec<_> = engines.iter().map(|engine| listen(engine, "c")).collect();
    for listener in &mut listeners {
        assert_eq!(listener.next().await, "active");
    }
    for (n, from) in engines.iter().enumerate() {
        // Nobody knows how many hear it at the other nodes.
        assert_eq!(send(from, "c", &n.to_string()).await, Ok(None));
        for listener in &mut listeners {
            assert_eq!(listener.next().await, n.to_string());
        }
    }
    for place in 0..RedisCluster::MASTERS {
        cluster.node_mut(place).kill();
        for (n, from) in engines.iter().enumerate() {
            for (m, listener) in listeners.iter_mut().enumerate() {
                until_heard(from, listener, "c", &format!("{place}.{n}.{m}")).await;
            }
        }
        block_in_place(|| cluster.node_mut(place).restart());
        block_in_place(|| cluster.wait_until_ok());
    }
}
