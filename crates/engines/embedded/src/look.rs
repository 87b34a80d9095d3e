use trunkline_journal::Place;
use trunkline_model::{
    Completion, Error, MessageFilter, PeekCursor, PeekedMessage, PeekedPage, StoredMessage,
};
use trunkline_queue::Peeked;

/// A message that may be shown.
#[derive(Debug)]
pub(crate) enum Shown {
    /// It is here.
    Held(Box<PeekedMessage>),
    /// It is in the journal, and its segment is kept until it was read.
    At(Peeked, Place),
}

pub(crate) fn peeked_message(peeked: &Peeked, message: StoredMessage) -> PeekedMessage {
    PeekedMessage {
        id: peeked.id,
        cursor: peeked.cursor,
        state: peeked.state,
        attempts: peeked.attempts,
        message,
    }
}

/// Most messages that one look reads because only their content tells whether they are meant.
pub(crate) const READ_MAX: usize = 1_000;

/// Most payload bytes that one look reads, but for a first message that is larger: fewer
/// messages than asked for are an answer.
const READ_BYTES_MAX: usize = 16 << 20;

/// What is asked of the messages of a look.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) filter: MessageFilter,
    /// At most so many.
    pub(crate) limit: usize,
    /// Where to go on behind all that are there.
    pub(crate) next: Option<PeekCursor>,
}

impl Wanted {
    /// The messages that are shown of so many that were found, read one after the other.
    pub(crate) fn of(
        self,
        count: usize,
        found: impl Iterator<Item = Result<PeekedMessage, Error>>,
    ) -> Result<PeekedPage, Error> {
        let (mut messages, mut bytes, mut last) = (Vec::new(), 0, None);
        for (index, peeked) in found.enumerate() {
            let peeked = peeked?;
            bytes += peeked.message.payload.len();
            if last.is_some() && bytes > READ_BYTES_MAX {
                let next = last;
                return Ok(PeekedPage { messages, next });
            }
            last = Some(peeked.cursor);
            if self.filter.matches(peeked.id, &peeked.message) {
                messages.push(peeked);
            }
            if messages.len() == self.limit && index + 1 < count {
                let next = last;
                return Ok(PeekedPage { messages, next });
            }
        }
        let next = self.next;
        Ok(PeekedPage { messages, next })
    }
}

/// Messages that somebody looks at: read when they are durable, away from the lock.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) completion: Completion,
    pub(crate) messages: Vec<Shown>,
    pub(crate) wanted: Box<Wanted>,
}

impl Look {
    /// The messages, if nothing of it must be read.
    pub(crate) fn held(self) -> Result<(Completion, Result<PeekedPage, Error>), Self> {
        if self.places().next().is_some() {
            return Err(self);
        }
        let count = self.messages.len();
        let held = self.messages.into_iter().filter_map(|shown| match shown {
            Shown::Held(peeked) => Some(Ok(*peeked)),
            Shown::At(..) => None,
        });
        Ok((self.completion, self.wanted.of(count, held)))
    }

    /// The places that are kept for it.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        self.messages.iter().filter_map(|shown| match shown {
            Shown::Held(..) => None,
            Shown::At(_, place) => Some(*place),
        })
    }
}
