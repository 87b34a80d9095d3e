use trunkline_journal::Place;
use trunkline_model::{Completion, MessageId, PeekedMessage};

/// A message that is to be shown.
#[derive(Debug)]
pub(crate) enum Shown {
    /// It is here.
    Held(Box<PeekedMessage>),
    /// It is in the journal, and its segment is kept until it was read.
    At(MessageId, Place),
}

/// Messages that somebody looks at: read when they are durable, away from the lock.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) completion: Completion,
    pub(crate) messages: Vec<Shown>,
}

impl Look {
    /// The messages, if nothing of it must be read.
    pub(crate) fn held(self) -> Result<(Completion, Vec<PeekedMessage>), Self> {
        if self.places().next().is_some() {
            return Err(self);
        }
        let held = self.messages.into_iter().filter_map(|shown| match shown {
            Shown::Held(peeked) => Some(*peeked),
            Shown::At(..) => None,
        });
        Ok((self.completion, held.collect()))
    }

    /// The places that are kept for it.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        self.messages.iter().filter_map(|shown| match shown {
            Shown::Held(..) => None,
            Shown::At(_, place) => Some(*place),
        })
    }
}
