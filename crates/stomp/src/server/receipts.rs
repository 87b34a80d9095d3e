use super::{Failure, SubscriptionNumber, Token};
use compact_str::CompactString;
use std::collections::VecDeque;

/// The frames that are not answered yet, in their order. Only the front is ever answered, so that
/// a RECEIPT also says that all frames before it were processed.
#[derive(Debug, Default)]
pub(crate) struct Receipts {
    entries: VecDeque<Entry>,
    /// The token of the front.
    front: u64,
    bytes: usize,
}

/// A frame that is not answered yet.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) state: State,
    pub(crate) receipt: Option<CompactString>,
    /// A subscription that begins with the answer.
    pub(crate) start: Option<SubscriptionNumber>,
    /// The session ends with the answer.
    pub(crate) last: bool,
}

/// How far a frame is.
#[derive(Debug)]
pub(crate) enum State {
    Pending,
    Done,
    Failed(Box<Failure>),
}

impl Entry {
    pub(crate) fn new(state: State, receipt: Option<CompactString>) -> Self {
        Self {
            state,
            receipt,
            start: None,
            last: false,
        }
    }

    fn bytes(&self) -> usize {
        self.receipt.as_ref().map_or(0, CompactString::len)
    }
}

impl Receipts {
    pub(crate) fn push(&mut self, entry: Entry) -> Token {
        let token = Token(self.front + self.entries.len() as u64);
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
        token
    }

    /// Whether the frame of a token asked for a receipt and has none yet.
    pub(crate) fn is_awaited(&self, token: Token) -> bool {
        let entry = self.place(token).and_then(|at| self.entries.get(at));
        entry.is_some_and(|entry| entry.receipt.is_some())
    }

    fn place(&self, token: Token) -> Option<usize> {
        usize::try_from(token.0.checked_sub(self.front)?).ok()
    }

    /// Whether the token was that of a frame that waited for it.
    pub(crate) fn complete(&mut self, token: Token, result: Result<(), Failure>) -> bool {
        let entry = self.place(token).and_then(|at| self.entries.get_mut(at));
        match entry {
            Some(entry) if matches!(entry.state, State::Pending) => {
                entry.state = match result {
                    Ok(()) => State::Done,
                    Err(failure) => State::Failed(Box::new(failure)),
                };
                true
            }
            _ => false,
        }
    }

    /// Takes the front, if it can be answered.
    pub(crate) fn pop(&mut self) -> Option<Entry> {
        if matches!(self.entries.front()?.state, State::Pending) {
            return None;
        }
        let entry = self.entries.pop_front()?;
        self.front += 1;
        self.bytes -= entry.bytes();
        Some(entry)
    }

    /// The first failure, whatever still waits before it; everything is forgotten.
    pub(crate) fn give_up(&mut self) -> Option<Entry> {
        self.front += self.entries.len() as u64;
        self.bytes = 0;
        self.entries
            .drain(..)
            .find(|entry| matches!(entry.state, State::Failed(_)))
    }

    /// Gives up memory of a burst that is over.
    pub(crate) fn rest(&mut self) {
        self.entries.shrink_to_fit();
    }

    /// Frames that are not answered yet.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Their receipts, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}
