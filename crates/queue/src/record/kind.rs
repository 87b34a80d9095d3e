//! Numbers of the record kinds: part of the journal's format.

/// A topic's options and counters.
pub const DEFINE: u8 = 1;
pub(crate) const UNDEFINE: u8 = 2;
pub(crate) const SUBSCRIBE: u8 = 3;
pub(crate) const UNSUBSCRIBE: u8 = 4;
/// Sequences that a topic will give out.
pub const ADVANCE: u8 = 5;
pub(crate) const COUNT: u8 = 6;
pub(crate) const REMEMBER: u8 = 7;
pub(crate) const REMEMBER_KEYS: u8 = 28;
/// The one kind whose records hold bodies.
pub const PUT: u8 = 16;
/// Not needed for correctness: may be left out when space is short.
pub const DELIVER: u8 = 17;
pub(crate) const ACK: u8 = 18;
/// Not needed for correctness: may be left out when space is short.
pub const RETURN: u8 = 19;
pub(crate) const SETTLE: u8 = 20;
pub(crate) const DROP: u8 = 21;
pub(crate) const PURGE: u8 = 22;
pub(crate) const LEAVE: u8 = 23;
pub(crate) const BURY: u8 = 24;
