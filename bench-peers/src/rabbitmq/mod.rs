//! RabbitMQ with its STOMP plugin.
//!
//! The load itself is STOMP as over our own wire, so the generator does it with the same code; here
//! is how the server is started and asked whether it is there.

mod greeting;
mod server;

pub use greeting::{is_ready, version};
pub use server::{CONNECT, DURABILITY, Ports, QUORUM, command, daemon, daemon_is_ready};
