//! Cluster sessions, frame by frame. The numbers are those of the conformance cases; those with
//! real sockets are in `tests/net`.
#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

mod health;

use bytes::BytesMut;
use std::time::Duration;
use trunkline_model::Timestamp;
use trunkline_stomp::{
    AckMode, Acked, ClusterEffect, ClusterSession, ClusterSettings, ClusterSettingsError, Lost,
    MessageTag, NodeSettings, Operation, OperationId,
};

/// A cluster session, and the nodes as the test plays them. Times are milliseconds.
struct Cluster {
    session: ClusterSession,
    now: Timestamp,
    input: BytesMut,
}

fn settings(nodes: u16) -> ClusterSettings {
    let nodes = (0..nodes).map(|n| NodeSettings::new("n", n));
    ClusterSettings {
        // Node 0 is first, and never probed within these tests.
        fail_back: true,
        probe_interval: Some(Duration::from_secs(1_000)),
        ..ClusterSettings::of(nodes)
    }
}

impl Cluster {
    fn new(settings: ClusterSettings) -> Self {
        Self {
            session: ClusterSession::new(settings, 7).unwrap(),
            now: Timestamp::from_millis(1_000_000),
            input: BytesMut::new(),
        }
    }

    fn execute(&mut self, operation: Operation) -> OperationId {
        self.session.execute(self.now, operation, false)
    }

    /// The node accepts the login under a session of this name.
    fn accept(&mut self, name: &str) {
        self.session.opened(self.now);
        assert!(self.out().starts_with("CONNECT\n"));
        self.server(&format!("CONNECTED\nversion:1.2\nsession:{name}\n\n\0"));
    }

    fn server(&mut self, bytes: &str) {
        self.input.extend_from_slice(bytes.as_bytes());
        self.session.receive(self.now, &mut self.input);
    }

    fn receipt(&mut self, id: &str) {
        self.server(&format!("RECEIPT\nreceipt-id:{id}\n\n\0"));
    }

    fn lose(&mut self) {
        self.input.clear();
        self.session.lost(self.now, Lost::Closed);
    }

    /// What is to be written; it is written then.
    fn out(&mut self) -> String {
        let out = self.session.take_output().to_vec();
        self.session.written(self.now);
        String::from_utf8(out).unwrap()
    }

    /// The bodies of the frames that are to be written.
    fn bodies(&mut self) -> Vec<String> {
        let out = self.out();
        let frames = out.split('\0').filter(|it| !it.is_empty());
        let body = |it: &str| it.split_once("\n\n").unwrap().1.to_owned();
        frames.map(body).collect()
    }

    fn effects(&mut self) -> Vec<ClusterEffect> {
        std::iter::from_fn(|| self.session.next_effect()).collect()
    }

    /// The effects in short.
    fn told(&mut self) -> Vec<String> {
        self.effects().iter().map(short).collect()
    }

    fn pass(&mut self, millis: u64) {
        let until = self.now.after(Duration::from_millis(millis));
        while let Some(at) = self.session.next_deadline().filter(|at| *at <= until) {
            self.now = at.max(self.now);
            self.session.tick(self.now);
        }
        self.now = until;
    }

    /// A subscription at the node that is first asked, and the tag of a message.
    fn subscribed(&mut self) -> (OperationId, MessageTag) {
        let subscribe = Operation::subscribe("/queue/a", AckMode::ClientIndividual);
        let id = self.execute(subscribe.with("id", "1").with("receipt", "sub"));
        self.accept("s");
        self.out();
        self.receipt("sub");
        self.told();
        let tag = self.message("m1");
        (id, tag)
    }

    fn message(&mut self, ack: &str) -> MessageTag {
        let headers = "subscription:1\ndestination:/queue/a";
        self.server(&format!(
            "MESSAGE\n{headers}\nmessage-id:{ack}\nack:{ack}\n\nx\0"
        ));
        match self.effects().pop() {
            Some(ClusterEffect::Message { tag, .. }) => tag,
            other => panic!("{other:?}"),
        }
    }
}

fn short(effect: &ClusterEffect) -> String {
    match effect {
        ClusterEffect::Open { node } => format!("open {node}"),
        ClusterEffect::Close => "close".into(),
        ClusterEffect::Probe { node } => format!("probe {node}"),
        ClusterEffect::NodeConnected { node } => format!("connected {node}"),
        ClusterEffect::NodeReady { node, .. } => format!("ready {node}"),
        ClusterEffect::NodeError {
            node,
            error,
            operation,
        } => {
            let of = operation.map_or(String::new(), |it| format!(" of {}", it.0));
            format!("error {node}{of}: {} {error}", error.code.number())
        }
        ClusterEffect::NodeDisconnected { node } => format!("disconnected {node}"),
        ClusterEffect::NotConnected { error } => format!("not connected: {error}"),
        ClusterEffect::Message { .. } => "message".into(),
        ClusterEffect::Done { operation, .. } => format!("done {}", operation.0),
        ClusterEffect::Failed { operation, error } => {
            format!("failed {}: {} {error}", operation.0, error.code.number())
        }
        ClusterEffect::Interrupted { subscription, .. } => {
            format!("interrupted {}", subscription.0)
        }
        ClusterEffect::Resubscribed {
            subscription, node, ..
        } => format!("resubscribed {} at {node}", subscription.0),
        ClusterEffect::SubscriptionLost {
            subscription,
            error,
        } => format!("lost {}: {} {error}", subscription.0, error.code.number()),
        ClusterEffect::Ended { subscription } => format!("ended {}", subscription.0),
    }
}

const CLOSED: &str = "Connection closed by remote host.";

#[test]
fn nodes_are_needed() {
    let none = ClusterSession::new(ClusterSettings::default(), 1).unwrap_err();
    assert_eq!(none, ClusterSettingsError::NoNodes);
}

#[test]
fn case_14_a_subscription_goes_to_the_next_node() {
    let mut cluster = Cluster::new(settings(3));
    cluster.subscribed();
    cluster.lose();
    assert_eq!(
        cluster.told(),
        [
            format!("error 0: 3 {CLOSED}"),
            "interrupted 1".into(),
            "disconnected 0".into(),
            "open 1".into(),
        ]
    );
    cluster.accept("t");
    assert!(cluster.out().contains("\nid:1\n"));
    cluster.receipt("sub");
    assert_eq!(
        cluster.told(),
        ["connected 1", "ready 1", "resubscribed 1 at 1"]
    );
    cluster.message("m2");
}

#[test]
fn case_15_a_subscription_survives_any_number_of_losses() {
    let mut cluster = Cluster::new(settings(2));
    cluster.subscribed();
    for round in 0..10 {
        cluster.lose();
        cluster.pass(1_000);
        let open = format!("open {}", (round + 1) % 2);
        assert!(cluster.told().contains(&open), "{round}");
        cluster.accept("t");
        cluster.out();
        cluster.receipt("sub");
        cluster.message(&round.to_string());
    }
}

#[test]
fn case_16_sends_are_repeated_in_order_and_before_later_ones() {
    let mut cluster = Cluster::new(settings(2));
    cluster.execute(Operation::send("/queue/a", "1").with("receipt", "auto"));
    cluster.execute(Operation::send("/queue/a", "2").with("receipt", "auto"));
    cluster.accept("s");
    let first = cluster.out();
    cluster.execute(Operation::unsubscribe().with("id", "7"));
    cluster.execute(Operation::commit("unknown").with("receipt", "auto"));
    cluster.told();
    cluster.lose();
    cluster.execute(Operation::send("/queue/a", "3").with("receipt", "auto"));
    assert_eq!(
        cluster.told(),
        [
            format!("error 0: 3 {CLOSED}"),
            format!("failed 3: 3 Operation \"UNSUBSCRIBE\" aborted: {CLOSED}"),
            format!("failed 4: 3 Operation \"COMMIT\" aborted: {CLOSED}"),
            "disconnected 0".into(),
            "open 1".into(),
        ]
    );
    cluster.accept("t");
    let second = cluster.out();
    let ids = |out: &str| {
        let lines = out.lines().filter(|it| it.starts_with("publish-id:"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(ids(&second)[..2], ids(&first));
    let bodies: Vec<_> = second.split('\0').map(|it| it.chars().last()).collect();
    assert_eq!(bodies, [Some('1'), Some('2'), Some('3'), None]);
}

#[test]
fn case_16_without_receipt_what_is_written_is_not_repeated() {
    let mut cluster = Cluster::new(settings(2));
    cluster.execute(Operation::send("/queue/a", "1"));
    cluster.accept("s");
    let out = cluster.out();
    assert!(!out.contains("publish-id"), "{out}");
    cluster.execute(Operation::send("/queue/a", "2"));
    cluster.lose();
    let told = cluster.told();
    assert!(told.contains(&"done 1".to_owned()), "{told:?}");
    cluster.accept("t");
    assert_eq!(cluster.bodies(), ["2"]);
}

#[test]
fn publish_ids_can_be_left_to_the_caller() {
    let mut cluster = Cluster::new(ClusterSettings {
        publish_ids: false,
        ..settings(2)
    });
    cluster.execute(Operation::send("/queue/a", "1").with("receipt", "auto"));
    let own = Operation::send("/queue/a", "2").with("publish-id", "mine");
    cluster.execute(own.with("receipt", "auto"));
    cluster.accept("s");
    assert_eq!(cluster.out().matches("publish-id:").count(), 1);
}

#[test]
fn case_17_every_node_is_tried_once_in_order() {
    let mut cluster = Cluster::new(settings(3));
    cluster.execute(Operation::send("/queue/a", "1").with("receipt", "auto"));
    cluster.execute(Operation::commit("unknown"));
    let mut told = cluster.told();
    for _ in 0..3 {
        cluster.session.open_failed(cluster.now, "refused");
        told.extend(cluster.told());
    }
    let cant = |node: u8| format!("Can't connect to n:{node}: refused");
    assert_eq!(
        told,
        [
            "open 0".into(),
            format!("error 0: 1 {}", cant(0)),
            format!("failed 2: 1 Operation \"COMMIT\" aborted: {}", cant(0)),
            "open 1".into(),
            format!("error 1: 1 {}", cant(1)),
            "open 2".into(),
            format!("error 2: 1 {}", cant(2)),
            format!("failed 1: 1 Operation \"SEND\" aborted: {}", cant(2)),
        ]
    );
    cluster.execute(Operation::send("/queue/a", "1").with("receipt", "auto"));
    assert_eq!(cluster.told(), ["open 0"]);
}

#[test]
fn operations_may_wait_until_a_node_is_up() {
    let mut cluster = Cluster::new(ClusterSettings {
        wait_for_nodes: true,
        ..settings(2)
    });
    cluster.execute(Operation::send("/queue/a", "1").with("receipt", "auto"));
    for round in 0..20 {
        cluster.pass(1_000);
        assert!(cluster.told().contains(&format!("open {}", round % 2)));
        cluster.session.open_failed(cluster.now, "refused");
    }
    cluster.pass(1_000);
    cluster.accept("s");
    assert_eq!(cluster.bodies(), ["1"]);
}

#[test]
fn case_18_a_bad_login_fails_what_waits_and_the_node_rests() {
    let mut bad = settings(2);
    bad.client.reconnect_interval = Some(Duration::from_secs(5));
    let mut cluster = Cluster::new(bad);
    cluster.execute(Operation::send("/queue/a", "1").with("receipt", "auto"));
    cluster.session.opened(cluster.now);
    cluster.out();
    cluster.server("ERROR\nmessage:Bad login\n\n\0");
    assert_eq!(
        cluster.told(),
        [
            "open 0",
            "connected 0",
            "close",
            "error 0: 5 Bad login",
            "failed 1: 5 Operation \"SEND\" aborted: Bad login",
            "disconnected 0",
        ]
    );
    cluster.execute(Operation::send("/queue/a", "2").with("receipt", "auto"));
    assert_eq!(cluster.told(), ["open 1"]);
    // It rests as well; the first has rested longer.
    cluster.pass(1_000);
    cluster.session.open_failed(cluster.now, "refused");
    assert_eq!(cluster.told().len(), 1);
    cluster.pass(3_999);
    assert_eq!(cluster.told(), [""; 0]);
    cluster.pass(1);
    assert_eq!(cluster.told(), ["open 0"]);
}

#[test]
fn case_19_a_transaction_is_lost_whole() {
    let mut cluster = Cluster::new(settings(2));
    cluster.execute(Operation::begin("t").with("receipt", "b"));
    let send = |body: &'static str| Operation::send("/queue/a", body).with("transaction", "t");
    cluster.execute(send("1").with("receipt", "auto"));
    cluster.accept("s");
    cluster.out();
    cluster.receipt("b");
    cluster.execute(send("2").with("receipt", "auto"));
    cluster.told();
    cluster.lose();
    cluster.execute(send("3"));
    cluster.execute(Operation::commit("t"));
    let lost = format!("Operation \"SEND\" aborted: transaction \"t\" is lost: {CLOSED}");
    assert_eq!(
        cluster.told(),
        [
            format!("error 0: 3 {CLOSED}"),
            format!("failed 2: 3 {lost}"),
            format!("failed 3: 3 {lost}"),
            "disconnected 0".into(),
            "failed 4: 5 Unexpected SEND sent: transaction \"t\" is lost.".into(),
            "failed 5: 5 Unexpected COMMIT sent: transaction \"t\" is lost.".into(),
        ]
    );
    // The name is free again.
    cluster.execute(Operation::begin("t"));
    cluster.execute(send("4"));
    cluster.accept("u");
    assert_eq!(cluster.bodies(), ["", "4"]);
}

#[test]
fn case_19_a_transaction_of_which_nothing_was_sent_goes_on_whole() {
    let mut cluster = Cluster::new(settings(2));
    cluster.execute(Operation::begin("t"));
    cluster.execute(Operation::send("/queue/a", "1").with("transaction", "t"));
    cluster.execute(Operation::commit("t").with("receipt", "c"));
    cluster.session.open_failed(cluster.now, "refused");
    cluster.accept("s");
    assert_eq!(cluster.bodies(), ["", "1", ""]);
    cluster.lose();
    let told = cluster.told();
    let unknown = "Whether it was applied is not known.";
    assert!(told.iter().any(|it| it.ends_with(unknown)), "{told:?}");
}

#[test]
fn case_20_the_first_node_is_random_and_nodes_are_counted_once() {
    let nodes = [("a", 1), ("b", 1), ("a", 1), ("a", 2)];
    let settings = ClusterSettings::of(nodes.map(|(host, port)| NodeSettings::new(host, port)));
    let mut counts = [0; 3];
    for seed in 0..300u64 {
        let mut session = ClusterSession::new(settings.clone(), seed).unwrap();
        assert_eq!(session.nodes().len(), 3);
        session.execute(Timestamp::ZERO, Operation::begin("t"), false);
        match session.next_effect() {
            Some(ClusterEffect::Open { node }) => counts[node] += 1,
            other => panic!("{other:?}"),
        }
    }
    // Chi-square with two degrees of freedom: above 13.8 by chance once in a thousand.
    let off = |count: &i32| f64::from((count - 100).pow(2)) / 100.0;
    let chi: f64 = counts.iter().map(off).sum();
    assert!(chi < 13.8, "{counts:?}");
}

#[test]
fn case_21_messages_of_a_lost_node_cant_be_acknowledged() {
    let mut cluster = Cluster::new(settings(2));
    let (_, old) = cluster.subscribed();
    cluster.lose();
    cluster.told();
    let refused = "Unexpected ACK sent: message belongs to a lost session.";
    cluster.execute(Operation::ack(Acked::Tag(old)));
    assert_eq!(cluster.told(), [format!("failed 2: 5 {refused}")]);
    cluster.accept("t");
    cluster.out();
    cluster.receipt("sub");
    cluster.told();
    let new = cluster.message("m2");
    cluster.execute(Operation::ack(Acked::Tag(old)));
    assert_eq!(cluster.told(), [format!("failed 3: 5 {refused}")]);
    assert_eq!(cluster.out(), "");
    cluster.execute(Operation::ack(Acked::Tag(new)));
    assert!(cluster.out().contains("\nid:m2\n"));
    cluster.message("m3");
    cluster.execute(Operation::nack(Acked::Id("m3".into())));
    assert!(cluster.out().contains("\nid:m3\n"));
}

#[test]
fn errors_of_nodes_go_to_operations_that_ask() {
    let mut cluster = Cluster::new(settings(2));
    let send = || Operation::send("/queue/a", "1").with("receipt", "auto");
    cluster.session.execute(cluster.now, send(), true);
    cluster.session.execute(cluster.now, send(), false);
    cluster.session.open_failed(cluster.now, "refused");
    let cant = "1 Can't connect to n:0: refused";
    let told = [
        "open 0".into(),
        format!("error 0: {cant}"),
        format!("error 0 of 1: {cant}"),
        "open 1".into(),
    ];
    assert_eq!(cluster.told(), told);

    let mut cluster = Cluster::new(ClusterSettings {
        node_errors_per_operation: true,
        ..settings(2)
    });
    cluster.execute(send());
    cluster.session.open_failed(cluster.now, "refused");
    assert_eq!(cluster.told(), told);
}

#[test]
fn a_single_node_is_tried_twice_if_it_may_rest_in_between() {
    let mut one = settings(1);
    one.client.reconnect_interval = Some(Duration::from_secs(2));
    let mut cluster = Cluster::new(one);
    cluster.execute(Operation::send("/queue/a", "1").with("receipt", "auto"));
    cluster.session.open_failed(cluster.now, "refused");
    cluster.pass(1_999);
    assert_eq!(cluster.told().len(), 2);
    cluster.pass(1);
    assert_eq!(cluster.told(), ["open 0"]);
    cluster.session.open_failed(cluster.now, "refused");
    assert!(cluster.told()[1].starts_with("failed 1: 1 "));

    let mut cluster = Cluster::new(settings(1));
    cluster.execute(Operation::send("/queue/a", "1").with("receipt", "auto"));
    cluster.session.open_failed(cluster.now, "refused");
    assert!(cluster.told()[2].starts_with("failed 1: 1 "));
}

#[test]
fn an_error_of_one_operation_is_told_to_it_and_the_close_moves_on() {
    let mut cluster = Cluster::new(settings(2));
    cluster.subscribed();
    cluster.execute(Operation::send("/nowhere", "1").with("receipt", "r"));
    cluster.execute(Operation::send("/queue/a", "2").with("receipt", "auto"));
    cluster.out();
    cluster.server("ERROR\nreceipt-id:r\nmessage:No such destination\n\n\0");
    assert_eq!(cluster.told(), ["failed 2: 5 No such destination"]);
    cluster.lose();
    cluster.accept("t");
    assert_eq!(cluster.bodies(), ["", "2"]);
}

#[test]
fn an_error_of_the_session_fails_operations_but_not_subscriptions() {
    let mut cluster = Cluster::new(settings(2));
    cluster.subscribed();
    cluster.execute(Operation::send("/queue/a", "2").with("receipt", "auto"));
    cluster.server("ERROR\nmessage:No\n\n\0");
    assert_eq!(
        cluster.told(),
        [
            "close",
            "error 0: 5 No",
            "interrupted 1",
            "failed 2: 5 Operation \"SEND\" aborted: No",
            "disconnected 0",
            "open 1",
        ]
    );
}

#[test]
fn what_a_stopping_server_refuses_goes_elsewhere() {
    let stops = "message:Stops\ntrunkline-code:-32012";
    for receipt in ["receipt-id:r\n", ""] {
        let mut cluster = Cluster::new(settings(2));
        cluster.subscribed();
        cluster.execute(Operation::send("/queue/a", "1").with("receipt", "r"));
        cluster.execute(Operation::send("/queue/a", "2").with("receipt", "auto"));
        cluster.out();
        cluster.server(&format!("ERROR\n{receipt}{stops}\n\n\0"));
        let told = cluster.told();
        assert!(!told.iter().any(|it| it.starts_with("failed")), "{told:?}");
        assert_eq!(told.last().unwrap(), "open 1");
        cluster.accept("t");
        assert_eq!(cluster.bodies(), ["", "1", "2"]);
    }
}

#[test]
fn a_starting_server_is_as_good_as_none() {
    let mut cluster = Cluster::new(ClusterSettings {
        wait_for_nodes: true,
        ..settings(1)
    });
    cluster.execute(Operation::send("/queue/a", "1").with("receipt", "auto"));
    for _ in 0..20 {
        cluster.pass(1_000);
        cluster.session.opened(cluster.now);
        cluster.out();
        cluster.server("ERROR\nmessage:Starts\ntrunkline-code:-32008\n\n\0");
    }
    cluster.pass(1_000);
    cluster.accept("s");
    assert_eq!(cluster.bodies(), ["1"]);
    // What such a server refuses is refused.
    cluster.execute(Operation::send("/queue/a", "2").with("receipt", "r"));
    cluster.told();
    cluster.server("ERROR\nreceipt-id:r\nmessage:Full\ntrunkline-code:-32008\n\n\0");
    assert_eq!(cluster.told(), ["failed 2: 5 Full"]);
}

#[test]
fn a_subscription_is_given_up_when_every_node_has_failed() {
    let mut cluster = Cluster::new(settings(2));
    cluster.subscribed();
    cluster.lose();
    cluster.session.open_failed(cluster.now, "refused");
    cluster.pass(1_000);
    cluster.session.open_failed(cluster.now, "refused");
    let told = cluster.told();
    let cant = "Can't connect to n:0: refused";
    assert_eq!(
        told.last().unwrap(),
        &format!("lost 1: 1 Subscription \"1\" lost: {cant}")
    );
    assert_eq!(cluster.session.unfinished(), 0);
}

#[test]
fn after_force_disconnect_it_can_be_used_again() {
    let mut cluster = Cluster::new(settings(2));
    cluster.subscribed();
    cluster.execute(Operation::send("/queue/a", "2").with("receipt", "auto"));
    cluster.session.force_disconnect(cluster.now);
    let closed = "Connection closed by client prematurely.";
    assert_eq!(
        cluster.told(),
        [
            "close".into(),
            "disconnected 0".into(),
            format!("error 0: 4 {closed}"),
            format!("failed 2: 4 Operation \"SEND\" aborted: {closed}"),
            "ended 1".into(),
        ]
    );
    cluster.session.force_disconnect(cluster.now);
    assert_eq!(cluster.told(), [""; 0]);
    cluster.subscribed();
}

#[test]
fn disconnect_ends_subscriptions_without_a_word() {
    let mut cluster = Cluster::new(settings(2));
    cluster.subscribed();
    cluster.execute(Operation::disconnect().with("receipt", "bye"));
    assert!(cluster.out().starts_with("DISCONNECT\n"));
    cluster.receipt("bye");
    assert_eq!(
        cluster.told(),
        ["close", "disconnected 0", "done 2", "ended 1"]
    );
    cluster.execute(Operation::disconnect());
    assert_eq!(cluster.told(), ["done 3"]);
    assert_eq!(cluster.session.next_deadline(), None);
}

#[test]
fn what_waits_is_bounded() {
    let mut bounded = settings(2);
    bounded.client.operations_max = 2;
    bounded.client.unwritten_bytes_max = 1_000;
    bounded.transactions_max = 1;
    let mut cluster = Cluster::new(bounded.clone());
    for _ in 0..3 {
        cluster.execute(Operation::send("/queue/a", ""));
    }
    let told = "failed 3: 5 More than 2 operations are unfinished.";
    assert_eq!(cluster.told(), ["open 0", told]);
    let mut cluster = Cluster::new(bounded.clone());
    cluster.execute(Operation::send("/queue/a", vec![0; 1_000]));
    let told = "failed 1: 5 More than 1000 bytes of operations are unfinished.";
    assert_eq!(cluster.told(), [told]);
    let mut cluster = Cluster::new(bounded);
    cluster.execute(Operation::begin("t"));
    cluster.execute(Operation::begin("u"));
    let told = "failed 2: 5 More than 1 transactions are open.";
    assert_eq!(cluster.told(), ["open 0", told]);
}

#[test]
fn nodes_have_logins_of_their_own() {
    let mut own = settings(2);
    own.client.login = Some("all".into());
    own.client.passcode = Some("secret".into());
    own.nodes[1].login = Some("one".into());
    own.nodes[1].virtual_host = Some("v".into());
    assert!(!format!("{own:?}").contains("secret"));
    let mut cluster = Cluster::new(own);
    cluster.execute(Operation::begin("t"));
    cluster.session.opened(cluster.now);
    assert!(
        cluster
            .out()
            .contains("\nlogin:all\npasscode:secret\ncontent-length")
    );
    cluster.lose();
    cluster.session.opened(cluster.now);
    let out = cluster.out();
    assert!(
        out.contains("\nlogin:one\npasscode:secret\nhost:v\n"),
        "{out}"
    );
    assert!(!format!("{:?}", cluster.session).contains("secret"));
}

#[test]
fn it_can_connect_without_an_operation() {
    let mut cluster = Cluster::new(settings(2));
    cluster.session.connect(cluster.now);
    cluster.session.open_failed(cluster.now, "refused");
    cluster.session.open_failed(cluster.now, "refused");
    let told = cluster.told();
    let cant = "Can't connect to n:1: refused";
    assert_eq!(told.last().unwrap(), &format!("not connected: {cant}"));
    assert!(cluster.session.is_idle());
    cluster.session.connect(cluster.now);
    cluster.accept("s");
    assert!(cluster.session.is_ready());
    cluster.session.connect(cluster.now);
    assert_eq!(cluster.told(), ["open 0", "connected 0", "ready 0"]);
}

#[test]
fn abandoned_subscriptions_are_not_made_again() {
    let mut cluster = Cluster::new(settings(2));
    let (id, _) = cluster.subscribed();
    cluster.session.abandon(cluster.now, id);
    assert!(cluster.out().starts_with("UNSUBSCRIBE\n"));
    cluster.lose();
    let told = cluster.told();
    assert!(told.contains(&"ended 1".to_owned()), "{told:?}");
    assert_eq!(told.last().unwrap(), "disconnected 0");
    assert_eq!(cluster.session.unfinished(), 0);

    let mut cluster = Cluster::new(settings(2));
    let (id, _) = cluster.subscribed();
    cluster.lose();
    cluster.told();
    cluster.session.abandon(cluster.now, id);
    assert_eq!(cluster.told(), ["ended 1"]);
    cluster.accept("t");
    assert_eq!(cluster.out(), "");
}

#[test]
fn beats_that_stop_are_a_loss_as_any_other() {
    let mut beating = settings(2);
    beating.client.heart_beat.wants_ms = 100;
    let mut cluster = Cluster::new(beating);
    cluster.execute(Operation::begin("t"));
    cluster.session.opened(cluster.now);
    cluster.out();
    cluster.server("CONNECTED\nversion:1.2\nheart-beat:100,0\n\n\0");
    cluster.execute(Operation::send("/queue/a", "1").with("receipt", "auto"));
    cluster.pass(299);
    assert!(cluster.session.is_ready());
    cluster.out();
    cluster.told();
    cluster.pass(1);
    assert_eq!(
        cluster.told(),
        [
            "close",
            "error 0: 7 Read timed out.",
            "disconnected 0",
            "open 1"
        ]
    );
}
