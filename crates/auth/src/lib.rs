//! Who may do what: one decision for every command of every protocol.
//!
//! Today everybody may do everything that is not Trunkline's own: names with a leading `_` are
//! out of reach for clients, except that anybody may listen to the events in `_events.*`. Users
//! and their rules come into [`Access`] without any caller of [`Access::check`] changing.
//!
//! **Invariant**: pure: knows no socket, no clock and no file, keeps no state between two
//! decisions, and a decision never depends on the protocol that asks.
//!
//! Start reading at [`Access::check`]; [`Access::login`] says who somebody is.

mod access;
mod action;
mod login;

pub use access::Access;
pub use action::{Action, Resource};
pub use login::Login;
