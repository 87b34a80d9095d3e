//! A Redis cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::resp::{Reply, ask};
use crate::tls::Tls;
use crate::{Redis, ports, wait_until};

/// How many slots a cluster has.
const SLOTS: usize = 16_384;
/// For the nodes to agree on something.
const AGREE_MAX: Duration = Duration::from_secs(60);
/// After so many milliseconds of silence a node is given up by the others.
const NODE_TIMEOUT: &str = "1500";
/// Keys that are moved at a time.
const KEYS_AT_A_TIME: &str = "100";

/// Three masters that share the slots evenly, and perhaps a replica of each. They listen on 127.0.0.1 alone.
#[derive(Debug)]
pub struct RedisCluster {
    /// The masters, then their replicas in the same order.
    nodes: Vec<Redis>,
    ids: Vec<String>,
    tls: Option<Tls>,
    /// Where nodes speak it, if they do.
    tls_ports: Vec<u16>,
}

impl RedisCluster {
    /// How many nodes are masters at the beginning: the first ones.
    pub const MASTERS: usize = 3;

    /// Starts three masters and waits until each knows that all slots have an owner. `None`, after saying so, if
    /// `cargo xtask test` didn't name a server, or one before version 7: its nodes talk to each other on a port that
    /// can't be chosen.
    ///
    /// # Panics
    ///
    /// If it doesn't get ready.
    #[must_use]
    pub fn start() -> Option<RedisCluster> {
        RedisCluster::start_with(&[])
    }

    /// The same with further options of every node, as on its command line.
    ///
    /// # Panics
    ///
    /// If it doesn't get ready.
    #[must_use]
    pub fn start_with(options: &[&str]) -> Option<RedisCluster> {
        RedisCluster::start_all(options, None)
    }

    /// The same over TLS, to clients and between the nodes, with `server.pem`, `server.key` and `ca.pem` of a directory.
    /// What is said about the nodes here says it without.
    ///
    /// # Panics
    ///
    /// If it doesn't get ready.
    #[must_use]
    pub fn start_over_tls(certificates: &Path) -> Option<RedisCluster> {
        RedisCluster::start_all(&["--tls-cluster", "yes"], Some(Tls::new(certificates)))
    }

    fn start_all(options: &[&str], tls: Option<Tls>) -> Option<RedisCluster> {
        if Redis::start()?.lacks("cluster-port") {
            return None;
        }
        let mut cluster = RedisCluster {
            nodes: Vec::new(),
            ids: Vec::new(),
            tls,
            tls_ports: Vec::new(),
        };
        for _ in 0..Self::MASTERS {
            cluster.add(options)?;
        }
        for (place, node) in cluster.nodes.iter().enumerate() {
            let bounds = [place, place + 1].map(|part| part * SLOTS / Self::MASTERS);
            let (first, last) = (bounds[0].to_string(), (bounds[1] - 1).to_string());
            must(node.address(), &["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
        }
        cluster.introduce();
        Some(cluster)
    }

    /// The same with a replica of each master, which takes its place when it is dead.
    ///
    /// # Panics
    ///
    /// If it doesn't get ready.
    #[must_use]
    pub fn start_with_replicas() -> Option<RedisCluster> {
        let mut cluster = RedisCluster::start_with(&[])?;
        for _ in 0..Self::MASTERS {
            cluster.add(&[])?;
        }
        cluster.introduce();
        for place in 0..Self::MASTERS {
            let replica = cluster.nodes[Self::MASTERS + place].address();
            must(replica, &["CLUSTER", "REPLICATE", &cluster.ids[place]]);
        }
        for place in 0..Self::MASTERS {
            let master = cluster.nodes[place].address();
            soon("a replica that is up to date", || {
                let role = ask(master, &["ROLE"])?;
                match role.parts() {
                    [_, _, Reply::Many(replicas)] if !replicas.is_empty() => Ok(()),
                    _ => Err(format!("{role:?}")),
                }
            });
        }
        // Who votes must know who is whose replica.
        for node in &cluster.nodes {
            soon("that all know all replicas", || {
                let nodes = ask(node.address(), &["CLUSTER", "NODES"])?;
                let text = nodes.text().unwrap_or_default().to_owned();
                let replicas = text.lines().filter(|line| line.contains("slave")).count();
                if replicas == Self::MASTERS {
                    Ok(())
                } else {
                    Err(text)
                }
            });
        }
        Some(cluster)
    }

    /// The URL, with all nodes; it doesn't say whether they speak TLS.
    #[must_use]
    pub fn url(&self) -> String {
        let nodes = (0..self.nodes.len()).map(|place| format!("127.0.0.1:{}", self.port(place)));
        let nodes: Vec<_> = nodes.collect();
        format!("redis-cluster://{}", nodes.join(","))
    }

    /// A node: the masters come first.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    #[must_use]
    pub fn node(&self, place: usize) -> &Redis {
        &self.nodes[place]
    }

    /// The same, to kill and restart it.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    pub fn node_mut(&mut self, place: usize) -> &mut Redis {
        &mut self.nodes[place]
    }

    /// The slot of a key.
    ///
    /// # Panics
    ///
    /// If the first node doesn't say.
    #[must_use]
    pub fn slot(&self, key: &str) -> u16 {
        match must(self.nodes[0].address(), &["CLUSTER", "KEYSLOT", key]) {
            Reply::Number(slot) => slot.try_into().expect("slots are small"),
            other => panic!("{other:?} is no slot"),
        }
    }

    /// The place of the node that owns a slot, as that node says itself.
    ///
    /// # Panics
    ///
    /// If no node that runs says so in time.
    #[must_use]
    pub fn owner(&self, slot: u16) -> usize {
        soon("the owner of a slot", || {
            for (place, node) in self.nodes.iter().enumerate() {
                let Ok(nodes) = ask(node.address(), &["CLUSTER", "NODES"]) else {
                    continue;
                };
                let text = nodes.text().unwrap_or_default();
                let mine = text.lines().find(|line| line.contains("myself"));
                if mine.is_some_and(|line| owns(line, slot)) {
                    return Ok(place);
                }
            }
            Err("nobody owns it".to_owned())
        })
    }

    /// Gives a slot with all its keys to another master, key by key, while others read and write it.
    ///
    /// # Panics
    ///
    /// If it isn't done in time.
    pub fn migrate_slot(&self, slot: u16, to: usize) {
        let from = self.begin_migration(slot, to);
        while self.migrate_keys(slot, from, to) {}
        self.end_migration(slot, to);
    }

    /// The first step: keys that are not there are looked for, and made, at the new owner. The place of the old one.
    ///
    /// # Panics
    ///
    /// If the nodes refuse.
    #[must_use]
    pub fn begin_migration(&self, slot: u16, to: usize) -> usize {
        let from = self.owner(slot);
        let number = slot.to_string();
        let (source, target) = (self.nodes[from].address(), self.nodes[to].address());
        let set = |node, what, id: &String| must(node, &["CLUSTER", "SETSLOT", &number, what, id]);
        set(target, "IMPORTING", &self.ids[from]);
        set(source, "MIGRATING", &self.ids[to]);
        from
    }

    /// The second step: moves some keys; false if there were none.
    ///
    /// # Panics
    ///
    /// If the nodes refuse.
    #[must_use]
    pub fn migrate_keys(&self, slot: u16, from: usize, to: usize) -> bool {
        let source = self.nodes[from].address();
        let slot = slot.to_string();
        let get = ["CLUSTER", "GETKEYSINSLOT", &slot, KEYS_AT_A_TIME];
        let keys = must(source, &get);
        let keys: Vec<_> = keys.parts().iter().filter_map(Reply::text).collect();
        if keys.is_empty() {
            return false;
        }
        let port = self.port(to).to_string();
        let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
        migrate.extend(keys);
        must(source, &migrate);
        true
    }

    /// The last step: all nodes are told of the new owner, and agree on it.
    ///
    /// # Panics
    ///
    /// If the nodes refuse, or don't agree in time.
    pub fn end_migration(&self, slot: u16, to: usize) {
        let number = slot.to_string();
        // The new owner first: nobody may think that there is none.
        let order = std::iter::once(to).chain((0..self.nodes.len()).filter(|place| *place != to));
        for place in order {
            let node = self.nodes[place].address();
            // A replica learns it from its master.
            if ask(node, &["ROLE"]).is_ok_and(|role| is_master(&role)) {
                must(
                    node,
                    &["CLUSTER", "SETSLOT", &number, "NODE", &self.ids[to]],
                );
            }
        }
        self.wait_until_agreed();
    }

    /// Waits until every node that answers takes commands for all slots.
    ///
    /// # Panics
    ///
    /// If that isn't so in time.
    pub fn wait_until_ok(&self) {
        for node in &self.nodes {
            soon("cluster_state:ok", || {
                if node.is_dead() {
                    return Ok(());
                }
                let info = ask(node.address(), &["CLUSTER", "INFO"])?;
                let text = info.text().unwrap_or_default();
                if text.contains("cluster_state:ok") {
                    Ok(())
                } else {
                    Err(text.to_owned())
                }
            });
        }
    }

    fn add(&mut self, options: &[&str]) -> Option<()> {
        let [bus] = ports();
        let bus = bus.to_string();
        let mut all = vec![
            "--cluster-enabled",
            "yes",
            "--cluster-port",
            &bus,
            "--cluster-node-timeout",
            NODE_TIMEOUT,
            "--repl-diskless-sync-delay",
            "0",
        ];
        all.extend(options);
        let [tls_port] = ports();
        let tls = self.tls.as_ref().map(|tls| tls.arguments(tls_port));
        all.extend(tls.iter().flatten().map(String::as_str));
        let node = Redis::start_with(&all)?;
        self.tls_ports.push(tls_port);
        let id = must(node.address(), &["CLUSTER", "MYID"]);
        // Masters of one epoch take new ones when they meet. One that does so while its slot moves takes the slot back:
        // then either owner says that the other one has it, for ever.
        let epoch = (self.nodes.len() + 1).to_string();
        must(node.address(), &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]);
        self.ids.push(id.text().unwrap_or_default().to_owned());
        self.nodes.push(node);
        Some(())
    }

    /// Where a node listens for the others' clients.
    fn port(&self, place: usize) -> u16 {
        if self.tls.is_some() {
            self.tls_ports[place]
        } else {
            self.nodes[place].address().port()
        }
    }

    /// Has all nodes know each other.
    fn introduce(&self) {
        let first = self.nodes[0].address();
        for (place, node) in self.nodes.iter().enumerate().skip(1) {
            let port = self.port(place).to_string();
            let bus = must(node.address(), &["CONFIG", "GET", "cluster-port"]);
            let bus = bus.parts()[1].text().unwrap_or_default().to_owned();
            must(first, &["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        }
        for node in &self.nodes {
            soon("that all know all", || {
                let info = ask(node.address(), &["CLUSTER", "INFO"])?;
                let text = info.text().unwrap_or_default().to_owned();
                let all = format!("cluster_known_nodes:{}\r", self.nodes.len());
                if text.contains(&all) {
                    Ok(())
                } else {
                    Err(text)
                }
            });
        }
        self.wait_until_ok();
        self.wait_until_agreed();
    }

    /// Waits until all nodes that run know the same epoch and slots of each master, and no two have one epoch.
    fn wait_until_agreed(&self) {
        soon("that all know the same owners", || {
            let mut views = Vec::new();
            for node in self.nodes.iter().filter(|node| !node.is_dead()) {
                let nodes = ask(node.address(), &["CLUSTER", "NODES"])?;
                views.push(masters(nodes.text().unwrap_or_default()));
            }
            let epochs: BTreeSet<_> = views[0].values().map(|(epoch, _)| epoch).collect();
            if epochs.len() == views[0].len() && views.iter().all(|view| *view == views[0]) {
                Ok(())
            } else {
                Err(format!("{views:?}"))
            }
        });
    }
}

/// The epoch and the slots of each master that isn't given up, by its id, as `CLUSTER NODES` says.
fn masters(text: &str) -> BTreeMap<String, (String, Vec<String>)> {
    let lines = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let alive = lines.filter(|parts| {
        let flags = parts.get(2).copied().unwrap_or_default();
        flags.contains("master") && !flags.contains("fail")
    });
    alive
        .filter_map(|parts| {
            let (id, epoch) = (parts.first()?, parts.get(6)?);
            let slots = parts.get(8..)?.iter().filter(|slot| !slot.starts_with('['));
            let slots = slots.map(|slot| (*slot).to_owned()).collect();
            Some(((*id).to_owned(), ((*epoch).to_owned(), slots)))
        })
        .collect()
}

/// Whether a line of `CLUSTER NODES` names a slot: `ID ADDRESS FLAGS … 0-5460 7000 [7001->-ID]`.
fn owns(line: &str, slot: u16) -> bool {
    line.split(' ').skip(8).any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let bounds = (first.parse::<u16>(), last.trim().parse::<u16>());
        matches!(bounds, (Ok(first), Ok(last)) if (first..=last).contains(&slot))
    })
}

fn is_master(role: &Reply) -> bool {
    role.parts().first().and_then(Reply::text) == Some("master")
}

fn must(address: SocketAddr, words: &[&str]) -> Reply {
    ask(address, words).unwrap_or_else(|error| panic!("{error}"))
}

fn soon<T>(what: &str, attempt: impl FnMut() -> Result<T, String>) -> T {
    wait_until(what, AGREE_MAX, attempt).unwrap_or_else(|error| panic!("{error}"))
}
