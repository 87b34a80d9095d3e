//! Frames: bytes to frames and back.

mod decode;
mod encode;
mod escape;
mod fault;
mod limits;

pub use decode::Decoder;
pub use encode::{Writer, encode};
pub use escape::Inexpressible;

use escape::Escapes;
pub use fault::{DecodeError, Fault};
pub use limits::FrameLimits;

use crate::Command;
use bytes::Bytes;
use std::fmt;
use trunkline_model::Headers;

/// A frame as it was sent: headers in their order, repeated ones included, of which the first
/// counts (STOMP 1.2, "Repeated Header Entries").
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub command: Command,
    /// Without escapes. [`encode`] adds `content-length` itself.
    pub headers: Headers,
    /// The body; it shares the memory of what was read, so whoever keeps a small one for long
    /// had better copy it.
    pub body: Bytes,
}

impl Frame {
    /// A frame without headers and body.
    #[must_use]
    pub const fn new(command: Command) -> Self {
        Self {
            command,
            headers: Headers::new(),
            body: Bytes::new(),
        }
    }

    /// The same with a header added at the end.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push(name, value);
        self
    }

    /// The same with a body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The value that counts under a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }
}

/// Command, names of headers and size: values and bodies are the users' own, and one of them is
/// the passcode.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Frame")
            .field("command", &self.command)
            .field("headers", &names)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}
