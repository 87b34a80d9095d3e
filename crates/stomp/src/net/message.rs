use crate::{Frame, Headers, MessageTag};
use bytes::Bytes;

/// A message that a subscription got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    tag: MessageTag,
    frame: Frame,
}

impl Message {
    pub(crate) fn new(tag: MessageTag, frame: Frame) -> Self {
        Self { tag, frame }
    }

    /// The body. It shares the memory of what was read with it: whoever keeps a small one for
    /// long had better copy it.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.frame.body
    }

    /// The value of a header; of repeated ones the first counts.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.frame.get(name)
    }

    /// All headers, in their order.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.frame.headers
    }

    /// Where it was sent to.
    #[must_use]
    pub fn destination(&self) -> &str {
        self.header("destination").unwrap_or_default()
    }

    /// The MESSAGE frame.
    #[must_use]
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// The MESSAGE frame, without a copy.
    #[must_use]
    pub fn into_frame(self) -> Frame {
        self.frame
    }

    /// How an ACK or NACK names it within its client.
    #[must_use]
    pub fn tag(&self) -> MessageTag {
        self.tag
    }

    /// What it takes of memory, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let headers = self.frame.headers.iter();
        let headers: usize = headers
            .map(|(name, value)| name.len() + value.len() + 48)
            .sum();
        headers + self.frame.body.len() + 128
    }
}
