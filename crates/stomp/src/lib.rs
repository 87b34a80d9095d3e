//! STOMP 1.0, 1.1 and 1.2, both sides of it: frames, what a server does with them, what a client
//! does with them.
//!
//! **Invariant**: knows no socket, no clock, no engine and no topic; equal bytes and calls at equal
//! times give equal bytes and effects. A peer's bytes are kept up to [`FrameLimits`] and the bounds
//! of the sessions' settings, and never make anything panic.
//!
//! Start at [`Frame`], which a [`Decoder`] makes of bytes and [`encode`] makes bytes of; then
//! [`ServerSession`]. [`Destination`] and the options read what Trunkline means by headers, which
//! the session hands on as they are.

mod client;
mod command;
mod destination;
mod excerpt;
mod frame;
mod heart_beat;
mod options;
mod pulse;
mod server;
mod version;

pub use client::{
    Acked, ClientEffect, ClientError, ClientSession, ClientSettings, ErrorCode, Lost, MessageTag,
    Operation, OperationId,
};
pub use command::Command;
pub use destination::{Destination, DestinationError};
pub use frame::{
    DecodeError, Decoder, Escapes, Fault, Frame, FrameLimits, Inexpressible, Writer, encode,
};
pub use heart_beat::{Agreed, HeartBeat, ParseHeartBeatError};
pub use options::{
    JmsPriority, NackOptions, OptionError, SendOptions, SubscribeOptions, durable_name,
};
pub use server::{
    AckMode, CloseReason, ConnectRequest, Delivery, Effect, Failure, NotDelivered, Refusal, Send,
    ServerSession, ServerSettings, SessionName, SessionNameError, Settle, Step, SubscribeRequest,
    SubscriptionNumber, Tags, Token, Verdict,
};
pub use trunkline_model::Headers;
pub use version::Version;
