//! STOMP as its clients meet it, over TCP, TLS and WebSocket.

mod client;
mod ends;
mod limits;
mod tls;
mod websocket;

pub(crate) use client::StompClient;
