//! The nodes that are not in use, and the way back to the first.

use crate::{Cluster, settings};
use std::time::Duration;
use trunkline_stomp::{Acked, Health, Operation};

#[test]
fn it_moves_back_to_the_first_node_at_a_free_moment() {
    let mut back = settings(2);
    back.probe_interval = Some(Duration::from_secs(5));
    let mut cluster = Cluster::new(back);
    cluster.subscribed();
    cluster.lose();
    cluster.accept("t");
    cluster.out();
    cluster.receipt("sub");
    cluster.execute(Operation::begin("t"));
    cluster.out();
    cluster.told();
    cluster.pass(5_000);
    assert_eq!(cluster.told(), ["probe 0"]);
    cluster.session.probed(cluster.now, 0, false);
    cluster.pass(5_000);
    assert_eq!(cluster.told(), ["probe 0"]);
    cluster.session.probed(cluster.now, 0, true);
    // A transaction is open: its operations and acknowledgements go on, others wait.
    let tag = cluster.message("m2");
    cluster.execute(Operation::send("/queue/a", "later").with("receipt", "auto"));
    cluster.execute(Operation::ack(Acked::Tag(tag)));
    cluster.execute(Operation::commit("t").with("receipt", "c"));
    let out = cluster.out();
    let commands: Vec<_> = out
        .split('\0')
        .filter_map(|it| it.split('\n').next())
        .collect();
    assert_eq!(commands, ["ACK", "COMMIT", ""]);
    cluster.told();
    cluster.receipt("c");
    let leave = cluster.out();
    assert!(leave.starts_with("DISCONNECT\n"), "{leave}");
    // What was on its way arrives.
    cluster.message("m3");
    let receipt = leave
        .lines()
        .find_map(|it| it.strip_prefix("receipt:"))
        .unwrap();
    cluster.told();
    cluster.receipt(receipt);
    assert_eq!(
        cluster.told(),
        ["close", "disconnected 1", "interrupted 1", "open 0"]
    );
    cluster.accept("u");
    assert_eq!(cluster.bodies(), ["", "later"]);
    let health: Vec<_> = cluster.session.nodes().map(|node| node.health).collect();
    assert_eq!(health[0], Health::Up);
}

#[test]
fn it_stays_if_there_is_no_free_moment() {
    let mut back = settings(2);
    back.probe_interval = Some(Duration::from_secs(5));
    let mut cluster = Cluster::new(back);
    cluster.execute(Operation::send("/queue/a", "1").with("receipt", "r"));
    cluster.session.open_failed(cluster.now, "refused");
    cluster.accept("s");
    cluster.out();
    cluster.pass(5_000);
    cluster.session.probed(cluster.now, 0, true);
    cluster.execute(Operation::send("/queue/a", "2").with("receipt", "auto"));
    assert_eq!(cluster.bodies(), [""; 0]);
    cluster.pass(10_000);
    cluster.execute(Operation::send("/queue/a", "3").with("receipt", "auto"));
    assert_eq!(cluster.bodies(), ["2", "3"]);
}

#[test]
fn probes_change_nothing_but_what_is_known() {
    let mut probing = settings(3);
    probing.probe_interval = Some(Duration::from_secs(1));
    let mut cluster = Cluster::new(probing);
    cluster.subscribed();
    cluster.pass(1_000);
    assert_eq!(cluster.told(), ["probe 1", "probe 2"]);
    cluster.session.probed(cluster.now, 1, false);
    cluster.session.probed(cluster.now, 2, true);
    assert_eq!(cluster.told(), [""; 0]);
    let health: Vec<_> = cluster.session.nodes().map(|node| node.health).collect();
    assert_eq!(health, [Health::Up, Health::Down, Health::Up]);
    // One that is known to be down is not the next.
    cluster.lose();
    assert!(cluster.told().contains(&"open 2".to_owned()));
}
