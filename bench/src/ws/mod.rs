//! A small, fast, blocking WebSocket: masked client frames, unmasked server frames, many frames
//! per write, nothing allocated per message.

mod buffer;
mod echo;
mod frame;
mod handshake;
mod socket;

pub(crate) use echo::serve_one as serve_echo;
pub(crate) use socket::{Closer, WebSocket};
