//! Clients of a cluster whose nodes the test plays.

use crate::scripted::{Server, header, soon};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use trunkline_stomp::{
    AckMode, Client, ClientBuilder, ClientError, ErrorCode, Event, Events, Health, NodeEvent,
    StompUrl, UsageError,
};

/// Seeds that begin at node 0, 1, 2 of three.
async fn seed_for(nodes: &[Server], first: usize) -> u64 {
    for seed in 0.. {
        let client = cluster(nodes).random(seed).build();
        if client.port() == nodes[first].port() {
            return seed;
        }
    }
    unreachable!("seeds never end")
}

async fn nodes(count: usize) -> Vec<Server> {
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(Server::start().await);
    }
    nodes
}

fn cluster(nodes: &[Server]) -> ClientBuilder {
    let addresses = nodes.iter().map(|node| ("127.0.0.1", node.port()));
    Client::cluster(addresses).unwrap().on_error(|_| {})
}

/// A client that begins at the first of so many nodes.
async fn begun(count: usize) -> (Vec<Server>, Client) {
    let nodes = nodes(count).await;
    let seed = seed_for(&nodes, 0).await;
    let client = cluster(&nodes).random(seed).build();
    (nodes, client)
}

/// The next event of a node or a subscription, in short, with the node's number.
async fn told(events: &mut Events, nodes: &[Server]) -> String {
    loop {
        let (port, event) = match soon(events.next()).await {
            Some(Event::Node { host, port, event }) => {
                assert_eq!(host, "127.0.0.1");
                (port, event)
            }
            Some(Event::SubscriptionInterrupted { id, error, .. }) => {
                return format!("interrupted {id}: {}", error.code.number());
            }
            Some(Event::Resubscribed { id, .. }) => return format!("resubscribed {id}"),
            Some(Event::SubscriptionLost { id, error, .. }) => {
                return format!("lost {id}: {}", error.code.number());
            }
            Some(_) => continue,
            None => panic!("the client has ended"),
        };
        let number = nodes.iter().position(|node| node.port() == port).unwrap();
        return match event {
            NodeEvent::Connected => format!("{number} connected"),
            NodeEvent::Ready => format!("{number} ready"),
            NodeEvent::Error { error, .. } => format!("{number} error {}", error.code.number()),
            NodeEvent::Disconnected => format!("{number} disconnected"),
            other => format!("{number} {other:?}"),
        };
    }
}

async fn tells(events: &mut Events, nodes: &[Server], expected: &[&str]) {
    for expected in expected {
        assert_eq!(told(events, nodes).await, *expected);
    }
}

fn code(outcome: Result<impl std::fmt::Debug, ClientError>) -> ErrorCode {
    outcome.unwrap_err().code
}

#[tokio::test]
async fn case_14_a_lost_node_is_told_and_the_next_in_order_takes_over() {
    let (nodes, client) = begun(3).await;
    let mut events = client.events();
    let subscribe = client.subscribe("/queue/a").id("1").ack(AckMode::Client);
    let mut subscription = subscribe.start();
    let mut peer = nodes[0].welcome().await;
    peer.grant().await;
    soon(subscription.ready()).await.unwrap();
    tells(&mut events, &nodes, &["0 connected", "0 ready"]).await;
    peer.message("1", "m1", "one").await;
    let first = soon(subscription.next()).await.unwrap().unwrap();
    assert_eq!(&first.body()[..], b"one");
    drop(peer);
    let mut peer = nodes[1].welcome().await;
    assert!(peer.grant().await.starts_with("SUBSCRIBE\nid:1\n"));
    let lost = ["0 error 3", "interrupted 1: 3", "0 disconnected"];
    tells(&mut events, &nodes, &lost).await;
    let back = ["1 connected", "1 ready", "resubscribed 1"];
    tells(&mut events, &nodes, &back).await;
    peer.message("1", "m2", "two").await;
    let second = soon(subscription.next()).await.unwrap().unwrap();
    assert_eq!(&second.body()[..], b"two");
}

#[tokio::test]
async fn case_15_a_subscription_survives_ten_losses_in_turn() {
    let (mut nodes, client) = begun(3).await;
    let mut subscription = client.subscribe("/queue/a").id("1").start();
    for round in 0..10 {
        let active = round % 3;
        let mut peer = nodes[active].welcome().await;
        assert!(peer.grant().await.starts_with("SUBSCRIBE\n"), "{round}");
        peer.message("1", &round.to_string(), "x").await;
        let message = soon(subscription.next()).await.unwrap().unwrap();
        assert_eq!(message.header("message-id"), Some(&*round.to_string()));
        // The node dies, and is there again when its turn comes.
        let port = nodes[active].port();
        let dead = nodes.remove(active);
        drop((peer, dead));
        nodes.insert(active, Server::start_at(port).await);
    }
}

#[tokio::test]
async fn case_16_sends_are_repeated_in_order_and_others_fail() {
    let (nodes, client) = begun(2).await;
    let send = |body: &'static str| client.send("/queue/a", body).receipt("auto").start();
    let (one, two) = (send("1"), send("2"));
    let unsubscribe = client.unsubscribe("9").start();
    let commit = client.commit("t").receipt("auto").start();
    let mut peer = nodes[0].welcome().await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let frame = peer.frame().await;
        ids.push(header(&frame, "publish-id").unwrap().to_owned());
    }
    assert_ne!(ids[0], ids[1]);
    drop(peer);
    assert_eq!(code(soon(unsubscribe).await), ErrorCode::ClosedByRemoteHost);
    assert_eq!(code(soon(commit).await), ErrorCode::ClosedByRemoteHost);
    let three = send("3");
    let mut peer = nodes[1].welcome().await;
    for body in ["1", "2", "3"] {
        let frame = peer.grant().await;
        assert!(frame.ends_with(body), "{frame}");
        let id = header(&frame, "publish-id").unwrap().to_owned();
        assert_eq!(ids.contains(&id), body != "3");
    }
    for outcome in [one, two, three] {
        soon(outcome).await.unwrap();
    }
}

#[tokio::test]
async fn case_17_if_all_nodes_are_down_each_is_tried_once_in_order() {
    let nodes = nodes(3).await;
    let ports: Vec<u16> = nodes.iter().map(Server::port).collect();
    let seed = seed_for(&nodes, 1).await;
    drop(nodes);
    let tried = Arc::new(Mutex::new(Vec::new()));
    let (tries, addresses) = (
        Arc::clone(&tried),
        ports.iter().map(|it| ("127.0.0.1", *it)),
    );
    let client = Client::cluster(addresses)
        .unwrap()
        .random(seed)
        .on_node_error(move |error, _, port| {
            assert_eq!(error.code, ErrorCode::CantConnect);
            tries.lock().unwrap().push(port);
        })
        .build();
    for _ in 0..2 {
        let send = client.send("/queue/a", "1").receipt("auto").start();
        let error = soon(send).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::CantConnect);
        let last = format!(
            "Can't connect to 127.0.0.1:{}: Connection refused",
            ports[0]
        );
        assert_eq!(error.message, format!("Operation \"SEND\" aborted: {last}"));
        let tried = std::mem::take(&mut *tried.lock().unwrap());
        assert_eq!(tried, [ports[1], ports[2], ports[0]]);
    }
}

#[tokio::test]
async fn case_17_an_error_of_a_node_that_is_not_in_use_changes_nothing() {
    let nodes = nodes(2).await;
    let client = cluster(&nodes)
        .random(seed_for(&nodes, 0).await)
        .probe_interval(Duration::from_millis(20))
        .build();
    let send = client.send("/queue/a", "1").receipt("auto").start();
    let mut peer = nodes[0].welcome().await;
    peer.grant().await;
    soon(send).await.unwrap();
    // A probe that is turned away, and one that is let in.
    drop(nodes[1].accept().await);
    let mut probe = nodes[1].welcome().await;
    let health: Vec<_> = client.nodes().iter().map(|node| node.health).collect();
    assert_eq!(health, [Health::Up, Health::Down]);
    assert!(probe.grant().await.starts_with("DISCONNECT\n"));
    let send = client.send("/queue/a", "2").receipt("auto").start();
    assert!(peer.grant().await.ends_with('2'));
    soon(send).await.unwrap();
}

#[tokio::test]
async fn case_18_a_bad_login_fails_the_command_and_the_next_goes_elsewhere() {
    let nodes = nodes(2).await;
    let client = cluster(&nodes)
        .random(seed_for(&nodes, 0).await)
        .reconnect_interval(Duration::from_secs(60))
        .login("me", "wrong")
        .build();
    let send = client.send("/queue/a", "1").receipt("auto").start();
    let mut peer = nodes[0].accept().await;
    let connect = peer.frame().await;
    assert!(connect.contains("\nlogin:me\npasscode:wrong\n"));
    peer.send("ERROR\nmessage:Bad login\n\n\0").await;
    let error = soon(send).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Operation);
    assert_eq!(error.frame.unwrap().get("message"), Some("Bad login"));
    let send = client.send("/queue/a", "2").receipt("auto").start();
    nodes[1].welcome().await.grant().await;
    soon(send).await.unwrap();
    // It rests.
    let send = client.send("/queue/a", "3").receipt("auto").start();
    assert!(!nodes[0].is_called().await);
    drop(send);
}

#[tokio::test]
async fn case_19_a_transaction_is_lost_whole_and_the_next_node_sees_nothing() {
    let (nodes, client) = begun(2).await;
    let begin = client.begin("t").start();
    let send = |body: &'static str| {
        let send = client.send("/queue/a", body).transaction("t");
        send.receipt("auto").start()
    };
    let (one, two) = (send("1"), send("2"));
    let mut peer = nodes[0].welcome().await;
    for _ in 0..3 {
        peer.frame().await;
    }
    soon(begin).await.unwrap();
    drop(peer);
    for outcome in [one, two] {
        let error = soon(outcome).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::ClosedByRemoteHost);
        assert!(
            error.message.contains("transaction \"t\" is lost"),
            "{error}"
        );
    }
    let commit = soon(client.commit("t").receipt("auto").start()).await;
    assert_eq!(code(commit), ErrorCode::Operation);
    let after = client.send("/queue/a", "after").receipt("auto").start();
    let frame = nodes[1].welcome().await.grant().await;
    assert!(frame.ends_with("after"), "{frame}");
    soon(after).await.unwrap();
}

#[tokio::test]
async fn case_20_nodes_are_counted_once_and_the_first_is_uniformly_random() {
    let three = [("a", 1), ("b", 1), ("a", 2)];
    let double = [("a", 1), ("b", 1), ("a", 1)];
    assert_eq!(Client::cluster(three).unwrap().build().nodes().len(), 3);
    assert_eq!(Client::cluster(double).unwrap().build().nodes().len(), 2);
    let none: [(&str, u16); 0] = [];
    assert_eq!(Client::cluster(none).unwrap_err(), UsageError::NoNodes);
    assert_eq!(
        UsageError::NoNodes.to_string(),
        "Specified empty list of nodes"
    );
    let mut counts = BTreeMap::new();
    for seed in 0..300 {
        let client = Client::cluster(three).unwrap().random(seed).build();
        *counts.entry((client.host(), client.port())).or_insert(0) += 1;
    }
    // Chi-square with two degrees of freedom: above 13.8 by chance once in a thousand.
    let off = |count: &i32| f64::from((count - 100).pow(2)) / 100.0;
    let chi: f64 = counts.values().map(off).sum();
    assert!(counts.len() == 3 && chi < 13.8, "{counts:?}");
}

#[tokio::test]
async fn case_21_messages_of_a_lost_node_cant_be_acknowledged() {
    let (nodes, client) = begun(2).await;
    let subscribe = client.subscribe("/queue/a").id("1");
    let mut subscription = subscribe.ack(AckMode::ClientIndividual).start();
    let mut peer = nodes[0].welcome().await;
    peer.grant().await;
    peer.message("1", "m1", "x").await;
    let old = soon(subscription.next()).await.unwrap().unwrap();
    drop(peer);
    let mut peer = nodes[1].welcome().await;
    peer.grant().await;
    peer.message("1", "m2", "x").await;
    peer.message("1", "m3", "x").await;
    let error = soon(client.ack(&old).start()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Operation);
    assert_eq!(
        error.message,
        "Unexpected ACK sent: message belongs to a lost session."
    );
    let new = soon(subscription.next()).await.unwrap().unwrap();
    soon(client.ack(&new).start()).await.unwrap();
    assert!(peer.frame().await.starts_with("ACK\nid:am2\n"));
    let by_id = soon(subscription.next()).await.unwrap().unwrap();
    let id = by_id.header("ack").unwrap();
    soon(client.ack_id(id).start()).await.unwrap();
    assert!(peer.frame().await.starts_with("ACK\nid:am3\n"));
}

#[tokio::test]
async fn operations_with_a_function_of_their_own_hear_of_nodes() {
    let nodes = nodes(2).await;
    let seed = seed_for(&nodes, 0).await;
    let of_client = Arc::new(Mutex::new(0));
    let count = Arc::clone(&of_client);
    let client = cluster(&nodes)
        .random(seed)
        .on_node_error(move |_, _, _| *count.lock().unwrap() += 1)
        .build();
    let own = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&own);
    let send = client.send("/queue/a", "1").receipt("auto");
    let send = send.on_node_error(move |error, host, port| {
        let number = error.code.number();
        heard.lock().unwrap().push((number, host.to_owned(), port));
    });
    let send = send.start();
    let other = client.send("/queue/a", "2").receipt("auto").start();
    let mut peer = nodes[0].welcome().await;
    peer.frame().await;
    drop(peer);
    let mut peer = nodes[1].welcome().await;
    peer.grant().await;
    peer.grant().await;
    soon(send).await.unwrap();
    soon(other).await.unwrap();
    assert_eq!(
        *own.lock().unwrap(),
        [(3, "127.0.0.1".into(), nodes[0].port())]
    );
    assert_eq!(*of_client.lock().unwrap(), 1);
}

#[tokio::test]
async fn it_connects_without_an_operation_if_it_is_told_to() {
    let nodes = nodes(2).await;
    let connecting = tokio::spawn(cluster(&nodes).fail_back(true).connect());
    let peer = nodes[0].welcome().await;
    let client = soon(connecting).await.unwrap().unwrap();
    assert!(client.is_ready());
    let states: Vec<_> = client
        .nodes()
        .iter()
        .map(|it| (it.active, it.connected))
        .collect();
    assert_eq!(states, [(true, true), (false, false)]);
    drop((peer, client));
    let ports: Vec<u16> = nodes.iter().map(Server::port).collect();
    drop(nodes);
    let addresses = ports.iter().map(|port| ("127.0.0.1", *port));
    let connecting = Client::cluster(addresses).unwrap().connect();
    assert_eq!(code(soon(connecting).await), ErrorCode::CantConnect);
}

#[tokio::test]
async fn it_can_be_used_again_after_force_disconnect() {
    let (nodes, client) = begun(2).await;
    let mut subscription = client.subscribe("/queue/a").id("1").start();
    let send = client.send("/queue/a", "1").receipt("auto").start();
    let mut peer = nodes[0].welcome().await;
    peer.grant().await;
    soon(subscription.ready()).await.unwrap();
    client.force_disconnect();
    assert_eq!(code(soon(send).await), ErrorCode::ClosedByClient);
    assert_eq!(soon(subscription.next()).await, None);
    peer.closed().await;
    let send = client.send("/queue/a", "2").receipt("auto").start();
    assert!(nodes[0].welcome().await.grant().await.ends_with('2'));
    soon(send).await.unwrap();
}

#[tokio::test]
async fn a_single_server_is_come_back_to() {
    let server = Server::start().await;
    let client = server.client().reconnect(true).on_error(|_| {}).build();
    let mut subscription = client.subscribe("/queue/a").id("1").start();
    let send = client.send("/queue/a", "1").receipt("auto").start();
    let mut peer = server.welcome().await;
    peer.grant().await;
    soon(subscription.ready()).await.unwrap();
    peer.frame().await;
    let port = server.port();
    drop((peer, server));
    let server = Server::start_at(port).await;
    let mut peer = server.welcome().await;
    assert!(peer.grant().await.starts_with("SUBSCRIBE\n"));
    assert!(peer.grant().await.starts_with("SEND\n"));
    soon(send).await.unwrap();
    peer.message("1", "m", "x").await;
    soon(subscription.next()).await.unwrap().unwrap();
}

#[tokio::test]
async fn urls_make_clients() {
    let nodes = nodes(2).await;
    let (a, b) = (nodes[0].port(), nodes[1].port());
    let url = format!("stomp://me:s%40@127.0.0.1:{a},you:t@127.0.0.1:{b}/v?fail_back=1");
    let url: StompUrl = url.parse().unwrap();
    let client = Client::at(&url).unwrap().build();
    let send = client.send("/queue/a", "1").receipt("auto").start();
    let mut peer = nodes[0].accept().await;
    let connect = peer.frame().await;
    assert!(
        connect.contains("\nlogin:me\npasscode:s@\nhost:v\n"),
        "{connect}"
    );
    drop(peer);
    let connect = nodes[1].accept().await.frame().await;
    assert!(
        connect.contains("\nlogin:you\npasscode:t\nhost:v\n"),
        "{connect}"
    );
    drop(send);
    for (url, error) in [
        ("stomp://a?x=1", UsageError::UnknownOption("x".into())),
        ("stomp://a,b?fail_back=2", UsageError::NotAFlag("fail_back")),
        (
            "stomp://a?attempts_max=0",
            UsageError::NotAPositiveNumber("attempts_max"),
        ),
        ("stomp+ssl://a", UsageError::NobodyTrusted),
    ] {
        let url: StompUrl = url.parse().unwrap();
        assert_eq!(Client::at(&url).unwrap_err(), error);
    }
}
