//! NATS, over its text protocol.

mod connection;
mod protocol;
mod server;

pub use connection::{Connection, Delivery};
pub use protocol::{publish, publish_head};
pub use server::{DURABILITY, command, is_ready};
