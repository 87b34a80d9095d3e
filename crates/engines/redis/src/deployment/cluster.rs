//! Who owns which slot of a cluster.

use super::failure::Failure;
use super::lane::Lane;
use super::router::LaneMaker;
use super::url::Host;
use hashbrown::HashMap;
use redis::Value;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::time::{Instant, timeout_at};

/// How many there are.
const SLOTS: usize = 16_384;
/// Most nodes that are remembered.
const NODES_MAX: usize = 1_024;

/// Connections to the owners of slots, and what is known of them.
#[derive(Debug)]
pub(super) struct Cluster {
    /// Those of the URL.
    seeds: Vec<Host>,
    maker: LaneMaker,
    map: Mutex<Map>,
    /// The map is asked for by one at a time.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Map {
    /// By slot, the place of its owner in `nodes`; empty before anything is known.
    owners: Vec<Option<u16>>,
    nodes: Vec<Host>,
    lanes: HashMap<Host, Arc<Lane>>,
    /// It may be wrong.
    doubted: bool,
    /// How often it was read.
    version: u64,
}

/// Slots that follow each other, and their owner.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    owner: Host,
}

impl Cluster {
    pub(super) fn new(seeds: Vec<Host>, maker: LaneMaker) -> Self {
        Self {
            seeds,
            maker,
            map: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// The connection to the owner of a slot; asks the nodes who that is if it isn't known for sure.
    ///
    /// # Errors
    /// [`Failure::NotSent`]: no node says.
    pub(super) async fn lane(&self, slot: u16, deadline: Instant) -> Result<Arc<Lane>, Failure> {
        let seen = {
            let map = self.map();
            match map.owner(slot) {
                Some(owner) if !map.doubted => {
                    let owner = owner.clone();
                    drop(map);
                    return Ok(self.lane_to(&owner));
                }
                _ => map.version,
            }
        };
        self.refresh(seen, deadline).await?;
        let owner = self.map().owner(slot).cloned();
        match owner {
            Some(owner) => Ok(self.lane_to(&owner)),
            None => Err(self.failure(format!("nobody has slot {slot}"))),
        }
    }

    /// The connection to a node.
    pub(super) fn lane_to(&self, host: &Host) -> Arc<Lane> {
        if let Some(lane) = self.map().lanes.get(host) {
            return lane.clone();
        }
        // Made without the lock: it may take that of another cluster.
        let made = Arc::new(self.maker.node(host));
        let mut map = self.map();
        map.lanes.entry(host.clone()).or_insert(made).clone()
    }

    /// Another node has a slot.
    pub(super) fn moved(&self, slot: u16, to: &Host) {
        self.map().set_owner(slot, to);
    }

    pub(super) fn doubt(&self) {
        self.map().doubted = true;
    }

    /// All nodes that are known, those with a connection first.
    pub(super) fn nodes(&self) -> Vec<Host> {
        let map = self.map();
        let mut nodes = map.nodes.clone();
        for seed in &self.seeds {
            if !nodes.contains(seed) {
                nodes.push(seed.clone());
            }
        }
        let is_up = |host: &Host| map.lanes.get(host).is_some_and(|lane| lane.is_up());
        nodes.sort_by_key(|host| !is_up(host));
        nodes
    }

    /// Reads the map anew, unless somebody did since it was `seen`.
    async fn refresh(&self, seen: u64, deadline: Instant) -> Result<(), Failure> {
        let Ok(_asking) = timeout_at(deadline, self.asking.lock()).await else {
            return Err(self.failure("nobody says who owns which slot".to_owned()));
        };
        if self.map().version != seen {
            return Ok(());
        }
        let nodes = self.nodes();
        let parts = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        let part = self.maker.dialer.timeout() / parts.saturating_add(1);
        let mut last = "no node is known".to_owned();
        for node in nodes {
            let until = deadline.min(Instant::now() + part);
            match timeout_at(until, self.ask(&node, until)).await {
                Ok(Ok(ranges)) => {
                    self.adopt(&ranges);
                    return Ok(());
                }
                Ok(Err(failure)) => last = failure.to_string(),
                Err(_) => last = format!("{node} said nothing in its time"),
            }
        }
        Err(self.failure(last))
    }

    async fn ask(&self, node: &Host, deadline: Instant) -> Result<Vec<Range>, Failure> {
        let open = self.lane_to(node).open(deadline).await?;
        let answer = open.ask(redis::cmd("CLUSTER").arg("SLOTS")).await?;
        let ranges = read_slots(&answer, node).unwrap_or_default();
        if ranges.is_empty() {
            return Err(Failure::NotSent {
                server: open.server.clone(),
                reason: "it knows no owner of any slot".to_owned(),
            });
        }
        Ok(ranges)
    }

    fn adopt(&self, ranges: &[Range]) {
        let mut map = self.map();
        map.owners = vec![None; SLOTS];
        map.nodes.clear();
        for range in ranges {
            for slot in range.first..=range.last {
                map.set_owner(slot, &range.owner);
            }
        }
        let Map { lanes, nodes, .. } = &mut *map;
        lanes.retain(|host, _| nodes.contains(host) || self.seeds.contains(host));
        map.doubted = false;
        map.version += 1;
    }

    fn map(&self) -> MutexGuard<'_, Map> {
        let map = self.map.lock();
        map.expect("no code panics while it holds the map")
    }

    fn failure(&self, reason: String) -> Failure {
        let seeds: Vec<_> = self.seeds.iter().map(ToString::to_string).collect();
        Failure::NotSent {
            server: format!("the cluster {}", seeds.join(",")),
            reason,
        }
    }
}

impl Map {
    fn owner(&self, slot: u16) -> Option<&Host> {
        let place = self.owners.get(usize::from(slot)).copied().flatten()?;
        self.nodes.get(usize::from(place))
    }

    fn set_owner(&mut self, slot: u16, owner: &Host) {
        let known = self.nodes.iter().position(|node| node == owner);
        let place = known.unwrap_or_else(|| {
            self.nodes.push(owner.clone());
            self.nodes.len() - 1
        });
        if place >= NODES_MAX {
            self.nodes.truncate(NODES_MAX);
            return;
        }
        if let (Some(held), Ok(place)) = (self.owners.get_mut(usize::from(slot)), place.try_into())
        {
            *held = Some(place);
        }
    }
}

/// The answer of `CLUSTER SLOTS`: first and last slot, the owner, its replicas.
fn read_slots(answer: &Value, from: &Host) -> Option<Vec<Range>> {
    let Value::Array(ranges) = answer else {
        return None;
    };
    let read = |range: &Value| {
        let Value::Array(parts) = range else {
            return None;
        };
        let [Value::Int(first), Value::Int(last), Value::Array(owner), ..] = parts.as_slice()
        else {
            return None;
        };
        let [name, Value::Int(port), ..] = owner.as_slice() else {
            return None;
        };
        let name: Option<String> = redis::from_redis_value_ref(name).ok()?;
        // A node that doesn't know how it is called from here says nothing, or a question mark.
        let name = name.filter(|name| !name.is_empty() && name != "?");
        let last = u16::try_from(*last).ok()?;
        Some(Range {
            first: u16::try_from(*first).ok()?,
            last: (usize::from(last) < SLOTS).then_some(last)?,
            owner: Host {
                name: name.map_or_else(|| from.name.clone(), Into::into),
                port: u16::try_from(*port).ok()?,
            },
        })
    };
    ranges.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(port: u16) -> Host {
        Host {
            name: "h".into(),
            port,
        }
    }

    #[test]
    fn the_answer_of_cluster_slots_is_read() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let node = |name, port| Value::Array(vec![name, Value::Int(port), text("id")]);
        let range = |first, last, owner| {
            let replica = node(text("r"), 9);
            Value::Array(vec![Value::Int(first), Value::Int(last), owner, replica])
        };
        let answer = Value::Array(vec![
            range(0, 5460, node(text("a"), 1)),
            range(5461, 5461, node(Value::Nil, 2)),
            range(5462, 16_383, node(text(""), 3)),
        ]);
        let ranges = read_slots(&answer, &host(7)).expect("an answer");
        let read: Vec<_> = ranges
            .iter()
            .map(|range| (range.first, range.last, range.owner.to_string()))
            .collect();
        let expected = [(0, 5460, "a:1"), (5461, 5461, "h:2"), (5462, 16_383, "h:3")];
        assert_eq!(read, expected.map(|(a, b, owner)| (a, b, owner.to_owned())));
        let beyond = Value::Array(vec![range(0, 16_384, node(text("a"), 1))]);
        assert_eq!(read_slots(&beyond, &host(7)), None);
    }

    #[test]
    fn a_slot_that_moved_has_its_new_owner_at_once() {
        let mut map = Map {
            owners: vec![None; SLOTS],
            ..Map::default()
        };
        map.set_owner(1, &host(1));
        map.set_owner(2, &host(1));
        map.set_owner(2, &host(2));
        let owners = [1, 2, 3].map(|slot| map.owner(slot).map(|host| host.port));
        assert_eq!(owners, [Some(1), Some(2), None]);
    }
}
