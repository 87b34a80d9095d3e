//! Connections of a multiplexer follow the servers.

use super::{active, deployment, hears, multiplexer};
use trunkline_mpx::QueueOptions;
use trunkline_test_servers::{RedisCluster, RedisSentinel};

#[tokio::test]
async fn listeners_follow_the_master() {
    let Some(mut trio) = RedisSentinel::start() else {
        return;
    };
    let redis = deployment(&format!("{}?connect_timeout=30s", trio.url()));
    let mpx = multiplexer(&redis);
    let (news, mut events) = mpx.channels_stream(QueueOptions::default());
    news.add(["news"]).expect("it is open");
    active(&mut events).await;
    hears(&redis, &mut events, "before").await;
    let trio = tokio::task::spawn_blocking(move || {
        let _ = trio.kill_master();
        trio
    });
    let trio = trio.await.expect("another is made");
    active(&mut events).await;
    hears(&redis, &mut events, "after").await;
    drop(trio);
}

#[tokio::test]
async fn listeners_go_to_another_node_of_a_cluster() {
    let Some(mut cluster) = RedisCluster::start_with_replicas() else {
        return;
    };
    let redis = deployment(&format!("{}?connect_timeout=30s", cluster.url()));
    let mpx = multiplexer(&redis);
    let (news, mut events) = mpx.channels_stream(QueueOptions::default());
    news.add(["news"]).expect("it is open");
    for text in ["first", "second"] {
        active(&mut events).await;
        hears(&redis, &mut events, text).await;
        let listening = (0..2 * RedisCluster::MASTERS).find(|place| {
            let address = cluster.node(*place).address();
            let count = trunkline_test_servers::ask(address, &["PUBSUB", "NUMSUB", "news"]);
            count.is_ok_and(|count| count.parts()[1] == trunkline_test_servers::Reply::Number(1))
        });
        let dead = listening.expect("somebody has the subscription");
        let killed = tokio::task::spawn_blocking(move || {
            cluster.node_mut(dead).kill();
            // A second death of the same kind would leave slots without anybody.
            cluster.node_mut(dead).restart();
            cluster.wait_until_ok();
            cluster
        });
        cluster = killed.await.expect("it dies");
    }
    active(&mut events).await;
    hears(&redis, &mut events, "last").await;
}
