//! Clients of a cluster over real nodes that are killed and started again in turn, under load: what
//! was confirmed is delivered, what is acknowledged stays so, nothing is invented, and what comes twice
//! may.

mod ledger;
mod load;

use crate::setup::{Server, Store, store, text};
use ledger::Ledger;
use load::{ACKS, PREFETCH, WINDOW, consume, contents, drain, follow, produce, soon};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use tokio::task::block_in_place;
use trunkline_stomp::{Client, ClientBuilder};
use trunkline_test_servers::{RabbitMq, ports};

const PRODUCERS: usize = 2;

/// Nodes that a test can kill.
trait Nodes {
    fn ports(&self) -> Vec<u16>;
    /// As `kill -9` does.
    fn kill(&mut self, node: usize);
    /// With what it has stored, on the same port.
    fn restart(&mut self, node: usize);
    /// What clients need beside addresses.
    fn options(&self, builder: ClientBuilder) -> ClientBuilder {
        builder
    }
}

/// Servers of ours, each with a store of its own.
struct Ours {
    stores: Vec<Store>,
    ports: Vec<u16>,
    servers: Vec<Option<Server>>,
}

impl Ours {
    fn start<const N: usize>() -> Self {
        let mut nodes = Self {
            stores: (0..N).map(|_| store()).collect(),
            ports: ports::<N>().into(),
            servers: (0..N).map(|_| None).collect(),
        };
        for node in 0..N {
            nodes.restart(node);
        }
        nodes
    }
}

impl Nodes for Ours {
    fn ports(&self) -> Vec<u16> {
        self.ports.clone()
    }

    fn kill(&mut self, node: usize) {
        if let Some(server) = self.servers[node].take() {
            server.kill();
        }
    }

    fn restart(&mut self, node: usize) {
        let address = format!("127.0.0.1:{}", self.ports[node]);
        let data = self.stores[node].path();
        let args = ["--http", "127.0.0.1:0", "--stomp", &address, "--data"];
        self.servers[node] = Some(Server::start(&[&args[..], &[text(&data)]].concat()));
    }
}

/// Real brokers of somebody else.
struct Theirs(Vec<RabbitMq>);

impl Nodes for Theirs {
    fn ports(&self) -> Vec<u16> {
        self.0.iter().map(|node| node.stomp().port()).collect()
    }

    fn kill(&mut self, node: usize) {
        self.0[node].kill();
    }

    fn restart(&mut self, node: usize) {
        self.0[node].restart();
    }

    fn options(&self, builder: ClientBuilder) -> ClientBuilder {
        builder.login("guest", "guest").vhost("/")
    }
}

/// What is killed when so many more SENDs are confirmed than before, and started again after as
/// many more; the last time all nodes at once.
struct Plan {
    seed: u64,
    rounds: usize,
    step: usize,
}

async fn run(nodes: &mut impl Nodes, plan: &Plan, identities: bool) {
    let ports = nodes.ports();
    let addresses = ports.iter().map(|port| ("127.0.0.1", *port));
    let builder = Client::cluster(addresses).unwrap().wait_for_nodes(true);
    let builder = nodes.options(builder).on_error(|_| {});
    let client = |number: u64| builder.clone().random(plan.seed << 8 | number).build();
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let (progress, mut confirmed) = watch::channel(0);
    let progress = Arc::new(progress);
    let (bound, bounds) = watch::channel(Some(0));
    let consumer = client(100);
    follow(consumer.events(), Arc::clone(&ledger));
    let (end_consumer, consumer_ends) = watch::channel(false);
    let consumer = consume(consumer, Arc::clone(&ledger), consumer_ends);
    let mut producers = Vec::new();
    for number in 0..PRODUCERS {
        let producer = client(number as u64);
        let (ledger, progress) = (Arc::clone(&ledger), Arc::clone(&progress));
        let name = number.to_string();
        producers.push(produce(producer, name, ledger, progress, bounds.clone()));
    }
    // At each of these counts of confirmed SENDs as many as the windows hold are on their way.
    let mut reach = async |more: usize| {
        let until = *confirmed.borrow() + more;
        bound.send_replace(Some(until + 2 * PRODUCERS * WINDOW));
        soon(confirmed.wait_for(|it| *it >= until)).await.unwrap();
    };
    let mut dice = plan.seed;
    for round in 0..plan.rounds {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        reach(plan.step + usize::try_from(dice >> 40).unwrap() % plan.step).await;
        let last = round + 1 == plan.rounds;
        let killed: Vec<usize> = match last {
            true => (0..ports.len()).collect(),
            false => vec![round % ports.len()],
        };
        block_in_place(|| killed.iter().for_each(|node| nodes.kill(*node)));
        if !last {
            reach(plan.step).await;
        }
        block_in_place(|| killed.iter().for_each(|node| nodes.restart(*node)));
    }
    reach(plan.step).await;
    bound.send_replace(None);
    for producer in producers {
        producer.await.unwrap();
    }
    end_consumer.send_replace(true);
    consumer.await.unwrap();
    for port in &ports {
        let one = Client::cluster([("127.0.0.1", *port)]).unwrap();
        drain(nodes.options(one), &ledger).await;
    }
    let told = format!("seed {}", plan.seed);
    let sum = ledger.lock().unwrap().check(&told, identities);
    // Each loss makes the SENDs that wait for a receipt come again, once, and the messages that wait for
    // an ACK or its receipt. The consumer's own end does the latter.
    let losses = plan.rounds - 1 + ports.len();
    let copies = losses * PRODUCERS * WINDOW;
    assert!(
        sum.copies <= copies,
        "{told}: {sum:?}, copies at most {copies}"
    );
    let again = (losses + 1) * (PREFETCH + ACKS);
    assert!(sum.again <= again, "{told}: {sum:?}, again at most {again}");
    assert!(sum.confirmed >= plan.rounds * plan.step, "{told}: {sum:?}");
    eprintln!("{told}, {} nodes: {sum:?}", ports.len());
}

/// One that is committed, one that is aborted, and one whose node dies: of that, no node has anything.
async fn transact(nodes: &mut impl Nodes) {
    let queue = "/queue/transactions";
    let ports = nodes.ports();
    let addresses = ports.iter().map(|port| ("127.0.0.1", *port));
    let builder = Client::cluster(addresses).unwrap().fail_back(true);
    let client = nodes.options(builder).on_error(|_| {}).build();
    let send = async |body: &'static str| {
        let send = client.send(queue, body).header("persistent", "true");
        soon(send.receipt("auto").into_future()).await.unwrap();
    };
    for (name, commits) in [("t", true), ("u", false), ("v", true)] {
        let begin = client.begin(name).receipt("auto").start();
        let part = client.send(queue, name).header("persistent", "true");
        let part = part.transaction(name).start();
        soon(begin).await.unwrap();
        soon(part).await.unwrap();
        if name == "v" {
            // RabbitMQ doesn't wait for the disk with the RECEIPT of a COMMIT, but with this one.
            send("before").await;
            block_in_place(|| nodes.kill(0));
        }
        let end = match commits {
            true => client.commit(name),
            false => client.abort(name),
        };
        let ended = soon(end.receipt("auto").into_future()).await;
        assert_eq!(ended.is_err(), name == "v", "{ended:?}");
    }
    send("after").await;
    assert_eq!(client.port(), ports[1]);
    soon(client.disconnect().into_future()).await.unwrap();
    block_in_place(|| nodes.restart(0));
    for (port, expected) in ports.iter().zip([vec!["t", "before"], vec!["after"]]) {
        let one = Client::cluster([("127.0.0.1", *port)]).unwrap();
        let contents = contents(nodes.options(one).build(), queue).await;
        assert_eq!(contents, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_are_killed_in_turn_under_load() {
    let mut nodes = block_in_place(Ours::start::<2>);
    transact(&mut nodes).await;
    let plan = Plan {
        seed: 1,
        rounds: 6,
        step: 120,
    };
    run(&mut nodes, &plan, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_are_killed_in_turn_under_load() {
    let mut nodes = block_in_place(Ours::start::<3>);
    let plan = Plan {
        seed: 2,
        rounds: 6,
        step: 120,
    };
    run(&mut nodes, &plan, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_brokers_of_somebody_else_are_killed_in_turn_under_load() {
    let started = block_in_place(|| {
        // Both at once: a start takes some seconds.
        let other = std::thread::spawn(RabbitMq::start);
        let one = RabbitMq::start();
        one.zip(other.join().unwrap())
    });
    let Some((one, other)) = started else {
        return;
    };
    let plan = Plan {
        seed: 3,
        rounds: 3,
        step: 150,
    };
    let mut nodes = Theirs(vec![one, other]);
    transact(&mut nodes).await;
    run(&mut nodes, &plan, false).await;
}
