//! What every wire of the generator needs of a connection: a blocking socket and a buffer from
//! which frames are taken in place.

mod buffer;
mod link;

pub(crate) use buffer::ReadBuffer;
pub(crate) use link::{Closer, Link, SILENCE_MAX, Silence, Unreachable};
