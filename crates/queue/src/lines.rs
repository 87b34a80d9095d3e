//! Groups: what of one must wait for something else of it.
//!
//! Within a subscription one consumer at most holds deliveries of a group, and a message that
//! came back, or is delayed, blocks those of its group behind it until it is settled. Only a
//! group that has such a thing now, or messages that were found behind one, has a line here.

use crate::{
    messages::NO_GROUP,
    subscription::{Flight, Subscription, Whereabouts},
    traffic::Traffic,
};
use std::collections::{BTreeMap, BTreeSet};

/// Priority and position.
pub(crate) type Place = (u8, u64);

/// The lines of a subscription by group.
pub(crate) type Lines = BTreeMap<u32, Line>;

/// A group some of whose messages are not available to everybody.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    /// Who holds deliveries of it, if there are any.
    holder: u32,
    in_flight: u32,
    /// Where its delayed messages stand, and those that were delivered again.
    blocks: BTreeSet<Place>,
    /// How its first message is listed at the desk.
    listed: Option<Listed>,
}

/// The first message of a group behind others: who may take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) place: Place,
    /// Anybody, if nobody holds deliveries of the group.
    pub(crate) owner: Option<u32>,
}

/// Whether a message that is somewhere blocks what is behind it.
fn blocks(at: &Whereabouts) -> bool {
    match at {
        Whereabouts::Waiting(..) | Whereabouts::Leaving(_) => false,
        Whereabouts::Delayed(_) => true,
        Whereabouts::Flight(Flight { placed, .. }) => placed.attempts > 1,
    }
}

fn place(at: &Whereabouts) -> Place {
    let (lane, placed) = at.place();
    (lane, placed.position)
}

impl Traffic {
    /// A message of a group is delayed or in flight from now on.
    pub(crate) fn join_line(
        &mut self,
        subscription: &mut Subscription,
        group: u32,
        at: &Whereabouts,
    ) {
        if group == NO_GROUP {
            return;
        }
        let line = subscription.lines.entry(group).or_default();
        if blocks(at) {
            line.blocks.insert(place(at));
        }
        if let Whereabouts::Flight(Flight {
            holder: Some(holder),
            ..
        }) = at
        {
            debug_assert!(line.in_flight == 0 || line.holder == holder.consumer);
            line.holder = holder.consumer;
            line.in_flight += 1;
        }
        self.list(subscription, group);
    }

    /// A message of a group is no longer where it was.
    pub(crate) fn leave_line(
        &mut self,
        subscription: &mut Subscription,
        group: u32,
        was: &Whereabouts,
    ) {
        if group == NO_GROUP {
            return;
        }
        let Some(line) = subscription.lines.get_mut(&group) else {
            return;
        };
        if blocks(was) {
            line.blocks.remove(&place(was));
        }
        if let Whereabouts::Flight(flight) = was {
            line.in_flight -= u32::from(flight.holder.is_some());
        }
        self.list(subscription, group);
    }

    /// Lists the first message of a group anew, as far as it may be taken now.
    pub(crate) fn list(&mut self, subscription: &mut Subscription, group: u32) {
        let head = subscription.waiting.head(group);
        let Some(line) = subscription.lines.get_mut(&group) else {
            return;
        };
        let first_block = line.blocks.first().copied();
        let free = head.filter(|head| first_block.is_none_or(|block| *head < block));
        let listed = free.map(|place| Listed {
            place,
            owner: (line.in_flight > 0).then_some(line.holder),
        });
        let earlier = std::mem::replace(&mut line.listed, listed);
        if head.is_none() && line.in_flight == 0 && line.blocks.is_empty() {
            subscription.lines.remove(&group);
        }
        if earlier != listed {
            self.relist(subscription.desk, group, earlier, listed);
        }
    }
}
