//! The first messages of groups with a line, as a desk lists them.

use crate::lines::{Listed, Place};
use std::collections::{BTreeMap, BTreeSet};

/// See the module. What nobody may take now is not listed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heads {
    /// Those that any consumer may take, with their groups.
    free: BTreeSet<(Place, u32)>,
    /// Those that only one may take, since it holds others of the group.
    owned: BTreeMap<u32, BTreeSet<(Place, u32)>>,
    /// The first of `owned` of every consumer that queues at the desk.
    eager: BTreeSet<(Place, u32)>,
}

impl Heads {
    /// The first that any consumer may take.
    pub(crate) fn first_free(&self) -> Option<Place> {
        self.free.first().map(|(place, _)| *place)
    }

    /// The first that a consumer at the desk may take because it is the owner, and who that
    /// is.
    pub(crate) fn first_owned(&self) -> Option<(Place, u32)> {
        self.eager.first().copied()
    }

    /// The head of a group is listed otherwise; `queues` tells whether a consumer queues at
    /// the desk.
    pub(crate) fn relist(
        &mut self,
        group: u32,
        earlier: Option<Listed>,
        listed: Option<Listed>,
        queues: impl Fn(u32) -> bool,
    ) {
        if let Some(Listed { place, owner }) = earlier {
            match owner {
                None => {
                    self.free.remove(&(place, group));
                }
                Some(owner) => self.change(owner, queues(owner), |heads| {
                    heads.remove(&(place, group));
                }),
            }
        }
        if let Some(Listed { place, owner }) = listed {
            match owner {
                None => {
                    self.free.insert((place, group));
                }
                Some(owner) => self.change(owner, queues(owner), |heads| {
                    heads.insert((place, group));
                }),
            }
        }
    }

    fn change(
        &mut self,
        owner: u32,
        queues: bool,
        change: impl FnOnce(&mut BTreeSet<(Place, u32)>),
    ) {
        self.queue(owner, false);
        let heads = self.owned.entry(owner).or_default();
        change(heads);
        if heads.is_empty() {
            self.owned.remove(&owner);
        }
        self.queue(owner, queues);
    }

    /// A consumer queues at the desk from now on, or no longer.
    pub(crate) fn queue(&mut self, consumer: u32, queues: bool) {
        let first = self.owned.get(&consumer).and_then(BTreeSet::first);
        if let Some((place, _)) = first {
            match queues {
                true => self.eager.insert((*place, consumer)),
                false => self.eager.remove(&(*place, consumer)),
            };
        }
    }
}
