//! Which node of a cluster each name is heard from. Pure.
//!
//! [`Homes`] decides; `node` and `map` say what nodes and their slots are, `refusal` what a node means that
//! takes no subscription.

mod homes;
mod lane;
mod map;
mod node;
mod refusal;
#[cfg(test)]
mod tests;

pub(crate) use homes::{Homes, Pace, Step};
pub(crate) use lane::LaneId;
pub(crate) use map::SlotMap;
pub use node::Node;
pub(crate) use refusal::{Refusal, concerns_slot, moved_slot};
