//! Redis, over RESP2.

mod connection;
mod resp;
mod server;

pub use connection::Connection;
pub use resp::{bulks, encode};
pub use server::{Durability, command, is_ready};
