use std::fmt;

/// What a name in Redis means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A channel (`SUBSCRIBE`).
    Channel,
    /// A pattern over channels, as Redis matches it (`PSUBSCRIBE`).
    Pattern,
    /// A channel of one slot of a cluster (`SSUBSCRIBE`, from Redis 7 on).
    Shard,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Channel, Self::Pattern, Self::Shard];

    /// The command that asks for a name, or gives it up.
    pub(crate) const fn verb(self, subscribe: bool) -> &'static [u8] {
        match (self, subscribe) {
            (Self::Channel, true) => b"SUBSCRIBE",
            (Self::Channel, false) => b"UNSUBSCRIBE",
            (Self::Pattern, true) => b"PSUBSCRIBE",
            (Self::Pattern, false) => b"PUNSUBSCRIBE",
            (Self::Shard, true) => b"SSUBSCRIBE",
            (Self::Shard, false) => b"SUNSUBSCRIBE",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Channel => "channel",
            Self::Pattern => "pattern",
            Self::Shard => "shard channel",
        })
    }
}
