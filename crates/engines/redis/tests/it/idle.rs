//! What a process asks while nothing happens.

use crate::desk::{Desk, ack};
use crate::setup::{Hand, until};
use std::time::Duration;
use trunkline_test_servers::Redis;

/// How often each command of a client was run, without those of scripts where the server tells them apart.
async fn runs(hand: &mut Hand, command: &str) -> u64 {
    let info: String = hand.run(&["INFO", "commandstats"]).await;
    let field = format!("cmdstat_{command}:calls=");
    let line = info.lines().find_map(|line| line.strip_prefix(&field));
    let count = line.and_then(|line| line.split(',').next()?.parse().ok());
    count.unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_that_nobody_uses_cost_nothing_and_consumers_their_leases() {
    const TOPICS: usize = 150;
    const CONSUMED: u64 = 12;
    let Some(server) = Redis::start() else { return };
    let mut hand = Hand::on(&server).await;
    let desk = Desk::open(&server, |config| {
        // Renewed once a second.
        config.lease = Duration::from_secs(3);
    });
    let mut takers = Vec::new();
    for n in 0..TOPICS {
        let name = format!("t{n}");
        if takers.len() < CONSUMED as usize {
            takers.push(desk.consume(&name, 9).await);
        }
        desk.publish(&name, "m").await;
    }
    for taker in &mut takers {
        let delivery = taker.next().await;
        let acked = desk.submit(ack(taker.id(), delivery.tag)).await;
        assert_eq!(acked.map(|receipt| receipt.acked), Ok(1));
    }
    until("quiet", async || desk.engine.is_idle()).await;
    let (scripts, pings) = (
        runs(&mut hand, "evalsha").await,
        runs(&mut hand, "ping").await,
    );
    // A rate is measured over a time.
    let seconds = 3;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let scripts = runs(&mut hand, "evalsha").await - scripts;
    let pings = runs(&mut hand, "ping").await - pings;
    assert!(
        (CONSUMED..=CONSUMED * (seconds + 1)).contains(&scripts),
        "{scripts} requests to {TOPICS} topics in {seconds} s"
    );
    assert!(pings <= 2 + seconds, "{pings} signs of life");
}
