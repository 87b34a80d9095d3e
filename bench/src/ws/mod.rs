//! A small, fast, blocking WebSocket: masked client frames, unmasked server frames, many frames
//! per write, nothing allocated per message.

mod echo;
mod frame;
mod handshake;
mod socket;
mod template;

pub(crate) use echo::serve_one as serve_echo;
pub(crate) use frame::{Opcode, encode};
pub(crate) use socket::WebSocket;
pub(crate) use template::Template;
