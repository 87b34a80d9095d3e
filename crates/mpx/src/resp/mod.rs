//! The part of the Redis protocol (RESP2 and RESP3) that a subscriber's connection needs, and
//! where values end, for whoever reads other answers. Pure.

mod decode;
mod encode;
mod value;

pub(crate) use decode::Decoder;
pub use decode::{DecodeError, Frames};
pub(crate) use encode::{command, command_of};
pub(crate) use value::Value;
