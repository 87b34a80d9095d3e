//! STOMP as its clients meet it, over TCP, TLS and WebSocket.

mod cases;
mod client;
mod ends;
mod headers;
mod limits;
mod requirements;
mod slow;
mod tls;
mod websocket;

pub(crate) use client::StompClient;
