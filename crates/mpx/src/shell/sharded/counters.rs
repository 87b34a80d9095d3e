use super::super::Counters;
use trunkline_model::Count;

/// What a multiplexer for a cluster has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardedCounters {
    /// As of one multiplexer. Connections, attempts, losses, commands and bytes are sums over all shards, those that
    /// are gone among them; all else is of the whole: a name is wanted once, wherever it is.
    pub whole: Counters,
    /// Times that a name was sent from one node to another.
    pub moves: u64,
    /// Names that were heard when their node gave them up, or was given up for another.
    pub withdrawn: u64,
    /// Answers that said who owns which slot.
    pub maps: u64,
    /// Questions for it that nobody answered.
    pub map_failures: u64,
    /// Nodes with a multiplexer now.
    pub shards_now: u64,
    /// Names that are wanted and that no node has confirmed now; those that were refused are not among them.
    pub unsettled_now: u64,
}

/// What the task counts.
#[derive(Debug, Default)]
pub(super) struct Counting {
    pub(super) withdrawn: Count,
    pub(super) maps: Count,
    pub(super) map_failures: Count,
}

/// Adds what one multiplexer did on the wire.
pub(super) const fn add(to: &mut Counters, of: &Counters) {
    to.connections += of.connections;
    to.connect_failures += of.connect_failures;
    to.losses += of.losses;
    to.commands += of.commands;
    to.bytes += of.bytes;
}
