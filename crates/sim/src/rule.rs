use std::fmt;

/// What the store promises, as far as a client can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A confirmed message that nobody settled is there.
    Lost,
    /// Only what was published is delivered, with the payload and properties that it had.
    Invented,
    /// What was settled durably doesn't come back, nor anything settled within a run.
    Settled,
    /// The best place goes first, whoever came back to it and when.
    Order,
    /// A group is with one consumer at a time, in order.
    Groups,
    /// An older version isn't delivered once a newer one was taken; one of the two is there.
    Latest,
    /// Attempts count every delivery, and go on at least from the last durable record.
    Attempts,
    /// Nothing is delivered after its time.
    Expired,
    /// Nothing that was returned with a delay is delivered before the delay is over.
    Early,
    /// Nothing is held by two consumers of a subscription, and nobody is given more than his credit.
    Held,
    /// An identity stands for one message for ever, and identities grow.
    Identity,
    /// A publish id stands for one message within its window.
    PublishId,
    /// A full topic refuses, and only a full one.
    Bound,
    /// What an answer says is what was done.
    Answers,
    /// What a subscription gives up is in the topic for dead letters once, as it was.
    Letters,
    /// A batch is there as a whole or not at all.
    Atomic,
    /// Topics and subscriptions are there if and only if they were made and not removed.
    Definitions,
    /// An engine opens after every crash.
    Opens,
    /// Damage is refused or reported, never passed over.
    Damage,
    /// Every command is answered, once.
    Silent,
    /// Nothing panics.
    Panics,
}

impl Rule {
    /// The promise, for people.
    #[must_use]
    pub const fn promise(self) -> &'static str {
        match self {
            Self::Lost => "no confirmed message is lost",
            Self::Invented => "nothing is delivered that was never published",
            Self::Settled => "nothing comes back after it was settled",
            Self::Order => "the best place goes first",
            Self::Groups => "a group is with one consumer at a time, in order",
            Self::Latest => "the latest version wins",
            Self::Attempts => {
                "attempts count every delivery, and never fall below the last durable record"
            }
            Self::Expired => "nothing is delivered after its time",
            Self::Early => "nothing is delivered before its time",
            Self::Held => "one consumer holds a delivery, within its credit",
            Self::Identity => "an identity is never used again",
            Self::PublishId => "a publish id stands for one message",
            Self::Bound => "a full topic refuses, and only a full one",
            Self::Answers => "an answer says what was done",
            Self::Letters => "a dead letter comes once, and then its message doesn't",
            Self::Atomic => "a batch is there as a whole or not at all",
            Self::Definitions => "topics and subscriptions stay as they were made",
            Self::Opens => "the store opens again",
            Self::Damage => "damage is never passed over",
            Self::Silent => "every command is answered once",
            Self::Panics => "nothing panics",
        }
    }
}

/// A promise that was broken, and how that showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The promise.
    pub rule: Rule,
    /// What was seen.
    pub seen: String,
}

impl Violation {
    /// A promise was broken.
    #[must_use]
    pub fn new(rule: Rule, seen: impl Into<String>) -> Self {
        Self {
            rule,
            seen: seen.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule.promise(), self.seen)
    }
}

/// What a check says.
pub type Checked<T = ()> = Result<T, Violation>;

/// Ends a check unless something holds.
macro_rules! hold {
    ($holds:expr, $rule:ident, $($seen:tt)+) => {
        if !$holds {
            return Err($crate::rule::Violation::new($crate::rule::Rule::$rule, format!($($seen)+)));
        }
    };
}

pub(crate) use hold;
