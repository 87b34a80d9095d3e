use super::super::{Counters, Multiplexer};
use super::ShardedCounters;
use super::counters::{Counting, add};
use crate::Node;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

/// The multiplexers that there are, and were: what the task and those who ask for numbers share.
#[derive(Debug, Default)]
pub(super) struct Shards {
    known: Mutex<Known>,
    pub(super) counting: Counting,
}

#[derive(Debug, Default)]
struct Known {
    shards: BTreeMap<Node, Multiplexer>,
    /// Of those that are gone.
    past: Counters,
    moves: u64,
    unsettled: u64,
}

impl Shards {
    /// The one of a node, made if there is none.
    pub(super) fn at(&self, node: &Node, make: impl FnOnce() -> Multiplexer) -> Multiplexer {
        let mut known = self.known();
        let shard = known.shards.entry(node.clone()).or_insert_with(make);
        shard.clone()
    }

    /// Ends those that are not to stay.
    pub(super) fn keep(&self, stays: impl Fn(&Node) -> bool) {
        let mut known = self.known();
        let Known { shards, past, .. } = &mut *known;
        shards.retain(|node, shard| {
            let stays = stays(node);
            if !stays {
                add(past, &shard.counters());
            }
            stays
        });
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Multiplexer> {
        self.known().shards.values().cloned().collect()
    }

    /// Numbers of the task that are looked up.
    pub(super) fn note(&self, moves: u64, unsettled: usize) {
        let mut known = self.known();
        known.moves = moves;
        known.unsettled = unsettled as u64;
    }

    /// What each has done.
    pub(super) fn each(&self) -> Vec<(Node, Counters)> {
        let known = self.known();
        let each = known.shards.iter();
        each.map(|(node, shard)| (node.clone(), shard.counters()))
            .collect()
    }

    /// What all have done, around what the whole has.
    pub(super) fn counters(&self, mut whole: Counters) -> ShardedCounters {
        let known = self.known();
        add(&mut whole, &known.past);
        for shard in known.shards.values() {
            add(&mut whole, &shard.counters());
        }
        ShardedCounters {
            whole,
            moves: known.moves,
            withdrawn: self.counting.withdrawn.get(),
            maps: self.counting.maps.get(),
            map_failures: self.counting.map_failures.get(),
            shards_now: known.shards.len() as u64,
            unsettled_now: known.unsettled,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known
            .lock()
            .expect("no code panics while it holds the shards")
    }
}
