//! STOMP as its clients meet it, over TCP, TLS and WebSocket.

mod client;
mod ends;
mod limits;
mod tls;

pub(crate) use client::StompClient;
