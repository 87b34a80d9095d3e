use super::lane::Lane;
use super::{LaneId, Node, Refusal, SlotMap};
use crate::slot::slot_of;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use trunkline_model::{Backoff, Timestamp};

/// A name that is sent on goes there at once so often in a row; then it waits.
const MOVES_AT_ONCE: u32 = 2;

/// How fast homes are looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Waits of a name that no node takes, and, added to the pause, between maps while that is so.
    pub(crate) backoff: Backoff,
    /// Shortest time from one map to the next question for one; how long a name may be without an answer
    /// before a map is asked for.
    pub(crate) pause: Duration,
    /// After so long the map is asked for again, though all is well.
    pub(crate) age_max: Duration,
}

/// What has to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A lane begins.
    Open { lane: LaneId, node: Node },
    /// A name is wanted on it.
    Add { lane: LaneId, name: Bytes },
    /// A name is wanted there no longer.
    Remove { lane: LaneId, name: Bytes },
    /// It has no names any more.
    Close { lane: LaneId },
    /// Somebody is to be asked for the map; [`Homes::map`] or [`Homes::no_map`] is to follow.
    AskMap,
}

/// Where each wanted name is heard, and what follows from what nodes say.
#[derive(Debug)]
pub(crate) struct Homes {
    pace: Pace,
    map: SlotMap,
    names: BTreeMap<Bytes, Name>,
    lanes: BTreeMap<LaneId, Lane>,
    /// The lane of each node to which names come.
    current: BTreeMap<Node, LaneId>,
    last_lane: u64,
    /// Names that no node has confirmed, by the time since when.
    unsettled: BTreeSet<(Timestamp, Bytes)>,
    /// Names that are to be tried again at some time.
    due: BTreeSet<(Timestamp, Bytes)>,
    asking: bool,
    /// The map is known not to be right, or none was there yet.
    outdated: bool,
    /// The map isn't asked for earlier.
    map_from: Timestamp,
    /// It is at the latest, while there are names.
    map_until: Timestamp,
    /// Maps in a row that failed, or left names unsettled.
    rounds: u32,
    moves: u64,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Name {
    slot: u16,
    place: Place,
    /// Since when no node has confirmed it, if so.
    since: Timestamp,
    /// Refusals in a row.
    tries: u32,
    /// The last map named another owner than where it is.
    doubted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nowhere, until a time or until a map names an owner.
    Waiting(Option<Timestamp>),
    At(LaneId, Stay),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stay {
    /// The node has not answered.
    Asked,
    /// It has confirmed.
    Active,
    /// It never will, as long as nobody changes its rules.
    Refused,
}

impl Place {
    const fn is_unsettled(self) -> bool {
        matches!(self, Self::Waiting(_) | Self::At(_, Stay::Asked))
    }
}

impl Homes {
    pub(crate) fn new(pace: Pace) -> Self {
        Self {
            pace,
            map: SlotMap::new(),
            names: BTreeMap::new(),
            lanes: BTreeMap::new(),
            current: BTreeMap::new(),
            last_lane: 0,
            unsettled: BTreeSet::new(),
            due: BTreeSet::new(),
            asking: false,
            outdated: true,
            map_from: Timestamp::ZERO,
            map_until: Timestamp::ZERO,
            rounds: 0,
            moves: 0,
            steps: Vec::new(),
        }
    }

    /// Somebody wants a name, or again one that was refused.
    pub(crate) fn want(&mut self, now: Timestamp, name: &Bytes) {
        match self.names.get(name).map(|known| known.place) {
            None => {
                let known = Name {
                    slot: slot_of(name),
                    place: Place::Waiting(None),
                    since: now,
                    tries: 0,
                    doubted: false,
                };
                self.unsettled.insert((now, name.clone()));
                self.names.insert(name.clone(), known);
                self.settle(now, name);
            }
            Some(Place::At(_, Stay::Refused)) => self.settle(now, name),
            Some(_) => {}
        }
    }

    /// Nobody wants a name any more.
    pub(crate) fn unwant(&mut self, now: Timestamp, name: &Bytes) {
        // Out of all indexes first.
        self.put(now, name, Place::Waiting(None));
        if let Some(known) = self.names.remove(name) {
            self.unsettled.remove(&(known.since, name.clone()));
        }
    }

    /// Whether news of a name on a lane count.
    pub(crate) fn is_home(&self, lane: LaneId, name: &[u8]) -> bool {
        let place = self.names.get(name).map(|known| known.place);
        matches!(place, Some(Place::At(at, _)) if at == lane)
    }

    /// A node has confirmed a name; false if that is none of its business any more.
    pub(crate) fn active(&mut self, now: Timestamp, lane: LaneId, name: &Bytes) -> bool {
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.lost = false;
        }
        if !self.is_home(lane, name) {
            return false;
        }
        self.put(now, name, Place::At(lane, Stay::Active));
        if let Some(known) = self.names.get_mut(name) {
            known.tries = 0;
        }
        if self.unsettled.is_empty() {
            self.rounds = 0;
        }
        true
    }

    /// A node gave a name up by itself, and is asked for it again: so it says where the name is now. False
    /// if that is none of its business any more.
    pub(crate) fn withdrawn(&mut self, now: Timestamp, lane: LaneId, name: &Bytes) -> bool {
        if !self.is_home(lane, name) {
            return false;
        }
        self.put(now, name, Place::At(lane, Stay::Asked));
        self.outdated = true;
        true
    }

    /// A node has refused a name. True if that is to be told: nothing will change by itself.
    pub(crate) fn refused(
        &mut self,
        now: Timestamp,
        random: u64,
        lane: LaneId,
        name: &Bytes,
        reason: &[u8],
    ) -> bool {
        let Some(node) = self.node_of(lane).filter(|_| self.is_home(lane, name)) else {
            return false;
        };
        let refusal = Refusal::read(reason, node);
        if refusal == Refusal::Final {
            self.put(now, name, Place::At(lane, Stay::Refused));
            return true;
        }
        self.outdated = true;
        let tries = self.names.get_mut(name).map_or(0, |known| {
            known.tries = known.tries.saturating_add(1);
            known.tries
        });
        match refusal {
            Refusal::Moved { slot, to } => {
                self.map.set(slot, &to);
                if tries <= MOVES_AT_ONCE {
                    self.move_to(now, name, &to);
                } else {
                    self.wait(now, random, name, tries - MOVES_AT_ONCE);
                }
            }
            Refusal::Later | Refusal::Final => self.wait(now, random, name, tries),
        }
        false
    }

    /// The connection of a lane is gone, and is made again. The names that were there.
    pub(crate) fn lost(&mut self, now: Timestamp, lane: LaneId) -> Vec<Bytes> {
        let Some(known) = self.lanes.get_mut(&lane) else {
            return Vec::new();
        };
        known.lost = true;
        self.outdated = true;
        let names: Vec<Bytes> = known.names.iter().cloned().collect();
        for name in &names {
            self.put(now, name, Place::At(lane, Stay::Asked));
        }
        names
    }

    /// A node has said who owns what. The names that were heard and are looked for elsewhere now: two
    /// maps in a row said so, since one may be older than what a node says itself.
    pub(crate) fn map(&mut self, now: Timestamp, random: u64, map: SlotMap) -> Vec<Bytes> {
        self.map = map;
        self.outdated = false;
        self.map_until = now.after(self.pace.age_max);
        self.asked(now, random);
        let mut left = Vec::new();
        let names: Vec<Bytes> = self.names.keys().cloned().collect();
        for name in names {
            if self.review(now, &name) {
                left.push(name);
            }
        }
        left
    }

    /// Nobody has said who owns what; somebody is asked again after a while.
    pub(crate) fn no_map(&mut self, now: Timestamp, random: u64) {
        self.outdated = true;
        self.asked(now, random);
    }

    /// Does what time has come for.
    pub(crate) fn on_time(&mut self, now: Timestamp) {
        while let Some((at, _)) = self.due.first()
            && *at <= now
            && let Some((_, name)) = self.due.pop_first()
        {
            self.settle(now, &name);
        }
        if self.map_due().is_some_and(|due| due <= now) {
            self.asking = true;
            self.steps.push(Step::AskMap);
        }
    }

    /// When [`Homes::on_time`] has to be called at the latest, if ever.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        let name = self.due.first().map(|(at, _)| *at);
        [name, self.map_due()].into_iter().flatten().min()
    }

    /// What has to be done now, in this order.
    pub(crate) fn take_steps(&mut self) -> Vec<Step> {
        let empty = self.lanes.iter().filter(|(_, lane)| lane.names.is_empty());
        let empty: Vec<LaneId> = empty.map(|(id, _)| *id).collect();
        for id in empty {
            if let Some(lane) = self.lanes.remove(&id)
                && self.current.get(&lane.node) == Some(&id)
            {
                self.current.remove(&lane.node);
            }
            self.steps.push(Step::Close { lane: id });
        }
        std::mem::take(&mut self.steps)
    }

    /// The node of a lane.
    pub(crate) fn node_of(&self, lane: LaneId) -> Option<&Node> {
        self.lanes.get(&lane).map(|lane| &lane.node)
    }

    /// Nodes that are known from maps.
    pub(crate) fn nodes(&self) -> &[Node] {
        self.map.nodes()
    }

    /// Names that no node has confirmed.
    pub(crate) fn unsettled(&self) -> usize {
        self.unsettled.len()
    }

    /// How often a name was sent from one node to another.
    pub(crate) const fn moves(&self) -> u64 {
        self.moves
    }

    fn map_due(&self) -> Option<Timestamp> {
        if self.asking || self.names.is_empty() {
            return None;
        }
        if self.outdated {
            return Some(self.map_from);
        }
        let stuck = self.unsettled.first();
        let stuck = stuck.map(|(since, _)| since.after(self.pace.pause).max(self.map_from));
        Some(stuck.map_or(self.map_until, |stuck| stuck.min(self.map_until)))
    }

    /// A question for the map is over.
    fn asked(&mut self, now: Timestamp, random: u64) {
        self.asking = false;
        let more = match self.rounds {
            0 => Duration::ZERO,
            rounds => self.pace.backoff.delay(rounds, random),
        };
        self.map_from = now.after(self.pace.pause).after(more);
        self.rounds = if self.unsettled.is_empty() && !self.outdated {
            0
        } else {
            self.rounds.saturating_add(1)
        };
    }

    /// Compares where a name is with a new map; true if it was heard and is looked for elsewhere now.
    fn review(&mut self, now: Timestamp, name: &Bytes) -> bool {
        let Some(known) = self.names.get_mut(name) else {
            return false;
        };
        let (lane, stay) = match known.place {
            Place::Waiting(None) => {
                self.settle(now, name);
                return false;
            }
            Place::Waiting(Some(_)) => return false,
            Place::At(lane, stay) => (lane, stay),
        };
        let (Some(owner), Some(lane)) = (self.map.owner(known.slot), self.lanes.get(&lane)) else {
            return false;
        };
        if lane.node == *owner {
            known.doubted = false;
            return false;
        }
        if !lane.lost && !std::mem::replace(&mut known.doubted, true) {
            self.outdated = true;
            return false;
        }
        let owner = owner.clone();
        self.move_to(now, name, &owner);
        stay == Stay::Active
    }

    /// Sends a name to its owner, if one is known.
    fn settle(&mut self, now: Timestamp, name: &Bytes) {
        let Some(known) = self.names.get(name) else {
            return;
        };
        match self.map.owner(known.slot).cloned() {
            Some(owner) => self.move_to(now, name, &owner),
            None => {
                self.put(now, name, Place::Waiting(None));
                self.outdated = true;
            }
        }
    }

    fn wait(&mut self, now: Timestamp, random: u64, name: &Bytes, tries: u32) {
        let delay = self.pace.backoff.delay(tries, random);
        self.put(now, name, Place::Waiting(Some(now.after(delay))));
    }

    fn move_to(&mut self, now: Timestamp, name: &Bytes, node: &Node) {
        if let Some(Place::At(lane, _)) = self.names.get(name).map(|known| known.place) {
            self.moves += u64::from(self.node_of(lane) != Some(node));
            self.put(now, name, Place::Waiting(None));
        }
        let current = self.current.get(node).copied();
        let current = current.filter(|id| self.lanes.get(id).is_some_and(|it| it.takes(name)));
        let lane = current.unwrap_or_else(|| self.open(node));
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.names.insert(name.clone());
        }
        self.put(now, name, Place::At(lane, Stay::Asked));
        let name = name.clone();
        self.steps.push(Step::Add { lane, name });
    }

    fn open(&mut self, node: &Node) -> LaneId {
        self.last_lane += 1;
        let lane = LaneId(self.last_lane);
        self.lanes.insert(lane, Lane::new(node.clone()));
        self.current.insert(node.clone(), lane);
        let node = node.clone();
        self.steps.push(Step::Open { lane, node });
        lane
    }

    /// Notes where a name is; from a lane to nowhere, it is taken off that.
    fn put(&mut self, now: Timestamp, name: &Bytes, place: Place) {
        let Some(known) = self.names.get_mut(name) else {
            return;
        };
        let before = std::mem::replace(&mut known.place, place);
        match (before.is_unsettled(), place.is_unsettled()) {
            (false, true) => {
                known.since = now;
                self.unsettled.insert((now, name.clone()));
            }
            (true, false) => {
                self.unsettled.remove(&(known.since, name.clone()));
            }
            _ => {}
        }
        if let Place::Waiting(Some(at)) = before {
            self.due.remove(&(at, name.clone()));
        }
        match place {
            Place::Waiting(at) => {
                known.doubted = false;
                self.due.extend(at.map(|at| (at, name.clone())));
                if let Place::At(lane, _) = before {
                    self.leave(lane, name);
                }
            }
            Place::At(..) => {}
        }
    }

    fn leave(&mut self, lane: LaneId, name: &Bytes) {
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.leave(name);
        }
        let name = name.clone();
        self.steps.push(Step::Remove { lane, name });
    }
}
