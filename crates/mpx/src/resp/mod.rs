//! The part of the Redis protocol (RESP2 and RESP3) that a subscriber's connection needs. Pure.

mod decode;
mod encode;
mod value;

pub(crate) use decode::{DecodeError, Decoder};
pub(crate) use encode::{command, command_of};
pub(crate) use value::Value;
