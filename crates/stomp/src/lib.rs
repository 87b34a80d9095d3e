//! STOMP 1.0, 1.1 and 1.2, both sides of it: frames, what a server does with them, what a client
//! does with them.
//!
//! **Invariant**: knows no socket, no clock, no engine and no topic; equal bytes and calls at equal
//! times give equal bytes and effects. A peer's bytes are kept up to [`FrameLimits`], and never make anything panic.
//!
//! Start at [`Frame`], which a [`Decoder`] makes of bytes and [`encode`] makes bytes of.
//! [`Destination`] reads what Trunkline means by a destination.

mod command;
mod destination;
mod excerpt;
mod frame;
mod heart_beat;
mod version;

pub use command::Command;
pub use destination::{Destination, DestinationError};
pub use frame::{
    DecodeError, Decoder, Escapes, Fault, Frame, FrameLimits, Inexpressible, Writer, encode,
};
pub use heart_beat::{Agreed, HeartBeat, ParseHeartBeatError};
pub use trunkline_model::Headers;
pub use version::Version;
