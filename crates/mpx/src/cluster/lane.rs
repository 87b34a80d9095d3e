use super::Node;
use bytes::Bytes;
use std::collections::BTreeSet;

/// Most names that a lane remembers to have had.
const DEPARTED_MAX: usize = 1_000;

/// Names a lane; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LaneId(pub(super) u64);

/// Names of one node whose news come in one order. A name that comes back to a node goes to another
/// lane than the one that it left: what is still on its way there is about its earlier stay.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) node: Node,
    pub(super) names: BTreeSet<Bytes>,
    departed: BTreeSet<Bytes>,
    /// Its connection is gone, and nothing was heard since.
    pub(super) lost: bool,
}

impl Lane {
    pub(super) const fn new(node: Node) -> Self {
        Self {
            node,
            names: BTreeSet::new(),
            departed: BTreeSet::new(),
            lost: false,
        }
    }

    /// Whether a name may come.
    pub(super) fn takes(&self, name: &Bytes) -> bool {
        self.departed.len() < DEPARTED_MAX && !self.departed.contains(name)
    }

    pub(super) fn leave(&mut self, name: &Bytes) {
        if self.names.remove(name) {
            self.departed.insert(name.clone());
        }
    }
}
