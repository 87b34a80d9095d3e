//! The part of the Redis protocol (RESP2 and RESP3) that a subscriber's connection needs, and
//! for whoever has another one how commands are written and where values end. Pure.

mod decode;
mod encode;
mod value;

pub(crate) use decode::Decoder;
pub use decode::{DecodeError, Frames};
pub(crate) use encode::command_of;
pub use encode::write_command;
pub(crate) use value::Value;
