//! Listeners and sessions: WebSocket and HTTP JSON-RPC.
