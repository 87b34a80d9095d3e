//! A small, fast, blocking STOMP 1.2 client: frames that are written once and then only change
//! a few bytes, many of them per write, nothing allocated per message.
//!
//! Only for what a generator knows beforehand: every body on the wire is its own, or the text of
//! an ERROR, and holds no NUL; so a frame ends at the first one.

mod consumer;
mod dialect;
mod listener;
mod scan;
mod sender;
mod socket;

pub(crate) use consumer::Consumer;
pub(crate) use dialect::{Dialect, TRUNKLINE};
pub(crate) use listener::Listener;
pub(crate) use sender::Sender;
pub(crate) use socket::Socket;
