use std::{fmt, str::FromStr};
use trunkline_model::TopicSettings;

/// A step of a history. Names are numbers: topic `t0`, subscription `t0/s1`, consumer `c2`.
///
/// An operation that makes no sense where it stands (an ack of a consumer that isn't there) does
/// nothing, so that any part of a history is a history.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Makes a topic.
    Topic(u8, Box<TopicSettings>),
    /// Makes a topic for dead letters, `d0`.
    Grave(u8),
    /// Looks at a topic for dead letters.
    LookAtGrave(u8),
    /// Drives dead letters back, so many.
    Redrive(u64, Back),
    /// Changes options of a topic.
    Alter(u8, Box<TopicSettings>),
    /// Removes a topic.
    Delete(u8),
    /// Makes a subscription; `true` if it is to start with everything, `None` for the default.
    Subscribe(u8, u8, Option<bool>),
    /// Removes a subscription.
    Unsubscribe(u8, u8),
    /// Empties a subscription, or the whole topic.
    Purge(u8, Option<u8>),
    /// Publishes a batch.
    Publish(u8, Publish),
    /// Acknowledges some of what a consumer holds and publishes, in one strict batch.
    Batch(u8, Mask, u8, Publish),
    /// Attaches a consumer to subscriptions (several share its credit).
    Consume(u8, Vec<(u8, u8)>, Consume),
    /// Detaches a consumer.
    Cancel(u8),
    /// Changes the credit of a consumer.
    Credit(u8, u32),
    /// Acknowledges some of what a consumer holds; `quiet` if nobody waits for the answer.
    Ack(u8, Mask, bool),
    /// Returns some of what a consumer holds after a delay in milliseconds.
    Return(u8, Mask, u64),
    /// Gives up some of what a consumer holds.
    Reject(u8, Mask),
    /// Gives some of what a consumer holds so many milliseconds from now.
    Extend(u8, Mask, u64),
    /// Acknowledges what a consumer settled last once more.
    Late(u8),
    /// One round of the journal.
    Step,
    /// Rounds until nothing waits.
    Settle,
    /// So many milliseconds pass; without `tick` the engine's timer is late.
    Wait {
        /// How long.
        ms: u64,
        /// Whether the timer comes.
        tick: bool,
    },
    /// Somebody sets the machine's clock by so many milliseconds.
    Jump(i64),
    /// Looks at a subscription.
    Look(u8, u8),
    /// Copies the store while it runs, and opens the copy.
    Backup,
    /// The power goes when the disk has done so many more things; the seed says what survives.
    Power(u64, u64),
    /// The process dies. What was written stays in the page cache, synced or not.
    Kill,
    /// A clean stop and a start.
    Stop,
    /// The write after so many fails half the way.
    FailWrite(u64),
    /// The sync after so many fails.
    FailSync(u64),
    /// The read after so many fails.
    FailRead(u64),
    /// So many KiB of space are left.
    Full(u64),
    /// There is space again.
    Space,
    /// A clean stop; bits of the files flip on a copy, which must be refused or serve all that is
    /// readable; then a start.
    Flip(u64),
}

/// Where dead letters go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// Where each came from.
    Source,
    /// To a topic.
    Topic(u8),
    /// To the topic that takes them as they are, by one command.
    Pit,
}

/// What a publish has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Publish {
    /// Messages of the batch.
    pub count: u64,
    /// Bytes of each payload, about.
    pub bytes: u64,
    /// Priority of the first; the next ones take turns.
    pub priority: Option<u8>,
    /// Key of the first; the next ones count up.
    pub key: Option<u8>,
    /// Ordering group of all of them.
    pub group: Option<u8>,
    /// Milliseconds until they expire.
    pub ttl: Option<u64>,
    /// Milliseconds for which they are held back.
    pub delay: Option<u64>,
    /// Publish id of the first; the next ones count up.
    pub id: Option<u8>,
}

/// What a consumer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consume {
    /// Most unsettled deliveries.
    pub credit: u32,
    /// Bytes of its window, which empties with every operation; `None` for no bound.
    pub window: Option<u64>,
    /// Settled at hand-over.
    pub auto: bool,
}

/// Some of a list: which of it, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask {
    bits: u8,
    len: u8,
}

impl Mask {
    /// `len` (1 to 8) decisions, the lowest bit last.
    #[must_use]
    pub fn new(bits: u8, len: u8) -> Self {
        let len = len.clamp(1, 8);
        let bits = bits & (u8::MAX >> (8 - len));
        Self { bits, len }
    }

    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self::new(1, 1)
    }

    /// Whether it holds for a place in the list.
    #[must_use]
    pub fn takes(self, index: usize) -> bool {
        let place = self.len - 1 - (index % usize::from(self.len)) as u8;
        self.bits >> place & 1 == 1
    }
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:01$b}", self.bits, usize::from(self.len))
    }
}

impl FromStr for Mask {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let len = u8::try_from(text.len()).map_err(|_| ())?;
        let bits = u8::from_str_radix(text, 2).map_err(|_| ())?;
        Ok(Self::new(bits, len))
    }
}
