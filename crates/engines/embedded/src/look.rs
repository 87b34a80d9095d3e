use trunkline_journal::Place;
use trunkline_model::{
    Completion, Error, MessageId, PeekCursor, PeekedMessage, PeekedPage, StoredMessage,
};

/// A message that is to be shown.
#[derive(Debug)]
pub(crate) enum Shown {
    /// It is here.
    Held(Box<PeekedMessage>),
    /// It is in the journal, and its segment is kept until it was read.
    At(MessageId, Place),
}

pub(crate) fn peeked_message(id: MessageId, message: StoredMessage) -> PeekedMessage {
    PeekedMessage {
        id,
        cursor: PeekCursor {
            priority: 0,
            position: id.sequence,
        },
        state: None,
        attempts: 0,
        message,
    }
}

/// Most payload bytes that one look shows, but for a first message that is larger: fewer
/// messages than asked for are an answer.
const LOOK_BYTES_MAX: usize = 16 << 20;

/// The messages that one look shows of those that were asked for.
pub(crate) fn bounded(
    messages: impl Iterator<Item = Result<PeekedMessage, Error>>,
) -> Result<PeekedPage, Error> {
    let mut bytes = 0;
    let fits = |peeked: &Result<PeekedMessage, Error>| {
        let before = bytes;
        bytes += peeked.as_ref().map_or(0, |p| p.message.payload.len());
        before == 0 || bytes <= LOOK_BYTES_MAX
    };
    let messages = messages.take_while(fits).collect::<Result<_, Error>>()?;
    Ok(PeekedPage {
        messages,
        next: None,
    })
}

/// Messages that somebody looks at: read when they are durable, away from the lock.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) completion: Completion,
    pub(crate) messages: Vec<Shown>,
}

impl Look {
    /// The messages, if nothing of it must be read.
    pub(crate) fn held(self) -> Result<(Completion, Result<PeekedPage, Error>), Self> {
        if self.places().next().is_some() {
            return Err(self);
        }
        let held = self.messages.into_iter().filter_map(|shown| match shown {
            Shown::Held(peeked) => Some(Ok(*peeked)),
            Shown::At(..) => None,
        });
        Ok((self.completion, bounded(held)))
    }

    /// The places that are kept for it.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        self.messages.iter().filter_map(|shown| match shown {
            Shown::Held(..) => None,
            Shown::At(_, place) => Some(*place),
        })
    }
}
