//! JSON-RPC 2.0 framing and OpenRPC documents; pure.
