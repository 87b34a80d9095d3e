use bytes::Bytes;
use tokio_websockets::Message;
use trunkline_jsonrpc::{Incoming, Limits, ParseError, parse, parse_text};

/// Parts of a frame smaller than this are copied: keeping them must not keep the frame, nor the
/// buffer around it, in memory.
const SHARED_BYTES_MIN: usize = 4 << 10;

/// What a client sent at once.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Frame<'a> {
    /// A text message, which the WebSocket library has found to be UTF-8.
    Message(&'a Message),
    /// The body of a `POST`.
    Body(&'a Bytes),
}

impl<'a> Frame<'a> {
    /// Reads it.
    pub(crate) fn parse(self, limits: &Limits) -> Result<Incoming<'a>, ParseError> {
        match self {
            Self::Message(message) => parse_text(message.as_text().unwrap_or_default(), limits),
            Self::Body(body) => parse(body, limits),
        }
    }

    /// All of it; `None` if that is not UTF-8.
    pub(crate) fn text(self) -> Option<&'a str> {
        match self {
            Self::Message(message) => message.as_text(),
            Self::Body(body) => str::from_utf8(body).ok(),
        }
    }

    /// A part of it to keep: shared if it makes up most of it, else copied.
    pub(crate) fn keep(self, part: &[u8]) -> Bytes {
        if part.len() < SHARED_BYTES_MIN {
            return Bytes::copy_from_slice(part);
        }
        let whole = match self {
            Self::Message(message) => Bytes::from(message.as_payload().clone()),
            Self::Body(body) => body.clone(),
        };
        if part.len() >= whole.len() / 2 {
            whole.slice_ref(part)
        } else {
            Bytes::copy_from_slice(part)
        }
    }
}
